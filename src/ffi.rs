// SPDX-License-Identifier: MIT OR Apache-2.0
//! The C face: the only place where descriptors are numbers and paths are pointers.
//!
//! This file is the glue: the guard that turns errors and panics into -1 and errno, and what borrows numbers,
//! arrays and paths of C's. The functions stand in `ffi/`, by subject:
//!
//! - `connections`: a pair, servers, their connections and clients, and who the peer is;
//! - `transfer`: sending and receiving, one call at a time, and when to try again;
//! - `passer`: the object with a queue for each direction;
//! - `inherited`: descriptors that come by exec, what a descriptor is, and what a service manager is told;
//! - `constants`: the constants, and which interface the library was built for.
//!
//! # A new C function, end to end
//!
//! 1. Write the core: in `transfer.rs`, `endpoint.rs` or `queue.rs`. If that needs a new item of `sys/`, add the item
//!    to the table and to both `pub use` lists in `sys/mod.rs`.
//! 2. Write the Rust face: in `api.rs` or `api/passer.rs`, with `pub use` in `lib.rs` and a test in `tests/passing.rs`.
//! 3. Write the C function in the file of its subject: `guard(|| ...)` around a call of the core, or `guard_quick` if
//!    that makes no system call. Functions have the same order in the header as in the file. A new file needs `mod` and
//!    `pub use` below, and a place in `SUBJECTS` in `build.rs`.
//! 4. Write its comment. The first line is a whole sentence, and it is all that the header shows. Then come paragraphs
//!    of description and the sections `# Ownership`, `# Returns`, `# Errors` (a list, `- ERRNO: what happened`),
//!    `# Blocking`, `# Threads and fork`, `# Examples` and `# See also`. If a comment leaves a section out, the manual
//!    takes that section from the comment at the top of the file. `Page: NAME` puts the function on the page of another
//!    one.
//! 5. Run `make header`, and commit the header. (The manual pages are made when somebody installs, by
//!    `scripts/man-page`.)
//! 6. Add its system calls to `man/fdpasser.7`, and a `CALL` to `tests/man.t`, which compares the list with strace. If
//!    the comment has an example, say in `tests/man.t` what is around it, so that it can be run.
//! 7. Test what it does: a program in `tests/c`, and a case in `fuzz/fuzz_targets/calls.rs`. If it is called often, add
//!    a call to `tests/instructions/calls.c` and its figure. All other tests find the function in the header.
//! 8. If Perl is to have it: `FDpasser.xs`, the module and its POD, and a test in `perl/t`.
//! 9. Say which test guards the promise in `tests/README.md`, and what is new in both changelogs.
#![allow(
    unsafe_code,
    reason = "raw pointers, unmangled names and borrowed numbers are what a C ABI is"
)]
#![allow(
    clippy::missing_safety_doc,
    reason = "the contract is in the comment, for C: see the sections on ownership and errors"
)]

mod connections;
mod constants;
mod inherited;
mod passer;
mod transfer;

#[cfg(fuzzing)]
pub use {connections::*, constants::*, inherited::*, passer::*, transfer::*};

use crate::error::known;
use crate::sys::cancel::Uncancelled;
use crate::transfer::{Wait, MAX_DATA};
use libc::{c_char, c_int, c_void, size_t};
use nix::errno::Errno;
use std::ffi::{CStr, OsStr};
use std::os::fd::{BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::Path;
use std::time::Duration;

/// Turns an error into -1 and errno, as the last thing that a call does.
fn guard<T: From<i8>>(body: impl FnOnce() -> Result<T, Errno>) -> T {
    guard_or(T::from(-1), body)
}

/// Turns an error into `failure` and errno.
///
/// A cancellation of the thread takes effect after the call, when the caller has what the call gives it.
fn guard_or<T>(failure: T, body: impl FnOnce() -> Result<T, Errno>) -> T {
    let _uncancelled = Uncancelled::new();
    catch(failure, body)
}

/// [`guard`] for what makes no system call, and so has no cancellation point.
fn guard_quick<T: From<i8>>(body: impl FnOnce() -> Result<T, Errno>) -> T {
    catch(T::from(-1), body)
}

/// Turns an error into `failure` and errno. A panic would be a bug. It stops here too.
fn catch<T>(failure: T, body: impl FnOnce() -> Result<T, Errno>) -> T {
    // AssertUnwindSafe: only the queues of a passer outlive a call, and they are whole at every moment.
    let errno = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(value)) => return value,
        Ok(Err(errno)) => errno,
        Err(_) => Errno::EIO,
    };
    known(errno).set();
    failure
}

/// Borrows a number that C says is a descriptor. The kernel finds out whether it is open.
fn borrow(fd: &RawFd) -> Result<BorrowedFd<'_>, Errno> {
    if *fd < 0 {
        return Err(Errno::EBADF);
    }
    // SAFETY: not -1, and borrowed only for the call that C made with it. If C closes it in the meantime,
    // the system call fails with EBADF.
    Ok(unsafe { BorrowedFd::borrow_raw(*fd) })
}

/// At most that many milliseconds from now. Negative is for ever, as for poll(2).
fn at_most(timeout_ms: c_int) -> Wait {
    let time = u64::try_from(timeout_ms).ok().map(Duration::from_millis);
    Wait::at_most(time)
}

fn number(fd: OwnedFd) -> c_int {
    fd.into_raw_fd()
}

/// EFAULT for NULL. EINVAL for more than INT_MAX, which most likely is a negative number turned into a size_t, and for
/// an array of more than isize::MAX bytes.
fn check_array(fds: *const c_int, n: size_t) -> Result<(), Errno> {
    const LARGEST: size_t = isize::MAX as size_t / std::mem::size_of::<c_int>();
    if n > LARGEST.min(c_int::MAX as size_t) {
        Err(Errno::EINVAL)
    } else if fds.is_null() {
        Err(Errno::EFAULT)
    } else {
        Ok(())
    }
}

/// # Safety
/// `data` must be null or point at `len` bytes that live as long as the answer is used.
unsafe fn bytes<'a>(data: *const c_void, len: size_t) -> Result<&'a [u8], Errno> {
    if len == 0 {
        return Ok(&[]);
    }
    if data.is_null() {
        return Err(Errno::EFAULT);
    }
    if len > MAX_DATA {
        return Err(Errno::EMSGSIZE);
    }
    // SAFETY: not null, and the caller vouches for the rest.
    Ok(unsafe { std::slice::from_raw_parts(data.cast(), len) })
}

/// EINVAL if there is no room for the data of any message.
///
/// # Safety
/// `data` must be null or point at `room` bytes that nobody else uses as long as the answer is used.
unsafe fn data_room<'a>(data: *mut c_void, room: size_t) -> Result<&'a mut [u8], Errno> {
    if data.is_null() {
        return Err(Errno::EFAULT);
    }
    if room < MAX_DATA {
        return Err(Errno::EINVAL);
    }
    // SAFETY: not null, and the caller vouches for the rest.
    Ok(unsafe { std::slice::from_raw_parts_mut(data.cast(), MAX_DATA) })
}

/// # Safety
/// `path` must be null or a C string that lives as long as the answer is used.
unsafe fn c_path<'a>(path: *const c_char) -> Result<&'a Path, Errno> {
    if path.is_null() {
        return Err(Errno::EFAULT);
    }
    // SAFETY: not null, and the caller vouches for the rest.
    Ok(as_path(unsafe { CStr::from_ptr(path) }.to_bytes()))
}

/// # Safety
/// `path` must be null or point at `len` bytes that live as long as the answer is used.
unsafe fn path_n<'a>(path: *const c_char, len: size_t) -> Result<&'a Path, Errno> {
    if path.is_null() {
        return Err(Errno::EFAULT);
    }
    if len > isize::MAX as size_t {
        return Err(Errno::ENAMETOOLONG);
    }
    // SAFETY: not null, no longer than a slice may be, and the caller vouches for the rest.
    Ok(as_path(unsafe {
        std::slice::from_raw_parts(path.cast(), len)
    }))
}

fn as_path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

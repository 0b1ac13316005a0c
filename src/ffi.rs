// SPDX-License-Identifier: MIT OR Apache-2.0
//! The C ABI: the only place where descriptors are numbers and paths are pointers.
//!
//! The header is made from this file and those of `ffi/`. Each function's comment says, in this order: what it does; who
//! owns each descriptor on success and on failure; what it returns and each errno; whether it blocks;
//! threads and fork.
#![allow(
    unsafe_code,
    reason = "raw pointers, unmangled names and borrowed numbers are what a C ABI is"
)]
#![allow(
    clippy::missing_safety_doc,
    reason = "the contract is the C comment, which goes into the header word for word"
)]

mod connections;
mod passer;

use crate::endpoint;
use crate::error::{self, known, Retry};
use crate::sys::wait::Wait;
use crate::sys::Fds;
use crate::transfer::{self, Taken};
use crate::Mode;
use libc::{c_char, c_int, c_uint, size_t, ssize_t};
use nix::errno::Errno;
use std::ffi::{CStr, OsStr};
use std::os::fd::{BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::Path;

/// fdpasser_mode(): descriptors travel as SCM_RIGHTS over AF_UNIX sockets.
pub const FDPASSER_MODE_BSD: c_int = 1;

/// fdpasser_mode(): descriptors travel by I_SENDFD over STREAMS.
pub const FDPASSER_MODE_SYSV: c_int = 2;

/// No message carries more descriptors than this. (Linux carries as many, other systems fewer, and the
/// SysV interface one.)
pub const FDPASSER_MAX_PER_MESSAGE: c_int = 253;

const _: () = assert!(FDPASSER_MAX_PER_MESSAGE as usize == transfer::MAX_PER_MESSAGE);

/// Makes a connected pair of passers, one for each side of a fork (or for two threads).
///
/// Ownership: on success the caller owns fds[0] and fds[1]; on failure fds is left as it was.
///
/// Returns 0, or -1 with errno: EFAULT (fds is NULL), EMFILE, ENFILE, ENOBUFS, ENOMEM.
///
/// Blocking: no. The new passers are in blocking mode.
///
/// Threads and fork: safe. Each process should close the end that it does not use, or the other
/// end's holder will not see the end of file.
#[no_mangle]
pub unsafe extern "C" fn fdpasser_socketpair(fds: *mut c_int) -> c_int {
    guard(|| {
        if fds.is_null() {
            return Err(Errno::EFAULT);
        }
        let (a, b) = endpoint::socketpair()?;
        // SAFETY: not null, and the caller vouches for two ints.
        unsafe {
            fds.write(a.into_raw_fd());
            fds.add(1).write(b.into_raw_fd());
        }
        Ok(0)
    })
}

/// Listens at path. A backlog of 0 or less means 10; the system may cap it.
///
/// A socket that is there already, live or left over, is replaced without a moment in which the
/// path is missing, so that a restarted server takes over. (The listener is bound under a temporary
/// name in the same directory and renamed; getsockname() then shows that name.) Anything that is
/// not a socket is left alone. The node's mode is as the umask says, and it stays when the listener
/// is closed. Other wishes: fdpasser_server_with().
///
/// Ownership: on success the caller owns the listener; on failure nothing is left behind.
///
/// Returns the listener, or -1 with errno: EFAULT (path is NULL), EEXIST (something other than a
/// socket is there), ENAMETOOLONG (longer than an address holds, 107 bytes on Linux), ENOENT (empty,
/// or no such directory), ENOTDIR, EACCES, EPERM, EROFS, EMFILE, ENFILE, ENOBUFS, ENOMEM, ENOSPC,
/// EIO.
///
/// Blocking: no. The listener is in blocking mode.
///
/// Threads and fork: safe. Of two servers that start at once at one path the last one has it.
#[no_mangle]
pub unsafe extern "C" fn fdpasser_server(path: *const c_char, backlog: c_int) -> c_int {
    // SAFETY: the caller vouches for a C string.
    guard(|| server(unsafe { c_path(path) }?, backlog))
}

/// As fdpasser_server(), with the length of path given, so that it may begin with a NUL: a Linux
/// abstract address, which is in no file system and is never replaced.
///
/// Ownership: as fdpasser_server().
///
/// Returns as fdpasser_server(); also errno EADDRINUSE (an abstract address in use) and EINVAL (a
/// NUL inside a path, or an abstract address on a system without).
///
/// Blocking: no. The listener is in blocking mode.
///
/// Threads and fork: safe.
#[no_mangle]
pub unsafe extern "C" fn fdpasser_server_n(
    path: *const c_char,
    path_len: size_t,
    backlog: c_int,
) -> c_int {
    // SAFETY: the caller vouches for path_len bytes.
    guard(|| server(unsafe { path_n(path, path_len) }?, backlog))
}

/// Takes the next connection of a listener.
///
/// Ownership: on success the caller owns the new passer; on failure there is none. The listener is
/// not changed.
///
/// Returns the passer, or -1 with errno: EAGAIN (none waits and the listener is non-blocking), EINTR
/// (a signal came while waiting), EMFILE (no free slot from 3 up; the connection stays queued),
/// EBADF, ENOTSOCK, EINVAL, EOPNOTSUPP (not a listener), ENFILE, ENOBUFS, ENOMEM, ECONNABORTED,
/// EPERM.
///
/// Blocking: waits for a connection if the listener is in blocking mode. The new passer is in
/// blocking mode either way.
///
/// Threads and fork: safe. Several may accept from one listener.
#[no_mangle]
pub extern "C" fn fdpasser_accept(listener: c_int) -> c_int {
    guard(|| {
        Ok(number(endpoint::accept(
            borrow(&listener)?,
            Wait::AsPasser,
        )?))
    })
}

/// Connects to the server at path.
///
/// Ownership: on success the caller owns the passer; on failure there is none.
///
/// Returns the passer, or -1 with errno: EFAULT (path is NULL), ENOENT (nothing there, or empty),
/// ECONNREFUSED (nobody listens there), EACCES (no permission to write to the node), EPROTOTYPE (not
/// a stream socket), ENAMETOOLONG, ENOTDIR, ELOOP, EINTR (a signal came while waiting), EMFILE,
/// ENFILE, ENOBUFS, ENOMEM, EPERM.
///
/// Blocking: waits while the server's backlog is full. The passer is in blocking mode.
///
/// Threads and fork: safe.
#[no_mangle]
pub unsafe extern "C" fn fdpasser_connect(path: *const c_char) -> c_int {
    // SAFETY: the caller vouches for a C string.
    guard(|| connect(unsafe { c_path(path) }?))
}

/// As fdpasser_connect(), with the length of path given, so that it may begin with a NUL: a Linux
/// abstract address.
///
/// Ownership: as fdpasser_connect().
///
/// Returns as fdpasser_connect(); also errno EINVAL (a NUL inside a path, or an abstract address on
/// a system without).
///
/// Blocking: as fdpasser_connect().
///
/// Threads and fork: safe.
#[no_mangle]
pub unsafe extern "C" fn fdpasser_connect_n(path: *const c_char, path_len: size_t) -> c_int {
    // SAFETY: the caller vouches for path_len bytes.
    guard(|| connect(unsafe { path_n(path, path_len) }?))
}

/// Sends one descriptor.
///
/// Ownership: the caller keeps fd, on success and on failure; the receiver gets a duplicate. It may
/// be closed as soon as this returns. A descriptor in flight that nobody receives is closed by the
/// kernel when both ends are gone.
///
/// Returns 1, or -1 with errno, and then nothing was sent. For this attempt: EAGAIN (the socket is
/// full and the passer non-blocking), EINTR, ETOOMANYREFS, ENOBUFS, ENOMEM. For this descriptor, the
/// next one may go: EBADF (also: passer is not open), EINVAL and EOPNOTSUPP (its kind cannot be
/// sent, such as io_uring), EPERM (refused by a security module or the peer). For the passer: EPIPE
/// and ECONNRESET (the peer is gone; ECONNREFUSED on a datagram socket), ENOTCONN, ENOTSOCK,
/// EAFNOSUPPORT (not a local socket).
///
/// Blocking: waits for room in the socket if passer is in blocking mode.
///
/// Threads and fork: safe. Messages of several senders do not mix.
#[no_mangle]
pub extern "C" fn fdpasser_send_fd(passer: c_int, fd: c_int) -> c_int {
    guard(|| send_one(passer, fd))
}

/// Receives one descriptor.
///
/// Ownership: on success the caller owns the descriptor; on failure there is none.
///
/// Returns the descriptor, never 0, 1 or 2; 0 at orderly shutdown; or -1 with errno. Nothing was
/// consumed: EAGAIN (nothing has arrived and the passer is non-blocking, or its SO_RCVTIMEO ran out),
/// EINTR, EMFILE (a descriptor waits, but there is no free slot from 3 up: the same call succeeds once
/// there is), ENOBUFS, ENOMEM, EBADF, ENOTSOCK, EINVAL, ENOTCONN (not a connected socket). One message
/// was consumed, and the next one may be good: EBADMSG (a byte came without a descriptor), EMSGSIZE
/// (more than one descriptor came; all were closed), ENOTRECOVERABLE (the kernel destroyed
/// descriptors of the message; the rest were closed). The peer is gone: ECONNRESET (it had not read
/// all that was sent to it; what it had sent before comes first).
///
/// Blocking: waits for a message if passer is in blocking mode. A full table is EMFILE at once, and so
/// is a soft limit of 0, with which the system does not even wait.
///
/// Threads and fork: safe. Of several receivers on one end each descriptor reaches exactly one.
#[no_mangle]
pub extern "C" fn fdpasser_recv_fd(passer: c_int) -> c_int {
    guard(|| receive_one(passer))
}

/// fdpasser_send_fd() under its short name. Define FDPASSER_NO_SHORT_NAMES before including this
/// header in a program that has a send_fd() of its own.
///
/// Ownership, return value, blocking, threads and fork: as fdpasser_send_fd().
#[cfg(not(fdpasser_no_short_names))]
#[no_mangle]
pub extern "C" fn send_fd(passer: c_int, fd: c_int) -> c_int {
    guard(|| send_one(passer, fd))
}

/// fdpasser_recv_fd() under its short name. Define FDPASSER_NO_SHORT_NAMES before including this
/// header in a program that has a recv_fd() of its own.
///
/// Ownership, return value, blocking, threads and fork: as fdpasser_recv_fd().
#[cfg(not(fdpasser_no_short_names))]
#[no_mangle]
pub extern "C" fn recv_fd(passer: c_int) -> c_int {
    guard(|| receive_one(passer))
}

/// Says which interface to the system this library was built for.
///
/// Ownership: no descriptors.
///
/// Returns FDPASSER_MODE_BSD (1) or FDPASSER_MODE_SYSV (2).
///
/// Blocking: no.
///
/// Threads and fork: safe.
#[no_mangle]
pub extern "C" fn fdpasser_mode() -> c_int {
    match crate::mode() {
        Mode::Bsd => FDPASSER_MODE_BSD,
        Mode::SysV => FDPASSER_MODE_SYSV,
    }
}

/// Sends n descriptors in order, per_message of them (1 to FDPASSER_MAX_PER_MESSAGE; 0 means 1) in
/// each message, or as many as one message carries on this system if that is less.
///
/// Only a peer that expects several descriptors in a message understands a per_message above 1; this
/// library always does. A descriptor that the system refuses goes into no message: those before it
/// are sent, and the count returned is its index.
///
/// Ownership: the caller keeps all of fds, on success and on failure.
///
/// Returns how many were sent, counted from the front: fewer than n if an error came behind the
/// first, which the next call then reports if it lasts. 0 if n is 0. -1, when none was sent, with
/// errno as fdpasser_send_fd(); also EINVAL (per_message or n too large) and EFAULT (fds is NULL).
///
/// Blocking: as fdpasser_send_fd(), for each message.
///
/// Threads and fork: safe. Messages of several senders do not mix, but may alternate.
#[no_mangle]
pub unsafe extern "C" fn fdpasser_send_fds(
    passer: c_int,
    fds: *const c_int,
    n: size_t,
    per_message: c_uint,
) -> ssize_t {
    // SAFETY: the caller vouches for n ints.
    guard(|| unsafe { send_many(passer, fds, n, per_message, Wait::AsPasser) })
}

/// As fdpasser_send_fds(), but never waits.
///
/// Ownership: as fdpasser_send_fds().
///
/// Returns as fdpasser_send_fds(); errno EAGAIN means that the socket is full.
///
/// Blocking: no, whatever mode passer is in.
///
/// Threads and fork: as fdpasser_send_fds().
#[no_mangle]
pub unsafe extern "C" fn fdpasser_try_send_fds(
    passer: c_int,
    fds: *const c_int,
    n: size_t,
    per_message: c_uint,
) -> ssize_t {
    // SAFETY: the caller vouches for n ints.
    guard(|| unsafe { send_many(passer, fds, n, per_message, Wait::Never) })
}

/// Receives the descriptors of the next message, in order, into fds, which has room for n.
///
/// With room for FDPASSER_MAX_PER_MESSAGE no message is too large.
///
/// Ownership: on success the caller owns the descriptors that were counted; on failure there are
/// none, and fds is left as it was.
///
/// Returns how many were received; 0 at orderly shutdown; or -1 with errno as fdpasser_recv_fd().
/// EMSGSIZE: the message had more than n; all were closed, and the next message comes next. Also
/// EINVAL (n is 0 or too large) and EFAULT (fds is NULL).
///
/// Blocking: as fdpasser_recv_fd().
///
/// Threads and fork: as fdpasser_recv_fd().
#[no_mangle]
pub unsafe extern "C" fn fdpasser_recv_fds(passer: c_int, fds: *mut c_int, n: size_t) -> ssize_t {
    // SAFETY: the caller vouches for n ints.
    guard(|| unsafe { receive_many(passer, fds, n, Wait::AsPasser) })
}

/// As fdpasser_recv_fds(), but never waits.
///
/// Ownership: as fdpasser_recv_fds().
///
/// Returns as fdpasser_recv_fds(); errno EAGAIN means that nothing has arrived.
///
/// Blocking: no, whatever mode passer is in.
///
/// Threads and fork: as fdpasser_recv_fd().
#[no_mangle]
pub unsafe extern "C" fn fdpasser_try_recv_fds(
    passer: c_int,
    fds: *mut c_int,
    n: size_t,
) -> ssize_t {
    // SAFETY: the caller vouches for n ints.
    guard(|| unsafe { receive_many(passer, fds, n, Wait::Never) })
}

/// Receives the descriptors of up to messages messages (1 to 16), in order, without waiting: for
/// programs that keep a queue of their own and want fewer system calls.
///
/// fds has room for n of them, which must be at least messages * FDPASSER_MAX_PER_MESSAGE. *status says
/// why there are no more: 1 if all the messages were taken that were asked for, so that more may wait;
/// 0 at orderly shutdown; or an errno, negated, as fdpasser_recv_fd() has them: -EAGAIN if there is
/// nothing more for now. What it says comes after the descriptors, and may not be said again.
///
/// Ownership: the caller owns the descriptors that were counted, whatever *status says.
///
/// Returns how many were received, which may be 0; or -1 with errno EINVAL (messages or n out of range)
/// or EFAULT (fds or status is NULL), and then nothing was done.
///
/// Blocking: no, whatever mode passer is in.
///
/// Threads and fork: as fdpasser_recv_fd().
#[no_mangle]
pub unsafe extern "C" fn fdpasser_try_recv_messages(
    passer: c_int,
    fds: *mut c_int,
    n: size_t,
    messages: c_uint,
    status: *mut c_int,
) -> ssize_t {
    // SAFETY: the caller vouches for n ints, and for the one of status.
    guard(|| unsafe { receive_messages(passer, fds, n, messages, status) })
}

/// Says what to do about an errno of this library's: see the poll loop at the top of this header.
///
/// Ownership: no descriptors.
///
/// Returns 0: poll the passer and try again. Above 0: leave this direction alone for so many
/// milliseconds (do not poll for it: it may be ready all the while), then try again. -1: this
/// attempt is final.
///
/// Blocking: no.
///
/// Threads and fork: safe.
#[no_mangle]
pub extern "C" fn fdpasser_retry_ms(err: c_int) -> c_int {
    match error::retry(Errno::from_raw(err)) {
        Retry::WhenReady => 0,
        Retry::After(pause) => c_int::try_from(pause.as_millis()).unwrap_or(c_int::MAX),
        Retry::Never => -1,
    }
}

/// Turns an error into -1 and errno, last thing of all.
fn guard<T: From<i8>>(body: impl FnOnce() -> Result<T, Errno>) -> T {
    guard_or(T::from(-1), body)
}

/// Turns an error into `failure` and errno. A panic would be a bug; it stops here too.
fn guard_or<T>(failure: T, body: impl FnOnce() -> Result<T, Errno>) -> T {
    // AssertUnwindSafe: nothing outlives a call but a passer's queues, which are whole at every moment.
    let errno = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(value)) => return value,
        Ok(Err(errno)) => errno,
        Err(_) => Errno::EIO,
    };
    known(errno).set();
    failure
}

/// Borrows a number that C says is a descriptor. Whether it is open, the kernel tells.
fn borrow(fd: &RawFd) -> Result<BorrowedFd<'_>, Errno> {
    if *fd < 0 {
        return Err(Errno::EBADF);
    }
    // SAFETY: not -1, and borrowed only for the call that C made with it; if it is closed in the
    // meantime that is C's doing, and costs an EBADF.
    Ok(unsafe { BorrowedFd::borrow_raw(*fd) })
}

fn number(fd: OwnedFd) -> c_int {
    fd.into_raw_fd()
}

fn send_one(passer: c_int, fd: c_int) -> Result<c_int, Errno> {
    transfer::send_one(borrow(&passer)?, borrow(&fd)?, Wait::AsPasser)?;
    Ok(1)
}

fn receive_one(passer: c_int) -> Result<c_int, Errno> {
    let mut fds = Fds::new();
    transfer::recv(borrow(&passer)?, 1, &mut fds, Wait::AsPasser)?;
    Ok(fds.pop().map_or(0, number))
}

/// # Safety
/// `fds` must be null or point at `n` ints.
unsafe fn send_many(
    passer: c_int,
    fds: *const c_int,
    n: size_t,
    per_message: c_uint,
    wait: Wait,
) -> Result<ssize_t, Errno> {
    if n == 0 {
        return Ok(0);
    }
    check_array(fds, n)?;
    // SAFETY: the caller vouches for n ints, and a BorrowedFd is an int in memory. -1 is the one
    // number that a BorrowedFd must not be, and is looked for before.
    let fds = unsafe {
        let numbers = std::slice::from_raw_parts(fds, n);
        let good = numbers.iter().take_while(|&&fd| fd >= 0).count();
        if good == 0 {
            return Err(Errno::EBADF);
        }
        std::slice::from_raw_parts(fds.cast::<BorrowedFd<'_>>(), good)
    };
    let sent = transfer::send(borrow(&passer)?, fds, per_message as usize, wait)?;
    Ok(sent as ssize_t)
}

/// # Safety
/// `fds` must be null or point at `n` ints.
unsafe fn receive_many(
    passer: c_int,
    fds: *mut c_int,
    n: size_t,
    wait: Wait,
) -> Result<ssize_t, Errno> {
    if n == 0 {
        return Err(Errno::EINVAL); // 0 would look like a shutdown
    }
    check_array(fds, n)?;
    let mut received = Fds::new();
    transfer::recv(borrow(&passer)?, n, &mut received, wait)?;
    let count = received.len();
    for (i, fd) in received.into_iter().enumerate() {
        // SAFETY: `recv` appends no more than n, and the caller vouches for as many ints.
        unsafe { fds.add(i).write(fd.into_raw_fd()) };
    }
    Ok(count as ssize_t)
}

/// # Safety
/// `fds` must be null or point at `n` ints, and `status` at one.
unsafe fn receive_messages(
    passer: c_int,
    fds: *mut c_int,
    n: size_t,
    messages: c_uint,
    status: *mut c_int,
) -> Result<ssize_t, Errno> {
    let messages = messages as usize;
    if !(1..=16).contains(&messages) || n < messages * FDPASSER_MAX_PER_MESSAGE as usize {
        return Err(Errno::EINVAL);
    }
    check_array(fds, n)?;
    check_array(status, 1)?;
    let mut count = 0;
    let result = borrow(&passer).and_then(|passer| {
        transfer::recv_messages(passer, messages, usize::MAX, |fd| {
            // SAFETY: so many messages carry no more than n, and the caller vouches for as many ints.
            unsafe { fds.add(count).write(fd.into_raw_fd()) };
            count += 1;
        })
    });
    let why = match result {
        Ok(Taken::Enough) => 1,
        Ok(Taken::Shutdown) => 0,
        Err(error) => -(known(error) as c_int),
    };
    // SAFETY: not null, and the caller vouches for one int.
    unsafe { status.write(why) };
    Ok(count as ssize_t)
}

/// No count above INT_MAX is a number of descriptors; most likely it was negative once. Nor is there an array
/// that is larger than half of the memory.
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

fn server(path: &Path, backlog: c_int) -> Result<c_int, Errno> {
    endpoint::server(path, backlog).map(number)
}

fn connect(path: &Path) -> Result<c_int, Errno> {
    endpoint::connect(path, Wait::AsPasser).map(number)
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

// SPDX-License-Identifier: MIT OR Apache-2.0
//! Services: descriptors that come by exec, what a descriptor is, and what a manager is told.
//!
//! The sections below are for the functions whose own comments lack them.
//!
//! # Ownership
//!
//! No descriptor changes hands.
//!
//! # Blocking
//!
//! It never waits.
//!
//! # Threads and fork
//!
//! Any thread may call it, also after a fork. It reads the environment, so no other thread may change that at the same
//! time, by setenv(3) for instance: the same is true of getenv(3).

use super::{borrow, check_array, guard};
use crate::inherited::{Environment, MAX_NAME};
use crate::kind::{self, Kind};
use crate::notify;
use crate::transfer::MAX_PER_MESSAGE;
use libc::{c_char, c_int, c_uint, size_t, ssize_t};
use nix::errno::Errno;
use std::ffi::CStr;
use std::os::fd::{BorrowedFd, RawFd};

/// The largest number of characters in the name of an inherited descriptor.
pub const FDPASSER_MAX_NAME: c_int = 255;

const _: () = assert!(FDPASSER_MAX_NAME as usize == MAX_NAME);

/// fdpasser_is(): a socket of any kind.
pub const FDPASSER_IS_SOCKET: c_uint = 1;
/// fdpasser_is(): a SOCK_STREAM socket.
pub const FDPASSER_IS_STREAM: c_uint = 2;
/// fdpasser_is(): a SOCK_DGRAM socket.
pub const FDPASSER_IS_DATAGRAM: c_uint = 4;
/// fdpasser_is(): a SOCK_SEQPACKET socket.
pub const FDPASSER_IS_PACKET: c_uint = 8;
/// fdpasser_is(): a socket that listens.
pub const FDPASSER_IS_LISTENING: c_uint = 16;
/// fdpasser_is(): a local socket (AF_UNIX).
pub const FDPASSER_IS_LOCAL: c_uint = 32;
/// fdpasser_is(): an internet socket (AF_INET or AF_INET6).
pub const FDPASSER_IS_INTERNET: c_uint = 64;
/// fdpasser_is(): a pipe or a FIFO.
pub const FDPASSER_IS_PIPE: c_uint = 128;
/// fdpasser_is(): a regular file, which memory files are too.
pub const FDPASSER_IS_FILE: c_uint = 256;
/// fdpasser_is(): a directory.
pub const FDPASSER_IS_DIRECTORY: c_uint = 512;
/// fdpasser_is(): open for reading.
pub const FDPASSER_IS_READABLE: c_uint = 1024;
/// fdpasser_is(): open for writing.
pub const FDPASSER_IS_WRITABLE: c_uint = 2048;
/// fdpasser_is(): a memory file whose size and contents are sealed.
pub const FDPASSER_IS_SEALED: c_uint = 4096;

const KINDS: [(c_uint, Kind); 13] = [
    (FDPASSER_IS_SOCKET, Kind::Socket),
    (FDPASSER_IS_STREAM, Kind::Stream),
    (FDPASSER_IS_DATAGRAM, Kind::Datagram),
    (FDPASSER_IS_PACKET, Kind::Packet),
    (FDPASSER_IS_LISTENING, Kind::Listening),
    (FDPASSER_IS_LOCAL, Kind::Local),
    (FDPASSER_IS_INTERNET, Kind::Internet),
    (FDPASSER_IS_PIPE, Kind::Pipe),
    (FDPASSER_IS_FILE, Kind::File),
    (FDPASSER_IS_DIRECTORY, Kind::Directory),
    (FDPASSER_IS_READABLE, Kind::Readable),
    (FDPASSER_IS_WRITABLE, Kind::Writable),
    (FDPASSER_IS_SEALED, Kind::Sealed),
];

/// Tells which descriptors a service manager handed to this process, and takes them over.
///
/// systemd and others start a service with open descriptors: listening sockets, or what the service stored. They have the
/// numbers 3, 4 and so on. The environment says how many there are (LISTEN_FDS), which process they are for (LISTEN_PID, and
/// LISTEN_PIDFDID from newer managers), and what they are called (LISTEN_FDNAMES). fdpass(1) starts programs in the same way.
///
/// The function checks all of that, sets close-on-exec on each of the descriptors, and writes the first n numbers to fds. If
/// the variables are for another process, such as our parent, there are no descriptors, and nothing is touched.
///
/// The library keeps no record. A second call gives the same answer while the descriptors are open. So a program can first
/// ask how many there are, with n of 0. Once the program closes one, a second call fails, or finds an unrelated descriptor
/// under that number: so call it when the program starts.
///
/// The variables stay in the environment. Child processes inherit them, and take no notice, because LISTEN_PID is not
/// theirs. A child may get that number later, when this process has ended. To rule that out, remove the four variables by
/// unsetenv(3), at a time when no other thread reads or changes the environment.
///
/// Check with fdpasser_is(3) that a descriptor is what the program needs.
///
/// # Ownership
///
/// The caller owns the descriptors, also those that did not fit into fds.
///
/// # Returns
///
/// How many descriptors there are, which may be more than n. 0 if there are none for this process. -1 with errno if the
/// environment makes no sense; then nothing was touched.
///
/// # Errors
///
/// - EINVAL: LISTEN_FDS, LISTEN_PID or LISTEN_PIDFDID is not a number, or is too large. LISTEN_FDNAMES has more or fewer
///   names than there are descriptors, or a name that cannot be one: more than 255 characters, a control character, or a
///   character that is not ASCII. Or n is too large.
/// - EBADF: One of the descriptors is not open.
/// - EFAULT: fds is NULL and n is not 0.
///
/// # Threads and fork
///
/// Any thread may call it. After a fork the child has none, because LISTEN_PID is not the child. It reads the environment,
/// so no other thread may change that at the same time, by setenv(3) for instance: the same is true of getenv(3).
///
/// # Examples
///
/// ```c
/// char name[FDPASSER_MAX_NAME + 1];
/// int fds[8];
/// ssize_t n = fdpasser_inherited(fds, 8);
/// if (n < 0) err(1, "the descriptors that were handed down");
/// for (ssize_t i = 0; i < n && i < 8; i++) {
///     if (fdpasser_inherited_name((size_t)i, name, sizeof name) < 0) err(1, "their names");
///     if (fdpasser_is(fds[i], FDPASSER_IS_LISTENING | FDPASSER_IS_STREAM) != 1)
///         errx(1, "%s does not listen", name);
///     printf("%d is %s\n", fds[i], name);
/// }
/// ```
///
/// # See also
///
/// fdpasser_inherited_name(3), fdpasser_is(3), fdpasser_notify(3), environ(7)
#[no_mangle]
pub unsafe extern "C" fn fdpasser_inherited(fds: *mut c_int, n: size_t) -> ssize_t {
    guard(|| {
        if n > 0 {
            check_array(fds, n)?;
        }
        // SAFETY: the caller vouches that nobody changes the environment meanwhile.
        let numbers = unsafe { environment() }.claim()?;
        for (i, number) in numbers.clone().take(n).enumerate() {
            // SAFETY: not null, and the caller vouches for n ints.
            unsafe { fds.add(i).write(number) };
        }
        Ok(numbers.len() as ssize_t)
    })
}

/// Copies the name of the i-th inherited descriptor, counted from 0, to name, which has room for room bytes.
///
/// FDPASSER_MAX_NAME + 1 bytes are room for every name and its NUL. Several descriptors may have the same name, and a name
/// may be empty. Without LISTEN_FDNAMES every descriptor is called "unknown".
///
/// # Returns
///
/// The length of the name, without the NUL. -1 with errno on failure; then name is left as it was.
///
/// # Errors
///
/// - ENOENT: There is no i-th descriptor for this process.
/// - ERANGE: The name and its NUL do not fit into room bytes.
/// - EINVAL: The environment makes no sense; see fdpasser_inherited(3).
/// - EFAULT: name is NULL.
///
/// # Examples
///
/// fdpasser_inherited(3) has one.
///
/// # See also
///
/// fdpasser_inherited(3)
#[no_mangle]
pub unsafe extern "C" fn fdpasser_inherited_name(
    i: size_t,
    name: *mut c_char,
    room: size_t,
) -> ssize_t {
    guard(|| {
        if name.is_null() {
            return Err(Errno::EFAULT);
        }
        // SAFETY: the caller vouches that nobody changes the environment meanwhile.
        let found = unsafe { environment() }.name(i)?;
        if found.len() >= room {
            return Err(Errno::ERANGE);
        }
        // SAFETY: not null, and the caller vouches for `room` bytes, which is more than the name has. They are not part of
        // the environment.
        unsafe {
            name.copy_from_nonoverlapping(found.as_ptr().cast(), found.len());
            name.add(found.len()).write(0);
        }
        Ok(found.len() as ssize_t)
    })
}

/// Tells whether a descriptor is everything that what names: a listening socket, a pipe, readable and so on.
///
/// what is a sum of these bits. All of them have to be true.
///
/// - FDPASSER_IS_SOCKET: A socket of any kind.
/// - FDPASSER_IS_STREAM, FDPASSER_IS_DATAGRAM, FDPASSER_IS_PACKET: A socket of type SOCK_STREAM, SOCK_DGRAM or SOCK_SEQPACKET.
/// - FDPASSER_IS_LISTENING: A socket that listen(2) was called on.
/// - FDPASSER_IS_LOCAL, FDPASSER_IS_INTERNET: An AF_UNIX socket; an AF_INET or AF_INET6 socket.
/// - FDPASSER_IS_PIPE: A pipe or a FIFO.
/// - FDPASSER_IS_FILE: A regular file. A memory file of memfd_create(2) is one too.
/// - FDPASSER_IS_DIRECTORY: A directory.
/// - FDPASSER_IS_READABLE, FDPASSER_IS_WRITABLE: Open for reading; open for writing. An O_PATH descriptor is neither.
/// - FDPASSER_IS_SEALED: A memory file with the seals F_SEAL_SHRINK, F_SEAL_GROW and F_SEAL_WRITE. Nobody can change its size
///   or its contents, so it is safe to map.
///
/// Only fstat(2), fcntl(2) and getsockopt(2) are used, and getsockname(2) on systems other than Linux. With the SysV interface
/// the answers are about sockets, pipes and files as well, and a STREAMS pipe is a pipe.
///
/// # Returns
///
/// 1 if all of it is true, also if what is 0. 0 if some of it is not. -1 with errno if that cannot be told.
///
/// # Errors
///
/// - EBADF: fd is not open.
/// - EINVAL: what has other bits.
///
/// # Threads and fork
///
/// Any thread may call it, also after a fork.
///
/// # Examples
///
/// fdpasser_inherited(3) has one.
///
/// # See also
///
/// fdpasser_inherited(3), fdpasser_peer_cred(3), getsockopt(2), fstat(2), fcntl(2)
#[no_mangle]
pub extern "C" fn fdpasser_is(fd: c_int, what: c_uint) -> c_int {
    guard(|| {
        let known = KINDS.iter().fold(0, |bits, (bit, _)| bits | bit);
        if what & !known != 0 {
            return Err(Errno::EINVAL);
        }
        let wanted = KINDS.iter().filter(|(bit, _)| what & bit != 0);
        let kinds = wanted.map(|&(_, kind)| kind);
        kind::is(borrow(&fd)?, kinds).map(c_int::from)
    })
}

/// Tells the service manager that started this process what state the process is in, and may give it descriptors to keep.
///
/// state has a line for each variable, such as "READY=1" or "STATUS=Serving 3 clients". The manager says in the environment,
/// by NOTIFY_SOCKET, where it wants to be told: a path, or a Linux abstract address after "@". If the variable is not set, or
/// is empty, nobody wants to know. The state is one datagram, and the n descriptors of fds are attached to it.
///
/// systemd keeps descriptors that come with "FDSTORE=1", and hands them to the next process of the service, which finds them
/// by fdpasser_inherited(3). "FDNAME=name" in the same state names them. With "BARRIER=1" and one end of a pipe it closes that
/// end when it has dealt with everything sent before.
///
/// # Ownership
///
/// The caller keeps all of fds, on success and on failure. The manager gets duplicates.
///
/// # Returns
///
/// 1 if the state was sent, and 0 if nobody wants to know. -1 with errno on failure; then nothing was sent. 1 does not mean
/// that the manager has read it, or approves.
///
/// # Errors
///
/// These come also where nobody wants to know:
///
/// - EFAULT: state is NULL, or fds is NULL and n is not 0.
/// - EINVAL: state is empty, or n is above FDPASSER_MAX_PER_MESSAGE.
/// - EMSGSIZE: state has more than 4096 bytes. systemd ignores such a state.
/// - EBADF: One of fds is negative.
///
/// And these if somebody does:
///
/// - EINVAL: NOTIFY_SOCKET is not an absolute path and not an abstract address. (vsock addresses are not supported.)
/// - ENAMETOOLONG: NOTIFY_SOCKET is longer than an address holds.
/// - EBADF: One of fds is not open.
/// - ENOENT, ECONNREFUSED: There is no manager at NOTIFY_SOCKET, or no longer.
/// - EACCES, EPERM: This process may not send to it.
/// - EPROTOTYPE: What is there is not a datagram socket.
/// - EINTR: A signal came while the call waited, whatever SA_RESTART says. The state was not sent.
/// - EMFILE: The process has no free slot from 3 up.
/// - ENFILE: The system has too many open files.
/// - ETOOMANYREFS, ENOBUFS, ENOMEM: There are too many descriptors in flight, or the system is short of memory.
/// - EOPNOTSUPP: The library was built for the SysV interface, which has no such sockets.
///
/// # Blocking
///
/// It waits while the manager's queue is full, so that no state is lost. To bound that, let alarm(2) interrupt it.
///
/// # Examples
///
/// ```c
/// const char *state = "FDSTORE=1\nFDNAME=sessions";
/// if (fdpasser_notify("READY=1\nSTATUS=Serving", NULL, 0) < 0) warn("fdpasser_notify");
/// if (fdpasser_notify(state, &sessions, 1) < 0) warn("fdpasser_notify");
/// ```
///
/// # See also
///
/// fdpasser_inherited(3)
#[no_mangle]
pub unsafe extern "C" fn fdpasser_notify(
    state: *const c_char,
    fds: *const c_int,
    n: size_t,
) -> c_int {
    guard(|| {
        if state.is_null() || (fds.is_null() && n > 0) {
            return Err(Errno::EFAULT);
        }
        if n > MAX_PER_MESSAGE {
            return Err(Errno::EINVAL);
        }
        // SAFETY: not null, and the caller vouches for a C string and for n ints.
        let (state, fds) = unsafe {
            let fds: &[RawFd] = match n {
                0 => &[],
                _ => std::slice::from_raw_parts(fds, n),
            };
            (CStr::from_ptr(state).to_bytes(), fds)
        };
        let mut borrowed = arrayvec::ArrayVec::<BorrowedFd<'_>, MAX_PER_MESSAGE>::new();
        for fd in fds {
            borrowed.push(borrow(fd)?);
        }
        // SAFETY: the caller vouches that nobody changes the environment meanwhile.
        let socket = unsafe { variable(c"NOTIFY_SOCKET") };
        notify::notify(socket, state, &borrowed).map(c_int::from)
    })
}

/// # Safety
/// Nobody may change the environment as long as the answer is used.
unsafe fn environment<'a>() -> Environment<'a> {
    // SAFETY: passed on to the caller.
    unsafe {
        Environment {
            fds: variable(c"LISTEN_FDS"),
            pid: variable(c"LISTEN_PID"),
            pidfd_id: variable(c"LISTEN_PIDFDID"),
            names: variable(c"LISTEN_FDNAMES"),
        }
    }
}

/// C's own environment, which std would copy, under a lock that C does not know.
///
/// # Safety
/// Nobody may change the environment as long as the answer is used.
unsafe fn variable<'a>(name: &CStr) -> Option<&'a [u8]> {
    // SAFETY: getenv(3) answers a C string or null; the caller vouches that it stays.
    unsafe {
        let value = libc::getenv(name.as_ptr());
        (!value.is_null()).then(|| CStr::from_ptr(value).to_bytes())
    }
}

//! Sending and receiving, one call at a time.
// SPDX-License-Identifier: MIT OR Apache-2.0

use super::constants::FDPASSER_MAX_PER_MESSAGE;
use super::{borrow, check_array, guard, number};
use crate::error::{self, errno, Retry};
use crate::sys::{self, Fds, Wait};
use crate::transfer::{self, Stop};
use libc::{c_int, c_uint, size_t, ssize_t};
use nix::errno::Errno;
use std::os::fd::{BorrowedFd, IntoRawFd};

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

/// fdpasser_send_fd() under its short name. Define FDPASSER_NO_SHORT_NAMES before including this
/// header in a program that has a send_fd() of its own.
///
/// Ownership, return value, blocking, threads and fork: as fdpasser_send_fd().
#[cfg(not(fdpasser_no_short_names))]
#[no_mangle]
pub extern "C" fn send_fd(passer: c_int, fd: c_int) -> c_int {
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

/// fdpasser_recv_fd() under its short name. Define FDPASSER_NO_SHORT_NAMES before including this
/// header in a program that has a recv_fd() of its own.
///
/// Ownership, return value, blocking, threads and fork: as fdpasser_recv_fd().
#[cfg(not(fdpasser_no_short_names))]
#[no_mangle]
pub extern "C" fn recv_fd(passer: c_int) -> c_int {
    guard(|| receive_one(passer))
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
    match error::of(Errno::from_raw(err)) {
        Retry::WhenReady => 0,
        Retry::After(pause) => c_int::try_from(pause.as_millis()).unwrap_or(c_int::MAX),
        Retry::Never => -1,
    }
}

fn send_one(passer: c_int, fd: c_int) -> Result<c_int, Errno> {
    sys::send(borrow(&passer)?, &[borrow(&fd)?], Wait::AsPasser)?;
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
    let stop = match borrow(&passer) {
        Ok(passer) => transfer::recv_messages(passer, messages, usize::MAX, |fd| {
            // SAFETY: so many messages carry no more than n, and the caller vouches for as many ints.
            unsafe { fds.add(count).write(fd.into_raw_fd()) };
            count += 1;
        }),
        Err(error) => Stop::Error(error.into()),
    };
    let why = match stop {
        Stop::Enough => 1,
        Stop::Shutdown => 0,
        Stop::Error(error) => -(errno(error) as c_int),
    };
    // SAFETY: not null, and the caller vouches for one int.
    unsafe { status.write(why) };
    Ok(count as ssize_t)
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! Transfer: descriptors sent and received, one call at a time.
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
//! Any thread may call it, also after a fork.
//!
//! # Examples
//!
//! fdpasser(7) has a complete program, and fdpasser_retry_ms(3) a poll loop.

use super::constants::{FDPASSER_LOCAL, FDPASSER_MAX_PER_MESSAGE};
use super::{at_most, borrow, bytes, check_array, data_room, guard, number};
use crate::error::{self, known, Retry};
use crate::transfer::{self, Fds, Taken, Wait};
use libc::{c_int, c_uint, c_void, size_t, ssize_t};
use nix::errno::Errno;
use std::os::fd::{BorrowedFd, IntoRawFd};

/// Sends one descriptor.
///
/// The message is one NUL byte with the descriptor attached.
///
/// send_fd() is the short name of the same function. A program that has a send_fd() of its own defines
/// FDPASSER_NO_SHORT_NAMES before it includes the header. It can link the shared and the static library all the same.
///
/// # Ownership
///
/// The caller keeps fd, on success and on failure. The receiver gets a duplicate, so fd may be closed as soon as the
/// call returns. If nobody receives the duplicate, the kernel closes it when the receiver's end is closed in every
/// process.
///
/// # Returns
///
/// 1 on success, or -1 with errno. Nothing was sent if it is -1.
///
/// # Errors
///
/// The same call may succeed later. fdpasser_retry_ms(3) says when:
///
/// - EAGAIN: The socket is full, and passer is non-blocking or its SO_SNDTIMEO ran out.
/// - EINTR: A signal came while the call waited. If its handler was set with SA_RESTART and passer has no SO_SNDTIMEO,
///   the wait goes on instead.
/// - ETOOMANYREFS: This user has too many descriptors in flight. (Linux before 4.14 has a second reason: see
///   TEMPORARY ERRORS in fdpasser(7).)
/// - ENOBUFS, ENOMEM: The system is short of memory. (NetBSD and OpenBSD have a second reason for ENOBUFS: see
///   TEMPORARY ERRORS.)
///
/// This descriptor cannot be sent, and the next one can:
///
/// - EBADF: fd is not open. (Or passer is not open: then the next call fails too.)
/// - EINVAL, EOPNOTSUPP: The system does not send this kind of descriptor, such as one of io_uring.
/// - EPERM: A security module refused the descriptor, or the peer refuses all of them (SO_PASSRIGHTS, Linux 6.16).
///
/// Nothing can be sent over this passer any more:
///
/// - EPIPE, ECONNRESET: The peer is gone. EPIPE also: it has shut its end down for reading. (On NetBSD sending succeeds
///   then, and the descriptor is lost.)
/// - ECONNREFUSED: The peer of a datagram socket is gone.
/// - ENOTCONN: passer is not connected. A BSD may also say it of a peer that closes at that moment.
/// - ENOTSOCK: passer is not a socket.
/// - EAFNOSUPPORT: passer is a socket, but not a local one.
///
/// # Blocking
///
/// It waits for room in the socket if passer is in blocking mode, for as long as its SO_SNDTIMEO says. OpenBSD may fail
/// with ENOBUFS instead.
///
/// # Threads and fork
///
/// Any thread may call it, also after a fork. The messages of several senders over one passer do not mix.
///
/// # Examples
///
/// fdpasser_socketpair(3) has one.
///
/// # See also
///
/// fdpasser_recv_fd(3), fdpasser_send_fd_timed(3), fdpasser_send_fds(3), fdpasser_retry_ms(3),
/// fdpasser_push_send_fd(3), sendmsg(2)
#[no_mangle]
pub extern "C" fn fdpasser_send_fd(passer: c_int, fd: c_int) -> c_int {
    guard(|| send_one(passer, fd, Wait::AsPasser))
}

/// Does what fdpasser_send_fd() does, under a short name.
///
/// Page: fdpasser_send_fd
#[cfg(not(fdpasser_no_short_names))]
#[no_mangle]
pub extern "C" fn send_fd(passer: c_int, fd: c_int) -> c_int {
    guard(|| send_one(passer, fd, Wait::AsPasser))
}

/// Does what fdpasser_send_fd() does, but waits for at most timeout_ms milliseconds.
///
/// 0 does not wait, and a negative number waits for ever.
///
/// # Ownership
///
/// The caller keeps fd, on success and on failure.
///
/// # Returns
///
/// 1 on success, or -1 with errno. Nothing was sent if it is -1.
///
/// # Errors
///
/// All errors of fdpasser_send_fd(3), except EAGAIN, with one difference and one more:
///
/// - EINTR: A signal came while the call waited, whatever SA_RESTART says.
/// - ETIMEDOUT: The socket was full all the time.
///
/// # Blocking
///
/// It waits for room in the socket until the time is over, whatever mode passer is in and whatever its SO_SNDTIMEO
/// says. OpenBSD may fail with ENOBUFS instead. macOS, illumos, Solaris and the SysV interface are exceptions: see CALLS
/// THAT DO NOT WAIT in fdpasser(7).
///
/// # Threads and fork
///
/// As in fdpasser_send_fd(3): any thread may call it, also after a fork.
///
/// # See also
///
/// fdpasser_send_fd(3), fdpasser_recv_fd_timed(3)
#[no_mangle]
pub extern "C" fn fdpasser_send_fd_timed(passer: c_int, fd: c_int, timeout_ms: c_int) -> c_int {
    guard(|| send_one(passer, fd, at_most(timeout_ms)))
}

/// Receives one descriptor.
///
/// Bytes that come with the descriptor are dropped.
///
/// recv_fd() is the short name of the same function. A program that has a recv_fd() of its own defines
/// FDPASSER_NO_SHORT_NAMES before it includes the header. It can link the shared and the static library all the same.
///
/// # Ownership
///
/// On success the caller owns the descriptor. On failure there is none.
///
/// # Returns
///
/// The descriptor, which is never 0, 1 or 2. 0 at orderly shutdown: the peer has closed its end or shut it down for
/// writing, and everything that it sent was received. -1 with errno on failure. For sockets that are not streams see
/// fdpasser(7).
///
/// # Errors
///
/// Nothing was consumed, and the same call may succeed later. fdpasser_retry_ms(3) says when:
///
/// - EAGAIN: Nothing has arrived, and passer is non-blocking or its SO_RCVTIMEO ran out.
/// - EINTR: A signal came while the call waited, whatever SA_RESTART says.
/// - EMFILE: Something waits, but the process has no free slot from 3 up. The same call succeeds once there is one for
///   each descriptor of the message. A soft limit of 0 is this error too, because the system does not even wait then.
/// - ENOBUFS, ENOMEM: The system is short of memory.
///
/// One message is gone, and the next call takes the next message:
///
/// - EBADMSG: Bytes came without a descriptor. On a SOCK_DGRAM socket also: a message of no bytes came without one.
/// - EMSGSIZE: More than one descriptor came, or more than 4096 bytes. All descriptors were closed. More than 4096
///   bytes are final for a stream, because the rest of them joins the next message: close passer.
/// - ENOTRECOVERABLE: The kernel destroyed descriptors of the message. The rest of them were closed. See THE ONE RACE in
///   fdpasser(7). On the BSDs and macOS the bytes of the message stay, and whoever receives next may fail with EBADMSG for
///   them. On NetBSD it is ENOLINK.
///
/// Nothing can be received from this passer any more:
///
/// - ECONNRESET: The peer closed its end before it had read everything that was sent to it. On a stream this comes
///   after everything that the peer had sent. On SOCK_SEQPACKET it comes first, once, and further calls receive the
///   rest. (This is Linux. On the BSDs and macOS it is an orderly shutdown.)
/// - EBADF: passer is not open.
/// - ENOTSOCK: passer is not a socket.
/// - EINVAL, ENOTCONN: passer is not a connected socket.
///
/// # Blocking
///
/// It waits for a message if passer is in blocking mode, for as long as its SO_RCVTIMEO says. It does not wait for a
/// free slot.
///
/// # Threads and fork
///
/// Any thread may call it, also after a fork. If several receive from one passer, each descriptor reaches exactly one
/// of them.
///
/// # Examples
///
/// fdpasser_socketpair(3) has one, and fdpasser_retry_ms(3) a poll loop.
///
/// # See also
///
/// fdpasser_send_fd(3), fdpasser_recv_fd_timed(3), fdpasser_recv_fds(3), fdpasser_retry_ms(3), fdpasser_next_fd(3),
/// recvmsg(2)
#[no_mangle]
pub extern "C" fn fdpasser_recv_fd(passer: c_int) -> c_int {
    guard(|| receive_one(passer, Wait::AsPasser))
}

/// Does what fdpasser_recv_fd() does, under a short name.
///
/// Page: fdpasser_recv_fd
#[cfg(not(fdpasser_no_short_names))]
#[no_mangle]
pub extern "C" fn recv_fd(passer: c_int) -> c_int {
    guard(|| receive_one(passer, Wait::AsPasser))
}

/// Does what fdpasser_recv_fd() does, but waits for at most timeout_ms milliseconds.
///
/// 0 does not wait, and a negative number waits for ever.
///
/// # Ownership
///
/// On success the caller owns the descriptor. On failure there is none.
///
/// # Returns
///
/// The descriptor, 0 at orderly shutdown, or -1 with errno.
///
/// # Errors
///
/// All errors of fdpasser_recv_fd(3), except EAGAIN, and this:
///
/// - ETIMEDOUT: Nothing has arrived in time.
///
/// # Blocking
///
/// It waits for a message until the time is over, whatever mode passer is in and whatever its SO_RCVTIMEO says. It does
/// not wait for a free slot. The SysV interface is an exception: see CALLS THAT DO NOT WAIT in fdpasser(7).
///
/// # Threads and fork
///
/// As in fdpasser_recv_fd(3): any thread may call it, also after a fork.
///
/// # See also
///
/// fdpasser_recv_fd(3), fdpasser_send_fd_timed(3)
#[no_mangle]
pub extern "C" fn fdpasser_recv_fd_timed(passer: c_int, timeout_ms: c_int) -> c_int {
    guard(|| receive_one(passer, at_most(timeout_ms)))
}

/// Sends n descriptors in order, per_message of them in each message.
///
/// per_message is 1 to FDPASSER_MAX_PER_MESSAGE, and 0 means 1. It is an upper bound: the SysV interface always sends
/// one descriptor in a message, and so do NetBSD, DragonFly and FreeBSD before 13, where several could be lost without a
/// word. OpenBSD sends at most 127.
///
/// Use a per_message above 1 only if the peer receives several descriptors in a message. The queues do, and so do
/// fdpasser_try_recv_messages(3) and, with room for as many, fdpasser_recv_fds(3). fdpasser_recv_fd(3) closes them all
/// and fails with EMSGSIZE.
///
/// A descriptor that the system refuses goes into no message. The descriptors before it are sent, so the count that is
/// returned is its index.
///
/// Each call asks what kind of socket passer is, because an internet socket takes a message, drops its descriptors and
/// reports success. If you know that passer is local, for example because the call before this one sent something over it,
/// add FDPASSER_LOCAL to per_message, and the call does not ask.
///
/// fdpasser_try_send_fds() does the same, but fails with EAGAIN instead of waiting.
///
/// # Ownership
///
/// The caller keeps all of fds, on success and on failure.
///
/// # Returns
///
/// How many were sent, counted from the front. It is less than n if an error came after the first message. If that
/// error lasts, the next call reports it. 0 if n is 0. -1 with errno if none was sent.
///
/// # Errors
///
/// All errors of fdpasser_send_fd(3), and these:
///
/// - EAGAIN: The socket is full. fdpasser_try_send_fds() returns it whatever mode passer is in.
/// - EINVAL: per_message is above FDPASSER_MAX_PER_MESSAGE, or n is too large. As in fdpasser_send_fd(3), it may also
///   be about the first descriptor.
/// - EFAULT: fds is NULL.
///
/// # Blocking
///
/// fdpasser_send_fds() waits for room in the socket if passer is in blocking mode. Its SO_SNDTIMEO bounds the whole
/// call, however many messages it sends.
/// fdpasser_try_send_fds() never waits, whatever mode passer is in. macOS, illumos, Solaris and the SysV interface are
/// exceptions: see CALLS THAT DO NOT WAIT in fdpasser(7).
///
/// # Threads and fork
///
/// Any thread may call it, also after a fork. The messages of several senders over one passer do not mix, but they may
/// alternate.
///
/// # See also
///
/// fdpasser_send_fd(3), fdpasser_recv_fds(3), fdpasser_set_per_message(3)
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

/// Does what fdpasser_send_fds() does, but fails with EAGAIN instead of waiting.
///
/// Page: fdpasser_send_fds
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

/// Sends one message: len bytes of data with n descriptors attached.
///
/// The message is sent whole or not at all. (DragonFly and FreeBSD before 13 may be an exception: see DATA in fdpasser(7).)
/// If len is 0, or the data is one NUL byte, it is the message that fdpasser_send_fd(3) sends. Other data is for a peer that
/// is known to read it. An older peer takes one byte for each message.
///
/// fdpasser_try_send_message() does the same, but fails with EAGAIN instead of waiting.
///
/// Do not write anything else to the passer. Bytes without a descriptor would join the data of the next message.
///
/// # Ownership
///
/// The caller keeps all of fds, on success and on failure.
///
/// # Returns
///
/// n on success, or -1 with errno.
///
/// # Errors
///
/// All errors of fdpasser_send_fd(3), and these:
///
/// - EAGAIN: The socket is full. fdpasser_try_send_message() returns it whatever mode passer is in.
/// - EINVAL: n is 0, which sends no data either, or larger than a message can be (FDPASSER_MAX_PER_MESSAGE; 127 on OpenBSD;
///   1 with the SysV interface, on NetBSD, on DragonFly, and on FreeBSD before 13).
/// - EFAULT: fds is NULL, or data is NULL and len is not 0.
/// - EMSGSIZE: len is above FDPASSER_MAX_DATA, or the kernel would cut a message of so many bytes: SO_SNDBUF is too small. A
///   message may have half of it less 64 bytes. On Linux 8320 is large enough for every message.
/// - EOPNOTSUPP: There is data, and this is the SysV interface. As in fdpasser_send_fd(3), it may also be about the
///   descriptor.
/// - EPROTO: The kernel cut the message, because somebody made SO_SNDBUF smaller at that moment. Close the passer.
///
/// # Blocking
///
/// fdpasser_send_message() waits for room in the socket if passer is in blocking mode, for as long as its SO_SNDTIMEO
/// says.
/// fdpasser_try_send_message() never waits, whatever mode passer is in. macOS, illumos, Solaris and the SysV interface
/// are exceptions: see CALLS THAT DO NOT WAIT in fdpasser(7).
///
/// # Threads and fork
///
/// Any thread may call it, also after a fork. The messages of several senders over one passer do not mix.
///
/// # See also
///
/// fdpasser_recv_message(3), fdpasser_send_fds(3), fdpasser_push_send_message(3)
#[no_mangle]
pub unsafe extern "C" fn fdpasser_send_message(
    passer: c_int,
    fds: *const c_int,
    n: size_t,
    data: *const c_void,
    len: size_t,
) -> ssize_t {
    // SAFETY: the caller vouches for n ints, and for len bytes.
    guard(|| unsafe { send_whole(passer, fds, n, data, len, Wait::AsPasser) })
}

/// Does what fdpasser_send_message() does, but fails with EAGAIN instead of waiting.
///
/// Page: fdpasser_send_message
#[no_mangle]
pub unsafe extern "C" fn fdpasser_try_send_message(
    passer: c_int,
    fds: *const c_int,
    n: size_t,
    data: *const c_void,
    len: size_t,
) -> ssize_t {
    // SAFETY: the caller vouches for n ints, and for len bytes.
    guard(|| unsafe { send_whole(passer, fds, n, data, len, Wait::Never) })
}

/// Receives the next message: its descriptors, in order, into fds, and its data into data.
///
/// fds has room for n descriptors, and data has room for room bytes, which is at least FDPASSER_MAX_DATA. *len is set to the
/// number of bytes. It is 0 for a message without data, which is one NUL byte.
///
/// fdpasser_try_recv_message() does the same, but fails with EAGAIN instead of waiting.
///
/// # Ownership
///
/// On success the caller owns the descriptors that are counted. On failure there are none, and fds is left as it was.
///
/// # Returns
///
/// How many descriptors were received. 0 at orderly shutdown, as in fdpasser_recv_fd(3). -1 with errno on failure.
///
/// # Errors
///
/// All errors of fdpasser_recv_fds(3), and these:
///
/// - EAGAIN: Nothing has arrived, and nothing was consumed. fdpasser_try_recv_message() returns it whatever mode passer
///   is in.
/// - EBADMSG: Up to FDPASSER_MAX_DATA bytes came without a descriptor. data and *len have them. On a stream they may be
///   data of a message whose descriptors are still to come: put them in front of that message's data. Directly after
///   ENOTRECOVERABLE drop them: on the BSDs and macOS they are what is left of the lost message. On a SOCK_DGRAM socket a
///   message of no bytes is EBADMSG too. With the SysV interface *len is 0.
/// - EMSGSIZE: The message had more than n descriptors, or more than FDPASSER_MAX_DATA bytes came, with descriptors or
///   without. They were consumed, and all descriptors were closed. After too many bytes close the passer, because on a
///   stream the rest of them joins the next message.
/// - EINVAL: room is below FDPASSER_MAX_DATA, or n is 0 or too large. Nothing was consumed.
/// - EFAULT: fds, data or len is NULL. Nothing was consumed.
///
/// # Blocking
///
/// As fdpasser_recv_fd(3), fdpasser_recv_message() waits for a message if passer is in blocking mode, for as long as its
/// SO_RCVTIMEO says.
/// fdpasser_try_recv_message() never waits, whatever mode passer is in. The SysV interface is an exception: see CALLS
/// THAT DO NOT WAIT in fdpasser(7).
///
/// # Threads and fork
///
/// Any thread may call it, also after a fork. If several receive from one passer, each message reaches exactly one of
/// them.
///
/// # See also
///
/// fdpasser_send_message(3), fdpasser_recv_fds(3), fdpasser_next_message(3)
#[no_mangle]
pub unsafe extern "C" fn fdpasser_recv_message(
    passer: c_int,
    fds: *mut c_int,
    n: size_t,
    data: *mut c_void,
    room: size_t,
    len: *mut size_t,
) -> ssize_t {
    // SAFETY: the caller vouches for n ints, room bytes and the one of len.
    guard(|| unsafe { receive_whole(passer, fds, n, data, room, len, Wait::AsPasser) })
}

/// Does what fdpasser_recv_message() does, but fails with EAGAIN instead of waiting.
///
/// Page: fdpasser_recv_message
#[no_mangle]
pub unsafe extern "C" fn fdpasser_try_recv_message(
    passer: c_int,
    fds: *mut c_int,
    n: size_t,
    data: *mut c_void,
    room: size_t,
    len: *mut size_t,
) -> ssize_t {
    // SAFETY: the caller vouches for n ints, room bytes and the one of len.
    guard(|| unsafe { receive_whole(passer, fds, n, data, room, len, Wait::Never) })
}

/// Receives all descriptors of the next message, in order, into fds, which has room for n.
///
/// No message is too large if n is FDPASSER_MAX_PER_MESSAGE.
///
/// fdpasser_try_recv_fds() does the same, but fails with EAGAIN instead of waiting.
///
/// # Ownership
///
/// On success the caller owns the descriptors that are counted. On failure there are none, and fds is left as it was.
///
/// # Returns
///
/// How many were received. 0 at orderly shutdown, as in fdpasser_recv_fd(3). -1 with errno on failure.
///
/// # Errors
///
/// All errors of fdpasser_recv_fd(3), and these:
///
/// - EAGAIN: Nothing has arrived, and nothing was consumed. fdpasser_try_recv_fds() returns it whatever mode passer is
///   in.
/// - EMSGSIZE: The message had more than n descriptors, or more than 4096 bytes. It was consumed, and all descriptors
///   were closed. After too many descriptors the next call takes the next message. After too many bytes close passer,
///   as fdpasser_recv_fd(3) says.
/// - ENOTRECOVERABLE: As in fdpasser_recv_fd(3). On the BSDs and macOS also: the message had several descriptors, and the
///   table had a free slot, but not one for each.
/// - EINVAL: n is 0 or too large. Nothing was consumed.
/// - EFAULT: fds is NULL. Nothing was consumed.
///
/// # Blocking
///
/// fdpasser_recv_fds() waits for a message if passer is in blocking mode, for as long as its SO_RCVTIMEO says. It does
/// not wait for a free slot.
/// fdpasser_try_recv_fds() never waits, whatever mode passer is in. The SysV interface is an exception: see
/// CALLS THAT DO NOT WAIT in fdpasser(7).
///
/// # Threads and fork
///
/// Any thread may call it, also after a fork. If several receive from one passer, each message reaches exactly one of
/// them.
///
/// # See also
///
/// fdpasser_recv_fd(3), fdpasser_send_fds(3), fdpasser_try_recv_messages(3)
#[no_mangle]
pub unsafe extern "C" fn fdpasser_recv_fds(passer: c_int, fds: *mut c_int, n: size_t) -> ssize_t {
    // SAFETY: the caller vouches for n ints.
    guard(|| unsafe { receive_many(passer, fds, n, Wait::AsPasser) })
}

/// Does what fdpasser_recv_fds() does, but fails with EAGAIN instead of waiting.
///
/// Page: fdpasser_recv_fds
#[no_mangle]
pub unsafe extern "C" fn fdpasser_try_recv_fds(
    passer: c_int,
    fds: *mut c_int,
    n: size_t,
) -> ssize_t {
    // SAFETY: the caller vouches for n ints.
    guard(|| unsafe { receive_many(passer, fds, n, Wait::Never) })
}

/// Receives the descriptors of several messages, in order, without waiting.
///
/// This is for programs that keep a queue of their own and want fewer system calls. It takes messages until it has
/// enough descriptors. The last message may bring a surplus, so n, the room in fds, is at least
/// enough - 1 + FDPASSER_MAX_PER_MESSAGE.
///
/// *status says why the call took no more:
///
/// - 1: It has enough. More may wait.
/// - 0: The peer has shut down in good order.
/// - negative: An errno with its sign changed. -EAGAIN says that nothing more has arrived. The others are those of
///   fdpasser_recv_fd(3), where EMSGSIZE can only mean too many bytes.
///
/// What *status says comes after the descriptors. A later call may not say it again. After -ENOTRECOVERABLE (-ENOLINK on
/// NetBSD) it may be -EBADMSG, for the bytes of the lost message.
///
/// # Ownership
///
/// The caller owns the descriptors that are counted, whatever *status says.
///
/// # Returns
///
/// How many were received, which may be 0. -1 with errno if an argument is wrong.
///
/// # Errors
///
/// Nothing was done, and *status is left as it was:
///
/// - EINVAL: enough is 0, or n is too small or too large.
/// - EFAULT: fds or status is NULL.
///
/// All other errors are in *status.
///
/// # Blocking
///
/// It never waits, whatever mode passer is in. The SysV interface is an exception: see CALLS THAT DO NOT WAIT in
/// fdpasser(7).
///
/// # Threads and fork
///
/// Any thread may call it, also after a fork. If several receive from one passer, each message reaches exactly one of
/// them.
///
/// # See also
///
/// fdpasser_recv_fds(3), fdpasser_process(3)
#[no_mangle]
pub unsafe extern "C" fn fdpasser_try_recv_messages(
    passer: c_int,
    fds: *mut c_int,
    n: size_t,
    enough: c_uint,
    status: *mut c_int,
) -> ssize_t {
    // SAFETY: the caller vouches for n ints, and for the one of status.
    guard(|| unsafe { receive_messages(passer, fds, n, enough, status) })
}

/// Tells whether a call that failed with this errno is worth repeating, and when.
///
/// err is the errno of a call that sends or receives. Some errors are temporary:
///
/// - EAGAIN: The socket is full, or nothing has arrived. Poll the passer, then try again.
/// - EINTR: A signal came. Try again.
/// - EMFILE, ENFILE: Receiving: there is no free slot, and nothing was consumed.
/// - ETOOMANYREFS: Sending: this user has too many descriptors in flight.
/// - ENOBUFS, ENOMEM: The system is short of memory. On NetBSD ENOBUFS may also mean that too many descriptors are in
///   flight, and on OpenBSD that the socket is full, also in blocking mode.
///
/// With all but the first two the passer may poll ready all the time, so a loop that only polls would spin. It must
/// leave that direction alone for a while: do not poll for POLLIN after an error of receiving, nor for POLLOUT after
/// one of sending.
///
/// # Returns
///
/// 0: poll the passer, then try again. Above 0: leave this direction alone for so many milliseconds, then try again.
/// -1: the error is not temporary. This -1 is an answer and sets no errno.
///
/// # Errors
///
/// None. It does not change errno.
///
/// # Examples
///
/// This loop receives until the peer shuts down. passer is non-blocking or not, as you like:
///
/// ```c
/// int pause = 0;
/// for (;;) {
///     // While it pauses it polls nothing: POLLHUP comes without being asked for.
///     struct pollfd p = { pause > 0 ? -1 : passer, POLLIN, 0 };
///     poll(&p, 1, pause > 0 ? pause : -1);
///     int fd = recv_fd(passer);
///     if (fd > 0) { use(fd); pause = 0; continue; }
///     if (fd == 0) break;                     // orderly shutdown
///     if ((pause = fdpasser_retry_ms(errno)) < 0) err(1, "recv_fd");
/// }
/// ```
///
/// # See also
///
/// fdpasser_send_fd(3), fdpasser_recv_fd(3), fdpasser_timeout_ms(3), poll(2)
#[no_mangle]
pub extern "C" fn fdpasser_retry_ms(err: c_int) -> c_int {
    match error::retry(Errno::from_raw(err)) {
        Retry::WhenReady => 0,
        Retry::After(pause) => c_int::try_from(pause.as_millis()).unwrap_or(c_int::MAX),
        Retry::Never => -1,
    }
}

fn send_one(passer: c_int, fd: c_int, wait: Wait) -> Result<c_int, Errno> {
    transfer::send_one(borrow(&passer)?, borrow(&fd)?, wait)?;
    Ok(1)
}

fn receive_one(passer: c_int, wait: Wait) -> Result<c_int, Errno> {
    let mut fds = Fds::new();
    transfer::recv(borrow(&passer)?, 1, &mut fds, wait)?;
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
    // SAFETY: as above.
    let fds = unsafe { good_descriptors(fds, n) }?;
    let passer = borrow(&passer)?;
    let known_as_local = per_message & FDPASSER_LOCAL != 0;
    let per_message = (per_message & !FDPASSER_LOCAL) as usize;
    let sent = transfer::send(passer, fds, per_message, known_as_local, wait)?;
    Ok(sent as ssize_t)
}

/// The first of `n` numbers, up to one that is negative. EBADF if that is none.
///
/// # Safety
/// `fds` must be null or point at `n` ints that live as long as the answer is used.
unsafe fn good_descriptors<'a>(
    fds: *const c_int,
    n: size_t,
) -> Result<&'a [BorrowedFd<'a>], Errno> {
    check_array(fds, n)?;
    // SAFETY: the caller vouches for n ints, and a BorrowedFd is an int in memory. It must not be -1, so the
    // second slice ends before the first negative number.
    unsafe {
        let numbers = std::slice::from_raw_parts(fds, n);
        let good = numbers.iter().take_while(|&&fd| fd >= 0).count();
        if good == 0 {
            return Err(Errno::EBADF);
        }
        Ok(std::slice::from_raw_parts(fds.cast(), good))
    }
}

/// # Safety
/// `fds` must be null or point at `n` ints, and `data` at `len` bytes.
unsafe fn send_whole(
    passer: c_int,
    fds: *const c_int,
    n: size_t,
    data: *const c_void,
    len: size_t,
    wait: Wait,
) -> Result<ssize_t, Errno> {
    if !(1..=FDPASSER_MAX_PER_MESSAGE as size_t).contains(&n) {
        return Err(Errno::EINVAL);
    }
    // SAFETY: the caller vouches for n ints.
    let good = unsafe { good_descriptors(fds, n) }?;
    if good.len() < n {
        return Err(Errno::EBADF);
    }
    // SAFETY: the caller vouches for len bytes.
    let data = unsafe { bytes(data, len) }?;
    transfer::send_message(borrow(&passer)?, good, data, wait)?;
    Ok(n as ssize_t)
}

/// Gives all of `received` to C, and says how many they are.
///
/// # Safety
/// `fds` must have room for them.
unsafe fn give(received: &mut Fds, fds: *mut c_int) -> ssize_t {
    let count = received.len();
    for (i, fd) in received.drain(..).enumerate() {
        // SAFETY: the caller vouches for so many ints.
        unsafe { fds.add(i).write(fd.into_raw_fd()) };
    }
    count as ssize_t
}

/// # Safety
/// `fds` must be null or point at `n` ints.
#[inline(always)] // a call would cost a tenth of what it does
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
    // SAFETY: there are at most n, and the caller vouches for n ints.
    Ok(unsafe { give(&mut received, fds) })
}

/// # Safety
/// `fds` must be null or point at `n` ints, `data` at `room` bytes, and `len` at one number.
unsafe fn receive_whole(
    passer: c_int,
    fds: *mut c_int,
    n: size_t,
    data: *mut c_void,
    room: size_t,
    len: *mut size_t,
    wait: Wait,
) -> Result<ssize_t, Errno> {
    if n == 0 {
        return Err(Errno::EINVAL); // 0 would look like a shutdown
    }
    check_array(fds, n)?;
    // SAFETY: the caller vouches for room bytes, and for one size_t.
    let (data, len) = unsafe { (data_room(data, room)?, len.as_mut().ok_or(Errno::EFAULT)?) };
    let mut received = Fds::new();
    transfer::recv_message(borrow(&passer)?, n, &mut received, data, len, wait)?;
    // SAFETY: there are at most n, and the caller vouches for n ints.
    Ok(unsafe { give(&mut received, fds) })
}

/// # Safety
/// `fds` must be null or point at `n` ints, and `status` at one.
unsafe fn receive_messages(
    passer: c_int,
    fds: *mut c_int,
    n: size_t,
    enough: c_uint,
    status: *mut c_int,
) -> Result<ssize_t, Errno> {
    let enough = enough as usize;
    let surplus = FDPASSER_MAX_PER_MESSAGE as usize - 1;
    if enough == 0 || n.saturating_sub(surplus) < enough {
        return Err(Errno::EINVAL);
    }
    check_array(fds, n)?;
    check_array(status, 1)?;
    let mut count = 0;
    let result = borrow(&passer).and_then(|passer| {
        transfer::recv_messages(passer, enough, |message| {
            // SAFETY: there are never more than n, and the caller vouches for n ints.
            count += unsafe { give(message, fds.add(count)) } as usize;
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

// SPDX-License-Identifier: MIT OR Apache-2.0
//! Queues: an object with a queue for each direction, for any event loop.
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
//! One thread at a time may use an object. After a fork only one of the processes may go on with it. See
//! fdpasser_new(3).
//!
//! # Examples
//!
//! fdpasser_new(3) has a complete loop.
#![allow(
    non_camel_case_types,
    reason = "the type's name is C's, and the same as the prefix of its functions"
)]

use super::{borrow, bytes, data_room, guard, guard_or, guard_quick, number};
use crate::queue::{Events, Progress, Queue};
use libc::{c_int, c_uint, c_void, size_t};
use nix::errno::Errno;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::ptr;
use std::time::Duration;

/// A queue object: one end of a connection with a queue for each direction.
pub struct fdpasser {
    end: End,
    /// What the last fdpasser_process() could not send.
    refused: Option<OwnedFd>,
}

enum End {
    /// The fork is still to come.
    Either {
        parent: Queue,
        child: Queue,
    },
    Ours(Queue),
    /// Only while an end is being chosen.
    Neither,
}

/// Makes a queue object from a connected passer: one queue for each direction.
///
/// The object works with any event loop. It does not wait, it calls nobody back, and it takes care of the pauses that a
/// full table or a full socket asks for. A program uses it in five steps:
///
/// 1. Push what is to be sent, with fdpasser_push_send_fd(3), and say how many descriptors the program is ready to
///    take, with fdpasser_push_recv(3).
///
/// 2. Poll the passer for what fdpasser_events(3) says, no longer than fdpasser_timeout_ms(3) says.
///
/// 3. Call fdpasser_process(3) with what the poll found. It sends and receives what it can.
///
/// 4. Take what has come, with fdpasser_next_fd(3).
///
/// 5. When fdpasser_process(3) says that it is over, free the object with fdpasser_free(3).
///
/// The bits of epoll(7) are those of poll(2). If a loop has other bits, translate them. Loops that report only changes
/// (EPOLLET) work too. docs/queues.md in the source says how, and has whole programs for poll, epoll and libuv.
///
/// fd is set to non-blocking mode, and to keep out-of-band bytes in line (SO_OOBINLINE). Both belong to everybody who
/// shares the socket, also in other processes.
///
/// # Ownership
///
/// On success the object owns fd until fdpasser_free(3). On failure the caller keeps it.
///
/// # Returns
///
/// The object, or NULL with errno.
///
/// # Errors
///
/// - EBADF: fd is not open.
/// - ENOMEM: The system is short of memory.
///
/// # Threads and fork
///
/// One thread at a time may use an object, and threads may hand it on. After a fork both processes have the queued
/// descriptors, and both would send them. So only one of them may go on with the object. The other one should free its
/// copy, which changes nothing for the first. An object that fdpasser_new_pair(3) made has an end for each process.
///
/// # Examples
///
/// ```c
/// fdpasser *p = fdpasser_new(passer);
/// if (p == NULL) err(1, "fdpasser_new");
/// fdpasser_push_recv(p, 100);
/// fdpasser_push_send_fd(p, dup(1));           // the object's now: closed when it is sent
/// int state = 1;
/// while (state != 0) {
///     int events = fdpasser_events(p);
///     struct pollfd f = { events ? fdpasser_fileno(p) : -1, (short)events, 0 };
///     poll(&f, 1, fdpasser_timeout_ms(p));
///     state = fdpasser_process(p, f.revents);
///     if (state < 0) {
///         int error = errno, fd = fdpasser_refused(p);
///         errno = error;
///         if (fd < 0) err(1, "passer");           // final
///         warn("descriptor %d was not sent", fd);
///         close(fd);
///     }
///     for (int fd; (fd = fdpasser_next_fd(p)) > 0; fdpasser_push_recv(p, 1))
///         use(fd);
/// }
/// fdpasser_free(p);
/// ```
///
/// # See also
///
/// fdpasser_new_pair(3), fdpasser_process(3), fdpasser_free(3), poll(2)
#[no_mangle]
pub extern "C" fn fdpasser_new(fd: c_int) -> *mut fdpasser {
    guard_or(ptr::null_mut(), || {
        Queue::prepare(borrow(&fd)?)?;
        make(|| {
            // SAFETY: open, as we just saw, and the caller gives it away.
            End::Ours(Queue::over(unsafe { OwnedFd::from_raw_fd(fd) }))
        })
    })
}

/// Makes a queue object that holds both ends of a connection, for the two sides of a fork.
///
/// After the fork the parent calls fdpasser_i_am_parent() and the child fdpasser_i_am_child(). Each keeps its own end
/// and closes the other one. Before that no other function takes the object, except fdpasser_free(3).
///
/// # Ownership
///
/// The object owns both ends until one is chosen, then the chosen one. fdpasser_free(3) closes what it owns.
///
/// # Returns
///
/// fdpasser_new_pair(): the object, or NULL with errno. fdpasser_i_am_parent() and fdpasser_i_am_child(): 0, or -1
/// with errno.
///
/// # Errors
///
/// fdpasser_new_pair() fails with these:
///
/// - EMFILE: The process has no free slot from 3 up.
/// - ENFILE: The system has too many open files.
/// - ENOBUFS, ENOMEM: The system is short of memory.
///
/// fdpasser_i_am_parent() and fdpasser_i_am_child() fail with this:
///
/// - EINVAL: p is NULL, not a pair, or a pair whose end is chosen already.
///
/// # Threads and fork
///
/// One thread at a time may use an object. This one is made to be in both processes after a fork, because each of them
/// has an end of its own.
///
/// # Examples
///
/// ```c
/// fdpasser *p = fdpasser_new_pair();
/// if (p == NULL) err(1, "fdpasser_new_pair");
/// pid_t child = fork();
/// if (child < 0) err(1, "fork");
/// if (child == 0) {
///     fdpasser_i_am_child(p);
///     fdpasser_push_send_fd(p, dup(1));
///     if (fdpasser_process(p, POLLOUT) != 1) err(1, "fdpasser_process");
///     fdpasser_free(p);
///     _exit(0);
/// }
/// fdpasser_i_am_parent(p);
/// ```
///
/// # See also
///
/// fdpasser_new(3), fdpasser_socketpair(3), fork(2)
#[no_mangle]
pub extern "C" fn fdpasser_new_pair() -> *mut fdpasser {
    guard_or(ptr::null_mut(), || {
        let (parent, child) = Queue::pair()?;
        make(|| End::Either { parent, child })
    })
}

/// Keeps the parent's end of a pair and closes the other one.
///
/// Page: fdpasser_new_pair
#[no_mangle]
pub unsafe extern "C" fn fdpasser_i_am_parent(p: *mut fdpasser) -> c_int {
    // SAFETY: the caller vouches for p.
    guard(|| choose(unsafe { object(p) }?, |parent, _| parent))
}

/// Keeps the child's end of a pair and closes the other one.
///
/// Page: fdpasser_new_pair
#[no_mangle]
pub unsafe extern "C" fn fdpasser_i_am_child(p: *mut fdpasser) -> c_int {
    // SAFETY: the caller vouches for p.
    guard(|| choose(unsafe { object(p) }?, |_, child| child))
}

/// Closes everything that a queue object owns, and frees it.
///
/// It closes the passer, the descriptors that are still queued, and those that were received and not taken. If p is
/// NULL the call does nothing.
///
/// Take the passer out of the event loop before this, with epoll(7) by EPOLL_CTL_DEL. Closing is not enough if another
/// process has the socket too, such as a forked child: epoll goes on reporting it.
///
/// # Ownership
///
/// Everything that the object owned is closed. What fdpasser_next_fd(3) and fdpasser_refused(3) gave out is the
/// caller's.
///
/// # Returns
///
/// Nothing.
///
/// # Errors
///
/// None.
///
/// # Blocking
///
/// It waits only where close(2) does, for example for a TCP socket with SO_LINGER that is in the queue.
///
/// # Threads and fork
///
/// One thread at a time may use an object. In the process of a fork that does not go on with the object, this closes
/// that process's copies only. The other process notices nothing.
///
/// # See also
///
/// fdpasser_new(3), close(2)
#[no_mangle]
pub unsafe extern "C" fn fdpasser_free(p: *mut fdpasser) {
    guard_or((), || {
        if !p.is_null() {
            // SAFETY: the caller vouches that `make` made it and that it is not freed yet.
            drop(unsafe { Box::from_raw(p) });
        }
        Ok(())
    });
}

/// Returns the passer of a queue object, for polling.
///
/// It is always the same descriptor. Only poll it. One other use is allowed: a program that has sent everything and
/// waits for the peer to end may shut it down for writing, with shutdown(2) and SHUT_WR.
///
/// # Ownership
///
/// The descriptor stays the object's.
///
/// # Returns
///
/// The descriptor, or -1 with errno.
///
/// # Errors
///
/// - EINVAL: p is NULL, or a pair whose end is not chosen yet.
///
/// # See also
///
/// fdpasser_events(3), fdpasser_queued(3), shutdown(2)
#[no_mangle]
pub unsafe extern "C" fn fdpasser_fileno(p: *const fdpasser) -> c_int {
    // SAFETY: the caller vouches for p.
    guard_quick(|| Ok(unsafe { passer(p) }?.as_fd().as_raw_fd()))
}

/// Sets how many descriptors the queue may put into one message.
///
/// per_message is 1 to FDPASSER_MAX_PER_MESSAGE. It is 1 unless this is called. fdpasser_send_fds(3) says which peers
/// receive more than 1, and which systems send it.
///
/// # Returns
///
/// 0 on success, or -1 with errno.
///
/// # Errors
///
/// - EINVAL: per_message is out of range, or p is NULL or a pair whose end is not chosen yet.
///
/// # See also
///
/// fdpasser_send_fds(3), fdpasser_push_send_fd(3)
#[no_mangle]
pub unsafe extern "C" fn fdpasser_set_per_message(p: *mut fdpasser, per_message: c_uint) -> c_int {
    guard_quick(|| {
        // SAFETY: the caller vouches for p.
        let p = unsafe { passer_mut(p) }?;
        p.set_per_message(per_message as usize)?;
        Ok(0)
    })
}

/// Bounds how many descriptors may be queued for sending.
///
/// At first there is no bound, and 0 takes a bound away. What is queued already stays. A push beyond the bound is
/// EAGAIN.
///
/// # Returns
///
/// 0 on success, or -1 with errno.
///
/// # Errors
///
/// - EINVAL: p is NULL, or a pair whose end is not chosen yet.
///
/// # See also
///
/// fdpasser_push_send_fd(3), fdpasser_queued(3)
#[no_mangle]
pub unsafe extern "C" fn fdpasser_set_max_queued(p: *mut fdpasser, max_queued: c_uint) -> c_int {
    guard_quick(|| {
        // SAFETY: the caller vouches for p.
        let passer = unsafe { passer_mut(p) }?;
        passer.set_max_queued((max_queued > 0).then_some(max_queued as usize));
        Ok(0)
    })
}

/// Queues one descriptor for sending, behind those that are queued already.
///
/// Nothing is sent by this call. fdpasser_process(3) sends.
///
/// # Ownership
///
/// On success the object owns fd, and closes it once it is sent. If you want to keep it, push a dup(2) of it. On
/// failure the caller keeps fd.
///
/// # Returns
///
/// 1 on success, or -1 with errno.
///
/// # Errors
///
/// - EAGAIN: As many are queued as fdpasser_set_max_queued(3) allows. Push again after fdpasser_process(3) has sent
///   some.
/// - EBADF: fd is not open.
/// - EINVAL: fd is the passer itself, or p is NULL or a pair whose end is not chosen yet.
/// - ENOMEM: The system is short of memory.
///
/// Once fdpasser_process(3) has failed with a final error, every call of this function fails with the same errno.
///
/// # See also
///
/// fdpasser_process(3), fdpasser_queued(3), fdpasser_drained(3), fdpasser_send_fd(3)
#[no_mangle]
pub unsafe extern "C" fn fdpasser_push_send_fd(p: *mut fdpasser, fd: c_int) -> c_int {
    // SAFETY: the caller vouches for p.
    guard(|| push(unsafe { passer_mut(p) }?, fd, Queue::push_send_fd))
}

/// Queues one descriptor to be sent with len bytes of data, in a message of its own.
///
/// The object has a copy of the data until the message is sent. If len is 0, or the data is one NUL byte, this is
/// fdpasser_push_send_fd(3). fdpasser_send_message(3) says what a peer understands.
///
/// # Ownership
///
/// On success the object owns fd, and closes it once it is sent. On failure the caller keeps it. The data stays the
/// caller's.
///
/// # Returns
///
/// 1 on success, or -1 with errno.
///
/// # Errors
///
/// All errors of fdpasser_push_send_fd(3), and these:
///
/// - EMSGSIZE: len is above FDPASSER_MAX_DATA. If the socket's buffer is too small for the message, fdpasser_process(3)
///   reports it, and fdpasser_refused(3) returns the descriptor.
/// - EFAULT: data is NULL and len is not 0.
///
/// # See also
///
/// fdpasser_send_message(3), fdpasser_push_send_fd(3), fdpasser_next_message(3)
#[no_mangle]
pub unsafe extern "C" fn fdpasser_push_send_message(
    p: *mut fdpasser,
    fd: c_int,
    data: *const c_void,
    len: size_t,
) -> c_int {
    guard(|| {
        // SAFETY: the caller vouches for p.
        let passer = unsafe { passer_mut(p) }?;
        // SAFETY: the caller vouches for len bytes.
        let data = unsafe { bytes(data, len) }?;
        push(passer, fd, |passer, fd| passer.push_send_message(fd, data))
    })
}

/// Keeps the data of received descriptors for fdpasser_next_message(3), or drops it.
///
/// At first data is dropped, so that a hostile peer cannot make a program hold it that does not use it. With yes other than
/// 0 the object keeps at most FDPASSER_MAX_DATA bytes for each descriptor that the program asked for and has not taken.
/// Bytes that come without a descriptor over a stream are kept too, and belong to the next descriptor. On SOCK_SEQPACKET
/// and SOCK_DGRAM they are an error, which fdpasser_process(3) reports (EBADMSG), and are dropped.
///
/// On the BSDs and macOS such bytes may also be what is left of a message that another receiver has lost: see THE ONE RACE
/// in fdpasser(7).
///
/// # Returns
///
/// 0 on success, or -1 with errno.
///
/// # Errors
///
/// - EINVAL: p is NULL, or a pair whose end is not chosen yet.
/// - ENOMEM: The system is short of memory.
///
/// # See also
///
/// fdpasser_next_message(3), fdpasser_push_recv(3)
#[no_mangle]
pub unsafe extern "C" fn fdpasser_want_data(p: *mut fdpasser, yes: c_int) -> c_int {
    guard_quick(|| {
        // SAFETY: the caller vouches for p.
        unsafe { passer_mut(p) }?.want_data(yes != 0)?;
        Ok(0)
    })
}

/// Asks for count descriptors more, which the program is ready to take.
///
/// Nothing is received by this call. fdpasser_process(3) receives. It takes at most that many descriptors from the
/// socket, rounded up to whole messages. What a message has in excess waits in the object for the next push.
///
/// # Returns
///
/// 0 on success, or -1 with errno.
///
/// # Errors
///
/// - EINVAL: count is not above 0, or p is NULL or a pair whose end is not chosen yet.
///
/// # See also
///
/// fdpasser_process(3), fdpasser_next_fd(3)
#[no_mangle]
pub unsafe extern "C" fn fdpasser_push_recv(p: *mut fdpasser, count: c_int) -> c_int {
    guard_quick(|| {
        // SAFETY: the caller vouches for p.
        let passer = unsafe { passer_mut(p) }?;
        match usize::try_from(count) {
            Ok(count) if count > 0 => passer.push_recv(count),
            _ => return Err(Errno::EINVAL),
        }
        Ok(0)
    })
}

/// Returns what to poll the passer for at the moment: POLLIN, POLLOUT, both or nothing.
///
/// Ask again each time before you wait, because every other call may change the answer. If it is 0, do not poll the
/// passer at all, because poll(2) reports POLLHUP even if nobody asks for it: give it -1 in place of the descriptor. An
/// edge-triggered loop (EPOLLET) is the exception: there the passer stays registered for both directions.
///
/// # Returns
///
/// The events, which may be 0. -1 with errno on failure.
///
/// # Errors
///
/// - EINVAL: p is NULL, or a pair whose end is not chosen yet.
///
/// # See also
///
/// fdpasser_timeout_ms(3), fdpasser_process(3), poll(2)
#[no_mangle]
pub unsafe extern "C" fn fdpasser_events(p: *const fdpasser) -> c_int {
    guard_quick(|| {
        // SAFETY: the caller vouches for p.
        let events = unsafe { passer(p) }?.events();
        let readable = if events.readable { libc::POLLIN } else { 0 };
        let writable = if events.writable { libc::POLLOUT } else { 0 };
        Ok(c_int::from(readable | writable))
    })
}

/// Returns how long the loop may wait before it calls fdpasser_process(), in milliseconds.
///
/// The loop calls fdpasser_process(3) after that time also if the passer is not ready. Ask again each time before you
/// wait, because every other call may change the answer.
///
/// # Returns
///
/// A time as poll(2) takes it:
///
/// - 0: fdpasser_next_fd(3) has something, or there is work left, or fdpasser_process(3) has something to tell.
/// - above 0: A direction pauses, because the table is full, too many descriptors are in flight, or the system is short
///   of memory. Or the socket is full: poll(2) does not report a peer that shuts down its receiving side and stays, so
///   sending is tried again within a second.
/// - -1: There is no need to call before the passer is ready. If p is wrong it is also -1, with errno.
///
/// # Errors
///
/// - EINVAL: p is NULL, or a pair whose end is not chosen yet.
///
/// # See also
///
/// fdpasser_events(3), fdpasser_process(3), fdpasser_retry_ms(3), poll(2)
#[no_mangle]
pub unsafe extern "C" fn fdpasser_timeout_ms(p: *const fdpasser) -> c_int {
    guard_quick(|| {
        // SAFETY: the caller vouches for p.
        let timeout = unsafe { passer(p) }?.timeout();
        // Rounded up. A loop that wakes a little too early has nothing to do yet.
        Ok(timeout.map_or(-1, |time: Duration| {
            c_int::try_from(time.as_micros().div_ceil(1000)).unwrap_or(c_int::MAX)
        }))
    })
}

/// Sends and receives what it can without waiting.
///
/// revents is what poll(2) found: POLLIN, POLLOUT, POLLHUP and POLLERR. The call works in each direction that revents
/// says is ready, and in each one whose pause is over. It does no harm to call it with nothing to do or too early. One
/// call moves about 100 descriptors in each direction, so that one busy passer does not starve the others.
///
/// Before the call reports the end or an error of receiving, the object hands out every descriptor that has arrived and
/// was asked for. As long as fdpasser_next_fd(3) has something, this call returns 1, unless a descriptor was refused.
///
/// A full table, too many descriptors in flight and a shortage of memory are not errors. The direction pauses.
///
/// # Ownership
///
/// Descriptors that were sent are closed. The object owns every descriptor in its queues, also after an error.
///
/// If a descriptor cannot be sent, call fdpasser_refused(). It returns that descriptor, under the number that was
/// pushed, and the descriptor is the caller's again. If nobody calls it, the next fdpasser_process() or
/// fdpasser_free(3) closes the descriptor.
///
/// # Returns
///
/// fdpasser_process() returns 1 while the connection is open. It returns 0 at orderly shutdown: the peer sends no more,
/// everything that it sent was handed out, and everything that was queued is sent. If the peer only stopped sending,
/// more may be pushed for it. It returns -1 with errno on failure.
///
/// fdpasser_refused() returns the descriptor that the last fdpasser_process() could not send, once. It returns -1 if
/// there is none, and leaves errno as it was. After a failure that means that the error is the connection's, and final,
/// unless it is about a message that came.
///
/// # Errors
///
/// One descriptor could not be sent, if fdpasser_refused() returns one. The next call goes on with the next one:
///
/// - EINVAL, EOPNOTSUPP: The system does not send this kind of descriptor, such as one of io_uring.
/// - EPERM: A security module or the peer refused the descriptor.
///
/// One message that came is lost, on a SOCK_SEQPACKET or SOCK_DGRAM socket. The call reports it once, in its place among
/// the descriptors, and the next call goes on with the next message:
///
/// - EBADMSG: It had no descriptor. (On SOCK_SEQPACKET a message without bytes and descriptors is the orderly shutdown.)
/// - EMSGSIZE: It had more than 4096 bytes. Its descriptors were closed.
///
/// In all other cases the connection has failed, if fdpasser_refused() returns -1. Each further call returns the same
/// error, except that ENOTRECOVERABLE takes the place of an earlier error of sending:
///
/// - EPIPE, ECONNRESET: The peer is gone.
/// - ECONNREFUSED: The peer of a datagram socket is gone.
/// - EBADMSG: Bytes came over a stream without a descriptor. If the object keeps data, only bytes that the end comes
///   behind are an error. On the BSDs and macOS it may be that another receiver on this end has lost their message.
/// - EMSGSIZE: A message of more than 4096 bytes came over a stream. Its descriptors were closed.
/// - ENOTRECOVERABLE: The kernel destroyed descriptors of a message. See THE ONE RACE in fdpasser(7). On NetBSD it is
///   ENOLINK.
/// - ENOTCONN, ENOTSOCK, EAFNOSUPPORT, EINVAL: The passer is not a connected local socket.
/// - EBADF: The program closed a descriptor that the object owns.
///
/// fdpasser_process() and fdpasser_refused() also fail with this:
///
/// - EINVAL: p is NULL. For fdpasser_process() also: p is a pair whose end is not chosen yet.
///
/// # Blocking
///
/// fdpasser_process() waits only where close(2) does, for a descriptor that was sent. fdpasser_refused() never waits.
///
/// # See also
///
/// fdpasser_events(3), fdpasser_timeout_ms(3), fdpasser_next_fd(3), fdpasser_push_send_fd(3)
#[no_mangle]
pub unsafe extern "C" fn fdpasser_process(p: *mut fdpasser, revents: c_int) -> c_int {
    const READABLE: c_int = libc::POLLIN as c_int;
    const WRITABLE: c_int = libc::POLLOUT as c_int;
    guard(|| {
        // SAFETY: the caller vouches for p.
        let p = unsafe { object(p) }?;
        p.refused = None;
        let End::Ours(passer) = &mut p.end else {
            return Err(Errno::EINVAL);
        };
        // Every other bit means some kind of end, and trying finds out which.
        let ended = revents & !(READABLE | WRITABLE) != 0;
        let ready = Events {
            readable: ended || revents & READABLE != 0,
            writable: ended || revents & WRITABLE != 0,
        };
        match passer.process(ready)? {
            Progress::Open => Ok(1),
            Progress::Shutdown => Ok(0),
            Progress::Refused(fd, error) => {
                p.refused = Some(fd);
                Err(error)
            }
        }
    })
}

/// Gives back the descriptor that the last fdpasser_process() could not send.
///
/// Page: fdpasser_process
#[no_mangle]
pub unsafe extern "C" fn fdpasser_refused(p: *mut fdpasser) -> c_int {
    guard_quick(|| {
        // SAFETY: the caller vouches for p.
        let refused = unsafe { object(p) }?.refused.take();
        Ok(refused.map_or(-1, number))
    })
}

/// Takes the next of the received descriptors that the program has asked for.
///
/// # Ownership
///
/// On success the caller owns the descriptor. On failure there is none.
///
/// # Returns
///
/// The descriptor, which is never 0, 1 or 2. -1 with errno if there is none.
///
/// # Errors
///
/// - EAGAIN: There is none at the moment. fdpasser_process(3) says whether more can come.
/// - EINVAL: p is NULL, or a pair whose end is not chosen yet.
///
/// # See also
///
/// fdpasser_push_recv(3), fdpasser_process(3), fdpasser_recv_fd(3)
#[no_mangle]
pub unsafe extern "C" fn fdpasser_next_fd(p: *mut fdpasser) -> c_int {
    guard_quick(|| {
        // SAFETY: the caller vouches for p.
        let next = unsafe { passer_mut(p) }?.next_fd();
        next.map(number).ok_or(Errno::EAGAIN)
    })
}

/// Takes the next of the received descriptors that the program has asked for, and a copy of its data.
///
/// data has room for room bytes, which is at least FDPASSER_MAX_DATA. *len is set to the number of bytes. It is 0 if the
/// descriptor has no data, and if fdpasser_want_data(3) was not called before the descriptor was received. If several
/// descriptors came in one message, the first one has the data.
///
/// # Ownership
///
/// On success the caller owns the descriptor. On failure there is none.
///
/// # Returns
///
/// The descriptor, which is never 0, 1 or 2. -1 with errno if there is none.
///
/// # Errors
///
/// - EAGAIN: There is none at the moment. fdpasser_process(3) says whether more can come.
/// - EINVAL: p is NULL, or a pair whose end is not chosen yet, or room is below FDPASSER_MAX_DATA. No descriptor was taken.
/// - EFAULT: data or len is NULL. No descriptor was taken.
///
/// # See also
///
/// fdpasser_want_data(3), fdpasser_next_fd(3), fdpasser_recv_message(3)
#[no_mangle]
pub unsafe extern "C" fn fdpasser_next_message(
    p: *mut fdpasser,
    data: *mut c_void,
    room: size_t,
    len: *mut size_t,
) -> c_int {
    guard_quick(|| {
        // SAFETY: the caller vouches for p, for room bytes, and for one size_t.
        let (passer, room, len) = unsafe {
            let len = len.as_mut().ok_or(Errno::EFAULT)?;
            (passer_mut(p)?, data_room(data, room)?, len)
        };
        let (fd, data) = passer.next_message().ok_or(Errno::EAGAIN)?;
        let data = data.as_deref().unwrap_or_default();
        room[..data.len()].copy_from_slice(data);
        *len = data.len();
        Ok(number(fd))
    })
}

/// Returns how many descriptors are queued and not yet sent.
///
/// # Returns
///
/// The number, or -1 with errno.
///
/// # Errors
///
/// - EINVAL: p is NULL, or a pair whose end is not chosen yet.
///
/// # See also
///
/// fdpasser_drained(3), fdpasser_set_max_queued(3), fdpasser_push_send_fd(3)
#[no_mangle]
pub unsafe extern "C" fn fdpasser_queued(p: *const fdpasser) -> c_int {
    guard_quick(|| {
        // SAFETY: the caller vouches for p.
        let queued = unsafe { passer(p) }?.queued();
        Ok(c_int::try_from(queued).unwrap_or(c_int::MAX))
    })
}

/// Tells whether everything that was pushed is sent and the peer has received it.
///
/// Only Linux can tell. There is no event for it: look again after a while, or let the peer answer.
///
/// # Returns
///
/// 1 if so, and also if the peer closed its end without receiving it, which fdpasser_process(3) reports as ECONNRESET.
/// 0 if not yet. -1 with errno on failure.
///
/// # Errors
///
/// - EOPNOTSUPP: The system does not tell.
/// - ENOTSOCK: The passer is not a socket.
/// - EINVAL: The passer is not connected, or p is NULL or a pair whose end is not chosen yet.
///
/// # See also
///
/// fdpasser_queued(3), fdpasser_push_send_fd(3)
#[no_mangle]
pub unsafe extern "C" fn fdpasser_drained(p: *const fdpasser) -> c_int {
    guard(|| {
        // SAFETY: the caller vouches for p.
        unsafe { passer(p) }?.drained().map(c_int::from)
    })
}

/// Puts an object on the heap. Calls `end` only when there is room for it.
fn make(end: impl FnOnce() -> End) -> Result<*mut fdpasser, Errno> {
    // Box::new would abort if there is no memory.
    let mut room = Vec::new();
    room.try_reserve_exact(1).map_err(|_| Errno::ENOMEM)?;
    room.push(fdpasser {
        end: end(),
        refused: None,
    });
    // To the allocator an object on the heap is the same as an array of one.
    Ok(Box::into_raw(room.into_boxed_slice()).cast())
}

fn push(
    passer: &mut Queue,
    fd: c_int,
    push: impl FnOnce(&mut Queue, OwnedFd) -> Result<(), (OwnedFd, Errno)>,
) -> Result<c_int, Errno> {
    Queue::must_be_open(borrow(&fd)?)?;
    if fd == passer.as_fd().as_raw_fd() {
        return Err(Errno::EINVAL);
    }
    // SAFETY: open, as we just saw, and the caller gives it away.
    match push(passer, unsafe { OwnedFd::from_raw_fd(fd) }) {
        Ok(()) => Ok(1),
        Err((fd, error)) => {
            let _ = fd.into_raw_fd(); // the caller's, as before
            Err(error)
        }
    }
}

fn choose(p: &mut fdpasser, which: impl FnOnce(Queue, Queue) -> Queue) -> Result<c_int, Errno> {
    match std::mem::replace(&mut p.end, End::Neither) {
        End::Either { parent, child } => {
            p.end = End::Ours(which(parent, child));
            Ok(0)
        }
        other => {
            p.end = other;
            Err(Errno::EINVAL)
        }
    }
}

/// # Safety
/// `p` must be null or come from `make`, and nobody else may use it meanwhile.
unsafe fn object<'a>(p: *mut fdpasser) -> Result<&'a mut fdpasser, Errno> {
    // SAFETY: as above.
    unsafe { p.as_mut() }.ok_or(Errno::EINVAL)
}

/// # Safety
/// As [`object`].
unsafe fn passer_mut<'a>(p: *mut fdpasser) -> Result<&'a mut Queue, Errno> {
    // SAFETY: as above.
    match unsafe { object(p) }?.end {
        End::Ours(ref mut passer) => Ok(passer),
        _ => Err(Errno::EINVAL),
    }
}

/// # Safety
/// `p` must be null or come from `make`, and nobody else may change it meanwhile.
unsafe fn passer<'a>(p: *const fdpasser) -> Result<&'a Queue, Errno> {
    // SAFETY: as above.
    match unsafe { p.as_ref() }.ok_or(Errno::EINVAL)?.end {
        End::Ours(ref passer) => Ok(passer),
        _ => Err(Errno::EINVAL),
    }
}

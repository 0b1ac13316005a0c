// SPDX-License-Identifier: MIT OR Apache-2.0
//! The queue's part of the C ABI: an opaque object, plain integers, and no callbacks, so that every
//! language's FFI can have it.
#![allow(
    non_camel_case_types,
    reason = "the type's name is C's, and the same as the prefix of its functions"
)]

use super::{borrow, guard, guard_or, number};
use crate::queue::{Events, Progress, Queue};
use crate::sys;
use libc::{c_int, c_uint};
use nix::errno::Errno;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::ptr;
use std::time::Duration;

/// A passer with a queue for each direction, for use with any event loop; made by fdpasser_new() or
/// fdpasser_new_pair(). See "Queues" at the top of this header.
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
    /// Only while one of the others is made of it.
    Neither,
}

/// Makes a passer with queues of a connected socket, which is set to non-blocking mode.
///
/// Ownership: on success the new object owns fd, until fdpasser_free(); on failure the caller keeps
/// it.
///
/// Returns the object, or NULL with errno: EBADF, ENOMEM.
///
/// Blocking: no.
///
/// Threads and fork: an object may be used by one thread at a time, and moved between threads.
/// After a fork only one of the processes may go on using it, since both have the queue and would
/// send it; the other one should free its copy.
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

/// Makes a connected pair for a fork. After it the parent calls fdpasser_i_am_parent() and the
/// child fdpasser_i_am_child(), and only then can the object be used.
///
/// Ownership: the new object owns both ends, until one is chosen; fdpasser_free() closes what it
/// has.
///
/// Returns the object, or NULL with errno: EMFILE, ENFILE, ENOBUFS, ENOMEM.
///
/// Blocking: no.
///
/// Threads and fork: as fdpasser_new(), but made to be there in both processes: each has an end of
/// its own.
#[no_mangle]
pub extern "C" fn fdpasser_new_pair() -> *mut fdpasser {
    guard_or(ptr::null_mut(), || {
        let (parent, child) = Queue::pair()?;
        make(|| End::Either { parent, child })
    })
}

/// Keeps the parent's end of a pair, and closes the other one.
///
/// Ownership: the object owns the end that it keeps.
///
/// Returns 0, or -1 with errno EINVAL (p is NULL, or not a pair of which neither end is chosen).
///
/// Blocking: no.
///
/// Threads and fork: as fdpasser_new_pair().
#[no_mangle]
pub unsafe extern "C" fn fdpasser_i_am_parent(p: *mut fdpasser) -> c_int {
    // SAFETY: the caller vouches for p.
    guard(|| choose(unsafe { object(p) }?, |parent, _| parent))
}

/// Keeps the child's end of a pair, and closes the other one.
///
/// Ownership: the object owns the end that it keeps.
///
/// Returns 0, or -1 with errno EINVAL (p is NULL, or not a pair of which neither end is chosen).
///
/// Blocking: no.
///
/// Threads and fork: as fdpasser_new_pair().
#[no_mangle]
pub unsafe extern "C" fn fdpasser_i_am_child(p: *mut fdpasser) -> c_int {
    // SAFETY: the caller vouches for p.
    guard(|| choose(unsafe { object(p) }?, |_, child| child))
}

/// Closes the passer, the descriptors that are queued, and those received that nobody has taken,
/// and frees the object. NULL is fine.
///
/// Ownership: all that the object had is closed; what fdpasser_next_fd() and fdpasser_refused()
/// gave out is the caller's. Take the passer out of the event loop before this.
///
/// Returns nothing.
///
/// Blocking: as close(2).
///
/// Threads and fork: as fdpasser_new(). In the other process of a fork it closes that one's copies,
/// which changes nothing for the one that goes on.
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

/// The passer's descriptor, to be polled; and, once all is sent, to be shut down for writing
/// (shutdown(2), SHUT_WR) by who has no more to send and waits for the peer's end. For nothing else.
///
/// Ownership: it stays the object's.
///
/// Returns the descriptor, the same one always, or -1 with errno EINVAL (p is NULL, or a pair of
/// which no end is chosen).
///
/// Blocking: no.
///
/// Threads and fork: as fdpasser_new().
#[no_mangle]
pub unsafe extern "C" fn fdpasser_fileno(p: *const fdpasser) -> c_int {
    // SAFETY: the caller vouches for p.
    guard(|| Ok(unsafe { passer(p) }?.as_fd().as_raw_fd()))
}

/// How many descriptors a message may carry where several are queued: 1 to
/// FDPASSER_MAX_PER_MESSAGE, and 1 unless this is called. Only a peer that expects several in a
/// message understands more than 1; this library always does.
///
/// Ownership: no descriptors.
///
/// Returns 0, or -1 with errno EINVAL (p as for fdpasser_fileno(), or the number is out of range).
///
/// Blocking: no.
///
/// Threads and fork: as fdpasser_new().
#[no_mangle]
pub unsafe extern "C" fn fdpasser_set_per_message(p: *mut fdpasser, per_message: c_uint) -> c_int {
    guard(|| {
        // SAFETY: the caller vouches for p.
        let p = unsafe { passer_mut(p) }?;
        p.set_per_message(per_message as usize)?;
        Ok(0)
    })
}

/// Bounds the queue of descriptors to be sent, which has no bound at first; 0 takes the bound away.
/// What is queued already stays.
///
/// Ownership: no descriptors.
///
/// Returns 0, or -1 with errno EINVAL (p as for fdpasser_fileno()).
///
/// Blocking: no.
///
/// Threads and fork: as fdpasser_new().
#[no_mangle]
pub unsafe extern "C" fn fdpasser_set_max_queued(p: *mut fdpasser, max_queued: c_uint) -> c_int {
    guard(|| {
        // SAFETY: the caller vouches for p.
        let passer = unsafe { passer_mut(p) }?;
        passer.set_max_queued((max_queued > 0).then_some(max_queued as usize));
        Ok(0)
    })
}

/// Queues one descriptor to be sent by fdpasser_process(), behind those that are queued already.
///
/// Ownership: on success the object owns fd and closes it once it is sent (dup() first what you
/// want to keep); on failure the caller keeps it.
///
/// Returns 1, or -1 with errno: EAGAIN (as many as fdpasser_set_max_queued() allows are queued),
/// EBADF (fd is not open), EINVAL (p as for fdpasser_fileno(), or fd is the passer itself), ENOMEM;
/// after a final error of fdpasser_process() that one.
///
/// Blocking: no, and nothing is sent.
///
/// Threads and fork: as fdpasser_new().
#[no_mangle]
pub unsafe extern "C" fn fdpasser_push_send_fd(p: *mut fdpasser, fd: c_int) -> c_int {
    guard(|| {
        // SAFETY: the caller vouches for p.
        let passer = unsafe { passer_mut(p) }?;
        sys::table::is_open(borrow(&fd)?)?;
        if fd == passer.as_fd().as_raw_fd() {
            return Err(Errno::EINVAL);
        }
        // SAFETY: open, as we just saw, and the caller gives it away.
        match passer.push_send_fd(unsafe { OwnedFd::from_raw_fd(fd) }) {
            Ok(()) => Ok(1),
            Err((fd, error)) => {
                let _ = fd.into_raw_fd(); // the caller's, as before
                Err(error)
            }
        }
    })
}

/// Says that the program is ready to take count descriptors more. fdpasser_process() takes no more
/// than that from the socket, but that it takes messages whole: what one has in excess waits for
/// the next push.
///
/// Ownership: no descriptors.
///
/// Returns 0, or -1 with errno EINVAL (p as for fdpasser_fileno(), or count is not above 0).
///
/// Blocking: no, and nothing is received.
///
/// Threads and fork: as fdpasser_new().
#[no_mangle]
pub unsafe extern "C" fn fdpasser_push_recv(p: *mut fdpasser, count: c_int) -> c_int {
    guard(|| {
        // SAFETY: the caller vouches for p.
        let passer = unsafe { passer_mut(p) }?;
        match usize::try_from(count) {
            Ok(count) if count > 0 => passer.push_recv(count),
            _ => return Err(Errno::EINVAL),
        }
        Ok(0)
    })
}

/// What to poll the passer for at the moment: POLLIN, POLLOUT, both or 0. If it is 0 do not poll it
/// at all (with poll(2), give -1 for its descriptor): POLLHUP comes without being asked for.
///
/// Ownership: no descriptors.
///
/// Returns the events, or -1 with errno EINVAL (p as for fdpasser_fileno()).
///
/// Blocking: no.
///
/// Threads and fork: as fdpasser_new().
#[no_mangle]
pub unsafe extern "C" fn fdpasser_events(p: *const fdpasser) -> c_int {
    guard(|| {
        // SAFETY: the caller vouches for p.
        let events = unsafe { passer(p) }?.events();
        let readable = if events.readable { libc::POLLIN } else { 0 };
        let writable = if events.writable { libc::POLLOUT } else { 0 };
        Ok(c_int::from(readable | writable))
    })
}

/// How many milliseconds from now to call fdpasser_process() although the passer is not ready: 0 if
/// fdpasser_next_fd() has something, or there is work left or something to be told; more while a
/// direction pauses, because the table is full or too many descriptors are in flight; -1 if there
/// is no need. That is what poll(2) takes.
///
/// Ownership: no descriptors.
///
/// Returns the time, or -1; if p is as for fdpasser_fileno(), with errno EINVAL.
///
/// Blocking: no.
///
/// Threads and fork: as fdpasser_new().
#[no_mangle]
pub unsafe extern "C" fn fdpasser_timeout_ms(p: *const fdpasser) -> c_int {
    guard(|| {
        // SAFETY: the caller vouches for p.
        let timeout = unsafe { passer(p) }?.timeout();
        // Rounded up: woken a little too early, there would be nothing to do yet.
        Ok(timeout.map_or(-1, |time: Duration| {
            c_int::try_from(time.as_micros().div_ceil(1000)).unwrap_or(c_int::MAX)
        }))
    })
}

/// Sends and receives what it can without waiting: in each direction that revents (what poll(2)
/// found: POLLIN, POLLOUT, POLLHUP, POLLERR) says is ready, and in those for which
/// fdpasser_timeout_ms() is over. Called when there is nothing to do, or too early, it changes
/// nothing. One call moves about 100 descriptors in each direction at most.
///
/// Before the end or an error is told, all that was asked for and has reached this end is handed
/// out by fdpasser_next_fd(); as long as it has any, this returns 1.
///
/// A full table, too many descriptors in flight and a shortage of memory are no errors: the
/// direction pauses.
///
/// Ownership: descriptors that were sent are closed. One that cannot be sent is the caller's again
/// if it calls fdpasser_refused(). All others are the object's, also after an error.
///
/// Returns 1: go on. 0: the peer has shut down in good order, all that it sent was handed out, and
/// all that was queued for it is sent (if it only stopped sending, more may be pushed). -1 with
/// errno. For one descriptor, if fdpasser_refused() says so, and the passer goes on: EINVAL,
/// EOPNOTSUPP (its kind cannot be sent, such as io_uring), EPERM (refused by a security module or
/// the peer). For the passer, final and the same at each further call: EPIPE, ECONNRESET (the peer
/// is gone; ECONNREFUSED on a datagram socket), EBADMSG (a byte came without a descriptor),
/// ENOTRECOVERABLE (the kernel destroyed descriptors of a message), ENOTCONN, ENOTSOCK, EAFNOSUPPORT
/// (no connected local socket), EBADF (a descriptor was closed behind the object's back), EINVAL
/// (also: p as for fdpasser_fileno()).
///
/// Blocking: no.
///
/// Threads and fork: as fdpasser_new().
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
        // All other bits are a kind of end, which is found by trying.
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

/// After fdpasser_process() failed: was it about one descriptor, and which?
///
/// Ownership: the descriptor is the caller's again, under the number that it was pushed with. If
/// this is not called it is closed by the next fdpasser_process() or fdpasser_free().
///
/// Returns the descriptor that could not be sent, once; or -1 if there is none, which leaves errno as
/// fdpasser_process() set it: the error was the passer's, and final. EINVAL: p is NULL.
///
/// Blocking: no.
///
/// Threads and fork: as fdpasser_new().
#[no_mangle]
pub unsafe extern "C" fn fdpasser_refused(p: *mut fdpasser) -> c_int {
    guard(|| {
        // SAFETY: the caller vouches for p.
        let refused = unsafe { object(p) }?.refused.take();
        Ok(refused.map_or(-1, number))
    })
}

/// Takes the next of the descriptors that were received, if it was asked for.
///
/// Ownership: on success the caller owns the descriptor; on failure there is none.
///
/// Returns the descriptor, never 0, 1 or 2, or -1 with errno EAGAIN (there is none now; how it
/// stands with the passer, fdpasser_process() says) or EINVAL (p as for fdpasser_fileno()).
///
/// Blocking: no.
///
/// Threads and fork: as fdpasser_new().
#[no_mangle]
pub unsafe extern "C" fn fdpasser_next_fd(p: *mut fdpasser) -> c_int {
    guard(|| {
        // SAFETY: the caller vouches for p.
        let next = unsafe { passer_mut(p) }?.next_fd();
        next.map(number).ok_or(Errno::EAGAIN)
    })
}

/// How many descriptors are queued and not yet sent.
///
/// Ownership: no descriptors.
///
/// Returns the number, or -1 with errno EINVAL (p as for fdpasser_fileno()).
///
/// Blocking: no.
///
/// Threads and fork: as fdpasser_new().
#[no_mangle]
pub unsafe extern "C" fn fdpasser_queued(p: *const fdpasser) -> c_int {
    guard(|| {
        // SAFETY: the caller vouches for p.
        let queued = unsafe { passer(p) }?.queued();
        Ok(c_int::try_from(queued).unwrap_or(c_int::MAX))
    })
}

/// Is all that was pushed sent, and has the peer received it? On Linux the kernel knows.
///
/// Ownership: no descriptors.
///
/// Returns 1 if so, also if the peer closed its end without receiving them (which
/// fdpasser_process() reports as ECONNRESET); 0 if not yet; or -1 with errno EOPNOTSUPP (the system
/// does not tell), ENOTSOCK (the passer is no socket) or EINVAL (it is not connected; also: p as for
/// fdpasser_fileno()). There is no event for it: look again after a while, or let the peer answer.
///
/// Blocking: no.
///
/// Threads and fork: as fdpasser_new().
#[no_mangle]
pub unsafe extern "C" fn fdpasser_drained(p: *const fdpasser) -> c_int {
    guard(|| {
        // SAFETY: the caller vouches for p.
        let drained = unsafe { passer(p) }?.drained();
        drained.map(c_int::from)
    })
}

/// Puts an object on the heap, and `end` into it only when there is room.
fn make(end: impl FnOnce() -> End) -> Result<*mut fdpasser, Errno> {
    // Box::new would abort for want of memory.
    let mut room = Vec::new();
    room.try_reserve_exact(1).map_err(|_| Errno::ENOMEM)?;
    room.push(fdpasser {
        end: end(),
        refused: None,
    });
    // One object on the heap is the same to the allocator as an array of one.
    Ok(Box::into_raw(room.into_boxed_slice()).cast())
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

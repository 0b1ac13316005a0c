//! Sending and receiving: a descriptor is with the sender, in the kernel or with the receiver, and
//! never lost, doubled, leaked or mistaken on the way.
//!
//! One message is one NUL byte with descriptors attached, one of them unless the caller asks for
//! more. Receiving takes messages of every size.

use crate::error::{DESTROYED, NO_DESCRIPTOR, TOO_MANY};
use crate::sys::{self, table::all_above_stdio, Fds, Wait};
use nix::errno::Errno;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// No message carries more descriptors than this. (Linux carries as many, other systems fewer, and
/// STREAMS one.)
pub const MAX_PER_MESSAGE: usize = 253;

const _: () = assert!(sys::MAX_PER_MESSAGE <= MAX_PER_MESSAGE);

/// Sends one descriptor. Waits for room in the socket if the passer is in blocking mode.
///
/// # Errors
/// EAGAIN: the socket is full and the passer non-blocking. EINTR: a signal came while waiting.
/// EPIPE, ECONNRESET, or ECONNREFUSED of a datagram socket: the peer is gone. ENOTCONN: the passer is
/// not connected. ETOOMANYREFS, ENOBUFS, ENOMEM: try again later, see [`retry`](crate::retry). EINVAL,
/// EOPNOTSUPP, EPERM: this descriptor cannot be sent (io_uring, or refused by the peer); the next one
/// can. ENOTSOCK, EAFNOSUPPORT: the passer is no local socket. Nothing was sent in any of these cases.
pub fn send_fd(passer: impl AsFd, fd: impl AsFd) -> io::Result<()> {
    Ok(sys::send(passer.as_fd(), &[fd.as_fd()], Wait::AsPasser)?)
}

/// Sends `fds` in order, `per_message` (0 means 1) in each message, or as many as one message carries on
/// this system if that is less, and says how many were sent.
///
/// Only a peer that receives with this library, or otherwise expects several descriptors in a
/// message, understands a `per_message` above 1. A descriptor that the system refuses goes into no
/// message: those before it are sent, and it is the first of the rest.
///
/// # Errors
/// As [`send_fd`], when not even the first was sent; an error behind the first shows as a smaller
/// number, and again at the next call if it lasts. EINVAL also: `per_message` is above
/// [`MAX_PER_MESSAGE`].
pub fn send_fds(
    passer: impl AsFd,
    fds: &[BorrowedFd<'_>],
    per_message: usize,
) -> io::Result<usize> {
    Ok(send(passer.as_fd(), fds, per_message, Wait::AsPasser)?)
}

/// As [`send_fds`], but never waits, whatever mode the passer is in.
///
/// # Errors
/// As [`send_fds`]. EAGAIN: the socket is full.
pub fn try_send_fds(
    passer: impl AsFd,
    fds: &[BorrowedFd<'_>],
    per_message: usize,
) -> io::Result<usize> {
    Ok(send(passer.as_fd(), fds, per_message, Wait::Never)?)
}

/// Receives one descriptor; `None` when the peer has shut down in good order. Waits for one if the
/// passer is in blocking mode, for as long as its SO_RCVTIMEO says.
///
/// # Errors
/// EAGAIN: nothing has arrived and the passer is non-blocking, or SO_RCVTIMEO ran out. EINTR: a
/// signal came while waiting. EMFILE: a descriptor waits but there is no free slot from 3 up,
/// or the soft limit is 0, with which nothing can be waited for; nothing was consumed. EBADMSG: a
/// byte came without a descriptor; it was consumed. EMSGSIZE: a message with more than one descriptor came; all were closed. ENOTRECOVERABLE: the kernel
/// destroyed descriptors of the message, because another thread took the last slots or a security
/// module refused them. ECONNRESET: the peer closed without having read all that was sent to it;
/// what it had sent before comes first. ENOTSOCK, EINVAL: the passer is no connected socket.
pub fn recv_fd(passer: impl AsFd) -> io::Result<Option<OwnedFd>> {
    let mut fds = Fds::new();
    recv(passer.as_fd(), 1, &mut fds, Wait::AsPasser)?;
    Ok(fds.pop())
}

/// Receives all descriptors of the next message, in order, appends them to `fds`, and says how many;
/// 0 when the peer has shut down in good order. Waits as [`recv_fd`] does.
///
/// # Errors
/// As [`recv_fd`], but never EMSGSIZE.
pub fn recv_fds(passer: impl AsFd, fds: &mut impl Extend<OwnedFd>) -> io::Result<usize> {
    recv_into(passer.as_fd(), fds, Wait::AsPasser)
}

/// As [`recv_fds`], but never waits, whatever mode the passer is in.
///
/// # Errors
/// As [`recv_fds`]. EAGAIN: nothing has arrived.
pub fn try_recv_fds(passer: impl AsFd, fds: &mut impl Extend<OwnedFd>) -> io::Result<usize> {
    recv_into(passer.as_fd(), fds, Wait::Never)
}

/// Why [`try_recv_messages`] took no more.
#[derive(Debug)]
pub enum Stop {
    /// It took as many messages as it was asked for.
    Enough,
    /// The peer has shut down in good order.
    Shutdown,
    /// EAGAIN: there is nothing more for now. Otherwise as [`recv_fds`]. This comes after the
    /// descriptors that were received, and may not be said again.
    Error(io::Error),
}

/// Receives up to `messages` messages without waiting and appends their descriptors, in order, to
/// `fds`. One look at the descriptor table serves as many of them as it can, which saves system calls.
pub fn try_recv_messages(passer: impl AsFd, messages: usize, fds: &mut Vec<OwnedFd>) -> Stop {
    recv_messages(passer.as_fd(), messages, usize::MAX, |fd| fds.push(fd))
}

fn recv_into(
    passer: BorrowedFd<'_>,
    into: &mut impl Extend<OwnedFd>,
    wait: Wait,
) -> io::Result<usize> {
    let mut fds = Fds::new();
    recv(passer, MAX_PER_MESSAGE, &mut fds, wait)?;
    let count = fds.len();
    into.extend(fds);
    Ok(count)
}

pub(crate) fn send(
    passer: BorrowedFd<'_>,
    fds: &[BorrowedFd<'_>],
    per_message: usize,
    wait: Wait,
) -> Result<usize, Errno> {
    let mut per_message = match per_message {
        0 => 1,
        n if n <= sys::MAX_PER_MESSAGE => n,
        n if n <= MAX_PER_MESSAGE => sys::MAX_PER_MESSAGE,
        _ => return Err(Errno::EINVAL),
    };
    let mut sent = 0;
    while sent < fds.len() {
        let message = &fds[sent..fds.len().min(sent + per_message)];
        match sys::send(passer, message, wait) {
            Ok(()) => sent += message.len(),
            // One of them is refused: singly, the good ones before it go out and it comes first.
            Err(error) if message.len() > 1 && refuses_one(error) => per_message = 1,
            Err(error) if sent == 0 => return Err(error),
            Err(_) => break,
        }
    }
    Ok(sent)
}

/// Errors that one descriptor in a message causes, not the passer.
pub(crate) fn refuses_one(error: Errno) -> bool {
    matches!(
        error,
        Errno::EBADF | Errno::EINVAL | Errno::EOPNOTSUPP | Errno::EPERM
    )
}

/// Receives one message of at most `max` descriptors; none at orderly shutdown.
pub(crate) fn recv(
    passer: BorrowedFd<'_>,
    max: usize,
    fds: &mut Fds,
    wait: Wait,
) -> Result<(), Errno> {
    loop {
        match prove_room(passer, 1).and_then(|_| take(passer, max, fds)) {
            // Whatever was proven before a sleep is stale after it, so start over.
            Err(Errno::EAGAIN) if wait == Wait::AsPasser => sys::wait_readable(passer)?,
            result => return result,
        }
    }
}

/// `try_recv_messages` for whoever takes the descriptors one by one, and takes no further message once
/// there are `enough`. `into` opens none: what is proven for one message must still hold for the next.
pub(crate) fn recv_messages(
    passer: BorrowedFd<'_>,
    messages: usize,
    mut enough: usize,
    mut into: impl FnMut(OwnedFd),
) -> Stop {
    let mut fds = Fds::new();
    // What is proven is slots, and a message takes no more of them than it has descriptors: most have
    // one, so that a proof lasts for many.
    let mut slots = 0;
    for left in (1..=messages).rev() {
        if slots < MAX_PER_MESSAGE {
            slots = match prove_room(passer, left) {
                Ok(room) => room * MAX_PER_MESSAGE,
                Err(error) => return Stop::Error(error.into()),
            };
        }
        match take(passer, MAX_PER_MESSAGE, &mut fds) {
            Ok(()) if fds.is_empty() => return Stop::Shutdown,
            Ok(()) => {}
            Err(error) => return Stop::Error(error.into()),
        }
        slots -= fds.len();
        enough = enough.saturating_sub(fds.len());
        fds.drain(..).for_each(&mut into);
        if enough == 0 {
            break;
        }
    }
    Stop::Enough
}

/// For how many messages, from one up, there is room. With no free slot the kernel would deliver a
/// message's byte and destroy its descriptors, so nothing may come between this and the receiving.
/// What a rehearsal proves is the next message, which has at least one descriptor if it has any: what
/// is left of the one message's slots is never enough for another.
fn prove_room(passer: BorrowedFd<'_>, messages: usize) -> Result<usize, Errno> {
    match sys::room_for_messages(messages) {
        0 => sys::rehearse(passer).map(|()| 1),
        room => Ok(room),
    }
}

fn take(passer: BorrowedFd<'_>, max: usize, fds: &mut Fds) -> Result<(), Errno> {
    let message = sys::receive(passer, fds)?;

    // All of it is ours from here on, and is closed if the verdict goes against it.
    let verdict = if message.truncated {
        Err(DESTROYED)
    } else if fds.is_empty() && message.bytes > 0 {
        Err(NO_DESCRIPTOR)
    } else if fds.len() > max {
        Err(TOO_MANY)
    } else {
        // There was room when we looked: if there is none now, somebody else took it since.
        all_above_stdio(fds).map_err(|_| DESTROYED)
    };
    verdict.inspect_err(|_| fds.clear())
}

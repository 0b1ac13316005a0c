// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sending and receiving: a descriptor is with the sender, in the kernel or with the receiver. On the way it is
//! never lost, doubled, leaked or mistaken.
//!
//! One message is one NUL byte with descriptors attached: one descriptor, unless the caller asks for more.
//! Receiving takes messages of every size, and drops all bytes.

use crate::error::{DESTROYED, NO_DESCRIPTOR, TOO_MANY};
use crate::sys::wait::Waits;
use crate::sys::{self, table::all_above_stdio};
use nix::errno::Errno;
use std::os::fd::{BorrowedFd, OwnedFd};

pub(crate) use crate::sys::{wait::Wait, Fds};

/// No message carries more descriptors than this. (Linux carries as many, OpenBSD 127, and STREAMS one.)
pub const MAX_PER_MESSAGE: usize = 253;

/// No message has more bytes than this.
#[cfg_attr(
    fdpasser_sysv,
    allow(dead_code, reason = "there a message has one byte")
)]
pub(crate) const MAX_DATA: usize = 4096;

const _: () = assert!(sys::MAX_PER_MESSAGE <= MAX_PER_MESSAGE);

// --- sending -------------------------------------------------------------------------------------

pub(crate) fn send_one(
    passer: BorrowedFd<'_>,
    fd: BorrowedFd<'_>,
    wait: Wait,
) -> Result<(), Errno> {
    sys::must_be_local(passer)?;
    // The kernel applies SO_SNDTIMEO to this one message, which is the whole call.
    let may_wait = wait == Wait::AsPasser;
    let mut waits = Waits::new(wait);
    loop {
        match sys::send(passer, &[fd], may_wait) {
            Err(Errno::EAGAIN) if !may_wait => waits.wait_writable(passer)?,
            result => return result,
        }
    }
}

/// Sends `fds` in order, in messages of `per_message` (0 means 1), and says how many were sent.
pub(crate) fn send(
    passer: BorrowedFd<'_>,
    fds: &[BorrowedFd<'_>],
    per_message: usize,
    wait: Wait,
) -> Result<usize, Errno> {
    if per_message > MAX_PER_MESSAGE {
        return Err(Errno::EINVAL);
    }
    if fds.is_empty() {
        return Ok(0);
    }
    sys::must_be_local(passer)?;
    send_over_local(passer, fds, per_message, wait)
}

/// [`send`] over what is known to be a local socket.
pub(crate) fn send_over_local(
    passer: BorrowedFd<'_>,
    fds: &[BorrowedFd<'_>],
    per_message: usize,
    wait: Wait,
) -> Result<usize, Errno> {
    let mut per_message = per_message.clamp(1, sys::MAX_PER_MESSAGE);
    let mut waits = match wait {
        Wait::AsPasser if fds.len() > 1 => Waits::starting_now(wait),
        _ => Waits::new(wait),
    };
    let mut sent = 0;
    while sent < fds.len() {
        let message = &fds[sent..fds.len().min(sent + per_message)];
        // The kernel applies SO_SNDTIMEO to each message anew. That is right for the first one. After it we wait
        // ourselves, so that the timeout bounds the whole call.
        let may_wait = wait == Wait::AsPasser && (sent == 0 || waits.in_kernel());
        let result = match sys::send(passer, message, may_wait) {
            Err(Errno::EAGAIN) if !may_wait => match waits.wait_writable(passer) {
                Ok(()) => continue,
                Err(error) => Err(error),
            },
            result => result,
        };
        match result {
            Ok(()) => sent += message.len(),
            // One of them is refused. Singly, those before it are sent, and it becomes the first of the rest.
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

// --- receiving -----------------------------------------------------------------------------------

/// Receives one message of at most `max` descriptors; none at orderly shutdown.
pub(crate) fn recv(
    passer: BorrowedFd<'_>,
    max: usize,
    fds: &mut Fds,
    wait: Wait,
) -> Result<(), Errno> {
    let mut waits = Waits::new(wait);
    loop {
        match prove_room(passer).and_then(|()| take(passer, max, fds)) {
            // Whatever was proven before a sleep is stale after it, so start over.
            Err(Errno::EAGAIN) if wait != Wait::Never => waits.wait_readable(passer)?,
            result => return result,
        }
    }
}

/// Why [`recv_messages`] took no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// There are enough.
    Enough,
    /// The peer has shut down in good order.
    Shutdown,
}

/// Receives messages without waiting until there are `enough` descriptors. The last message may bring a surplus.
///
/// `into` gets the descriptors, also those in front of an error, and must not open any: what is proven for one
/// message must still hold for the next.
pub(crate) fn recv_messages(
    passer: BorrowedFd<'_>,
    mut enough: usize,
    mut into: impl FnMut(OwnedFd),
) -> Result<Taken, Errno> {
    let mut ask_for = enough;
    while enough > 0 {
        // Once the table has shown no room, it is not asked again.
        ask_for = match ask_for.min(enough) {
            0 => 0,
            most => sys::room_for_messages(most),
        };
        if ask_for == 0 {
            sys::rehearse(passer)?;
        }
        // A rehearsal proves room for one message only. To count it as MAX_PER_MESSAGE slots is safe all the same: a
        // message takes at least one of them, so what is left is too few for another.
        let slots = ask_for.max(1) * MAX_PER_MESSAGE;
        if take_several(passer, slots, &mut enough, &mut into)? == Taken::Shutdown {
            return Ok(Taken::Shutdown);
        }
    }
    Ok(Taken::Enough)
}

/// Takes as many messages as the proven slots certainly are enough for. A message takes no more of them than it has
/// descriptors. Most have one, so a proof lasts for many.
#[inline(never)] // the descriptors are not on the stack while room is proven
fn take_several(
    passer: BorrowedFd<'_>,
    mut slots: usize,
    enough: &mut usize,
    into: &mut impl FnMut(OwnedFd),
) -> Result<Taken, Errno> {
    let mut fds = Fds::new();
    while slots >= MAX_PER_MESSAGE && *enough > 0 {
        take(passer, MAX_PER_MESSAGE, &mut fds)?;
        if fds.is_empty() {
            return Ok(Taken::Shutdown);
        }
        slots -= fds.len();
        *enough = enough.saturating_sub(fds.len());
        fds.drain(..).for_each(&mut *into);
    }
    Ok(Taken::Enough)
}

/// Makes sure that there is room for a message. With no free slot the kernel would deliver a message's byte and
/// destroy its descriptors, so nothing may come between this and the receiving.
fn prove_room(passer: BorrowedFd<'_>) -> Result<(), Errno> {
    match sys::room_for_messages(1) {
        0 => sys::rehearse(passer),
        _ => Ok(()),
    }
}

fn take(passer: BorrowedFd<'_>, max: usize, fds: &mut Fds) -> Result<(), Errno> {
    let message = sys::receive(passer, fds)?;

    // All of it is ours from here on, and is closed if the verdict goes against it.
    let verdict = if message.truncated {
        Err(DESTROYED)
    } else if fds.is_empty() && message.bytes > 0 {
        Err(NO_DESCRIPTOR)
    } else if message.too_long || fds.len() > max {
        Err(TOO_MANY)
    } else {
        // There was room when we looked. If there is none now, another thread has taken it since.
        all_above_stdio(fds).map_err(|_| DESTROYED)
    };
    verdict.inspect_err(|_| fds.clear())
}

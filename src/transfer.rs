// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sending and receiving: a descriptor is with the sender, in the kernel or with the receiver. On the way it is
//! never lost, doubled, leaked or mistaken.
//!
//! One message is one NUL byte with descriptors attached: one descriptor, unless the caller asks for more. Other bytes are
//! the message's data. Receiving takes messages of every size, and drops the data unless the caller asks for it.

use crate::error::{DESTROYED, NO_DESCRIPTOR, TOO_MANY};
use crate::sys::wait::Waits;
use crate::sys::{self, table::all_above_stdio, Kind, Message};
use nix::errno::Errno;
use std::os::fd::BorrowedFd;

pub(crate) use crate::sys::{wait::Wait, Fds};

/// No message carries more descriptors than this. (Linux carries as many, and some systems fewer.)
pub const MAX_PER_MESSAGE: usize = 253;

/// No message has more bytes of data than this.
pub const MAX_DATA: usize = 4096;

/// The byte that carries the descriptors of a message without data: a message of no bytes would carry nothing.
const NUL: &[u8] = &[0];

/// What a message with this data has in it. A lone NUL is no data.
pub(crate) fn bytes_of(data: &[u8]) -> &[u8] {
    if data.is_empty() {
        NUL
    } else {
        data
    }
}

/// The data of a message with these bytes.
pub(crate) fn data_of(bytes: &[u8]) -> &[u8] {
    if bytes == NUL {
        &[]
    } else {
        bytes
    }
}

const _: () = assert!(sys::MAX_PER_MESSAGE <= MAX_PER_MESSAGE);

// --- sending -------------------------------------------------------------------------------------

pub(crate) fn send_one(
    passer: BorrowedFd<'_>,
    fd: BorrowedFd<'_>,
    wait: Wait,
) -> Result<(), Errno> {
    send_message(passer, &[fd], NUL, wait)
}

/// Sends one message with all of `fds`, and with `data` if that is not empty.
pub(crate) fn send_message(
    passer: BorrowedFd<'_>,
    fds: &[BorrowedFd<'_>],
    data: &[u8],
    wait: Wait,
) -> Result<(), Errno> {
    if fds.is_empty() {
        return Err(Errno::EINVAL);
    }
    if data.len() > MAX_DATA {
        return Err(Errno::EMSGSIZE);
    }
    sys::must_be_local(passer)?;
    send_message_over_local(passer, fds, data, wait)
}

/// [`send_message`] over what is known to be a local socket, with at least one descriptor, and not too much data.
pub(crate) fn send_message_over_local(
    passer: BorrowedFd<'_>,
    fds: &[BorrowedFd<'_>],
    data: &[u8],
    wait: Wait,
) -> Result<(), Errno> {
    // The kernel applies SO_SNDTIMEO to this one message, which is the whole call.
    let may_wait = wait == Wait::AsPasser;
    let mut waits = match sys::FULL_DESPITE_WAITING {
        true => Waits::starting_now(wait),
        false => Waits::new(wait),
    };
    loop {
        match sys::send(passer, fds, bytes_of(data), may_wait) {
            Err(Errno::EAGAIN) if !may_wait || sys::FULL_DESPITE_WAITING => {
                waits.wait_writable(passer)?
            }
            result => return result,
        }
    }
}

/// Sends `fds` in order, in messages of `per_message` (0 means 1), and says how many were sent. Asks whether the socket is
/// local unless that is known.
pub(crate) fn send(
    passer: BorrowedFd<'_>,
    fds: &[BorrowedFd<'_>],
    per_message: usize,
    known_as_local: bool,
    wait: Wait,
) -> Result<usize, Errno> {
    if per_message > MAX_PER_MESSAGE {
        return Err(Errno::EINVAL);
    }
    if fds.is_empty() {
        return Ok(0);
    }
    if !known_as_local {
        sys::must_be_local(passer)?;
    }
    match fds {
        [_] => send_message_over_local(passer, fds, NUL, wait).map(|()| 1),
        _ => send_over_local(passer, fds, per_message, wait),
    }
}

/// [`send`] over what is known to be a local socket.
#[inline(always)] // each caller gets only what its way of waiting needs
pub(crate) fn send_over_local(
    passer: BorrowedFd<'_>,
    fds: &[BorrowedFd<'_>],
    per_message: usize,
    wait: Wait,
) -> Result<usize, Errno> {
    let mut per_message = per_message.clamp(1, sys::most_to_send());
    let mut waits = match wait {
        Wait::AsPasser if fds.len() > 1 || sys::FULL_DESPITE_WAITING => Waits::starting_now(wait),
        _ => Waits::new(wait),
    };
    let mut sent = 0;
    while sent < fds.len() {
        let message = &fds[sent..fds.len().min(sent + per_message)];
        // The kernel applies SO_SNDTIMEO to each message anew. That is right for the first one. After it we wait
        // ourselves, so that the timeout bounds the whole call.
        let may_wait = wait == Wait::AsPasser && (sent == 0 || waits.in_kernel());
        let result = match sys::send(passer, message, NUL, may_wait) {
            Err(Errno::EAGAIN) if !may_wait || sys::FULL_DESPITE_WAITING => {
                match waits.wait_writable(passer) {
                    Ok(()) => continue,
                    Err(error) => Err(error),
                }
            }
            result => result,
        };
        match result {
            Ok(()) => sent += message.len(),
            // One of them is refused, or they are too many. Singly, those before it are sent, and it becomes the first of
            // the rest.
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

/// Receives one message of at most `max` descriptors, and drops its data. None at orderly shutdown.
#[inline(always)] // likewise
pub(crate) fn recv(
    passer: BorrowedFd<'_>,
    max: usize,
    fds: &mut Fds,
    wait: Wait,
) -> Result<(), Errno> {
    recv_with(passer, wait, || take(passer, max, fds))
}

/// The same with the message's data, for which `data` has room, and `len` says how much it is. On EBADMSG it is the
/// bytes that came without a descriptor.
pub(crate) fn recv_message(
    passer: BorrowedFd<'_>,
    max: usize,
    fds: &mut Fds,
    data: &mut [u8],
    len: &mut usize,
    wait: Wait,
) -> Result<(), Errno> {
    *len = 0;
    let result = recv_with(passer, wait, || take_with_data(passer, max, fds, data, len));
    *len = match result {
        Ok(()) => data_of(&data[..*len]).len(),
        Err(NO_DESCRIPTOR) if sys::HAS_DATA => *len,
        Err(_) => 0,
    };
    result
}

#[inline(always)] // the usual call finds a message, or does not wait
fn recv_with(
    passer: BorrowedFd<'_>,
    wait: Wait,
    mut take: impl FnMut() -> Result<(), Errno>,
) -> Result<(), Errno> {
    match prove_room(passer).and_then(|()| take()) {
        Err(Errno::EAGAIN) if wait != Wait::Never => wait_and_recv(passer, wait, take),
        result => result,
    }
}

/// [`recv_with`] where there is nothing yet.
#[cold]
#[inline(never)]
fn wait_and_recv(
    passer: BorrowedFd<'_>,
    wait: Wait,
    mut take: impl FnMut() -> Result<(), Errno>,
) -> Result<(), Errno> {
    let mut waits = Waits::new(wait);
    let mut shut_down = false;
    loop {
        waits.wait_readable(passer)?;
        // Whatever was proven before a sleep is stale after it, so start over.
        match prove_room(passer).and_then(|()| take()) {
            Err(Errno::EAGAIN) if shut_down => return Ok(()),
            // Linux says EAGAIN of a datagram socket that was shut down here, and the socket polls readable for ever.
            Err(Errno::EAGAIN) => shut_down = sys::ends_with_eagain(passer)?,
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
/// `into` takes the descriptors of one message, also of those in front of an error, and must not open any: what is proven
/// for one message must still hold for the next.
pub(crate) fn recv_messages(
    passer: BorrowedFd<'_>,
    enough: usize,
    mut into: impl FnMut(&mut Fds),
) -> Result<Taken, Errno> {
    recv_messages_with(passer, enough, |fds| {
        take(passer, MAX_PER_MESSAGE, fds)?;
        let count = fds.len();
        into(fds);
        Ok(count)
    })
}

/// The same with data. `before` is called before each message, and returns room for the bytes of the longest one. `into`
/// takes the descriptors of a message, and is told how many bytes it had. If `into` fails, the descriptors are closed. On
/// EBADMSG `into` gets the bytes without descriptors.
pub(crate) fn recv_messages_with_data<B>(
    passer: BorrowedFd<'_>,
    enough: usize,
    keeper: &mut B,
    before: impl Fn(&mut B) -> Result<&mut [u8], Errno>,
    mut into: impl FnMut(&mut B, &mut Fds, usize) -> Result<(), Errno>,
) -> Result<Taken, Errno> {
    recv_messages_with(passer, enough, |fds| {
        let mut len = 0;
        let result = take_with_data(passer, MAX_PER_MESSAGE, fds, before(keeper)?, &mut len);
        let count = fds.len();
        match result {
            Ok(()) if count == 0 => {}
            Ok(()) | Err(NO_DESCRIPTOR) => {
                let kept = into(keeper, fds, len);
                fds.clear();
                kept?;
            }
            Err(_) => {}
        }
        result.map(|()| count)
    })
}

/// `take` takes one message, and says how many descriptors it had.
fn recv_messages_with(
    passer: BorrowedFd<'_>,
    mut enough: usize,
    mut take: impl FnMut(&mut Fds) -> Result<usize, Errno>,
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
        // A rehearsal proves room for one message only. To count it as SLOTS_PER_MESSAGE is safe all the same: a
        // message takes at least one of them, so what is left is too few for another.
        let slots = ask_for.max(1) * sys::SLOTS_PER_MESSAGE;
        if take_several(slots, &mut enough, &mut take)? == Taken::Shutdown {
            return Ok(Taken::Shutdown);
        }
    }
    Ok(Taken::Enough)
}

/// Takes as many messages as the proven slots certainly are enough for. A message takes no more of them than it has
/// descriptors. Most have one, so a proof lasts for many.
#[inline(never)] // the descriptors are not on the stack while room is proven
fn take_several(
    mut slots: usize,
    enough: &mut usize,
    take: &mut impl FnMut(&mut Fds) -> Result<usize, Errno>,
) -> Result<Taken, Errno> {
    let mut fds = Fds::new();
    while slots >= sys::SLOTS_PER_MESSAGE && *enough > 0 {
        let count = take(&mut fds)?;
        if count == 0 {
            return Ok(Taken::Shutdown);
        }
        slots -= count;
        *enough = enough.saturating_sub(count);
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
    // By reference: a copy would take as many instructions as the verdict.
    let message = &sys::receive(passer, fds);
    let message = message.as_ref().map_err(|error| *error)?;
    judge(passer, message, max, fds)
}

fn take_with_data(
    passer: BorrowedFd<'_>,
    max: usize,
    fds: &mut Fds,
    data: &mut [u8],
    len: &mut usize,
) -> Result<(), Errno> {
    let message = &sys::receive_with_data(passer, fds, data);
    let message = message.as_ref().map_err(|error| *error)?;
    if message.bytes > MAX_DATA {
        // On a stream there is no telling what belongs to which message, also if no descriptor came.
        fds.clear();
        return Err(TOO_MANY);
    }
    *len = message.bytes;
    judge(passer, message, max, fds)
}

/// All descriptors of the message are ours, and are closed if the verdict goes against it.
#[inline(always)] // two instructions for the usual message
fn judge(
    passer: BorrowedFd<'_>,
    message: &Message,
    max: usize,
    fds: &mut Fds,
) -> Result<(), Errno> {
    let whole = !message.truncated && !message.too_long;
    if whole && !fds.is_empty() && fds.len() <= max && all_above_stdio(fds).is_ok() {
        return Ok(());
    }
    let verdict = verdict(passer, message, max, fds.len());
    fds.clear();
    verdict
}

/// On a message with these many descriptors that is not simply good.
#[cold]
fn verdict(
    passer: BorrowedFd<'_>,
    message: &Message,
    max: usize,
    count: usize,
) -> Result<(), Errno> {
    if message.truncated {
        Err(DESTROYED)
    } else if count == 0 {
        match message.bytes == 0 && sys::kind(passer) != Kind::Datagrams {
            true => Ok(()), // the end of file
            false => Err(NO_DESCRIPTOR),
        }
    } else if message.too_long || count > max {
        Err(TOO_MANY)
    } else {
        // There was room above standard error when we looked. Another thread has taken it since.
        Err(DESTROYED)
    }
}

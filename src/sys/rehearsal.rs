// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether the next message fits, where the table is too full for the proof of `room`: a look at the message,
//! which consumes nothing.

use super::table;
use super::unix_socket::keep_in_line;
#[cfg(peek_installs)]
use super::{
    scm::{self, Room},
    unix_socket::peek_from_start,
    wait::is_ready,
    Fds, Message,
};
use nix::errno::Errno;
#[cfg(peek_installs)]
use nix::poll::{PollFlags, PollTimeout};
#[cfg(not(peek_installs))]
use nix::sys::socket::{recv, MsgFlags};
#[cfg(not(peek_installs))]
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;

/// EMFILE if the next message may not fit. `Ok` if it fits, or if nothing waits that needs a slot.
///
/// A look installs duplicates of the message's descriptors, as many as find a slot. It is the proof if all did. The
/// duplicates are closed again at once. Most messages have one descriptor, so the first look is for one, and says
/// MSG_CTRUNC if there are more.
///
/// With several receivers on one end, another one may take this message before we do, and the next may be
/// larger. Then, and only in a table that is nearly full, the kernel can destroy what does not fit. `receive`
/// reports that.
#[cfg(peek_installs)]
#[inline(never)] // its buffers and those of `receive` are not needed at the same time
pub(crate) fn rehearse(passer: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut fds = Fds::new();
    if cfg!(peek_installs_all_or_none) {
        // It fails with EMFILE if the message does not fit.
        return look(passer, Room::ForAll, &mut fds).map(drop);
    }
    let first = match look(passer, Room::For(1), &mut fds) {
        // A look passes out-of-band bytes by, though they keep the passer readable. In line they are bytes
        // like others. Otherwise a hostile peer's would make the caller spin.
        Err(Errno::EAGAIN) if is_ready(passer, PollFlags::POLLIN, PollTimeout::ZERO)? => {
            keep_in_line(passer);
            look(passer, Room::For(1), &mut fds)?
        }
        result => result?,
    };
    if first.truncated {
        if fds.is_empty() && first.bytes > 0 {
            // Without a free slot it does not fit, whatever it is. (The end of file may be truncated too: credentials come
            // with it, and this look has no room for them.)
            table::one_free_slot(passer)?;
        }
        fds.clear();
        return rehearse_several(passer, &mut fds);
    }
    match fds.len() {
        0 if first.bytes == 0 => Ok(()), // the end of file
        // Not every kernel says MSG_CTRUNC if there was no slot (gVisor does not), so a byte that comes alone may
        // have a descriptor. If a slot is free, it has none.
        0 => table::one_free_slot(passer),
        _ => Ok(()),
    }
}

/// The same for a message that may have more than one descriptor.
#[cfg(peek_installs)]
fn rehearse_several(passer: BorrowedFd<'_>, fds: &mut Fds) -> Result<(), Errno> {
    let message = look(passer, Room::ForAll, fds)?;
    let shown = fds.len();
    if shown == 0 && message.bytes == 0 && !message.truncated {
        return Ok(());
    }
    match table::one_free_slot(passer) {
        // There was a slot for one more, so what is missing was refused by a security module. Waiting for more free
        // slots would be waiting for ever.
        Ok(()) => return Ok(()),
        Err(Errno::EMFILE) if shown == 0 || message.truncated => return Err(Errno::EMFILE),
        Err(Errno::EMFILE) => {}
        Err(error) => return Err(error),
    }
    // No slot is free now, so a second look cannot install anything. If the kernel sets MSG_CTRUNC for that, it
    // reports missing slots. The first look had no MSG_CTRUNC, so it was complete, and the message fits.
    peek_from_start(passer);
    let again = scm::peek(passer, Room::ForAll, fds)?;
    if again.truncated || fds.len() >= 2 * shown {
        return Ok(());
    }
    // gVisor does not set it for that. It reports only a control buffer that is too small. So look again with a buffer for
    // exactly as many descriptors as were shown. With MSG_CTRUNC the message has more.
    fds.clear();
    match look(passer, Room::For(shown), fds)?.truncated {
        true => Err(Errno::EMFILE),
        false => Ok(()),
    }
}

/// Looks at the first message, whatever SO_PEEK_OFF says, with the descriptors from 3 up.
#[cfg(peek_installs)]
fn look(passer: BorrowedFd<'_>, room: Room, fds: &mut Fds) -> Result<Message, Errno> {
    peek_from_start(passer);
    let message = scm::peek(passer, room, fds)?;
    table::all_above_stdio(fds)?;
    Ok(message)
}

/// EMFILE if there is no free slot and bytes wait, which a descriptor may come with.
///
/// What MSG_PEEK shows on these systems are no descriptors of ours, so the look is made without a control
/// buffer. It tells bytes from nothing and from the end.
#[cfg(not(peek_installs))]
pub(crate) fn rehearse(passer: BorrowedFd<'_>) -> Result<(), Errno> {
    let full = match table::one_free_slot(passer) {
        Err(Errno::EMFILE) => Errno::EMFILE,
        result => return result,
    };
    let mut byte = [0u8; 1];
    let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
    match recv(passer.as_raw_fd(), &mut byte, flags) {
        Ok(0) => Ok(()),
        Ok(_) => Err(full),
        Err(Errno::EAGAIN) => {
            keep_in_line(passer);
            Ok(())
        }
        Err(error) => Err(error),
    }
}

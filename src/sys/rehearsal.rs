// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether the next message fits, where the table is too full for the proof of `room`: a look at the message,
//! which consumes nothing.

use super::table;
use super::unix_socket::all_in_line;
#[cfg(peek_installs)]
use super::{scm, unix_socket::peek_from_start, wait::is_ready, Fds};
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
/// The look installs duplicates of the message's descriptors, as many as find a slot. It is the proof if all
/// did. The duplicates are closed again at once.
///
/// With several receivers on one end, another one may take this message before we do, and the next may be
/// larger. Then, and only in a table that is nearly full, the kernel can destroy what does not fit. `receive`
/// reports that.
#[cfg(peek_installs)]
#[inline(never)] // its buffers and those of `receive` are not needed at the same time
pub(crate) fn rehearse(passer: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut fds = Fds::new();
    peek_from_start(passer);
    let message = match scm::peek(passer, &mut fds) {
        // A look passes out-of-band bytes by, though they keep the passer readable. In line they are bytes
        // like others. Otherwise a hostile peer's would make the caller spin.
        Err(Errno::EAGAIN) if is_ready(passer, PollFlags::POLLIN, PollTimeout::ZERO)? => {
            all_in_line(passer);
            scm::peek(passer, &mut fds)?
        }
        result => result?,
    };
    table::all_above_stdio(&mut fds)?;
    match fds.len() {
        0 if message.bytes == 0 => Ok(()), // the end of file
        // Some kernels do not set MSG_CTRUNC (gVisor). So a byte that comes alone in a full table may come with
        // descriptors that found no slot. Where a slot is free, none came.
        0 => table::one_free_slot(passer),
        // MSG_CTRUNC is a full table, or a security module that refused a descriptor. In the second case
        // waiting for a free slot would be waiting for ever.
        _ if message.truncated => table::one_free_slot(passer),
        // The corner that remains on such a kernel: one slot is free, and the message has more than one. It looks
        // like a message of one, which has to arrive.
        1 => Ok(()),
        shown => match table::one_free_slot(passer) {
            Err(Errno::EMFILE) if sees_truncation(passer, &mut fds, shown)? => Ok(()),
            result => result,
        },
    }
}

/// Whether a look without MSG_CTRUNC, which used every free slot, means that all of the message was shown.
///
/// While its duplicates still fill the table, a second look at the same message must be truncated. A kernel that
/// does not say so then may have kept silent the first time too.
#[cfg(peek_installs)]
fn sees_truncation(passer: BorrowedFd<'_>, fds: &mut Fds, shown: usize) -> Result<bool, Errno> {
    peek_from_start(passer);
    let again = scm::peek(passer, fds)?;
    Ok(again.truncated || fds.len() >= 2 * shown)
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
            all_in_line(passer);
            Ok(())
        }
        Err(error) => Err(error),
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! The one table of what an error means for the caller: whether to try again, and when.

use nix::errno::Errno;
use std::io;
use std::time::Duration;

/// What to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Poll the passer, then try again. After EINTR there is no need to poll.
    WhenReady,
    /// Leave the passer alone for this long, then try again. It may poll ready all the while, so a loop that only
    /// polls would spin.
    After(Duration),
    /// This attempt is over.
    Never,
}

/// How long to leave a direction alone while the system is short of something.
const SHORTAGE: Duration = Duration::from_millis(50);

pub(crate) fn retry(errno: Errno) -> Retry {
    match errno {
        Errno::EAGAIN | Errno::EINTR => Retry::WhenReady,
        Errno::EMFILE | Errno::ENFILE | Errno::ETOOMANYREFS | Errno::ENOBUFS | Errno::ENOMEM => {
            Retry::After(SHORTAGE)
        }
        _ => Retry::Never,
    }
}

/// The errno in an error of std's. Errors of the system have one. What std refuses by itself is a path with a NUL
/// inside.
pub(crate) fn errno(error: io::Error) -> Errno {
    known(error.raw_os_error().map_or(Errno::EINVAL, Errno::from_raw))
}

/// A number that nix has no name for would become 0, which is no error.
pub(crate) fn known(errno: Errno) -> Errno {
    match errno {
        Errno::UnknownErrno => Errno::EIO,
        errno => errno,
    }
}

/// Bytes came without a descriptor.
pub(crate) const NO_DESCRIPTOR: Errno = Errno::EBADMSG;

/// More descriptors than the caller has room for, or more bytes than a message may have.
pub(crate) const TOO_MANY: Errno = Errno::EMSGSIZE;

/// The kernel destroyed part of a message. No system call that we make reports this by itself.
pub(crate) const DESTROYED: Errno = crate::sys::DESTROYED;

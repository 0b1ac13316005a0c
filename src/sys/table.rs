//! The descriptor table: is a slot free, and keeping ours clear of standard input, output and error.
#![allow(unsafe_code, reason = "owning what F_DUPFD_CLOEXEC made")]

use super::Fds;
use nix::errno::Errno;
use nix::fcntl::{fcntl, FcntlArg};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// The lowest number that a descriptor of ours may have.
const FIRST: RawFd = 3;

/// The same descriptor under a number from 3 up. Fails with EMFILE, closing it, if there is none.
pub(crate) fn above_stdio(fd: OwnedFd) -> Result<OwnedFd, Errno> {
    if fd.as_raw_fd() >= FIRST {
        Ok(fd)
    } else {
        duplicate(&fd)
    }
}

/// [`above_stdio`] for each in place. What could not be moved stays, still owned.
pub(crate) fn all_above_stdio(fds: &mut Fds) -> Result<(), Errno> {
    for fd in fds.iter_mut().filter(|fd| fd.as_raw_fd() < FIRST) {
        *fd = duplicate(&*fd)?;
    }
    Ok(())
}

/// Is there a descriptor under this number? EBADF if not.
#[cfg(feature = "capi")]
pub(crate) fn is_open(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    fcntl(fd, FcntlArg::F_GETFD).map(drop)
}

/// Is there a free slot from 3 up? EMFILE if not.
pub(crate) fn one_free_slot(any_open: BorrowedFd<'_>) -> Result<(), Errno> {
    duplicate(any_open).map(drop)
}

fn duplicate(fd: impl AsFd) -> Result<OwnedFd, Errno> {
    let new = fcntl(fd, FcntlArg::F_DUPFD_CLOEXEC(FIRST)).map_err(|error| match error {
        Errno::EINVAL => Errno::EMFILE, // the soft limit itself is below FIRST
        other => other,
    })?;
    // SAFETY: the kernel just made `new` for us; nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(new) })
}

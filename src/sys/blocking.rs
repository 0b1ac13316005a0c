//! O_NONBLOCK, and waiting until a descriptor is ready: the same for both interfaces.

use nix::errno::Errno;
use nix::fcntl::{fcntl, FcntlArg, OFlag};
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use std::os::fd::BorrowedFd;

fn status(fd: BorrowedFd<'_>) -> Result<OFlag, Errno> {
    fcntl(fd, FcntlArg::F_GETFL).map(OFlag::from_bits_retain)
}

pub(crate) fn is_nonblocking(passer: BorrowedFd<'_>) -> Result<bool, Errno> {
    Ok(status(passer)?.contains(OFlag::O_NONBLOCK))
}

/// O_NONBLOCK, for all who have `passer` open.
pub(crate) fn set_nonblocking(passer: BorrowedFd<'_>) -> Result<(), Errno> {
    let status = status(passer)?;
    if !status.contains(OFlag::O_NONBLOCK) {
        fcntl(passer, FcntlArg::F_SETFL(status | OFlag::O_NONBLOCK))?;
    }
    Ok(())
}

/// Is it ready, after so much time at the most? EMFILE if the soft limit is 0, with which `poll(2)` looks at
/// nothing.
pub(crate) fn is_ready(
    fd: BorrowedFd<'_>,
    events: PollFlags,
    timeout: PollTimeout,
) -> Result<bool, Errno> {
    match poll(&mut [PollFd::new(fd, events)], timeout) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::EINVAL) => Err(Errno::EMFILE),
        Err(error) => Err(error),
    }
}

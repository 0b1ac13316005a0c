//! What the system knows of the other end of a connection.
#![cfg_attr(
    any(target_os = "linux", target_os = "android"),
    allow(unsafe_code, reason = "an ioctl that no wrapper knows")
)]

use nix::errno::Errno;
use std::os::fd::{AsRawFd, BorrowedFd};

/// The memory that is taken by what was sent and is not received: 0 if the peer has taken all.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn unread_by_peer(passer: BorrowedFd<'_>) -> Result<usize, Errno> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: this request (SIOCOUTQ, under the name that libc has for it) writes one c_int.
    Errno::result(unsafe { libc::ioctl(passer.as_raw_fd(), libc::TIOCOUTQ, &mut bytes) })?;
    Ok(usize::try_from(bytes).unwrap_or(0))
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn unread_by_peer(_: BorrowedFd<'_>) -> Result<usize, Errno> {
    Err(Errno::EOPNOTSUPP)
}

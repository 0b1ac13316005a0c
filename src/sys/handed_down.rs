// SPDX-License-Identifier: MIT OR Apache-2.0
//! Descriptors that came by exec are numbers at first: checking them, and owning them.
#![allow(unsafe_code, reason = "a number becomes a descriptor here")]

use super::table::close_on_exec;
use nix::errno::Errno;
use nix::fcntl::{fcntl, FcntlArg, FdFlag};
use std::ops::Range;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Sets close-on-exec on all of them. EBADF if one is not open; then none is touched.
pub(crate) fn claim(numbers: Range<RawFd>) -> Result<(), Errno> {
    for number in numbers.clone() {
        flags(number)?;
    }
    for number in numbers {
        close_on_exec(borrow(number))?;
    }
    Ok(())
}

/// Owns all of them, close-on-exec. EBADF if one is not open or is close-on-exec already; then none is touched.
pub(crate) fn own(numbers: Range<RawFd>) -> Result<Vec<OwnedFd>, Errno> {
    for number in numbers.clone() {
        if flags(number)?.contains(FdFlag::FD_CLOEXEC) {
            return Err(Errno::EBADF);
        }
    }
    claim(numbers.clone())?;
    // SAFETY: they are open, and came by exec: what a Rust program opens is close-on-exec. Nobody has claimed them, or
    // they would be close-on-exec by now.
    Ok(numbers
        .map(|number| unsafe { OwnedFd::from_raw_fd(number) })
        .collect())
}

fn flags(number: RawFd) -> Result<FdFlag, Errno> {
    fcntl(borrow(number), FcntlArg::F_GETFD).map(FdFlag::from_bits_retain)
}

fn borrow<'a>(number: RawFd) -> BorrowedFd<'a> {
    // SAFETY: from 3 up, so not -1. If it is not open, fcntl(2) says so.
    unsafe { BorrowedFd::borrow_raw(number) }
}

/// What tells this process from every other one since the system was started, as LISTEN_PIDFDID has it: the inode of its
/// pidfd. `None` where there is no such thing, or no slot to look.
#[cfg(linux_like)]
pub(crate) fn own_pidfd_id() -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    const PIDFS: i64 = 0x5049_4446;

    // SAFETY: the call takes two numbers.
    let opened = unsafe { libc::syscall(libc::SYS_pidfd_open, std::process::id(), 0) };
    let pidfd = RawFd::try_from(opened).ok().filter(|&fd| fd >= 0)?;
    // SAFETY: the kernel just made it for us; nobody else knows it.
    let pidfd = std::fs::File::from(unsafe { OwnedFd::from_raw_fd(pidfd) });
    // Before Linux 6.9 all pidfds have the same inode.
    let system = nix::sys::statfs::fstatfs(&pidfd).ok()?;
    if system.filesystem_type().0 as i64 != PIDFS {
        return None;
    }
    pidfd.metadata().ok().map(|found| found.ino())
}

#[cfg(not(linux_like))]
pub(crate) fn own_pidfd_id() -> Option<u64> {
    None
}

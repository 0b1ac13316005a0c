// SPDX-License-Identifier: MIT OR Apache-2.0
//! The descriptor table: free slots, close-on-exec, and keeping ours clear of standard input, output and error.
#![allow(
    unsafe_code,
    reason = "owning what F_DUPFD_CLOEXEC made, and lending many at once"
)]

use super::Fds;
use nix::errno::Errno;
use nix::fcntl::{fcntl, FcntlArg, FdFlag};
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
#[inline]
pub(crate) fn all_above_stdio(fds: &mut Fds) -> Result<(), Errno> {
    match fds.iter().all(|fd| fd.as_raw_fd() >= FIRST) {
        true => Ok(()),
        false => move_above_stdio(fds),
    }
}

#[cold]
fn move_above_stdio(fds: &mut Fds) -> Result<(), Errno> {
    for fd in fds.iter_mut().filter(|fd| fd.as_raw_fd() < FIRST) {
        *fd = duplicate(&*fd)?;
    }
    Ok(())
}

/// The same descriptors, without a copy of their numbers.
pub(crate) fn borrowed(fds: &[OwnedFd]) -> &[BorrowedFd<'_>] {
    // SAFETY: both types are transparent, a c_int in memory, and the result cannot outlive the owners.
    unsafe { std::slice::from_raw_parts(fds.as_ptr().cast(), fds.len()) }
}

/// EBADF if there is no descriptor under this number.
#[cfg(feature = "capi")]
pub(crate) fn is_open(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    fcntl(fd, FcntlArg::F_GETFD).map(drop)
}

pub(super) fn is_number_open(number: RawFd) -> bool {
    // SAFETY: F_GETFD takes any number.
    unsafe { libc::fcntl(number, libc::F_GETFD) != -1 }
}

/// EMFILE if there is no free slot from 3 up.
pub(crate) fn one_free_slot(any_open: BorrowedFd<'_>) -> Result<(), Errno> {
    duplicate(any_open).map(drop)
}

/// For what the system cannot make with this flag set.
#[allow(dead_code, reason = "some systems can always")]
pub(crate) fn close_on_exec(fd: impl AsFd) -> Result<(), Errno> {
    fcntl(fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).map(drop)
}

/// The place of a descriptor that a system call is going to make.
pub(crate) struct Place(Option<OwnedFd>);

impl Place {
    /// EMFILE if no slot from 3 up is free. Holds one only while 0, 1 or 2 is free, where the new descriptor would land.
    pub(crate) fn reserve(any_open: BorrowedFd<'_>) -> Result<Self, Errno> {
        let place = duplicate(any_open)?;
        let may_be_low = !(0..FIRST).all(is_number_open);
        Ok(Self(may_be_low.then_some(place)))
    }

    /// The new descriptor, under a number from 3 up. Nobody can have taken that number meanwhile.
    pub(crate) fn take(self, new: OwnedFd) -> Result<OwnedFd, Errno> {
        match self.0 {
            Some(mut place) if new.as_raw_fd() < FIRST => {
                replace(&mut place, &new)?;
                Ok(place)
            }
            _ => above_stdio(new),
        }
    }
}

#[cfg(not(no_dup3))]
fn replace(place: &mut OwnedFd, new: &OwnedFd) -> Result<(), Errno> {
    nix::unistd::dup3(new, place, nix::fcntl::OFlag::O_CLOEXEC)
}
#[cfg(no_dup3)]
fn replace(place: &mut OwnedFd, new: &OwnedFd) -> Result<(), Errno> {
    nix::unistd::dup2(new, place)?;
    close_on_exec(place)
}

fn duplicate(fd: impl AsFd) -> Result<OwnedFd, Errno> {
    let new = fcntl(fd, FcntlArg::F_DUPFD_CLOEXEC(FIRST)).map_err(|error| match error {
        Errno::EINVAL => Errno::EMFILE, // the soft limit itself is below FIRST
        other => other,
    })?;
    // SAFETY: the kernel just made `new` for us; nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(new) })
}

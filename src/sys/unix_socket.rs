//! The BSD interface's connections: AF_UNIX stream sockets.
#![allow(
    unsafe_code,
    reason = "nix's accept4 answers a bare number to be owned"
)]

use super::table::{above_stdio, one_free_slot};
use nix::errno::Errno;
use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, UnixAddr};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Where there is no such flag, [`ours`] sets it afterwards.
#[cfg(not(target_vendor = "apple"))]
const CLOEXEC: SockFlag = SockFlag::SOCK_CLOEXEC;
#[cfg(target_vendor = "apple")]
const CLOEXEC: SockFlag = SockFlag::empty();

/// Close-on-exec and from 3 up.
#[cfg(not(target_vendor = "apple"))]
fn ours(fd: OwnedFd) -> Result<OwnedFd, Errno> {
    above_stdio(fd)
}
#[cfg(target_vendor = "apple")]
fn ours(fd: OwnedFd) -> Result<OwnedFd, Errno> {
    use nix::fcntl::{fcntl, FcntlArg, FdFlag};
    fcntl(&fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    above_stdio(fd)
}

/// Both ends of a new connection.
pub(crate) fn pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    let (a, b) = socket::socketpair(AddressFamily::Unix, SockType::Stream, None, CLOEXEC)?;
    Ok((ours(a)?, ours(b)?))
}

/// The next connection of `listener`.
pub(crate) fn accept(listener: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    // A connection taken off the queue cannot be put back, so look for its place first.
    one_free_slot(listener)?;
    #[cfg(not(target_vendor = "apple"))]
    let fd = socket::accept4(listener.as_raw_fd(), CLOEXEC)?;
    #[cfg(target_vendor = "apple")]
    let fd = socket::accept(listener.as_raw_fd())?;
    // SAFETY: the kernel just made it for us.
    ours(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A connection to the listener at `path`.
pub(crate) fn connect(path: &[u8]) -> Result<OwnedFd, Errno> {
    let address = address(path)?;
    let passer = stream()?;
    socket::connect(passer.as_raw_fd(), &address)?;
    Ok(passer)
}

pub(super) fn stream() -> Result<OwnedFd, Errno> {
    ours(socket::socket(
        AddressFamily::Unix,
        SockType::Stream,
        CLOEXEC,
        None,
    )?)
}

/// Linux's abstract addresses are written with a NUL in front.
pub(super) fn is_abstract(path: &[u8]) -> bool {
    path.first() == Some(&0)
}

pub(super) fn address(path: &[u8]) -> Result<UnixAddr, Errno> {
    match path {
        // bind(2) would pick an address of its own here.
        [] => Err(Errno::ENOENT),
        #[cfg(any(target_os = "linux", target_os = "android"))]
        [0, name @ ..] => UnixAddr::new_abstract(name),
        _ => UnixAddr::new(path),
    }
}

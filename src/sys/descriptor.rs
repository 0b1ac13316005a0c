// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a descriptor refers to, by fstat(2), fcntl(2) and getsockopt(2): for sockets, pipes and files, whichever interface
//! descriptors travel by.
#![allow(unsafe_code, reason = "socket options that nix lacks")]

use crate::Kind;
use libc::{c_int, mode_t};
use nix::errno::Errno;
use nix::fcntl::{fcntl, FcntlArg};
use nix::sys::stat::fstat;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

/// The type of file, as in st_mode. EBADF if the descriptor is not open.
pub(crate) fn file_type(fd: BorrowedFd<'_>) -> Result<mode_t, Errno> {
    Ok(fstat(fd)?.st_mode & libc::S_IFMT)
}

pub(crate) fn is(fd: BorrowedFd<'_>, file_type: mode_t, kind: Kind) -> Result<bool, Errno> {
    let has = |option, value| Ok(option_of(fd, option)? == Some(value));
    match kind {
        Kind::Socket => Ok(option_of(fd, libc::SO_TYPE)?.is_some()),
        Kind::Stream => has(libc::SO_TYPE, libc::SOCK_STREAM),
        Kind::Datagram => has(libc::SO_TYPE, libc::SOCK_DGRAM),
        Kind::Packet => has(libc::SO_TYPE, libc::SOCK_SEQPACKET),
        Kind::Listening => match option_of(fd, libc::SO_ACCEPTCONN) {
            // Some systems know this option for streams only.
            Err(Errno::ENOPROTOOPT) => Ok(false),
            answer => Ok(answer?.is_some_and(|value| value != 0)),
        },
        Kind::Local => Ok(family(fd)? == Some(libc::AF_UNIX)),
        Kind::Internet => Ok(matches!(family(fd)?, Some(libc::AF_INET | libc::AF_INET6))),
        Kind::Pipe => Ok(file_type == libc::S_IFIFO),
        Kind::File => Ok(file_type == libc::S_IFREG),
        Kind::Directory => Ok(file_type == libc::S_IFDIR),
        Kind::Readable => opened_for(fd, libc::O_RDONLY),
        Kind::Writable => opened_for(fd, libc::O_WRONLY),
        Kind::Sealed => is_sealed(fd),
    }
}

/// A socket's option, or `None` for what is not a socket.
fn option_of(fd: BorrowedFd<'_>, option: c_int) -> Result<Option<c_int>, Errno> {
    let mut value: c_int = 0;
    let mut len = mem::size_of::<c_int>() as libc::socklen_t;
    // SAFETY: `value` is a c_int and `len` its size.
    let answer = Errno::result(unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            ptr::from_mut(&mut value).cast(),
            &mut len,
        )
    });
    unless_no_socket(answer.map(|_| value))
}

/// EBADF, of a descriptor that fstat(2) found open, is about O_PATH.
fn unless_no_socket<T>(answer: Result<T, Errno>) -> Result<Option<T>, Errno> {
    match answer {
        Err(Errno::ENOTSOCK | Errno::EBADF) => Ok(None),
        answer => answer.map(Some),
    }
}

#[cfg(linux_like)]
fn family(fd: BorrowedFd<'_>) -> Result<Option<c_int>, Errno> {
    option_of(fd, libc::SO_DOMAIN)
}

#[cfg(not(linux_like))]
fn family(fd: BorrowedFd<'_>) -> Result<Option<c_int>, Errno> {
    use nix::sys::socket::{getsockname, SockaddrLike, SockaddrStorage};

    if option_of(fd, libc::SO_TYPE)?.is_none() {
        return Ok(None);
    }
    match getsockname::<SockaddrStorage>(fd.as_raw_fd()) {
        Ok(address) => Ok(address.family().map(|family| family as c_int)),
        // Some systems have nothing to say of a local socket without a name.
        Err(Errno::EINVAL) => Ok(Some(libc::AF_UNIX)),
        Err(error) => Err(error),
    }
}

fn opened_for(fd: BorrowedFd<'_>, access: c_int) -> Result<bool, Errno> {
    let flags = fcntl(fd, FcntlArg::F_GETFL)?;
    let mode = flags & libc::O_ACCMODE;
    Ok(!is_path(flags) && (mode == access || mode == libc::O_RDWR))
}

/// A descriptor that names a file and does not open it.
#[cfg(linux_like)]
fn is_path(flags: c_int) -> bool {
    flags & libc::O_PATH != 0
}
#[cfg(not(linux_like))]
fn is_path(_: c_int) -> bool {
    false
}

#[cfg(linux_like)]
fn is_sealed(fd: BorrowedFd<'_>) -> Result<bool, Errno> {
    const FIXED: c_int = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE;
    match fcntl(fd, FcntlArg::F_GET_SEALS) {
        Ok(seals) => Ok(seals & FIXED == FIXED),
        // Not a memory file; or O_PATH.
        Err(Errno::EINVAL | Errno::EBADF) => Ok(false),
        Err(error) => Err(error),
    }
}
#[cfg(not(linux_like))]
#[allow(
    clippy::unnecessary_wraps,
    reason = "where there are seals the look may fail"
)]
fn is_sealed(_: BorrowedFd<'_>) -> Result<bool, Errno> {
    Ok(false)
}

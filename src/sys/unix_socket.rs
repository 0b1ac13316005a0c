//! The BSD interface's connections: AF_UNIX stream sockets.
#![allow(
    unsafe_code,
    reason = "nix's accept4 answers a bare number to be owned"
)]

use super::table::{above_stdio, one_free_slot};
use nix::errno::Errno;
use nix::fcntl::{fcntl, FcntlArg, OFlag};
use nix::sys::socket::{self, AddressFamily, Backlog, SockFlag, SockType, UnixAddr};
use std::collections::hash_map::RandomState;
use std::ffi::OsStr;
use std::fs;
use std::hash::{BuildHasher, Hasher};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

/// Both ends of a new connection.
pub(crate) fn pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    let (a, b) = socket::socketpair(
        AddressFamily::Unix,
        SockType::Stream,
        None,
        SockFlag::SOCK_CLOEXEC,
    )?;
    Ok((above_stdio(a)?, above_stdio(b)?))
}

/// A listener at `path`, which replaces a socket that is there, live or left over.
pub(crate) fn server(path: &[u8], backlog: i32) -> Result<OwnedFd, Errno> {
    let backlog = Backlog::new(backlog).unwrap_or(Backlog::MAXCONN);
    match listen_at(path, backlog) {
        Err(Errno::EADDRINUSE) if !is_abstract(path) => {}
        result => return result,
    }
    let path = Path::new(OsStr::from_bytes(path));
    match fs::symlink_metadata(path) {
        Ok(node) if node.file_type().is_socket() => take_over(path, backlog),
        Ok(_) => Err(Errno::EEXIST),
        // It went between the two looks: the path is free now.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            listen_at(path.as_os_str().as_bytes(), backlog)
        }
        Err(e) => Err(errno(&e)),
    }
}

/// Binds beside `path` and renames over it, so that there is no moment without a socket there.
fn take_over(path: &Path, backlog: Backlog) -> Result<OwnedFd, Errno> {
    // The temporary name must fit wherever the real one did, so it may have to be as short.
    let name_len = path.file_name().map_or(1, OsStr::len).clamp(1, 12);
    for _ in 0..100 {
        let beside = path.with_file_name(random_name(name_len));
        let listener = match listen_at(beside.as_os_str().as_bytes(), backlog) {
            Err(Errno::EADDRINUSE) => continue,
            result => result?,
        };
        return match fs::rename(&beside, path) {
            Ok(()) => Ok(listener),
            Err(e) => {
                // Best effort: what is reported is why the rename failed.
                let _ = fs::remove_file(&beside);
                Err(errno(&e))
            }
        };
    }
    Err(Errno::EADDRINUSE)
}

fn random_name(len: usize) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut bits = RandomState::new().build_hasher().finish();
    let mut name = String::with_capacity(len);
    for _ in 0..len {
        name.push(ALPHABET[(bits % 32) as usize].into());
        bits /= 32;
    }
    name
}

fn listen_at(path: &[u8], backlog: Backlog) -> Result<OwnedFd, Errno> {
    let address = address(path)?;
    let listener = stream()?;
    socket::bind(listener.as_raw_fd(), &address)?;
    if let Err(error) = socket::listen(&listener, backlog) {
        if !is_abstract(path) {
            // Ours since a moment ago; best effort.
            let _ = fs::remove_file(OsStr::from_bytes(path));
        }
        return Err(error);
    }
    Ok(listener)
}

/// The next connection of `listener`.
pub(crate) fn accept(listener: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    // A connection taken off the queue cannot be put back, so look for its place first.
    one_free_slot(listener)?;
    let fd = socket::accept4(listener.as_raw_fd(), SockFlag::SOCK_CLOEXEC)?;
    // SAFETY: the kernel just made it for us.
    above_stdio(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A connection to the listener at `path`.
pub(crate) fn connect(path: &[u8]) -> Result<OwnedFd, Errno> {
    let address = address(path)?;
    let passer = stream()?;
    socket::connect(passer.as_raw_fd(), &address)?;
    Ok(passer)
}

/// O_NONBLOCK, for all who have `passer` open.
pub(crate) fn set_nonblocking(passer: BorrowedFd<'_>) -> Result<(), Errno> {
    let status = OFlag::from_bits_retain(fcntl(passer, FcntlArg::F_GETFL)?);
    if !status.contains(OFlag::O_NONBLOCK) {
        fcntl(passer, FcntlArg::F_SETFL(status | OFlag::O_NONBLOCK))?;
    }
    Ok(())
}

fn stream() -> Result<OwnedFd, Errno> {
    above_stdio(socket::socket(
        AddressFamily::Unix,
        SockType::Stream,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?)
}

/// Linux's abstract addresses are written with a NUL in front.
fn is_abstract(path: &[u8]) -> bool {
    path.first() == Some(&0)
}

fn address(path: &[u8]) -> Result<UnixAddr, Errno> {
    match path {
        // bind(2) would pick an address of its own here.
        [] => Err(Errno::ENOENT),
        #[cfg(any(target_os = "linux", target_os = "android"))]
        [0, name @ ..] => UnixAddr::new_abstract(name),
        _ => UnixAddr::new(path),
    }
}

fn errno(error: &std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EINVAL, Errno::from_raw)
}

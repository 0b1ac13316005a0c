//! Making passers: a pair for a fork, or a server, its connections and its clients.

use crate::sys;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Both ends of a new connection, in blocking mode.
///
/// # Errors
/// EMFILE, ENFILE, ENOMEM and ENOBUFS as socketpair(2).
pub fn socketpair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(sys::pair()?)
}

const DEFAULT_BACKLOG: i32 = 10;

/// Listens at `path`, in blocking mode. A `backlog` of 0 or less means 10; the system may cap it.
///
/// A socket that is there already, live or left over, is replaced without a moment in which the
/// path is missing: so a restarted server takes over, and so do two servers from each other. (The
/// listener is bound under a temporary name in the same directory and renamed, which is the name
/// that getsockname(2) then shows.) Anything that is not a socket is left alone. On Linux a path
/// that begins with NUL is an abstract address; those are never replaced. The node stays when the
/// listener is closed.
///
/// # Errors
/// EEXIST: something other than a socket is at `path`. ENAMETOOLONG: it does not fit an address
/// (107 bytes on Linux). ENOENT: it is empty, or its directory does not exist. EINVAL: a NUL inside.
/// EADDRINUSE: an abstract address in use. EACCES, EROFS, EMFILE and others as socket(2), bind(2),
/// listen(2) and rename(2).
pub fn server(path: impl AsRef<Path>, backlog: i32) -> io::Result<OwnedFd> {
    let backlog = if backlog > 0 {
        backlog
    } else {
        DEFAULT_BACKLOG
    };
    Ok(sys::server(path.as_ref().as_os_str().as_bytes(), backlog)?)
}

/// The next connection of a listener from [`server`], in blocking mode. Waits for one if the
/// listener is in blocking mode.
///
/// # Errors
/// EAGAIN: none is waiting and the listener is non-blocking. EINTR: a signal came while waiting.
/// EMFILE: no free slot from 3 up; the connection stays queued. EBADF, EINVAL, ENOTSOCK: not a
/// listener. Others as accept(2).
pub fn accept(listener: impl AsFd) -> io::Result<OwnedFd> {
    Ok(sys::accept(listener.as_fd())?)
}

/// A connection to the [`server`] at `path`, in blocking mode. Waits while the server's backlog is
/// full.
///
/// # Errors
/// ENOENT: nothing there, or `path` is empty. ECONNREFUSED: nobody listens. EACCES: no permission to
/// write to the node. EPROTOTYPE: not a stream socket. EINTR: a signal came while waiting.
/// ENAMETOOLONG, EINVAL: not an address. Others as socket(2) and connect(2).
pub fn connect(path: impl AsRef<Path>) -> io::Result<OwnedFd> {
    Ok(sys::connect(path.as_ref().as_os_str().as_bytes())?)
}

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

fn or_default(backlog: i32) -> i32 {
    if backlog > 0 {
        backlog
    } else {
        DEFAULT_BACKLOG
    }
}

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
    let path = path.as_ref().as_os_str().as_bytes();
    Ok(sys::server(path, or_default(backlog))?)
}

/// What [`server_with`] is to do other than [`server`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerOptions {
    /// As [`server`] has it.
    pub backlog: i32,
    /// The node's mode, up to 0o777, whatever the umask, which is not touched. Linux and others ask
    /// for write permission of who connects. Without this the umask decides.
    pub mode: Option<u32>,
    /// Refuse to take over from a server that is live. One that is left over is replaced. (A live one
    /// sees a connection that ends at once.)
    pub exclusive: bool,
}

/// A node in the file system, to be known again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Node {
    pub(crate) device: u64,
    pub(crate) inode: u64,
}

/// As [`server`], with options. Also says which node it made, for [`unlink`].
///
/// The listener is always bound under a temporary name and renamed, which is the name that
/// getsockname(2) shows. While an exclusive server starts there is a lock file beside the path.
///
/// # Errors
/// As [`server`]. EADDRINUSE: `exclusive`, and a server is live at `path` or is just starting there.
/// EINVAL: `mode` is above 0o777, or `path` is an abstract address, which has no mode. EACCES:
/// `exclusive`, and it cannot be found out whether the server is live.
pub fn server_with(path: impl AsRef<Path>, options: &ServerOptions) -> io::Result<(OwnedFd, Node)> {
    Ok(sys::server_with(
        path.as_ref().as_os_str().as_bytes(),
        or_default(options.backlog),
        options.mode,
        options.exclusive,
    )?)
}

/// Removes a server's node from the file system if it is still the one at `path`, and says whether it
/// was: another server may have taken the path over.
///
/// Call this before the listener is closed, as the system may give a later node the same identity.
///
/// # Errors
/// As rename(2) and unlink(2). EINVAL: a NUL inside.
pub fn unlink(path: impl AsRef<Path>, node: &Node) -> io::Result<bool> {
    Ok(sys::unlink(path.as_ref().as_os_str().as_bytes(), *node)?)
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

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerCred {
    /// The effective user.
    pub uid: u32,
    /// The effective group.
    pub gid: u32,
    /// The process, where the system tells and shows it to us.
    pub pid: Option<i32>,
}

/// Who made the other end of `passer`: the process that connected, as it was then, or for a client the
/// one that listened; for one of a [`socketpair`] the process that made the pair. Whoever has that end
/// by now may be another one, that inherited or was sent it.
///
/// # Errors
/// ENOTCONN: not connected. EINVAL: a listener. EAFNOSUPPORT: not a local socket. ENOTSOCK.
pub fn peer_cred(passer: impl AsFd) -> io::Result<PeerCred> {
    Ok(sys::peer_cred(passer.as_fd())?)
}

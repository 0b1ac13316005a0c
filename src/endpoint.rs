// SPDX-License-Identifier: MIT OR Apache-2.0
//! Making passers: a pair for a fork, or a server, its connections and its clients.

use crate::sys;
use crate::transfer::Wait;
use nix::errno::Errno;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

/// What [`server_with`](crate::server_with) is to do otherwise than [`server`](crate::server).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerOptions {
    /// How many connections may wait to be accepted. 0 or less means 10. The system may cap it.
    pub backlog: i32,
    /// The node's mode, up to 0o777. It does not depend on the umask, which is not touched. Without this option
    /// the umask decides. On most systems a client needs write permission.
    pub mode: Option<u32>,
    /// Refuse to replace a socket that some process still has open. A left-over one is replaced.
    pub exclusive: bool,
}

impl ServerOptions {
    /// The defaults: those of [`server`](crate::server).
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`backlog`](Self::backlog).
    pub fn backlog(mut self, backlog: i32) -> Self {
        self.backlog = backlog;
        self
    }

    /// Sets [`mode`](Self::mode).
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = Some(mode);
        self
    }

    /// Sets [`exclusive`](Self::exclusive).
    pub fn exclusive(mut self, exclusive: bool) -> Self {
        self.exclusive = exclusive;
        self
    }
}

/// A server's node in the file system, to be recognized later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Node {
    pub(crate) device: u64,
    pub(crate) inode: u64,
}

/// The process at the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeerCred {
    /// The effective user.
    pub uid: u32,
    /// The effective group.
    pub gid: u32,
    /// The process, where the system tells and shows it to us. On macOS it is the one that used the other end last.
    pub pid: Option<i32>,
}

const DEFAULT_BACKLOG: i32 = 10;
const LARGEST_MODE: u32 = 0o777;

fn or_default(backlog: i32) -> i32 {
    if backlog > 0 {
        backlog
    } else {
        DEFAULT_BACKLOG
    }
}

pub(crate) fn socketpair() -> Result<(OwnedFd, OwnedFd), Errno> {
    sys::pair()
}

pub(crate) fn server(path: &Path, backlog: i32) -> Result<OwnedFd, Errno> {
    sys::server(path, or_default(backlog))
}

pub(crate) fn server_with(path: &Path, options: &ServerOptions) -> Result<(OwnedFd, Node), Errno> {
    if options.mode.is_some_and(|mode| mode > LARGEST_MODE) {
        return Err(Errno::EINVAL);
    }
    sys::server_with(path, &options.backlog(or_default(options.backlog)))
}

pub(crate) fn unlink(path: &Path, node: &Node) -> Result<bool, Errno> {
    sys::unlink(path, node)
}

pub(crate) fn accept(listener: BorrowedFd<'_>, wait: Wait) -> Result<OwnedFd, Errno> {
    sys::accept(listener, wait)
}

pub(crate) fn connect(path: &Path, wait: Wait) -> Result<OwnedFd, Errno> {
    sys::connect(path, wait)
}

pub(crate) fn peer_cred(passer: BorrowedFd<'_>) -> Result<PeerCred, Errno> {
    sys::peer_cred(passer)
}

pub(crate) fn peer_pidfd(passer: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    sys::peer_pidfd(passer)
}

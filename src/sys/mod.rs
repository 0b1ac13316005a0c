//! The seam to the operating system: all that the rest of the crate asks of it.
//!
//! A backend provides, under these names:
//!
//! | item | contract |
//! |---|---|
//! | `MODE` | which interface this is |
//! | `MAX_PER_MESSAGE` | the most descriptors that one message can carry |
//! | `pair()` | both ends of a new connection |
//! | `server(path, backlog)`, `accept(listener)`, `connect(path)` | a connection by way of the file system |
//! | `server_with(path, backlog, mode, exclusive)` | the same with a mode, and refusing to replace a live one; also which node it made |
//! | `unlink(path, node)` | removes the node if it is this one, and says whether it was; a node is known for as long as its listener is open |
//! | `peer_cred(passer)` | who is at the other end |
//! | `DESTROYED` | the errno for descriptors that the kernel destroyed |
//! | `send(passer, fds, wait)` | one message, all of `fds` or nothing; never SIGPIPE |
//! | `room_for_messages(n)` | for how many of the next `n` messages, whatever they carry, there certainly are free slots from 3 up |
//! | `rehearse(passer)` | when that is not proven: EMFILE if what waits does not fit, with nothing consumed; `Ok` if it fits, or if nothing that needs a slot waits |
//! | `receive(passer, fds)` | take one message if there is one, appending its descriptors; never waits |
//! | `unread_by_peer(passer)` | how much of what was sent the peer has not taken, in whatever unit; EOPNOTSUPP where the system does not tell |
//! | `wait_readable(passer)` | sleep until `receive` may have something, or EAGAIN at once where the passer is non-blocking |
//!
//! There are two: `streams` for FDPASSER_SYSV=1, and `scm` with its neighbours otherwise. `table`, `node` and
//! `blocking` are for both.
//!
//! Whatever a backend creates or receives is close-on-exec, atomically where the system can, and it
//! is an [`OwnedFd`] before anything is decided about it. Descriptors below 3 may come out of a
//! backend's `receive`: [`table::all_above_stdio`] moves them, in the layer above.

use arrayvec::ArrayVec;
use nix::errno::Errno;
use std::os::fd::OwnedFd;

mod blocking;
mod node;
pub(crate) mod table;

#[cfg(not(fdpasser_sysv))]
mod peer;
#[cfg(not(fdpasser_sysv))]
mod room;
#[cfg(not(fdpasser_sysv))]
mod scm;
#[cfg(fdpasser_sysv)]
mod streams;
#[cfg(not(fdpasser_sysv))]
mod unix_server;
#[cfg(not(fdpasser_sysv))]
mod unix_socket;

#[cfg(not(fdpasser_sysv))]
pub(crate) use self::{
    peer::{peer_cred, unread_by_peer},
    room::room_for_messages,
    scm::{receive, rehearse, send, wait_readable, MAX_PER_MESSAGE, MODE},
    unix_server::{server, server_with, unlink},
    unix_socket::{accept, connect, pair},
};

pub(crate) use self::blocking::set_nonblocking;

#[cfg(fdpasser_sysv)]
pub(crate) use self::streams::{
    accept, connect, pair, peer_cred, receive, rehearse, room_for_messages, send, server,
    server_with, unlink, unread_by_peer, wait_readable, MAX_PER_MESSAGE, MODE,
};

/// The errno that says so, which no call of ours fails with by itself. (nix does not know the usual one there.)
#[cfg(not(target_os = "netbsd"))]
pub(crate) const DESTROYED: Errno = Errno::ENOTRECOVERABLE;
#[cfg(target_os = "netbsd")]
pub(crate) const DESTROYED: Errno = Errno::ENOLINK;

/// May a call sleep?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// As the passer's own O_NONBLOCK says.
    AsPasser,
    /// Never: EAGAIN instead.
    Never,
}

/// The descriptors of one message, in order, owned, without an allocation.
pub(crate) type Fds = ArrayVec<OwnedFd, MAX_PER_MESSAGE>;

/// What else `receive` learned about the message whose descriptors it appended.
pub(crate) struct Message {
    /// How many bytes came along; none at all and no descriptor either is the end of file.
    pub bytes: usize,
    /// Part of the message was destroyed before we could own it.
    pub truncated: bool,
}

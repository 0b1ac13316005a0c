// SPDX-License-Identifier: MIT OR Apache-2.0
//! The seam to the operating system: all that the rest of the crate asks of it.
//!
//! A backend provides, under these names:
//!
//! | item | contract |
//! |---|---|
//! | `MODE` | which interface this is |
//! | `MAX_PER_MESSAGE` | the most descriptors that one message can carry |
//! | `most_to_send()` | the same, less what the system may lose without a word |
//! | `SLOTS_PER_MESSAGE` | the most slots that receiving one message takes for a moment |
//! | `pair()` | both ends of a new connection |
//! | `server(path, backlog)` | a listener at `path`, which replaces a listener that is there |
//! | `server_with(path, options)` | the same with a mode, or without replacing a live one; also which node it made |
//! | `accept(listener, wait)`, `connect(path, wait)` | a connection by way of the file system |
//! | `unlink(path, node)` | removes the node if it is this one, and says whether it was; only while its listener is open is a node sure to be recognized |
//! | `peer_cred(passer)` | who is at the other end |
//! | `peer_pidfd(passer)` | the process at the other end, as a descriptor; EOPNOTSUPP where the system has none |
//! | `DESTROYED` | the errno for descriptors that the kernel destroyed |
//! | `must_be_local(passer)` | refuses what would take a message and drop its descriptors |
//! | `kind(passer)` | how it keeps messages apart, and whether it has an end of file |
//! | `ends_with_eagain(passer)` | nothing more arrives here, and `receive` will say EAGAIN; what has arrived may still wait |
//! | `send(passer, fds, bytes, may_wait)` | one message, all of `fds` and `bytes` or nothing; never SIGPIPE; EAGAIN if it may not wait |
//! | `FULL_DESPITE_WAITING` | `send` may say EAGAIN also if it may wait; poll(2) then says when there is room |
//! | `room_for_messages(n)` | for how many of the next `n` messages, whatever they carry, there certainly are free slots from 3 up |
//! | `rehearse(passer)` | when that is not proven: EMFILE if what waits may not fit, with nothing consumed; `Ok` if it fits, or if nothing waits that needs a slot |
//! | `receive(passer, fds)` | takes one message if there is one, appending its descriptors; never waits |
//! | `receive_with_data(passer, fds, data)` | the same, with the message's bytes |
//! | `unread_by_peer(passer)` | how much of what was sent the peer has not taken, in whatever unit; EOPNOTSUPP where the system does not tell |
//! | `receive_timeout(passer)`, `send_timeout(passer)` | how long the application lets a blocking call wait |
//! | `wait_in_kernel(passer)` | sleeps until `receive` may have something, where a sandbox hides those timeouts |
//! | `keep_in_line(passer)` | makes sure that no descriptor travels outside the order |
//! | `send_datagram(path, bytes, fds)` | one datagram to a local socket, waiting while the reader's queue is full; EOPNOTSUPP with STREAMS |
//!
//! There are two backends: `streams` for FDPASSER_SYSV=1, and `scm` with its neighbours otherwise. `table`, `node`,
//! `wait`, `cancel`, `descriptor` and `handed_down` are for both. What differs between systems within a backend is a cfg that names the property;
//! `build.rs` says which system has which.
//!
//! Whatever a backend creates or receives is close-on-exec, atomically where the system can, and it
//! is an [`OwnedFd`] before anything is decided about it. Descriptors below 3 may come out of a
//! backend's `receive`: [`table::all_above_stdio`] moves them, in the layer above.

use arrayvec::ArrayVec;
use nix::errno::Errno;
use std::os::fd::OwnedFd;

#[cfg(feature = "capi")]
pub(crate) mod cancel;
mod descriptor;
mod handed_down;
mod node;
pub(crate) mod table;
pub(crate) mod wait;

#[cfg(not(fdpasser_sysv))]
mod datagram;
#[cfg(not(fdpasser_sysv))]
mod kernel;
#[cfg(not(fdpasser_sysv))]
mod peer;
#[cfg(not(fdpasser_sysv))]
mod rehearsal;
#[cfg(not(fdpasser_sysv))]
mod room;
#[cfg(not(fdpasser_sysv))]
mod scm;
#[cfg(fdpasser_sysv)]
mod streams;
#[cfg(any(fdpasser_sysv, has_getpeerucred))]
mod ucred;
#[cfg(not(fdpasser_sysv))]
mod unix_server;
#[cfg(not(fdpasser_sysv))]
mod unix_socket;

#[cfg(feature = "capi")]
pub(crate) use self::handed_down::claim;
pub(crate) use self::{
    descriptor::{file_type, is},
    handed_down::{own, own_pidfd_id},
};

#[cfg(not(fdpasser_sysv))]
pub(crate) use self::{
    datagram::send_datagram,
    peer::{peer_cred, peer_pidfd, unread_by_peer},
    rehearsal::rehearse,
    room::room_for_messages,
    scm::{
        most_to_send, receive, receive_with_data, send, FULL_DESPITE_WAITING, MAX_PER_MESSAGE,
        MODE, SLOTS_PER_MESSAGE,
    },
    unix_server::{server, server_with, unlink},
    unix_socket::{
        accept, connect, ends_with_eagain, keep_in_line, kind, must_be_local, pair,
        receive_timeout, send_timeout, wait_in_kernel,
    },
};

#[cfg(fdpasser_sysv)]
pub(crate) use self::streams::{
    accept, connect, ends_with_eagain, keep_in_line, kind, most_to_send, must_be_local, pair,
    peer_cred, peer_pidfd, receive, receive_timeout, receive_with_data, rehearse,
    room_for_messages, send, send_datagram, send_timeout, server, server_with, unlink,
    unread_by_peer, wait_in_kernel, FULL_DESPITE_WAITING, MAX_PER_MESSAGE, MODE, SLOTS_PER_MESSAGE,
};

/// The errno for descriptors that the kernel destroyed. No system call of ours fails with it by itself.
#[cfg(not(no_enotrecoverable))]
pub(crate) const DESTROYED: Errno = Errno::ENOTRECOVERABLE;
#[cfg(no_enotrecoverable)]
pub(crate) const DESTROYED: Errno = Errno::ENOLINK;

/// Whether messages have data. If not, receiving shows a NUL in place of whatever bytes came.
pub(crate) const HAS_DATA: bool = cfg!(not(fdpasser_sysv));

/// How a passer keeps messages apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Only descriptors separate messages. Bytes alone join the next one.
    Stream,
    /// Each message is by itself.
    #[cfg_attr(fdpasser_sysv, allow(dead_code, reason = "there are only streams"))]
    Packets,
    /// Each message is by itself, and there is no end of file.
    #[cfg_attr(fdpasser_sysv, allow(dead_code, reason = "there are only streams"))]
    Datagrams,
}

/// The descriptors of one message, in order, owned, without an allocation.
pub(crate) type Fds = ArrayVec<OwnedFd, MAX_PER_MESSAGE>;

/// What else `receive` learned about the message whose descriptors it appended.
pub(crate) struct Message {
    /// How many bytes came along. No byte and no descriptor is the end of file.
    pub bytes: usize,
    /// It had more bytes than a message may have.
    pub too_long: bool,
    /// Part of the message was destroyed before we could own it.
    pub truncated: bool,
}

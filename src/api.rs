// SPDX-License-Identifier: MIT OR Apache-2.0
//! The Rust face: safe functions over the core. Here, and only here, an errno becomes an [`io::Error`].

mod inherited;
mod passer;

pub use inherited::{inherited, is, is_name, notify, Inherited};
pub use passer::{Passer, PasserPair, Progress, Refused};

use crate::endpoint::{self, Node, PeerCred, ServerOptions};
use crate::error::{self, Retry};
use crate::transfer::{self, Fds, Taken, Wait, MAX_DATA, MAX_PER_MESSAGE};
use nix::errno::Errno;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

// --- connections ---------------------------------------------------------------------------------

/// Makes a connection, and returns both of its ends, in blocking mode.
///
/// # Errors
/// EMFILE, ENFILE, ENOMEM and ENOBUFS as socketpair(2).
pub fn socketpair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(endpoint::socketpair()?)
}

/// Listens at `path`, in blocking mode. A `backlog` of 0 or less means 10. The system may cap it.
///
/// A socket that is there already, live or left over, is replaced, and there is no moment in which the
/// path is missing. So a restarted server takes over. (The listener is bound under a temporary name in the same
/// directory and renamed. getsockname(2) then shows the temporary name.) Anything that is not a socket is left alone.
/// On Linux a path that begins with NUL is an abstract address, and those are never replaced. The node stays when
/// the listener is closed.
///
/// # Errors
/// - EEXIST: something other than a socket is at `path`.
/// - EBUSY: the socket at `path` is a mount point of its own, as in a container. Mount its directory instead. With STREAMS:
///   a client is still connecting to the old server.
/// - ENAMETOOLONG: `path` does not fit an address (107 bytes on Linux).
/// - ENOENT: `path` is empty, or its directory does not exist.
/// - EINVAL: a NUL inside.
/// - EADDRINUSE: an abstract address that is in use.
/// - EACCES, EROFS, EMFILE and others as socket(2), bind(2), listen(2) and rename(2).
pub fn server(path: impl AsRef<Path>, backlog: i32) -> io::Result<OwnedFd> {
    Ok(endpoint::server(path.as_ref(), backlog)?)
}

/// Like [`server`], with options. Also returns which node it made, for [`unlink`].
///
/// The listener is always bound under a temporary name and renamed, which is the name that
/// getsockname(2) shows. While an exclusive server starts there is a lock file beside the path, named
/// `.NAME.fdpasser-lock`.
///
/// # Errors
/// As [`server`], and:
/// - EADDRINUSE: `exclusive`, and a process has the socket at `path` open, or another server is just starting there.
/// - EINVAL: `mode` is above 0o777, or `path` is an abstract address, which has no mode.
/// - EACCES: `exclusive`, and the system does not let us find out whether the server is live.
/// - ENOLCK: `exclusive`, and what is at the lock file's path is not a plain file of ours.
pub fn server_with(path: impl AsRef<Path>, options: &ServerOptions) -> io::Result<(OwnedFd, Node)> {
    Ok(endpoint::server_with(path.as_ref(), options)?)
}

/// Removes a server's node from the file system if it is still the one at `path`. Returns whether it
/// was: another server may have replaced it.
///
/// Call this before the listener is closed. After that the system may give a later node the same identity.
///
/// # Errors
/// As rename(2) and unlink(2). EINVAL: a NUL inside. ENAMETOOLONG: `path` is longer than 383 bytes.
pub fn unlink(path: impl AsRef<Path>, node: &Node) -> io::Result<bool> {
    Ok(endpoint::unlink(path.as_ref(), node)?)
}

/// Accepts the next connection of a listener from [`server`], in blocking mode. Waits for one if the
/// listener is in blocking mode.
///
/// # Errors
/// - EAGAIN: no connection waits and the listener is in non-blocking mode.
/// - EINTR: a signal came while waiting.
/// - EMFILE: no free slot from 3 up. The connection stays queued. (On macOS and under gVisor it is lost if the table fills
///   while the call waits.)
/// - EBADF, EINVAL, ENOTSOCK: not a listener.
/// - Others as accept(2).
pub fn accept(listener: impl AsFd) -> io::Result<OwnedFd> {
    Ok(endpoint::accept(listener.as_fd(), Wait::AsPasser)?)
}

/// Like [`accept`], but waits no longer than `timeout`. Puts the listener into non-blocking mode, for everybody who
/// shares it.
///
/// # Errors
/// As [`accept`]. ETIMEDOUT: no connection came in time.
pub fn accept_timed(listener: impl AsFd, timeout: Duration) -> io::Result<OwnedFd> {
    Ok(endpoint::accept(listener.as_fd(), at_most(timeout))?)
}

/// Connects to the [`server`] at `path`. The connection is in blocking mode. Waits while the server's backlog is
/// full.
///
/// # Errors
/// - ENOENT: nothing there, or `path` is empty.
/// - ECONNREFUSED: nobody listens. On the BSDs and macOS also: the backlog is full.
/// - EACCES: no permission to write to the node.
/// - EPROTOTYPE: not a stream socket.
/// - EINTR: a signal came while waiting.
/// - ENAMETOOLONG, EINVAL: not an address.
/// - Others as socket(2) and connect(2).
pub fn connect(path: impl AsRef<Path>) -> io::Result<OwnedFd> {
    Ok(endpoint::connect(path.as_ref(), Wait::AsPasser)?)
}

/// Like [`connect`], but waits no longer than `timeout`.
///
/// # Errors
/// As [`connect`]. ETIMEDOUT: the backlog was full all the time. EOPNOTSUPP: the SysV interface, where the system
/// always waits until the server has accepted.
pub fn connect_timed(path: impl AsRef<Path>, timeout: Duration) -> io::Result<OwnedFd> {
    Ok(endpoint::connect(path.as_ref(), at_most(timeout))?)
}

/// Returns the identity of the process that made the other end of `passer`: the process that connected, as it was
/// then; for a client's end the process that listened; for an end of a [`socketpair`] the process that made the pair.
/// That end may have been inherited by, or sent to, another process since. (On macOS `pid` is the process that used that
/// end last.)
///
/// # Errors
/// ENOTCONN: not connected; on DragonFly and FreeBSD 10 also: an end of a pair. EINVAL: a listener. EAFNOSUPPORT: not a
/// local socket. ENOTSOCK. EOPNOTSUPP: the SysV interface, which knows the peer at the server's end of a connection only.
pub fn peer_cred(passer: impl AsFd) -> io::Result<PeerCred> {
    Ok(endpoint::peer_cred(passer.as_fd())?)
}

/// Returns a pidfd of the process that [`peer_cred`] tells. Unlike a number it never stands for another process later.
/// Linux has this since 6.5.
///
/// # Errors
/// EOPNOTSUPP: this system has no such call. ESRCH: the process has ended. EMFILE: no free slot. ENOTCONN, EINVAL,
/// EAFNOSUPPORT, ENOTSOCK: as [`peer_cred`].
pub fn peer_pidfd(passer: impl AsFd) -> io::Result<OwnedFd> {
    Ok(endpoint::peer_pidfd(passer.as_fd())?)
}

// --- sending -------------------------------------------------------------------------------------

/// Sends one descriptor. Waits for room in the socket if the passer is in blocking mode, for as long as its
/// SO_SNDTIMEO says. OpenBSD may fail with ENOBUFS instead.
///
/// # Errors
/// Nothing was sent in any of these cases.
/// - EAGAIN: the socket is full and the passer in non-blocking mode, or SO_SNDTIMEO is over.
/// - EINTR: a signal came while waiting.
/// - ETOOMANYREFS, ENOBUFS, ENOMEM: try again later, see [`retry`].
/// - EINVAL, EOPNOTSUPP, EPERM: this descriptor cannot be sent (io_uring, or refused by the peer); the next one
///   can.
/// - EPIPE, ECONNRESET, or ECONNREFUSED of a datagram socket: the peer is gone. EPIPE also: it has shut its end down for
///   reading. (On NetBSD sending succeeds then, and the descriptor is lost.)
/// - ENOTCONN: the passer is not connected. A BSD may also say it of a peer that closes at that moment.
/// - ENOTSOCK, EAFNOSUPPORT: the passer is not a local socket.
pub fn send_fd(passer: impl AsFd, fd: impl AsFd) -> io::Result<()> {
    Ok(transfer::send_one(
        passer.as_fd(),
        fd.as_fd(),
        Wait::AsPasser,
    )?)
}

/// Like [`send_fd`], but waits no longer than `timeout`, whatever mode the passer is in
/// ([exceptions](crate#calls-that-do-not-wait)).
///
/// # Errors
/// As [`send_fd`]. ETIMEDOUT in place of EAGAIN: the socket was full all the time.
pub fn send_fd_timed(passer: impl AsFd, fd: impl AsFd, timeout: Duration) -> io::Result<()> {
    Ok(transfer::send_one(
        passer.as_fd(),
        fd.as_fd(),
        at_most(timeout),
    )?)
}

/// Sends `fds` in order, `per_message` of them (0 means 1) in each message, and returns how many were sent.
///
/// If a message carries fewer descriptors on this system, it carries as many as it can: 127 on OpenBSD; one with STREAMS, on
/// NetBSD, on DragonFly, and on FreeBSD before 13, where several could be lost without a word.
/// Only a peer that receives with this library, or otherwise expects several descriptors in a
/// message, understands a `per_message` above 1. A descriptor that the system refuses goes into no
/// message: those before it are sent, and it is the first of the rest.
///
/// # Errors
/// As [`send_fd`], when not even the first was sent. An error behind the first shows as a smaller
/// number, and again at the next call if it lasts. EINVAL also: `per_message` is above
/// [`MAX_PER_MESSAGE`].
pub fn send_fds(
    passer: impl AsFd,
    fds: &[BorrowedFd<'_>],
    per_message: usize,
) -> io::Result<usize> {
    Ok(transfer::send(
        passer.as_fd(),
        fds,
        per_message,
        false,
        Wait::AsPasser,
    )?)
}

/// Like [`send_fds`], but never waits, whatever mode the passer is in ([exceptions](crate#calls-that-do-not-wait)).
///
/// # Errors
/// As [`send_fds`]. EAGAIN: the socket is full.
pub fn try_send_fds(
    passer: impl AsFd,
    fds: &[BorrowedFd<'_>],
    per_message: usize,
) -> io::Result<usize> {
    Ok(transfer::send(
        passer.as_fd(),
        fds,
        per_message,
        false,
        Wait::Never,
    )?)
}

/// Sends one message: `data`, with all of `fds` attached. Waits for room in the socket as [`send_fd`] does.
///
/// The message is sent whole or not at all. DragonFly and FreeBSD before 13 may be an exception: if a message with data
/// meets a nearly full socket there, sending may succeed and the descriptor be lost.
///
/// No data, or a single NUL byte, is what [`send_fd`] sends. Other data is for a peer that is known to read it: older ones
/// take one byte for each message. Do not write anything else to the passer: bytes without a descriptor would join the
/// next message's data.
///
/// # Errors
/// As [`send_fd`], and:
/// - EINVAL: `fds` is empty, or has more than one message carries.
/// - EMSGSIZE: `data` has more than [`MAX_DATA`] bytes, or more than the socket's send buffer lets pass in one message:
///   half of SO_SNDBUF less 64 bytes. On Linux a buffer of 8320 bytes is large enough for everything.
/// - EOPNOTSUPP: there is data, and this is the SysV interface.
/// - EPROTO: the message was cut, because somebody made the send buffer smaller at that moment. Close the passer.
pub fn send_message(passer: impl AsFd, fds: &[BorrowedFd<'_>], data: &[u8]) -> io::Result<()> {
    Ok(transfer::send_message(
        passer.as_fd(),
        fds,
        data,
        Wait::AsPasser,
    )?)
}

/// Like [`send_message`], but never waits, whatever mode the passer is in ([exceptions](crate#calls-that-do-not-wait)).
///
/// # Errors
/// As [`send_message`]. EAGAIN: the socket is full.
pub fn try_send_message(passer: impl AsFd, fds: &[BorrowedFd<'_>], data: &[u8]) -> io::Result<()> {
    Ok(transfer::send_message(
        passer.as_fd(),
        fds,
        data,
        Wait::Never,
    )?)
}

// --- receiving -----------------------------------------------------------------------------------

/// Receives one descriptor. Returns `None` when the peer has shut down in good order. Waits for a descriptor if the
/// passer is in blocking mode, for as long as its SO_RCVTIMEO says.
///
/// # Errors
/// Nothing was consumed:
/// - EAGAIN: nothing has arrived and the passer is in non-blocking mode, or SO_RCVTIMEO is over.
/// - EINTR: a signal came while waiting.
/// - EMFILE: something waits, and there is no free slot from 3 up. With a soft limit of 0 nothing can even be waited
///   for.
/// - ENOTSOCK, EINVAL: the passer is not a connected socket.
///
/// One message is gone:
/// - EBADMSG: bytes came without a descriptor, or, over a SOCK_DGRAM socket, nothing at all.
/// - EMSGSIZE: a message with more than one descriptor came, and all were closed. After more than 4096 bytes in a
///   message close the passer, if it is a stream.
/// - ENOTRECOVERABLE: the kernel destroyed descriptors of the message, because another thread took the last slots
///   (or another receiver took the message that was looked at), or a security module refused them. On the BSDs and macOS
///   also because the message had several, and the table had a free slot, but not one for each. The bytes of the message
///   stay in the socket there, and whoever receives next may fail with EBADMSG for them. On NetBSD it is ENOLINK.
///
/// The peer is gone:
/// - ECONNRESET: the peer closed without having read all that was sent to it. What it had sent before comes first,
///   except on a SOCK_SEQPACKET socket, where it comes after this error. (This is Linux. On the BSDs and macOS it is an
///   orderly shutdown.)
pub fn recv_fd(passer: impl AsFd) -> io::Result<Option<OwnedFd>> {
    recv_one(passer.as_fd(), Wait::AsPasser)
}

/// Like [`recv_fd`], but waits no longer than `timeout`, whatever mode the passer is in
/// ([exceptions](crate#calls-that-do-not-wait)).
///
/// # Errors
/// As [`recv_fd`]. ETIMEDOUT in place of EAGAIN: nothing has arrived in time.
pub fn recv_fd_timed(passer: impl AsFd, timeout: Duration) -> io::Result<Option<OwnedFd>> {
    recv_one(passer.as_fd(), at_most(timeout))
}

/// Receives all descriptors of the next message, in order, and appends them to `fds`. Returns how many they are;
/// 0 when the peer has shut down in good order. Waits as [`recv_fd`] does.
///
/// # Errors
/// As [`recv_fd`]. EMSGSIZE only after more than 4096 bytes in a message.
pub fn recv_fds(passer: impl AsFd, fds: &mut impl Extend<OwnedFd>) -> io::Result<usize> {
    recv_into(passer.as_fd(), fds, Wait::AsPasser)
}

/// Like [`recv_fds`], but never waits, whatever mode the passer is in ([exceptions](crate#calls-that-do-not-wait)).
///
/// # Errors
/// As [`recv_fds`]. EAGAIN: nothing has arrived.
pub fn try_recv_fds(passer: impl AsFd, fds: &mut impl Extend<OwnedFd>) -> io::Result<usize> {
    recv_into(passer.as_fd(), fds, Wait::Never)
}

/// Receives the next message: appends its descriptors, in order, to `fds`, and puts its data into `data`. Returns how many
/// bytes the data has, which is 0 for a message without data, or `None` when the peer has shut down in good order. Waits as
/// [`recv_fd`] does.
///
/// # Errors
/// As [`recv_fds`], in [`NotReceived`], which turns into an [`io::Error`].
/// - EBADMSG: bytes came without a descriptor. `data` has them, and [`NotReceived::bytes`] says how many they are. If they
///   are data of a message whose descriptors are still to come, put them in front of that message's data. Directly after
///   ENOTRECOVERABLE drop them: on the BSDs and macOS they are what is left of the lost message.
/// - EMSGSIZE: the message has more than [`MAX_DATA`] bytes. Its descriptors were closed. On a stream close the passer: what
///   is left would join the next message.
pub fn recv_message(
    passer: impl AsFd,
    fds: &mut impl Extend<OwnedFd>,
    data: &mut [u8; MAX_DATA],
) -> Result<Option<usize>, NotReceived> {
    recv_with_data(passer.as_fd(), fds, data, Wait::AsPasser)
}

/// Like [`recv_message`], but never waits, whatever mode the passer is in ([exceptions](crate#calls-that-do-not-wait)).
///
/// # Errors
/// As [`recv_message`]. EAGAIN: nothing has arrived.
pub fn try_recv_message(
    passer: impl AsFd,
    fds: &mut impl Extend<OwnedFd>,
    data: &mut [u8; MAX_DATA],
) -> Result<Option<usize>, NotReceived> {
    recv_with_data(passer.as_fd(), fds, data, Wait::Never)
}

/// Why there is no message, and what came in its place.
#[derive(Debug)]
#[non_exhaustive]
pub struct NotReceived {
    /// Why.
    pub error: io::Error,
    /// How many bytes came without a descriptor. They stand in the caller's `data`. It is 0 unless the error is EBADMSG.
    pub bytes: usize,
}

impl fmt::Display for NotReceived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for NotReceived {}

impl From<NotReceived> for io::Error {
    fn from(not_received: NotReceived) -> Self {
        not_received.error
    }
}

/// Why [`try_recv_messages`] took no more.
#[derive(Debug)]
#[non_exhaustive]
pub enum Stop {
    /// There are enough. More may wait.
    Enough,
    /// The peer has shut down in good order.
    Shutdown,
    /// EAGAIN: there is nothing more for now. Otherwise as [`recv_fds`]. This comes after the
    /// descriptors that were received, and may not be reported again.
    Error(io::Error),
}

/// Receives messages without waiting until there are `enough` descriptors, and appends them, in order, to `fds`. The
/// last message may bring a surplus. One look at the descriptor table serves as many messages as it can, which saves
/// system calls.
pub fn try_recv_messages(passer: impl AsFd, enough: usize, fds: &mut Vec<OwnedFd>) -> Stop {
    let into = |message: &mut Fds| fds.extend(message.drain(..));
    match transfer::recv_messages(passer.as_fd(), enough, into) {
        Ok(Taken::Enough) => Stop::Enough,
        Ok(Taken::Shutdown) => Stop::Shutdown,
        Err(error) => Stop::Error(error.into()),
    }
}

/// Says whether a call that failed with `error` is worth repeating.
///
/// | errno | sending | receiving | retry |
/// |---|---|---|---|
/// | EAGAIN | the socket is full | nothing has arrived | when it polls ready |
/// | EINTR | a signal came while waiting | likewise | at once |
/// | EMFILE, ENFILE | | no free slot; nothing was consumed | after a while |
/// | ETOOMANYREFS | this user has too many descriptors in flight | | after a while |
/// | ENOBUFS, ENOMEM | the kernel is short of memory (NetBSD, OpenBSD: see below) | the kernel is short of memory | after a while |
/// | EPIPE, ECONNRESET | the peer is gone | the peer is gone, and had not read all of ours | never |
/// | ECONNREFUSED | the peer of a datagram socket is gone | | never |
/// | EBADMSG | | bytes came without a descriptor; they were consumed | never |
/// | EMSGSIZE | | more descriptors than asked for, which were closed; or more than 4096 bytes | never |
/// | ENOTRECOVERABLE (NetBSD: ENOLINK) | | the kernel destroyed descriptors of this message; the rest were closed | never |
/// | ETIMEDOUT | the time that the caller gave is over | likewise | never |
/// | any other | this descriptor cannot be sent, or the passer is not one | the passer is not one | never |
///
/// Linux before 4.14 also returns ETOOMANYREFS for a socket in which sockets wait, with others waiting in those, more than
/// four levels deep. It can be sent when somebody has received what waits in it. A [`Passer`] that meets such a
/// descriptor waits for that; dropping the passer gives up.
///
/// On NetBSD ENOBUFS may also mean that too many descriptors are in flight, and on OpenBSD that the socket is full, also
/// in blocking mode.
pub fn retry(error: &io::Error) -> Retry {
    error
        .raw_os_error()
        .map_or(Retry::Never, |errno| error::retry(Errno::from_raw(errno)))
}

fn recv_one(passer: BorrowedFd<'_>, wait: Wait) -> io::Result<Option<OwnedFd>> {
    let mut fds = Fds::new();
    transfer::recv(passer, 1, &mut fds, wait)?;
    Ok(fds.pop())
}

fn recv_into(
    passer: BorrowedFd<'_>,
    into: &mut impl Extend<OwnedFd>,
    wait: Wait,
) -> io::Result<usize> {
    let mut fds = Fds::new();
    transfer::recv(passer, MAX_PER_MESSAGE, &mut fds, wait)?;
    let count = fds.len();
    into.extend(fds);
    Ok(count)
}

fn recv_with_data(
    passer: BorrowedFd<'_>,
    into: &mut impl Extend<OwnedFd>,
    data: &mut [u8; MAX_DATA],
    wait: Wait,
) -> Result<Option<usize>, NotReceived> {
    let mut fds = Fds::new();
    let mut len = 0;
    let result = transfer::recv_message(passer, MAX_PER_MESSAGE, &mut fds, data, &mut len, wait);
    if let Err(error) = result {
        return Err(NotReceived {
            error: error.into(),
            bytes: len,
        });
    }
    let some = !fds.is_empty();
    into.extend(fds);
    Ok(some.then_some(len))
}

fn at_most(timeout: Duration) -> Wait {
    Wait::at_most(Some(timeout))
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! The queue for event loops, as Rust programs see it.

use crate::queue::{self, Events, Queue};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

/// One end of a connection with a queue for each direction, for use with any event loop: poll the
/// passer for [`events`](Self::events), no longer than [`timeout`](Self::timeout), and call
/// [`process`](Self::process) with what the poll found; then take what [`next_fd`](Self::next_fd)
/// has.
///
/// Nothing waits, and only `process` sends and receives. Descriptors arrive in the order
/// in which they were pushed. Dropping the passer closes it, everything still queued, and everything received but
/// not taken. Take it out of an epoll set before that: a forked child that has the socket too would keep it there.
///
/// A passer may be moved between threads. After a fork only one of the processes may go on using
/// it: both have the queue, and both would send it.
///
/// ```
/// use fdpasser::{Events, Passer, Progress};
/// use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
/// use std::os::fd::AsFd;
///
/// let (theirs, ours) = fdpasser::socketpair()?;
/// fdpasser::send_fd(&theirs, std::io::stdin())?;
/// drop(theirs);
///
/// let mut passer = Passer::new(ours)?;
/// let mut received = Vec::new();
/// passer.push_recv(10);
/// loop {
///     let events = passer.events();
///     let mut flags = PollFlags::empty();
///     flags.set(PollFlags::POLLIN, events.readable);
///     flags.set(PollFlags::POLLOUT, events.writable);
///     let timeout = passer.timeout().map_or(PollTimeout::NONE, |t| {
///         // Rounded up: a loop that wakes a little too early has nothing to do yet.
///         PollTimeout::try_from(t.as_micros().div_ceil(1000)).unwrap_or(PollTimeout::MAX)
///     });
///     let mut fds = [PollFd::new(passer.as_fd(), flags)];
///     // With no flags, leave it out: poll reports POLLHUP unasked.
///     poll(&mut fds[flags.is_empty().into()..], timeout)?;
///     let found = if flags.is_empty() { None } else { fds[0].revents() }.unwrap_or(PollFlags::empty());
///     let hung_up = found.intersects(PollFlags::POLLERR | PollFlags::POLLHUP);
///     let ready = Events {
///         readable: hung_up || found.contains(PollFlags::POLLIN),
///         writable: hung_up || found.contains(PollFlags::POLLOUT),
///     };
///     match passer.process(ready)? {
///         Progress::Open => received.extend(std::iter::from_fn(|| passer.next_fd())),
///         Progress::Refused(refused) => eprintln!("{refused}"),
///         Progress::Shutdown => break,
///     }
/// }
/// assert_eq!(received.len(), 1);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Passer(Queue);

/// How a passer stands after [`Passer::process`].
#[derive(Debug)]
pub enum Progress {
    /// It goes on.
    Open,
    /// The peer has shut down in good order. All that it sent was taken, and all that was queued
    /// for it is sent. If it only stopped sending, more may be pushed for it.
    Shutdown,
    /// This descriptor cannot be sent, and comes back. The passer goes on with the next one.
    Refused(Refused),
}

/// A descriptor that was not taken, or cannot be sent, and why.
#[derive(Debug)]
#[non_exhaustive]
pub struct Refused {
    /// The descriptor, which belongs to the caller again.
    pub fd: OwnedFd,
    /// Why.
    pub error: io::Error,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the descriptor was not sent: {}", self.error)
    }
}

impl std::error::Error for Refused {}

impl From<Refused> for io::Error {
    fn from(refused: Refused) -> Self {
        refused.error
    }
}

/// Both ends of a new connection, one for each side of a fork.
#[derive(Debug)]
pub struct PasserPair {
    parent: Passer,
    child: Passer,
}

impl PasserPair {
    /// Keeps the parent's end and closes the other.
    pub fn i_am_parent(self) -> Passer {
        self.parent
    }

    /// Keeps the child's end and closes the other.
    pub fn i_am_child(self) -> Passer {
        self.child
    }
}

impl Passer {
    /// Makes a passer of a connected socket, which is set to non-blocking mode, for everybody who shares it.
    ///
    /// # Errors
    /// As fcntl(2). The socket is closed then.
    pub fn new(socket: OwnedFd) -> io::Result<Self> {
        Ok(Self(Queue::new(socket)?))
    }

    /// Makes a connection with a passer at either end. After the fork the parent keeps one and the child the other.
    ///
    /// # Errors
    /// As [`socketpair`](crate::socketpair).
    pub fn pair() -> io::Result<PasserPair> {
        let (parent, child) = Queue::pair()?;
        Ok(PasserPair {
            parent: Self(parent),
            child: Self(child),
        })
    }

    /// Sets how many descriptors a message may carry where several are queued. At first it is 1.
    /// Only a peer that expects several in a message understands more. A [`Passer`] always does.
    ///
    /// # Errors
    /// EINVAL: `count` is 0 or above [`MAX_PER_MESSAGE`](crate::MAX_PER_MESSAGE).
    pub fn set_per_message(&mut self, count: usize) -> io::Result<()> {
        Ok(self.0.set_per_message(count)?)
    }

    /// Bounds the queue of descriptors to be sent. At first it has no bound, and `None` removes the bound.
    /// What is queued already stays.
    pub fn set_max_queued(&mut self, count: Option<usize>) {
        self.0.set_max_queued(count);
    }

    /// Queues a descriptor, which is closed here once it is sent.
    ///
    /// # Errors
    /// The descriptor comes back in each case.
    /// - EAGAIN: as many are queued as [`set_max_queued`](Self::set_max_queued) allows.
    /// - ENOMEM.
    /// - After a final error of [`process`](Self::process) that error.
    pub fn push_send_fd(&mut self, fd: OwnedFd) -> Result<(), Refused> {
        self.0.push_send_fd(fd).map_err(|(fd, error)| Refused {
            fd,
            error: error.into(),
        })
    }

    /// Queues a descriptor with data. The passer keeps a copy of the data until it is sent, in a message of its own.
    /// See [`send_message`](crate::send_message) for what a peer understands.
    ///
    /// # Errors
    /// As [`push_send_fd`](Self::push_send_fd). EMSGSIZE: `data` has more than [`MAX_DATA`](crate::MAX_DATA) bytes.
    pub fn push_send_message(&mut self, fd: OwnedFd, data: &[u8]) -> Result<(), Refused> {
        self.0
            .push_send_message(fd, data)
            .map_err(|(fd, error)| Refused {
                fd,
                error: error.into(),
            })
    }

    /// Keeps the data of received descriptors for [`next_message`](Self::next_message), or drops it, as at first.
    ///
    /// A passer that keeps data has at most [`MAX_DATA`](crate::MAX_DATA) bytes for each descriptor that was asked for and
    /// not taken. Bytes that come without a descriptor over a stream are kept too, and belong to the next descriptor. (On
    /// the BSDs and macOS they may also be what is left of a message that another receiver has lost.)
    ///
    /// # Errors
    /// ENOMEM.
    pub fn want_data(&mut self, yes: bool) -> io::Result<()> {
        Ok(self.0.want_data(yes)?)
    }

    /// Says that the caller is ready to take `count` more descriptors.
    ///
    /// At most that many are taken from the socket, rounded up to whole messages. The surplus of the last message
    /// waits here for the next push.
    pub fn push_recv(&mut self, count: usize) {
        self.0.push_recv(count);
    }

    /// Returns what to poll the passer for at the moment. If it is nothing, do not poll the passer at all, because a
    /// hang-up is reported unasked.
    pub fn events(&self) -> Events {
        self.0.events()
    }

    /// Returns when to call [`process`](Self::process) although the passer is not ready. It is zero if
    /// [`next_fd`](Self::next_fd) has something, or if there is work or news for another call. It is a second at most if
    /// the socket is full, because poll(2) does not report a peer that shuts down its receiving side and stays. It is
    /// `None` if there is no need.
    pub fn timeout(&self) -> Option<Duration> {
        self.0.timeout()
    }

    /// Moves what can be moved without waiting, up to a fair share: in the directions that are
    /// `ready`, and in those for which the [`timeout`](Self::timeout) is over. A call when
    /// nothing is ready, or too early, changes nothing.
    ///
    /// Everything that was asked for and has reached this end is handed out by [`next_fd`](Self::next_fd) before this
    /// reports the end or an error.
    ///
    /// # Errors
    /// These are final, and each further call reports them again. There are two exceptions. Over a SOCK_SEQPACKET or
    /// SOCK_DGRAM socket EBADMSG and EMSGSIZE are about one message. They are reported once, and the next call goes on.
    /// And ENOTRECOVERABLE takes the place of an earlier error of sending.
    /// - EPIPE, ECONNRESET, or ECONNREFUSED of a datagram socket: the peer is gone.
    /// - EBADMSG: bytes came without a descriptor. If data is wanted and this is a stream, it is only reported if the end
    ///   came behind them. On the BSDs and macOS it may be that another receiver on this end has lost their message.
    /// - EMSGSIZE: a message had more than 4096 bytes (on a stream together with bytes that came before it without a
    ///   descriptor). Its descriptors were closed.
    /// - ENOTRECOVERABLE: the kernel destroyed descriptors of a message, see [`recv_fd`](crate::recv_fd). On NetBSD it is
    ///   ENOLINK.
    /// - ENOTCONN, ENOTSOCK, EAFNOSUPPORT, EINVAL: this is not a connected local socket.
    /// - EBADF: another part of the program closed a descriptor of the passer.
    ///
    /// A full table, too many descriptors in flight and a shortage of memory are no errors. The
    /// direction pauses.
    pub fn process(&mut self, ready: Events) -> io::Result<Progress> {
        Ok(match self.0.process(ready)? {
            queue::Progress::Open => Progress::Open,
            queue::Progress::Shutdown => Progress::Shutdown,
            queue::Progress::Refused(fd, error) => Progress::Refused(Refused {
                fd,
                error: error.into(),
            }),
        })
    }

    /// Takes the next received descriptor, if there is one and it was asked for.
    pub fn next_fd(&mut self) -> Option<OwnedFd> {
        self.0.next_fd()
    }

    /// Takes the next received descriptor with its data, if there is one and it was asked for. If several descriptors came
    /// in one message, the first one has the data.
    pub fn next_message(&mut self) -> Option<(OwnedFd, Option<Vec<u8>>)> {
        self.0.next_message()
    }

    /// Returns how many descriptors are queued and not yet sent.
    pub fn queued(&self) -> usize {
        self.0.queued()
    }

    /// Says whether everything is sent and the peer has received it. It is also true if the peer closed its end, which
    /// [`process`](Self::process) reports as ECONNRESET.
    ///
    /// # Errors
    /// EOPNOTSUPP: the system does not tell. ENOTSOCK, EINVAL: this is not a connected socket.
    pub fn drained(&self) -> io::Result<bool> {
        Ok(self.0.drained()?)
    }
}

impl AsFd for Passer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// For event loops that want a number, such as tokio's `AsyncFd`.
impl AsRawFd for Passer {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

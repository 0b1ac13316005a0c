//! The queue: descriptors to be sent and to be received, in order, moved when the caller's event loop
//! says so. It makes no system call of its own, calls nobody back, and knows no event loop.

use crate::error::{self, Retry};
use crate::sys::{self, Wait};
use crate::transfer::{self, Stop, MAX_PER_MESSAGE};
use arrayvec::ArrayVec;
use nix::errno::Errno;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// How many descriptors one call moves in each direction, so that one busy passer does not starve
/// the others of its loop.
const FAIR_SHARE: usize = 100;

/// One end of a connection with a queue for each direction, for use with any event loop: poll the
/// passer for [`events`](Self::events), no longer than [`timeout`](Self::timeout), and call
/// [`process`](Self::process) with what the poll found; then take what [`next_fd`](Self::next_fd)
/// has.
///
/// Nothing waits, and nothing is sent or received but by `process`. Descriptors arrive in the order
/// in which they were pushed. Dropping the passer closes it, with all that is queued or was not
/// taken.
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
///         // Rounded up: woken a little too early, it would have nothing to do yet.
///         PollTimeout::try_from(t.as_micros().div_ceil(1000)).unwrap_or(PollTimeout::MAX)
///     });
///     let mut fds = [PollFd::new(passer.as_fd(), flags)];
///     // With no flags, leave it out: POLLHUP comes without being asked for.
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
pub struct Passer {
    socket: OwnedFd,
    per_message: usize,
    to_send: VecDeque<OwnedFd>,
    max_queued: usize,
    /// Taken from the socket, and not from us.
    received: VecDeque<OwnedFd>,
    /// How many the caller is still to get.
    wanted: usize,
    sending: Turn,
    receiving: Turn,
    /// Nothing more comes.
    ended: bool,
    /// The first error that is final.
    error: Option<Errno>,
    /// The caller knows of the end, or of the error.
    told: bool,
}

/// When a direction may be tried next.
#[derive(Clone, Copy, Debug)]
enum Turn {
    /// The socket was not found full, or empty, when last we looked. So an event loop that reports
    /// changes only (epoll's EPOLLET) may not report it again.
    Now,
    WhenReady,
    After(Instant),
}

/// Which way a passer is to be polled, or was found ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Events {
    /// POLLIN.
    pub readable: bool,
    /// POLLOUT.
    pub writable: bool,
}

/// How a passer stands after [`Passer::process`].
#[derive(Debug)]
pub enum Progress {
    /// It goes on.
    Open,
    /// The peer has shut down in good order; all that it sent was taken, and all that was queued
    /// for it is sent. If it only stopped sending, more may be pushed for it.
    Shutdown,
    /// This descriptor cannot be sent, and comes back. The passer goes on with the next one.
    Refused(Refused),
}

/// A descriptor that was not taken, or cannot be sent, and why.
#[derive(Debug)]
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
    /// A passer over a connected socket, which is set to non-blocking mode.
    ///
    /// # Errors
    /// As fcntl(2); `socket` is closed then.
    pub fn new(socket: OwnedFd) -> io::Result<Self> {
        sys::set_nonblocking(socket.as_fd())?;
        Ok(Self::over(socket))
    }

    /// Both ends of a new connection. After the fork the parent keeps one and the child the other.
    ///
    /// # Errors
    /// As [`socketpair`](crate::socketpair).
    pub fn pair() -> io::Result<PasserPair> {
        let (parent, child) = sys::pair()?;
        Ok(PasserPair {
            parent: Self::new(parent)?,
            child: Self::new(child)?,
        })
    }

    /// Over a socket that is non-blocking already.
    pub(crate) fn over(socket: OwnedFd) -> Self {
        Self {
            socket,
            per_message: 1,
            to_send: VecDeque::new(),
            max_queued: usize::MAX,
            received: VecDeque::new(),
            wanted: 0,
            sending: Turn::Now,
            receiving: Turn::Now,
            ended: false,
            error: None,
            told: false,
        }
    }

    /// How many descriptors a message may carry where several are queued: 1 unless this is called.
    /// Only a peer that expects several in a message understands more; this crate always does.
    ///
    /// # Errors
    /// EINVAL: `count` is 0 or above [`MAX_PER_MESSAGE`].
    pub fn set_per_message(&mut self, count: usize) -> io::Result<()> {
        if !(1..=MAX_PER_MESSAGE).contains(&count) {
            return Err(Errno::EINVAL.into());
        }
        self.per_message = count;
        Ok(())
    }

    /// Bounds the queue of descriptors to be sent; it has no bound at first, and `None` takes it
    /// away. What is queued already stays.
    pub fn set_max_queued(&mut self, count: Option<usize>) {
        self.max_queued = count.unwrap_or(usize::MAX);
    }

    /// Queues a descriptor, which is closed here once it is sent.
    ///
    /// # Errors
    /// EAGAIN: as many as [`set_max_queued`](Self::set_max_queued) says are queued. ENOMEM. After a
    /// final error of [`process`](Self::process) that one. In each case the descriptor comes back.
    pub fn push_send_fd(&mut self, fd: OwnedFd) -> Result<(), Refused> {
        let verdict = match self.error {
            Some(error) => Err(error),
            None if self.to_send.len() >= self.max_queued => Err(Errno::EAGAIN),
            None => self.to_send.try_reserve(1).map_err(|_| Errno::ENOMEM),
        };
        match verdict {
            Ok(()) => {
                self.to_send.push_back(fd);
                self.told = false;
                Ok(())
            }
            Err(error) => Err(Refused {
                fd,
                error: error.into(),
            }),
        }
    }

    /// Says that the caller is ready to take so many descriptors more.
    ///
    /// No more than that is taken from the socket, but that a message is taken whole: what it has
    /// in excess waits here for the next push.
    pub fn push_recv(&mut self, count: usize) {
        self.wanted = self.wanted.saturating_add(count);
        self.told = false;
    }

    /// What to poll the passer for at the moment. If it is nothing do not poll it at all, as a
    /// hang-up is reported without being asked for.
    pub fn events(&self) -> Events {
        let open = self.error.is_none();
        Events {
            readable: open && self.is_receiving() && !matches!(self.receiving, Turn::After(_)),
            writable: open && self.is_sending() && !matches!(self.sending, Turn::After(_)),
        }
    }

    /// When to call [`process`](Self::process) although the passer is not ready: zero if
    /// [`next_fd`](Self::next_fd) has something, or if there is work for another call or something
    /// to be told; `None` if there is no need.
    pub fn timeout(&self) -> Option<Duration> {
        if self.deliverable() || (self.verdict().is_some() && !self.told) {
            return Some(Duration::ZERO);
        }
        let sending = self.is_sending().then(|| self.sending.pause()).flatten();
        let receiving = self.is_receiving().then(|| self.receiving.pause());
        sending.into_iter().chain(receiving.flatten()).min()
    }

    /// Moves what can be moved without waiting, up to a fair share: in the directions that are
    /// `ready`, and in those for which the [`timeout`](Self::timeout) is over. To be called when
    /// nothing is ready, or too early, changes nothing.
    ///
    /// Before it tells of the end or of an error, all that was asked for and has reached this end
    /// is handed out by [`next_fd`](Self::next_fd).
    ///
    /// # Errors
    /// These are final, and said again by each further call. EPIPE, ECONNRESET, or ECONNREFUSED of a
    /// datagram socket: the peer is gone. EBADMSG: a byte came without a descriptor. ENOTRECOVERABLE:
    /// the kernel destroyed descriptors of a message, see [`recv_fd`](crate::recv_fd). ENOTCONN,
    /// ENOTSOCK, EAFNOSUPPORT, EINVAL: this is no connected local socket. EBADF: a descriptor was
    /// closed behind the passer's back.
    ///
    /// A full table, too many descriptors in flight and a shortage of memory are no errors: the
    /// direction pauses.
    pub fn process(&mut self, ready: Events) -> io::Result<Progress> {
        let refused = if self.is_sending() && self.sending.has_come(ready.writable) {
            self.send_some()
        } else {
            None
        };
        if self.is_receiving() && self.receiving.has_come(ready.readable) {
            self.receive_some();
        }
        if let Some(refused) = refused {
            return Ok(Progress::Refused(refused));
        }
        match self.verdict() {
            None => Ok(Progress::Open),
            Some(verdict) => {
                self.told = true;
                verdict.map(|()| Progress::Shutdown).map_err(Into::into)
            }
        }
    }

    /// The next of the received descriptors, if there is one and it was asked for.
    pub fn next_fd(&mut self) -> Option<OwnedFd> {
        self.wanted.checked_sub(1).and_then(|wanted| {
            let fd = self.received.pop_front()?;
            self.wanted = wanted;
            Some(fd)
        })
    }

    /// How many descriptors are queued and not yet sent.
    pub fn queued(&self) -> usize {
        self.to_send.len()
    }

    /// Is all sent, and has the peer taken it? (Or closed its end, which will show as ECONNRESET.)
    ///
    /// # Errors
    /// EOPNOTSUPP: the system does not tell. ENOTSOCK, EINVAL: this is no connected socket.
    pub fn drained(&self) -> io::Result<bool> {
        Ok(sys::unread_by_peer(self.as_fd())? == 0 && self.to_send.is_empty())
    }

    fn is_sending(&self) -> bool {
        !self.to_send.is_empty() && self.error.is_none()
    }

    fn is_receiving(&self) -> bool {
        self.wanted > self.received.len() && !self.ended
    }

    fn deliverable(&self) -> bool {
        self.wanted > 0 && !self.received.is_empty()
    }

    /// How it all ended, if it did and there is nothing left to be done or handed out.
    fn verdict(&self) -> Option<Result<(), Errno>> {
        if self.deliverable() || self.is_receiving() {
            return None;
        }
        match self.error {
            Some(error) => Some(Err(error)),
            None => (self.ended && self.to_send.is_empty()).then_some(Ok(())),
        }
    }

    /// Stops behind a descriptor that is refused.
    fn send_some(&mut self) -> Option<Refused> {
        let mut left = FAIR_SHARE;
        while left > 0 && !self.to_send.is_empty() {
            let fds: ArrayVec<BorrowedFd<'_>, MAX_PER_MESSAGE> = self
                .to_send
                .iter()
                .take(left.max(self.per_message))
                .map(AsFd::as_fd)
                .collect();
            match transfer::send(self.as_fd(), &fds, self.per_message, Wait::Never) {
                Ok(sent) => {
                    drop(fds);
                    self.to_send.drain(..sent);
                    left = left.saturating_sub(sent);
                }
                // EBADF: nobody could say what else of ours is not ours any more.
                Err(error) if error != Errno::EBADF && transfer::refuses_one(error) => {
                    drop(fds);
                    self.sending = Turn::Now;
                    return self.to_send.pop_front().map(|fd| Refused {
                        fd,
                        error: error.into(),
                    });
                }
                Err(error) => {
                    drop(fds);
                    match Turn::after(error) {
                        Some(turn) => self.sending = turn,
                        None => self.fail(error),
                    }
                    return None;
                }
            }
        }
        self.sending = Turn::Now;
        None
    }

    fn receive_some(&mut self) {
        let mut stop = self.receive_messages();
        // A SOCK_SEQPACKET socket says this before it hands out what is left; once, on Linux.
        if matches!(&stop, Stop::Error(e) if e.raw_os_error() == Some(Errno::ECONNRESET as i32)) {
            self.fail(Errno::ECONNRESET);
            stop = self.receive_messages();
        }
        match stop {
            Stop::Enough => self.receiving = Turn::Now,
            Stop::Shutdown => self.ended = true,
            Stop::Error(stop) => {
                let errno = error::errno(stop);
                match Turn::after(errno) {
                    // Sending found that the peer is gone, so nothing comes after what has come.
                    Some(Turn::WhenReady) if self.error.is_some() => self.ended = true,
                    Some(turn) => self.receiving = turn,
                    None => {
                        self.ended = true;
                        self.fail(errno);
                    }
                }
            }
        }
    }

    fn receive_messages(&mut self) -> Stop {
        let most = (self.wanted - self.received.len()).min(FAIR_SHARE);
        // There must be room before anything is taken, and the last message may be a large one.
        match self.received.try_reserve(most - 1 + MAX_PER_MESSAGE) {
            Ok(()) => transfer::recv_messages(self.socket.as_fd(), most, most, |fd| {
                self.received.push_back(fd);
            }),
            Err(_) => Stop::Error(Errno::ENOMEM.into()),
        }
    }

    /// What has reached this end is still to be had, and nothing will make the socket ready for it.
    fn fail(&mut self, error: Errno) {
        self.error.get_or_insert(error);
        if matches!(self.receiving, Turn::WhenReady) {
            self.receiving = Turn::Now;
        }
    }
}

impl AsFd for Passer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Turn {
    /// The one after an error; none if the error is final.
    fn after(error: Errno) -> Option<Self> {
        match error::of(error) {
            // A signal makes nothing ready.
            Retry::WhenReady if error == Errno::EINTR => Some(Self::Now),
            Retry::WhenReady => Some(Self::WhenReady),
            Retry::After(pause) => Some(Self::After(Instant::now() + pause)),
            Retry::Never => None,
        }
    }

    fn has_come(self, ready: bool) -> bool {
        match self {
            Self::WhenReady => ready,
            Self::After(time) => Instant::now() >= time,
            Self::Now => true,
        }
    }

    /// How long until it comes without readiness.
    fn pause(self) -> Option<Duration> {
        match self {
            Self::WhenReady => None,
            Self::After(time) => Some(time.saturating_duration_since(Instant::now())),
            Self::Now => Some(Duration::ZERO),
        }
    }
}

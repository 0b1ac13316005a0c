// SPDX-License-Identifier: MIT OR Apache-2.0
//! The queue: descriptors to be sent and to be received, in order, moved when the caller's event loop
//! says so. It makes no system call of its own, calls nobody back, and knows no event loop.

use crate::error::{self, Retry};
use crate::sys;
use crate::transfer::{self, Taken, Wait, MAX_PER_MESSAGE};
use arrayvec::ArrayVec;
use nix::errno::Errno;
use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// How many descriptors one call moves in each direction, so that one busy passer does not starve
/// the others of its loop.
const FAIR_SHARE: usize = 100;

/// One end of a connection with a queue for each direction. [`Passer`](crate::Passer) documents it.
#[derive(Debug)]
pub(crate) struct Queue {
    socket: OwnedFd,
    /// Whether descriptors can travel over this socket.
    can_send: Result<(), Errno>,
    per_message: usize,
    to_send: VecDeque<OwnedFd>,
    max_queued: usize,
    /// Taken from the socket, and not yet by the caller.
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
    /// The socket was not full, or not empty, at our last try. An event loop that reports changes only (epoll's
    /// EPOLLET) may not report it again.
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

/// How a queue stands after [`Queue::process`].
#[derive(Debug)]
pub(crate) enum Progress {
    Open,
    Shutdown,
    Refused(OwnedFd, Errno),
}

impl Queue {
    /// Over a connected socket, which is set to non-blocking mode. On failure it is closed.
    pub(crate) fn new(socket: OwnedFd) -> Result<Self, Errno> {
        Self::prepare(socket.as_fd())?;
        Ok(Self::over(socket))
    }

    /// What can fail of [`new`](Self::new), while the socket is still the caller's.
    pub(crate) fn prepare(socket: BorrowedFd<'_>) -> Result<(), Errno> {
        sys::wait::set_nonblocking(socket)?;
        sys::keep_in_line(socket);
        Ok(())
    }

    /// Over a socket that is prepared.
    pub(crate) fn over(socket: OwnedFd) -> Self {
        Self {
            can_send: sys::must_be_local(socket.as_fd()),
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

    /// Both ends of a new connection: the parent's, and the child's.
    pub(crate) fn pair() -> Result<(Self, Self), Errno> {
        let (parent, child) = sys::pair()?;
        Ok((Self::new(parent)?, Self::new(child)?))
    }

    pub(crate) fn set_per_message(&mut self, count: usize) -> Result<(), Errno> {
        if !(1..=MAX_PER_MESSAGE).contains(&count) {
            return Err(Errno::EINVAL);
        }
        self.per_message = count;
        Ok(())
    }

    pub(crate) fn set_max_queued(&mut self, count: Option<usize>) {
        self.max_queued = count.unwrap_or(usize::MAX);
    }

    /// EBADF if there is no such descriptor to be pushed.
    #[cfg(feature = "capi")]
    pub(crate) fn must_be_open(fd: BorrowedFd<'_>) -> Result<(), Errno> {
        sys::table::is_open(fd)
    }

    /// Queues a descriptor, which comes back on failure.
    pub(crate) fn push_send_fd(&mut self, fd: OwnedFd) -> Result<(), (OwnedFd, Errno)> {
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
            Err(error) => Err((fd, error)),
        }
    }

    /// At most `count` descriptors more are taken from the socket, rounded up to whole messages.
    pub(crate) fn push_recv(&mut self, count: usize) {
        self.wanted = self.wanted.saturating_add(count);
        self.told = false;
    }

    pub(crate) fn events(&self) -> Events {
        let open = self.error.is_none();
        Events {
            readable: open && self.is_receiving() && !matches!(self.receiving, Turn::After(_)),
            writable: open && self.is_sending() && !matches!(self.sending, Turn::After(_)),
        }
    }

    pub(crate) fn timeout(&self) -> Option<Duration> {
        if self.deliverable() || (self.verdict().is_some() && !self.told) {
            return Some(Duration::ZERO);
        }
        let sending = self.is_sending().then(|| self.sending.pause()).flatten();
        let receiving = self.is_receiving().then(|| self.receiving.pause());
        sending.into_iter().chain(receiving.flatten()).min()
    }

    /// Moves what can be moved without waiting, up to a fair share.
    pub(crate) fn process(&mut self, ready: Events) -> Result<Progress, Errno> {
        let refused = if self.is_sending() && self.sending.has_come(ready.writable) {
            self.send_some()
        } else {
            None
        };
        if self.is_receiving() && self.receiving.has_come(ready.readable) {
            self.receive_some();
        }
        if let Some((fd, error)) = refused {
            return Ok(Progress::Refused(fd, error));
        }
        match self.verdict() {
            None => Ok(Progress::Open),
            Some(verdict) => {
                self.told = true;
                verdict.map(|()| Progress::Shutdown)
            }
        }
    }

    pub(crate) fn next_fd(&mut self) -> Option<OwnedFd> {
        let wanted = self.wanted.checked_sub(1)?;
        let fd = self.received.pop_front()?;
        self.wanted = wanted;
        Some(fd)
    }

    pub(crate) fn queued(&self) -> usize {
        self.to_send.len()
    }

    pub(crate) fn drained(&self) -> Result<bool, Errno> {
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

    /// Sends up to a fair share, and stops at a descriptor that is refused.
    fn send_some(&mut self) -> Option<(OwnedFd, Errno)> {
        let mut left = FAIR_SHARE;
        while left > 0 && !self.to_send.is_empty() {
            match self.send_next(left) {
                Ok(sent) => {
                    self.to_send.drain(..sent);
                    left = left.saturating_sub(sent);
                }
                // EBADF means that somebody closed a descriptor of the queue. Others may be somebody else's by now.
                Err(error) if error != Errno::EBADF && transfer::refuses_one(error) => {
                    self.sending = Turn::Now;
                    return self.to_send.pop_front().map(|fd| (fd, error));
                }
                Err(error) => {
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

    /// Sends from the front of the queue, about as many as that, and says how many were sent.
    fn send_next(&self, about: usize) -> Result<usize, Errno> {
        self.can_send?;
        let fds: ArrayVec<BorrowedFd<'_>, MAX_PER_MESSAGE> = self
            .to_send
            .iter()
            .take(about.max(self.per_message))
            .map(AsFd::as_fd)
            .collect();
        transfer::send_over_local(self.as_fd(), &fds, self.per_message, Wait::Never)
    }

    fn receive_some(&mut self) {
        let mut result = self.receive_messages();
        // A SOCK_SEQPACKET socket says this, once, before it hands out what is left.
        if result == Err(Errno::ECONNRESET) {
            self.fail(Errno::ECONNRESET);
            result = self.receive_messages();
        }
        match result {
            Ok(Taken::Enough) => self.receiving = Turn::Now,
            Ok(Taken::Shutdown) => self.ended = true,
            Err(error) => match Turn::after(error) {
                // Sending found that the peer is gone, so nothing comes after what has come.
                Some(Turn::WhenReady) if self.error.is_some() => self.ended = true,
                Some(turn) => self.receiving = turn,
                None => {
                    self.ended = true;
                    self.fail(error);
                }
            },
        }
    }

    fn receive_messages(&mut self) -> Result<Taken, Errno> {
        let most = (self.wanted - self.received.len()).min(FAIR_SHARE);
        // There must be room before anything is taken, and the last message may be a large one.
        self.received
            .try_reserve(most - 1 + MAX_PER_MESSAGE)
            .map_err(|_| Errno::ENOMEM)?;
        transfer::recv_messages(self.socket.as_fd(), most, |fd| {
            self.received.push_back(fd);
        })
    }

    /// Keeps the first final error. Receiving is tried at once, and not when the socket is ready: what has reached this
    /// end is still to be handed out, and the event loop may never report the socket again.
    fn fail(&mut self, error: Errno) {
        self.error.get_or_insert(error);
        if matches!(self.receiving, Turn::WhenReady) {
            self.receiving = Turn::Now;
        }
    }
}

impl AsFd for Queue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Turn {
    /// The turn after an error; none if the error is final.
    fn after(error: Errno) -> Option<Self> {
        match error::retry(error) {
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

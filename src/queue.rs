// SPDX-License-Identifier: MIT OR Apache-2.0
//! The queue: descriptors to be sent and to be received, in order, moved when the caller's event loop
//! says so. It makes no system call of its own, calls nobody back, and knows no event loop.

use crate::error::{self, Retry, DESTROYED, NO_DESCRIPTOR, TOO_MANY};
use crate::sys::{self, table::borrowed, wait::SEND_AGAIN_WITHIN, Kind};
use crate::transfer::{self, data_of, Taken, Wait, MAX_DATA, MAX_PER_MESSAGE};
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
    /// Why nothing is received at the moment.
    stopped: Option<Stopped>,
    /// The first error that is final.
    error: Option<Errno>,
    /// The caller knows of the end, or of the error.
    told: bool,
    /// One, once data is sent or wanted; before that none. (A Box would abort for want of memory.)
    data: Vec<Data>,
}

/// The data of those descriptors in the queues that have some, in order.
#[derive(Debug, Default)]
struct Data {
    to_send: VecDeque<(Place, Vec<u8>)>,
    /// How many descriptors have left `to_send`.
    sent: Place,
    received: VecDeque<(Place, Vec<u8>)>,
    /// How many descriptors have left `received`.
    handed_out: Place,
    /// There if the caller wants data.
    incoming: Option<Incoming>,
}

/// The number of a descriptor, counted in its direction from when there was [`Data`].
type Place = u64;

/// What receiving data needs.
#[derive(Debug, Default)]
struct Incoming {
    /// Bytes that came without a descriptor, and behind them room for the bytes of one message. They belong together.
    buffer: Vec<u8>,
    /// How many bytes came without a descriptor.
    ahead: usize,
}

/// Why receiving has stopped.
#[derive(Clone, Copy, Debug)]
enum Stopped {
    /// A message is in error, and the next one is good. Receiving goes on when the caller knows.
    ByMessage(Errno),
    /// Nothing more comes.
    ForGood,
}

/// When a direction may be tried next.
#[derive(Clone, Copy, Debug)]
enum Turn {
    /// The socket was not full, or not empty, at our last try. An event loop that reports changes only (epoll's
    /// EPOLLET) may not report it again.
    Now,
    WhenReady,
    /// When the socket is ready, or at this moment.
    WhenReadyOrAt(Instant),
    /// Not before this moment.
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
            stopped: None,
            error: None,
            told: false,
            data: Vec::new(),
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
    #[inline(always)] // a call would cost as much as what it does
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

    /// Queues a descriptor with a copy of its data. EMSGSIZE: too much data.
    pub(crate) fn push_send_message(
        &mut self,
        fd: OwnedFd,
        data: &[u8],
    ) -> Result<(), (OwnedFd, Errno)> {
        let data = data_of(data);
        if data.is_empty() {
            return self.push_send_fd(fd);
        }
        if data.len() > MAX_DATA {
            return Err((fd, Errno::EMSGSIZE));
        }
        let queued = self.to_send.len();
        let copy = self.data().and_then(|all| {
            all.to_send.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
            copy_of(data)
        });
        let copy = match copy {
            Ok(copy) => copy,
            Err(error) => return Err((fd, error)),
        };
        self.push_send_fd(fd)?;
        if let Some(all) = self.data.first_mut() {
            all.to_send.push_back((all.sent + queued as Place, copy));
        }
        Ok(())
    }

    fn data(&mut self) -> Result<&mut Data, Errno> {
        if self.data.is_empty() {
            self.data.try_reserve_exact(1).map_err(|_| Errno::ENOMEM)?;
            self.data.push(Data::default());
        }
        Ok(&mut self.data[0])
    }

    /// Whether the data of received descriptors is kept for [`next_message`](Self::next_message). At first it is not.
    pub(crate) fn want_data(&mut self, yes: bool) -> Result<(), Errno> {
        if !yes || !sys::HAS_DATA {
            if let Some(all) = self.data.first_mut() {
                all.incoming = None;
            }
            return Ok(());
        }
        let all = self.data()?;
        let mut incoming = all.incoming.take().unwrap_or_default();
        incoming.room()?;
        all.incoming = Some(incoming);
        Ok(())
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
            self.receive_some(ready.readable);
        }
        if let Some((fd, error)) = refused {
            return Ok(Progress::Refused(fd, error));
        }
        match self.verdict() {
            None => Ok(Progress::Open),
            Some(verdict) => {
                match self.stopped {
                    Some(Stopped::ByMessage(_)) => self.stopped = None,
                    _ => self.told = true,
                }
                verdict.map(|()| Progress::Shutdown)
            }
        }
    }

    #[inline]
    pub(crate) fn next_fd(&mut self) -> Option<OwnedFd> {
        let fd = self.next_received()?;
        if !self.data.is_empty() {
            self.drop_data_of_last();
        }
        Some(fd)
    }

    /// The next descriptor with its data, if it has any.
    pub(crate) fn next_message(&mut self) -> Option<(OwnedFd, Option<Vec<u8>>)> {
        let fd = self.next_received()?;
        Some((fd, self.data_of_last()))
    }

    fn next_received(&mut self) -> Option<OwnedFd> {
        let wanted = self.wanted.checked_sub(1)?;
        let fd = self.received.pop_front()?;
        self.wanted = wanted;
        Some(fd)
    }

    #[inline(never)] // so that next_fd() is small where there is no data
    fn drop_data_of_last(&mut self) {
        drop(self.data_of_last());
    }

    /// The data of the descriptor that has just left `received`.
    fn data_of_last(&mut self) -> Option<Vec<u8>> {
        let all = self.data.first_mut()?;
        all.handed_out += 1;
        take_at(&mut all.received, all.handed_out - 1)
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
        self.wanted > self.received.len() && self.stopped.is_none()
    }

    fn deliverable(&self) -> bool {
        self.wanted > 0 && !self.received.is_empty()
    }

    /// How it all ended, or which message is in error, if there is nothing left to be done or handed out before that.
    fn verdict(&self) -> Option<Result<(), Errno>> {
        if self.deliverable() || self.is_receiving() {
            return None;
        }
        match (self.stopped, self.error) {
            (Some(Stopped::ByMessage(error)), _) | (_, Some(error)) => Some(Err(error)),
            (Some(Stopped::ForGood), None) => self.to_send.is_empty().then_some(Ok(())),
            (None, None) => None,
        }
    }

    /// Sends up to a fair share, and stops at a descriptor that is refused.
    #[inline(never)] // its control buffer and those of receiving are not needed at the same time
    fn send_some(&mut self) -> Option<(OwnedFd, Errno)> {
        let mut left = FAIR_SHARE;
        while left > 0 && !self.to_send.is_empty() {
            match self.send_next(left) {
                Ok(sent) => {
                    // Not drain(): for one, or a few, it takes longer.
                    (0..sent).for_each(|_| drop(self.to_send.pop_front()));
                    self.forget_data(sent);
                    left = left.saturating_sub(sent);
                }
                // EBADF means that somebody closed a descriptor of the queue. Others may be somebody else's by now.
                Err(error) if self.refuses_first(error) => {
                    self.sending = Turn::Now;
                    self.forget_data(1);
                    return self.to_send.pop_front().map(|fd| (fd, error));
                }
                Err(error) => {
                    match Turn::after(error) {
                        Some(Turn::WhenReady) => {
                            self.sending = Turn::WhenReadyOrAt(Instant::now() + SEND_AGAIN_WITHIN);
                        }
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

    /// Whether the error is about the first descriptor only. EMSGSIZE is about its data, for which the socket's buffer
    /// is too small.
    fn refuses_first(&self, error: Errno) -> bool {
        match error {
            Errno::EBADF => false,
            Errno::EMSGSIZE => self.data_of_first().is_some(),
            _ => transfer::refuses_one(error),
        }
    }

    fn data_of_first(&self) -> Option<&[u8]> {
        let all = self.data.first()?;
        match all.to_send.front() {
            Some((place, data)) if *place == all.sent => Some(data),
            _ => None,
        }
    }

    /// How many descriptors in front have no data.
    fn without_data(&self) -> usize {
        let all = self.data.first();
        match all.and_then(|all| Some((all.to_send.front()?.0, all.sent))) {
            Some((place, sent)) => (place - sent) as usize,
            None => usize::MAX,
        }
    }

    /// So many descriptors have left the front of `to_send`.
    fn forget_data(&mut self, count: usize) {
        if let Some(all) = self.data.first_mut() {
            take_at(&mut all.to_send, all.sent);
            all.sent += count as Place;
        }
    }

    /// Sends from the front of the queue, about as many as that, and says how many were sent. A descriptor with data goes
    /// in a message of its own.
    fn send_next(&mut self, about: usize) -> Result<usize, Errno> {
        self.can_send?;
        if let Some(data) = self.data_of_first() {
            let fd = self.to_send[0].as_fd();
            transfer::send_message_over_local(self.as_fd(), &[fd], data, Wait::Never)?;
            return Ok(1);
        }
        let most = about.max(self.per_message).min(self.to_send.len());
        // The queue is a ring. Where it ends and begins again, a message would be in two pieces.
        if self.to_send.as_slices().0.len() < most {
            self.to_send.make_contiguous();
        }
        let fds = &self.to_send.as_slices().0[..most.min(self.without_data())];
        transfer::send_over_local(self.as_fd(), borrowed(fds), self.per_message, Wait::Never)
    }

    fn receive_some(&mut self, ready: bool) {
        let before = self.received.len();
        match self.receive_messages() {
            Ok(Taken::Enough) => self.receiving = Turn::Now,
            result => {
                let in_vain = ready && self.received.len() == before;
                self.receive_no_more(result, in_vain);
            }
        }
    }

    /// `in_vain`: the socket was ready, and had nothing.
    #[inline(never)] // it is not for every message
    fn receive_no_more(&mut self, mut result: Result<Taken, Errno>, in_vain: bool) {
        // A SOCK_SEQPACKET socket says this, once, before it hands out what is left.
        if result == Err(Errno::ECONNRESET) {
            self.fail(Errno::ECONNRESET);
            result = self.receive_messages();
        }
        // A datagram socket that was shut down here says EAGAIN (on Linux), and polls readable for ever.
        if in_vain
            && result == Err(Errno::EAGAIN)
            && sys::ends_with_eagain(self.as_fd()) == Ok(true)
        {
            result = match self.receive_messages() {
                Err(Errno::EAGAIN) => Ok(Taken::Shutdown),
                result => result,
            };
        }
        match result {
            Ok(Taken::Enough) => self.receiving = Turn::Now,
            Ok(Taken::Shutdown) => {
                self.stopped = Some(Stopped::ForGood);
                if self.bytes_are_ahead() {
                    self.fail(NO_DESCRIPTOR);
                }
            }
            Err(error @ (NO_DESCRIPTOR | TOO_MANY)) if !is_stream(self.as_fd()) => {
                self.receiving = Turn::Now;
                self.stopped = Some(Stopped::ByMessage(error));
            }
            Err(error) => match Turn::after(error) {
                // Sending found that the peer is gone, so nothing comes after what has come.
                Some(Turn::WhenReady) if self.error.is_some() => {
                    self.stopped = Some(Stopped::ForGood);
                }
                Some(turn) => self.receiving = turn,
                None => {
                    self.stopped = Some(Stopped::ForGood);
                    self.fail(error);
                }
            },
        }
    }

    /// Whether bytes came, and no descriptor behind them.
    fn bytes_are_ahead(&self) -> bool {
        let incoming = self.data.first().and_then(|all| all.incoming.as_ref());
        incoming.is_some_and(|incoming| incoming.ahead > 0)
    }

    fn receive_messages(&mut self) -> Result<Taken, Errno> {
        let most = (self.wanted - self.received.len()).min(FAIR_SHARE);
        // There must be room before anything is taken, and the last message may be a large one.
        self.received
            .try_reserve(most - 1 + MAX_PER_MESSAGE)
            .map_err(|_| Errno::ENOMEM)?;
        if self.data.first().is_some_and(|all| all.incoming.is_some()) {
            return self.receive_with_data(most);
        }
        transfer::recv_messages(self.socket.as_fd(), most, |fds| {
            // Not extend(): it asks anew for room, which is there already.
            fds.drain(..).for_each(|fd| self.received.push_back(fd));
        })
    }

    fn receive_with_data(&mut self, most: usize) -> Result<Taken, Errno> {
        let Self {
            socket,
            received,
            data,
            ..
        } = self;
        let Some(Data {
            received: received_data,
            handed_out,
            incoming: Some(incoming),
            ..
        }) = data.first_mut()
        else {
            return Ok(Taken::Enough);
        };
        let mut keeper = (incoming, received_data);
        let before = received.len();
        let mut joins = None;
        // Bytes of a stream without a descriptor are no message, and there may be one behind them.
        for _ in 0..FAIR_SHARE {
            let enough = most.saturating_sub(received.len() - before);
            let result = transfer::recv_messages_with_data(
                socket.as_fd(),
                enough,
                &mut keeper,
                |(incoming, all)| {
                    all.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
                    incoming.room()
                },
                |(incoming, all), fds, len| {
                    if fds.is_empty() {
                        return match *joins.get_or_insert_with(|| is_stream(socket.as_fd())) {
                            true => incoming.keep(len),
                            false => Ok(()),
                        };
                    }
                    if let Some(data) = incoming.take(len)? {
                        all.push_back((*handed_out + received.len() as Place, data));
                    }
                    fds.drain(..).for_each(|fd| received.push_back(fd));
                    Ok(())
                },
            );
            if result != Err(NO_DESCRIPTOR) || joins == Some(false) {
                return result;
            }
        }
        Ok(Taken::Enough)
    }

    /// Keeps the first final error. A loss takes its place, because it must not be passed over. Receiving is tried at once,
    /// and not when the socket is ready: what has reached this end is still to be handed out, and the event loop may never
    /// report the socket again.
    fn fail(&mut self, error: Errno) {
        if self.error.is_none() || error == DESTROYED {
            self.error = Some(error);
        }
        if matches!(self.receiving, Turn::WhenReady) {
            self.receiving = Turn::Now;
        }
    }
}

impl Incoming {
    /// Room for the bytes of one message, behind those that came ahead. Once there is room, taking a message cannot fail for
    /// want of memory.
    fn room(&mut self) -> Result<&mut [u8], Errno> {
        let size = self.ahead + MAX_DATA;
        if self.buffer.len() < size {
            let missing = size - self.buffer.len();
            self.buffer
                .try_reserve(missing)
                .map_err(|_| Errno::ENOMEM)?;
            self.buffer.resize(size, 0);
        }
        Ok(&mut self.buffer[self.ahead..size])
    }

    /// `len` bytes came without a descriptor.
    fn keep(&mut self, len: usize) -> Result<(), Errno> {
        self.ahead += len;
        match self.ahead {
            0..=MAX_DATA => Ok(()),
            _ => Err(TOO_MANY),
        }
    }

    /// A message of `len` bytes came: its data, with what came ahead of it.
    fn take(&mut self, len: usize) -> Result<Option<Vec<u8>>, Errno> {
        self.keep(len)?;
        let len = std::mem::take(&mut self.ahead);
        let data = data_of(&self.buffer[..len]);
        if data.is_empty() {
            return Ok(None);
        }
        Ok(Some(copy_of(data).unwrap_or_else(|_| {
            // For want of memory the buffer itself is the copy.
            let mut buffer = std::mem::take(&mut self.buffer);
            buffer.truncate(len);
            buffer
        })))
    }
}

fn copy_of(data: &[u8]) -> Result<Vec<u8>, Errno> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(data.len())
        .map_err(|_| Errno::ENOMEM)?;
    copy.extend_from_slice(data);
    Ok(copy)
}

fn is_stream(socket: BorrowedFd<'_>) -> bool {
    sys::kind(socket) == Kind::Stream
}

/// The data of the descriptor with this number, if that is the first that has any.
fn take_at(all: &mut VecDeque<(Place, Vec<u8>)>, place: Place) -> Option<Vec<u8>> {
    match all.front() {
        Some((of, _)) if *of == place => all.pop_front().map(|(_, data)| data),
        _ => None,
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
            Self::WhenReadyOrAt(time) => ready || Instant::now() >= time,
            Self::After(time) => Instant::now() >= time,
            Self::Now => true,
        }
    }

    /// How long until it comes without readiness.
    fn pause(self) -> Option<Duration> {
        match self {
            Self::WhenReady => None,
            Self::WhenReadyOrAt(time) | Self::After(time) => {
                Some(time.saturating_duration_since(Instant::now()))
            }
            Self::Now => Some(Duration::ZERO),
        }
    }
}

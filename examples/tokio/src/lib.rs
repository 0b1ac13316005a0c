// SPDX-License-Identifier: MIT OR Apache-2.0
//! A passer for tokio: descriptors, with data, to and from another process.
//!
//! [`fdpasser::Passer`] has the queues, and says what to wait for. All that is here is the waiting. Copy this file.

use fdpasser::{Events, Progress, Refused};
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::io::Interest;

/// A received descriptor, and the data that came with it.
pub type Received = (OwnedFd, Option<Vec<u8>>);

/// One end of a connection, with a queue for each direction.
///
/// All futures here are cancel-safe: what was queued stays queued, what was received stays here, and the next call
/// goes on with it. Only dropping the passer closes them. Each of them moves descriptors in both directions.
#[derive(Debug)]
pub struct Passer {
    queues: AsyncFd<fdpasser::Passer>,
    /// Whether the queue may receive a descriptor that it has not handed out yet.
    asked: bool,
    /// What it has handed out while a future waited for something else.
    received: Option<Received>,
}

impl Passer {
    /// Takes over a connected passer. It must be called in a runtime with I/O and time.
    pub fn new(socket: OwnedFd) -> io::Result<Self> {
        let mut queues = fdpasser::Passer::new(socket)?;
        queues.want_data(true)?;
        // SAFETY: the queues own their socket, and it stays the same one until they are dropped.
        let queues = unsafe { AsyncFd::register(queues) }?;
        Ok(Self {
            queues,
            asked: false,
            received: None,
        })
    }

    /// Queues a descriptor, which is closed once it is sent. `room` and `flush` send it.
    ///
    /// This is no future, since a future that is dropped would close the descriptor that it owns.
    pub fn push(&mut self, fd: OwnedFd, data: &[u8]) -> Result<(), Refused> {
        let queues = self.queues.get_mut();
        if data.is_empty() {
            queues.push_send_fd(fd)
        } else {
            queues.push_send_message(fd, data)
        }
    }

    /// Sends until at most `most` descriptors are queued. Wait here before you push more: that is the back-pressure.
    pub async fn room(&mut self, most: usize) -> io::Result<()> {
        while self.queues.get_ref().queued() > most {
            self.turn().await?;
        }
        Ok(())
    }

    /// Sends everything that is queued.
    pub async fn flush(&mut self) -> io::Result<()> {
        self.room(0).await
    }

    /// Receives a descriptor. `None` is the peer's orderly shutdown.
    pub async fn recv(&mut self) -> io::Result<Option<Received>> {
        loop {
            if let Some(received) = self.received.take() {
                return Ok(Some(received));
            }
            if !self.asked {
                self.queues.get_mut().push_recv(1);
                self.asked = true;
            }
            if !self.turn().await? {
                self.asked = false; // so that the next call hears of it again
                return Ok(None);
            }
        }
    }

    /// Waits until there is something to do, and does it. Returns false after the peer's orderly shutdown, when all
    /// is sent as well.
    async fn turn(&mut self) -> io::Result<bool> {
        let ready = self.wait().await?;
        // There is no await from here on, so a future that is dropped drops nothing with it.
        let queues = self.queues.get_mut();
        let progress = queues.process(ready)?;
        if let Some(received) = queues.next_message() {
            self.received = Some(received);
            self.asked = false;
        }
        match progress {
            Progress::Open => Ok(true),
            Progress::Shutdown => Ok(self.received.is_some()),
            Progress::Refused(refused) => Err(io::Error::other(refused)),
        }
    }

    async fn wait(&mut self) -> io::Result<Events> {
        let queues = self.queues.get_ref();
        let interest = match queues.events() {
            Events {
                readable: true,
                writable: true,
            } => Some(Interest::READABLE | Interest::WRITABLE),
            Events {
                readable: true,
                writable: false,
            } => Some(Interest::READABLE),
            Events {
                readable: false,
                writable: true,
            } => Some(Interest::WRITABLE),
            Events {
                readable: false,
                writable: false,
            } => None,
        };
        match (interest, queues.timeout()) {
            // There is work left, or the end to be told again. Other tasks have their turn first.
            (_, Some(Duration::ZERO)) | (None, None) => tokio::task::yield_now().await,
            (None, Some(pause)) => tokio::time::sleep(pause).await,
            (Some(interest), None) => return self.ready(interest).await,
            (Some(interest), Some(pause)) => tokio::select! {
                ready = self.ready(interest) => return ready,
                () = tokio::time::sleep(pause) => {}
            },
        }
        Ok(Events::default())
    }

    async fn ready(&mut self, interest: Interest) -> io::Result<Events> {
        let mut guard = self.queues.ready_mut(interest).await?;
        let found = guard.ready();
        // tokio reports changes only. The queue says so itself as long as there may be work left.
        guard.clear_ready();
        Ok(Events {
            readable: found.is_readable(),
            writable: found.is_writable(),
        })
    }
}

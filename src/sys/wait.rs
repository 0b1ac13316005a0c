// SPDX-License-Identifier: MIT OR Apache-2.0
//! O_NONBLOCK, deadlines, and waiting until a descriptor is ready: the same for both interfaces.

use nix::errno::Errno;
use nix::fcntl::{fcntl, FcntlArg, OFlag};
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

/// How long a call may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// As the descriptor's own mode and timeouts say.
    AsPasser,
    /// Not at all: EAGAIN instead.
    Never,
    /// Until this moment, and then ETIMEDOUT, whatever mode the descriptor is in. `None` is for ever.
    Until(Option<Instant>),
}

impl Wait {
    /// For at most this long from now.
    pub(crate) fn at_most(time: Option<Duration>) -> Self {
        // A moment that the clock cannot express is for ever.
        Self::Until(time.and_then(|time| Instant::now().checked_add(time)))
    }
}

/// While a socket is full, sending is tried again after this time: poll(2) does not report a peer that shuts down its
/// receiving side and stays. sendmsg(2) does.
pub(crate) const SEND_AGAIN_WITHIN: Duration = Duration::from_secs(1);

/// The waits of one call. One deadline holds for all of them, however often the call wakes.
pub(crate) struct Waits {
    wait: Wait,
    /// When the call began. Without this, the first wait is near enough to the beginning.
    start: Option<Instant>,
    /// Known after the first wait.
    deadline: Option<Deadline>,
}

#[derive(Clone, Copy)]
enum Deadline {
    At(Option<Instant>),
    /// There is none, or a sandbox does not let us read it. A call that waits inside the kernel is right about both.
    InKernel,
}

impl Waits {
    pub(crate) fn new(wait: Wait) -> Self {
        Self {
            wait,
            start: None,
            deadline: None,
        }
    }

    /// For a call that may wait in another way before its first wait here.
    pub(crate) fn starting_now(wait: Wait) -> Self {
        Self {
            start: Some(Instant::now()),
            ..Self::new(wait)
        }
    }

    /// Sleeps until `receive` may have something. EAGAIN where there is no waiting, or SO_RCVTIMEO is over.
    pub(crate) fn wait_readable(&mut self, fd: BorrowedFd<'_>) -> Result<(), Errno> {
        match self.deadline(fd, super::receive_timeout, Deadline::At(None))? {
            Deadline::At(deadline) => self.sleep(fd, PollFlags::POLLIN, deadline),
            Deadline::InKernel => super::wait_in_kernel(fd),
        }
    }

    /// Sleeps until `send` may have room. EAGAIN where there is no waiting, or SO_SNDTIMEO is over.
    ///
    /// No sleep is longer than [`SEND_AGAIN_WITHIN`]. Without a deadline `send` itself waits, unless this kernel's does not.
    pub(crate) fn wait_writable(&mut self, fd: BorrowedFd<'_>) -> Result<(), Errno> {
        let deadline = match self.deadline(fd, super::send_timeout, Deadline::InKernel)? {
            Deadline::At(deadline) => deadline,
            Deadline::InKernel if super::FULL_DESPITE_WAITING => None,
            Deadline::InKernel => return Ok(()),
        };
        let soon = Instant::now() + SEND_AGAIN_WITHIN;
        match deadline {
            Some(deadline) if deadline <= soon => {
                self.sleep(fd, PollFlags::POLLOUT, Some(deadline))
            }
            _ => match self.sleep(fd, PollFlags::POLLOUT, Some(soon)) {
                Err(Errno::EAGAIN | Errno::ETIMEDOUT) => Ok(()),
                result => result,
            },
        }
    }

    /// True if the next call is to wait inside the kernel.
    pub(crate) fn in_kernel(&self) -> bool {
        matches!(self.deadline, Some(Deadline::InKernel))
    }

    /// `timeout` is the passer's own, and `without` is for a passer that has none.
    fn deadline(
        &mut self,
        fd: BorrowedFd<'_>,
        timeout: fn(BorrowedFd<'_>) -> Result<Option<Duration>, Errno>,
        without: Deadline,
    ) -> Result<Deadline, Errno> {
        if let Some(known) = self.deadline {
            return Ok(known);
        }
        let found = match self.wait {
            Wait::Never => return Err(Errno::EAGAIN),
            Wait::Until(deadline) => Deadline::At(deadline),
            Wait::AsPasser if is_nonblocking(fd)? => return Err(Errno::EAGAIN),
            Wait::AsPasser => match timeout(fd) {
                Ok(Some(time)) => {
                    let start = self.start.unwrap_or_else(Instant::now);
                    Deadline::At(start.checked_add(time))
                }
                Ok(None) => without,
                Err(_) => Deadline::InKernel,
            },
        };
        self.deadline = Some(found);
        Ok(found)
    }

    fn sleep(
        &self,
        fd: BorrowedFd<'_>,
        events: PollFlags,
        deadline: Option<Instant>,
    ) -> Result<(), Errno> {
        loop {
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            if is_ready(fd, events, left.map_or(PollTimeout::NONE, rounded_up))? {
                return Ok(());
            }
            // poll(2) takes no more than 24 days at a time, and the clock of some kernels lets it return early.
            if deadline.is_some_and(|at| at <= Instant::now()) {
                return Err(match self.wait {
                    Wait::Until(_) => Errno::ETIMEDOUT,
                    _ => Errno::EAGAIN,
                });
            }
        }
    }
}

/// Woken a little too early, the caller would have to wait once more.
fn rounded_up(time: Duration) -> PollTimeout {
    PollTimeout::try_from(time.as_micros().div_ceil(1000)).unwrap_or(PollTimeout::MAX)
}

fn status(fd: BorrowedFd<'_>) -> Result<OFlag, Errno> {
    fcntl(fd, FcntlArg::F_GETFL).map(OFlag::from_bits_retain)
}

pub(crate) fn is_nonblocking(fd: BorrowedFd<'_>) -> Result<bool, Errno> {
    Ok(status(fd)?.intersects(NONBLOCKING))
}

#[cfg(not(has_o_ndelay))]
const NONBLOCKING: OFlag = OFlag::O_NONBLOCK;
/// The older flag makes calls not wait, too.
#[cfg(has_o_ndelay)]
const NONBLOCKING: OFlag = OFlag::from_bits_retain(libc::O_NONBLOCK | libc::O_NDELAY);

/// Sets O_NONBLOCK, for everybody who shares the open file description.
pub(crate) fn set_nonblocking(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    let status = status(fd)?;
    if !status.contains(OFlag::O_NONBLOCK) {
        fcntl(fd, FcntlArg::F_SETFL(status | OFlag::O_NONBLOCK))?;
    }
    Ok(())
}

/// Clears O_NONBLOCK, for everybody who shares the open file description.
#[allow(dead_code, reason = "only sockets are connected with a deadline")]
pub(crate) fn set_blocking(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    let status = status(fd)? - OFlag::O_NONBLOCK;
    fcntl(fd, FcntlArg::F_SETFL(status)).map(drop)
}

/// Says whether `fd` is ready within the time.
pub(crate) fn is_ready(
    fd: BorrowedFd<'_>,
    events: PollFlags,
    timeout: PollTimeout,
) -> Result<bool, Errno> {
    poll_one(&mut [PollFd::new(fd, events)], timeout)
}

/// What poll(2) finds now.
#[cfg(not(fdpasser_sysv))]
pub(super) fn found(fd: BorrowedFd<'_>, events: PollFlags) -> Result<PollFlags, Errno> {
    let mut asked = [PollFd::new(fd, events)];
    poll_one(&mut asked, PollTimeout::ZERO)?;
    // nix hides all flags if it does not know one of them.
    Ok(asked[0].revents().unwrap_or(PollFlags::all()))
}

/// With a soft limit of 0 poll(2) refuses to look at anything, which is EMFILE here.
fn poll_one(asked: &mut [PollFd<'_>; 1], timeout: PollTimeout) -> Result<bool, Errno> {
    match poll(asked, timeout) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::EINVAL) => Err(Errno::EMFILE),
        Err(error) => Err(error),
    }
}

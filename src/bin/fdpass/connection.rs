// SPDX-License-Identifier: MIT OR Apache-2.0
//! Meeting the other side: one listens at the node, the other connects to it.

use crate::options::Meeting;
use crate::{complain, said, Failure, FAILED, REFUSED, TIMED_OUT};
use fdpasser::{Node, ServerOptions};
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// Between two looks for a node that is not there yet.
const PAUSE: Duration = Duration::from_millis(20);

/// The longest wait in one call. Some systems refuse a timeout of years; all take a day.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Between two reports of strangers.
const QUIET: Duration = Duration::from_secs(1);

impl Meeting {
    /// The connection, once the other side is there and is who it should be.
    pub fn connection(&self) -> Result<OwnedFd, Failure> {
        if self.listen {
            self.accepted()
        } else {
            self.connected()
        }
    }

    /// How long the next call may wait; `None` is for ever. An error if the time is over.
    pub fn left(&self) -> Result<Option<Duration>, Failure> {
        let Some(deadline) = self.deadline else {
            return Ok(None);
        };
        match deadline.checked_duration_since(Instant::now()) {
            Some(left) if !left.is_zero() => Ok(Some(left.min(LONGEST))),
            _ => Err(Failure::new(
                TIMED_OUT,
                format!("{}: timed out", self.node.display()),
            )),
        }
    }

    /// Whether to repeat a call that failed: a signal interrupted it, or it waited for as long as `left` had said. Then
    /// `left` decides whether the time is over.
    pub fn goes_on(&self, error: &io::Error) -> bool {
        match error.kind() {
            ErrorKind::Interrupted => true,
            ErrorKind::TimedOut | ErrorKind::WouldBlock => self.deadline.is_some(),
            _ => false,
        }
    }

    fn failure(&self, error: &io::Error) -> Failure {
        Failure::of(self.node.display(), error)
    }

    fn connected(&self) -> Result<OwnedFd, Failure> {
        loop {
            let connected = match self.left()? {
                None => fdpasser::connect(&self.node),
                Some(left) => fdpasser::connect_timed(&self.node, left),
            };
            match connected {
                Ok(passer) => return self.checked(passer),
                Err(error) if self.goes_on(&error) => {}
                // Nobody can listen there as long as that is in the way.
                Err(_) if self.is_in_the_way() => {
                    let why = format!("{}: not a socket", self.node.display());
                    return Err(Failure::new(FAILED, why));
                }
                // Whoever is to listen there may be about to.
                Err(error) if self.patient && is_missing(&error) => {
                    std::thread::sleep(PAUSE);
                }
                Err(error) => return Err(self.failure(&error)),
            }
        }
    }

    fn is_in_the_way(&self) -> bool {
        self.node
            .metadata()
            .is_ok_and(|node| !node.file_type().is_socket())
    }

    /// Accepts one connection. A stranger can connect too, but cannot keep the right one from it.
    fn accepted(&self) -> Result<OwnedFd, Failure> {
        // Whoever is to be checked by --peer-uid may be of another user, and needs write permission.
        let mode = if self.peer_uid.is_some() {
            0o666
        } else {
            0o600
        };
        let options = ServerOptions::new().mode(mode).exclusive(true);
        let (fd, node) =
            fdpasser::server_with(&self.node, &options).map_err(|error| self.failure(&error))?;
        let path = &self.node;
        let listener = Listener { path, node, fd };
        let mut refusals = Refusals::new(path);
        loop {
            let accepted = match self.left()? {
                None => fdpasser::accept(&listener.fd),
                Some(left) => fdpasser::accept_timed(&listener.fd, left),
            };
            match accepted {
                Ok(passer) => match self.checked(passer) {
                    Ok(passer) => return Ok(passer),
                    Err(refused) => refusals.report(&refused.why),
                },
                // A client that has gone already is no reason to give up.
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) if self.goes_on(&error) => {}
                Err(error) => return Err(self.failure(&error)),
            }
        }
    }

    fn checked(&self, passer: OwnedFd) -> Result<OwnedFd, Failure> {
        let Some(wanted) = self.peer_uid else {
            return Ok(passer);
        };
        let node = self.node.display();
        match fdpasser::peer_cred(&passer) {
            Ok(peer) if peer.uid == wanted => Ok(passer),
            Ok(peer) => Err(Failure::new(
                REFUSED,
                format!("{node}: refused user {}", peer.uid),
            )),
            Err(error) => Err(Failure::new(
                FAILED,
                format!("{node}: cannot tell who is there: {}", said(&error)),
            )),
        }
    }
}

/// A listener and its node. Dropping it removes the node, so no way out leaves one.
struct Listener<'a> {
    path: &'a Path,
    node: Node,
    fd: OwnedFd,
}

impl Drop for Listener<'_> {
    fn drop(&mut self) {
        // The descriptor is still open: after that, another node could have the same identity. If this fails, the next
        // listener replaces what is left.
        let _ = fdpasser::unlink(self.path, &self.node);
    }
}

/// Reports strangers. The first is reported at once, and after that one in a second. The others are counted, because a
/// process can connect many thousand times in a second.
struct Refusals<'a> {
    path: &'a Path,
    last: Option<Instant>,
    unreported: u64,
}

impl<'a> Refusals<'a> {
    fn new(path: &'a Path) -> Self {
        Self {
            path,
            last: None,
            unreported: 0,
        }
    }

    fn report(&mut self, why: &str) {
        if self.last.is_some_and(|last| last.elapsed() < QUIET) {
            self.unreported += 1;
            return;
        }
        self.report_number();
        complain(why);
        self.last = Some(Instant::now());
    }

    fn report_number(&mut self) {
        if self.unreported > 0 {
            let node = self.path.display();
            complain(&format!("{node}: refused {} more", self.unreported));
            self.unreported = 0;
        }
    }
}

impl Drop for Refusals<'_> {
    fn drop(&mut self) {
        self.report_number();
    }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::NotFound | ErrorKind::ConnectionRefused
    )
}

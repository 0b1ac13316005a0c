// SPDX-License-Identifier: MIT OR Apache-2.0
//! Meeting the other side: one listens at the node, the other connects to it.

use crate::options::Meeting;
use crate::{complain, said, Failure, FAILED, REFUSED, TIMED_OUT};
use fdpasser::ServerOptions;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::time::{Duration, Instant};

/// Between two looks for a node that is not there yet.
const PAUSE: Duration = Duration::from_millis(20);

impl Meeting {
    /// The connection, once the other side is there and is who it should be.
    pub fn connection(&self) -> Result<OwnedFd, Failure> {
        if self.listen {
            self.accepted()
        } else {
            self.connected()
        }
    }

    /// What is left of the time; `None` is for ever.
    pub fn left(&self) -> Result<Option<Duration>, Failure> {
        let Some(deadline) = self.deadline else {
            return Ok(None);
        };
        match deadline.checked_duration_since(Instant::now()) {
            Some(left) if !left.is_zero() => Ok(Some(left)),
            _ => Err(Failure::new(
                TIMED_OUT,
                format!("{}: timed out", self.node.display()),
            )),
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
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Nobody can listen there as long as that is in the way.
                Err(_) if self.is_in_the_way() => {
                    let why = format!("{}: not a socket", self.node.display());
                    return Err(Failure::new(FAILED, why));
                }
                // Whoever is to listen there may be about to.
                Err(error) if self.deadline.is_some() && is_missing(&error) => {
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
        let (listener, node) =
            fdpasser::server_with(&self.node, &options).map_err(|error| self.failure(&error))?;
        let accepted = loop {
            let accepted = match self.left()? {
                None => fdpasser::accept(&listener),
                Some(left) => fdpasser::accept_timed(&listener, left),
            };
            match accepted {
                Ok(passer) => match self.checked(passer) {
                    Ok(passer) => break Ok(passer),
                    Err(refused) => complain(&refused.why),
                },
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => break Err(self.failure(&error)),
            }
        };
        // Nobody else is awaited. If this fails, the next listener replaces what is left.
        let _ = fdpasser::unlink(&self.node, &node);
        accepted
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

fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::NotFound | ErrorKind::ConnectionRefused
    )
}

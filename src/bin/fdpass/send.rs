// SPDX-License-Identifier: MIT OR Apache-2.0
//! `fdpass send`.

use crate::options::{Meeting, Send};
use crate::process::{self, Peer};
use crate::{Failure, FAILED};
use fdpasser::Kind;
use std::io::{ErrorKind, Read};
use std::net::Shutdown;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;

pub fn run(job: &Send) -> Result<(), Failure> {
    let mut fds: Vec<(BorrowedFd<'_>, &str)> = Vec::new();
    for (number, name) in &job.fds {
        let fd = process::borrow(*number);
        // Before anybody is bothered.
        fdpasser::is(fd, Kind::File).map_err(|error| Failure::of(number, &error))?;
        fds.push((fd, name));
    }
    let meeting = &job.meeting;
    let passer = meeting.connection()?;
    let peer = job.wait.then(|| Peer::of(&passer));
    let passer = UnixStream::from(passer);
    for (fd, name) in fds {
        send(meeting, &passer, fd, name)?;
    }
    // The receiver learns that this is all. It may have gone already, with all of it.
    let _ = passer.shutdown(Shutdown::Write);
    match peer {
        Some(peer) => wait(meeting, passer, &peer),
        None => Ok(()),
    }
}

fn send(
    meeting: &Meeting,
    passer: &UnixStream,
    fd: BorrowedFd<'_>,
    name: &str,
) -> Result<(), Failure> {
    let node = meeting.node.display();
    loop {
        let bounded = passer.set_write_timeout(meeting.left()?);
        let sent = bounded.and_then(|()| fdpasser::send_message(passer, &[fd], name.as_bytes()));
        let Err(error) = sent else {
            return Ok(());
        };
        match fdpasser::retry(&error) {
            // Too many in flight, for instance.
            fdpasser::Retry::After(pause) => std::thread::sleep(pause),
            _ if meeting.goes_on(&error) => {}
            _ => return Err(Failure::of(node, &error)),
        }
    }
}

/// Until the receiver's end closes, as it does when the receiver execs. It also does when the receiver dies, so that has to
/// be ruled out. Bytes that the receiver may send are its own affair.
fn wait(meeting: &Meeting, mut passer: UnixStream, peer: &Peer) -> Result<(), Failure> {
    let node = meeting.node.display();
    let failed = |why| Err(Failure::new(FAILED, format!("{node}: the receiver {why}")));
    loop {
        let bounded = passer.set_read_timeout(meeting.left()?);
        match bounded.and_then(|()| passer.read(&mut [0; 512])) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if meeting.goes_on(&error) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                return failed("did not take everything");
            }
            Err(error) => return Err(Failure::of(node, &error)),
        }
    }
    match peer.is_alive() {
        Some(true) => Ok(()),
        Some(false) => failed("has ended"),
        None => failed("may have ended: its process cannot be seen from here"),
    }
}

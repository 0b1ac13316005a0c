// SPDX-License-Identifier: MIT OR Apache-2.0
//! `fdpass recv`.

use crate::options::Recv;
use crate::process;
use crate::{said, Failure, CANNOT_RUN, FAILED, NOT_FOUND, REFUSED};
use fdpasser::MAX_DATA;
use std::convert::Infallible;
use std::io::{self, ErrorKind};
use std::mem::ManuallyDrop;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

/// What a descriptor is called that came without a name, as libsystemd calls it.
const UNNAMED: &str = "unknown";

pub fn run(job: Recv) -> Result<Infallible, Failure> {
    let node = job.meeting.node.display();
    // Nothing but exec and our own death closes it. So a sender that waits for its end learns of that, and can tell the two
    // apart because we die at once in all other cases.
    let passer = ManuallyDrop::new(UnixStream::from(job.meeting.connection()?));
    let (fds, names) = receive(&job, &passer)?;
    for (fd, name) in fds.iter().zip(&names) {
        for (word, kind) in &job.expect {
            match fdpasser::is(fd, *kind) {
                Ok(true) => {}
                Ok(false) => return Err(refused(&job, &format!("{name} is not {word}"))),
                Err(error) => return Err(Failure::of(node, &error)),
            }
        }
    }
    std::env::set_var("LISTEN_FDS", fds.len().to_string());
    std::env::set_var("LISTEN_PID", std::process::id().to_string());
    std::env::set_var("LISTEN_FDNAMES", names.join(":"));
    // It may be left from a manager that started us.
    std::env::remove_var("LISTEN_PIDFDID");
    process::place_from_3(fds, &passer).map_err(|error| Failure::of(node, &error))?;
    let error = process::exec(&job.command);
    let status = match error.kind() {
        ErrorKind::NotFound => NOT_FOUND,
        _ => CANNOT_RUN,
    };
    let command = job.command[0].to_string_lossy();
    Err(Failure::new(status, format!("{command}: {}", said(&error))))
}

/// The descriptors, and a name for each.
fn receive(job: &Recv, passer: &UnixStream) -> Result<(Vec<OwnedFd>, Vec<String>), Failure> {
    let node = job.meeting.node.display();
    let mut data = [0; MAX_DATA];
    let (mut fds, mut names) = (Vec::new(), Vec::new());
    while job.count.map_or(true, |count| fds.len() < count) {
        let bounded = passer.set_read_timeout(job.meeting.left()?);
        match bounded.and_then(|()| {
            fdpasser::recv_message(passer, &mut fds, &mut data).map_err(io::Error::from)
        }) {
            Ok(Some(len)) => names.resize(fds.len(), name(job, &data[..len])?),
            Ok(None) => break,
            Err(error) if job.meeting.goes_on(&error) => {}
            Err(error) if error.raw_os_error() == Some(libc::EBADMSG) => {
                return Err(refused(job, "bytes came without a descriptor"));
            }
            Err(error) => return Err(Failure::of(node, &error)),
        }
    }
    match job.count {
        Some(count) if fds.len() > count => Err(refused(job, "too many descriptors in a message")),
        Some(count) if fds.len() < count => Err(Failure::new(
            FAILED,
            format!("{node}: only {} of {count} descriptors came", fds.len()),
        )),
        None if fds.is_empty() => Err(Failure::new(FAILED, format!("{node}: no descriptor came"))),
        _ => Ok((fds, names)),
    }
}

/// The data of a message, if that can be a name. All descriptors of the message are called so.
fn name(job: &Recv, data: &[u8]) -> Result<String, Failure> {
    match data {
        [] => Ok(UNNAMED.to_owned()),
        _ if fdpasser::is_name(data) => Ok(String::from_utf8_lossy(data).into_owned()),
        _ => Err(refused(job, "a descriptor came with data that is no name")),
    }
}

fn refused(job: &Recv, why: &str) -> Failure {
    Failure::new(
        REFUSED,
        format!("{}: refused: {why}", job.meeting.node.display()),
    )
}

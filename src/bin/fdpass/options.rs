// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line.

use crate::{Failure, FAILED};
use fdpasser::Kind;
use lexopt::prelude::*;
use std::ffi::{OsStr, OsString};
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const HELP: &str = "\
Usage: fdpass send [OPTION]... NODE [FD[:NAME]]...
       fdpass recv [OPTION]... NODE [--] COMMAND [ARGUMENT]...

Hand open file descriptors to another process.

  send  sends the descriptors with these numbers (0 if there are none)
  recv  receives descriptors, and runs COMMAND with them from 3 up, and with
        LISTEN_FDS, LISTEN_PID and LISTEN_FDNAMES in its environment

One side listens at NODE, and the other one connects to it.

  -l, --listen         listen at NODE
  -t, --timeout S      give up after S seconds; until then, wait for NODE
  -u, --peer-uid UID   only with a process of this user at the other end
  -w, --wait           (send) end when the receiver runs COMMAND
  -n, --count COUNT    (recv) this many descriptors have to come
  -e, --expect KIND    (recv) all of them have to be this: socket, stream,
                       datagram, packet, listening, local, internet, pipe,
                       file, directory, readable, writable, sealed
  -h, --help           print this
  -V, --version        print the version

Exit status: that of COMMAND; 0 if everything was sent; 123 if the other side or
what it sent was refused; 124 if the time ran out; 125 if fdpass failed;
126 if COMMAND cannot be run; 127 if it was not found.
";

const KINDS: [(&str, Kind); 13] = [
    ("socket", Kind::Socket),
    ("stream", Kind::Stream),
    ("datagram", Kind::Datagram),
    ("packet", Kind::Packet),
    ("listening", Kind::Listening),
    ("local", Kind::Local),
    ("internet", Kind::Internet),
    ("pipe", Kind::Pipe),
    ("file", Kind::File),
    ("directory", Kind::Directory),
    ("readable", Kind::Readable),
    ("writable", Kind::Writable),
    ("sealed", Kind::Sealed),
];

pub enum Job {
    Print(String),
    Send(Send),
    Recv(Recv),
}

/// What both jobs know of the other side.
#[derive(Default)]
pub struct Meeting {
    pub node: PathBuf,
    pub listen: bool,
    /// A node that is not there yet is waited for.
    pub patient: bool,
    /// `None` is for ever.
    pub deadline: Option<Instant>,
    pub peer_uid: Option<u32>,
}

pub struct Send {
    pub meeting: Meeting,
    pub wait: bool,
    /// Each with its name, which is empty if it has none.
    pub fds: Vec<(RawFd, String)>,
}

pub struct Recv {
    pub meeting: Meeting,
    pub count: Option<usize>,
    /// With the words of the command line.
    pub expect: Vec<(&'static str, Kind)>,
    pub command: Vec<OsString>,
}

pub fn parse(arguments: Vec<OsString>) -> Result<Job, Failure> {
    read(lexopt::Parser::from_args(arguments))
        .map_err(|error| Failure::new(FAILED, format!("{error} (see fdpass --help)")))
}

fn read(mut parser: lexopt::Parser) -> Result<Job, lexopt::Error> {
    let job = match parser.next()? {
        Some(Short('h') | Long("help")) => return Ok(Job::Print(HELP.to_owned())),
        Some(Short('V') | Long("version")) => {
            let version = env!("CARGO_PKG_VERSION");
            return Ok(Job::Print(format!("fdpass {version}\n")));
        }
        Some(Value(job)) => job,
        Some(other) => return Err(other.unexpected()),
        None => return Err("send or recv?".into()),
    };
    let receives = match job.to_str() {
        Some("send") => false,
        Some("recv") => true,
        _ => return Err(format!("send or recv, not {}", job.to_string_lossy()).into()),
    };
    let mut meeting = Meeting::default();
    let mut node = None;
    let (mut wait, mut fds) = (false, Vec::new());
    let (mut count, mut expect, mut command) = (None, Vec::new(), Vec::new());
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(Job::Print(HELP.to_owned())),
            Short('l') | Long("listen") => meeting.listen = true,
            Short('t') | Long("timeout") => {
                meeting.deadline = deadline(&parser.value()?)?;
                meeting.patient = true;
            }
            Short('u') | Long("peer-uid") => meeting.peer_uid = Some(parser.value()?.parse()?),
            Short('w') | Long("wait") if !receives => wait = true,
            Short('n') | Long("count") if receives => count = Some(at_least_one(&parser.value()?)?),
            Short('e') | Long("expect") if receives => {
                let words = parser.value()?.string()?;
                for word in words.split(',') {
                    let kind = KINDS.into_iter().find(|(name, _)| *name == word);
                    expect.push(kind.ok_or(format!("unknown kind {word}"))?);
                }
            }
            Value(value) if node.is_none() => node = Some(value),
            Value(value) if receives => {
                command.push(value);
                command.extend(parser.raw_args()?);
            }
            Value(value) => fds.push(descriptor(&value)?),
            other => return Err(other.unexpected()),
        }
    }
    meeting.node = node.ok_or("there is no NODE")?.into();
    if !receives {
        if fds.is_empty() {
            fds.push((0, String::new()));
        }
        return Ok(Job::Send(Send { meeting, wait, fds }));
    }
    if command.is_empty() {
        return Err("there is no COMMAND".into());
    }
    Ok(Job::Recv(Recv {
        meeting,
        count,
        expect,
        command,
    }))
}

/// That many seconds from now, which need not be whole ones. `None` if the clock does not go that far.
fn deadline(value: &OsStr) -> Result<Option<Instant>, String> {
    let seconds = value.to_str().and_then(|text| text.parse::<f64>().ok());
    match seconds {
        Some(seconds) if seconds >= 0.0 => Ok(Duration::try_from_secs_f64(seconds)
            .ok()
            .and_then(|time| Instant::now().checked_add(time))),
        _ => Err(format!("{} is no time", value.to_string_lossy())),
    }
}

fn at_least_one(value: &OsStr) -> Result<usize, String> {
    let number = value.to_str().and_then(|text| text.parse().ok());
    number
        .filter(|&number| number > 0)
        .ok_or_else(|| format!("{} is no count", value.to_string_lossy()))
}

/// FD or FD:NAME.
fn descriptor(value: &OsStr) -> Result<(RawFd, String), String> {
    let text = value.to_string_lossy();
    let (number, name) = match text.split_once(':') {
        Some((number, name)) => (number, Some(name)),
        None => (&*text, None),
    };
    let fd = Some(number).filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()));
    let fd = fd.and_then(|number| number.parse().ok());
    let fd = fd.ok_or_else(|| format!("{text} is no descriptor"))?;
    match name {
        None => Ok((fd, String::new())),
        Some(name) if !name.is_empty() && fdpasser::is_name(name.as_bytes()) => {
            Ok((fd, name.to_owned()))
        }
        Some(_) => Err(format!(
            "{text}: a name has 1 to 255 characters of ASCII, with no colon"
        )),
    }
}

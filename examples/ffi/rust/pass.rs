// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sends or receives numbered descriptors with data: the crate itself. poll(2) waits.
//!
//! Usage: pass send|recv COUNT PASSER
//!
//! PASSER is the number of an inherited descriptor, one end of a connection. The sender sends COUNT sockets. Their
//! contents are "1", "2", and so on. A line of standard input goes along with each as its data; after the end of the
//! input they have no data. The receiver checks that it gets these sockets, in order, and nothing after them. It prints
//! the number and the data of each.
//!
//!     cargo build --example pass

use fdpasser::{Events, Passer, Progress};
use nix::errno::Errno;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use std::error::Error;
use std::fs::File;
use std::io::{self, BufRead, Read, Write};
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Waits until there is something to do, and does it. Returns false after the peer's orderly shutdown.
fn turn(passer: &mut Passer) -> io::Result<bool> {
    let events = passer.events();
    let mut flags = PollFlags::empty();
    flags.set(PollFlags::POLLIN, events.readable);
    flags.set(PollFlags::POLLOUT, events.writable);
    let timeout = passer.timeout().map_or(PollTimeout::NONE, |time| {
        // Rounded up: a little too early there would be nothing to do yet.
        PollTimeout::try_from(time.as_micros().div_ceil(1000)).unwrap_or(PollTimeout::MAX)
    });
    let mut fds = [PollFd::new(passer.as_fd(), flags)];
    // Without flags leave it out: poll reports POLLHUP all the same.
    match poll(&mut fds[flags.is_empty().into()..], timeout) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(error) => return Err(error.into()),
    }
    let found = fds[0].revents().unwrap_or(PollFlags::empty());
    let hung_up = found.intersects(PollFlags::POLLERR | PollFlags::POLLHUP);
    let ready = Events {
        readable: hung_up || found.contains(PollFlags::POLLIN),
        writable: hung_up || found.contains(PollFlags::POLLOUT),
    };
    match passer.process(ready)? {
        Progress::Open => Ok(true),
        Progress::Shutdown => Ok(false),
        Progress::Refused(refused) => Err(refused.into()),
    }
}

/// A socket from which `number` can be read, and then the end.
fn numbered(number: usize) -> io::Result<OwnedFd> {
    let (mut near, far) = UnixStream::pair()?;
    write!(near, "{number}")?;
    Ok(far.into())
}

fn send(passer: &mut Passer, count: usize) -> Result<()> {
    let mut lines = io::stdin().lock().split(b'\n');
    for number in 1..=count {
        let data = lines.next().transpose()?.unwrap_or_default();
        passer.push_send_message(numbered(number)?, &data)?;
        while passer.queued() > 16 {
            turn(passer)?;
        }
    }
    while passer.queued() > 0 {
        turn(passer)?;
    }
    Ok(())
}

fn receive(passer: &mut Passer, count: usize) -> Result<()> {
    let mut received = 0;
    let mut stdout = io::stdout().lock();
    passer.want_data(true)?;
    passer.push_recv(16);
    loop {
        let open = turn(passer)?;
        while let Some((fd, data)) = passer.next_message() {
            received += 1;
            let mut text = String::new();
            File::from(fd).read_to_string(&mut text)?;
            if received > count || text != received.to_string() {
                return Err(format!("{text:?} came as number {received} of {count}").into());
            }
            write!(stdout, "{received}: ")?;
            stdout.write_all(&data.unwrap_or_default())?;
            writeln!(stdout)?;
            passer.push_recv(1);
        }
        if !open {
            break;
        }
    }
    if received < count {
        return Err(format!("the end came after {received}").into());
    }
    Ok(())
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().collect();
    let [_, role, count, passer] = args.as_slice() else {
        return Err("usage: pass send|recv COUNT PASSER".into());
    };
    let count = count.parse()?;
    // SAFETY: the caller gave us this descriptor, and nothing else in this program uses it.
    let socket = unsafe { OwnedFd::from_raw_fd(passer.parse()?) };
    let mut passer = Passer::new(socket)?;
    match role.as_str() {
        "send" => send(&mut passer, count),
        "recv" => receive(&mut passer, count),
        _ => Err(format!("neither send nor recv: {role}").into()),
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sends or receives numbered descriptors in tokio.
//!
//! Usage: pass send|recv COUNT PASSER
//!
//! PASSER is the number of an inherited descriptor, one end of a connection. The sender sends COUNT sockets. Their
//! contents are "1", "2", and so on, and the data beside each says the same. The receiver checks that it gets these, in
//! order, and nothing after them.

use fdpasser_tokio::Passer;
use std::error::Error;
use std::io::{Read, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// How many descriptors may be queued: each of them is open.
const QUEUED: usize = 16;

async fn send(passer: &mut Passer, count: usize) -> Result<()> {
    for number in 1..=count {
        let (mut near, far) = UnixStream::pair()?;
        write!(near, "{number}")?;
        passer.push(far.into(), number.to_string().as_bytes())?;
        passer.room(QUEUED).await?;
    }
    Ok(passer.flush().await?)
}

async fn receive(passer: &mut Passer, count: usize) -> Result<()> {
    for number in 1..=count {
        let (fd, data) = passer.recv().await?.ok_or("the end came too early")?;
        let mut text = String::new();
        UnixStream::from(fd).read_to_string(&mut text)?;
        if text != number.to_string() || data.is_some_and(|data| data != text.as_bytes()) {
            return Err(format!("{text:?} came as number {number}").into());
        }
    }
    match passer.recv().await? {
        None => Ok(()),
        Some(_) => Err("more came than was announced".into()),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().collect();
    let [_, role, count, passer] = args.as_slice() else {
        return Err("usage: pass send|recv COUNT PASSER".into());
    };
    let count = count.parse()?;
    // SAFETY: the caller gave us this descriptor, and nothing else in this program uses it.
    let socket = unsafe { OwnedFd::from_raw_fd(passer.parse()?) };
    let mut passer = Passer::new(socket)?;
    match role.as_str() {
        "send" => send(&mut passer, count).await,
        "recv" => receive(&mut passer, count).await,
        _ => Err(format!("neither send nor recv: {role}").into()),
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a service tells the manager that started it, by one datagram to $NOTIFY_SOCKET.

use crate::sys;
use crate::transfer::MAX_PER_MESSAGE;
use nix::errno::Errno;
use std::ffi::OsStr;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The longest state. systemd ignores a longer one, and nobody would be told.
const MAX_STATE: usize = 4096;

/// The longest address on any system, and its NUL.
const LONGEST: usize = 108;

/// Sends `state` with `fds` to `socket`, the value of NOTIFY_SOCKET. Returns whether anybody wanted to know.
pub(crate) fn notify(
    socket: Option<&[u8]>,
    state: &[u8],
    fds: &[BorrowedFd<'_>],
) -> Result<bool, Errno> {
    // Wrong arguments are wrong also where nobody asks, or a developer would not see them.
    if state.is_empty() || fds.len() > MAX_PER_MESSAGE {
        return Err(Errno::EINVAL);
    }
    if state.len() > MAX_STATE {
        return Err(Errno::EMSGSIZE);
    }
    match socket {
        None | Some([]) => return Ok(false),
        Some(path @ [b'/', ..]) => sys::send_datagram(as_path(path), state, fds)?,
        Some([b'@', name @ ..]) if !name.is_empty() => {
            let mut address = [0; LONGEST];
            let room = address.get_mut(1..=name.len());
            room.ok_or(Errno::ENAMETOOLONG)?.copy_from_slice(name);
            sys::send_datagram(as_path(&address[..=name.len()]), state, fds)?;
        }
        Some(_) => return Err(Errno::EINVAL),
    }
    Ok(true)
}

fn as_path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

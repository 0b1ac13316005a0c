// SPDX-License-Identifier: MIT OR Apache-2.0
//! One datagram, with descriptors, to a local socket that somebody else reads.

use super::scm;
use super::unix_socket::{address, new_socket};
use super::wait::{Wait, Waits};
use nix::errno::Errno;
use nix::sys::socket::{self, MsgFlags, SockType};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::Path;

/// Waits while the reader's queue is full.
pub(crate) fn send_datagram(to: &Path, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<(), Errno> {
    let to = address(to)?;
    let socket = new_socket(SockType::Datagram)?;
    socket::connect(socket.as_raw_fd(), &to)?;
    let flags = MsgFlags::from_bits_retain(libc::MSG_NOSIGNAL) | MsgFlags::MSG_DONTWAIT;
    let mut waits = Waits::new(Wait::Until(None));
    loop {
        let sent = match fds {
            [] => socket::send(socket.as_raw_fd(), bytes, flags).map(drop),
            _ => scm::send(socket.as_fd(), fds, bytes, false),
        };
        match sent {
            // Not inside the kernel: gVisor never wakes who waits there.
            Err(Errno::EAGAIN) => waits.wait_writable(socket.as_fd())?,
            result => return result,
        }
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! One datagram, with descriptors, to a local socket that somebody else reads.

use super::scm;
use super::unix_socket::{address, new_socket};
use nix::errno::Errno;
use nix::sys::socket::{self, MsgFlags, SockType};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::Path;

/// Waits while the reader's queue is full.
pub(crate) fn send_datagram(to: &Path, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<(), Errno> {
    let to = address(to)?;
    let socket = new_socket(SockType::Datagram)?;
    socket::connect(socket.as_raw_fd(), &to)?;
    if !fds.is_empty() {
        return scm::send(socket.as_fd(), fds, bytes, true);
    }
    let no_signal = MsgFlags::from_bits_retain(libc::MSG_NOSIGNAL);
    socket::send(socket.as_raw_fd(), bytes, no_signal).map(drop)
}

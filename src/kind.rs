// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a descriptor refers to, so that a program can check what it was handed.

use crate::sys;
use nix::errno::Errno;
use std::os::fd::BorrowedFd;

/// Something that a descriptor may be. Several of these may be true at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A socket of any kind.
    Socket,
    /// A socket of type SOCK_STREAM.
    Stream,
    /// A socket of type SOCK_DGRAM.
    Datagram,
    /// A socket of type SOCK_SEQPACKET.
    Packet,
    /// A socket that listens.
    Listening,
    /// A local socket (AF_UNIX).
    Local,
    /// An internet socket (AF_INET or AF_INET6).
    Internet,
    /// A pipe or a FIFO.
    Pipe,
    /// A regular file. Memory files (memfd) are regular files too.
    File,
    /// A directory.
    Directory,
    /// Open for reading.
    Readable,
    /// Open for writing.
    Writable,
    /// A memory file whose size and contents are fixed: it has F_SEAL_SHRINK, F_SEAL_GROW and F_SEAL_WRITE.
    Sealed,
}

/// Whether the descriptor is all of these. EBADF if it is not open.
pub(crate) fn is(fd: BorrowedFd<'_>, kinds: impl IntoIterator<Item = Kind>) -> Result<bool, Errno> {
    let mode = sys::file_type(fd)?;
    for kind in kinds {
        if !sys::is(fd, mode, kind)? {
            return Ok(false);
        }
    }
    Ok(true)
}

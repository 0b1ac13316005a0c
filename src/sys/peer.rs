// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the system knows of the other end of a connection: who it is, and what it has taken.
#![allow(
    unsafe_code,
    reason = "an ioctl that no wrapper knows, and the calls of other systems that nix lacks"
)]

use super::unix_socket::must_be_local;
use crate::PeerCred;
use nix::errno::Errno;
use nix::sys::socket::{getsockopt, sockopt};
use std::os::fd::{AsRawFd, BorrowedFd};

/// The process that connected, or that listened, or that made the pair.
pub(crate) fn peer_cred(passer: BorrowedFd<'_>) -> Result<PeerCred, Errno> {
    must_be_local(passer)?;
    // A listener reports our own identity, which would mislead an access check.
    if getsockopt(&passer, sockopt::AcceptConn)? {
        return Err(Errno::EINVAL);
    }
    of_connection(passer)
}

#[cfg(has_so_peercred)]
fn of_connection(passer: BorrowedFd<'_>) -> Result<PeerCred, Errno> {
    let peer = getsockopt(&passer, sockopt::PeerCredentials)?;
    // With all ones there is no peer yet.
    if peer.uid() == libc::uid_t::MAX {
        return Err(Errno::ENOTCONN);
    }
    Ok(PeerCred {
        uid: peer.uid(),
        gid: peer.gid(),
        // 0 is a process that our PID namespace does not show.
        pid: Some(peer.pid()).filter(|&pid| pid > 0),
    })
}

#[cfg(has_getpeerucred)]
fn of_connection(passer: BorrowedFd<'_>) -> Result<PeerCred, Errno> {
    let mut peer = std::ptr::null_mut();
    // SAFETY: the call makes a ucred_t for us, or fails.
    Errno::result(unsafe { libc::getpeerucred(passer.as_raw_fd(), &mut peer) })?;
    // SAFETY: `peer` is what the call made; it is read, and then freed once.
    let (uid, gid, pid) = unsafe {
        let ids = (
            libc::ucred_geteuid(peer),
            libc::ucred_getegid(peer),
            libc::ucred_getpid(peer),
        );
        libc::ucred_free(peer);
        ids
    };
    Ok(PeerCred {
        uid,
        gid,
        pid: Some(pid).filter(|&pid| pid > 0),
    })
}

#[cfg(not(any(has_so_peercred, has_getpeerucred)))]
fn of_connection(passer: BorrowedFd<'_>) -> Result<PeerCred, Errno> {
    let (mut uid, mut gid) = (0, 0);
    // SAFETY: two integers to be written.
    Errno::result(unsafe { libc::getpeereid(passer.as_raw_fd(), &mut uid, &mut gid) })?;
    Ok(PeerCred {
        uid,
        gid,
        pid: None,
    })
}

/// The memory that descriptors in flight take: 0 if the peer has received everything.
#[cfg(linux_like)]
pub(crate) fn unread_by_peer(passer: BorrowedFd<'_>) -> Result<usize, Errno> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: this request (SIOCOUTQ, under the name that libc has for it) writes one c_int.
    let asked = unsafe { libc::ioctl(passer.as_raw_fd(), libc::TIOCOUTQ, &mut bytes) };
    Errno::result(asked).map_err(|error| match error {
        Errno::ENOTTY => Errno::ENOTSOCK, // by its name it is a terminal's request
        other => other,
    })?;
    Ok(usize::try_from(bytes).unwrap_or(0))
}

#[cfg(not(linux_like))]
pub(crate) fn unread_by_peer(_: BorrowedFd<'_>) -> Result<usize, Errno> {
    Err(Errno::EOPNOTSUPP)
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the system knows of the other end of a connection: who it is, and what it has taken.
#![allow(
    unsafe_code,
    reason = "an ioctl that no wrapper knows, and the calls of other systems that nix lacks"
)]

#[cfg(linux_like)]
use super::table::above_stdio;
use super::unix_socket::must_be_local;
use crate::PeerCred;
#[cfg(any(
    linux_like,
    has_xucred,
    has_local_peereid,
    has_sockpeercred,
    has_local_peerpid
))]
use libc::c_int;
use nix::errno::Errno;
use nix::sys::socket::{getsockopt, sockopt};
#[allow(unused_imports, reason = "the calls of some systems take a number")]
use std::os::fd::AsRawFd;
#[cfg(linux_like)]
use std::os::fd::FromRawFd;
use std::os::fd::{BorrowedFd, OwnedFd};

/// The process that connected, or that listened, or that made the pair.
pub(crate) fn peer_cred(passer: BorrowedFd<'_>) -> Result<PeerCred, Errno> {
    must_be_connection(passer)?;
    of_connection(passer)
}

/// A listener reports our own identity, which would mislead an access check.
fn must_be_connection(passer: BorrowedFd<'_>) -> Result<(), Errno> {
    must_be_local(passer)?;
    match getsockopt(&passer, sockopt::AcceptConn)? {
        true => Err(Errno::EINVAL),
        false => Ok(()),
    }
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
        pid: known(peer.pid()),
    })
}

#[cfg(has_getpeerucred)]
fn of_connection(passer: BorrowedFd<'_>) -> Result<PeerCred, Errno> {
    super::ucred::of_peer(passer)
}

#[cfg(has_xucred)]
fn of_connection(passer: BorrowedFd<'_>) -> Result<PeerCred, Errno> {
    /// `struct xucred` of FreeBSD's `sys/ucred.h`.
    #[repr(C)]
    struct Xucred {
        version: libc::c_uint,
        uid: libc::uid_t,
        ngroups: libc::c_short,
        /// The first is the effective group.
        groups: [libc::gid_t; 16],
        /// 0 before FreeBSD 13.
        pid: Pid,
    }
    #[repr(C)]
    union Pid {
        pid: libc::pid_t,
        _space: *mut libc::c_void,
    }
    const LOCAL_PEERCRED: c_int = 1;
    // SAFETY: all zeros is a valid Xucred, and the option fills one in.
    let peer: Xucred = unsafe { option(passer, SOL_LOCAL, LOCAL_PEERCRED) }?;
    Ok(PeerCred {
        uid: peer.uid,
        gid: peer.groups[0],
        // SAFETY: every bit pattern is a pid_t.
        pid: known(unsafe { peer.pid.pid }),
    })
}

#[cfg(has_local_peereid)]
fn of_connection(passer: BorrowedFd<'_>) -> Result<PeerCred, Errno> {
    /// `struct unpcbid` of NetBSD's `sys/un.h`.
    #[repr(C)]
    struct Unpcbid {
        pid: libc::pid_t,
        uid: libc::uid_t,
        gid: libc::gid_t,
    }
    const LOCAL_PEEREID: c_int = 3;
    // SAFETY: all zeros is a valid Unpcbid, and the option fills one in.
    let peer: Unpcbid =
        unsafe { option(passer, SOL_LOCAL, LOCAL_PEEREID) }.map_err(|error| match error {
            Errno::EINVAL => Errno::ENOTCONN, // there is no peer yet
            other => other,
        })?;
    Ok(PeerCred {
        uid: peer.uid,
        gid: peer.gid,
        pid: known(peer.pid),
    })
}

#[cfg(has_sockpeercred)]
fn of_connection(passer: BorrowedFd<'_>) -> Result<PeerCred, Errno> {
    /// `struct sockpeercred` of OpenBSD's `sys/socket.h`.
    #[repr(C)]
    struct Sockpeercred {
        uid: libc::uid_t,
        gid: libc::gid_t,
        pid: libc::pid_t,
    }
    const SO_PEERCRED: c_int = 0x1022;
    // SAFETY: all zeros is a valid Sockpeercred, and the option fills one in.
    let peer: Sockpeercred = unsafe { option(passer, libc::SOL_SOCKET, SO_PEERCRED) }?;
    Ok(PeerCred {
        uid: peer.uid,
        gid: peer.gid,
        pid: known(peer.pid),
    })
}

#[cfg(not(any(
    has_so_peercred,
    has_getpeerucred,
    has_xucred,
    has_local_peereid,
    has_sockpeercred
)))]
fn of_connection(passer: BorrowedFd<'_>) -> Result<PeerCred, Errno> {
    let (mut uid, mut gid) = (0, 0);
    // SAFETY: two integers to be written.
    Errno::result(unsafe { other::getpeereid(passer.as_raw_fd(), &mut uid, &mut gid) })?;
    Ok(PeerCred {
        uid,
        gid,
        pid: process(passer),
    })
}

#[cfg(all(
    not(played),
    not(any(
        has_so_peercred,
        has_getpeerucred,
        has_xucred,
        has_local_peereid,
        has_sockpeercred
    ))
))]
use libc as other;
/// What Linux lacks.
#[cfg(played)]
mod other {
    extern "C" {
        #[allow(dead_code, reason = "some kernels have a better call")]
        pub fn getpeereid(
            fd: libc::c_int,
            uid: *mut libc::uid_t,
            gid: *mut libc::gid_t,
        ) -> libc::c_int;
    }
}

/// The process that used the other end last.
#[cfg(has_local_peerpid)]
fn process(passer: BorrowedFd<'_>) -> Option<libc::pid_t> {
    const LOCAL_PEERPID: c_int = 2;
    // SAFETY: the option fills in a pid_t.
    unsafe { option(passer, SOL_LOCAL, LOCAL_PEERPID) }
        .ok()
        .and_then(known)
}
#[cfg(not(any(
    has_local_peerpid,
    has_so_peercred,
    has_getpeerucred,
    has_xucred,
    has_local_peereid,
    has_sockpeercred
)))]
fn process(_: BorrowedFd<'_>) -> Option<libc::pid_t> {
    None
}

/// The same number wherever there is such a level.
#[cfg(any(has_xucred, has_local_peereid, has_local_peerpid))]
const SOL_LOCAL: c_int = 0;

/// # Safety
/// All zeros must be a valid `T`, and the option must fill one in.
#[cfg(any(
    linux_like,
    has_xucred,
    has_local_peereid,
    has_sockpeercred,
    has_local_peerpid
))]
unsafe fn option<T>(socket: BorrowedFd<'_>, level: c_int, name: c_int) -> Result<T, Errno> {
    // SAFETY: as above.
    let mut value: T = unsafe { std::mem::zeroed() };
    let mut len = std::mem::size_of::<T>() as libc::socklen_t;
    // SAFETY: `value` has `len` bytes.
    Errno::result(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            level,
            name,
            std::ptr::from_mut(&mut value).cast(),
            &mut len,
        )
    })?;
    Ok(value)
}

/// 0 is a process that the system does not tell.
#[allow(dead_code, reason = "some systems never tell")]
fn known(pid: libc::pid_t) -> Option<libc::pid_t> {
    Some(pid).filter(|&pid| pid > 0)
}

/// The same process as a pidfd, which stays that process when its number is used again. (Linux 6.5.)
#[cfg(linux_like)]
pub(crate) fn peer_pidfd(passer: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    /// Not in every libc. It is another number on SPARC and PA-RISC only.
    const SO_PEERPIDFD: c_int = 77;
    must_be_connection(passer)?;
    // SAFETY: the option fills in a descriptor's number.
    let number: c_int =
        unsafe { option(passer, libc::SOL_SOCKET, SO_PEERPIDFD) }.map_err(|error| match error {
            Errno::ENOPROTOOPT => Errno::EOPNOTSUPP,
            Errno::ENODATA => Errno::ENOTCONN,
            // The process has ended, and older kernels do not make a pidfd of it.
            Errno::EINVAL => Errno::ESRCH,
            other => other,
        })?;
    // SAFETY: the kernel made it for us just now.
    above_stdio(unsafe { OwnedFd::from_raw_fd(number) })
}

#[cfg(not(linux_like))]
pub(crate) fn peer_pidfd(_: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    Err(Errno::EOPNOTSUPP)
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

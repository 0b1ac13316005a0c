// SPDX-License-Identifier: MIT OR Apache-2.0
//! getpeerucred(3C) of illumos and Solaris: for their sockets, and for STREAMS.
#![allow(unsafe_code, reason = "nix has no wrapper for it")]

use crate::PeerCred;
use libc::{c_int, gid_t, pid_t, uid_t};
use nix::errno::Errno;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

/// Opaque.
#[repr(C)]
struct Ucred {
    _private: [u8; 0],
}

// Declared here because Linux, where tests simulate them, has none in its libc crate.
extern "C" {
    fn getpeerucred(fd: c_int, peer: *mut *mut Ucred) -> c_int;
    fn ucred_geteuid(peer: *const Ucred) -> uid_t;
    fn ucred_getegid(peer: *const Ucred) -> gid_t;
    fn ucred_getpid(peer: *const Ucred) -> pid_t;
    fn ucred_free(peer: *mut Ucred);
}

pub(super) fn of_peer(passer: BorrowedFd<'_>) -> Result<PeerCred, Errno> {
    let mut peer = ptr::null_mut();
    // SAFETY: the first call makes what the others read, and the last frees it, once.
    unsafe {
        Errno::result(getpeerucred(passer.as_raw_fd(), &mut peer))?;
        let cred = PeerCred {
            uid: ucred_geteuid(peer),
            gid: ucred_getegid(peer),
            pid: Some(ucred_getpid(peer)).filter(|&pid| pid > 0),
        };
        ucred_free(peer);
        Ok(cred)
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! The C ABI of servers with options, and of who is at the other end.

use super::{borrow, guard, number, path_n};
use crate::endpoint::{self, Node, ServerOptions};
use libc::{c_char, c_int, c_uint, c_ulonglong, gid_t, pid_t, size_t, uid_t};
use nix::errno::Errno;

/// fdpasser_server_with(): do not take over from a server that is live.
pub const FDPASSER_EXCLUSIVE: c_uint = 1;

/// A server's node in the file system, to be known again by fdpasser_unlink().
#[repr(C)]
#[allow(
    non_camel_case_types,
    reason = "the type's name is C's, with the prefix of the functions"
)]
pub struct fdpasser_node {
    /// As st_dev of stat(2).
    pub device: c_ulonglong,
    /// As st_ino of stat(2).
    pub inode: c_ulonglong,
}

/// As fdpasser_server_n(), with options. mode: that of the node, up to 0777, whatever the umask,
/// which is not touched; -1 leaves it to the umask. flags: 0, or FDPASSER_EXCLUSIVE to refuse to
/// take over from a server that is live, while one that is left over is replaced. node, if not
/// NULL, is set to the node that was made, for fdpasser_unlink().
///
/// The listener is always bound under a temporary name and renamed; getsockname() then shows that
/// name. Nobody gets in before the node has its mode. Whether a server is live is found out by
/// connecting to it, so it sees a connection that ends at once. While an exclusive server starts
/// there is a lock file beside the path. An abstract address has no mode and is always exclusive;
/// its node is all zeros.
///
/// Ownership: as fdpasser_server(). On failure node is left as it was.
///
/// Returns as fdpasser_server_n(); also errno EADDRINUSE (FDPASSER_EXCLUSIVE, and a server is live
/// there, or just starting), EINVAL (mode or flags are out of range, or a mode for an abstract
/// address) and EACCES (FDPASSER_EXCLUSIVE, and it cannot be found out whether the server is live).
///
/// Blocking: no. The listener is in blocking mode.
///
/// Threads and fork: safe. Of two exclusive servers that start at once one has the path, and the
/// other fails.
#[no_mangle]
pub unsafe extern "C" fn fdpasser_server_with(
    path: *const c_char,
    path_len: size_t,
    backlog: c_int,
    mode: c_int,
    flags: c_uint,
    node: *mut fdpasser_node,
) -> c_int {
    guard(|| {
        // SAFETY: the caller vouches for path_len bytes.
        let path = unsafe { path_n(path, path_len) }?;
        if flags & !FDPASSER_EXCLUSIVE != 0 || mode < -1 {
            return Err(Errno::EINVAL);
        }
        let options = ServerOptions {
            backlog,
            mode: u32::try_from(mode).ok(),
            exclusive: flags & FDPASSER_EXCLUSIVE != 0,
        };
        let (listener, made) = endpoint::server_with(path, &options)?;
        // SAFETY: the caller vouches for it, unless it is null.
        if let Some(node) = unsafe { node.as_mut() } {
            *node = fdpasser_node {
                device: made.device,
                inode: made.inode,
            };
        }
        Ok(number(listener))
    })
}

/// Removes a server's node from the file system, if path is still the one that
/// fdpasser_server_with() made: another server may have taken it over. Call it before closing the
/// listener, as the system may give a later node the same identity. Connections that wait can be
/// accepted after it.
///
/// Ownership: no descriptors.
///
/// Returns 1 if it was removed; 0 if path is not that node (any more) and was left alone; or -1
/// with errno: EFAULT (path or node is NULL), EINVAL (a NUL inside path), EACCES, EPERM, EROFS, ENOTDIR,
/// ELOOP, ENAMETOOLONG.
///
/// Blocking: no.
///
/// Threads and fork: safe. After a fork only one of the processes that have the listener should
/// call it, the last one that serves.
#[no_mangle]
pub unsafe extern "C" fn fdpasser_unlink(
    path: *const c_char,
    path_len: size_t,
    node: *const fdpasser_node,
) -> c_int {
    guard(|| {
        // SAFETY: the caller vouches for path_len bytes.
        let path = unsafe { path_n(path, path_len) }?;
        // SAFETY: the caller vouches for it, unless it is null.
        let node = unsafe { node.as_ref() }.ok_or(Errno::EFAULT)?;
        let node = Node {
            device: node.device,
            inode: node.inode,
        };
        endpoint::unlink(path, &node).map(c_int::from)
    })
}

/// Says who is at the other end of a connection: the effective user and group, and the process, of
/// who connected, as they were then; for the end of a client, of who listened; for a pair, of who
/// made it. Whoever has the other end by now may be another process, that inherited or was sent it.
/// Each of the pointers may be NULL.
///
/// Ownership: no descriptors. On failure nothing is written.
///
/// Returns 0, or -1 with errno: ENOTCONN (not connected), EINVAL (a listener), EAFNOSUPPORT (not a
/// local socket), EBADF, ENOTSOCK. *pid is -1 where the system does not tell, or where the process
/// is none that our PID namespace shows. A process may have ended, and its number be another's by
/// now; a user may not.
///
/// Blocking: no.
///
/// Threads and fork: safe.
#[no_mangle]
pub unsafe extern "C" fn fdpasser_peer_cred(
    passer: c_int,
    uid: *mut uid_t,
    gid: *mut gid_t,
    pid: *mut pid_t,
) -> c_int {
    guard(|| {
        let peer = endpoint::peer_cred(borrow(&passer)?)?;
        // SAFETY: the caller vouches for each that is not null.
        unsafe {
            put(uid, peer.uid);
            put(gid, peer.gid);
            put(pid, peer.pid.unwrap_or(-1));
        }
        Ok(0)
    })
}

/// # Safety
/// `to` must be null or point at a `T`.
unsafe fn put<T>(to: *mut T, value: T) {
    if !to.is_null() {
        // SAFETY: not null, and as above.
        unsafe { to.write(value) };
    }
}

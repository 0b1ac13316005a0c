// SPDX-License-Identifier: MIT OR Apache-2.0
//! Connections: a pair for a fork, or a server, its connections and its clients.
//!
//! The sections below are for the functions whose own comments lack them.
//!
//! # Ownership
//!
//! No descriptor changes hands.
//!
//! # Blocking
//!
//! It never waits.
//!
//! # Threads and fork
//!
//! Any thread may call it, also after a fork.
//!
//! # Examples
//!
//! fdpasser(7) has a complete program.

use super::constants::FDPASSER_EXCLUSIVE;
use super::{at_most, borrow, c_path, guard, number, path_n};
use crate::endpoint::{self, Node, ServerOptions};
use crate::transfer::Wait;
use libc::{c_char, c_int, c_uint, c_ulonglong, gid_t, pid_t, size_t, uid_t};
use nix::errno::Errno;
use std::os::fd::IntoRawFd;
use std::path::Path;

/// Identifies a server's node (socket file), so that fdpasser_unlink() removes no other.
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

/// Makes a connected pair of passers, one for each side of a fork or for two threads.
///
/// Both passers are in blocking mode. After a fork each process should close the passer that it does not use.
/// Otherwise the peer's reader never sees the end of file.
///
/// # Ownership
///
/// On success the caller owns fds[0] and fds[1]. On failure fds is left as it was.
///
/// # Returns
///
/// 0 on success, or -1 with errno.
///
/// # Errors
///
/// - EFAULT: fds is NULL.
/// - EMFILE: The process has no free slot from 3 up.
/// - ENFILE: The system has too many open files.
/// - ENOBUFS, ENOMEM: The system is short of memory.
///
/// # Examples
///
/// ```c
/// int fds[2];
/// if (fdpasser_socketpair(fds) != 0) err(1, "fdpasser_socketpair");
/// switch (fork()) {
/// case -1:
///     err(1, "fork");
/// case 0:
///     close(fds[0]);
///     if (send_fd(fds[1], STDOUT_FILENO) != 1) err(1, "send_fd");
///     _exit(0);
/// }
/// close(fds[1]);
/// int fd = recv_fd(fds[0]);
/// if (fd < 0) err(1, "recv_fd");
/// if (fd == 0) errx(1, "the child sent nothing");
/// ```
///
/// # See also
///
/// fdpasser_send_fd(3), fdpasser_recv_fd(3), fdpasser_new_pair(3), socketpair(2)
#[no_mangle]
pub unsafe extern "C" fn fdpasser_socketpair(fds: *mut c_int) -> c_int {
    guard(|| {
        if fds.is_null() {
            return Err(Errno::EFAULT);
        }
        let (a, b) = endpoint::socketpair()?;
        // SAFETY: not null, and the caller vouches for two ints.
        unsafe {
            fds.write(a.into_raw_fd());
            fds.add(1).write(b.into_raw_fd());
        }
        Ok(0)
    })
}

/// Makes a listener at path, in place of a socket that is there already.
///
/// A backlog of 0 or less means 10. The system may cap a larger one. The listener is in blocking mode.
///
/// A restarted server takes its path over. If there is a socket at path, of a live server or left over, the new
/// listener replaces it, and the path is never missing. For that the listener is bound under a temporary name in the
/// same directory, and then renamed. The temporary name is `.fdpasser-` and 12 letters or digits. Where an address has
/// no room for that, it is up to 12 punctuation marks. getsockname(2) shows it also afterwards. Anything that is not a
/// socket is left alone.
///
/// The umask decides the mode of the node, which is the socket file. The node stays when the listener is closed.
/// fdpasser_server_with(3) sets a mode, can refuse to replace a live server, and tells which node it made.
///
/// fdpasser_server_n() takes the length of path. So path may begin with a NUL byte, which makes it a Linux abstract
/// address. An abstract address is in no file system, and it is never replaced.
///
/// # Ownership
///
/// On success the caller owns the listener. On failure nothing is left behind.
///
/// # Returns
///
/// The listener, or -1 with errno.
///
/// # Errors
///
/// - EFAULT: path is NULL.
/// - EEXIST: There is something at path that is not a socket.
/// - EBUSY: The socket at path is a mount point of its own, as in some containers. Mount its directory instead. With the
///   SysV interface: a client is still connecting to the old server. Try again.
/// - ENAMETOOLONG: path is longer than an address holds, which is 107 bytes on Linux.
/// - ENOENT: path is empty, or its directory does not exist.
/// - ENOTDIR: A part of path is not a directory.
/// - EACCES, EPERM: The caller may not create a node there.
/// - EROFS: The file system is read-only.
/// - EMFILE: The process has no free slot from 3 up.
/// - ENFILE: The system has too many open files.
/// - ENOBUFS, ENOMEM: The system is short of memory.
/// - ENOSPC: The file system is full.
/// - EIO: The file system failed.
///
/// # Threads and fork
///
/// Any thread may call it, also after a fork. If two servers start at one path at the same time, the later one has it.
///
/// # See also
///
/// fdpasser_accept(3), fdpasser_connect(3), fdpasser_server_with(3), unix(7)
#[no_mangle]
pub unsafe extern "C" fn fdpasser_server(path: *const c_char, backlog: c_int) -> c_int {
    // SAFETY: the caller vouches for a C string.
    guard(|| server(unsafe { c_path(path) }?, backlog))
}

/// Does what fdpasser_server() does, with the length of path given.
///
/// Page: fdpasser_server
///
/// # Errors
///
/// fdpasser_server_n() fails also with these:
///
/// - EADDRINUSE: The abstract address is in use.
/// - EINVAL: There is a NUL byte inside path, or this system has no abstract addresses.
#[no_mangle]
pub unsafe extern "C" fn fdpasser_server_n(
    path: *const c_char,
    path_len: size_t,
    backlog: c_int,
) -> c_int {
    // SAFETY: the caller vouches for path_len bytes.
    guard(|| server(unsafe { path_n(path, path_len) }?, backlog))
}

/// Makes a listener with options: the mode of its node, and whether to replace a live server.
///
/// path, path_len and backlog are those of fdpasser_server_n(3).
///
/// mode is the mode of the node, up to 0777, whatever the umask says. -1 leaves it to the umask, and the umask itself
/// is not touched. Nobody can connect before the node has its mode.
///
/// flags is 0 or FDPASSER_EXCLUSIVE. With FDPASSER_EXCLUSIVE the call refuses to replace a live server, but it
/// replaces a socket that is left over. A server is live if any process has its listener open. While an exclusive
/// server starts, a lock file stands beside the path, with the name `.NAME.fdpasser-lock`.
///
/// If node is not NULL it is set to the node that was made. fdpasser_unlink(3) takes it.
///
/// The listener is always bound under a temporary name and renamed. getsockname(2) shows that temporary name.
///
/// An abstract address has no mode and is always exclusive. Its node is all zeros.
///
/// # Ownership
///
/// On success the caller owns the listener. On failure nothing is left behind, and node is as it was.
///
/// # Returns
///
/// The listener, or -1 with errno.
///
/// # Errors
///
/// All errors of fdpasser_server_n(3), and these:
///
/// - EADDRINUSE: FDPASSER_EXCLUSIVE is set, and a server is live at path or is just starting there.
/// - ENOLCK: FDPASSER_EXCLUSIVE is set, and what stands at the path of the lock file is not a plain file of this user.
/// - EINVAL: mode or flags is out of range, or a mode is given for an abstract address.
/// - EACCES: FDPASSER_EXCLUSIVE is set, and the call may not find out whether the server is live. With the SysV interface
///   also: mode has no write permission for its owner.
///
/// # Threads and fork
///
/// Any thread may call it, also after a fork. If two exclusive servers start at one path at the same time, one has the
/// path and the other fails.
///
/// # Examples
///
/// This server shuts everybody else out and removes its node at its end:
///
/// ```c
/// fdpasser_node node;
/// int listener = fdpasser_server_with(path, strlen(path), 0, 0600, FDPASSER_EXCLUSIVE, &node);
/// if (listener < 0) err(1, "%s", path);
/// serve(listener);
/// if (fdpasser_unlink(path, strlen(path), &node) < 0) warn("%s", path);
/// close(listener);
/// ```
///
/// # See also
///
/// fdpasser_server(3), fdpasser_unlink(3), fdpasser_accept(3)
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

/// Removes a server's node from the file system, unless another server has taken the path over.
///
/// node is what fdpasser_server_with(3) set. Call this before you close the listener, because afterwards the system
/// may give a new node the same identity. Connections that wait in the backlog can still be accepted.
///
/// If another server replaces the node during this call, its new node may be missing for a moment before it is put back.
/// An exclusive server that starts at that moment finds nothing live.
///
/// # Returns
///
/// 1 if the node was removed. 0 if path is not that node, or not any more; it is left alone then. -1 with errno on
/// failure.
///
/// # Errors
///
/// - EFAULT: path or node is NULL.
/// - EINVAL: There is a NUL byte inside path.
/// - EACCES, EPERM: The caller may not remove the node.
/// - EROFS: The file system is read-only.
/// - ENOTDIR: A part of path is not a directory.
/// - ELOOP: There are too many symbolic links in path.
/// - ENAMETOOLONG: path is longer than 383 bytes. With the SysV interface it may be as long as the system allows.
///
/// # Threads and fork
///
/// Any thread may call it, also after a fork. If several processes have the listener, the last one that serves should
/// call it, and only that one.
///
/// # Examples
///
/// fdpasser_server_with(3) has one.
///
/// # See also
///
/// fdpasser_server_with(3), unlink(2)
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

/// Takes the next connection from a listener.
///
/// listener comes from fdpasser_server(3) or fdpasser_server_with(3). The new passer is in blocking mode, whatever
/// mode the listener is in.
///
/// # Ownership
///
/// On success the caller owns the new passer. On failure there is none. The listener does not change.
///
/// # Returns
///
/// The passer, or -1 with errno.
///
/// # Errors
///
/// No connection is lost with these, and the same call may succeed later:
///
/// - EAGAIN: No connection waits, and the listener is non-blocking.
/// - EINTR: A signal came while the call waited. If its handler was set with SA_RESTART and the listener has no
///   SO_RCVTIMEO, the wait goes on instead.
/// - EMFILE: The process has no free slot from 3 up. The connection stays in the backlog. (On macOS and under gVisor it
///   is lost if the table fills while the call waits.)
/// - ENFILE: The system has too many open files.
/// - ENOBUFS, ENOMEM: The system is short of memory.
/// - ECONNABORTED: The client gave up before it was accepted.
///
/// With these the call cannot succeed:
///
/// - EBADF: listener is not open.
/// - ENOTSOCK: listener is not a socket.
/// - EINVAL, EOPNOTSUPP: listener is a socket that does not listen, or that was shut down.
/// - EPERM: The system's rules forbid the connection.
///
/// # Blocking
///
/// It waits for a connection if the listener is in blocking mode.
///
/// # Threads and fork
///
/// Any thread may call it, also after a fork. Several threads and processes may accept from one listener.
///
/// # See also
///
/// fdpasser_server(3), fdpasser_accept_timed(3), fdpasser_peer_cred(3), accept(2)
#[no_mangle]
pub extern "C" fn fdpasser_accept(listener: c_int) -> c_int {
    guard(|| endpoint::accept(borrow(&listener)?, Wait::AsPasser).map(number))
}

/// Does what fdpasser_accept() does, but waits for at most timeout_ms milliseconds.
///
/// 0 does not wait, and a negative number waits for ever.
///
/// The call sets the listener to non-blocking mode and leaves it so, for everybody who shares it. Otherwise the call
/// could wait too long, because another process may take the connection first. After this call fdpasser_accept(3) does
/// not wait on the listener either.
///
/// # Ownership
///
/// As in fdpasser_accept(3).
///
/// # Returns
///
/// The new passer, which is in blocking mode, or -1 with errno.
///
/// # Errors
///
/// All errors of fdpasser_accept(3), except EAGAIN, with one difference and one more:
///
/// - EINTR: A signal came while the call waited, whatever SA_RESTART says.
/// - ETIMEDOUT: No connection came in time.
///
/// # Blocking
///
/// It waits for a connection until the time is over, whatever mode the listener was in.
///
/// # Threads and fork
///
/// Any thread may call it, also after a fork. Several threads and processes may accept from one listener.
///
/// # See also
///
/// fdpasser_accept(3), fdpasser_connect_timed(3)
#[no_mangle]
pub extern "C" fn fdpasser_accept_timed(listener: c_int, timeout_ms: c_int) -> c_int {
    guard(|| endpoint::accept(borrow(&listener)?, at_most(timeout_ms)).map(number))
}

/// Connects to the server at path.
///
/// The new passer is in blocking mode.
///
/// fdpasser_connect_n() takes the length of path. So path may begin with a NUL byte, which makes it a Linux abstract
/// address.
///
/// # Ownership
///
/// On success the caller owns the passer. On failure there is none.
///
/// # Returns
///
/// The passer, or -1 with errno.
///
/// # Errors
///
/// - EFAULT: path is NULL.
/// - ENOENT: There is nothing at path, or path is empty.
/// - ECONNREFUSED: Nobody listens at path. On the BSDs and macOS also: the server's backlog is full.
/// - EACCES: The caller may not write to the node, or may not search a directory of path.
/// - EPROTOTYPE: There is a socket at path that is not a stream.
/// - ENAMETOOLONG: path is longer than an address holds, which is 107 bytes on Linux.
/// - ENOTDIR: A part of path is not a directory.
/// - ELOOP: There are too many symbolic links in path.
/// - EINTR: A signal came while the call waited. If its handler was set with SA_RESTART, the wait goes on instead.
/// - EMFILE: The process has no free slot from 3 up.
/// - ENFILE: The system has too many open files.
/// - ENOBUFS, ENOMEM: The system is short of memory.
/// - EPERM: The system's rules forbid the connection.
///
/// # Blocking
///
/// It waits while the server's backlog is full. On the BSDs and macOS it fails with ECONNREFUSED instead.
///
/// # See also
///
/// fdpasser_server(3), fdpasser_connect_timed(3), fdpasser_send_fd(3), fdpasser_recv_fd(3), connect(2)
#[no_mangle]
pub unsafe extern "C" fn fdpasser_connect(path: *const c_char) -> c_int {
    // SAFETY: the caller vouches for a C string.
    guard(|| connect(unsafe { c_path(path) }?))
}

/// Does what fdpasser_connect() does, with the length of path given.
///
/// Page: fdpasser_connect
///
/// # Errors
///
/// fdpasser_connect_n() fails also with this:
///
/// - EINVAL: There is a NUL byte inside path, or this system has no abstract addresses.
#[no_mangle]
pub unsafe extern "C" fn fdpasser_connect_n(path: *const c_char, path_len: size_t) -> c_int {
    // SAFETY: the caller vouches for path_len bytes.
    guard(|| connect(unsafe { path_n(path, path_len) }?))
}

/// Does what fdpasser_connect_n() does, but waits for at most timeout_ms milliseconds.
///
/// 0 does not wait, and a negative number waits for ever.
///
/// # Ownership
///
/// As in fdpasser_connect(3).
///
/// # Returns
///
/// The passer, which is in blocking mode, or -1 with errno.
///
/// # Errors
///
/// All errors of fdpasser_connect_n(3), with one difference and two more:
///
/// - EINTR: A signal came while the call waited, whatever SA_RESTART says. If timeout_ms is negative, it is as in
///   fdpasser_connect(3).
/// - ETIMEDOUT: The backlog of the server was full all the time.
/// - EOPNOTSUPP: The library was built for the SysV interface, which has no way to limit this wait.
///
/// # Blocking
///
/// It waits while the server's backlog is full, until the time is over. On the BSDs and macOS it fails with
/// ECONNREFUSED instead.
///
/// # See also
///
/// fdpasser_connect(3), fdpasser_accept_timed(3)
#[no_mangle]
pub unsafe extern "C" fn fdpasser_connect_timed(
    path: *const c_char,
    path_len: size_t,
    timeout_ms: c_int,
) -> c_int {
    guard(|| {
        // SAFETY: the caller vouches for path_len bytes.
        let path = unsafe { path_n(path, path_len) }?;
        endpoint::connect(path, at_most(timeout_ms)).map(number)
    })
}

/// Tells which user, group and process are at the other end of a connection.
///
/// *uid and *gid are set to the effective user and group, *pid to the process. Each of the three pointers may be NULL.
/// They describe the process at the moment when the connection was made. A server sees the process that connected. A
/// client sees the process that listened. For a pair it is the process that made the pair. By now another process may
/// have that end, because it inherited it or received it. (On macOS *pid is the process that used that end last.)
///
/// *pid is -1 where the system does not tell, and where our PID namespace does not show the process. The process may
/// have ended by now, and another one may have its number. So grant access by the user and not by the process.
///
/// In a user namespace every user that is not mapped has the overflow uid, usually 65534. So refuse that uid: it stands
/// for many users.
///
/// # Ownership
///
/// No descriptor changes hands. On failure nothing is written.
///
/// # Returns
///
/// 0 on success, or -1 with errno.
///
/// # Errors
///
/// - ENOTCONN: passer is not connected. On DragonFly and FreeBSD 10 also: it is an end of a pair.
/// - EINVAL: passer is a listener.
/// - EAFNOSUPPORT: passer is a socket, but not a local one.
/// - EBADF: passer is not open.
/// - ENOTSOCK: passer is not a socket.
/// - EOPNOTSUPP: The SysV interface knows the peer only at the server's end of a connection.
///
/// # See also
///
/// fdpasser_accept(3), fdpasser_peer_pidfd(3), unix(7)
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

/// Opens a pidfd of the process at the other end of a connection.
///
/// It is the process that fdpasser_peer_cred(3) tells. A process number may be that of another process later. A pidfd never
/// is. It polls readable once the process has ended. Linux has this since 6.5.
///
/// # Ownership
///
/// On success the caller owns the pidfd, which is close-on-exec and never 0, 1 or 2. On failure there is none.
///
/// # Returns
///
/// The pidfd, or -1 with errno.
///
/// # Errors
///
/// - EMFILE: The process has no free slot from 3 up.
/// - ENFILE, ENOMEM: The system has too many open files, or is short of memory.
/// - ESRCH: The process has ended. Some kernels open a pidfd all the same.
/// - EOPNOTSUPP: The system has no such call.
/// - ENOTCONN: passer is not connected.
/// - EINVAL: passer is a listener.
/// - EAFNOSUPPORT: passer is a socket, but not a local one.
/// - EBADF: passer is not open.
/// - ENOTSOCK: passer is not a socket.
///
/// # See also
///
/// fdpasser_peer_cred(3), pidfd_open(2), unix(7)
#[no_mangle]
pub extern "C" fn fdpasser_peer_pidfd(passer: c_int) -> c_int {
    guard(|| endpoint::peer_pidfd(borrow(&passer)?).map(number))
}

fn server(path: &Path, backlog: c_int) -> Result<c_int, Errno> {
    endpoint::server(path, backlog).map(number)
}

fn connect(path: &Path) -> Result<c_int, Errno> {
    endpoint::connect(path, Wait::AsPasser).map(number)
}

/// # Safety
/// `to` must be null or point at a `T`.
unsafe fn put<T>(to: *mut T, value: T) {
    if !to.is_null() {
        // SAFETY: not null, and as above.
        unsafe { to.write(value) };
    }
}

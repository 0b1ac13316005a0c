// SPDX-License-Identifier: MIT OR Apache-2.0
//! The Rust face: what a service manager hands to a process, and what it is told.

use crate::inherited::Environment;
use crate::kind::{self, Kind};
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicBool, Ordering};

/// A descriptor that came by exec, with its name.
#[derive(Debug)]
#[non_exhaustive]
pub struct Inherited {
    /// The descriptor, which is close-on-exec now.
    pub fd: OwnedFd,
    /// What the giver calls it: up to [`MAX_NAME`](crate::MAX_NAME) characters of ASCII, with no colon and no control
    /// character. It may be empty, and several may have the same. Without LISTEN_FDNAMES it is "unknown".
    pub name: String,
}

/// Takes over the descriptors that a service manager handed to this process, in their order.
///
/// systemd's protocol is understood: LISTEN_FDS, LISTEN_PID, LISTEN_PIDFDID and LISTEN_FDNAMES. If the variables are for
/// another process, such as our parent, there are no descriptors, and nothing is touched. Check with [`is`] that a
/// descriptor is what the program needs.
///
/// Each descriptor has one owner, so a second call returns none. Call this when the program starts, before anything else
/// takes numbers from 3 up. The variables stay in the environment.
///
/// # Errors
/// Nothing was touched.
/// - EINVAL: the environment makes no sense: a variable is not a number, or is too large; there are more or fewer names
///   than descriptors; a name cannot be one.
/// - EBADF: one of the descriptors is not open; or it is close-on-exec, so it did not come by exec, or somebody else has
///   taken it over.
pub fn inherited() -> io::Result<Vec<Inherited>> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::Relaxed) {
        return Ok(Vec::new());
    }
    let taken = take();
    if taken.is_err() {
        TAKEN.store(false, Ordering::Relaxed);
    }
    taken
}

fn take() -> io::Result<Vec<Inherited>> {
    let [fds, pid, pidfd_id, names] = [
        "LISTEN_FDS",
        "LISTEN_PID",
        "LISTEN_PIDFDID",
        "LISTEN_FDNAMES",
    ]
    .map(std::env::var_os);
    let environment = Environment {
        fds: bytes(&fds),
        pid: bytes(&pid),
        pidfd_id: bytes(&pidfd_id),
        names: bytes(&names),
    };
    let taken = environment.own()?.into_iter().enumerate();
    taken
        .map(|(i, fd)| {
            let name = String::from_utf8_lossy(environment.name(i)?).into_owned();
            Ok(Inherited { fd, name })
        })
        .collect()
}

/// Tells whether a descriptor can have this name among inherited ones: at most [`MAX_NAME`](crate::MAX_NAME) characters of
/// ASCII, with no colon and no control character.
pub fn is_name(name: &[u8]) -> bool {
    crate::inherited::is_name(name)
}

/// Tells whether a descriptor is of this [`Kind`].
///
/// # Errors
/// Those of fstat(2), fcntl(2) and getsockopt(2), if a sandbox refuses them.
pub fn is(fd: impl AsFd, kind: Kind) -> io::Result<bool> {
    Ok(kind::is(fd.as_fd(), [kind])?)
}

/// Tells the service manager that started this process what state the process is in, such as `"READY=1"`, and may give it
/// descriptors to keep (`"FDSTORE=1\nFDNAME=name"`). Returns whether it was sent: `false` if nobody wants to know, because
/// NOTIFY_SOCKET is not set. Waits while the manager's queue is full.
///
/// # Errors
/// - EINVAL: `state` is empty; there are more than [`MAX_PER_MESSAGE`](crate::MAX_PER_MESSAGE) descriptors; NOTIFY_SOCKET is
///   not an absolute path and not an abstract address (`@name`).
/// - EMSGSIZE: `state` has more than 4096 bytes, which systemd would ignore.
/// - ENAMETOOLONG: NOTIFY_SOCKET is longer than an address holds.
/// - ENOENT, ECONNREFUSED, EACCES and others as connect(2) and sendmsg(2).
/// - EOPNOTSUPP: the SysV interface.
pub fn notify(state: &str, fds: &[BorrowedFd<'_>]) -> io::Result<bool> {
    let socket = std::env::var_os("NOTIFY_SOCKET");
    Ok(crate::notify::notify(
        bytes(&socket),
        state.as_bytes(),
        fds,
    )?)
}

fn bytes(value: &Option<OsString>) -> Option<&[u8]> {
    value.as_ref().map(|value| value.as_bytes())
}

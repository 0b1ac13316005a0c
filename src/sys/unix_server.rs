// SPDX-License-Identifier: MIT OR Apache-2.0
//! The BSD interface's listeners, and their nodes in the file system.
#![allow(
    unsafe_code,
    reason = "fchmodat2(2) and renameat2(2), which no wrapper has for every C library"
)]

use super::node::{directory, is_at, kind, node_at, Lock, StackPath, LONGEST_PATH};
use super::unix_socket::{address, is_abstract, new_socket, stream, LONGEST_ADDRESS};
use super::wait::set_nonblocking;
use crate::error::errno;
use crate::{Node, ServerOptions};
use arrayvec::ArrayVec;
use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;
use nix::sys::socket::{self, Backlog, SockType};
use nix::sys::stat::{fchmod, fchmodat, FchmodatFlags, Mode};
use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::BuildHasher;
use std::io::ErrorKind;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::process;
use std::time::SystemTime;

/// A listener at `path`, which replaces a socket that is there, live or left over.
pub(crate) fn server(path: &Path, backlog: i32) -> Result<OwnedFd, Errno> {
    let options = ServerOptions {
        backlog,
        ..ServerOptions::default()
    };
    match listen_at(path, &options) {
        Err(Errno::EADDRINUSE) if !is_abstract(path) => {}
        result => return result,
    }
    match kind(path)? {
        Some(kind) if kind.is_socket() => {
            let (listener, beside) = listen_beside(path, &options)?;
            rename(&beside, path)?;
            Ok(listener)
        }
        Some(_) => Err(Errno::EEXIST),
        // It went between the two looks: the path is free now.
        None => listen_at(path, &options),
    }
}

/// The same with options. The listener always starts under a temporary name, so that it is certain which node is
/// the new one.
pub(crate) fn server_with(path: &Path, options: &ServerOptions) -> Result<(OwnedFd, Node), Errno> {
    if is_abstract(path) {
        return match options.mode {
            Some(_) => Err(Errno::EINVAL),
            None => Ok((listen_at(path, options)?, Node::default())),
        };
    }
    // A path that is no address must not leave a lock behind.
    address(path)?;
    let _lock = options.exclusive.then(|| Lock::take(path)).transpose()?;
    match kind(path)? {
        Some(kind) if !kind.is_socket() => return Err(Errno::EEXIST),
        Some(_) if options.exclusive && is_live(path)? => return Err(Errno::EADDRINUSE),
        _ => {}
    }
    let (listener, beside) = listen_beside(path, options)?;
    let node = node_at(&beside);
    rename(&beside, path)?;
    Ok((listener, node.map_err(errno)?))
}

/// Removes the node at `path` if it is this one; says whether it was.
pub(crate) fn unlink(path: &Path, node: &Node) -> Result<bool, Errno> {
    if is_abstract(path) {
        return Ok(false);
    }
    if path.as_os_str().len() > LONGEST_PATH {
        return Err(Errno::ENAMETOOLONG);
    }
    if !is_at(path, node)? {
        return Ok(false);
    }
    // Another server may replace it between the look and the removal, and must not lose its node. So
    // take away first what is there, and look again.
    let moved = with_temporary_name(path, LONGEST_PATH, |aside| rename_to_free(path, aside));
    let aside = match moved {
        Err(Errno::ENOENT) => return Ok(false),
        result => result?.1,
    };
    let ours = is_at(&aside, node)?;
    if !ours {
        // Back with it, unless there is a newer one already.
        match fs::hard_link(&*aside, path).map_err(|e| e.kind()) {
            Ok(()) | Err(ErrorKind::AlreadyExists) => {}
            // Somebody has removed it meanwhile.
            Err(ErrorKind::NotFound) => return Ok(false),
            Err(_) => return rename(&aside, path).map(|()| false),
        }
    }
    match fs::remove_file(&*aside) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(ours),
        result => result.map(|()| ours).map_err(errno),
    }
}

/// Listens under a temporary name beside `path`, so that a rename can put it there without a moment in
/// which there is nothing.
fn listen_beside(path: &Path, options: &ServerOptions) -> Result<(OwnedFd, StackPath), Errno> {
    with_temporary_name(path, LONGEST_ADDRESS, |beside| listen_at(beside, options))
}

/// Does something that needs a name of its own beside `path`. Where that name is taken, it does it again with another.
/// `longest` is how long the path may be that the name makes.
fn with_temporary_name<T>(
    path: &Path,
    longest: usize,
    make: impl Fn(&Path) -> Result<T, Errno>,
) -> Result<(T, StackPath), Errno> {
    let room = longest.saturating_sub(directory(path).len());
    let mut tries = 100;
    loop {
        let beside = StackPath::beside(path, &[&temporary_name(room)])?;
        match make(&beside) {
            Err(Errno::EADDRINUSE | Errno::EEXIST) if tries > 0 => tries -= 1,
            result => return Ok((result?, beside)),
        }
    }
}

const PREFIX: &[u8] = b".fdpasser-";
const RANDOM: usize = 12;
const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz234567";
/// No real name consists of these alone.
const SIGNS: &[u8] = b"!#$%+,:;=@[]^{}~";

/// A name that nobody else takes: no server for its own path, and no other process for its temporary one. It must fit
/// wherever the real name did. So it is shorter where the room is small, and then it has no letters.
fn temporary_name(room: usize) -> ArrayVec<u8, { PREFIX.len() + RANDOM }> {
    // The keys differ between threads, and from one time to the next. After a fork they repeat, but the process differs;
    // in another PID namespace the time does.
    let mut bits = RandomState::new().hash_one((process::id(), SystemTime::now()));
    let (prefix, alphabet) = match room >= PREFIX.len() + RANDOM {
        true => (PREFIX, LETTERS),
        false => (&[][..], SIGNS),
    };
    let mut name: ArrayVec<u8, { PREFIX.len() + RANDOM }> = prefix.iter().copied().collect();
    for _ in 0..room.min(RANDOM) {
        name.push(alphabet[(bits % alphabet.len() as u64) as usize]);
        bits /= alphabet.len() as u64;
    }
    name
}

/// Renames `path`. If there is something at `free` already, this is EEXIST. Where the system cannot promise that, it
/// is up to the name to be free.
fn rename_to_free(path: &Path, free: &Path) -> Result<(), Errno> {
    match rename_no_replace(path, free) {
        // The system call is too new, this file system has no such thing, or a sandbox does not know it.
        Err(Errno::ENOSYS | Errno::EINVAL | Errno::EPERM) => fs::rename(path, free).map_err(errno),
        result => result,
    }
}

#[cfg(linux_like)]
fn rename_no_replace(from: &Path, to: &Path) -> Result<(), Errno> {
    use nix::NixPath;
    let renamed = from.with_nix_path(|from| {
        to.with_nix_path(|to| {
            // SAFETY: two C strings, and numbers.
            unsafe {
                libc::syscall(
                    libc::SYS_renameat2,
                    libc::AT_FDCWD,
                    from.as_ptr(),
                    libc::AT_FDCWD,
                    to.as_ptr(),
                    libc::RENAME_NOREPLACE,
                )
            }
        })
    })??;
    Errno::result(renamed).map(drop)
}
#[cfg(not(linux_like))]
fn rename_no_replace(_: &Path, _: &Path) -> Result<(), Errno> {
    Err(Errno::ENOSYS)
}

fn rename(beside: &Path, path: &Path) -> Result<(), Errno> {
    fs::rename(beside, path).map_err(|e| {
        // Best effort: what is reported is why the rename failed.
        let _ = fs::remove_file(beside);
        errno(e)
    })
}

fn listen_at(path: &Path, options: &ServerOptions) -> Result<OwnedFd, Errno> {
    let address = address(path)?;
    let listener = stream()?;
    let mode = options
        .mode
        .map(|bits| Mode::from_bits_truncate(bits as libc::mode_t));
    if let Some(mode) = mode {
        // Linux gives the node the socket's mode, less the umask, so that it never has more than it
        // should. Recent FreeBSD does so too. Elsewhere this does nothing, or fails.
        let _ = fchmod(&listener, mode);
    }
    socket::bind(listener.as_raw_fd(), &address)?;
    let set_up = match mode {
        Some(mode) => set_mode(path, mode),
        None => Ok(()),
    };
    // Until it listens nobody gets in, whatever the node's mode was at first.
    let backlog = Backlog::new(options.backlog).unwrap_or(Backlog::MAXCONN);
    if let Err(error) = set_up.and_then(|()| socket::listen(&listener, backlog)) {
        if !is_abstract(path) {
            // Ours since a moment ago; best effort.
            let _ = fs::remove_file(path);
        }
        return Err(error);
    }
    Ok(listener)
}

/// Gives a node that we just bound its mode, where the umask took something away. Does not follow a link that
/// somebody may have put there meanwhile.
fn set_mode(node: &Path, mode: Mode) -> Result<(), Errno> {
    let found = fs::symlink_metadata(node).map_err(errno)?;
    if Mode::from_bits_truncate(found.mode() as libc::mode_t) == mode {
        return Ok(());
    }
    if chmod_at(node, mode).is_ok() {
        return Ok(());
    }
    // Old libraries need /proc for this, and a chroot may have none.
    match fchmodat(AT_FDCWD, node, mode, FchmodatFlags::NoFollowSymlink) {
        Err(Errno::EOPNOTSUPP) if is_safe_from_others(node)? => {
            fchmodat(AT_FDCWD, node, mode, FchmodatFlags::FollowSymlink)
        }
        result => result,
    }
}

/// Whether nobody but us and root can have replaced a node of ours: others cannot write to its directory, or
/// cannot rename what is not theirs there.
fn is_safe_from_others(node: &Path) -> Result<bool, Errno> {
    let directory = node.parent().filter(|path| !path.as_os_str().is_empty());
    let directory = fs::metadata(directory.unwrap_or(Path::new("."))).map_err(errno)?;
    let owner_is_trusted = [0, nix::unistd::geteuid().as_raw()].contains(&directory.uid());
    const STICKY: u32 = 0o1000;
    const OTHERS_MAY_WRITE: u32 = 0o022;
    Ok(owner_is_trusted
        && (directory.mode() & OTHERS_MAY_WRITE == 0 || directory.mode() & STICKY != 0))
}

/// fchmodat2(2), which Linux has since 6.6. It needs no /proc.
#[cfg(linux_like)]
fn chmod_at(node: &Path, mode: Mode) -> Result<(), Errno> {
    use nix::NixPath;
    /// Too new for libc. The same on every processor but MIPS and Alpha, which have no such call there.
    const SYS_FCHMODAT2: libc::c_long = 452;
    let changed = node.with_nix_path(|name| {
        // SAFETY: a C string, and numbers.
        unsafe {
            libc::syscall(
                SYS_FCHMODAT2,
                libc::AT_FDCWD,
                name.as_ptr(),
                mode.bits(),
                libc::AT_SYMLINK_NOFOLLOW,
            )
        }
    })?;
    Errno::result(changed).map(drop)
}
#[cfg(not(linux_like))]
fn chmod_at(_: &Path, _: Mode) -> Result<(), Errno> {
    Err(Errno::ENOSYS)
}

/// Says whether anybody has the socket at `path` open.
///
/// A datagram socket cannot be connected to a stream socket, but the system looks the stream socket up first. So
/// this tells a live one from a left-over without taking a place in its backlog, and also while its backlog is full. (A
/// stream socket is refused by a full backlog as by a left-over on the BSDs and macOS, so it would prove nothing there.)
fn is_live(path: &Path) -> Result<bool, Errno> {
    Ok(answers(path, SockType::Datagram)? || answers_on_gvisor(path)?)
}

/// gVisor says ECONNREFUSED of a live stream socket, so there a connection has to be tried. Where nobody listens it takes no
/// place. A full backlog is EAGAIN there.
#[cfg(linux_like)]
fn answers_on_gvisor(path: &Path) -> Result<bool, Errno> {
    answers(path, SockType::Stream)
}
#[cfg(not(linux_like))]
#[allow(
    clippy::unnecessary_wraps,
    reason = "where there is something to do it may fail"
)]
fn answers_on_gvisor(_: &Path) -> Result<bool, Errno> {
    Ok(false)
}

fn answers(path: &Path, kind: SockType) -> Result<bool, Errno> {
    let probe = new_socket(kind)?;
    set_nonblocking(probe.as_fd())?;
    match socket::connect(probe.as_raw_fd(), &address(path)?) {
        // EAGAIN: a full backlog. EPROTOTYPE: a socket of another kind.
        Ok(()) | Err(Errno::EAGAIN | Errno::EPROTOTYPE) => Ok(true),
        // EDESTADDRREQ is illumos' word for it.
        Err(Errno::ECONNREFUSED | Errno::EDESTADDRREQ | Errno::ENOENT) => Ok(false),
        Err(error) => Err(error),
    }
}

//! The BSD interface's listeners, and their nodes in the file system.

use super::blocking::set_nonblocking;
use super::node::{as_path, node_at, Lock};
use super::unix_socket::{address, is_abstract, stream};
use crate::error::errno;
use crate::Node;
use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;
use nix::sys::socket::{self, Backlog};
use nix::sys::stat::{fchmod, fchmodat, FchmodatFlags, Mode};
use std::collections::hash_map::RandomState;
use std::ffi::OsStr;
use std::fs;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// A listener at `path`, which replaces a socket that is there, live or left over.
pub(crate) fn server(path: &[u8], backlog: i32) -> Result<OwnedFd, Errno> {
    let backlog = Backlog::new(backlog).unwrap_or(Backlog::MAXCONN);
    match listen_at(path, backlog, None) {
        Err(Errno::EADDRINUSE) if !is_abstract(path) => {}
        result => return result,
    }
    let path = as_path(path);
    match fs::symlink_metadata(path) {
        Ok(node) if node.file_type().is_socket() => {
            let (listener, beside) = listen_beside(path, backlog, None)?;
            rename(&beside, path)?;
            Ok(listener)
        }
        Ok(_) => Err(Errno::EEXIST),
        // It went between the two looks: the path is free now.
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            listen_at(path.as_os_str().as_bytes(), backlog, None)
        }
        Err(e) => Err(errno(e)),
    }
}

/// The same with a say in the node's mode, and in what is replaced: with `exclusive` no live one.
/// Always under a temporary name first, so that it is certain which node is the new one.
pub(crate) fn server_with(
    path: &[u8],
    backlog: i32,
    mode: Option<u32>,
    exclusive: bool,
) -> Result<(OwnedFd, Node), Errno> {
    let mode = match mode {
        None => None,
        Some(_) if is_abstract(path) => return Err(Errno::EINVAL),
        Some(bits) => Some(
            Mode::from_bits(bits as libc::mode_t)
                .filter(|_| bits <= 0o777)
                .ok_or(Errno::EINVAL)?,
        ),
    };
    address(path)?;
    let backlog = Backlog::new(backlog).unwrap_or(Backlog::MAXCONN);
    if is_abstract(path) {
        return Ok((listen_at(path, backlog, None)?, Node::default()));
    }
    let path = as_path(path);
    let _lock = exclusive.then(|| Lock::take(path)).transpose()?;
    match fs::symlink_metadata(path) {
        Ok(node) if !node.file_type().is_socket() => return Err(Errno::EEXIST),
        Ok(_) if exclusive && is_live(path)? => return Err(Errno::EADDRINUSE),
        Ok(_) => {}
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(errno(e)),
    }
    let (listener, beside) = listen_beside(path, backlog, mode)?;
    let node = node_at(&beside);
    rename(&beside, path)?;
    Ok((listener, node.map_err(errno)?))
}

/// Removes the node at `path` if it is this one; says whether it was.
pub(crate) fn unlink(path: &[u8], node: Node) -> Result<bool, Errno> {
    if is_abstract(path) {
        return Ok(false);
    }
    let path = as_path(path);
    let is_ours = |path| match node_at(path) {
        Ok(found) => Ok(found == node),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(errno(e)),
    };
    if !is_ours(path)? {
        return Ok(false);
    }
    // Another server may replace it between the look and the removal, and must not lose its node: so
    // take away first what is there, and look again.
    let aside = path.with_file_name(random_name(12));
    match fs::rename(path, &aside) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        result => result.map_err(errno)?,
    }
    let ours = is_ours(&aside)?;
    if !ours {
        // Back with it, unless there is a newer one already.
        match fs::hard_link(&aside, path) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
                return rename(&aside, path).map(|()| false)
            }
            _ => {}
        }
    }
    fs::remove_file(&aside).map_err(errno)?;
    Ok(ours)
}

/// Listens under a temporary name beside `path`, so that a rename can put it there without a moment in
/// which there is nothing.
fn listen_beside(
    path: &Path,
    backlog: Backlog,
    mode: Option<Mode>,
) -> Result<(OwnedFd, PathBuf), Errno> {
    // The temporary name must fit wherever the real one did, so it may have to be as short.
    let name_len = path.file_name().map_or(1, OsStr::len).clamp(1, 12);
    for _ in 0..100 {
        let beside = path.with_file_name(random_name(name_len));
        match listen_at(beside.as_os_str().as_bytes(), backlog, mode) {
            Err(Errno::EADDRINUSE) => continue,
            result => return Ok((result?, beside)),
        }
    }
    Err(Errno::EADDRINUSE)
}

fn rename(beside: &Path, path: &Path) -> Result<(), Errno> {
    fs::rename(beside, path).map_err(|e| {
        // Best effort: what is reported is why the rename failed.
        let _ = fs::remove_file(beside);
        errno(e)
    })
}

fn random_name(len: usize) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut bits = RandomState::new().build_hasher().finish();
    let mut name = String::with_capacity(len);
    for _ in 0..len {
        name.push(ALPHABET[(bits % 32) as usize].into());
        bits /= 32;
    }
    name
}

fn listen_at(path: &[u8], backlog: Backlog, mode: Option<Mode>) -> Result<OwnedFd, Errno> {
    let address = address(path)?;
    let listener = stream()?;
    if let Some(mode) = mode {
        // Linux gives the node the socket's mode, less the umask, so that it never has more than it
        // should. Elsewhere this does nothing, or fails.
        let _ = fchmod(&listener, mode);
    }
    socket::bind(listener.as_raw_fd(), &address)?;
    let node = as_path(path);
    let set_up = match mode {
        Some(mode) => set_mode(node, mode),
        None => Ok(()),
    };
    // Until it listens nobody gets in, whatever the node's mode was at first.
    if let Err(error) = set_up.and_then(|()| socket::listen(&listener, backlog)) {
        if !is_abstract(path) {
            // Ours since a moment ago; best effort.
            let _ = fs::remove_file(node);
        }
        return Err(error);
    }
    Ok(listener)
}

fn set_mode(node: &Path, mode: Mode) -> Result<(), Errno> {
    let found = fs::symlink_metadata(node).map_err(errno)?.mode();
    if Mode::from_bits_truncate(found as libc::mode_t) == mode {
        return Ok(());
    }
    // Not through a link, which somebody may have put there meanwhile.
    fchmodat(AT_FDCWD, node, mode, FchmodatFlags::NoFollowSymlink)
}

/// Does anybody listen at `path`? Who does sees a connection that ends at once.
fn is_live(path: &Path) -> Result<bool, Errno> {
    let probe = stream()?;
    set_nonblocking(probe.as_fd())?;
    match socket::connect(probe.as_raw_fd(), &address(path.as_os_str().as_bytes())?) {
        // A full backlog; a socket of another kind.
        Ok(()) | Err(Errno::EAGAIN | Errno::EPROTOTYPE) => Ok(true),
        Err(Errno::ECONNREFUSED | Errno::ENOENT) => Ok(false),
        Err(error) => Err(error),
    }
}

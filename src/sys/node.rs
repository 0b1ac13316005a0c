// SPDX-License-Identifier: MIT OR Apache-2.0
//! What servers of both interfaces leave in the file system: telling nodes apart, names beside them, and a lock there.

use super::table::above_stdio;
use crate::error::errno;
use crate::Node;
use arrayvec::ArrayVec;
use nix::errno::Errno;
#[cfg(not(no_flock))]
use nix::fcntl::{Flock, FlockArg};
use nix::unistd::geteuid;
use std::ffi::OsStr;
use std::fs::{self, File, FileType, Metadata};
use std::io;
use std::ops::Deref;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

impl Node {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }
}

pub(super) fn node_at(path: &Path) -> io::Result<Node> {
    fs::symlink_metadata(path).map(|found| Node::of(&found))
}

fn node_of(file: &File) -> Result<Node, Errno> {
    file.metadata().map(|found| Node::of(&found)).map_err(errno)
}

/// Whether this node is at `path`.
pub(super) fn is_at(path: &Path, node: &Node) -> Result<bool, Errno> {
    match node_at(path) {
        Ok(found) => Ok(found == *node),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(errno(e)),
    }
}

/// What is at `path`, if there is anything. Links are not followed.
fn find(path: &Path) -> Result<Option<Metadata>, Errno> {
    match fs::symlink_metadata(path) {
        Ok(found) => Ok(Some(found)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(errno(e)),
    }
}

/// What kind of thing is at `path`, if there is anything. Links are not followed.
pub(super) fn kind(path: &Path) -> Result<Option<FileType>, Errno> {
    Ok(find(path)?.map(|found| found.file_type()))
}

/// std copies a path up to this length to the stack, to end it with a NUL. For a longer one it allocates memory, and it
/// aborts the program if there is none.
pub(super) const LONGEST_PATH: usize = 383;

/// A path that is made, and used, without any memory but the stack.
pub(super) struct StackPath(ArrayVec<u8, LONGEST_PATH>);

impl StackPath {
    /// The path of another name in the directory of `path`. The name is given in parts.
    pub(super) fn beside(path: &Path, name: &[&[u8]]) -> Result<Self, Errno> {
        let mut beside = ArrayVec::new();
        for part in [directory(path)].iter().chain(name) {
            beside
                .try_extend_from_slice(part)
                .map_err(|_| Errno::ENAMETOOLONG)?;
        }
        Ok(Self(beside))
    }
}

impl Deref for StackPath {
    type Target = Path;
    fn deref(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }
}

/// What stands before the last name of `path`: nothing, or a directory and a slash.
pub(super) fn directory(path: &Path) -> &[u8] {
    let parent = path.parent().map_or(0, |parent| parent.as_os_str().len());
    let bytes = path.as_os_str().as_bytes();
    let slash = parent > 0 && bytes.get(parent) == Some(&b'/');
    &bytes[..parent + usize::from(slash)]
}

/// Lets one exclusive server at a time start at a path. Without it two servers could find the same left-over socket. One
/// would replace it, and the other would then replace the first one's new socket, which it still believes to be the
/// left-over. The system releases the lock if we die.
pub(super) struct Lock {
    path: StackPath,
    _file: Locked,
}

impl Lock {
    /// EADDRINUSE: another server is just starting there. ENOLCK: what is at the lock's path is not a plain file of
    /// ours, so that somebody else could hold us up by it.
    pub(super) fn take(server: &Path) -> Result<Self, Errno> {
        let name = server.file_name().ok_or(Errno::EEXIST)?.as_bytes();
        let path = StackPath::beside(server, &[b".", name, b".fdpasser-lock"])?;
        loop {
            let file = open_or_create(&path)?;
            let file = match lock(file) {
                Ok(file) => file,
                // It is starting up, and will be the live one.
                Err((_, Errno::EWOULDBLOCK)) => return Err(Errno::EADDRINUSE),
                Err((_, error)) => return Err(error),
            };
            // A server that had the lock before us removes the file, and then this one has no name.
            if is_at(&path, &node_of(&file)?)? {
                return Ok(Self { path, _file: file });
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Still locked, so still ours; best effort.
        let _ = fs::remove_file(&*self.path);
    }
}

/// Never waits, whatever somebody has put there: a FIFO, a device, a link.
fn open_or_create(path: &Path) -> Result<File, Errno> {
    let is_there = |()| kind(path).is_ok_and(|found| found.is_some());
    if usable_at(path)? == Some(false) {
        return Err(Errno::ENOLCK);
    }
    let opened = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path);
    let file = match opened.map_err(errno) {
        Ok(file) => File::from(above_stdio(file.into())?),
        Err(Errno::EACCES | Errno::ELOOP | Errno::ENXIO | Errno::EISDIR) if is_there(()) => {
            return Err(Errno::ENOLCK)
        }
        Err(error) => return Err(error),
    };
    // Somebody may have been there between the look and the opening.
    match is_usable(&file.metadata().map_err(errno)?) {
        true => Ok(file),
        false => Err(Errno::ENOLCK),
    }
}

/// Whether what is at `path` is usable, if there is anything.
fn usable_at(path: &Path) -> Result<Option<bool>, Errno> {
    Ok(find(path)?.map(|found| is_usable(&found)))
}

fn is_usable(found: &Metadata) -> bool {
    found.is_file() && found.uid() == geteuid().as_raw()
}

#[cfg(not(no_flock))]
type Locked = Flock<File>;

#[cfg(not(no_flock))]
fn lock(file: File) -> Result<Locked, (File, Errno)> {
    Flock::lock(file, FlockArg::LockExclusiveNonblock)
}

/// A lock of fcntl(2)'s, which does not tell threads apart.
#[cfg(no_flock)]
type Locked = File;

#[cfg(no_flock)]
fn lock(file: File) -> Result<Locked, (File, Errno)> {
    let whole = libc::flock {
        l_type: libc::F_WRLCK,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_sysid: 0,
        l_pid: 0,
        l_pad: [0; 4],
    };
    match nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_SETLK(&whole)) {
        Ok(_) => Ok(file),
        Err(Errno::EACCES) => Err((file, Errno::EWOULDBLOCK)),
        Err(error) => Err((file, error)),
    }
}

//! What servers of both interfaces leave in the file system: telling nodes apart, and a lock beside them.

use super::table::above_stdio;
use crate::error::errno;
use crate::Node;
use nix::errno::Errno;
#[cfg(not(target_os = "solaris"))]
use nix::fcntl::{Flock, FlockArg};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Keeps exclusive servers that start at once at one path from replacing each other: of two that find the
/// same left-over, each would take the other's new node for it. The system lets go of it if we die.
pub(super) struct Lock {
    path: PathBuf,
    _file: Locked,
}

#[cfg(not(target_os = "solaris"))]
type Locked = Flock<File>;

#[cfg(not(target_os = "solaris"))]
fn lock(file: File) -> Result<Locked, (File, Errno)> {
    Flock::lock(file, FlockArg::LockExclusiveNonblock)
}

/// There is no flock(2) in nix for it: a lock of fcntl(2)'s, which does not tell threads apart.
#[cfg(target_os = "solaris")]
type Locked = File;

#[cfg(target_os = "solaris")]
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

impl Lock {
    pub(super) fn take(server: &Path) -> Result<Self, Errno> {
        let mut name = OsString::from(".");
        name.push(server.file_name().ok_or(Errno::EEXIST)?);
        name.push(".fdpasser-lock");
        let path = server.with_file_name(name);
        loop {
            let file = File::options()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .custom_flags(libc::O_NOFOLLOW)
                .open(&path)
                .map_err(errno)?;
            let file = File::from(above_stdio(file.into())?);
            let file = match lock(file) {
                Ok(file) => file,
                // It starts up, and will be the live one.
                Err((_, Errno::EWOULDBLOCK)) => return Err(Errno::EADDRINUSE),
                Err((_, error)) => return Err(error),
            };
            // Whoever had it before takes it away; then this one is nobody's.
            let ours = file.metadata().map_err(errno)?;
            match node_at(&path) {
                Ok(found) if found == Node::of(&ours) => return Ok(Self { path, _file: file }),
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(errno(e)),
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Still locked, so still ours; best effort.
        let _ = fs::remove_file(&self.path);
    }
}

impl Node {
    fn of(metadata: &fs::Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }
}

pub(super) fn node_at(path: &Path) -> io::Result<Node> {
    fs::symlink_metadata(path).map(|found| Node::of(&found))
}

pub(super) fn as_path(path: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(path))
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! This process and the other one: descriptors by their numbers, exec, and whether the receiver lives.
#![allow(
    unsafe_code,
    reason = "what the shell gives us are numbers, and exec and pidfds are for libc"
)]

use crate::run;
use libc::{c_char, c_int};
use nix::errno::Errno;
use std::collections::VecDeque;
use std::ffi::{CStr, CString, OsStr, OsString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::UnixStream;

/// Rust's own start opens /dev/null where standard input is closed, which would be sent instead of an error, and forgets
/// whether SIGPIPE was ignored, which COMMAND is to find as it was. So this is C's.
///
/// # Safety
/// Only the C library calls it.
#[no_mangle]
pub unsafe extern "C" fn main(argc: c_int, argv: *const *const c_char) -> c_int {
    let words = usize::try_from(argc).unwrap_or(0);
    let word = |i| {
        // SAFETY: argv has argc C strings.
        let word = unsafe { CStr::from_ptr(*argv.add(i)) };
        OsStr::from_bytes(word.to_bytes()).to_owned()
    };
    c_int::from(run((1..words).map(word).collect()))
}

/// A descriptor that the caller of this program left open for it. If it is not open, the first use says so.
pub fn borrow<'a>(number: RawFd) -> BorrowedFd<'a> {
    // SAFETY: not -1, because the command line has no sign. Nobody in this program closes it.
    unsafe { BorrowedFd::borrow_raw(number) }
}

/// Gives `fds` the numbers from 3 up, and leaves them open for exec. What was open under these numbers is closed, except that
/// `passer` stays open until exec, if need be under another number. One free slot is enough.
pub fn place_from_3(fds: Vec<OwnedFd>, passer: &UnixStream) -> io::Result<()> {
    let mut passer = passer.as_raw_fd();
    let mut fds = VecDeque::from(fds);
    for number in 3.. {
        let Some(fd) = fds.pop_front() else {
            break;
        };
        if fd.as_raw_fd() == number {
            let kept = fd.into_raw_fd();
            // SAFETY: F_SETFD takes a number.
            Errno::result(unsafe { libc::fcntl(kept, libc::F_SETFD, 0) })?;
            continue;
        }
        // What of ours has this number moves on.
        if passer == number {
            passer = duplicate(passer, number)?.into_raw_fd();
        }
        if let Some(other) = fds.iter_mut().find(|other| other.as_raw_fd() == number) {
            *other = duplicate(number, number)?;
        }
        // SAFETY: nothing that we still need has this number.
        Errno::result(unsafe { libc::dup2(fd.as_raw_fd(), number) })?;
    }
    Ok(())
}

fn duplicate(fd: RawFd, from: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: F_DUPFD_CLOEXEC takes a number.
    let new = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, from) };
    match Errno::result(new) {
        // SAFETY: the kernel just made it for us; nobody else knows it.
        Ok(new) => Ok(unsafe { OwnedFd::from_raw_fd(new) }),
        Err(Errno::EINVAL) => Err(Errno::EMFILE.into()), // the limit itself is lower
        Err(error) => Err(error.into()),
    }
}

/// Becomes another program, or says why not.
pub fn exec(command: &[OsString]) -> io::Error {
    let words: Result<Vec<_>, _> = command
        .iter()
        .map(|word| CString::new(word.clone().into_vec()))
        .collect();
    let Ok(words) = words else {
        return Errno::EINVAL.into(); // a NUL inside, which no command line has
    };
    let mut pointers: Vec<_> = words.iter().map(|word| word.as_ptr()).collect();
    pointers.push(std::ptr::null());
    // SAFETY: C strings, and a null pointer at the end.
    unsafe { libc::execvp(pointers[0], pointers.as_ptr()) };
    io::Error::last_os_error()
}

/// The process at the other end, to be asked for when it has closed that end.
pub struct Peer {
    #[cfg(linux_like)]
    pid: Option<i32>,
    #[cfg(linux_like)]
    pidfd: Option<OwnedFd>,
}

#[cfg(linux_like)]
impl Peer {
    pub fn of(passer: &OwnedFd) -> Self {
        let pid = fdpasser::peer_cred(passer).ok().and_then(|peer| peer.pid);
        let pidfd = pidfd_of(passer).or_else(|| pidfd_open(pid?));
        Self { pid, pidfd }
    }

    /// Whether it lives; `None` if that cannot be told.
    ///
    /// A process that dies gives up its memory before it closes its descriptors. One that execs has new memory before it
    /// does. So when the end has closed, memory tells which it was. To wait for the death itself would be a race.
    pub fn is_alive(&self) -> Option<bool> {
        self.has_memory().or_else(|| self.is_not_exiting())
    }

    /// process_mrelease(2), from Linux 5.15, refuses to take the memory of a process that is not dying (EINVAL).
    fn has_memory(&self) -> Option<bool> {
        let pidfd = self.pidfd.as_ref()?.as_raw_fd();
        // SAFETY: the call takes two numbers.
        let released = unsafe { libc::syscall(libc::SYS_process_mrelease, pidfd, 0) };
        match Errno::result(released) {
            Ok(_) | Err(Errno::ESRCH) => Some(false),
            Err(Errno::EINVAL) => Some(true),
            Err(_) => None,
        }
    }

    /// The flags of the process in /proc, before Linux 5.15.
    fn is_not_exiting(&self) -> Option<bool> {
        const PF_EXITING: u32 = 4;
        let stat = match std::fs::read(format!("/proc/{}/stat", self.pid?)) {
            Ok(stat) => String::from_utf8_lossy(&stat).into_owned(),
            // If there is a /proc, the process is gone.
            Err(_) => return std::fs::metadata("/proc/self/stat").ok().map(|_| false),
        };
        // Its name, which comes second, may have anything in it.
        let (_, fields) = stat.rsplit_once(')')?;
        let flags: u32 = fields.split_whitespace().nth(6)?.parse().ok()?;
        Some(flags & PF_EXITING == 0)
    }
}

/// From Linux 6.5. It sees into other PID namespaces.
#[cfg(linux_like)]
fn pidfd_of(passer: &OwnedFd) -> Option<OwnedFd> {
    const SO_PEERPIDFD: c_int = 77;
    let mut pidfd: c_int = -1;
    let mut len = std::mem::size_of::<c_int>() as libc::socklen_t;
    // SAFETY: `pidfd` is a c_int and `len` its size.
    let asked = unsafe {
        libc::getsockopt(
            passer.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_PEERPIDFD,
            std::ptr::from_mut(&mut pidfd).cast(),
            &mut len,
        )
    };
    // SAFETY: the kernel just made it for us; nobody else knows it.
    (asked == 0 && pidfd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(pidfd) })
}

#[cfg(linux_like)]
fn pidfd_open(pid: i32) -> Option<OwnedFd> {
    // SAFETY: the call takes two numbers.
    let pidfd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let pidfd = RawFd::try_from(pidfd).ok().filter(|&fd| fd >= 0)?;
    // SAFETY: the kernel just made it for us; nobody else knows it.
    Some(unsafe { OwnedFd::from_raw_fd(pidfd) })
}

/// Elsewhere a receiver that dies looks like one that execs.
#[cfg(not(linux_like))]
impl Peer {
    pub fn of(_: &OwnedFd) -> Self {
        Self {}
    }

    pub fn is_alive(&self) -> Option<bool> {
        Some(true)
    }
}

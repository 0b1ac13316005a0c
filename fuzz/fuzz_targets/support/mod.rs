// SPDX-License-Identifier: MIT OR Apache-2.0

//! What both targets share: descriptors that can be told apart, a table that can be full, and the
//! count of what is open.
#![allow(dead_code, reason = "each target uses its part")]

use std::collections::HashMap;
use std::ffi::CString;
use std::fs;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

pub const MAX: usize = fdpasser::MAX_PER_MESSAGE;

/// The soft limits that an input may ask for. The process's table has 1024 slots from the start, so
/// that with the first one the library cannot prove by its quick look that there is room, with the
/// second it can for one message, and with the third for many.
pub const LIMITS: [libc::rlim_t; 3] = [1024, 1500, 8192];

/// Descriptors that can be told apart, of all kinds, the same in every run.
pub struct Pool {
    pub fds: Vec<OwnedFd>,
    index: HashMap<(libc::dev_t, libc::ino_t), usize>,
}

/// As the kernel says; panics if it is not open.
pub fn identity(fd: RawFd) -> (libc::dev_t, libc::ino_t) {
    // SAFETY: a stat is plain data, which fstat fills.
    unsafe {
        let mut stat: libc::stat = mem::zeroed();
        assert_eq!(libc::fstat(fd, &mut stat), 0, "descriptor {fd} is not open");
        (stat.st_dev, stat.st_ino)
    }
}

/// None if there is no free slot, or it is not open.
pub fn duplicate(fd: RawFd) -> Option<OwnedFd> {
    // SAFETY: makes a new descriptor or none.
    let copy = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 3) };
    (copy >= 0).then(|| owned(copy))
}

pub fn owned(fd: RawFd) -> OwnedFd {
    assert!(fd >= 0, "{}", std::io::Error::last_os_error());
    // SAFETY: only called with what a system call or the library has just given us.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// A socket pair of any type, non-blocking.
pub fn pair(kind: libc::c_int) -> (OwnedFd, OwnedFd) {
    let mut fds = [-1; 2];
    let kind = kind | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: room for two ints.
    assert_eq!(
        unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, fds.as_mut_ptr()) },
        0
    );
    (owned(fds[0]), owned(fds[1]))
}

impl Pool {
    pub fn new() -> Self {
        grow_the_table();
        let mut fds = Vec::new();
        let mut two = [-1; 2];
        // SAFETY: each call makes new descriptors; the arrays and strings are large enough.
        unsafe {
            for _ in 0..10 {
                assert_eq!(
                    libc::pipe2(two.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK),
                    0
                );
                fds.push(owned(two[0]));
                drop(owned(two[1])); // both ends are the same inode
            }
            fds.push(owned(libc::open(
                c"/".as_ptr(),
                libc::O_PATH | libc::O_CLOEXEC,
            )));
            fds.push(owned(libc::open(
                c"/dev/null".as_ptr(),
                libc::O_RDWR | libc::O_CLOEXEC,
            )));
            fds.push(owned(libc::socket(
                libc::AF_INET,
                libc::SOCK_STREAM | libc::SOCK_CLOEXEC,
                0,
            )));
            let (a, b) = pair(libc::SOCK_STREAM);
            fds.extend([a, b]);
            let name = CString::new("numbered").expect("no NUL");
            while fds.len() < MAX + 7 {
                fds.push(owned(libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC)));
            }
        }
        let index = fds
            .iter()
            .enumerate()
            .map(|(i, fd)| (identity(fd.as_raw_fd()), i))
            .collect();
        let pool = Self { fds, index };
        assert_eq!(pool.index.len(), pool.fds.len(), "they can be told apart");
        pool
    }

    pub fn number_of(&self, fd: RawFd) -> Option<usize> {
        self.index.get(&identity(fd)).copied()
    }
}

/// A table never shrinks, so it has its size for good before the first run.
fn grow_the_table() {
    set_limit(LIMITS[0]);
    drop(fill_table(0));
}

pub fn set_limit(soft: libc::rlim_t) {
    // SAFETY: an rlimit is plain data.
    unsafe {
        let mut limit: libc::rlimit = mem::zeroed();
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit), 0);
        limit.rlim_cur = soft.min(limit.rlim_max);
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &limit), 0);
    }
}

/// Takes every slot from 3 up but `free`, below the first of the limits.
pub fn fill_table(free: usize) -> Vec<OwnedFd> {
    set_limit(LIMITS[0]);
    let mut fillers = Vec::with_capacity(LIMITS[0] as usize);
    loop {
        // SAFETY: makes a new descriptor or none.
        let fd = unsafe { libc::fcntl(2, libc::F_DUPFD_CLOEXEC, 3) };
        if fd < 0 {
            break;
        }
        fillers.push(owned(fd));
    }
    fillers.truncate(fillers.len() - free);
    fillers
}

/// How many descriptors are open.
pub fn count_open() -> usize {
    // Its own is the same one more every time.
    fs::read_dir("/proc/self/fd").expect("/proc").count()
}

pub fn is_close_on_exec(fd: RawFd) -> bool {
    // SAFETY: no pointers.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFD) };
    assert!(flags >= 0, "descriptor {fd} is not open");
    flags & libc::FD_CLOEXEC != 0
}

pub fn set_nonblocking(fd: RawFd) {
    // SAFETY: no pointers.
    unsafe {
        let flags = libc::fcntl(fd, libc::F_GETFL);
        libc::fcntl(fd, libc::F_SETFL, flags | libc::O_NONBLOCK);
    }
}

/// Nothing waits for longer than this, whatever mode it is in.
pub fn set_timeouts(fd: RawFd) {
    let time = libc::timeval {
        tv_sec: 0,
        tv_usec: 1000,
    };
    set_option(fd, libc::SO_RCVTIMEO, &time);
    set_option(fd, libc::SO_SNDTIMEO, &time);
}

pub fn set_option<T>(fd: RawFd, option: libc::c_int, value: &T) -> bool {
    let size = mem::size_of::<T>() as libc::socklen_t;
    // SAFETY: `value` has that size.
    unsafe {
        libc::setsockopt(
            fd,
            libc::SOL_SOCKET,
            option,
            ptr::from_ref(value).cast(),
            size,
        ) == 0
    }
}

pub fn is_readable(fd: RawFd) -> bool {
    let mut poll = libc::pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one pollfd.
    unsafe { libc::poll(&mut poll, 1, 0) > 0 }
}

pub fn last_errno() -> i32 {
    std::io::Error::last_os_error()
        .raw_os_error()
        .expect("an errno")
}

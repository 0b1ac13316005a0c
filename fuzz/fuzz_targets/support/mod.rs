// SPDX-License-Identifier: MIT OR Apache-2.0

//! What both targets share: descriptors that can be told apart, a table that can be full, an array to receive
//! into, and the count of what is open.
#![allow(dead_code, reason = "each target uses only a part")]

use fdpasser::ffi;
use libc::{c_int, c_void};
use std::collections::HashMap;
use std::fs;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

pub const MAX: usize = fdpasser::MAX_PER_MESSAGE;
pub const DATA: usize = ffi::FDPASSER_MAX_DATA as usize;

/// The soft limits that an input may ask for. The process's table has 1024 slots from the start. So the library's
/// quick look proves no room with the first limit, room for one message with the second, and for many with the
/// third.
pub const LIMITS: [libc::rlim_t; 3] = [1024, 1500, 8192];

/// Descriptors that can be told apart, of all kinds, the same in every run.
pub struct Pool {
    pub fds: Vec<OwnedFd>,
    index: HashMap<(libc::dev_t, libc::ino_t), usize>,
}

/// What the kernel knows a file by. Panics if `fd` is not open.
pub fn identity(fd: RawFd) -> (libc::dev_t, libc::ino_t) {
    // SAFETY: a stat is plain data, which fstat fills.
    unsafe {
        let mut stat: libc::stat = mem::zeroed();
        assert_eq!(libc::fstat(fd, &mut stat), 0, "descriptor {fd} is not open");
        (stat.st_dev, stat.st_ino)
    }
}

/// None if there is no free slot, or `fd` is not open.
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

/// A socket of any type, non-blocking.
pub fn socket(family: c_int, kind: c_int) -> OwnedFd {
    let kind = kind | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: no pointers; makes a new descriptor.
    owned(unsafe { libc::socket(family, kind, 0) })
}

/// A pair of them.
pub fn pair(kind: c_int) -> (OwnedFd, OwnedFd) {
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
            for (path, flags) in [(c"/", libc::O_PATH), (c"/dev/null", libc::O_RDWR)] {
                fds.push(owned(libc::open(path.as_ptr(), flags | libc::O_CLOEXEC)));
            }
            fds.push(socket(libc::AF_INET, libc::SOCK_STREAM));
            let (a, b) = pair(libc::SOCK_STREAM);
            fds.extend([a, b]);
            while fds.len() < MAX + 7 {
                let file = libc::memfd_create(c"numbered".as_ptr(), libc::MFD_CLOEXEC);
                fds.push(owned(file));
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

/// Takes all slots from 3 up to the first of the limits, except `free` of them.
pub fn fill_table(free: usize) -> Vec<OwnedFd> {
    set_limit(LIMITS[0]);
    let mut fillers = Vec::with_capacity(LIMITS[0] as usize);
    while let Some(filler) = duplicate(2) {
        fillers.push(filler);
    }
    fillers.truncate(fillers.len() - free);
    fillers
}

/// How many descriptors are open. (The one that reads the directory is counted too, every time.)
fn count_open() -> usize {
    fs::read_dir("/proc/self/fd").expect("/proc").count()
}

/// Runs an input, after which as many descriptors are open as before, and the standard ones are the same.
pub fn leaves_nothing(run: impl FnOnce()) {
    let standard = || [0, 1, 2].map(identity);
    let before = (count_open(), standard());
    run();
    set_limit(LIMITS[1]);
    assert_eq!(
        (count_open(), standard()),
        before,
        "open descriptors; 0, 1 and 2"
    );
}

/// NULL, or a pointer to it.
pub fn null_if<T>(null: bool, to: &mut T) -> *mut T {
    if null {
        ptr::null_mut()
    } else {
        to
    }
}

/// An array that the library may write descriptors to.
pub struct Room(Vec<RawFd>);

impl Room {
    const UNTOUCHED: RawFd = -7;

    pub fn for_fds(n: usize) -> Self {
        Self(vec![Self::UNTOUCHED; n])
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn pointer(&mut self, null: bool) -> *mut RawFd {
        if null {
            ptr::null_mut()
        } else {
            self.0.as_mut_ptr()
        }
    }

    /// What a call has put there that returned `got`, or failed. Nothing behind it was touched.
    pub fn take(self, got: isize) -> Vec<OwnedFd> {
        let (ours, rest) = self.0.split_at(got.max(0) as usize);
        assert!(
            rest.iter().all(|&fd| fd == Self::UNTOUCHED),
            "{got}: {rest:?}"
        );
        ours.iter().map(|&fd| owned(fd)).collect()
    }
}

/// A place for data, and one for its length.
pub struct DataRoom {
    bytes: Vec<u8>,
    len: usize,
}

impl DataRoom {
    const BEHIND: [u8; 8] = [0xa5; 8];
    const UNTOUCHED: usize = 77_777;

    pub fn new() -> Self {
        let mut bytes = vec![0; DATA];
        bytes.extend(Self::BEHIND);
        Self {
            bytes,
            len: Self::UNTOUCHED,
        }
    }

    pub fn pointers(&mut self, null: bool, no_len: bool) -> (*mut c_void, *mut usize) {
        let to = if null {
            ptr::null_mut()
        } else {
            self.bytes.as_mut_ptr().cast()
        };
        (to, null_if(no_len, &mut self.len))
    }

    pub fn check_untouched(&self) {
        assert_eq!(self.len, Self::UNTOUCHED);
        assert!(self.bytes[..DATA].iter().all(|&byte| byte == 0));
    }

    /// What a call has put there that succeeded, or said EBADMSG.
    pub fn take(mut self) -> Vec<u8> {
        assert_eq!(self.bytes[DATA..], Self::BEHIND, "beyond the room");
        assert!(self.len <= DATA, "{} bytes", self.len);
        self.bytes.truncate(self.len);
        self.bytes
    }
}

/// Data that belongs to a descriptor, which it says over and over.
pub fn data_for(fd: RawFd, len: usize) -> Vec<u8> {
    let (device, inode) = identity(fd);
    let name = [device.to_ne_bytes(), inode.to_ne_bytes()].concat();
    name.into_iter().cycle().take(len).collect()
}

/// The data is that of this descriptor, if it is any.
pub fn check_data(fd: RawFd, data: &[u8]) {
    assert_eq!(data, data_for(fd, data.len()), "another descriptor's data");
    assert_ne!(data, [0], "a lone NUL is no data");
}

/// What holds for every descriptor that the library makes or receives.
pub fn check_made(fd: RawFd) {
    assert!(fd >= 3, "{fd} is standard input, output or error");
    assert!(is_close_on_exec(fd));
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

pub fn set_blocking(fd: RawFd) {
    // SAFETY: no pointers.
    unsafe {
        let flags = libc::fcntl(fd, libc::F_GETFL);
        libc::fcntl(fd, libc::F_SETFL, flags & !libc::O_NONBLOCK);
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

pub fn set_option<T>(fd: RawFd, option: c_int, value: &T) -> bool {
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

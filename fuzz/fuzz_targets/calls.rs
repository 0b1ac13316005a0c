// SPDX-License-Identifier: MIT OR Apache-2.0

//! Sequences of C calls with any arguments. Each result is one that the header names. What is received is
//! close-on-exec and above 2. When all that was given out is closed, nothing is left open.
//!
//! Arguments are mapped so that no input harms the fuzzer or the machine. Descriptors are ours or not open. Paths
//! stay within a directory of our own, and abstract addresses get a prefix. Pointers are NULL or as long as the
//! header asks for. Counts are anything.
#![no_main]

mod queue;
mod support;

use fdpasser::ffi;
use libc::{c_char, c_int, EADDRINUSE, EAFNOSUPPORT, EBADF, EFAULT, EINVAL, EMFILE, ENAMETOOLONG};
use libc::{EAGAIN, ENOENT, ENOTCONN, ENOTSOCK, ETIMEDOUT};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;
use std::ffi::{CString, OsStr};
use std::fs;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{symlink, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::ptr;
use support::*;

type Node = ffi::fdpasser_node;

#[derive(Arbitrary, Debug)]
struct Input {
    limit: u8,
    ops: Vec<Op>,
}

#[derive(Arbitrary, Debug)]
enum Op {
    Plain(Call),
    Queue(queue::Which, queue::Call),
}

/// A descriptor: one that a call gave out, one of the standing ones, or none.
#[derive(Arbitrary, Debug, Clone, Copy)]
enum Fd {
    Ours(u8),
    Standing(u8),
    NotOpen(u8),
}

#[derive(Arbitrary, Debug)]
enum Name {
    Null,
    /// A short one of a few, so that calls meet.
    Known(u8),
    Bytes(Vec<u8>),
    /// So long, all the same letter.
    Long(u16),
    Abstract(u8, u8),
}

#[derive(Arbitrary, Debug)]
enum Count {
    Small(u16),
    Huge(u8),
}

#[derive(Arbitrary, Debug)]
enum Mode {
    Umask,
    Good(u16),
    Any(i32),
}

#[derive(Arbitrary, Debug)]
enum Flags {
    None,
    Exclusive,
    Any(u32),
}

#[derive(Arbitrary, Debug)]
enum WhichNode {
    Null,
    Made(u8),
    Any(u64, u64),
}

#[derive(Arbitrary, Debug)]
enum Call {
    Pair {
        null: bool,
        blocking: bool,
    },
    Server {
        name: Name,
        backlog: i32,
        with_length: bool,
        blocking: bool,
    },
    ServerWith {
        name: Name,
        backlog: i32,
        mode: Mode,
        flags: Flags,
        no_node: bool,
        blocking: bool,
    },
    Unlink {
        name: Name,
        node: WhichNode,
    },
    PeerCred {
        passer: Fd,
        no_uid: bool,
        no_gid: bool,
        no_pid: bool,
    },
    Connect {
        name: Name,
        with_length: bool,
        blocking: bool,
    },
    Accept {
        listener: Fd,
        blocking: bool,
    },
    Send {
        passer: Fd,
        fd: Fd,
        short: bool,
    },
    Receive {
        passer: Fd,
        short: bool,
        keep: bool,
    },
    SendMany {
        passer: Fd,
        fds: Vec<Fd>,
        null: bool,
        n: Count,
        per_message: u32,
        wait: bool,
    },
    SendAlike {
        passer: Fd,
        fd: Fd,
        n: u16,
        per_message: u8,
        wait: bool,
    },
    ReceiveMany {
        passer: Fd,
        null: bool,
        n: Count,
        wait: bool,
        keep: bool,
    },
    ReceiveMessages {
        passer: Fd,
        null: bool,
        n: Count,
        enough: u32,
        no_status: bool,
        keep: bool,
    },
    SendMessage {
        passer: Fd,
        fds: Vec<Fd>,
        null: bool,
        n: Count,
        len: Count,
        no_data: bool,
        wait: bool,
    },
    ReceiveMessage {
        passer: Fd,
        null: bool,
        n: Count,
        room: Count,
        no_data: bool,
        no_len: bool,
        wait: bool,
        keep: bool,
    },
    RetryMs(i32),
    Mode,
    Close(u8),
    Shutdown(u8, u8),
    FullTable {
        free: u8,
        passer: Fd,
    },
    /// With a deadline so many milliseconds away, up to 2.
    Timed(Timed, u8),
}

#[derive(Arbitrary, Debug)]
enum Timed {
    Send { passer: Fd, fd: Fd },
    Receive { passer: Fd, keep: bool },
    Accept { listener: Fd, blocking: bool },
    Connect { name: Name, blocking: bool },
}

const GONE: [RawFd; 6] = [-1, -2, i32::MIN, i32::MAX, 1 << 20, 99_999];

/// Never more than this at once, so that no backlog keeps a connect() waiting.
const CONNECTIONS: usize = 2;

struct State<'a> {
    world: &'a World,
    ours: Vec<OwnedFd>,
    waiting: usize,
    objects: queue::Objects,
    nodes: Vec<(u64, u64)>,
}

/// What stands from run to run.
struct World {
    standing: Vec<OwnedFd>,
    directory: PathBuf,
}

impl World {
    fn new() -> Self {
        let pool = Pool::new();
        let mut standing = Vec::new();
        for kind in [libc::SOCK_STREAM, libc::SOCK_DGRAM, libc::SOCK_SEQPACKET] {
            let (a, b) = pair(kind);
            standing.extend([a, b]);
        }
        for family in [libc::AF_UNIX, libc::AF_INET] {
            standing.push(socket(family, libc::SOCK_STREAM));
            standing.push(socket(family, libc::SOCK_DGRAM));
        }
        // SAFETY: no pointers; each makes a new descriptor.
        unsafe {
            standing.push(owned(libc::epoll_create1(libc::EPOLL_CLOEXEC)));
            let flags = libc::EFD_CLOEXEC | libc::EFD_NONBLOCK;
            standing.push(owned(libc::eventfd(0, flags)));
        }
        // An io_uring cannot be sent. Some systems have none.
        let mut parameters = [0_u8; 256];
        // SAFETY: more than an io_uring_params; makes a new descriptor or none.
        let ring = unsafe { libc::syscall(libc::SYS_io_uring_setup, 1, parameters.as_mut_ptr()) };
        if ring >= 0 {
            standing.push(owned(ring as RawFd));
        }
        standing.extend(pool.fds.into_iter().take(16));
        let mut template = std::env::temp_dir()
            .join("fdpasser-fuzz.XXXXXX")
            .into_os_string();
        template.push("\0");
        let mut template = template.as_bytes().to_vec();
        // SAFETY: a C string that may be written to.
        assert!(!unsafe { libc::mkdtemp(template.as_mut_ptr().cast()) }.is_null());
        template.pop();
        let directory = PathBuf::from(OsStr::from_bytes(&template));
        std::env::set_current_dir(&directory).expect("a directory of our own");
        let world = Self {
            standing,
            directory,
        };
        world.furnish();
        // SAFETY: a function without arguments that does not unwind.
        assert_eq!(unsafe { libc::atexit(leave) }, 0);
        world
    }

    /// Makes what is not a socket, and must be left alone.
    fn furnish(&self) {
        fs::write("file", "x").expect("file");
        fs::create_dir("dir").expect("dir");
        symlink("file", "link").expect("link");
        symlink("nowhere", "dangling").expect("dangling");
    }

    /// All of that is still there. Everything else is a socket, and is removed.
    fn tidy(&self) {
        let mut others = 0;
        for directory in [&self.directory, &self.directory.join("dir")] {
            for entry in fs::read_dir(directory).expect("our directory") {
                let path = entry.expect("an entry").path();
                let kind = fs::symlink_metadata(&path)
                    .expect("it is there")
                    .file_type();
                if kind.is_socket() {
                    fs::remove_file(&path).expect("removed");
                } else {
                    others += 1;
                }
            }
        }
        assert_eq!(others, 4, "what is no socket was left alone");
        assert_eq!(fs::read("file").expect("file"), b"x");
        assert!(Path::new("dir").is_dir());
        assert_eq!(fs::read_link("link").expect("link"), Path::new("file"));
        assert_eq!(
            fs::read_link("dangling").expect("dangling"),
            Path::new("nowhere")
        );
    }
}

/// Removes what `furnish` made, and the directory if nothing else is in it.
extern "C" fn leave() {
    if let Ok(directory) = std::env::current_dir() {
        for name in ["file", "link", "dangling"] {
            let _ = fs::remove_file(name);
        }
        let _ = fs::remove_dir("dir");
        let _ = fs::remove_dir(directory);
    }
}

impl Name {
    /// Stays within the current directory.
    fn bytes(&self) -> Option<Vec<u8>> {
        const KNOWN: [&str; 10] = [
            "a", "b", "dir/a", "file", "dir", "link", "dangling", "none/a", "file/a", "",
        ];
        match self {
            Name::Null => None,
            Name::Known(i) => Some(KNOWN[usize::from(*i) % KNOWN.len()].into()),
            Name::Long(n) => Some(vec![b'l'; usize::from(n % 300)]),
            Name::Abstract(n, len) => {
                let mut name = format!("\0fdpasser-fuzz-{}-", std::process::id()).into_bytes();
                name.extend(vec![*n; usize::from(*len)]);
                Some(name)
            }
            Name::Bytes(bytes) => {
                let mut bytes = bytes[..bytes.len().min(300)].to_vec();
                // No abstract address without our prefix, no absolute path, no way up.
                if let Some(first @ (0 | b'/')) = bytes.first_mut() {
                    *first = b'_';
                }
                for i in 1..bytes.len() {
                    if bytes[i] == b'.' && bytes[i - 1] == b'.' {
                        bytes[i] = b'_';
                    }
                }
                Some(bytes)
            }
        }
    }
}

impl Count {
    fn number(&self) -> usize {
        const HUGE: [usize; 5] = [
            1 << 31,
            usize::MAX,
            usize::MAX / 2 + 1,
            usize::MAX / 4,
            0xffff_ffff,
        ];
        match self {
            Count::Small(n) => usize::from(*n),
            Count::Huge(i) => HUGE[usize::from(*i) % HUGE.len()],
        }
    }

    /// The same, but no more than an array has, unless nobody looks at the array.
    fn within(&self, array: usize, null: bool) -> usize {
        match self {
            Count::Small(n) if !null => usize::from(*n) % array,
            _ => self.number(),
        }
    }
}

/// -1 with one of these, or something else.
fn check(result: isize, what: &str, allowed: &[c_int]) -> bool {
    if result >= 0 {
        return true;
    }
    let error = last_errno();
    assert_eq!(result, -1, "{what}");
    assert!(allowed.contains(&error), "{what}: errno {error}");
    false
}

/// The errnos that the header names for a group of calls.
macro_rules! errnos {
    ($($name:ident: $($errno:ident)*;)*) => { $(const $name: &[c_int] = &[$(libc::$errno),*];)* };
}
use errnos;

errnos! {
    SENDING: EAGAIN EINTR ETOOMANYREFS ENOBUFS ENOMEM EBADF EINVAL EOPNOTSUPP EPERM EPIPE ECONNRESET
        ECONNREFUSED ENOTCONN ENOTSOCK EAFNOSUPPORT EFAULT EMSGSIZE;
    RECEIVING: EAGAIN EINTR EMFILE ENOBUFS ENOMEM EBADF ENOTSOCK EINVAL ENOTCONN EBADMSG EMSGSIZE
        ECONNRESET EFAULT;
    SERVING: EFAULT EEXIST ENAMETOOLONG ENOENT ENOTDIR EACCES EPERM EMFILE EADDRINUSE EINVAL ENOBUFS ENOMEM;
    UNLINKING: EFAULT EINVAL EACCES EPERM EROFS ENOTDIR ELOOP ENAMETOOLONG;
    CONNECTING: EFAULT ENOENT ECONNREFUSED EACCES EPROTOTYPE ENAMETOOLONG ENOTDIR ELOOP EINTR EMFILE EINVAL
        ENOMEM EAGAIN;
    ACCEPTING: EAGAIN EINTR EMFILE EBADF ENOTSOCK EINVAL EOPNOTSUPP ENOMEM;
}

/// What a path alone decides, where it does.
fn check_name(name: Option<&[u8]>, with_length: bool, result: c_int) {
    let error = if result < 0 { last_errno() } else { 0 };
    match name {
        None => assert_eq!(error, EFAULT),
        Some([]) => assert_eq!(error, ENOENT),
        Some([0, ..]) if !with_length => assert_eq!(error, ENOENT),
        Some([0, rest @ ..]) if rest.len() > 107 => assert_eq!(error, ENAMETOOLONG),
        Some([0, ..]) => {}
        Some(name) if with_length && name.contains(&0) => {
            assert!(error == EINVAL || error == ENAMETOOLONG && name.len() > 107);
        }
        Some(name) => {
            let end = c_len(name);
            assert_eq!(
                error == ENAMETOOLONG,
                end > 107,
                "{end} bytes: errno {error}"
            );
        }
    }
}

/// strlen(3), but it does not go beyond the end.
fn c_len(bytes: &[u8]) -> usize {
    let nul = bytes.iter().position(|&byte| byte == 0);
    nul.unwrap_or(bytes.len())
}

impl State<'_> {
    fn number(&self, fd: Fd) -> RawFd {
        match fd {
            Fd::Ours(i) if !self.ours.is_empty() => {
                self.ours[usize::from(i) % self.ours.len()].as_raw_fd()
            }
            Fd::Ours(i) | Fd::Standing(i) => {
                self.world.standing[usize::from(i) % self.world.standing.len()].as_raw_fd()
            }
            Fd::NotOpen(i) => GONE[usize::from(i) % GONE.len()],
        }
    }

    /// What a call gave out: ours from here on.
    fn adopt(&mut self, fd: RawFd, blocking: bool) {
        check_made(fd);
        // SAFETY: no pointers.
        let flags = unsafe { libc::fcntl(fd, libc::F_GETFL) };
        assert_eq!(flags & libc::O_NONBLOCK, 0, "new ones are in blocking mode");
        set_timeouts(fd);
        if !blocking {
            set_nonblocking(fd);
        }
        self.keep(owned(fd));
    }

    fn keep(&mut self, fd: OwnedFd) {
        if self.ours.len() >= 32 {
            self.ours.swap_remove(0);
        }
        self.ours.push(fd);
    }

    fn received(&mut self, fds: Vec<OwnedFd>, keep: bool) {
        for fd in fds {
            check_made(fd.as_raw_fd());
            // Its status flags are shared with whoever sent it, and it waits for nothing.
            if keep && self.ours.len() < 32 {
                self.keep(fd);
            }
        }
    }

    fn send_many(
        &mut self,
        passer: Fd,
        fds: &[RawFd],
        n: usize,
        per_message: u32,
        wait: bool,
        null: bool,
    ) {
        let send = if wait {
            ffi::fdpasser_send_fds
        } else {
            ffi::fdpasser_try_send_fds
        };
        let from = if null { ptr::null() } else { fds.as_ptr() };
        // SAFETY: NULL, or n of them, or more than the library takes.
        let sent = unsafe { send(self.number(passer), from, n, per_message) };
        if check(sent, "send_fds", SENDING) {
            assert!(sent as usize <= n && (sent > 0 || n == 0));
            assert!(
                n == 0
                    || !null && n == fds.len() && per_message & !ffi::FDPASSER_LOCAL <= MAX as u32
            );
            let mut gone = fds[..sent as usize].iter();
            assert!(gone.all(|&fd| fd >= 0 && fd < 1 << 16));
        } else if n > c_int::MAX as usize {
            assert_eq!(last_errno(), EINVAL);
        } else if null {
            assert_eq!(last_errno(), EFAULT);
        }
    }

    fn send_message(
        &mut self,
        passer: Fd,
        fds: &[RawFd],
        n: usize,
        null: bool,
        (data_null, len): (bool, usize),
        wait: bool,
    ) {
        // It belongs to the first of them. If that is not open, nothing is sent.
        let data = match fds.first() {
            Some(&fd) if !GONE.contains(&fd) => data_for(fd, DATA),
            _ => vec![1; DATA],
        };
        let from = if null { ptr::null() } else { fds.as_ptr() };
        let bytes = if data_null {
            ptr::null()
        } else {
            data.as_ptr().cast()
        };
        let send = if wait {
            ffi::fdpasser_send_message
        } else {
            ffi::fdpasser_try_send_message
        };
        // SAFETY: NULL, or n and len of them, or more than the library takes.
        let sent = unsafe { send(self.number(passer), from, n, bytes, len) };
        if check(sent, "send_message", SENDING) {
            assert_eq!(sent as usize, n);
            assert!(!null && (1..=MAX).contains(&n) && n == fds.len());
            assert!(len == 0 || !data_null && len <= DATA);
        } else if !(1..=MAX).contains(&n) {
            assert_eq!(last_errno(), EINVAL);
        } else if null {
            assert_eq!(last_errno(), EFAULT);
        }
    }

    fn call(&mut self, call: &Call) {
        match call {
            Call::Pair { null, blocking } => {
                let mut fds = [-7; 2];
                // SAFETY: NULL, or room for two.
                let result = unsafe { ffi::fdpasser_socketpair(null_if(*null, &mut fds).cast()) };
                if check(result as isize, "socketpair", &[EFAULT, EMFILE]) {
                    assert!(!null);
                    fds.iter().for_each(|&fd| self.adopt(fd, *blocking));
                } else {
                    assert_eq!(fds, [-7; 2]);
                }
            }
            Call::Server {
                name,
                backlog,
                with_length,
                blocking,
            } => {
                let (name, fd) = at(name, *with_length, |path, len| {
                    // SAFETY: a C string, or so many bytes.
                    unsafe {
                        match len {
                            Some(len) => ffi::fdpasser_server_n(path, len, *backlog),
                            None => ffi::fdpasser_server(path, *backlog),
                        }
                    }
                });
                check_name(name.as_deref(), *with_length, fd);
                if check(fd as isize, "server", SERVING) {
                    self.adopt(fd, *blocking);
                }
            }
            Call::ServerWith {
                name,
                backlog,
                mode,
                flags,
                no_node,
                blocking,
            } => self.server_with(name, *backlog, mode, flags, *no_node, *blocking),
            Call::Unlink { name, node } => self.unlink(name, node),
            Call::PeerCred {
                passer,
                no_uid,
                no_gid,
                no_pid,
            } => {
                peer_cred(self.number(*passer), *no_uid, *no_gid, *no_pid);
                peer_pidfd(self.number(*passer));
            }
            Call::Connect {
                name,
                with_length,
                blocking,
            } => {
                if self.waiting >= CONNECTIONS {
                    return;
                }
                let (name, fd) = at(name, *with_length, |path, len| {
                    // SAFETY: a C string, or so many bytes.
                    unsafe {
                        match len {
                            Some(len) => ffi::fdpasser_connect_n(path, len),
                            None => ffi::fdpasser_connect(path),
                        }
                    }
                });
                check_name(name.as_deref(), *with_length, fd);
                if check(fd as isize, "connect", CONNECTING) {
                    self.waiting += 1;
                    self.adopt(fd, *blocking);
                }
            }
            Call::Accept { listener, blocking } => {
                let fd = ffi::fdpasser_accept(self.number(*listener));
                if check(fd as isize, "accept", ACCEPTING) {
                    self.waiting = self.waiting.saturating_sub(1);
                    self.adopt(fd, *blocking);
                }
            }
            Call::Send { passer, fd, short } => {
                let (passer, fd) = (self.number(*passer), self.number(*fd));
                let send = if *short {
                    ffi::send_fd
                } else {
                    ffi::fdpasser_send_fd
                };
                let result = send(passer, fd);
                if check(result as isize, "send_fd", SENDING) {
                    assert_eq!(result, 1);
                }
            }
            Call::Receive {
                passer,
                short,
                keep,
            } => {
                let receive = if *short {
                    ffi::recv_fd
                } else {
                    ffi::fdpasser_recv_fd
                };
                let fd = receive(self.number(*passer));
                if check(fd as isize, "recv_fd", RECEIVING) && fd > 0 {
                    self.received(vec![owned(fd)], *keep);
                }
            }
            Call::SendMany {
                passer,
                fds,
                null,
                n,
                per_message,
                wait,
            } => {
                let fds: Vec<_> = fds.iter().take(600).map(|&fd| self.number(fd)).collect();
                let n = match n {
                    Count::Small(_) if !null => fds.len(),
                    n => n.number(),
                };
                self.send_many(*passer, &fds, n, *per_message, *wait, *null);
            }
            Call::SendAlike {
                passer,
                fd,
                n,
                per_message,
                wait,
            } => {
                let fds = vec![self.number(*fd); usize::from(n % 600)];
                self.send_many(
                    *passer,
                    &fds,
                    fds.len(),
                    (*per_message).into(),
                    *wait,
                    false,
                );
            }
            Call::ReceiveMany {
                passer,
                null,
                n,
                wait,
                keep,
            } => {
                let mut fds = Room::for_fds(300);
                let n = n.within(fds.len(), *null);
                let receive = if *wait {
                    ffi::fdpasser_recv_fds
                } else {
                    ffi::fdpasser_try_recv_fds
                };
                // SAFETY: NULL, or room for n, or more than the library takes.
                let got = unsafe { receive(self.number(*passer), fds.pointer(*null), n) };
                check(got, "recv_fds", RECEIVING);
                if n == 0 || n > c_int::MAX as usize {
                    assert_eq!((got, last_errno()), (-1, EINVAL));
                } else if *null {
                    assert_eq!((got, last_errno()), (-1, EFAULT));
                }
                let ours = fds.take(got);
                assert!(ours.len() <= n);
                self.received(ours, *keep);
            }
            Call::ReceiveMessages {
                passer,
                null,
                n,
                enough,
                no_status,
                keep,
            } => {
                let mut fds = Room::for_fds(16 * MAX + 5);
                let mut status = -7777;
                let n = n.within(fds.len(), *null);
                let (passer, to) = (self.number(*passer), fds.pointer(*null));
                let status_to = null_if(*no_status, &mut status);
                // SAFETY: NULL, or room for n, or more than the library takes.
                let got =
                    unsafe { ffi::fdpasser_try_recv_messages(passer, to, n, *enough, status_to) };
                let good = check(got, "try_recv_messages", &[EINVAL, EFAULT]);
                let in_range =
                    *enough >= 1 && n >= *enough as usize - 1 + MAX && n <= c_int::MAX as usize;
                assert_eq!(good, in_range && !null && !no_status);
                if good {
                    assert!(
                        status == 0 || status == 1 || RECEIVING.contains(&-status),
                        "status {status}"
                    );
                } else {
                    assert_eq!(status, -7777);
                    assert_eq!(last_errno(), if in_range { EFAULT } else { EINVAL });
                }
                self.received(fds.take(got), *keep);
            }
            Call::SendMessage {
                passer,
                fds,
                null,
                n,
                len,
                no_data,
                wait,
            } => {
                let fds: Vec<_> = fds.iter().take(600).map(|&fd| self.number(fd)).collect();
                let n = match n {
                    Count::Small(_) if !null => fds.len(),
                    n => n.number(),
                };
                self.send_message(*passer, &fds, n, *null, (*no_data, len.number()), *wait);
            }
            Call::ReceiveMessage {
                passer,
                null,
                n,
                room,
                no_data,
                no_len,
                wait,
                keep,
            } => {
                let mut fds = Room::for_fds(300);
                let n = n.within(fds.len(), *null);
                let (mut data, room) = (DataRoom::new(), room.number());
                let (to, len) = data.pointers(*no_data, *no_len);
                let passer = self.number(*passer);
                let receive = if *wait {
                    ffi::fdpasser_recv_message
                } else {
                    ffi::fdpasser_try_recv_message
                };
                // SAFETY: NULL, or room for n and for the data of a message, which is all that is used.
                let got = unsafe { receive(passer, fds.pointer(*null), n, to, room, len) };
                let good = check(got, "recv_message", RECEIVING);
                let error = last_errno();
                let wrong = if n == 0 || n > c_int::MAX as usize {
                    Some(EINVAL)
                } else if *null || *no_data {
                    Some(EFAULT)
                } else if room < DATA {
                    Some(EINVAL)
                } else {
                    no_len.then_some(EFAULT)
                };
                if let Some(wrong) = wrong {
                    assert_eq!((got, error), (-1, wrong));
                    return data.check_untouched();
                }
                let ours = fds.take(got);
                assert!(ours.len() <= n);
                if good {
                    let data = data.take();
                    match ours.first() {
                        Some(first) => check_data(first.as_raw_fd(), &data),
                        None => assert!(data.is_empty()),
                    }
                }
                self.received(ours, *keep);
            }
            Call::RetryMs(error) => {
                assert!((-1..60_000).contains(&ffi::fdpasser_retry_ms(*error)));
            }
            Call::Mode => assert_eq!(ffi::fdpasser_mode(), ffi::FDPASSER_MODE_BSD),
            Call::Close(i) => {
                if !self.ours.is_empty() {
                    self.ours.swap_remove(usize::from(*i) % self.ours.len());
                }
            }
            Call::Shutdown(i, how) => {
                // One of ours in any way, or that of an object for writing.
                let i = usize::from(*i);
                let (fd, how) = match self.ours.get(i) {
                    Some(fd) => (Some(fd.as_raw_fd()), c_int::from(*how % 3)),
                    None => (self.objects.socket(i), libc::SHUT_WR),
                };
                // The standing ones stay as they are.
                let standing = |fd| {
                    let mut all = self.world.standing.iter();
                    all.any(|s| identity(s.as_raw_fd()) == identity(fd))
                };
                if let Some(fd) = fd.filter(|&fd| !standing(fd)) {
                    // SAFETY: no pointers.
                    unsafe { libc::shutdown(fd, how) };
                }
            }
            Call::FullTable { free, passer } => {
                self.make_room();
                let passer = self.number(*passer);
                let fillers = fill_table((*free).into());
                let got = try_receive(passer);
                drop(fillers);
                match got {
                    Ok(fds) => {
                        assert!(fds.len() <= (*free).into());
                        self.received(fds, false);
                    }
                    Err(EMFILE) => {
                        let fds = try_receive(passer).expect("nothing was consumed");
                        assert!(fds.len() > (*free).into());
                        self.received(fds, false);
                    }
                    Err(_) => {}
                }
            }
            Call::Timed(call, ms) => self.timed(call, c_int::from(ms % 3)),
        }
    }

    fn timed(&mut self, call: &Timed, ms: c_int) {
        match call {
            Timed::Send { passer, fd } => {
                let sent = ffi::fdpasser_send_fd_timed(self.number(*passer), self.number(*fd), ms);
                if check_timed(sent, "send_fd_timed", SENDING) {
                    assert_eq!(sent, 1);
                }
            }
            Timed::Receive { passer, keep } => {
                let fd = ffi::fdpasser_recv_fd_timed(self.number(*passer), ms);
                if check_timed(fd, "recv_fd_timed", RECEIVING) && fd > 0 {
                    self.received(vec![owned(fd)], *keep);
                }
            }
            Timed::Accept { listener, blocking } => {
                let fd = ffi::fdpasser_accept_timed(self.number(*listener), ms);
                if check_timed(fd, "accept_timed", ACCEPTING) {
                    self.waiting = self.waiting.saturating_sub(1);
                    self.adopt(fd, *blocking);
                }
            }
            Timed::Connect { name, blocking } => {
                if self.waiting >= CONNECTIONS {
                    return;
                }
                let (name, fd) = at(name, true, |path, len| {
                    // SAFETY: so many bytes.
                    unsafe { ffi::fdpasser_connect_timed(path, len.expect("a length"), ms) }
                });
                check_name(name.as_deref(), true, fd);
                if check_timed(fd, "connect_timed", CONNECTING) {
                    self.waiting += 1;
                    self.adopt(fd, *blocking);
                }
            }
        }
    }
}

/// Where the others say EAGAIN, the calls with a deadline say ETIMEDOUT.
fn check_timed(result: c_int, what: &str, allowed: &[c_int]) -> bool {
    if result == -1 && last_errno() == ETIMEDOUT {
        return false;
    }
    let good = check(result as isize, what, allowed);
    assert!(good || last_errno() != EAGAIN, "{what}: EAGAIN");
    good
}

/// fdpasser_try_recv_fds() with room for the largest message.
fn try_receive(passer: RawFd) -> Result<Vec<OwnedFd>, c_int> {
    let mut fds = Room::for_fds(MAX);
    // SAFETY: room for so many.
    let got = unsafe { ffi::fdpasser_try_recv_fds(passer, fds.pointer(false), MAX) };
    let good = check(got, "try_recv_fds", RECEIVING);
    let error = last_errno();
    let fds = fds.take(got);
    if good {
        Ok(fds)
    } else {
        Err(error)
    }
}

impl State<'_> {
    /// So much that fill_table() can leave some slots, and that the largest message fits once they are all free.
    pub fn make_room(&mut self) {
        if fill_table(0).len() < 2 * MAX {
            self.objects = queue::Objects::default();
        }
    }

    fn server_with(
        &mut self,
        name: &Name,
        backlog: c_int,
        mode: &Mode,
        flags: &Flags,
        no_node: bool,
        blocking: bool,
    ) {
        const UNTOUCHED: (u64, u64) = (7, 77);
        let mode = match mode {
            Mode::Umask => -1,
            Mode::Good(bits) => (bits & 0o777).into(),
            Mode::Any(number) => *number,
        };
        let flags = match flags {
            Flags::None => 0,
            Flags::Exclusive => ffi::FDPASSER_EXCLUSIVE,
            Flags::Any(number) => *number,
        };
        // A live server sees a connection.
        if flags & ffi::FDPASSER_EXCLUSIVE != 0 && self.waiting >= CONNECTIONS {
            return;
        }
        let mut node = node(UNTOUCHED);
        let to = null_if(no_node, &mut node);
        let (name, fd) = at(name, true, |path, len| {
            // SAFETY: so many bytes; NULL, or a node to be written.
            unsafe {
                ffi::fdpasser_server_with(path, len.expect("a length"), backlog, mode, flags, to)
            }
        });
        let is_abstract = matches!(name.as_deref(), Some([0, ..]));
        if name.is_some()
            && (flags > ffi::FDPASSER_EXCLUSIVE
                || !(-1..=0o777).contains(&mode)
                || is_abstract && mode >= 0)
        {
            assert_eq!((fd, last_errno()), (-1, EINVAL));
        } else {
            check_name(name.as_deref(), true, fd);
        }
        let good = check(fd as isize, "server_with", SERVING);
        if good {
            self.adopt(fd, blocking);
        } else if last_errno() == EADDRINUSE && !is_abstract {
            assert_eq!(flags, ffi::FDPASSER_EXCLUSIVE);
            self.waiting += 1;
        }
        if !good || no_node {
            assert_eq!(parts(&node), UNTOUCHED);
            return;
        }
        if is_abstract {
            assert_eq!(parts(&node), (0, 0));
            return;
        }
        let path = name.expect("it was good");
        let found = fs::symlink_metadata(OsStr::from_bytes(&path)).expect("it is there");
        assert!(found.file_type().is_socket());
        assert_eq!(parts(&node), (found.dev(), found.ino()));
        if mode >= 0 {
            assert_eq!(found.mode() & 0o7777, mode as u32);
        }
        self.nodes.push(parts(&node));
    }

    fn unlink(&self, name: &Name, node: &WhichNode) {
        let node = match node {
            WhichNode::Made(i) if !self.nodes.is_empty() => {
                Some(self.nodes[usize::from(*i) % self.nodes.len()])
            }
            WhichNode::Null | WhichNode::Made(_) => None,
            WhichNode::Any(device, inode) => Some((*device, *inode)),
        };
        let at_path = |path: &[u8]| {
            let found = fs::symlink_metadata(OsStr::from_bytes(path)).ok()?;
            Some((found.dev(), found.ino()))
        };
        let before = name.bytes().as_deref().and_then(at_path);
        let (name, result) = at(name, true, |path, len| {
            let node = node.map(self::node);
            let node = node.as_ref().map_or(ptr::null(), ptr::from_ref);
            // SAFETY: so many bytes; NULL, or a node.
            unsafe { ffi::fdpasser_unlink(path, len.expect("a length"), node) }
        });
        let good = check(result as isize, "unlink", UNLINKING);
        let (Some(name), Some(node)) = (name, node) else {
            assert_eq!((result, last_errno()), (-1, EFAULT));
            return;
        };
        if good {
            assert_eq!(result == 1, before == Some(node));
        } else {
            assert_ne!(last_errno(), EFAULT);
        }
        assert_eq!(at_path(&name), before.filter(|_| result != 1));
    }
}

fn node((device, inode): (u64, u64)) -> Node {
    Node { device, inode }
}

fn parts(node: &Node) -> (u64, u64) {
    (node.device, node.inode)
}

fn peer_cred(passer: RawFd, no_uid: bool, no_gid: bool, no_pid: bool) {
    let (mut uid, mut gid, mut pid) = (7777, 7777, -7);
    // SAFETY: NULL, or the address of an integer, three times.
    let result = unsafe {
        ffi::fdpasser_peer_cred(
            passer,
            null_if(no_uid, &mut uid),
            null_if(no_gid, &mut gid),
            null_if(no_pid, &mut pid),
        )
    };
    let good = check(
        result as isize,
        "peer_cred",
        &[ENOTCONN, EINVAL, EAFNOSUPPORT, EBADF, ENOTSOCK],
    );
    // There is nobody here but us.
    // SAFETY: no arguments.
    let us = unsafe { (libc::geteuid(), libc::getegid(), libc::getpid()) };
    assert_eq!(result, if good { 0 } else { -1 });
    assert_eq!(uid, if good && !no_uid { us.0 } else { 7777 });
    assert_eq!(gid, if good && !no_gid { us.1 } else { 7777 });
    assert_eq!(pid, if good && !no_pid { us.2 } else { -7 });
}

fn peer_pidfd(passer: RawFd) {
    let pidfd = ffi::fdpasser_peer_pidfd(passer);
    if check(
        pidfd as isize,
        "peer_pidfd",
        &[
            ENOTCONN,
            EINVAL,
            EAFNOSUPPORT,
            EBADF,
            ENOTSOCK,
            libc::EOPNOTSUPP,
        ],
    ) {
        assert!(pidfd > 2);
        // SAFETY: it is ours, and nobody else knows it.
        drop(unsafe { OwnedFd::from_raw_fd(pidfd) });
    }
}

fn at(
    name: &Name,
    with_length: bool,
    call: impl FnOnce(*const c_char, Option<usize>) -> c_int,
) -> (Option<Vec<u8>>, c_int) {
    let bytes = name.bytes();
    let result = match &bytes {
        None => call(ptr::null(), with_length.then_some(3)),
        Some(bytes) if with_length => call(bytes.as_ptr().cast(), Some(bytes.len())),
        Some(bytes) => {
            let text = CString::new(&bytes[..c_len(bytes)]).expect("no NUL before the first");
            call(text.as_ptr(), None)
        }
    };
    (bytes, result)
}

thread_local!(static WORLD: RefCell<Option<World>> = const { RefCell::new(None) });

fuzz_target!(|input: Input| {
    WORLD.with_borrow_mut(|world| {
        let world = world.get_or_insert_with(World::new);
        leaves_nothing(|| run(world, &input));
    });
});

fn run(world: &World, input: &Input) {
    let limit = LIMITS[usize::from(input.limit) % LIMITS.len()];
    let mut state = State {
        world,
        ours: Vec::new(),
        waiting: 0,
        objects: queue::Objects::default(),
        nodes: Vec::new(),
    };
    for op in input.ops.iter().take(64) {
        set_limit(limit);
        match op {
            Op::Plain(call) => state.call(call),
            Op::Queue(which, call) => state.queue_call(*which, call),
        }
    }
    drop(state);
    set_limit(LIMITS[1]);
    world.drain();
    world.tidy();
}

impl World {
    /// What the standing sockets were sent does not stay for the next run.
    fn drain(&self) {
        for fd in &self.standing {
            while try_receive(fd.as_raw_fd()).is_ok_and(|fds| !fds.is_empty()) {}
        }
    }
}

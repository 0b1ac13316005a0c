// SPDX-License-Identifier: MIT OR Apache-2.0
//! The SysV interface: descriptors passed by I_SENDFD over STREAMS pipes, for illumos and Solaris.
//!
//! | what | how |
//! |---|---|
//! | a pair | pipe(2), both ends of which are read and written |
//! | send | write(2) of one NUL, then ioctl(I_SENDFD) |
//! | receive | ioctl(I_RECVFD) |
//! | server | a pipe with connld pushed on one end, which fattach(3C) mounts on the path |
//! | accept | ioctl(I_RECVFD) on the other end |
//! | connect | open(2) of the path; isastream(3C) tells whether that was a server |
//!
//! # The wire
//!
//! One message is one NUL byte, then one descriptor. The original AnyEvent::FDpasser writes and expects it
//! so, though the byte carries nothing here. But no system call sends both, or takes both, and so either
//! side may be caught between them: by a signal, its end, or somebody else who uses the same end of the
//! pipe. That no such accident puts the stream out of step, it is the descriptor that counts here:
//!
//! - A descriptor is received with or without a byte in front, and NULs in front are skipped, one or several.
//! - A NUL whose descriptor has not come yet is nothing yet; one whose descriptor never comes is nothing.
//! - Any other byte is a message without a descriptor.
//!
//! So two senders may interleave (byte, byte, descriptor, descriptor), one of two receivers may get the
//! byte and the other the descriptor, and a sender may die half-way.
//!
//! # A full table
//!
//! I_RECVFD puts the message back where there is no slot for it, so nothing is destroyed, by no race
//! either. The byte in front would be gone by then, and though this module does not miss it, others would:
//! so there is a look for a free slot before the byte is taken. That look is needed anyway, as slots 0
//! to 2 do not count.
//!
//! # Servers
//!
//! The mount lives as long as the listener: the last close of the listener unmounts. So what is mounted is live, and no
//! probe is needed. Opening the mount waits until the server has accepted, whatever O_NONBLOCK says, and one client at a
//! time has its turn.
//!
//! # What there is no help for
//!
//! - There is no call that says "do not wait" on a blocking descriptor, as MSG_DONTWAIT does. So poll(2)
//!   comes first, and where another receiver (or sender) comes between, a `try_` call on a *blocking*
//!   passer waits. On a non-blocking one nothing waits, ever.
//! - There is no way to receive with close-on-exec set: it is set directly afterwards, and a fork and exec of
//!   another thread's may come between.
//! - There is no notice that the peer closed with our descriptors unread: that is an orderly shutdown.
//! - A server's path cannot be taken over in one step: for a moment between fdetach and fattach
//!   connecting to it is ECONNREFUSED. The old listener is hung up by it.
//!
//! All of this was read in illumos' sources. There was no system to run it on, so the tests run it on Linux, over
//! `tests/streams_sim`, which does what was read. What Solaris does differently, if anything, nobody here knows.
#![allow(
    unsafe_code,
    reason = "ioctl, getmsg and their structures are pointers throughout"
)]

use super::node::{self, is_at, node_at, Lock};
use super::table::{above_stdio, close_on_exec, one_free_slot, Place};
use super::wait::{is_nonblocking, is_ready, set_nonblocking, Wait, Waits};
use super::{Fds, Kind, Message};
use crate::error::errno;
use crate::{Mode, Node, PeerCred, ServerOptions};
use libc::{c_char, c_int, c_uint, gid_t, uid_t};
use nix::errno::Errno;
use nix::fcntl::{fcntl, FcntlArg};
use nix::poll::{poll, PollFlags, PollTimeout};
use std::ffi::{CStr, CString};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::ErrorKind;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;
use std::{mem, ptr};

pub(crate) const MODE: Mode = Mode::SysV;

pub(crate) const MAX_PER_MESSAGE: usize = 1;

pub(crate) const SLOTS_PER_MESSAGE: usize = 1;

pub(crate) const FULL_DESPITE_WAITING: bool = false;

pub(crate) fn most_to_send() -> usize {
    1
}

/// What the libc crate lacks, or has for one of the two systems only. Values and layouts are those of
/// illumos' `sys/stropts.h`, prototypes those of its `stropts.h` and `signal.h`.
mod stropts {
    use super::{c_char, c_int, c_uint, gid_t, uid_t};

    const STR: c_int = (b'S' as c_int) << 8;
    pub const I_PUSH: c_int = STR | 0o2;
    pub const I_RECVFD: c_int = STR | 0o16;
    pub const I_PEEK: c_int = STR | 0o17;
    pub const I_SENDFD: c_int = STR | 0o21;

    #[cfg(any(target_os = "illumos", target_os = "solaris"))]
    const _: () = assert!(
        I_PUSH == libc::I_PUSH
            && I_RECVFD == libc::I_RECVFD
            && I_PEEK == libc::I_PEEK
            && I_SENDFD == libc::I_SENDFD
    );

    #[repr(C)]
    pub struct StrRecvFd {
        pub fd: c_int,
        pub uid: uid_t,
        pub gid: gid_t,
        pub fill: [c_char; 8],
    }

    #[repr(C)]
    pub struct StrBuf {
        pub maxlen: c_int,
        pub len: c_int,
        pub buf: *mut c_char,
    }

    #[repr(C)]
    pub struct StrPeek {
        pub ctlbuf: StrBuf,
        pub databuf: StrBuf,
        pub flags: c_uint,
    }

    extern "C" {
        pub fn isastream(fd: c_int) -> c_int;
        pub fn fattach(fd: c_int, path: *const c_char) -> c_int;
        pub fn fdetach(path: *const c_char) -> c_int;
        pub fn getmsg(fd: c_int, ctl: *mut StrBuf, data: *mut StrBuf, flags: *mut c_int) -> c_int;
        pub fn sigpending(set: *mut libc::sigset_t) -> c_int;
        pub fn sigtimedwait(
            set: *const libc::sigset_t,
            info: *mut libc::siginfo_t,
            timeout: *const libc::timespec,
        ) -> c_int;
    }
}
use stropts::{StrBuf, StrPeek, StrRecvFd};

const _: () = assert!(mem::size_of::<StrRecvFd>() == 20);
const _: () = assert!(mem::size_of::<StrBuf>() == 8 + mem::size_of::<*mut c_char>());
const _: () =
    assert!(mem::size_of::<StrPeek>() == 2 * mem::size_of::<StrBuf>() + mem::size_of::<usize>());

/// What goes in front of a descriptor.
const NUL: u8 = 0;

/// I_SENDFD says EAGAIN for want of memory too, while the stream polls writable: who tried again at once would
/// spin, and leave a NUL each time. So often in a row it is not another sender who was faster.
const SHORT_OF_MEMORY: usize = 10;

/// How many messages of nothing but NULs may come in a row: more than there are senders on one end.
const MOST_NULS: usize = 256;

// --- connections ---------------------------------------------------------------------------------

/// Both ends of a new connection.
pub(crate) fn pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    let (a, b) = pipe()?;
    Ok((above_stdio(a)?, above_stdio(b)?))
}

#[cfg(not(no_pipe2))]
fn pipe() -> Result<(OwnedFd, OwnedFd), Errno> {
    let mut fds: [RawFd; 2] = [-1; 2];
    // SAFETY: room for two; and then they are ours, and nobody else knows them.
    unsafe {
        Errno::result(libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC))?;
        Ok((OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])))
    }
}
#[cfg(no_pipe2)]
fn pipe() -> Result<(OwnedFd, OwnedFd), Errno> {
    let (a, b) = nix::unistd::pipe()?;
    close_on_exec(&a)?;
    close_on_exec(&b)?;
    Ok((a, b))
}

/// A listener at `path`, which replaces one that is there.
///
/// There is no backlog to set: one client at a time waits to be accepted. The pipe's other end is held by the
/// mount alone, from here on, until the listener is closed, or until somebody undoes the mount.
pub(crate) fn server(path: &Path, _backlog: i32) -> Result<OwnedFd, Errno> {
    server_with(path, &ServerOptions::default()).map(|(listener, _)| listener)
}

/// The same with a say in the node's mode, and in what is replaced: with `exclusive` no live one.
///
/// EACCES: a mode without write permission for its owner, who then may not mount on the file either.
pub(crate) fn server_with(path: &Path, options: &ServerOptions) -> Result<(OwnedFd, Node), Errno> {
    let ServerOptions {
        mode, exclusive, ..
    } = *options;
    let name = c_path(path)?;
    let _lock = exclusive.then(|| Lock::take(path)).transpose()?;
    let (listener, mounted) = pair()?;
    // SAFETY: a C string; I_PUSH reads no more.
    Errno::result(unsafe {
        libc::ioctl(
            mounted.as_raw_fd(),
            stropts::I_PUSH as _,
            c"connld".as_ptr(),
        )
    })?;
    for _ in 0..100 {
        if exclusive && is_mounted(path)? {
            return Err(Errno::EADDRINUSE);
        }
        let made = mount_point(path, &name, mode)?;
        // SAFETY: a C string.
        match Errno::result(unsafe { stropts::fattach(mounted.as_raw_fd(), name.as_ptr()) }) {
            Ok(_) => return Ok((listener, node_at(path).map_err(errno)?)),
            Err(Errno::EBUSY) if exclusive => return Err(Errno::EADDRINUSE),
            // Another server was faster: the last one has it. Or a client of the old one has not gone yet.
            Err(Errno::EBUSY) => poll(&mut [], 10u8).map(drop)?,
            Err(error) => {
                if made {
                    // Ours since a moment ago; best effort.
                    let _ = fs::remove_file(path);
                }
                return Err(error);
            }
        }
    }
    Err(Errno::EBUSY)
}

/// Sees to it that a plain file is at `path` to be mounted on. True if it was made here.
///
/// A mounted pipe shows as a FIFO, and the plain file below it is there again when it goes: those make way.
/// All else is somebody's, such as a FIFO that nothing is mounted on. (The system would let us mount on it.)
fn mount_point(path: &Path, name: &CStr, mode: Option<u32>) -> Result<bool, Errno> {
    let set_mode = |file: File| match mode {
        Some(bits) => file.set_permissions(Permissions::from_mode(bits)),
        None => Ok(()),
    };
    for _ in 0..100 {
        let mut new = OpenOptions::new();
        // Before it has its mode it has no more than that.
        let at_first = mode.map_or(0o666, |bits| bits & 0o600);
        match new.write(true).create_new(true).mode(at_first).open(path) {
            Ok(file) => return set_mode(file).map(|()| true).map_err(errno),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            Err(e) => return Err(errno(e)),
        }
        match fs::symlink_metadata(path) {
            Ok(node) if node.is_file() && node.len() == 0 => {
                if mode.is_some() {
                    let mut file = OpenOptions::new();
                    file.read(true)
                        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
                    file.open(path).and_then(set_mode).map_err(errno)?;
                }
                return Ok(false);
            }
            Ok(node) if node.file_type().is_fifo() => match detach(name) {
                Err(Errno::EINVAL) => return Err(Errno::EEXIST),
                result => result?,
            },
            Ok(_) => return Err(Errno::EEXIST),
            // It went between the two looks.
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => return Err(errno(e)),
        }
    }
    Err(Errno::EBUSY)
}

/// Whether a server is at `path`. A mount is on a device of its own, and is live.
fn is_mounted(path: &Path) -> Result<bool, Errno> {
    if !node::kind(path)?.is_some_and(|kind| kind.is_fifo()) {
        return Ok(false);
    }
    let directory = path.parent().filter(|path| !path.as_os_str().is_empty());
    let directory = node_at(&directory.unwrap_or(Path::new(".")).join(".")).map_err(errno)?;
    match node_at(path) {
        Ok(found) => Ok(found.device != directory.device),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
        Err(e) => Err(errno(e)),
    }
}

/// Removes the mount at `path` and what it was on, if it is this one; says whether it was. (If
/// another server takes the path over between the look and the removal, it loses its mount: no system
/// call does both.)
pub(crate) fn unlink(path: &Path, node: &Node) -> Result<bool, Errno> {
    must_be_path(path)?;
    if !is_at(path, node)? {
        return Ok(false);
    }
    // unlink(2) unmounts as well.
    fs::remove_file(path).map_err(errno)?;
    Ok(true)
}

fn detach(name: &CStr) -> Result<(), Errno> {
    // SAFETY: a C string.
    Errno::result(unsafe { stropts::fdetach(name.as_ptr()) }).map(drop)
}

/// The next connection of `listener`.
pub(crate) fn accept(listener: BorrowedFd<'_>, wait: Wait) -> Result<OwnedFd, Errno> {
    if matches!(wait, Wait::Until(_)) {
        set_nonblocking(listener)?;
    }
    let mut waits = Waits::new(wait);
    loop {
        // With no slot from 3 up what was received would have to be dropped.
        let place = Place::reserve(listener)?;
        match receive_one(listener) {
            Err(Errno::EAGAIN) => {
                drop(place);
                waits.wait_readable(listener)?;
            }
            result => return place.take(result?),
        }
    }
}

/// A connection to the listener at `path`. Opening waits until the server has accepted, so there is no deadline.
pub(crate) fn connect(path: &Path, wait: Wait) -> Result<OwnedFd, Errno> {
    if wait != Wait::AsPasser {
        return Err(Errno::EOPNOTSUPP);
    }
    let name = c_path(path)?;
    // Opening is connecting already, so the place of what it answers comes first.
    one_free_slot(fs::File::open("/").map_err(errno)?.as_fd())?;
    let passer = open(&name)?;
    must_be_stream(&passer).map_err(|_| Errno::ECONNREFUSED)?;
    above_stdio(passer)
}

fn open(name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: a C string; and then it is ours, and nobody else knows it.
    unsafe {
        let fd = Errno::result(libc::open(name.as_ptr(), flags)).map_err(|error| match error {
            Errno::ENXIO => Errno::ECONNREFUSED, // the server closed its listener meanwhile
            other => other,
        })?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

fn c_path(path: &Path) -> Result<CString, Errno> {
    must_be_path(path)?;
    CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)
}

/// ENAMETOOLONG before anything copies what cannot be a path.
fn must_be_path(path: &Path) -> Result<(), Errno> {
    match path.as_os_str().len() < libc::PATH_MAX as usize {
        true => Ok(()),
        false => Err(Errno::ENAMETOOLONG),
    }
}

/// ENOSTR if it is none.
fn must_be_stream(fd: &impl AsRawFd) -> Result<(), Errno> {
    // SAFETY: only looks.
    match Errno::result(unsafe { stropts::isastream(fd.as_raw_fd()) })? {
        0 => Err(Errno::ENOSTR),
        _ => Ok(()),
    }
}

/// Who opened the other end. The system knows this only of a connection that was accepted, and only at the server's end.
/// EOPNOTSUPP: it does not know.
pub(crate) fn peer_cred(passer: BorrowedFd<'_>) -> Result<PeerCred, Errno> {
    must_be_stream(&passer)?;
    super::ucred::of_peer(passer).map_err(|error| match error {
        Errno::ENOTSUP => Errno::EOPNOTSUPP,
        other => other,
    })
}

/// There are no datagrams.
pub(crate) fn send_datagram(_: &Path, _: &[u8], _: &[BorrowedFd<'_>]) -> Result<(), Errno> {
    Err(Errno::EOPNOTSUPP)
}

/// A descriptor ends each message.
pub(crate) fn kind(_: BorrowedFd<'_>) -> Kind {
    Kind::Stream
}

/// Receiving tells.
pub(crate) fn ends_with_eagain(_: BorrowedFd<'_>) -> Result<bool, Errno> {
    Ok(false)
}

/// There are no pidfds.
pub(crate) fn peer_pidfd(_: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    Err(Errno::EOPNOTSUPP)
}

/// No call tells how much the other end has not read yet.
pub(crate) fn unread_by_peer(_: BorrowedFd<'_>) -> Result<usize, Errno> {
    Err(Errno::EOPNOTSUPP)
}

// --- sending -------------------------------------------------------------------------------------

/// Sends one message with all of `fds`, of which there is one.
///
/// All that can be known to fail is looked for before the byte is written. If I_SENDFD fails all the
/// same, the byte has gone, and means nothing to this module.
pub(crate) fn send(
    passer: BorrowedFd<'_>,
    fds: &[BorrowedFd<'_>],
    bytes: &[u8],
    may_wait: bool,
) -> Result<(), Errno> {
    let [fd] = fds else {
        return Err(Errno::EINVAL);
    };
    if bytes != [NUL] {
        return Err(Errno::EOPNOTSUPP);
    }
    fcntl(fd, FcntlArg::F_GETFD)?;
    let timeout = match may_wait && !is_nonblocking(passer)? {
        true => PollTimeout::NONE,
        false => PollTimeout::ZERO,
    };
    wait_writable(passer, timeout)?;
    write_nul(passer).map_err(peer_is_gone)?;
    for _ in 0..SHORT_OF_MEMORY {
        // SAFETY: I_SENDFD takes a number.
        match Errno::result(unsafe {
            libc::ioctl(passer.as_raw_fd(), stropts::I_SENDFD as _, fd.as_raw_fd())
        }) {
            // It never waits by itself. EAGAIN again if the stream is full.
            Err(Errno::EAGAIN) => wait_writable(passer, timeout)?,
            // The descriptor is open, so it is the passer that is no pipe of this kind.
            Err(Errno::EINVAL) => return Err(Errno::ENOSTR),
            result => return result.map(drop).map_err(peer_is_gone),
        }
    }
    Err(Errno::ENOBUFS)
}

fn peer_is_gone(error: Errno) -> Errno {
    match error {
        Errno::ENXIO => Errno::EPIPE,
        other => other,
    }
}

fn wait_writable(passer: BorrowedFd<'_>, timeout: PollTimeout) -> Result<(), Errno> {
    match is_ready(passer, PollFlags::POLLOUT, timeout)? {
        true => Ok(()), // also POLLHUP: the write says what is wrong
        false => Err(Errno::EAGAIN),
    }
}

/// write(2) raises SIGPIPE, which no flag forbids, in the thread that calls it. So it is held back here, and
/// taken off again if it was not there before.
fn write_nul(passer: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut sigpipe = MaybeUninit::uninit();
    let mut before = MaybeUninit::uninit();
    let mut pending = MaybeUninit::uninit();
    let no_time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: each set is filled in by the first call that gets it; the byte is one.
    unsafe {
        libc::sigemptyset(sigpipe.as_mut_ptr());
        libc::sigaddset(sigpipe.as_mut_ptr(), libc::SIGPIPE);
        libc::pthread_sigmask(libc::SIG_BLOCK, sigpipe.as_ptr(), before.as_mut_ptr());
        libc::sigemptyset(pending.as_mut_ptr());
        stropts::sigpending(pending.as_mut_ptr());
        let was_pending = libc::sigismember(pending.as_ptr(), libc::SIGPIPE) == 1;

        let result = Errno::result(libc::write(passer.as_raw_fd(), [NUL].as_ptr().cast(), 1));

        if result == Err(Errno::EPIPE) && !was_pending {
            while stropts::sigtimedwait(sigpipe.as_ptr(), ptr::null_mut(), &no_time) == -1
                && Errno::last() == Errno::EINTR
            {}
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), ptr::null_mut());
        match result {
            Ok(0) => Err(Errno::EAGAIN), // full, with O_NDELAY
            result => result.map(drop),
        }
    }
}

// --- receiving -----------------------------------------------------------------------------------

/// Nothing is proven beforehand: each message is rehearsed, which is cheap here.
pub(crate) fn room_for_messages(_messages: usize) -> usize {
    0
}

/// EMFILE if there is no free slot from 3 up and what waits may need one.
pub(crate) fn rehearse(passer: BorrowedFd<'_>) -> Result<(), Errno> {
    match one_free_slot(passer) {
        Err(Errno::EMFILE) if descriptor_may_wait(passer)? => Err(Errno::EMFILE),
        Err(Errno::EMFILE) => Ok(()),
        result => result,
    }
}

/// Is the first message a descriptor, or NULs, which one comes behind?
fn descriptor_may_wait(passer: BorrowedFd<'_>) -> Result<bool, Errno> {
    let mut bytes = [NUL; 256];
    let mut peek = StrPeek {
        ctlbuf: no_buffer(),
        databuf: buffer(&mut bytes),
        flags: 0,
    };
    // SAFETY: `peek` points at `bytes`, which outlives the call.
    match Errno::result(unsafe { libc::ioctl(passer.as_raw_fd(), stropts::I_PEEK as _, &mut peek) })
    {
        Ok(0) => Ok(false), // nothing, or the end
        Ok(_) => {
            let len = usize::try_from(peek.databuf.len).unwrap_or(0);
            Ok(bytes[..len].iter().all(|&byte| byte == NUL))
        }
        Err(Errno::EBADMSG) => Ok(true), // no data: a descriptor
        Err(error) => Err(if_stream(passer, error)),
    }
}

/// Takes one message if there is one. `rehearse` comes directly before.
pub(crate) fn receive(passer: BorrowedFd<'_>, fds: &mut Fds) -> Result<Message, Errno> {
    for _ in 0..MOST_NULS {
        match receive_one(passer) {
            Ok(fd) => {
                fds.push(fd);
                return Ok(message(1));
            }
            Err(Errno::ENXIO) => return Ok(message(0)), // hung up, and nothing is left
            Err(Errno::EBADMSG) => {}
            Err(error) => return Err(error),
        }
        if !skip_nuls(passer)? {
            break;
        }
    }
    Ok(message(1)) // bytes, and no descriptor
}

/// The same. There is no data, so a message has the NUL.
pub(crate) fn receive_with_data(
    passer: BorrowedFd<'_>,
    fds: &mut Fds,
    data: &mut [u8],
) -> Result<Message, Errno> {
    data[0] = NUL;
    receive(passer, fds)
}

fn message(bytes: usize) -> Message {
    Message {
        bytes,
        too_long: false,
        truncated: false,
    }
}

/// I_RECVFD, if anything waits; EAGAIN if not.
fn receive_one(from: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    if !is_ready(from, PollFlags::POLLIN, PollTimeout::ZERO)? {
        return Err(if_stream(from, Errno::EAGAIN));
    }
    let mut received = StrRecvFd {
        fd: -1,
        uid: 0,
        gid: 0,
        fill: [0; 8],
    };
    // SAFETY: `received` is what I_RECVFD fills in.
    Errno::result(unsafe { libc::ioctl(from.as_raw_fd(), stropts::I_RECVFD as _, &mut received) })
        .map_err(|error| if_stream(from, error))?;
    // SAFETY: the kernel just made it for us; nobody else knows it.
    let fd = unsafe { OwnedFd::from_raw_fd(received.fd) };
    close_on_exec(&fd)?;
    Ok(fd)
}

/// ENOSTR if this is no stream: nothing may be written to what is a file. What isastream(3) says of a socket is not
/// decided.
pub(crate) fn must_be_local(passer: BorrowedFd<'_>) -> Result<(), Errno> {
    must_be_stream(&passer)
}

/// What is wrong: this, or that it is no stream in the first place?
fn if_stream(fd: BorrowedFd<'_>, error: Errno) -> Errno {
    must_be_stream(&fd).err().unwrap_or(error)
}

/// Takes a message of bytes, or its first part if it is long. True if all of them are NUL.
fn skip_nuls(passer: BorrowedFd<'_>) -> Result<bool, Errno> {
    let mut bytes = [NUL; 256];
    // What a peer puts into a control part must go as well, or it would wait for ever.
    let mut control = [NUL; 256];
    let mut data = buffer(&mut bytes);
    let mut ctl = buffer(&mut control);
    let mut flags = 0;
    // SAFETY: both point at arrays that outlive the call.
    match Errno::result(unsafe {
        stropts::getmsg(passer.as_raw_fd(), &mut ctl, &mut data, &mut flags)
    }) {
        Ok(_) => {
            let len = usize::try_from(data.len).unwrap_or(0);
            Ok(ctl.len <= 0 && bytes[..len].iter().all(|&byte| byte == NUL))
        }
        // Another receiver took the bytes, and there is a descriptor.
        Err(Errno::EBADMSG) => Ok(true),
        Err(error) => Err(error),
    }
}

fn buffer(bytes: &mut [u8]) -> StrBuf {
    StrBuf {
        maxlen: bytes.len() as c_int,
        len: -1,
        buf: bytes.as_mut_ptr().cast(),
    }
}

/// A part that is not looked at.
fn no_buffer() -> StrBuf {
    StrBuf {
        maxlen: -1,
        len: -1,
        buf: ptr::null_mut(),
    }
}

/// A stream has no timeouts.
pub(crate) fn receive_timeout(_: BorrowedFd<'_>) -> Result<Option<Duration>, Errno> {
    Ok(None)
}

/// A stream has no timeouts.
pub(crate) fn send_timeout(_: BorrowedFd<'_>) -> Result<Option<Duration>, Errno> {
    Ok(None)
}

/// Never needed: the timeouts are known.
pub(crate) fn wait_in_kernel(_: BorrowedFd<'_>) -> Result<(), Errno> {
    Ok(())
}

/// A stream has nothing outside the order.
pub(crate) fn keep_in_line(_: BorrowedFd<'_>) {}

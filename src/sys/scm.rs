// SPDX-License-Identifier: MIT OR Apache-2.0
//! The BSD interface: descriptors as SCM_RIGHTS control messages over AF_UNIX sockets.
//!
//! The two system calls are made on libc: nix's `RecvMsg::cmsgs` leaks what arrived when
//! MSG_CTRUNC is set.
//!
//! # Where systems differ
//!
//! Only Linux was run. The rest was checked by compiling: names and types are right, and how those kernels
//! behave is what this project knows of them, not what it has seen. `build.rs` lists these properties by system.
//!
//! | | Linux, Android | FreeBSD, DragonFly | NetBSD | OpenBSD | macOS, iOS | illumos | Solaris |
//! |---|---|---|---|---|---|---|---|
//! | close-on-exec when receiving | MSG_CMSG_CLOEXEC | the same | the same | the same | fcntl afterwards | MSG_CMSG_CLOEXEC | fcntl afterwards |
//! | and for sockets (`unix_socket`) | SOCK_CLOEXEC, accept4 | the same | the same | the same | fcntl afterwards | SOCK_CLOEXEC, accept4 | the same |
//! | no SIGPIPE | MSG_NOSIGNAL | the same | the same | the same | the same, and SO_NOSIGPIPE before each send | MSG_NOSIGNAL | the same |
//! | is it a local socket | SO_DOMAIN | getsockname | getsockname | getsockname | getsockname | getsockname | getsockname |
//! | room for a message (`room`) | select beyond the table | poll, POLLNVAL | the same | the same | the same | the same | the same |
//! | a look at a message with MSG_PEEK (`rehearsal`) | installs duplicates | must not be made: may copy what are no descriptors of ours | the same | the same | the same | the same | the same |
//! | no slot when receiving | the byte, MSG_CTRUNC | EMSGSIZE, lost | as FreeBSD | as FreeBSD | EMSGSIZE, lost | EMFILE | EMFILE |
//! | `cmsg_len` if truncated | cut | cut | cut | cut | not cut: runs past the buffer | cut | cut |
//! | alignment in a control message | that of size_t | that of a word, or more | the same | the same | 4 bytes | 4 bytes | 4 bytes |
//! | descriptors in a message | 253 | a few hundred at most, fewer where pointers are 8 bytes wide | the same | the same | 512 | 253 or fewer | the same |
//! | the errno of descriptors destroyed | ENOTRECOVERABLE | the same | ENOLINK | ENOTRECOVERABLE | the same | the same | the same |
//! | who the peer is (`peer`) | SO_PEERCRED | getpeereid | getpeereid | getpeereid | getpeereid | getpeerucred | getpeerucred |
//!
//! CMSG_SPACE and CMSG_DATA see to the alignment. A message that is refused for its size is sent again as
//! several of one. Where a look cannot be made, nobody knows how many descriptors wait. One free slot counts as
//! enough there, so a table that is nearly full can destroy a part of a message of several. That is reported
//! (ENOTRECOVERABLE).
#![allow(
    unsafe_code,
    reason = "sendmsg, recvmsg and the walk over control messages are pointers throughout"
)]

use super::{Fds, Message};
use crate::transfer::MAX_DATA;
use crate::Mode;
use libc::{c_int, c_void};
use nix::errno::Errno;
use nix::sys::socket::{getsockopt, sockopt};
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

pub(crate) const MODE: Mode = Mode::Bsd;

/// Linux's SCM_MAX_FD.
pub(crate) const MAX_PER_MESSAGE: usize = 253;

const RIGHTS: usize = MAX_PER_MESSAGE * mem::size_of::<RawFd>();

/// A control buffer, aligned as a cmsghdr wants it.
#[repr(C)]
union Control<const N: usize> {
    _align: libc::cmsghdr,
    _and_on_the_bsds: usize,
    _bytes: [u8; N],
}

/// Room for the largest SCM_RIGHTS, and for all that the kernel adds to it if the application switched it
/// on with setsockopt: credentials, a pidfd, a security label, timestamps. A buffer that is too small would
/// make the kernel destroy descriptors.
const RECEIVE_CONTROL: usize = space(RIGHTS) + 1024;

const fn space(len: usize) -> usize {
    // SAFETY: CMSG_SPACE only computes.
    unsafe { libc::CMSG_SPACE(len as u32) as usize }
}

// --- sending -------------------------------------------------------------------------------------

/// Sends one message with all of `fds` and all bytes, or nothing. Waits for room only if it `may_wait` and the passer is
/// in blocking mode.
///
/// EPROTO if the kernel cut the message all the same: somebody made the send buffer smaller at this moment.
pub(crate) fn send(
    passer: BorrowedFd<'_>,
    fds: &[BorrowedFd<'_>],
    bytes: &[u8],
    may_wait: bool,
) -> Result<(), Errno> {
    must_fit(passer, bytes)?;
    let sent = match fds.len() {
        1 => send_with::<{ space(mem::size_of::<RawFd>()) }>(passer, fds, bytes, may_wait)?,
        2..=MAX_PER_MESSAGE => send_with::<{ space(RIGHTS) }>(passer, fds, bytes, may_wait)?,
        _ => return Err(Errno::EINVAL),
    };
    match sent == bytes.len() {
        true => Ok(()),
        false => Err(Errno::EPROTO),
    }
}

/// EMSGSIZE if the kernel would cut a message of so many bytes. A stream does that beyond half of SO_SNDBUF, and says
/// that all was sent. The smallest buffer that Linux allows is enough for [`ALWAYS_FITS`].
fn must_fit(passer: BorrowedFd<'_>, bytes: &[u8]) -> Result<(), Errno> {
    const ALWAYS_FITS: usize = 2048;
    const OVERHEAD: usize = 64;
    if bytes.len() <= ALWAYS_FITS {
        return Ok(());
    }
    match getsockopt(&passer, sockopt::SndBuf) {
        Ok(size) if bytes.len() > (size / 2).saturating_sub(OVERHEAD) => Err(Errno::EMSGSIZE),
        // A sandbox that does not let us ask must not keep us from sending.
        _ => Ok(()),
    }
}

fn send_with<const N: usize>(
    passer: BorrowedFd<'_>,
    fds: &[BorrowedFd<'_>],
    bytes: &[u8],
    may_wait: bool,
) -> Result<usize, Errno> {
    let mut iov = libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    };
    let mut control = MaybeUninit::<Control<N>>::uninit();
    let len = mem::size_of_val(fds);
    debug_assert!(space(len) <= N);
    // SAFETY: all zeros is a valid msghdr.
    let mut msg: libc::msghdr = unsafe { mem::zeroed() };
    msg.msg_iov = &mut iov;
    msg.msg_iovlen = 1;
    msg.msg_control = control.as_mut_ptr().cast();
    msg.msg_controllen = space(len) as _;
    // SAFETY: `control` is aligned and large enough for this one header and `len` bytes of data;
    // the padding that the kernel may read is zeroed first. A BorrowedFd is a c_int in memory.
    unsafe {
        ptr::write_bytes(msg.msg_control.cast::<u8>(), 0, space(len));
        let header = libc::CMSG_FIRSTHDR(&msg);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(len as u32) as _;
        ptr::copy_nonoverlapping(fds.as_ptr().cast::<u8>(), libc::CMSG_DATA(header), len);
    }
    no_sigpipe(passer)?;
    let mut flags = libc::MSG_NOSIGNAL;
    if !may_wait {
        flags |= libc::MSG_DONTWAIT;
    }
    // SAFETY: `msg` points at `iov` and `control`, which outlive the call. sendmsg only reads what they point at.
    let sent = Errno::result(unsafe { sendmsg(passer.as_raw_fd(), &msg, flags) })?;
    Ok(sent as usize)
}

/// A passer that the caller made may not have this yet.
#[cfg(sigpipe_by_option)]
fn no_sigpipe(passer: BorrowedFd<'_>) -> Result<(), Errno> {
    super::unix_socket::set_option(passer, libc::SO_NOSIGPIPE, 1)
}

/// MSG_NOSIGNAL is enough.
#[cfg(not(sigpipe_by_option))]
#[allow(
    clippy::unnecessary_wraps,
    reason = "where there is something to do it may fail"
)]
fn no_sigpipe(_: BorrowedFd<'_>) -> Result<(), Errno> {
    Ok(())
}

#[cfg(not(sendmsg_copies))]
use libc::sendmsg;

/// The system call itself. musl's structures are the kernel's, with padding that must be zero. Its sendmsg(3) makes a copy
/// to be sure of that. Ours is zero already.
///
/// # Safety
/// As for sendmsg(2), and all padding in `msg` and in its control message must be zero.
#[cfg(sendmsg_copies)]
unsafe fn sendmsg(passer: RawFd, msg: *const libc::msghdr, flags: c_int) -> libc::c_long {
    // SAFETY: the caller keeps to it.
    unsafe { libc::syscall(libc::SYS_sendmsg, passer, msg, flags) }
}

// --- receiving -----------------------------------------------------------------------------------

/// Takes one message if there is one, and drops its bytes. `room_for_messages` or `rehearse` comes directly before.
///
/// It must never have less room for bytes than a message may have: what a short read leaves would join the
/// next message. One buffer that several iovecs share is room enough for bytes that nobody wants.
#[inline(never)] // its buffers and those of the proofs are not needed at the same time
pub(crate) fn receive(passer: BorrowedFd<'_>, fds: &mut Fds) -> Result<Message, Errno> {
    const SHARES: usize = 4;
    const SHARE: usize = MAX_DATA / SHARES + 1;
    let mut scratch = [MaybeUninit::<u8>::uninit(); SHARE];
    let share = libc::iovec {
        iov_base: scratch.as_mut_ptr().cast(),
        iov_len: SHARE,
    };
    recvmsg(passer, &mut [share; SHARES], Room::ForAll, fds, 0)
}

/// Takes one message if there is one, with its bytes. `data` has room for the longest message.
#[inline(never)] // as above
pub(crate) fn receive_with_data(
    passer: BorrowedFd<'_>,
    fds: &mut Fds,
    data: &mut [u8],
) -> Result<Message, Errno> {
    debug_assert!(data.len() >= MAX_DATA);
    // One byte more shows that a message is too long.
    let mut surplus = MaybeUninit::<u8>::uninit();
    let mut iov = [
        libc::iovec {
            iov_base: data.as_mut_ptr().cast(),
            iov_len: MAX_DATA,
        },
        libc::iovec {
            iov_base: surplus.as_mut_ptr().cast(),
            iov_len: 1,
        },
    ];
    recvmsg(passer, &mut iov, Room::ForAll, fds, 0)
}

/// How many descriptors a control buffer has room for.
#[derive(Clone, Copy)]
pub(super) enum Room {
    /// All that a message can have, and everything else that the kernel may add.
    ForAll,
    /// Exactly so many. Where the kernel adds something else, it may be fewer.
    #[cfg_attr(not(peek_installs), allow(dead_code, reason = "for a look"))]
    For(usize),
}

impl Room {
    fn bytes(self) -> usize {
        match self {
            Self::ForAll => RECEIVE_CONTROL,
            // SAFETY: CMSG_LEN only computes.
            Self::For(fds) => unsafe {
                libc::CMSG_LEN((fds * mem::size_of::<RawFd>()) as u32) as usize
            },
        }
    }
}

/// Shows the next message, and installs duplicates of its descriptors as far as there are slots. Consumes
/// nothing. Shows one byte at most.
#[cfg(peek_installs)]
pub(super) fn peek(passer: BorrowedFd<'_>, room: Room, fds: &mut Fds) -> Result<Message, Errno> {
    let mut byte = MaybeUninit::<u8>::uninit();
    let mut iov = [libc::iovec {
        iov_base: byte.as_mut_ptr().cast(),
        iov_len: 1,
    }];
    recvmsg(passer, &mut iov, room, fds, libc::MSG_PEEK)
}

fn recvmsg(
    passer: BorrowedFd<'_>,
    iov: &mut [libc::iovec],
    room: Room,
    fds: &mut Fds,
    flags: c_int,
) -> Result<Message, Errno> {
    let mut control = MaybeUninit::<Control<RECEIVE_CONTROL>>::uninit();
    // SAFETY: all zeros is a valid msghdr.
    let mut msg: libc::msghdr = unsafe { mem::zeroed() };
    msg.msg_iov = iov.as_mut_ptr();
    msg.msg_iovlen = iov.len() as _;
    msg.msg_control = control.as_mut_ptr().cast();
    msg.msg_controllen = room.bytes() as _;
    let flags = flags | libc::MSG_DONTWAIT | RECEIVE_CLOEXEC;
    // SAFETY: `msg` points at `iov` and `control`, which outlive the call.
    let bytes = Errno::result(unsafe { libc::recvmsg(passer.as_raw_fd(), &mut msg, flags) });
    if cfg!(full_table_is_emsgsize) && bytes == Err(Errno::EMSGSIZE) {
        return Ok(Message {
            bytes: 1,
            too_long: false,
            truncated: true,
        });
    }
    let bytes = bytes? as usize;
    // SAFETY: `msg` is as the kernel left it after success, and this is the only time that the
    // descriptors in it are taken.
    let overflow = unsafe { own(&msg, fds) };
    if cfg!(cloexec_after_recvmsg) {
        fds.iter().try_for_each(super::table::close_on_exec)?;
    }
    Ok(Message {
        bytes,
        too_long: bytes > MAX_DATA
            || msg.msg_flags & libc::MSG_TRUNC != 0 && flags & libc::MSG_PEEK == 0,
        truncated: overflow || msg.msg_flags & libc::MSG_CTRUNC != 0,
    })
}

#[cfg(not(cloexec_after_recvmsg))]
const RECEIVE_CLOEXEC: c_int = libc::MSG_CMSG_CLOEXEC;
#[cfg(cloexec_after_recvmsg)]
const RECEIVE_CLOEXEC: c_int = 0;

/// Appends every SCM_RIGHTS descriptor to `fds`, and closes those that come as something else.
/// True if one had to be closed for want of room in `fds`.
///
/// # Safety
/// `msg` must come from a successful recvmsg, and be passed here once.
unsafe fn own(msg: &libc::msghdr, fds: &mut Fds) -> bool {
    let mut overflow = false;
    // SAFETY: the kernel filled the control buffer up to msg_controllen, which is what these walk.
    let mut header = unsafe { libc::CMSG_FIRSTHDR(msg) };
    // SAFETY: CMSG_FIRSTHDR and CMSG_NXTHDR answer null or a header within the buffer.
    while let Some(cmsg) = unsafe { header.as_ref() } {
        // SAFETY: within the same header.
        let data = unsafe { libc::CMSG_DATA(header) };
        let len = data_len(msg, cmsg, data);
        match (cmsg.cmsg_level, cmsg.cmsg_type) {
            (libc::SOL_SOCKET, libc::SCM_RIGHTS) => {
                // SAFETY: `len` bytes of descriptors that the kernel installed for us.
                for fd in unsafe { installed(data, len) } {
                    overflow |= fds.try_push(fd).is_err();
                }
            }
            (libc::SOL_SOCKET, SCM_PIDFD) => {
                // SAFETY: as above; a pidfd comes with SO_PASSPIDFD.
                unsafe { installed(data, len) }.for_each(drop);
            }
            _ => {}
        }
        // SAFETY: `header` came from this very walk.
        header = unsafe { libc::CMSG_NXTHDR(msg, header) };
    }
    overflow
}

/// How many bytes of a control message's data are there.
#[allow(
    clippy::unnecessary_cast,
    reason = "cmsg_len and msg_controllen are 32 bits wide on some systems"
)]
fn data_len(msg: &libc::msghdr, cmsg: &libc::cmsghdr, data: *const u8) -> usize {
    let len = (cmsg.cmsg_len as usize).saturating_sub(data as usize - ptr::from_ref(cmsg) as usize);
    if cfg!(cmsg_len_not_cut) {
        let end = msg.msg_control as usize + msg.msg_controllen as usize;
        return len.min(end.saturating_sub(data as usize));
    }
    len
}

/// Not in libc yet; from Linux's `linux/socket.h`.
#[cfg(linux_like)]
const SCM_PIDFD: c_int = 4;
/// No other system has it.
#[cfg(not(linux_like))]
const SCM_PIDFD: c_int = -1;

/// The descriptors in a control message's data. A negative one is an error number (SCM_PIDFD).
///
/// # Safety
/// `data` must point at `len` bytes of descriptors that nobody else owns.
unsafe fn installed(data: *const u8, len: usize) -> impl Iterator<Item = OwnedFd> {
    (0..len / mem::size_of::<RawFd>()).filter_map(move |i| {
        // SAFETY: within `len`. The data of a control message may be unaligned.
        let fd = unsafe { data.cast::<RawFd>().add(i).read_unaligned() };
        // SAFETY: the kernel installed it for us just now.
        (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd) })
    })
}

const _: () = assert!(mem::size_of::<BorrowedFd<'_>>() == mem::size_of::<c_int>());
const _: () = assert!(mem::align_of::<Control<1>>() >= mem::align_of::<*mut c_void>());

// SPDX-License-Identifier: MIT OR Apache-2.0
//! The BSD interface: descriptors as SCM_RIGHTS control messages over AF_UNIX sockets.
//!
//! The two system calls are made on libc: nix's `RecvMsg::cmsgs` leaks what arrived when
//! MSG_CTRUNC is set.
//!
//! # Where systems differ
//!
//! This is what their sources say. `build.rs` lists the properties by system, and `kernel` decides by them what an answer
//! means. docs/platforms.md has the rest, and says what was seen. Solaris has the properties of illumos: its source is closed.
//!
//! | | Linux, Android | FreeBSD | DragonFly | NetBSD | OpenBSD | macOS, iOS | illumos |
//! |---|---|---|---|---|---|---|---|
//! | descriptors in a message | 253 | 254 | 254 | 1020 | 127 | 254 | about 2045 |
//! | of more it says | EINVAL | E2BIG | E2BIG | EINVAL | E2BIG | EINVAL | EINVAL |
//! | we send at most | 253 | 253, before 13 one | one | one | 127 | 253 | 253 |
//! | no slot when receiving | the byte, MSG_CTRUNC | EMSGSIZE | EMSGSIZE | EMSGSIZE | EMSGSIZE | EMSGSIZE | EMFILE |
//! | then lost | those without a slot | all | all | all | all | all | all |
//! | and the bytes | taken | stay | stay | stay | stay | stay | taken |
//! | other errors that destroy | | E2BIG, ENOBUFS | | EPERM, EINVAL | EPERM, ENOSYS | EMFILE, ENOMEM | |
//! | a look with MSG_PEEK (`rehearsal`) | installs duplicates | must not be made: shows pointers | the same | the same | must not be made | must not be made | installs duplicates, all or none |
//! | room for a message (`room`) | select beyond the table | poll, POLLNVAL | poll | poll | poll | fcntl | poll |
//! | sending does not wait | MSG_DONTWAIT | and MSG_NBIO | MSG_DONTWAIT | and MSG_NBIO | MSG_DONTWAIT | O_NONBLOCK | O_NONBLOCK |
//! | a full socket | EAGAIN | EAGAIN | EAGAIN | EAGAIN, EMSGSIZE | EAGAIN, ENOBUFS | EAGAIN, EMSGSIZE | undecided |
//! | too many in flight | ETOOMANYREFS | | | EAGAIN | EMFILE | | |
//! | close-on-exec when receiving | MSG_CMSG_CLOEXEC | the same | the same | the same | the same | fcntl afterwards | both |
//! | `cmsg_len` if truncated | cut | not relied on | not relied on | not relied on | not relied on | not cut | not cut on old releases |
//! | the errno of descriptors destroyed | ENOTRECOVERABLE | the same | the same | ENOLINK | ENOTRECOVERABLE | the same | the same |
//! | who the peer is (`peer`) | SO_PEERCRED | LOCAL_PEERCRED | getpeereid | LOCAL_PEEREID | SO_PEERCRED | getpeereid, LOCAL_PEERPID | getpeerucred |
//!
//! Where a look cannot be made, nobody knows how many descriptors wait. One free slot counts as enough there, so a table
//! that is nearly full can destroy a message of several. That is reported (ENOTRECOVERABLE).
#![allow(
    unsafe_code,
    reason = "sendmsg, recvmsg and the walk over control messages are pointers throughout"
)]

use super::kernel::HERE;
use super::table::is_number_open;
use super::wait::is_ready;
use super::{Fds, Message};
use crate::transfer::MAX_DATA;
use crate::Mode;
use libc::{c_int, c_void};
use nix::errno::Errno;
use nix::poll::{PollFlags, PollTimeout};
use nix::sys::socket::{getsockopt, sockopt};
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};

pub(crate) const MODE: Mode = Mode::Bsd;

/// Linux's SCM_MAX_FD. The others carry more, except OpenBSD.
#[cfg(not(carries_127))]
pub(crate) const MAX_PER_MESSAGE: usize = 253;
#[cfg(carries_127)]
pub(crate) const MAX_PER_MESSAGE: usize = 127;

/// The slots that a message may take for the moment in which it is received: with SO_PASSPIDFD a pidfd comes along.
pub(crate) const SLOTS_PER_MESSAGE: usize = MAX_PER_MESSAGE + 1;

/// sendmsg(2) says EAGAIN although it may wait.
pub(crate) const FULL_DESPITE_WAITING: bool = HERE.full_is_emsgsize;

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
    let _dont_wait = DontWait::new(passer, may_wait)?;
    let sent = match send_once(passer, fds, bytes, may_wait) {
        Ok(sent) => sent,
        Err(error) => send_again(passer, fds, bytes, may_wait, error)?,
    };
    match sent == bytes.len() {
        true => Ok(()),
        false => Err(Errno::EPROTO),
    }
}

#[inline]
fn send_once(
    passer: BorrowedFd<'_>,
    fds: &[BorrowedFd<'_>],
    bytes: &[u8],
    may_wait: bool,
) -> Result<usize, Errno> {
    match fds.len() {
        1 => send_with::<{ space(mem::size_of::<RawFd>()) }>(passer, fds, bytes, may_wait),
        several @ 2..=MAX_PER_MESSAGE if several <= most_to_send() => {
            send_with::<{ space(RIGHTS) }>(passer, fds, bytes, may_wait)
        }
        _ => Err(Errno::EINVAL),
    }
}

/// Says what `error` means. Where that depends on what poll(2) says, it may be worth a second try.
#[cold]
fn send_again(
    passer: BorrowedFd<'_>,
    fds: &[BorrowedFd<'_>],
    bytes: &[u8],
    may_wait: bool,
    error: Errno,
) -> Result<usize, Errno> {
    let several = fds.len() > 1;
    let is_writable = || is_ready(passer, PollFlags::POLLOUT, PollTimeout::ZERO) == Ok(true);
    let error = match HERE.send(error, several, false, is_writable) {
        Some(error) => error,
        None => match send_once(passer, fds, bytes, may_wait) {
            Ok(sent) => return Ok(sent),
            Err(error) => HERE
                .send(error, several, true, is_writable)
                .unwrap_or(error),
        },
    };
    let is_open = |fd: &BorrowedFd<'_>| is_number_open(fd.as_raw_fd());
    Err(HERE.refused(error, || is_open(&passer) && fds.iter().all(is_open)))
}

/// The most descriptors in a message that arrive for certain.
pub(crate) fn most_to_send() -> usize {
    HERE.most_to_send(MAX_PER_MESSAGE, freebsd_release)
}

/// Asked for once.
fn freebsd_release() -> Option<u32> {
    static KNOWN: AtomicU32 = AtomicU32::new(0);
    if KNOWN.load(Ordering::Relaxed) == 0 {
        let release = super::room::sysctl(c"kern.osreldate")? / 100_000;
        KNOWN.store(release, Ordering::Relaxed);
    }
    Some(KNOWN.load(Ordering::Relaxed))
}

/// Keeps a sendmsg(2) that may not wait from waiting.
#[cfg(not(only_o_nonblock))]
struct DontWait;

#[cfg(not(only_o_nonblock))]
impl DontWait {
    /// MSG_DONTWAIT does it.
    #[allow(
        clippy::unnecessary_wraps,
        reason = "where there is something to do it may fail"
    )]
    fn new(_: BorrowedFd<'_>, _: bool) -> Result<Self, Errno> {
        Ok(Self)
    }
}

/// Nothing but O_NONBLOCK does it here. Whoever shares the socket has it, too, for the moment of the call.
#[cfg(only_o_nonblock)]
struct DontWait<'fd>(Option<BorrowedFd<'fd>>);

#[cfg(only_o_nonblock)]
impl<'fd> DontWait<'fd> {
    fn new(passer: BorrowedFd<'fd>, may_wait: bool) -> Result<Self, Errno> {
        if may_wait || super::wait::is_nonblocking(passer)? {
            return Ok(Self(None));
        }
        super::wait::set_nonblocking(passer)?;
        Ok(Self(Some(passer)))
    }
}

#[cfg(only_o_nonblock)]
impl Drop for DontWait<'_> {
    fn drop(&mut self) {
        if let Some(passer) = self.0 {
            // It cannot fail: the same call has just succeeded.
            let _ = super::wait::set_blocking(passer);
        }
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
        flags |= DONT_WAIT;
    }
    // SAFETY: `msg` points at `iov` and `control`, which outlive the call. sendmsg only reads what they point at.
    let sent = Errno::result(unsafe { sendmsg(passer.as_raw_fd(), &msg, flags) })?;
    Ok(sent as usize)
}

#[cfg(not(msg_nbio))]
const DONT_WAIT: c_int = libc::MSG_DONTWAIT;
#[cfg(all(msg_nbio, not(played)))]
const DONT_WAIT: c_int = libc::MSG_DONTWAIT | libc::MSG_NBIO;
/// A bit that Linux has no use for. tests/kernels/ takes it for MSG_NBIO.
#[cfg(all(msg_nbio, played))]
const DONT_WAIT: c_int = libc::MSG_DONTWAIT | 1 << 24;

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

/// musl's structures are the kernel's, with padding that must be zero. Its sendmsg(3) makes a copy to be sure of that, and
/// says ENOMEM if a message is too large for the copy. Our padding is zero already, so such a message goes to the system
/// call directly.
///
/// # Safety
/// As for sendmsg(2), and all padding in `msg` and in its control message must be zero.
#[cfg(sendmsg_copies)]
unsafe fn sendmsg(passer: RawFd, msg: *const libc::msghdr, flags: c_int) -> libc::c_long {
    const COPIES: u32 = 1024;
    // SAFETY: the caller keeps to it.
    unsafe {
        match (*msg).msg_controllen <= COPIES {
            true => libc::sendmsg(passer, msg, flags) as libc::c_long,
            false => libc::syscall(libc::SYS_sendmsg, passer, msg, flags),
        }
    }
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
    let bytes = match bytes {
        Ok(bytes) => bytes as usize,
        Err(error) if flags & libc::MSG_PEEK == 0 && HERE.destroys(error) => return Ok(DESTROYED),
        Err(error) => return Err(error),
    };
    // SAFETY: `msg` is as the kernel left it after success, and this is the only time that the
    // descriptors in it are taken.
    let lost = unsafe { own(&msg, fds) };
    if cfg!(cloexec_after_recvmsg) {
        fds.iter().try_for_each(super::table::close_on_exec)?;
    }
    Ok(Message {
        bytes,
        too_long: bytes > MAX_DATA
            || msg.msg_flags & libc::MSG_TRUNC != 0 && flags & libc::MSG_PEEK == 0,
        truncated: lost || msg.msg_flags & libc::MSG_CTRUNC != 0,
    })
}

/// A message that has lost its descriptors. (On the BSDs and macOS its bytes are still there. They come next, alone, unless
/// another receiver takes them, so they must not be drained here.)
const DESTROYED: Message = Message {
    bytes: 1,
    too_long: false,
    truncated: true,
};

#[cfg(not(no_msg_cmsg_cloexec))]
const RECEIVE_CLOEXEC: c_int = libc::MSG_CMSG_CLOEXEC;
#[cfg(no_msg_cmsg_cloexec)]
const RECEIVE_CLOEXEC: c_int = 0;

/// Appends every SCM_RIGHTS descriptor to `fds`, and closes those that come as something else.
/// True if one had to be closed for want of room in `fds`, or if there is an error number in its place.
///
/// # Safety
/// `msg` must come from a successful recvmsg, and be passed here once.
unsafe fn own(msg: &libc::msghdr, fds: &mut Fds) -> bool {
    let mut lost = false;
    // SAFETY: the kernel filled the control buffer up to msg_controllen, which is what these walk.
    let mut header = unsafe { libc::CMSG_FIRSTHDR(msg) };
    // SAFETY: CMSG_FIRSTHDR and CMSG_NXTHDR answer null or a header within the buffer.
    while let Some(cmsg) = unsafe { header.as_ref() } {
        // SAFETY: within the same header.
        let data = unsafe { libc::CMSG_DATA(header) };
        let len = data_len(msg, cmsg, data);
        match (cmsg.cmsg_level, cmsg.cmsg_type) {
            (libc::SOL_SOCKET, libc::SCM_RIGHTS) => {
                let before = fds.len();
                // SAFETY: `len` bytes of descriptors that the kernel installed for us.
                for fd in unsafe { installed(data, len) } {
                    let _ = fds.try_push(fd);
                }
                lost |= fds.len() - before < len / mem::size_of::<RawFd>();
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
    lost
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

/// The descriptors in a control message's data. Left out are error numbers: of a pidfd, or with
/// SO_RIGHTS_NOTRUNC of a descriptor that a security module refused.
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

//! The BSD interface: descriptors as SCM_RIGHTS control messages over AF_UNIX sockets.
//!
//! The two system calls are made on libc: nix's `RecvMsg::cmsgs` leaks what arrived when
//! MSG_CTRUNC is set.
//!
//! # Where systems differ
//!
//! Only Linux was run. Of the rest names and types were checked by compiling; how those kernels behave is
//! what this project knows of them, not what it has seen.
//!
//! | | Linux, Android | FreeBSD, DragonFly | NetBSD | OpenBSD | macOS, iOS | illumos | Solaris |
//! |---|---|---|---|---|---|---|---|
//! | close-on-exec when receiving | MSG_CMSG_CLOEXEC | the same | the same | the same | fcntl afterwards | MSG_CMSG_CLOEXEC | fcntl afterwards |
//! | and for sockets (`unix_socket`) | SOCK_CLOEXEC, accept4 | the same | the same | the same | fcntl afterwards | SOCK_CLOEXEC, accept4 | the same |
//! | no SIGPIPE | MSG_NOSIGNAL | the same | the same | the same | the same, and SO_NOSIGPIPE before each send | MSG_NOSIGNAL | the same |
//! | is it a local socket | SO_DOMAIN | getsockname | getsockname | getsockname | getsockname | getsockname | getsockname |
//! | room for a message (`room`) | select beyond the table | poll, POLLNVAL | the same | the same | the same | the same | the same |
//! | a look at a message with MSG_PEEK | installs duplicates | must not be made: may copy what are no descriptors of ours | the same | the same | the same | the same | the same |
//! | no slot when receiving | the byte, MSG_CTRUNC | EMSGSIZE, lost | as FreeBSD | as FreeBSD | EMSGSIZE, lost | EMFILE | EMFILE |
//! | `cmsg_len` if truncated | cut | cut | cut | cut | not cut: run past the buffer | cut | cut |
//! | alignment in a control message | that of size_t | that of a word, or more | the same | the same | 4 bytes | 4 bytes | 4 bytes |
//! | descriptors in a message | 253 | a few hundred at most, less than that where pointers are 8 bytes wide | the same | the same | 512 | 253 or fewer | the same |
//! | the errno of descriptors destroyed | ENOTRECOVERABLE | the same | ENOLINK | ENOTRECOVERABLE | the same | the same | the same |
//! | who the peer is (`peer`) | SO_PEERCRED | getpeereid | getpeereid | getpeereid | getpeereid | getpeerucred | getpeerucred |
//!
//! CMSG_SPACE and CMSG_DATA see to the alignment. A message that is refused for its size is sent again as
//! several of one. Where a look cannot be made, it is not known how many descriptors wait: one free slot
//! passes for enough, so a message of several can be destroyed in part by a table that is nearly
//! full. That is reported (ENOTRECOVERABLE).
#![allow(
    unsafe_code,
    reason = "sendmsg, recvmsg and the walk over control messages are pointers throughout"
)]

use super::blocking::{is_nonblocking, is_ready};
use super::{table, Fds, Message, Wait};
use crate::Mode;
use libc::{c_int, c_void};
use nix::errno::Errno;
use nix::poll::{PollFlags, PollTimeout};
use nix::sys::socket::{getsockopt, setsockopt, sockopt};
use nix::sys::time::TimeValLike;
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
    bytes: [MaybeUninit<u8>; N],
}

impl<const N: usize> Control<N> {
    fn new() -> Self {
        Self {
            bytes: [MaybeUninit::uninit(); N],
        }
    }
}

/// Room for the largest SCM_RIGHTS and, whatever the application switched on with setsockopt,
/// for all that the kernel adds to it: credentials, a pidfd, a security label, timestamps. Too
/// small a buffer would make the kernel destroy descriptors.
const RECEIVE_CONTROL: usize = space(RIGHTS) + 1024;

const fn space(len: usize) -> usize {
    // SAFETY: CMSG_SPACE only computes.
    unsafe { libc::CMSG_SPACE(len as u32) as usize }
}

/// The byte that carries the descriptors: a message of no bytes would carry nothing.
const NUL: u8 = 0;

/// Sends one message with all of `fds`, or nothing.
pub(crate) fn send(
    passer: BorrowedFd<'_>,
    fds: &[BorrowedFd<'_>],
    wait: Wait,
) -> Result<(), Errno> {
    // A TCP socket takes the byte, drops the descriptors and reports success.
    if !is_unix(passer)? {
        return Err(Errno::EAFNOSUPPORT);
    }
    match fds.len() {
        1 => send_with::<{ space(mem::size_of::<RawFd>()) }>(passer, fds, wait),
        2..=MAX_PER_MESSAGE => send_with::<{ space(RIGHTS) }>(passer, fds, wait),
        _ => Err(Errno::EINVAL),
    }
}

fn send_with<const N: usize>(
    passer: BorrowedFd<'_>,
    fds: &[BorrowedFd<'_>],
    wait: Wait,
) -> Result<(), Errno> {
    let mut byte = NUL;
    let mut iov = libc::iovec {
        iov_base: ptr::from_mut(&mut byte).cast(),
        iov_len: 1,
    };
    let mut control = Control::<N>::new();
    let len = mem::size_of_val(fds);
    debug_assert!(space(len) <= N);
    // SAFETY: all zeros is a valid msghdr.
    let mut msg: libc::msghdr = unsafe { mem::zeroed() };
    msg.msg_iov = &mut iov;
    msg.msg_iovlen = 1;
    msg.msg_control = ptr::from_mut(&mut control).cast();
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
    #[cfg(target_vendor = "apple")]
    no_sigpipe(passer)?;
    let flags = match wait {
        Wait::AsPasser => libc::MSG_NOSIGNAL,
        Wait::Never => libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT,
    };
    // SAFETY: `msg` points at `iov` and `control`, which outlive the call.
    Errno::result(unsafe { libc::sendmsg(passer.as_raw_fd(), &msg, flags) }).map(drop)
}

/// A passer that the caller made may not have this yet.
#[cfg(target_vendor = "apple")]
fn no_sigpipe(passer: BorrowedFd<'_>) -> Result<(), Errno> {
    let on: c_int = 1;
    // SAFETY: `on` is a c_int. (nix has no SO_NOSIGPIPE.)
    Errno::result(unsafe {
        libc::setsockopt(
            passer.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NOSIGPIPE,
            ptr::from_ref(&on).cast(),
            mem::size_of::<c_int>() as libc::socklen_t,
        )
    })
    .map(drop)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn is_unix(socket: BorrowedFd<'_>) -> Result<bool, Errno> {
    // SAFETY: all zeros is a valid sockaddr_storage.
    let mut address: libc::sockaddr_storage = unsafe { mem::zeroed() };
    let mut len = mem::size_of::<libc::sockaddr_storage>() as libc::socklen_t;
    // SAFETY: `address` has room for `len` bytes.
    Errno::result(unsafe {
        libc::getsockname(
            socket.as_raw_fd(),
            ptr::from_mut(&mut address).cast(),
            &mut len,
        )
    })?;
    // Some systems have nothing to say of a local socket without a name.
    Ok(len == 0 || c_int::from(address.ss_family) == libc::AF_UNIX)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn is_unix(socket: BorrowedFd<'_>) -> Result<bool, Errno> {
    let mut domain: c_int = 0;
    let mut len = mem::size_of::<c_int>() as libc::socklen_t;
    // SAFETY: `domain` is a c_int and `len` its size. (nix has no SO_DOMAIN.)
    Errno::result(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_DOMAIN,
            ptr::from_mut(&mut domain).cast(),
            &mut len,
        )
    })?;
    Ok(domain == libc::AF_UNIX)
}

/// Takes one message if there is one. `room_for_messages` or `rehearse` comes directly before.
pub(crate) fn receive(passer: BorrowedFd<'_>, fds: &mut Fds) -> Result<Message, Errno> {
    recvmsg(passer, fds, 0)
}

/// Finds out, where room is not proven, whether the next message fits, and consumes nothing.
///
/// A look at the message with MSG_PEEK installs duplicates of its descriptors, as many as find a
/// slot, and is the proof if all did; they are closed again at once. With several receivers on one
/// end, another may take this message before we do, and the one behind it may be larger: then, and
/// only in a table that is nearly full, the kernel can destroy what did not fit. `receive` reports
/// that.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn rehearse(passer: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut fds = Fds::new();
    let message = match recvmsg(passer, &mut fds, libc::MSG_PEEK) {
        // A look passes out-of-band bytes by, though they keep the passer readable: put them in line,
        // where they are bytes like others, or a hostile peer's would make the caller spin.
        Err(Errno::EAGAIN) => {
            setsockopt(&passer, sockopt::OobInline, &true)?;
            recvmsg(passer, &mut fds, libc::MSG_PEEK)?
        }
        result => result?,
    };
    table::all_above_stdio(&mut fds)?;
    if message.truncated {
        // A full table does this, but so does a security module that refuses a descriptor: then
        // waiting for a free slot would be waiting for ever.
        table::one_free_slot(passer)?;
    }
    Ok(())
}

/// Finds out, where room is not proven, whether the next message fits, and consumes nothing.
///
/// Elsewhere MSG_PEEK does not install what it shows, so what it shows are no descriptors: the look is
/// without a control buffer, and tells bytes, which a descriptor may come with, from nothing and the end.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn rehearse(passer: BorrowedFd<'_>) -> Result<(), Errno> {
    let full = match table::one_free_slot(passer) {
        Err(Errno::EMFILE) => Errno::EMFILE,
        result => return result,
    };
    let mut byte = 0u8;
    let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
    // SAFETY: room for one byte.
    match Errno::result(unsafe {
        libc::recv(
            passer.as_raw_fd(),
            ptr::from_mut(&mut byte).cast(),
            1,
            flags,
        )
    }) {
        Ok(0) => Ok(()),
        Ok(_) => Err(full),
        Err(Errno::EAGAIN) => setsockopt(&passer, sockopt::OobInline, &true),
        Err(error) => Err(error),
    }
}

/// What recvmsg takes beside the flags of the moment.
#[cfg(not(any(target_vendor = "apple", target_os = "solaris")))]
const RECEIVE: c_int = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
#[cfg(any(target_vendor = "apple", target_os = "solaris"))]
const RECEIVE: c_int = libc::MSG_DONTWAIT;

/// Where the kernel cannot, as soon as they are ours.
#[cfg(any(target_vendor = "apple", target_os = "solaris"))]
fn close_on_exec(fds: &Fds) -> Result<(), Errno> {
    use nix::fcntl::{fcntl, FcntlArg, FdFlag};
    fds.iter()
        .try_for_each(|fd| fcntl(fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).map(drop))
}

fn recvmsg(passer: BorrowedFd<'_>, fds: &mut Fds, flags: c_int) -> Result<Message, Errno> {
    let mut byte = MaybeUninit::<u8>::uninit();
    let mut iov = libc::iovec {
        iov_base: byte.as_mut_ptr().cast(),
        iov_len: 1,
    };
    let mut control = Control::<RECEIVE_CONTROL>::new();
    // SAFETY: all zeros is a valid msghdr.
    let mut msg: libc::msghdr = unsafe { mem::zeroed() };
    msg.msg_iov = &mut iov;
    msg.msg_iovlen = 1;
    msg.msg_control = ptr::from_mut(&mut control).cast();
    msg.msg_controllen = RECEIVE_CONTROL as _;
    let flags = flags | RECEIVE;
    // SAFETY: `msg` points at `iov` and `control`, which outlive the call.
    let bytes = Errno::result(unsafe { libc::recvmsg(passer.as_raw_fd(), &mut msg, flags) });
    // Linux never says so here. Where it is said, there was no slot for what came, and it is gone.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    if bytes == Err(Errno::EMSGSIZE) {
        return Ok(Message {
            bytes: 1,
            truncated: true,
        });
    }
    let bytes = bytes?;
    // SAFETY: `msg` is as the kernel left it after success, and this is the only time that the
    // descriptors in it are taken.
    let overflow = unsafe { own(&msg, fds) };
    #[cfg(any(target_vendor = "apple", target_os = "solaris"))]
    close_on_exec(fds)?;
    Ok(Message {
        bytes: bytes as usize,
        truncated: overflow || msg.msg_flags & libc::MSG_CTRUNC != 0,
    })
}

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
        // The kernel never lets a message's length run past the buffer on Linux.
        #[allow(
            clippy::unnecessary_cast,
            reason = "cmsg_len is 32 bits wide elsewhere"
        )]
        let len = (cmsg.cmsg_len as usize).saturating_sub(data as usize - header as usize);
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        let len = {
            // macOS leaves the length as it was sent, however little of it is there.
            #[allow(
                clippy::unnecessary_cast,
                reason = "msg_controllen is size_t on some systems"
            )]
            let end = msg.msg_control as usize + msg.msg_controllen as usize;
            len.min(end.saturating_sub(data as usize))
        };
        match (cmsg.cmsg_level, cmsg.cmsg_type) {
            (libc::SOL_SOCKET, libc::SCM_RIGHTS) => {
                // SAFETY: `len` bytes of descriptors that the kernel installed for us.
                for fd in unsafe { installed(data, len) } {
                    overflow |= fds.try_push(fd).is_err();
                }
            }
            #[cfg(any(target_os = "linux", target_os = "android"))]
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

/// Not in libc yet; from Linux's `linux/socket.h`.
#[cfg(any(target_os = "linux", target_os = "android"))]
const SCM_PIDFD: c_int = 4;

/// The descriptors in a control message's data. A negative one is an error number (SCM_PIDFD).
///
/// # Safety
/// `data` must point at `len` bytes of descriptors that nobody else owns.
unsafe fn installed(data: *const u8, len: usize) -> impl Iterator<Item = OwnedFd> {
    (0..len / mem::size_of::<RawFd>()).filter_map(move |i| {
        // SAFETY: within `len`; the data of a control message is not aligned for certain.
        let fd = unsafe { data.cast::<RawFd>().add(i).read_unaligned() };
        // SAFETY: the kernel installed it for us just now.
        (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd) })
    })
}

/// Sleeps until there may be something to receive, as long as a blocking `recvmsg` would.
pub(crate) fn wait_readable(passer: BorrowedFd<'_>) -> Result<(), Errno> {
    if is_nonblocking(passer)? {
        return Err(Errno::EAGAIN);
    }
    let timeout = match getsockopt(&passer, sockopt::ReceiveTimeout)?.num_microseconds() {
        0 => PollTimeout::NONE,
        us => PollTimeout::try_from((us + 999) / 1000).unwrap_or(PollTimeout::MAX),
    };
    match is_ready(passer, PollFlags::POLLIN, timeout)? {
        true => Ok(()),
        false => Err(Errno::EAGAIN),
    }
}

const _: () = assert!(mem::size_of::<BorrowedFd<'_>>() == mem::size_of::<c_int>());
const _: () = assert!(mem::align_of::<Control<1>>() >= mem::align_of::<*mut c_void>());

// SPDX-License-Identifier: MIT OR Apache-2.0
//! The BSD interface's connections: AF_UNIX sockets, their addresses and their options.
#![allow(
    unsafe_code,
    reason = "socket options that nix lacks, and nix's accept4, which answers a bare number to be owned"
)]

use super::table::{above_stdio, Place};
use super::wait::{self, Wait, Waits};
use super::Kind;
use libc::c_int;
use nix::errno::Errno;
use nix::poll::{poll, PollFlags};
use nix::sys::socket::{
    self, getsockopt, sockopt, AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr,
};
use nix::sys::time::TimeVal;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;
use std::time::{Duration, Instant};

// --- connections ---------------------------------------------------------------------------------

/// Both ends of a new connection.
pub(crate) fn pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    let (a, b) = socket::socketpair(AddressFamily::Unix, SockType::Stream, None, CLOEXEC)?;
    let (a, b) = (ours(a)?, ours(b)?);
    keep_in_line(a.as_fd());
    keep_in_line(b.as_fd());
    Ok((a, b))
}

/// The next connection of `listener`. With [`Wait::Until`] this sets O_NONBLOCK on the listener. Otherwise accept(2) would
/// wait beyond the deadline if another process took the connection between our poll(2) and our accept(2).
pub(crate) fn accept(listener: BorrowedFd<'_>, wait: Wait) -> Result<OwnedFd, Errno> {
    if matches!(wait, Wait::Until(_)) {
        wait::set_nonblocking(listener)?;
    }
    let mut waits = Waits::new(wait);
    loop {
        // A connection that was taken off the queue cannot be put back, so find its place first. Linux does so too, but
        // gVisor and macOS take the connection and then say EMFILE.
        let place = Place::reserve(listener)?;
        match accept_now(listener) {
            Err(Errno::EAGAIN) if matches!(wait, Wait::Until(_)) => {
                drop(place);
                waits.wait_readable(listener)?;
                // In non-blocking mode accept(2) goes on saying EAGAIN then, while poll(2) says ready.
                if is_shut_down(listener)? {
                    return Err(Errno::EINVAL);
                }
            }
            result => {
                let passer = place.take(result?)?;
                keep_in_line(passer.as_fd());
                return Ok(passer);
            }
        }
    }
}

/// Whether EAGAIN is how this socket ends: it has datagrams, and was shut down here. Any other socket says 0 at its end.
/// Where a sandbox does not let us ask for its kind, it may have datagrams.
pub(crate) fn ends_with_eagain(passer: BorrowedFd<'_>) -> Result<bool, Errno> {
    let may_have_datagrams =
        || getsockopt(&passer, sockopt::SockType).map_or(true, |kind| kind == SockType::Datagram);
    Ok(is_shut_down(passer)? && may_have_datagrams())
}

/// Whether somebody has shut a socket down, so that nothing more arrives. (Linux says POLLHUP only if both directions
/// are.)
fn is_shut_down(socket: BorrowedFd<'_>) -> Result<bool, Errno> {
    Ok(wait::found(socket, ASK)?.contains(PollFlags::POLLHUP))
}

#[cfg(linux_like)]
const ASK: PollFlags = PollFlags::from_bits_retain(libc::POLLRDHUP);
/// macOS says nothing unless something is asked.
#[cfg(not(linux_like))]
const ASK: PollFlags = PollFlags::POLLIN;

#[cfg(not(cloexec_after_socket))]
fn accept_now(listener: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let fd = socket::accept4(listener.as_raw_fd(), CLOEXEC)?;
    // SAFETY: the kernel just made it for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
#[cfg(cloexec_after_socket)]
fn accept_now(listener: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let fd = socket::accept(listener.as_raw_fd())?;
    // SAFETY: the kernel just made it for us.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    super::table::close_on_exec(&fd)?;
    // It has the listener's mode.
    wait::set_blocking(fd.as_fd())?;
    Ok(fd)
}

/// A connection to the listener at `path`.
pub(crate) fn connect(path: &Path, wait: Wait) -> Result<OwnedFd, Errno> {
    let address = address(path)?;
    let passer = stream()?;
    match wait {
        Wait::Until(Some(deadline)) => connect_until(&passer, &address, deadline)?,
        _ => match socket::connect(passer.as_raw_fd(), &address) {
            // gVisor does not wait for room in the backlog.
            Err(Errno::EAGAIN) => connect_by_trial(&passer, &address, None)?,
            result => result?,
        },
    }
    keep_in_line(passer.as_fd());
    Ok(passer)
}

/// Nothing can be polled for room in the backlog, but Linux keeps to SO_SNDTIMEO while it waits for it.
fn connect_until(passer: &OwnedFd, address: &UnixAddr, deadline: Instant) -> Result<(), Errno> {
    let left = deadline.saturating_duration_since(Instant::now());
    let mut connected = Err(Errno::EAGAIN);
    // To the kernel a timeout of 0 is for ever. A sandbox may refuse the option.
    if !left.is_zero() && set_send_timeout(passer, Some(left)).is_ok() {
        connected = socket::connect(passer.as_raw_fd(), address);
        set_send_timeout(passer, None)?;
    }
    if connected == Err(Errno::EAGAIN) {
        connected = connect_by_trial(passer, address, Some(deadline));
    }
    connected.map_err(|error| match error {
        Errno::EAGAIN => Errno::ETIMEDOUT,
        other => other,
    })
}

/// Tries once, and again every 10 ms until the time is over.
fn connect_by_trial(
    passer: &OwnedFd,
    address: &UnixAddr,
    deadline: Option<Instant>,
) -> Result<(), Errno> {
    let goes_on = || deadline.map_or(true, |deadline| Instant::now() < deadline);
    wait::set_nonblocking(passer.as_fd())?;
    let connected = loop {
        match socket::connect(passer.as_raw_fd(), address) {
            Err(Errno::EAGAIN) if goes_on() => poll(&mut [], 10u8)?,
            result => break result,
        };
    };
    wait::set_blocking(passer.as_fd())?;
    connected
}

/// None is for ever, and so is what has no place in a timeval. A part of a microsecond is a whole one.
fn set_send_timeout(passer: &OwnedFd, time: Option<Duration>) -> Result<(), Errno> {
    const FOR_EVER: TimeVal = TimeVal::new(0, 0);
    let time = time.map_or(FOR_EVER, |time| {
        let time = time.saturating_add(Duration::from_nanos(999));
        let seconds = time.as_secs().try_into();
        seconds.map_or(FOR_EVER, |s| TimeVal::new(s, time.subsec_micros() as _))
    });
    socket::setsockopt(passer, sockopt::SendTimeout, &time)
}

pub(super) fn stream() -> Result<OwnedFd, Errno> {
    new_socket(SockType::Stream)
}

pub(super) fn new_socket(kind: SockType) -> Result<OwnedFd, Errno> {
    ours(socket::socket(AddressFamily::Unix, kind, CLOEXEC, None)?)
}

#[cfg(not(cloexec_after_socket))]
const CLOEXEC: SockFlag = SockFlag::SOCK_CLOEXEC;
/// [`ours`] sets it afterwards.
#[cfg(cloexec_after_socket)]
const CLOEXEC: SockFlag = SockFlag::empty();

/// Close-on-exec and from 3 up.
fn ours(fd: OwnedFd) -> Result<OwnedFd, Errno> {
    if cfg!(cloexec_after_socket) {
        super::table::close_on_exec(&fd)?;
    }
    above_stdio(fd)
}

// --- addresses -----------------------------------------------------------------------------------

/// Linux's abstract addresses are written with a NUL in front.
pub(super) fn is_abstract(path: &Path) -> bool {
    path.as_os_str().as_bytes().first() == Some(&0)
}

/// How many bytes of a path an address holds. The NUL behind them is not counted.
pub(super) const LONGEST_ADDRESS: usize =
    mem::size_of::<libc::sockaddr_un>() - mem::offset_of!(libc::sockaddr_un, sun_path) - 1;

pub(super) fn address(path: &Path) -> Result<UnixAddr, Errno> {
    match path.as_os_str().as_bytes() {
        // bind(2) would pick an address of its own here.
        [] => Err(Errno::ENOENT),
        [0, name @ ..] => abstract_address(name),
        // nix copies the path before it looks at the length, and aborts if there is no memory for the copy.
        bytes if bytes.len() > LONGEST_ADDRESS => Err(Errno::ENAMETOOLONG),
        _ => UnixAddr::new(path),
    }
}

#[cfg(linux_like)]
fn abstract_address(name: &[u8]) -> Result<UnixAddr, Errno> {
    UnixAddr::new_abstract(name)
}
#[cfg(not(linux_like))]
fn abstract_address(_: &[u8]) -> Result<UnixAddr, Errno> {
    Err(Errno::EINVAL)
}

// --- what kind of socket it is, and its options --------------------------------------------------

/// EAFNOSUPPORT if descriptors cannot travel over this socket. (A TCP socket takes the byte, drops the descriptors
/// and reports success.) ENOTSOCK or EBADF if it is none.
pub(crate) fn must_be_local(socket: BorrowedFd<'_>) -> Result<(), Errno> {
    let family = match family_by_option(socket) {
        Err(error) if !is_verdict(error) => family_by_name(socket),
        result => result,
    };
    match family {
        Ok(libc::AF_UNIX) => Ok(()),
        Ok(_) => Err(Errno::EAFNOSUPPORT),
        Err(error) if is_verdict(error) => Err(error),
        // A sandbox that does not let us ask must not keep us from sending.
        Err(_) => Ok(()),
    }
}

/// A sandbox that does not let us ask makes every socket a stream.
pub(crate) fn kind(passer: BorrowedFd<'_>) -> Kind {
    match getsockopt(&passer, sockopt::SockType) {
        Ok(SockType::SeqPacket) => Kind::Packets,
        Ok(SockType::Datagram) => Kind::Datagrams,
        _ => Kind::Stream,
    }
}

/// Whether the kernel says this of the descriptor. Everything else is a sandbox's refusal.
fn is_verdict(error: Errno) -> bool {
    matches!(error, Errno::EBADF | Errno::ENOTSOCK)
}

#[cfg(linux_like)]
fn family_by_option(socket: BorrowedFd<'_>) -> Result<c_int, Errno> {
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
    Ok(domain)
}
#[cfg(not(linux_like))]
fn family_by_option(_: BorrowedFd<'_>) -> Result<c_int, Errno> {
    Err(Errno::ENOPROTOOPT)
}

fn family_by_name(socket: BorrowedFd<'_>) -> Result<c_int, Errno> {
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
    Ok(match len {
        // Some systems have nothing to say of a local socket without a name.
        0 => libc::AF_UNIX,
        _ => address.ss_family.into(),
    })
}

/// Keeps out-of-band bytes in line with all others. Otherwise the kernel would destroy a descriptor that comes with
/// one. A failure is ignored: a kernel without the option has no such bytes, and a peer that keeps to the wire sends none.
pub(crate) fn keep_in_line(passer: BorrowedFd<'_>) {
    let _ = set_option(passer, libc::SO_OOBINLINE, 1);
}

/// Makes MSG_PEEK begin with the next message. With SO_PEEK_OFF each look would begin behind the one before.
#[cfg(linux_like)]
pub(super) fn peek_from_start(passer: BorrowedFd<'_>) {
    let _ = set_option(passer, libc::SO_PEEK_OFF, -1);
}
#[cfg(all(peek_installs, not(linux_like)))]
pub(super) fn peek_from_start(_: BorrowedFd<'_>) {}

pub(super) fn set_option(socket: BorrowedFd<'_>, option: c_int, value: c_int) -> Result<(), Errno> {
    // SAFETY: `value` is a c_int, and its size is given.
    Errno::result(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            ptr::from_ref(&value).cast(),
            mem::size_of::<c_int>() as libc::socklen_t,
        )
    })
    .map(drop)
}

// --- waiting -------------------------------------------------------------------------------------

/// SO_RCVTIMEO; `None` is for ever.
pub(crate) fn receive_timeout(passer: BorrowedFd<'_>) -> Result<Option<Duration>, Errno> {
    getsockopt(&passer, sockopt::ReceiveTimeout).map(timeout)
}

/// SO_SNDTIMEO; `None` is for ever.
pub(crate) fn send_timeout(passer: BorrowedFd<'_>) -> Result<Option<Duration>, Errno> {
    getsockopt(&passer, sockopt::SendTimeout).map(timeout)
}

fn timeout(time: TimeVal) -> Option<Duration> {
    let seconds = u64::try_from(time.tv_sec()).ok()?;
    let time = Duration::new(seconds, time.tv_usec() as u32 * 1000);
    (!time.is_zero()).then_some(time)
}

/// Waits in recv(2) until something has arrived, or until SO_RCVTIMEO, which the kernel knows, is over. MSG_PEEK without
/// a control buffer consumes nothing and installs no descriptor.
pub(crate) fn wait_in_kernel(passer: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut byte = [0; 1];
    socket::recv(passer.as_raw_fd(), &mut byte, MsgFlags::MSG_PEEK).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_never_cut_to_what_means_for_ever() {
        let socket = stream().unwrap();
        for nanos in [1, 999, 1000, 1001, 1_500_000_000] {
            let time = Duration::from_nanos(nanos);
            set_send_timeout(&socket, Some(time)).unwrap();
            assert!(send_timeout(socket.as_fd()).unwrap() >= Some(time));
        }
        for time in [None, Some(Duration::MAX)] {
            set_send_timeout(&socket, time).unwrap();
            assert_eq!(send_timeout(socket.as_fd()), Ok(None));
        }
    }

    #[test]
    fn a_long_time_stays_long() {
        assert_eq!(timeout(TimeVal::new(0, 0)), None);
        assert_eq!(
            timeout(TimeVal::new(1, 5)),
            Some(Duration::from_micros(1_000_005))
        );
        let most = libc::time_t::MAX;
        assert_eq!(
            timeout(TimeVal::new(most, 0)),
            Some(Duration::from_secs(most as u64))
        );
    }
}

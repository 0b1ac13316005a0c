//! The one table of what an error means for the caller: whether to try again, and when.

use nix::errno::Errno;
use std::io;
use std::time::Duration;

/// What to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Poll the passer, then try again.
    WhenReady,
    /// The passer may poll ready all the while, so polling would spin: leave it alone this long,
    /// then try again.
    After(Duration),
    /// This attempt is over.
    Never,
}

/// How long a shortage of the system's takes to be worth another look.
const SHORTAGE: Duration = Duration::from_millis(50);

/// Says whether a call that failed with `error` is worth repeating.
///
/// | errno | sending | receiving | retry |
/// |---|---|---|---|
/// | EAGAIN | the socket is full | nothing has arrived | when it polls ready |
/// | EINTR | a signal came while waiting | likewise | at once |
/// | EMFILE, ENFILE | | no free slot; nothing was consumed | after a while |
/// | ETOOMANYREFS | this user has too many descriptors in flight | | after a while |
/// | ENOBUFS, ENOMEM | the kernel is short of memory | likewise | after a while |
/// | EPIPE, ECONNRESET | the peer is gone | the peer is gone, and had not read all of ours | never |
/// | ECONNREFUSED | the peer of a datagram socket is gone | | never |
/// | EBADMSG | | a byte came without a descriptor; it was consumed | never |
/// | EMSGSIZE | | more descriptors than asked for; all were closed | never |
/// | ENOTRECOVERABLE | | the kernel destroyed descriptors of this message; the rest were closed | never |
/// | any other | this descriptor cannot be sent, or the passer is none | the passer is none | never |
///
/// Some Linux kernels, of which 6.18 is none, also say ETOOMANYREFS of a local socket in which sockets are
/// in flight, and in those others, more than four deep. That passes when somebody receives what is in
/// there, and a [`Passer`](crate::Passer) that comes to such a one waits for it: dropping it gives up.
pub fn retry(error: &io::Error) -> Retry {
    error
        .raw_os_error()
        .map_or(Retry::Never, |errno| of(Errno::from_raw(errno)))
}

pub(crate) fn of(errno: Errno) -> Retry {
    match errno {
        Errno::EAGAIN | Errno::EINTR => Retry::WhenReady,
        Errno::EMFILE | Errno::ENFILE | Errno::ETOOMANYREFS | Errno::ENOBUFS | Errno::ENOMEM => {
            Retry::After(SHORTAGE)
        }
        _ => Retry::Never,
    }
}

/// The errno in an error. All that come from the system have one; what std refuses by itself is a path
/// with a NUL inside.
pub(crate) fn errno(error: io::Error) -> Errno {
    known(error.raw_os_error().map_or(Errno::EINVAL, Errno::from_raw))
}

/// A number that nix has no name for would be 0, which is no error.
pub(crate) fn known(errno: Errno) -> Errno {
    match errno {
        Errno::UnknownErrno => Errno::EIO,
        errno => errno,
    }
}

/// A byte without a descriptor.
pub(crate) const NO_DESCRIPTOR: Errno = Errno::EBADMSG;

/// More descriptors than the caller has room for.
pub(crate) const TOO_MANY: Errno = Errno::EMSGSIZE;

/// The kernel destroyed part of a message. No system call that we make reports this by itself.
pub(crate) const DESTROYED: Errno = crate::sys::DESTROYED;

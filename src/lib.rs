//! Hand open file descriptors to another process over a local socket: in order, without blocking
//! unless you want to, and with none lost when the descriptor table is full.
//!
//! A *passer* is a connected descriptor that descriptors travel over, in both directions. Make one
//! with [`socketpair`] before a fork, or with [`server`], [`accept`] and [`connect`] by way of the
//! file system; then [`send_fd`] and [`recv_fd`]. For event loops there is a [`Passer`], with a queue
//! for each direction.
//!
//! ```
//! use std::io::{Read, Write};
//! use std::os::unix::net::UnixStream;
//!
//! let (ours, theirs) = fdpasser::socketpair()?;
//! let (mut near, far) = UnixStream::pair()?;
//!
//! fdpasser::send_fd(&ours, &far)?; // `theirs` would be in another process
//! drop(far);
//! let received = fdpasser::recv_fd(&theirs)?.expect("the peer has not shut down");
//!
//! near.write_all(b"hello")?;
//! drop(near);
//! let mut text = String::new();
//! UnixStream::from(received).read_to_string(&mut text)?;
//! assert_eq!(text, "hello");
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # Promises
//!
//! A descriptor is always in exactly one place: with the sender, in the kernel, or with the
//! receiver. Everything that this crate makes or receives is close-on-exec and numbered 3 or
//! higher; nothing raises SIGPIPE. Sending borrows: the sender's descriptor stays open and its own.
//!
//! The crate keeps no state, not even between calls, but in a [`Passer`]; so all else may be called
//! from any thread and after a fork. Several threads or processes may send over, or receive from, the
//! same end; each descriptor reaches exactly one of them. There is one thing that the kernel does not
//! let us guard: if another thread fills the descriptor table between our proof that there is room
//! and the system call behind it, the kernel destroys what did not fit. That is reported, by an error
//! of its own (ENOTRECOVERABLE).
//!
//! # Sockets that are no streams
//!
//! Any connected local socket can be a passer. Streams, which is what this crate makes, suit best.
//! With SOCK_SEQPACKET and SOCK_DGRAM an empty message passes for an orderly shutdown. With
//! SOCK_SEQPACKET ECONNRESET comes before what the peer had sent, which further calls receive; a
//! [`Passer`] hands it out first all the same. With SOCK_DGRAM only sending shows that the peer is
//! gone, by ECONNREFUSED and then by ENOTCONN, and by that Linux destroys what had come and was not
//! received.
//!
//! # Map
//!
//! `endpoint` makes connections, `transfer` moves descriptors over them, `passer` is the queue on top
//! of that, `error` says which errors pass with time, `ffi` is the C ABI over the four, and `sys` is
//! all that knows the operating system.
#![deny(unsafe_code)]

mod endpoint;
mod error;
#[cfg(all(feature = "capi", not(fuzzing)))]
mod ffi;
/// For the targets in `fuzz/`.
#[cfg(fuzzing)]
pub mod ffi;
mod passer;
mod sys;
mod transfer;

pub use endpoint::{
    accept, connect, peer_cred, server, server_with, socketpair, unlink, Node, PeerCred,
    ServerOptions,
};
pub use error::{retry, Retry};
pub use passer::{Events, Passer, PasserPair, Progress, Refused};
pub use transfer::{
    recv_fd, recv_fds, send_fd, send_fds, try_recv_fds, try_recv_messages, try_send_fds, Stop,
    MAX_PER_MESSAGE,
};

/// The interface to the operating system that descriptors travel by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// SCM_RIGHTS over AF_UNIX sockets: Linux, the BSDs, macOS.
    Bsd = 1,
    /// I_SENDFD over STREAMS.
    SysV = 2,
}

/// Says which interface the crate was built for.
pub const fn mode() -> Mode {
    sys::MODE
}

/// The README's examples are tests too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

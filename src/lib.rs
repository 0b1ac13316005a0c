// SPDX-License-Identifier: MIT OR Apache-2.0
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
//! higher. Nothing raises SIGPIPE. Sending borrows: the sender's descriptor stays open, and stays the sender's.
//!
//! Only a [`Passer`] has state. All other functions may be called
//! from any thread, and in both processes after a fork. Several threads or processes may send over, or receive from,
//! the same end. Each descriptor reaches exactly one of them.
//!
//! One race remains. If another thread takes the last slots between our check and `recvmsg`, the kernel destroys
//! the descriptors that do not fit. That is reported, by an error of its own (ENOTRECOVERABLE). On the BSDs and macOS it
//! needs no other thread: a message of several descriptors is destroyed if the table has a free slot, but not one for each.
//!
//! # Calls that do not wait
//!
//! The functions with `try` in their names do not wait, and those with `timed` wait no longer than they are told,
//! whatever mode the passer is in. There are two exceptions, both on a passer in blocking mode: sending on macOS, illumos
//! and Solaris, and the SysV interface. There they may wait if another thread or process uses the same end at the same
//! moment. When sending on macOS, illumos and Solaris they set O_NONBLOCK for that moment, for everybody who shares the
//! socket. If somebody sets it for good then, it may be cleared. A [`Passer`] and a passer in non-blocking mode have no
//! exception.
//!
//! # Sockets that are not streams
//!
//! Any connected local socket can be a passer. Streams, which this crate makes, suit best.
//! - With SOCK_SEQPACKET and SOCK_DGRAM an error that is about one message (EBADMSG, EMSGSIZE) concerns that message
//!   only. A [`Passer`] reports it once and goes on.
//! - With SOCK_SEQPACKET an empty message without a descriptor looks like an orderly shutdown. With SOCK_DGRAM it is
//!   EBADMSG.
//! - With SOCK_SEQPACKET, ECONNRESET comes first, and further calls receive what the peer had sent. A
//!   [`Passer`] hands that out before it reports ECONNRESET.
//! - With SOCK_DGRAM only sending shows that the peer is gone, by ECONNREFUSED and then by ENOTCONN. At that moment
//!   Linux destroys what had come and was not received. There is no orderly shutdown, unless the program itself
//!   shuts its own end down for reading.
//!
//! # Features
//!
//! - `capi`, on by default: the C functions. They are for the shared and the static library. A Rust program does not
//!   need them: with `default-features = false` it exports no C symbols of this crate.
//! - `header`: generates the C header while building. Only this project's own `make` needs it.
//!
//! # Map
//!
//! Two faces stand over one core. `api` is the Rust face, `ffi` the C face. The core is `endpoint`, which makes
//! connections, `transfer`, which moves descriptors over them, and `queue`, which does so for event loops. `inherited`, `kind` and
//! `notify` are for services that a manager starts. `error`
//! says which errors are temporary. `sys` is all that knows the operating system.
#![deny(unsafe_code)]

mod api;
mod endpoint;
mod error;
#[cfg(all(feature = "capi", not(fuzzing)))]
mod ffi;
/// The C ABI, for the fuzzers, which call it as C does.
#[cfg(all(feature = "capi", fuzzing))]
pub mod ffi;
mod inherited;
mod kind;
mod notify;
mod queue;
mod sys;
mod transfer;

pub use api::{
    accept, accept_timed, connect, connect_timed, inherited, is, is_name, notify, peer_cred,
    peer_pidfd, recv_fd, recv_fd_timed, recv_fds, recv_message, retry, send_fd, send_fd_timed,
    send_fds, send_message, server, server_with, socketpair, try_recv_fds, try_recv_message,
    try_recv_messages, try_send_fds, try_send_message, unlink, Inherited, NotReceived, Passer,
    PasserPair, Progress, Refused, Stop,
};
pub use endpoint::{Node, PeerCred, ServerOptions};
pub use error::Retry;
pub use inherited::MAX_NAME;
pub use kind::Kind;
pub use queue::Events;
pub use transfer::{MAX_DATA, MAX_PER_MESSAGE};

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

/// And those of the crate's page on crates.io.
#[cfg(doctest)]
#[doc = include_str!("../docs/crate.md")]
struct CratePage;

// SPDX-License-Identifier: MIT OR Apache-2.0
//! The library itself: what it was built for.
//!
//! The sections below are for the functions whose own comments lack them.
//!
//! # Ownership
//!
//! No descriptor changes hands.
//!
//! # Blocking
//!
//! It never waits.
//!
//! # Threads and fork
//!
//! Any thread may call it, also after a fork.

use crate::Mode;
use libc::{c_int, c_uint};

/// fdpasser_mode(): descriptors travel as SCM_RIGHTS over AF_UNIX sockets.
pub const FDPASSER_MODE_BSD: c_int = 1;

/// fdpasser_mode(): descriptors travel by I_SENDFD over STREAMS.
pub const FDPASSER_MODE_SYSV: c_int = 2;

/// The largest number of descriptors in a message.
pub const FDPASSER_MAX_PER_MESSAGE: c_int = 253;

const _: () = assert!(FDPASSER_MAX_PER_MESSAGE as usize == crate::MAX_PER_MESSAGE);

/// The largest number of bytes of data in a message.
pub const FDPASSER_MAX_DATA: c_int = 4096;

const _: () = assert!(FDPASSER_MAX_DATA as usize == crate::MAX_DATA);

/// fdpasser_send_fds(), added to per_message: passer is known to be a local socket.
pub const FDPASSER_LOCAL: c_uint = 256;

const _: () = assert!(FDPASSER_LOCAL > FDPASSER_MAX_PER_MESSAGE as c_uint);

/// fdpasser_server_with(): do not replace a server that is live.
pub const FDPASSER_EXCLUSIVE: c_uint = 1;

/// Tells which interface to the operating system this library was built for.
///
/// fdpasser(7) says in what the two interfaces differ.
///
/// # Returns
///
/// FDPASSER_MODE_BSD (1) or FDPASSER_MODE_SYSV (2).
///
/// # Errors
///
/// None.
///
/// # Examples
///
/// ```c
/// if (fdpasser_mode() == FDPASSER_MODE_SYSV)
///     puts("A message carries one descriptor.");
/// ```
///
/// # See also
///
/// unix(7)
#[no_mangle]
pub extern "C" fn fdpasser_mode() -> c_int {
    match crate::mode() {
        Mode::Bsd => FDPASSER_MODE_BSD,
        Mode::SysV => FDPASSER_MODE_SYSV,
    }
}

/// Returns the version of the library that the program runs with, as FDPASSER_VERSION has that of the header.
///
/// A program may run with another version than the one it was compiled with. Versions can be compared: 0.2.0 is
/// 0x000200. The header also has the parts of its version: FDPASSER_VERSION_MAJOR, FDPASSER_VERSION_MINOR and
/// FDPASSER_VERSION_PATCH.
///
/// # Returns
///
/// The version, two hexadecimal digits for each part: 0x010203 is 1.2.3.
///
/// # Errors
///
/// None.
///
/// # Examples
///
/// ```c
/// if (fdpasser_version() < FDPASSER_VERSION)
///     puts("This program was compiled for a newer libfdpasser.");
/// ```
///
/// # See also
///
/// fdpasser_mode(3)
#[no_mangle]
pub extern "C" fn fdpasser_version() -> c_uint {
    const VERSION: c_uint = part(env!("CARGO_PKG_VERSION_MAJOR")) << 16
        | part(env!("CARGO_PKG_VERSION_MINOR")) << 8
        | part(env!("CARGO_PKG_VERSION_PATCH"));
    VERSION
}

/// A part of the version. It has to fit its two digits.
const fn part(decimal: &str) -> c_uint {
    let (decimal, mut value, mut at) = (decimal.as_bytes(), 0, 0);
    while at < decimal.len() {
        value = value * 10 + (decimal[at] - b'0') as c_uint;
        at += 1;
    }
    assert!(value <= 0xff);
    value
}

// SPDX-License-Identifier: MIT OR Apache-2.0
//! pthread_cancel(3): no call of ours is a cancellation point.
//!
//! Most system calls are. A cancellation inside one unwinds the stack in a way that Rust does not allow, and would lose
//! the descriptors that are in hand.
#![allow(unsafe_code, reason = "no crate has pthread_setcancelstate(3)")]

use libc::c_int;

/// Keeps a cancellation of this thread waiting for as long as it lives.
pub(crate) struct Uncancelled {
    before: c_int,
}

impl Uncancelled {
    pub(crate) fn new() -> Self {
        Self {
            before: set_state(DISABLE),
        }
    }
}

impl Drop for Uncancelled {
    fn drop(&mut self) {
        set_state(self.before);
    }
}

#[cfg(not(no_thread_cancellation))]
fn set_state(state: c_int) -> c_int {
    extern "C" {
        fn pthread_setcancelstate(state: c_int, before: *mut c_int) -> c_int;
    }
    let mut before = state;
    // SAFETY: room for one int. The call cannot fail with a state that the system has, or gave us.
    unsafe { pthread_setcancelstate(state, &mut before) };
    before
}
#[cfg(no_thread_cancellation)]
fn set_state(state: c_int) -> c_int {
    state
}

/// PTHREAD_CANCEL_DISABLE, which libc lacks.
#[cfg(not(cancel_disable_is_0))]
const DISABLE: c_int = 1;
#[cfg(cancel_disable_is_0)]
const DISABLE: c_int = 0;

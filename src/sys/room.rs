// SPDX-License-Identifier: MIT OR Apache-2.0
//! The proof that there is room for a message, before it is taken.
#![allow(
    unsafe_code,
    reason = "select(2) on a set of our own size, and getrlimit(2)"
)]

pub(crate) use proof::room_for_messages;

#[cfg(select_ends_at_table)]
mod proof {
    use super::super::SLOTS_PER_MESSAGE;
    use nix::sys::resource::{getrlimit, Resource};

    type Word = libc::c_ulong;
    const BITS: usize = Word::BITS as usize;

    /// The two bit sets in words. Most tables are small, and the narrow one is cheap to copy. The wide one is
    /// most of the stack that a call of this library takes.
    const NARROW: usize = 1024 / BITS;
    const WIDE: usize = 32768 / BITS;

    /// Slots below this number are left out of every window: 0, 1 and 2 do not count, and a table is
    /// never smaller than a word.
    const WINDOW_FLOOR: usize = BITS;

    /// For how many of the largest messages, up to `messages`, there certainly is room. 0 means that it
    /// is not certain for a single one.
    ///
    /// This is the proof that stands in front of every `recvmsg`, so it must be cheap, and it may be
    /// sufficient without being necessary. The kernel keeps a process's open descriptors in a table
    /// that doubles as it fills; a number beyond the table's present size cannot be open. `select(2)`
    /// is where that size shows: the kernel cuts `nfds` down to it and neither reads nor writes the
    /// bits beyond (Linux's select(2), under BUGS, documents that it "silently ignores" them). So ask
    /// about the first number of a window at the top end of a range. If the call finds nothing ready and the bit
    /// comes back untouched, the kernel never looked at it, so the table ends below, and the whole window is free.
    /// (Asked about the whole window, the kernel would poll all of it where it is full of descriptors.)
    ///
    /// Unlike `poll(2)`'s POLLNVAL this is not fooled by O_PATH descriptors, which poll reports as not
    /// open. Unlike dup and close it never occupies a slot that another thread may want.
    ///
    /// A sandbox may refuse either call: then nothing is proven.
    pub(crate) fn room_for_messages(messages: usize) -> usize {
        let Ok((limit, _)) = getrlimit(Resource::RLIMIT_NOFILE) else {
            return 0;
        };
        let words = usize::try_from(limit).unwrap_or(usize::MAX) / BITS;
        let narrow_is_all = words <= NARROW;
        let room = room_below::<NARROW>(words, messages, narrow_is_all);
        if room > 0 || narrow_is_all {
            return room;
        }
        room_below::<WIDE>(words, messages, true)
    }

    /// Looks below the soft limit, or below `WORDS` words where the limit is higher. If there is no room for so many
    /// messages, there may still be for one: a smaller window begins further up.
    #[inline(never)] // its bit set is not needed at the same time as other buffers
    fn room_below<const WORDS: usize>(words: usize, messages: usize, or_one: bool) -> usize {
        let end = words.min(WORDS);
        let most = (end * BITS).saturating_sub(WINDOW_FLOOR) / SLOTS_PER_MESSAGE;
        let wanted = messages.min(most);
        if wanted == 0 {
            return 0;
        }
        if is_beyond_the_table::<WORDS>(end, wanted) {
            return wanted;
        }
        usize::from(or_one && wanted > 1 && is_beyond_the_table::<WORDS>(end, 1))
    }

    /// Says whether the last slots below `end` words, enough for so many messages, are above the table's end.
    fn is_beyond_the_table<const WORDS: usize>(end: usize, messages: usize) -> bool {
        const FIRST_BIT: Word = 1;
        let mut bits: [Word; WORDS] = [0; WORDS];
        let first = end - (messages * SLOTS_PER_MESSAGE).div_ceil(BITS);
        bits[first] = FIRST_BIT;
        let mut no_time = libc::timeval {
            tv_sec: 0,
            tv_usec: 0,
        };
        // SAFETY: `bits` is in the layout that the kernel gives an fd_set, and the kernel touches no more than
        // the words it is told of; the other two sets may be null.
        let ready = unsafe {
            libc::select(
                (first * BITS + 1) as libc::c_int,
                bits.as_mut_ptr().cast(),
                std::ptr::null_mut(),
                std::ptr::null_mut(),
                &mut no_time,
            )
        };
        ready == 0 && bits[first] == FIRST_BIT
    }
}

#[cfg(not(select_ends_at_table))]
mod proof {
    use super::super::SLOTS_PER_MESSAGE;
    use super::{highest, is_all_free};
    use std::mem::MaybeUninit;

    /// For how many of the largest messages, up to `messages`, there certainly is room: for one, or it is
    /// not certain.
    ///
    /// Asks about the last numbers below the limit, which are taken last: sufficient, and not necessary.
    pub(crate) fn room_for_messages(messages: usize) -> usize {
        usize::from(messages > 0 && last_are_free())
    }

    fn last_are_free() -> bool {
        let first = end().and_then(|end| end.checked_sub(SLOTS_PER_MESSAGE as i32));
        first.is_some_and(|first| first >= 3 && is_all_free(first))
    }

    /// The soft limit, or the system's if that is lower. (nix lacks getrlimit(2) on Solaris.)
    fn end() -> Option<i32> {
        let mut limit = MaybeUninit::<libc::rlimit>::uninit();
        // SAFETY: the call fills in `limit`, or fails.
        let limit = unsafe {
            if libc::getrlimit(libc::RLIMIT_NOFILE, limit.as_mut_ptr()) != 0 {
                return None;
            }
            limit.assume_init().rlim_cur
        };
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        Some(limit.min(highest()?))
    }
}

/// Whether the numbers for one message, from `first` up, are free. poll(2) marks a number that is not open with POLLNVAL.
#[cfg(not(any(select_ends_at_table, poll_hides_closed)))]
#[inline(never)] // its array is not needed at the same time as other buffers
fn is_all_free(first: i32) -> bool {
    let mut numbers = [libc::pollfd {
        fd: 0,
        events: 0,
        revents: 0,
    }; super::SLOTS_PER_MESSAGE];
    for (entry, number) in numbers.iter_mut().zip(first..) {
        entry.fd = number;
    }
    // SAFETY: as many entries as it is told.
    let found = unsafe { libc::poll(numbers.as_mut_ptr(), numbers.len() as libc::nfds_t, 0) };
    found == numbers.len() as i32
        && numbers
            .iter()
            .all(|entry| entry.revents & libc::POLLNVAL != 0)
}

/// The same where poll(2) does not: one number at a time.
#[cfg(poll_hides_closed)]
fn is_all_free(first: i32) -> bool {
    (first..)
        .take(super::SLOTS_PER_MESSAGE)
        .all(|number| !super::table::is_number_open(number))
}

/// What limits descriptor numbers beside the soft limit. `None` if the system does not say.
#[cfg(limit_is_maxfilesperproc)]
fn highest() -> Option<i32> {
    sysctl(c"kern.maxfilesperproc").and_then(|limit| i32::try_from(limit).ok())
}
#[cfg(limit_is_maxfiles)]
fn highest() -> Option<i32> {
    sysctl(c"kern.maxfiles").and_then(|limit| i32::try_from(limit).ok())
}
#[cfg(not(any(select_ends_at_table, limit_is_maxfilesperproc, limit_is_maxfiles)))]
fn highest() -> Option<i32> {
    Some(i32::MAX)
}

#[cfg(all(any(limit_is_maxfilesperproc, limit_is_maxfiles), not(played)))]
use libc as other;
/// What Linux lacks.
#[cfg(all(any(limit_is_maxfilesperproc, limit_is_maxfiles), played))]
mod other {
    extern "C" {
        pub fn sysctlbyname(
            name: *const libc::c_char,
            old: *mut libc::c_void,
            old_len: *mut usize,
            new: *const libc::c_void,
            new_len: usize,
        ) -> libc::c_int;
    }
}

/// An int that sysctl(3) knows under this name.
#[cfg(any(limit_is_maxfilesperproc, limit_is_maxfiles))]
pub(super) fn sysctl(name: &std::ffi::CStr) -> Option<u32> {
    let mut value: libc::c_int = 0;
    let mut len = std::mem::size_of_val(&value);
    // SAFETY: a C string, and an int with its size.
    let asked = unsafe {
        other::sysctlbyname(
            name.as_ptr(),
            std::ptr::from_mut(&mut value).cast(),
            &mut len,
            std::ptr::null_mut(),
            0,
        )
    };
    match asked {
        0 => u32::try_from(value).ok(),
        _ => None,
    }
}
#[cfg(not(any(limit_is_maxfilesperproc, limit_is_maxfiles)))]
pub(super) fn sysctl(_: &std::ffi::CStr) -> Option<u32> {
    None
}

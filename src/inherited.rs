// SPDX-License-Identifier: MIT OR Apache-2.0
//! Descriptors that came by exec: what a service manager hands down, from number 3 up.
//!
//! The environment says how many they are (LISTEN_FDS), which process they are for (LISTEN_PID, and LISTEN_PIDFDID from
//! newer managers), and their names (LISTEN_FDNAMES). A process inherits these variables with everything else, so most
//! processes that see them are not meant.

use crate::sys;
use nix::errno::Errno;
use std::ops::Range;
use std::os::fd::{OwnedFd, RawFd};
use std::str::FromStr;

/// The longest name of an inherited descriptor.
pub const MAX_NAME: usize = 255;

/// The number of the first descriptor.
const FIRST: RawFd = 3;

/// What a descriptor is called if nobody named it. libsystemd has the same word.
pub(crate) const UNNAMED: &[u8] = b"unknown";

/// The variables, as they stand.
pub(crate) struct Environment<'a> {
    pub fds: Option<&'a [u8]>,
    pub pid: Option<&'a [u8]>,
    pub pidfd_id: Option<&'a [u8]>,
    pub names: Option<&'a [u8]>,
}

impl<'a> Environment<'a> {
    /// The numbers of the descriptors for this process. There are none if they are for another process.
    pub(crate) fn numbers(&self) -> Result<Range<RawFd>, Errno> {
        let none = FIRST..FIRST;
        let Some(count) = self.fds.filter(|_| self.pid.is_some()) else {
            return Ok(none);
        };
        if !self.is_for_us()? {
            return Ok(none);
        }
        let count: RawFd = number(count)?;
        let end = FIRST.checked_add(count).ok_or(Errno::EINVAL)?;
        if count > 0 {
            self.check_names(count)?;
        }
        Ok(FIRST..end)
    }

    fn is_for_us(&self) -> Result<bool, Errno> {
        let named = |value| number::<u32>(value).map(|pid| pid == std::process::id());
        if !self.pid.map_or(Ok(false), named)? {
            return Ok(false);
        }
        // Another process may have had our number before.
        let Some(wanted) = self.pidfd_id else {
            return Ok(true);
        };
        let wanted: u64 = number(wanted)?;
        Ok(sys::own_pidfd_id().map_or(true, |own| own == wanted))
    }

    fn check_names(&self, count: RawFd) -> Result<(), Errno> {
        let Some(names) = self.names else {
            return Ok(());
        };
        let mut found: RawFd = 0;
        for name in split(names) {
            if !is_name(name) || found == count {
                return Err(Errno::EINVAL);
            }
            found += 1;
        }
        match found == count {
            true => Ok(()),
            false => Err(Errno::EINVAL),
        }
    }

    /// The name of the i-th descriptor. ENOENT if there are not so many.
    pub(crate) fn name(&self, i: usize) -> Result<&'a [u8], Errno> {
        if i >= self.numbers()?.len() {
            return Err(Errno::ENOENT);
        }
        match self.names {
            None => Ok(UNNAMED),
            Some(names) => split(names).nth(i).ok_or(Errno::EINVAL),
        }
    }

    /// Sets close-on-exec on all of them. If one is not open this is EBADF, and none is touched.
    #[cfg(feature = "capi")]
    pub(crate) fn claim(&self) -> Result<Range<RawFd>, Errno> {
        let numbers = self.numbers()?;
        sys::claim(numbers.clone())?;
        Ok(numbers)
    }

    /// [`claim`](Self::claim), for a caller that is going to own them. EBADF if one already is close-on-exec: then it did
    /// not come by exec, or somebody has claimed it.
    pub(crate) fn own(&self) -> Result<Vec<OwnedFd>, Errno> {
        sys::own(self.numbers()?)
    }
}

/// Whether a name may stand in LISTEN_FDNAMES: 255 characters of ASCII at most, with no colon and no control character.
/// An empty name is one.
pub(crate) fn is_name(name: &[u8]) -> bool {
    let plain = |&byte: &u8| (b' '..=b'~').contains(&byte) && byte != b':';
    name.len() <= MAX_NAME && name.iter().all(plain)
}

fn split(names: &[u8]) -> impl Iterator<Item = &[u8]> {
    names.split(|&byte| byte == b':')
}

/// Decimal digits and nothing else.
fn number<T: FromStr>(text: &[u8]) -> Result<T, Errno> {
    let digits = text.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(text).ok().filter(|_| digits);
    text.and_then(|text| text.parse().ok()).ok_or(Errno::EINVAL)
}

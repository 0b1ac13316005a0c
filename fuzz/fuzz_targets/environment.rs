// SPDX-License-Identifier: MIT OR Apache-2.0

//! Any environment. Sometimes LISTEN_PID is our own process. A model in plain words says what must come out. Descriptors 3
//! to 5 are open, and 6 is not.
#![no_main]

use fdpasser::ffi;
use libc::{c_int, EBADF, EINVAL, ENOENT, ERANGE};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use std::ffi::CString;

const OPEN: usize = 3;

#[derive(Arbitrary, Debug)]
struct Input {
    fds: Value,
    pid: Pid,
    names: Option<Vec<Name>>,
    i: u8,
    room: u16,
}

#[derive(Arbitrary, Debug)]
enum Value {
    None,
    Number(i64),
    Few(u8),
    Bytes(Vec<u8>),
}

#[derive(Arbitrary, Debug)]
enum Pid {
    Ours,
    Value(Value),
}

#[derive(Arbitrary, Debug)]
enum Name {
    Bytes(Vec<u8>),
    Long(u16),
}

fn text(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::None => None,
        Value::Number(number) => Some(number.to_string().into_bytes()),
        Value::Few(few) => Some((few % 5).to_string().into_bytes()),
        Value::Bytes(bytes) => Some(bytes.iter().copied().filter(|&byte| byte != 0).collect()),
    }
}

fn set(name: &str, value: Option<&[u8]>) {
    let name = CString::new(name).unwrap();
    // SAFETY: C strings, and no other thread.
    unsafe {
        match value {
            None => libc::unsetenv(name.as_ptr()),
            Some(value) => {
                let value = CString::new(value).unwrap();
                libc::setenv(name.as_ptr(), value.as_ptr(), 1)
            }
        };
    }
}

fn number(text: &[u8]) -> Option<u128> {
    let digits = !text.is_empty() && text.len() < 30 && text.iter().all(u8::is_ascii_digit);
    digits.then(|| std::str::from_utf8(text).unwrap().parse().unwrap())
}

/// What has to come out: how many there are, or an errno.
fn expected(fds: Option<&[u8]>, pid: Option<&[u8]>, names: Option<&[u8]>) -> Result<usize, c_int> {
    let (Some(fds), Some(pid)) = (fds, pid) else {
        return Ok(0);
    };
    // Zeros in front make a number of any length.
    let trimmed = |text: &[u8]| match text.iter().position(|&byte| byte != b'0') {
        Some(start) => text[start..].to_vec(),
        None if text.is_empty() => Vec::new(),
        None => b"0".to_vec(),
    };
    let parse = |text: &[u8]| number(&trimmed(text));
    let pid = parse(pid)
        .filter(|&pid| pid <= u32::MAX.into())
        .ok_or(EINVAL)?;
    if pid != std::process::id().into() {
        return Ok(0);
    }
    let count = parse(fds).ok_or(EINVAL)?;
    if count > (c_int::MAX - 3) as u128 {
        return Err(EINVAL);
    }
    let count = count as usize;
    if let (Some(names), true) = (names, count > 0) {
        let names: Vec<&[u8]> = names.split(|&byte| byte == b':').collect();
        let good =
            |name: &&[u8]| name.len() <= 255 && name.iter().all(|&byte| (32..127).contains(&byte));
        if names.len() != count || !names.iter().all(good) {
            return Err(EINVAL);
        }
    }
    match count > OPEN {
        true => Err(EBADF),
        false => Ok(count),
    }
}

fn errno() -> c_int {
    std::io::Error::last_os_error().raw_os_error().unwrap()
}

fn flags(fd: c_int) -> c_int {
    // SAFETY: F_GETFD takes any number.
    unsafe { libc::fcntl(fd, libc::F_GETFD) }
}

fuzz_target!(|input: Input| {
    for fd in 3..3 + OPEN as c_int {
        // SAFETY: standard input is open, and these are ours.
        assert_eq!(unsafe { libc::dup2(0, fd) }, fd);
    }
    // SAFETY: libFuzzer opens files between two runs, and has closed them.
    unsafe { libc::close(3 + OPEN as c_int) };
    let fds = text(&input.fds);
    let pid = match &input.pid {
        Pid::Ours => Some(std::process::id().to_string().into_bytes()),
        Pid::Value(value) => text(value),
    };
    let names = input.names.as_ref().map(|names| {
        let name = |name: &Name| match name {
            Name::Bytes(bytes) => bytes.iter().copied().filter(|&byte| byte != 0).collect(),
            Name::Long(len) => vec![b'n'; (*len % 300).into()],
        };
        names.iter().map(name).collect::<Vec<_>>().join(&b':')
    });
    set("LISTEN_FDS", fds.as_deref());
    set("LISTEN_PID", pid.as_deref());
    set("LISTEN_FDNAMES", names.as_deref());
    set("LISTEN_PIDFDID", None);

    let expected = expected(fds.as_deref(), pid.as_deref(), names.as_deref());
    let mut found = [-7; OPEN + 1];
    // SAFETY: room for as many.
    let count = unsafe { ffi::fdpasser_inherited(found.as_mut_ptr(), found.len()) };
    match expected {
        Ok(expected) => {
            assert_eq!(count, expected as isize);
            for (i, fd) in found.into_iter().enumerate() {
                assert_eq!(fd, if i < expected { 3 + i as c_int } else { -7 });
            }
        }
        Err(expected) => {
            assert_eq!((count, errno()), (-1, expected));
            assert_eq!(found, [-7; OPEN + 1]);
        }
    }
    for i in 0..OPEN {
        let taken = expected.is_ok_and(|expected| i < expected);
        assert_eq!(flags(3 + i as c_int), c_int::from(taken));
    }

    let (i, room) = (usize::from(input.i % 6), usize::from(input.room % 400));
    let mut name = [0x55u8; 400];
    // SAFETY: there is more room.
    let len = unsafe { ffi::fdpasser_inherited_name(i, name.as_mut_ptr().cast(), room) };
    // Names do not need the descriptors to be open.
    let wanted = match expected {
        Err(EINVAL) => Err(EINVAL),
        Ok(count) if i >= count => Err(ENOENT),
        Err(_) if number(fds.as_deref().unwrap()).is_some_and(|count| i as u128 >= count) => {
            Err(ENOENT)
        }
        _ => {
            let all = names
                .as_deref()
                .map(|names| names.split(|&byte| byte == b':').nth(i).unwrap());
            let name = all.unwrap_or(b"unknown");
            if name.len() < room {
                Ok(name)
            } else {
                Err(ERANGE)
            }
        }
    };
    match wanted {
        Ok(wanted) => {
            assert_eq!(len, wanted.len() as isize);
            assert_eq!(&name[..wanted.len()], wanted);
            assert_eq!(name[wanted.len()], 0);
            assert!(name[wanted.len() + 1..].iter().all(|&byte| byte == 0x55));
        }
        Err(wanted) => {
            assert_eq!((len, errno()), (-1, wanted));
            assert!(name.iter().all(|&byte| byte == 0x55));
        }
    }
});

// SPDX-License-Identifier: MIT OR Apache-2.0
//! Services in Rust, as a dependent crate sees them: what a manager hands down, what it is, and what the manager is told.
//!
//! What was inherited and the environment belong to the whole process, so each case is a process of its own: this program
//! runs one of its tests again, by way of a shell that opens the descriptors.

use fdpasser::Kind;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};

const INSIDE: &str = "FDPASSER_TEST_INSIDE";

/// Runs `test` again as a service. `script` is what the shell does before that. It has to pass.
fn as_service(test: &str, script: &str) {
    // Under an emulator, or with a loader of its own, what runs is not this program.
    let program = std::env::args().next().unwrap();
    let runner = std::env::var("FDPASSER_TEST_RUNNER").unwrap_or_default();
    let output = Command::new("sh")
        .arg("-c")
        .arg(format!(
            "{script}; export LISTEN_PID LISTEN_FDS; exec \"$@\""
        ))
        .arg("sh")
        .args(runner.split_whitespace())
        .arg(program)
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, script)
        .env_remove("LISTEN_PIDFDID")
        .env_remove("LISTEN_FDNAMES")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{script}:\n{text}");
    assert!(text.contains("1 passed"), "{script}: it ran");
}

/// The script, if this is a service already.
fn inside() -> Option<String> {
    std::env::var(INSIDE).ok()
}

fn is_close_on_exec(fd: impl AsFd) -> bool {
    let flags = nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_GETFD).unwrap();
    nix::fcntl::FdFlag::from_bits_retain(flags).contains(nix::fcntl::FdFlag::FD_CLOEXEC)
}

#[test]
fn takes_them_over_once() {
    const SCRIPT: &str = "exec 3</dev/null 4<.; LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=web:; export LISTEN_FDNAMES";
    if inside().is_none() {
        return as_service("takes_them_over_once", SCRIPT);
    }
    let taken = fdpasser::inherited().unwrap();
    let names: Vec<_> = taken.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["web", ""]);
    let numbers: Vec<_> = taken.iter().map(|one| one.fd.as_raw_fd()).collect();
    assert_eq!(numbers, [3, 4]);
    assert!(taken.iter().all(|one| is_close_on_exec(&one.fd)));
    assert!(fdpasser::is(&taken[1].fd, Kind::Directory).unwrap());
    // Each has one owner.
    assert!(fdpasser::inherited().unwrap().is_empty());
    drop(taken);
    let closed = File::open("/dev/null").unwrap();
    assert_eq!(closed.as_raw_fd(), 3);
}

#[test]
fn without_names() {
    const SCRIPT: &str = "exec 3</dev/null; LISTEN_PID=$$ LISTEN_FDS=1";
    if inside().is_none() {
        return as_service("without_names", SCRIPT);
    }
    assert_eq!(fdpasser::inherited().unwrap()[0].name, "unknown");
}

#[test]
fn for_somebody_else() {
    const SCRIPT: &str = "exec 3</dev/null; LISTEN_PID=1 LISTEN_FDS=1";
    if inside().is_none() {
        return as_service("for_somebody_else", SCRIPT);
    }
    assert!(fdpasser::inherited().unwrap().is_empty());
}

#[test]
fn makes_no_sense() {
    const SCRIPTS: [(&str, i32); 4] = [
        ("exec 3</dev/null; LISTEN_PID=$$ LISTEN_FDS=-1", libc::EINVAL),
        ("exec 3</dev/null; LISTEN_PID=$$ LISTEN_FDS=99", libc::EBADF),
        ("exec 3</dev/null; LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=a:b; export LISTEN_FDNAMES", libc::EINVAL),
        // Rust opens a file there before it asks: that one did not come by exec.
        ("exec 3<&-; LISTEN_PID=$$ LISTEN_FDS=1", libc::EBADF),
    ];
    let Some(script) = inside() else {
        for (script, _) in SCRIPTS {
            as_service("makes_no_sense", script);
        }
        return;
    };
    let (_, errno) = SCRIPTS.into_iter().find(|one| one.0 == script).unwrap();
    let ours = File::open("/dev/null").unwrap();
    for _ in 0..2 {
        let error = fdpasser::inherited().unwrap_err();
        assert_eq!(error.raw_os_error(), Some(errno));
    }
    assert!(is_close_on_exec(&ours));
}

#[test]
fn what_it_is() {
    let directory = std::env::temp_dir().join(format!("fdpasser-services-{}", std::process::id()));
    let listener = UnixListener::bind(&directory).unwrap();
    std::fs::remove_file(&directory).unwrap();
    for kind in [Kind::Socket, Kind::Stream, Kind::Listening, Kind::Local] {
        assert!(fdpasser::is(&listener, kind).unwrap(), "{kind:?}");
    }
    for kind in [Kind::Internet, Kind::Datagram, Kind::Pipe, Kind::File] {
        assert!(!fdpasser::is(&listener, kind).unwrap(), "{kind:?}");
    }
    assert!(fdpasser::is_name(b"web") && fdpasser::is_name(b"") && fdpasser::is_name(&[b'n'; 255]));
    assert!(
        !fdpasser::is_name(b"a:b") && !fdpasser::is_name(b"\n") && !fdpasser::is_name(&[b'n'; 256])
    );
}

#[cfg(not(fdpasser_sysv))]
#[test]
fn tells_the_manager() {
    use std::io::{Read, Seek, Write};
    use std::os::unix::net::UnixDatagram;

    const SCRIPT: &str = "NOTIFY_SOCKET=$PWD/target/services-test-$$; export NOTIFY_SOCKET; rm -f \"$NOTIFY_SOCKET\"";
    if inside().is_none() {
        return as_service("tells_the_manager", SCRIPT);
    }
    let path = std::env::var("NOTIFY_SOCKET").unwrap();
    let _ = std::fs::create_dir_all("target");
    let manager = UnixDatagram::bind(&path).unwrap();
    let mut kept = tempfile();
    kept.write_all(b"kept").unwrap();
    assert!(fdpasser::notify("READY=1", &[]).unwrap());
    assert!(fdpasser::notify("FDSTORE=1", &[kept.as_fd()]).unwrap());
    let mut text = [0; 100];
    let len = manager.recv(&mut text).unwrap();
    assert_eq!(&text[..len], b"READY=1");
    let mut fds = Vec::new();
    fdpasser::recv_fds(&manager, &mut fds).unwrap();
    let mut file = File::from(fds.pop().unwrap());
    file.rewind().unwrap();
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    assert_eq!(text, "kept");
    std::fs::remove_file(&path).unwrap();
    let errno = |state: &str| fdpasser::notify(state, &[]).unwrap_err().raw_os_error();
    assert_eq!(errno("READY=1"), Some(libc::ENOENT));
    assert_eq!(errno(""), Some(libc::EINVAL));
    std::env::remove_var("NOTIFY_SOCKET");
    assert!(!fdpasser::notify("READY=1", &[]).unwrap());
}

#[cfg(not(fdpasser_sysv))]
fn tempfile() -> File {
    let path = std::env::temp_dir().join(format!("fdpasser-kept-{}", std::process::id()));
    let file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)
        .unwrap();
    std::fs::remove_file(&path).unwrap();
    file
}

// SPDX-License-Identifier: MIT OR Apache-2.0

//! The Rust API, as a dependent crate sees it. Tests that need a process of their own, because of limits, counts
//! of descriptors or signals, are in `tests/c/`.

use fdpasser::{retry, Events, Passer, Progress, Retry, Stop};
use nix::sys::stat::fstat;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

/// A descriptor that reads as its number.
fn numbered(number: usize) -> OwnedFd {
    let (reader, writer) = nix::unistd::pipe().unwrap();
    write!(File::from(writer), "{number}").unwrap();
    reader
}

fn number(fd: OwnedFd) -> usize {
    let mut text = String::new();
    File::from(fd).read_to_string(&mut text).unwrap();
    text.parse().unwrap()
}

#[cfg(fdpasser_sysv)]
fn send_raw(passer: &impl AsFd, bytes: &[u8], _: &[i32]) {
    assert_eq!(nix::unistd::write(passer, bytes), Ok(bytes.len()));
}

#[cfg(not(fdpasser_sysv))]
fn send_raw(passer: &impl AsRawFd, bytes: &[u8], fds: &[i32]) {
    use nix::sys::socket::{sendmsg, ControlMessage, MsgFlags};
    let rights = [ControlMessage::ScmRights(fds)];
    let control = if fds.is_empty() { &[][..] } else { &rights };
    let iov = [io::IoSlice::new(bytes)];
    sendmsg::<()>(passer.as_raw_fd(), &iov, control, MsgFlags::empty(), None).unwrap();
}

fn errno(error: &io::Error) -> i32 {
    error.raw_os_error().expect("an error of the system")
}

/// A directory that goes away with its content.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        let name = |n| format!("fdpasser-{}-{n}", std::process::id());
        let mut paths = (0..1000).map(|n| std::env::temp_dir().join(name(n)));
        let new = paths.find(|path| std::fs::create_dir(path).is_ok());
        Self(new.expect("a name that is free"))
    }

    fn is_empty(&self) -> bool {
        std::fs::read_dir(&self.0).unwrap().next().is_none()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_descriptor_arrives_as_the_same_open_file() {
    let (a, b) = fdpasser::socketpair().unwrap();
    let file = tempfile();
    fdpasser::send_fd(&a, &file).unwrap();
    let received = fdpasser::recv_fd(&b).unwrap().unwrap();

    assert_ne!(received.as_raw_fd(), file.as_raw_fd());
    let (ours, theirs) = (fstat(&file).unwrap(), fstat(&received).unwrap());
    assert_eq!((ours.st_dev, ours.st_ino), (theirs.st_dev, theirs.st_ino));
}

fn tempfile() -> File {
    let dir = std::env::temp_dir();
    File::options()
        .read(true)
        .write(true)
        .custom_flags(libc::O_TMPFILE)
        .open(dir)
        .unwrap()
}

#[test]
fn order_holds_for_every_message_size() {
    let (a, b) = fdpasser::socketpair().unwrap();
    let sender = thread::spawn(move || {
        let mut next = 0;
        for per_message in [1, 2, 16, 0, 253, 7] {
            let fds: Vec<OwnedFd> = (next..next + 300).map(numbered).collect();
            let borrowed: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
            assert_eq!(fdpasser::send_fds(&a, &borrowed, per_message).unwrap(), 300);
            next += 300;
        }
        next
    });
    let mut received = VecDeque::new();
    let mut count = 0;
    while fdpasser::recv_fds(&b, &mut received).unwrap() > 0 {
        for fd in received.drain(..) {
            assert_eq!(number(fd), count);
            count += 1;
        }
    }
    assert_eq!(count, sender.join().unwrap());
}

#[test]
fn shutdown_is_none_and_zero() {
    let (a, b) = fdpasser::socketpair().unwrap();
    drop(a);
    assert!(fdpasser::recv_fd(&b).unwrap().is_none());
    assert_eq!(fdpasser::recv_fds(&b, &mut Vec::new()).unwrap(), 0);
}

#[test]
fn a_byte_without_a_descriptor_is_an_error_and_the_next_message_is_good() {
    let (a, b) = fdpasser::socketpair().unwrap();
    send_raw(&a, b"x", &[]);
    let error = fdpasser::recv_fd(&b).unwrap_err();
    assert_eq!(errno(&error), libc::EBADMSG);
    fdpasser::send_fd(&a, numbered(1)).unwrap();
    assert_eq!(number(fdpasser::recv_fd(&b).unwrap().unwrap()), 1);
}

#[test]
#[cfg_attr(fdpasser_sysv, ignore = "no message of STREAMS carries two")]
fn recv_fd_refuses_a_message_of_two() {
    let (a, b) = fdpasser::socketpair().unwrap();
    let two = [numbered(0), numbered(1)];
    send_raw(&a, b"\0", &two.each_ref().map(AsRawFd::as_raw_fd));
    fdpasser::send_fd(&a, numbered(2)).unwrap();
    let error = fdpasser::recv_fd(&b).unwrap_err();
    assert_eq!(errno(&error), libc::EMSGSIZE);
    assert_eq!(number(fdpasser::recv_fd(&b).unwrap().unwrap()), 2);
}

#[test]
fn try_variants_do_not_wait_on_a_blocking_passer() {
    let (a, b) = fdpasser::socketpair().unwrap();
    let error = fdpasser::try_recv_fds(&b, &mut Vec::new()).unwrap_err();
    assert_eq!(retry(&error), Retry::WhenReady);

    let fd = numbered(0);
    let many = vec![fd.as_fd(); 100_000];
    let sent = fdpasser::try_send_fds(&a, &many, 1).unwrap();
    assert!(sent > 0 && sent < many.len(), "{sent} sent");
    let error = fdpasser::try_send_fds(&a, &many, 1).unwrap_err();
    assert_eq!(errno(&error), libc::EAGAIN);
}

#[test]
#[cfg_attr(
    fdpasser_sysv,
    ignore = "errors of sockets; tests/c/sysv/wire.c has the others"
)]
fn what_cannot_carry_descriptors_is_an_error() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let tcp = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let error = fdpasser::send_fd(&tcp, &tcp).unwrap_err();
    assert_eq!(errno(&error), libc::EAFNOSUPPORT);
    assert_eq!(retry(&error), Retry::Never);

    let error = fdpasser::recv_fd(tempfile()).unwrap_err();
    assert_eq!(errno(&error), libc::ENOTSOCK);

    let (a, _b) = fdpasser::socketpair().unwrap();
    let error = fdpasser::send_fds(&a, &[tcp.as_fd()], 254).unwrap_err();
    assert_eq!(errno(&error), libc::EINVAL);
}

#[test]
fn server_accept_connect() {
    let dir = Directory::new();
    let path = dir.0.join("socket");

    let error = fdpasser::connect(&path).unwrap_err();
    assert_eq!(errno(&error), libc::ENOENT);

    let old = fdpasser::server(&path, 0).unwrap();
    let listener = fdpasser::server(&path, 0).unwrap(); // takes over
    drop(old);
    let client = fdpasser::connect(&path).unwrap();
    let server = fdpasser::accept(&listener).unwrap();
    fdpasser::send_fd(&client, numbered(7)).unwrap();
    assert_eq!(number(fdpasser::recv_fd(&server).unwrap().unwrap()), 7);

    std::fs::remove_file(&path).unwrap();
    assert!(dir.is_empty(), "nothing is left beside the socket");
    std::fs::write(&path, "precious").unwrap();
    let error = fdpasser::server(&path, 0).unwrap_err();
    assert_eq!(errno(&error), libc::EEXIST);
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
}

#[test]
#[cfg_attr(fdpasser_sysv, ignore = "a socket is not a stream")]
fn a_unix_stream_is_a_passer() {
    let (a, b) = UnixStream::pair().unwrap();
    fdpasser::send_fd(&a, numbered(5)).unwrap();
    assert_eq!(number(fdpasser::recv_fd(&b).unwrap().unwrap()), 5);
}

#[test]
fn several_messages_at_once_and_why_there_are_no_more() {
    let (a, b) = fdpasser::socketpair().unwrap();
    for i in 0..40 {
        fdpasser::send_fd(&a, numbered(i)).unwrap();
    }
    let mut fds = Vec::new();
    let stop = fdpasser::try_recv_messages(&b, 16, &mut fds);
    assert!(matches!(stop, Stop::Enough) && fds.len() == 16, "{stop:?}");
    let stop = fdpasser::try_recv_messages(&b, 100, &mut fds);
    assert!(matches!(&stop, Stop::Error(e) if errno(e) == libc::EAGAIN));
    assert!(fds.drain(..).map(number).eq(0..40));

    fdpasser::send_fd(&a, numbered(40)).unwrap();
    send_raw(&a, b"x", &[]);
    let stop = fdpasser::try_recv_messages(&b, 100, &mut fds);
    assert!(matches!(&stop, Stop::Error(e) if errno(e) == libc::EBADMSG));
    fdpasser::send_fd(&a, numbered(41)).unwrap();
    drop(a);
    let stop = fdpasser::try_recv_messages(&b, 100, &mut fds);
    assert!(matches!(stop, Stop::Shutdown), "{stop:?}");
    assert!(fds.drain(..).map(number).eq([40, 41]));
}

/// One turn of an event loop that reports everything as ready.
fn turn(passer: &mut Passer) -> io::Result<Progress> {
    passer.process(Events {
        readable: true,
        writable: true,
    })
}

#[test]
fn queues_keep_the_order_and_the_end_comes_last() {
    let (a, b) = fdpasser::socketpair().unwrap();
    let (mut a, mut b) = (Passer::new(a).unwrap(), Passer::new(b).unwrap());
    a.set_per_message(7).unwrap();
    b.push_recv(1000);
    for i in 0..500 {
        a.push_send_fd(numbered(i)).unwrap();
    }
    assert_eq!(a.timeout(), Some(Duration::ZERO));
    assert_eq!(b.next_fd().map(number), None);

    let sender = thread::spawn(move || {
        while a.queued() > 0 {
            assert!(matches!(turn(&mut a).unwrap(), Progress::Open));
        }
    });
    let mut count = 0;
    loop {
        match turn(&mut b).unwrap() {
            Progress::Open => {}
            Progress::Shutdown => break,
            Progress::Refused(refused) => panic!("{refused}"),
        }
        while let Some(fd) = b.next_fd() {
            assert_eq!(number(fd), count);
            count += 1;
        }
    }
    assert_eq!(count, 500);
    assert_eq!((b.timeout(), b.events()), (None, Events::default()));
    sender.join().unwrap();
}

#[test]
fn a_push_that_is_refused_gives_the_descriptor_back() {
    let mut a = Passer::pair().unwrap().i_am_parent();
    a.set_max_queued(Some(1));
    a.push_send_fd(numbered(0)).unwrap();
    let refused = a.push_send_fd(numbered(1)).unwrap_err();
    assert_eq!(errno(&refused.error), libc::EAGAIN);
    assert_eq!(number(refused.fd), 1);

    // The other end was closed when this one was chosen.
    let error = turn(&mut a).unwrap_err();
    assert_eq!(errno(&error), libc::EPIPE);
    a.set_max_queued(None);
    let refused = a.push_send_fd(numbered(2)).unwrap_err();
    assert_eq!(errno(&refused.error), libc::EPIPE);
    assert_eq!(number(refused.fd), 2);
    assert_eq!(a.queued(), 1);
    assert_eq!(errno(&a.set_per_message(254).unwrap_err()), libc::EINVAL);
    assert_eq!(errno(&a.set_per_message(0).unwrap_err()), libc::EINVAL);
}

#[test]
#[cfg_attr(fdpasser_sysv, ignore = "STREAMS do not say")]
fn drained_says_whether_the_peer_has_taken_everything() {
    let (a, b) = fdpasser::socketpair().unwrap();
    let mut a = Passer::new(a).unwrap();
    assert!(a.drained().unwrap());
    a.push_send_fd(numbered(3)).unwrap();
    assert!(!a.drained().unwrap());
    turn(&mut a).unwrap();
    assert_eq!(a.queued(), 0);
    assert!(!a.drained().unwrap());
    assert_eq!(number(fdpasser::recv_fd(&b).unwrap().unwrap()), 3);
    assert!(a.drained().unwrap());
}

#[test]
fn server_options_and_the_peer() {
    let dir = Directory::new();
    let path = dir.0.join("socket");
    let options = fdpasser::ServerOptions::new().mode(0o600).exclusive(true);
    let (listener, node) = fdpasser::server_with(&path, &options).unwrap();
    let made = std::fs::metadata(&path).unwrap();
    assert_eq!(made.mode() & 0o777, 0o600);
    let error = fdpasser::server_with(&path, &options).unwrap_err();
    assert_eq!(errno(&error), libc::EADDRINUSE);

    let client = fdpasser::connect(&path).unwrap();
    let server = fdpasser::accept(&listener).unwrap();
    let peer = fdpasser::peer_cred(&server).unwrap();
    assert_eq!((peer.uid, peer.gid), (made.uid(), made.gid()));
    assert_eq!(peer.pid, Some(std::process::id() as i32));
    if cfg!(fdpasser_sysv) {
        let error = fdpasser::peer_cred(&client).unwrap_err();
        assert_eq!(errno(&error), libc::EOPNOTSUPP);
    } else {
        assert_eq!(fdpasser::peer_cred(&client).unwrap(), peer);
        let error = fdpasser::peer_cred(&listener).unwrap_err();
        assert_eq!(errno(&error), libc::EINVAL);
    }

    match fdpasser::peer_pidfd(&server) {
        Ok(pidfd) => assert!(pidfd.as_raw_fd() > 2),
        Err(error) => assert_eq!(errno(&error), libc::EOPNOTSUPP), // before Linux 6.5, and elsewhere
    }

    let (_second, other) = fdpasser::server_with(&path, &Default::default()).unwrap();
    assert!(!fdpasser::unlink(&path, &node).unwrap());
    assert!(fdpasser::unlink(&path, &other).unwrap());
    assert!(dir.is_empty(), "no lock file is left");
}

#[test]
#[cfg_attr(fdpasser_sysv, ignore = "the SysV interface has no data")]
fn data_belongs_to_the_descriptors_of_its_message() {
    let (a, b) = fdpasser::socketpair().unwrap();
    let two = [numbered(0), numbered(1)];
    fdpasser::send_message(&a, &two.each_ref().map(AsFd::as_fd), b"hello").unwrap();
    fdpasser::send_fd(&a, numbered(2)).unwrap();
    fdpasser::send_message(&a, &[numbered(3).as_fd()], &[7; fdpasser::MAX_DATA]).unwrap();
    let error = fdpasser::send_message(&a, &[a.as_fd()], &[7; fdpasser::MAX_DATA + 1]).unwrap_err();
    assert_eq!(errno(&error), libc::EMSGSIZE);
    let error = fdpasser::send_message(&a, &[], b"hello").unwrap_err();
    assert_eq!(errno(&error), libc::EINVAL);
    drop(a);

    let mut data = [0; fdpasser::MAX_DATA];
    let mut fds = Vec::new();
    let len = fdpasser::recv_message(&b, &mut fds, &mut data).unwrap();
    assert_eq!(len.map(|len| &data[..len]), Some(&b"hello"[..]));
    assert_eq!(
        fdpasser::recv_message(&b, &mut fds, &mut data).unwrap(),
        Some(0)
    );
    assert_eq!(
        fdpasser::recv_message(&b, &mut fds, &mut data).unwrap(),
        Some(4096)
    );
    assert_eq!(data, [7; 4096]);
    assert_eq!(
        fdpasser::recv_message(&b, &mut fds, &mut data).unwrap(),
        None
    );
    assert!(fds.drain(..).map(number).eq(0..4));
}

#[test]
#[cfg_attr(fdpasser_sysv, ignore = "the SysV interface has no data")]
fn data_without_waiting() {
    let (a, b) = fdpasser::socketpair().unwrap();
    let mut data = [0; fdpasser::MAX_DATA];
    let mut fds = Vec::new();
    let error = fdpasser::try_recv_message(&b, &mut fds, &mut data).unwrap_err();
    assert_eq!((errno(&error.error), error.bytes), (libc::EAGAIN, 0));

    let fd = numbered(1);
    let mut sent = 0;
    let error = loop {
        match fdpasser::try_send_message(&a, &[fd.as_fd()], b"hello") {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(errno(&error), libc::EAGAIN);
    assert!(sent > 0);
    for _ in 0..sent {
        let len = fdpasser::try_recv_message(&b, &mut fds, &mut data).unwrap();
        assert_eq!(len.map(|len| &data[..len]), Some(&b"hello"[..]));
    }
    assert_eq!(fds.len(), sent);
    drop(a);
    let end = fdpasser::try_recv_message(&b, &mut fds, &mut data).unwrap();
    assert_eq!(end, None);
}

#[test]
#[cfg_attr(fdpasser_sysv, ignore = "the SysV interface has no data")]
fn bytes_without_a_descriptor_are_handed_out_with_the_error() {
    let (a, b) = fdpasser::socketpair().unwrap();
    let mut data = [0; fdpasser::MAX_DATA];
    let mut fds = Vec::new();
    send_raw(&a, b"alone", &[]);
    let error = fdpasser::recv_message(&b, &mut fds, &mut data).unwrap_err();
    assert_eq!(&data[..error.bytes], b"alone");
    assert!(fds.is_empty());
    let error = io::Error::from(error);
    assert_eq!(errno(&error), libc::EBADMSG);
    assert_eq!(retry(&error), Retry::Never);
    fdpasser::send_message(&a, &[numbered(1).as_fd()], b"hello").unwrap();
    let len = fdpasser::recv_message(&b, &mut fds, &mut data).unwrap();
    assert_eq!((len, fds.len()), (Some(5), 1));
}

#[test]
#[cfg(not(fdpasser_sysv))]
fn an_error_of_one_packet_is_reported_once() {
    use nix::sys::socket::{socketpair, AddressFamily, SockFlag, SockType};
    for kind in [SockType::SeqPacket, SockType::Datagram] {
        for wants_data in [false, true] {
            let (a, b) = socketpair(AddressFamily::Unix, kind, None, SockFlag::empty()).unwrap();
            let mut b = Passer::new(b).unwrap();
            b.want_data(wants_data).unwrap();
            b.push_recv(10);
            let fd = numbered(1);
            let mut expected = vec![libc::EBADMSG, libc::EMSGSIZE];
            send_raw(&a, b"plain", &[]);
            send_raw(&a, &[7; fdpasser::MAX_DATA + 1], &[fd.as_raw_fd()]);
            if kind == SockType::Datagram {
                send_raw(&a, b"", &[]);
                expected.push(libc::EBADMSG);
            }
            for error in expected {
                assert_eq!(errno(&turn(&mut b).unwrap_err()), error);
                assert!(b.next_fd().is_none());
            }
            fdpasser::send_message(&a, &[fd.as_fd()], b"good").unwrap();
            assert!(matches!(turn(&mut b), Ok(Progress::Open)));
            let (fd, data) = b.next_message().unwrap();
            assert_eq!(number(fd), 1);
            assert_eq!(data, wants_data.then(|| b"good".to_vec()));
        }
    }
}

#[test]
#[cfg_attr(fdpasser_sysv, ignore = "the SysV interface has no data")]
fn queues_carry_data() {
    let (a, b) = fdpasser::socketpair().unwrap();
    let (mut a, mut b) = (Passer::new(a).unwrap(), Passer::new(b).unwrap());
    b.want_data(true).unwrap();
    b.push_recv(3);
    a.push_send_fd(numbered(0)).unwrap();
    a.push_send_message(numbered(1), b"hello").unwrap();
    a.push_send_message(numbered(2), b"").unwrap();
    let too_much = [0; fdpasser::MAX_DATA + 1];
    let refused = a.push_send_message(numbered(3), &too_much).unwrap_err();
    assert_eq!(errno(&refused.error), libc::EMSGSIZE);
    assert_eq!(number(refused.fd), 3);
    turn(&mut a).unwrap();
    turn(&mut b).unwrap();
    let mut received = std::iter::from_fn(|| b.next_message());
    let mut next = || received.next().map(|(fd, data)| (number(fd), data));
    assert_eq!(next(), Some((0, None)));
    assert_eq!(next(), Some((1, Some(b"hello".to_vec()))));
    assert_eq!(next(), Some((2, None)));
    assert_eq!(next(), None);
}

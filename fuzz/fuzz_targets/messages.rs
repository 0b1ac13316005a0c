// SPDX-License-Identifier: MIT OR Apache-2.0

//! A hostile peer: messages of every shape that the kernel takes, over streams and packet sockets, and every way to
//! receive them. A ledger says what has to come out, with which data. Control messages come from the kernel, so the library's walk over them meets what a peer can
//! make the kernel say.
#![no_main]

mod support;

use fdpasser::{ffi, Events, NotReceived, Passer, Progress, Stop};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::mem;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::ptr;
use support::*;

#[derive(Arbitrary, Debug)]
struct Input {
    kind: u8,
    blocking: bool,
    without_stdin: bool,
    limit: u8,
    ops: Vec<Op>,
}

#[derive(Arbitrary, Debug)]
enum Op {
    Message(Message),
    /// The receiver asks for more control messages.
    Ask(Extra),
    /// The receiver sends something that the sender never reads: its close will be a reset.
    SendBack,
    HalfClose,
    Close,
    Receive(Receive),
    /// The same with so few free slots.
    ReceiveWithFree(u8, Receive),
}

#[derive(Arbitrary, Debug)]
struct Message {
    bytes: u8,
    /// Seventeen times as many, which may be too many.
    long: bool,
    /// Bytes that are NUL. Others say which message they belong to.
    nul: bool,
    /// How many descriptors each SCM_RIGHTS block has.
    blocks: [u8; 3],
    /// Where in the pool they begin.
    first: u16,
    /// The passer's own ends among them.
    own_ends: bool,
    credentials: bool,
    out_of_band: bool,
}

#[derive(Arbitrary, Debug)]
enum Extra {
    Credentials,
    Pidfd,
    Security,
    Timestamp,
    TimestampNs,
    InlineOutOfBand,
}

#[derive(Arbitrary, Debug, Clone, Copy)]
enum Receive {
    One,
    All,
    TryAll,
    Messages(u8),
    COne,
    CArray(u16),
    CTryArray(u16),
    CMessages(u8),
    /// With the data.
    CData(u16),
    CTryData(u16),
    Data,
    TryData,
    /// With a queue that has as many turns as it needs, and so many descriptors asked for.
    Queue {
        wants_data: bool,
        count: u8,
    },
}

/// What is in the pool, or one of the passer's own ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Item {
    Pool(usize),
    Near,
    Far,
}

/// A message in the socket.
struct Sent {
    bytes: Vec<u8>,
    items: Vec<Item>,
    /// The kernel knows who sent it.
    from: bool,
}

struct Peers<'a> {
    pool: &'a Pool,
    receiver: OwnedFd,
    /// SOCK_STREAM, SOCK_SEQPACKET or SOCK_DGRAM.
    kind: i32,
    blocking: bool,
    sender: Option<OwnedFd>,
    near: (libc::dev_t, libc::ino_t),
    far: (libc::dev_t, libc::ino_t),
    /// The ledger of what is under way.
    queue: VecDeque<Sent>,
    /// The bytes of what the ledger gave out last.
    bytes: Vec<u8>,
    /// How many messages were sent.
    count: u8,
    /// The receiver wants to know who sent a message.
    wants_from: bool,
    ended: bool,
    /// ECONNRESET comes once, before the end of file. (With SOCK_SEQPACKET it comes before everything.)
    reset: bool,
    sent_back: bool,
    /// Its own ends are under way, and an end that is open is not the end.
    passed_ends: bool,
    /// With out-of-band bytes on their way it is the kernel's affair which of them come, and when.
    exact: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Got(Vec<Item>),
    End,
    Error(i32),
}

/// What a queue says, in order.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Descriptor(Option<Vec<u8>>),
    Error(i32),
    End,
}

fn errno(error: &std::io::Error) -> i32 {
    error.raw_os_error().expect("an errno")
}

impl Peers<'_> {
    fn send(&mut self, message: &Message) {
        let Some(sender) = &self.sender else { return };
        let mut items = Vec::new();
        for _ in 0..message.blocks.iter().map(|&n| usize::from(n)).sum() {
            let at = usize::from(message.first) + items.len();
            items.push(Item::Pool(at % self.pool.fds.len()));
        }
        if message.own_ends && self.is_stream() {
            if let [first, .., last] = &mut items[..] {
                (*first, *last) = (Item::Near, Item::Far);
            }
        }
        let numbers: Vec<RawFd> = items
            .iter()
            .map(|item| match item {
                Item::Pool(i) => self.pool.fds[*i].as_raw_fd(),
                Item::Near => self.receiver.as_raw_fd(),
                Item::Far => sender.as_raw_fd(),
            })
            .collect();

        self.count = self.count.wrapping_add(1).max(1);
        let byte = if message.nul { 0 } else { self.count };
        let bytes = vec![byte; usize::from(message.bytes) * if message.long { 17 } else { 1 }];
        let mut control = Vec::<u64>::new(); // aligned as a cmsghdr
        let mut add = |kind, data: &[u8]| {
            // SAFETY: these only compute.
            let (len, space) = unsafe {
                let n = data.len() as u32;
                (libc::CMSG_LEN(n) as usize, libc::CMSG_SPACE(n) as usize)
            };
            let at = control.len();
            control.resize(at + space.div_ceil(8), 0);
            // SAFETY: `space` bytes were just added, aligned.
            unsafe {
                let header = control.as_mut_ptr().add(at).cast::<libc::cmsghdr>();
                (*header).cmsg_level = libc::SOL_SOCKET;
                (*header).cmsg_type = kind;
                (*header).cmsg_len = len;
                ptr::copy_nonoverlapping(data.as_ptr(), libc::CMSG_DATA(header), data.len());
            }
        };
        if message.credentials {
            // A ucred: pid, uid, gid.
            // SAFETY: no arguments.
            let ours = unsafe { [libc::getpid() as u32, libc::getuid(), libc::getgid()] };
            add(libc::SCM_CREDENTIALS, &ours.map(u32::to_ne_bytes).concat());
        }
        let mut rest = &numbers[..];
        for &n in &message.blocks {
            let (block, others) = rest.split_at(n.into());
            rest = others;
            if n > 0 {
                let data: Vec<u8> = block.iter().flat_map(|fd| fd.to_ne_bytes()).collect();
                add(libc::SCM_RIGHTS, &data);
            }
        }

        let mut iov = libc::iovec {
            iov_base: bytes.as_ptr().cast_mut().cast(),
            iov_len: bytes.len(),
        };
        // SAFETY: all zeros is a valid msghdr, and what it points at lives until the call is over.
        let sent = unsafe {
            let mut msg: libc::msghdr = mem::zeroed();
            msg.msg_iov = &mut iov;
            msg.msg_iovlen = 1;
            if !control.is_empty() {
                msg.msg_control = control.as_mut_ptr().cast();
                msg.msg_controllen = control.len() * 8;
            }
            let mut flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
            if message.out_of_band {
                flags |= libc::MSG_OOB;
                self.exact &= !self.is_stream();
            }
            libc::sendmsg(sender.as_raw_fd(), &msg, flags)
        };
        self.passed_ends |= sent > 0 && message.own_ends;
        // What the kernel refuses is not our concern. A stream sends no empty messages.
        if sent > 0 || sent == 0 && !self.is_stream() {
            assert_eq!(sent as usize, bytes.len());
            self.queue.push_back(Sent {
                bytes,
                items,
                from: message.credentials || self.wants_from,
            });
        }
        // So many bytes may come joined that they do not fit into one read.
        let bytes = self.queue.iter().map(|sent| sent.bytes.len());
        if self.is_stream() && bytes.sum::<usize>() > DATA {
            self.exact = false;
        }
    }

    fn ask(&mut self, extra: &Extra) {
        self.wants_from |= matches!(extra, Extra::Credentials | Extra::Pidfd);
        let option = match extra {
            Extra::Credentials => libc::SO_PASSCRED,
            Extra::Pidfd => 76, // SO_PASSPIDFD
            Extra::Security => libc::SO_PASSSEC,
            Extra::Timestamp => libc::SO_TIMESTAMP,
            Extra::TimestampNs => libc::SO_TIMESTAMPNS,
            Extra::InlineOutOfBand => libc::SO_OOBINLINE,
        };
        set_option(self.receiver.as_raw_fd(), option, &1i32);
    }

    fn close(&mut self) {
        if self.sender.take().is_some() {
            self.ended = true;
            self.reset |= self.sent_back && self.kind != libc::SOCK_DGRAM;
        }
    }

    fn is_stream(&self) -> bool {
        self.kind == libc::SOCK_STREAM
    }

    /// How many messages the next read takes. Those without descriptors come joined to the first one that has any,
    /// unless they have another sender, as far as the kernel knows.
    fn joined(&self) -> usize {
        let mut taken = 0;
        if !self.is_stream() {
            return self.queue.len().min(1);
        }
        for sent in &self.queue {
            if self.wants_from && sent.from != self.queue[0].from {
                break;
            }
            taken += 1;
            if !sent.items.is_empty() {
                break;
            }
        }
        taken
    }

    /// What a call returns that takes at most `room` descriptors, while `free` slots are left. `held`: the peer's
    /// end was received and is still open, so the end of file does not come. `with_data`: the call asks for it.
    fn expected(
        &mut self,
        room: usize,
        free: Option<usize>,
        held: bool,
        with_data: bool,
    ) -> Outcome {
        let joined = self.joined();
        if self.reset && self.kind == libc::SOCK_SEQPACKET {
            self.reset = false;
            return Outcome::Error(libc::ECONNRESET);
        }
        if joined == 0 {
            if held || self.kind == libc::SOCK_DGRAM {
                return Outcome::Error(libc::EAGAIN);
            }
            return match (self.reset, self.ended) {
                (true, _) => {
                    self.reset = false;
                    Outcome::Error(libc::ECONNRESET)
                }
                (_, true) => Outcome::End,
                _ => Outcome::Error(libc::EAGAIN),
            };
        }
        let wanted = self.queue[joined - 1].items.len();
        let empty = wanted == 0 && self.queue[joined - 1].bytes.is_empty();
        // A byte alone needs a free slot too, which shows that no descriptor came with it.
        if free.is_some_and(|free| wanted.max(1) > free && !empty) {
            return Outcome::Error(libc::EMFILE);
        }
        let taken: Vec<Sent> = self.queue.drain(..joined).collect();
        self.bytes = taken.iter().flat_map(|sent| &sent.bytes).copied().collect();
        let last = taken.into_iter().next_back().expect("a message");
        let too_long = self.bytes.len() > DATA;
        match wanted {
            0 if empty && self.kind == libc::SOCK_SEQPACKET => Outcome::End,
            0 if too_long && with_data => Outcome::Error(libc::EMSGSIZE),
            0 => Outcome::Error(libc::EBADMSG),
            n if too_long || n > room => Outcome::Error(libc::EMSGSIZE),
            _ => Outcome::Got(last.items),
        }
    }

    /// Identifies what was received, and closes it.
    fn take_in(&self, fds: Vec<OwnedFd>) -> Vec<Item> {
        fds.iter()
            .map(|fd| {
                let fd = fd.as_raw_fd();
                check_made(fd);
                match identity(fd) {
                    id if id == self.near => Item::Near,
                    id if id == self.far => Item::Far,
                    _ => Item::Pool(self.pool.number_of(fd).expect("one that was sent")),
                }
            })
            .collect()
    }

    fn receive(&mut self, how: Receive, free: Option<usize>) {
        if let Receive::Queue { wants_data, count } = how {
            return self.receive_with_queue(wants_data, usize::from(count) + 1, free);
        }
        let passer = self.receiver.as_raw_fd();
        let fillers = free.map(fill_table);
        let mut data = None;
        let (room, outcome) = match how {
            Receive::One => {
                let outcome = match fdpasser::recv_fd(&self.receiver) {
                    Ok(Some(fd)) => Ok(vec![fd]),
                    Ok(None) => Ok(vec![]),
                    Err(error) => Err(errno(&error)),
                };
                (1, outcome)
            }
            Receive::All | Receive::TryAll => {
                let mut fds = Vec::new();
                let result = if matches!(how, Receive::All) {
                    fdpasser::recv_fds(&self.receiver, &mut fds)
                } else {
                    fdpasser::try_recv_fds(&self.receiver, &mut fds)
                };
                let outcome = match result {
                    Ok(n) => {
                        assert_eq!(n, fds.len());
                        Ok(fds)
                    }
                    Err(error) => {
                        assert!(fds.is_empty());
                        Err(errno(&error))
                    }
                };
                (MAX, outcome)
            }
            Receive::COne => {
                let outcome = match ffi::fdpasser_recv_fd(passer) {
                    0 => Ok(vec![]),
                    -1 => Err(last_errno()),
                    fd => Ok(vec![owned(fd)]),
                };
                (1, outcome)
            }
            Receive::CArray(n) | Receive::CTryArray(n) => {
                let n = usize::from(n % 300);
                let mut fds = Room::for_fds(300);
                // SAFETY: n is no more than the array has.
                let got = unsafe {
                    if matches!(how, Receive::CArray(_)) {
                        ffi::fdpasser_recv_fds(passer, fds.pointer(false), n)
                    } else {
                        ffi::fdpasser_try_recv_fds(passer, fds.pointer(false), n)
                    }
                };
                let error = if got < 0 { last_errno() } else { 0 };
                assert!((-1..=n as isize).contains(&got));
                let ours = fds.take(got);
                if n == 0 {
                    assert_eq!((got, error), (-1, libc::EINVAL));
                    return;
                }
                (n, if got < 0 { Err(error) } else { Ok(ours) })
            }
            Receive::Queue { .. } => unreachable!("done above"),
            Receive::Data | Receive::TryData => {
                let (mut fds, mut bytes) = (Vec::new(), [0; DATA]);
                let result = if matches!(how, Receive::Data) {
                    fdpasser::recv_message(&self.receiver, &mut fds, &mut bytes)
                } else {
                    fdpasser::try_recv_message(&self.receiver, &mut fds, &mut bytes)
                };
                let (outcome, len) = match result {
                    Ok(len) => {
                        assert_eq!(len.is_some(), !fds.is_empty());
                        (Ok(fds), len.unwrap_or(0))
                    }
                    Err(NotReceived { error, bytes, .. }) => {
                        assert!(fds.is_empty());
                        (Err(errno(&error)), bytes)
                    }
                };
                if matches!(outcome, Ok(_) | Err(libc::EBADMSG)) {
                    data = Some(bytes[..len].to_vec());
                } else {
                    assert_eq!(len, 0);
                }
                (MAX, outcome)
            }
            Receive::CData(n) | Receive::CTryData(n) => {
                let n = usize::from(n % 300).max(1);
                let mut fds = Room::for_fds(300);
                let mut room = DataRoom::new();
                // SAFETY: n is no more than the array has, and so is the room.
                let got = unsafe {
                    let (to, len) = room.pointers(false, false);
                    let receive = if matches!(how, Receive::CData(_)) {
                        ffi::fdpasser_recv_message
                    } else {
                        ffi::fdpasser_try_recv_message
                    };
                    receive(passer, fds.pointer(false), n, to, DATA, len)
                };
                let error = if got < 0 { last_errno() } else { 0 };
                assert!((-1..=n as isize).contains(&got));
                if got >= 0 || error == libc::EBADMSG {
                    data = Some(room.take());
                }
                let ours = fds.take(got);
                (n, if got < 0 { Err(error) } else { Ok(ours) })
            }
            Receive::Messages(messages) => {
                let mut fds = Vec::new();
                let enough = usize::from(messages % 40) + 1;
                let status = match fdpasser::try_recv_messages(&self.receiver, enough, &mut fds) {
                    Stop::Enough => 1,
                    Stop::Shutdown => 0,
                    Stop::Error(error) => -errno(&error),
                    other => panic!("{other:?}"),
                };
                drop(fillers);
                let items = self.take_in(fds);
                self.check_messages(enough, free, items, status);
                return;
            }
            Receive::CMessages(messages) => {
                let mut fds = Room::for_fds(2 * MAX + 3);
                let mut status = 99;
                let enough = usize::from(messages) + 1;
                let (to, n) = (fds.pointer(false), fds.len());
                // SAFETY: room for enough and a surplus, and one status.
                let got = unsafe {
                    ffi::fdpasser_try_recv_messages(passer, to, n, enough as u32, &mut status)
                };
                drop(fillers);
                assert!(got >= 0);
                let items = self.take_in(fds.take(got));
                self.check_messages(enough, free, items, status);
                return;
            }
        };
        drop(fillers);
        let outcome = match outcome {
            Ok(fds) if fds.is_empty() => Outcome::End,
            Ok(fds) => Outcome::Got(self.take_in(fds)),
            Err(error) => Outcome::Error(error),
        };
        if outcome == Outcome::Error(libc::EINTR) && self.blocking {
            return self.receive(how, free); // libFuzzer has a timer, and nothing was consumed
        }
        self.no_spinning(&outcome);
        if self.exact {
            let with_data = matches!(
                how,
                Receive::CData(_) | Receive::CTryData(_) | Receive::Data | Receive::TryData
            );
            let expected = self.expected(room, free, false, with_data);
            assert_eq!(outcome, expected, "{how:?}, free slots: {free:?}");
            self.check_data(&outcome, data);
        } else {
            self.check_legal(&outcome, free);
        }
    }

    /// A queue of its own, over a duplicate of the passer, until it has `enough` or can do no more for now.
    fn receive_with_queue(&mut self, wants_data: bool, enough: usize, free: Option<usize>) {
        let passer = duplicate(self.receiver.as_raw_fd()).expect("a free slot");
        let mut queue = Passer::new(passer).expect("a passer");
        self.blocking = false; // for everybody who shares the socket
        queue.want_data(wants_data).expect("memory");
        queue.push_recv(enough);
        let fillers = free.map(fill_table);
        let mut told = Vec::new();
        let mut fds = Vec::new();
        let ready = Events {
            readable: true,
            writable: false,
        };
        loop {
            let before = fds.len();
            let result = queue.process(ready);
            while let Some((fd, data)) = queue.next_message() {
                told.push(Told::Descriptor(data));
                fds.push(fd);
            }
            match result {
                Ok(Progress::Open) if fds.len() >= enough => break,
                Ok(Progress::Open) => match queue.timeout() {
                    Some(pause) if pause.is_zero() => {}
                    Some(_) => {
                        told.push(Told::Error(libc::EMFILE));
                        break;
                    }
                    None => {
                        assert!(fds.len() > before || queue.events().readable);
                        told.push(Told::Error(libc::EAGAIN));
                        break;
                    }
                },
                Ok(Progress::Shutdown) => {
                    told.push(Told::End);
                    break;
                }
                Ok(Progress::Refused(_)) => panic!("nothing was pushed"),
                Err(error) => {
                    let error = errno(&error);
                    told.push(Told::Error(error));
                    let of_one = matches!(error, libc::EBADMSG | libc::EMSGSIZE);
                    if !of_one || self.is_stream() {
                        break;
                    }
                }
            }
        }
        // What the last message brought in excess.
        queue.push_recv(MAX);
        while let Some((fd, data)) = queue.next_message() {
            told.push(Told::Descriptor(data));
            fds.push(fd);
        }
        drop(queue);
        drop(fillers);
        let items = self.take_in(fds);
        if self.exact {
            let (all, expected) = self.expected_of_queue(wants_data, enough, free);
            assert_eq!(items, all);
            assert_eq!(told, expected, "data: {wants_data}, free slots: {free:?}");
        } else {
            self.check_order(&items);
        }
    }

    fn expected_of_queue(
        &mut self,
        wants_data: bool,
        enough: usize,
        free: Option<usize>,
    ) -> (Vec<Item>, Vec<Told>) {
        let mut left = free;
        let (mut all, mut told) = (Vec::new(), Vec::new());
        let mut ahead = Vec::new();
        let mut reset = false;
        while all.len() < enough {
            let held = all.contains(&Item::Far);
            match self.expected(MAX, left, held, wants_data) {
                Outcome::Got(items) => {
                    left = left.map(|left| left - items.len());
                    ahead.append(&mut self.bytes.clone());
                    let data = std::mem::take(&mut ahead);
                    let some = wants_data && !data.is_empty() && data != [0];
                    told.push(Told::Descriptor(some.then_some(data)));
                    told.extend((1..items.len()).map(|_| Told::Descriptor(None)));
                    all.extend(items);
                }
                Outcome::Error(libc::EBADMSG) if wants_data && self.is_stream() => {
                    ahead.append(&mut self.bytes.clone());
                }
                Outcome::Error(error @ (libc::EBADMSG | libc::EMSGSIZE)) if !self.is_stream() => {
                    told.push(Told::Error(error));
                }
                // It is told when all has been handed out.
                Outcome::Error(libc::ECONNRESET) => reset = true,
                Outcome::End | Outcome::Error(libc::EAGAIN) if reset => {
                    told.push(Told::Error(libc::ECONNRESET));
                    break;
                }
                Outcome::End if !ahead.is_empty() => {
                    told.push(Told::Error(libc::EBADMSG));
                    break;
                }
                Outcome::End => {
                    told.push(Told::End);
                    break;
                }
                Outcome::Error(error) => {
                    told.push(Told::Error(error));
                    break;
                }
            }
        }
        (all, told)
    }

    /// The bytes of all messages that came joined, in order. With a descriptor a lone NUL is none.
    fn check_data(&self, outcome: &Outcome, data: Option<Vec<u8>>) {
        let Some(data) = data else { return };
        match outcome {
            Outcome::End => assert!(data.is_empty()),
            Outcome::Got(_) if self.bytes == [0] => assert!(data.is_empty()),
            _ => assert_eq!(data, self.bytes),
        }
    }

    fn check_messages(
        &mut self,
        enough: usize,
        free: Option<usize>,
        items: Vec<Item>,
        status: i32,
    ) {
        let stop = match status {
            0 => Outcome::End,
            1 => Outcome::Got(vec![]),
            error => Outcome::Error(-error),
        };
        self.no_spinning(&stop);
        if !self.exact {
            self.check_order(&items);
            if status != 1 {
                self.check_legal(&stop, free);
            }
            return;
        }
        // The slots that the first messages take are not there for the later ones.
        let mut left = free;
        let mut all = Vec::new();
        while all.len() < enough {
            let held = all.contains(&Item::Far);
            match self.expected(MAX, left, held, false) {
                Outcome::Got(items) => {
                    left = left.map(|left| left - items.len());
                    all.extend(items);
                }
                other => {
                    assert_eq!(
                        (items, stop),
                        (all, other),
                        "enough: {enough}, {free:?} free"
                    );
                    return;
                }
            }
        }
        assert_eq!((items, status), (all, 1), "enough: {enough}, {free:?} free");
    }

    /// After EAGAIN a loop waits until the passer is readable, so it must not be so already.
    fn no_spinning(&self, outcome: &Outcome) {
        if *outcome == Outcome::Error(libc::EAGAIN) && !self.ended {
            assert!(
                !is_readable(self.receiver.as_raw_fd()),
                "nothing there, but readable"
            );
        }
    }

    /// What may come where out-of-band bytes are about.
    fn check_legal(&mut self, outcome: &Outcome, free: Option<usize>) {
        match outcome {
            Outcome::Got(items) => self.check_order(items),
            Outcome::End => assert!(self.ended),
            Outcome::Error(libc::EAGAIN) => assert!(!self.ended || self.passed_ends),
            Outcome::Error(libc::EBADMSG | libc::EMSGSIZE) => {}
            Outcome::Error(libc::ECONNRESET) => assert!(self.sent_back),
            Outcome::Error(libc::EMFILE) => assert!(free.is_some()),
            Outcome::Error(other) => panic!("errno {other}"),
        }
    }

    /// Some of what is under way, in its order, none twice.
    fn check_order(&mut self, items: &[Item]) {
        let mut rest = self.queue.iter().flat_map(|sent| &sent.items);
        for item in items {
            assert!(rest.any(|other| other == item), "{item:?} is not next");
        }
    }
}

thread_local!(static POOL: RefCell<Option<Pool>> = const { RefCell::new(None) });

/// Standard input, out of the way and back again.
struct Stdin(Option<OwnedFd>);

impl Stdin {
    fn close_if(wanted: bool) -> Self {
        Self(wanted.then(|| {
            // SAFETY: 0 is nobody's but ours here; nothing reads from it.
            unsafe {
                let copy = owned(libc::fcntl(0, libc::F_DUPFD_CLOEXEC, 3));
                libc::close(0);
                copy
            }
        }))
    }
}

impl Drop for Stdin {
    fn drop(&mut self) {
        if let Some(copy) = &self.0 {
            // SAFETY: whatever is there now must not be.
            unsafe {
                assert_eq!(
                    libc::fcntl(0, libc::F_GETFD),
                    -1,
                    "something took the place of 0"
                );
                assert_eq!(libc::dup2(copy.as_raw_fd(), 0), 0);
            }
        }
    }
}

fn run(pool: &Pool, input: &Input) {
    let stdin = Stdin::close_if(input.without_stdin);
    let limit = LIMITS[usize::from(input.limit) % LIMITS.len()];
    let kind = match input.kind % 4 {
        0 => libc::SOCK_SEQPACKET,
        1 => libc::SOCK_DGRAM,
        _ => libc::SOCK_STREAM,
    };
    let (receiver, sender) = match kind {
        libc::SOCK_STREAM => fdpasser::socketpair().expect("a pair"),
        kind => pair(kind),
    };
    if input.blocking {
        set_blocking(receiver.as_raw_fd());
        set_timeouts(receiver.as_raw_fd());
    } else {
        set_nonblocking(receiver.as_raw_fd());
    }
    let mut peers = Peers {
        pool,
        near: identity(receiver.as_raw_fd()),
        far: identity(sender.as_raw_fd()),
        receiver,
        kind,
        blocking: input.blocking,
        sender: Some(sender),
        queue: VecDeque::new(),
        bytes: Vec::new(),
        count: 0,
        wants_from: false,
        ended: false,
        reset: false,
        sent_back: false,
        passed_ends: false,
        exact: true,
    };
    for op in input.ops.iter().take(64) {
        set_limit(limit);
        match op {
            Op::Message(message) => peers.send(message),
            Op::Ask(extra) => peers.ask(extra),
            Op::SendBack => {
                if peers.sender.is_some() && !peers.ended {
                    let fd = &peers.pool.fds[0];
                    peers.sent_back |=
                        fdpasser::try_send_fds(&peers.receiver, &[std::os::fd::AsFd::as_fd(fd)], 1)
                            .is_ok();
                }
            }
            Op::HalfClose => {
                if let Some(sender) = &peers.sender {
                    // SAFETY: no pointers.
                    assert_eq!(
                        unsafe { libc::shutdown(sender.as_raw_fd(), libc::SHUT_WR) },
                        0
                    );
                    peers.ended = true;
                }
            }
            Op::Close => peers.close(),
            Op::Receive(how) => peers.receive(*how, None),
            Op::ReceiveWithFree(free, how) => peers.receive(*how, Some((*free).into())),
        }
    }
    // The end comes, and all that was sent before it.
    set_limit(limit);
    peers.close();
    let mut left = peers.queue.len() + 1000;
    while is_readable(peers.receiver.as_raw_fd()) {
        left -= 1;
        assert!(left > 0, "no end of it");
        if peers.exact {
            let last = peers.queue.is_empty() && !peers.reset;
            peers.receive(Receive::TryAll, None);
            if last {
                break;
            }
        } else if matches!(
            fdpasser::try_recv_fds(&peers.receiver, &mut Vec::new()),
            Ok(0)
        ) {
            break;
        }
    }
    assert!(!peers.exact || peers.queue.is_empty(), "all has come");
    drop(peers);
    drop(stdin);
}

fuzz_target!(|input: Input| {
    POOL.with_borrow_mut(|pool| {
        let pool = pool.get_or_insert_with(Pool::new);
        leaves_nothing(|| run(pool, &input));
    });
});

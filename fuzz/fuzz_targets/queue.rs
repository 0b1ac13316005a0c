// SPDX-License-Identifier: MIT OR Apache-2.0

//! The part of `calls` that is about the object with queues. A small model of each object knows what is queued and
//! what was asked for. It checks that whoever waits as the object says is woken.

use crate::support::*;
use crate::{check, Fd, State};
use fdpasser::ffi;
use libc::{c_int, c_short, c_uint, POLLIN, POLLOUT};
use libc::{EAGAIN, EBADF, EFAULT, EINVAL, EMFILE, EMSGSIZE, ENOTSOCK};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use std::collections::VecDeque;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd};
use std::ptr;

type Passer = *mut ffi::fdpasser;

/// One of our objects, or NULL.
#[derive(Arbitrary, Debug, Clone, Copy)]
pub struct Which(u8);

#[derive(Arbitrary, Debug)]
pub enum Call {
    New(Fd),
    NewPair,
    /// Both ends of a new connection, which few sequences would come to otherwise.
    Connected,
    Choose {
        parent: bool,
    },
    Free,
    PerMessage(u8),
    AnyPerMessage(u32),
    MaxQueued(u8),
    AnyMaxQueued(u32),
    Push(Fd),
    PushItself,
    /// So many duplicates.
    PushAlike(Fd, u8),
    Receive(u8),
    AnyReceive(i32),
    Process(i32),
    /// With what poll(2) finds, as a program would.
    Turn,
    /// The same when a pause is over.
    WaitAndTurn,
    /// The same with so few free slots.
    TurnInFullTable(u8),
    Refused,
    Next {
        keep: bool,
    },
    NextAll,
    Drained,
    /// With the descriptor's own data.
    PushMessage(Fd, u16),
    /// With more than the library takes, or with NULL.
    PushTooLong {
        fd: Fd,
        more: usize,
        null: bool,
    },
    WantData(i32),
    NextMessage {
        keep: bool,
    },
    NextMessageBadly {
        room: u16,
        null: bool,
        no_len: bool,
    },
}

const OBJECTS: usize = 6;

/// A pause takes 50 ms; a run has no more than so many.
const PAUSES: usize = 2;

// Not EBADF, as nobody closes what somebody else owns; nor ENOTRECOVERABLE, as nobody races with us for the last slots.
crate::errnos! {
    PROCESSING: EINVAL EOPNOTSUPP EPERM EPIPE ECONNRESET ECONNREFUSED EBADMSG ENOTCONN ENOTSOCK EAFNOSUPPORT;
    REFUSING: EINVAL EOPNOTSUPP EPERM;
}

#[derive(Default)]
pub struct Objects {
    all: Vec<Object>,
    pauses: usize,
}

struct Object {
    p: Passer,
    /// None for a pair whose end is not chosen yet.
    fd: Option<RawFd>,
    /// The numbers of what is queued.
    queue: VecDeque<RawFd>,
    /// 0: no bound.
    max_queued: usize,
    /// Asked for and not yet handed out.
    wanted: usize,
    /// Data was wanted at some time.
    wanted_data: bool,
    /// To be had from fdpasser_refused().
    refused: Option<RawFd>,
    final_error: Option<c_int>,
    /// The orderly end was told, and nothing was asked for since.
    ended: bool,
}

impl Drop for Object {
    fn drop(&mut self) {
        // SAFETY: the library made it, and this is the one place where it is freed.
        unsafe { ffi::fdpasser_free(self.p) };
    }
}

impl Objects {
    fn add(&mut self, p: Passer, fd: Option<RawFd>) {
        let object = Object {
            p,
            fd,
            queue: VecDeque::new(),
            max_queued: 0,
            wanted: 0,
            wanted_data: false,
            refused: None,
            final_error: None,
            ended: false,
        };
        object.look();
        if self.all.len() >= OBJECTS {
            self.all.swap_remove(0);
        }
        self.all.push(object);
    }

    /// The socket of an object, if there is such an object and it has one.
    pub fn socket(&self, i: usize) -> Option<RawFd> {
        self.all[i.checked_rem(self.all.len())?].fd
    }

    fn index(&self, which: Which) -> Option<usize> {
        if which.0 == u8::MAX {
            return None;
        }
        usize::from(which.0).checked_rem(self.all.len())
    }
}

/// -1 with EINVAL: the answer for NULL and for a pair.
fn check_invalid(result: c_int) {
    assert_eq!((result, last_errno()), (-1, EINVAL));
}

/// Every call refuses NULL, and a pair whose end is not chosen yet.
fn call_unusable(p: Passer, call: &Call, a_descriptor: RawFd) {
    // SAFETY: p is NULL or an object of ours.
    unsafe {
        check_invalid(ffi::fdpasser_fileno(p));
        check_invalid(ffi::fdpasser_events(p));
        check_invalid(ffi::fdpasser_timeout_ms(p));
        check_invalid(ffi::fdpasser_queued(p));
        match call {
            Call::PerMessage(n) => check_invalid(ffi::fdpasser_set_per_message(p, (*n).into())),
            Call::AnyPerMessage(n) => check_invalid(ffi::fdpasser_set_per_message(p, *n)),
            Call::MaxQueued(n) => check_invalid(ffi::fdpasser_set_max_queued(p, (*n).into())),
            Call::AnyMaxQueued(n) => check_invalid(ffi::fdpasser_set_max_queued(p, *n)),
            Call::Push(_) | Call::PushItself | Call::PushAlike(..) => {
                check_invalid(ffi::fdpasser_push_send_fd(p, a_descriptor));
            }
            Call::Receive(n) => check_invalid(ffi::fdpasser_push_recv(p, (*n).into())),
            Call::AnyReceive(n) => check_invalid(ffi::fdpasser_push_recv(p, *n)),
            Call::Process(revents) => check_invalid(ffi::fdpasser_process(p, *revents)),
            Call::Turn | Call::WaitAndTurn | Call::TurnInFullTable(_) => {
                check_invalid(ffi::fdpasser_process(p, 0));
            }
            Call::Refused => {
                assert_eq!(ffi::fdpasser_refused(p), -1);
                assert!(!p.is_null() || last_errno() == EINVAL);
            }
            Call::Next { .. } | Call::NextAll => check_invalid(ffi::fdpasser_next_fd(p)),
            Call::Drained => check_invalid(ffi::fdpasser_drained(p)),
            Call::PushMessage(..) | Call::PushTooLong { .. } => {
                let data = [1_u8; 2];
                let (data, len) = (data.as_ptr().cast(), data.len());
                check_invalid(ffi::fdpasser_push_send_message(p, a_descriptor, data, len));
            }
            Call::WantData(yes) => check_invalid(ffi::fdpasser_want_data(p, *yes)),
            Call::NextMessage { .. } | Call::NextMessageBadly { .. } => {
                let mut room = DataRoom::new();
                let (to, len) = room.pointers(false, false);
                check_invalid(ffi::fdpasser_next_message(p, to, DATA, len));
                room.check_untouched();
            }
            Call::New(_) | Call::NewPair | Call::Connected | Call::Choose { .. } | Call::Free => {}
        }
    }
}

impl Object {
    fn ask(&self, call: unsafe extern "C" fn(*const ffi::fdpasser) -> c_int) -> c_int {
        // SAFETY: an object of ours.
        unsafe { call(self.p) }
    }

    fn tell(&mut self, call: unsafe extern "C" fn(Passer) -> c_int) -> c_int {
        // SAFETY: an object of ours.
        unsafe { call(self.p) }
    }

    /// What holds at every moment.
    fn look(&self) {
        let Some(fd) = self.fd else {
            return;
        };
        assert_eq!(self.ask(ffi::fdpasser_fileno), fd);
        assert_eq!(self.ask(ffi::fdpasser_queued), self.queue.len() as c_int);
        let events = self.ask(ffi::fdpasser_events);
        let timeout = self.ask(ffi::fdpasser_timeout_ms);
        let (readable, writable) = (c_int::from(POLLIN), c_int::from(POLLOUT));
        assert_eq!(events & !(readable | writable), 0);
        assert!((-1..1000).contains(&timeout), "timeout {timeout}");
        let failed = self.final_error.is_some();
        let sends = !self.queue.is_empty() && !failed;
        let receives = self.wanted > 0 && !failed;
        assert!(sends || events & writable == 0, "nothing to send");
        assert!(receives || events & readable == 0, "nothing is wanted");
        // Whoever waits as told is woken.
        if timeout == -1 {
            assert!(!sends || events & writable != 0, "would not be sent");
            // (If the peer has shut down, that is told when all is sent.)
            assert!(!receives || self.ended || events != 0, "would not be told");
        }
    }

    fn process(&mut self, revents: c_int) {
        // It is closed by now, if it was not taken.
        self.refused = None;
        // SAFETY: an object of ours.
        let state = unsafe { ffi::fdpasser_process(self.p, revents) };
        let good = check(state as isize, "process", PROCESSING);
        let error = last_errno();
        let queued = usize::try_from(self.ask(ffi::fdpasser_queued)).expect("no error");
        assert!(queued <= self.queue.len());
        let mut last = None;
        while self.queue.len() > queued {
            last = self.queue.pop_front();
        }
        if good {
            assert!(state <= 1);
            assert!(self.final_error.is_none() || state == 1, "told once more");
            self.ended = state == 0;
            if self.ended {
                assert_eq!(queued, 0);
                self.nothing_to_take();
            }
        } else if REFUSING.contains(&error) && last.is_some() {
            // A passer that cannot send at all has sent nothing, so the error is about this descriptor.
            assert_eq!(self.final_error, None);
            self.refused = last;
        } else {
            assert_eq!(*self.final_error.get_or_insert(error), error);
            self.nothing_to_take();
            let (events, timeout) = (ffi::fdpasser_events, ffi::fdpasser_timeout_ms);
            assert_eq!((self.ask(events), self.ask(timeout)), (0, -1));
        }
        self.look();
    }

    fn turn(&mut self, wait: bool) {
        let events = self.ask(ffi::fdpasser_events);
        let timeout = self.ask(ffi::fdpasser_timeout_ms).max(0);
        let mut poll = libc::pollfd {
            fd: self.fd.filter(|_| events != 0).unwrap_or(-1),
            events: events as c_short,
            revents: 0,
        };
        // SAFETY: one pollfd.
        assert!(unsafe { libc::poll(&mut poll, 1, if wait { timeout } else { 0 }) } >= 0);
        self.process(poll.revents.into());
    }

    fn next(&mut self) -> Option<RawFd> {
        let fd = self.tell(ffi::fdpasser_next_fd);
        if !check(fd as isize, "next_fd", &[EAGAIN]) {
            return None;
        }
        self.wanted = self.wanted.checked_sub(1).expect("it was asked for");
        self.look();
        Some(fd)
    }

    fn next_message(&mut self) -> Option<RawFd> {
        let mut room = DataRoom::new();
        let (to, len) = room.pointers(false, false);
        // SAFETY: an object of ours, and room for the data of a message.
        let fd = unsafe { ffi::fdpasser_next_message(self.p, to, DATA, len) };
        if !check(fd as isize, "next_message", &[EAGAIN]) {
            room.check_untouched();
            return None;
        }
        let data = room.take();
        check_data(fd, &data);
        assert!(data.is_empty() || self.wanted_data, "nobody asked for data");
        self.wanted = self.wanted.checked_sub(1).expect("it was asked for");
        self.look();
        Some(fd)
    }

    fn nothing_to_take(&mut self) {
        assert_eq!(self.next(), None, "all is handed out before");
    }

    /// True if the object has it now.
    fn push(&mut self, fd: RawFd, is_open: bool) -> bool {
        // SAFETY: an object of ours.
        let result = unsafe { ffi::fdpasser_push_send_fd(self.p, fd) };
        self.pushed(fd, is_open, result)
    }

    fn push_message(&mut self, fd: RawFd, is_open: bool, len: usize) -> bool {
        let data = match is_open {
            true => data_for(fd, len),
            false => vec![1; len],
        };
        let data = data.as_ptr().cast();
        // SAFETY: an object of ours, and so many bytes.
        let result = unsafe { ffi::fdpasser_push_send_message(self.p, fd, data, len) };
        self.pushed(fd, is_open, result)
    }

    /// The same for what a push has returned.
    fn pushed(&mut self, fd: RawFd, is_open: bool, result: c_int) -> bool {
        let error = if !is_open {
            EBADF
        } else if Some(fd) == self.fd {
            EINVAL
        } else if let Some(error) = self.final_error {
            error
        } else if self.max_queued > 0 && self.queue.len() >= self.max_queued {
            EAGAIN
        } else {
            assert_eq!(result, 1);
            self.queue.push_back(fd);
            self.ended = false;
            return true;
        };
        assert_eq!((result, last_errno()), (-1, error));
        false
    }

    fn receive(&mut self, count: c_int) {
        // SAFETY: an object of ours.
        let result = unsafe { ffi::fdpasser_push_recv(self.p, count) };
        if count <= 0 {
            return check_invalid(result);
        }
        assert_eq!(result, 0);
        self.wanted += count as usize;
        self.ended = false;
    }

    fn set_per_message(&mut self, count: c_uint) {
        // SAFETY: an object of ours.
        let result = unsafe { ffi::fdpasser_set_per_message(self.p, count) };
        if (1..=MAX).contains(&(count as usize)) {
            assert_eq!(result, 0);
        } else {
            check_invalid(result);
        }
    }

    fn set_max_queued(&mut self, count: c_uint) {
        // SAFETY: an object of ours.
        assert_eq!(unsafe { ffi::fdpasser_set_max_queued(self.p, count) }, 0);
        self.max_queued = count as usize;
    }
}

impl State<'_> {
    pub fn queue_call(&mut self, which: Which, call: &Call) {
        match call {
            Call::New(fd) => {
                let (fd, ours) = self.give(*fd);
                let p = ffi::fdpasser_new(fd);
                if p.is_null() {
                    assert_eq!(last_errno(), EBADF);
                    drop(ours); // still ours
                } else {
                    let _ = ours.expect("an open descriptor").into_raw_fd();
                    self.objects.add(p, Some(fd));
                }
            }
            Call::NewPair => {
                let p = ffi::fdpasser_new_pair();
                if p.is_null() {
                    assert_eq!(last_errno(), EMFILE);
                } else {
                    self.objects.add(p, None);
                }
            }
            Call::Connected => {
                let mut fds = [-1; 2];
                // SAFETY: room for two.
                if unsafe { ffi::fdpasser_socketpair(fds.as_mut_ptr()) } != 0 {
                    assert_eq!(last_errno(), EMFILE);
                    return;
                }
                for fd in fds {
                    let p = ffi::fdpasser_new(fd);
                    assert!(!p.is_null());
                    self.objects.add(p, Some(fd));
                }
            }
            _ => {
                if matches!(call, Call::TurnInFullTable(_)) {
                    self.make_room();
                }
                match self.objects.index(which) {
                    Some(i) => self.call_object(i, call),
                    None => self.call_null(call),
                }
            }
        }
    }

    fn call_null(&self, call: &Call) {
        let fd = self.world.standing[0].as_raw_fd();
        // SAFETY: NULL is fine.
        unsafe {
            match call {
                Call::Free => ffi::fdpasser_free(ptr::null_mut()),
                Call::Choose { parent: true } => {
                    check_invalid(ffi::fdpasser_i_am_parent(ptr::null_mut()));
                }
                Call::Choose { parent: false } => {
                    check_invalid(ffi::fdpasser_i_am_child(ptr::null_mut()));
                }
                _ => call_unusable(ptr::null_mut(), call, fd),
            }
        }
    }

    fn call_object(&mut self, i: usize, call: &Call) {
        let object = &mut self.objects.all[i];
        match call {
            Call::Free => {
                self.objects.all.swap_remove(i);
                return;
            }
            Call::Choose { parent } => {
                let result = object.tell(if *parent {
                    ffi::fdpasser_i_am_parent
                } else {
                    ffi::fdpasser_i_am_child
                });
                if object.fd.is_some() {
                    return check_invalid(result);
                }
                assert_eq!(result, 0);
                let fd = object.ask(ffi::fdpasser_fileno);
                assert!(fd >= 3 && is_close_on_exec(fd));
                object.fd = Some(fd);
                return object.look();
            }
            _ => {}
        }
        let Some(itself) = object.fd else {
            return call_unusable(object.p, call, self.world.standing[0].as_raw_fd());
        };
        match call {
            Call::PerMessage(n) => object.set_per_message((*n).into()),
            Call::AnyPerMessage(n) => object.set_per_message(*n),
            Call::MaxQueued(n) => object.set_max_queued((*n).into()),
            Call::AnyMaxQueued(n) => object.set_max_queued(*n),
            Call::Push(fd) => {
                let (fd, ours) = self.give(*fd);
                if self.objects.all[i].push(fd, ours.is_some()) {
                    let _ = ours.expect("an open descriptor").into_raw_fd();
                }
            }
            Call::PushMessage(fd, len) => {
                let (fd, ours) = self.give(*fd);
                let len = usize::from(*len) % (DATA + 1);
                if self.objects.all[i].push_message(fd, ours.is_some(), len) {
                    let _ = ours.expect("an open descriptor").into_raw_fd();
                }
            }
            Call::PushTooLong { fd, more, null } => {
                let (fd, _ours) = self.give(*fd);
                let len = more.saturating_add(DATA + 1);
                let byte = 0_u8;
                let (data, error) = match null {
                    true => (ptr::null(), EFAULT),
                    false => (ptr::from_ref(&byte).cast(), EMSGSIZE),
                };
                let p = self.objects.all[i].p;
                // SAFETY: NULL, or more than the library takes.
                let result = unsafe { ffi::fdpasser_push_send_message(p, fd, data, len) };
                assert_eq!((result, last_errno()), (-1, error));
            }
            Call::WantData(yes) => {
                // SAFETY: an object of ours.
                assert_eq!(unsafe { ffi::fdpasser_want_data(object.p, *yes) }, 0);
                object.wanted_data |= *yes != 0;
            }
            Call::NextMessage { keep } => {
                if let Some(fd) = object.next_message() {
                    self.received(vec![owned(fd)], *keep);
                }
            }
            Call::NextMessageBadly { room, null, no_len } => {
                let mut data = DataRoom::new();
                let (to, len) = data.pointers(*null, *no_len);
                // Too little.
                let room = usize::from(*room) % DATA;
                // SAFETY: an object of ours, and NULL or enough.
                let fd = unsafe { ffi::fdpasser_next_message(object.p, to, room, len) };
                let error = if *null || *no_len { EFAULT } else { EINVAL };
                assert_eq!((fd, last_errno()), (-1, error));
                data.check_untouched();
            }
            Call::PushItself => assert!(!object.push(itself, true)),
            Call::PushAlike(fd, n) => {
                let fd = self.number(*fd);
                for _ in 0..*n {
                    let Some(copy) = duplicate(fd) else {
                        break;
                    };
                    if !self.objects.all[i].push(copy.as_raw_fd(), true) {
                        break;
                    }
                    let _ = copy.into_raw_fd();
                }
            }
            Call::Receive(n) => object.receive((*n).into()),
            Call::AnyReceive(n) => object.receive(*n),
            // Any other bit means that both directions are ready. So half of the numbers have only these two.
            Call::Process(revents @ 0..) => object.process(revents & c_int::from(POLLIN | POLLOUT)),
            Call::Process(revents) => object.process(*revents),
            Call::Turn => object.turn(false),
            Call::WaitAndTurn => {
                self.objects.pauses += 1;
                object.turn(self.objects.pauses <= PAUSES);
            }
            Call::TurnInFullTable(free) => {
                let fillers = fill_table((*free).into());
                object.turn(false);
                drop(fillers);
            }
            Call::Refused => {
                let fd = object.tell(ffi::fdpasser_refused);
                match object.refused.take() {
                    Some(refused) => {
                        assert_eq!(fd, refused, "under the number that it was pushed with");
                        drop(owned(fd));
                    }
                    None => assert_eq!(fd, -1),
                }
            }
            Call::Next { keep } => {
                if let Some(fd) = object.next() {
                    self.received(vec![owned(fd)], *keep);
                }
            }
            Call::NextAll => {
                while let Some(fd) = self.objects.all[i].next() {
                    self.received(vec![owned(fd)], false);
                }
            }
            Call::Drained => {
                let drained = object.ask(ffi::fdpasser_drained);
                if check(drained as isize, "drained", &[ENOTSOCK, EINVAL]) {
                    assert!(drained == 0 || drained == 1 && object.queue.is_empty());
                }
            }
            Call::New(_) | Call::NewPair | Call::Connected | Call::Choose { .. } | Call::Free => {
                unreachable!("done above")
            }
        }
        if let Some(object) = self.objects.all.get(i) {
            object.look();
        }
    }

    /// A descriptor to be given away: one of ours, or a copy of a standing one. None, if the number is not open.
    fn give(&mut self, fd: Fd) -> (RawFd, Option<OwnedFd>) {
        let ours = match fd {
            Fd::Ours(i) if !self.ours.is_empty() => {
                Some(self.ours.swap_remove(usize::from(i) % self.ours.len()))
            }
            Fd::Ours(_) | Fd::Standing(_) => duplicate(self.number(fd)),
            Fd::NotOpen(_) => None,
        };
        match ours {
            Some(ours) => (ours.as_raw_fd(), Some(ours)),
            None => (self.number(Fd::NotOpen(0)), None),
        }
    }
}

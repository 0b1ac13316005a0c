// SPDX-License-Identifier: MIT OR Apache-2.0
//! The promises of `Passer`: order, data, the end, back-pressure, a full table, and that no await loses anything.

use fdpasser_tokio::{Passer, Received};
use nix::sys::resource::{getrlimit, setrlimit, Resource};
use std::fs::File;
use std::future::Future;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Mutex;
use std::time::Duration;
use tokio::time::timeout;

/// Generous: only a test that hangs reaches it.
const DEADLINE: Duration = Duration::from_secs(120);

/// One test after the other: one of them fills the table that they share.
static TABLE: Mutex<()> = Mutex::new(());

fn run(test: impl Future<Output = io::Result<()>>) {
    let _alone = TABLE
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    let open = open_descriptors();
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(async { timeout(DEADLINE, test).await.expect("it hangs").unwrap() });
    assert_eq!(
        open_descriptors(),
        open,
        "descriptors are open that were not before"
    );
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn pair() -> io::Result<(Passer, Passer)> {
    let (ours, theirs) = fdpasser::socketpair()?;
    Ok((Passer::new(ours)?, Passer::new(theirs)?))
}

/// A socket from which `number` can be read, and then the end.
fn numbered(number: usize) -> io::Result<OwnedFd> {
    let (mut near, far) = UnixStream::pair()?;
    write!(near, "{number}")?;
    Ok(far.into())
}

/// Odd numbers travel with data, even ones without.
fn push(passer: &mut Passer, number: usize) -> io::Result<()> {
    let data = if number % 2 == 1 {
        number.to_string()
    } else {
        String::new()
    };
    passer
        .push(numbered(number)?, data.as_bytes())
        .map_err(io::Error::other)
}

fn check(received: Option<Received>, number: usize) {
    let (fd, data) = received.expect("the end came too early");
    let mut text = String::new();
    UnixStream::from(fd).read_to_string(&mut text).unwrap();
    assert_eq!(text, number.to_string());
    assert_eq!(
        data,
        (number % 2 == 1).then(|| text.into_bytes()),
        "the data of {number}"
    );
}

#[test]
fn in_order_with_data_and_then_the_end() {
    run(async {
        let (mut sender, mut receiver) = pair()?;
        let sending = async {
            for number in 0..1000 {
                push(&mut sender, number)?;
                sender.room(10).await?;
            }
            sender.flush().await?;
            drop(sender);
            io::Result::Ok(())
        };
        let receiving = async {
            for number in 0..1000 {
                check(receiver.recv().await?, number);
            }
            // The end is told each time.
            assert!(receiver.recv().await?.is_none());
            assert!(receiver.recv().await?.is_none());
            io::Result::Ok(())
        };
        tokio::try_join!(sending, receiving)?;
        Ok(())
    });
}

/// Drops the future after it was polled `polls` times.
async fn cancelled_after<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    let mut left = polls;
    std::future::poll_fn(|context| match left {
        0 => std::task::Poll::Ready(None),
        _ => {
            left -= 1;
            let poll = future.as_mut().poll(context).map(Some);
            // What would wake the future wakes us, or we poll once more for nothing: both are fine.
            if poll.is_pending() {
                context.waker().wake_by_ref();
            }
            poll
        }
    })
    .await
}

#[test]
fn a_future_that_is_dropped_at_any_await_loses_nothing() {
    const TOTAL: usize = 5000;
    run(async {
        let (mut sender, mut receiver) = pair()?;
        let sending = tokio::spawn(async move {
            for number in 0..TOTAL {
                push(&mut sender, number)?;
                for polls in 0.. {
                    if let Some(done) = cancelled_after(polls % 4, sender.room(number % 7)).await {
                        done?;
                        break;
                    }
                    tokio::task::yield_now().await;
                }
            }
            sender.flush().await
        });
        let mut cancelled = 0;
        for number in 0..TOTAL {
            for polls in 0.. {
                if let Some(received) = cancelled_after(polls % 5, receiver.recv()).await {
                    check(received?, number);
                    break;
                }
                cancelled += 1;
                tokio::task::yield_now().await;
            }
        }
        assert!(
            cancelled > TOTAL / 2,
            "only {cancelled} futures were dropped"
        );
        sending.await.unwrap()?;
        assert!(receiver.recv().await?.is_none());
        Ok(())
    });
}

#[test]
fn both_directions_move_whichever_is_awaited() {
    run(async {
        let (mut ours, mut theirs) = pair()?;
        for number in 0..2000 {
            push(&mut ours, number)?;
            push(&mut theirs, number)?;
        }
        // Neither end awaits `flush`. Each sends while it receives.
        let (ours, theirs) = tokio::join!(receive(&mut ours, 2000), receive(&mut theirs, 2000));
        ours.and(theirs)
    });
}

async fn receive(passer: &mut Passer, count: usize) -> io::Result<()> {
    for number in 0..count {
        check(passer.recv().await?, number);
    }
    passer.flush().await
}

#[test]
fn what_came_while_another_future_waited_is_not_lost_and_makes_nobody_spin() {
    run(async {
        let (mut ours, mut theirs) = pair()?;
        assert!(cancelled_after(1, ours.recv()).await.is_none());
        push(&mut theirs, 1)?;
        theirs.flush().await?;
        // More than the socket holds: `flush` waits, with a descriptor that nobody has taken yet.
        for number in 0..2000 {
            push(&mut ours, number)?;
        }
        let mut polls = 0;
        {
            let mut flush = std::pin::pin!(ours.flush());
            let counted = std::future::poll_fn(|context| {
                polls += 1;
                flush.as_mut().poll(context)
            });
            assert!(timeout(Duration::from_millis(200), counted).await.is_err());
        }
        assert!(polls < 100, "{polls} polls in 200 ms");
        let (sent, received) = tokio::join!(ours.flush(), receive(&mut theirs, 2000));
        sent.and(received)?;
        check(ours.recv().await?, 1);
        Ok(())
    });
}

#[test]
fn a_full_table_pauses() {
    run(async {
        let (mut sender, mut receiver) = pair()?;
        push(&mut sender, 1)?;
        sender.flush().await?;
        let before = getrlimit(Resource::RLIMIT_NOFILE)?;
        setrlimit(Resource::RLIMIT_NOFILE, before.0.min(256), before.1)?;
        let mut full = Vec::new();
        while let Ok(fd) = File::open("/dev/null") {
            full.push(fd);
        }
        assert!(timeout(Duration::from_millis(100), receiver.recv())
            .await
            .is_err());
        drop(full);
        check(receiver.recv().await?, 1);
        setrlimit(Resource::RLIMIT_NOFILE, before.0, before.1)?;
        Ok(())
    });
}

#[test]
fn a_peer_that_is_gone_is_an_error_each_time() {
    run(async {
        let (mut ours, theirs) = pair()?;
        drop(theirs);
        push(&mut ours, 1)?;
        for _ in 0..2 {
            let error = ours.flush().await.unwrap_err();
            assert_eq!(error.raw_os_error(), Some(nix::libc::EPIPE), "{error}");
        }
        Ok(())
    });
}

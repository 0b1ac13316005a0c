//! The Rust API, both ends in one thread: what is sent is received and closed.

use criterion::{criterion_group, criterion_main, Criterion};
use fdpasser::Stop;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

fn passing(c: &mut Criterion) {
    let (ours, theirs) = fdpasser::socketpair().unwrap();
    // Anything that is open will do.
    let payload = std::fs::File::open("/dev/null").unwrap();
    let many: Vec<BorrowedFd> = vec![payload.as_fd(); fdpasser::MAX_PER_MESSAGE];

    c.bench_function("socketpair", |b| b.iter(|| fdpasser::socketpair().unwrap()));
    c.bench_function("send_fd, recv_fd", |b| {
        b.iter(|| {
            fdpasser::send_fd(&ours, &payload).unwrap();
            fdpasser::recv_fd(&theirs).unwrap().unwrap()
        })
    });

    let mut received: Vec<OwnedFd> = Vec::with_capacity(many.len());
    for (name, count, per_message) in [
        ("send_fds, recv_fds of 1", 1, 1),
        ("send_fds, recv_fds of 16 in one message", 16, 16),
        ("send_fds, recv_fds of 253 in one message", 253, 253),
    ] {
        c.bench_function(name, |b| {
            b.iter(|| {
                fdpasser::send_fds(&ours, &many[..count], per_message).unwrap();
                assert_eq!(fdpasser::recv_fds(&theirs, &mut received).unwrap(), count);
                received.clear();
            })
        });
    }
    c.bench_function("send_fds, try_recv_messages of 16 in 16 messages", |b| {
        b.iter(|| {
            fdpasser::send_fds(&ours, &many[..16], 1).unwrap();
            let stop = fdpasser::try_recv_messages(&theirs, 16, &mut received);
            assert!(matches!(stop, Stop::Enough) && received.len() == 16);
            received.clear();
        })
    });
}

criterion_group!(benches, passing);
criterion_main!(benches);

/* A full table leaves a message where it is. If the kernel destroys descriptors all the same, that is reported: once by a
 * call, and once by a queue. Nothing that a look shows is taken for a descriptor.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "played.h"

static int ends[2], leave;

static void take_slots(void)
{
    play_before_receive = NULL;
    fill_table();
    free_slots((size_t)leave);
}

/* Nothing is consumed as long as no slot is free. */
static void full(size_t n, size_t slots)
{
    int fds[MAX];

    set_soft_limit(64);
    make_pair(ends);
    send_numbered(ends[0], 1, n);
    fill_table();
    free_slots(slots);
    for (int i = 0; i < 3; i++) {
        ERRNO(fdpasser_recv_fds(ends[1], fds, MAX), EMFILE);
        ERRNO(fdpasser_try_recv_fds(ends[1], fds, MAX), EMFILE);
    }
    free_slots(n - slots);
    receive_numbered(ends[1], 1, n);
    ERRNO(fdpasser_try_recv_fds(ends[1], fds, 1), EAGAIN);
    fill_table();
    ERRNO(fdpasser_try_recv_fds(ends[1], fds, 1), EAGAIN); /* nothing waits */
    close(ends[0]);
    EQUAL(fdpasser_recv_fd(ends[1]), 0);
    close(ends[1]);
    empty_table();
}

/* What follows a loss: the bytes, if the kernel has left them there, and then the next message. */
static void after_loss(int passer, size_t n_bytes)
{
    char data[FDPASSER_MAX_DATA];
    size_t len = 0;
    int fd;

    if (bytes_stay()) {
        ERRNO(fdpasser_recv_message(passer, &fd, 1, data, sizeof data, &len), EBADMSG);
        EQUAL(len, n_bytes);
    }
    RECEIVED(fdpasser_recv_fd(passer), 9);
    ERRNO(fdpasser_try_recv_fds(passer, &fd, 1), EAGAIN);
}

/* Another thread takes the slots between the proof and the system call. */
static void race(rlim_t limit, size_t n, int left)
{
    int fds[MAX], before;

    set_soft_limit(limit);
    make_pair(ends);
    send_numbered(ends[0], 1, n);
    send_numbered(ends[0], 9, 1);
    before = open_descriptors();
    leave = left;
    play_before_receive = take_slots;
    ERRNO(fdpasser_recv_fds(ends[1], fds, MAX), LOST);
    EQUAL(fdpasser_retry_ms(LOST), -1);
    EQUAL(open_descriptors(), before + n_fillers);
    empty_table();
    after_loss(ends[1], 1);
    close_pair(ends);
}

/* A loss ends a queue. It is reported once, and nothing follows it. */
static void queue(void)
{
    fdpasser *p;

    set_soft_limit(1024);
    make_pair(ends);
    p = make_passer(ends[1]);
    fdpasser_push_recv(p, 3);
    send_numbered(ends[0], 1, 1);
    expect(p, 1);
    send_numbered(ends[0], 2, 1);
    send_numbered(ends[0], 9, 1);
    leave = 0;
    play_before_receive = take_slots;
    ERRNO(turn(p), LOST);
    empty_table();
    for (int i = 0; i < 3; i++) {
        ERRNO(fdpasser_process(p, POLLIN), LOST);
        ERRNO(fdpasser_next_fd(p), EAGAIN);
        EQUAL(fdpasser_events(p), 0);
    }
    fdpasser_free(p);
    close(ends[0]);
}

/* It is reported also if sending has failed before. */
static void queue_after_epipe(void)
{
    fdpasser *p;

    set_soft_limit(1024);
    make_pair(ends);
    p = make_passer(ends[1]);
    send_numbered(ends[0], 1, 1);
    EQUAL(shutdown(ends[0], SHUT_RD), 0);
    push_numbered(p, 2);
    fdpasser_push_recv(p, 3);
    leave = 0;
    play_before_receive = take_slots;
    ERRNO(turn(p), LOST);
    empty_table();
    ERRNO(fdpasser_process(p, 0), LOST);
    fdpasser_free(p);
    close(ends[0]);
}

/* These errors of recvmsg() destroy descriptors, each on its kernels. */
static void other_errors(void)
{
    static const struct {
        int error;
        unsigned kernels;
    } errors[] = {
        {EPERM, 1 << NETBSD | 1 << OPENBSD},
        {EINVAL, 1 << NETBSD},
        {ENOSYS, 1 << OPENBSD},
        {E2BIG, 1 << FREEBSD10 | 1 << FREEBSD14 | 1 << FREEBSD15},
        {ENOBUFS, 1 << FREEBSD10 | 1 << FREEBSD14 | 1 << FREEBSD15},
        {EMFILE, 1 << MACOS | 1 << ILLUMOS},
        {ENOMEM, 1 << MACOS},
    };
    int fd, n = 0;

    make_pair(ends);
    for (size_t i = 0; i < LENGTH(errors); i++) {
        if (!(errors[i].kernels & 1u << played))
            continue;
        hostile_send(ends[0], "four", 4, (fd = numbered(1), &fd), 1);
        send_numbered(ends[0], 9, 1);
        close(fd);
        play_receive_error = errors[i].error;
        ERRNO(fdpasser_recv_fd(ends[1]), LOST);
        play_receive_error = 0;
        after_loss(ends[1], 4);
        n++;
    }
    CHECK(n > 0 || played == DRAGONFLY);
    close_pair(ends);
}

/* What lies behind control data that was cut is no descriptor. */
static void truncated(void)
{
    int fds[MAX], before, bystander = numbered(5);

    make_pair(ends);
    send_numbered(ends[0], 1, 3);
    send_numbered(ends[0], 9, 1);
    before = open_descriptors();
    play_cut = bystander;
    ERRNO(fdpasser_recv_fds(ends[1], fds, MAX), LOST);
    EQUAL(open_descriptors(), before);
    RECEIVED(fdpasser_recv_fd(ends[1]), 9);
    EQUAL(number_of(bystander), 5);
    close(bystander);
    close_pair(ends);
}

/* Looks with a control buffer are for kernels on which they install duplicates. */
static void looks(void)
{
    set_soft_limit(64);
    make_pair(ends);
    send_numbered(ends[0], 1, 1);
    play_looks = 0;
    RECEIVED(fdpasser_recv_fd(ends[1]), 1);
    EQUAL(play_looks > 0, played == ILLUMOS);
    close_pair(ends);
}

static void test(void)
{
    IN_CHILD(full(1, 0));
    if (played == ILLUMOS) { /* elsewhere nobody knows how many descriptors wait */
        IN_CHILD(full(5, 0));
        IN_CHILD(full(5, 1));
        IN_CHILD(full(20, 19));
    }
    IN_CHILD(race(64, 1, 0));
    IN_CHILD(race(1024, 1, 0));
    IN_CHILD(race(1024, 5, 1));
    IN_CHILD(race(1024, 5, 4));
    IN_CHILD(queue());
    IN_CHILD(queue_after_epipe());
    other_errors();
    truncated();
    IN_CHILD(looks());
}

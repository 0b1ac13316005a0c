/* fdpasser.h - hand open file descriptors to another process.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Generated from src/ffi.rs by cbindgen (`make header`). Do not edit.
 *
 * A "passer" is a connected descriptor that descriptors travel over, in both
 * directions. Make one with fdpasser_socketpair() before a fork, or with
 * fdpasser_server(), fdpasser_accept() and fdpasser_connect() by way of the file
 * system; then send_fd() and recv_fd().
 *
 *     int fds[2];
 *     if (fdpasser_socketpair(fds) != 0) err(1, "fdpasser_socketpair");
 *     switch (fork()) {
 *     case -1: err(1, "fork");
 *     case 0:
 *         close(fds[0]);
 *         if (send_fd(fds[1], STDOUT_FILENO) != 1) err(1, "send_fd");
 *         _exit(0);
 *     }
 *     close(fds[1]);
 *     int fd = recv_fd(fds[0]);   // > 2; 0 at orderly shutdown; -1 with errno
 *
 * What holds for every function here:
 *
 * - -1 is a failure and comes with errno. After success errno means nothing.
 * - Every descriptor that is made or received is close-on-exec, atomically where
 *   the system can, and never numbered 0, 1 or 2. New passers and listeners are
 *   in blocking mode.
 * - Sending borrows: the sender's descriptor stays open, and is the sender's.
 * - SIGPIPE is never raised. A call that waits is interrupted by signals (EINTR).
 * - No state is kept, not even between calls: everything may be called from any
 *   thread, and in both processes after a fork. Several threads or processes may
 *   send over, or receive from, one end: each message is whole, and each
 *   descriptor reaches exactly one receiver.
 * - Bad arguments get an errno: EBADF for what is not open, EFAULT for NULL,
 *   ENOTSOCK for what is no socket, EAFNOSUPPORT for sending over a socket that
 *   is not local.
 *
 * Errors that pass with time, when sending (POLLOUT) and receiving (POLLIN):
 *
 *   EAGAIN         the socket is full, or nothing has arrived: poll, try again
 *   EMFILE         receiving: no free slot; nothing was consumed
 *   ETOOMANYREFS   sending: this user has too many descriptors in flight
 *   ENOBUFS/ENOMEM the kernel is short of memory
 *
 * With all but EAGAIN the passer may poll ready all the while, so that a loop
 * which only polls would spin. fdpasser_retry_ms() says how long to leave a
 * direction alone:
 *
 *     int pause = 0;
 *     for (;;) {
 *         // While waiting, look at nothing: POLLHUP comes without being asked for.
 *         struct pollfd p = { pause > 0 ? -1 : passer, POLLIN, 0 };
 *         poll(&p, 1, pause > 0 ? pause : -1);
 *         int fd = recv_fd(passer);
 *         if (fd > 0) { use(fd); pause = 0; continue; }
 *         if (fd == 0) break;                     // orderly shutdown
 *         if ((pause = fdpasser_retry_ms(errno)) < 0) err(1, "recv_fd");
 *     }
 *
 * What the kernel does not let us guard: if another thread fills the descriptor
 * table between our proof that there is room and the system call behind it, the
 * kernel destroys the descriptors that did not fit. The same can happen in a
 * table that is nearly full (fewer than about 300 free slots below the soft
 * limit) when several processes receive messages of different sizes from one
 * end. Either is reported, as ENOTRECOVERABLE, which nothing else is except a
 * security module that refuses a descriptor.
 *
 * Where the table is nearly full, a waiting message is looked at before it is
 * taken, which opens and closes duplicates of its descriptors. So closing one of
 * them may, as any close does, release fcntl() locks that this process has on the
 * same file.
 *
 * The wire: one message is one NUL byte with one descriptor attached as
 * SCM_RIGHTS, which is what IO::FDPass, Python's socket.send_fds, the textbook
 * code and the original AnyEvent::FDpasser understand.
 */


#ifndef FDPASSER_H
#define FDPASSER_H

#include <stddef.h>
#include <sys/types.h>

/**
 * fdpasser_mode(): descriptors travel as SCM_RIGHTS over AF_UNIX sockets.
 */
#define FDPASSER_MODE_BSD 1

/**
 * fdpasser_mode(): descriptors travel by I_SENDFD over STREAMS.
 */
#define FDPASSER_MODE_SYSV 2

/**
 * The most descriptors that one message can carry.
 */
#define FDPASSER_MAX_PER_MESSAGE 253

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Makes a connected pair of passers, one for each side of a fork (or for two threads).
 *
 * Ownership: on success the caller owns fds[0] and fds[1]; on failure fds is left as it was.
 *
 * Returns 0, or -1 with errno: EFAULT (fds is NULL), EMFILE, ENFILE, ENOBUFS, ENOMEM.
 *
 * Blocking: no. The new passers are in blocking mode.
 *
 * Threads and fork: safe. Each process should close the end that it does not use, or the other
 * end's holder will not see the end of file.
 */
int fdpasser_socketpair(int *fds);

/**
 * Listens at path. A backlog of 0 or less means 10; the system may cap it.
 *
 * A socket that is there already, live or left over, is replaced without a moment in which the
 * path is missing, so that a restarted server takes over. (The listener is bound under a temporary
 * name in the same directory and renamed; getsockname() then shows that name.) Anything that is
 * not a socket is left alone. The node's mode is as the umask says, and it stays when the listener
 * is closed.
 *
 * Ownership: on success the caller owns the listener; on failure nothing is left behind.
 *
 * Returns the listener, or -1 with errno: EFAULT (path is NULL), EEXIST (something other than a
 * socket is there), ENAMETOOLONG (longer than an address holds, 107 bytes on Linux), ENOENT (empty,
 * or no such directory), ENOTDIR, EACCES, EPERM, EROFS, EMFILE, ENFILE, ENOBUFS, ENOMEM, ENOSPC,
 * EIO.
 *
 * Blocking: no. The listener is in blocking mode.
 *
 * Threads and fork: safe. Of two servers that start at once at one path the last one has it.
 */
int fdpasser_server(const char *path, int backlog);

/**
 * As fdpasser_server(), with the length of path given, so that it may begin with a NUL: a Linux
 * abstract address, which is in no file system and is never replaced.
 *
 * Ownership: as fdpasser_server().
 *
 * Returns as fdpasser_server(); also errno EADDRINUSE (an abstract address in use) and EINVAL (a
 * NUL inside a path, or an abstract address on a system without).
 *
 * Blocking: no. The listener is in blocking mode.
 *
 * Threads and fork: safe.
 */
int fdpasser_server_n(const char *path, size_t path_len, int backlog);

/**
 * Takes the next connection of a listener.
 *
 * Ownership: on success the caller owns the new passer; on failure there is none. The listener is
 * not changed.
 *
 * Returns the passer, or -1 with errno: EAGAIN (none waits and the listener is non-blocking), EINTR
 * (a signal came while waiting), EMFILE (no free slot from 3 up; the connection stays queued),
 * EBADF, ENOTSOCK, EINVAL, EOPNOTSUPP (not a listener), ENFILE, ENOBUFS, ENOMEM, ECONNABORTED,
 * EPERM.
 *
 * Blocking: waits for a connection if the listener is in blocking mode. The new passer is in
 * blocking mode either way.
 *
 * Threads and fork: safe. Several may accept from one listener.
 */
int fdpasser_accept(int listener);

/**
 * Connects to the server at path.
 *
 * Ownership: on success the caller owns the passer; on failure there is none.
 *
 * Returns the passer, or -1 with errno: EFAULT (path is NULL), ENOENT (nothing there, or empty),
 * ECONNREFUSED (nobody listens there), EACCES (no permission to write to the node), EPROTOTYPE (not
 * a stream socket), ENAMETOOLONG, ENOTDIR, ELOOP, EINTR (a signal came while waiting), EMFILE,
 * ENFILE, ENOBUFS, ENOMEM, EPERM.
 *
 * Blocking: waits while the server's backlog is full. The passer is in blocking mode.
 *
 * Threads and fork: safe.
 */
int fdpasser_connect(const char *path);

/**
 * As fdpasser_connect(), with the length of path given, so that it may begin with a NUL: a Linux
 * abstract address.
 *
 * Ownership: as fdpasser_connect().
 *
 * Returns as fdpasser_connect(); also errno EINVAL (a NUL inside a path, or an abstract address on
 * a system without).
 *
 * Blocking: as fdpasser_connect().
 *
 * Threads and fork: safe.
 */
int fdpasser_connect_n(const char *path, size_t path_len);

/**
 * Sends one descriptor.
 *
 * Ownership: the caller keeps fd, on success and on failure; the receiver gets a duplicate. It may
 * be closed as soon as this returns. A descriptor in flight that nobody receives is closed by the
 * kernel when both ends are gone.
 *
 * Returns 1, or -1 with errno, and then nothing was sent. For this attempt: EAGAIN (the socket is
 * full and the passer non-blocking), EINTR, ETOOMANYREFS, ENOBUFS, ENOMEM. For this descriptor, the
 * next one may go: EBADF (also: passer is not open), EINVAL and EOPNOTSUPP (its kind cannot be
 * sent, such as io_uring), EPERM (refused by a security module or the peer). For the passer: EPIPE
 * and ECONNRESET (the peer is gone; ECONNREFUSED on a datagram socket), ENOTCONN, ENOTSOCK, EAFNOSUPPORT (not a local socket).
 *
 * Blocking: waits for room in the socket if passer is in blocking mode.
 *
 * Threads and fork: safe. Messages of several senders do not mix.
 */
int fdpasser_send_fd(int passer, int fd);

/**
 * Receives one descriptor.
 *
 * Ownership: on success the caller owns the descriptor; on failure there is none.
 *
 * Returns the descriptor, never 0, 1 or 2; 0 at orderly shutdown; or -1 with errno. Nothing was
 * consumed: EAGAIN (nothing has arrived and the passer is non-blocking, or its SO_RCVTIMEO ran out),
 * EINTR, EMFILE (a descriptor waits, but there is no free slot from 3 up: the same call succeeds once
 * there is), ENOBUFS, ENOMEM, EBADF, ENOTSOCK, EINVAL, ENOTCONN (not a connected socket). One message
 * was consumed, and the next one may be good: EBADMSG (a byte came without a descriptor), EMSGSIZE
 * (more than one descriptor came; all were closed), ENOTRECOVERABLE (the kernel destroyed
 * descriptors of the message; the rest were closed). The peer is gone: ECONNRESET (it had not read
 * all that was sent to it; what it had sent before comes first).
 *
 * Blocking: waits for a message if passer is in blocking mode. A full table is EMFILE at once.
 *
 * Threads and fork: safe. Of several receivers on one end each descriptor reaches exactly one.
 */
int fdpasser_recv_fd(int passer);

#if !defined(FDPASSER_NO_SHORT_NAMES)
/**
 * fdpasser_send_fd() under its short name. Define FDPASSER_NO_SHORT_NAMES before including this
 * header in a program that has a send_fd() of its own.
 *
 * Ownership, return value, blocking, threads and fork: as fdpasser_send_fd().
 */
int send_fd(int passer, int fd);
#endif

#if !defined(FDPASSER_NO_SHORT_NAMES)
/**
 * fdpasser_recv_fd() under its short name. Define FDPASSER_NO_SHORT_NAMES before including this
 * header in a program that has a recv_fd() of its own.
 *
 * Ownership, return value, blocking, threads and fork: as fdpasser_recv_fd().
 */
int recv_fd(int passer);
#endif

/**
 * Says which interface to the system this library was built for.
 *
 * Ownership: no descriptors.
 *
 * Returns FDPASSER_MODE_BSD (1) or FDPASSER_MODE_SYSV (2).
 *
 * Blocking: no.
 *
 * Threads and fork: safe.
 */
int fdpasser_mode(void);

/**
 * Sends n descriptors in order, per_message of them (1 to FDPASSER_MAX_PER_MESSAGE; 0 means 1) in
 * each message.
 *
 * Only a peer that expects several descriptors in a message understands a per_message above 1; this
 * library always does. A descriptor that the system refuses goes into no message: those before it
 * are sent, and the count returned is its index.
 *
 * Ownership: the caller keeps all of fds, on success and on failure.
 *
 * Returns how many were sent, counted from the front: fewer than n if an error came behind the
 * first, which the next call then reports if it lasts. 0 if n is 0. -1, when none was sent, with
 * errno as fdpasser_send_fd(); also EINVAL (per_message or n too large) and EFAULT (fds is NULL).
 *
 * Blocking: as fdpasser_send_fd(), for each message.
 *
 * Threads and fork: safe. Messages of several senders do not mix, but may alternate.
 */
ssize_t fdpasser_send_fds(int passer, const int *fds, size_t n, unsigned int per_message);

/**
 * As fdpasser_send_fds(), but never waits.
 *
 * Ownership: as fdpasser_send_fds().
 *
 * Returns as fdpasser_send_fds(); errno EAGAIN means that the socket is full.
 *
 * Blocking: no, whatever mode passer is in.
 *
 * Threads and fork: as fdpasser_send_fds().
 */
ssize_t fdpasser_try_send_fds(int passer, const int *fds, size_t n, unsigned int per_message);

/**
 * Receives the descriptors of the next message, in order, into fds, which has room for n.
 *
 * With room for FDPASSER_MAX_PER_MESSAGE no message is too large.
 *
 * Ownership: on success the caller owns the descriptors that were counted; on failure there are
 * none, and fds is left as it was.
 *
 * Returns how many were received; 0 at orderly shutdown; or -1 with errno as fdpasser_recv_fd().
 * EMSGSIZE: the message had more than n; all were closed, and the next message comes next. Also
 * EINVAL (n is 0 or too large) and EFAULT (fds is NULL).
 *
 * Blocking: as fdpasser_recv_fd().
 *
 * Threads and fork: as fdpasser_recv_fd().
 */
ssize_t fdpasser_recv_fds(int passer, int *fds, size_t n);

/**
 * As fdpasser_recv_fds(), but never waits.
 *
 * Ownership: as fdpasser_recv_fds().
 *
 * Returns as fdpasser_recv_fds(); errno EAGAIN means that nothing has arrived.
 *
 * Blocking: no, whatever mode passer is in.
 *
 * Threads and fork: as fdpasser_recv_fd().
 */
ssize_t fdpasser_try_recv_fds(int passer, int *fds, size_t n);

/**
 * Receives the descriptors of up to messages messages (1 to 16), in order, without waiting: for
 * programs that keep a queue of their own and want fewer system calls.
 *
 * fds has room for n of them, which must be at least messages * FDPASSER_MAX_PER_MESSAGE. *status says
 * why there are no more: 1 if all the messages were taken that were asked for, so that more may wait;
 * 0 at orderly shutdown; or an errno, negated, as fdpasser_recv_fd() has them: -EAGAIN if there is
 * nothing more for now. What it says comes after the descriptors, and may not be said again.
 *
 * Ownership: the caller owns the descriptors that were counted, whatever *status says.
 *
 * Returns how many were received, which may be 0; or -1 with errno EINVAL (messages or n out of range)
 * or EFAULT (fds or status is NULL), and then nothing was done.
 *
 * Blocking: no, whatever mode passer is in.
 *
 * Threads and fork: as fdpasser_recv_fd().
 */
ssize_t fdpasser_try_recv_messages(int passer, int *fds, size_t n, unsigned int messages, int *status);

/**
 * Says what to do about an errno of this library's: see the poll loop at the top of this header.
 *
 * Ownership: no descriptors.
 *
 * Returns 0: poll the passer and try again. Above 0: leave this direction alone for so many
 * milliseconds (do not poll for it: it may be ready all the while), then try again. -1: this
 * attempt is final.
 *
 * Blocking: no.
 *
 * Threads and fork: safe.
 */
int fdpasser_retry_ms(int err);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* FDPASSER_H */

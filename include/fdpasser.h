/* fdpasser.h - hand open file descriptors to another process.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Generated from src/ffi.rs and src/ffi/ by cbindgen (`make header`). Do not edit.
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
 * - No state is kept, not even between calls, but in the objects under "Queues"
 *   below: all else may be called from any thread, and in both processes after a
 *   fork. Several threads or processes may send over, or receive from, one end:
 *   each message is whole, and each descriptor reaches exactly one receiver.
 * - Bad arguments get an errno: EBADF for what is not open, EFAULT for NULL,
 *   ENOTSOCK for what is no socket, EAFNOSUPPORT for sending over a socket that
 *   is not local. EIO may also be an errno of the kernel's that has no name.
 *
 * Errors that pass with time, when sending (POLLOUT) and receiving (POLLIN):
 *
 *   EAGAIN         the socket is full, or nothing has arrived: poll, try again
 *   EMFILE         receiving: no free slot; nothing was consumed
 *   ETOOMANYREFS   sending: this user has too many descriptors in flight
 *   ENOBUFS/ENOMEM the kernel is short of memory
 *
 * (Some Linux kernels, of which 6.18 is none, also say ETOOMANYREFS of a local socket
 * in which sockets are in flight, and in those others, more than four deep. That
 * passes when somebody receives what is in there, and a queue that comes to such a
 * one waits for it: fdpasser_free() gives up.)
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
 * Queues. An object of the type fdpasser is one end of a connection with a queue
 * for each direction, for use with any event loop. Push what is to be sent, and
 * how many descriptors the program is ready to take; poll for what
 * fdpasser_events() says, no longer than fdpasser_timeout_ms() says; let
 * fdpasser_process() do what can be done; take what has come from
 * fdpasser_next_fd(). Nothing waits, nothing calls back, pauses are taken care of:
 *
 *     fdpasser *p = fdpasser_new(passer);
 *     if (p == NULL) err(1, "fdpasser_new");
 *     fdpasser_push_recv(p, 100);
 *     fdpasser_push_send_fd(p, dup(1));           // p's now: closed when sent
 *     int state = 1;
 *     while (state != 0) {
 *         int events = fdpasser_events(p);
 *         struct pollfd f = { events ? fdpasser_fileno(p) : -1, (short)events, 0 };
 *         poll(&f, 1, fdpasser_timeout_ms(p));
 *         state = fdpasser_process(p, f.revents);
 *         if (state < 0) {
 *             int error = errno, fd = fdpasser_refused(p);
 *             errno = error;
 *             if (fd < 0) err(1, "passer");           // final
 *             warn("descriptor %d was not sent", fd);
 *             close(fd);
 *         }
 *         for (int fd; (fd = fdpasser_next_fd(p)) > 0; fdpasser_push_recv(p, 1))
 *             use(fd);
 *     }
 *     fdpasser_free(p);
 *
 * epoll's bits are poll's; where a loop has others they must be translated. With a
 * loop that reports changes only (EPOLLET) it works too. docs/queues.md has this
 * for poll, epoll and libuv.
 *
 * What the kernel does not let us guard: if another thread fills the descriptor
 * table between our proof that there is room and the system call behind it, the
 * kernel destroys the descriptors that did not fit. The same can happen in a
 * table that is nearly full (fewer than about 300 free slots below the soft
 * limit) when several processes receive messages of different sizes from one
 * end. Either is reported, as ENOTRECOVERABLE (ENOLINK on NetBSD), which nothing
 * else is except a security module that refuses a descriptor.
 *
 * Any connected local socket can be a passer. Streams, which is what this library
 * makes, suit best. With SOCK_SEQPACKET and SOCK_DGRAM an empty message passes for
 * an orderly shutdown. With SOCK_SEQPACKET ECONNRESET comes before what the peer had
 * sent, which further calls receive; queues hand it out first all the same. With
 * SOCK_DGRAM only sending shows that the peer is gone, by ECONNREFUSED and then by
 * ENOTCONN, and by that Linux destroys what had come and was not received.
 *
 * Where the table is nearly full, a waiting message is looked at before it is
 * taken, which opens and closes duplicates of its descriptors. So closing one of
 * them may, as any close does, release fcntl() locks that this process has on the
 * same file.
 *
 * The SysV interface (fdpasser_mode() == FDPASSER_MODE_SYSV) differs in this:
 *
 * - A message carries one descriptor, and none is ever destroyed for want of a slot.
 * - ENOSTR takes the place of ENOTSOCK and EAFNOSUPPORT. A peer that closed without
 *   having read all of ours is an orderly shutdown, and not ECONNRESET.
 * - On a passer in blocking mode the try_ functions may wait if another thread or
 *   process uses the same end.
 * - Close-on-exec is set directly after receiving and accepting, not with it.
 * - fdpasser_server() mounts a pipe on a plain file, which it creates; fdetach()
 *   undoes that, and an unlink() before it is EBUSY. What makes way at the path is
 *   another mounted pipe, or an empty file. For a moment of a take-over connecting
 *   is ECONNREFUSED; the old listener then is hung up, and accepting from it is
 *   ENXIO. There is no backlog to set, and if the pipe is full fdpasser_connect()
 *   fails with EAGAIN. There are no abstract addresses.
 * - fdpasser_accept() on a stream that is no listener is no error by itself: it waits there.
 *
 * The wire: one message is one NUL byte with one descriptor attached as
 * SCM_RIGHTS, which is what IO::FDPass, Python's socket.send_fds, the textbook
 * code and the original AnyEvent::FDpasser understand. With the SysV interface the
 * byte comes first, and then the descriptor, by I_SENDFD. NULs without a descriptor
 * are skipped there.
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
 * No message carries more descriptors than this. (Linux carries as many, other systems fewer, and the
 * SysV interface one.)
 */
#define FDPASSER_MAX_PER_MESSAGE 253

/**
 * fdpasser_server_with(): do not take over from a server that is live.
 */
#define FDPASSER_EXCLUSIVE 1

/**
 * A passer with a queue for each direction, for use with any event loop; made by fdpasser_new() or
 * fdpasser_new_pair(). See "Queues" at the top of this header.
 */
typedef struct fdpasser fdpasser;

/**
 * A server's node in the file system, to be known again by fdpasser_unlink().
 */
typedef struct {
  /**
   * As st_dev of stat(2).
   */
  unsigned long long device;
  /**
   * As st_ino of stat(2).
   */
  unsigned long long inode;
} fdpasser_node;

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
 * is closed. Other wishes: fdpasser_server_with().
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
 * As fdpasser_server_n(), with options. mode: that of the node, up to 0777, whatever the umask,
 * which is not touched; -1 leaves it to the umask. flags: 0, or FDPASSER_EXCLUSIVE to refuse to
 * take over from a server that is live, while one that is left over is replaced. node, if not
 * NULL, is set to the node that was made, for fdpasser_unlink().
 *
 * The listener is always bound under a temporary name and renamed; getsockname() then shows that
 * name. Nobody gets in before the node has its mode. Whether a server is live is found out by
 * connecting to it, so it sees a connection that ends at once. While an exclusive server starts
 * there is a lock file beside the path. An abstract address has no mode and is always exclusive;
 * its node is all zeros.
 *
 * Ownership: as fdpasser_server(). On failure node is left as it was.
 *
 * Returns as fdpasser_server_n(); also errno EADDRINUSE (FDPASSER_EXCLUSIVE, and a server is live
 * there, or just starting), EINVAL (mode or flags are out of range, or a mode for an abstract
 * address) and EACCES (FDPASSER_EXCLUSIVE, and it cannot be found out whether the server is live).
 *
 * Blocking: no. The listener is in blocking mode.
 *
 * Threads and fork: safe. Of two exclusive servers that start at once one has the path, and the
 * other fails.
 */
int fdpasser_server_with(const char *path, size_t path_len, int backlog, int mode, unsigned int flags, fdpasser_node *node);

/**
 * Removes a server's node from the file system, if path is still the one that
 * fdpasser_server_with() made: another server may have taken it over. Call it before closing the
 * listener, as the system may give a later node the same identity. Connections that wait can be
 * accepted after it.
 *
 * Ownership: no descriptors.
 *
 * Returns 1 if it was removed; 0 if path is not that node (any more) and was left alone; or -1
 * with errno: EFAULT (path or node is NULL), EINVAL (a NUL inside path), EACCES, EPERM, EROFS, ENOTDIR,
 * ELOOP, ENAMETOOLONG.
 *
 * Blocking: no.
 *
 * Threads and fork: safe. After a fork only one of the processes that have the listener should
 * call it, the last one that serves.
 */
int fdpasser_unlink(const char *path, size_t path_len, const fdpasser_node *node);

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
 * Says who is at the other end of a connection: the effective user and group, and the process, of
 * who connected, as they were then; for the end of a client, of who listened; for a pair, of who
 * made it. Whoever has the other end by now may be another process, that inherited or was sent it.
 * Each of the pointers may be NULL.
 *
 * Ownership: no descriptors. On failure nothing is written.
 *
 * Returns 0, or -1 with errno: ENOTCONN (not connected), EINVAL (a listener), EAFNOSUPPORT (not a
 * local socket), EBADF, ENOTSOCK. *pid is -1 where the system does not tell, or where the process
 * is none that our PID namespace shows. A process may have ended, and its number be another's by
 * now; a user may not.
 *
 * Blocking: no.
 *
 * Threads and fork: safe.
 */
int fdpasser_peer_cred(int passer, uid_t *uid, gid_t *gid, pid_t *pid);

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
 * and ECONNRESET (the peer is gone; ECONNREFUSED on a datagram socket), ENOTCONN, ENOTSOCK,
 * EAFNOSUPPORT (not a local socket).
 *
 * Blocking: waits for room in the socket if passer is in blocking mode.
 *
 * Threads and fork: safe. Messages of several senders do not mix.
 */
int fdpasser_send_fd(int passer, int fd);

#if !defined(FDPASSER_NO_SHORT_NAMES)
/**
 * fdpasser_send_fd() under its short name. Define FDPASSER_NO_SHORT_NAMES before including this
 * header in a program that has a send_fd() of its own.
 *
 * Ownership, return value, blocking, threads and fork: as fdpasser_send_fd().
 */
int send_fd(int passer, int fd);
#endif

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
 * Blocking: waits for a message if passer is in blocking mode. A full table is EMFILE at once, and so
 * is a soft limit of 0, with which the system does not even wait.
 *
 * Threads and fork: safe. Of several receivers on one end each descriptor reaches exactly one.
 */
int fdpasser_recv_fd(int passer);

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
 * Sends n descriptors in order, per_message of them (1 to FDPASSER_MAX_PER_MESSAGE; 0 means 1) in
 * each message, or as many as one message carries on this system if that is less.
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

/**
 * Makes a passer with queues of a connected socket, which is set to non-blocking mode.
 *
 * Ownership: on success the new object owns fd, until fdpasser_free(); on failure the caller keeps
 * it.
 *
 * Returns the object, or NULL with errno: EBADF, ENOMEM.
 *
 * Blocking: no.
 *
 * Threads and fork: an object may be used by one thread at a time, and moved between threads.
 * After a fork only one of the processes may go on using it, since both have the queue and would
 * send it; the other one should free its copy.
 */
fdpasser *fdpasser_new(int fd);

/**
 * Makes a connected pair for a fork. After it the parent calls fdpasser_i_am_parent() and the
 * child fdpasser_i_am_child(), and only then can the object be used.
 *
 * Ownership: the new object owns both ends, until one is chosen; fdpasser_free() closes what it
 * has.
 *
 * Returns the object, or NULL with errno: EMFILE, ENFILE, ENOBUFS, ENOMEM.
 *
 * Blocking: no.
 *
 * Threads and fork: as fdpasser_new(), but made to be there in both processes: each has an end of
 * its own.
 */
fdpasser *fdpasser_new_pair(void);

/**
 * Keeps the parent's end of a pair, and closes the other one.
 *
 * Ownership: the object owns the end that it keeps.
 *
 * Returns 0, or -1 with errno EINVAL (p is NULL, or not a pair of which neither end is chosen).
 *
 * Blocking: no.
 *
 * Threads and fork: as fdpasser_new_pair().
 */
int fdpasser_i_am_parent(fdpasser *p);

/**
 * Keeps the child's end of a pair, and closes the other one.
 *
 * Ownership: the object owns the end that it keeps.
 *
 * Returns 0, or -1 with errno EINVAL (p is NULL, or not a pair of which neither end is chosen).
 *
 * Blocking: no.
 *
 * Threads and fork: as fdpasser_new_pair().
 */
int fdpasser_i_am_child(fdpasser *p);

/**
 * Closes the passer, the descriptors that are queued, and those received that nobody has taken,
 * and frees the object. NULL is fine.
 *
 * Ownership: all that the object had is closed; what fdpasser_next_fd() and fdpasser_refused()
 * gave out is the caller's. Take the passer out of the event loop before this.
 *
 * Returns nothing.
 *
 * Blocking: as close(2).
 *
 * Threads and fork: as fdpasser_new(). In the other process of a fork it closes that one's copies,
 * which changes nothing for the one that goes on.
 */
void fdpasser_free(fdpasser *p);

/**
 * The passer's descriptor, to be polled; and, once all is sent, to be shut down for writing
 * (shutdown(2), SHUT_WR) by who has no more to send and waits for the peer's end. For nothing else.
 *
 * Ownership: it stays the object's.
 *
 * Returns the descriptor, the same one always, or -1 with errno EINVAL (p is NULL, or a pair of
 * which no end is chosen).
 *
 * Blocking: no.
 *
 * Threads and fork: as fdpasser_new().
 */
int fdpasser_fileno(const fdpasser *p);

/**
 * How many descriptors a message may carry where several are queued: 1 to
 * FDPASSER_MAX_PER_MESSAGE, and 1 unless this is called. Only a peer that expects several in a
 * message understands more than 1; this library always does.
 *
 * Ownership: no descriptors.
 *
 * Returns 0, or -1 with errno EINVAL (p as for fdpasser_fileno(), or the number is out of range).
 *
 * Blocking: no.
 *
 * Threads and fork: as fdpasser_new().
 */
int fdpasser_set_per_message(fdpasser *p, unsigned int per_message);

/**
 * Bounds the queue of descriptors to be sent, which has no bound at first; 0 takes the bound away.
 * What is queued already stays.
 *
 * Ownership: no descriptors.
 *
 * Returns 0, or -1 with errno EINVAL (p as for fdpasser_fileno()).
 *
 * Blocking: no.
 *
 * Threads and fork: as fdpasser_new().
 */
int fdpasser_set_max_queued(fdpasser *p, unsigned int max_queued);

/**
 * Queues one descriptor to be sent by fdpasser_process(), behind those that are queued already.
 *
 * Ownership: on success the object owns fd and closes it once it is sent (dup() first what you
 * want to keep); on failure the caller keeps it.
 *
 * Returns 1, or -1 with errno: EAGAIN (as many as fdpasser_set_max_queued() allows are queued),
 * EBADF (fd is not open), EINVAL (p as for fdpasser_fileno(), or fd is the passer itself), ENOMEM;
 * after a final error of fdpasser_process() that one.
 *
 * Blocking: no, and nothing is sent.
 *
 * Threads and fork: as fdpasser_new().
 */
int fdpasser_push_send_fd(fdpasser *p, int fd);

/**
 * Says that the program is ready to take count descriptors more. fdpasser_process() takes no more
 * than that from the socket, but that it takes messages whole: what one has in excess waits for
 * the next push.
 *
 * Ownership: no descriptors.
 *
 * Returns 0, or -1 with errno EINVAL (p as for fdpasser_fileno(), or count is not above 0).
 *
 * Blocking: no, and nothing is received.
 *
 * Threads and fork: as fdpasser_new().
 */
int fdpasser_push_recv(fdpasser *p, int count);

/**
 * What to poll the passer for at the moment: POLLIN, POLLOUT, both or 0. If it is 0 do not poll it
 * at all (with poll(2), give -1 for its descriptor): POLLHUP comes without being asked for.
 *
 * Ownership: no descriptors.
 *
 * Returns the events, or -1 with errno EINVAL (p as for fdpasser_fileno()).
 *
 * Blocking: no.
 *
 * Threads and fork: as fdpasser_new().
 */
int fdpasser_events(const fdpasser *p);

/**
 * How many milliseconds from now to call fdpasser_process() although the passer is not ready: 0 if
 * fdpasser_next_fd() has something, or there is work left or something to be told; more while a
 * direction pauses, because the table is full or too many descriptors are in flight; -1 if there
 * is no need. That is what poll(2) takes.
 *
 * Ownership: no descriptors.
 *
 * Returns the time, or -1; if p is as for fdpasser_fileno(), with errno EINVAL.
 *
 * Blocking: no.
 *
 * Threads and fork: as fdpasser_new().
 */
int fdpasser_timeout_ms(const fdpasser *p);

/**
 * Sends and receives what it can without waiting: in each direction that revents (what poll(2)
 * found: POLLIN, POLLOUT, POLLHUP, POLLERR) says is ready, and in those for which
 * fdpasser_timeout_ms() is over. Called when there is nothing to do, or too early, it changes
 * nothing. One call moves about 100 descriptors in each direction at most.
 *
 * Before the end or an error is told, all that was asked for and has reached this end is handed
 * out by fdpasser_next_fd(); as long as it has any, this returns 1.
 *
 * A full table, too many descriptors in flight and a shortage of memory are no errors: the
 * direction pauses.
 *
 * Ownership: descriptors that were sent are closed. One that cannot be sent is the caller's again
 * if it calls fdpasser_refused(). All others are the object's, also after an error.
 *
 * Returns 1: go on. 0: the peer has shut down in good order, all that it sent was handed out, and
 * all that was queued for it is sent (if it only stopped sending, more may be pushed). -1 with
 * errno. For one descriptor, if fdpasser_refused() says so, and the passer goes on: EINVAL,
 * EOPNOTSUPP (its kind cannot be sent, such as io_uring), EPERM (refused by a security module or
 * the peer). For the passer, final and the same at each further call: EPIPE, ECONNRESET (the peer
 * is gone; ECONNREFUSED on a datagram socket), EBADMSG (a byte came without a descriptor),
 * ENOTRECOVERABLE (the kernel destroyed descriptors of a message), ENOTCONN, ENOTSOCK, EAFNOSUPPORT
 * (no connected local socket), EBADF (a descriptor was closed behind the object's back), EINVAL
 * (also: p as for fdpasser_fileno()).
 *
 * Blocking: no.
 *
 * Threads and fork: as fdpasser_new().
 */
int fdpasser_process(fdpasser *p, int revents);

/**
 * After fdpasser_process() failed: was it about one descriptor, and which?
 *
 * Ownership: the descriptor is the caller's again, under the number that it was pushed with. If
 * this is not called it is closed by the next fdpasser_process() or fdpasser_free().
 *
 * Returns the descriptor that could not be sent, once; or -1 if there is none, which leaves errno as
 * fdpasser_process() set it: the error was the passer's, and final. EINVAL: p is NULL.
 *
 * Blocking: no.
 *
 * Threads and fork: as fdpasser_new().
 */
int fdpasser_refused(fdpasser *p);

/**
 * Takes the next of the descriptors that were received, if it was asked for.
 *
 * Ownership: on success the caller owns the descriptor; on failure there is none.
 *
 * Returns the descriptor, never 0, 1 or 2, or -1 with errno EAGAIN (there is none now; how it
 * stands with the passer, fdpasser_process() says) or EINVAL (p as for fdpasser_fileno()).
 *
 * Blocking: no.
 *
 * Threads and fork: as fdpasser_new().
 */
int fdpasser_next_fd(fdpasser *p);

/**
 * How many descriptors are queued and not yet sent.
 *
 * Ownership: no descriptors.
 *
 * Returns the number, or -1 with errno EINVAL (p as for fdpasser_fileno()).
 *
 * Blocking: no.
 *
 * Threads and fork: as fdpasser_new().
 */
int fdpasser_queued(const fdpasser *p);

/**
 * Is all that was pushed sent, and has the peer received it? On Linux the kernel knows.
 *
 * Ownership: no descriptors.
 *
 * Returns 1 if so, also if the peer closed its end without receiving them (which
 * fdpasser_process() reports as ECONNRESET); 0 if not yet; or -1 with errno EOPNOTSUPP (the system
 * does not tell), ENOTSOCK (the passer is no socket) or EINVAL (it is not connected; also: p as for
 * fdpasser_fileno()). There is no event for it: look again after a while, or let the peer answer.
 *
 * Blocking: no.
 *
 * Threads and fork: as fdpasser_new().
 */
int fdpasser_drained(const fdpasser *p);

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

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* FDPASSER_H */

/* fdpasser.h - hand open file descriptors to another process.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Made from the comments in src/ffi/ by cbindgen (`make header`). Do not edit.
 *
 * A passer is a connected local socket that descriptors travel over, both ways.
 * What holds for every function:
 *
 * - A failure is -1 or NULL, and comes with errno. After success errno means nothing.
 *   (Where -1 is also an answer, the function's page says so.)
 * - Each descriptor that is made or received is close-on-exec, and never 0, 1 or 2.
 * - Sending borrows: the sender keeps its descriptor. (A queue object owns what is pushed.)
 * - New passers and listeners are in blocking mode. The page of a function says whether it waits.
 * - Nothing raises SIGPIPE.
 * - Any thread may call any function, in both processes after a fork too. Exception: an object
 *   of type fdpasser is for one thread at a time, and after a fork for one of the processes
 *   (but see fdpasser_new_pair()).
 *
 * The rest is in the manual: fdpasser(7), and a page in section 3 for each function,
 * which says who owns what, what is returned, every errno, what waits, and what threads
 * and a fork may do.
 */


#ifndef FDPASSER_H
#define FDPASSER_H

#include <stddef.h>
#include <sys/types.h>

/** The version of this header, two digits for each part: 0x010203 is 1.2.3. */
#define FDPASSER_VERSION 0x000100

/** The first part of the version. */
#define FDPASSER_VERSION_MAJOR 0

/** The second part of the version. */
#define FDPASSER_VERSION_MINOR 1

/** The third part of the version. */
#define FDPASSER_VERSION_PATCH 0

/** The largest number of characters in the name of an inherited descriptor. */
#define FDPASSER_MAX_NAME 255

/** fdpasser_is(): a socket of any kind. */
#define FDPASSER_IS_SOCKET 1

/** fdpasser_is(): a SOCK_STREAM socket. */
#define FDPASSER_IS_STREAM 2

/** fdpasser_is(): a SOCK_DGRAM socket. */
#define FDPASSER_IS_DATAGRAM 4

/** fdpasser_is(): a SOCK_SEQPACKET socket. */
#define FDPASSER_IS_PACKET 8

/** fdpasser_is(): a socket that listens. */
#define FDPASSER_IS_LISTENING 16

/** fdpasser_is(): a local socket (AF_UNIX). */
#define FDPASSER_IS_LOCAL 32

/** fdpasser_is(): an internet socket (AF_INET or AF_INET6). */
#define FDPASSER_IS_INTERNET 64

/** fdpasser_is(): a pipe or a FIFO. */
#define FDPASSER_IS_PIPE 128

/** fdpasser_is(): a regular file, which memory files are too. */
#define FDPASSER_IS_FILE 256

/** fdpasser_is(): a directory. */
#define FDPASSER_IS_DIRECTORY 512

/** fdpasser_is(): open for reading. */
#define FDPASSER_IS_READABLE 1024

/** fdpasser_is(): open for writing. */
#define FDPASSER_IS_WRITABLE 2048

/** fdpasser_is(): a memory file whose size and contents are sealed. */
#define FDPASSER_IS_SEALED 4096

/** fdpasser_mode(): descriptors travel as SCM_RIGHTS over AF_UNIX sockets. */
#define FDPASSER_MODE_BSD 1

/** fdpasser_mode(): descriptors travel by I_SENDFD over STREAMS. */
#define FDPASSER_MODE_SYSV 2

/** The largest number of descriptors in a message. */
#define FDPASSER_MAX_PER_MESSAGE 253

/** The largest number of bytes of data in a message. */
#define FDPASSER_MAX_DATA 4096

/** fdpasser_send_fds(), added to per_message: passer is known to be a local socket. */
#define FDPASSER_LOCAL 256

/** fdpasser_server_with(): do not replace a server that is live. */
#define FDPASSER_EXCLUSIVE 1

/** A queue object: one end of a connection with a queue for each direction. */
typedef struct fdpasser fdpasser;

/** Identifies a server's node (socket file), so that fdpasser_unlink() removes no other. */
typedef struct {
  /** As st_dev of stat(2). */
  unsigned long long device;
  /** As st_ino of stat(2). */
  unsigned long long inode;
} fdpasser_node;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/* --- Connections: a pair for a fork, or a server, its connections and its clients --- */

/** Makes a connected pair of passers, one for each side of a fork or for two threads. */
int fdpasser_socketpair(int *fds);

/** Makes a listener at path, in place of a socket that is there already. */
int fdpasser_server(const char *path, int backlog);

/** Does what fdpasser_server() does, with the length of path given. */
int fdpasser_server_n(const char *path, size_t path_len, int backlog);

/** Makes a listener with options: the mode of its node, and whether to replace a live server. */
int fdpasser_server_with(const char *path,
                         size_t path_len,
                         int backlog,
                         int mode,
                         unsigned int flags,
                         fdpasser_node *node);

/** Removes a server's node from the file system, unless another server has taken the path over. */
int fdpasser_unlink(const char *path, size_t path_len, const fdpasser_node *node);

/** Takes the next connection from a listener. */
int fdpasser_accept(int listener);

/** Does what fdpasser_accept() does, but waits for at most timeout_ms milliseconds. */
int fdpasser_accept_timed(int listener, int timeout_ms);

/** Connects to the server at path. */
int fdpasser_connect(const char *path);

/** Does what fdpasser_connect() does, with the length of path given. */
int fdpasser_connect_n(const char *path, size_t path_len);

/** Does what fdpasser_connect_n() does, but waits for at most timeout_ms milliseconds. */
int fdpasser_connect_timed(const char *path, size_t path_len, int timeout_ms);

/** Tells which user, group and process are at the other end of a connection. */
int fdpasser_peer_cred(int passer, uid_t *uid, gid_t *gid, pid_t *pid);

/** Opens a pidfd of the process at the other end of a connection. */
int fdpasser_peer_pidfd(int passer);

/* --- Transfer: descriptors sent and received, one call at a time --- */

/** Sends one descriptor. */
int fdpasser_send_fd(int passer, int fd);

#if !defined(FDPASSER_NO_SHORT_NAMES)
/** Does what fdpasser_send_fd() does, under a short name. */
int send_fd(int passer, int fd);
#endif

/** Does what fdpasser_send_fd() does, but waits for at most timeout_ms milliseconds. */
int fdpasser_send_fd_timed(int passer, int fd, int timeout_ms);

/** Receives one descriptor. */
int fdpasser_recv_fd(int passer);

#if !defined(FDPASSER_NO_SHORT_NAMES)
/** Does what fdpasser_recv_fd() does, under a short name. */
int recv_fd(int passer);
#endif

/** Does what fdpasser_recv_fd() does, but waits for at most timeout_ms milliseconds. */
int fdpasser_recv_fd_timed(int passer, int timeout_ms);

/** Sends n descriptors in order, per_message of them in each message. */
ssize_t fdpasser_send_fds(int passer, const int *fds, size_t n, unsigned int per_message);

/** Does what fdpasser_send_fds() does, but fails with EAGAIN instead of waiting. */
ssize_t fdpasser_try_send_fds(int passer, const int *fds, size_t n, unsigned int per_message);

/** Sends one message: len bytes of data with n descriptors attached. */
ssize_t fdpasser_send_message(int passer,
                              const int *fds,
                              size_t n,
                              const void *data,
                              size_t len);

/** Does what fdpasser_send_message() does, but fails with EAGAIN instead of waiting. */
ssize_t fdpasser_try_send_message(int passer,
                                  const int *fds,
                                  size_t n,
                                  const void *data,
                                  size_t len);

/** Receives the next message: its descriptors, in order, into fds, and its data into data. */
ssize_t fdpasser_recv_message(int passer,
                              int *fds,
                              size_t n,
                              void *data,
                              size_t room,
                              size_t *len);

/** Does what fdpasser_recv_message() does, but fails with EAGAIN instead of waiting. */
ssize_t fdpasser_try_recv_message(int passer,
                                  int *fds,
                                  size_t n,
                                  void *data,
                                  size_t room,
                                  size_t *len);

/** Receives all descriptors of the next message, in order, into fds, which has room for n. */
ssize_t fdpasser_recv_fds(int passer, int *fds, size_t n);

/** Does what fdpasser_recv_fds() does, but fails with EAGAIN instead of waiting. */
ssize_t fdpasser_try_recv_fds(int passer, int *fds, size_t n);

/** Receives the descriptors of several messages, in order, without waiting. */
ssize_t fdpasser_try_recv_messages(int passer,
                                   int *fds,
                                   size_t n,
                                   unsigned int enough,
                                   int *status);

/** Tells whether a call that failed with this errno is worth repeating, and when. */
int fdpasser_retry_ms(int err);

/* --- Queues: an object with a queue for each direction, for any event loop --- */

/** Makes a queue object from a connected passer: one queue for each direction. */
fdpasser *fdpasser_new(int fd);

/** Makes a queue object that holds both ends of a connection, for the two sides of a fork. */
fdpasser *fdpasser_new_pair(void);

/** Keeps the parent's end of a pair and closes the other one. */
int fdpasser_i_am_parent(fdpasser *p);

/** Keeps the child's end of a pair and closes the other one. */
int fdpasser_i_am_child(fdpasser *p);

/** Closes everything that a queue object owns, and frees it. */
void fdpasser_free(fdpasser *p);

/** Returns the passer of a queue object, for polling. */
int fdpasser_fileno(const fdpasser *p);

/** Sets how many descriptors the queue may put into one message. */
int fdpasser_set_per_message(fdpasser *p, unsigned int per_message);

/** Bounds how many descriptors may be queued for sending. */
int fdpasser_set_max_queued(fdpasser *p, unsigned int max_queued);

/** Queues one descriptor for sending, behind those that are queued already. */
int fdpasser_push_send_fd(fdpasser *p, int fd);

/** Queues one descriptor to be sent with len bytes of data, in a message of its own. */
int fdpasser_push_send_message(fdpasser *p, int fd, const void *data, size_t len);

/** Keeps the data of received descriptors for fdpasser_next_message(3), or drops it. */
int fdpasser_want_data(fdpasser *p, int yes);

/** Asks for count descriptors more, which the program is ready to take. */
int fdpasser_push_recv(fdpasser *p, int count);

/** Returns what to poll the passer for at the moment: POLLIN, POLLOUT, both or nothing. */
int fdpasser_events(const fdpasser *p);

/** Returns how long the loop may wait before it calls fdpasser_process(), in milliseconds. */
int fdpasser_timeout_ms(const fdpasser *p);

/** Sends and receives what it can without waiting. */
int fdpasser_process(fdpasser *p, int revents);

/** Gives back the descriptor that the last fdpasser_process() could not send. */
int fdpasser_refused(fdpasser *p);

/** Takes the next of the received descriptors that the program has asked for. */
int fdpasser_next_fd(fdpasser *p);

/** Takes the next of the received descriptors that the program has asked for, and a copy of its data. */
int fdpasser_next_message(fdpasser *p,
                          void *data,
                          size_t room,
                          size_t *len);

/** Returns how many descriptors are queued and not yet sent. */
int fdpasser_queued(const fdpasser *p);

/** Tells whether everything that was pushed is sent and the peer has received it. */
int fdpasser_drained(const fdpasser *p);

/* --- Services: descriptors that come by exec, what a descriptor is, and what a manager is told --- */

/** Tells which descriptors a service manager handed to this process, and takes them over. */
ssize_t fdpasser_inherited(int *fds, size_t n);

/** Copies the name of the i-th inherited descriptor, counted from 0, to name, which has room for room bytes. */
ssize_t fdpasser_inherited_name(size_t i,
                                char *name,
                                size_t room);

/** Tells whether a descriptor is everything that what names: a listening socket, a pipe, readable and so on. */
int fdpasser_is(int fd,
                unsigned int what);

/** Tells the service manager that started this process what state the process is in, and may give it descriptors to keep. */
int fdpasser_notify(const char *state,
                    const int *fds,
                    size_t n);

/* --- The library itself: what it was built for --- */

/** Tells which interface to the operating system this library was built for. */
int fdpasser_mode(void);

/** Returns the version of the library that the program runs with, as FDPASSER_VERSION has that of the header. */
unsigned int fdpasser_version(void);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* FDPASSER_H */

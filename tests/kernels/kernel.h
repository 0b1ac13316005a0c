/* What a test program can make a played kernel do. See kernel.c.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef KERNEL_H
#define KERNEL_H

enum kernel { NETBSD, OPENBSD, DRAGONFLY, FREEBSD10, FREEBSD14, FREEBSD15, MACOS, ILLUMOS };

extern enum kernel played;

/* Runs directly before a message is taken, as another thread might. */
extern void (*play_before_receive)(void);

/* recvmsg() fails with this, and destroys the descriptors of the first message. */
extern int play_receive_error;

/* There are too many descriptors in flight. */
extern int play_in_flight;

/* The most descriptors in a message, and the size of a socket's buffer; 0: those of the kernel. */
extern int play_most, play_buffer;

/* What getrlimit() says, and what sysctl() says of the limit that holds. */
extern int play_getrlimit, play_max_files;

/* The control data of the next message is cut, and its header still has the old length. What is behind it is this number. */
extern int play_cut;

/* This descriptor is a kqueue, which cannot be sent. */
extern int play_kqueue;

/* How many messages were sent, how often that was tried, how many slots were tried with F_DUPFD, and how many looks were taken with MSG_PEEK and a
 * control buffer. */
extern int play_sent, play_tries, play_dups, play_looks;

#endif

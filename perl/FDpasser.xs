/* SPDX-License-Identifier: MIT OR Apache-2.0 */

/* The part of AnyEvent::FDpasser that runs once for each descriptor. FDpasser.pm makes the watchers and decides what an
 * error means. Here are the functions that Perl calls. Behind them are:
 *
 *   signals.h   signal handlers wait while the module works
 *   handle.h    makes a handle of a received descriptor
 *   passer.h    a passer's hash, and which watcher it needs
 *   send.h      the loop that sends
 *   receive.h   the loop that receives */

#define PERL_NO_GET_CONTEXT
#include "EXTERN.h"
#include "perl.h"
#include "XSUB.h"
#include "perliol.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define FDPASSER_NO_SHORT_NAMES
#include "fdpasser.h"

/* The descriptor number in a scalar, or -1. Anything that cannot be a descriptor number must not become 0,
 * because 0 is standard input. */
static int
fd_of(pTHX_ SV *sv)
{
    SvGETMAGIC(sv);
    if (!SvOK(sv) || !looks_like_number(sv))
        return -1;
    NV fd = SvNV_nomg(sv);
    return fd >= 0 && fd <= INT_MAX && fd == (int)fd ? (int)fd : -1; /* rejects NaN too */
}

/* The bytes of a path. FDpasser.pm has already rejected paths that are not bytes. */
static const char *
path_of(pTHX_ SV *sv, STRLEN *len)
{
    return SvPVbyte(sv, *len);
}

/* Connects without waiting for room in the backlog. */
static int
connect_now(const char *path, STRLEN len)
{
    if (fdpasser_mode() == FDPASSER_MODE_SYSV) /* there the system always waits */
        return fdpasser_connect_n(path, len);
    return fdpasser_connect_timed(path, len, 0);
}

#include "signals.h"
#include "handle.h"
#include "passer.h"
#include "send.h"
#include "receive.h"

MODULE = AnyEvent::FDpasser    PACKAGE = AnyEvent::FDpasser

PROTOTYPES: DISABLE

BOOT:
    MY_CXT_INIT;
    MY_CXT.callback_depth = 0;
    MY_CXT.code_runs = 0;
    MY_CXT.will_poll = FALSE;
    usual_hook = PL_signalhook;
    /* These two work on their caller's scope. Under a debugger DB::sub would be the caller. */
    CvNODEBUG_on(get_cv("AnyEvent::FDpasser::_begin", 0));
    CvNODEBUG_on(get_cv("AnyEvent::FDpasser::_hold_signals", 0));
    make_layers();

int
fdpasser_mode()

int
send_fd(SV *passer, SV *fd)
  CODE:
    RETVAL = fdpasser_send_fd(fd_of(aTHX_ passer), fd_of(aTHX_ fd));
  OUTPUT:
    RETVAL

int
recv_fd(SV *passer)
  CODE:
    RETVAL = fdpasser_recv_fd(fd_of(aTHX_ passer));
  OUTPUT:
    RETVAL

# The functions from here to _inherited make descriptors. They return handles; if they fail, none or undef, and $! is set.

void
_pair()
  PPCODE:
    int fds[2];
    if (fdpasser_socketpair(fds) == 0) {
        EXTEND(SP, 2);
        mPUSHs(handle_or_undef(aTHX_ fds[0]));
        mPUSHs(handle_or_undef(aTHX_ fds[1]));
    }

SV *
_server(SV *path, int backlog)
  CODE:
    STRLEN len;
    const char *name = path_of(aTHX_ path, &len);
    RETVAL = handle_or_undef(aTHX_ fdpasser_server_n(name, len, backlog));
  OUTPUT:
    RETVAL

# Returns (handle, node); the node is for _unlink.
void
_server_with(SV *path, int backlog, int mode, bool exclusive)
  PPCODE:
    STRLEN len;
    const char *name = path_of(aTHX_ path, &len);
    fdpasser_node node;
    int fd = fdpasser_server_with(name, len, backlog, mode, exclusive ? FDPASSER_EXCLUSIVE : 0, &node);
    if (fd >= 0) {
        EXTEND(SP, 2);
        mPUSHs(handle_or_undef(aTHX_ fd));
        mPUSHp((const char *)&node, sizeof node);
    }

SV *
_accept(SV *listener)
  CODE:
    RETVAL = handle_or_undef(aTHX_ fdpasser_accept(fd_of(aTHX_ listener)));
  OUTPUT:
    RETVAL

SV *
_connect(SV *path)
  CODE:
    STRLEN len;
    const char *name = path_of(aTHX_ path, &len);
    RETVAL = handle_or_undef(aTHX_ fdpasser_connect_n(name, len));
  OUTPUT:
    RETVAL

# EAGAIN or ETIMEDOUT: the listener's backlog is full now.
SV *
_connect_now(SV *path)
  CODE:
    STRLEN len;
    const char *name = path_of(aTHX_ path, &len);
    RETVAL = handle_or_undef(aTHX_ connect_now(name, len));
  OUTPUT:
    RETVAL

# Returns a hash: each name has an array of handles. A process gets them once, as they own their descriptors.
void
_inherited()
  PPCODE:
    static pid_t taken_by;
    HV *handles = (HV *)sv_2mortal((SV *)newHV());
    ssize_t n = taken_by == getpid() ? 0 : fdpasser_inherited(NULL, 0);
    if (n > 0) {
        int *fds = (int *)SvPVX(sv_2mortal(newSV(n * sizeof(int))));
        n = fdpasser_inherited(fds, n);
        if (n > 0)
            taken_by = getpid();
        for (ssize_t i = 0; i < n; i++) {
            char name[FDPASSER_MAX_NAME + 1] = "";
            (void)fdpasser_inherited_name(i, name, sizeof name);
            av_push(made_queue_in(aTHX_ handles, name), handle_or_undef(aTHX_ fds[i]));
        }
    }
    if (n >= 0)
        mXPUSHs(newRV_inc((SV *)handles));

int
_unlink(SV *path, SV *made)
  CODE:
    STRLEN len, made_len;
    const char *name = path_of(aTHX_ path, &len), *bytes = SvPV(made, made_len);
    fdpasser_node node;
    if (made_len != sizeof node)
        croak("not a node");
    Copy(bytes, (char *)&node, sizeof node, char);
    RETVAL = fdpasser_unlink(name, len, &node);
  OUTPUT:
    RETVAL

# Returns (uid, gid, pid); pid is undef if it is not known. If it fails: the empty list, and $! is set.
void
_peer_cred(SV *passer)
  PPCODE:
    uid_t uid;
    gid_t gid;
    pid_t pid;
    if (fdpasser_peer_cred(fd_of(aTHX_ passer), &uid, &gid, &pid) == 0) {
        EXTEND(SP, 3);
        mPUSHu(uid);
        mPUSHu(gid);
        PUSHs(pid < 0 ? &PL_sv_undef : sv_2mortal(newSViv(pid)));
    }

# The bit of a kind, such as "listening". 0 if there is no such kind.
unsigned
_kind(const char *name)
  CODE:
    static const struct {
        const char *name;
        unsigned bit;
    } kinds[] = {
        {"socket", FDPASSER_IS_SOCKET},       {"stream", FDPASSER_IS_STREAM},     {"datagram", FDPASSER_IS_DATAGRAM},
        {"packet", FDPASSER_IS_PACKET},       {"listening", FDPASSER_IS_LISTENING}, {"local", FDPASSER_IS_LOCAL},
        {"internet", FDPASSER_IS_INTERNET},   {"pipe", FDPASSER_IS_PIPE},         {"file", FDPASSER_IS_FILE},
        {"directory", FDPASSER_IS_DIRECTORY}, {"readable", FDPASSER_IS_READABLE}, {"writable", FDPASSER_IS_WRITABLE},
        {"sealed", FDPASSER_IS_SEALED},
    };
    RETVAL = 0;
    for (size_t k = 0; k < C_ARRAY_LENGTH(kinds); k++)
        if (strEQ(name, kinds[k].name))
            RETVAL = kinds[k].bit;
  OUTPUT:
    RETVAL

# Returns 1 or 0, or -1 with $!.
int
_is(SV *fd, unsigned what)
  CODE:
    RETVAL = fdpasser_is(fd_of(aTHX_ fd), what);
  OUTPUT:
    RETVAL

# Takes the numbers of descriptors. Returns 1 or 0, or -1 with $!.
int
_notify(const char *state, ...)
  CODE:
    int *fds = (int *)SvPVX(sv_2mortal(newSV(items * sizeof(int))));
    for (int i = 1; i < items; i++)
        fds[i - 1] = fd_of(aTHX_ ST(i));
    RETVAL = fdpasser_notify(state, fds, items - 1);
  OUTPUT:
    RETVAL

# The handle's descriptor number, or -1. It is known here if code of the program runs for that.
int
_number_of(SV *handle)
  CODE:
    RETVAL = fileno_of(aTHX_ handle);
  OUTPUT:
    RETVAL

int
_retry_ms(int err)
  CODE:
    RETVAL = fdpasser_retry_ms(err);
  OUTPUT:
    RETVAL

# A new thread of Perl gets its own.
void
CLONE(...)
  CODE:
    MY_CXT_CLONE;
    MY_CXT.will_poll = FALSE;
    PERL_UNUSED_VAR(items);

# Signal handlers wait until the caller's scope is left. $! is then what it is now.
void
_hold_signals()
  CODE:
    LEAVE; /* Perl puts ENTER and LEAVE around a call of an XS function */
    hold_signals(aTHX);
    ENTER;

# The same, and the direction gets the watcher that it needs when the scope is left. If the loop waits next (see _start) and
# code of the program has run, the loop is told not to wait. Returns false if there is no passer: a loop that was cloned
# for a new thread has the closures of the passers, but CLONE_SKIP keeps back the passers.
bool
_begin(SV *passer, SV *dir, bool before_wait = FALSE)
  CODE:
    RETVAL = SvROK(passer) && SvTYPE(SvRV(passer)) == SVt_PVHV;
    if (RETVAL) {
        LEAVE;
        hold_signals(aTHX);
        settle_at_end(aTHX_ passer, direction(aTHX_ dir), before_wait);
        ENTER;
    }
  OUTPUT:
    RETVAL

# Whether the idle watcher of _poll_without_waiting is active.
void
_will_poll(bool will)
  CODE:
    dMY_CXT;
    MY_CXT.will_poll = will;

# Adds an entry to the direction's queue.
void
_push(SV *passer, SV *dir, SV *entry)
  CODE:
    push_entry(aTHX_ passer, direction(aTHX_ dir), entry);

# Calls the code that is the last argument while signals are held. Returns 1.
int
_call_held(...)
  CODE:
    ENTER;
    hold_signals(aTHX);
    SV *code = ST(items - 1);
    PUSHMARK(SP);
    call_sv(code, G_VOID | G_DISCARD);
    LEAVE;
    RETVAL = 1;
  OUTPUT:
    RETVAL

# Calls a callback that is not in a queue.
void
_call(SV *callback, SV *a = NULL, SV *b = NULL)
  CODE:
    SV *arguments[] = { a ? newSVsv(a) : NULL, b ? newSVsv(b) : NULL };
    call_back(aTHX_ newSVsv(callback), items - 1, arguments);

# For tests: sends descriptors by their numbers, with up to per_message of them in each message, without waiting.
# Returns how many it sent. If it fails: -1, and $! is set.
int
_send(SV *passer, int per_message, ...)
  CODE:
    int fds[FDPASSER_MAX_PER_MESSAGE];
    int i, n = items - 2;
    if (n > FDPASSER_MAX_PER_MESSAGE)
        n = FDPASSER_MAX_PER_MESSAGE;
    for (i = 0; i < n; i++)
        fds[i] = fd_of(aTHX_ ST(i + 2));
    RETVAL = fdpasser_try_send_fds(fd_of(aTHX_ passer), fds, n, per_message);
  OUTPUT:
    RETVAL

int
_send_some(SV *passer, int share)
  CODE:
    RETVAL = send_some(aTHX_ passer, share);
  OUTPUT:
    RETVAL

int
_recv_some(SV *passer, int share)
  CODE:
    RETVAL = recv_some(aTHX_ passer, share);
  OUTPUT:
    RETVAL

/* SPDX-License-Identifier: MIT OR Apache-2.0 */

/* Glue between Perl and libfdpasser. It passes numbers and errno, and does nothing else. */

#define PERL_NO_GET_CONTEXT
#include "EXTERN.h"
#include "perl.h"
#include "XSUB.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
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

/* One call takes at most this many messages. The stack holds an int for each of their descriptors. */
#define MESSAGES 16

/* Makes the handle that `open my $fh, '+<&=', $fd` would make, in half the time. A socket gets a second
 * buffer. The handle is close-on-exec, unless its number is at most $^F. The function owns the descriptor,
 * even if it fails. Then it returns NULL and sets errno. */
static SV *
handle_of(pTHX_ int fd)
{
    struct stat st;
    PerlIO *in = NULL, *out = NULL;

    if (fstat(fd, &st) == 0 && (in = PerlIO_fdopen(fd, "r+")) != NULL)
        out = S_ISSOCK(st.st_mode) ? PerlIO_fdopen(fd, "w") : in;
    if (!out || (fd <= PL_maxsysfd && fcntl(fd, F_SETFD, 0) != 0)) {
        int error = errno;
        if (out && out != in)
            PerlIO_close(out);
        if (in)
            PerlIO_close(in);
        else
            close(fd);
        errno = error;
        return NULL;
    }

    GV *gv = (GV *)newSV(0);
    gv_init_pvn(gv, gv_stashpvs("AnyEvent::FDpasser", GV_ADD), "$fh", 3, 0);
    IO *io = GvIOn(gv);
    IoTYPE(io) = S_ISSOCK(st.st_mode) ? IoTYPE_SOCKET : IoTYPE_RDWR;
    IoIFP(io) = in;
    IoOFP(io) = out;
    return newRV_noinc((SV *)gv);
}

MODULE = AnyEvent::FDpasser    PACKAGE = AnyEvent::FDpasser

PROTOTYPES: DISABLE

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

void
_pair()
  PPCODE:
    int fds[2];
    if (fdpasser_socketpair(fds) == 0) {
        EXTEND(SP, 2);
        mPUSHi(fds[0]);
        mPUSHi(fds[1]);
    }

int
_server(SV *path, int backlog)
  CODE:
    STRLEN len;
    const char *name = SvPV(path, len);
    RETVAL = fdpasser_server_n(name, len, backlog);
  OUTPUT:
    RETVAL

# Returns (descriptor, node); the node is for _unlink. If it fails: the empty list, and $! is set.
void
_server_with(SV *path, int backlog, int mode, bool exclusive)
  PPCODE:
    STRLEN len;
    const char *name = SvPV(path, len);
    fdpasser_node node;
    int fd = fdpasser_server_with(name, len, backlog, mode, exclusive ? FDPASSER_EXCLUSIVE : 0, &node);
    if (fd >= 0) {
        EXTEND(SP, 2);
        mPUSHi(fd);
        mPUSHp((const char *)&node, sizeof node);
    }

int
_unlink(SV *path, SV *made)
  CODE:
    STRLEN len, made_len;
    const char *name = SvPV(path, len), *bytes = SvPV(made, made_len);
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

int
_accept(SV *listener)
  CODE:
    RETVAL = fdpasser_accept(fd_of(aTHX_ listener));
  OUTPUT:
    RETVAL

int
_connect(SV *path)
  CODE:
    STRLEN len;
    const char *name = SvPV(path, len);
    RETVAL = fdpasser_connect_n(name, len);
  OUTPUT:
    RETVAL

# Returns a handle that owns the descriptor. If it fails: undef, and $! is set.
SV *
_handle(int fd)
  CODE:
    RETVAL = handle_of(aTHX_ fd);
    if (!RETVAL)
        XSRETURN_UNDEF;
  OUTPUT:
    RETVAL

int
_retry_ms(int err)
  CODE:
    RETVAL = fdpasser_retry_ms(err);
  OUTPUT:
    RETVAL

# Sends what it can without waiting, with up to per_message descriptors in each message. Returns how many it
# sent. If it fails: -1, and $! is set.
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

# Takes up to that many messages without waiting. Returns (status, handle...). The status is that of
# fdpasser_try_recv_messages: it says why there are no more.
void
_recv(SV *passer, int messages)
  PPCODE:
    int fds[MESSAGES * FDPASSER_MAX_PER_MESSAGE];
    int i, n, status;
    n = fdpasser_try_recv_messages(fd_of(aTHX_ passer), fds, C_ARRAY_LENGTH(fds),
                                   messages > MESSAGES ? MESSAGES : messages, &status);
    if (n < 0)
        XSRETURN_IV(-errno);
    EXTEND(SP, n + 1);
    mPUSHi(status);
    for (i = 0; i < n; i++) {
        SV *handle = handle_of(aTHX_ fds[i]);
        if (handle)
            mPUSHs(handle);
        else
            ST(0) = sv_2mortal(newSViv(-errno));
    }

/* Glue between Perl and libfdpasser: numbers and errno, nothing more. */

#define PERL_NO_GET_CONTEXT
#include "EXTERN.h"
#include "perl.h"
#include "XSUB.h"

#include <errno.h>
#include <limits.h>
#include <unistd.h>

#define FDPASSER_NO_SHORT_NAMES
#include "fdpasser.h"

/* What is no number must not become 0, which is standard input. */
static int
fd_of(pTHX_ SV *sv)
{
    SvGETMAGIC(sv);
    if (!SvOK(sv) || !looks_like_number(sv))
        return -1;
    IV fd = SvIV_nomg(sv);
    return fd >= 0 && fd <= INT_MAX ? (int)fd : -1;
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

void
_close(int fd)
  CODE:
    close(fd);

int
_retry_ms(int err)
  CODE:
    RETVAL = fdpasser_retry_ms(err);
  OUTPUT:
    RETVAL

# Sends one without waiting; false with $! set.
bool
_send(SV *passer, SV *fd)
  CODE:
    int number = fd_of(aTHX_ fd);
    RETVAL = fdpasser_try_send_fds(fd_of(aTHX_ passer), &number, 1, 1) == 1;
  OUTPUT:
    RETVAL

# Receives all of one message without waiting: (0) at orderly shutdown, () with $! set.
void
_recv(SV *passer)
  PPCODE:
    int fds[FDPASSER_MAX_PER_MESSAGE];
    ssize_t i, n = fdpasser_try_recv_fds(fd_of(aTHX_ passer), fds, FDPASSER_MAX_PER_MESSAGE);
    if (n == 0)
        mXPUSHi(0);
    else if (n > 0) {
        EXTEND(SP, n);
        for (i = 0; i < n; i++)
            mPUSHi(fds[i]);
    }

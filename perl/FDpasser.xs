/* SPDX-License-Identifier: MIT OR Apache-2.0 */

/* The part of AnyEvent::FDpasser that runs once for each descriptor: make a handle of a received
 * descriptor, call the callback that waits for it, send the next handle in the queue. FDpasser.pm decides
 * everything else: when to do this, what to wait for, and what an error means. */

#define PERL_NO_GET_CONTEXT
#include "EXTERN.h"
#include "perl.h"
#include "XSUB.h"
#include "perliol.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
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

/* --- signals ---------------------------------------------------------------------------------------- */

/* Perl runs the program's signal handlers between two operations, and a handler may die. In the middle of this
 * module that would lose an entry of a queue, or leave a passer without a watcher. So PL_signalhook, which runs the
 * handlers, is replaced while the module works. */

static despatch_signals_proc_t usual_hook;

/* While the module works: no handler runs. */
static void
hold_signals(pTHX)
{
    PERL_UNUSED_CONTEXT;
}

/* While a callback runs: handlers run, but not between the statements of the callback itself. So a callback of a few
 * plain statements is done as a whole. Inside loops, branches, calls and whatever waits, handlers run as usual. */
static I32 callback_depth;

static void
signals_in_callback(pTHX)
{
    if (!PL_op || PL_op->op_type != OP_NEXTSTATE || cxstack_ix != callback_depth)
        usual_hook(aTHX);
}

/* Runs the handlers of pending signals. One that dies leaves this function, and the functions that call it. */
static void
run_signal_handlers(pTHX)
{
    ENTER;
    SAVEVPTR(PL_signalhook);
    PL_signalhook = usual_hook;
    PERL_ASYNC_CHECK();
    LEAVE;
}

/* --- handles ---------------------------------------------------------------------------------------- */

/* A received handle has to be what `open my $fh, '+<&=', $fd` makes. Perl's own function for that makes
 * system calls that a pipe or a socket does not need: it sets close-on-exec, which the library has done,
 * asks whether the descriptor is a terminal, and asks for its position. So this builds the same two layers
 * without these calls. */

/* PerlIO's "unix" layer takes its descriptor from the layer below it. This layer is below it for a moment,
 * to tell it the number. */
typedef struct {
    struct _PerlIO base;
    int fd;
} Number;

static IV
number_fileno(pTHX_ PerlIO *f)
{
    PERL_UNUSED_CONTEXT;
    return PerlIOSelf(f, Number)->fd;
}

static PerlIO_funcs number_layer; /* filled at BOOT */
static PerlIO_funcs quiet_perlio; /* "perlio", but pushing it makes no system calls */
static bool usual_layers;         /* unless the environment variable PERLIO asks for others */

static PerlIO *
layers_over(pTHX_ int fd, const char *mode, const struct stat *st)
{
    bool quiet = S_ISFIFO(st->st_mode) || S_ISSOCK(st->st_mode) || S_ISREG(st->st_mode);
    PerlIO *f;
    PerlIOl *number;

    if (!usual_layers)
        return PerlIO_fdopen(fd, mode);
    f = PerlIO_allocate(aTHX);
    if (!f || !PerlIO_push(aTHX_ f, &number_layer, mode, NULL))
        return NULL;
    PerlIOSelf(f, Number)->fd = fd;
    if (!PerlIO_push(aTHX_ f, PERLIO_FUNCS_CAST(&PerlIO_unix), mode, NULL)) {
        PerlIO_pop(aTHX_ f);
        return NULL;
    }
    PerlIOBase(f)->flags |= PERLIO_F_OPEN;
    number = *PerlIONext(f);
    *PerlIONext(f) = NULL;
    Safefree(number);
    if (!PerlIO_push(aTHX_ f, quiet ? &quiet_perlio : PERLIO_FUNCS_CAST(&PerlIO_perlio), mode, NULL)) {
        PerlIO_close(f);
        return NULL;
    }
    if (quiet) {
        PerlIOBase(f)->tab = PERLIO_FUNCS_CAST(&PerlIO_perlio);
        if (S_ISREG(st->st_mode)) {
            Off_t position = PerlIO_tell(PerlIONext(f));
            if (position != (Off_t)-1)
                PerlIOSelf(f, PerlIOBuf)->posn = position;
        }
    }
    return f;
}

/* Makes the handle. A socket gets a second buffer. The handle is close-on-exec, unless its number is at most
 * $^F. The function owns the descriptor, even if it fails. Then it returns NULL and sets errno. */
static SV *
handle_of(pTHX_ int fd)
{
    struct stat st;
    PerlIO *in = NULL, *out = NULL;

    if (fstat(fd, &st) == 0 && (in = layers_over(aTHX_ fd, "r+", &st)) != NULL)
        out = S_ISSOCK(st.st_mode) ? layers_over(aTHX_ fd, "w", &st) : in;
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
    gv_init_pvn(gv, CopSTASH(PL_curcop), "$fh", 3, 0); /* our package calls this */
    IO *io = GvIOn(gv);
    IoTYPE(io) = S_ISSOCK(st.st_mode) ? IoTYPE_SOCKET : IoTYPE_RDWR;
    IoIFP(io) = in;
    IoOFP(io) = out;
    return newRV_noinc((SV *)gv);
}

/* The descriptor number of a handle at this moment, or -1. An ordinary glob needs no Perl code. */
static int
fileno_of(pTHX_ SV *handle)
{
    int fd;

    if (SvROK(handle) && isGV_with_GP(SvRV(handle)) && !SvAMAGIC(handle)) {
        IO *io = GvIO((GV *)SvRV(handle));
        if (io && IoIFP(io) && !SvRMAGICAL((SV *)io))
            return PerlIO_fileno(IoIFP(io));
    }
    dSP;
    ENTER;
    SAVETMPS;
    PUSHMARK(SP);
    XPUSHs(handle);
    PUTBACK;
    call_pv("AnyEvent::FDpasser::_fileno", G_SCALAR);
    SPAGAIN;
    fd = fd_of(aTHX_ POPs);
    PUTBACK;
    FREETMPS;
    LEAVE;
    return fd;
}

/* --- a passer, which is a hash ------------------------------------------------------------------------ */

#define member(self, name) hv_fetchs(self, name, 0)

static AV *
array_in(SV **slot)
{
    return slot && SvROK(*slot) && SvTYPE(SvRV(*slot)) == SVt_PVAV ? (AV *)SvRV(*slot) : NULL;
}

#define queue_in(self, name) array_in(member(self, name))
#define length_of(av)        ((av) ? AvFILLp(av) + 1 : 0)

static AV *
new_queue_in(pTHX_ HV *self, const char *name)
{
    AV *av = newAV();
    (void)hv_store(self, name, strlen(name), newRV_noinc((SV *)av), 0);
    return av;
}

static int
passer_fd(pTHX_ HV *self)
{
    SV **fh = member(self, "fh");
    return fh ? fileno_of(aTHX_ *fh) : -1;
}

/* Several are in hand: a callback that runs the event loop must get the others there. */
static void
several_in_hand(pTHX_ SV *passer, const char *dir)
{
    dSP;
    ENTER;
    SAVETMPS;
    PUSHMARK(SP);
    EXTEND(SP, 2);
    PUSHs(passer);
    mPUSHp(dir, strlen(dir));
    PUTBACK;
    call_pv("AnyEvent::FDpasser::_several_in_hand", G_VOID | G_DISCARD);
    FREETMPS;
    LEAVE;
}

/* Calls a callback of the program, and drops it and its arguments afterwards. An exception leaves this function,
 * and the functions that call it. */
static void
call_back(pTHX_ SV *callback, int n, SV **arguments)
{
    dSP;
    int i;
    ENTER;
    SAVETMPS;
    sv_2mortal(callback);
    SAVEVPTR(PL_signalhook);
    PL_signalhook = signals_in_callback;
    SAVEI32(callback_depth);
    callback_depth = cxstack_ix + 1;
    PUSHMARK(SP);
    EXTEND(SP, n);
    for (i = 0; i < n; i++)
        mPUSHs(arguments[i]);
    PUTBACK;
    call_sv(callback, G_VOID | G_DISCARD);
    FREETMPS;
    LEAVE;
}

/* What the two directions have in a passer. */
typedef struct {
    const char *name, *queue, *in_hand, *io, *timer;
} Direction;

static const Direction sending = { "send", "send_queue", "sent", "send_io", "send_timer" };
static const Direction receiving = { "recv", "recv_queue", "received", "recv_io", "recv_timer" };

#define fetch(self, key)  hv_fetch(self, key, strlen(key), 0)
#define has(self, key)    hv_exists(self, key, strlen(key))
#define remove(self, key) (void)hv_delete(self, key, strlen(key), G_DISCARD)

/* Gives a direction its watcher in the two common cases. If something is queued and the passer waits for the socket,
 * there is nothing to do. If nothing is queued, there must be no watcher. _settle in FDpasser.pm knows all cases. */
static bool
is_settled(pTHX_ HV *self, const Direction *is)
{
    bool queued = length_of(array_in(fetch(self, is->queue))) > 0;

    if (length_of(array_in(fetch(self, is->in_hand))) || has(self, "pause") || has(self, "failing") || has(self, "ended"))
        return FALSE;
    if (queued && (!has(self, is->io) || has(self, is->timer)))
        return FALSE;
    remove(self, is->in_hand);
    if (!queued) {
        remove(self, is->queue);
        remove(self, is->io);
        remove(self, is->timer);
    }
    return TRUE;
}

typedef struct {
    SV *passer;
    const Direction *is;
} Scope;

static void
settle(pTHX_ void *arg)
{
    Scope *scope = arg;
    if (PL_phase != PERL_PHASE_DESTRUCT && !is_settled(aTHX_ (HV *)SvRV(scope->passer), scope->is)) {
        dSP;
        PUSHSTACKi(PERLSI_DESTROY);
        ENTER;
        SAVETMPS;
        PUSHMARK(SP);
        EXTEND(SP, 2);
        PUSHs(scope->passer);
        mPUSHp(scope->is->name, 4);
        PUTBACK;
        call_pv("AnyEvent::FDpasser::_settle", G_VOID | G_DISCARD | G_EVAL | G_KEEPERR);
        FREETMPS;
        LEAVE;
        POPSTACK;
    }
    SvREFCNT_dec(scope->passer);
    Safefree(scope);
}

/* --- sending ---------------------------------------------------------------------------------------- */

/* An entry of `send_queue` and of `sent`. The third part is there only if there is data. */
enum { SEND_FH, SEND_CALLBACK, SEND_DATA };

static SV *
part_of(pTHX_ SV *entry, int which)
{
    SV **slot = SvROK(entry) ? av_fetch((AV *)SvRV(entry), which, 0) : NULL;
    return slot ? *slot : &PL_sv_undef;
}

/* Takes a part out of an entry, and drops the rest. */
static SV *
only_part(pTHX_ SV *entry, int which)
{
    SV *part = SvREFCNT_inc_simple_NN(part_of(aTHX_ entry, which));
    SvREFCNT_dec(entry);
    return part;
}

static bool
has_data(SV *entry)
{
    return SvROK(entry) && AvFILLp((AV *)SvRV(entry)) >= SEND_DATA;
}

/* How many entries at the front go into one message. One that has data goes alone. */
static int
entries_of_message(AV *queue, int most)
{
    int n = 1;

    if (has_data(AvARRAY(queue)[0]))
        return 1;
    while (n < most && !has_data(AvARRAY(queue)[n]))
        n++;
    return n;
}

static int
send_with_data(pTHX_ HV *self, int fd, SV *data)
{
    int passer = passer_fd(aTHX_ self);
    STRLEN len;
    const char *bytes = SvPVbyte(data, len);

    return (int)fdpasser_try_send_message(passer, &fd, 1, bytes, len);
}

/* Sends one message. In the same step its entries leave `send_queue`, so that no entry is sent twice. If there
 * is one, it goes to *entry; several go to `sent`. Returns 1, or an errno, negated. */
static int
send_message(pTHX_ SV *passer, HV *self, AV *queue, SV **entry)
{
    int fds[FDPASSER_MAX_PER_MESSAGE];
    SV **limit = member(self, "max_fds_per_message");
    int per_message = limit ? (int)SvIV(*limit) : 1;
    int i, n, wanted = (int)length_of(queue);
    SV *first = AvARRAY(queue)[0];
    bool changed;

    if (wanted > per_message)
        wanted = per_message;
    if (wanted > 1)
        wanted = entries_of_message(queue, wanted);
    /* A tied handle runs Perl code here, which may do anything. If it changes the queue, start over. */
    SvREFCNT_inc_simple_void_NN(queue);
    SvREFCNT_inc_simple_void_NN(first);
    for (i = 0; i < wanted && i < length_of(queue); i++)
        fds[i] = fileno_of(aTHX_ part_of(aTHX_ AvARRAY(queue)[i], SEND_FH));
    changed = queue_in(self, "send_queue") != queue || length_of(queue) < wanted || AvARRAY(queue)[0] != first;
    SvREFCNT_dec(first);
    SvREFCNT_dec((SV *)queue);
    if (changed)
        return 1;

    n = has_data(first) ? send_with_data(aTHX_ self, fds[0], part_of(aTHX_ first, SEND_DATA))
                        : (int)fdpasser_try_send_fds(passer_fd(aTHX_ self), fds, wanted, per_message);
    if (n < 0)
        return -errno;
    if (n == 1) {
        *entry = av_shift(queue);
        return 1;
    }
    AV *sent = new_queue_in(aTHX_ self, "sent");
    for (i = 0; i < n; i++)
        av_push(sent, av_shift(queue));
    several_in_hand(aTHX_ passer, "send");
    return 1;
}

/* Drops the handle of an entry, and then calls its callback. */
static void
tell_sent(pTHX_ SV *entry)
{
    SV *callback = only_part(aTHX_ entry, SEND_CALLBACK);
    if (SvTRUE(callback))
        call_back(aTHX_ callback, 0, NULL);
    else
        SvREFCNT_dec(callback);
}

/* --- receiving -------------------------------------------------------------------------------------- */

/* A callback of push_recv_message and a handle with data are an array, in `recv_queue` and in `received`. All others
 * stand there themselves. */
enum { RECV_CALLBACK };
enum { RECV_FH, RECV_DATA };

static bool
is_array(SV *sv)
{
    return SvROK(sv) && SvTYPE(SvRV(sv)) == SVt_PVAV && !SvOBJECT(SvRV(sv));
}

static SV *
with_data(pTHX_ SV *handle, SV *data)
{
    AV *av = newAV();
    av_push(av, handle);
    av_push(av, newSVsv(data));
    return newRV_noinc((SV *)av);
}

/* Makes handles of received descriptors. If there is one, it goes to *one; several go to `received`. The first gets the
 * data, if there is any. Returns the status, or an errno, negated, if there is a descriptor without a handle. */
static int
make_handles(pTHX_ SV *passer, HV *self, const int *fds, int n, SV *data, int status, SV **one)
{
    AV *received = n > 1 ? new_queue_in(aTHX_ self, "received") : NULL;
    int i;

    for (i = 0; i < n; i++) {
        SV *handle = handle_of(aTHX_ fds[i]);
        if (!handle) {
            status = -errno;
            continue;
        }
        if (i == 0 && data)
            handle = with_data(aTHX_ handle, data);
        if (received)
            av_push(received, handle);
        else
            *one = handle;
    }
    if (received)
        several_in_hand(aTHX_ passer, "recv");
    return status;
}

/* One call takes at most this many descriptors from the socket, and what is left of the last message. */
#define MOST_AT_ONCE 64

/* Takes descriptors from the socket until `enough` have come or there are no more, and makes handles of them.
 * If there is one, it goes to *one; several go to `received`. Returns the status of fdpasser_try_recv_messages: 1 for
 * enough, 0 at orderly shutdown, or an errno, negated. */
static int
take(pTHX_ SV *passer, HV *self, int enough, int *count, SV **one)
{
    int fds[MOST_AT_ONCE - 1 + FDPASSER_MAX_PER_MESSAGE];
    int n, status, fd = passer_fd(aTHX_ self);

    if (enough > MOST_AT_ONCE)
        enough = MOST_AT_ONCE;
    n = (int)fdpasser_try_recv_messages(fd, fds, C_ARRAY_LENGTH(fds), enough, &status);
    *count = n < 0 ? 0 : n;
    return n < 0 ? -errno : make_handles(aTHX_ passer, self, fds, n, NULL, status, one);
}

/* Keeps a status that the socket may not report a second time. */
static void
note(pTHX_ HV *self, const char *name, int status)
{
    if (!hv_exists(self, name, strlen(name)))
        (void)hv_store(self, name, strlen(name), newSViv(status), 0);
}

/* A look that finds nothing costs as much as one that finds something. So after an event that brought one
 * descriptor and a vain look for a second one, this many events take one descriptor and do not look further. */
#define QUIET_EVENTS 15

/* What one call of _recv_some has seen of the socket. */
typedef struct {
    int total;
    int bytes_only; /* messages without a descriptor, whose bytes are in `ahead` */
    bool was_reset;
} Seen;

/* The data of a message: what came ahead of it, and its own bytes. Returns NULL if that is too much. */
static SV *
join_ahead(pTHX_ HV *self, const char *bytes, STRLEN len)
{
    SV **slot = member(self, "ahead");
    SV *data = slot ? newSVsv(*slot) : newSVpvs("");

    if (SvCUR(data) + len > FDPASSER_MAX_DATA) {
        SvREFCNT_dec(data);
        return NULL;
    }
    sv_catpvn(data, bytes, len);
    return data;
}

/* A single NUL is what is sent where there is no data. */
static bool
is_no_data(SV *data)
{
    return SvCUR(data) == 0 || (SvCUR(data) == 1 && *SvPVX(data) == 0);
}

/* As take, but takes one message, and with its data. The data goes with the first descriptor. Bytes without a descriptor
 * go to `ahead`: they belong to the next message. */
static int
take_message(pTHX_ SV *passer, HV *self, Seen *seen, int *count, SV **one)
{
    int fds[FDPASSER_MAX_PER_MESSAGE];
    char bytes[FDPASSER_MAX_DATA];
    size_t len = 0;
    int fd = passer_fd(aTHX_ self);
    int i, n = (int)fdpasser_try_recv_message(fd, fds, C_ARRAY_LENGTH(fds), bytes, sizeof bytes, &len);
    bool no_descriptor = n < 0 && errno == EBADMSG && len > 0;
    SV *data;

    *count = 0;
    if (n < 0 && !no_descriptor)
        return -errno;
    if (n == 0)
        return has(self, "ahead") ? -EBADMSG : 0;
    data = join_ahead(aTHX_ self, bytes, len);
    if (!data) {
        for (i = 0; i < n; i++)
            close(fds[i]);
        return -EMSGSIZE;
    }
    if (no_descriptor) {
        (void)hv_stores(self, "ahead", data);
        seen->bytes_only++;
        return 1;
    }
    remove(self, "ahead");
    *count = n;
    sv_2mortal(data);
    return make_handles(aTHX_ passer, self, fds, n, is_no_data(data) ? NULL : data, 1, one);
}

/* As take, and keeps what the status means for later. Returns 1 if it is worth looking again. */
static int
look(pTHX_ SV *passer, HV *self, int enough, Seen *seen, SV **one)
{
    int count;
    int status = member(self, "messages") ? take_message(aTHX_ passer, self, seen, &count, one)
                                          : take(aTHX_ passer, self, enough, &count, one);
    int retry = status < 0 ? fdpasser_retry_ms(-status) : -1;

    seen->total += count;
    if (status == -EAGAIN && seen->total == 1)
        (void)hv_stores(self, "quiet", newSViv(QUIET_EVENTS));
    if (status == -ECONNRESET && !seen->was_reset) {
        /* SOCK_SEQPACKET reports it before the data. */
        seen->was_reset = TRUE;
        note(aTHX_ self, "failing", status);
        return 1;
    }
    if (status <= 0 && retry < 0)
        note(aTHX_ self, "ended", status);
    /* The callbacks may free slots of a full descriptor table. */
    return retry > 0 && count ? 1 : status;
}

/* Gives a received handle to a callback. Only a callback of push_recv_message gets the data. */
static void
hand_over(pTHX_ HV *self, SV *callback, SV *received)
{
    SV *arguments[] = { received, NULL };
    bool wants_data = is_array(callback);

    if (wants_data) {
        SV **messages = member(self, "messages");
        if (messages && SvIV(*messages) > 1)
            sv_setiv(*messages, SvIV(*messages) - 1);
        else
            remove(self, "messages");
        callback = only_part(aTHX_ callback, RECV_CALLBACK);
        arguments[1] = is_array(received) ? newSVsv(part_of(aTHX_ received, RECV_DATA)) : newSV(0);
    }
    if (is_array(received))
        arguments[0] = only_part(aTHX_ received, RECV_FH);
    call_back(aTHX_ callback, wants_data ? 2 : 1, arguments);
}

MODULE = AnyEvent::FDpasser    PACKAGE = AnyEvent::FDpasser

PROTOTYPES: DISABLE

BOOT:
    usual_hook = PL_signalhook;
    usual_layers = !PerlEnv_getenv("PERLIO");
    number_layer.fsize = sizeof(PerlIO_funcs);
    number_layer.name = "fdpasser";
    number_layer.size = sizeof(Number);
    number_layer.kind = PERLIO_K_RAW;
    number_layer.Pushed = PerlIOBase_pushed;
    number_layer.Fileno = number_fileno;
    quiet_perlio = PerlIO_perlio;
    quiet_perlio.Pushed = PerlIOBase_pushed;

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
    const char *name = path_of(aTHX_ path, &len);
    RETVAL = fdpasser_server_n(name, len, backlog);
  OUTPUT:
    RETVAL

# Returns (descriptor, node); the node is for _unlink. If it fails: the empty list, and $! is set.
void
_server_with(SV *path, int backlog, int mode, bool exclusive)
  PPCODE:
    STRLEN len;
    const char *name = path_of(aTHX_ path, &len);
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
    const char *name = path_of(aTHX_ path, &len);
    RETVAL = fdpasser_connect_n(name, len);
  OUTPUT:
    RETVAL

# Returns (how many, descriptor, name, descriptor, name...). If it fails: -1, and $! is set.
void
_inherited()
  PPCODE:
    ssize_t n = fdpasser_inherited(NULL, 0);
    EXTEND(SP, n > 0 ? 1 + 2 * n : 1);
    mPUSHi(n);
    if (n > 0) {
        int *fds = (int *)SvPVX(sv_2mortal(newSV(n * sizeof(int))));
        n = fdpasser_inherited(fds, n);
        for (ssize_t i = 0; i < n; i++) {
            char name[FDPASSER_MAX_NAME + 1];
            ssize_t len = fdpasser_inherited_name(i, name, sizeof name);
            mPUSHi(fds[i]);
            mPUSHp(name, len < 0 ? 0 : len);
        }
    }

# Takes the names of kinds, such as "listening". Returns 1 or 0, or -1 with $!.
int
_is(SV *fd, ...)
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
    unsigned what = 0;
    for (int i = 1; i < items; i++) {
        const char *name = SvPV_nolen(ST(i));
        size_t k = 0;
        while (k < C_ARRAY_LENGTH(kinds) && strNE(name, kinds[k].name))
            k++;
        if (k == C_ARRAY_LENGTH(kinds))
            croak("fdpasser_is: unknown kind %s", name);
        what |= kinds[k].bit;
    }
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

# Signals stay pending until the caller's scope is left. $! is then what it is now.
void
_hold_signals()
  CODE:
    LEAVE; /* Perl puts ENTER and LEAVE around a call of an XS function */
    SAVEINT(errno);
    SAVEVPTR(PL_signalhook);
    PL_signalhook = hold_signals;
    ENTER;

# The same, and the direction gets the watcher that it needs when the scope is left.
void
_begin(SV *passer, SV *dir)
  CODE:
    Scope *scope;
    LEAVE;
    SAVEINT(errno);
    SAVEVPTR(PL_signalhook);
    PL_signalhook = hold_signals;
    Newx(scope, 1, Scope);
    scope->passer = newRV_inc(SvRV(passer));
    scope->is = *SvPV_nolen(dir) == 's' ? &sending : &receiving;
    SAVEDESTRUCTOR_X(settle, scope);
    ENTER;

# Calls the code that is the last argument while signals are held. Returns 1.
int
_call_held(...)
  CODE:
    ENTER;
    SAVEVPTR(PL_signalhook);
    PL_signalhook = hold_signals;
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

# Returns a descriptor, or -1 with $! set. EAGAIN or ETIMEDOUT: the listener's backlog is full now.
int
_connect_now(SV *path)
  CODE:
    STRLEN len;
    const char *name = path_of(aTHX_ path, &len);
    RETVAL = connect_now(name, len);
  OUTPUT:
    RETVAL

# Sends what the socket takes, and calls at most `share` callbacks. Returns 1 if the queue is empty, 2 if the share is
# used up, otherwise an errno, negated.
int
_send_some(SV *passer, int share)
  CODE:
    HV *self = (HV *)SvRV(passer);
    RETVAL = 1;
    while (share > 0) {
        AV *sent, *queue;
        SV *entry = NULL;

        if (PL_sig_pending)
            run_signal_handlers(aTHX);
        sent = queue_in(self, "sent");
        if (length_of(sent))
            entry = av_shift(sent);
        else if (!length_of(queue = queue_in(self, "send_queue")))
            break;
        else if ((RETVAL = send_message(aTHX_ passer, self, queue, &entry)) < 0)
            break;
        else if (entry && PL_sig_pending) {
            /* A handler may die, so the entry has to be in the passer. */
            av_push(new_queue_in(aTHX_ self, "sent"), entry);
            continue;
        }
        if (entry) {
            share--;
            tell_sent(aTHX_ entry);
        }
    }
    if (share == 0 && length_of(queue_in(self, "send_queue")))
        RETVAL = 2;
  OUTPUT:
    RETVAL

# Calls at most `share` callbacks with what has arrived. Takes no more from the socket than the callbacks that wait,
# and what is left of the last message. Returns 1 if no callback waits, the share is used up, or there may be more;
# otherwise why there is no more: 0 at orderly shutdown, or an errno, negated. A callback may die before it returns,
# so a final status is noted in `ended` at once.
int
_recv_some(SV *passer, int share)
  CODE:
    HV *self = (HV *)SvRV(passer);
    SV **quiet = member(self, "quiet");
    bool one_only = quiet && SvIV(*quiet) > 0 && !member(self, "failing");
    Seen seen = { 0, FALSE };
    bool called = FALSE;

    if (one_only)
        sv_setiv(*quiet, SvIV(*quiet) - 1);
    RETVAL = 1;
    while (share > 0) {
        AV *queue, *received;
        SV *handle = NULL, **ended;

        if (PL_sig_pending)
            run_signal_handlers(aTHX);
        queue = queue_in(self, "recv_queue");
        received = queue_in(self, "received");
        if (!length_of(queue)) {
            RETVAL = 1;
            break;
        }
        if (length_of(received))
            handle = av_shift(received);
        else if ((ended = member(self, "ended"))) {
            RETVAL = (int)SvIV(*ended);
            break;
        }
        else if (RETVAL != 1 || (one_only && seen.total))
            break;
        else {
            int enough = (int)length_of(queue) < share ? (int)length_of(queue) : share;
            RETVAL = look(aTHX_ passer, self, one_only ? 1 : enough, &seen, &handle);
            share -= seen.bytes_only;
            seen.bytes_only = 0;
            if (handle && PL_sig_pending) {
                /* A handler may die, so the handle has to be in the passer. */
                av_push(new_queue_in(aTHX_ self, "received"), handle);
                continue;
            }
        }
        if (handle) {
            share--;
            called = TRUE;
            hand_over(aTHX_ self, av_shift(queue), handle);
        }
    }
    /* A callback may have closed the passer's descriptor. Not every loop reports that. */
    if (called && length_of(queue_in(self, "recv_queue")) && member(self, "fh") &&
        fcntl(passer_fd(aTHX_ self), F_GETFD) == -1 && errno == EBADF)
        note(aTHX_ self, "ended", RETVAL = -EBADF);
  OUTPUT:
    RETVAL

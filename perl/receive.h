/* SPDX-License-Identifier: MIT OR Apache-2.0 */

/* Takes descriptors from a passer's socket, makes handles of them, and calls the callbacks of recv_queue. */

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

/* What one turn has seen of the socket. */
typedef struct {
    int total;      /* descriptors */
    int bytes_only; /* messages without a descriptor, whose bytes are in `ahead` */
    bool was_reset;
} Seen;

/* Makes handles of received descriptors. If there is one, it goes to *one; several go to `received`. The first gets the
 * data, if there is any. Returns the status, or an errno, negated, if there is a descriptor without a handle. */
static int
make_handles(pTHX_ SV *passer, const int *fds, int n, SV *data, int status, SV **one)
{
    AV *received = n > 1 ? made_queue_in(aTHX_ (HV *)SvRV(passer), OWN "received") : NULL;
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
        several_in_hand(aTHX_ passer, &receiving);
    return status;
}

/* One call takes at most this many descriptors from the socket, and what is left of the last message. */
#define MOST_AT_ONCE 64

/* Takes descriptors from the socket until `enough` have come or there are no more. Returns the status of
 * fdpasser_try_recv_messages: 1 for enough, 0 at orderly shutdown, or an errno, negated. */
static int
take(pTHX_ SV *passer, HV *self, int enough, Seen *seen, SV **one)
{
    int fds[MOST_AT_ONCE - 1 + FDPASSER_MAX_PER_MESSAGE];
    int n, status, fd = passer_fd(aTHX_ self);

    if (fd < 0)
        return -EBADF;
    if (enough > MOST_AT_ONCE)
        enough = MOST_AT_ONCE;
    n = (int)fdpasser_try_recv_messages(fd, fds, C_ARRAY_LENGTH(fds), enough, &status);
    if (n < 0)
        return -errno;
    seen->total += n;
    return make_handles(aTHX_ passer, fds, n, NULL, status, one);
}

/* The data of a message: what came ahead of it, and its own bytes. Returns NULL if that is too much. */
static SV *
join_ahead(pTHX_ HV *self, const char *bytes, STRLEN len)
{
    SV **slot = member(self, OWN "ahead");
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

/* On these sockets a message never joins the next one. */
static bool
is_packet_socket(int fd)
{
    int type;
    socklen_t len = sizeof type;

    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type != SOCK_STREAM;
}

/* As take, but takes one message, and with its data. On a stream, bytes without a descriptor go to `ahead`: they belong
 * to the next message. */
static int
take_message(pTHX_ SV *passer, HV *self, Seen *seen, SV **one)
{
    int fds[FDPASSER_MAX_PER_MESSAGE];
    char bytes[FDPASSER_MAX_DATA];
    size_t len = 0;
    int fd = passer_fd(aTHX_ self);
    int i, n = (int)fdpasser_try_recv_message(fd, fds, C_ARRAY_LENGTH(fds), bytes, sizeof bytes, &len);
    bool no_descriptor = n < 0 && errno == EBADMSG && len > 0;
    SV *data;

    if (n < 0 && !no_descriptor)
        return -errno;
    if (no_descriptor && is_packet_socket(fd))
        return -EBADMSG;
    if (n == 0)
        return has(self, OWN "ahead") ? -EBADMSG : 0;
    data = join_ahead(aTHX_ self, bytes, len);
    if (!data) {
        for (i = 0; i < n; i++)
            close(fds[i]);
        return -EMSGSIZE;
    }
    if (no_descriptor) {
        (void)hv_stores(self, OWN "ahead", data);
        seen->bytes_only++;
        return 1;
    }
    remove(self, OWN "ahead");
    seen->total += n;
    sv_2mortal(data);
    return make_handles(aTHX_ passer, fds, n, is_no_data(data) ? NULL : data, 1, one);
}

/* Whether EAGAIN is how the socket ends: it has datagrams, and was shut down here. What has arrived may still wait. */
static bool
ends_with_eagain(pTHX_ HV *self)
{
#ifdef POLLRDHUP
    const short shut_down = POLLRDHUP | POLLHUP;
#else
    const short shut_down = POLLHUP;
#endif
    struct pollfd socket;
    int type = 0;
    socklen_t size = sizeof type;

    if (fdpasser_mode() == FDPASSER_MODE_SYSV)
        return FALSE;
    socket.fd = passer_fd(aTHX_ self);
    socket.events = shut_down;
    return poll(&socket, 1, 0) == 1 && socket.revents & shut_down &&
           (getsockopt(socket.fd, SOL_SOCKET, SO_TYPE, &type, &size) == -1 || type == SOCK_DGRAM);
}

static int
take_next(pTHX_ SV *passer, HV *self, int enough, Seen *seen, SV **one)
{
    return has(self, OWN "messages") ? take_message(aTHX_ passer, self, seen, one)
                                 : take(aTHX_ passer, self, enough, seen, one);
}

/* A look that finds nothing costs as much as one that finds something. So after an event that brought one
 * descriptor and a vain look for a second one, this many events take one descriptor and do not look further. */
#define QUIET_EVENTS 15

/* Takes what is there, and keeps what the status means for later. Returns 1 if it is worth looking again. */
static int
look(pTHX_ SV *passer, HV *self, int enough, Seen *seen, SV **one)
{
    int before = seen->total;
    int retry, status = take_next(aTHX_ passer, self, enough, seen, one);

    /* Linux says EAGAIN of a datagram socket that was shut down at this end, and the socket polls readable for ever. A
     * message may have come between the two calls. */
    if (status == -EAGAIN && !seen->total && ends_with_eagain(aTHX_ self)) {
        status = take_next(aTHX_ passer, self, enough, seen, one);
        if (status == -EAGAIN)
            status = 0;
    }
    retry = status < 0 ? fdpasser_retry_ms(-status) : -1;
    if (status == -EAGAIN && seen->total == 1)
        (void)hv_stores(self, OWN "quiet", newSViv(QUIET_EVENTS));
    if (status == -ECONNRESET && !seen->was_reset) {
        /* SOCK_SEQPACKET reports it before the data. */
        seen->was_reset = TRUE;
        note(aTHX_ self, OWN "failing", status);
        return 1;
    }
    if (status <= 0 && retry < 0)
        note(aTHX_ self, OWN "ended", status);
    /* The callbacks may free slots of a full descriptor table. */
    return retry > 0 && seen->total > before ? 1 : status;
}

/* Gives a received handle to a callback. Only a callback of push_recv_message gets the data. */
static void
hand_over(pTHX_ HV *self, SV *callback, SV *received)
{
    SV *arguments[] = { received, NULL };
    bool wants_data = is_array(callback);

    if (wants_data) {
        SV **messages = member(self, OWN "messages");
        if (messages && SvIV(*messages) > 1)
            sv_setiv(*messages, SvIV(*messages) - 1);
        else
            remove(self, OWN "messages");
        callback = only_part(aTHX_ callback, RECV_CALLBACK);
        arguments[1] = is_array(received) ? newSVsv(part_of(aTHX_ received, RECV_DATA)) : newSV(0);
    }
    if (is_array(received))
        arguments[0] = only_part(aTHX_ received, RECV_FH);
    call_back(aTHX_ callback, wants_data ? 2 : 1, arguments);
}

/* Whether a callback has closed the passer's descriptor. Not every loop reports that. If a send is about to be tried, it
 * will find that out. */
static bool
was_closed(pTHX_ HV *self)
{
    bool sends_soon = has(self, OWN "send_timer") && length_of(queue_in(aTHX_ self, "send_queue"));
    if (sends_soon || !has(self, "fh"))
        return FALSE;
    return fcntl(passer_fd(aTHX_ self), F_GETFD) == -1 && errno == EBADF;
}

/* Calls at most `share` callbacks with what has arrived. Takes no more from the socket than the callbacks that wait, and
 * what is left of the last message. Returns 1 if no callback waits, the share is used up, or there may be more;
 * otherwise why there is no more: 0 at orderly shutdown, or an errno, negated. A callback may die before it returns, so
 * a final status is noted in `ended` at once. */
static int
recv_some(pTHX_ SV *passer, int share)
{
    dMY_CXT;
    HV *self = (HV *)SvRV(passer);
    SV **quiet = member(self, OWN "quiet");
    bool one_only = quiet && SvIV(*quiet) > 0 && !has(self, OWN "failing");
    bool called = FALSE;
    Seen seen = { 0, 0, FALSE };
    int status = 1;
    AV *queue;

    if (one_only)
        sv_setiv(*quiet, SvIV(*quiet) - 1);
    while (length_of(queue = queue_in(aTHX_ self, "recv_queue")) && share > 0) {
        AV *received;
        SV *handle = NULL, **ended;

        if (PL_sig_pending) {
            run_signal_handlers(aTHX);
            queue = queue_in(aTHX_ self, "recv_queue");
            if (!length_of(queue))
                break;
        }
        received = queue_in(aTHX_ self, OWN "received");
        if (length_of(received))
            handle = av_shift(received);
        else if ((ended = member(self, OWN "ended")))
            return (int)SvIV(*ended);
        else if (status != 1 || (one_only && seen.total))
            break;
        else {
            UV before = MY_CXT.code_runs;
            int enough = (int)length_of(queue) < share ? (int)length_of(queue) : share;
            status = look(aTHX_ passer, self, one_only ? 1 : enough, &seen, &handle);
            share -= seen.bytes_only;
            seen.bytes_only = 0;
            if (MY_CXT.code_runs != before) {
                /* The code of a tied handle ran, and may have called `error`. */
                queue = queue_in(aTHX_ self, "recv_queue");
                if (!length_of(queue)) {
                    SvREFCNT_dec(handle);
                    break;
                }
            }
            if (handle && PL_sig_pending) {
                /* A handler may die, so the handle has to be in the passer. */
                av_push(made_queue_in(aTHX_ self, OWN "received"), handle);
                continue;
            }
        }
        if (handle) {
            share--;
            called = TRUE;
            hand_over(aTHX_ self, av_shift(queue), handle);
        }
    }
    if (!length_of(queue))
        return 1;
    if (called && was_closed(aTHX_ self)) {
        status = -EBADF;
        note(aTHX_ self, OWN "ended", status);
    }
    return status;
}

/* SPDX-License-Identifier: MIT OR Apache-2.0 */

/* Sends the handles of a passer's send_queue, and calls their callbacks. */

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
entries_of_message(AV *queue, int per_message)
{
    int n, waiting = (int)length_of(queue);

    for (n = 0; n < waiting && n < per_message; n++)
        if (has_data(AvARRAY(queue)[n]))
            return n ? n : 1;
    return n;
}

/* An internet socket takes messages and drops the descriptors, so the library looks at the socket's kind. Once in a turn
 * is enough, as long as more entries follow: if a callback puts another socket in the passer's place meanwhile, the look
 * that comes with a later entry makes it an error. `*seen` is the number of the socket that was looked at. */
static int
send_descriptors(int fd, const int *fds, int n, int per_message, bool more, int *seen)
{
    int known = more && fd == *seen ? FDPASSER_LOCAL : 0;

    *seen = fd;
    return (int)fdpasser_try_send_fds(fd, fds, n, per_message | known);
}

static int
send_with_data(pTHX_ int fd, int sent_fd, SV *data)
{
    STRLEN len;
    const char *bytes = SvPVbyte(data, len);

    return (int)fdpasser_try_send_message(fd, &sent_fd, 1, bytes, len);
}

/* The program may have changed the option since `new` checked it. */
static int
most_per_message(pTHX_ HV *self)
{
    SV **limit = member(self, "max_fds_per_message");
    IV most = limit && SvOK(*limit) && looks_like_number(*limit) ? SvIV(*limit) : 1;

    return most < 1 ? 1 : most > FDPASSER_MAX_PER_MESSAGE ? FDPASSER_MAX_PER_MESSAGE : (int)most;
}

/* Sends one message. In the same step its entries leave `send_queue`, so that no entry is sent twice. If there
 * is one, it goes to *entry; several go to `sent`. Returns 1, or an errno, negated. */
static int
send_message(pTHX_ SV *passer, HV *self, AV *queue, int *seen, SV **entry)
{
    int fds[FDPASSER_MAX_PER_MESSAGE];
    int per_message = most_per_message(aTHX_ self);
    int fd, i, n, wanted = entries_of_message(queue, per_message);
    SV *first = AvARRAY(queue)[0];
    AV *sent;
    bool changed;

    /* A tied handle runs Perl code here, which may do anything. If it changes the queue, start over. */
    SvREFCNT_inc_simple_void_NN(queue);
    SvREFCNT_inc_simple_void_NN(first);
    for (i = 0; i < wanted && i < length_of(queue); i++)
        fds[i] = fileno_of(aTHX_ part_of(aTHX_ AvARRAY(queue)[i], SEND_FH));
    fd = passer_fd(aTHX_ self);
    changed = queue_in(aTHX_ self, "send_queue") != queue || length_of(queue) < wanted || AvARRAY(queue)[0] != first;
    SvREFCNT_dec(first);
    SvREFCNT_dec((SV *)queue);
    if (changed)
        return 1;

    if (has_data(first))
        n = send_with_data(aTHX_ fd, fds[0], part_of(aTHX_ first, SEND_DATA));
    else
        n = send_descriptors(fd, fds, wanted, per_message, length_of(queue) > wanted, seen);
    if (n < 0)
        return -errno;
    if (n == 1) {
        *entry = av_shift(queue);
        return 1;
    }
    sent = made_queue_in(aTHX_ self, OWN "sent");
    for (i = 0; i < n; i++)
        av_push(sent, av_shift(queue));
    several_in_hand(aTHX_ passer, &sending);
    return 1;
}

/* Whether code of the program may run when the handle is dropped: its DESTROY, or that of something it carries. */
static bool
dropping_runs_code(SV *handle)
{
    SV *glob = SvROK(handle) ? SvRV(handle) : NULL;

    if (!glob || SvREFCNT(glob) > 1)
        return FALSE;
    return SvOBJECT(glob) || SvMAGICAL(glob) || !isGV_with_GP(glob) || GvSV((GV *)glob) || GvAV((GV *)glob)
           || GvHV((GV *)glob);
}

/* Drops the handle of an entry, and then calls its callback. An object's `bool` may be overloaded, and die. */
static void
tell_sent(pTHX_ SV *entry)
{
    SV *callback;
    bool wanted;

    if (dropping_runs_code(part_of(aTHX_ entry, SEND_FH)))
        count_code_run(aTHX);
    callback = only_part(aTHX_ entry, SEND_CALLBACK);
    if (SvROK(callback))
        count_code_run(aTHX);
    ENTER;
    SAVETMPS;
    sv_2mortal(callback);
    wanted = SvTRUE(callback);
    if (wanted)
        SvREFCNT_inc_simple_void_NN(callback);
    FREETMPS;
    LEAVE;
    if (wanted)
        call_back(aTHX_ callback, 0, NULL);
}

/* Sends what the socket takes, and calls at most `share` callbacks. Returns 1 if the queue is empty, 2 if the share is
 * used up, otherwise an errno, negated. */
static int
send_some(pTHX_ SV *passer, int share)
{
    HV *self = (HV *)SvRV(passer);
    int status = 1, seen = -1;

    while (share > 0) {
        AV *sent, *queue;
        SV *entry = NULL;

        if (PL_sig_pending)
            run_signal_handlers(aTHX);
        sent = queue_in(aTHX_ self, OWN "sent");
        if (length_of(sent))
            entry = av_shift(sent);
        else if (!length_of(queue = queue_in(aTHX_ self, "send_queue")))
            break;
        else if ((status = send_message(aTHX_ passer, self, queue, &seen, &entry)) < 0)
            break;
        else if (entry && PL_sig_pending) {
            /* A handler may die, so the entry has to be in the passer. */
            av_push(made_queue_in(aTHX_ self, OWN "sent"), entry);
            continue;
        }
        if (entry) {
            share--;
            tell_sent(aTHX_ entry);
        }
    }
    return share == 0 && length_of(queue_in(aTHX_ self, "send_queue")) ? 2 : status;
}

/* SPDX-License-Identifier: MIT OR Apache-2.0 */

/* A passer is a hash. FDpasser.pm says which keys it has. The private ones begin with this. */
#define OWN "-"

/* What differs between the directions: the names of their keys. */
typedef struct {
    const char *name, *queue, *in_hand, *io, *timer;
} Direction;

static const Direction sending = { "send", "send_queue", OWN "sent", OWN "send_io", OWN "send_timer" };
static const Direction receiving = { "recv", "recv_queue", OWN "received", OWN "recv_io", OWN "recv_timer" };

static const Direction *
direction(pTHX_ SV *name)
{
    return *SvPV_nolen(name) == 's' ? &sending : &receiving;
}

#define member(self, key) hv_fetch(self, key, strlen(key), 0)
#define has(self, key)    hv_exists(self, key, strlen(key))
#define remove(self, key) (void)hv_delete(self, key, strlen(key), G_DISCARD)

static AV *
queue_in(pTHX_ HV *self, const char *key)
{
    SV **slot = member(self, key);
    return slot && SvROK(*slot) && SvTYPE(SvRV(*slot)) == SVt_PVAV ? (AV *)SvRV(*slot) : NULL;
}

#define length_of(av) ((av) ? AvFILLp(av) + 1 : 0)

/* The queue with that key. If there is none, it is made. */
static AV *
made_queue_in(pTHX_ HV *self, const char *key)
{
    AV *av = queue_in(aTHX_ self, key);
    if (!av) {
        av = newAV();
        (void)hv_store(self, key, strlen(key), newRV_noinc((SV *)av), 0);
    }
    return av;
}

/* Keeps a status that the socket may not report a second time. After `error` there is nothing to keep. */
static void
note(pTHX_ HV *self, const char *key, int status)
{
    if (!has(self, key) && !has(self, "error_state"))
        (void)hv_store(self, key, strlen(key), newSViv(status), 0);
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
    count_code_run(aTHX);
    ENTER;
    SAVETMPS;
    PUSHMARK(SP);
    XPUSHs(sv_mortalcopy(handle)); /* that code may drop the handle */
    PUTBACK;
    call_pv("AnyEvent::FDpasser::_fileno", G_SCALAR);
    SPAGAIN;
    fd = fd_of(aTHX_ POPs);
    PUTBACK;
    FREETMPS;
    LEAVE;
    return fd;
}

/* The number of the passer's own handle. If that is tied, code of the program runs, and may shut the passer down. */
static int
passer_fd(pTHX_ HV *self)
{
    dMY_CXT;
    UV before = MY_CXT.code_runs;
    SV **fh = member(self, "fh");
    int fd = fh ? fileno_of(aTHX_ *fh) : -1;
    return MY_CXT.code_runs != before && !has(self, "fh") ? -1 : fd;
}

/* --- watchers ----------------------------------------------------------------------------------------- */

static void
drop_watchers(pTHX_ HV *self, const Direction *is)
{
    remove(self, is->io);
    remove(self, is->timer);
}

/* Calls one of the functions in FDpasser.pm that make a watcher. $@ stays as it is. If the function dies, its error goes
 * to *error, or becomes a warning if that is NULL. */
static void
call_function(pTHX_ const char *function, SV *passer, const Direction *is, int pause, SV **error)
{
    dSP;
    dMY_CXT;
    UV before = MY_CXT.code_runs;
    bool had_error = !SvPOK(ERRSV) || SvCUR(ERRSV) > 0; /* as a rule $@ is empty, and need not be saved */

    PUSHSTACKi(PERLSI_DESTROY);
    ENTER;
    SAVETMPS;
    if (had_error)
        save_scalar(PL_errgv);
    PUSHMARK(SP);
    EXTEND(SP, 3);
    if (passer) {
        PUSHs(passer);
        mPUSHp(is->name, 4);
    }
    if (pause >= 0)
        mPUSHi(pause);
    PUTBACK;
    call_pv(function, G_VOID | G_DISCARD | G_EVAL | (error ? 0 : G_KEEPERR));
    if (error)
        *error = SvTRUE(ERRSV) ? newSVsv(ERRSV) : NULL;
    if (!had_error)
        CLEAR_ERRSV();
    FREETMPS;
    LEAVE;
    POPSTACK;
    /* They ask for the handle's number. If it is tied, its code may have shut the passer down. */
    if (passer && MY_CXT.code_runs != before && has((HV *)SvRV(passer), "error_state"))
        drop_watchers(aTHX_ (HV *)SvRV(passer), is);
}

#define call_quietly(function, passer, is, pause) call_function(aTHX_ function, passer, is, pause, NULL)

#define try_later(passer, is, pause) call_quietly("AnyEvent::FDpasser::_later", passer, is, pause)

/* More than one entry waits for its callback. The first callback may run the event loop, and the others have to get their
 * turn there. */
static void
several_in_hand(pTHX_ SV *passer, const Direction *is)
{
    if (!has((HV *)SvRV(passer), is->timer))
        try_later(passer, is, 0);
}

/* Gives a direction the watcher that its state needs. If nothing is queued, there is none, and nothing keeps the passer
 * alive. */
static void
settle(pTHX_ SV *passer, const Direction *is)
{
    HV *self = (HV *)SvRV(passer);
    bool queued = length_of(queue_in(aTHX_ self, is->queue)) > 0;
    bool in_hand = length_of(queue_in(aTHX_ self, is->in_hand)) > 0;
    bool over = has(self, OWN "failing") || (has(self, OWN "ended") && !in_hand);
    bool busy = is == &sending ? in_hand || (queued && !over) : queued || over;
    SV *asked = hv_delete(self, OWN "pause", strlen(OWN "pause"), 0);
    int pause = asked ? (int)SvIV(asked) : -1;

    if (has(self, "error_state")) {
        drop_watchers(aTHX_ self, is);
        return;
    }
    if (!in_hand)
        remove(self, is->in_hand);
    if (!queued)
        remove(self, is->queue);
    if (!busy || has(self, OWN "reported")) {
        drop_watchers(aTHX_ self, is);
        return;
    }
    /* The socket would not become ready for these. */
    if (pause < 0 && (in_hand || over))
        pause = 0;
    if (pause >= 0) {
        /* During a pause the socket may poll ready, and a watcher would make the loop spin. If there is no pause, a
         * watcher would give this passer a second turn in the same round of the loop. */
        remove(self, is->io);
        try_later(passer, is, pause);
        return;
    }
    remove(self, is->timer);
    if (!has(self, is->io))
        call_quietly("AnyEvent::FDpasser::_watch", passer, is, -1);
}

typedef struct {
    SV *passer;
    const Direction *is;
    bool before_wait;   /* the loop waits next, without looking at conditions again */
    UV code_runs_before; /* MY_CXT.code_runs at the beginning */
} Turn;

/* If nothing else refers to a passer, its count is this at the end of its last turn: the turn, the watcher's closure and
 * `$self` of _move. */
#define REFERENCES_OF_TURN 3

/* Whether code of the program has run in the turn, or runs directly after it: the passer's DESTROY or a signal handler.
 * A condition may have come true then. */
static bool
may_have_run_code(pTHX_ const Turn *turn)
{
    dMY_CXT;
    return MY_CXT.code_runs != turn->code_runs_before || SvREFCNT(SvRV(turn->passer)) <= REFERENCES_OF_TURN
           || PL_sig_pending;
}

static void
poll_without_waiting(pTHX)
{
    dMY_CXT;
    if (!MY_CXT.will_poll)
        call_quietly("AnyEvent::FDpasser::_poll_without_waiting", NULL, NULL, -1);
}

static void
end_turn(pTHX_ void *arg)
{
    Turn *turn = arg;
    if (PL_phase != PERL_PHASE_DESTRUCT) {
        settle(aTHX_ turn->passer, turn->is);
        if (turn->before_wait && may_have_run_code(aTHX_ turn))
            poll_without_waiting(aTHX);
    }
    SvREFCNT_dec(turn->passer);
    Safefree(turn);
}

/* When the scope is left, also by an exception, the direction gets its watcher. */
static void
settle_at_end(pTHX_ SV *passer, const Direction *is, bool before_wait)
{
    dMY_CXT;
    Turn *turn;
    Newx(turn, 1, Turn);
    turn->passer = newRV_inc(SvRV(passer));
    turn->is = is;
    turn->before_wait = before_wait;
    turn->code_runs_before = MY_CXT.code_runs;
    SAVEDESTRUCTOR_X(end_turn, turn);
}

/* There is no watcher, so nothing would ever serve the newest entry. Takes it back and dies. */
static void
take_back(pTHX_ HV *self, const Direction *is, SV *error)
{
    AV *queue = queue_in(aTHX_ self, is->queue);
    dSP;

    if (length_of(queue))
        SvREFCNT_dec(av_pop(queue));
    if (!length_of(queue))
        remove(self, is->queue);
    PUSHMARK(SP);
    if (SvPOK(error) && SvCUR(error) && SvEND(error)[-1] == '\n')
        SvCUR_set(error, SvCUR(error) - 1);
    mXPUSHs(newSVpvf("cannot watch the passer: %" SVf, SVfARG(sv_2mortal(error))));
    PUTBACK;
    call_pv("Carp::croak", G_VOID | G_DISCARD);
}

/* Queues an entry, and gives an idle direction its first watcher. */
static void
push_entry(pTHX_ SV *passer, const Direction *is, SV *entry)
{
    HV *self = (HV *)SvRV(passer);
    SV *error = NULL;

    ENTER;
    hold_signals(aTHX);
    av_push(made_queue_in(aTHX_ self, is->queue), newSVsv(entry));
    if (!has(self, is->io) && !has(self, is->timer)) {
        if (has(self, is->in_hand) || has(self, OWN "failing") || has(self, OWN "ended") || has(self, OWN "reported"))
            settle(aTHX_ passer, is);
        else
            call_function(aTHX_ "AnyEvent::FDpasser::_start", passer, is, -1, &error);
    }
    LEAVE;
    if (error)
        take_back(aTHX_ self, is, error);
}

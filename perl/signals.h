/* SPDX-License-Identifier: MIT OR Apache-2.0 */

/* Signal handlers wait while the module works.
 *
 * Perl runs the program's signal handlers between two operations, and a handler may die. In the middle of this module
 * that would lose an entry of a queue, or leave a passer without a watcher. Perl calls PL_signalhook to run the handlers
 * that are due. So the module replaces PL_signalhook until a scope is left. */

static despatch_signals_proc_t usual_hook;

static void
run_no_handler(pTHX)
{
    PERL_UNUSED_CONTEXT;
}

/* Each thread of Perl has its own. */
#define MY_CXT_KEY "AnyEvent::FDpasser::_guts"
typedef struct {
    I32 callback_depth; /* the context stack's depth in the callback that runs */
    UV code_runs;       /* how often code of the program has run inside this module */
    bool will_poll;     /* the idle watcher of _poll_without_waiting is active */
} my_cxt_t;
START_MY_CXT

static void
count_code_run(pTHX)
{
    dMY_CXT;
    MY_CXT.code_runs++;
}

/* From here to the end of the scope. $! is then what it is now. */
static void
hold_signals(pTHX)
{
    SAVEINT(errno);
    SAVEVPTR(PL_signalhook);
    PL_signalhook = run_no_handler;
}

/* Runs the handlers that wait. One that dies leaves this function, and the functions that call it. */
static void
run_signal_handlers(pTHX)
{
    count_code_run(aTHX);
    ENTER;
    SAVEVPTR(PL_signalhook);
    PL_signalhook = usual_hook;
    PERL_ASYNC_CHECK();
    LEAVE;
}

/* A callback of a few plain statements is done as a whole: no handler runs between the statements of the callback
 * itself. Inside loops, branches, calls and whatever waits, handlers run as usual. */
static void
run_handlers_in_callback(pTHX)
{
    dMY_CXT;
    if (!PL_op || PL_op->op_type != OP_NEXTSTATE || cxstack_ix != MY_CXT.callback_depth)
        usual_hook(aTHX);
}

/* Calls a callback of the program, and drops it and its arguments afterwards. An exception leaves this function, and the
 * functions that call it. */
static void
call_back(pTHX_ SV *callback, int n, SV **arguments)
{
    dSP;
    dMY_CXT;
    int i;
    count_code_run(aTHX);
    ENTER;
    SAVETMPS;
    sv_2mortal(callback);
    SAVEVPTR(PL_signalhook);
    PL_signalhook = run_handlers_in_callback;
    SAVEI32(MY_CXT.callback_depth);
    MY_CXT.callback_depth = cxstack_ix + 1;
    PUSHMARK(SP);
    EXTEND(SP, n);
    for (i = 0; i < n; i++)
        mPUSHs(arguments[i]);
    PUTBACK;
    call_sv(callback, G_VOID | G_DISCARD);
    FREETMPS;
    LEAVE;
}

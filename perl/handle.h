/* SPDX-License-Identifier: MIT OR Apache-2.0 */

/* Makes a handle of a received descriptor: what `open my $fh, '+<&=', $fd` makes.
 *
 * Perl's own function for that makes system calls that a pipe or a socket does not need: it sets close-on-exec, which the
 * library has done, asks whether the descriptor is a terminal, and asks for its position. So this builds the same two
 * layers without these calls. */

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

static PerlIO_funcs number_layer;
static PerlIO_funcs quiet_perlio; /* "perlio", but pushing it makes no system calls */
static bool usual_layers;         /* unless the environment variable PERLIO asks for others */

static void
make_layers(void)
{
    number_layer.fsize = sizeof(PerlIO_funcs);
    number_layer.name = "fdpasser";
    number_layer.size = sizeof(Number);
    number_layer.kind = PERLIO_K_RAW;
    number_layer.Pushed = PerlIOBase_pushed;
    number_layer.Fileno = number_fileno;
    quiet_perlio = PerlIO_perlio;
    quiet_perlio.Pushed = PerlIOBase_pushed;
    usual_layers = !PerlEnv_getenv("PERLIO");
}

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
    gv_init(gv, CopSTASH(PL_curcop), "$fh", 3, 0); /* our package calls this */
    IO *io = GvIOn(gv);
    IoTYPE(io) = S_ISSOCK(st.st_mode) ? IoTYPE_SOCKET : IoTYPE_RDWR;
    IoIFP(io) = in;
    IoOFP(io) = out;
    return newRV_noinc((SV *)gv);
}

/* What a function returns that makes a descriptor: its handle, or undef with errno set. Between the system call and the
 * handle no Perl code may run, because a signal handler could die there and leave the descriptor open. */
static SV *
handle_or_undef(pTHX_ int fd)
{
    SV *handle = fd < 0 ? NULL : handle_of(aTHX_ fd);
    return handle ? handle : newSV(0);
}

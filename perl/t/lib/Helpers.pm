package Helpers;

# What the test files share. `use Helpers;` or `use Helpers limit => 64;`, which runs the file with
# that many descriptors at most (ulimit -n), or skips it if they cannot be had.

use strict;
use warnings;

use AnyEvent ();
use AnyEvent::FDpasser;
use Errno qw(EAGAIN EBADF);
use File::Temp ();
use Fcntl qw(:DEFAULT :seek F_GETFD F_SETFD F_GETFL FD_CLOEXEC);
use POSIX  ();
use Socket qw(SOL_SOCKET SCM_RIGHTS);
use Test::More;

our @EXPORT = qw(
  sysv is_server
  numbered number_of same_file temp_dir
  passer passers raw_pair raw_state raw_recv_number
  wait_for nested_wait_for ticks warm_up calls_per_pause
  open_fds is_open fill_table
  in_child child_ok child_verdict
  send_message can_send_messages patiently
  send_says recv_says
);

# Seconds; nothing that works comes near it.
my $DEADLINE = $ENV{FDPASSER_TEST_DEADLINE} || 60;

sub import {
    my ($class, %option) = @_;
    limit($option{limit}) if $option{limit};
    my $caller = caller;
    no strict 'refs';
    *{"${caller}::$_"} = \&$_ for @EXPORT;
}

# There is no setrlimit in core Perl, but in every shell.
sub limit {
    my ($limit) = @_;
    return if POSIX::sysconf(POSIX::_SC_OPEN_MAX()) == $limit;
    if ($ENV{FDPASSER_TEST_LIMIT}) {
        plan skip_all => "cannot have a limit of $limit descriptors: the hard limit is " . `sh -c 'ulimit -Hn'`;
    }
    local $ENV{FDPASSER_TEST_LIMIT} = $limit;
    local $ENV{PERL5LIB}            = join ':', grep { !ref } @INC;
    exec 'sh', '-c', 'ulimit -S -n "$0" 2>/dev/null; exec "$@"', $limit, $^X, ($^W ? '-w' : ()), $0
      or die "exec: $!";
}

# The SysV interface? Then the passers are STREAMS, and what is about sockets does not hold.
sub sysv { return AnyEvent::FDpasser::fdpasser_mode() == 2 }

# Is there what a server leaves at its path?
sub is_server { return sysv() ? -p $_[0] : -S $_[0] }

# --- handles that can be told apart -------------------------------------------------------------

# A handle on one and the same temporary file, whose offset is the number. An offset belongs to what
# is passed, so every copy of the descriptor shows it, as often as one likes.
my ($NUMBERS, $NUMBERS_PATH);

sub numbered {
    my ($number) = @_;
    ($NUMBERS, $NUMBERS_PATH) = File::Temp::tempfile(UNLINK => 1) if !$NUMBERS;
    open my $fh, '<', $NUMBERS_PATH or die "$NUMBERS_PATH: $!";
    defined sysseek $fh, $number, SEEK_SET or die "seek: $!";
    return $fh;
}

# POSIX::fstat duplicates the descriptor, which needs a free slot: with a handle, do without.
sub fstat {
    my ($fh) = @_;
    return ref $fh ? stat $fh : POSIX::fstat($fh);
}

# The number of a handle or descriptor; or what it is instead.
sub number_of {
    my ($fh) = @_;
    return 'undef' if !defined $fh;
    my ($dev, $ino) = fstat($fh) or return "no descriptor: $!";
    my ($dev0, $ino0) = $NUMBERS ? stat $NUMBERS : (-1, -1);
    return "not one of ours: $dev:$ino" if $dev != $dev0 || $ino != $ino0;
    return POSIX::lseek(ref $fh ? fileno $fh : $fh, 0, SEEK_CUR) + 0;
}

sub same_file {
    my ($x, $y) = map { join ':', (fstat($_))[ 0, 1, 6 ] } @_;
    return $x eq $y;
}

sub temp_dir { return File::Temp::tempdir(CLEANUP => 1) }

# --- passers ------------------------------------------------------------------------------------

# A passer of which no error is expected, unless an array is given to put what on_error saw.
sub passer {
    my ($fh, $errors, @arg) = @_;
    return AnyEvent::FDpasser->new(
        fh       => $fh,
        on_error => sub {
            my $error = $@;
            return push @$errors, $error if $errors;
            fail 'on_error was called: ' . (defined $error ? $error : 'orderly shutdown');
        },
        @arg
    );
}

# Two that are connected.
sub passers {
    my (@errors) = @_;
    my ($x, $y) = AnyEvent::FDpasser::fdpasser_socketpair();
    return (passer($x, $errors[0]), passer($y, $errors[1]));
}

# One passer, and the other end for use with numbers, non-blocking.
sub raw_pair {
    my ($errors) = @_;
    my ($x, $y) = AnyEvent::FDpasser::fdpasser_socketpair();
    AnyEvent::Util::fh_nonblocking($y, 1);
    return (passer($x, $errors), $y);
}

# What an end has for its reader: 'nothing', 'end of file', or what it was.
sub raw_state {
    my ($fh) = @_;
    my $fd = AnyEvent::FDpasser::recv_fd(fileno $fh);
    return 'end of file' if $fd == 0;
    return $! == EAGAIN ? 'nothing' : "error: $!" if $fd < 0;
    my $number = number_of($fd);
    POSIX::close($fd);
    return $number;
}

# Waits, without an event loop, for the next number.
sub raw_recv_number {
    my ($fh) = @_;
    vec(my $in = '', fileno $fh, 1) = 1;
    select my $ready = $in, undef, undef, $DEADLINE or die 'nothing came';
    return raw_state($fh);
}

# What the module's _send and _recv return when the system refuses; for tests that make it do so.
sub send_says { $! = shift; return -1 }
sub recv_says { return -shift }

# --- the event loop -----------------------------------------------------------------------------

# Runs the event loop until the condition holds; dies if it never does.
sub wait_for (&;$) {
    my ($condition, $what) = @_;
    $what = 'the condition' if !defined $what;
    my $cv    = AE::cv();
    my $end   = AE::timer($DEADLINE, 0, sub { $cv->send("waited in vain for $what") });
    my $check = AE::timer(0, 0.002, sub { $cv->send('') if $condition->() });
    my $wrong = $cv->recv;
    undef $condition;    # IO::Async's adaptor never lets go of $check's code
    return 1 if $wrong eq '';
    require Carp;
    Carp::croak($wrong);
}

# The same from within a callback.
sub nested_wait_for (&;$) {
    my ($condition, $what) = @_;
    my $over  = 0;
    my $end   = AE::timer($DEADLINE, 0, sub { $over = 1 });
    my $check = AE::timer(0.002, 0.002, sub { });
    AnyEvent->_poll until $condition->() || $over;
    die "waited in vain for $what" if $over;
    return 1;
}

# Runs the event loop for so many ticks of 10 ms: time for something to happen that should not.
sub ticks {
    my ($n) = @_;
    my $cv = AE::cv();
    my $tick = AE::timer(0.01, 0.01, sub { $cv->send if --$n <= 0 });
    $cv->recv;
}

# Runs the loop for a while in which nothing can be done. Returns how often the counter went up for
# each 50 ms, which is how long a pause is: about 1 if it keeps the pauses, many if it spins.
sub calls_per_pause {
    my ($count) = @_;
    my $calls = -$$count;
    my $start = AE::time();
    ticks(30);
    return ($calls + $$count) / ((AE::time() - $start) / 0.05);
}

# All that the loop opens and loads at its first use is there afterwards.
sub warm_up {
    my ($x, $y) = passers();
    my $got;
    $x->push_send_fh(numbered(1));
    $y->push_recv_fh(sub { $got = shift });
    wait_for { $got };
    ticks(1);
}

# --- descriptors --------------------------------------------------------------------------------

sub open_fds {
    my ($dir) = grep { -d } '/proc/self/fd', '/dev/fd';
    opendir my $dh, $dir or die "$dir: $!";
    return -1 + grep { /^\d+$/ } readdir $dh;
}

sub is_open { return POSIX::lseek($_[0], 0, SEEK_CUR) >= 0 || $! != EBADF ? 1 : 0 }

# Takes all that is left.
sub fill_table {
    my @fh;
    while (open my $fh, '<', '/dev/null') { push @fh, $fh }
    die "/dev/null: $!" if !$!{EMFILE};
    return \@fh;
}

# --- processes ----------------------------------------------------------------------------------

# Runs the code in a child. It says itself whether the code returned true: an event loop may have
# reaped it before anybody here can ask for its status.
sub in_child (&) {
    my ($code) = @_;
    pipe my $verdict, my $say or die "pipe: $!";
    defined(my $pid = fork) or die "fork: $!";
    return { pid => $pid, verdict => $verdict } if $pid;
    close $verdict;
    alarm 2 * $DEADLINE;
    my $good = eval { $code->() };
    my $died = $@;
    syswrite STDERR, "child: $died" if $died;
    syswrite $say, $good ? 'good' : 'bad';
    POSIX::_exit($good ? 0 : 1);
}

sub child_verdict {
    my ($child) = @_;
    my $verdict = readline $child->{verdict};
    waitpid $child->{pid}, 0;
    return defined $verdict ? $verdict : 'died';
}

sub child_ok {
    my ($child, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is child_verdict($child), 'good', $name;
}

# --- sending without a passer -------------------------------------------------------------------

# Until it succeeds. Other tests of the same user may have too many descriptors in flight for us.
sub patiently (&) {
    my ($send) = @_;
    my $end = time + $DEADLINE;
    until ($send->()) {
        # The simulation of STREAMS takes it for a shortage of memory.
        die "sending: $!" if !$!{ETOOMANYREFS} && !(sysv() && ($!{ENOBUFS} || $!{EAGAIN})) || time > $end;
        select undef, undef, undef, 0.05;
    }
}

# --- a peer that sends what it likes --------------------------------------------------------------

my $PYTHON = <<'PY';
import array, socket, sys
s = socket.socket(fileno=int(sys.argv[1]))
fds = array.array('i', map(int, sys.argv[3:]))
s.sendmsg([bytes.fromhex(sys.argv[2])], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)] if fds else [])
PY

# undef, or why not.
my $BY;
sub can_send_messages {
    return if sysv();
    $BY ||= eval { require Socket::MsgHdr } ? 'MsgHdr' : `python3 -c 'print(1)' 2>/dev/null` ? 'python' : 'none';
    return $BY eq 'none' ? 'neither Socket::MsgHdr nor python3 is installed' : undef;
}

my $I_SENDFD = ord('S') << 8 | 021;    # streamio(7I)

# One message of these bytes with these descriptors (handles) attached. A message of STREAMS carries one:
# there they are as many messages, each after these bytes.
sub send_message {
    my ($fh, $bytes, @attached) = @_;
    if (sysv()) {
        for my $handle (@attached) {
            syswrite $fh, $bytes or die "write: $!";
            patiently { ioctl $fh, $I_SENDFD, fileno $handle };
        }
        return;
    }
    my $none = can_send_messages();
    die $none if defined $none;
    my @fd = map { fileno $_ } @attached;
    if ($BY eq 'MsgHdr') {
        my $message = Socket::MsgHdr->new(buf => $bytes);
        $message->cmsghdr(SOL_SOCKET, SCM_RIGHTS, pack 'i*', @fd) if @fd;
        patiently { defined Socket::MsgHdr::sendmsg($fh, $message, 0) };
        return;
    }
    my $child = in_child {
        fcntl $_, F_SETFD, 0 for $fh, @attached;
        system('python3', '-c', $PYTHON, fileno $fh, unpack('H*', $bytes), @fd) == 0;
    };
    die 'python3 failed' if child_verdict($child) ne 'good';
}

1;

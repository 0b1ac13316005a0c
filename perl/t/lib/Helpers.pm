# SPDX-License-Identifier: MIT OR Apache-2.0
package Helpers;

# What the test files share. `use Helpers;` imports all of it. `use Helpers limit => 64;` also runs the file with
# a limit of that many descriptors (ulimit -n). It skips the file if that limit cannot be set.

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
  wait_for nested_wait_for ticks pass_over warm_up calls_per_pause
  open_fds is_open fill_table
  in_child child_ok child_verdict
  peer_sends send_message can_send_messages patiently
  stand_in refuse signal_during
  entries at_end
);

# In seconds. It is far more than any test needs.
my $DEADLINE = $ENV{FDPASSER_TEST_DEADLINE} || 60;

sub import {
    my ($class, %option) = @_;
    limit($option{limit}) if $option{limit};
    my $caller = caller;
    no strict 'refs';
    *{"${caller}::$_"} = \&$_ for @EXPORT;
}

# Core Perl has no setrlimit, but every shell has ulimit.
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

# Whether the library uses the SysV interface. Then passers are STREAMS, and tests about sockets do not apply.
sub sysv { return AnyEvent::FDpasser::fdpasser_mode() == 2 }

# Whether a server's node is at the path.
sub is_server { return sysv() ? -p $_[0] : -S $_[0] }

# --- handles that can be told apart -------------------------------------------------------------

# Opens the one temporary file of this test, and moves the file offset to the number. The offset belongs to the open
# file, so every copy of the descriptor shows the number.
my ($NUMBERS, $NUMBERS_PATH);

sub numbered {
    my ($number) = @_;
    ($NUMBERS, $NUMBERS_PATH) = File::Temp::tempfile(UNLINK => 1) if !$NUMBERS;
    open my $fh, '<', $NUMBERS_PATH or die "$NUMBERS_PATH: $!";
    defined sysseek $fh, $number, SEEK_SET or die "seek: $!";
    return $fh;
}

# POSIX::fstat duplicates the descriptor, which needs a free slot. `stat` on a handle needs none.
sub fstat {
    my ($fh) = @_;
    return ref $fh ? stat $fh : POSIX::fstat($fh);
}

# The number of a handle or descriptor. If it is none of ours: a text that says what it is.
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

# What is in a directory.
sub entries {
    my ($dir) = @_;
    opendir my $dh, $dir or die "$dir: $!";
    return [ sort grep { !/^\.\.?$/ } readdir $dh ];
}

# --- passers ------------------------------------------------------------------------------------

# Makes a passer. on_error adds its reason to the array. Without an array, an error fails the test.
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

# Makes two passers that are connected to each other.
sub passers {
    my (@errors) = @_;
    my ($x, $y) = AnyEvent::FDpasser::fdpasser_socketpair();
    return (passer($x, $errors[0]), passer($y, $errors[1]));
}

# Makes a passer, and returns it with the other end: a non-blocking handle for send_fd and recv_fd.
sub raw_pair {
    my ($errors) = @_;
    my ($x, $y) = AnyEvent::FDpasser::fdpasser_socketpair();
    AnyEvent::Util::fh_nonblocking($y, 1);
    return (passer($x, $errors), $y);
}

# Receives from a handle without a passer. Returns the number, 'nothing', 'end of file', or a text.
sub raw_state {
    my ($fh) = @_;
    my $fd = AnyEvent::FDpasser::recv_fd(fileno $fh);
    return 'end of file' if $fd == 0;
    return $! == EAGAIN ? 'nothing' : "error: $!" if $fd < 0;
    my $number = number_of($fd);
    POSIX::close($fd);
    return $number;
}

# Waits for the next number, without an event loop.
sub raw_recv_number {
    my ($fh) = @_;
    vec(my $in = '', fileno $fh, 1) = 1;
    select my $ready = $in, undef, undef, $DEADLINE or die 'nothing came';
    return raw_state($fh);
}

# --- a system that refuses ------------------------------------------------------------------------

# Puts the code in the place of the module's own function that sends ('send') or receives ('recv'), until the
# returned guard is dropped. The code gets the real function as its argument. It returns `$real->()` to go on, or
# `refuse($errno)`, which is what the module sees when the system refuses.
sub stand_in {
    my ($dir, $code) = @_;
    my $name = "AnyEvent::FDpasser::_${dir}_some";
    no strict 'refs';
    no warnings 'redefine';
    my $real = \&$name;
    *$name = sub { my @arg = @_; return $code->(sub { return $real->(@arg) }) };
    return at_end(sub { no strict 'refs'; no warnings 'redefine'; *$name = $real });
}

sub refuse {
    my ($errno) = @_;
    return -$errno;
}

# Until the returned guard is dropped, SIGUSR1 is pending whenever one of the module's own functions in C runs: its handler
# waits for the next statement. (kill itself runs the handler, unless the signal is blocked.)
sub signal_during {
    my ($function) = @_;
    my $name = "AnyEvent::FDpasser::$function";
    my $usr1 = POSIX::SigSet->new(POSIX::SIGUSR1());
    no strict 'refs';
    no warnings 'redefine';
    my $real = \&$name;
    *$name = sub {
        POSIX::sigprocmask(POSIX::SIG_BLOCK(), $usr1);
        kill USR1 => $$;
        return (POSIX::sigprocmask(POSIX::SIG_UNBLOCK(), $usr1)) x 0, $real->(@_);
    };
    return at_end(sub { no strict 'refs'; no warnings 'redefine'; *$name = $real });
}

# A guard: the code runs when the last reference to it goes.
sub at_end {
    my ($code) = @_;
    return bless { code => $code }, 'Helpers::Guard';
}
sub Helpers::Guard::DESTROY { my ($self) = @_; return $self->{code}->() }

# --- the event loop -----------------------------------------------------------------------------

# Runs the event loop until the condition holds. Dies if it never does.
sub wait_for (&;$) {
    my ($condition, $what) = @_;
    $what = 'the condition' if !defined $what;
    my $cv    = AE::cv();
    my $end   = AE::timer($DEADLINE, 0, sub { $cv->send("waited in vain for $what") });
    my $check = AE::timer(0, 0.002, sub { $cv->send('') if $condition->() });
    my $wrong = $cv->recv;
    undef $condition;    # AnyEvent's adaptor for IO::Async never frees the code of $check
    return 1 if $wrong eq '';
    require Carp;
    Carp::croak($wrong);
}

# The same, for use in a callback.
sub nested_wait_for (&;$) {
    my ($condition, $what) = @_;
    my $over  = 0;
    my $end   = AE::timer($DEADLINE, 0, sub { $over = 1 });
    my $check = AE::timer(0.002, 0.002, sub { });
    AnyEvent->_poll until $condition->() || $over;
    die "waited in vain for $what" if $over;
    return 1;
}

# Runs the event loop for that many ticks of 10 ms. It gives a fault the time to show.
sub ticks {
    my ($n) = @_;
    my $cv = AE::cv();
    my $tick = AE::timer(0.01, 0.01, sub { $cv->send if --$n <= 0 });
    $cv->recv;
}

# Runs the loop for a while. Returns how often the counter went up in each 50 ms, which is the length of a pause.
# The result is about 1 if the module pauses, and large if it spins.
sub calls_per_pause {
    my ($count) = @_;
    my $calls = -$$count;
    my $start = AE::time();
    ticks(30);
    return ($calls + $$count) / ((AE::time() - $start) / 0.05);
}

# Sends a handle from one passer to the other, and returns what arrives.
sub pass_over {
    my ($x, $y, $handle) = @_;
    my $got;
    $x->push_send_fh($handle);
    $y->push_recv_fh(sub { $got = shift });
    wait_for { $got };
    return $got;
}

# Uses the loop once, so that it opens and loads what it needs.
sub warm_up {
    pass_over(passers(), numbered(1));
    ticks(1);
}

# --- descriptors --------------------------------------------------------------------------------

sub open_fds {
    my ($dir) = grep { -d } '/proc/self/fd', '/dev/fd';
    opendir my $dh, $dir or die "$dir: $!";
    return -1 + grep { /^\d+$/ } readdir $dh;
}

sub is_open { return POSIX::lseek($_[0], 0, SEEK_CUR) >= 0 || $! != EBADF ? 1 : 0 }

# Opens handles until the descriptor table is full, and returns them.
sub fill_table {
    my @fh;
    while (open my $fh, '<', '/dev/null') { push @fh, $fh }
    die "/dev/null: $!" if !$!{EMFILE};
    return \@fh;
}

# --- processes ----------------------------------------------------------------------------------

# Runs the code in a child process. The child reports through a pipe whether the code returned true: an event loop
# may reap the child, and then its exit status is gone.
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

# Calls the code until it succeeds. Tests of the same user that run at the same time may have too many descriptors
# in flight.
sub patiently (&) {
    my ($send) = @_;
    my $end = time + $DEADLINE;
    until ($send->()) {
        # The simulation of STREAMS reports this as a shortage of memory.
        die "sending: $!" if !$!{ETOOMANYREFS} && !(sysv() && ($!{ENOBUFS} || $!{EAGAIN})) || time > $end;
        select undef, undef, undef, 0.05;
    }
}

# Sends these numbers, one descriptor in each message.
sub peer_sends {
    my ($to, @numbers) = @_;
    for my $number (@numbers) {
        my $fh = numbered($number);
        patiently { AnyEvent::FDpasser::send_fd(fileno $to, fileno $fh) == 1 };
    }
}

# --- a peer that sends arbitrary messages -------------------------------------------------------------

my $PYTHON = <<'PY';
import array, socket, sys
s = socket.socket(fileno=int(sys.argv[1]))
fds = array.array('i', map(int, sys.argv[3:]))
s.sendmsg([bytes.fromhex(sys.argv[2])], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)] if fds else [])
PY

# Returns undef if send_message works here, else the reason why not.
my $BY;
sub can_send_messages {
    return if sysv();
    $BY ||= eval { require Socket::MsgHdr } ? 'MsgHdr' : `python3 -c 'print(1)' 2>/dev/null` ? 'python' : 'none';
    return $BY eq 'none' ? 'neither Socket::MsgHdr nor python3 is installed' : undef;
}

my $I_SENDFD = ord('S') << 8 | 021;    # streamio(7I)

# Sends one message of these bytes with these handles attached. A message of STREAMS carries one descriptor. There it
# sends one message for each handle, each after these bytes.
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

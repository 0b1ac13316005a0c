# SPDX-License-Identifier: MIT OR Apache-2.0
# A signal handler that dies, at any moment: each descriptor arrives once, each callback runs at most once, and the
# passers go on.
use strict;
use warnings;
use lib 't/lib';
use Loops;

use Test::More;
use Helpers;
use Exceptions;
use Time::HiRes qw(setitimer ITIMER_REAL);

warm_up();
Exceptions::collect();

# AnyEvent's adaptor for Glib removes this test's own timers twice if a signal handler dies in them. Event warns if a
# signal handler dies in $Event::DIED.
$SIG{__WARN__} = sub { warn @_ if $_[0] !~ m{^GLib-CRITICAL.*AnyEvent/Impl/Glib|^Event: .* and then \$Event::DIED died} };

my $armed = 0;
$SIG{ALRM} = $SIG{USR1} = sub { die "signal\n" if $armed };

# Sends numbers from one passer to another, with up to so many in a message, while signals come. `$step` is called
# before each turn of the loop. `$data` says whether each has its number as data.
sub transfer_is_whole {
    my ($name, $total, $per_message, $step, $data) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my ($p, $q) = AnyEvent::FDpasser::fdpasser_socketpair();
    my ($x, $y) = (passer($p, undef, max_fds_per_message => $per_message), passer($q));
    my (%sent, %got);
    # A callback that is a few plain statements is not interrupted.
    for my $i (1 .. $total) {
        my $on_sent = sub { $sent{$i}++ };
        if ($data) {
            $x->push_send_message(numbered($i), "is $i", $on_sent);
            $y->push_recv_message(sub { $got{ substr $_[1], 3 }++ });
        }
        else {
            $x->push_send_fh(numbered($i), $on_sent);
            $y->push_recv_fh(sub { $got{ POSIX::lseek(fileno $_[0], 0, 1) + 0 }++ });
        }
    }
    my $died = 0;
    for (1 .. 100_000) {
        last if %sent == $total && %got == $total;
        # A signal handler may die in a timer's callback, and then it is lost on some loops.
        my $turn  = AE::cv();
        my @timer = map { AE::timer(0.002 * $_, 0.002, sub { $turn->send }) } 1 .. 5;
        $died++ if !eval { $armed = 1; $step->(); $turn->recv; $armed = 0; 1 };
        $armed = 0;
    }
    setitimer(ITIMER_REAL, 0);
    wait_for { %sent == $total && %got == $total } "$name: the passers go on";
    my @once = map { $_ => 1 } 1 .. $total;
    is_deeply [ \%sent, \%got ], [ {@once}, {@once} ], "$name: each send callback ran once, and each descriptor arrived once";
    $died += @Exceptions::died;
    @Exceptions::died = ();
    return $died;
}

# --- at a random moment
for ([ 1, 0 ], [ 16, 0 ], sysv() ? () : [ 1, 1 ]) {
    my ($per_message, $data) = @$_;
    my $died = 0;
    for (1 .. 50) {
        $died += transfer_is_whole("a timer, $per_message per message" . ($data ? ', data' : ''), 300, $per_message,
            sub { setitimer(ITIMER_REAL, 0.0001 + rand 0.0005) }, $data);
        last if $died > 20;
    }
    cmp_ok $died, '>', 0, "signal handlers died ($died)";
}

# --- at each of the module's own steps
for my $step (qw(_move _push _start _watch _later _io _stopped _send_some _recv_some)) {
    for my $nth (1 .. 5, 11 .. 15) {
        my $when = $nth > 10 ? 'after' : 'before';
        my $real = \&{"AnyEvent::FDpasser::$step"};
        my $n = 0;
        no strict 'refs';
        no warnings 'redefine';
        local *{"AnyEvent::FDpasser::$step"} = sub {
            $n++;
            kill USR1 => $$ if $nth == $n;
            my $result = $real->(@_);
            kill USR1 => $$ if $nth == $n + 10;
            return $result;
        };
        transfer_is_whole("a signal $when call " . $nth % 10 . " of $step", 20, 4, sub { });
        next if sysv() || $step !~ /_some$/;
        $n = 0;
        transfer_is_whole("a signal $when call " . $nth % 10 . " of $step, data", 20, 4, sub { }, 1);
    }
}

# --- when an error is reported
for my $nth (1 .. 6) {
    my $errors = [];
    my ($x, $y) = raw_pair($errors);
    my $n = 0;
    my @steps = map {
        my $dir = $_;
        stand_in($dir => sub { my ($real) = @_; kill USR1 => $$ if ++$n == $nth; return $real->() })
    } qw(send recv);
    peer_sends($y, 1);
    my $got = 0;
    $x->push_send_fh(numbered(1)) for 1 .. 3;
    $x->push_recv_fh(sub { $got++ }) for 1 .. 3;
    close $y;
    $armed = 1;
    for (1 .. 1000) {
        last if @$errors;
        my @timer;
        eval { my $turn = AE::cv(); @timer = map { AE::timer(0.002 * $_, 0.002, sub { $turn->send }) } 1 .. 5; $turn->recv };
    }
    $armed = 0;
    is scalar @$errors, 1, "on_error runs once, with a signal at step $nth";
    is $got, 1, 'what had arrived was delivered';
    @Exceptions::died = ();
}

# --- while fdpasser_connect_cb connects
SKIP: {
    skip 'a SysV listener has no backlog', 4 if sysv();
    my $path     = temp_dir() . '/socket';
    my $listener = AnyEvent::FDpasser::fdpasser_server($path, 1);
    my @clients;
    while (my $fh = AnyEvent::FDpasser::_connect_now($path)) { push @clients, $fh }
    my $before = open_fds();
    my @got;
    AnyEvent::FDpasser::fdpasser_connect_cb($path, sub { push @got, [@_] });
    {
        my $signal = signal_during('_connect_now');
        $armed = 1;
        through { @Exceptions::died > 3 || @got } 'some attempts';
        @clients = map { AnyEvent::FDpasser::fdpasser_accept($listener) } @clients;
        through { @got } 'the connection';
        $armed = 0;
    }
    is scalar @got, 1, 'the callback ran once';
    ok $got[0][0], 'with a handle';
    @got = ();
    is open_fds(), $before, 'no descriptor is leaked';
    cmp_ok scalar @Exceptions::died, '>', 3, 'the signal handlers died';
    @Exceptions::died = ();
}

done_testing;

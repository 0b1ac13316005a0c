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

# Glib removes the source of a callback that dies, before any code of the module runs.
plan skip_all => 'Glib drops a watcher when a signal handler dies in it' if $ENV{PERL_ANYEVENT_MODEL} eq 'Glib';

warm_up();
Exceptions::collect();

my $armed = 0;
$SIG{ALRM} = $SIG{USR1} = sub { die "signal\n" if $armed };

# Sends numbers from one passer to another, with up to so many in a message, while signals come. `$step` is called
# before each turn of the loop.
sub transfer_is_whole {
    my ($name, $total, $per_message, $step) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my ($p, $q) = AnyEvent::FDpasser::fdpasser_socketpair();
    my ($x, $y) = (passer($p, undef, max_fds_per_message => $per_message), passer($q));
    my (%sent, %got);
    # A callback that is a few plain statements is not interrupted.
    for my $i (1 .. $total) {
        $x->push_send_fh(numbered($i), sub { $sent{$i}++ });
        $y->push_recv_fh(sub { $got{ POSIX::lseek(fileno $_[0], 0, 1) + 0 }++ });
    }
    my $died = 0;
    for (1 .. 100_000) {
        last if %sent == $total && %got == $total;
        my $turn = AE::cv();
        my $timer = AE::timer(0.002, 0.002, sub { $turn->send });    # a signal handler may die in it
        $died++ if !eval { $armed = 1; $step->(); $turn->recv; 1 };
        $armed = 0;
    }
    setitimer(ITIMER_REAL, 0);
    wait_for { %sent == $total && %got == $total } "$name: the passers go on";
    is_deeply [ grep { $sent{$_} != 1 } keys %sent ], [], "$name: each send callback ran once";
    is_deeply [ sort { $a <=> $b } keys %got ], [ 1 .. $total ], "$name: each descriptor arrived";
    is_deeply [ grep { $got{$_} != 1 } keys %got ], [], "$name: and arrived once";
    $died += @Exceptions::died;
    @Exceptions::died = ();
    return $died;
}

# --- at a random moment
for my $per_message (1, 16) {
    my $died = transfer_is_whole("a timer, $per_message per message", 300, $per_message,
        sub { setitimer(ITIMER_REAL, 0.0001 + rand 0.0005) });
    cmp_ok $died, '>', 0, "signal handlers died ($died)";
}

# --- at each of the module's own steps
for my $step (qw(_move _settle _watch _later _io _stopped _several_in_hand _send_some _recv_some)) {
    for my $when ('before', 'after') {
        my $real = \&{"AnyEvent::FDpasser::$step"};
        my $n = 0;
        no strict 'refs';
        no warnings 'redefine';
        local *{"AnyEvent::FDpasser::$step"} = sub {
            kill USR1 => $$ if $when eq 'before' && ++$n % 3 == 0;
            my $result = $real->(@_);
            kill USR1 => $$ if $when eq 'after' && ++$n % 3 == 0;
            return $result;
        };
        transfer_is_whole("$when $step", 40, 4, sub { });
    }
}

done_testing;

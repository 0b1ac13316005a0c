# SPDX-License-Identifier: MIT OR Apache-2.0
# A push from any kind of callback is served, also if nothing else happens in the loop: no timer, and no event of another
# watcher, that could hide a passer without a watcher.
use strict;
use warnings;
use lib 't/lib';
use Loops;

use Test::More;
use Helpers;

$SIG{ALRM} = sub { print "Bail out! the loop waits for nothing\n"; POSIX::_exit(1) };
my $handle = numbered(1);

# Each calls the code once, from a callback of its kind. What it returns is kept until the transfer is over.
my %from = (
    'the program'             => sub { $_[0]->(); return },
    'a timer'                 => sub { my ($code) = @_; return AE::timer(0, 0, $code) },
    'a condition variable'    => sub { my ($code) = @_; my $cv = AE::cv(); $cv->cb(sub { $code->() }); $cv->send; return },
    'postpone'                => sub { my ($code) = @_; AE::postpone(sub { $code->() }); return },
    'a watcher'               => sub {
        my ($code) = @_;
        pipe my $r, my $w or die "pipe: $!";
        syswrite $w, 'x';
        my $watcher;
        $watcher = AE::io($r, 0, sub { undef $watcher; $code->() });
        return ($r, $w);
    },
    'a callback that sends'   => sub { my ($code) = @_; my @pair = passers(); $pair[0]->push_send_fh($handle, $code); return @pair },
    'a callback that receives' => sub {
        my ($code) = @_;
        my @pair = passers();
        $pair[0]->push_send_fh($handle);
        $pair[1]->push_recv_fh(sub { $code->() });
        return @pair;
    },
    'on_error' => sub {
        my ($code) = @_;
        my ($x, $y) = AnyEvent::FDpasser::fdpasser_socketpair();
        my $passer = AnyEvent::FDpasser->new(fh => $x, on_error => $code);
        $passer->push_recv_fh(sub { });
        close $y;
        return;
    },
);
if ($ENV{PERL_ANYEVENT_MODEL} eq 'EV') {
    for my $kind (qw(prepare check idle)) {
        $from{"EV::$kind"} = sub {
            my ($code) = @_;
            my $watcher;
            $watcher = EV->can($kind)->(sub { undef $watcher; $code->() });
            return $kind eq 'check' ? EV::timer(0, 0, sub { }) : ();    # it is called after waiting
        };
    }
}

for my $name (sort keys %from) {
    for my $first (qw(send receive)) {
        my $done = AE::cv();
        my ($x, $y) = passers();
        my $push = sub {
            $done->begin for 1 .. 2;
            my @push = (sub { $x->push_send_fh($handle, sub { $done->end }) }, sub { $y->push_recv_fh(sub { $done->end }) });
            $_->() for $first eq 'send' ? @push : reverse @push;
        };
        # Twice: the second time each passer has been used.
        for (1 .. 2) {
            $done->begin;
            alarm 60;
            my @kept = $from{$name}->(sub { $push->(); $done->end });
            $done->recv;
            alarm 0;
            pass "from $name, $first first";
            $done = AE::cv();
        }
    }
}

# Passers that each begin in the send callback of the one before.
{
    my $done = AE::cv();
    my ($left, $received, $next) = (20, 0);
    my @kept;
    $next = sub {
        return $done->send if !$left--;
        my ($x, $y) = passers();
        push @kept, $y;
        $x->push_send_fh($handle, $next);
    };
    $next->();
    alarm 60;
    $done->recv;
    alarm 0;
    undef $next;
    pass 'a chain of passers';
}
done_testing;

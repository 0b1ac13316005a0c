# SPDX-License-Identifier: MIT OR Apache-2.0
# Descriptors are passed in both directions, in order, and only by the event loop.
use strict;
use warnings;
use lib 't/lib';
use Loops;

use Test::More;
use Helpers;

# --- one
{
    my ($x, $y) = passers();
    my (@sent, @got);
    $x->push_send_fh(numbered(42), sub { push @sent, [@_] });
    $y->push_recv_fh(sub { push @got, [@_] });
    wait_for { @sent && @got };
    is_deeply \@sent, [ [] ], 'the send callback gets no arguments';
    is scalar @{ $got[0] }, 1, 'the receive callback gets one argument';
    is number_of($got[0][0]), 42, 'the descriptor arrived';
    ticks(2);
    is_deeply [ scalar @sent, scalar @got ], [ 1, 1 ], 'each callback runs once';
}

# --- nothing inside a push
{
    my ($x, $y) = raw_pair();
    my @events;
    peer_sends($y, 1, 1);
    my @returned = (
        $x->push_recv_fh(sub { push @events, 'received' }),
        $x->push_send_fh(numbered(2), sub { push @events, 'sent' }),
        $x->push_recv_fh(sub { push @events, 'received' }),
        $x->push_send_fh(numbered(3), sub { push @events, 'sent' }),
    );
    is_deeply \@events, [], 'no callback runs inside a push';
    is raw_state($y), 'nothing', 'nothing is sent inside a push';
    is_deeply [ grep { defined } @returned ], [], 'a push returns nothing';
    wait_for { @events == 4 };
    is_deeply [ sort @events ], [qw(received received sent sent)], 'the loop does it all';
    is raw_state($y), 2, 'the first handle is sent';
    is raw_state($y), 3, 'the second handle is sent';
}
{
    my @errors;
    my ($x, $y) = raw_pair(\@errors);
    close $y;
    $x->push_recv_fh(sub { });
    $x->push_send_fh(numbered(1));
    is_deeply \@errors, [], 'no error is reported inside a push, although the peer is gone';
    wait_for { @errors };
}
{
    my @errors;
    my ($x, $y) = raw_pair(\@errors);
    $x->push_send_fh(undef);
    is_deeply \@errors, [], 'no error is reported inside a push of undef';
    wait_for { @errors };
}

# --- order: both directions at once, pushes in any order
{
    my ($x, $y) = passers();
    my (@x, @y, @sent);
    my $n = 0;
    for my $round (1 .. 20) {
        $x->push_recv_fh(sub { push @x, number_of($_[0]) }) for 1 .. $round % 4;
        for (1 .. $round % 3) {
            my $i = ++$n;
            $x->push_send_fh(numbered($i), sub { push @sent, $i });
            $y->push_send_fh(numbered(100 + $i));
        }
        $y->push_recv_fh(sub { push @y, number_of($_[0]) }) for 1 .. $round % 5;
        ticks(1) if $round % 7 == 0;
    }
    wait_for { @x == $n && @y == $n } 'both directions';
    is_deeply \@y, [ 1 .. $n ], 'one direction is in order';
    is_deeply \@x, [ 101 .. 100 + $n ], 'the other direction is in order';
    is_deeply \@sent, [ 1 .. $n ], 'the send callbacks run in order';
}

# --- more descriptors than a socket, a table or one event's share holds
{
    my ($x, $y) = passers();
    my $total = 3000;
    my ($sent, @got) = (0);
    my ($send, $receive);
    $send = sub {
        for (1 .. 50) {
            my $i = $sent++;
            $x->push_send_fh(numbered($i), $i % 50 == 49 && $i < $total - 1 ? $send : ());
        }
    };
    $receive = sub {
        push @got, number_of($_[0]);
        $y->push_recv_fh($receive) if @got < $total;
    };
    $send->();
    $y->push_recv_fh($receive);
    wait_for { @got >= $total } "$total descriptors";
    is_deeply \@got, [ 0 .. $total - 1 ], "$total descriptors in order";
    undef $send;
    undef $receive;
}

# --- several passers at once
{
    my @pair = map { [ passers() ] } 1 .. 30;
    my %got;
    for my $i (0 .. $#pair) {
        $pair[$i][1]->push_recv_fh(sub { push @{ $got{$i} }, number_of($_[0]) }) for 1 .. 3;
        $pair[$i][0]->push_send_fh(numbered(10 * $i + $_)) for 1 .. 3;
    }
    wait_for { 90 == map { @$_ } values %got } '30 passers';
    is_deeply \%got, { map { my $i = $_; ($i => [ map { 10 * $i + $_ } 1 .. 3 ]) } 0 .. $#pair }, 'each of 30 passers gets its own descriptors';
}

done_testing;

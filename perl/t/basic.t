# Descriptors pass, both ways, in order; from the event loop only.
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
    is_deeply \@sent, [ [] ], 'the send callback has no arguments';
    is scalar @{ $got[0] }, 1, 'the receive callback has one';
    is number_of($got[0][0]), 42, 'the descriptor arrived';
    ticks(2);
    is_deeply [ scalar @sent, scalar @got ], [ 1, 1 ], 'each is called once';
}

# --- nothing inside a push
{
    my ($x, $y) = raw_pair();
    my @events;
    AnyEvent::FDpasser::send_fd(fileno $y, fileno numbered(1)) for 1 .. 2;
    my @returned = (
        $x->push_recv_fh(sub { push @events, 'received' }),
        $x->push_send_fh(numbered(2), sub { push @events, 'sent' }),
        $x->push_recv_fh(sub { push @events, 'received' }),
        $x->push_send_fh(numbered(3), sub { push @events, 'sent' }),
    );
    is_deeply \@events, [], 'no callback inside a push';
    is raw_state($y), 'nothing', 'and nothing is sent';
    is_deeply [ grep { defined } @returned ], [], 'pushes return nothing of use';
    wait_for { @events == 4 };
    is_deeply [ sort @events ], [qw(received received sent sent)], 'all happens in the loop';
    is raw_state($y), 2, 'the first';
    is raw_state($y), 3, 'the second';
}
{
    my @errors;
    my ($x, $y) = raw_pair(\@errors);
    close $y;
    $x->push_recv_fh(sub { });
    $x->push_send_fh(numbered(1));
    is_deeply \@errors, [], 'no error inside a push, though the peer is gone';
    wait_for { @errors };
}
{
    my @errors;
    my ($x, $y) = raw_pair(\@errors);
    $x->push_send_fh(undef);
    is_deeply \@errors, [], 'nor with a handle that is none';
    wait_for { @errors };
}

# --- order, both directions at once, pushes in any order and from callbacks
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
    is_deeply \@y, [ 1 .. $n ], 'one way';
    is_deeply \@x, [ 101 .. 100 + $n ], 'the other';
    is_deeply \@sent, [ 1 .. $n ], 'the send callbacks';
}

# --- more than a socket, a table or one event's share holds
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
    is_deeply \%got, { map { my $i = $_; ($i => [ map { 10 * $i + $_ } 1 .. 3 ]) } 0 .. $#pair }, '30 passers, each its own';
}

done_testing;

# SPDX-License-Identifier: MIT OR Apache-2.0
# Several descriptors of one message are handed out one by one. The surplus waits.
use strict;
use warnings;
use lib 't/lib';
use Loops;

use Test::More;
use Helpers;

plan skip_all => 'a message of STREAMS carries one descriptor' if sysv();
my $none = can_send_messages();
plan skip_all => $none if defined $none;
warm_up();

for my $n (2, 3, 16, 253) {
    my ($x, $y) = raw_pair();
    my @got;
    send_message($y, "\0", map { numbered($_) } 1 .. $n);
    $x->push_recv_fh(sub { push @got, number_of($_[0]) }) for 1 .. $n;
    wait_for { @got >= $n };
    is_deeply \@got, [ 1 .. $n ], "$n descriptors of one message are handed out in order";
}
{
    my ($x, $y) = raw_pair();
    my (@got, @batch);
    for my $n (3, 1, 16, 1, 2) {
        send_message($y, "\0", map { numbered(@batch + $_) } 1 .. $n);
        push @batch, (1) x $n;
    }
    for my $i (1 .. @batch) {
        $x->push_recv_fh(sub { push @got, number_of($_[0]) });
        wait_for { @got == $i } "number $i" if $i % 2;
    }
    wait_for { @got == @batch };
    is_deeply \@got, [ 1 .. @batch ], 'messages of all sizes arrive in order while callbacks are pushed little by little';
}
{
    my $before = open_fds();
    my ($x, $y) = raw_pair();
    my @got;
    send_message($y, "\0", map { numbered($_) } 1 .. 16);
    $x->push_recv_fh(sub { push @got, number_of($_[0]) });
    wait_for { @got };
    ticks(3);
    is_deeply \@got, [1], 'one callback gets one handle';
    is open_fds(), $before + 2 + 15, 'the surplus waits';
    $x->push_recv_fh(sub { push @got, number_of($_[0]) });
    is_deeply \@got, [1], 'no callback runs inside the push';
    wait_for { @got == 2 } 'the second, although the socket is not readable';
    is_deeply \@got, [ 1, 2 ], 'the next callback gets the next handle';
    undef $x;
    wait_for { raw_state($y) eq 'end of file' };
    is open_fds(), $before + 1, 'the surplus is closed with the passer';
}
{
    my $before = open_fds();
    my $errors = [];
    my ($x, $y) = raw_pair($errors);
    my @got;
    send_message($y, "\0", map { numbered($_) } 1 .. 4);
    $x->push_recv_fh(sub { push @got, number_of($_[0]) });
    wait_for { @got };
    close $y;
    ticks(2);
    is_deeply $errors, [], 'there is no error while no callback waits';
    $x->push_recv_fh(sub { push @got, number_of($_[0]) }) for 1 .. 4;
    wait_for { @$errors };
    is_deeply \@got, [ 1 .. 4 ], 'the end of file comes after the surplus';
    is_deeply $errors, [undef], 'the shutdown is orderly';
    ticks(1);
    is open_fds(), $before, 'nothing is left open';
}
{
    my $before = open_fds();
    my ($x, $y) = raw_pair([]);
    my $got = 0;
    send_message($y, "\0", map { numbered($_) } 1 .. 4);
    $x->push_recv_fh(sub { $got++ });
    wait_for { $got };
    $x->error('enough');
    ticks(2);
    is open_fds(), $before + 1, 'an error closes the surplus';
}
for my $when ('before', 'in the callback', 'later') {
    my ($x, $y) = raw_pair();
    my (@got, @log);
    my $rest = sub { $x->push_recv_fh(sub { push @got, number_of($_[0]) }) for 1 .. 3 };
    send_message($y, "\0", map { numbered($_) } 0 .. 4);
    if ($when eq 'later') {
        # The surplus is in the passer then, and the socket does not become readable for it.
        $x->push_recv_fh(sub { push @log, 'first' });
        wait_for { @log };
        @log = ();
    }
    else { $x->push_recv_fh(sub { }) }
    $x->push_recv_fh(sub {
        push @got, number_of($_[0]);
        $rest->() if $when eq 'in the callback';
        nested_wait_for { @got == 4 } 'the surplus';
        push @log, 'done';
    });
    $rest->() if $when ne 'in the callback';
    eval { wait_for { @log }; 1 } or diag $@;
    is_deeply \@got, [ 1 .. 4 ], "a callback runs the loop, which hands out the surplus (the others are pushed $when)";
}
{
    # A passer takes from the socket what it has callbacks for. Another process may want the rest.
    my ($p, $q) = AnyEvent::FDpasser::fdpasser_socketpair();
    open my $same, '<&', $p or die $!;
    my ($x, $y) = map { passer($_) } $p, $same;
    my @got;
    peer_sends($q, 1 .. 6);
    $x->push_recv_fh(sub { push @got, 'x' . number_of($_[0]) }) for 1 .. 2;
    wait_for { @got == 2 };
    $y->push_recv_fh(sub { push @got, 'y' . number_of($_[0]) }) for 1 .. 3;
    wait_for { @got == 5 };
    $x->push_recv_fh(sub { push @got, 'x' . number_of($_[0]) });
    wait_for { @got == 6 };
    is_deeply \@got, [qw(x1 x2 y3 y4 y5 x6)], 'each of two passers on one socket takes as many as it has callbacks';
}
done_testing;

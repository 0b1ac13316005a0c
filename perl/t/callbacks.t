# SPDX-License-Identifier: MIT OR Apache-2.0
# A callback may push, drop the passer, shut it down, fork, and run the event loop.
use strict;
use warnings;
use lib 't/lib';
use Loops;

use Test::More;
use Helpers;

{
    my ($x, $y) = passers();
    my @log;
    $y->push_recv_fh(sub {
        push @log, 'first';
        $y->push_recv_fh(sub { push @log, 'pushed by first: ' . number_of($_[0]) });
    });
    $y->push_recv_fh(sub { push @log, 'second: ' . number_of($_[0]) });
    $x->push_send_fh(numbered(1), sub { $x->push_send_fh(numbered(3)) });
    $x->push_send_fh(numbered(2));
    wait_for { @log == 3 };
    is_deeply \@log, [ 'first', 'second: 2', 'pushed by first: 3' ], 'what a callback pushes goes to the end of the queue';
}
{
    my ($x, $y) = passers();
    my @log;
    $y->push_recv_fh(sub { $y->push_send_fh($_[0]) });
    $x->push_recv_fh(sub { push @log, number_of($_[0]) });
    $x->push_send_fh(numbered(1));
    wait_for { @log };
    is_deeply \@log, [1], 'a callback can send back what it received';
}
for my $dir (qw(send recv)) {
    my ($x, $y) = passers();
    my $log = 0;
    my $end = $dir eq 'send' ? $x : $y;
    $x->push_send_fh(numbered(1), $dir eq 'send' ? sub { undef $x; undef $end; $log++ } : ());
    $y->push_recv_fh($dir eq 'recv' ? sub { undef $y; undef $end; $log++ } : sub { });
    wait_for { $log };
    ticks(1);
    is $log, 1, "a $dir callback can drop the passer";
}
for my $dir (qw(send recv)) {
    my $errors = [];
    my $before = open_fds();
    {
        my ($x, $y) = passers($errors, $errors);
        my $log = 0;
        my $end = $dir eq 'send' ? $x : $y;
        my $die = sub { $log++; $end->error('stop') };
        $x->push_send_fh(numbered($_), $dir eq 'send' ? $die : ()) for 1 .. 3;
        $y->push_recv_fh($dir eq 'recv' ? $die : sub { }) for 1 .. 3;
        wait_for { @$errors };
        ticks(2);
        is $log, 1, "after a $dir callback shuts the passer down, no callback runs";
        is scalar(grep { defined && $_ eq 'stop' } @$errors), 1, 'on_error ran once';
    }
    ticks(2);
    is open_fds(), $before, 'nothing is left open';
}

# A loop that runs inside a callback goes on with the queue of that callback.
{
    my ($x, $y) = passers();
    my @log;
    $y->push_recv_fh(sub {
        push @log, 'in ' . number_of($_[0]);
        nested_wait_for { @log >= 3 } 'the other two';
        push @log, 'out';
    });
    $y->push_recv_fh(sub { push @log, number_of($_[0]) }) for 1 .. 2;
    $x->push_send_fh(numbered($_)) for 1 .. 3;
    wait_for { @log == 4 };
    is_deeply \@log, [ 'in 1', 2, 3, 'out' ], 'a receive callback runs the loop, and everything had already arrived';
}
{
    my ($x, $y) = passers();
    my @log;
    $y->push_recv_fh(sub {
        push @log, 'in ' . number_of($_[0]);
        $x->push_send_fh(numbered($_)) for 2 .. 3;
        nested_wait_for { @log >= 3 } 'the other two';
        push @log, 'out';
    });
    $y->push_recv_fh(sub { push @log, number_of($_[0]) }) for 1 .. 2;
    $x->push_send_fh(numbered(1));
    wait_for { @log == 4 };
    is_deeply \@log, [ 'in 1', 2, 3, 'out' ], 'a receive callback runs the loop, and more arrives meanwhile';
}
{
    my ($x, $y) = passers();
    my (@log, @got);
    $y->push_recv_fh(sub { push @got, number_of($_[0]) }) for 1 .. 3;
    $x->push_send_fh(numbered(1), sub {
        push @log, 'in';
        nested_wait_for { @got >= 2 } 'number 2 on the other side';
        push @log, 'out';
    });
    $x->push_send_fh(numbered(2), sub { push @log, 'second' });
    $x->push_send_fh(numbered(3), sub { push @log, 'third' });
    wait_for { @log == 4 && @got == 3 };
    is_deeply \@got, [ 1, 2, 3 ], 'a send callback runs the loop, and the rest is sent meanwhile';
    is $log[0], 'in', 'the first callback runs first';
    is_deeply [ grep { $_ ne 'out' } @log ], [qw(in second third)], 'each callback runs once, in order';
}
{
    my ($x, $y) = passers();
    my ($deep, @log) = (0);
    for my $n (1 .. 5) {
        $y->push_recv_fh(sub {
            push @log, number_of($_[0]);
            $deep++;
            $x->push_send_fh(numbered($n + 1)) if $n < 5;
            nested_wait_for { @log == 5 } 'the innermost';
            $deep--;
        });
    }
    $x->push_send_fh(numbered(1));
    wait_for { @log == 5 && !$deep };
    is_deeply \@log, [ 1 .. 5 ], 'five nested loops';
}
{
    # on_error may run the loop too.
    my $got = 0;
    my ($x, $y) = passers();
    my ($p, $q) = AnyEvent::FDpasser::fdpasser_socketpair();
    my $done = 0;
    my $dying = AnyEvent::FDpasser->new(fh => $p, on_error => sub {
        $x->push_send_fh(numbered(1));
        $y->push_recv_fh(sub { $got++ });
        nested_wait_for { $got } 'another passer';
        $done = 1;
    });
    $dying->push_recv_fh(sub { });
    close $q;
    wait_for { $done };
    is $got, 1, 'on_error can run the loop';
}

# A passer that always has something to do leaves the loop time for others.
for my $dir (qw(send recv)) {
    my ($x, $y) = raw_pair([]);
    my ($n, $others) = (0, 0);
    my $next;
    $next = sub {
        $n++;
        return if $others || $n > 5000;
        if ($dir eq 'send') { $x->push_send_fh(\*STDIN, $next); raw_state($y) }
        else { $x->push_recv_fh($next); AnyEvent::FDpasser::send_fd(fileno $y, 0) }
    };
    $next->();
    my $timer = AE::timer(0, 0, sub { $others++ });
    wait_for { $others };
    cmp_ok $n, '<', 5000, "the loop serves others although a $dir callback always pushes again";
    undef $next;
    $x->error('end');
}

# The children exit at once, as children of an event-based program do.
{
    my ($x, $y) = passers();
    my (@pid, @got);
    my $fork = sub { push @pid, in_child { 1 } };
    $y->push_recv_fh(sub { push @got, number_of($_[0]); $fork->() }) for 1 .. 3;
    $x->push_send_fh(numbered($_), $fork) for 1 .. 3;
    wait_for { @got == 3 };
    is_deeply \@got, [ 1, 2, 3 ], 'callbacks can fork';
    child_ok($_, 'the child ended well') for @pid;
}
done_testing;

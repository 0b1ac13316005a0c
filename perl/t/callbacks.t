# What a callback may do: push, drop the passer, shut it down, fork, run the event loop.
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
    is_deeply \@log, [ 'first', 'second: 2', 'pushed by first: 3' ], 'a callback pushes: at the end of the queue';
}
{
    my ($x, $y) = passers();
    my @log;
    $y->push_recv_fh(sub { $y->push_send_fh($_[0]) });
    $x->push_recv_fh(sub { push @log, number_of($_[0]) });
    $x->push_send_fh(numbered(1));
    wait_for { @log };
    is_deeply \@log, [1], 'a callback sends back what it received';
}
for my $dir (qw(send recv)) {
    my ($x, $y) = passers();
    my $log = 0;
    my $end = $dir eq 'send' ? $x : $y;
    $x->push_send_fh(numbered(1), $dir eq 'send' ? sub { undef $x; undef $end; $log++ } : ());
    $y->push_recv_fh($dir eq 'recv' ? sub { undef $y; undef $end; $log++ } : sub { });
    wait_for { $log };
    ticks(1);
    is $log, 1, "a $dir callback drops the passer";
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
        is $log, 1, "a $dir callback shuts the passer down: no further callback";
        is scalar(grep { defined && $_ eq 'stop' } @$errors), 1, 'on_error ran once';
    }
    ticks(2);
    is open_fds(), $before, 'nothing is left open';
}

# The loop within the callback goes on with the very queue whose callback it is.
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
    is_deeply \@log, [ 'in 1', 2, 3, 'out' ], 'a receive callback runs the loop: all has arrived already';
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
    is_deeply \@log, [ 'in 1', 2, 3, 'out' ], 'or arrives while it does';
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
    is_deeply \@got, [ 1, 2, 3 ], 'a send callback runs the loop: the rest is sent meanwhile';
    is $log[0], 'in', 'callbacks in order';
    is_deeply [ grep { $_ ne 'out' } @log ], [qw(in second third)], 'none left out or twice';
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
    is_deeply \@log, [ 1 .. 5 ], 'five loops within one another';
}
{
    # From an error callback, too.
    my $got = 0;
    my ($x, $y) = passers();
    my ($p, $q) = AnyEvent::FDpasser::fdpasser_socketpair();
    my $done = 0;
    my $dying = AnyEvent::FDpasser->new(fh => $p, on_error => sub {
        $x->push_send_fh(numbered(1));
        $y->push_recv_fh(sub { $got++ });
        nested_wait_for { $got } 'a passer that lives';
        $done = 1;
    });
    $dying->push_recv_fh(sub { });
    close $q;
    wait_for { $done };
    is $got, 1, 'on_error runs the loop';
}

# A passer that always has something to do does not keep the loop from others.
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
    cmp_ok $n, '<', 5000, "a $dir callback that always pushes again: the loop goes round";
    undef $next;
    $x->error('end');
}

# The child leaves at once, as a child of an event-based program does.
{
    my ($x, $y) = passers();
    my (@pid, @got);
    my $fork = sub { push @pid, in_child { 1 } };
    $y->push_recv_fh(sub { push @got, number_of($_[0]); $fork->() }) for 1 .. 3;
    $x->push_send_fh(numbered($_), $fork) for 1 .. 3;
    wait_for { @got == 3 };
    is_deeply \@got, [ 1, 2, 3 ], 'callbacks fork';
    child_ok($_, 'child') for @pid;
}
done_testing;

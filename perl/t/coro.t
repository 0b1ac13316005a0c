# SPDX-License-Identifier: MIT OR Apache-2.0
# Coro: coroutines that push and wait for their callbacks, several on one passer. Each descriptor arrives once, in order.
use strict;
use warnings;
use lib 't/lib';
use Loops;

use Test::More;
BEGIN { plan skip_all => 'Coro is not installed' if !eval { require Coro; require Coro::AnyEvent } }
use Coro;
use Helpers;
use POSIX ();

warm_up();
my ($x, $y) = passers();
my (@sent, @got);
my $each = 50;
my @running;
for my $i (1 .. 3) {
    push @running, async {
        for my $n (1 .. $each) {
            my $fh = numbered(1 + @sent);
            push @sent, 1 + @sent;
            $x->push_send_fh($fh, Coro::rouse_cb());
            undef $fh;
            Coro::rouse_wait();
        }
    };
    push @running, async {
        for my $n (1 .. $each) {
            $y->push_recv_fh(Coro::rouse_cb());
            my ($fh) = Coro::rouse_wait();
            push @got, number_of($fh);
            Coro::AnyEvent::sleep(0.001) if $n % 20 == 0;
        }
    };
}
$_->join for @running;
is_deeply [ sort { $a <=> $b } @got ], \@sent, 'each descriptor arrived once';

# A callback that lets other coroutines run.
{
    my ($yielded, $after) = (0, 0);
    my $other = async { $yielded++ while $yielded < 3 and cede || 1 };
    $y->push_recv_fh(Coro::unblock_sub(sub { cede for 1 .. 5; $after = $yielded }));
    $x->push_send_fh(numbered(1));
    wait_for { $after } 'the callback';
    is $after, 3, 'other coroutines ran during a callback';
    $other->join;
}

# An exception that is thrown into a coroutine that waits.
{
    my $waits = async {
        eval { $y->push_recv_fh(Coro::rouse_cb()); Coro::rouse_wait(); 1 } ? 'went on' : $@;
    };
    Coro::AnyEvent::sleep(0.01);
    $waits->throw("enough\n");
    is $waits->join, "enough\n", 'a coroutine that waits can be interrupted';
    $x->push_send_fh(numbered($_)) for 8, 9;
    my $got;
    $y->push_recv_fh(sub { $got = number_of($_[0]) });
    wait_for { $got } 'the next descriptor';
    is $got, 9, 'its callback takes its descriptor, and the next one the next';
}
ticks(2);
is_deeply [ sort keys %$_ ], [qw(fh on_error)], 'a passer is idle' for $x, $y;
done_testing;
POSIX::_exit(Test::More->builder->is_passing ? 0 : 1);    # with Coro, POE complains when the interpreter ends

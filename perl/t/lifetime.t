# SPDX-License-Identifier: MIT OR Apache-2.0
# A passer with a queue entry keeps itself alive. Without one it is closed when the last reference goes. The event loop
# returns when the queues are empty.
use strict;
use warnings;
use lib 't/lib';
use Loops;

use Scalar::Util qw(weaken);
use Test::More;
use Helpers;

sub eventually {
    my ($fh, $expected, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $state;
    wait_for { ($state = raw_state($fh)) ne 'nothing' } "$name: $expected";
    return is $state, $expected, $name;
}

{
    my ($x, $y) = raw_pair();
    weaken(my $weak = $x);
    undef $x;
    is $weak, undef, 'a passer with nothing queued goes with its last reference';
    is raw_state($y), 'end of file', 'and its socket is closed';
}
{
    my ($x, $y) = raw_pair();
    my $sent = 0;
    $x->push_send_fh(numbered($_), sub { $sent++ }) for 1 .. 3;
    weaken(my $weak = $x);
    undef $x;
    ok $weak, 'a passer with a queued handle lives without a reference';
    eventually($y, $_, "number $_ arrives") for 1 .. 3;
    eventually($y, 'end of file', 'then its socket is closed');
    is $sent, 3, 'the callbacks ran';
    is $weak, undef, 'the passer is freed';
}
{
    my ($x, $y) = raw_pair();
    my @got;
    $x->push_recv_fh(sub { push @got, number_of($_[0]) }) for 1 .. 2;
    weaken(my $weak = $x);
    undef $x;
    ticks(3);
    ok $weak, 'a passer with a queued callback lives without a reference';
    peer_sends($y, 1, 2);
    wait_for { @got == 2 };
    is_deeply \@got, [ 1, 2 ], 'both callbacks run';
    eventually($y, 'end of file', 'then its socket is closed');
    is $weak, undef, 'the passer is freed';
}
{
    # Whether the queue is empty is decided after the callbacks ran.
    my ($x, $y) = raw_pair();
    my @got;
    my $next;
    weaken(my $weak = $x);
    my $again = sub { push @got, number_of($_[0]); $next->() if @got < 3 };
    $next = sub { $weak->push_recv_fh($again) };
    $next->();
    undef $x;
    for (1 .. 3) {
        peer_sends($y, $_);
        wait_for { @got == $_ };
        ticks(1);
    }
    is_deeply \@got, [ 1, 2, 3 ], 'a callback that pushes again keeps the passer alive';
    eventually($y, 'end of file', 'a callback that does not push lets the passer go');
}
{
    my ($x, $y) = raw_pair();
    my ($next, $sent);
    weaken(my $weak = $x);
    $next = sub { $weak->push_send_fh(numbered($sent), $next) if ++$sent <= 3 };
    $next->();
    undef $x;
    eventually($y, $_, "number $_, pushed from a send callback") for 1 .. 3;
    eventually($y, 'end of file', 'then the socket is closed');
}
{
    # An error drops everything.
    my $errors = [];
    my ($x, $y) = raw_pair($errors);
    my $held = [];
    $x->push_recv_fh(sub { my $never = $held });
    $x->push_send_fh(numbered(1), sub { my $never = $held });
    weaken(my $weak_x = $x);
    weaken(my $weak   = $held);
    undef $held;
    undef $x;
    undef $y;
    wait_for { @$errors };
    ticks(1);
    is $weak_x, undef, 'the passer is freed after an error';
    is $weak, undef, 'its callbacks are freed too';
}

# The program runs the loop itself, and there is nothing else to wait for.
my %run = (
    EV    => sub { EV::run() },
    Event => sub { Event::loop() },
    POE   => sub { POE::Kernel->run },
);
SKIP: {
    my ($model) = $AnyEvent::MODEL =~ /(\w+)$/;
    my $run = $run{$model} or skip "the loop of $model does not end by itself", 2;
    my ($x, $y) = passers();
    my @got;
    local $SIG{ALRM} = sub { print "Bail out! the loop of $model does not return\n"; POSIX::_exit(1) };
    alarm 30;
    $x->push_send_fh(numbered($_)) for 1 .. 3;
    $y->push_recv_fh(sub { push @got, number_of($_[0]) }) for 1 .. 3;
    $run->();
    is_deeply \@got, [ 1, 2, 3 ], "the loop of $model returns when everything is done";
    ok !$y->{error_state}, 'the passers are usable';
    $x->push_send_fh(numbered(4));
    $y->push_recv_fh(sub { push @got, number_of($_[0]) });
    $run->();
    is $got[-1], 4, 'the passers still work';
    alarm 0;
}
done_testing;

# SPDX-License-Identifier: MIT OR Apache-2.0
# The descriptor table is full. Nothing is lost, nothing fails and nothing spins. Everything goes on when there is
# room again.
use strict;
use warnings;
use lib 't/lib';
use Loops;
use Helpers limit => 64;

use Scalar::Util ();
use Test::More;

warm_up();

# How often the module tries to send and to receive.
my %calls = (send => 0, recv => 0);
my @counting = map { my $dir = $_; stand_in($dir => sub { my ($real) = @_; $calls{$dir}++; return $real->() }) } keys %calls;

# POE closes what it no longer needs in its next turn. The table stays full only after that.
sub fill_for_good { ticks(2); return fill_table() }

{
    my ($x, $y) = raw_pair();
    my @got;
    peer_sends($y, 1 .. 3);
    my $full = fill_for_good();
    $x->push_recv_fh(sub { push @got, number_of($_[0]); push @$full, $_[0] }) for 1 .. 5;
    my $calls = calls_per_pause(\$calls{recv});
    is_deeply \@got, [], 'nothing is received while the table is full';
    ok !$x->{error_state}, 'the passer is usable';
    cmp_ok $calls, '<', 2, 'it pauses';
    cmp_ok $calls, '>', 0, 'it tries again';
    for my $n (1 .. 3) {
        shift @$full;
        wait_for { @got >= $n } "number $n";
        ticks(12);
        is_deeply \@got, [ 1 .. $n ], "one slot gets free, and number $n arrives alone";
        peer_sends_full($y, $full, 4) if $n == 3;
    }
    splice @$full, 0, 5;
    peer_sends($y, 5);
    wait_for { @got == 5 };
    is_deeply \@got, [ 1 .. 5 ], 'all arrive in order';
}
# Sends one while the table is full. It frees a slot for the handle, and then fills the table again.
sub peer_sends_full {
    my ($fh, $full, $n) = @_;
    shift @$full;
    peer_sends($fh, $n);
    push @$full, @{ fill_table() };
}
{
    # The push comes first. Then the table gets full, and then the descriptor arrives.
    my ($x, $y) = raw_pair();
    my @got;
    $x->push_recv_fh(sub { push @got, number_of($_[0]) }) for 1 .. 2;
    ticks(1);
    my @fh = map { numbered($_) } 1 .. 2;
    my $full = fill_for_good();
    for my $fh (@fh) { patiently { AnyEvent::FDpasser::send_fd(fileno $y, fileno $fh) == 1 } }
    my $calls = calls_per_pause(\$calls{recv});
    # IO::Async holds a descriptor for the watcher and closes it during the pause.
    is_deeply \@got, [], 'nothing is received by a watcher that was there before' if $AnyEvent::MODEL !~ /IOAsync|POE/;
    cmp_ok $calls, '<', 2, 'it pauses';
    undef $full;
    wait_for { @got == 2 };
    is_deeply \@got, [ 1, 2 ], 'all arrive';
}
{
    # Sending needs no slot, but a watcher may need one.
    my ($x, $y) = raw_pair();
    my @fh = map { numbered($_) } 1 .. 3;
    my $full = fill_for_good();
    my $sent = 0;
    %calls = ();
    $x->push_send_fh($_, sub { $sent++ }) for @fh;
    wait_for { $sent == 3 } 'sending with a full table';
    is $sent, 3, 'sending goes on while the table is full';
    cmp_ok $calls{send}, '<', 30, 'and it does not spin';
    undef $full;
    is_deeply [ map { raw_state($y) } 1 .. 4 ], [ 1, 2, 3, 'nothing' ], 'all are sent';
}
{
    # The socket is full as well. A simulated stream has room for more than a socket.
    my $all = sysv() ? 5000 : 1000;
    my ($x, $y) = raw_pair();
    my $fh = numbered(1);
    my $n  = 0;
    AnyEvent::Util::fh_nonblocking($y, 1);
    my $sent = 0;
    my $full = fill_for_good();
    $x->push_send_fh($fh, sub { $sent++ }) for 1 .. $all;
    my $last = -1;
    until ($sent == $last) { $last = $sent; ticks(12) }
    cmp_ok $sent, '<', $all, 'the socket is full, and so is the table';
    cmp_ok calls_per_pause(\$calls{send}), '<', 2, 'it pauses';
    undef $full;
    my $received = 0;
    while ($received < $all) {
        my $state = raw_state($y);
        if    ($state eq '1')       { $received++ }
        elsif ($state eq 'nothing') { ticks(1) }
        else                        { last }
    }
    is $received, $all, 'all arrive once there is room';
    wait_for { $sent == $all };
    is raw_state($y), 'nothing', 'and nothing arrives twice';
}
{
    my $errors = [];
    my ($x, $y) = raw_pair($errors);
    my $full = fill_for_good();
    $x->push_recv_fh(sub { });
    ticks(5);
    close $y;
    push @$full, @{ fill_table() };
    wait_for { @$errors };
    is_deeply $errors, [undef], 'the end of file is noticed while the table is full';
}
{
    my $errors = [];
    my ($x, $y) = raw_pair($errors);
    syswrite $y, 'x';
    my $full = fill_for_good();
    $x->push_recv_fh(sub { });
    ticks(5);
    is_deeply [ map { $_ + 0 } @$errors ], sysv() ? [ Errno::EBADMSG() ] : [],
      'a byte without a descriptor waits while the table is full, except on STREAMS, which tells it from one with';
    undef $full;
    wait_for { @$errors };
    ok $errors->[0] && $errors->[0] == Errno::EBADMSG(), 'and is an error when there is a slot';
}
{
    # Both ends of a busy connection are here, and the table gets full again and again.
    my ($x, $y) = passers();
    my @got;
    my $n = 60;
    my @fh = map { numbered($_) } 1 .. 12;
    for (1 .. $n) {
        $x->push_send_fh($fh[ $_ % 12 ]);
        $y->push_recv_fh(sub { push @got, number_of($_[0]) });
    }
    while (@got < $n) {
        my $full = fill_table();
        ticks(1);
        splice @$full, 0, 2;
        my $before = @got;
        wait_for { @got > $before || @got == $n } 'more';
    }
    is_deeply \@got, [ map { number_of($fh[ $_ % 12 ]) } 1 .. $n ], 'nothing is lost when the table gets full again and again';
}
{
    # A passer is dropped while it pauses.
    my ($x, $y) = raw_pair([]);
    peer_sends($y, 1);
    my $full = fill_for_good();
    my $errors = 0;
    $x->push_recv_fh(sub { $errors++ });
    ticks(3);
    $x->error('enough');
    Scalar::Util::weaken(my $weak = $x);
    undef $x;
    undef $full;
    ticks(12);
    is $weak, undef, 'it is freed';
    is $errors, 0, 'a passer that is shut down during a pause runs no callback';
}
SKIP: {
    my $none = can_send_messages();
    skip $none, 2 if defined $none;
    skip 'a message of STREAMS carries one descriptor', 2 if sysv();
    my ($x, $y) = raw_pair();
    my @got;
    send_message($y, "\0", map { numbered($_) } 1 .. 10);
    my $full = fill_for_good();
    splice @$full, 0, 4;
    $x->push_recv_fh(sub { push @got, number_of($_[0]) }) for 1 .. 10;
    ticks(15);
    is_deeply \@got, [], 'a message of ten waits as a whole while there are four slots';
    undef $full;
    wait_for { @got == 10 };
    is_deeply \@got, [ 1 .. 10 ], 'it arrives as a whole';
}
# Slots 0, 1 and 2 do not count as room.
{
    my ($x, $y) = raw_pair();
    peer_sends($y, 1);
    my $got;
    my $full = fill_for_good();
    my $stdin = POSIX::dup2(0, fileno $full->[0]);
    POSIX::close(0);
    $x->push_recv_fh(sub { $got = shift });
    ticks(15);
    is $got, undef, 'a free slot 0 does not count as room';
    POSIX::dup2($stdin, 0);
    undef $full;
    wait_for { $got };
    is number_of($got), 1, 'the descriptor arrives later';
    cmp_ok fileno $got, '>', 2, 'and does not become standard input';
}
done_testing;

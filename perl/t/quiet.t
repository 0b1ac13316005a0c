# SPDX-License-Identifier: MIT OR Apache-2.0
# A pause leaves nothing behind. After it a passer that waits for its socket does nothing until the socket is ready.
use strict;
use warnings;
use lib 't/lib';
use Loops;

use Errno qw(EMFILE ENOBUFS);
use Test::More;
use Helpers;

warm_up();

my %calls   = (send => 0, recv => 0);
my %refused = (send => 0, recv => 0);    # how often the system will refuse
my %errno   = (send => ENOBUFS, recv => EMFILE);
my @refusing = map {
    my $dir = $_;
    stand_in($dir => sub {
        my ($real) = @_;
        $calls{$dir}++;
        return $refused{$dir}-- > 0 ? refuse($errno{$dir}) : $real->();
    });
} keys %calls;

# --- receiving
{
    my ($x, $y) = raw_pair();
    my $got = 0;
    %refused = (send => 0, recv => 2);
    peer_sends($y, 1);
    $x->push_recv_fh(sub { $got++ }) for 1 .. 2;
    wait_for { $got == 1 } 'the first descriptor';
    ticks(12);    # longer than two pauses
    $calls{recv} = 0;
    ticks(30);
    is $calls{recv}, 0, 'the passer does nothing while nothing arrives';
    peer_sends($y, 2);
    wait_for { $got == 2 } 'the second descriptor';
    pass 'receiving goes on';
}

# --- sending
{
    my ($x, $y) = raw_pair();
    my $sent = 0;
    %refused = (send => 2, recv => 0);
    1 while AnyEvent::FDpasser::send_fd(fileno $x->{fh}, fileno numbered(1)) == 1;
    $x->push_send_fh(numbered($_), sub { $sent++ }) for 1 .. 2;
    my $room = AE::timer(0.01, 0, sub { 1 while raw_state($y) ne 'nothing' });
    wait_for { $sent == 2 } 'both sends';
    1 while AnyEvent::FDpasser::send_fd(fileno $x->{fh}, fileno numbered(1)) == 1;
    $x->push_send_fh(numbered(3), sub { $sent++ });
    ticks(12);
    $calls{send} = 0;
    ticks(30);
    is $calls{send}, 0, 'the passer does nothing while the socket is full';
    1 while raw_state($y) ne 'nothing';
    wait_for { $sent == 3 } 'the last send';
    pass 'sending goes on';
}

done_testing;

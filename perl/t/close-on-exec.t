# SPDX-License-Identifier: MIT OR Apache-2.0
# Received handles, and handles that the functions return, are close-on-exec as $^F says.
use strict;
use warnings;
use lib 't/lib';
use Loops qw(Perl);

use Fcntl qw(F_GETFD FD_CLOEXEC);
use Test::More;
use Helpers;

my ($x, $y) = passers();
my $path = temp_dir() . '/socket';

sub cloexec { return fcntl($_[0], F_GETFD, 0) & FD_CLOEXEC ? 'closed' : 'kept' }

for ([ 2, 'closed' ], [ 0, 'closed' ], [ 10_000, 'kept' ]) {
    local $^F = $_->[0];
    my $expected = $_->[1];
    my @pair     = AnyEvent::FDpasser::fdpasser_socketpair();
    my $listener = AnyEvent::FDpasser::fdpasser_server($path);
    my $client   = AnyEvent::FDpasser::fdpasser_connect($path);
    my $served   = AnyEvent::FDpasser::fdpasser_accept($listener);
    my $own      = AnyEvent::FDpasser->new;
    my %got;
    $x->push_send_fh(numbered(1));
    $x->push_send_fh($listener);
    $y->push_recv_fh(sub { $got{file}   = shift });
    $y->push_recv_fh(sub { $got{socket} = shift });
    wait_for { 2 == keys %got };
    open my $like, '<', $0 or die $!;
    is cloexec($like), $expected, "with \$^F at $^F a handle that open makes is $expected";
    is cloexec($_->[1]), $expected, "... and so is this one: $_->[0]"
      for [ 'socketpair, one' => $pair[0] ], [ 'socketpair, the other' => $pair[1] ], [ server => $listener ],
      [ connect => $client ], [ accept => $served ], [ 'a received file' => $got{file} ],
      [ 'a received socket' => $got{socket} ], map { [ 'a pair of the passer\'s' => $_ ] } @{ $own->{fh_pair} };
}
done_testing;

# SPDX-License-Identifier: MIT OR Apache-2.0
# A passer takes from the socket what its callbacks wait for, and the rest of the last message.
use strict;
use warnings;
use lib 't/lib';
use Loops;

use Test::More;
use Helpers;

plan skip_all => 'a message of STREAMS carries one descriptor' if sysv();
warm_up();

my ($x, $y) = raw_pair();
open my $null, '<', '/dev/null' or die "/dev/null: $!";
my $before = open_fds();
for (1 .. 3) {
    patiently { AnyEvent::FDpasser::_send(fileno $y, 253, (fileno $null) x 253) == 253 };
}
my $got = 0;
$x->push_recv_fh(sub { $got++ }) for 1 .. 3;
wait_for { $got == 3 };
ticks(2);
is open_fds() - $before, 250, 'one message of 253 is taken for three callbacks, and the other two are not';
$x->push_recv_fh(sub { $got++ }) for 1 .. 251;
wait_for { $got == 254 };
ticks(2);
is open_fds() - $before, 252, 'the next message is taken when the surplus is used up';
$x->push_recv_fh(sub { $got++ }) for 1 .. 505;
wait_for { $got == 759 };
is open_fds(), $before, 'all arrive';

done_testing;

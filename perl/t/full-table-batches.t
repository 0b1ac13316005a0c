# SPDX-License-Identifier: MIT OR Apache-2.0
# Messages carry many descriptors, and the table has room for some of the messages.
use strict;
use warnings;
use lib 't/lib';
use Loops;
use Helpers limit => 1024;

use Test::More;

plan skip_all => 'a message of STREAMS carries one descriptor' if sysv();
my $none = can_send_messages();
plan skip_all => $none if defined $none;
warm_up();

my ($x, $y) = raw_pair();
my ($messages, $each) = (3, 253);
for my $m (0 .. $messages - 1) {
    send_message($y, "\0", map { numbered($m * $each + $_) } 1 .. $each);
}
# Leaves room for two of the messages.
my @full;
do { open my $fh, '<', '/dev/null' or die $!; push @full, $fh } until fileno $full[-1] >= 400;

my (@got, @held);
$x->push_recv_fh(sub { push @got, number_of($_[0]); push @held, $_[0] }) for 1 .. $messages * $each;
wait_for { @got >= 2 * $each } 'two messages';
ticks(15);
is_deeply \@got, [ 1 .. 2 * $each ], 'two messages fit and arrive whole, and the third waits';
ok !$x->{error_state}, 'the passer is usable';
@held = ();
wait_for { @got == $messages * $each } 'the third';
is_deeply \@got, [ 1 .. $messages * $each ], 'the third arrives when there is room';
done_testing;

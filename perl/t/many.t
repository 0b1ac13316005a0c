# SPDX-License-Identifier: MIT OR Apache-2.0
# One process has 10,000 passers, which hold one descriptor each. Only EV runs this. Other loops are too slow, or hold a
# second descriptor for each watcher.
use strict;
use warnings;
use lib 't/lib';
use Loops qw(EV);
use Helpers limit => 10_100;

use Test::More;

my $total = 10_000;

# Another process has the peers. It sends to each of them when all are there.
my ($mine, $theirs) = AnyEvent::FDpasser::fdpasser_socketpair();
my $fh = numbered(1);
my $child = in_child {
    close $mine;
    my @peer;
    while (@peer < $total) {
        my $fd = AnyEvent::FDpasser::recv_fd(fileno $theirs);
        die 'peer ' . @peer . ": $!" if $fd <= 0;
        push @peer, $fd;
    }
    AnyEvent::FDpasser::send_fd($_, fileno $fh) == 1 or die $! for @peer;
    return 1;
};
close $theirs;

my $before = open_fds();
my ($got, $bad, @passer) = (0, 0);
for (1 .. $total) {
    my ($x, $y) = AnyEvent::FDpasser::fdpasser_socketpair();
    AnyEvent::FDpasser::send_fd(fileno $mine, fileno $y) == 1 or die $!;
    push @passer, my $passer = AnyEvent::FDpasser->new(fh => $x, on_error => sub { $bad++ });
    $passer->push_recv_fh(sub { number_of($_[0]) eq '1' ? $got++ : $bad++ });
}
# EV holds one for itself.
cmp_ok open_fds(), '<=', $before + $total + 5, "$total passers hold one descriptor each";
wait_for { $got + $bad == $total };
is $got, $total, 'each has received a descriptor';
is $bad, 0, 'there is no error';
@passer = ();
child_ok($child, 'the process with the peers ended well');
cmp_ok open_fds(), '<=', $before + 5, 'all are closed';
done_testing;

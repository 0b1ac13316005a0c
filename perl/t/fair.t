# SPDX-License-Identifier: MIT OR Apache-2.0
# One busy passer leaves the event loop time for the others. A readiness event moves many descriptors, but not all.
use strict;
use warnings;
use lib 't/lib';
use Loops;

use Test::More;
use Helpers;

my $total = 250;

numbered(0);
warm_up();
for my $per_message (1, 16) {
    my ($x, $y) = AnyEvent::FDpasser::fdpasser_socketpair();
    my $sender   = passer($x, undef, max_fds_per_message => $per_message);
    my $receiver = passer($y);
    my ($sent, $received, $sent_then, $received_then, @timer) = (0, 0);

    # A timer that is due at once is set when the first is moved. It notes how many have been moved when it comes.
    for (1 .. $total) {
        $sender->push_send_fh(numbered($_), sub {
            push @timer, AE::timer(0, 0, sub { $sent_then = $sent }) if !$sent++;
        });
    }
    wait_for { $sent >= 100 } 'as many sends as one event makes';
    for (1 .. $total) {
        $receiver->push_recv_fh(sub {
            push @timer, AE::timer(0, 0, sub { $received_then = $received }) if !$received++;
        });
    }
    wait_for { $received == $total && defined $received_then } 'everything to be received';
    is($sent, $total, "all are sent, with up to $per_message in a message");
    cmp_ok($sent_then,     '>', 1,      "one event sends several ($sent_then)");
    cmp_ok($sent_then,     '<', $total, 'but not all of them');
    cmp_ok($received_then, '>', 1,      "one event receives several ($received_then)");
    cmp_ok($received_then, '<', $total, 'but not all of them');
}

done_testing;

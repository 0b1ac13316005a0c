# One busy passer does not keep the event loop from the others: a readiness event moves many descriptors,
# but not as many as there are.
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

    # How many there are when a timer comes that was due as soon as the first had been moved.
    for (1 .. $total) {
        $sender->push_send_fh(numbered($_), sub {
            push @timer, AE::timer(0, 0, sub { $sent_then = $sent }) if !$sent++;
        });
    }
    wait_for { $sent >= 100 } 'as many to be sent as one event moves';
    for (1 .. $total) {
        $receiver->push_recv_fh(sub {
            push @timer, AE::timer(0, 0, sub { $received_then = $received }) if !$received++;
        });
    }
    wait_for { $received == $total && defined $received_then } 'all to be received';
    is($sent, $total, "$per_message in a message");
    cmp_ok($sent_then,     '>', 1,      "one event sends more than one ($sent_then)");
    cmp_ok($sent_then,     '<', $total, 'but not all');
    cmp_ok($received_then, '>', 1,      "one event receives more than one ($received_then)");
    cmp_ok($received_then, '<', $total, 'but not all');
}

done_testing;

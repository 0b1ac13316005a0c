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

# --- another watcher gets its turn at least once in 100 descriptors, and timers fire
for my $per_message (1, 16, sysv() ? () : 253) {
    my ($x, $y) = raw_pair();
    open my $null, '<', '/dev/null' or die "/dev/null: $!";
    my @fds = (fileno $null) x $per_message;
    # A peer that never stops: it sends again as soon as there is room.
    my $feed = sub { 1 while AnyEvent::FDpasser::_send(fileno $y, $per_message, @fds) > 0 };
    pipe my $always_ready, my $w or die "pipe: $!";
    syswrite $w, 'x';
    my ($received, $since_io, $most, $timers) = (0, 0, 0, 0);
    my $io    = AE::io($always_ready, 0, sub { $since_io = 0 });
    my $timer = AE::timer(0, 0.001, sub { $timers++ });
    my $callback;
    $callback = sub {
        $received++;
        $since_io++;
        $most = $since_io if $since_io > $most;
        $feed->() if $received % 20 == 0;
        $x->push_recv_fh($callback);
    };
    $feed->();
    $x->push_recv_fh($callback) for 1 .. 300;
    wait_for { $received > 3000 } '3000 descriptors';
    cmp_ok $most, '<=', 100, "another watcher gets its turn at least once in 100 descriptors, $per_message in a message ($most)";
    cmp_ok $timers, '>', 1, "timers fire ($timers)";
    $callback = sub { };
    $x->error('end') if delete $x->{on_error};
}

done_testing;

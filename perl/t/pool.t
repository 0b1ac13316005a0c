# SPDX-License-Identifier: MIT OR Apache-2.0
# Several processes receive 1,000 descriptors from one end. Each descriptor arrives exactly once.
use strict;
use warnings;
use lib 't/lib';
use Loops;

use Test::More;
use Helpers;

my $total   = 1000;
my $workers = 4;

numbered(0);    # makes the file before the fork
my ($mine, $theirs) = AnyEvent::FDpasser::fdpasser_socketpair();
my (@child, @report, @ready);
for (1 .. $workers) {
    pipe my $r, my $w or die $!;
    pipe my $ready, my $say_ready or die $!;
    push @report, $r;
    push @ready,  $ready;
    push @child, in_child {
        close $mine;
        my (@got, $end);
        my $passer = AnyEvent::FDpasser->new(fh => $theirs, on_error => sub { $end = defined $@ ? "$@" : 'orderly' });
        my $next; $next = sub { push @got, number_of($_[0]); $passer->push_recv_fh($next) };
        $passer->push_recv_fh($next);
        ticks(1);
        close $say_ready;
        wait_for { $end };
        syswrite $w, join ' ', @got;
        return $end eq 'orderly';
    };
}
close $theirs;
readline $_ for @ready;    # all wait at the same socket now

my $passer = passer($mine);
my $n      = 0;
my $more; $more = sub {
    for (1 .. 100) {
        $n++;
        $passer->push_send_fh(numbered($n), $n % 100 == 0 && $n < $total ? $more : ());
    }
};
$more->();
wait_for { $n == $total && !$passer->{send_queue} } 'everything to be sent';
undef $more;
undef $passer;
close $mine;

my @got = map { [ split ' ', do { local $/; my $text = readline $_; defined $text ? $text : '' } ] } @report;
child_ok($_, 'a worker saw an orderly shutdown') for @child;
is_deeply [ sort { $a <=> $b } map { @$_ } @got ], [ 1 .. $total ], "each of $total descriptors arrived exactly once";
for (@got) {
    my @sorted = sort { $a <=> $b } @$_;
    is_deeply $_, \@sorted, scalar(@$_) . ' of them arrived in order';
}
done_testing;

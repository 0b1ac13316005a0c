# SPDX-License-Identifier: MIT OR Apache-2.0
# AnyEvent::Fork: its processes get an end of a passer, and the passers of the parent go on.
use strict;
use warnings;
use lib 't/lib';
use Loops;

use Test::More;
BEGIN { plan skip_all => 'AnyEvent::Fork is not installed' if !eval { require AnyEvent::Fork } }
use Helpers;

# In the new process: sends back what arrives, until the end.
my $CODE = <<'PERL';
    @INC = @_;
    require AnyEvent;
    require AnyEvent::FDpasser;
    sub echo {
        my (undef, $passer_fh) = @_;    # the first one is AnyEvent::Fork's own socket
        my $end    = AE::cv();
        my $passer = AnyEvent::FDpasser->new(fh => $passer_fh, on_error => $end);
        my $next;
        $next = sub { $passer->push_send_fh($_[0]); $passer->push_recv_fh($next) };
        $passer->push_recv_fh($next);
        $end->recv;
    }
PERL

my @children;
my $template = AnyEvent::Fork->new->eval($CODE, grep { !ref } @INC);
for my $n (1 .. 2) {
    my ($ours, $theirs) = AnyEvent::FDpasser::fdpasser_socketpair();
    my $passer = passer($ours);
    # A passer of the parent is in use meanwhile.
    my $got = 0;
    $passer->push_send_fh(numbered($n * 100 + $_)) for 1 .. 5;
    $passer->push_recv_fh(sub { $got += number_of($_[0]) }) for 1 .. 5;
    my $socket;
    $template->fork->send_fh($theirs)->run('echo', sub { $socket = shift });
    undef $theirs;
    wait_for { $got && $socket } 'the first one';
    wait_for { $got >= $n * 500 + 15 } 'all five';
    is $got, $n * 500 + 15, "process $n sends back what it receives";
    push @children, [ $passer, $socket ];
}
for (@children) {
    my ($passer, $socket) = @$_;
    my $end;
    my $watcher = AE::io($socket, 0, sub { $end = 1 });
    delete $passer->{on_error};
    $passer->error('enough');
    wait_for { $end } 'the end of the process';
    pass 'it ends when the passer does';
}
done_testing;

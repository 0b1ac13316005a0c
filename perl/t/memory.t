# SPDX-License-Identifier: MIT OR Apache-2.0
# Memory stays flat, however many descriptors pass: many at once and one at a time, several in a message, with data, and
# over passers that come and go. So it does over connections. FDPASSER_TEST_MEMORY is how many of each; a million takes
# minutes.
use strict;
use warnings;
use lib 't/lib';
use Loops;

use Test::More;
use Helpers;

my $ROUNDS = $ENV{FDPASSER_TEST_MEMORY} || 8000;    # descriptors that each kind passes
my $page   = POSIX::sysconf(POSIX::_SC_PAGESIZE());

sub resident {
    open my $statm, '<', '/proc/self/statm' or return;
    return (split ' ', readline $statm)[1] * $page;
}
plan skip_all => 'there is no /proc/self/statm' if !defined resident();

# Not wait_for: it makes timers, and AnyEvent's adaptor for IO::Async never frees a cancelled one.
alarm(100 + $ROUNDS / 100);
my $fh = numbered(1);

my $path     = temp_dir() . '/socket';
my $listener = AnyEvent::FDpasser::fdpasser_server($path, 100);

# Each passes at least as many descriptors as it is told.
my @peers = map { [ passers() ] } 1 .. 2;
my ($several) = map { [ passer($_->[0], undef, max_fds_per_message => 16), passer($_->[1]) ] }
  [ AnyEvent::FDpasser::fdpasser_socketpair() ];

sub pass_many {
    my ($x, $y, $count, $push, $receive) = @_;
    my $done = AE::cv();
    for (1 .. $count) {
        $done->begin for 1 .. 2;
        $push->($x, sub { $done->end });
        $receive->($y, sub { $done->end });
    }
    return $done->recv;
}
my $send = sub { $_[0]->push_send_fh($fh, $_[1]) };
my $recv = sub { $_[0]->push_recv_fh($_[1]) };
my %kind = (
    'many at once'  => sub { pass_many(@{ $peers[0] }, 400, $send, $recv) for 1 .. $_[0] / 400 },
    'one at a time' => sub {
        my ($left) = @_;
        my ($x, $y) = @{ $peers[1] };
        my $done = AE::cv();
        my $next;
        $next = sub {
            return $done->send if --$left < 0;
            $x->push_send_fh($fh);
            $y->push_recv_fh($next);
        };
        $next->();
        $done->recv;
        undef $next;
    },
    '16 in a message' => sub { pass_many(@$several, 400, $send, $recv) for 1 .. $_[0] / 400 },
    'with data'       => sub {
        pass_many(@{ $peers[0] }, 400, sub { $_[0]->push_send_message($fh, 'x' x 100, $_[1]) },
            sub { $_[0]->push_recv_message($_[1]) }) for 1 .. $_[0] / 400;
    },
    'connections' => sub {
        for (1 .. $_[0] / 20) {
            my $done = AE::cv();
            for (1 .. 20) {
                $done->begin;
                AnyEvent::FDpasser::fdpasser_connect_cb($path, sub { $done->end if $_[0] });
            }
            $done->recv;
            AnyEvent::FDpasser::fdpasser_accept($listener) for 1 .. 20;
        }
    },
    'passers that come and go' => sub {
        for (1 .. $_[0] / 80) {
            my @come = map { [ passers() ] } 1 .. 20;
            my $done = AE::cv();
            for (@come) {
                my ($x, $y) = @$_;
                $x->push_send_fh($fh) for 1 .. 4;
                for (1 .. 3) {
                    $done->begin;
                    $y->push_recv_fh(sub { $done->end });
                }
            }
            $done->recv;
        }
    },
);
delete @kind{'with data', 'connections'} if sysv();

for my $name (sort keys %kind) {
    my $run = $kind{$name};
    # What is allocated once, and what malloc keeps, is there after the first rounds.
    $run->($ROUNDS / 2) for 1 .. 2;
    ticks(1);
    # A leak grows each time. What malloc keeps does not.
    my $growth;
    for (1 .. 3) {
        my $before = resident();
        $run->($ROUNDS);
        ticks(1);
        my $more = resident() - $before;
        $growth = $more if !defined $growth || $more < $growth;
        last if $growth <= $page;
    }
    note sprintf '%s: %d bytes more after %d descriptors', $name, $growth, $ROUNDS;
    cmp_ok $growth / $ROUNDS, '<', 12, "$name: memory stays flat";
}
done_testing;

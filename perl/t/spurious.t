# SPDX-License-Identifier: MIT OR Apache-2.0
# Spurious readiness does no harm, however often it comes. The system then answers EAGAIN.
use strict;
use warnings;
use lib 't/lib';
use Loops;

use Errno qw(EAGAIN EINTR);
use Test::More;
use Helpers;

warm_up();
my $stdin = join ':', (POSIX::fstat(0))[ 0, 1, 6 ];

for my $errno (EAGAIN, EINTR) {
    for my $times (1, 2, 3, 20) {
        my ($x, $y) = passers();
        my (@sent, @got);
        my %left     = (send => $times, recv => $times);
        my @refusing = map {
            my $dir = $_;
            stand_in($dir => sub { my ($real) = @_; return $left{$dir}-- > 0 ? refuse($errno) : $real->() });
        } keys %left;
        for my $i (1 .. 3) {
            $x->push_send_fh(numbered($i), sub { push @sent, $i });
            $y->push_recv_fh(sub { push @got, number_of($_[0]); $left{recv} = $times });
        }
        wait_for { @sent == 3 && @got == 3 } "errno $errno, $times times";
        is_deeply [ \@sent, \@got ], [ [ 1 .. 3 ], [ 1 .. 3 ] ], "everything arrives in order after errno $errno, $times times in a row";
        ok !$_->{error_state}, 'there is no error' for $x, $y;
    }
}
is join(':', (POSIX::fstat(0))[ 0, 1, 6 ]), $stdin, 'standard input is unchanged';

# The same without a stand-in: another passer takes what made the socket readable.
{
    my ($p, $q) = AnyEvent::FDpasser::fdpasser_socketpair();
    open my $same, '<&', $p or die $!;
    my @passer = map { passer($_) } $p, $same;
    my @got;
    for my $passer (@passer) {
        my $again; $again = sub { push @got, number_of($_[0]); $passer->push_recv_fh($again) };
        $passer->push_recv_fh($again);
    }
    my $x = passer($q, []);
    for my $i (1 .. 100) {
        $x->push_send_fh(numbered($i));
        ticks(1) if $i % 25 == 0;
    }
    wait_for { @got == 100 };
    is_deeply [ sort { $a <=> $b } @got ], [ 1 .. 100 ], 'two passers on one socket receive each descriptor once';
    ok !$_->{error_state}, 'there is no error' for @passer;
    $_->error('done') for map { delete $_->{on_error}; $_ } @passer;
}
done_testing;

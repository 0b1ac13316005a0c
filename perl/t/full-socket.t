# SPDX-License-Identifier: MIT OR Apache-2.0
# The socket is full. Nothing is lost, and nothing blocks.
use strict;
use warnings;
use lib 't/lib';
use Loops;

use Fcntl qw(F_GETFL O_NONBLOCK);
use Socket qw(SOL_SOCKET SO_SNDBUF);
use Test::More;
use Helpers;

my $total = 5000;
my @fh    = map { numbered($_) } 0 .. 49;    # sent again and again in this order

for my $blocking (0, 1) {
    my ($mine, $theirs) = AnyEvent::FDpasser::fdpasser_socketpair();
    pipe my $go, my $say_go or die $!;
    # The peer does not read until it is told to. Then it reads slowly. It uses no event loop, because the parent
    # has one already.
    my $child = in_child {
        close $_ for $mine, $say_go;
        readline $go;
        for my $i (0 .. $total - 1) {
            my $fd = AnyEvent::FDpasser::recv_fd(fileno $theirs);
            die "number $i: $!" if $fd < 0;
            die "number $i: end of file" if $fd == 0;
            my $number = number_of($fd);
            die "number $i is $number" if $number ne $i % 50;
            POSIX::close($fd);
            select undef, undef, undef, 0.001 if $i % 500 == 0;    # this makes it slow
        }
        return AnyEvent::FDpasser::recv_fd(fileno $theirs) == 0;
    };
    close $_ for $theirs, $go;
    my $passer = passer($mine, undef, $blocking ? (dont_set_nonblocking => 1) : ());
    # A small buffer gets full between two looks at the socket. A call that can wait would then wait.
    setsockopt $mine, SOL_SOCKET, SO_SNDBUF, 1 or die $! if $blocking && !sysv();
    is !(fcntl($mine, F_GETFL, 0) & O_NONBLOCK), !!$blocking, $blocking ? 'the socket is blocking' : 'the socket is non-blocking';
    my @sent;
    alarm 120;    # in case that a call blocks
    for my $i (0 .. $total - 1) {
        $passer->push_send_fh($fh[ $i % 50 ], sub { push @sent, $i });
    }
    my $last = -1;
    until (@sent == $last) { $last = @sent; ticks(3) }
    cmp_ok scalar @sent, '<', $total, 'the socket gets full, and the loop runs';
    cmp_ok scalar @sent, '>', 0, 'some were sent';
    close $say_go;
    wait_for { @sent == $total } 'the rest';
    is_deeply \@sent, [ 0 .. $total - 1 ], 'every callback runs once, in order';
    undef $_ for $passer, $mine;
    child_ok($child, 'every descriptor arrives once, in order');
    alarm 0;
}
{
    # More callbacks wait than descriptors arrive.
    my ($p, $q) = AnyEvent::FDpasser::fdpasser_socketpair();
    my $passer = passer($p, undef, dont_set_nonblocking => 1);
    my @got;
    $passer->push_recv_fh(sub { push @got, number_of($_[0]) }) for 1 .. 5;
    AnyEvent::FDpasser::send_fd(fileno $q, fileno $fh[$_]) for 1 .. 2;
    wait_for { @got == 2 };
    ticks(2);
    is_deeply \@got, [ 1, 2 ], 'receiving from a blocking socket does not block the loop';
    $passer->error('done') if delete $passer->{on_error};
}
done_testing;

# SPDX-License-Identifier: MIT OR Apache-2.0
# An internet socket takes messages and drops the descriptors. If a callback puts one in the place of the passer's socket,
# the passer fails: at the beginning of its next turn, and at the latest with the last entry of the queue.
use strict;
use warnings;
use lib 't/lib';
use Loops;

use Errno qw(EAFNOSUPPORT EBADF);
use IO::Socket::INET;
use Test::More;
use Helpers;

plan skip_all => 'no internet sockets with the SysV interface' if sysv();
my $listener = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1')
  or plan skip_all => "no internet sockets here: $@";

# A connected one and the peer that reads from it.
sub internet {
    my $client = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $listener->sockport) or die "connect: $@";
    return ($client, $listener->accept);
}

my %replace = (
    'by its number' => sub { my ($fh, $socket) = @_; POSIX::dup2(fileno $socket, fileno $fh) // die "dup2: $!" },
    'through Perl'  => sub { my ($fh, $socket) = @_; open $fh, '+<&', $socket or die "open: $!" },
);

for my $how (sort keys %replace) {
    for my $at (0, 1, 5, 48, 60) {    # 0: before the first event
        my $errors = [];
        my ($x, $y) = raw_pair($errors);
        my ($socket, $peer) = internet();
        my $sent = 0;
        my $total = 70;
        for my $n (1 .. $total) {
            $x->push_send_fh(numbered($n), sub { $sent++; $replace{$how}->($x->{fh}, $socket) if $sent == $at });
        }
        $replace{$how}->($x->{fh}, $socket) if !$at;
        wait_for { @$errors || $sent == $total } "$how at $at";
        is scalar @$errors, 1, "$how at $at: there is an error";
        is $errors->[0] + 0, EAFNOSUPPORT, '... and it says why';
        cmp_ok $sent, '<', $total, '... before the queue is empty';
    }
}
done_testing;

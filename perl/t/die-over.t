# SPDX-License-Identifier: MIT OR Apache-2.0
# A callback dies while the passer is about to be shut down, or before the other callbacks of its message have run. The
# other callbacks still run, and on_error still runs, whatever the state of the socket is.
use strict;
use warnings;
use lib 't/lib';
use Loops;

use Errno qw(EBADF EPIPE);
use Test::More;
use Helpers;
use Exceptions;

warm_up();
Exceptions::collect();

# --- one message carries them all: none waits to be sent any more
for my $per_message (4, 16) {
    my ($x, $y) = raw_pair();
    my $passer = passer(delete $x->{fh}, undef, max_fds_per_message => $per_message);
    my @sent;
    for my $i (1 .. 4) {
        $passer->push_send_fh(numbered($i), sub { push @sent, $i; die "callback $i\n" if $i < 4 });
    }
    through { @sent == 4 } "the callbacks of one message ($per_message)";
    is_deeply \@sent, [ 1 .. 4 ], "with up to $per_message in a message all callbacks ran once, in order";
}

# --- the last handle before an error is delivered; with EBADF the socket itself reports no error
for my $errno (EPIPE, EBADF) {
    my $errors = [];
    my ($x, $y) = raw_pair($errors);
    my $got;
    # The handle arrives just when sending fails. So the failing passer is what receives it.
    my $failing = stand_in(send => sub {
        my ($real) = @_;
        peer_sends($y, 1);
        return refuse($errno) if $errno == EBADF;
        close $y;
        return $real->();
    });
    $x->push_recv_fh(sub { $got = number_of($_[0]); die "callback\n" });
    $x->push_send_fh(numbered(2));
    through { @$errors } "on_error (errno $errno)";
    is $got, 1, "errno $errno: what had arrived was delivered";
    is $errors->[0] + 0, $errno, 'on_error ran and has the reason';
}

done_testing;

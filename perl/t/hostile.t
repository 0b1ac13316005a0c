# SPDX-License-Identifier: MIT OR Apache-2.0
# The peer does not keep to the wire format.
use strict;
use warnings;
use lib 't/lib';
use Loops;

use Errno qw(EBADMSG);
use Socket qw(SOL_SOCKET);
use Test::More;
use Helpers;

warm_up();
my @std = map { join ':', (POSIX::fstat($_))[ 0, 1, 6 ] } 0 .. 2;

sub ends_with {
    my ($name, $errno, $expected, @message) = @_;
    my $before = open_fds();
    my $errors = [];
    my @got;
    {
        my ($x, $y) = raw_pair($errors);
        $_->($y) for @message;
        $x->push_recv_fh(sub { push @got, number_of($_[0]) }) for 1 .. 10;
        if (defined $errno) { wait_for { @$errors } $name }
        else                { wait_for { @got == @$expected } $name; ticks(1); $x->error('end') }
        is $errors->[0] + 0, $errno, "$name: the error is right" if defined $errno;
        is_deeply \@got, $expected, "$name: the right handles are received";
    }
    ticks(1);
    is open_fds(), $before, "$name: nothing is left open";
}

my $byte = sub { my ($bytes) = @_; return sub { syswrite $_[0], $bytes } };
my $good = sub { my ($n) = @_; return sub { AnyEvent::FDpasser::send_fd(fileno $_[0], fileno numbered($n)) } };

ends_with('a plain byte', EBADMSG, [], $byte->('x'));
# On STREAMS the descriptor of a NUL byte may still come, or its sender died before it sent that.
if (sysv()) { ends_with('a NUL byte', undef,   [1], $byte->("\0"), $good->(1)) }
else        { ends_with('a NUL byte', EBADMSG, [],  $byte->("\0")) }
ends_with('many bytes',   EBADMSG, [], $byte->('x' x 1000));
ends_with('a plain byte after good ones', EBADMSG, [ 1, 2 ], $good->(1), $good->(2), $byte->("\1"));

SKIP: {
    my $none = can_send_messages();
    skip $none, 14 if defined $none;
    skip 'a message of STREAMS has bytes or a descriptor, not both', 14 if sysv();
    my $message = sub { my ($bytes, @n) = @_; return sub { send_message($_[0], $bytes, map { numbered($_) } @n) } };
    ends_with('a byte that is not NUL', undef, [ 1, 2 ], $message->('x', 1), $good->(2));
    ends_with('two bytes with a descriptor', undef, [ 1, 2 ], $message->('xy', 1), $good->(2));
    ends_with('the longest message', undef, [ 1, 2 ], $message->('x' x 4096, 1), $good->(2));
    ends_with('bytes that wait in front of a message', undef, [ 1, 2 ], $message->('x'), $good->(1), $good->(2));
    ends_with('a message without descriptors', EBADMSG, [1], $good->(1), $message->('x'));
    ends_with('several, then a byte', EBADMSG, [ 1 .. 9 ], $message->("\0", 1 .. 9), $byte->('x'));
}
SKIP: {
    skip 'STREAMS carry no credentials', 1 if sysv();
    my $passcred = eval { Socket::SO_PASSCRED() } || ($^O eq 'linux' ? 16 : undef);
    skip 'no SO_PASSCRED here', 1 if !defined $passcred;
    my ($x, $y) = raw_pair();
    setsockopt $x->{fh}, SOL_SOCKET, $passcred, 1 or skip "SO_PASSCRED: $!", 1;
    my @got;
    $x->push_recv_fh(sub { push @got, number_of($_[0]) }) for 1 .. 2;
    AnyEvent::FDpasser::send_fd(fileno $y, fileno numbered($_)) for 1 .. 2;
    wait_for { @got == 2 };
    is_deeply \@got, [ 1, 2 ], 'credentials that come with the descriptor are skipped';
}
is_deeply [ map { join ':', (POSIX::fstat($_))[ 0, 1, 6 ] } 0 .. 2 ], \@std, 'the standard handles are unchanged';
done_testing;

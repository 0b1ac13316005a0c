# SPDX-License-Identifier: MIT OR Apache-2.0
# send_fd, recv_fd and fdpasser_mode take and return numbers. Other values are not taken for 0, which is standard input.
use strict;
use warnings;

use Errno qw(EAGAIN EBADF);
use Test::More;
use lib 't/lib';
use Helpers;

my ($x, $y) = AnyEvent::FDpasser::fdpasser_socketpair();
AnyEvent::Util::fh_nonblocking($_, 1) for $x, $y;
my $send = \&AnyEvent::FDpasser::send_fd;
my $recv = \&AnyEvent::FDpasser::recv_fd;

like(AnyEvent::FDpasser::fdpasser_mode(), qr/\A[12]\z/, 'fdpasser_mode');
is $recv->(fileno $y), -1, 'recv_fd returns -1 when nothing has arrived';
is $! + 0, EAGAIN, '$! is EAGAIN';

my $fh = numbered(7);
is $send->(fileno $x, fileno $fh), 1, 'send_fd returns 1';
my $fd = $recv->(fileno $y);
cmp_ok $fd, '>', 2, 'recv_fd returns a number above 2';
is number_of($fd), 7, 'it is the descriptor that was sent';
POSIX::close($fd);

is $send->(fileno($x) . '', fileno($fh) . ''), 1, 'a string of digits is taken as a number';
is raw_state($y), 7, 'the descriptor arrives';
is $send->(fileno $x, 0), 1, 'standard input can be sent by its number';
my $stdin = $recv->(fileno $y);
cmp_ok $stdin, '>', 2, 'it is not received as 0, which means end of file';
ok same_file($stdin, 0), 'what arrives is standard input';
POSIX::close($stdin);

my @garbage = (
    [ undef, undef ], [ 'an empty string', '' ], [ 'letters', 'abc' ], [ 'STDIN', 'STDIN' ],
    [ -1, -1 ], [ '2**31', 2**31 ], [ '2**32', 2**32 ], [ '2**64', 2**64 ], [ '-2**32', -2**32 ],
    [ 'infinity', 9**9**9 ], [ 'not a number', -sin 9**9**9 ], [ 'the string nan', 'nan' ],
    [ 'a fraction', 0.5 ], [ 'hexadecimal', '0x0' ], [ 'a hash', {} ], [ 'a number that is not open', 9999999 ],
);
# Handles are not numbers.
push @garbage, [ 'a handle', \*STDIN ], [ 'a glob', *STDIN ];
my @warnings;
local $SIG{__WARN__} = sub { push @warnings, @_ };
for (@garbage) {
    my ($name, $value) = @$_;
    $name = 'undef' if !defined $name;
    $! = 0;
    is $send->(fileno $x, $value), -1, "send_fd does not take $name as a descriptor";
    is $! + 0, EBADF, '... $! is EBADF';
    is raw_state($y), 'nothing', '... nothing is sent';
    $! = 0;
    is $send->($value, fileno $fh), -1, "send_fd does not take $name as a passer";
    is $! + 0, EBADF, '... $! is EBADF';
    $! = 0;
    is $recv->($value), -1, "recv_fd does not take $name as a passer";
    is $! + 0, EBADF, '... $! is EBADF';
}
is_deeply \@warnings, [], 'there are no warnings';

close $x;
is $recv->(fileno $y), 0, 'recv_fd returns 0 at the end of file';
is $send->(fileno $y, fileno $fh), -1, 'send_fd returns -1 when the peer is gone';
ok $!{EPIPE}, '$! is EPIPE, and there is no signal';
done_testing;

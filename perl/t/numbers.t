# send_fd, recv_fd and fdpasser_mode, called with numbers; and what is no number is never taken for 0,
# which is standard input.
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
is $recv->(fileno $y), -1, 'nothing there';
is $! + 0, EAGAIN, 'EAGAIN';

my $fh = numbered(7);
is $send->(fileno $x, fileno $fh), 1, 'send_fd';
my $fd = $recv->(fileno $y);
cmp_ok $fd, '>', 2, 'recv_fd';
is number_of($fd), 7, 'the right one';
POSIX::close($fd);

is $send->(fileno($x) . '', fileno($fh) . ''), 1, 'a string of digits is a number';
is raw_state($y), 7, 'and arrives';
is $send->(fileno $x, 0), 1, 'standard input can be sent: by its number';
my $stdin = $recv->(fileno $y);
cmp_ok $stdin, '>', 2, 'and is not mistaken for end of file';
ok same_file($stdin, 0), 'it is standard input';
POSIX::close($stdin);

my @garbage = (
    [ undef, undef ], [ 'an empty string', '' ], [ 'letters', 'abc' ], [ 'STDIN', 'STDIN' ],
    [ -1, -1 ], [ '2**31', 2**31 ], [ '2**32', 2**32 ], [ '2**64', 2**64 ], [ '-2**32', -2**32 ],
    [ 'infinity', 9**9**9 ], [ 'not a number', -sin 9**9**9 ], [ 'the string nan', 'nan' ],
    [ 'a fraction', 0.5 ], [ 'hexadecimal', '0x0' ], [ 'a hash', {} ], [ 'a number that is not open', 9999999 ],
);
{
    # \*STDIN is a handle, not a number; so are these.
    push @garbage, [ 'a handle', \*STDIN ], [ 'a glob', *STDIN ];
}
my @warnings;
local $SIG{__WARN__} = sub { push @warnings, @_ };
for (@garbage) {
    my ($name, $value) = @$_;
    $name = 'undef' if !defined $name;
    $! = 0;
    is $send->(fileno $x, $value), -1, "send_fd: $name is no descriptor";
    is $! + 0, EBADF, '... EBADF';
    is raw_state($y), 'nothing', '... and nothing was sent';
    $! = 0;
    is $send->($value, fileno $fh), -1, "send_fd: $name is no passer";
    is $! + 0, EBADF, '... EBADF';
    $! = 0;
    is $recv->($value), -1, "recv_fd: $name is no passer";
    is $! + 0, EBADF, '... EBADF';
}
is_deeply \@warnings, [], 'no warnings';

close $x;
is $recv->(fileno $y), 0, 'end of file is 0';
is $send->(fileno $y, fileno $fh), -1, 'sending to nobody';
ok $!{EPIPE}, 'is EPIPE, and no signal';
done_testing;

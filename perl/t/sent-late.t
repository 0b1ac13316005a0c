# SPDX-License-Identifier: MIT OR Apache-2.0
# A queued handle is kept alive until it is sent. Its fileno is read when it is sent. It stays open if the caller keeps a
# reference. Otherwise it is closed before the callback runs.
use strict;
use warnings;
use lib 't/lib';
use Loops;

use Errno qw(EBADF);
use Test::More;
use Helpers;

{
    my $errors = [];
    my ($x, $y) = raw_pair($errors);
    my $fh = numbered(1);
    $x->push_send_fh($fh);
    close $fh;
    wait_for { @$errors };
    is $errors->[0] + 0, EBADF, 'a handle that is closed before it is sent is an EBADF';
    my $state;
    wait_for { ($state = raw_state($y)) ne 'nothing' };
    is $state, 'end of file', 'nothing is sent';
}
{
    my ($x, $y) = raw_pair();
    my $fh = numbered(1);
    my $sent;
    $x->push_send_fh($fh, sub { $sent = 1 });
    close $fh;
    open $fh, '<&', numbered(2) or die $!;
    wait_for { $sent };
    is raw_state($y), 2, 'a handle that is reopened before it is sent is sent as it is now';
    is number_of($fh), 2, 'it stays open for the caller';
}
{
    my ($x, $y) = raw_pair();
    my ($sent, $open);
    my $fh = numbered(3);
    my $fd = fileno $fh;
    $x->push_send_fh($fh, sub { $sent = 1; $open = is_open($fd) });
    undef $fh;
    ok is_open($fd), 'a queued handle is kept alive';
    wait_for { $sent };
    is raw_state($y), 3, 'the queued handle is sent';
    ok !$open, 'the handle is closed when the callback runs';
}
{
    my ($x, $y) = raw_pair();
    my ($sent, @open) = (0);
    my @fd;
    for my $i (0 .. 9) {
        my $fh = numbered($i);
        push @fd, fileno $fh;
        $x->push_send_fh($fh, sub { $sent++; push @open, is_open($fd[$i]) });
    }
    wait_for { $sent == 10 };
    is_deeply \@open, [ (0) x 10 ], 'so are all handles of one event';
}
{
    # The only writing end of a pipe is sent, and the receiver closes it. Then the reader sees the end of file, because
    # the sender has closed its copy.
    my ($x, $y) = passers();
    pipe my $r, my $w or die $!;
    AnyEvent::Util::fh_nonblocking($r, 1);
    my ($sent, $received);
    $x->push_send_fh($w, sub { $sent = 1 });
    undef $w;
    $y->push_recv_fh(sub { $received = 1 });
    wait_for { $sent && $received };
    is sysread($r, my $byte, 1), 0, 'no copy of the descriptor is left anywhere';
}
{
    my ($x, $y) = raw_pair();
    my ($sent, $open);
    my $fh = numbered(4);
    $x->push_send_fh($fh, sub { $sent = 1; $open = is_open(fileno $fh) });
    wait_for { $sent };
    ok $open, 'a handle that the caller keeps is open in the callback';
    $sent = 0;
    $x->push_send_fh($fh, sub { $sent++ }) for 1 .. 3;
    wait_for { $sent == 3 };
    is_deeply [ map { raw_state($y) } 1 .. 5 ], [ 4, 4, 4, 4, 'nothing' ], 'a handle that the caller keeps can be sent again';
    is number_of($fh), 4, 'it is still open';
}
{
    my $errors = [];
    my ($x, $y) = raw_pair($errors);
    my @fd = map { my $fh = numbered($_); $x->push_send_fh($fh); fileno $fh } 1 .. 3;
    $x->error('enough');
    is_deeply [ map { is_open($_) } @fd ], [ 0, 0, 0 ], 'an error closes the queued handles';
    my $state;
    wait_for { ($state = raw_state($y)) ne 'nothing' };
    is $state, 'end of file', 'and sends none of them';
}
done_testing;

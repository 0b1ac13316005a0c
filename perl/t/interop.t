# SPDX-License-Identifier: MIT OR Apache-2.0
# The wire is compatible with IO::FDPass, Socket::MsgHdr and Python, in both directions.
use strict;
use warnings;
use lib 't/lib';
use Loops qw(Perl);

use Fcntl qw(F_SETFD);
use Socket qw(SOL_SOCKET SCM_RIGHTS);
use Test::More;
use Helpers;

plan skip_all => 'the other programs use SCM_RIGHTS, not STREAMS' if sysv();
my ($passer, $raw) = raw_pair();
AnyEvent::Util::fh_nonblocking($raw, 0);

sub we_send {
    my @n = @_;
    my $sent = 0;
    $passer->push_send_fh(numbered($_), sub { $sent++ }) for @n;
    wait_for { $sent == @n };
}
sub we_get {
    my ($n) = @_;
    my @got;
    $passer->push_recv_fh(sub { push @got, number_of($_[0]) }) for 1 .. $n;
    wait_for { @got == $n };
    return "@got";
}
sub number_and_close { my ($fd) = @_; my $number = number_of($fd); POSIX::close($fd); return $number }

SKIP: {
    skip 'IO::FDPass is not installed', 2 if !eval { require IO::FDPass };
    we_send(1 .. 3);
    is join(' ', map { number_and_close(IO::FDPass::recv(fileno $raw)) } 1 .. 3), '1 2 3', 'IO::FDPass receives';
    my @fh = map { numbered($_) } 4 .. 6;
    IO::FDPass::send(fileno $raw, fileno $_) or die $! for @fh;
    is we_get(3), '4 5 6', 'IO::FDPass sends';
}
SKIP: {
    skip 'Socket::MsgHdr is not installed', 5 if !eval { require Socket::MsgHdr };
    we_send(1 .. 3);
    for my $n (1 .. 3) {
        my $message = Socket::MsgHdr->new(buflen => 16, controllen => 256);
        is Socket::MsgHdr::recvmsg($raw, $message, 0), 1, 'a message has one byte';
        my ($level, $type, $data) = $message->cmsghdr;
        is_deeply [ $message->buf, $level, $type, map { number_and_close($_) } unpack 'i*', $data ],
          [ "\0", SOL_SOCKET, SCM_RIGHTS, $n ], 'Socket::MsgHdr receives a NUL and one descriptor';
    }
    for my $n (4 .. 6) {
        my $fh = numbered($n);
        my $message = Socket::MsgHdr->new(buf => "\0");
        $message->cmsghdr(SOL_SOCKET, SCM_RIGHTS, pack 'i', fileno $fh);
        Socket::MsgHdr::sendmsg($raw, $message, 0) or die $!;
    }
    is we_get(3), '4 5 6', 'Socket::MsgHdr sends';
}
SKIP: {
    my $python = `python3 -c 'import socket; socket.send_fds; print("yes")' 2>/dev/null` || '';
    skip 'python3 with socket.send_fds is not installed', 4 if $python !~ /yes/;
    my $run = sub {
        my ($program, @fh) = @_;
        pipe my $r, my $w or die $!;
        my $child = in_child {
            fcntl $_, F_SETFD, 0 for $raw, @fh;
            POSIX::dup2(fileno $w, 1);
            exec 'python3', '-c', $program, map { fileno $_ } $raw, @fh;
        };
        close $w;
        my $out = do { local $/; <$r> };
        child_verdict($child);
        return defined $out ? $out : '';
    };
    we_send(1 .. 3);
    is $run->(<<'PY'), "b'\\x00' 1 0 [1]\nb'\\x00' 1 0 [2]\nb'\\x00' 1 0 [3]\n", 'Python receives';
import os, socket, sys
s = socket.socket(fileno=int(sys.argv[1]))
for i in range(3):
    data, fds, flags, address = socket.recv_fds(s, 16, 16)
    print(data, len(fds), flags & socket.MSG_CTRUNC, [os.lseek(fd, 0, os.SEEK_CUR) for fd in fds])
PY
    my @fh = map { numbered($_) } 4 .. 6;
    is $run->(<<'PY', @fh), "1 1 1\n", 'Python sends';
import socket, sys
s = socket.socket(fileno=int(sys.argv[1]))
print(*[socket.send_fds(s, [b'\0'], [int(fd)]) for fd in sys.argv[2:]])
PY
    is we_get(3), '4 5 6', '... and its single descriptors arrive';
    $run->(<<'PY', @fh);
import socket, sys
s = socket.socket(fileno=int(sys.argv[1]))
socket.send_fds(s, [b'fds'[:1]], [int(fd) for fd in sys.argv[2:]])
PY
    is we_get(3), '4 5 6', '... and so do three in one message';
}
done_testing;

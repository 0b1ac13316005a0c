#!/usr/bin/perl
# Not ours: Socket::MsgHdr.
#
# SPDX-License-Identifier: MIT OR Apache-2.0
use strict;
use warnings;

use Socket qw(SOL_SOCKET SCM_RIGHTS);
use Socket::MsgHdr;

my ($role, $count, $passer) = @ARGV;
open my $socket, '+<&=', $passer or die "descriptor $passer: $!\n";

# The descriptors of the next message; none at the end.
sub receive {
    my $message = Socket::MsgHdr->new(buflen => 1, controllen => 256);
    my $n = recvmsg($socket, $message, 0) // die "recvmsg: $!\n";
    my @control = $message->cmsghdr;
    return if $n == 0 && !@control;
    my ($level, $type, $data) = @control;
    die "not one NUL with descriptors\n"
      if $message->buf ne "\0" || @control != 3 || $level != SOL_SOCKET || $type != SCM_RIGHTS;
    return unpack 'i*', $data;
}

if ($role eq 'send') {
    for my $number (1 .. $count) {
        pipe my $reader, my $writer or die "pipe: $!\n";
        syswrite $writer, $number;
        close $writer;
        my $message = Socket::MsgHdr->new(buf => "\0");
        $message->cmsghdr(SOL_SOCKET, SCM_RIGHTS, pack 'i', fileno $reader);
        sendmsg($socket, $message, 0) or die "sendmsg of $number: $!\n";
    }
}
elsif ($role eq 'recv') {
    for my $number (1 .. $count) {
        my @fds = receive();
        die @fds . " descriptors came, not $number\n" if @fds != 1;
        open my $fh, '<&=', $fds[0] or die "descriptor $fds[0]: $!\n";
        my $text = do { local $/; readline $fh };
        die "'$text' came, not $number\n" if $text ne $number;
    }
    die "more than $count came\n" if receive();
}
else {
    die "usage: socket_msghdr.pl send|recv COUNT PASSER\n";
}

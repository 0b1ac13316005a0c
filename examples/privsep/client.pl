#!/usr/bin/env perl

# Asks a helper (helper.c, helper.pl) for a file, and copies to standard output what is in it.
#
# Usage: client.pl NODE NAME
#
# SPDX-License-Identifier: MIT OR Apache-2.0

use strict;
use warnings;

use AnyEvent::FDpasser;
use Errno qw(EACCES EPERM);

@ARGV == 2 or die "usage: $0 NODE NAME\n";
my ($node, $name) = @ARGV;

# Returns a handle of the file, or nothing with $!: EACCES if the helper refuses.
sub ask {
    local $SIG{PIPE} = 'IGNORE';
    my $fh     = eval { AnyEvent::FDpasser::fdpasser_connect($node) } or return;
    my $passer = AnyEvent::FDpasser->new(fh => $fh, dont_set_nonblocking => 1);

    # What a helper gives us we trust. So it has to be root's, or our own.
    my ($helper) = $passer->peer_cred;
    if (!defined $helper || $helper != 0 && $helper != $>) {
        $! = EPERM;
        return;
    }
    # EPIPE: it has read enough to refuse
    defined syswrite $fh, $name and shutdown $fh, 1 or $!{EPIPE} or return;
    my $fd = AnyEvent::FDpasser::recv_fd(fileno $fh);
    $! = EACCES if $fd == 0 || $fd < 0 && $!{ECONNRESET};
    return if $fd <= 0;
    open my $file, '<&=', $fd or return;
    return $file;
}

my $file = ask() or die "$name: $!\n";
my $n;
while ($n = sysread $file, my $buffer, 65536) {
    print $buffer or die "standard output: $!\n";
}
defined $n or die "$name: $!\n";
close STDOUT or die "standard output: $!\n";

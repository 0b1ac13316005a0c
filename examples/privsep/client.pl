#!/usr/bin/env perl

# Asks a helper (helper.c, helper.pl) for a file and copies the contents to standard output.
#
# Usage: client.pl NODE NAME
#
# SPDX-License-Identifier: MIT OR Apache-2.0

use strict;
use warnings;

use AnyEvent::FDpasser;
use Errno qw(EACCES EPERM);
use Time::HiRes ();

use constant ANSWER => 15;    # seconds: more than a busy helper gives to each of the others

@ARGV == 2 or die "usage: $0 NODE NAME\n";
my ($node, $name) = @ARGV;

# Returns a handle of the file, or nothing with $!: EACCES if the helper refuses.
sub ask {
    local $SIG{PIPE} = 'IGNORE';
    my $fh     = eval { AnyEvent::FDpasser::fdpasser_connect($node) } or return;
    my $passer = AnyEvent::FDpasser->new(fh => $fh, dont_set_nonblocking => 1);

    # We trust what a helper gives us, so it has to be root's or our own.
    my ($helper) = $passer->peer_cred;
    if (!defined $helper || $helper != 0 && $helper != $>) {
        $! = EPERM;
        return;
    }
    # With EPIPE the helper has read enough to refuse, and recv_fd says so.
    defined syswrite $fh, $name and shutdown $fh, 1 or $!{EPIPE} or return;
    my $fd = AnyEvent::FDpasser::recv_fd(fileno $fh);
    $! = EACCES if $fd == 0 || $fd < 0 && $!{ECONNRESET};
    return if $fd <= 0;
    open my $file, '<&=', $fd or return;
    return $file;
}

# To connect may wait, for room in the helper's backlog, and so may each step after it. The alarm is repeated,
# as the first one may come just before a wait.
$SIG{ALRM} = sub { warn "the helper does not answer\n"; exit 1 };
Time::HiRes::alarm(ANSWER, 1);
my $file = ask() or die "$name: $!\n";
Time::HiRes::alarm(0);
my $n;
while ($n = sysread $file, my $buffer, 65536) {
    print $buffer or die "standard output: $!\n";
}
defined $n or die "$name: $!\n";
close STDOUT or die "standard output: $!\n";

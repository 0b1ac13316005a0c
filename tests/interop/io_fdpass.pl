#!/usr/bin/perl
# Not ours: IO::FDPass.
#
# SPDX-License-Identifier: MIT OR Apache-2.0
use strict;
use warnings;

use IO::FDPass;

my ($role, $count, $passer) = @ARGV;

if ($role eq 'send') {
    for my $number (1 .. $count) {
        pipe my $reader, my $writer or die "pipe: $!\n";
        syswrite $writer, $number;
        close $writer;
        IO::FDPass::send($passer, fileno $reader) or die "send of $number: $!\n";
    }
}
elsif ($role eq 'recv') {
    for my $number (1 .. $count) {
        my $fd = IO::FDPass::recv($passer);
        die "recv of $number: $!\n" if $fd < 0;
        open my $fh, '<&=', $fd or die "descriptor $fd: $!\n";
        my $text = do { local $/; readline $fh };
        die "'$text' came, not $number\n" if $text ne $number;
    }
    # What it does at the end of the file is its own affair, but it has no descriptor then.
    die "more than $count came\n" if IO::FDPass::recv($passer) >= 0;
}
else {
    die "usage: io_fdpass.pl send|recv COUNT PASSER\n";
}

#!/usr/bin/perl
# AnyEvent::FDpasser, on the event loop that PERL_ANYEVENT_MODEL names.
#
# SPDX-License-Identifier: MIT OR Apache-2.0
use strict;
use warnings;

use AnyEvent;
use AnyEvent::FDpasser;

my ($role, $count, $fd) = @ARGV;
open my $socket, '+<&=', $fd or die "descriptor $fd: $!\n";

my $done   = AE::cv;
my $number = 0;
my $ended  = sub { $done->croak("the end came after $number: " . ($@ // 'orderly shutdown') . "\n") };
my $passer = AnyEvent::FDpasser->new(fh => $socket, on_error => sub { $ended->() });
undef $socket;

if ($role eq 'send') {
    my $next;
    $next = sub {
        return $done->send if ++$number > $count;
        pipe my $reader, my $writer or die "pipe: $!\n";
        syswrite $writer, $number;
        close $writer;
        $passer->push_send_fh($reader, $next);
    };
    $next->();
}
elsif ($role eq 'recv') {
    my $next;
    $next = sub {
        my ($fh) = @_;
        my $text = do { local $/; readline $fh };
        $number++;
        return $done->croak("'$text' came, not $number\n") if $text ne $number;
        if ($number == $count) {
            $ended = sub { defined $@ ? $done->croak($@) : $done->send };
            $next  = sub { $done->croak("more than $count came\n") };
        }
        $passer->push_recv_fh($next);
    };
    $passer->push_recv_fh($next);
}
else {
    die "usage: anyevent.pl send|recv COUNT PASSER\n";
}
$done->recv;

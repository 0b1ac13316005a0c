#!/usr/bin/perl
# AnyEvent::FDpasser, on the event loop that PERL_ANYEVENT_MODEL names.
#
# Usage: anyevent.pl data|plain send|recv COUNT PASSER
#
# With "plain" it neither sends data nor asks for it.
#
# SPDX-License-Identifier: MIT OR Apache-2.0
use strict;
use warnings;

use AnyEvent;
use AnyEvent::FDpasser;

my ($form, $role, $count, $fd) = @ARGV;
open my $socket, '+<&=', $fd or die "descriptor $fd: $!\n";
binmode $_ for *STDIN, *STDOUT;

my $done   = AE::cv;
my $number = 0;
my $ended  = sub { $done->croak("the end came after $number: " . ($@ // 'orderly shutdown') . "\n") };
my $passer = AnyEvent::FDpasser->new(fh => $socket, on_error => sub { $ended->() });
undef $socket;

my %push = $form eq 'data' ? (
    send => sub {
        my ($fh, $next) = @_;
        chomp(my $line = readline(STDIN) // '');
        $passer->push_send_message($fh, $line, $next);
    },
    recv => sub { $passer->push_recv_message(@_) },
) : (
    send => sub { $passer->push_send_fh(@_) },
    recv => sub { $passer->push_recv_fh(@_) },
);

if ($role eq 'send') {
    my $next;
    $next = sub {
        return $done->send if ++$number > $count;
        pipe my $reader, my $writer or die "pipe: $!\n";
        syswrite $writer, $number;
        close $writer;
        $push{send}->($reader, $next);
    };
    $next->();
}
elsif ($role eq 'recv') {
    my $next;
    $next = sub {
        my ($fh, $data) = @_;
        my $text = do { local $/; readline $fh };
        $number++;
        return $done->croak("'$text' came, not $number\n") if $text ne $number;
        print "$number: ", $data // '', "\n" if $form eq 'data';
        if ($number == $count) {
            $ended = sub { defined $@ ? $done->croak($@) : $done->send };
            $next  = sub { $done->croak("more than $count came\n") };
        }
        $push{recv}->($next);
    };
    $push{recv}->($next);
}
else {
    die "usage: anyevent.pl data|plain send|recv COUNT PASSER\n";
}
$done->recv;

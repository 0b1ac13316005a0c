#!/usr/bin/perl
# What terminal.c does, with AnyEvent::FDpasser.
#
# Usage: terminal.pl NODE COMMAND...
#
# SPDX-License-Identifier: MIT OR Apache-2.0
use strict;
use warnings;

use AnyEvent;
use AnyEvent::FDpasser;
use Errno qw(EIO);

use constant PATIENCE => 30;    # seconds

my ($node, @command) = @ARGV;
die "usage: terminal.pl NODE COMMAND...\n" if !@command;

my $listener = AnyEvent::FDpasser::fdpasser_server($node);
my $pid      = fork // die "fork: $!\n";
if (!$pid) {
    exec @command, $node;
    die "$command[0]: $!\n";
}

my $received = AE::cv;
my $late     = AE::timer(PATIENCE, 0, sub { $received->croak("no two terminals came\n") });
my (@passers, @terminals);
my $accept = AE::io($listener, 0, sub {
    my $fh = AnyEvent::FDpasser::fdpasser_accept($listener) or return $received->croak("accept: $!\n");
    my $passer = AnyEvent::FDpasser->new(fh => $fh, on_error => sub { $received->croak($@ // "no terminal came\n") });
    $passer->push_recv_message(sub {
        my ($terminal, $name) = @_;
        push @terminals, { fh => $terminal, name => $name };
        $received->send if @terminals == 2;
    });
    push @passers, $passer;
});
$received->recv;
undef $_ for $accept, $late, @passers;

type($_, "tty\n") for @terminals;
for my $terminal (@terminals) {
    wait_for($terminal, "$terminal->{name}\r\n");

    type($terminal, "trap 'echo resi''zed' WINCH; echo tra''pped\n");
    wait_for($terminal, 'trapped');
    set_size($terminal, 37, 113);
    type($terminal, "stty size\n");
    wait_for($terminal, $_) for "37 113\r\n", "resized\r\n";

    type($terminal, "sh -c 'echo wait\"\"ing; exec sleep 1000'\n");
    wait_for($terminal, "waiting\r\n");
    type($terminal, "\cC");
    type($terminal, "echo stat''us \$?\n");
    wait_for($terminal, "status 130\r\n");

    type($terminal, "exit 7\n");
    1 while listen_to($terminal);
    close $terminal->{fh};
}
waitpid $pid, 0;
die "$command[0] ended with status $?\n" if $?;

sub type {
    my ($terminal, $text) = @_;
    $terminal->{said} = '';
    (syswrite($terminal->{fh}, $text) // -1) == length $text or die "write to $terminal->{name}: $!\n";
    return;
}

# False at the end.
sub listen_to {
    my ($terminal) = @_;
    vec(my $ready = '', fileno $terminal->{fh}, 1) = 1;
    select($ready, undef, undef, PATIENCE) > 0 or die "$terminal->{name} says nothing more than: $terminal->{said}\n";
    my $n = sysread $terminal->{fh}, $terminal->{said}, 65536, length $terminal->{said};
    return $n // ($! == EIO ? 0 : die "read from $terminal->{name}: $!\n");
}

sub wait_for {
    my ($terminal, $text) = @_;
    while (index($terminal->{said}, $text) < 0) {
        listen_to($terminal) or die "$terminal->{name} ended and said no '$text', but: $terminal->{said}\n";
    }
    return;
}

# stty(1) does it: the number of the ioctl differs between systems.
sub set_size {
    my ($terminal, $rows, $columns) = @_;
    my $child = fork // die "fork: $!\n";
    if (!$child) {
        open STDIN, '<&', $terminal->{fh} or die "dup: $!\n";
        exec 'stty', 'rows', $rows, 'columns', $columns;
        die "stty: $!\n";
    }
    waitpid $child, 0;
    die "stty ended with status $?\n" if $?;
    return;
}

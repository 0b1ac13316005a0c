#!/usr/bin/perl
# A listening socket goes from one live server to the next, by the scripts of fdpass(1), while curl asks without one failure.
#
# SPDX-License-Identifier: MIT OR Apache-2.0
use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/../lib";
use Examples;
use Fdpass;
use Files qw($root slurp spew);
use Processes ();
use Skips qw(loudly);

plan skip_all => loudly('there is no curl') if !Processes::installed('curl');

# A server that was handed its listener. SIGTERM: it answers what it has accepted, and ends.
spew('server', <<"SERVER" . <<'SERVER');
#!$^X
SERVER
use Fcntl;
$ENV{LISTEN_PID} == $$ && $ENV{LISTEN_FDS} == 1 && $ENV{LISTEN_FDNAMES} eq 'http' or die "not for us\n";
open my $listener, '+<&=3' or die "3: $!\n";
# Two servers accept from it for a moment, and the other one may be faster.
fcntl $listener, F_SETFL, O_NONBLOCK or die "3: $!\n";
$SIG{TERM} = sub { $stop = 1 };
$SIG{PIPE} = 'IGNORE';
print STDERR "serving $$\n";
until ($stop) {
    vec(my $ready = '', 3, 1) = 1;
    select $ready, undef, undef, 0.02 or next;
    accept my $client, $listener or next;
    sysread $client, $_, 8192;
    my $body = "answered by Perl, pid $$\n";
    syswrite $client, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: " . length($body) . "\r\n\r\n$body";
    shutdown $client, 1;
}
SERVER

# The script and the command of the manual.
my @examples = slurp("$root/man/fdpass.1") =~ /^\.EX\n(.*?)^\.EE$/msg;
s/\\\(aq/'/g, s/\\-/-/g, s/\\e/\\/g for @examples;
my ($serve) = grep { m{\A#!/bin/sh} } @examples;
my ($next)  = grep { m{\./serve$} } @examples;
spew('serve', $serve);
chmod 0755, 'serve', 'server' or die "chmod: $!";

part 'three generations' => sub {
    my ($requests, $at_one_time, $generations) = (3000, 8, 3);
    my $listener = listener();
    my $port = $listener->sockport;
    my @servers = handed_down($listener, { LISTEN_FDNAMES => 'http' }, ['./serve']);
    close $listener;
    said($servers[0], qr/^serving (\d+)$/);

    my $result = load($port, $requests, $at_one_time, sub {
        my ($good) = @_;
        return if @servers > $generations || $good < @servers * $requests / ($generations + 2);
        push @servers, shell("exec $next");
        said($servers[-1], qr/^serving (\d+)$/);
        is(ended($servers[-2]), 0, "generation $#servers has it, and the one before has ended");
    });
    is($result->{status}, 0, 'curl is content');
    is($result->{good}, $requests, 'every request is answered');
    is($result->{strange}, '', 'and nothing else is said');
    is(@servers, $generations + 1, 'all generations ran');
    is(keys %{ $result->{by} }, $generations + 1, 'and each answered some');
    note join ', ', map { "$_: $result->{by}{$_}" } sort keys %{ $result->{by} };
};

part 'a successor that cannot run' => sub {
    my $listener = listener();
    my $port = $listener->sockport;
    my $server = handed_down($listener, { LISTEN_FDNAMES => 'http' }, ['./serve']);
    close $listener;
    said($server, qr/^serving/);
    is((status(shell($next =~ s/serve/no-such-server/r)))[1], 127, 'its command is not there');
    like(said($server, qr/(.*)/), qr/the receiver has ended/, 'the server is told');
    my $result = load($port, 10, 1, sub { });
    is($result->{good}, 10, 'and goes on');
    my $successor = shell("exec $next");
    said($successor, qr/^serving/);
    is(ended($server), 0, 'the next one takes over');
};

done_testing;

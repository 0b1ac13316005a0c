#!/usr/bin/perl
# SPDX-License-Identifier: MIT OR Apache-2.0

# examples/prefork: signals, the supervisor's death, and what is logged.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;

use Examples;
use Processes qw(installed);
use Skips qw(loudly);

my %source  = (C => 'prefork/prefork.c', Perl => 'prefork/prefork.pl');
my %prefork = (C => compile($source{C}), Perl => perl($source{Perl}));
my %strict  = (C => edited($source{C}, REQUEST_SECONDS => 1), Perl => edited($source{Perl}, REQUEST => 1));

# Ends a server. No process of it may be left, and it says nothing more but what is expected.
sub end {
    my ($server, $expected) = @_;
    is(stop($server, 'TERM'), 0, 'SIGTERM ends it well');
    is(rest($server), $expected // '', 'nothing is left of it');    # the output ends with the last process
    return;
}

for my $language (qw(C Perl)) {
    part "$language: SIGTERM, those that have come are answered" => sub {
        my ($server, $port, $dispatcher, $worker) = prefork($prefork{$language}, 1);
        my $first = client($port, $get);
        is(answer($first), "$language, pid $worker", 'the worker answers');
        close $first;
        my $half = client($port, 'GET / HTTP/1.1');
        kill STOP => $dispatcher;    # so that it has not accepted these when the signal comes
        my @more = map { client($port, $get) } 1 .. 10;
        kill TERM => $dispatcher, $server->{pid};
        kill CONT => $dispatcher;
        syswrite $half, $other_half;
        is(answer($half), "$language, pid $worker", 'it answers the request that it has begun');
        close $half;
        my $answered = 0;
        while (my $client = shift @more) {
            $answered++ if answer($client) eq "$language, pid $worker";
        }
        is($answered, 10, 'and those that wait');
        is(ended($server), 0, 'all end well');
        is(rest($server), '', 'nothing is left of it');
    };

    part "$language: SIGHUP replaces the workers" => sub {
        my ($server, $port, $dispatcher, @old) = prefork($prefork{$language}, 2);
        my $half = client($port, 'GET / HTTP/1.1');
        my $idle = (split ' ', answer(client($port, $get)))[-1];    # the worker that does not have it
        my ($busy) = grep { $_ != $idle } @old;
        kill HUP => $server->{pid};
        my $new = said($server, qr/^worker (\d+)$/);
        isnt($new, $idle, 'the idle worker is replaced');
        is(answer(client($port, $get)), "$language, pid $new", 'the new one answers');
        syswrite $half, $other_half;
        is(answer($half), "$language, pid $busy", 'the busy one finishes its request');
        close $half;
        my $newest = said($server, qr/^worker (\d+)$/);
        isnt($newest, $busy, 'and is replaced too');
        ok(!kill(0, $_), "worker $_ is gone") for @old;
        kill HUP => $server->{pid};
        my @newer = map { said($server, qr/^worker (\d+)$/) } 1 .. 2;
        like(answer(client($port, $get)), qr/\A$language, pid (?:$newer[0]|$newer[1])\z/, 'another time');
        end($server);
    };

    part "$language: many requests, and SIGHUP all the time" => sub {
        plan skip_all => loudly('curl is not installed') if !installed('curl');
        my ($server, $port) = prefork($prefork{$language}, 3);
        my $load = load($port, 2000, 20, sub { kill HUP => $server->{pid} if $_[0] % 200 == 0 });
        is($load->{status}, 0, 'curl is content');
        is($load->{strange}, '', 'and says nothing else');
        is($load->{good}, 2000, 'all requests are answered');
        cmp_ok(scalar keys %{ $load->{by} }, '>', 3, 'by new workers too');
        is(stop($server, 'TERM'), 0, 'it ends well');
        unlike(rest($server), qr/killed|failed|dropped/, 'and no worker failed');
    };

    part "$language: the supervisor is killed" => sub {
        my ($server, $port, $dispatcher, $worker) = prefork($prefork{$language}, 1);
        is(answer(client($port, $get)), "$language, pid $worker", 'the worker answers');
        my $half = client($port, 'GET / HTTP/1.1');
        my $next = client($port, $get);
        stop($server, 'KILL');
        ok(said($server, qr/^the supervisor is gone, stopping$/), 'the dispatcher notices');
        syswrite $half, $other_half;
        is(answer($half), "$language, pid $worker", 'the worker finishes its request');
        close $half;
        is(answer($next), "$language, pid $worker", 'and what was accepted');
        close $next;
        is(rest($server), '', 'then all processes end');
    };

    part "$language: the supervisor is killed, and has no dispatcher" => sub {
        my ($server, $port, $dispatcher, @workers) = prefork($prefork{$language}, 2);
        freeze($server);
        kill KILL => $dispatcher;
        stop($server, 'KILL');
        is(rest($server), '', 'the workers end');
    };

    part "$language: what is logged of connections and processes" => sub {
        my ($server, $port, $dispatcher, $worker) = prefork($strict{$language}, 1);
        close client($port, 'GET / HTTP/1.1');
        ok(said($server, qr/^dropped a connection: it ended before the request did$/), 'one that ends too early');
        my $post = client($port, "POST / HTTP/1.1\r\n\r\n");
        ok(said($server, qr/^dropped a connection: not a GET request$/), 'one that is not for us');
        my $slow = client($port, 'GET / HTTP/1.1');
        ok(said($server, qr/^worker $worker was killed: (?:Alarm clock|SIGALRM)$/), 'one that is too slow');
        my $next = said($server, qr/^worker (\d+)$/);
        is(sysread($slow, my $byte, 1), 0, 'it is closed');
        kill KILL => $dispatcher;
        ok(said($server, qr/^dispatcher $dispatcher was killed: (?:Killed|SIGKILL)$/), 'a dispatcher that dies');
        said($server, qr/^dispatcher/);
        is(answer(client($port, $get)), "$language, pid $next", 'all are replaced');
        end($server);
    };

    part "$language: a full descriptor table is logged once" => sub {
        my ($server, $port, $dispatcher, $worker) = prefork(limited(24, $prefork{$language}), 1);
        my $slow = client($port, 'GET / HTTP/1.1');
        my @many = map { client($port, $get) } 1 .. 500;
        said($server, qr/^accept: Too many open files$/);
        close $slow;
        said($server, qr/^dropped/);
        my $answered = 0;
        while (my $client = shift @many) {
            $answered++ if answer($client) eq "$language, pid $worker";
        }
        is($answered, 500, 'all are answered');
        is(stop($server, 'TERM'), 0, 'SIGTERM ends it well');
        unlike(rest($server), qr/^(?!accept: Too many open files$)./m, 'and it says nothing else');
    };

    part "$language: a port in use" => sub {
        my $taken = listener();
        fails('a server', qr/Address already in use/, $prefork{$language}, $taken->sockport, 1);
    };
}

done_testing;

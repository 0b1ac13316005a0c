#!/usr/bin/perl
# SPDX-License-Identifier: MIT OR Apache-2.0

# examples/prefork: load, back-pressure, and children that die.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;

use Examples;
use Processes qw(installed);
use Skips qw(loudly);

my %prefork = (C => compile('prefork/prefork.c'), Perl => perl('prefork/prefork.pl'));

for my $language (qw(C Perl)) {
    my $end = sub {
        my ($server) = @_;
        is(stop($server, 'TERM'), 0, 'it ends well');
    };

    part "prefork in $language: 2,000 requests for three workers" => sub {
        plan skip_all => loudly('curl is not installed') if !installed('curl');
        my ($server, $port, $dispatcher, @workers) = prefork($prefork{$language}, 3);
        my $load = load($port, 2000, 50, sub { });
        my %by   = %{ $load->{by} };
        is($load->{status}, 0, 'curl is content');
        is($load->{strange}, '', 'and says nothing else');
        is($load->{good}, 2000, 'all requests are answered');
        note "$_: $by{$_}" for sort { $a <=> $b } keys %by;
        is(scalar(grep { my $pid = $_; !grep { $_ == $pid } @workers } keys %by), 0, 'by our workers');
        cmp_ok(scalar keys %by, '>', 1, 'and by more than one');
        $end->($server);
    };

    part "prefork in $language: a busy worker, back-pressure, and its death" => sub {
        my ($server, $port, $dispatcher, $worker) = prefork($prefork{$language}, 1);
        is(answer(client($port, $get)), "$language, pid $worker", 'the worker answers');
        my $slow = client($port, 'GET / HTTP/1.1');

        # More than the passer takes, so that some stay in the listening socket.
        my @waiting = map { client($port, $get) } 1 .. 500;
        SKIP: {
            skip loudly("no /proc here: the dispatcher's open files are not counted"), 1 if !-d "/proc/$dispatcher/fd";
            my ($open, $before) = (0, -1);
            while ($open != $before || $open < 64) {    # until no more come in
                select undef, undef, undef, 0.1;
                $before = $open;
                $open   = () = glob "/proc/$dispatcher/fd/*";
            }
            cmp_ok($open, '<', 64 + 20, "the dispatcher holds no more than it should: $open");
        }
        kill KILL => $worker;
        my $next = said($server, qr/^worker (\d+)$/);
        close $slow;
        my $answered = 0;
        while (my $client = shift @waiting) {    # and close it, as the worker waits for that
            $answered++ if answer($client) eq "$language, pid $next";
        }
        is($answered, 500, 'a new worker answers all that waited');
        $end->($server);
    };

    part "prefork in $language: a dispatcher that dies is replaced too" => sub {
        my ($server, $port, $dispatcher, $worker) = prefork($prefork{$language}, 1);
        kill KILL => $dispatcher;
        isnt(said($server, qr/^dispatcher (\d+)$/), $dispatcher, 'another one comes');
        is(answer(client($port, $get)), "$language, pid $worker", 'and the worker answers');
        $end->($server);
    };
}

done_testing;

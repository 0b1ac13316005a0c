#!/usr/bin/perl
# SPDX-License-Identifier: MIT OR Apache-2.0

# examples/http: dispatcher and workers that end, in good order or not. `make demo` shows the rest.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;

use Examples;
use Files qw(spew);

my $dispatcher = perl('http/dispatcher.pl');
my %worker     = (C => compile('http/worker.c'), Perl => perl('http/worker.pl'));
my $ask        = "GET /path HTTP/1.1\r\nHost: localhost\r\n\r\n";

# A dispatcher with workers that have joined, and its port.
sub begin {
    my ($node, @workers) = @_;
    my ($server, $port) = serve($dispatcher, $node);
    return ($server, $port, map { joined($server, $node, $_) } @workers);
}

sub joined {
    my ($server, $node, $program) = @_;
    my $worker = start($program, $node);
    said($server, qr/^worker \d+ joined$/);
    return $worker;
}

# Which process answered all that a client has asked.
sub answered_by {
    my ($client) = @_;
    my $all = do { local $/; readline $client } // '';
    close $client;
    return $all =~ m{\AHTTP/1\.1 200 OK\r\n.*^pid: (\d+)\npath: /path\n\z}ms ? $1 : "not right: '$all'";
}

part 'a dispatcher that cannot be' => sub {
    fails('no such directory', qr/No such file or directory/, $dispatcher, "$dir/none/node");
    spew("$dir/file", "precious\n");
    fails('a regular file', qr/File exists/, $dispatcher, "$dir/file");
    is(-s "$dir/file", 9, 'the file is as it was');
    my $taken = listener();
    fails('a port in use', qr/Address already in use/, $dispatcher, "$dir/node", $taken->sockport);
    ok(!-e "$dir/node", 'and there is no node');
};

for my $language (qw(C Perl)) {
    part "a worker in $language: SIGTERM to the dispatcher" => sub {
        for my $signal (qw(TERM INT)) {
            my $node = "$dir/end-$language";
            my ($server, $port, $worker) = begin($node, $worker{$language});
            my $half = client($port, 'GET /path HTTP/1.1');
            is(answered_by(client($port, $ask)), $worker->{pid}, 'the worker answers');
            ok(-S $node, 'there is a node');
            is(stop($server, $signal), 0, "SIG$signal ends the dispatcher well");
            ok(!-e $node, 'it has removed the node');
            syswrite $half, "\r\n\r\n";
            is(answered_by($half), $worker->{pid}, 'the worker finishes its request');
            is(ended($worker), 0, 'and ends well');
            is(rest($_), '', 'without a word') for $server, $worker;
        }
    };

    part "a worker in $language: SIGTERM to it" => sub {
        for my $signal (qw(TERM INT)) {
            my $node = "$dir/leave-$language";
            my ($server, $port, $worker) = begin($node, $worker{$language});
            my $half = client($port, 'GET /path HTTP/1.1');
            is(answered_by(client($port, $ask)), $worker->{pid}, 'it answers');
            kill $signal => $worker->{pid};
            ok(said($server, qr/^worker 1 left$/), "after SIG$signal it leaves the dispatcher");
            my $other = joined($server, $node, $worker{C});
            is(answered_by(client($port, $ask)), $other->{pid}, 'another one answers');
            syswrite $half, "\r\n\r\n";
            is(answered_by($half), $worker->{pid}, 'it finishes its request');
            is(ended($worker), 0, 'and ends well');
            is(stop($server, 'TERM'), 0, 'the dispatcher too');
        }
    };

    part "a worker in $language: SIGTERM while connections wait in its passer" => sub {
        my $node = "$dir/wait-$language";
        my ($server, $port, $worker) = begin($node, $worker{$language});
        freeze($worker);
        my @clients = map { client($port, $ask) } 1 .. 20;
        kill TERM => $worker->{pid};
        kill CONT => $worker->{pid};
        ok(said($server, qr/^worker 1 left$/), 'it leaves');
        my $other = joined($server, $node, $worker{$language});    # for those that were not sent
        my $answered = 0;
        for my $client (@clients) {
            my $pid = answered_by($client);
            $answered++ if $pid eq $worker->{pid} || $pid eq $other->{pid};
        }
        is($answered, 20, 'all are answered');
        is(ended($worker), 0, 'it ends well');
        is(stop($server, 'TERM'), 0, 'the dispatcher too');
    };

    part "a worker in $language and a dispatcher that is stopped" => sub {
        my $node = "$dir/stopped-$language";
        my ($server) = begin($node);
        freeze($server);
        my @backlog = fill_backlog($node);
        fails('one that waits for room in the backlog', qr/the dispatcher does not answer/, $worker{$language}, $node);
    };

    part "a worker in $language: dropped connections are logged" => sub {
        my ($server, $port, $worker) = begin("$dir/drop-$language", $worker{$language});
        close client($port, 'GET /path HTTP/1.1');
        ok(said($worker, qr/^dropped a connection: (?:it ended before the request did|the client is gone)$/), 'one that ends too early');
        is(answered_by(client($port, $ask)), $worker->{pid}, 'the worker goes on');
        is(stop($server, 'TERM'), 0, 'the dispatcher ends well');
        is(ended($worker), 0, 'the worker too');
    };
}

part 'SIGTERM to a dispatcher with connections that are not sent yet' => sub {
    my ($server, $port, $worker) = begin("$dir/full", $worker{C});
    freeze($worker);
    my @clients = map { client($port, $ask) } 1 .. 400;    # more than the passer takes
    kill TERM => $server->{pid};
    kill CONT => $worker->{pid};
    my $answered = 0;
    for my $client (@clients) {
        $answered++ if answered_by($client) eq $worker->{pid};
    }
    is($answered, 400, 'all are answered');
    is(ended($server), 0, 'the dispatcher ends well');
    is(ended($worker), 0, 'the worker too');
    is(rest($server), '', 'without a word');
};

part 'a full descriptor table is logged once' => sub {
    my ($server, $port) = serve(limited(24, $dispatcher), "$dir/table");
    my @many   = map { local_socket("$dir/table") } 1 .. 24;
    ok(said($server, qr/^accept: Too many open files$/), 'it says so');
    close $_ for @many;
    my $worker = start($worker{C}, "$dir/table");
    is(answered_by(client($port, $ask)), $worker->{pid}, 'it goes on when there is room');
    is(stop($server, 'TERM'), 0, 'it ends well');
    my $lines = () = rest($server) =~ /^accept: /mg;
    cmp_ok($lines, '<=', 1, 'the log has no line for each try');    # the table may be full another time
};

done_testing;

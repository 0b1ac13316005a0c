#!/usr/bin/perl
# SPDX-License-Identifier: MIT OR Apache-2.0

# examples/http: dispatchers and workers that end, in good order or not, that are slow, or whose descriptor table is full.
# tests/examples/http.t has the rest.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;

use Examples;
use Files qw(spew);
use HttpExample;

my $get = request('GET');

# Dispatchers that wait for two seconds where the others wait for five or ten: for a head, or for a worker.
my %hasty = (
    C    => edited('http/dispatcher.c',  HEAD_MS      => 2000),
    Perl => edited('http/dispatcher.pl', HEAD_SECONDS => 2),
);
my %pressing = (
    C    => edited('http/dispatcher.c',  WORKER_MS      => 2000),
    Perl => edited('http/dispatcher.pl', WORKER_SECONDS => 2),
);
my %impatient = (
    C    => edited('http/worker.c',  CONNECT_SECONDS => 1),
    Perl => edited('http/worker.pl', CONNECT         => 1),
);

# Which process answered a client.
sub answered_by { return answer_to($_[0])->{pid} }

# What became of many clients: how many were answered by each process, were refused, or were lost.
sub fates {
    my %fate;
    for my $answer (answers_to(@_)) {
        my $fate = $answer->{pid} > 0 && $answer->{handed} == length $get ? $answer->{pid} : $answer->{status} =~ /^(\d+)$/ ? $1 : 'lost';
        $fate{$fate}++;
    }
    return \%fate;
}

for my $d (qw(C Perl)) {
    part "dispatcher in $d that cannot be" => sub {
        my $program = dispatcher($d);
        my $node    = "$dir/good";
        fails('no such directory', qr/No such file or directory/, $program, 0, "/=$node", "/x/=$dir/none/node");
        ok(!-e $node, 'and no other node stays');
        spew("$dir/file", "precious\n");
        fails('a regular file', qr/File exists/, $program, 0, "/=$dir/file");
        is(-s "$dir/file", 9, 'the file is as it was');
        my $taken = listener();
        fails('a port in use', qr/Address already in use/, $program, $taken->sockport, "/=$node");
        ok(!-e $node, 'and there is no node');
        fails($_->[0], qr/^usage: /, $program, @{$_}[ 1 .. $#$_ ]) for [ 'no route', 0 ], [ 'not a route', 0, "/=$node", 'x' ];
    };

    part "dispatcher in $d: a client that is too slow" => sub {
        my ($server, $port, $worker) = begin($hasty{$d}, 'C');
        my @slow = map { client($port, substr $get, 0, $_) } 0, 1, length($get) - 1;
        is(answer_to($_)->{status}, 408, 'it is told so') for @slow;
        is(answered_by(client($port, $get)), $worker->{pid}, 'others are answered');
        end($server, $worker);
    };

    part "dispatcher in $d: no worker" => sub {
        my ($server, $port) = begin($pressing{$d});
        is(answer_to(client($port, $get))->{status}, 503, 'the client is told so');
        end($server);

        my $server_port;
        ($server, $server_port) = begin($d);
        my $client = client($server_port, $get);
        my $worker = joined($server, "$dir/node", 'C');
        is(answered_by($client), $worker->{pid}, 'if one comes in time it gets the connection');
        end($server, $worker);
    };

    part "dispatcher in $d: a worker that is stopped" => sub {
        my ($server, $port, $worker) = begin($pressing{$d}, 'C');
        freeze($worker);
        my @clients = map { client($port, $get) } 1 .. 400;    # more than the passer takes
        ok(said($server, qr/^worker 1 left: it takes no connections$/), 'it gets no more');
        my $other = joined($server, "$dir/node", 'Perl');
        is(answered_by(client($port, $get)), $other->{pid}, 'others do');
        kill CONT => $worker->{pid};
        my $fate = fates(@clients);
        cmp_ok($fate->{ $worker->{pid} }, '>', 0, 'it answers those that it was sent');
        is(($fate->{503} // 0) + ($fate->{ $other->{pid} } // 0) + $fate->{ $worker->{pid} }, 400, 'all the others have an answer, too')
          or diag explain $fate;
        end($server, $worker, $other);
    };

    part "dispatcher in $d: a worker that is slow" => sub {
        my ($server, $port, $worker) = begin($d, 'C');
        freeze($worker);
        my @clients = map { client($port, $get) } 1 .. 400;
        my @gone    = map { $clients[ 40 * $_ ] } 0 .. 9;
        reset_connection($_) for @gone;
        @clients = grep { defined fileno $_ } @clients;
        kill CONT => $worker->{pid};
        is_deeply(fates(@clients), { $worker->{pid} => 390 }, 'all are answered that have not gone away meanwhile');
        is(stop($server, 'TERM'), 0, 'the dispatcher ends well');
        is(ended($worker), 0, 'the worker too');
        like(rest($worker), qr/\A(?:dropped a connection: [^\n]*\n){0,10}\z/, '... which may have noticed those that went away');
    };

    part "dispatcher in $d: a worker that is killed" => sub {
        my ($server, $port, $worker) = begin($d, 'Perl');
        freeze($worker);
        my @clients = map { client($port, $get) } 1 .. 400;
        stop($worker, 'KILL');
        said($server, qr/^worker 1 left/);
        my $other = joined($server, "$dir/node", 'C');
        my $fate  = fates(@clients);
        cmp_ok($fate->{ $other->{pid} }, '>', 0, 'another one answers those that were not sent');
        is(($fate->{lost} // 0) + $fate->{ $other->{pid} }, 400, 'only those that were sent are lost') or diag explain $fate;
        is(answered_by(client($port, $get)), $other->{pid}, 'it goes on');
        end($server, $other);
    };

    part "dispatcher in $d: a peer that is no worker" => sub {
        my ($server, $port) = begin($d, ());
        my $stranger = local_socket("$dir/node");
        said($server, qr/^worker 1 joined/);
        syswrite $stranger, 'hello';
        ok(said($server, qr/^worker 1 left: Bad message$/), 'it is sent away');
        my $worker = joined($server, "$dir/node", 'C');
        is(answered_by(client($port, $get)), $worker->{pid}, 'the others work on');
        end($server, $worker);
    };

    part "dispatcher in $d: SIGTERM with clients in all states" => sub {
        for my $signal (qw(TERM INT)) {
            my $node = "$dir/node";
            my ($server, $port, $worker) = begin($d, 'Perl');
            ok(-S $node, 'there is a node');
            freeze($worker);
            my $half    = client($port, substr $get, 0, 10);
            my @clients = map { client($port, $get) } 1 .. 400;
            freeze($server);
            push @clients, map { client($port, $get) } 1 .. 20;    # they wait in the listener
            kill $signal => $server->{pid};
            kill CONT    => $_->{pid} for $server, $worker;
            select undef, undef, undef, 0.01 while -e $node;
            pass("SIG$signal: it has removed the node");
            syswrite $half, substr $get, 10;
            is_deeply(fates($half, @clients), { $worker->{pid} => 421 }, 'all are answered');
            is(ended($_), 0, 'it ends well') for $server, $worker;
            is(rest($_), '', 'without a word') for $server, $worker;
        }
    };

    part "dispatcher in $d: a second one takes the node over" => sub {
        my ($old, undef, $worker) = begin($d, 'C');
        my ($new, $port) = begin($d);
        my $its = joined($new, "$dir/node", 'C');
        end($old, $worker);
        ok(-S "$dir/node", 'the first one leaves it alone');
        is(answered_by(client($port, $get)), $its->{pid}, 'the second one serves');
        end($new, $its);
    };

    part "dispatcher in $d: a full descriptor table" => sub {
        my ($server, $port, $worker) = begin(limited(24, dispatcher($d)), 'C');
        my @many = map { client($port, substr $get, 0, 10) } 1 .. 30;
        ok(said($server, qr/^accept: Too many open files$/), 'it says so');
        syswrite $_, substr $get, 10 for @many;
        is_deeply(fates(@many), { $worker->{pid} => 30 }, 'all are answered');
        is(answered_by(client($port, $get)), $worker->{pid}, 'it goes on when there is room');
        is(stop($server, 'TERM'), 0, 'it ends well');
        is(ended($worker), 0, 'the worker too');
    };

    part "dispatcher in $d: a table that stays full is logged once" => sub {
        my ($server, $port) = begin(limited(24, dispatcher($d)));
        my @many = map { client($port, substr $get, 0, 10) } 1 .. 30;
        said($server, qr/^accept: Too many open files$/);
        select undef, undef, undef, 1.5;    # it tries several times meanwhile
        stop($server, 'KILL');
        is(rest($server), '', 'there is no line for each try');
    };
}

for my $w (qw(C Perl)) {
    part "worker in $w: SIGTERM to it" => sub {
        for my $signal (qw(TERM INT)) {
            my ($server, $port, $worker) = begin('C', $w);
            my $half = client($port, request('POST', 'Content-Length: 5') . 'ab');
            is(answered_by(client($port, $get)), $worker->{pid}, 'it answers');
            kill $signal => $worker->{pid};
            ok(said($server, qr/^worker 1 left$/), "after SIG$signal it leaves the dispatcher");
            my $other = joined($server, "$dir/node", 'C');
            is(answered_by(client($port, $get)), $other->{pid}, 'another one answers');
            syswrite $half, 'cde';
            is(answered_by($half), $worker->{pid}, 'it finishes its request');
            is(ended($worker), 0, 'and ends well');
            end($server, $other);
        }
    };

    part "worker in $w: SIGTERM while connections wait in its passer" => sub {
        for my $d (qw(C Perl)) {
            my ($server, $port, $worker) = begin($d, $w);
            freeze($worker);
            my @clients = map { client($port, $get) } 1 .. 20;
            kill TERM => $worker->{pid};
            kill CONT => $worker->{pid};
            ok(said($server, qr/^worker 1 left$/), 'it leaves');
            my $other = joined($server, "$dir/node", $w);    # for those that were not sent
            my $fate = fates(@clients);
            is(($fate->{ $worker->{pid} } // 0) + ($fate->{ $other->{pid} } // 0), 20, 'all are answered');
            is(ended($worker), 0, 'it ends well');
            end($server, $other);
        }
    };

    part "worker in $w: a full descriptor table" => sub {
        for my $d (qw(C Perl)) {
            my ($server, $port, $worker) = begin($d, limited(24, worker($w)));
            my @posts = map { client($port, request('POST', 'Content-Length: 5') . "$_:") } 100 .. 129;
            syswrite $posts[$_], 'x' for 0 .. 29;
            my @answers = answers_to(@posts);
            is(join(' ', map { $_->{body} } @answers), join(' ', map { "$_:x" } 100 .. 129), 'all are answered, each with its own data');
            is(answered_by(client($port, $get)), $worker->{pid}, 'it goes on');
            end($server, $worker);
        }
    };

    part "worker in $w: a dispatcher that sends no data" => sub {
        # Such as one that uses an older library. The worker reads the request itself.
        my ($listener, $node) = node();
        my $worker = start(worker($w), $node);
        my $passer = $listener->accept;
        for my $data (undef, 'GET /x', $get) {
            my ($client, $server) = connection();
            send_message($passer, $server, $data // "\0");
            close $server;
            my $sent = $data // '';
            syswrite $client, substr $get, length $sent if length $sent < length $get;
            my $answer = answer_to($client);
            is($answer->{handed}, length $sent, 'it was handed ' . length($sent) . ' bytes');
            is($answer->{read}, length($get) - length $sent, '... and has read the others');
        }
        my ($client, $server) = connection();
        send_message($passer, $server, "\0");
        close $server;
        syswrite $client, head_of(20_000);
        is(answer_to($client)->{status}, 431, 'a head that is too long');
        close $passer;
        is(ended($worker), 0, 'it ends well');
    };

    part "worker in $w and a dispatcher that is stopped" => sub {
        my ($server) = begin('Perl');
        freeze($server);
        my @backlog = fill_backlog("$dir/node");
        fails('one that waits for room in the backlog', qr/the dispatcher does not answer/, $impatient{$w}, "$dir/node");
    };
}

done_testing;

#!/usr/bin/perl
# SPDX-License-Identifier: MIT OR Apache-2.0

# examples/http: each dispatcher with each worker. All clients here are real ones: sockets that send requests in pieces,
# and curl. tests/examples/http_failures.t has what goes wrong.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;

use Examples;
use Files qw(spew);
use HttpExample;

my $get  = request('GET');
my $body = join '', map { pack 'v', $_ * 31 } 1 .. 8000;    # no two places look alike

for my $pair (pairs()) {
    my ($dispatcher, $worker) = @$pair;
    my $what = "dispatcher in $dispatcher, worker in $worker";

    part "$what: requests" => sub {
        my ($server, $port, $w) = begin($dispatcher, $worker);
        all_of(client($port, $_)) for "GET\n\n", $get;    # loads what it needs
        my @fds = map { open_fds($_) } $server, $w;
        my $answer = answer_to(client($port, $get));
        is($answer->{status},   200,                 'it is answered');
        is($answer->{language}, $worker,             '... by the worker');
        is($answer->{pid},      $w->{pid},           '... itself');
        is($answer->{request},  'GET /x/ HTTP/1.1',  '... which knows the request line');
        is($answer->{handed},   length $get,         '... from the dispatcher');
        is($answer->{read},     0,                   '... and has read nothing');

        my $client = client($port, request('HEAD'));
        like(scalar all_of($client), qr{\AHTTP/1\.1 200 OK\r\n.*^Content-Length: [1-9].*\r\n\r\n\z}ms, 'HEAD has no body');
        is(answer_to(client($port, request('PUT')))->{status}, 405, 'a method that the worker does not know');
        is(answer_to(client($port, "\r\n\r\n$get"))->{handed}, length $get, 'empty lines ahead are ignored');
        is(answer_to(client($port, $get =~ tr/\r//dr))->{status}, 200, 'lines may end without CR');
        nothing_left_open(\@fds, $server, $w);
        end($server, $w);
    };

    part "$what: a head that comes slowly" => sub {
        my ($server, $port, $w) = begin($dispatcher, $worker);
        my @slow = map { client($port) } 1 .. 100;
        for my $byte (split //, substr $get, 0, -1) {
            syswrite $_, $byte for @slow[ 0 .. 4 ];
        }
        syswrite $_, substr $get, 0, 10 for @slow[ 5 .. 49 ];    # the others have sent nothing
        is(answer_to(client($port, $get))->{status}, 200, 'a fast client does not wait for 100 slow ones');
        syswrite $_, substr $get, -1 for @slow[ 0 .. 4 ];
        syswrite $_, substr $get, 10 for @slow[ 5 .. 49 ];
        syswrite $_, $get for @slow[ 50 .. 99 ];
        my @answers = answers_to(@slow);
        is(scalar(grep { $_->{status} == 200 && $_->{handed} == length $get && $_->{read} == 0 } @answers), 100, 'all are answered');
        end($server, $w);
    };

    part "$what: the longest head" => sub {
        my ($server, $port, $w) = begin($dispatcher, $worker);
        for my $length (4095, 4096) {
            my $answer = answer_to(client($port, head_of($length)));
            is($answer->{status}, 200,     "$length bytes are answered");
            is($answer->{handed}, $length, '... and were handed over');
        }
        is(answer_to_talker(client($port, head_of(4097)))->{status}, 431, '4097 bytes are not');
        is(answer_to(client($port, head_of(100_000)))->{status}, 431, 'nor are 100,000');
        is(answer_to(client($port, 'x' x 4096))->{status}, 431, 'nor is a line without an end');
        end($server, $w);
    };

    part "$what: a body" => sub {
        my ($server, $port, $w) = begin($dispatcher, $worker);
        for my $length (0, 1, 1000, 3000, 5000, 15000) {
            my $sent = substr $body, 0, $length;
            my $post = request('POST', "Content-Length: $length");
            my $answer = answer_to(client($port, $post . $sent));
            ok($answer->{body} eq $sent, "$length bytes with the head: the worker has them, in order");
            cmp_ok($answer->{handed}, '<=', 4096, '... the dispatcher has read no more than it can hand over');
            is($answer->{handed} + $answer->{read}, length($post) + $length, '... and together they have read all');

            # The body comes when the head was read, or while the connection changes hands.
            my $client = client($port, $post);
            syswrite $client, $_ for unpack '(a997)*', $sent;
            ok(answer_to($client)->{body} eq $sent, '... behind the head, in pieces, too');
        }
        my $post = request('POST', 'Content-Length: 5');
        my $client = client($port, $post . 'ab');
        my $answered = answer_to(client($port, $get));
        syswrite $client, 'cde';
        my $answer = answer_to($client);
        is($answer->{body},   'abcde',           'part of a body, and the rest much later');
        is($answer->{handed}, length($post) + 2, '... the dispatcher has read its part');
        is($answer->{read},   3,                 '... and the worker the rest');

        is(answer_to(client($port, request('POST', $_->[0])))->{status}, $_->[1], $_->[0])
          for [ 'Content-Length: 100000', 413 ], [ 'Content-Length: 99999999999999999999', 413 ], [ 'Content-Length: many', 400 ],
          [ 'Content-Length: -1', 400 ], [ 'Content-Length:', 400 ], [ 'Transfer-Encoding: chunked', 501 ];
        end($server, $w);
    };

    part "$what: a second request in the same packet" => sub {
        my ($server, $port, $w) = begin($dispatcher, $worker);
        my $answer = answer_to_talker(client($port, "$get$get"));
        is($answer->{status}, 200,             'the first one is answered, and then the connection is closed');
        is($answer->{handed}, 2 * length $get, 'both were handed over');
        is($answer->{body},   '',              'the second one is no body');
        like($answer->{head}, qr/^Connection: close\r$/m, 'the client knows that it is to ask again');
        end($server, $w);
    };

    part "$what: what no worker gets" => sub {
        my ($server, $port, $w) = begin($dispatcher, $worker);
        my %bad = (
            'no version'         => "GET /x/\r\n\r\n",
            'another version'    => "GET /x/ HTTP/2.0\r\n\r\n",
            'no path'            => "GET  HTTP/1.1\r\n\r\n",
            'not a path'         => "GET x HTTP/1.1\r\n\r\n",
            'a method'           => "G\@T /x/ HTTP/1.1\r\n\r\n",
            'a field'            => "GET /x/ HTTP/1.1\r\nno field\r\n\r\n",
            'a field\'s name'    => "GET /x/ HTTP/1.1\r\nno field: x\r\n\r\n",
            'a line goes on'     => "GET /x/ HTTP/1.1\r\na: b\r\n c\r\n\r\n",
            'NUL in the path'    => "GET /x/\0 HTTP/1.1\r\n\r\n",
            'NUL in a field'     => "GET /x/ HTTP/1.1\r\na: \0\r\n\r\n",
            'bytes above 127'    => "GET /x/\xe9 HTTP/1.1\r\n\r\n",
            'two spaces'         => "GET  /x/ HTTP/1.1\r\n\r\n",
        );
        is(answer_to(client($port, $bad{$_}))->{status}, 400, "400: $_") for sort keys %bad;
        is(answer_to(client($port, $get =~ s{/x/}{$_}r))->{status}, 404, "404: $_") for qw(/ /x /y/x/ /X/);
        like(scalar all_of(client($port, request('HEAD') =~ s{/x/}{/}r)), qr{\AHTTP/1\.1 404 .*\r\n\r\n\z}s, 'HEAD has no body there');
        is(answer_to(client($port, $get))->{status}, 200, 'and it goes on');
        end($server, $w);
    };

    part "$what: clients that go away" => sub {
        my ($server, $port, $w) = begin($dispatcher, $worker);
        close client($port, substr $get, 0, 20);
        ok(said($server, qr/^dropped a connection: it ended before the request did$/), 'in the middle of the head');
        reset_connection(client($port, substr $get, 0, 20));
        ok(said($server, qr/^dropped a connection: Connection reset by peer$/), 'with a reset');
        close client($port, request('POST', 'Content-Length: 5'));
        ok(said($w, qr/^dropped a connection: (?:it ended before the request did|the client is gone)$/), 'in the middle of the body');
        my $client = client($port, $get);
        shutdown $client, 1;
        is(answer_to($client)->{status}, 200, 'one that only sends no more is answered');
        end($server, $w);
    };

    part "$what: curl" => sub {
        my ($server, $port, $w) = begin($dispatcher, $worker);
        spew("$dir/body", $body);
        my @curl = (qw(curl -q -sS --noproxy * --max-time), DEADLINE);
        my $url  = "http://127.0.0.1:$port/x/";
        for my $body (substr($body, 0, 900), substr($body, 0, 12000)) {
            spew("$dir/body", $body);
            my ($out, $status) = run([ @curl, '--data-binary', "\@$dir/body", $url ]);
            is($status, 0, 'it is content');
            ok($out =~ s/\Alanguage: $worker\npid: \d+\nrequest: POST \/x\/ HTTP\/1\.1\n.*\n.*\n//, 'it is answered by the worker');
            ok($out eq $body, 'and gets back ' . length($body) . ' bytes');
        }
        my ($out, $status) = run([ @curl, qw(--parallel --parallel-max 20 -w), "%{http_code}\\n", "$url\[1-200]" ]);
        is($status, 0, '200 requests, 20 at a time');
        my %count;
        $count{$1}++ while $out =~ m{^(request: GET /x/\d+ HTTP/1\.1|200)$}mg;
        is(delete $count{200}, 200, 'all are answered');
        is(scalar keys %count, 200, 'each for its own request line');
        end($server, $w);
    };
}

for my $dispatcher (qw(C Perl)) {
    part "dispatcher in $dispatcher: two routes, and workers in turn" => sub {
        my ($server, $port) = serve(dispatcher($dispatcher), 0, "/x/y/=$dir/y", "/x/=$dir/x");
        my %worker = map { $_ => joined($server, "$dir/y", $_) } qw(C Perl);
        my $other = joined($server, "$dir/x", 'C');
        my %turn;
        $turn{ answer_to(client($port, $get =~ s{/x/}{/x/y/$_}r))->{pid} }++ for 1 .. 10;
        is_deeply(\%turn, { map { $_->{pid} => 5 } values %worker }, 'the workers of a route take turns');
        is(answer_to(client($port, $get =~ s{/x/}{$_}r))->{pid}, $other->{pid}, "$_ is for the other route") for qw(/x/ /x/y /x/z/y/);
        end($server, values %worker, $other);
    };
}

done_testing;

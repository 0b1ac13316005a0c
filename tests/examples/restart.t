#!/usr/bin/perl
# SPDX-License-Identifier: MIT OR Apache-2.0

# examples/restart: a new server takes over, from C to Perl and back, and no client notices.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use IO::Socket::UNIX;
use POSIX qw(WNOHANG);
use Socket qw(SOCK_DGRAM);
use Test::More;

use Examples;
use Processes qw(installed);
use Skips qw(loudly);

my %restart = (C => compile('restart/restart.c'), Perl => perl('restart/restart.pl'));

part 'restart: 10,000 requests, six restarts, C and Perl, and no client notices' => sub {
    plan skip_all => loudly('curl is not installed') if !installed('curl');
    my ($requests, $at_one_time) = (10_000, 8);
    my @order  = qw(C Perl C C Perl Perl C);
    my ($server, $port) = restart($restart{ shift @order }, "$dir/load");
    my @servers = $server;

    my $curl = curl($port, $requests, $at_one_time, '%{http_code} %{num_connects} %{errormsg}');
    # What we read lags behind what curl does, by what the pipe takes. On Linux it can take less.
    fcntl $curl->{out}, 1031, 4096 if $^O eq 'linux';    # F_SETPIPE_SZ
    my ($good, $connects, %by, @strange) = (0, 0);
    while (defined(my $line = readline $curl->{out})) {
        if    ($line =~ /^200 (\d+) $/)              { $good++; $connects += $1 }
        elsif ($line =~ /^answered by (\w+), pid (\d+)$/) { $by{"$1 $2"}++ }
        else                                         { push @strange, $line }
        next if !@order || $good < @servers * $requests / (@order + @servers + 1);
        # As it lags behind, the last server may not have answered yet.
        next if !grep { / $servers[-1]{pid}\z/ } keys %by;

        # curl goes on meanwhile.
        push @servers, start($restart{ my $language = shift @order }, 0, "$dir/load");
        my $carried = said($servers[-1], qr/^ready with (\d+) connections$/);
        note "at $good requests: $language took over, with $carried connections";
    }
    is(ended($curl), 0, 'curl is content');
    is("@strange", '', 'and says nothing else');
    is($good, $requests, 'all requests are answered');
    cmp_ok($connects, '<=', $at_one_time, 'no connection was lost and made again');
    note "$_: $by{$_}" for sort { $by{$a} <=> $by{$b} } keys %by;
    is(scalar(grep { $by{"C $_->{pid}"} || $by{"Perl $_->{pid}"} } @servers), scalar @servers, 'each server has answered some');
    my $last = pop @servers;
    is(ended($_), 0, "server $_->{pid} ended well") for @servers;
    like(answer(client($port, $get)), qr/ $last->{pid}\z/, 'the last one serves');
    stop($last);
};

for my $language (qw(C Perl)) {
    part "restart: HTTP in $language" => sub {
        my ($server, $port) = serve($restart{$language}, 0, "$dir/http-$language");
        my %to_the_end = (
            "GET / HTTP/1.1\r\nconnection: close\r\n\r\n" => qr{\AHTTP/1\.1 200 OK\r\n},
            "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi" => qr{\AHTTP/1\.1 400 },
            "GET / HTTP/1.1\r\nX: " . 'x' x 9000            => qr{\AHTTP/1\.1 400 },
            "GET /\r\n\r\n"                                 => qr{\AHTTP/1\.1 400 },
        );
        for my $request (sort keys %to_the_end) {
            my $client = client($port, $request);
            like(do { local $/; readline $client }, qr/$to_the_end{$request}.*^Connection: close\r\n/ms, ($request =~ /(.{9,20})/)[0]);
        }
        client($port, $get);    # and is gone
        is(answer(client($port, $get)), "$language, pid $server->{pid}", 'it still answers');
        stop($server);
    };
}

# Half a request is with the old server when the new one starts.
for my $old (qw(C Perl)) {
    my $new = $old eq 'C' ? 'Perl' : 'C';
    my $begin = sub {
        my ($node) = @_;
        my ($server, $port) = restart($restart{$old}, $node);
        my $idle = client($port, $get);
        is(answer($idle), "$old, pid $server->{pid}", 'the old server answers');
        my $half = client($port, 'GET / HTTP/1.1');
        # The server has accepted it before a later connection, and reads it with that one's request.
        is(answer(client($port, $get)), "$old, pid $server->{pid}", 'and has half a request');
        my $successor = start($restart{$new}, 0, $node);
        said($successor, qr/^listening/);
        is(answer(client($port, $get)), "$new, pid $successor->{pid}", 'the new server accepts');
        syswrite $idle, $get;
        is(answer($idle), "$new, pid $successor->{pid}", 'it has the idle connection');
        return ($server, $successor, $port, $half);
    };

    part "restart: $old finishes what it has begun, $new has the connection after that" => sub {
        my ($server, $successor, $port, $half) = $begin->("$dir/half-$old");
        is(waitpid($server->{pid}, WNOHANG), 0, 'the old server waits');
        syswrite $half, $other_half;
        is(answer($half), "$old, pid $server->{pid}", 'the old server answers what it has begun');
        is(ended($server), 0, 'and ends');
        said($successor, qr/^ready/);
        syswrite $half, $get x 3;
        is(answer($half), "$new, pid $successor->{pid}", "the new one answers what comes next: $_") for 1 .. 3;
        stop($successor);
    };

    part "restart: $new dies before it has all, and $old goes on" => sub {
        my ($server, $successor, $port, $half) = $begin->("$dir/dies-$old");
        stop($successor);
        is(answer(client($port, $get)), "$old, pid $server->{pid}", 'the old server accepts again');
        syswrite $half, $other_half;
        is(answer($half), "$old, pid $server->{pid}", 'and answers what it has begun');
        my $third = start($restart{$new}, 0, "$dir/dies-$old");
        said($third, qr/^ready/);
        is(ended($server), 0, 'the next server takes over');
        syswrite $half, $get;
        is(answer($half), "$new, pid $third->{pid}", 'with all connections');
        stop($third);
    };
}

# A service manager starts a server: it hands down a listener, or something else, and wants to be told.
my $manager = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => "$dir/manager") or die "$dir/manager: $!";

sub managed {
    my ($program, $handed_down, $node, %variables) = @_;
    return handed_down($handed_down, { NOTIFY_SOCKET => "$dir/manager", %variables }, $program, 1, $node);
}

sub told {
    recv $manager, my $state, 100, 0;
    return $state;
}

for my $old (qw(C Perl)) {
    my $new = $old eq 'C' ? 'Perl' : 'C';
    part "restart: a service manager starts $old, and then $new" => sub {
        my $listener = listener();
        my $port     = $listener->sockport;
        my $node     = "$dir/managed-$old";
        my $server   = managed($restart{$old}, $listener, $node);
        is(said($server, qr/^listening on 127\.0\.0\.1:(\d+)$/), $port, 'it has the listener of the manager');
        said($server, qr/^ready/);
        is(told(), 'READY=1', 'and tells the manager when it is ready');
        my $client = client($port, $get);
        is(answer($client), "$old, pid $server->{pid}", 'it answers');

        # The manager starts the next one before the old one ends.
        my $successor = managed($restart{$new}, $listener, $node);
        is(said($successor, qr/^ready with (\d+) connections$/), 1, 'the next one takes over the connections by the node');
        is(told(), 'READY=1', 'and tells the manager');
        is(ended($server), 0, 'the old one ends');
        syswrite $client, $get;
        is(answer($client), "$new, pid $successor->{pid}", 'the connection goes on');
        is(answer(client($port, $get)), "$new, pid $successor->{pid}", 'and there are new ones');

        # Or it stops the server, and starts another one later. Clients wait in the listener.
        is(stop($successor, 'TERM'), 0, 'it is stopped');
        $client = client($port, $get);
        my $third = managed($restart{$old}, $listener, $node);
        is(answer($client), "$old, pid $third->{pid}", 'a client that came meanwhile is answered');
        is(told(), 'READY=1', 'and the manager is told');
        stop($third);
    };

    part "restart: a service manager starts $old wrongly" => sub {
        open my $file, '<', '/dev/null' or die "/dev/null: $!";
        fails('no socket', qr/not one listening TCP socket/, managed($restart{$old}, $file, "$dir/wrong-$old"));
        my $listener = listener();
        fails('two', qr/not one listening TCP socket/, managed($restart{$old}, $listener, "$dir/wrong-$old", LISTEN_FDS => 2));
        fails('more than there are', qr/what was handed down: Bad file descriptor/, managed($restart{$old}, $listener, "$dir/wrong-$old", LISTEN_FDS => 90));
        fails('no number', qr/what was handed down: Invalid argument/, managed($restart{$old}, $listener, "$dir/wrong-$old", LISTEN_FDS => 'x'));
        my ($server, $port) = serve([ 'env', 'LISTEN_PID=1', 'LISTEN_FDS=1', @{ $restart{$old} } ], 0, "$dir/wrong-$old");
        isnt($port, $listener->sockport, 'for somebody else: it is not touched');
        stop($server);
    };
}

done_testing;

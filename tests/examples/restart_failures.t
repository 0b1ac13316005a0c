#!/usr/bin/perl
# SPDX-License-Identifier: MIT OR Apache-2.0

# examples/restart: signals, servers that are stopped or not ours, and what cannot be done at all.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use IO::Socket::UNIX;
use POSIX ();
use Socket ();
use Test::More;
use Time::HiRes ();

use Examples;
use Files qw(spew);
use Skips qw(loudly);

my %source  = (C => 'restart/restart.c', Perl => 'restart/restart.pl');
my %restart = (C => compile($source{C}), Perl => perl($source{Perl}));

# With short deadlines, for handovers and for requests that must run into them.
my %hasty = (
    C    => edited($source{C}, HANDOVER_MS => 2000, TAKE_OVER_MS => 2000),
    Perl => edited($source{Perl}, HANDOVER => 2, TAKE_OVER => 2),
);
my %strict = (
    C    => edited($source{C}, REQUEST_MS => 1000),
    Perl => edited($source{Perl}, REQUEST => 1),
);

my $stranger = 65533;

# A connection on which the server has half a request, and an idle one.
sub half {
    my ($port) = @_;
    my $half = client($port, 'GET / HTTP/1.1');
    # The server has accepted it before a later connection, and reads it with that one's request.
    my $idle = client($port, $get);
    answer($idle);
    return ($half, $idle);
}

# A handover that waits, as the old server has half a request. Returns both servers, their port, and that connection.
sub handover {
    my ($old, $new, $node) = @_;
    my ($server, $port) = restart($old, $node);
    my ($half) = half($port);
    my $successor = start($new, 0, $node);
    said($successor, qr/^listening/);
    return ($server, $successor, $port, $half);
}

for my $language (qw(C Perl)) {
    my $other = $language eq 'C' ? 'Perl' : 'C';

    part "$language: a first start with a node that cannot be" => sub {
        fails('no such directory', qr/No such file or directory/, $restart{$language}, 0, "$dir/none/node");
        spew("$dir/file-$language", "precious\n");
        fails('a regular file', qr/File exists/, $restart{$language}, 0, "$dir/file-$language");
        is(-s "$dir/file-$language", 9, 'the file is as it was');
        fails('a file as directory', qr/Not a directory/, $restart{$language}, 0, "$dir/file-$language/node");
        my $taken = listener();
        fails('a port in use', qr/Address already in use/, $restart{$language}, $taken->sockport, "$dir/port-$language");
    };

    part "$language: SIGTERM to an idle server" => sub {
        for my $signal (qw(TERM INT)) {
            my $node = "$dir/idle-$language";
            my ($server, $port) = restart($restart{$language}, $node);
            my $idle = client($port, $get);
            answer($idle);
            ok(-S $node, 'there is a node');
            is(stop($server, $signal), 0, "SIG$signal ends it well");
            ok(!-e $node, 'and it has removed the node');
            is(sysread($idle, my $byte, 1), 0, 'and closed the connection');
            is(rest($server), '', 'without a word');
        }
    };

    part "$language: SIGTERM with half a request" => sub {
        my $node = "$dir/term-$language";
        my ($server, $port) = restart($restart{$language}, $node);
        my ($half, $idle) = half($port);
        kill TERM => $server->{pid};
        is(sysread($idle, my $byte, 1), 0, 'it closes what is idle');
        ok(!-e $node, 'and has removed the node');
        syswrite $half, $other_half;
        my $answer = do { local $/; readline $half };
        like($answer, qr/^Connection: close\r\n.*^answered by $language, pid $server->{pid}\n\z/ms, 'it answers the request');
        close $half;
        is(ended($server), 0, 'and ends well');
    };

    part "$language: a second SIGTERM ends it at once" => sub {
        my ($server, $port) = restart($restart{$language}, "$dir/twice-$language");
        my ($half, $idle) = half($port);
        kill TERM => $server->{pid};
        sysread $idle, my $byte, 1;    # it is about to end
        is(stop($server, 'TERM'), POSIX::SIGTERM(), 'by the signal');
    };

    part "$language: SIGTERM leaves another server's node alone" => sub {
        my $node = "$dir/other-$language";
        my ($server) = restart($restart{$language}, $node);
        my $another = IO::Socket::UNIX->new(Local => "$node.new", Listen => 1) or die "$node.new: $@";
        rename "$node.new", $node or die "rename: $!";
        is(stop($server, 'TERM'), 0, 'it ends well');
        ok(local_socket($node), 'and the other server is still there');
    };

    part "$language: SIGTERM to the new server during a handover" => sub {
        my $node = "$dir/during-$language";
        my ($server, $successor, $port, $half) = handover($restart{$other}, $restart{$language}, $node);
        is(answer(client($port, $get)), "$language, pid $successor->{pid}", 'the new server accepts');
        kill TERM => $successor->{pid};
        syswrite $half, $other_half;
        is(answer($half), "$other, pid $server->{pid}", 'the old one finishes its request');
        is(ended($server), 0, 'and ends well');
        said($successor, qr/^ready/);
        is(ended($successor), 0, 'the new one ends well after the handover');
        ok(!-e $node, 'and has removed the node');
    };

    part "$language: a third server waits for the second" => sub {
        my $node = "$dir/third-$language";
        my ($server, $second, $port, $half) = handover($restart{$language}, $restart{$other}, $node);
        my $third = start($restart{$language}, 0, $node);
        said($third, qr/another server takes over, waiting for it$/);
        syswrite $half, $other_half;
        is(answer($half), "$language, pid $server->{pid}", 'the first one answers');
        said($third, qr/^ready/);
        is(ended($_), 0, "server $_->{pid} ended well") for $server, $second;
        is(answer(client($port, $get)), "$language, pid $third->{pid}", 'the third one serves');
        is(stop($third, 'TERM'), 0, 'and ends well');
    };

    part "$language: the old server is stopped during a handover" => sub {
        my $node = "$dir/middle-$language";
        my ($server, $successor, $port, $half) = handover($restart{$other}, $hasty{$language}, $node);
        freeze($server);
        said($successor, qr/^taking over: the old server has not finished within 2 seconds$/);
        said($successor, qr/^ready/);
        is(answer(client($port, $get)), "$language, pid $successor->{pid}", 'the new server goes on');
        stop($server);
        is(stop($successor, 'TERM'), 0, 'and ends well');
        ok(!-e $node, 'the node was its own');
    };

    part "$language: the new server is stopped during a handover" => sub {
        my $node = "$dir/new-$language";
        my ($server, $successor, $port, $half) = handover($hasty{$language}, $restart{$other}, $node);
        freeze($successor);
        said($server, qr/^the new server has failed, going on with [1-9]\d* connections$/);
        stop($successor);
        is(answer(client($port, $get)), "$language, pid $server->{pid}", 'the old server accepts again');
        syswrite $half, $other_half;
        is(answer($half), "$language, pid $server->{pid}", 'and finishes what it has begun');
        is(stop($server, 'TERM'), 0, 'and ends well');
    };

    part "$language: dropped connections are logged" => sub {
        my ($server, $port) = restart($strict{$language}, "$dir/drop-$language");
        close client($port, 'GET / HTTP/1.1');
        ok(said($server, qr/^dropped a connection: it ended within a request$/), 'one that ends too early');
        my $slow = client($port, 'GET / HTTP/1.1');
        ok(said($server, qr/^dropped a connection: nothing came for too long$/), 'one that is too slow');
        is(sysread($slow, my $byte, 1), 0, 'it is closed');
        my $reset = client($port, 'GET / HTTP/1.1');
        setsockopt $reset, Socket::SOL_SOCKET(), Socket::SO_LINGER(), pack 'ii', 1, 0;
        close $reset;
        ok(said($server, qr/^dropped a connection: Connection reset by peer$/), 'one that is reset');
        is(stop($server, 'TERM'), 0, 'it ends well');
    };

    part "$language: a full descriptor table is logged once" => sub {
        my ($server, $port) = restart(limited(24, $restart{$language}), "$dir/full-$language");
        my $first = client($port, $get);
        answer($first);
        my @many = map { client($port) } 1 .. 40;
        said($server, qr/^accept: Too many open files$/);
        my $until = Time::HiRes::time() + 0.5;    # some tries to accept come in this time
        my $answered = 0;
        while (Time::HiRes::time() < $until) {
            syswrite $first, $get;
            $answered++ if answer($first) eq "$language, pid $server->{pid}";
        }
        cmp_ok($answered, '>', 0, 'it serves those that it has');
        close $_ for @many;
        is(answer(client($port, $get)), "$language, pid $server->{pid}", 'and accepts when there is room');
        is(stop($server, 'TERM'), 0, 'it ends well');
        my $lines = () = rest($server) =~ /^accept: /mg;
        cmp_ok($lines, '<=', 2, 'the log has no line for each try');    # the table may be full another time
    };

    part "$language: servers of two users" => sub {
        plan skip_all => loudly('not root: there is only one user') if $> != 0;
        my $theirs = "$dir/theirs-$language";
        mkdir $theirs or die "$theirs: $!";
        chown $stranger, $stranger, $theirs or die "$theirs: $!";
        my (undef, $status) = run(as($stranger, [ $^X, '-e', 'exit(-w $ARGV[0] && -r $ARGV[1] ? 42 : 43)' ]), $theirs, $restart{Perl}[-1]);
        plan skip_all => loudly("user $stranger cannot run $^X, or cannot reach $dir") if $status >> 8 != 42;
        my ($server, $port) = restart(as($stranger, $restart{$language}), "$theirs/node");
        fails('root as the new server', qr/node: refused user $stranger, process $server->{pid}/, $restart{$other}, 0, "$theirs/node");
        my $root = local_socket("$theirs/node");
        said($server, qr/node: refused user 0, process $$/);
        is(sysread($root, my $byte, 1), 0, 'root gets nothing from the old server');
        is(answer(client($port, $get)), "$language, pid $server->{pid}", 'which goes on');
        is(stop($server, 'TERM'), 0, 'and ends well');
    };
}

# Those in C and in Perl wait at the same time.
part 'the old server is stopped' => sub {
    my $node = "$dir/stopped";
    my ($server, $port) = restart($restart{Perl}, $node);
    my $no_answer = qr/\Q$node\E: the server there does not answer within 10 seconds/;
    freeze($server);
    my %waiting = map { $_ => start($restart{$_}, 0, $node) } qw(C Perl);
    fails("one in $_, which waits for the listener", $no_answer, $waiting{$_}) for sort keys %waiting;
    my @backlog = fill_backlog($node);
    %waiting = map { $_ => start($restart{$_}, 0, $node) } qw(C Perl);
    fails("one in $_, which waits for room in the backlog", $no_answer, $waiting{$_}) for sort keys %waiting;
    close $_ for @backlog;
    kill CONT => $server->{pid};
    is(answer(client($port, $get)), "Perl, pid $server->{pid}", 'the old server can go on');
    is(stop($server, 'TERM'), 0, 'and ends well');
};

done_testing;

#!/usr/bin/perl
# SPDX-License-Identifier: MIT OR Apache-2.0

# examples/privsep: signals, a helper that is stopped, what is logged, and what cannot be done at all.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Test::More;

use Examples;
use Files qw(spew);
use Skips qw(loudly);

my %helper = (C => compile('privsep/helper.c'), Perl => perl('privsep/helper.pl'));
my %client = (C => compile('privsep/client.c'), Perl => perl('privsep/client.pl'));
my $user   = $>;
my $me     = $$;
my ($nobody, $stranger) = (65534, 65533);

mkdir "$dir/files" or die "$dir/files: $!";
spew("$dir/files/letter", "hello\n");

for my $language (qw(C Perl)) {
    part "$language: what cannot be" => sub {
        fails('no such directory', qr/No such file or directory/, $helper{$language}, "$dir/none", "$dir/n-$language", $user);
        ok(!-e "$dir/n-$language", 'and there is no node');
        fails('none for the node', qr/No such file or directory/, $helper{$language}, "$dir/files", "$dir/none/node", $user);
        spew("$dir/file-$language", "precious\n");
        fails('a regular file as node', qr/File exists/, $helper{$language}, "$dir/files", "$dir/file-$language", $user);
        is(-s "$dir/file-$language", 9, 'the file is as it was');
        fails('no such user', qr/no user no-such-user/, $helper{$language}, "$dir/files", "$dir/n-$language", 'no-such-user');
        fails('a client without a helper', qr/No such file or directory/, $client{$language}, "$dir/none/node", 'letter');
    };

    part "$language: SIGTERM" => sub {
        for my $signal (qw(TERM INT)) {
            my $node   = "$dir/term-$language";
            my $helper = helper($helper{$language}, $node, $user);
            my $half   = local_socket($node);
            syswrite $half, 'let';
            # The helper has accepted that one before this client.
            is_deeply([ run($client{C}, $node, 'letter') ], [ "hello\n", 0 ], 'a client is served');
            kill $signal => $helper->{pid};
            syswrite $half, 'ter';
            shutdown $half, 1;
            is(sysread($half, my $byte, 1), 1, "after SIG$signal it answers the request that has begun");
            is(ended($helper), 0, 'and ends well');
            ok(!-e $node, 'and has removed the node');
            is(rest($helper), '', 'without a word');
        }
    };

    part "$language: SIGTERM, with a node that is relative to where it was started" => sub {
        my $helper = start([ 'sh', '-c', 'cd "$0" && exec "$@"', $dir, @{ $helper{$language} } ], 'files', "own-$language", $user);
        said($helper, qr/^ready$/);
        ok(-S "$dir/own-$language", 'there is a node');
        is(stop($helper, 'TERM'), 0, 'it ends well');
        ok(!-e "$dir/own-$language", 'and has removed it');
    };

    part "$language: SIGTERM leaves another helper's node alone" => sub {
        my $node   = "$dir/other-$language";
        my $helper = helper($helper{$language}, $node, $user);
        my $other  = helper($helper{$language}, $node, $user);    # takes over
        is(stop($helper, 'TERM'), 0, 'the first one ends well');
        is_deeply([ run($client{C}, $node, 'letter') ], [ "hello\n", 0 ], 'the other one serves');
        is(stop($other, 'TERM'), 0, 'and ends well');
        ok(!-e $node, 'and has removed the node');
    };

    part "$language: dropped clients are logged" => sub {
        my $node   = "$dir/dropped-$language";
        my $helper = helper($helper{$language}, $node, $user);
        my $long   = local_socket($node);
        syswrite $long, 'x' x 5000;
        ok(said($helper, qr/^dropped a client: the name is too long$/), 'one with too long a name');
        my $slow = local_socket($node);
        ok(said($helper, qr/^dropped a client: no request within its time$/), 'one that is too slow');
        is(sysread($slow, my $byte, 1), 0, 'it is closed');
        is(stop($helper, 'TERM'), 0, 'the helper ends well');
    };

    part "$language: refused users are logged" => sub {
        plan skip_all => loudly('not root: there is only one user') if $user != 0;
        my $node   = "$dir/refused-$language";
        my $helper = helper($helper{$language}, $node, $nobody);
        my $root   = local_socket($node);
        ok(said($helper, qr/^refused user 0, process $me$/), 'root, which is not the user');
        is(sysread($root, my $byte, 1), 0, 'it is closed');
        my $other = start(as($stranger, $client{C}), $node, 'letter');
        ok(said($helper, qr/^refused user $stranger, process $other->{pid}$/), 'another user');
        isnt(ended($other), 0, 'which gets nothing');
        is(stop($helper, 'TERM'), 0, 'the helper ends well');
    };

    part "$language: a full descriptor table is logged once" => sub {
        my $node   = "$dir/full-$language";
        my $helper = helper(limited(20, $helper{$language}), $node, $user);
        my @many   = map { local_socket($node) } 1 .. 20;
        ok(said($helper, qr/^accept: Too many open files$/), 'it says so');
        close $_ for @many;
        is_deeply([ run($client{C}, $node, 'letter') ], [ "hello\n", 0 ], 'it serves when there is room');
        is(stop($helper, 'TERM'), 0, 'it ends well');
        my $lines = () = rest($helper) =~ /^accept: /mg;
        cmp_ok($lines, '<=', 1, 'the log has no line for each try');    # the table may be full another time
    };
}

# Those in C and in Perl wait at the same time.
part 'clients, and a helper that is stopped' => sub {
    my $node   = "$dir/stopped";
    my $helper = helper($helper{C}, $node, $user);
    freeze($helper);
    my %waiting = map { $_ => start($client{$_}, $node, 'letter') } qw(C Perl);
    fails("one in $_, which waits for the file", qr/the helper does not answer/, $waiting{$_}) for sort keys %waiting;
    my @backlog = fill_backlog($node);
    %waiting = map { $_ => start($client{$_}, $node, 'letter') } qw(C Perl);
    fails("one in $_, which waits for room in the backlog", qr/the helper does not answer/, $waiting{$_}) for sort keys %waiting;
};

done_testing;

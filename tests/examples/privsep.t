#!/usr/bin/perl
# SPDX-License-Identifier: MIT OR Apache-2.0

# examples/privsep: who is given files, which ones, and who is not.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Socket ();
use Test::More;

use Examples;
use Files qw(spew);
use Skips qw(loudly);

my %helper = (C => compile('privsep/helper.c'), Perl => perl('privsep/helper.pl'));
my %client = (C => compile('privsep/client.c'), Perl => perl('privsep/client.pl'));

mkdir $_, 0700 or die "$_: $!" for "$dir/files", "$dir/files/sub";
my $letter = "for your eyes only\n" x 10_000;
chmod 0600, spew($_, $letter) or die "$_: $!" for "$dir/outside", "$dir/files/letter";
symlink 'letter', "$dir/files/link" or die $!;
POSIX::mkfifo("$dir/files/fifo", 0600) or die $!;
my @refused = (
    '', '.', '..', '/etc/passwd', '../outside', 'sub/../letter', 'sub', 'link', 'fifo', 'missing', 'x' x 256, 'x' x 5000,
    "letter\n",
);

# Those users need no names.
my ($nobody, $stranger) = (65534, 65533);

for my $language (qw(C Perl)) {
    for my $asking (qw(C Perl)) {
        part "privsep: helper in $language, client in $asking, same user" => sub {
            my $node   = "$dir/own-$language-$asking";
            my $helper = helper($helper{$language}, $node, $>);
            is_deeply([ run($client{$asking}, $node, 'letter') ], [ $letter, 0 ], 'the client reads the letter');
            for my $name (@refused) {
                my ($said, $status) = run($client{$asking}, $node, $name);
                ok($status != 0 && $said =~ /Permission denied\n\z/, 'refused: ' . substr($name, 0, 20) =~ s/\n/\\n/r)
                  or diag $said;
            }
            is_deeply([ run($client{$asking}, $node, 'letter') ], [ $letter, 0 ], 'then it reads again');
            stop($helper);
        };

        part "privsep: helper in $language as root, client in $asking as nobody" => sub {
            plan skip_all => loudly('not root: nobody else can be let in or kept out') if $> != 0;
            my (undef, $status) = run(as($nobody, [ $^X, '-e', 'exit(-r $ARGV[0] ? 42 : 43)' ]), $client{Perl}[-1]);
            plan skip_all => loudly("user $nobody cannot run $^X, or cannot reach $dir") if $status >> 8 != 42;

            my $node   = "$dir/root-$language-$asking";
            my $helper = helper($helper{$language}, $node, $nobody);
            isnt((run(as($nobody, [ 'cat', "$dir/files/letter" ])))[1], 0, 'nobody cannot open the letter');
            is_deeply([ run(as($nobody, $client{$asking}), $node, 'letter') ], [ $letter, 0 ], 'but reads it by the helper');
            for my $uid ($stranger, 0) {
                my ($said, $status) = run(as($uid, $client{$asking}), $node, 'letter');
                ok($status != 0 && $said =~ /Permission denied\n\z/, "user $uid is refused") or diag $said;
            }
            for my $name (@refused) {
                my ($said, $status) = run(as($nobody, $client{$asking}), $node, $name);
                ok($status != 0 && $said =~ /Permission denied\n\z/, 'refused: ' . substr($name, 0, 20) =~ s/\n/\\n/r)
                  or diag $said;
            }
            stop($helper);
        };
    }

    part "privsep: helper in $language, and clients that do not get to the point" => sub {
        my $node   = "$dir/slow-$language";
        my $helper = helper($helper{$language}, $node, $>);
        my @slow = map { local_socket($node) } 1 .. 20;
        syswrite $_, 'let' for @slow;
        is_deeply([ run($client{C}, $node, 'letter') ], [ $letter, 0 ], 'do not keep others waiting');
        is(scalar(grep { !defined recv $_, my $byte, 1, Socket::MSG_DONTWAIT() } @slow), 20, 'and have time');

        # As many as it serves at once, and more: they wait for the first ones' time to be up.
        push @slow, map { local_socket($node) } 1 .. 44;
        is_deeply([ run($client{Perl}, $node, 'letter') ], [ $letter, 0 ], 'too many clients are a delay');
        is(scalar(grep { !sysread $_, my $byte, 1 } @slow), 64, 'their time is limited');
        stop($helper);
    };
}

done_testing;

#!/usr/bin/perl
# SPDX-License-Identifier: MIT OR Apache-2.0

# examples/tokio: its own tests, and its program over a real socket pair with the same program and with the plain crate.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/../lib";
use Socket qw(AF_UNIX SOCK_STREAM PF_UNSPEC);
use Test::More;

use Files qw($root);
use Processes qw(run spawn works);
use Skips qw(loudly);

my @cargo = (split(' ', $ENV{CARGO} // 'cargo'));
my @there = ('--manifest-path', "$root/examples/tokio/Cargo.toml", '--target-dir', "$root/target/tokio");

my ($text, $status) = run({ deadline => 900 }, @cargo, qw(test --locked), @there);
plan skip_all => loudly('its crates were not fetched, and this is offline: run scripts/setup once')
  if $status != 0 && $text =~ /offline mode|--offline was specified/;
is($status, 0, 'its tests pass') or diag($text);
like($text, qr/^test result: ok\. [1-9]\d* passed; 0 failed/m, 'and there are some');
works('the program compiles', { deadline => 900 }, @cargo, qw(build --locked), @there);
works('the plain one too', { deadline => 900, dir => $root }, @cargo, qw(build --locked --example pass));

my %program = (tokio => "$root/target/tokio/debug/pass", poll => "$root/target/debug/examples/pass");
for my $pair ([ 'tokio', 'tokio' ], [ 'tokio', 'poll' ], [ 'poll', 'tokio' ]) {
    my ($from, $to) = @$pair;
    socketpair my $near, my $far, AF_UNIX, SOCK_STREAM, PF_UNSPEC or die "socketpair: $!";
    my $sender   = spawn({ keep => [$near], deadline => 120 }, $program{$from}, 'send', 500, fileno $near);
    my $receiver = spawn({ keep => [$far], deadline => 120 }, $program{$to}, 'recv', 500, fileno $far);
    close $_ for $near, $far;
    for ([ $sender, "$from sends" ], [ $receiver, "$to receives" ]) {
        waitpid $_->[0], 0;
        is($?, 0, $_->[1]);
    }
}
done_testing;

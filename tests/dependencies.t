#!/usr/bin/perl
# The crates that this one needs: their licences, where they come from, and how many a C program gets.
#
# SPDX-License-Identifier: MIT OR Apache-2.0
use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Files qw($root);
use Processes qw(run succeeds works);
use Skips qw(loudly);

my @cargo = split ' ', $ENV{CARGO} // 'cargo';

# Whoever adds a crate to the library thinks twice, and changes this line.
my ($tree, $status) = run({ dir => $root }, @cargo, qw(tree --locked --offline --edges normal --prefix none --format {p}));
is($status, 0, 'cargo tree') or diag($tree);
my %crate = map { /^(\S+) v/ ? ($1 => 1) : () } split /\n/, $tree;
is(join(' ', sort keys %crate), 'arrayvec bitflags cfg-if fdpasser libc memoffset nix', 'what the library is linked with');

SKIP: {
    my ($deny) = grep { succeeds({ dir => $root }, @$_, '--version') } ["$root/target/deny/bin/cargo-deny"], [ @cargo, 'deny' ];
    skip loudly('cargo-deny is not installed: scripts/setup brings it'), 1 if !$deny;
    # The advisories are a repository of their own, which cannot be had offline.
    works('cargo deny: licences, sources, duplicates',
        { dir => $root }, @$deny, '--offline', qw(check licenses bans sources));
}
done_testing;

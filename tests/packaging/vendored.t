#!/usr/bin/perl
# `make lib` without a network: from vendored crates by Cargo.lock, and without that file from a distribution's crates,
# which may have other versions. Neither compiles cbindgen.
#
# SPDX-License-Identifier: MIT OR Apache-2.0
use strict;
use warnings;

use File::Path qw(make_path);
use File::Temp qw(tempdir);
use FindBin;
use Test::More;

use lib "$FindBin::Bin/../lib";
use Files qw($root slurp spew);
use Packaging qw(copy_of_the_tree home_of_cargo without_network);
use Processes qw(run succeeds works);
use Skips qw(loudly);

chdir $root or die "chdir: $!";
my $dir  = tempdir(CLEANUP => 1);
my $tree = "$dir/tree";
my $make = $ENV{MAKE} || 'make';

plan skip_all => loudly('there is no cargo') if !succeeds(qw(cargo --version));
copy_of_the_tree($tree);
my (undef, $status) = run('sh', '-c', 'cd "$1" && cargo vendor --locked --offline --quiet vendor 2>"$2"', 'sh', $tree, "$dir/vendor.log");
plan skip_all => loudly('the crates were not fetched: cargo fetch --locked') if $status != 0 && slurp("$dir/vendor.log") =~ /offline/;
is($status, 0, 'cargo vendor') or diag slurp("$dir/vendor.log");
make_path("$tree/.cargo");
spew("$tree/.cargo/config.toml", qq([source.crates-io]\nreplace-with = "vendored"\n[source.vendored]\ndirectory = "vendor"\n));

# No crate is anywhere but in the tree.
my %home    = (home_of_cargo(), CARGO_HOME => "$dir/cargo-home");
my @offline = (without_network(), 'env', map { "$_=$home{$_}" } sort keys %home);

sub builds {
    my ($what, @options) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $said = works($what, { dir => $tree, deadline => 1800 }, @offline, $make, 'lib', @options) // return '';
    like($said, qr/^ +Compiling fdpasser v/m, 'it is compiled');
    unlike($said, qr/^ +Compiling cbindgen/m, 'and cbindgen is not');
    ok(-s "$tree/target/sealed/libfdpasser.$_", "libfdpasser.$_ is there") for qw(a so);
    return $said;
}

builds('make lib');

# As a distribution has it: one version of each crate, without the checksums that Cargo.lock knows.
my $other = "$tree/vendor/arrayvec";
spew("$other/Cargo.toml", slurp("$other/Cargo.toml") =~ s/^version = "0\.7\.\d+"/version = "0.7.99"/mr);
spew("$other/.cargo-checksum.json", '{"files":{}}');
my ($said, $result) = run({ dir => $tree }, @offline, $make, 'lib');
isnt($result, 0, 'with another version of a crate, make lib fails');
like($said, qr/arrayvec/, 'because of that');
my ($remove, $other_make) = slurp('docs/packaging.md') =~ /^\$ (rm Cargo\.lock)\n\$ make (CARGO_FLAGS=\S+)$/m or BAIL_OUT('docs/packaging.md has no commands');
works($remove, { dir => $tree }, 'sh', '-c', $remove);
like(builds("make lib $other_make", $other_make), qr/^ +Compiling arrayvec v0\.7\.99/m, 'with that version');

done_testing;

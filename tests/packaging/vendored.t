#!/usr/bin/perl
# `make lib` without a network: from vendored crates by Cargo.lock, and without that file from a distribution's crates,
# which may have other versions. Neither compiles cbindgen. Then the Perl module, linked shared and static.
#
# SPDX-License-Identifier: MIT OR Apache-2.0
use strict;
use warnings;

use Config;
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

# The Perl module can be linked with the one library and then with the other.
for (['the shared library', 'FDPASSER_SHARED=1'], ['the archive'], ['the shared library again', 'FDPASSER_SHARED=1']) {
    my ($what, @shared) = @$_;
    works("the Perl module, with $what", { dir => $tree, deadline => 1800 }, @offline, $make, 'perl-module', $other_make, @shared) // last;
    my $dynamic = (run('readelf', '-d', "$tree/perl/blib/arch/auto/AnyEvent/FDpasser/FDpasser.$Config{dlext}"))[0];
    is(scalar($dynamic =~ /NEEDED.*libfdpasser/), @shared ? 1 : '', 'is what it needs, or not');
    unlike($dynamic, qr/R(?:UN)?PATH/, 'it has no RUNPATH');
    works('it works', { dir => "$tree/perl" }, 'env', @shared ? "LD_LIBRARY_PATH=$tree/target/release" : (), $^X, '-Mblib',
        '-MAnyEvent::FDpasser', '-e', 'AnyEvent::FDpasser::fdpasser_mode() == 1 or die');
}

done_testing;

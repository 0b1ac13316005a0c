#!/usr/bin/perl
# The crate as crates.io would have it: it builds, tests and documents by itself, also with the oldest Rust that it
# promises. No network.
#
# SPDX-License-Identifier: MIT OR Apache-2.0
use strict;
use warnings;

use File::Temp ();
use FindBin;
use Test::More;

use lib "$FindBin::Bin/../lib";
use Files qw($root slurp);
use Processes qw(run succeeds works);
use Skips qw(loudly);

my @cargo = split ' ', $ENV{CARGO} // 'cargo';
my $dir   = File::Temp::tempdir(CLEANUP => 1);
my ($version) = slurp("$root/Cargo.toml") =~ /^version = "(.*)"/m;
my ($minimum) = slurp("$root/Cargo.toml") =~ /^rust-version = "(.*)"/m;

# --no-verify: it would only build, and not offline everywhere.
works('cargo package', { dir => $root },
    @cargo, qw(package --locked --offline --allow-dirty --no-verify --target-dir), "$dir/package");
works('the package unpacks', 'tar', '-xzf', "$dir/package/package/fdpasser-$version.crate", '-C', $dir);
my %in_it = (dir => "$dir/fdpasser-$version", deadline => 600, env => { CARGO_TARGET_DIR => "$root/target/package-test" });

my $said = works('its examples run, from the package alone', \%in_it, @cargo, qw(test --locked --offline --doc));
like($said // '', qr/^test result: ok\. [1-9]\d* passed/m, 'and there are some');
works('it builds without the C functions', \%in_it, @cargo, qw(build --locked --offline --no-default-features));
works('its documentation has no broken link',
    { %in_it, env => { %{ $in_it{env} }, RUSTDOCFLAGS => '-D warnings' } },
    @cargo, qw(doc --locked --offline --no-deps));

for my $page (slurp("$root/docs/crate.md")) {
    my @links = $page =~ /\]\(([^)]+)\)/g;
    is(join(' ', grep { !m{^https://} } @links), '', 'its page on crates.io has no link that needs the repository');
}

SKIP: {
    my @old = ('rustup', 'run', "$minimum.0", 'cargo');
    skip loudly("Rust $minimum.0 is not installed: scripts/setup brings it where rustup is"), 1
      if !succeeds(@old, '--version');
    works("Rust $minimum.0 runs its examples",
        { %in_it, env => { CARGO_TARGET_DIR => "$root/target/oldest" } }, @old, qw(test --locked --offline --doc));
}
done_testing;

#!/usr/bin/perl
# The fuzz targets compile, with a stable Rust too. Nothing is linked and nothing runs.
#
# SPDX-License-Identifier: MIT OR Apache-2.0
use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Files qw($root);
use Processes qw(run);
use Skips qw(loudly);

my ($text, $status) = run(
    { dir => $root, deadline => 600, env => { RUSTFLAGS => '--cfg fuzzing' } },
    split(' ', $ENV{CARGO} // 'cargo'),
    qw(check --locked --no-default-features --manifest-path fuzz/Cargo.toml --target-dir target/fuzz)
);
plan skip_all => loudly('its crates were not fetched, and this is offline: run scripts/setup once')
  if $status != 0 && $text =~ /offline mode|--offline was specified/;
ok($status == 0 && $text !~ /^warning/m, 'cargo check finds no error and gives no warning') or diag($text);

done_testing;

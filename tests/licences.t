#!/usr/bin/perl
# Every file says its copyright and its licence, as REUSE wants it: in a line of its own, or in REUSE.toml.
#
# SPDX-License-Identifier: MIT OR Apache-2.0
use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Files qw($root);
use Processes qw(installed run);
use Skips qw(loudly);
use Test::More;

# REUSE.toml is read from version 4 on. scripts/setup installs a new one where the system's is older.
my ($reuse) = grep { installed($_) && (run($_, '--version'))[0] =~ /(\d+)\.\d/ && $1 >= 4 } "$root/target/reuse/bin/reuse", 'reuse';
plan skip_all => loudly('there is no reuse of version 4 or later') if !$reuse;

my ($text, $status) = run({ dir => $root }, $reuse, 'lint');
is($status, 0, 'reuse lint finds nothing missing') or diag($text);

done_testing;

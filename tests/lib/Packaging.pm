# What the tests in tests/packaging/ share.
#
# SPDX-License-Identifier: MIT OR Apache-2.0
package Packaging;

use strict;
use warnings;

use Exporter qw(import);
use Files qw($root);
use Processes qw(run succeeds works);
use Skips qw(loudly);

our @EXPORT_OK = qw(copy_of_the_tree home_of_cargo without_network);

# A make that a test runs must not inherit the flags and the job server of the make that runs the tests.
delete @ENV{qw(MAKEFLAGS MFLAGS MAKELEVEL)};

# What a command begins with so that it reaches no network but this machine's own addresses. Where the system does not
# let us, it goes without.
sub without_network {
    for my $unshare ([qw(unshare -n)], [qw(unshare -r -n)]) {
        my @command = (@$unshare, 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh');
        return @command if succeeds(@command, 'true');
    }
    loudly('the network cannot be switched off here, so what follows may use it');
    return;
}

# Cargo and rustup look for their files in the home directory. These variables are for commands that have another one.
sub home_of_cargo {
    my $home = $ENV{HOME} // (getpwuid $>)[7];
    return (CARGO_HOME => $ENV{CARGO_HOME} // "$home/.cargo", RUSTUP_HOME => $ENV{RUSTUP_HOME} // "$home/.rustup");
}

# The sources in a directory of their own, as a tarball would have them.
sub copy_of_the_tree {
    my ($to) = @_;
    my @built = map { ('--exclude', "./$_") } qw(.git target fuzz/target perl/blib perl/target perl/Makefile perl/pm_to_blib);
    return works('a copy of the tree', 'sh', '-ec', 'to=$1; shift; mkdir "$to"; tar -cf - "$@" . | tar -C "$to" -xf -', 'sh', $to, '-C', $root, @built);
}

1;

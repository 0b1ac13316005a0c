# The C programs under gVisor, which is another kernel behind Linux's system calls; many containers run on it.
#
# SPDX-License-Identifier: MIT OR Apache-2.0
package Sandbox;
use strict;
use warnings;

use Portability qw($out c_tests not_installed report run_c_tests skipped);

# These need what gVisor does not do, or does otherwise.
my %left_out = (
);

# Runs the programs with these names, or all but those that are left out.
sub run {
    my ($name, $lib, @names) = @_;
    return skipped($name, 'runsc, of the package of that name, is not installed') if not_installed('runsc');
    return skipped($name, 'only root can start runsc') if $> != 0;
    my $runsc = "runsc --root=$out/gvisor --network=none --ignore-cgroups do --force-overlay";
    return skipped($name, "runsc cannot start here; target/portability/$name.log says why")
      if !Portability::quiet($name, "$runsc /bin/true");
    my ($version) = `runsc --version` =~ /version (?:release-)?(\S+)/;
    run_c_tests(
        $name,
        target => "$name-static",
        lib    => $lib,
        run    => $runsc,
        names  => \@names,
        @names ? () : (skip => \%left_out),
    );
    return report("$name: runsc $version", c_tests($name), $name);
}

1;

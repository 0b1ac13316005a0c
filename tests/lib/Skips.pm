# Skips that are seen: the reason is in the TAP, for the summary of `make check`, and on the terminal.
#
# SPDX-License-Identifier: MIT OR Apache-2.0
package Skips;

use strict;
use warnings;

use Exporter qw(import);
use Test::More ();

our @EXPORT_OK = qw(loudly);

# For `skip loudly($why), $count` and `plan skip_all => loudly($why)`.
sub loudly {
    my ($why) = @_;
    Test::More::diag("SKIPPED: $why");
    return $why;
}

1;

# Reading and writing whole files.
#
# SPDX-License-Identifier: MIT OR Apache-2.0
package Files;

use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname);

our @EXPORT_OK = qw($root slurp spew);

# The top of the source tree.
our $root = abs_path(dirname(__FILE__) . '/../..');

sub slurp {
    my ($file) = @_;
    open my $fh, '<', $file or die "$file: $!\n";
    local $/;
    return scalar(<$fh>) // '';
}

sub spew {
    my ($file, $text) = @_;
    open my $fh, '>', $file or die "$file: $!\n";
    print {$fh} $text;
    close $fh or die "$file: $!\n";
    return $file;
}

1;

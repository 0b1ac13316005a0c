# Compiling C programs, those of tests/c above all, with the library that `make` has built.
#
# SPDX-License-Identifier: MIT OR Apache-2.0
package CPrograms;

use strict;
use warnings;

use Exporter qw(import);
use Files qw($root);
use Processes qw(run);

our @EXPORT_OK = qw(@flags $target $built c_programs cc cxx library static_link shared_link symbols why_skipped);

# What programs of tests/c are compiled with; to be used at the top of the source tree.
our @flags = qw(-std=c99 -D_GNU_SOURCE -Wall -Wextra -pedantic -Werror -O1 -g -Iinclude -Itests/c -pthread);

# The directories for all that is built, and for the libraries.
our $target = "$root/target" . ($ENV{FDPASSER_SYSV} ? '/sysv' : '');
our $built  = "$target/release";

# The compilers, each of which may be several words.
sub cc  { return split ' ', $ENV{CC}  || 'cc' }
sub cxx { return split ' ', $ENV{CXX} || 'c++' }

# libfdpasser.so or libfdpasser.a, which has to be there.
sub library {
    my ($suffix, $directory) = @_;
    my $file = ($directory // $built) . "/libfdpasser.$suffix";
    -e $file or die "$file is missing: run `make lib`\n";
    return $file;
}

# What links a program with the shared or the static library of a directory.
sub shared_link {
    my ($directory) = @_;
    $directory //= $built;
    return ("-L$directory", '-lfdpasser', "-Wl,-rpath,$directory");
}

sub static_link {
    my ($directory, $with) = @_;
    return (($directory // $built) . '/libfdpasser.a', split ' ', $with // '-lpthread -ldl');
}

# What a library defines, name => type, as nm shows it: its dynamic symbols (-D) or its global ones (-g). The symbols
# that name a version are left out.
sub symbols {
    my ($which, $file) = @_;
    my ($text, $status) = run($ENV{NM} || 'nm', $which, '--defined-only', $file);
    $status == 0 or die "nm $file: $text\n";
    return map { /^[0-9a-f]+ ([^A]) (\S+?)(?:@.*)?$/ ? ($2 => $1) : () } split /\n/, $text;
}

# The names of all programs in tests/c.
sub c_programs { return map { m{([^/]+)\.c$} } sort glob "$root/tests/c/*.c" }

# A program exits with 77 if it is skipped, and says why: the reason, or undef if it was not skipped.
sub why_skipped {
    my ($status, $output) = @_;
    return if $status != 77 << 8;
    return $output =~ /^skip: (.*)/m ? $1 : 'no reason given';
}

1;

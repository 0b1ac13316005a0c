package Results;

# Reads what `run` wrote: read_results(FILE) is a hash of `about` (the lines at the top, by their first
# word) and of one list for each table, by a word of its title; a list's elements are hashes, by the
# names of the columns.
#
# SPDX-License-Identifier: MIT OR Apache-2.0
use strict;
use warnings;

use Exporter qw(import);
our @EXPORT_OK = qw(read_results);

my %table = (
    throughput => qr/^throughput/,
    latency    => qr/^latency/,
    queued     => qr/how many are queued/,
    passers    => qr/how many passers/,
    idle       => qr/^idle/,
    calls      => qr/^system calls/,
    rust       => qr/^the Rust API/,
);

sub read_results {
    my ($file) = @_;
    open my $in, '<', $file or die "$file: $!\n";
    my (%results, $name, @columns);
    while (my $line = <$in>) {
        chomp $line;
        if ($line =~ /^== (.*)/) {
            my $title = $1;
            ($name) = grep { $title =~ $table{$_} } keys %table;
            @columns = ();
        }
        elsif (!defined $name) {
            $results{about}{$1} = $2 if $line =~ /^(\w+)  +(.*)/;
        }
        elsif ($line eq '') { undef $name; undef @columns }
        elsif ($line =~ /^ {3}\S/ && !@columns && $line !~ /\S  +\S/) { }    # a note
        else {
            # The last column is a name, which may have spaces in it, but never two.
            my @fields = split /  +/, $line =~ s/^ +//r;
            if (!@columns) { @columns = @fields; next }
            my %line;
            @line{@columns} = @fields;
            push @{ $results{$name} }, \%line;
        }
    }
    return %results;
}

1;

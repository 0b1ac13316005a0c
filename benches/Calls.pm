package Calls;

# System calls for each descriptor that one side of a row makes, as strace counts them.
#
# SPDX-License-Identifier: MIT OR Apache-2.0
use strict;
use warnings;

use Exporter qw(import);
use List::Util qw(max min sum0);
use Rows qw(run_row);

our @EXPORT_OK = qw(count_calls calls_lines);

# Returns a hash from the name of a call to its count for each descriptor, or undef if a run failed. It is
# the difference of two runs, so starting and stopping do not count.
sub count_calls {
    my ($row, $side, $few, $many) = @_;
    my $log = 'target/bench/strace.log';
    my %count;
    for my $n ($few, $many) {
        run_row($row, $n, $side => [ qw(strace -f -e raw=all -e signal=none -o), $log ]) or return;
        my %asks_limit;    # by process: its previous call belongs to the library's proof that there is room
        open my $in, '<', $log or die "$log: $!";
        while (<$in>) {
            my ($pid, $call) = /^(\d+)\s+(\w+)\(/ or next;
            $call = 'select'    if $call eq 'pselect6';
            $call = 'getrlimit' if $call eq 'prlimit64';
            # The proof may need a second select for a wider window. That is not a poll either.
            $call = 'poll' if $call =~ /^(?:ppoll|poll|epoll_p?wait2?)$/ || $call eq 'select' && !$asks_limit{$pid};
            $call = 'stat' if $call =~ /stat/;
            $asks_limit{$pid} = $call eq 'getrlimit' || $call eq 'select';
            $count{$call} += $n == $few ? -1 : 1;
        }
    }
    $_ /= $many - $few for values %count;
    return \%count;
}

# The lines of the table, from [ROW, SIDE, COUNTS] each: a column for poll and for the ten most frequent calls.
sub calls_lines {
    my (@counted) = @_;
    my %total;
    for my $count (map { $_->[2] } @counted) { $total{$_} += $count->{$_} for keys %$count }
    my @calls = sort { $total{$b} <=> $total{$a} || $a cmp $b } grep { $_ ne 'poll' && $total{$_} >= 0.005 } keys %total;
    my @columns = ('poll', @calls[ 0 .. min(9, $#calls) ]);
    return [ 'all', @columns, 'other', 'side', 'what' ], map {
        my ($row, $side, $count) = @$_;
        my $all  = sum0(values %$count);
        my @each = map { $count->{$_} // 0 } @columns;
        [ (map { sprintf '%.2f', $_ } $all, @each, abs($all - sum0(@each))), $side, $row->{name} ];
    } @counted;
}

1;

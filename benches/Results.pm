package Results;

# The format of results.txt, which `run` writes and `plot` and `quote` read, and the rows that both show.
#
# SPDX-License-Identifier: MIT OR Apache-2.0
use strict;
use warnings;

use Exporter qw(import);
use List::Util qw(max);

our @EXPORT_OK = qw(table_text read_results shown);

my %title = (
    throughput => 'throughput, as a ratio to the bare C loop of one descriptor per message',
    latency    => 'latency of one descriptor, there and back, as a ratio to the bare C loop',
    queue      => 'us per descriptor, by how many are queued at the start',
    passers    => 'us per descriptor, by how many passers share the work',
    idle       => 'idle passers: bytes and descriptors for each',
    calls      => 'system calls per descriptor',
);

# A title, notes, the names of the columns, and a line for each row. Columns are at least two spaces
# apart, so that a program can read them. The last one is a name, which may have single spaces.
sub table_text {
    my ($section, $notes, @lines) = @_;
    my $last = $#{ $lines[0] };
    my @width = map { my $i = $_; max map { length $_->[$i] } @lines } 0 .. $last - 1;
    my $text = join '', "\n== $title{$section}\n", map { "   $_\n" } @$notes;
    for my $line (@lines) {
        $text .= join('  ', (map { sprintf '%*s', $width[$_], $line->[$_] } 0 .. $last - 1), $line->[$last]) . "\n";
    }
    return $text;
}

# A hash: `about` has the lines at the top by their first word, and each section has a list of hashes,
# whose keys are the names of the columns.
sub read_results {
    my ($file) = @_;
    my %section = reverse %title;
    my (%results, $section, @columns);
    open my $in, '<', $file or die "$file: $!\n";
    while (my $line = <$in>) {
        chomp $line;
        if ($line =~ /^== (.*)/) { ($section, @columns) = ($section{$1} // '') }
        elsif (!defined $section) { $results{about}{$1} = $2 if $line =~ /^(\w+)  +(.*)/ }
        elsif ($section ne '' && $line =~ /\S  +\S/) {    # a note has no two spaces inside
            my @fields = split /  +/, $line =~ s/^ +//r;
            if (!@columns) { @columns = @fields; next }
            my %line;
            @line{@columns} = @fields;
            push @{ $results{$section} }, \%line;
        }
    }
    return %results;
}

# The rows that README.md and the picture show: a label, the row for one descriptor per message, and the
# row for 16 per message if there is one.
sub shown {
    return (
        [ '`sendmsg` and `recvmsg` in C, nothing else' => 'bare C loop, one by one', 'bare C loop, 16 per message' ],
        [ 'the same with a `dup` and a `close` for each' => map { "bare C loop with dup and close, $_" } 'one by one', '16 per message' ],
        [ '`send_fd` to a bare receiver' => 'send_fd, bare receiver' ],
        [ '`send_fd` and `recv_fd`'      => 'send_fd, recv_fd' ],
        [ '`fdpasser_send_fds` and `fdpasser_try_recv_messages`' => map { "send_fds, try_recv_messages, $_" } 'one by one', '16 per message' ],
        [ 'the queue, `fdpasser_process`, sending a `dup` of each' => map { "fdpasser_process, $_" } 'one by one', '16 per message' ],
        [ 'skalibs: `unixmessage`'                      => 'skalibs unixmessage, one by one' ],
        [ 'libuv: `uv_write2` and `uv_accept`'          => 'libuv uv_write2, uv_accept' ],
        [ 'Perl: IO::FDPass, blocking, making handles'  => 'IO::FDPass, blocking, handles, pipe' ],
        [ 'Perl: AnyEvent::FDpasser on EV'              => map { "AnyEvent::FDpasser, EV, pipe$_" } '', ', 16 per message' ],
    );
}

1;

# Pairs of programs with a connection between them, and the data that goes over it.
#
# SPDX-License-Identifier: MIT OR Apache-2.0
package Pairs;

use strict;
use warnings;
use feature 'state';

use CPrograms  qw(library);
use Exporter   qw(import);
use File::Temp ();
use Files      qw($root);
use List::Util qw(max min);
use Processes  qw(spawn);
use Socket     qw(AF_UNIX SOCK_STREAM PF_UNSPEC SOL_SOCKET SO_SNDBUF);
use Time::HiRes qw(time alarm);

our @EXPORT_OK = qw($count $deadline $faults data_between failed no_data pair problem_with run_pairs told);

our $count    = 200;    # of descriptors
our $deadline = 60;     # seconds

my $jobs    = $ENV{JOBS} || 2;
our $faults = "$root/target/soak/fault.so";
my $scratch = File::Temp->newdir;
my %env     = (FDPASSER_LIBRARY => library('so'));

# --- data ---------------------------------------------------------------------------------------------

# The data of each descriptor of a pair, '' where there is none. Undef if the two cannot talk like that.
sub data_between {
    my ($sender, $receiver, $number) = @_;
    my @both = ($sender, $receiver);
    return if $sender->{data} eq 'drops' || grep { $_->{data} eq 'none' } @both;
    return if !$sender->{answers} != !$receiver->{answers};
    return if $sender->{groups} ? !$receiver->{several} : $receiver->{groups};
    my @says = map { $_->{says} } grep { $_->{data} eq 'fixed' } @both;
    return if @says == 2 && $says[0] ne $says[1];
    return [ map { ref $says[0] ? $says[0]->($_, $number) : $says[0] } 1 .. $number ] if @says;
    return many_lengths($number, min(map { $_->{longest} // 4096 } @both));
}

# The same for a pair that does not talk of data.
sub no_data {
    my ($number) = @_;
    return [ ('') x $number ];
}

# Data of many lengths, up to the longest. It names the number of its descriptor. It has all bytes but newlines, and some
# begins with a NUL. The last two pieces can be told apart in any case, because wrong.c changes them.
sub many_lengths {
    my ($number, $longest) = @_;
    state %made;
    my @lengths = (0, 1, 2, 20, 256, 2048, 2049, 4095, 4096, 0, 300);
    my $bytes   = join '', map { chr } 0 .. 9, 11 .. 255;
    return $made{"$number,$longest"} //= [
        map {
            my $length = min($longest, $_ > $number - 2 ? 20 : $lengths[ $_ % @lengths ]);
            my $text   = "$_:" . substr($bytes, $_ % 256) . $bytes x 16;
            substr $length > 1 && $_ % 2 ? "\0$text" : $text, 0, $length;
        } 1 .. $number
    ];
}

# What the receiver has to print. Undef if it is not one that prints data.
sub expected {
    my ($pair) = @_;
    return if $pair->{receiver}{data} ne 'lines';
    my $number = 0;
    return join '', map { ++$number . ": $_\n" } @{ $pair->{data} };
}

# How the output of a receiver differs from what is expected.
sub difference {
    my ($got, $expected) = @_;
    my @got      = split /(?<=\n)/, $got;
    my @expected = split /(?<=\n)/, $expected;
    my ($line)   = grep { ($got[$_] // '') ne ($expected[$_] // '') } 0 .. max($#got, $#expected);
    my ($is, $should) = map { defined ? length() . ' bytes: ' . quoted($_) : 'missing' } $got[$line], $expected[$line];
    return 'line ' . ($line + 1) . " of its output is $is\ninstead of $should\n";
}

# The beginning of a text, readable.
sub quoted {
    my ($bytes) = @_;
    my $text = substr $bytes, 0, 150;
    $text =~ s/([^ -~])/sprintf '\\x%02x', ord $1/ge;
    return $text . (length $bytes > 150 ? '...' : '');
}

# --- processes ----------------------------------------------------------------------------------------

my %started;    # the pids that nobody has waited for yet
$SIG{$_} = sub { kill KILL => map { -$_ } keys %started; exit 1 } for qw(HUP INT TERM);

# Starts a command. All that it prints goes to a file.
sub start {
    my ($peer, $command, @inherited) = @_;
    my $log = File::Temp->new(DIR => $scratch);
    my $env = { %env, %{ $peer->{env} // {} } };
    my $pid = spawn({ out => $log, dir => $peer->{in}, keep => \@inherited, env => $env }, @$command);
    $started{$pid} = 1;
    return { pid => $pid, log => $log };
}

sub said {
    my ($process) = @_;
    seek $process->{log}, 0, 0;
    return do { local $/; readline $process->{log} } // '';
}

# Runs one command. Returns what was wrong, or undef.
sub problem_with {
    my ($peer, $command) = @_;
    my $process = start($peer, $command);
    waitpid $process->{pid}, 0;
    delete $started{ $process->{pid} };
    return $? ? said($process) || "status $?" : undef;
}

# A sender and a receiver, as a list of one pair. They use data if they can. The list is empty if the two do not fit.
sub pair {
    my ($sender, $receiver, %more) = @_;
    my $number = $more{count} || $count;
    my $data   = $more{data} // data_between($sender, $receiver, $number);
    return if !$data && grep { $_->{data} eq 'fixed' } $sender, $receiver;
    return { %more, sender => $sender, receiver => $receiver, count => $number, data => $data // no_data($number) };
}

# Starts a pair of processes with a connection between them. Its buffer is so small that the sender has to wait: 4096 bytes
# of data just fit, if there is data.
sub start_pair {
    my ($pair) = @_;
    my $has_data = grep { $_ ne '' } @{ $pair->{data} };
    my $input    = File::Temp->new(DIR => $scratch);
    print {$input} map { "$_\n" } @{ $pair->{data} } if $has_data;
    close $input or die "$input: $!\n";
    my $limit = $pair->{limit} ? "ulimit -n $pair->{limit} && " : '';
    my @wrap  = ('sh', '-c', $limit . 'exec "$@" <"$0"', $input);
    local $^F = 2;
    socketpair my $near, my $far, AF_UNIX, SOCK_STREAM, PF_UNSPEC or die "socketpair: $!\n";
    setsockopt $_, SOL_SOCKET, SO_SNDBUF, $has_data ? 8320 / 2 : 1 or die "setsockopt: $!\n" for $near, $far;
    my @process = map {
        my ($peer, $role, $socket) = @$_;
        my @ledger = $pair->{ledger} && $role eq 'recv' ? $pair->{ledger} : ();
        my @faults = map { ('env', "LD_PRELOAD=$faults", 'SOAK_FAULT=errno=25,seed=1,ledger=' . fileno $_) } @ledger;
        my $command = [ @wrap, @faults, @{ $peer->{run} }, $role, $pair->{count}, fileno $socket ];
        my $process = start($peer, $command, $socket, @ledger);
        +{ %$process, role => $role, name => $peer->{name} };
    } [ $pair->{sender}, 'send', $near ], [ $pair->{receiver}, 'recv', $far ];
    @$pair{qw(deadline process input)} = (time + $deadline, \@process, $input);
    return;
}

# Runs pairs, a few at a time. Then each process of each pair has a status.
sub run_pairs {
    my @waiting = @_;
    my (%running, %pair_of);
    while (@waiting || %running) {
        while (@waiting && keys %running < $jobs) {
            my $pair = shift @waiting;
            start_pair($pair);
            $running{$pair} = $pair;
            $pair_of{ $_->{pid} } = [ $pair, $_ ] for @{ $pair->{process} };
        }
        my ($first) = sort { $a <=> $b } map { $_->{deadline} } values %running;
        my $left = $first - time;
        local $SIG{ALRM} = sub {
            for my $late (grep { $_->{deadline} <= time } values %running) {
                $late->{late}     = 1;
                $late->{deadline} = time + 5;    # by then it has ended
                kill KILL => map { -$_->{pid} } grep { !defined $_->{status} } @{ $late->{process} };
            }
            alarm 1;
        };
        alarm($left > 0.01 ? $left : 0.01);
        my $pid = waitpid -1, 0;
        my $status = $?;
        alarm 0;
        next if $pid <= 0;
        delete $started{$pid};
        my ($pair, $process) = @{ delete $pair_of{$pid} or next };
        $process->{status} = $status;
        $process->{said}   = said($process);
        delete $process->{log};
        next if grep { !defined $_->{status} } @{ $pair->{process} };
        delete $running{$pair};
        delete $pair->{input};
        judge($pair);
    }
    return;
}

# Compares what the receiver printed with what it should. If it succeeded but printed something else, it is `unlike`.
sub judge {
    my ($pair) = @_;
    my $receiver = $pair->{process}[1];
    my $expected = expected($pair) // return;
    return if $receiver->{status};
    if ($receiver->{said} ne $expected) {
        $pair->{unlike} = 1;
        $receiver->{said} = difference($receiver->{said}, $expected);
    }
    return;
}

# The pairs in which a process did not succeed, or data did not arrive as it was sent.
sub failed { return grep { $_->{late} || $_->{unlike} || grep { $_->{status} } @{ $_->{process} } } @_ }

sub told {
    my ($pair) = @_;
    my @lines = "$pair->{sender}{name} to $pair->{receiver}{name}:";
    push @lines, "  not done after $deadline seconds" if $pair->{late};
    for my $process (@{ $pair->{process} }) {
        my $status = $process->{status};
        my $how    = $status & 127 ? 'was killed by signal ' . ($status & 127) : 'exited with ' . ($status >> 8);
        push @lines, "  $process->{role} ($process->{name}) $how";
        push @lines, map { "      $_" } last_of(split /\n/, $process->{said});
    }
    return map { "$_\n" } @lines;
}

# A receiver that fails has printed data before.
sub last_of { return map { quoted($_) } @_ > 10 ? @_[ -10 .. -1 ] : @_ }

1;

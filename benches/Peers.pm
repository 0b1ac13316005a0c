package Peers;

# Starts two processes with passers between them. One moves descriptors to the other, and both report
# their times. The top of peer.h says what they read and print.
#
# SPDX-License-Identifier: MIT OR Apache-2.0
use strict;
use warnings;

use Exporter qw(import);
use Fcntl qw(F_DUPFD FD_CLOEXEC F_SETFD);
use POSIX ();
use Socket qw(AF_UNIX SOCK_STREAM PF_UNSPEC);

our @EXPORT_OK = qw(run_pair pinning);

use constant FIRST    => 3;      # the first passer's number in a peer
use constant DEADLINE => 300;    # seconds after which a process that hangs is ended

my ($taskset, @cpus);

# Each process gets a processor of its own, if there are two and `taskset`. Otherwise the scheduler
# decides in each run whether the two work side by side or in turns.
sub pinning {
    return @cpus if $taskset;
    my ($allowed) = map { /^Cpus_allowed_list:\s*(\S+)/ ? $1 : () } lines('/proc/self/status');
    @cpus = map { /(\d+)-(\d+)/ ? $1 .. $2 : $_ } split /,/, $allowed // '';
    return if @cpus < 2 || system('taskset -V >/dev/null 2>&1') != 0;
    $taskset = 1;
    return @cpus = @cpus[ 0, 1 ];
}

sub lines {
    my ($path) = @_;
    open my $in, '<', $path or return;
    return <$in>;
}

# run_pair(sender => [command], receiver => [command], passers => 1) returns a hash: `seconds` from the
# sender's start to the receiver's end, `own` from the sender's start to its end, and `cpu`, the CPU
# seconds of both. It returns undef if one of them failed. That process has printed the reason.
sub run_pair {
    my (%how) = @_;
    my (@ours, @theirs);
    for (1 .. $how{passers} || 1) {
        socketpair my $x, my $y, AF_UNIX, SOCK_STREAM, PF_UNSPEC or die "socketpair: $!";
        push @ours,   $x;
        push @theirs, $y;
    }
    my $sender   = start(0, $how{sender},   @ours);
    my $receiver = start(1, $how{receiver}, @theirs);
    @ours = @theirs = ();

    my @peers = ($sender, $receiver);
    my $ready = !grep { (readline($_->{out}) // '') ne "ready\n" } @peers;
    if ($ready) { syswrite $_->{in}, 'x' for reverse @peers }
    my @said = map { [ split ' ', readline($_->{out}) // '' ] } @peers;
    close $_->{in} for @peers;
    my $failed = 0;
    for (@peers) {
        waitpid $_->{pid}, 0;
        $failed ||= $?;
    }
    return undef if $failed || grep { @$_ != 3 } @said;
    return {
        seconds => $said[1][1] - $said[0][0],
        own     => $said[0][1] - $said[0][0],
        cpu     => $said[0][2] + $said[1][2],
    };
}

sub start {
    my ($cpu, $command, @passers) = @_;
    pipe my $in,  my $to_it   or die "pipe: $!";
    pipe my $from_it, my $out or die "pipe: $!";
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        # Numbers above the passers' are free of conflicts, so each moves there first.
        my $above = FIRST + @passers;
        my @high  = map { fcntl $_, F_DUPFD, $above } @passers;
        POSIX::dup2(fileno $in,  0);
        POSIX::dup2(fileno $out, 1);
        for my $i (0 .. $#high) {
            POSIX::dup2($high[$i], FIRST + $i) // POSIX::_exit(126);
            POSIX::close($high[$i]);
        }
        alarm DEADLINE;
        my @pinned = $taskset ? ('taskset', '-c', $cpus[$cpu]) : ();
        no warnings 'exec';
        exec @pinned, @$command or POSIX::_exit(127);
    }
    return { pid => $pid, in => $to_it, out => $from_it };
}

1;

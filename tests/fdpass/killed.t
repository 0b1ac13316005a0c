#!/usr/bin/perl
# Either side of a handover is killed at each of its system calls. If `fdpass send --wait` succeeds, the new server has the
# listening socket and runs. If it does not, the old one goes on with its own.
#
# SPDX-License-Identifier: MIT OR Apache-2.0
use strict;
use warnings;

use FindBin;
use IO::Socket::INET;
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

use lib "$FindBin::Bin/../lib";
use Examples;
use Fdpass;
use Files qw(slurp spew);

needs_strace();

# The old server's socket, for every sender. No receiver inherits it.
my $listener = listener();
POSIX::dup2(fileno $listener, 9) // die "dup2: $!";
my $port = $listener->sockport;

# The new server says who it is to each client.
spew('server', 'open my $listener, "+<&=3" or die; while (accept my $client, $listener) { syswrite $client, "new\n" }');

my %args = (
    send => [ qw(send --wait --timeout 60), 'LISTEN', 'node', '9:http' ],
    recv => [ qw(recv --timeout 60 -n 1 --expect listening), 'LISTEN', 'node', '--', $^X, 'server' ],
);

# Starts one side. One of the two listens.
sub side {
    my ($job, $listens, @strace) = @_;
    my @args = map { $_ ne 'LISTEN' ? $_ : $listens eq $job ? '--listen' : () } @{ $args{$job} };
    return start([ 'sh', '-c', $job eq 'recv' ? 'exec "$@" 9<&-' : 'exec "$@"', 'sh' ], @strace, $fdpass, @args);
}

# Does the new server answer? (The old one, this test, accepts nothing: then its connections wait.)
sub answers {
    my $client = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) or die "connect: $@";
    return (readline($client) // '') eq "new\n";
}

# No server of an earlier step may answer for that of a later one.
sub answers_now {
    my $client = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) or die "connect: $@";
    vec(my $ready = '', fileno $client, 1) = 1;
    return select $ready, undef, undef, 0.2;
}

# Starts both sides, the one that listens first, and one of them traced. Returns the sender and the receiver.
sub both {
    my ($listens, $traced, @strace) = @_;
    unlink 'node';
    my %side;
    for my $job ($listens, $listens eq 'send' ? 'recv' : 'send') {
        $side{$job} = side($job, $listens, $job eq $traced ? @strace : ());
        # It connects once. How often it would have tried cannot be counted on.
        while ($job eq $listens && !-S 'node' && !has_ended($side{$job})) { sleep 0.002 }
    }
    return @side{qw(send recv)};
}

# Ends a side, and the new server, which strace leaves to itself when it runs.
sub finish {
    my ($process) = @_;
    kill KILL => -$process->{pid};
    my $status = ended($process);
    sleep 0.002 while kill 0 => -$process->{pid};
    return $status;
}

# Whether a process has ended. Its status is kept for ended().
sub has_ended {
    my ($process) = @_;
    return -e "/proc/$process->{pid}/stat" && slurp("/proc/$process->{pid}/stat") =~ /\) [ZX]/;
}

# Waits until one of them has ended, and gives the other one some seconds.
sub first_end {
    my ($patience, @processes) = @_;
    my $until;
    while (grep { !has_ended($_) } @processes) {
        $until //= time + $patience if grep { has_ended($_) } @processes;
        return if $until && time > $until;
        sleep 0.002;
    }
    return;
}

# The system calls of one side, from the first that reaches the other one, as strace counts them: [name, number].
sub steps {
    my ($job, $listens) = @_;
    my ($sender, $receiver) = both($listens, $job, qw(strace -qq -b execve -o trace));
    is(ended($sender), 0, "$job, $listens listens: it works if nobody is killed");
    ok(answers(), 'and the new server answers');
    finish($receiver);
    ok(!answers_now(), 'and ends');
    my ($reached, %count, @steps) = (0);
    for (split /\n/, slurp('trace')) {
        my ($name) = /^(\w+)\(/ or next;
        my $number = ++$count{$name};
        next if $name eq 'execve' && $number == 1;    # that of fdpass itself
        $reached ||= $name eq 'socket';
        push @steps, [ $name, $number ] if $reached && $name ne 'exit_group';
    }
    return @steps;
}

for my $listens (qw(recv send)) {
    part "the receiver is killed, and $listens listens" => sub {
        alarm 5 * DEADLINE;    # they are many, and strace is slow
        my @steps = steps('recv', $listens);
        cmp_ok(@steps, '>', 15, scalar @steps . ' steps');
        is($steps[-1][0], 'execve', 'the last one is the execution');
        # Behind this step it has a sender, which then ends by itself.
        my ($meets) = grep { $steps[$_][0] =~ /^(?:accept4|connect)$/ } reverse 0 .. $#steps;
        my $killed = 0;
        for my $step (0 .. $#steps) {
            my ($name, $number) = @{ $steps[$step] };
            my ($sender, $receiver) = both($listens, 'recv', qw(strace -qq -b execve -o trace -e), "inject=$name:signal=KILL:when=$number");
            first_end($step > $meets ? 20 : 0.3, $sender, $receiver);
            # strace ends as the receiver does, and well when the receiver has execed.
            if (has_ended($receiver) && ended($receiver) == POSIX::SIGKILL) {
                $killed++;
                # Before that it may wait for another receiver.
                kill TERM => $sender->{pid} if $step <= $meets;
                my $status = ended($sender);
                $status = 125 << 8 if $step <= $meets && $status == POSIX::SIGTERM;
                is($status, 125 << 8, "$name $number: the receiver is killed, and the sender knows");
            }
            else {
                # It did not come to this call this time.
                is(ended($sender), 0, "$name $number: nobody is killed");
                ok(answers(), 'and the new server answers');
            }
            finish($receiver);
        }
        cmp_ok($killed, '>', @steps / 2, "$killed were killed");
        cmp_ok(@steps - $meets, '>', 8, 'many of them when they had a sender');
    };

    part "the sender is killed, and $listens listens" => sub {
        alarm 5 * DEADLINE;
        my @steps = steps('send', $listens);
        cmp_ok(@steps, '>', 12, scalar @steps . ' steps');
        my %runs = (0 => 0, 1 => 0);
        for (@steps) {
            my ($name, $number) = @$_;
            my ($sender, $receiver) = both($listens, 'send', qw(strace -qq -o trace -e), "inject=$name:signal=KILL:when=$number");
            first_end(0.3, $sender, $receiver);
            # If it was killed, the old server goes on. The new one may run too, but then it works.
            my $runs = !has_ended($receiver) && readlink("/proc/$receiver->{pid}/exe") !~ m{/fdpass\z};
            $runs{ $runs ? 1 : 0 }++;
            stop($sender, 'TERM') if !has_ended($sender);
            ok(ended($sender) != 0 || $runs, "$name $number: " . ($runs ? 'both' : 'the old one'));
            ok(answers(), 'the new server answers') if $runs;
            finish($receiver);
        }
        cmp_ok($runs{$_}, '>', 0, $_ ? 'late enough, and the new server runs' : 'early enough, and it does not') for 0, 1;
    };
}

# Stopped in place of killed: the sender's time runs out.
part 'the receiver is stopped' => sub {
    for my $name (qw(recvmsg dup2)) {
        local $args{send}[3] = 1;
        my ($sender, $receiver) = both('recv', 'recv', qw(strace -qq -b execve -o trace -e), "inject=$name:signal=STOP:when=1");
        my ($said, $status) = status($sender);
        is($status, 124, "$name: the sender gives up");
        like($said, qr/timed out/, 'and says so');
        finish($receiver);
    }
};

done_testing;

#!/usr/bin/env perl

# A pre-forking HTTP server. The dispatcher accepts connections and pushes them into a passer. All workers
# receive from the other end of it, each when it is free, and each connection reaches exactly one of them.
# The supervisor starts these processes and replaces those that die. It keeps both ends of the passer open,
# so that connections which no worker has taken yet are not lost.
#
# Usage: prefork.pl PORT WORKERS
#
# If PORT is 0 the system chooses one. Signals to the supervisor:
#
#   SIGTERM, SIGINT   stop: answer the connections that have come, then exit with 0
#   SIGHUP            replace the workers: each finishes its connection and ends, and a new one starts
#
# If the supervisor is killed, the others notice and stop as after SIGTERM. prefork.c is the same program
# in C.
#
# SPDX-License-Identifier: MIT OR Apache-2.0

use strict;
use warnings;

use AnyEvent;
use AnyEvent::FDpasser;
use AnyEvent::Util ();
use Config;
use IO::Socket::INET;
use POSIX qw(:signal_h :sys_wait_h);
use Socket qw(SOMAXCONN);

use constant {
    MAX_QUEUED  => 64,      # beyond what the passer's socket holds; further ones wait in the listener
    MAX_REQUEST => 8192,
    REQUEST     => 10,      # seconds
    PAUSE       => 0.1,     # seconds, after an accept that failed for another reason than EAGAIN
};

@ARGV == 2 && $ARGV[1] > 0 or die "usage: $0 PORT WORKERS\n";
my ($port, $workers) = @ARGV;

my $listener = IO::Socket::INET->new(
    LocalAddr => '127.0.0.1',
    LocalPort => $port,
    Listen    => SOMAXCONN,
    ReuseAddr => 1,
    Blocking  => 0,
) or die "cannot listen on port $port: $@\n";

# The dispatcher's end of the passer, and the workers'.
my ($in, $out) = AnyEvent::FDpasser::fdpasser_socketpair();

# Only the supervisor can write to this pipe, so it ends with the supervisor.
pipe my $lifeline, my $held or die "pipe: $!\n";

sub dropped { warn "dropped a connection: $_[0]\n" }

# --- a worker: blocking, one connection at a time, no event loop -------------------------------------

sub work {
    my $retiring;
    $SIG{$_} = 'IGNORE' for qw(INT TERM PIPE);    # a terminal sends INT to all; the passer's end ends us
    $SIG{HUP} = sub { $retiring = 1 };
    unblock_signals();
    while (!$retiring) {
        my $fd = AnyEvent::FDpasser::recv_fd(fileno $out);
        last if $fd == 0;
        next if $fd < 0 && $!{EINTR};
        die "recv_fd: $!\n" if $fd < 0;
        open my $fh, '+<&=', $fd or die "open: $!\n";

        # If a client takes longer than this, the signal kills us and another worker is started.
        alarm REQUEST;
        AnyEvent::Util::fh_nonblocking($fh, 0);    # some systems pass on the listener's O_NONBLOCK
        serve($fh);
        alarm 0;
    }
}

# Reads on after a signal.
sub read_on {
    my ($fh) = @_;
    while (1) {
        my $n = sysread $fh, $_[1], MAX_REQUEST, length $_[1];
        return $n if defined $n || !$!{EINTR};
    }
}

sub serve {
    my ($fh) = @_;
    my $request = '';
    while ($request !~ /\r\n\r\n/) {
        return dropped('the request is too long') if length $request >= MAX_REQUEST;
        my $n = read_on($fh, $request);
        return dropped($!) if !defined $n;
        return dropped('it ended before the request did') if !$n;
    }
    return dropped('not a GET request') if $request !~ m{\AGET /};

    my $body = "answered by Perl, pid $$\n";
    syswrite $fh, join "\r\n", 'HTTP/1.1 200 OK', 'Content-Type: text/plain',
      'Content-Length: ' . length $body, 'Connection: close', '', $body
      or return dropped($!);

    # To close now would reset the connection if the client has sent more, and take the answer away.
    shutdown $fh, 1 or return;
    1 while read_on($fh, my $unwanted = '');
}

# --- the dispatcher: never blocks --------------------------------------------------------------------

my ($passer, $accepting, $stopping);
my $accept_error = '';    # already logged; empty after an accept that succeeded
my $queued       = 0;
my $done         = AE::cv;

sub dispatch {
    $passer = AnyEvent::FDpasser->new(fh => $in, on_error => sub { $done->croak("passing a connection: $@\n") });
    $SIG{HUP} = 'IGNORE';    # it is for the workers
    my @stop = map { AE::signal $_, \&stop } qw(INT TERM);
    my $alive;
    $alive = AE::io $lifeline, 0, sub {
        undef $alive;
        warn "the supervisor is gone, stopping\n";
        stop();
    };
    unblock_signals();
    settle();
    $done->recv;
}

sub stop {
    accept_conns();    # those that wait in the listener would be reset
    $stopping = 1;
    settle();
}

# Accepts while there is room. When it is time to stop, what is queued is sent first.
sub settle {
    if    ($stopping)             { undef $accepting; $done->send if !$queued }
    elsif ($queued >= MAX_QUEUED) { undef $accepting }
    elsif (!$accepting)           { $accepting = AE::io $listener, 0, \&accept_conns }
}

sub accept_conns {
    while ($queued < MAX_QUEUED) {
        if (accept my $fh, $listener) {
            $accept_error = '';
            $queued++;
            $passer->push_send_fh($fh, sub { $queued--; settle() });
            next;
        }
        return if $!{EAGAIN} || $!{EWOULDBLOCK} || $!{EINTR};

        # When the descriptor table is full, the listener stays ready. So it is left alone for a while. The
        # log gets one line, not one for each try.
        warn "accept: $!\n" if $accept_error ne "$!";
        $accept_error = "$!";
        $accepting    = AE::timer PAUSE, 0, sub { undef $accepting; settle() };
        return;
    }
    settle();
}

# --- the supervisor ----------------------------------------------------------------------------------

my %job;         # pid => 'dispatcher' or 'worker'
my %started;     # pid => when
my %retiring;    # pids of workers that were told to end after their connection
my $signals = POSIX::SigSet->new(SIGALRM, SIGCHLD, SIGHUP, SIGINT, SIGTERM);
my @names   = split ' ', $Config{sig_name};

sub unblock_signals { sigprocmask(SIG_UNBLOCK, $signals) or die "sigprocmask: $!\n" }

sub start {
    my ($job) = @_;
    defined(my $pid = fork) or die "fork: $!\n";
    if (!$pid) {
        delete @SIG{qw(ALRM CHLD HUP INT TERM)};    # AnyEvent leaves alone what is set

        # Each closes what the others use, or it would never see that those have ended.
        close $held;
        my $ok = eval {
            if   ($job eq 'dispatcher') { close $out; dispatch() }
            else                        { undef $_ for $in, $listener, $lifeline; work() }
            1;
        };
        warn $@ if !$ok;
        POSIX::_exit(!$ok);
    }
    $job{$pid}     = $job;
    $started{$pid} = time;
    print "$job $pid\n";
}

# A child that has ended is started again, unless its work is done.
sub reap {
    while ((my $pid = waitpid -1, WNOHANG) > 0) {
        my ($job, $started) = (delete $job{$pid}, delete $started{$pid});
        delete $retiring{$pid};
        if    ($? & 127) { warn "$job $pid was killed: SIG$names[$? & 127]\n" }
        elsif ($?)       { warn "$job $pid has failed\n" }

        my $is_done = $job eq 'dispatcher' ? !$? || $stopping : !$? && !$in;
        if (!$is_done) {
            sleep 1 if $? && time - $started < 1;    # what fails at once should not be started all the time
            start($job);
        }
        elsif ($job eq 'dispatcher') {
            undef $in;    # closes the last one, so that the workers see the end
        }
    }
}

# A worker may get the signal just before it waits in recv_fd, and then waits all the same. So the signal
# is sent again each second until the worker has ended.
sub retire_workers {
    kill HUP => keys %retiring;
    alarm 1 if %retiring;
}

$| = 1;
print 'listening on 127.0.0.1:', $listener->sockport, "\n";

# Signals are taken only in sigsuspend, so that none comes between a look and the wait.
sigprocmask(SIG_BLOCK, $signals) or die "sigprocmask: $!\n";
$SIG{CHLD} = sub { };
$SIG{ALRM} = \&retire_workers;
$SIG{HUP}  = sub {
    %retiring = map { $_ => 1 } grep { $job{$_} eq 'worker' } keys %job;
    retire_workers();
};
$SIG{INT} = $SIG{TERM} = sub { $stopping = 1 };
start('worker') for 1 .. $workers;
start('dispatcher');
while (%job) {
    sigsuspend(POSIX::SigSet->new);
    reap();
    next if !$stopping;
    undef $listener;
    kill TERM => grep { $job{$_} eq 'dispatcher' } keys %job;
}

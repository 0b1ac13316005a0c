#!/usr/bin/env perl

# A pre-forking HTTP server. One process accepts connections and pushes them into a passer; the workers
# all receive from its other end, so that the next one goes to whoever is free. A third process, which
# does nothing else, starts them all and replaces those that die. It keeps both ends of the passer open:
# what no worker has taken yet stays in there.
#
# Usage: prefork.pl PORT WORKERS
#
# PORT may be 0: the system chooses. SIGTERM or SIGINT to the supervisor ends it all: first the
# listening, then, when all that was accepted is answered, the workers. prefork.c is the same in C.
#
# SPDX-License-Identifier: MIT OR Apache-2.0

use strict;
use warnings;

use AnyEvent;
use AnyEvent::FDpasser;
use AnyEvent::Util ();
use IO::Socket::INET;
use POSIX qw(:signal_h :sys_wait_h);
use Socket qw(SOMAXCONN);

use constant {
    MAX_QUEUED  => 64,      # beyond what the passer's socket holds; further ones wait in the listener
    MAX_REQUEST => 8192,
    REQUEST     => 10,      # seconds
    PAUSE       => 0.1,     # a full descriptor table leaves the listener ready
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

# The dispatcher's end, and the workers'.
my ($in, $out) = AnyEvent::FDpasser::fdpasser_socketpair();

# --- a worker: blocking, one connection at a time, no event loop -------------------------------------

sub work {
    $SIG{$_} = 'IGNORE' for qw(INT TERM PIPE);    # a terminal sends INT to all; the passer's end ends us
    while ((my $fd = AnyEvent::FDpasser::recv_fd(fileno $out)) != 0) {
        die "recv_fd: $!\n" if $fd < 0;
        open my $fh, '+<&=', $fd or die "open: $!\n";
        alarm REQUEST;    # a client that takes longer costs us our life, and another worker comes
        serve($fh);
        alarm 0;
    }
}

sub serve {
    my ($fh) = @_;
    my $request = '';
    while ($request !~ /\r\n\r\n/) {
        return if length $request >= MAX_REQUEST || !sysread $fh, $request, MAX_REQUEST, length $request;
    }
    return if $request !~ m{\AGET /};

    my $body = "answered by Perl, pid $$\n";
    syswrite $fh, join "\r\n", 'HTTP/1.1 200 OK', 'Content-Type: text/plain',
      'Content-Length: ' . length $body, 'Connection: close', '', $body or return;

    # Closing with something unread could take the answer away from the client.
    shutdown $fh, 1;
    1 while sysread $fh, my $unwanted, 4096;
}

# --- the dispatcher: never blocks --------------------------------------------------------------------

my ($passer, $accepting, $stopping);
my $queued = 0;
my $done   = AE::cv;

sub dispatch {
    $passer = AnyEvent::FDpasser->new(fh => $in, on_error => sub { $done->croak("passing a connection: $@\n") });
    my @stop = map { AE::signal $_, sub { $stopping = 1; settle() } } qw(INT TERM);
    settle();
    $done->recv;
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
            $queued++;
            $passer->push_send_fh($fh, sub { $queued--; settle() });
            next;
        }
        $accepting = AE::timer PAUSE, 0, sub { undef $accepting; settle() }
          if $!{EMFILE} || $!{ENFILE} || $!{ENOBUFS} || $!{ENOMEM};
        return;
    }
    settle();
}

# --- the supervisor ----------------------------------------------------------------------------------

my %job;        # pid => 'dispatcher' or 'worker'
my %started;    # pid => when
my $signals = POSIX::SigSet->new(SIGCHLD, SIGINT, SIGTERM);

sub start {
    my ($job) = @_;
    defined(my $pid = fork) or die "fork: $!\n";
    if (!$pid) {
        delete @SIG{qw(CHLD INT TERM)};    # AnyEvent leaves alone what is set
        sigprocmask(SIG_UNBLOCK, $signals);
        # Each closes what the others use, or it would never see their end.
        my $ok = eval {
            if ($job eq 'dispatcher') { close $out; dispatch() }
            else                      { close $_ for $in, $listener; work() }
            1;
        };
        warn $@ if !$ok;
        POSIX::_exit(!$ok);
    }
    $job{$pid}     = $job;
    $started{$pid} = time;
    print "$job $pid\n";
}

# What ends with 0 has done its work. All else is started again, but not all the time.
sub reap {
    while ((my $pid = waitpid -1, WNOHANG) > 0) {
        my ($job, $started) = (delete $job{$pid}, delete $started{$pid});
        if ($? && !($stopping && $job eq 'dispatcher')) {
            sleep 1 if time - $started < 1;
            start($job);
        }
        elsif ($job eq 'dispatcher') {
            close $in;    # the last one, so that the workers see the end
        }
    }
}

$| = 1;
print 'listening on 127.0.0.1:', $listener->sockport, "\n";

# Signals are taken only in sigsuspend, so that none comes between a look and the wait.
sigprocmask(SIG_BLOCK, $signals);
$SIG{CHLD} = sub { };
$SIG{INT} = $SIG{TERM} = sub { $stopping = 1 };
start('worker') for 1 .. $workers;
start('dispatcher');
while (%job) {
    sigsuspend(POSIX::SigSet->new);
    reap();
    kill TERM => grep { $job{$_} eq 'dispatcher' } keys %job if $stopping;
}

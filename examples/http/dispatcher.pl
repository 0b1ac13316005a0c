#!/usr/bin/env perl

# Accepts TCP connections on a loopback port and hands each to one of the workers that have connected to
# NODE, in turn. It reads nothing from them: a worker gets the socket itself, and answers on it.
#
# Usage: dispatcher.pl NODE [PORT]
#
# Without PORT the system chooses one. Standard output says which, and which workers come and go:
#
#     listening on 127.0.0.1:40123
#     worker 1 joined
#
# SIGTERM and SIGINT end it: it removes NODE, hands out the connections that have come, and exits with 0.
# A second signal ends it at once.
#
# SPDX-License-Identifier: MIT OR Apache-2.0

use strict;
use warnings;

use AnyEvent;
use AnyEvent::FDpasser;
use AnyEvent::Util ();
use IO::Socket::INET;
use Socket qw(SOMAXCONN);

@ARGV == 1 || @ARGV == 2 or die "usage: $0 NODE [PORT]\n";
my ($path, $port) = @ARGV;

my @waiting;          # connections that no worker has yet
my @ready;            # workers whose last connection has been sent; the next in turn first
my %worker;           # number => worker
my $joined   = 0;
my $end      = AE::cv;
my $stopping = 0;

# When the descriptor table is full, a listener stays ready. So it is left alone for a while. The log gets
# one line, not one for each try.
use constant PAUSE => 0.5;

my $accept_error = '';    # already logged; empty after an accept that succeeded

sub accept_failed {
    return 0 if $!{EAGAIN} || $!{EWOULDBLOCK} || $!{EINTR};
    warn "accept: $!\n" if $accept_error ne "$!";
    $accept_error = "$!";
    return 1;
}

my %watch;    # a second signal ends us at once
for my $signal (qw(INT TERM)) {
    $watch{$signal} = AE::signal $signal, sub { %watch = (); stop() };
}

my $listener = IO::Socket::INET->new(
    LocalAddr => '127.0.0.1',
    LocalPort => $port || 0,
    Listen    => SOMAXCONN,
    ReuseAddr => 1,
    Blocking  => 0,
) or die "cannot listen on 127.0.0.1: $@\n";

# --- workers ---------------------------------------------------------------------------------------

# Who can connect to the node is handed connections, so only our user may.
my $node = AnyEvent::FDpasser::fdpasser_server($path, 0, mode => 0600);
AnyEvent::Util::fh_nonblocking($node, 1);

my $joining;
welcome_workers();

sub welcome_workers { $joining = AE::io $node, 0, \&worker_joins }

sub worker_joins {
    my $fh = AnyEvent::FDpasser::fdpasser_accept($node) or do {
        $joining = AE::timer PAUSE, 0, \&welcome_workers if accept_failed();
        return;
    };
    $accept_error = '';
    my $worker = { number => ++$joined };
    $worker->{passer} = AnyEvent::FDpasser->new(
        fh       => $fh,
        on_error => sub { worker_left($worker, $@) },
    );

    # A worker sends nothing but the end, when it wants to leave. Only who receives hears of it while there
    # is nothing to send.
    $worker->{passer}->push_recv_fh(sub { $worker->{passer}->error('it sent a descriptor') });

    print "worker $worker->{number} joined\n";
    $worker{ $worker->{number} } = $worker;
    push @ready, $worker;
    settle();
}

sub worker_left {
    my ($worker, $reason) = @_;
    print "worker $worker->{number} left", defined $reason ? ": $reason" : '', "\n";
    @ready = grep { $_ != $worker } @ready;
    delete $worker->{passer};
    delete $worker{ $worker->{number} };

    # A connection that was not sent goes to another worker. One that was sent is the worker's: if that was
    # killed, the system has closed it, and the client sees a reset.
    unshift @waiting, delete $worker->{next} if $worker->{next};
    settle();
}

# --- connections -----------------------------------------------------------------------------------

my $accepting;

sub accept_connection {
    if (accept my $connection, $listener) {
        $accept_error = '';
        push @waiting, $connection;
        settle();
    }
    elsif (accept_failed()) {
        $accepting = AE::timer PAUSE, 0, sub { undef $accepting; settle() };
    }
}

# What is to be done when something has changed: hands out what waits, and decides whether to accept.
sub settle {
    while (@waiting && @ready) {
        my $worker = shift @ready;
        $worker->{next} = shift @waiting;
        $worker->{passer}->push_send_fh(
            $worker->{next},
            sub {
                delete $worker->{next};    # closes our copy
                push @ready, $worker;
                settle();
            }
        );
    }

    # Without a worker that is ready, connections wait in the listener's queue.
    if    ($stopping) { end_if_done() }
    elsif (@ready)    { $accepting ||= AE::io $listener, 0, \&accept_connection }
    else              { undef $accepting }
}

# --- start and end ---------------------------------------------------------------------------------

sub end_if_done {
    return if grep { $_->{next} } values %worker;
    warn "dropped a connection: there is no worker\n" for @waiting;
    $end->send;
}

sub stop {
    $stopping = 1;
    while (accept my $connection, $listener) { push @waiting, $connection }    # they would be reset
    undef $_ for $accepting, $joining, $listener;

    # It may be another dispatcher's node by now, which is left alone.
    AnyEvent::FDpasser::fdpasser_unlink($node);
    undef $node;
    settle();
}

$| = 1;
print 'listening on 127.0.0.1:', $listener->sockport, "\n";
$end->recv;

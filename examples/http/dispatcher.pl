#!/usr/bin/env perl

# Accepts TCP connections on a loopback port and hands each to one of the workers that have connected
# to NODE, in turn. It reads nothing from them: a worker gets the very socket, and answers on it.
#
# Usage: dispatcher.pl NODE [PORT]
#
# Without PORT the system chooses one. Standard output says which, and which workers come and go:
#
#     listening on 127.0.0.1:40123
#     worker 1 joined
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

my @waiting;    # connections that no worker has yet
my @ready;      # workers whose last one has been sent; the next in turn first
my $joined = 0;

# What a failed accept() leaves in its queue still polls ready: to watch on would be a busy loop.
use constant PAUSE => 0.5;

sub out_of_resources {
    my $short = $!{EMFILE} || $!{ENFILE} || $!{ENOBUFS} || $!{ENOMEM} or return 0;
    warn "accept: $! (trying again)\n";
    return $short;
}

# --- workers ---------------------------------------------------------------------------------------

# Whoever can connect to the node is handed connections, so it belongs in a directory that only those
# can enter who should. It stays when we end: the next dispatcher replaces it, and may be here already.
my $node = AnyEvent::FDpasser::fdpasser_server($path);
AnyEvent::Util::fh_nonblocking($node, 1);

my $joining;
welcome_workers();

sub welcome_workers { $joining = AE::io $node, 0, \&worker_joins }

sub worker_joins {
    my $fh = AnyEvent::FDpasser::fdpasser_accept($node) or do {
        $joining = AE::timer PAUSE, 0, \&welcome_workers if out_of_resources();
        return;
    };
    my $worker = { number => ++$joined };
    $worker->{passer} = AnyEvent::FDpasser->new(
        fh       => $fh,
        on_error => sub { worker_left($worker, $@) },
    );

    # Workers send nothing. But only who receives hears of the other side's end while there is nothing
    # to send.
    $worker->{passer}->push_recv_fh(
        sub { $worker->{passer}->error('it sent a descriptor, which is not its part') }
    );

    print "worker $worker->{number} joined\n";
    push @ready, $worker;
    hand_out();
}

sub worker_left {
    my ($worker, $reason) = @_;
    print "worker $worker->{number} left", defined $reason ? ": $reason" : '', "\n";
    @ready = grep { $_ != $worker } @ready;
    delete $worker->{passer};

    # What had not been sent goes to another worker. What had been sent is the worker's: if it was
    # killed, the system has closed that too, and the client knows.
    unshift @waiting, delete $worker->{next} if $worker->{next};
    hand_out();
}

# --- connections -----------------------------------------------------------------------------------

my $listener = IO::Socket::INET->new(
    LocalAddr => '127.0.0.1',
    LocalPort => $port || 0,
    Listen    => SOMAXCONN,
    ReuseAddr => 1,
    Blocking  => 0,
) or die "cannot listen on 127.0.0.1: $@\n";

my $accepting;

sub accept_connection {
    if (accept my $connection, $listener) {
        push @waiting, $connection;
        hand_out();
    }
    elsif (out_of_resources()) {
        $accepting = AE::timer PAUSE, 0, sub { undef $accepting; hand_out() };
    }
}

sub hand_out {
    while (@waiting && @ready) {
        my $worker = shift @ready;
        $worker->{next} = shift @waiting;
        $worker->{passer}->push_send_fh(
            $worker->{next},
            sub {
                delete $worker->{next};    # closes our copy
                push @ready, $worker;
                hand_out();
            }
        );
    }

    # With no worker that is ready, connections wait where they are, in the listener's queue.
    if   (@ready) { $accepting ||= AE::io $listener, 0, \&accept_connection }
    else          { undef $accepting }
}

# --- start and end ---------------------------------------------------------------------------------

my $end     = AE::cv;
my @signals = map { AE::signal $_, $end } qw(INT TERM);

$| = 1;
print 'listening on 127.0.0.1:', $listener->sockport, "\n";
$end->recv;

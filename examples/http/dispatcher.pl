#!/usr/bin/env perl
# SPDX-License-Identifier: MIT OR Apache-2.0

# Reads the head of each HTTP request, chooses a worker by the path, and hands the connection over to it,
# together with the bytes that it has read. dispatcher.c is the same program in C.
#
# Usage: dispatcher.pl PORT PREFIX=NODE...
#
# A request whose path begins with PREFIX goes to one of the workers that have connected to NODE, in turn.
# The first PREFIX that fits counts. If PORT is 0 the system chooses one. Standard output says which, and
# which workers come and go:
#
#     listening on 127.0.0.1:40123
#     worker 1 joined /c/
#
# The dispatcher itself answers what reaches no worker, with 400, 404, 408, 431 or 503.
#
# SIGTERM and SIGINT end it: it removes its nodes, serves the connections that have come, and exits with 0.
# A second signal ends it at once.

use strict;
use warnings;

use AnyEvent;
use AnyEvent::FDpasser;
use AnyEvent::Util qw(fh_nonblocking);
use IO::Socket::INET;
use Socket qw(SOMAXCONN);

use constant {
    MAX_DATA       => 4096,    # bytes that can be handed over with a connection
    MAX_CLIENTS    => 256,     # further connections wait in the listener
    HEAD_SECONDS   => 10,      # for a client to send the head of its request: else 408
    WORKER_SECONDS => 5,       # for a worker to take a connection: else 503
    LINGER_SECONDS => 2,       # for a client to close after an answer of ours
    PAUSE_SECONDS  => 0.5,     # after an accept that failed
};

@ARGV > 1 && !grep { !/=/ } @ARGV[ 1 .. $#ARGV ] or die "usage: $0 PORT PREFIX=NODE...\n";
my ($port, @argument) = @ARGV;

my @route;            # in each: prefix, node, the workers that are ready, the clients that wait for one
my %worker;           # number => worker
my %client;           # connections that are ours
my $joined   = 0;
my $end      = AE::cv;
my $stopping = 0;

my %watch;            # a second signal ends us at once
for my $signal (qw(INT TERM)) {
    $watch{$signal} = AE::signal $signal, sub { %watch = (); stop() };
}

my $listener = IO::Socket::INET->new(
    LocalAddr => '127.0.0.1',
    LocalPort => $port,
    Listen    => SOMAXCONN,
    ReuseAddr => 1,
    Blocking  => 0,
) or die "cannot listen on 127.0.0.1: $@\n";

# Did the last call fail only because there is nothing to do yet?
sub later { return $!{EAGAIN} || $!{EWOULDBLOCK} || $!{EINTR} }

# When the descriptor table is full, a listener stays ready. So it is left alone for a while. The log gets
# one line, not one for each try.
my $accept_error = '';    # already logged; empty after an accept that succeeded

sub accept_failed {
    return 0 if later();
    warn "accept: $!\n" if $accept_error ne "$!";
    $accept_error = "$!";
    return 1;
}

# --- workers ---------------------------------------------------------------------------------------

# Whatever connects to a node is given connections, so only our user may connect.
sub add_route {
    my ($prefix, $path) = @_;
    my $node = AnyEvent::FDpasser::fdpasser_server($path, 0, mode => 0600);
    fh_nonblocking($node, 1);
    my $route = { prefix => $prefix, node => $node, ready => [], waiting => [] };
    push @route, $route;
    welcome_workers($route);
}

sub welcome_workers {
    my ($route) = @_;
    $route->{joining} = AE::io $route->{node}, 0, sub { worker_joins($route) };
}

sub worker_joins {
    my ($route) = @_;
    my $fh = AnyEvent::FDpasser::fdpasser_accept($route->{node}) or do {
        $route->{joining} = AE::timer PAUSE_SECONDS, 0, sub { welcome_workers($route) } if accept_failed();
        return;
    };
    $accept_error = '';
    my $worker = { number => ++$joined, route => $route };
    $worker->{passer} = AnyEvent::FDpasser->new(
        fh       => $fh,
        on_error => sub { worker_left($worker, $@) },
    );

    # A worker sends nothing but the end, when it wants to leave. We notice that only while we wait to receive.
    $worker->{passer}->push_recv_fh(sub { $worker->{passer}->error('it sent a descriptor') });

    print "worker $worker->{number} joined $route->{prefix}\n";
    $worker{ $worker->{number} } = $worker;
    push @{ $route->{ready} }, $worker;
    hand_over($route);
}

# A connection that was not sent goes to another worker. One that was sent is the worker's: if that was
# killed, the system has closed it, and the client sees a reset.
sub worker_left {
    my ($worker, $reason) = @_;
    my $route = $worker->{route};
    print "worker $worker->{number} left", defined $reason ? ": $reason" : '', "\n";
    @{ $route->{ready} } = grep { $_ != $worker } @{ $route->{ready} };
    my $client = $worker->{client};
    delete $worker{ $worker->{number} };
    %$worker = ();
    return if !$client;
    wait_for_worker($client);
    unshift @{ $route->{waiting} }, $client;
    hand_over($route);
}

# Hands connections over, with everything that was read from them.
sub hand_over {
    my ($route) = @_;
    while (@{ $route->{ready} } && @{ $route->{waiting} }) {
        my $worker = shift @{ $route->{ready} };
        my $client = $worker->{client} = shift @{ $route->{waiting} };
        delete $client->{timer};
        $worker->{timer} = AE::timer WORKER_SECONDS, 0, sub { $worker->{passer}->error('it takes no connections') };
        $worker->{passer}->push_send_message(
            $client->{fh},
            $client->{data},
            sub {
                delete @$worker{qw(client timer)};
                forget($client);    # closes our copy only
                push @{ $route->{ready} }, $worker;
                hand_over($route);
            }
        );
    }
}

# --- clients ---------------------------------------------------------------------------------------

my $accepting;

# Decides what to wait for, when something has changed.
sub settle {
    accept_clients() if $stopping && $listener && !$accepting;    # those that wait in it would be reset
    my $room = $listener && keys %client < MAX_CLIENTS;
    if ($room) { $accepting ||= AE::io $listener, 0, sub { accept_clients(); settle() } }
    else       { undef $accepting }
    $end->send if $stopping && !$listener && !%client;
}

sub accept_clients {
    while (keys %client < MAX_CLIENTS) {
        if (accept my $fh, $listener) {
            $accept_error = '';
            serve($fh);
            next;
        }
        if    (accept_failed()) { $accepting = AE::timer PAUSE_SECONDS, 0, sub { undef $accepting; settle() } }
        elsif ($stopping)       { undef $listener }
        return;
    }
}

sub serve {
    my ($fh) = @_;
    fh_nonblocking($fh, 1);
    my $client = { fh => $fh, data => '' };
    $client{$client} = $client;
    $client->{io}    = AE::io $fh, 0, sub { read_head($client) };
    $client->{timer} = AE::timer HEAD_SECONDS, 0, sub { refuse($client, '408 Request Timeout') };
}

sub forget {
    my ($client) = @_;
    delete $client{$client};
    %$client = ();
    settle();
}

sub dropped {
    my ($client, $reason) = @_;
    warn "dropped a connection: $reason\n";
    forget($client);
}

# Reads no more than can be handed over. What the client sends beyond that stays in the socket, for the worker.
sub read_head {
    my ($client) = @_;
    my $length = length $client->{data};
    my $n = sysread $client->{fh}, $client->{data}, MAX_DATA - $length, $length;
    return if !defined $n && later();
    return dropped($client, $!) if !defined $n;
    return dropped($client, 'it ended before the request did') if !$n;

    $client->{data} =~ s/\A[\r\n]+//;    # ignored: RFC 9112, 2.2
    if ($client->{data} =~ /\n\r?\n/) {
        choose($client, substr $client->{data}, 0, $+[0]);
    }
    elsif (length $client->{data} == MAX_DATA) {
        refuse($client, '431 Request Header Fields Too Large');
    }
}

sub choose {
    my ($client, $head) = @_;
    my $token = qr/[!#\$%&'*+.^_`|~0-9A-Za-z-]+/;    # RFC 9110, 5.6.2
    my ($path) = $head =~ m{
        \A $token [ ] (/[\x21-\x7e]*) [ ] HTTP/1\.[0-9] \r?\n
        (?: $token : [^\0\n]* \n )*
        \r?\n \z
    }x or return refuse($client, '400 Bad Request');

    for my $route (@route) {
        next if index($path, $route->{prefix}) != 0;
        delete $client->{io};    # the worker reads on
        wait_for_worker($client);
        push @{ $route->{waiting} }, $client;
        hand_over($route);
        return;
    }
    refuse($client, '404 Not Found');
}

sub wait_for_worker {
    my ($client) = @_;
    $client->{timer} = AE::timer WORKER_SECONDS, 0, sub {
        @{ $_->{waiting} } = grep { $_ != $client } @{ $_->{waiting} } for @route;
        refuse($client, '503 Service Unavailable');
    };
}

# Answers a client that goes to no worker. The socket has room for so little.
sub refuse {
    my ($client, $status) = @_;
    my $is_head = $client->{data} =~ /\AHEAD /;
    my $answer  = join "\r\n",
      "HTTP/1.1 $status",
      'Content-Type: text/plain',
      'Content-Length: ' . (1 + length $status),
      'Connection: close',
      '',
      $is_head ? '' : "$status\n";
    syswrite $client->{fh}, $answer and shutdown $client->{fh}, 1 or return dropped($client, $!);

    # To close now would reset the connection if the client has sent more, and take the answer away. So we
    # read until the client has closed too.
    $client->{io} = AE::io $client->{fh}, 0, sub {
        my $n = sysread $client->{fh}, my $unwanted, 4096;
        forget($client) if defined $n ? !$n : !later();
    };
    $client->{timer} = AE::timer LINGER_SECONDS, 0, sub { forget($client) };
}

# --- start and end ---------------------------------------------------------------------------------

sub stop {
    $stopping = 1;
    undef $accepting;
    remove_nodes();
    settle();
}

# It may be another dispatcher's node by now, which is left alone.
sub remove_nodes {
    for my $route (@route) {
        delete $route->{joining};
        AnyEvent::FDpasser::fdpasser_unlink(delete $route->{node});
    }
}

$| = 1;
eval { add_route(split /=/, $_, 2) for @argument; 1 } or do {
    my $error = $@;
    remove_nodes();
    die $error;
};
print 'listening on 127.0.0.1:', $listener->sockport, "\n";
settle();
$end->recv;

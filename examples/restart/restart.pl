#!/usr/bin/env perl

# A small HTTP server that restarts without losing anybody. A new one that is started at the same NODE
# takes the listening socket over from the old one, and then every live connection, each as soon as it
# is between two requests; what the old one has begun it finishes. Clients notice nothing.
#
# Usage: restart.pl PORT NODE
#
# PORT counts only for the first server (0: the system chooses). restart.c is the same in C, says what goes
# over the wire, and the two take over from each other.
#
# SPDX-License-Identifier: MIT OR Apache-2.0

use strict;
use warnings;

use AnyEvent;
use AnyEvent::FDpasser;
use AnyEvent::Util ();
use IO::Socket::INET;
use Socket qw(SOMAXCONN);

use constant {
    MAX_REQUEST   => 8192,
    REQUEST       => 30,     # seconds from one answer on a connection to the next
    HANDOVER      => 60,     # longer than a request, which the old server waits for
    PAUSE         => 0.1,    # a full descriptor table leaves a listener ready: not to be watched for a while
    CONNECT_TRIES => 10,
};

@ARGV == 2 or die "usage: $0 PORT NODE\n";
my ($port, $path) = @ARGV;

my ($listener, $accepting);
my ($node, $welcoming);          # where the next server will connect
my ($predecessor, $successor);   # passers: who we are taking over from, who is taking over from us
my ($listener_sent, $all_sent, $too_late);    # to the successor
my %conn;

sub fatal { warn @_; exit 1 }    # an event loop may survive a die

# --- connections and HTTP, as much as is needed here -------------------------------------------------

sub welcome {
    my ($fh) = @_;
    AnyEvent::Util::fh_nonblocking($fh, 1);
    my $c = { fh => $fh, in => '', out => '' };
    $conn{$c} = $c;
    serve($c);
}

# Waits for a request, or for room to write an answer.
sub serve {
    my ($c) = @_;
    my ($write, $cb) = length $c->{out} ? (1, \&write_more) : (0, \&read_more);
    $c->{io} = AE::io $c->{fh}, $write, sub { $cb->($c) };
    $c->{timer} ||= AE::timer REQUEST, 0, sub { drop($c) };
}

sub rest { delete @{ $_[0] }{qw(io timer)} }

sub drop {
    my ($c) = @_;
    rest($c);
    delete $conn{$c};
    close $c->{fh};
    pass_on();    # it may have been the last one
}

sub read_more {
    my ($c) = @_;
    my $n = sysread $c->{fh}, $c->{in}, MAX_REQUEST, length $c->{in};
    if (!$n) {
        drop($c) if defined $n || !($!{EAGAIN} || $!{EWOULDBLOCK} || $!{EINTR});
        return;
    }
    if ($c->{shut_down}) {    # whatever it still says
        $c->{in} = '';
        return;
    }
    while (!$c->{last_answer} && $c->{in} =~ s/\A(.*?\r\n)\r\n//s) {
        my $head = $1;
        $c->{last_answer} = 1 if $head =~ /\nConnection: close/i;
        if ($head =~ m{\AGET /[^\r\n]* HTTP/1\.1\r\n}) { answer($c, '200 OK', "answered by Perl, pid $$\n") }
        else                                           { refuse($c) }
    }
    refuse($c) if length $c->{in} > MAX_REQUEST && !$c->{last_answer};
    write_more($c) if length $c->{out};
}

sub refuse {
    my ($c) = @_;
    $c->{last_answer} = 1;
    answer($c, '400 Bad Request', "only GET without a body, please\n");
}

sub answer {
    my ($c, $status, $body) = @_;
    $c->{out} .= join "\r\n", "HTTP/1.1 $status", 'Content-Type: text/plain',
      'Content-Length: ' . length $body, ('Connection: close') x !!$c->{last_answer}, '', $body;
}

sub write_more {
    my ($c) = @_;
    my $n = syswrite $c->{fh}, $c->{out};
    return drop($c) if !defined $n && !($!{EAGAIN} || $!{EWOULDBLOCK} || $!{EINTR});
    substr($c->{out}, 0, $n // 0) = '';
    return serve($c) if length $c->{out};

    if ($c->{last_answer}) {
        shutdown $c->{fh}, 1;    # and wait for the client to close
        $c->{shut_down} = 1;
        $c->{in} = '';
    }
    delete $c->{timer};
    serve($c);
    pass_on();
}

# Nothing of a request and nothing of an answer is in our hands, so another process can go on.
sub between_requests {
    my ($c) = @_;
    return !length $c->{in} && !length $c->{out} && !$c->{shut_down};
}

# --- accepting ---------------------------------------------------------------------------------------

sub accept_conns {
    $accepting = AE::io $listener, 0, sub {
        while (accept my $fh, $listener) { welcome($fh) }
        $accepting = AE::timer PAUSE, 0, \&accept_conns if table_full();
    };
}

sub table_full { return $!{EMFILE} || $!{ENFILE} || $!{ENOBUFS} || $!{ENOMEM} }

# --- taking over -------------------------------------------------------------------------------------

# Only a process of our own user may have our sockets, or give us any.
sub is_friend {
    my ($passer) = @_;
    my ($uid) = $passer->peer_cred;
    return defined $uid && $uid == $>;
}

# Starts to take over from the server at NODE; false if there is none.
sub find_predecessor {
    my ($tries) = @_;
    my $fh = eval { AnyEvent::FDpasser::fdpasser_connect($path) };
    if (!$fh) {
        return 0 if $!{ENOENT} || $!{ECONNREFUSED};
        fatal($@);
    }
    # The passer closes its handle before on_error is called, but that would be our answer already.
    open my $answer, '+<&', $fh or fatal("dup: $!\n");
    $predecessor = AnyEvent::FDpasser->new(
        fh       => $fh,
        on_error => sub {
            warn "taking over: $@\n" if defined $@;    # it has died: we go on with what we have
            undef $predecessor;
            if   ($listener) { serve_node() }
            else             { start($tries - 1) }     # another one has taken over from it in the meantime
            close $answer;
        },
    );
    is_friend($predecessor) or fatal("$path is served by another user\n");
    $predecessor->push_recv_fh(sub { ($listener) = @_; listening(); receive_conn() });
    return 1;
}

sub receive_conn {
    $predecessor->push_recv_fh(sub { receive_conn(); welcome($_[0]) });
}

# --- handing over ------------------------------------------------------------------------------------

sub serve_node {
    $node = eval { AnyEvent::FDpasser::fdpasser_server($path, 0, mode => 0600) };
    if ($node) {
        AnyEvent::Util::fh_nonblocking($node, 1);
        wait_for_successor();
    }
    else { warn $@ }    # the clients are more important than the next restart
    print 'ready with ', scalar keys %conn, " connections\n";
}

sub wait_for_successor { $welcoming = AE::io $node, 0, \&meet_successor if $node }

sub meet_successor {
    my $fh = AnyEvent::FDpasser::fdpasser_accept($node);
    if (!$fh) {
        $welcoming = AE::timer PAUSE, 0, \&wait_for_successor if table_full();
        return;
    }
    my $passer = AnyEvent::FDpasser->new(fh => $fh, on_error => \&handover_ends);
    return if !is_friend($passer);
    $successor = $passer;
    undef $accepting;
    undef $welcoming;
    $successor->push_send_fh($listener, sub { $listener_sent = 1; pass_on() });
    $successor->push_recv_fh(sub { });    # nothing will come, but so we hear of its end
    $too_late = AE::timer HANDOVER, 0, sub { $successor->error("no end after ${\HANDOVER} s") if !$all_sent };
}

# Queues all connections that are between two requests. They stay in %conn until they are sent, in case
# that the new server dies.
sub pass_on {
    return if !$successor || !$listener_sent || $all_sent;
    for my $c (grep { !$_->{leaving} && between_requests($_) } values %conn) {
        rest($c);
        $c->{leaving} = 1;
        $successor->push_send_fh($c->{fh}, sub { delete $conn{$c}; pass_on() });
    }
    if (!%conn) {
        $all_sent = 1;
        shutdown $successor->{fh}, 1;
    }
}

sub handover_ends {
    exit 0 if !defined $@ && $all_sent;    # the new server has it all and has closed its end
    warn 'the new server has failed, going on with ', scalar keys %conn, " connections\n";
    undef $_ for $successor, $listener_sent, $all_sent, $too_late;
    delete $_->{leaving} && serve($_) for values %conn;
    accept_conns();
    wait_for_successor();
}

# --- the start ---------------------------------------------------------------------------------------

sub listening {
    AnyEvent::Util::fh_nonblocking($listener, 1);
    my ($port) = Socket::unpack_sockaddr_in(getsockname $listener);
    print "listening on 127.0.0.1:$port\n";
    accept_conns();
}

sub start {
    my ($tries) = @_;
    fatal("$path: no answer\n") if !$tries;
    return if find_predecessor($tries);
    $listener = IO::Socket::INET->new(
        LocalAddr => '127.0.0.1',
        LocalPort => $port,
        Listen    => SOMAXCONN,
        ReuseAddr => 1,
    ) or fatal("cannot listen on port $port: $@\n");
    listening();
    serve_node();
}

$SIG{PIPE} = 'IGNORE';    # a client that has gone is an error of syswrite's
$| = 1;
start(CONNECT_TRIES);
AE::cv->recv;

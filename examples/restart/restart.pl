#!/usr/bin/env perl
# SPDX-License-Identifier: MIT OR Apache-2.0

# A small HTTP server that can be restarted without losing a connection.
#
# A new server with the same NODE connects there and takes over from the old one. It gets the listening
# socket first. Then it gets each live connection as soon as the old server has answered what it has read
# from it. What the old server has not read is still in the socket. Clients notice nothing.
#
# Usage: restart.pl PORT NODE
#
# Only the first server uses PORT. If it is 0 the system chooses one. A service manager, such as systemd, can
# hand the listening socket down instead. The server then uses that one, takes over the connections of a server
# at NODE if there is one, and tells the manager when it is ready. SIGTERM and SIGINT end a server: it removes
# NODE, accepts no more, answers the requests that have begun, and exits with 0. A handover that is
# under way comes first. A second signal ends it at once.
#
# restart.c is the same program in C, and says what the two servers send each other. Each can take over
# from the other.

use strict;
use warnings;

use AnyEvent;
use AnyEvent::FDpasser;
use AnyEvent::Util ();
use Errno ();
use IO::Socket::INET;
use Socket qw(SOMAXCONN);
use Time::HiRes ();

use constant {
    MAX_REQUEST => 8192,
    REQUEST     => 30,     # seconds, as all that follow: from one answer on a connection to the next
    LINGER      => 5,      # for the client to close after the last answer
    HANDOVER    => 60,     # longer than a request: the old server finishes those that have begun
    TAKE_OVER   => 90,     # longer than HANDOVER, after which a live old server gives up
    ANSWER      => 10,     # for the old server to accept our connection and send the listener
    BUSY        => 0.2,    # between two tries while another server takes over
    PAUSE       => 0.1,    # after an accept that failed for another reason than EAGAIN
};

@ARGV == 2 or die "usage: $0 PORT NODE\n";
my ($port, $path) = @ARGV;

my ($listener, $accepting);
my $inherited;                                # the listener that a service manager has handed down
my $accept_error = '';                        # already logged; empty after an accept that succeeded
my ($node, $welcoming);                       # where the next server will connect
my ($predecessor, $successor);                # passers: whom we take over from, who takes over from us
my ($listener_sent, $all_sent, $too_late);    # to the successor
my ($stopping, $stopped);                     # by a signal; nothing is accepted any more
my $again;                                    # a timer, to connect another time
my %conn;
my $end = AE::cv;

sub fatal { warn @_; exit 1 }                 # a die would only end the callback

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
    $c->{timer} ||=
      $c->{shut_down}
      ? AE::timer LINGER, 0, sub { drop($c) }
      : AE::timer REQUEST, 0, sub { drop($c, 'nothing came for too long') };
}

sub rest { delete @{ $_[0] }{qw(io timer)} }

sub forget {
    my ($c) = @_;
    rest($c);
    delete $conn{$c};
    close $c->{fh};
}

# With the reason, if something is lost by it.
sub drop {
    my ($c, $reason) = @_;
    forget($c);
    warn "dropped a connection: $reason\n" if defined $reason;
    settle();    # it may have been the last one
}

# After a read or a write that failed.
sub failed {
    my ($c) = @_;
    return if $!{EAGAIN} || $!{EWOULDBLOCK} || $!{EINTR};
    drop($c, $c->{shut_down} ? undef : "$!");    # after the last answer nothing is lost
}

sub read_more {
    my ($c) = @_;
    my $n = sysread $c->{fh}, $c->{in}, MAX_REQUEST, length $c->{in};
    return failed($c) if !defined $n;
    return drop($c, length $c->{in} ? 'it ended within a request' : undef) if !$n;
    if ($c->{shut_down}) {    # what comes after the last request is ignored
        $c->{in} = '';
        return;
    }
    while (!$c->{last_answer} && $c->{in} =~ s/\A(.*?\r\n)\r\n//s) {
        my $head = $1;
        $c->{last_answer} = 1 if $stopped || $head =~ /\nConnection: close/i;
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
    return failed($c) if !defined $n;
    substr($c->{out}, 0, $n) = '';
    return serve($c) if length $c->{out};

    if ($c->{last_answer}) {
        # To close now would reset the connection if the client has sent more, and take the answer away.
        shutdown $c->{fh}, 1 or return drop($c);    # the client is gone
        $c->{shut_down} = 1;
        $c->{in} = '';
    }
    delete $c->{timer};
    serve($c);
    settle();
}

# We hold no part of a request and no part of an answer, so another process can go on.
sub between_requests {
    my ($c) = @_;
    return !length $c->{in} && !length $c->{out} && !$c->{shut_down};
}

# --- accepting ---------------------------------------------------------------------------------------

sub accept_conns {
    $accepting = AE::io $listener, 0, sub {
        accept_all();
        $accepting = AE::timer PAUSE, 0, \&accept_conns if accept_failed();
    };
}

sub accept_all {
    while (accept my $fh, $listener) {
        $accept_error = '';
        welcome($fh);
    }
}

# When the descriptor table is full, the listener stays ready and its watcher would be called again and
# again. So it is left alone for a while. The log gets one line, not one for each try.
sub accept_failed {
    return 0 if $!{EAGAIN} || $!{EWOULDBLOCK} || $!{EINTR};
    warn "accept: $!\n" if $accept_error ne "$!";
    $accept_error = "$!";
    return 1;
}

# --- taking over -------------------------------------------------------------------------------------

# Only a process of our own user may have our sockets or give us any.
sub is_friend {
    my ($passer) = @_;
    my ($uid, undef, $pid) = $passer->peer_cred;
    return 1 if defined $uid && $uid == $>;
    warn defined $uid
      ? "$path: refused user $uid, process " . ($pid // 'unknown') . "\n"
      : "$path: cannot tell who is there: $!\n";
    return 0;
}

# Connects to the server at NODE. False if there is none.
sub connect_to_predecessor {
    my $no_answer = "$path: the server there does not answer within ${\ANSWER} seconds. Is it stopped?\n";
    my ($fh, $late);
    # To connect may wait: for room in the server's backlog. The alarm is repeated, as the first one may
    # come just before the wait.
    local $SIG{ALRM} = sub { $late = 1 };
    Time::HiRes::alarm(ANSWER, 1);
    my $ok = eval { $fh = AnyEvent::FDpasser::fdpasser_connect($path); 1 };
    my $none = $!{ENOENT} || $!{ECONNREFUSED};
    Time::HiRes::alarm(0);
    fatal($no_answer) if $late;
    return $fh if $ok;
    return if $none;
    fatal($@);
}

# Starts to take over from the server at NODE. False if there is none.
sub find_predecessor {
    my ($until) = @_;
    my $fh = connect_to_predecessor() or return 0;

    # The passer closes its handle before on_error is called, but the old server exits when we close. So
    # we have a duplicate.
    open my $answer, '+<&', $fh or fatal("dup: $!\n");
    my $deadline = AE::timer ANSWER, 0,
      sub { fatal("$path: the server there does not answer within ${\ANSWER} seconds. Is it stopped?\n") };
    $predecessor = AnyEvent::FDpasser->new(
        fh       => $fh,
        on_error => sub {
            undef $deadline;
            undef $predecessor;
            if ($listener) {
                warn "taking over: $@\n" if defined $@;    # we go on with what we have
                serve_node();                              # clients are more important than the next restart
                ready();
            }
            else {
                # Another server takes over from that one. We take over from the other one after it.
                fatal("$path: $@\n") if defined $@ && $@ != Errno::ECONNRESET();
                warn "$path: another server takes over, waiting for it\n" if !$again;
                $again = AE::timer BUSY, 0, sub { start($until) };
            }
            close $answer;
            settle();
        },
    );
    is_friend($predecessor) or exit 1;
    $predecessor->push_recv_fh(
        sub {
            $listener = $inherited // $_[0];           # usually they are the same one
            $deadline = AE::timer TAKE_OVER, 0,
              sub { $predecessor->error("the old server has not finished within ${\TAKE_OVER} seconds") };
            listening();
            receive_conn();
        }
    );
    return 1;
}

sub receive_conn {
    $predecessor->push_recv_fh(sub { receive_conn(); welcome($_[0]) });
}

# --- handing over ------------------------------------------------------------------------------------

sub serve_node {
    $node = eval { AnyEvent::FDpasser::fdpasser_server($path, 0, mode => 0600) };
    if (!$node) {
        warn $@;
        return 0;
    }
    AnyEvent::Util::fh_nonblocking($node, 1);
    wait_for_successor();
    return 1;
}

sub wait_for_successor { $welcoming = AE::io $node, 0, \&meet_successor }

sub meet_successor {
    my $fh = AnyEvent::FDpasser::fdpasser_accept($node);
    if (!$fh) {
        $welcoming = AE::timer PAUSE, 0, \&wait_for_successor if accept_failed();
        return;
    }
    $accept_error = '';
    return if $successor;    # that closes it: it tries again
    my $passer = AnyEvent::FDpasser->new(fh => $fh, on_error => \&handover_ends);
    return if !is_friend($passer);
    $successor = $passer;
    undef $accepting;
    $successor->push_send_fh($listener, sub { $listener_sent = 1; settle() });
    $successor->push_recv_fh(sub { });    # it sends nothing, but who receives learns that the other side has ended
    $too_late = AE::timer HANDOVER, 0, sub { $successor->error("it has not finished within ${\HANDOVER} seconds") };
}

# Queues all connections that are between two requests. They stay in %conn until they are sent, in case
# the new server dies.
sub pass_on {
    return if !$listener_sent || $all_sent;
    for my $c (grep { !$_->{leaving} && between_requests($_) } values %conn) {
        rest($c);
        $c->{leaving} = 1;
        $successor->push_send_fh($c->{fh}, sub { delete $conn{$c}; settle() });
    }
    $all_sent = shutdown $successor->{fh}, 1 if !%conn;
}

sub handover_ends {
    exit 0 if !defined $@ && $all_sent;    # the new server has everything and has closed its end
    warn 'the new server has failed, going on with ', scalar keys %conn, " connections\n";
    undef $_ for $successor, $listener_sent, $all_sent, $too_late;
    delete $_->{leaving} && serve($_) for values %conn;
    accept_conns();
    settle();
}

# --- the end -----------------------------------------------------------------------------------------

# What is to be done when something has changed: during a handover, and when it is time to stop.
sub settle {
    return pass_on() if $successor;
    return           if !$stopping || $predecessor;
    stop_serving()   if !$stopped;
    my @idle = grep { between_requests($_) } values %conn;
    forget($_) for @idle;
    $end->send if !%conn;
}

sub stop_serving {
    $stopped = 1;
    accept_all() if $listener;    # those that wait in it would be reset
    undef $_ for $accepting, $welcoming, $listener;
    if ($node) {
        # It may be another server's node by now, which is left alone.
        eval { AnyEvent::FDpasser::fdpasser_unlink($node); 1 } or warn $@;
        undef $node;
    }
    my @idle = grep { between_requests($_) } values %conn;
    read_more($_) for @idle;    # a request may have come meanwhile
}

# --- the start ---------------------------------------------------------------------------------------

sub listening {
    AnyEvent::Util::fh_nonblocking($listener, 1);
    my ($port) = Socket::unpack_sockaddr_in(getsockname $listener);
    print "listening on 127.0.0.1:$port\n";
    accept_conns();
}

# Says so, to the service manager too if there is one.
sub ready {
    print 'ready with ', scalar keys %conn, " connections\n";
    AnyEvent::FDpasser::fdpasser_notify('READY=1') // warn "the service manager was not told: $!\n";
}

# The listener that a service manager has handed down, if there is one.
sub handed_down {
    my %handles = eval { AnyEvent::FDpasser::fdpasser_inherited() };
    fatal("what was handed down: $!\n") if $@;
    my ($listener, @more) = map { @$_ } values %handles;
    fatal("what was handed down is not one listening TCP socket\n")
      if @more || $listener && !AnyEvent::FDpasser::fdpasser_is($listener, qw(listening stream internet));
    return $listener;
}

sub start {
    my ($until) = @_;
    fatal("$path: no listener from the server there\n") if AE::time > $until;
    return                                               if find_predecessor($until);
    $listener = $inherited // IO::Socket::INET->new(
        LocalAddr => '127.0.0.1',
        LocalPort => $port,
        Listen    => SOMAXCONN,
        ReuseAddr => 1,
    ) or fatal("cannot listen on port $port: $@\n");
    serve_node() or exit 1;
    listening();
    ready();
}

$SIG{PIPE} = 'IGNORE';    # when a client is gone, syswrite fails with EPIPE
$| = 1;
my (%watch, $stop);       # a second signal ends us at once, as soon as the watchers are gone
for my $signal (qw(INT TERM)) {
    $watch{$signal} = AE::signal $signal, sub {
        %watch = ();
        $stop  = AE::timer 0, 0, sub { $stopping = 1; settle() };
    };
}
$inherited = handed_down();
start(AE::time + TAKE_OVER);
$end->recv;

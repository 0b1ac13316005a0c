#!/usr/bin/env perl
# SPDX-License-Identifier: MIT OR Apache-2.0

# A worker in Perl: receives TCP connections from a dispatcher and answers one HTTP request on each. It goes on
# with the bytes that the dispatcher has read, as if it had read them itself.
#
# Usage: worker.pl NODE
#
# The answer says how many bytes of the request came from the dispatcher and how many were still to be read
# from the client. It repeats the body of the request. The next request on the connection may be for another
# worker, so the connection is closed, and the client makes a new one.
#
# When the dispatcher ends, the worker answers the clients that it has and exits with 0. On SIGTERM and
# SIGINT it tells the dispatcher to send no more, and then does the same. A second signal ends it at once.

use strict;
use warnings;

use AnyEvent;
use AnyEvent::FDpasser;
use AnyEvent::Handle;
use Time::HiRes ();

use constant {
    MAX_REQUEST => 16 * 1024,    # bytes, with the body
    LIFETIME    => 30,           # seconds for one connection, from start to end
    CONNECT     => 10,           # seconds
};

@ARGV == 1 or die "usage: $0 NODE\n";
my ($path) = @ARGV;

# --- receiving connections -------------------------------------------------------------------------

my $status = 0;
my $work   = AE::cv;    # counts the dispatcher and our clients

# The dispatcher may send as soon as we are connected, so we must be ready to leave in good order.
my %watch = map { $_ => AE::signal $_, \&leave } qw(INT TERM);    # a second signal ends us at once

$work->begin;
my $passer = AnyEvent::FDpasser->new(
    fh       => connect_to_dispatcher(),
    on_error => sub {
        if (defined $@) {
            warn "receiving: $@\n";
            $status = 1;
        }
        $work->end;
    },
);

# To connect may wait, for room in the dispatcher's backlog. The alarm is repeated, as the first one may come
# just before the wait.
sub connect_to_dispatcher {
    local $SIG{ALRM} = sub { warn "the dispatcher does not answer\n"; exit 1 };
    Time::HiRes::alarm(CONNECT, 1);
    my $fh = AnyEvent::FDpasser::fdpasser_connect($path);
    Time::HiRes::alarm(0);
    return $fh;
}

# Tells the dispatcher to send no more. It closes its end then, after all that it has sent already.
my $too_late;

sub leave {
    %watch = ();
    return if $passer->{error_state};
    $too_late = AE::timer LIFETIME, 0, sub { $passer->error('the dispatcher does not let us go') };
    shutdown $passer->{fh}, 1 or $passer->error("shutdown: $!");
}

sub receive {
    $passer->push_recv_message(
        sub {
            my ($fh, $data) = @_;
            receive();
            serve($fh, $data // '');
        }
    );
}

# --- serving a client ------------------------------------------------------------------------------

my %client;

# $data is what the dispatcher has read: the beginning of the request, or all of it. on_read looks at it at
# once, and then at everything that follows.
sub serve {
    my ($fh, $data) = @_;
    my $handle = AnyEvent::Handle->new(
        fh       => $fh,
        rbuf     => $data,
        linger   => 0,
        on_eof   => sub { finish($_[0], 'the client is gone') },
        on_error => sub { finish($_[0], $!{EPIPE} ? 'the client is gone' : $_[2]) },
    );
    $client{$handle} = [ $handle, AE::timer LIFETIME, 0, sub { finish($handle, 'its time is up') } ];
    $work->begin;
    $handle->on_read(sub { respond($_[0], length $data) });
}

# With the reason, unless the client has its answer.
sub finish {
    my ($handle, $reason) = @_;
    delete $client{$handle} or return;
    warn "dropped a connection: $reason\n" if defined $reason;
    $handle->destroy;
    $work->end;
}

# Answers when the request is complete, or cannot be.
sub respond {
    my ($handle, $handed_over) = @_;
    my $read = $handle->{rbuf};

    my $head = $read =~ /\n\r?\n/ ? substr $read, 0, $+[0] : undef;
    return answer($handle, '431 Request Header Fields Too Large') if length($head // $read) > MAX_REQUEST;
    return if !defined $head;
    my $body = substr $read, length $head;

    my ($method) = $head =~ m{\A(\S+) /\S* HTTP/1\.[0-9]\r?\n} or return answer($handle, '400 Bad Request');
    return answer($handle, '405 Method Not Allowed', allow => 'GET, HEAD, POST') if $method !~ /\A(?:GET|HEAD|POST)\z/;
    return answer($handle, '501 Not Implemented') if $head =~ /^Transfer-Encoding:/mi;

    my ($length) = $head =~ /^Content-Length:[ \t]*(.*?)[ \t]*\r?$/mi;
    $length //= 0;
    return answer($handle, '400 Bad Request')       if $length !~ /\A[0-9]+\z/;
    return answer($handle, '413 Content Too Large') if $length > MAX_REQUEST - length $head;
    return if length $body < $length;

    my ($line) = $head =~ /\A([^\r\n]*)/;
    my $facts = join "\n", 'language: Perl', "pid: $$", "request: $line", "from the dispatcher: $handed_over bytes",
      'from the client: ' . (length($read) - $handed_over) . ' bytes', '';
    answer($handle, '200 OK', body => $facts . substr($body, 0, $length), head_only => $method eq 'HEAD');
}

sub answer {
    my ($handle, $status, %arg) = @_;
    my $body = $arg{body} // "$status\n";
    $handle->push_write(
        join "\r\n",
        "HTTP/1.1 $status",
        'Content-Type: text/plain',
        'Content-Length: ' . length $body,
        (defined $arg{allow} ? "Allow: $arg{allow}" : ()),
        'Connection: close',
        '',
        $arg{head_only} ? '' : $body,
    );

    # To close now would reset the connection if the client has sent more, and take the answer away. So we
    # shut down our side and read until the client has closed too.
    $handle->{rbuf} = '';
    $handle->on_read(sub { $_[0]{rbuf} = '' });
    $handle->on_eof(sub { $_[0]->on_drain(sub { finish($_[0]) }) });
    $handle->push_shutdown;
}

receive();
$work->recv;
exit $status;

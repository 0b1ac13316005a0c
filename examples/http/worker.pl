#!/usr/bin/env perl

# A worker in Perl: receives TCP connections from dispatcher.pl and answers one HTTP request on each.
#
# Usage: worker.pl NODE
#
# When the dispatcher ends, the worker answers the clients that it has and exits with 0. On SIGTERM and
# SIGINT it tells the dispatcher to send no more, and then does the same. A second signal ends it at once.
#
# SPDX-License-Identifier: MIT OR Apache-2.0

use strict;
use warnings;

use AnyEvent;
use AnyEvent::FDpasser;
use AnyEvent::Handle;
use Time::HiRes ();

use constant {
    MAX_HEAD => 8192,    # bytes of a request: the first line and the header fields
    LIFETIME => 30,      # seconds for one connection, from start to end
    CONNECT  => 10,      # seconds
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
    $passer->push_recv_fh(
        sub {
            my ($fh) = @_;
            receive();
            serve($fh);
        }
    );
}

# --- serving a client ------------------------------------------------------------------------------

my %client;

sub serve {
    my ($fh) = @_;
    my $handle = AnyEvent::Handle->new(
        fh       => $fh,
        linger   => 0,
        on_read  => \&read_request,
        on_eof   => sub { finish($_[0], 'the client is gone') },
        on_error => sub { finish($_[0], $!{EPIPE} ? 'the client is gone' : $_[2]) },
    );
    $client{$handle} = [ $handle, AE::timer LIFETIME, 0, sub { finish($handle, 'its time is up') } ];
    $work->begin;
}

# With the reason, unless the client has its answer.
sub finish {
    my ($handle, $reason) = @_;
    delete $client{$handle} or return;
    warn "dropped a connection: $reason\n" if defined $reason;
    $handle->destroy;
    $work->end;
}

sub read_request {
    my ($handle) = @_;
    $handle->{rbuf} =~ s/\A[\r\n]+//;    # ignored: RFC 9112, 2.2

    my $head;
    if ($handle->{rbuf} =~ /\n\r?\n/) {
        $head = substr $handle->{rbuf}, 0, $+[0];
    }
    if (length($head // $handle->{rbuf}) > MAX_HEAD) {
        answer($handle, '431 Request Header Fields Too Large');
    }
    elsif (defined $head) {
        answer($handle, understand($head));
    }
    elsif ($handle->{rbuf} =~ /\0/) {
        answer($handle, '400 Bad Request');    # the rest makes no difference
    }
}

# Turns a request into the arguments of answer().
sub understand {
    my ($head) = @_;
    my $token = qr/[!#\$%&'*+.^_`|~0-9A-Za-z-]+/;
    my ($method, $path) = $head =~ m{
        \A ($token) [ ] (/[\x21-\x7e]*) [ ] HTTP/1\.[0-9] \r?\n
        (?: $token : [^\0\n]* \n )*
        \r?\n \z
    }x or return '400 Bad Request';

    return '405 Method Not Allowed', allow => 'GET, HEAD' if $method !~ /\A(?:GET|HEAD)\z/;
    return '200 OK',
      body      => "language: Perl\npid: $$\npath: $path\n",
      head_only => $method eq 'HEAD';
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

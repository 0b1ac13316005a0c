#!/usr/bin/env perl

# A worker in Perl: receives TCP connections from dispatcher.pl and answers one HTTP request on each.
# It ends when the dispatcher has ended and every client has been served.
#
# Usage: worker.pl NODE
#
# SPDX-License-Identifier: MIT OR Apache-2.0

use strict;
use warnings;

use AnyEvent;
use AnyEvent::FDpasser;
use AnyEvent::Handle;

use constant {
    MAX_HEAD => 8192,    # bytes of a request: its first line and its header fields
    LIFETIME => 30,      # seconds for one connection, from end to end
};

@ARGV == 1 or die "usage: $0 NODE\n";
my ($path) = @ARGV;

# --- receiving connections -------------------------------------------------------------------------

my $status = 0;
my $work   = AE::cv;    # counts the dispatcher and the clients that we still have

$work->begin;
my $passer = AnyEvent::FDpasser->new(
    fh       => AnyEvent::FDpasser::fdpasser_connect($path),
    on_error => sub {
        if (defined $@) {
            warn "receiving: $@\n";
            $status = 1;
        }
        $work->end;
    },
);

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
        on_eof   => \&finish,
        on_error => \&finish,
    );
    $client{$handle} = [ $handle, AE::timer LIFETIME, 0, sub { finish($handle) } ];
    $work->begin;
}

sub finish {
    my ($handle) = @_;
    delete $client{$handle} or return;
    $handle->destroy;
    $work->end;
}

sub read_request {
    my ($handle) = @_;
    $handle->{rbuf} =~ s/\A[\r\n]+//;    # as RFC 9112 (2.2) asks

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
        answer($handle, '400 Bad Request');    # no need to wait for the end
    }
}

# Turns a request into what answer() wants to know.
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

    # Closing a socket with something unread in it would reset the connection, and the answer could
    # be lost. So we say that we are done, and read on until the client has closed its side too.
    $handle->{rbuf} = '';
    $handle->on_read(sub { $_[0]{rbuf} = '' });
    $handle->on_eof(sub { $_[0]->on_drain(\&finish) });
    $handle->push_shutdown;
}

receive();
$work->recv;
exit $status;

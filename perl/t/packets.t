# SPDX-License-Identifier: MIT OR Apache-2.0
# Passers over SOCK_SEQPACKET and SOCK_DGRAM. A packet joins nothing. One that is in error ends the passer, after everything
# that came before it.
use strict;
use warnings;
use lib 't/lib';
use Loops;

use Errno qw(EBADMSG EMSGSIZE);
use Socket qw(AF_UNIX PF_UNSPEC SOCK_DGRAM SOCK_SEQPACKET SHUT_RD);
use Test::More;
use Helpers;

plan skip_all => 'STREAMS have no packet sockets' if sysv();
warm_up();

my %kind = (SOCK_SEQPACKET => SOCK_SEQPACKET, SOCK_DGRAM => SOCK_DGRAM);

# Makes a passer over such a socket, and returns it with the other end.
sub packet_pair {
    my ($kind, $errors) = @_;
    socketpair my $p, my $q, AF_UNIX, $kind{$kind}, PF_UNSPEC or die "socketpair: $!";
    return (passer($p, $errors), $q);
}

# Queues callbacks that note what they get. With data: "number:data".
my %receive = (
    push_recv_fh => sub {
        my ($x, $got) = @_;
        $x->push_recv_fh(sub { push @$got, number_of($_[0]) });
    },
    push_recv_message => sub {
        my ($x, $got) = @_;
        $x->push_recv_message(sub { push @$got, number_of($_[0]) . ':' . (defined $_[1] ? $_[1] : '-') });
    },
);

sub expected {
    my ($method, @messages) = @_;
    return $method eq 'push_recv_fh' ? [ map { /^(\d+)/ } @messages ] : \@messages;
}

# What comes before the bad packet is delivered, and what comes after it joins nothing.
sub ends_with {
    my ($kind, $method, $name, $errno, $bad) = @_;
    $name = "$kind, $method, $name";
    my $before = open_fds();
    my $errors = [];
    my @got;
    {
        my ($x, $y) = packet_pair($kind, $errors);
        send_message($y, 'first', numbered(1));
        send_message($y, "\0",    numbered(2));
        $bad->($y);
        send_message($y, 'data', numbered(3));
        $receive{$method}->($x, \@got) for 1 .. 10;
        wait_for { @$errors } $name;
        is $errors->[0] + 0, $errno, "$name: the error is right";
        is_deeply \@got, expected($method, '1:first', '2:-'), '... what came before it is delivered, and nothing after it';
        ok !eval { $x->push_recv_fh(sub { }); 1 }, '... it is final';
    }
    ticks(1);
    is open_fds(), $before, '... nothing is left open';
    is scalar @$errors, 1, '... there is one error';
}

my $none = can_send_messages();
for my $kind (sort keys %kind) {
    for my $method (sort keys %receive) {
      SKIP: {
            skip $none, 1 if defined $none;
            my ($x, $y) = packet_pair($kind);
            my @got;
            send_message($y, 'of two', numbered(1), numbered(2));
            send_message($y, 'one',    numbered(3));
            $receive{$method}->($x, \@got) for 1 .. 3;
            wait_for { @got == 3 } "$kind, $method";
            is_deeply \@got, expected($method, '1:of two', '2:-', '3:one'), "$kind, $method: good packets";
            $receive{$method}->($x, \@got);
            ticks(2);
            send_message($y, 'late', numbered(4));
            wait_for { @got == 4 } "$kind, $method, later";
            is $got[3], expected($method, '4:late')->[0], "$kind, $method: one that comes later";

            ends_with($kind, $method, 'a NUL byte', EBADMSG, sub { syswrite $_[0], "\0" });
            ends_with($kind, $method, 'plain bytes', EBADMSG, sub { syswrite $_[0], 'plain' });
            ends_with($kind, $method, 'two plain packets', EBADMSG, sub { syswrite $_[0], 'plain' for 1 .. 2 });
            ends_with($kind, $method, '4096 plain bytes', EBADMSG, sub { syswrite $_[0], 'x' x 4096 });
            ends_with($kind, $method, 'too long', EMSGSIZE, sub { send_message($_[0], 'x' x 4097, numbered(9)) });
            ends_with($kind, $method, 'an empty packet', EBADMSG, sub { defined send $_[0], '', 0 or die "send: $!" })
              if $kind eq 'SOCK_DGRAM';
        }

        # Nothing came before it.
        {
            my ($x, $y) = packet_pair($kind, my $errors = []);
            my @got;
            syswrite $y, 'plain' or die $!;
            peer_sends($y, 1);
            $receive{$method}->($x, \@got);
            wait_for { @$errors || @got } "$kind, $method, plain bytes first";
            is_deeply \@got, [], "$kind, $method: plain bytes join nothing";
            is $errors->[0] + 0, EBADMSG, '... they are an error';
        }

        # This end is shut down. Linux says EAGAIN of a datagram socket then, and it polls readable.
        for my $waits (0, 1) {
            my $name = "$kind, $method, shut down " . ($waits ? 'while it waits' : 'before it waits');
            my ($x, $y) = packet_pair($kind, my $errors = []);
            my (@got, $calls);
            my $counting = stand_in(recv => sub { my ($real) = @_; $calls++; return $real->() });
            if ($waits) {
                $receive{$method}->($x, \@got) for 1 .. 3;
                ticks(2);
            }
            peer_sends($y, 1, 2);
            shutdown $x->{fh}, SHUT_RD or die "shutdown: $!";
            $calls = 0;
            if (!$waits) { $receive{$method}->($x, \@got) for 1 .. 3 }
            wait_for { @$errors } $name;
            is $errors->[0], undef, "$name: an orderly shutdown";
            is_deeply \@got, expected($method, '1:-', '2:-'), '... after what has arrived';
            cmp_ok $calls, '<', 10, '... without spinning';
        }
    }
}
done_testing;

#!/usr/bin/perl
# The Perl modules. The command line and the signals are those of peer.h, with a word in front:
#
#   passer    AnyEvent::FDpasser, ours or another build, on the loop of PERL_ANYEVENT_MODEL
#   fdpass    IO::FDPass in a blocking loop
#
# `passer` takes the number of passers as a last word. They are the descriptors from 3 up.
#
# SPDX-License-Identifier: MIT OR Apache-2.0
use strict;
use warnings;

use POSIX       ();
use Socket      ();
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC CLOCK_PROCESS_CPUTIME_ID);

# How many descriptors a program has queued if it keeps its passer busy.
use constant QUEUED => 1000;

my ($what, $role, $n, $per, $kind, $passers) = @ARGV;

sub payload {
    if ($kind eq 'pipe') { pipe my $reader, my $writer or die "pipe: $!"; return ($reader, $writer) }
    die "no such kind: $kind" if $kind ne 'socket';
    require IO::Socket::INET;
    my $listener = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die "listen: $!";
    my $client = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $listener->sockport)
      or die "connect: $!";
    return ($client, $listener->accept);
}
my @payload = payload();
my $payload = $payload[0];

# Each returns the job, with everything that it needs prepared.
my %job = (
    passer => \&passer,
    fdpass => \&fdpass,
);
my $job = ($job{$what} or die "no such thing: $what\n")->();

$| = 1;
print "ready\n";
sysread STDIN, my $go, 1 or die 'not started';
my $cpu   = clock_gettime(CLOCK_PROCESS_CPUTIME_ID);
my $start = clock_gettime(CLOCK_MONOTONIC);
$job->();
printf "%.9f %.9f %.9f\n", $start, clock_gettime(CLOCK_MONOTONIC), clock_gettime(CLOCK_PROCESS_CPUTIME_ID) - $cpu;
1 while sysread STDIN, $go, 1;

# --- AnyEvent::FDpasser ---------------------------------------------------------------------------------

sub passer {
    require AnyEvent;
    require AnyEvent::FDpasser;
    AnyEvent::detect();
    my @passers = map {
        open my $fh, '+<&=', $_ or die "passer: $!";
        my @more = $per > 1 ? (max_fds_per_message => $per) : ();
        AnyEvent::FDpasser->new(fh => $fh, @more, on_error => sub { die 'passer: ' . ($@ // 'shut down') });
    } 3 .. 2 + ($passers || 1);
    my $share = int $n / @passers;
    my $open  = @passers;
    my $done  = AE::cv();
    my $end   = sub { $done->send if !--$open };

    my %role = (
        # A busy program: something is always queued, and the callbacks push more.
        send => sub {
            my ($passer) = @_;
            my ($unpushed, $unsent) = ($share, $share);
            my $on_sent;
            my $push = sub { $unpushed--; $passer->push_send_fh($payload, $on_sent) };
            $on_sent = sub { $push->() if $unpushed; $end->() if !--$unsent };
            $push->() while $unpushed && $share - $unpushed < QUEUED;
        },
        recv => sub {
            my ($passer) = @_;
            my ($unpushed, $unreceived) = ($share, $share);
            my $on_received;
            my $push = sub { $unpushed--; $passer->push_recv_fh($on_received) };
            $on_received = sub { close $_[0]; $push->() if $unpushed; $end->() if !--$unreceived };
            $push->() while $unpushed && $share - $unpushed < QUEUED;
        },
        # Everything is pushed at once.
        send_queue => sub {
            my ($passer) = @_;
            my $unsent = $share;
            my $on_sent = sub { $end->() if !--$unsent };
            $passer->push_send_fh($payload, $on_sent) for 1 .. $share;
        },
        recv_queue => sub {
            my ($passer) = @_;
            my $unreceived = $share;
            my $on_received = sub { close $_[0]; $end->() if !--$unreceived };
            $passer->push_recv_fh($on_received) for 1 .. $share;
        },
        # At most one callback is queued.
        recv_one => sub {
            my ($passer) = @_;
            my $unreceived = $share;
            my $on_received;
            $on_received = sub {
                close $_[0];
                return $end->() if !--$unreceived;
                $passer->push_recv_fh($on_received);
            };
            $passer->push_recv_fh($on_received);
        },
        ping => sub {
            my ($passer) = @_;
            my $unreceived = $share;
            my $on_received;
            $on_received = sub {
                close $_[0];
                return $end->() if !--$unreceived;
                $passer->push_send_fh($payload);
                $passer->push_recv_fh($on_received);
            };
            $passer->push_send_fh($payload);
            $passer->push_recv_fh($on_received);
        },
        pong => sub {
            my ($passer) = @_;
            my ($unreceived, $unsent) = ($share, $share);
            my $on_sent = sub { $end->() if !--$unsent };
            my $on_received;
            $on_received = sub {
                $passer->push_send_fh($_[0], $on_sent);
                $passer->push_recv_fh($on_received) if --$unreceived;
            };
            $passer->push_recv_fh($on_received);
        },
    );
    my $begin = $role{$role} or die "no such role: $role\n";
    return sub { $begin->($_) for @passers; $done->recv };
}

# --- IO::FDPass, in a blocking loop ------------------------------------------------------------------------

sub fdpass {
    require IO::FDPass;
    my $fd = fileno $payload;
    my %role = (
        send => sub { IO::FDPass::send(3, $fd) or die "send: $!" for 1 .. $n },
        # Most programs make a handle of the number.
        open => sub {
            for (1 .. $n) {
                open my $fh, '+<&=', IO::FDPass::recv(3) or die "open: $!";
                close $fh;
            }
        },
    );
    return $role{$role} || die "no such role: $role\n";
}

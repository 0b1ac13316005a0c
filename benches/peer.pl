#!/usr/bin/perl
# What there is in Perl. The command line and the signals are as in peer.h, with one word before:
#
#   passer    AnyEvent::FDpasser, ours or the original, on the loop of PERL_ANYEVENT_MODEL
#   fdpass    IO::FDPass in a blocking loop
#   msghdr    Socket::MsgHdr in a blocking loop
#
# and for `passer` one behind: over how many passers, which are the descriptors from 3 up.
#
# SPDX-License-Identifier: MIT OR Apache-2.0
use strict;
use warnings;

use POSIX       ();
use Socket      ();
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC CLOCK_PROCESS_CPUTIME_ID);

# How many are queued at a time by a program that keeps its passer busy.
use constant QUEUED => 1000;

my ($what, $role, $n, $per, $kind, $passers) = @ARGV;

sub payload {
    if ($kind eq 'pipe') { pipe my $reader, my $writer or die "pipe: $!"; return ($reader, $writer) }
    if ($kind eq 'file') { open my $file, '+>', undef or die "a file: $!"; return $file }
    die "no such kind: $kind" if $kind ne 'socket';
    require IO::Socket::INET;
    my $listener = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die "listen: $!";
    my $client = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $listener->sockport)
      or die "connect: $!";
    return ($client, $listener->accept);
}
my @payload = payload();
my $payload = $payload[0];

# Each takes what it needs on the way and answers with the job.
my %job = (
    passer => \&passer,
    fdpass => \&fdpass,
    msghdr => \&msghdr,
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
        # As a busy program has them: always something queued, more pushed from the callbacks.
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
        # All at once.
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
        # Never more than one queued.
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

# --- blocking loops --------------------------------------------------------------------------------------

sub fdpass {
    require IO::FDPass;
    my $fd = fileno $payload;
    my %role = (
        send => sub { IO::FDPass::send(3, $fd) or die "send: $!" for 1 .. $n },
        # The number is closed as it is; or a handle is made, as most programs want one.
        recv => sub { POSIX::close(IO::FDPass::recv(3)) or die "close: $!" for 1 .. $n },
        open => sub {
            for (1 .. $n) {
                open my $fh, '+<&=', IO::FDPass::recv(3) or die "open: $!";
                close $fh;
            }
        },
    );
    return $role{$role} || die "no such role: $role\n";
}

sub msghdr {
    require Socket::MsgHdr;
    my $fd = fileno $payload;
    open my $passer, '+<&=', 3 or die "passer: $!";
    my @rights = (Socket::SOL_SOCKET(), Socket::SCM_RIGHTS());
    my %role = (
        send => sub {
            my $message = Socket::MsgHdr->new(buf => "\0");
            $message->cmsghdr(@rights, pack 'i*', ($fd) x $per);
            for (my $left = $n ; $left > 0 ; $left -= $per) {
                $message->cmsghdr(@rights, pack 'i*', ($fd) x $left) if $left < $per;
                Socket::MsgHdr::sendmsg($passer, $message, 0) // die "sendmsg: $!";
            }
        },
        recv => sub {
            my $message = Socket::MsgHdr->new;
            for (my $left = $n ; $left > 0 ;) {
                $message->buflen(1);
                $message->controllen(2048);
                Socket::MsgHdr::recvmsg($passer, $message, 0) // die "recvmsg: $!";
                my @fds = unpack 'i*', ($message->cmsghdr)[2];
                POSIX::close($_) for @fds;
                $left -= @fds;
            }
        },
    );
    return $role{$role} || die "no such role: $role\n";
}

# SPDX-License-Identifier: MIT OR Apache-2.0
# A service is upgraded process by process. Processes with this module and peers that put on the wire what the original
# module puts there share both ends of one socket. Each descriptor arrives exactly once, and nobody sees an error.
use strict;
use warnings;
use lib 't/lib';
use Loops qw(EV Perl);

use Errno qw(EAGAIN ENOBUFS ETOOMANYREFS);
use Socket qw(SOL_SOCKET SCM_RIGHTS);
use Test::More;
use Helpers;

plan skip_all => 'the original uses another wire over STREAMS' if sysv();
plan skip_all => 'Socket::MsgHdr is not installed'             if !eval { require Socket::MsgHdr };

my $each = 300;    # from each of two senders

# --- what the original does: non-blocking, one NUL byte with one descriptor, and room for no more than that

sub wait_until_ready {
    my ($socket, $to_read) = @_;
    my $bits = '';
    vec($bits, fileno $socket, 1) = 1;
    select $to_read ? $bits : undef, $to_read ? undef : $bits, undef, 60 or die "nothing happened for a minute\n";
}

sub old_sends {
    my ($socket, @numbers) = @_;
    for my $number (@numbers) {
        my $fh      = numbered($number);
        my $message = Socket::MsgHdr->new(buf => "\0");
        $message->cmsghdr(SOL_SOCKET, SCM_RIGHTS, pack 'i', fileno $fh);
        until (Socket::MsgHdr::sendmsg($socket, $message, 0)) {
            die "sendmsg: $!\n" if !grep { $! == $_ } EAGAIN, ENOBUFS, ETOOMANYREFS;
            wait_until_ready($socket, 0);
        }
    }
    return 1;
}

# Returns the numbers that came before the end of the file.
sub old_receives {
    my ($socket) = @_;
    my @got;
    while (1) {
        wait_until_ready($socket, 1);
        my $message = Socket::MsgHdr->new(buflen => 1, controllen => 24);    # CMSG_SPACE(sizeof(int))
        my $length  = Socket::MsgHdr::recvmsg($socket, $message, 0);
        if (!defined $length) {
            next if $! == EAGAIN;    # another receiver was faster
            die "recvmsg: $!\n";
        }
        return @got if $length == 0;
        my ($level, $type, $fds) = $message->cmsghdr;
        my @fd = unpack 'i*', $fds;
        die "a message that the original does not understand\n" if @fd != 1 || $message->buf ne "\0";
        push @got, number_of($fd[0]);
        POSIX::close($fd[0]);
    }
}

# --- what a program with this module does

sub new_sends {
    my ($socket, @numbers) = @_;
    my $passer = passer($socket);
    my $sent   = 0;
    $passer->push_send_fh(numbered($_), sub { $sent++ }) for @numbers;
    wait_for { $sent == @numbers } 'everything to be sent';
    return 1;
}

sub new_receives {
    my ($socket) = @_;
    my @got;
    my $passer = passer($socket, \my @ends);
    my $next;
    $next = sub { push @got, number_of($_[0]); $passer->push_recv_fh($next) };
    $passer->push_recv_fh($next);
    wait_for { @ends };
    die $ends[0] if defined $ends[0];
    return @got;
}

# --- the two together

numbered(0);    # makes the file that all processes share
my ($here, $there) = AnyEvent::FDpasser::fdpasser_socketpair();
AnyEvent::Util::fh_nonblocking($_, 1) for $here, $there;

my (@child, %report);
for my $receive (\&old_receives, \&new_receives) {
    pipe my $reader, my $writer or die "pipe: $!";
    $report{ $receive == \&old_receives ? 'old' : 'new' } = $reader;
    push @child, in_child { close $here; syswrite $writer, join ' ', $receive->($there) };
}
push @child, in_child { close $there; old_sends($here, 1 .. $each) };
push @child, in_child { close $there; new_sends($here, $each + 1 .. 2 * $each) };
close $_ for $here, $there;

my %got;
for my $who (keys %report) {
    my $text = do { local $/; readline $report{$who} };
    $got{$who} = [ split ' ', defined $text ? $text : '' ];
}
child_ok($child[0], 'the old receiver');
child_ok($child[1], 'the new receiver');
child_ok($child[2], 'the old sender');
child_ok($child[3], 'the new sender');
is_deeply [ sort { $a <=> $b } map { @$_ } values %got ], [ 1 .. 2 * $each ], 'each descriptor arrived exactly once';
for my $who (qw(old new)) {
    my @from_old = grep { $_ <= $each } @{ $got{$who} };
    my @from_new = grep { $_ > $each } @{ $got{$who} };
    is_deeply [ @from_old, @from_new ], [ sort { $a <=> $b } @{ $got{$who} } ], "the $who receiver: in each sender's order";
}

# --- one after the other: the new process inherits what the old one has left queued

my ($left, $right) = AnyEvent::FDpasser::fdpasser_socketpair();
AnyEvent::Util::fh_nonblocking($_, 1) for $left, $right;
child_ok(in_child { old_sends($left, 1 .. 5) }, 'the old server sends, and ends');
child_ok(in_child { new_sends($left, 6 .. 10) }, 'the new one goes on');
my $three = in_child {
    my $passer = passer($right);
    my @got;
    $passer->push_recv_fh(sub { push @got, number_of($_[0]) }) for 1 .. 3;
    wait_for { @got == 3 };
    "@got" eq '1 2 3';
};
child_ok($three, 'a new worker takes three, and no more');
close $left;
child_ok(in_child { join(' ', old_receives($right)) eq '4 5 6 7 8 9 10' }, 'an old worker takes the rest');
done_testing;

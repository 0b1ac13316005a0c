# SPDX-License-Identifier: MIT OR Apache-2.0
# max_fds_per_message allows several descriptors in one message.
use strict;
use warnings;
use lib 't/lib';
use Loops;

use Errno qw(EBADF);
use Socket qw(SCM_RIGHTS);
use Test::More;
use Helpers;

warm_up();

sub connected {
    my ($max, @errors) = @_;
    my ($x, $y) = AnyEvent::FDpasser::fdpasser_socketpair();
    AnyEvent::Util::fh_nonblocking($y, 1);
    return (passer($x, $errors[0], max_fds_per_message => $max), $y);
}

for my $bad (254, 1000, -1, 'abc', 1.5) {
    ok !eval { connected($bad); 1 }, "max_fds_per_message => $bad dies";
    like $@, qr/max_fds_per_message/, 'with the right message';
}

for my $max (1, 2, 7, 253) {
    my ($x, $raw) = connected($max);
    my $y = passer($raw);
    my $n = 300;
    my (@sent, @got, @open);
    for my $i (1 .. $n) {
        my $fh = numbered($i);
        my $fd = fileno $fh;
        $x->push_send_fh($fh, sub { push @sent, $i; push @open, $i if is_open($fd) });
    }
    # Sending frees slots that receiving would take again. So receive afterwards where the slots are looked at.
    wait_for { @sent == $n } if $max == 253;
    $y->push_recv_fh(sub { push @got, number_of($_[0]) }) for 1 .. $n;
    wait_for { @sent == $n && @got == $n };
    is_deeply \@got,  [ 1 .. $n ], "$n descriptors arrive in order, with up to $max in a message";
    is_deeply \@sent, [ 1 .. $n ], '... each callback runs once, in order';
    is_deeply \@open, [], '... each descriptor is closed before its callback runs' if $max == 253;
}

SKIP: {
    skip 'a message of STREAMS carries one descriptor', 1 if sysv();
    skip 'Socket::MsgHdr is not installed', 1 if !eval { require Socket::MsgHdr };
    my ($x, $y) = connected(4);
    my $sent = 0;
    $x->push_send_fh(numbered($_), sub { $sent++ }) for 1 .. 10;
    wait_for { $sent == 10 };
    my @message;
    for (1 .. 3) {
        my $message = Socket::MsgHdr->new(buflen => 16, controllen => 1024);
        my $bytes = Socket::MsgHdr::recvmsg($y, $message, 0);
        my (undef, undef, $data) = $message->cmsghdr;
        push @message, [ $bytes, map { my $n = number_of($_); POSIX::close($_); $n } unpack 'i*', $data ];
    }
    is_deeply \@message, [ [ 1, 1 .. 4 ], [ 1, 5 .. 8 ], [ 1, 9, 10 ] ], 'ten descriptors with up to four in a message are sent as 4, 4 and 2';
}
for my $kind ('closed', 'undef') {
    my $errors = [];
    my ($x, $y) = connected(10, $errors);
    my $p = passer($y, my $peer_errors = []);
    my (@sent, @got);
    my $bad = numbered(99);
    for my $i (1 .. 6) {
        $x->push_send_fh($i == 4 ? ($kind eq 'closed' ? $bad : undef) : numbered($i), sub { push @sent, $i });
    }
    close $bad;
    $p->push_recv_fh(sub { push @got, number_of($_[0]) }) for 1 .. 6;
    wait_for { @$errors && @$peer_errors };
    is_deeply \@got, [ 1, 2, 3 ], "handles before one without a descriptor ($kind) are sent";
    is_deeply \@sent, [ 1, 2, 3 ], 'their callbacks run';
    is $errors->[0] + 0, EBADF, 'then the error is reported';
}
for my $full (0, 1) {
    my ($x, $y) = connected(10);
    my (@log, $done);
    for my $i (1 .. 10) {
        $x->push_send_fh(numbered($i), sub {
            push @log, $i;
            return if $i != 3;
            if ($full) { 1 while AnyEvent::FDpasser::send_fd(fileno $x->{fh}, 0) == 1 }
            nested_wait_for { @log == 10 } 'the other callbacks';
            $done = 1;
        });
    }
    wait_for { $done };
    is_deeply \@log, [ 1 .. 10 ],
      'a callback runs the loop, which runs the other callbacks of the message' . ($full ? ', although the socket is full' : '');
}
{
    my ($x, $y) = connected(10, []);
    my @log;
    for my $i (1 .. 10) { $x->push_send_fh(numbered($i), sub { push @log, $i; $x->error('stop') if $i == 3 }) }
    wait_for { @log == 3 };
    ticks(2);
    is_deeply \@log, [ 1, 2, 3 ], 'after a callback shuts the passer down, the other callbacks of the message do not run';
}
{
    # What is in the passer may have changed since new checked it.
    for my $limit (0, -1, 'abc', undef, 254, 2000, 4294967297) {
        my ($x, $y) = connected(2);
        my $p = passer($y);
        $x->{max_fds_per_message} = $limit;
        my ($sent, $got) = (0, 0);
        my $fh = numbered(1);
        $x->push_send_fh($fh, sub { $sent++ }) for 1 .. 300;
        $p->push_recv_fh(sub { $got++ }) for 1 .. 300;
        wait_for { $sent == 300 && $got == 300 } 'all';
        pass 'max_fds_per_message is set to ' . ($limit // 'undef') . ', and everything is sent';
    }
}
done_testing;

# SPDX-License-Identifier: MIT OR Apache-2.0
# What has arrived when an error comes is delivered before on_error runs.
use strict;
use warnings;
use lib 't/lib';
use Loops;
use Helpers limit => 64;

use Errno qw(EPIPE ECONNRESET EBADF EBADMSG EAGAIN ENOTRECOVERABLE);
use POSIX ();
use Socket qw(AF_UNIX SOCK_STREAM SOCK_SEQPACKET);
use Test::More;

warm_up();

# STREAMS do not report that the peer left something unread.
my $reset = sysv() ? 'orderly' : ECONNRESET;

my @log;
sub logging {
    my ($fh) = @_;
    ticks(2);    # POE closes what it no longer needs in its next turn
    @log = ();
    return AnyEvent::FDpasser->new(fh => $fh, on_error => sub { push @log, defined $@ ? $@ + 0 : 'orderly' });
}
sub gets { my ($passer, $n) = @_; $passer->push_recv_fh(sub { push @log, 'got ' . number_of($_[0]) }) for 1 .. $n }

# Runs the code. Nothing is received before sending has been tried. That is the worst order, and this way every loop
# has it.
sub sending_first {
    my ($code) = @_;
    my $tried = 0;
    my @order = (
        stand_in(send => sub { my ($real) = @_; $tried = 1; return $real->() }),
        stand_in(recv => sub { my ($real) = @_; return $tried ? $real->() : refuse(EAGAIN) }),
    );
    $code->();
    return;
}

for my $full (0, 1) {
    my $when = $full ? ', while the table is full' : '';
    my $finish = sub {
        my ($name) = @_;
        my $filled = $full ? fill_table() : undef;
        if ($full) {
            ticks(15);
            # Some loops hold a descriptor for each watcher. On those the watcher for sending makes room when it goes.
            is_deeply \@log, [], "$name: nothing happens yet$when" if $AnyEvent::MODEL !~ /POE|IOAsync/;
            undef $filled;
        }
        wait_for { @log && $log[-1] !~ /got/ } $name;
        ticks(1);
        return [@log];
    };

    for my $waiting (3, 5) {
        my ($x, $y) = AnyEvent::FDpasser::fdpasser_socketpair();
        my $passer = logging($x);
        peer_sends($y, 1 .. 3);
        close $y;
        my $fh = numbered(9);
        sending_first(sub {
            $passer->push_send_fh($fh);
            gets($passer, $waiting);
            is_deeply $finish->('EPIPE'), [ 'got 1', 'got 2', 'got 3', EPIPE ],
              "EPIPE comes after everything that had arrived ($waiting callbacks wait)$when";
        });
    }
    # A SOCK_SEQPACKET socket reports ECONNRESET before the data.
    for my $kind (SOCK_STREAM, sysv() ? () : SOCK_SEQPACKET) {
        socketpair my $x, my $y, AF_UNIX, $kind, 0 or die "socketpair: $!";
        ($x, $y) = AnyEvent::FDpasser::fdpasser_socketpair() if sysv();
        my $passer = logging($x);
        peer_sends($x, 7);
        peer_sends($y, 1 .. 3);
        close $y;
        gets($passer, 4);
        is_deeply $finish->('ECONNRESET'), [ 'got 1', 'got 2', 'got 3', $reset ],
          "$reset comes after everything that had arrived (socket of kind $kind)$when";
    }
    {
        my ($x, $y) = AnyEvent::FDpasser::fdpasser_socketpair();
        my $passer = logging($x);
        peer_sends($x, 7);
        peer_sends($y, 1 .. 3);
        close $y;
        my $fh = numbered(9);
        sending_first(sub {
            $passer->push_send_fh($fh);
            gets($passer, 5);
            my $seen = $finish->('both');
            my $error = pop @$seen;
            is_deeply $seen, [ 'got 1', 'got 2', 'got 3' ], "everything that had arrived is delivered when both directions fail$when";
            ok $error == EPIPE || $error == ECONNRESET, 'the error comes after it';
        });
    }
    SKIP: {
        skip 'STREAMS have no packets', 1 if sysv();
        # Sending finds another error first.
        socketpair my $x, my $y, AF_UNIX, SOCK_SEQPACKET, 0 or die "socketpair: $!";
        my $passer = logging($x);
        peer_sends($x, 7);
        peer_sends($y, 1 .. 3);
        shutdown $y, 0;
        my $fh = numbered(9);
        my $reset = stand_in(send => sub {
            my ($real) = @_;
            my $status = $real->();
            POSIX::dup2(2, fileno $y);    # closes the peer without freeing a slot in the table
            return $status;
        });
        sending_first(sub {
            $passer->push_send_fh($fh);
            gets($passer, 5);
            is_deeply $finish->('EPIPE, then ECONNRESET'), [ 'got 1', 'got 2', 'got 3', EPIPE ],
              "EPIPE comes after everything that had arrived, although the peer resets$when";
        });
    }
    {
        my ($x, $y) = AnyEvent::FDpasser::fdpasser_socketpair();
        my $passer = logging($x);
        peer_sends($y, 1 .. 3);
        close $y;
        gets($passer, 4);
        is_deeply $finish->('orderly shutdown'), [ 'got 1', 'got 2', 'got 3', 'orderly' ], "the orderly shutdown comes last$when";
    }
}
{
    # The error is about our own handle. The peer is alive and has sent.
    my ($x, $y) = AnyEvent::FDpasser::fdpasser_socketpair();
    my $passer = logging($x);
    peer_sends($y, 1 .. 2);
    sending_first(sub {
        $passer->push_send_fh(undef);
        gets($passer, 5);
        wait_for { @log && $log[-1] !~ /got/ };
    });
    is_deeply \@log, [ 'got 1', 'got 2', EBADF ], 'EBADF comes after everything that had arrived';
}
{
    my ($x, $y) = AnyEvent::FDpasser::fdpasser_socketpair();
    my $passer = logging($x);
    peer_sends($y, 1 .. 2);
    syswrite $y, 'x';
    gets($passer, 4);
    wait_for { @log && $log[-1] !~ /got/ };
    is_deeply \@log, [ 'got 1', 'got 2', EBADMSG ], 'EBADMSG comes at its place in the stream';
}
{
    # More descriptors than one event moves.
    my ($x, $y) = AnyEvent::FDpasser::fdpasser_socketpair();
    my $passer = logging($x);
    my $n = 0;
    AnyEvent::Util::fh_nonblocking($y, 1);
    my $fh = numbered(1);
    $n++ while $n < 150 && AnyEvent::FDpasser::send_fd(fileno $y, fileno $fh) == 1;
    close $y;
    sending_first(sub {
        $passer->push_send_fh($fh);
        gets($passer, $n + 1);
        wait_for { @log && $log[-1] !~ /got/ };
    });
    is_deeply \@log, [ ('got 1') x $n, EPIPE ], "EPIPE comes after $n descriptors";
}
# A descriptor that the kernel destroyed is reported also if sending has failed before.
sending_first(sub {
    my ($x, $y) = AnyEvent::FDpasser::fdpasser_socketpair();
    my $passer = logging($x);
    close $y;
    my $lost = stand_in(recv => sub { my ($real) = @_; return $passer->{-failing} ? refuse(ENOTRECOVERABLE) : $real->() });
    gets($passer, 1);
    $passer->push_send_fh(\*STDERR);
    wait_for { @log } 'the end';
    is_deeply \@log, [ ENOTRECOVERABLE + 0 ], 'a loss is reported, and not EPIPE';
});

done_testing;

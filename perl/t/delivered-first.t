# What had reached us when an error comes is delivered before on_error hears of the error.
use strict;
use warnings;
use lib 't/lib';
use Loops;
use Helpers limit => 64;

use Errno qw(EPIPE ECONNRESET EBADF EBADMSG EAGAIN);
use POSIX ();
use Socket qw(AF_UNIX SOCK_STREAM SOCK_SEQPACKET);
use Test::More;

warm_up();

# STREAMS do not tell that the peer left something unread.
my $reset = sysv() ? 'orderly' : ECONNRESET;

my @log;
sub logging {
    my ($fh) = @_;
    ticks(2);    # POE closes what it no longer needs at its next turn
    @log = ();
    return AnyEvent::FDpasser->new(fh => $fh, on_error => sub { push @log, defined $@ ? $@ + 0 : 'orderly' });
}
sub gets { my ($passer, $n) = @_; $passer->push_recv_fh(sub { push @log, 'got ' . number_of($_[0]) }) for 1 .. $n }
sub peer_sends {
    my ($to, @n) = @_;
    for my $n (@n) {
        my $fh = numbered($n);
        patiently { AnyEvent::FDpasser::send_fd(fileno $to, fileno $fh) == 1 };
    }
}

# Sends nothing and receives nothing until sending has been tried: the worst order, on every loop.
sub sending_first {
    my ($code) = @_;
    my $tried = 0;
    my ($send, $recv) = (\&AnyEvent::FDpasser::_send, \&AnyEvent::FDpasser::_recv);
    no warnings 'redefine';
    local *AnyEvent::FDpasser::_send = sub { $tried = 1; goto &$send };
    local *AnyEvent::FDpasser::_recv = sub { goto &$recv if $tried; return recv_says(EAGAIN) };
    $code->();
}

for my $full (0, 1) {
    my $when = $full ? ', while the table is full' : '';
    my $finish = sub {
        my ($name) = @_;
        my $filled = $full ? fill_table() : undef;
        if ($full) {
            ticks(15);
            # Some loops have a descriptor of their own for each watcher: the one for sending makes room.
            is_deeply \@log, [], "$name: nothing happens$when" if $AnyEvent::MODEL !~ /POE|IOAsync/;
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
              "EPIPE after all that had arrived ($waiting callbacks wait)$when";
        });
    }
    # A socket of packets says ECONNRESET first.
    for my $kind (SOCK_STREAM, sysv() ? () : SOCK_SEQPACKET) {
        socketpair my $x, my $y, AF_UNIX, $kind, 0 or die "socketpair: $!";
        ($x, $y) = AnyEvent::FDpasser::fdpasser_socketpair() if sysv();
        my $passer = logging($x);
        peer_sends($x, 7);
        peer_sends($y, 1 .. 3);
        close $y;
        gets($passer, 4);
        is_deeply $finish->('ECONNRESET'), [ 'got 1', 'got 2', 'got 3', $reset ],
          "$reset after all that had arrived (socket of kind $kind)$when";
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
            is_deeply $seen, [ 'got 1', 'got 2', 'got 3' ], "all that had arrived, when both directions fail$when";
            ok $error == EPIPE || $error == ECONNRESET, 'then the error';
        });
    }
    SKIP: {
        skip 'STREAMS have no packets', 1 if sysv();
        # And when sending found something else before.
        socketpair my $x, my $y, AF_UNIX, SOCK_SEQPACKET, 0 or die "socketpair: $!";
        my $passer = logging($x);
        peer_sends($x, 7);
        peer_sends($y, 1 .. 3);
        shutdown $y, 0;
        my $fh = numbered(9);
        my $send = \&AnyEvent::FDpasser::_send;
        no warnings 'redefine';
        local *AnyEvent::FDpasser::_send = sub {
            my $n = &$send;
            POSIX::dup2(2, fileno $y);    # closes it, and makes no room in the table
            return $n;
        };
        sending_first(sub {
            $passer->push_send_fh($fh);
            gets($passer, 5);
            is_deeply $finish->('EPIPE, then ECONNRESET'), [ 'got 1', 'got 2', 'got 3', EPIPE ],
              "EPIPE after all that had arrived, though the peer resets$when";
        });
    }
    {
        my ($x, $y) = AnyEvent::FDpasser::fdpasser_socketpair();
        my $passer = logging($x);
        peer_sends($y, 1 .. 3);
        close $y;
        gets($passer, 4);
        is_deeply $finish->('orderly shutdown'), [ 'got 1', 'got 2', 'got 3', 'orderly' ], "orderly shutdown after all$when";
    }
}
{
    # The error is our own handle's; the peer lives and has sent.
    my ($x, $y) = AnyEvent::FDpasser::fdpasser_socketpair();
    my $passer = logging($x);
    peer_sends($y, 1 .. 2);
    sending_first(sub {
        $passer->push_send_fh(undef);
        gets($passer, 5);
        wait_for { @log && $log[-1] !~ /got/ };
    });
    is_deeply \@log, [ 'got 1', 'got 2', EBADF ], 'EBADF after all that had arrived';
}
{
    my ($x, $y) = AnyEvent::FDpasser::fdpasser_socketpair();
    my $passer = logging($x);
    peer_sends($y, 1 .. 2);
    syswrite $y, 'x';
    peer_sends($y, 3);
    gets($passer, 4);
    wait_for { @log && $log[-1] !~ /got/ };
    is_deeply \@log, [ 'got 1', 'got 2', EBADMSG ], 'EBADMSG in its place';
}
{
    # More than one event's share.
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
    is_deeply \@log, [ ('got 1') x $n, EPIPE ], "EPIPE after $n descriptors";
}
done_testing;

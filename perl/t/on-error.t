# on_error: once, without arguments, $@ the reason; everything is closed and dropped before; later
# pushes die. No SIGPIPE, ever.
use strict;
use warnings;
use lib 't/lib';
use Loops;

use Errno qw(EPIPE ECONNRESET EBADF);
use Scalar::Util qw(weaken);
use Test::More;
use Helpers;

my $sigpipe = 0;
$SIG{PIPE} = sub { $sigpipe++ };

# A passer whose on_error notes all there is to note.
sub watched {
    my ($fh, @arg) = @_;
    my %seen = (calls => 0);
    my $passer = AnyEvent::FDpasser->new(fh => $fh, on_error => sub {
        $seen{error}  = $@;
        $seen{args}   = [@_];
        $seen{open}   = defined fileno $fh;
        $seen{queued} = grep { $_ } @seen{qw(weak_send weak_recv)};
        $seen{calls}++;
    }, @arg);
    return ($passer, \%seen);
}

sub ends (&$$) {
    my ($make, $errno, $name) = @_;
    subtest $name => sub {
        my ($x, $y) = AnyEvent::FDpasser::fdpasser_socketpair();
        my ($passer, $seen) = watched($x);
        my ($held_send, $held_recv) = ({}, {});
        $make->($passer, $y, sub { my $never = $held_send }, sub { my $never = $held_recv }, $seen);
        weaken($seen->{weak_send} = $held_send);
        weaken($seen->{weak_recv} = $held_recv);
        undef $_ for $held_send, $held_recv;
        undef $make;
        {
            local $@ = 'outer';
            wait_for { $seen->{calls} } $name;
        }
        ticks(2);
        is $seen->{calls}, 1, 'on_error ran once';
        is_deeply $seen->{args}, [], 'without arguments';
        if (defined $errno) {
            is $seen->{error} + 0, $errno, '$@ is a number';
            local $! = $errno;
            is "$seen->{error}", "$!", 'and a text';
        }
        else {
            is $seen->{error}, undef, '$@ is undef';
        }
        ok !$seen->{open}, 'the handle was closed before';
        is $seen->{queued}, 0, 'and the queues dropped';
        for (qw(push_send_fh push_recv_fh)) {
            ok !eval { $passer->$_(sub { }); 1 }, "$_ dies afterwards";
            like $@, qr/^passer object is in error_state: /, 'saying why';
            like $@, qr/\Q$passer->{error_state}\E at \Q$0\E/, 'and what it was, and where';
        }
        weaken(my $weak = $passer);
        undef $passer;
        is $weak, undef, 'the passer can go';
    };
}

ends {
    my ($passer, $peer, $send, $recv) = @_;
    $passer->push_recv_fh($recv);
    close $peer;
} undef, 'orderly shutdown';
ends {
    my ($passer, $peer, $send, $recv) = @_;
    close $peer;
    $passer->push_recv_fh($recv);
} undef, 'orderly shutdown before the push';
ends {
    my ($passer, $peer, $send, $recv) = @_;
    close $peer;
    $passer->push_send_fh(numbered(1), $send);
    $passer->push_send_fh(numbered(2), $send);
} EPIPE, 'sending to nobody';
SKIP: {
    skip 'a stream cannot be shut down in one direction', 1 if sysv();
    ends {
        my ($passer, $peer, $send, $recv) = @_;
        shutdown $peer, 0;
        $passer->push_send_fh(numbered(1), $send);
    } EPIPE, 'sending to one who has stopped reading';
}
ends {
    my ($passer, $peer, $send, $recv) = @_;
    AnyEvent::FDpasser::send_fd(fileno $passer->{fh}, fileno numbered(1)) == 1 or die $!;
    close $peer;
    $passer->push_recv_fh($recv);
} sysv() ? undef : ECONNRESET, 'the peer went without reading what we had sent';
ends {
    my ($passer, $peer, $send, $recv) = @_;
    close $passer->{fh};
    $passer->push_recv_fh($recv);
} EBADF, 'our own handle is closed: receiving';
ends {
    my ($passer, $peer, $send, $recv) = @_;
    close $passer->{fh};
    $passer->push_send_fh(numbered(1), $send);
} EBADF, 'our own handle is closed: sending';

# The state of $@ outside.
{
    my ($x) = AnyEvent::FDpasser::fdpasser_socketpair();
    my ($passer, $seen) = watched($x);
    local $@ = 'outer';
    $passer->error('inner');
    is $@, 'outer', 'outer $@ is restored';
    is $seen->{error}, 'inner', 'after it was the reason inside';
    is $passer->{error_state}, 'inner', 'error_state';
}
# No on_error.
{
    my ($x, $y) = AnyEvent::FDpasser::fdpasser_socketpair();
    my $passer = AnyEvent::FDpasser->new(fh => $x);
    $passer->push_recv_fh(sub { });
    close $y;
    wait_for { $passer->{error_state} };
    is fileno $x, undef, 'without on_error the passer is shut down as well';
}
# Both directions fail at once.
{
    my ($x, $y) = AnyEvent::FDpasser::fdpasser_socketpair();
    my ($passer, $seen) = watched($x);
    close $y;
    $passer->push_recv_fh(sub { });
    $passer->push_send_fh(numbered(1));
    wait_for { $seen->{calls} };
    ticks(3);
    is $seen->{calls}, 1, 'sending and receiving fail: on_error once';
}
# From on_error a new passer takes over; the old one's destructors do not spoil $@.
{
    package Evil;
    sub new { return bless {}, shift }
    sub DESTROY { eval { die "destructor\n" } }
}
{
    my ($x, $y) = AnyEvent::FDpasser::fdpasser_socketpair();
    my ($passer, $seen) = watched($x);
    my $evil = Evil->new;
    $passer->push_recv_fh(sub { my $never = $evil });
    $passer->push_send_fh(numbered(1), sub { my $never = $evil });
    undef $evil;
    close $y;
    wait_for { $seen->{calls} };
    ok !defined $seen->{error} || $seen->{error} == EPIPE, 'a destructor in the queue does not change $@';
    is $seen->{calls}, 1, 'once';
}
{
    my ($x, $y) = AnyEvent::FDpasser::fdpasser_socketpair();
    my ($got, $passer) = (0);
    my $on_error;
    $on_error = sub {
        ($x, $y) = AnyEvent::FDpasser::fdpasser_socketpair();
        $passer = passer($x);
        $passer->push_recv_fh(sub { $got = number_of($_[0]) });
        AnyEvent::FDpasser::send_fd(fileno $y, fileno numbered(9));
    };
    $passer = AnyEvent::FDpasser->new(fh => $x, on_error => $on_error);
    $passer->push_recv_fh(sub { });
    close $y;
    wait_for { $got };
    is $got, 9, 'on_error replaces the passer by a new one';
}
# A peer that dies in the midst.
{
    my ($x, $y) = AnyEvent::FDpasser::fdpasser_socketpair();
    my $child = in_child {
        close $x;
        AnyEvent::FDpasser::recv_fd(fileno $y) > 2 or die $! for 1 .. 3;
        kill KILL => $$;
    };
    close $y;
    my ($passer, $seen) = watched($x);
    my $sent = 0;
    my $fh = numbered(1);
    my $more; $more = sub { $sent++; $passer->push_send_fh($fh, $more) };
    $passer->push_send_fh($fh, $more);
    wait_for { $seen->{calls} } 'the death of the peer';
    cmp_ok $sent, '>=', 3, 'a peer is killed while we send';
    ok $seen->{error} && ($seen->{error} == EPIPE || $seen->{error} == ECONNRESET), 'EPIPE or ECONNRESET';
    is child_verdict($child), 'died', 'it was';
    undef $more;
}
is $sigpipe, 0, 'no SIGPIPE';

# A subclass that overrides error and the pushes.
{
    package Mine;
    our @ISA = ('AnyEvent::FDpasser');
    our @log;
    sub push_send_fh { my $self = shift; push @log, 'send'; return $self->SUPER::push_send_fh(@_) }
    sub push_recv_fh { my $self = shift; push @log, 'recv'; return $self->SUPER::push_recv_fh(@_) }
    sub error { my ($self, $reason) = @_; push @log, 'error ' . (defined $reason ? $reason + 0 : 'none'); return $self->SUPER::error($reason) }
}
{
    my ($x, $y) = map { Mine->new(fh => $_) } AnyEvent::FDpasser::fdpasser_socketpair();
    my $got;
    $y->push_recv_fh(sub { $got = shift });
    $x->push_send_fh(numbered(5));
    wait_for { $got };
    is number_of($got), 5, 'overridden pushes work';
    $x->push_recv_fh(sub { });
    undef $y;
    wait_for { $x->{error_state} };
    my ($p, $q) = AnyEvent::FDpasser::fdpasser_socketpair();
    close $q;
    my $z = Mine->new(fh => $p);
    $z->push_send_fh(numbered(1));
    wait_for { $z->{error_state} };
    no warnings 'once';
    is_deeply \@Mine::log, [ qw(recv send recv), 'error none', 'send', 'error ' . EPIPE ], 'and an overridden error is called';
}
done_testing;

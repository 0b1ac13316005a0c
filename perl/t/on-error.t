# SPDX-License-Identifier: MIT OR Apache-2.0
# on_error runs once, without arguments, with the reason in $@. Everything is closed and dropped before. Later pushes
# die. There is never a SIGPIPE.
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

# Makes a passer whose on_error notes everything.
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
        is_deeply $seen->{args}, [], 'it got no arguments';
        if (defined $errno) {
            is $seen->{error} + 0, $errno, '$@ is a number';
            local $! = $errno;
            is "$seen->{error}", "$!", '$@ is a text too';
        }
        else {
            is $seen->{error}, undef, '$@ is undef';
        }
        ok !$seen->{open}, 'the handle was closed before';
        is $seen->{queued}, 0, 'the queues were dropped before';
        for (qw(push_send_fh push_recv_fh)) {
            ok !eval { $passer->$_(sub { }); 1 }, "$_ dies afterwards";
            like $@, qr/^passer object is in error_state: /, 'with the right message';
            like $@, qr/\Q$passer->{error_state}\E at \Q$0\E/, 'which has the reason and the line of the caller';
        }
        weaken(my $weak = $passer);
        undef $passer;
        is $weak, undef, 'the passer is freed';
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
} EPIPE, 'sending when the peer is gone';
SKIP: {
    skip 'a stream cannot be shut down in one direction', 1 if sysv();
    ends {
        my ($passer, $peer, $send, $recv) = @_;
        shutdown $peer, 0;
        $passer->push_send_fh(numbered(1), $send);
    } EPIPE, 'sending when the peer has shut down reading';
}
ends {
    my ($passer, $peer, $send, $recv) = @_;
    AnyEvent::FDpasser::send_fd(fileno $passer->{fh}, fileno numbered(1)) == 1 or die $!;
    close $peer;
    $passer->push_recv_fh($recv);
} sysv() ? undef : ECONNRESET, 'the peer closed without reading what we had sent';
ends {
    my ($passer, $peer, $send, $recv) = @_;
    close $passer->{fh};
    $passer->push_recv_fh($recv);
} EBADF, 'receiving when our own handle is closed';
ends {
    my ($passer, $peer, $send, $recv) = @_;
    close $passer->{fh};
    $passer->push_send_fh(numbered(1), $send);
} EBADF, 'sending when our own handle is closed';

# $@ of the code around.
{
    my ($x) = AnyEvent::FDpasser::fdpasser_socketpair();
    my ($passer, $seen) = watched($x);
    local $@ = 'outer';
    $passer->error('inner');
    is $@, 'outer', 'outer $@ is restored';
    is $seen->{error}, 'inner', '$@ was the reason inside on_error';
    is $passer->{error_state}, 'inner', 'error_state is the reason';
}
# There is no on_error.
{
    my ($x, $y) = AnyEvent::FDpasser::fdpasser_socketpair();
    my $passer = AnyEvent::FDpasser->new(fh => $x);
    $passer->push_recv_fh(sub { });
    close $y;
    wait_for { $passer->{error_state} };
    is fileno $x, undef, 'a passer without on_error is shut down too';
}
# Both directions fail at the same time.
{
    my ($x, $y) = AnyEvent::FDpasser::fdpasser_socketpair();
    my ($passer, $seen) = watched($x);
    close $y;
    $passer->push_recv_fh(sub { });
    $passer->push_send_fh(numbered(1));
    wait_for { $seen->{calls} };
    ticks(3);
    is $seen->{calls}, 1, 'on_error runs once when sending and receiving fail';
}
# Destructors of what was queued use eval.
{
    my ($x, $y) = AnyEvent::FDpasser::fdpasser_socketpair();
    my ($passer, $seen) = watched($x);
    my $evil = at_end(sub { eval { die "destructor\n" } });
    $passer->push_recv_fh(sub { my $never = $evil });
    $passer->push_send_fh(numbered(1), sub { my $never = $evil });
    undef $evil;
    close $y;
    wait_for { $seen->{calls} };
    ok !defined $seen->{error} || $seen->{error} == EPIPE, 'a destructor in the queue does not change $@';
    is $seen->{calls}, 1, 'on_error runs once';
}
# on_error makes a new passer.
{
    my ($x, $y) = AnyEvent::FDpasser::fdpasser_socketpair();
    my ($got, $passer) = (0);
    my $on_error;
    $on_error = sub {
        ($x, $y) = AnyEvent::FDpasser::fdpasser_socketpair();
        $passer = passer($x);
        $passer->push_recv_fh(sub { $got = number_of($_[0]) });
        peer_sends($y, 9);
    };
    $passer = AnyEvent::FDpasser->new(fh => $x, on_error => $on_error);
    $passer->push_recv_fh(sub { });
    close $y;
    wait_for { $got };
    is $got, 9, 'on_error can replace the passer with a new one';
}
# The peer is killed while we send.
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
    cmp_ok $sent, '>=', 3, 'some were sent before';
    ok $seen->{error} && ($seen->{error} == EPIPE || $seen->{error} == ECONNRESET), 'the error is EPIPE or ECONNRESET';
    is child_verdict($child), 'died', 'the peer was killed';
    undef $more;
}
is $sigpipe, 0, 'there was no SIGPIPE';

# A subclass overrides error and does not call the inherited method.
{
    package Careless;
    our @ISA = ('AnyEvent::FDpasser');
    our @reasons;
    sub error { my ($self, $reason) = @_; push @reasons, defined $reason ? $reason + 0 : 'orderly'; return }
}
for my $dir (qw(send recv both)) {
    my ($x, $y) = AnyEvent::FDpasser::fdpasser_socketpair();
    my $passer = Careless->new(fh => $x);
    @Careless::reasons = ();
    close $y;
    $passer->push_send_fh(numbered(1)) if $dir ne 'recv';
    $passer->push_recv_fh(sub { })     if $dir ne 'send';
    wait_for { @Careless::reasons } 'error';
    ticks(12);
    is scalar @Careless::reasons, 1, "error is called once for an error, although it does nothing ($dir)";
    weaken $passer;
    is $passer, undef, 'nothing keeps the passer alive then';
}

# A subclass overrides error and the pushes.
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
    is_deeply \@Mine::log, [ qw(recv send recv), 'error none', 'send', 'error ' . EPIPE ], 'an overridden error works';
}
done_testing;

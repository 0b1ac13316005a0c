# SPDX-License-Identifier: MIT OR Apache-2.0
# A pair is split by a fork before the first push. A passer is passed over a passer.
use strict;
use warnings;
use lib 't/lib';
use Loops;

use Test::More;
use Helpers;

numbered(0);

# --- i_am_parent, i_am_child
{
    my $end;
    my $passer = AnyEvent::FDpasser->new(on_error => sub { $end = defined $@ ? "$@" : 'orderly' });
    is $AnyEvent::MODEL, undef, 'making a passer leaves the event loop alone';
    my $child = in_child {
        $passer->i_am_child;
        my @got;
        for my $i (1 .. 10) {
            $passer->push_recv_fh(sub { push @got, number_of($_[0]); $passer->push_send_fh($_[0]) });
            $passer->push_send_fh(numbered(100 + $i));
        }
        $passer->push_recv_fh(sub { push @got, 'too many' });
        wait_for { $end } 'the parent to go';
        return $end eq 'orderly' && "@got" eq join ' ', 1 .. 10;
    };
    $passer->i_am_parent;
    my @got;
    $passer->push_send_fh(numbered($_)) for 1 .. 10;
    $passer->push_recv_fh(sub { push @got, number_of($_[0]) }) for 1 .. 20;
    wait_for { @got == 20 };
    is_deeply [ grep { $_ > 100 } @got ], [ 101 .. 110 ], 'the child\'s own descriptors arrive in order';
    is_deeply [ grep { $_ < 100 } @got ], [ 1 .. 10 ], 'ours come back in order';
    undef $passer;
    child_ok($child, 'the child received everything, and then the shutdown');
}

# --- a passer over a passer
{
    my ($x, $y) = passers();
    my ($p, $q) = AnyEvent::FDpasser::fdpasser_socketpair();
    my ($inner, @got);
    $x->push_send_fh($p);
    undef $p;
    $y->push_recv_fh(sub { $inner = passer($_[0]) });
    wait_for { $inner };
    my $other = passer($q);
    $other->push_send_fh(numbered($_)) for 1 .. 3;
    $inner->push_send_fh(numbered(10 + $_)) for 1 .. 3;
    $_->push_recv_fh(sub { push @got, number_of($_[0]) }) for ($inner) x 3, ($other) x 3;
    wait_for { @got == 6 };
    is_deeply [ sort { $a <=> $b } @got ], [ 1 .. 3, 11 .. 13 ], 'a passer that came over a passer works in both directions';

    # A passer sends its own end over itself.
    $inner->push_send_fh($inner->{fh});
    my $again;
    $other->push_recv_fh(sub { $again = shift });
    wait_for { $again };
    ok same_file($again, $inner->{fh}), 'a passer can pass itself';
}

# --- a passer that has descriptors inside
{
    my ($x, $y) = passers();
    my ($p, $q) = AnyEvent::FDpasser::fdpasser_socketpair();
    AnyEvent::FDpasser::send_fd(fileno $q, fileno numbered($_)) for 1 .. 2;
    close $q;
    my ($inner, @got, $end);
    $x->push_send_fh($p);
    undef $p;
    $y->push_recv_fh(sub {
        $inner = AnyEvent::FDpasser->new(fh => $_[0], on_error => sub { $end = defined $@ ? "$@" : 'orderly' });
        $inner->push_recv_fh(sub { push @got, number_of($_[0]) }) for 1 .. 3;
    });
    wait_for { $end };
    is_deeply [ @got, $end ], [ 1, 2, 'orderly' ], 'the descriptors inside a passer travel with it';
}
done_testing;

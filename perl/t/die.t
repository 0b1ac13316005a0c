# SPDX-License-Identifier: MIT OR Apache-2.0
# When a callback dies the queue goes on, and no entry is skipped. The exception goes to the place where the event loop
# puts the exceptions of all watchers.
use strict;
use warnings;
use lib 't/lib';
use Loops;

use Test::More;
use Helpers;
use Exceptions;

warm_up();
Exceptions::collect();

sub died_is {
    my ($expected, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is_deeply \@Exceptions::died, $expected, "$name: the loop got the exceptions, in order";
    @Exceptions::died = ();
}

for my $n (1, 5, 150) {    # 150: more than one event's share
    my ($x, $y) = passers();
    my (@sent, @got);
    for my $i (1 .. $n) {
        $x->push_send_fh(numbered($i), sub { push @sent, $i; die "send $i\n" });
        $y->push_recv_fh(sub { push @got, number_of($_[0]) });
    }
    through { @sent == $n && @got == $n };
    is_deeply \@sent, [ 1 .. $n ], "$n send callbacks die, and each runs once";
    is_deeply \@got, [ 1 .. $n ], 'everything is sent once';
    died_is([ map { "send $_\n" } 1 .. $n ], "$n send callbacks");
    ok !$x->{error_state}, 'the passer is usable';
}
for my $n (1, 5, 150) {
    my ($x, $y) = passers();
    my @got;
    for my $i (1 .. $n) {
        $x->push_send_fh(numbered($i));
        $y->push_recv_fh(sub { push @got, number_of($_[0]); die "recv $i\n" });
    }
    through { @got == $n };
    is_deeply \@got, [ 1 .. $n ], "$n receive callbacks die, and each runs once";
    died_is([ map { "recv $_\n" } 1 .. $n ], "$n receive callbacks");
    ok !$y->{error_state}, 'the passer is usable';
}
{
    my ($x, $y) = passers();
    my @got;
    for my $i (1 .. 12) {
        $x->push_send_fh(numbered($i), $i % 3 ? sub { } : sub { die "send\n" });
        $y->push_recv_fh(sub { push @got, number_of($_[0]); die "recv\n" if $i % 4 == 0 });
    }
    through { @got == 12 };
    is_deeply \@got, [ 1 .. 12 ], 'some callbacks die and some do not';
    is scalar @Exceptions::died, 7, 'the loop got as many exceptions';
    @Exceptions::died = ();
    $x->push_send_fh(numbered(13));
    $y->push_recv_fh(sub { push @got, number_of($_[0]) });
    through { @got == 13 };
    is $got[-1], 13, 'the passers still work';
}
SKIP: {
    skip 'STREAMS have no data', 4 if sysv();
    my ($x, $y) = passers();
    my (@sent, @got);
    for my $i (1 .. 150) {
        $x->push_send_message(numbered($i), "data $i", sub { push @sent, $i; die "send\n" });
        $y->push_recv_message(sub { push @got, number_of($_[0]) . " $_[1]"; die "recv\n" });
    }
    through { @sent == 150 && @got == 150 };
    is_deeply \@sent, [ 1 .. 150 ], 'callbacks of push_send_message die, and each runs once';
    is_deeply \@got, [ map { "$_ data $_" } 1 .. 150 ], 'callbacks of push_recv_message die, and each gets its data';
    is_deeply [ sort @Exceptions::died ], [ ("recv\n") x 150, ("send\n") x 150 ], 'the loop got the exceptions';
    @Exceptions::died = ();
    is $y->{-messages}, undef, 'no callback is counted any more';
}
SKIP: {
    my $none = can_send_messages();
    skip $none, 2 if defined $none;
    # One message carries several. The rest must not wait until the socket is readable again.
    my ($y, $x) = raw_pair();
    my @got;
    $y->push_recv_fh(sub { push @got, number_of($_[0]); die "recv\n" }) for 1 .. 4;
    send_message($x, "\0", map { numbered($_) } 1 .. 4);
    through { @got == 4 };
    is_deeply \@got, [ 1 .. 4 ], 'all callbacks run when those of one message die';
    died_is([ ("recv\n") x 4 ], 'one message');
}
{
    # The exception is an object, and $@ was in use before.
    my ($x, $y) = passers();
    my $got = 0;
    $x->push_send_fh(numbered(1), sub { eval { die "inner\n" }; die { code => 7 } });
    $x->push_send_fh(numbered(2));
    $y->push_recv_fh(sub { $got++ }) for 1 .. 2;
    through { $got == 2 };
    died_is([ { code => 7 } ], 'an exception object');
}
{
    # The last callback dies. Nothing is queued then, so the passer goes away.
    my ($x, $y) = raw_pair();
    my $died = 0;
    $x->push_send_fh(numbered(1), sub { $died++; die "last\n" });
    undef $x;
    through { $died };
    my @state = raw_state($y);
    through { push @state, grep { $_ ne 'nothing' } raw_state($y); $state[-1] eq 'end of file' };
    is_deeply \@state, [ 1, 'end of file' ], 'a passer whose last callback died is closed';
    died_is(["last\n"], 'the last callback');
}
{
    # on_error dies.
    my ($p, $q) = AnyEvent::FDpasser::fdpasser_socketpair();
    my $calls = 0;
    my $x = AnyEvent::FDpasser->new(fh => $p, on_error => sub { $calls++; die "on_error\n" });
    my $held = [];
    $x->push_recv_fh(sub { my $never = $held });
    close $q;
    Scalar::Util::weaken($held);
    through { $calls };
    eval { ticks(3) };
    is $calls, 1, 'on_error dies, and runs once';
    is fileno $p, undef, 'the passer is closed';
    is $held, undef, 'its queue is dropped';
    ok !eval { $x->push_recv_fh(sub { }); 1 }, 'a push dies afterwards';
    like $@, qr/error_state/, 'and says that the passer is in error_state';
    died_is(["on_error\n"], 'on_error');
}
{
    # The callback is an object whose overloaded bool dies.
    package Undecided;
    use overload '&{}' => sub { sub { } }, bool => sub { die "undecided\n" }, fallback => 1;
    our $freed = 0;
    sub DESTROY { $freed++ }
}
{
    my ($x, $y) = passers();
    @Exceptions::died = ();
    my $got;
    $x->push_send_fh(numbered(1));
    $x->push_send_fh(numbered(2), bless [], 'Undecided');
    $y->push_recv_fh(sub { }) for 1 .. 2;
    $y->push_recv_fh(sub { $got = number_of($_[0]) });
    $x->push_send_fh(numbered(3));
    through { $got };
    is $got, 3, 'a callback whose bool dies does not stop the queue';
    is $Undecided::freed, 1, '... and is freed';
}
done_testing;

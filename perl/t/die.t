# A callback that dies neither stops nor skips the queue, and its exception goes where the event loop
# puts those of any watcher.
use strict;
use warnings;
use lib 't/lib';
use Loops;

use Test::More;
use Helpers;

# With or without this module POE kills the watcher's session, the sessions around it, and itself.
plan skip_all => 'POE does not survive a watcher that dies' if $ENV{PERL_ANYEVENT_MODEL} eq 'POE';

warm_up();
my ($model) = $AnyEvent::MODEL =~ /(\w+)$/;

# Where each loop puts them: a handler of its own, or through ->recv.
my @died;
if ($model eq 'EV')   { no warnings 'once'; $EV::DIED = sub { push @died, $@ } }
# Event lets them through, and talks about it afterwards.
if ($model eq 'Event') { no warnings 'once'; $Event::DIED = sub { } }
if ($model eq 'Glib') { Glib->install_exception_handler(sub { push @died, $_[0]; 1 }) }

# As wait_for, but it goes on after exceptions that come out of the loop.
sub through (&) {
    my ($condition) = @_;
    for (1 .. 1000) {
        return 1 if eval { wait_for { $condition->() } };
        die $@ if $@ =~ /waited in vain/;
        push @died, $@;
    }
}

sub died_is {
    my ($expected, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is_deeply \@died, $expected, "$name: the exceptions reached the loop's place, in order";
    @died = ();
}

for my $n (1, 5, 150) {    # 150: more than one event's share
    my ($x, $y) = passers();
    my (@sent, @got);
    for my $i (1 .. $n) {
        $x->push_send_fh(numbered($i), sub { push @sent, $i; die "send $i\n" });
        $y->push_recv_fh(sub { push @got, number_of($_[0]) });
    }
    through { @sent == $n && @got == $n };
    is_deeply \@sent, [ 1 .. $n ], "$n send callbacks that die: each ran once";
    is_deeply \@got, [ 1 .. $n ], 'and everything was sent, once';
    died_is([ map { "send $_\n" } 1 .. $n ], "$n send callbacks");
    ok !$x->{error_state}, 'the passer lives';
}
for my $n (1, 5, 150) {
    my ($x, $y) = passers();
    my @got;
    for my $i (1 .. $n) {
        $x->push_send_fh(numbered($i));
        $y->push_recv_fh(sub { push @got, number_of($_[0]); die "recv $i\n" });
    }
    through { @got == $n };
    is_deeply \@got, [ 1 .. $n ], "$n receive callbacks that die: each ran once";
    died_is([ map { "recv $_\n" } 1 .. $n ], "$n receive callbacks");
    ok !$y->{error_state}, 'the passer lives';
}
{
    my ($x, $y) = passers();
    my @got;
    for my $i (1 .. 12) {
        $x->push_send_fh(numbered($i), $i % 3 ? sub { } : sub { die "send\n" });
        $y->push_recv_fh(sub { push @got, number_of($_[0]); die "recv\n" if $i % 4 == 0 });
    }
    through { @got == 12 };
    is_deeply \@got, [ 1 .. 12 ], 'some die, some do not';
    is scalar @died, 7, 'as many exceptions';
    @died = ();
    $x->push_send_fh(numbered(13));
    $y->push_recv_fh(sub { push @got, number_of($_[0]) });
    through { @got == 13 };
    is $got[-1], 13, 'the passers are good for more';
}
SKIP: {
    my $none = can_send_messages();
    skip $none, 2 if defined $none;
    # Several in one message, of which the rest must not wait for the socket to be readable.
    my ($y, $x) = raw_pair();
    my @got;
    $y->push_recv_fh(sub { push @got, number_of($_[0]); die "recv\n" }) for 1 .. 4;
    send_message($x, "\0", map { numbered($_) } 1 .. 4);
    through { @got == 4 };
    is_deeply \@got, [ 1 .. 4 ], 'callbacks that die, for several descriptors in one message';
    died_is([ ("recv\n") x 4 ], 'one message');
}
{
    # An exception object, and one that is thrown with $@ in use.
    my ($x, $y) = passers();
    my $got = 0;
    $x->push_send_fh(numbered(1), sub { eval { die "inner\n" }; die { code => 7 } });
    $x->push_send_fh(numbered(2));
    $y->push_recv_fh(sub { $got++ }) for 1 .. 2;
    through { $got == 2 };
    died_is([ { code => 7 } ], 'an exception object');
}
{
    # The last callback dies: nothing is queued, so the passer goes.
    my ($x, $y) = raw_pair();
    my $died = 0;
    $x->push_send_fh(numbered(1), sub { $died++; die "last\n" });
    undef $x;
    through { $died };
    my @state = raw_state($y);
    through { push @state, grep { $_ ne 'nothing' } raw_state($y); $state[-1] eq 'end of file' };
    is_deeply \@state, [ 1, 'end of file' ], 'the passer whose last callback died is closed';
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
    is $calls, 1, 'on_error that dies runs once';
    is fileno $p, undef, 'the passer is closed all the same';
    is $held, undef, 'and its queue dropped';
    ok !eval { $x->push_recv_fh(sub { }); 1 }, 'it is in error_state';
    like $@, qr/error_state/, 'and says so';
    died_is(["on_error\n"], 'on_error');
}
done_testing;

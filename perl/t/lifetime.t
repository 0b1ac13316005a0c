# A passer with something queued keeps itself alive. With nothing queued it is closed when the last
# reference goes. The event loop returns when the queues are empty.
use strict;
use warnings;
use lib 't/lib';
use Loops;

use Scalar::Util qw(weaken);
use Test::More;
use Helpers;

sub eventually {
    my ($fh, $expected, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $state;
    wait_for { ($state = raw_state($fh)) ne 'nothing' } "$name: $expected";
    return is $state, $expected, $name;
}

{
    my ($x, $y) = raw_pair();
    weaken(my $weak = $x);
    undef $x;
    is $weak, undef, 'nothing is queued: gone with the last reference';
    is raw_state($y), 'end of file', 'and closed';
}
{
    my ($x, $y) = raw_pair();
    my $sent = 0;
    $x->push_send_fh(numbered($_), sub { $sent++ }) for 1 .. 3;
    weaken(my $weak = $x);
    undef $x;
    ok $weak, 'something is queued: alive without a reference';
    eventually($y, $_, "number $_ arrives") for 1 .. 3;
    eventually($y, 'end of file', 'then it is closed');
    is $sent, 3, 'the callbacks ran';
    is $weak, undef, 'and it is gone';
}
{
    my ($x, $y) = raw_pair();
    my @got;
    $x->push_recv_fh(sub { push @got, number_of($_[0]) }) for 1 .. 2;
    weaken(my $weak = $x);
    undef $x;
    ticks(3);
    ok $weak, 'a receive callback is queued: alive without a reference';
    AnyEvent::FDpasser::send_fd(fileno $y, fileno numbered($_)) for 1 .. 2;
    wait_for { @got == 2 };
    is_deeply \@got, [ 1, 2 ], 'both are called';
    eventually($y, 'end of file', 'then it is closed');
    is $weak, undef, 'and gone';
}
{
    # Judged after the callbacks ran.
    my ($x, $y) = raw_pair();
    my @got;
    my $next;
    weaken(my $weak = $x);
    my $again = sub { push @got, number_of($_[0]); $next->() if @got < 3 };
    $next = sub { $weak->push_recv_fh($again) };
    $next->();
    undef $x;
    for (1 .. 3) {
        AnyEvent::FDpasser::send_fd(fileno $y, fileno numbered($_));
        wait_for { @got == $_ };
        ticks(1);
    }
    is_deeply \@got, [ 1, 2, 3 ], 'a callback that pushes again keeps the passer alive';
    eventually($y, 'end of file', 'the last one does not');
}
{
    my ($x, $y) = raw_pair();
    my ($next, $sent);
    weaken(my $weak = $x);
    $next = sub { $weak->push_send_fh(numbered($sent), $next) if ++$sent <= 3 };
    $next->();
    undef $x;
    eventually($y, $_, "number $_, pushed from a send callback") for 1 .. 3;
    eventually($y, 'end of file', 'then closed');
}
{
    # An error lets go of everything.
    my $errors = [];
    my ($x, $y) = raw_pair($errors);
    my $held = [];
    $x->push_recv_fh(sub { my $never = $held });
    $x->push_send_fh(numbered(1), sub { my $never = $held });
    weaken(my $weak_x = $x);
    weaken(my $weak   = $held);
    undef $held;
    undef $x;
    undef $y;
    wait_for { @$errors };
    ticks(1);
    is $weak_x, undef, 'after an error the passer is gone';
    is $weak, undef, 'with its callbacks';
}

# The program's own loop, without anything else to wait for.
my %run = (
    EV    => sub { EV::run() },
    Event => sub { Event::loop() },
    POE   => sub { POE::Kernel->run },
);
SKIP: {
    my ($model) = $AnyEvent::MODEL =~ /(\w+)$/;
    my $run = $run{$model} or skip "$model has no loop that ends by itself", 2;
    my ($x, $y) = passers();
    my @got;
    local $SIG{ALRM} = sub { print "Bail out! the loop of $model does not return\n"; POSIX::_exit(1) };
    alarm 30;
    $x->push_send_fh(numbered($_)) for 1 .. 3;
    $y->push_recv_fh(sub { push @got, number_of($_[0]) }) for 1 .. 3;
    $run->();
    is_deeply \@got, [ 1, 2, 3 ], "the loop of $model returns when all is done";
    ok !$y->{error_state}, 'and the passers live';
    $x->push_send_fh(numbered(4));
    $y->push_recv_fh(sub { push @got, number_of($_[0]) });
    $run->();
    is $got[-1], 4, 'and are good for more';
    alarm 0;
}
done_testing;

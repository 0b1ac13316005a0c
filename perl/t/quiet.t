# When a pause is over it leaves nothing behind: a passer that waits for its socket does nothing until that
# is ready.
use strict;
use warnings;
use lib 't/lib';
use Loops;

use Errno qw(EMFILE ENOBUFS);
use Test::More;
use Helpers;

warm_up();

my %calls = (_send => 0, _recv => 0);
my %short = (_send => 0, _recv => 0);    # so often the system refuses
my %real  = map { no strict 'refs'; ($_ => \&{"AnyEvent::FDpasser::$_"}) } keys %calls;
{
    no warnings 'redefine';
    *AnyEvent::FDpasser::_send = sub { $calls{_send}++; goto &{ $real{_send} } if $short{_send}-- <= 0; return send_says(ENOBUFS) };
    *AnyEvent::FDpasser::_recv = sub { $calls{_recv}++; goto &{ $real{_recv} } if $short{_recv}-- <= 0; return recv_says(EMFILE) };
}

# --- receiving
{
    my ($x, $y) = raw_pair();
    my $got = 0;
    %short = (_send => 0, _recv => 2);
    AnyEvent::FDpasser::send_fd(fileno $y, fileno numbered(1)) == 1 or die $!;
    $x->push_recv_fh(sub { $got++ }) for 1 .. 2;
    wait_for { $got == 1 } 'the first descriptor';
    ticks(12);    # two pauses and more
    $calls{_recv} = 0;
    ticks(30);
    is $calls{_recv}, 0, 'nothing to receive, nothing done';
    AnyEvent::FDpasser::send_fd(fileno $y, fileno numbered(2)) == 1 or die $!;
    wait_for { $got == 2 } 'the second descriptor';
    pass 'and it goes on';
}

# --- sending
{
    my ($x, $y) = raw_pair();
    my $sent = 0;
    %short = (_send => 2, _recv => 0);
    1 while AnyEvent::FDpasser::send_fd(fileno $x->{fh}, fileno numbered(1)) == 1;
    $x->push_send_fh(numbered($_), sub { $sent++ }) for 1 .. 2;
    my $room = AE::timer(0.01, 0, sub { 1 while raw_state($y) ne 'nothing' });
    wait_for { $sent == 2 } 'all to be sent';
    1 while AnyEvent::FDpasser::send_fd(fileno $x->{fh}, fileno numbered(1)) == 1;
    $x->push_send_fh(numbered(3), sub { $sent++ });
    ticks(12);
    $calls{_send} = 0;
    ticks(30);
    is $calls{_send}, 0, 'the socket is full, nothing done';
    1 while raw_state($y) ne 'nothing';
    wait_for { $sent == 3 } 'the last to be sent';
    pass 'and it goes on';
}

done_testing;

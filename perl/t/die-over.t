# A callback that dies while the passer is about to be shut down, or while others of the same message have
# yet to be told: they are, and on_error is called, whatever the socket says.
use strict;
use warnings;
use lib 't/lib';
use Loops;

use Errno qw(EBADF EPIPE);
use Test::More;
use Helpers;

# With or without this module POE kills the watcher's session, the sessions around it, and itself.
plan skip_all => 'POE does not survive a watcher that dies' if $ENV{PERL_ANYEVENT_MODEL} eq 'POE';

warm_up();
my ($model) = $AnyEvent::MODEL =~ /(\w+)$/;
if ($model eq 'EV')    { no warnings 'once'; $EV::DIED    = sub { } }
if ($model eq 'Event') { no warnings 'once'; $Event::DIED = sub { } }
if ($model eq 'Glib')  { Glib->install_exception_handler(sub { 1 }) }

# As wait_for, but it goes on after exceptions that come out of the loop.
sub through (&$) {
    my ($condition, $what) = @_;
    for (1 .. 1000) {
        return pass $what if eval { wait_for { $condition->() } $what };
        return fail $@ if $@ =~ /waited in vain/;
    }
    return fail $what;
}

# --- several were sent in one message: none is waiting to be sent any more
for my $per_message (4, 16) {
    my ($x, $y) = raw_pair();
    my $passer = passer(delete $x->{fh}, undef, max_fds_per_message => $per_message);
    my @sent;
    for my $i (1 .. 4) {
        $passer->push_send_fh(numbered($i), sub { push @sent, $i; die "callback $i\n" if $i < 4 });
    }
    through { @sent == 4 } "$per_message in a message: all callbacks ran";
    is_deeply \@sent, [ 1 .. 4 ], 'in order, once';
}

# --- the last that is delivered before an error; with EBADF the socket stays as it is, and says nothing
for my $errno (EPIPE, EBADF) {
    my $errors = [];
    my ($x, $y) = raw_pair($errors);
    my $got;
    my $real = \&AnyEvent::FDpasser::_send;
    no warnings 'redefine';
    # It comes just when sending fails, so that this is what finds it.
    local *AnyEvent::FDpasser::_send = sub {
        AnyEvent::FDpasser::send_fd(fileno $y, fileno numbered(1)) == 1 or die $!;
        return send_says($errno) if $errno == EBADF;
        close $y;
        goto &$real;
    };
    $x->push_recv_fh(sub { $got = number_of($_[0]); die "callback\n" });
    $x->push_send_fh(numbered(2));
    through { @$errors } "errno $errno: on_error is called";
    is $got, 1, 'what had reached us was delivered';
    is $errors->[0] + 0, $errno, 'on_error has the reason';
}

done_testing;

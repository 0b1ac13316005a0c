# SPDX-License-Identifier: MIT OR Apache-2.0
# What a send makes true is seen at once. EV sends before it waits, and a condition variable that becomes ready there must
# not wait with it, although nothing else happens in the loop: only a watcher that never fires is active.
use strict;
use warnings;
use lib 't/lib';
use Loops;

use AnyEvent::Util;
use Test::More;
use Helpers;

# The watchdog is a signal, since a timer would wake the loop. A signal that interrupts the wait makes the test fail.
my $LIMIT = $ENV{FDPASSER_TEST_DEADLINE} || 20;
my $late;
$SIG{ALRM} = sub { $late = 1 };

pipe my $silent, my $writer or die "pipe: $!";
my $idle = AE::io($silent, 0, sub { });
warm_up();

# Runs the code, which begins a send, and waits for the condition variable that it gets.
sub soon {
    my ($name, $begin) = @_;
    my $cv = AE::cv();
    my @keep = $begin->($cv);
    $late = 0;
    alarm $LIMIT;
    eval { $cv->recv; 1 } or $cv->ready or eval { $cv->recv };
    alarm 0;
    ok $cv->ready && !$late, $name;
    return;
}

{
    my ($x, $y) = passers();
    my $fh = numbered(1);
    soon 'the callback of a send', sub { my ($cv) = @_; $x->push_send_fh($fh, $cv); return };
    soon 'the callback of the last of several sends', sub {
        my ($cv) = @_;
        $x->push_send_fh($fh) for 1 .. 3;
        $x->push_send_fh($fh, $cv);
        return;
    };
    soon 'a callback that pushes again, whose callback ends the wait', sub {
        my ($cv) = @_;
        $x->push_send_fh($fh, sub { $x->push_send_fh($fh, $cv) });
        return;
    };
    soon 'a callback that runs the loop', sub {
        my ($cv) = @_;
        $x->push_send_fh($fh, sub {
            my $turned;
            my $timer = AE::timer(0.01, 0, sub { $turned = 1 });
            AnyEvent->_poll until $turned;
            $cv->send;
        });
        return;
    };
    soon 'a callback that runs the loop until a second send is done', sub {
        my ($cv) = @_;
        $x->push_send_fh($fh, sub {
            my $done;
            $x->push_send_fh($fh, sub { $done = 1 });
            AnyEvent->_poll until $done;
            $cv->send;
        });
        return;
    };
    soon 'a message', sub { my ($cv) = @_; $x->push_send_message($fh, 'data', $cv); return }
      if !sysv();
}
SKIP: {
    skip 'POE does not survive a watcher that dies', 1 if $ENV{PERL_ANYEVENT_MODEL} eq 'POE';
    no warnings 'once';
    $EV::DIED    = sub { };
    $Event::DIED = sub { };
    Glib->install_exception_handler(sub { 1 }) if $ENV{PERL_ANYEVENT_MODEL} eq 'Glib';
    my ($x, $y) = passers();
    my $fh = numbered(1);
    soon 'a callback that dies', sub { my ($cv) = @_; $x->push_send_fh($fh, sub { $cv->send; die "on purpose\n" }); return };
}
{
    my ($x, $y) = passers();
    soon 'the DESTROY of the handle that was sent', sub {
        my ($cv) = @_;
        my $fh = numbered(1);
        bless $fh, 'Counted';
        $Counted::destroyed = $cv;
        $x->push_send_fh($fh);
        return;
    };
    soon 'what the handle carries', sub {
        my ($cv) = @_;
        my $fh = numbered(1);
        *$fh = { guard => AnyEvent::Util::guard(sub { $cv->send }) };
        $x->push_send_fh($fh);
        return;
    };
}
{
    my ($x, $y) = AnyEvent::FDpasser::fdpasser_socketpair();
    my $fh = numbered(1);
    soon 'the DESTROY of a passer that lives until it has sent', sub {
        my ($cv) = @_;
        my $passer = Passer->new(fh => $x);
        $passer->{at_end} = $cv;
        $passer->push_send_fh($fh);
        return;
    };
}
{
    my ($x, $y) = AnyEvent::FDpasser::fdpasser_socketpair();
    my $cv;
    my $passer = AnyEvent::FDpasser->new(fh => $x, on_error => sub { $cv->send });
    close $y;
    my $fh = numbered(1);
    soon 'on_error', sub { ($cv) = @_; $passer->push_send_fh($fh); return };
}
done_testing;

package Counted;
our $destroyed;
sub DESTROY { $destroyed->send }

package Passer;
our @ISA;
BEGIN { @ISA = 'AnyEvent::FDpasser' }
sub DESTROY { $_[0]{at_end}->send }

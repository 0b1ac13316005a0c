# SPDX-License-Identifier: MIT OR Apache-2.0
package Exceptions;

# For tests whose callbacks die. Each event loop has a place of its own for the exceptions of its watchers.
# `use Exceptions;` after `use Loops;` collects them all in @Exceptions::died.

use strict;
use warnings;

use AnyEvent ();
use Test::More;
use Helpers qw();

our @died;

sub import {
    my $caller = caller;
    # POE kills the session of a watcher that dies, the sessions around it, and itself.
    plan skip_all => 'POE does not survive a watcher that dies' if $ENV{PERL_ANYEVENT_MODEL} eq 'POE';
    no strict 'refs';
    *{"${caller}::through"} = \&through;
    return;
}

# Call this when the loop is there.
sub collect {
    no warnings 'once';
    my ($model) = $AnyEvent::MODEL =~ /(\w+)$/;
    if    ($model eq 'EV')    { $EV::DIED = sub { push @died, $@ } }
    elsif ($model eq 'Glib')  { Glib->install_exception_handler(sub { push @died, $_[0]; 1 }) }
    elsif ($model eq 'Event') { $Event::DIED = sub { } }    # it lets them through, and reports them afterwards
    return;
}

# Like wait_for, but goes on after exceptions that come out of the loop.
sub through (&;$) {
    my ($condition, $what) = @_;
    for (1 .. 1000) {
        return 1 if eval { Helpers::wait_for(sub { $condition->() }, $what) };
        die $@ if $@ =~ /waited in vain/;
        push @died, $@;
    }
    die 'more than 1000 exceptions';
}

1;

# SPDX-License-Identifier: MIT OR Apache-2.0
# A subclass may keep members of any name in the passer but those that are documented, and have methods of any name.
use strict;
use warnings;
use lib 't/lib';
use Loops;

use Test::More;
use Helpers;

my @NAMES = qw(sent received messages ahead failing ended reported pause quiet
  send_io recv_io send_timer recv_timer fd queue data);
my @called;

BEGIN {
    package Full;
    our @ISA = 'AnyEvent::FDpasser';

    sub new {
        my ($class, @arg) = @_;
        my $self = $class->SUPER::new(@arg);
        $self->{$_} = [ 'mine' ] for @NAMES;
        return $self;
    }

    # Whatever is a function of ours and not a documented method.
    no strict 'refs';
    for my $name (grep { /^_[a-z]/ && defined &{"AnyEvent::FDpasser::$_"} } keys %AnyEvent::FDpasser::) {
        *$name = sub { push @called, $name; return };
    }
}

my @errors;
my ($x, $y) = map { Full->new(fh => $_, on_error => sub { push @errors, $@ }, max_fds_per_message => 4) }
  AnyEvent::FDpasser::fdpasser_socketpair();
my (@got, $sent);
for my $round (0, 10) {
    for my $n (1 .. 10) {
        $x->push_send_fh(numbered($round + $n), sub { $sent++ });
        $y->push_recv_fh(sub { push @got, number_of($_[0]) });
    }
    wait_for { @got == $round + 10 && $sent == $round + 10 };
}
is_deeply \@got, [ 1 .. 20 ], 'everything arrives, once';
if (!sysv()) {
    my $data;
    $x->push_send_message(numbered(21), 'data');
    $y->push_recv_message(sub { $data = $_[1] });
    wait_for { defined $data };
    is $data, 'data', 'also a message';
}
is_deeply \@errors, [], 'no error';
$y->error('enough');
is_deeply \@errors, ['enough'], 'on_error runs';
for my $passer ($x, $y) {
    is_deeply [ map { $passer->{$_}[0] } @NAMES ], [ ('mine') x @NAMES ], 'all members are still there';
}
{
    my $pair = Full->new;
    $pair->i_am_parent;
    ok $pair->{fh} && !$pair->{fh_pair}, 'an end of a pair can be chosen';
    ok !eval { $pair->i_am_child; 1 }, 'once';
}
ok !eval { $y->push_recv_fh(sub { }); 1 }, 'a push dies after an error';
is_deeply \@called, [], 'no method of the subclass was called';
done_testing;

# SPDX-License-Identifier: MIT OR Apache-2.0
# After an error the passer keeps nothing alive. Dropping things does not disturb $@.
use strict;
use warnings;
use lib 't/lib';
use Loops;

use Scalar::Util qw(weaken);
use Test::More;
use Helpers;

# on_error is a closure that holds the passer.
{
    my ($x, $y) = AnyEvent::FDpasser::fdpasser_socketpair();
    my ($passer, $errors) = (undef, 0);
    {
        my $held;
        $held = $passer = AnyEvent::FDpasser->new(fh => $x, on_error => sub { $errors++ if $held });
    }
    $passer->push_recv_fh(sub { fail 'a handle arrived, but none was sent' });
    close $y;
    wait_for { $errors } 'on_error';
    ticks(2);
    is($errors, 1, 'on_error was called once');
    weaken $passer;
    ok(!$passer, 'the passer is freed, although on_error held it');
}

# Destructors of what was queued may use eval.
for my $queue (qw(send recv)) {
    my ($x, $y) = AnyEvent::FDpasser::fdpasser_socketpair();
    my ($dropped, $seen);
    my $passer = AnyEvent::FDpasser->new(fh => $x, on_error => sub { $seen = $@ });
    my $guard = at_end(sub { $dropped++; eval { die "inner\n" } });
    my $cb = do { my $g = $guard; sub { fail 'the callback ran'; undef $g } };
    undef $guard;
    if   ($queue eq 'send') { $passer->push_send_fh(numbered(1), $cb) }
    else                    { $passer->push_recv_fh($cb) }
    undef $cb;
    $@ = "outer\n";
    $passer->push_recv_fh(sub { });
    is($@, "outer\n", "$queue: a push leaves \$\@ alone");
    $passer->error("the reason\n");
    is($@,       "outer\n",      "$queue: error() leaves the outer \$\@ alone");
    is($seen,    "the reason\n", 'on_error saw the reason');
    is($dropped, 1,              'what was queued is dropped');
}

done_testing;

# SPDX-License-Identifier: MIT OR Apache-2.0
# Under a debugger or profiler that replaces DB::sub everything works: basic.t runs, and the loop ends when the queues are
# empty.
use strict;
use warnings;
use lib 't/lib';
use Loops;

use Test::More;
use Helpers;

# The debugger has to be there from the start.
if (!$INC{'Devel/Plain.pm'}) {
    local $ENV{PERL5LIB} = join ':', 't/lib', grep { !ref } @INC;
    exec $^X, '-d:Plain', $0 or die "exec: $!";
}

my ($x, $y) = passers();
my (@got, $sent);
for my $round (1 .. 2) {
    $y->push_recv_fh(sub { push @got, number_of($_[0]) }) for 1 .. 3;
    $x->push_send_fh(numbered($_), sub { $sent++ }) for 1 .. 3;
    wait_for { @got == 3 * $round && $sent == 3 * $round };
}
is_deeply \@got, [ 1 .. 3, 1 .. 3 ], 'handles arrive';
is_deeply [ sort keys %$x ], [qw(fh on_error)], 'no queue and no watcher is left at the end that sent';
is_deeply [ sort grep { $_ ne '-quiet' } keys %$y ], [qw(fh on_error)], 'nor at the other';

my $handled = 0;
local $SIG{USR1} = sub { $handled++ };
$y->push_recv_fh(sub { kill USR1 => $$; push @got, 'signalled' });
$x->push_send_fh(numbered(4));
wait_for { @got == 7 && $handled };
is $handled, 1, 'signal handlers run';
done_testing;

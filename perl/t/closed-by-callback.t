# SPDX-License-Identifier: MIT OR Apache-2.0
# A callback closes the passer's descriptor, through Perl or by its number, while others wait. Then on_error runs with
# EBADF, on every loop: also on one that reports nothing, or that would spin.
use strict;
use warnings;
use lib 't/lib';
use Loops;

use Errno qw(EBADF);
use Test::More;
use Helpers;

my %close = (
    'through Perl' => sub { close $_[0]{fh} },
    'by its number' => sub { POSIX::close(fileno $_[0]{fh}) },
);

for my $how (sort keys %close) {
    for my $before (0, 1, 3) {
        for my $sends (0, 1) {
            my $errors = [];
            my ($x, $y) = raw_pair($errors);
            my $got = 0;
            $x->push_recv_fh(sub { $got++ }) for 1 .. $before;
            $x->push_recv_fh(sub {
                $x->push_send_fh(numbered(1)) if $sends;
                $close{$how}->($x);
                $got++;
            });
            $x->push_recv_fh(sub { $got = 'one too many' }) for 1 .. 3;
            # One by one, so that the passer expects one more each time.
            for my $n (1 .. $before + 1) {
                peer_sends($y, $n);
                wait_for { $got == $n } "descriptor $n";
            }
            my $name = "$how, after $before others" . ($sends ? ', with one to be sent' : '');
            wait_for { @$errors } "$name: the error";
            is $errors->[0] + 0, EBADF, "$name: the error is EBADF";
            is scalar @$errors, 1, 'once';
            is $got, $before + 1, 'no callback runs for nothing';
        }
    }
}
done_testing;

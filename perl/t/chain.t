# SPDX-License-Identifier: MIT OR Apache-2.0
# A passer that is made in another passer's callback does not keep the other one open. Otherwise a client that makes
# a new connection for each descriptor would fill its own table and the server's.
use strict;
use warnings;
use lib 't/lib';
use Loops;

use Errno qw(ENOBUFS);
use Scalar::Util qw(weaken);
use Test::More;
use Helpers;

my $links = 40;

for my $pauses (0, 1) {
    my ($made, $most, $over, %open) = (0, 0);
    my $short = 0;
    my $refusing = stand_in(send => sub { my ($real) = @_; return $short-- > 0 ? refuse(ENOBUFS) : $real->() });
    my $link;
    $link = sub {
        my ($x, $y) = AnyEvent::FDpasser::fdpasser_socketpair();
        my $sender   = passer($x);
        my $receiver = passer($y);
        my $me       = ++$made;
        for my $passer ($sender, $receiver) {
            weaken($open{"$me $passer"} = $passer);
        }
        my $n = grep { defined } values %open;
        $most  = $n if $n > $most;
        $short = $pauses;
        $sender->push_send_fh(numbered($me));
        $receiver->push_recv_fh(sub { $me < $links ? $link->() : $over++ });
    };
    $link->();
    wait_for { $over } "$links links" . ($pauses ? ', with pauses' : '');
    undef $link;
    cmp_ok($most, '<=', 6, "at most a few passers are open at once ($most)");
}

done_testing;

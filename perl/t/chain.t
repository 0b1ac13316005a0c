# A passer that is made in a callback of another does not keep that one open: a client that makes a
# connection for each thing that it has to pass would fill its table and its server's.
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
    my $real = \&AnyEvent::FDpasser::_send;
    my $short;
    no warnings 'redefine';
    local *AnyEvent::FDpasser::_send = sub { goto &$real if !$short--; return send_says(ENOBUFS) };
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
    cmp_ok($most, '<=', 6, "no more than a few are open at once ($most)");
}

done_testing;

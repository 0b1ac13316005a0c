# SPDX-License-Identifier: MIT OR Apache-2.0
# The passer's own handle is tied. Its FILENO and CLOSE are code of the program, and may do anything: shut the passer down,
# or die.
use strict;
use warnings;
use lib 't/lib';
use Loops;

use Test::More;
use Helpers;
use Handles;

# FILENO calls `error` at the n-th look.
for my $method (qw(push_recv_fh push_recv_message push_send_fh)) {
    next if $method eq 'push_recv_message' && sysv();
    for my $n (1 .. 6) {
        my ($x, $y) = AnyEvent::FDpasser::fdpasser_socketpair();
        AnyEvent::Util::fh_nonblocking($x, 1);
        my ($looks, $errors, $passer) = (-1, []);
        my $tied = tied_handle(sub {
            $passer->error('stale') if $looks >= 0 && ++$looks == $n;
            return fileno $x;
        });
        $passer = passer($tied, $errors, dont_set_nonblocking => 1);
        undef $tied;
        peer_sends($y, 1 .. 4);
        if ($method eq 'push_send_fh') { $passer->$method(numbered($_)) for 1 .. 4 }
        else                           { $passer->$method(sub { }) for 1 .. 5 }
        $looks = 0;
        ticks(3);
        $passer->error('in the end');
        like $errors->[0], qr/^(?:stale|in the end)$/, "$method, look $n: on_error ran";
        is_deeply [ grep { $_ ne '-reported' } keys %$passer ], ['error_state'], '... and nothing is left';
    }
}

# CLOSE dies. (Without CLOSE, it is the call that dies.)
{
    my ($x, $y) = AnyEvent::FDpasser::fdpasser_socketpair();
    my $errors = [];
    local $SIG{__DIE__} = sub { fail 'nobody sees the exception' };
    my $passer = passer(tied_handle(sub { fileno $x }), $errors);
    $passer->push_recv_fh(sub { });
    close $y;
    wait_for { @$errors };
    is_deeply $errors, [undef], 'CLOSE dies, and on_error runs';
    is_deeply [ grep { $_ ne '-reported' } keys %$passer ], ['error_state'], '... and nothing is left';
}
done_testing;

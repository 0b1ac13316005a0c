# SPDX-License-Identifier: MIT OR Apache-2.0
# Nothing is left behind: no descriptor, no callback and no passer.
use strict;
use warnings;
use lib 't/lib';
use Loops;

use Scalar::Util qw(weaken);
use Test::More;
use Helpers;

warm_up();
ticks(2);

sub leaves_nothing {
    my ($name, $code) = @_;
    $code->();    # the first call may allocate things that stay
    ticks(2);
    my $before = open_fds();
    my @weak;
    for (1 .. 10) {
        for my $thing ($code->()) { push @weak, $thing; weaken($weak[-1]) }
    }
    ticks(2);
    my $after;
    wait_for { $after = open_fds(); 1 };
    is $after, $before, "$name: no descriptor is left";
    ok scalar(@weak), "$name: the code returned things to watch";
    is scalar(grep { defined } @weak), 0, "$name: all of these things are freed";
}

leaves_nothing('a passer that is never used' => sub {
    my ($x, $y) = passers();
    my $pair = AnyEvent::FDpasser->new;
    return ($x, $y, $pair, $pair->{fh_pair}[0]);
});
leaves_nothing('sent and received' => sub {
    my ($x, $y) = passers();
    my ($sent, @got) = (0);
    my ($fh, $on_sent) = (numbered(1));
    my $note = [];
    $on_sent = sub { push @$note, 1; $sent++ };
    my $on_got = sub { push @$note, 2; push @got, $_[0] };
    for (1 .. 3) { $x->push_send_fh($fh, $on_sent); $y->push_recv_fh($on_got) }
    wait_for { $sent == 3 && @got == 3 };
    return ($x, $y, $fh, $on_sent, $on_got, $note, @got);
});
leaves_nothing('orderly shutdown' => sub {
    my $errors = [];
    my ($x, $y) = raw_pair($errors);
    my $note = [];
    my $cb = sub { push @$note, 1 };
    $x->push_recv_fh($cb);
    close $y;
    wait_for { @$errors };
    return ($x, $y, $cb, $note, $errors);
});
leaves_nothing('an error while sending' => sub {
    my $errors = [];
    my ($x, $y) = raw_pair($errors);
    my $fh = numbered(1);
    my $note = [];
    my $cb = sub { push @$note, 1 };
    $x->push_send_fh($fh, $cb) for 1 .. 3;
    close $y;
    wait_for { @$errors };
    return ($x, $fh, $cb, $note);
});
my $round = 0;
leaves_nothing('error() while both queues have entries' => sub {
    my ($x, $y) = raw_pair([]);
    my $fh = numbered(1);
    my $note = [];
    my $cb = sub { push @$note, 1 };
    $x->push_send_fh($fh, $cb) for 1 .. 3;
    $x->push_recv_fh($cb) for 1 .. 3;
    ticks(1) if $round++ % 2;
    $x->error('enough');
    return ($x, $fh, $cb, $note);
});
leaves_nothing('sent but never received' => sub {
    my ($x, $y) = raw_pair();
    my ($sent, $fh) = (0, numbered(1));
    $x->push_send_fh($fh, sub { $sent++ }) for 1 .. 5;
    wait_for { $sent == 5 };
    return ($x, $fh);
});
leaves_nothing('server, connect, accept' => sub {
    my $path = temp_dir() . '/socket';
    my $listener = AnyEvent::FDpasser::fdpasser_server($path);
    my $client   = AnyEvent::FDpasser::fdpasser_connect($path);
    my $served   = AnyEvent::FDpasser::fdpasser_accept($listener);
    return ($listener, $client, $served);
});
leaves_nothing('calls that fail' => sub {
    my ($x, $y) = AnyEvent::FDpasser::fdpasser_socketpair();
    eval { AnyEvent::FDpasser::fdpasser_server('/no/such/dir/socket') };
    eval { AnyEvent::FDpasser::fdpasser_connect('/no/such/dir/socket') };
    AnyEvent::Util::fh_nonblocking($x, 1);    # on SysV accept would wait at a stream
    AnyEvent::FDpasser::fdpasser_accept($x);
    eval { AnyEvent::FDpasser->new(fh => [ 1 .. 3 ]) };
    eval { AnyEvent::FDpasser->new(fh => {}) };
    return $x;
});
done_testing;

# SPDX-License-Identifier: MIT OR Apache-2.0
# Descriptors 0, 1 and 2 are closed. Nothing that is received or made takes their place.
use strict;
use warnings;
use lib 't/lib';
use Loops;

use Test::More;
use Helpers;

numbered(0);
my $path = temp_dir() . '/socket';

# --- closed just before something is received
{
    pipe my $r, my $w or die $!;
    my $child = in_child {
        warm_up();
        my ($x, $y) = passers();
        my @got;
        $y->push_recv_fh(sub { push @got, $_[0] }) for 1 .. 5;
        $x->push_send_fh(numbered($_)) for 1 .. 5;
        POSIX::close($_) for 0 .. 2;
        wait_for { @got == 5 };
        syswrite $w, join ' ', map { fileno($_) > 2 ? number_of($_) : 'fd ' . fileno $_ } @got;
        return 1;
    };
    close $w;
    my $report = do { local $/; <$r> };
    child_ok($child, 'the child ended well');
    is $report, '1 2 3 4 5', 'received handles leave 0, 1 and 2 alone';
}

# --- closed from the start
pipe my $r, my $w or die $!;
my $child = in_child {
    POSIX::close($_) for 0 .. 2;
    my ($x, $y) = AnyEvent::FDpasser::fdpasser_socketpair();
    my $listener = AnyEvent::FDpasser::fdpasser_server($path);
    my $client   = AnyEvent::FDpasser::fdpasser_connect($path);
    my $served   = AnyEvent::FDpasser::fdpasser_accept($listener);
    my %handle = (x => $x, y => $y, listener => $listener, client => $client, served => $served);
    my $report = '';
    $report .= "$_: " . (fileno($handle{$_}) > 2 ? 'good' : fileno $handle{$_}) . "\n" for sort keys %handle;

    my ($p, $q) = map { passer($_) } $client, $served;
    my @got;
    $p->push_send_fh(numbered($_)) for 1 .. 5;
    $q->push_recv_fh(sub { push @got, $_[0] }) for 1 .. 5;
    wait_for { @got == 5 };
    $report .= "received: @{[ map { fileno($_) > 2 ? number_of($_) : 'fd ' . fileno $_ } @got ]}\n";

    # A descriptor whose number is 0 can be sent.
    open my $zero, '<&', numbered(7) or die $!;
    my $arrived;
    $p->push_send_fh($zero);
    $q->push_recv_fh(sub { $arrived = shift });
    wait_for { $arrived };
    $report .= 'sent from below: ' . number_of($arrived) . "\n";
    syswrite $w, $report;
    return 1;
};
close $w;
my $report = do { local $/; <$r> };
child_ok($child, 'the child ended well');
is $report, <<'END', 'all numbers are above 2, and number 0 can be sent';
client: good
listener: good
served: good
x: good
y: good
received: 1 2 3 4 5
sent from below: 7
END
done_testing;

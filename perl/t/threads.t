# SPDX-License-Identifier: MIT OR Apache-2.0
# A thread that Perl clones from a program with passers: the originals go on, whatever the thread drops, and nothing is
# closed twice. The thread has no clones of the passers, and may have passers of its own.
use strict;
use warnings;
use Config;
BEGIN {
    if (!$Config{useithreads}) {
        print "1..0 # SKIP this Perl has no threads\n";
        exit 0;
    }
}
use threads;
use lib 't/lib';
use Loops qw(EV Perl Event POE IOAsync);    # a thread that ends frees what Glib itself needs

use Test::More;
use Helpers;

# One that was used, one that waits, one with an entry to be sent, and a pair whose end is not chosen.
my ($used, $peer) = passers();
my ($waits, $waits_peer) = passers();
my ($sends, $sends_peer) = passers();
my $unchosen = AnyEvent::FDpasser->new;
my ($got_waiting, $got_sent) = (0, 0);

is number_of(pass_over($used, $peer, numbered(1))), 1, 'before the thread';
my $handle = numbered(4);
ticks(2);
my $idle = open_fds();
$waits->push_recv_fh(sub { $got_waiting = number_of($_[0]) });
$sends->push_send_fh(numbered(3));
my $before = open_fds();

sub in_thread {
    my @said;
    push @said, 'a clone' if grep { eval { $_->push_recv_fh(sub { }); 1 } } $used, $waits, $sends, $unchosen;
    undef $_ for $used, $waits, $sends, $unchosen, $peer, $waits_peer, $sends_peer;
    push @said, 'not what was sent: ' . number_of($handle) if number_of($handle) != 4;
    undef $handle;
    my ($x, $y) = passers();
    # The other loops are in C, and all threads share them. So only one thread may run them.
    for my $n ($ENV{PERL_ANYEVENT_MODEL} =~ /^(?:Perl|POE|IOAsync)\z/ ? (5, 6) : ()) {
        my $got = number_of(pass_over($x, $y, numbered($n)));
        push @said, "$got instead of $n" if $got ne $n;
    }
    return join('; ', @said) || 'good';
}
for my $n (1 .. 3) {
    my $said = threads->create(\&in_thread)->join;
    is $said, 'good', "thread $n";
}
is number_of($handle), 4, 'a handle that the threads dropped is still open';
is open_fds(), $before, 'no descriptor more or less than before';

$waits_peer->push_send_fh(numbered(2));
$sends_peer->push_recv_fh(sub { $got_sent = number_of($_[0]) });
wait_for { $got_waiting && $got_sent } 'the passers that were busy';
is $got_waiting, 2, 'the one that waited has received';
is $got_sent, 3, 'the one that had something to send has sent it';
is number_of(pass_over($used, $peer, numbered(7))), 7, 'the one that was used is used again';

ticks(2);
is open_fds(), $idle, 'what waited is gone';
undef $_ for $used, $peer, $waits, $waits_peer, $sends, $sends_peer, $unchosen;
ticks(2);
is open_fds(), $idle - 8, 'each passer closes its descriptors, once';
done_testing;

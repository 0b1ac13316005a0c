# SPDX-License-Identifier: MIT OR Apache-2.0
# The user has too many descriptors in flight (ETOOMANYREFS). Sending pauses and then goes on, and the passer stays
# usable. STREAMS have no such limit. Their simulation reports this as a shortage of memory.
use strict;
use warnings;
use lib 't/lib';
use Loops;
use Helpers limit => 64;

use Errno qw(ETOOMANYREFS ENOBUFS);
use Test::More;

plan skip_all => 'only Linux limits the descriptors in flight this way' if $^O ne 'linux';
AnyEvent::detect();
my $expected = sysv() ? ENOBUFS : ETOOMANYREFS;
numbered(0);
pipe my $r, my $w or die $!;
my $child = in_child {
    warm_up();    # a loop loads modules as it runs, and the other user may not be able to read them
    # Root is exempt. So become a user who has nothing else in flight.
    if ($> == 0) {
        my $uid = 20_000 + int rand 40_000;
        POSIX::setgid($uid);
        POSIX::setuid($uid);
        $> == $uid or return syswrite $w, 'skip: cannot become another user';
    }
    my ($x, $y) = raw_pair();
    my $fh = do { open my $null, '<', '/dev/null' or die $!; $null };
    my ($calls, %errno, @sent) = (0);
    my $watching = stand_in(send => sub {
        my ($real) = @_;
        $calls++;
        my $status = $real->();
        $errno{ -$status }++ if $status < 0;
        return $status;
    });
    my $total = 200;
    for my $i (1 .. $total) { $x->push_send_fh($fh, sub { push @sent, $i }) }
    my $last = -1;
    until (@sent == $last) { $last = @sent; ticks(12) }
    return syswrite $w, "skip: this kernel lets $total descriptors through" if @sent == $total;
    return syswrite $w, "bad: no errno $expected, but " . join ' ', keys %errno if !$errno{$expected};
    return syswrite $w, 'bad: ' . $x->{error_state} if $x->{error_state};
    my $rate = calls_per_pause(\$calls);
    return syswrite $w, "bad: $rate calls in one pause" if $rate >= 2 || $rate == 0;
    my $got = 0;
    while ($got < $total) {
        my $fd = AnyEvent::FDpasser::recv_fd(fileno $y);
        if    ($fd > 2)        { $got++; POSIX::close($fd) }
        elsif ($!{EAGAIN})     { ticks(1) }
        else                   { return syswrite $w, "bad: recv_fd $fd: $!" }
    }
    wait_for { @sent == $total };
    syswrite $w, "good: @sent";
    return 1;
};
close $w;
my $report = do { local $/; <$r> };
$report = 'nothing' if !defined $report;
plan skip_all => $1 if $report =~ /^skip: (.*)/;
child_ok($child, 'the child ended well');
is $report, "good: @{[ 1 .. 200 ]}", 'sending paused without spinning, and then all were sent in order';
done_testing;

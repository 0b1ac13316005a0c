#!/usr/bin/perl
# What idle passers cost a Perl program. It prints the resident bytes of a handle, of the passer around
# it, and of one callback that waits in it; then the descriptors of the handle, and those that the passer
# adds. PERL_ANYEVENT_MODEL names the event loop.
#
# SPDX-License-Identifier: MIT OR Apache-2.0
use strict;
use warnings;

use AnyEvent;
use AnyEvent::FDpasser;
use POSIX  ();
use Socket qw(AF_UNIX SOCK_STREAM PF_UNSPEC);

my ($count) = @ARGV;
$| = 1;
AnyEvent::detect();
my $page = POSIX::sysconf(POSIX::_SC_PAGESIZE());

sub resident {
    open my $statm, '<', '/proc/self/statm' or die "statm: $!";
    return (split ' ', readline $statm)[1] * $page;
}

sub descriptors {
    opendir my $dir, '/proc/self/fd' or die "fd: $!";
    return scalar(() = readdir $dir);
}

# The peer's end is closed, so each passer has one descriptor of its own.
sub handles {
    return map {
        socketpair my $ours, my $theirs, AF_UNIX, SOCK_STREAM, PF_UNSPEC or die "socketpair: $!";
        close $theirs;
        $ours;
    } 1 .. $_[0];
}

sub passers { return map { AnyEvent::FDpasser->new(fh => $_) } @_ }

my $on_received = sub { };
{
    my @once = passers(handles(3));    # so that nothing below is loaded or allocated for the first time
    $_->push_recv_fh($on_received) for @once;
}
# The lists have their size before the first measurement.
my @handles = (undef) x $count;
my @passers = (undef) x $count;
my @resident = resident();
my @open     = descriptors();
$handles[$_] = (handles(1))[0] for 0 .. $count - 1;
push @resident, resident();
push @open, descriptors();
$passers[$_] = AnyEvent::FDpasser->new(fh => $handles[$_]) for 0 .. $count - 1;
push @resident, resident();
push @open, descriptors();
$_->push_recv_fh($on_received) for @passers;
push @resident, resident();
push @open, descriptors();

print join(' ', map { sprintf '%.0f', ($resident[ $_ + 1 ] - $resident[$_]) / $count } 0 .. 2), ' ',
  sprintf("%.3f %.3f\n", ($open[1] - $open[0]) / $count, ($open[3] - $open[1]) / $count);
POSIX::_exit(0);

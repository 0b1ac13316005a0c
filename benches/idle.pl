#!/usr/bin/perl
# What idle passers cost a Perl program: resident bytes for a handle, for the passer around it, and for
# one callback that waits in it; and descriptors. The loop is PERL_ANYEVENT_MODEL's.
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

# The peer is gone, so that a passer's own descriptor is the only one.
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
    my @once = passers(handles(3));    # what is there only once
    $_->push_recv_fh($on_received) for @once;
}
# The memory that the lists themselves take is not a passer's.
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

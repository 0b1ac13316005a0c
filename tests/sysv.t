#!/usr/bin/perl
# What is in a library that was built with FDPASSER_SYSV=1: STREAMS, and no way to pass descriptors over
# sockets. `FDPASSER_SYSV=1 make lib` comes first.
#
# SPDX-License-Identifier: MIT OR Apache-2.0
use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use Test::More;

chdir dirname(abs_path(__FILE__)) . '/..' or die "chdir: $!";

my @streams = qw(fattach fdetach getmsg ioctl isastream pipe2);
my @sockets = qw(accept accept4 bind connect listen recvmsg recvmmsg sendmsg sendmmsg socket socketpair);

# The names that a library wants from elsewhere.
sub wanted {
    my ($sysv, $name) = @_;
    my $file = 'target/' . ($sysv ? 'sysv/' : '') . "release/libfdpasser.$name";
    my @nm = ('nm', '--undefined-only', $name eq 'so' ? '-D' : (), $file);
    open my $nm, '-|', @nm or die "@nm: $!";
    my %wanted = map { /\s[UwW] (\w+)/ ? ($1 => 1) : () } <$nm>;
    close $nm or die "@nm failed";
    return \%wanted;
}

for my $name (qw(so a)) {
    my $wanted = wanted(1, $name);
    is_deeply [ grep { !$wanted->{$_} } @streams ], [], "libfdpasser.$name passes descriptors over STREAMS";
    is_deeply [ grep { $wanted->{$_} } @sockets ], [], 'and knows no call for sockets';
    my $strings = qx(strings -a target/sysv/release/libfdpasser.$name);
    is $?, 0, 'strings';
    unlike $strings, qr/SCM_RIGHTS|msghdr/i, 'nor a word of them';
}

# The test of the test.
SKIP: {
    skip 'there is no library for sockets beside it to compare with', 2 if !-e 'target/release/libfdpasser.so';
    my $other = wanted(0, 'so');
    ok !$other->{fattach} && !$other->{getmsg}, 'the library for sockets knows no STREAMS';
    ok $other->{sendmsg} && $other->{recvmsg}, 'but calls for sockets';
}

done_testing;

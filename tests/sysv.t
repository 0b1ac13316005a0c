#!/usr/bin/perl
# A library that was built with FDPASSER_SYSV=1 passes descriptors over STREAMS, and has no way to pass them over
# sockets. `FDPASSER_SYSV=1 make lib` comes first.
#
# SPDX-License-Identifier: MIT OR Apache-2.0
use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use CPrograms qw(library);
use Files qw($root);
use Processes qw(run);
use Skips qw(loudly);

my @streams = qw(fattach fdetach getmsg ioctl isastream pipe2);
my @sockets = qw(accept accept4 bind connect listen recvmsg recvmmsg sendmsg sendmmsg socket socketpair);

my %directory = (sockets => "$root/target/release", STREAMS => "$root/target/sysv/release");

# The names that a library takes from elsewhere.
sub wanted {
    my ($interface, $suffix) = @_;
    my ($text, $status) = run('nm', '--undefined-only', $suffix eq 'so' ? '-D' : (), library($suffix, $directory{$interface}));
    $status == 0 or BAIL_OUT("nm: $text");
    return { map { $_ => 1 } $text =~ /\s[UwW] (\w+)/g };
}

for my $suffix (qw(so a)) {
    my $wanted = wanted('STREAMS', $suffix);
    is_deeply [ grep { !$wanted->{$_} } @streams ], [], "libfdpasser.$suffix calls STREAMS";
    is_deeply [ grep { $wanted->{$_} } @sockets ], [], 'and nothing for sockets';
    my ($strings, $status) = run('strings', '-a', library($suffix, $directory{STREAMS}));
    is $status, 0, 'strings';
    unlike $strings, qr/SCM_RIGHTS|msghdr/i, 'and has no word of them';
}

# The test of the test.
SKIP: {
    skip loudly('there is no library for sockets to compare with'), 2 if !-e "$directory{sockets}/libfdpasser.so";
    my $other = wanted('sockets', 'so');
    ok !$other->{fattach} && !$other->{getmsg}, 'the library for sockets calls no STREAMS';
    ok $other->{sendmsg} && $other->{recvmsg}, 'but it does call sockets';
}

done_testing;

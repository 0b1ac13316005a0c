# SPDX-License-Identifier: MIT OR Apache-2.0
# The module loads and has a version. It leaves the choice of an event loop to the program.
use strict;
use warnings;

use Test::More;

my @warnings;
BEGIN { $SIG{__WARN__} = sub { push @warnings, @_ } }

use AnyEvent::FDpasser;

like(AnyEvent::FDpasser->VERSION, qr/\A\d+\.\d{3,}\z/, 'the version is decimal');
cmp_ok(AnyEvent::FDpasser->VERSION, '>=', 1, 'the version is at least 1');
for my $version (qw(0.3 0.3.0 0.001 v0.3.0 1.000)) {
    ok eval "use AnyEvent::FDpasser $version; 1", "use AnyEvent::FDpasser $version" or diag $@;
}
ok !eval 'use AnyEvent::FDpasser 99; 1', 'use AnyEvent::FDpasser 99 dies';

like(AnyEvent::FDpasser::fdpasser_mode(), qr/\A[12]\z/, 'fdpasser_mode');

my ($x, $y) = AnyEvent::FDpasser::fdpasser_socketpair();
my $pair   = AnyEvent::FDpasser->new;
my $passer = AnyEvent::FDpasser->new(fh => $x, on_error => sub { });
$pair->i_am_parent;
is $AnyEvent::MODEL, undef, 'the event loop is untouched before the first push';
$passer->push_recv_fh(sub { });
ok $AnyEvent::MODEL, 'the first push starts the event loop';
$passer->error;

is_deeply \@warnings, [], 'there are no warnings';
done_testing;

# SPDX-License-Identifier: MIT OR Apache-2.0
# The accept loop of the documentation works, and pauses while the descriptor table is full.
use strict;
use warnings;
use lib 't/lib';
use Loops;
use Helpers limit => 64;

use Test::More;

plan skip_all => 'a SysV listener is not readable while the table is full' if sysv();
warm_up();

my $path = temp_dir() . '/socket';
my ($code) = do { open my $fh, '<', $INC{'AnyEvent/FDpasser.pm'} or die $!; local $/; <$fh> }
  =~ /^(    my \$listener = [^\n]*fdpasser_server\('[^\n]*\n.*?^    \$accept->\(\);\n)/ms;
ok $code, 'the documentation has an accept loop';
$code =~ s/'[^']*'/\$path/;
$code =~ s/^\s+\.\.\.$/push \@passers, \$passer;/m;

our @passers;
my (@warnings, $calls);
local $SIG{__WARN__} = sub { push @warnings, @_ };
my $real = \&AnyEvent::FDpasser::fdpasser_accept;
no warnings 'redefine';
local *AnyEvent::FDpasser::fdpasser_accept = sub { $calls++; return $real->(@_) };

my $end = eval "$code; sub { undef \$_ for \$watcher, \$pause, \$accept, \$listener }" or die $@;
my @client = AnyEvent::FDpasser::fdpasser_connect($path);
wait_for { @passers == 1 } 'the first client';
push @client, AnyEvent::FDpasser::fdpasser_connect($path) for 1 .. 2;
ticks(2);
push @client, AnyEvent::FDpasser::fdpasser_connect($path);
my $full = fill_table();
$calls = 0;
my $start = AE::time();
ticks(30);
cmp_ok $calls, '<', 5 + 10 * (AE::time() - $start), "it pauses while the table is full ($calls calls)";
undef $full;
wait_for { @passers == 4 } 'the other clients';
is scalar @passers, 4, 'all clients are accepted';
is_deeply [ grep { !/^accept: / } @warnings ], [], 'there are no other warnings';
@passers = ();
$end->();

done_testing;

#!/usr/bin/perl
# The benches work: a short run measures at least one row of each program, and its results can be read,
# drawn and quoted. No time is judged here. `make all` comes first.
#
# SPDX-License-Identifier: MIT OR Apache-2.0
use strict;
use warnings;

use File::Temp ();
use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib", "$FindBin::Bin/../benches";
use Files qw($root slurp);
use Processes qw(works);
use Results qw(read_results shown);
use Skips qw(loudly);

chdir $root or die "chdir: $!";

# Each row, and what is missing if it is not there.
my %row = (
    'bare C loop, one by one'                                 => undef,
    'bare C loop with dup and close, 16 per message'          => undef,
    'send_fd, recv_fd'                                        => undef,
    'send_message, recv_message, 100 bytes'                   => undef,
    'fdpasser_process, 100 bytes'                             => undef,
    'send_fds, recv_fds, 253 per message'                     => undef,
    'send_fds, try_recv_messages, one by one'                 => undef,
    'fdpasser_process, one by one'                            => undef,
    'fdpasser_process, bare receiver, 16 per message'         => undef,
    'fdpasser_process, bare sender, 16 per message'           => undef,
    'libuv uv_write2, uv_accept'                              => 'uv',
    'IO::FDPass, blocking, handles, socket'                   => 'IO::FDPass',
    'AnyEvent::FDpasser, EV, socket'                          => 'EV',
    'AnyEvent::FDpasser, EV, pipe, 16 per message'            => 'EV',
    'AnyEvent::FDpasser, pure-Perl loop, pipe'                => undef,
    'the other AnyEvent::FDpasser, EV, bare receiver, 16 per message' => 'EV',
    'the other AnyEvent::FDpasser, pure-Perl loop, pipe'      => undef,
);
# These are compared with a loop that does the same work.
my @same_work = grep { /^fdpasser_process, .*16 per|100 bytes/ } sort keys %row;
my @round_trips = ('send_fd, recv_fd, round trip', 'AnyEvent::FDpasser, pure-Perl loop, round trip');
my ($queued, $passers) = ('AnyEvent::FDpasser, pure-Perl loop, 1000 queued', 'AnyEvent::FDpasser, pure-Perl loop, 100 passers');
my @idle = map { ("AnyEvent::FDpasser, EV, $_ idle", "AnyEvent::FDpasser, pure-Perl loop, $_ idle") } 1000, 10_000;
my $traced = 'AnyEvent::FDpasser, pure-Perl loop, bare sender, pipe';

my $dir  = File::Temp->newdir;
my $only = '^(?:' . join('|', map { quotemeta } sort(keys %row), @round_trips, $queued, $passers, @idle, $traced) . ')$';
my $text = works('the run succeeds', { deadline => 1200, env => { FDPASSER_BENCH_OTHER => 'perl/blib' } },
    $^X, qw(benches/run --quick --rounds 1 --out), $dir, '--only', $only) // '';

# Why the run left something out.
sub left_out { my ($what) = @_; return $text =~ /^bench: SKIPPED: (\Q$what\E: .*)/m ? $1 : () }

my %results = eval { read_results("$dir/results.txt") };
is($@, '', 'the results can be read') or BAIL_OUT('there are none');
like($results{about}{machine}, qr/\d processors, \w+ \S/, 'they name the machine');
like($results{about}{date}, qr/^\d{4}-\d\d-\d\d$/, 'and the date');

my %throughput = map { $_->{what} => $_ } @{ $results{throughput} };
for my $name (sort keys %row) {
  SKIP: {
        my ($why) = defined $row{$name} ? left_out($row{$name}) : ();
        skip loudly("$name: $why"), 2 if defined $why;
        cmp_ok($throughput{$name}{ratio} // 0, '>', 0, $name);
        cmp_ok($throughput{$name}{us} // 0,    '>', 0, 'and its time');
    }
}
like($throughput{$_}{'same work'}, qr/^\d+\.\d+$/, "$_ is compared with a loop that does the same work") for @same_work;
for my $name (@round_trips) {
    my ($row) = grep { $_->{what} eq $name } @{ $results{latency} };
    cmp_ok($row->{us} // 0, '>', 0, $name);
}
cmp_ok($results{queue}[0]{1000} // 0,  '>', 0, $queued);
cmp_ok($results{passers}[0]{100} // 0, '>', 0, $passers);

chomp(my $limit = `sh -c 'ulimit -Hn'`);
my %idle = map { $_->{what} => $_ } @{ $results{idle} };
for my $name (@idle) {
  SKIP: {
        skip loudly("$name: at most $limit descriptors may be open"), 2
          if $name =~ /10000/ && $limit =~ /^\d+$/ && $limit < 12_000;
        my ($why) = $name =~ / EV,/ ? left_out('EV') : ();
        skip loudly("$name: $why"), 2 if defined $why;
        my $idle = $idle{$name} // {};
        is(($idle->{fds} // 99) + ($idle->{'more fds'} // 99), 1, "an idle passer holds one descriptor: $name");
        # A target for Perl, as are the system calls below.
        cmp_ok(($idle->{handle} // 9999) + ($idle->{passer} // 9999), '<=', 1.3 * 1024, 'bytes of an idle passer and its handle');
    }
}

SKIP: {
    my ($why) = left_out('system calls');
    skip loudly($why), 2 if defined $why;
    my ($calls) = grep { $_->{what} eq $traced && $_->{side} eq 'receiver' } @{ $results{calls} };
    cmp_ok($calls->{all} // 99,  '<=', 6.2, 'system calls for a pipe that a Perl program receives');
    cmp_ok($calls->{poll} // 99, '<',  0.1, 'and the polls among them');
}

# The picture and the quotes have some of these rows, and say which others they lack.
my @shown = map { grep { defined } @$_[ 1, 2 ] } shown();
my @there = grep { $throughput{$_} } @shown;
cmp_ok(scalar @shown, '<=', 15, 'the picture has at most 15 bars');
isnt(scalar @there, $_, 'some of them were measured now, and some were not') for 0, scalar @shown;

my $plot = eval { slurp("$dir/results.svg") } // BAIL_OUT("no plot: $@");
my ($bars, $lacking) = map { scalar(() = $plot =~ /$_/g) } qr/<rect class="bar"/, qr/>not measured</;
is($bars, @there, 'the picture has a bar for each row that was measured');
is($lacking, @shown - @there + 2, 'and says so for each other row, and for the two charts, which have one point');
like($plot, qr/shorter bar is faster/, 'its title says what a short bar means');
unlike($plot, qr/nan|inf\b|-\d+\.\d"/i, 'it has no impossible numbers');

my $quotes = works('the rows can be quoted', $^X, 'benches/quote', "$dir/results.txt");
my $absent = () = $quotes =~ /not measured/g;
is($absent, @shown - @there, 'the quotes say which rows were not measured');
like($quotes, qr/\| $throughput{'send_fd, recv_fd'}{ratio} \|/, 'and have the others');

done_testing;

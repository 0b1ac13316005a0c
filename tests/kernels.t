#!/usr/bin/perl
# Runs the code for other kernels on Linux. For each of them the library is built with that kernel's properties
# (FDPASSER_PLAY), and tests/kernels/kernel.c plays the kernel for it. To run some only:
#
#   prove -v tests/kernels.t :: netbsd freebsd15 send
#
# `--own` leaves out the programs of tests/c. scripts/inversions shows that each property has a test.
#
# SPDX-License-Identifier: MIT OR Apache-2.0
use strict;
use warnings;

use File::Basename qw(basename);
use File::Path qw(make_path);
use File::Temp;
use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use CPrograms qw(@flags cc);
use Files qw($root slurp);
use Processes qw(run);
use Skips qw(loudly);

# The kernels that one build of the library is for.
my %kernels = (
    netbsd    => ['netbsd'],
    openbsd   => ['openbsd'],
    dragonfly => ['dragonfly'],
    freebsd   => [qw(freebsd10 freebsd14 freebsd15)],
    macos     => ['macos'],
    illumos   => ['illumos'],
);
# Programs of tests/c that know nothing of the kernel, and whose promises hold on each.
my @general = qw(queue_order recv_bytes recv_eof recv_one server server_mode);

chdir $root or die "chdir: $!";
plan skip_all => loudly('only Linux plays other kernels') if $^O ne 'linux';
delete $ENV{FDPASSER_SYSV};
my $scratch = File::Temp->newdir;
$ENV{TMPDIR} = $scratch;
my $play = $ENV{CARGO_TARGET_DIR} // "$root/target/play";
make_path($play);

my $own = grep { $_ eq '--own' } @ARGV;
@ARGV = grep { $_ ne '--own' } @ARGV;
@general = () if $own;
my @own = map { basename($_, '.c') } grep { !/kernel\.c$/ } glob 'tests/kernels/*.c';
my %known = map { $_ => 1 } @own, @general, keys %kernels, map { @$_ } values %kernels;
$known{$_} or die "$0: $_ is no kernel and no program\n" for @ARGV;
my %wanted = map { $_ => 1 } @ARGV;
my $programs = grep { $wanted{$_} } @own, @general;
my $systems = grep { $wanted{$_} } keys %kernels, map { @$_ } values %kernels;
my @names = grep { !$programs || $wanted{$_} } @own, @general;

compiled('libkernel.so', qw(-std=gnu99 -shared -fPIC -pthread), '-Wl,-soname,libkernel.so', 'tests/kernels/kernel.c')
  or BAIL_OUT('tests/kernels/kernel.c does not compile');
for my $system (sort keys %kernels) {
    my @kernels = grep { !$systems || $wanted{$_} || $wanted{$system} } @{ $kernels{$system} };
    played($system, @kernels) if @kernels;
}
done_testing;

sub played {
    my ($system, @kernels) = @_;
    my $target = "$play/$system";
    my ($text, $status) = do {
        local @ENV{qw(FDPASSER_PLAY CARGO_TARGET_DIR)} = ($system, $target);
        run(qw(cargo build --locked --quiet));
    };
    is $status, 0, "$system: the library" or return diag($text);
    my $lib = "$target/debug";
    my ($soname) = (run('readelf', '-d', "$lib/libfdpasser.so"))[0] =~ /SONAME.*\[(.+)\]/ or return fail("$system: soname");
    symlink 'libfdpasser.so', "$lib/$soname" if !-e "$lib/$soname";
    for my $name (@names) {
        my ($source) = grep { -e } "tests/kernels/$name.c", "tests/c/$name.c";
        my $program = "$system/$name.program";
        compiled($program, @flags, '-Itests/kernels', $source, "-L$play", '-Wl,--no-as-needed', '-lkernel',
            "-L$lib", '-lfdpasser', "-Wl,-rpath,$play:$lib") or next;
        for my $kernel (@kernels) {
            local $ENV{FDPASSER_KERNEL} = $kernel;
            my ($text, $status) = run({ deadline => 60 }, "$play/$program");
          SKIP: {
                skip loudly("$kernel: $name: $1"), 1 if $status == 77 << 8 && $text =~ /^skip: (.*)/m;
                ok $status == 0, "$kernel: $name" or diag("wait status $status\n$text");
            }
        }
    }
    return;
}

sub compiled {
    my ($output, @arguments) = @_;
    my ($text, $status) = run(cc(), @arguments, '-o', "$play/$output");
    return 1 if $status == 0;
    fail("$output: compiled");
    diag($text);
    return;
}

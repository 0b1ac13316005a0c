#!/usr/bin/perl
# What each call of the C ABI costs, or with queues each descriptor, in instructions of this library's and in
# system calls, against the figures of tests/instructions/figures: not in time, so that it is the same on a busy
# machine. `make lib` comes first. To make what is measured the new figures: perl tests/instructions.t --accept
#
# Instructions are counted by callgrind, and only those in libfdpasser.so, for N and for 2 N calls: the
# difference is what N calls cost, without what is done once. System calls are counted by strace in the
# same way, less those that the program makes itself.
#
# SPDX-License-Identifier: MIT OR Apache-2.0
use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Path qw(make_path);
use File::Temp ();
use POSIX ();
use Test::More;

# How much more than the figure is forgiven. Another compiler's code is not the same: what 1.81 makes is up
# to 17 % off what 1.95 makes. A system call more is never forgiven.
use constant { SAME_COMPILER => 0.12, OTHER_COMPILER => 0.25 };

use constant N => 100;

chdir dirname(abs_path(__FILE__)) . '/..' or die "chdir: $!";
my $root   = abs_path('.');
my $lib    = $ENV{FDPASSER_LIB_DIR} // "$root/target/release";
my $out    = "$root/target/instructions";
my $file   = 'tests/instructions/figures';
my $accept = @ARGV && $ARGV[0] eq '--accept';
my $how_to_accept = "if that is as it should be: perl $0 --accept, and commit $file";

-e "$lib/libfdpasser.so" or die "$lib/libfdpasser.so is missing: run `make lib`";
make_path($out);
my @cc = (split(' ', $ENV{CC} // 'cc'), qw(-std=gnu99 -Wall -Wextra -Werror -O1 -g -Iinclude));
my @link = ("-L$lib", '-lfdpasser', "-Wl,-rpath,$lib");
for my $build ([calls => ()], ['calls-select' => '-DOWN_SELECT']) {
    my ($name, @more) = @$build;
    system(@cc, @more, 'tests/instructions/calls.c', '-o', "$out/$name", @link) == 0
        or BAIL_OUT('tests/instructions/calls.c does not compile');
}
chomp(my @calls = `$out/calls`);
@calls or BAIL_OUT("$out/calls does not run");

my ($machine, $compiler, %figure) = read_figures();
my $built_by = compiler_of("$lib/libfdpasser.so");
my %measured;

my $here = (POSIX::uname())[4];
subtest 'instructions' => sub {
    plan skip_all => loudly('valgrind is not installed') if system('valgrind --version >/dev/null 2>&1') != 0;
    plan skip_all => loudly("the figures are for $machine, this is $here") if $machine ne $here && !$accept;
    $measured{instructions} = instructions();
    compare('instructions', $built_by eq $compiler ? SAME_COMPILER : OTHER_COMPILER);
};
subtest 'system calls' => sub {
    plan skip_all => loudly('strace is not installed, or may not trace here')
        if system('strace -o /dev/null true >/dev/null 2>&1') != 0;
    $measured{'system calls'} = system_calls();
    compare('system calls', 0);
};
write_figures() if $accept;
done_testing;

# -------------------------------------------------------------------------------------------------

sub compare {
    my ($what, $margin) = @_;
    for my $call (@calls) {
        my $got = $measured{$what}{$call};
        my $had = $figure{$what}{$call};
        # An empty count would pass for a very fast one.
        ok(defined $got && $got > 0, "$call: counted") or next;
        next if $accept;
        ok(defined $had, "$call: there is a figure") or diag($how_to_accept), next;
        ok($got <= $had * (1 + $margin), sprintf '%s: %s %s, the figure is %s', $call, show($got), $what, show($had))
            or diag(sprintf "%s takes %s %s, which is %+.0f %% of the figure, %s;\n%s", $call, show($got), $what,
                100 * ($got / $had - 1), show($had), $how_to_accept);
        diag(sprintf '%s takes only %s %s, the figure is %s: %s', $call, show($got), $what, show($had), $how_to_accept)
            if $got < $had * (1 - $margin);
    }
    is_deeply([ sort keys %{ $figure{$what} } ], [ sort @calls ], 'no figure is for a call that there is not') if !$accept;
    return;
}

sub show { my ($number) = @_; return $number =~ /\./ ? sprintf '%.2f', $number : $number }

# Name => instructions of one call.
sub instructions {
    my $dir = File::Temp->newdir;
    local $ENV{LD_BIND_NOW} = 1;
    system('valgrind', '-q', '--tool=callgrind', "--callgrind-out-file=$dir/dump", '--dump-after=case_*',
        '--compress-pos=no', "$out/calls-select", N) == 0
        or BAIL_OUT('valgrind fails');
    my %count;    # those of N calls, then those of 2 N
    for my $part (sort { number_of($a) <=> number_of($b) } glob "$dir/dump.*") {
        my ($call, $instructions) = read_dump($part);
        push @{ $count{$call} }, $instructions if defined $call;
    }
    return { map { @{ $count{$_} } == 2 ? ($_ => ($count{$_}[1] - $count{$_}[0]) / N) : () } keys %count };
}

sub number_of { my ($path) = @_; return $path =~ /\.(\d+)$/ ? $1 : 0 }

# The name of the case that a dump is for, and how many instructions of it are the library's. In a dump a line
# `ob=` says whose code the next lines are about; numbers say "so many at this place", but in the line behind
# a `calls=` what was called took them.
sub read_dump {
    my ($path) = @_;
    my ($call, %name, $ours, $of_callee);
    my $sum = 0;
    open my $in, '<', $path or die "$path: $!";
    while (<$in>) {
        if (/^desc: Trigger: --dump-after=case_(\w+)/) { $call = $1 }
        elsif (/^(c?ob)=(\(\d+\))(?: (.*))?/) {
            $name{$2} = $3 if defined $3;
            $ours = $name{$2} =~ m{/libfdpasser\.so} if $1 eq 'ob';
        }
        elsif (/^calls=/) { $of_callee = 1 }
        elsif (/^\d+ (\d+)$/) {
            $sum += $1 if $ours && !$of_callee;
            $of_callee = 0;
        }
    }
    return ($call, $sum);
}

# Name => system calls of one call.
sub system_calls {
    my $log = "$out/strace.log";
    my %per_call;
    for my $call (@calls) {
        my @calls_made;
        for my $n (N, 2 * N) {
            my $own = `strace -o $log $out/calls $call $n`;
            BAIL_OUT("strace $out/calls $call fails") if $? != 0;
            open my $in, '<', $log or die "$log: $!";
            push @calls_made, scalar(grep { /^\w+\(/ } <$in>) - $own;
        }
        $per_call{$call} = ($calls_made[1] - $calls_made[0]) / N;
    }
    return \%per_call;
}

sub read_figures {
    my ($machine, $compiler, %figure) = ('', '');
    open my $in, '<', $file or return ($machine, $compiler);
    while (<$in>) {
        if (/^# machine (\S+), compiler (.*)/) { ($machine, $compiler) = ($1, $2) }
        elsif (/^(\w+)\s+(\S+)\s+(\S+)/) {
            $figure{instructions}{$1} = $2;
            $figure{'system calls'}{$1} = $3;
        }
    }
    return ($machine, $compiler, %figure);
}

sub write_figures {
    for my $what ('instructions', 'system calls') {
        $measured{$what} or BAIL_OUT("nothing is accepted, as no $what were counted");
    }
    open my $to, '>', $file or die "$file: $!";
    print {$to} "# What one call takes, or with queues one descriptor: instructions of the library's, and system calls.\n",
        "# Written by tests/instructions.t --accept.\n# machine $here, compiler $built_by\n";
    printf {$to} "%-22s %8s %6s\n", $_, map { show($_) } $measured{instructions}{$_}, $measured{'system calls'}{$_} for @calls;
    close $to or die "$file: $!";
    diag("written: $file");
    return;
}

# Compilers leave their name in what they make.
sub compiler_of {
    my ($object) = @_;
    open my $in, '<:raw', $object or die "$object: $!";
    local $/;
    return readline($in) =~ /\brustc version (\d[\w.-]*)/ ? "rustc $1" : 'unknown';
}

sub loudly {
    my ($why) = @_;
    diag("SKIPPED: $why");
    return $why;
}

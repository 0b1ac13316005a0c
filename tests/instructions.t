#!/usr/bin/perl
# Compares what each C call costs with tests/instructions/figures: in instructions and in system calls, as these
# are the same on a busy machine. With queues it is what each descriptor costs. `make lib` comes first.
# `perl tests/instructions.t --accept` makes what it measures the new figures.
#
# callgrind counts the instructions in libfdpasser.so, for N and for 2 N calls. The difference is what N calls
# cost, without what is done once. strace counts the system calls in the same way, and those that the program
# itself makes are subtracted.
#
# SPDX-License-Identifier: MIT OR Apache-2.0
use strict;
use warnings;

use File::Path qw(make_path);
use File::Temp ();
use FindBin;
use POSIX ();
use Test::More;

use lib "$FindBin::Bin/lib";
use CPrograms qw($built cc library shared_link);
use Files qw($root slurp spew);
use Processes qw(run succeeds);
use Skips qw(loudly);

# How much more than the figure is forgiven. Another compiler makes other code: that of 1.81 is up to 17 % off
# that of 1.95. One system call more is never forgiven.
use constant { SAME_COMPILER => 0.12, OTHER_COMPILER => 0.25 };

use constant N => 100;

chdir $root or die "chdir: $!";
my $lib    = $ENV{FDPASSER_LIB_DIR} // $built;
my $out    = "$root/target/instructions";
my $file   = 'tests/instructions/figures';
my $accept = @ARGV && $ARGV[0] eq '--accept';
my $how_to_accept = "if that is as it should be: perl $0 --accept, and commit $file";

my $library = library('so', $lib);
make_path($out);
for my $build ([calls => ()], ['calls-select' => '-DOWN_SELECT']) {
    my ($name, @more) = @$build;
    my ($text, $status) = run(cc(), qw(-std=gnu99 -Wall -Wextra -Werror -O1 -g -Iinclude), @more,
        'tests/instructions/calls.c', '-o', "$out/$name", shared_link($lib));
    $status == 0 or BAIL_OUT("tests/instructions/calls.c does not compile: $text");
}
chomp(my @calls = `$out/calls`);
@calls or BAIL_OUT("$out/calls does not run");

my ($machine, $compiler, %figure) = read_figures();
my $built_by = compiler_of($library);
my %measured;

my $here = (POSIX::uname())[4];
subtest 'instructions' => sub {
    plan skip_all => loudly('valgrind is not installed') if !succeeds('valgrind', '--version');
    plan skip_all => loudly("the figures are for $machine, this is $here") if $machine ne $here && !$accept;
    $measured{instructions} = instructions();
    compare('instructions', $built_by eq $compiler ? SAME_COMPILER : OTHER_COMPILER);
};
subtest 'system calls' => sub {
    plan skip_all => loudly('strace is not installed, or may not trace here')
        if !succeeds(qw(strace -o /dev/null true));
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
        # A count of nothing would look like a very fast call.
        ok(defined $got && $got > 0, "$call: counted") or next;
        next if $accept;
        ok(defined $had, "$call: there is a figure") or diag($how_to_accept), next;
        ok($got <= $had * (1 + $margin), sprintf '%s: %s %s, the figure is %s', $call, show($got), $what, show($had))
            or diag(sprintf "%s takes %s %s, which is %+.0f %% of the figure, %s;\n%s", $call, show($got), $what,
                100 * ($got / $had - 1), show($had), $how_to_accept);
        diag(sprintf '%s takes only %s %s, the figure is %s: %s', $call, show($got), $what, show($had), $how_to_accept)
            if $got < $had * (1 - $margin);
    }
    is_deeply([ sort keys %{ $figure{$what} } ], [ sort @calls ], 'each figure is for a call that exists') if !$accept;
    return;
}

sub show { my ($number) = @_; return $number =~ /\./ ? sprintf '%.2f', $number : $number }

# { call => its instructions }
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

# The call that a dump is for, and how many of its instructions are the library's. In a dump a line `ob=` says
# which object the next lines are about, and a line of numbers says how many instructions ran at a place. The
# line after a `calls=` is different: its instructions are those of the function that was called.
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

# { call => its system calls }
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
    my @lines = (
        '# What one call takes, or with queues one descriptor: instructions of the library, and system calls.',
        '# Written by tests/instructions.t --accept.',
        "# machine $here, compiler $built_by",
        map { sprintf '%-22s %8s %6s', $_, map { show($_) } $measured{instructions}{$_}, $measured{'system calls'}{$_} } @calls,
    );
    spew($file, join '', map { "$_\n" } @lines);
    diag("written: $file");
    return;
}

# A compiler leaves its name in what it makes.
sub compiler_of {
    my ($object) = @_;
    return slurp($object) =~ /\brustc version (\d[\w.-]*)/ ? "rustc $1" : 'unknown';
}

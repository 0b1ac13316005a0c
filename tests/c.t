#!/usr/bin/perl
# Builds each program of tests/c with the shared and with the static library, and runs both builds, and the
# shared one under valgrind as well. `make lib` comes first. To run some programs only: prove -v tests/c.t :: NAME...
#
# tests/portability runs it for other systems, with their compiler in CC and these options:
#
#   --target NAME       Rust's name of the system
#   --lib DIR           the directory of its libraries
#   --with "-l..."      what else the static library needs there
#   --only MODE         shared or static, where there is only one of them
#   --run COMMAND       what runs its programs; without it they are only linked
#   --skip NAME=REASON  leaves out that program
#
# SPDX-License-Identifier: MIT OR Apache-2.0
use strict;
use warnings;

use File::Path qw(make_path);
use File::Temp;
use FindBin;
use Getopt::Long;
use POSIX qw(:sys_wait_h);
use Test::More;
use Time::HiRes qw(sleep time);

use lib "$FindBin::Bin/lib";
use CPrograms qw(@flags $target c_programs cc library shared_link static_link why_skipped);
use Files qw($root slurp);
use Processes qw(spawn succeeds);
use Skips qw(loudly);

use constant {
    # The kernel counts the descriptors that a user has in flight, over all programs. So a program with a low
    # limit could be refused because of another one, except that root is never refused.
    JOBS     => $> == 0 ? $ENV{JOBS} || 2 : 1,
    DEADLINE => 180,    # for one build or run; the programs have a shorter one of their own
    VALGRIND => 99,
    LATE     => -1,
};

chdir $root or die "chdir: $!";
my $sysv = $ENV{FDPASSER_SYSV};
my %other = (skip => {});
GetOptions(\%other, qw(target=s lib=s with=s only=s run=s skip=s%)) or die "see $0\n";
my $out   = "$target/ctests" . ($other{target} ? "/$other{target}" : '');
my $linux = ($other{target} // $^O) =~ /linux/;

# In SysV mode the simulation of STREAMS comes before libc.
my @streams = $sysv ? ("-L$target/streams_sim", '-Wl,--no-as-needed', '-lstreams_sim', "-Wl,-rpath,$target/streams_sim") : ();
push @flags, '-DFDPASSER_SYSV' if $sysv;
my %libraries = (shared => [ shared_link($other{lib}) ], static => [ static_link(@other{qw(lib with)}) ]);

my @names = @ARGV ? @ARGV : (c_programs(), $sysv ? map { m{(sysv/.*)\.c$} } sort glob 'tests/c/sysv/*.c' : ());
@names or die "no programs in tests/c";
my @builds = $other{only} || qw(shared static);
library($_ eq 'shared' ? 'so' : 'a', $other{lib}) for @builds;

# A program says itself where it does not run.
my %not = %{ $other{skip} };
for my $name (@names) {
    my $source = slurp("tests/c/$name.c");
    for my $where ($sysv ? 'Not in SysV mode' : (), $linux ? () : 'Only on Linux') {
        $source =~ m{^/\* $where: (.*?)\. \*/$}ms or next;
        ($not{$name} = lcfirst "$where: $1") =~ s/\s*\n \* */ /g;
    }
}
my $no_valgrind = !succeeds('valgrind', '--version') && loudly('valgrind is not installed: the programs alone look for leaks');
my @modes = $other{target} && !$other{run} ? () : (@builds, $sysv || $other{target} ? () : 'valgrind');
my @run = grep { !$not{$_} } @names;
plan tests => @run * (@modes || @builds) + keys %not;

make_path($out, "$out/sysv");
# What a program that fails leaves behind goes away with this directory.
my $scratch = File::Temp->newdir;
$ENV{TMPDIR} = $scratch;
delete $ENV{FDPASSER_VALGRIND};

my (@queue, %result);
for my $name (@run) {
    for my $mode (@builds) {
        my @build = ("$name.$mode.build", cc(), @flags, "tests/c/$name.c",
            '-o', "$out/$name.$mode", @streams, @{ $libraries{$mode} });
        push @queue, \@build;
    }
}
run_all(@queue);

@queue = ();
for my $name (@run) {
    for my $mode (@modes) {
        my $build = $mode eq 'valgrind' ? 'shared' : $mode;
        next if $mode eq 'valgrind' and $no_valgrind;
        next if $result{"$name.$build.build"} != 0;
        my @valgrind = $mode ne 'valgrind' ? () : (
            'env', 'FDPASSER_VALGRIND=1', 'valgrind', '-q', '--track-fds=yes', '--leak-check=full',
            '--child-silent-after-fork=yes', '--error-exitcode=' . VALGRIND,
            "--log-file=$out/$name.valgrind.report",
        );
        # Opening a mount waits for the server. Tests of other things connect and accept in one thread.
        my @eager = $sysv && $name !~ m{^sysv/} ? qw(env STREAMS_SIM_EAGER=1) : ();
        push @queue, ["$name.$mode", split(' ', $other{run} // ''), @eager, @valgrind, "$out/$name.$build"];
    }
}
run_all(@queue);

for my $name (@run) {
    @modes ? report($name) : linked($name);
}
for my $name (sort keys %not) {
  SKIP: { skip "$name, $not{$name}", 1 }
}

# --- verdicts ------------------------------------------------------------------------------------

sub linked {
    my ($name) = @_;
    for my $build (@builds) {
        ok($result{"$name.$build.build"} == 0, "$name ($build): linked") or diag(slurp("$out/$name.$build.build.log"));
    }
}

sub report {
    my ($name) = @_;
    for my $mode (@modes) {
      SKIP: {
            my $label  = "$name ($mode)";
            my $build  = $name . ($mode eq 'static' ? '.static' : '.shared') . '.build';
            my $status = $result{"$name.$mode"};
            if ($result{$build} != 0) {
                fail("$label: does not compile");
                diag(slurp("$out/$build.log"));
                next;
            }
            skip "$label: $no_valgrind", 1 if not defined $status;
            my $output = slurp("$out/$name.$mode.log");
            my $why    = why_skipped($status, $output);
            skip loudly("$label: $why"), 1 if defined $why;
            my @left = $mode eq 'valgrind' ? left_open("$out/$name.valgrind.report") : ();
            ok($status == 0 && !@left, $label) and next;
            diag(verdict($status));
            diag($output);
            diag(slurp("$out/$name.valgrind.report")) if $mode eq 'valgrind';
        }
    }
}

sub verdict {
    my ($status) = @_;
    return 'left descriptors open' if $status == 0;
    return 'did not end in time' if $status == LATE or ($status & 127) == POSIX::SIGALRM;
    return 'died of signal ' . ($status & 127) if $status & 127;
    return 'valgrind found errors' if $status == VALGRIND << 8;
    return 'exit status ' . ($status >> 8);
}

# What valgrind lists as open at the end, without what the program inherited.
sub left_open {
    my ($report) = @_;
    my @left;
    for (split /\n/, slurp($report)) {
        if (/^==\d+== Open .*?(?:descriptor|socket) (\d+)/) {
            push @left, $1;
        } elsif (/<inherited from parent>/) {
            pop @left;
        }
    }
    # 0, 1 and 2 are ours.
    return grep { $_ > 2 } @left;
}

# --- jobs ----------------------------------------------------------------------------------------

# Runs commands, some at a time. Each is a name, for its result and its log, and the command's words.
sub run_all {
    my @jobs = @_;
    my %running;
    while (@jobs or %running) {
        while (@jobs and keys %running < JOBS) {
            my ($name, @command) = @{ shift @jobs };
            open my $log, '>', "$out/$name.log" or die "$out/$name.log: $!";
            $running{ spawn({ out => $log }, @command) } = { name => $name, until => time + DEADLINE };
        }
        my $ended = 0;
        for my $pid (keys %running) {
            my $job = $running{$pid};
            if (waitpid($pid, WNOHANG) == $pid) {
                $result{ $job->{name} } = $job->{late} ? LATE : $?;
            } elsif (time > $job->{until}) {
                $job->{late} = 1;
                kill KILL => -$pid;
                next;
            } else {
                next;
            }
            delete $running{$pid};
            kill KILL => -$pid;    # children that it has left
            $ended = 1;
        }
        sleep 0.005 if !$ended;
    }
}

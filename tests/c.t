#!/usr/bin/perl
# Builds each program of tests/c against the shared and against the static library, and runs it with
# both and under valgrind. `make lib` comes first. To see one program only: prove -v tests/c.t :: NAME...
#
# For another system, with a compiler for it in CC (tests/portability does all of this):
#
#   --target NAME       Rust's name of it
#   --lib DIR           where its libraries are
#   --with "-l..."      what else the static library needs there
#   --only MODE         shared or static, if it is not both
#   --run COMMAND       what runs its programs; without it they are only linked
#   --skip NAME=REASON  not that program
#
# SPDX-License-Identifier: MIT OR Apache-2.0
use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Path qw(make_path);
use File::Temp;
use Getopt::Long;
use POSIX qw(:sys_wait_h setpgid);
use Test::More;
use Time::HiRes qw(sleep time);

use constant {
    # For all but root the descriptors that all programs have in flight count together, so that one
    # with a low limit would be refused for the sake of another.
    JOBS     => $> == 0 ? $ENV{JOBS} || 2 : 1,
    DEADLINE => 180,    # for one build or run; the programs have a shorter one of their own
    SKIPPED  => 77,
    VALGRIND => 99,
    LATE     => -1,
};

chdir dirname(abs_path(__FILE__)) . '/..' or die "chdir: $!";
my $root = abs_path('.');
my $sysv = $ENV{FDPASSER_SYSV};
my $target = $sysv ? "$root/target/sysv" : "$root/target";
my $cc   = $ENV{CC} // 'cc';
my %other = (lib => "$target/release", with => '-lgcc_s -lpthread -ldl -lm', skip => {});
GetOptions(\%other, qw(target=s lib=s with=s only=s run=s skip=s%)) or die "see $0\n";
my $lib   = $other{lib};
my $out   = "$target/ctests" . ($other{target} ? "/$other{target}" : '');
my $linux = ($other{target} // $^O) =~ /linux/;

my @flags = qw(-std=c99 -D_GNU_SOURCE -Wall -Wextra -pedantic -Werror -O1 -g -Iinclude -Itests/c -pthread);
# In SysV mode the simulation of STREAMS comes before libc.
my @streams = $sysv ? ("-L$target/streams_sim", '-Wl,--no-as-needed', '-lstreams_sim', "-Wl,-rpath,$target/streams_sim") : ();
push @flags, '-DFDPASSER_SYSV' if $sysv;
my %libraries = (
    shared => ["-L$lib", '-lfdpasser', "-Wl,-rpath,$lib"],
    static => ["$lib/libfdpasser.a", split ' ', $other{with}],
);

my @names = @ARGV ? @ARGV : map { m{^tests/c/(.*)\.c$} } sort glob 'tests/c/*.c' . ($sysv ? ' tests/c/sysv/*.c' : '');
@names or die "no programs in tests/c";
my @builds = $other{only} || qw(shared static);
for (@builds) {
    my $file = "$lib/libfdpasser." . ($_ eq 'shared' ? 'so' : 'a');
    -e $file or die "$file is missing: run `make lib`";
}

# Programs say themselves what they are not for.
my %not = %{ $other{skip} };
for my $name (@names) {
    my $source = slurp("tests/c/$name.c");
    for my $where ($sysv ? 'Not in SysV mode' : (), $linux ? () : 'Only on Linux') {
        $source =~ m{^/\* $where: (.*?)\. \*/$}ms or next;
        ($not{$name} = lcfirst "$where: $1") =~ s/\s*\n \* */ /g;
    }
}
my $no_valgrind = system('valgrind --version >/dev/null 2>&1') != 0;
my @modes = $other{target} && !$other{run} ? () : (@builds, $sysv || $other{target} ? () : 'valgrind');
my @run = grep { !$not{$_} } @names;
plan tests => @run * (@modes || @builds) + keys %not;

make_path($out, "$out/sysv");
# Nothing of a program that fails stays in the system's /tmp.
my $scratch = File::Temp->newdir;
$ENV{TMPDIR} = $scratch;
delete $ENV{FDPASSER_VALGRIND};

my (@queue, %result);
for my $name (@run) {
    for my $mode (@builds) {
        my @build = ("$name.$mode.build", split(' ', $cc), @flags, "tests/c/$name.c",
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
        push @queue, ["$name.$mode", split(' ', $other{run} // ''), @valgrind, "$out/$name.$build"];
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
            my $output = slurp("$out/$name.$mode.log");
            if ($result{$build} != 0) {
                fail("$label: does not compile");
                diag(slurp("$out/$build.log"));
                next;
            }
            skip "$label: valgrind is not installed: leaks were looked for by the programs alone", 1
                if not defined $status;
            if ($status == SKIPPED << 8) {
                my $why = $output =~ /^skip: (.*)/m ? $1 : 'no reason given';
                diag("$label SKIPPED: $why");
                skip "$label: $why", 1;
            }
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

# What valgrind lists as open at the end and the program did not inherit.
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

sub slurp {
    my ($file) = @_;
    open my $fh, '<', $file or return '';
    local $/;
    return scalar(<$fh>) // '';
}

# --- jobs ----------------------------------------------------------------------------------------

# Runs commands, some at a time; each is a name (for the result and the log) and its words.
sub run_all {
    my @jobs = @_;
    my %running;
    while (@jobs or %running) {
        while (@jobs and keys %running < JOBS) {
            my ($name, @command) = @{ shift @jobs };
            my $pid = start("$out/$name.log", @command);
            $running{$pid} = { name => $name, until => time + DEADLINE };
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
            kill KILL => -$pid;    # children that it may have left
            $ended = 1;
        }
        sleep 0.005 if !$ended;
    }
}

sub start {
    my ($log, @command) = @_;
    my $pid = fork // die "fork: $!";
    if ($pid == 0) {
        setpgid(0, 0);
        open STDIN,  '<', '/dev/null' or POSIX::_exit(126);
        open STDOUT, '>', $log        or POSIX::_exit(126);
        open STDERR, '>&', \*STDOUT   or POSIX::_exit(126);
        exec { $command[0] } @command or POSIX::_exit(127);
    }
    setpgid($pid, $pid);    # in both, as either may be first
    return $pid;
}

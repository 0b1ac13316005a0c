# SPDX-License-Identifier: MIT OR Apache-2.0
package Loops;

# A test file that begins with `use Loops;` runs once on every event loop that is installed. Each run is a process of
# its own, with PERL_ANYEVENT_MODEL set, and counts as one test. The test passes if the exit status is 0 and stderr is
# empty. If PERL_ANYEVENT_MODEL is already set, the file runs as it is. `use Loops qw(EV Perl);` names the loops.

use strict;
use warnings;

use File::Temp ();
use Test::More;

my @LOOPS = qw(EV Perl Event POE IOAsync Glib);
my %MODULE = (EV => 'EV', Event => 'Event', POE => 'POE', IOAsync => 'IO::Async::Loop', Glib => 'Glib');

my $AT_ONCE  = 2;
my $DEADLINE = 3 * ($ENV{FDPASSER_TEST_DEADLINE} || 50);    # seconds for one loop

sub import {
    my ($class, @loops) = @_;
    return if $ENV{PERL_ANYEVENT_MODEL};
    @loops = @LOOPS if !@loops;
    plan tests => scalar @loops;

    my (%running, @result);
    for my $i (0 .. $#loops) {
        my $missing = missing($loops[$i]);
        if (defined $missing) { $result[$i] = { skip => "$missing is not installed" } }
        else {
            finish_one(\%running) if keys %running >= $AT_ONCE;
            my $run = start($loops[$i]);
            $running{ $run->{pid} } = $result[$i] = $run;
        }
    }
    finish_one(\%running) while %running;
    report($loops[$_], $result[$_]) for 0 .. $#loops;
    exit 0;    # Test::More changes the status if a test failed
}

sub missing {
    my ($loop) = @_;
    my $module = $MODULE{$loop} or return;
    (my $file = "$module.pm") =~ s{::}{/}g;
    return if grep { !ref && -e "$_/$file" } @INC;
    return $module;
}

sub start {
    my ($loop) = @_;
    my %run = (out => scalar File::Temp::tempfile(), err => scalar File::Temp::tempfile());
    defined($run{pid} = fork) or die "fork: $!";
    return \%run if $run{pid};

    setpgrp;
    $ENV{PERL_ANYEVENT_MODEL} = $loop;
    $ENV{PERL5LIB}            = join ':', grep { !ref } @INC;
    # AnyEvent's adaptor for POE emits warnings under -w.
    my @w = $loop eq 'POE' ? () : '-w';
    open STDIN,  '<', '/dev/null' or die "/dev/null: $!";
    open STDOUT, '>&', $run{out} or die "stdout: $!";
    open STDERR, '>&', $run{err} or die "stderr: $!";
    exec $^X, @w, $0 or die "exec: $!";
}

sub finish_one {
    my ($running) = @_;
    local $SIG{ALRM} = sub { kill KILL => map { -$_ } keys %$running };
    alarm $DEADLINE;
    my $pid = waitpid -1, 0;
    my $status = $?;
    alarm 0;
    my $run = delete $running->{$pid} or return;
    $run->{status} = $status;
}

sub report {
    my ($loop, $run) = @_;
    if (defined $run->{skip}) {
        SKIP: { skip "event loop $loop: $run->{skip}", 1 }
        return;
    }
    my ($out, $err) = map { content($run->{$_}) } qw(out err);
    my $tests = () = $out =~ /^ok \d/mg;
    # If the whole file was skipped, report that to the harness as well.
    if ($run->{status} == 0 && $err eq '' && $out =~ /^1\.\.0 # SKIP (.*)/m) {
        SKIP: { skip "$loop: $1", 1 }
        return;
    }
    my $good = ok $run->{status} == 0 && $err eq '' && $tests,
      "$loop: $tests tests" . join '', map { "; skipped: $_" } $out =~ /^ *ok \d+ # skip (.*)/mg;
    $_ = join '', grep { defined } (split /^/)[ 0 .. 99 ] for $out, $err;    # a loop that spins may print without end
    diag "$loop: wait status $run->{status}\n--- stdout\n$out--- stderr\n$err" if !$good;
}

sub content {
    my ($fh) = @_;
    seek $fh, 0, 0;
    local $/;
    my $content = <$fh>;
    return defined $content ? $content : '';
}

1;

# What tests/portability shares with its modules: commands whose output goes to a log, and verdicts.
#
# SPDX-License-Identifier: MIT OR Apache-2.0
package Portability;
use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter qw(import);
use File::Path qw(make_path);
use POSIX ();
use Test::More;

our @EXPORT_OK = qw($out host quiet quiet_anew content not_installed skipped verdict c_tests run_c_tests report);

our $out = abs_path('.') . '/target/portability';
make_path($out);

# This machine's processor.
sub host { return (POSIX::uname())[4] }

# --- commands ------------------------------------------------------------------------------------

# Each log is target/portability/NAME.log.
sub quiet {
    my ($log, $command) = @_;
    return system("{ $command; } >>'$out/$log.log' 2>&1 </dev/null") == 0;
}

sub quiet_anew {
    my ($log, $command) = @_;
    unlink "$out/$log.log";
    return quiet($log, $command);
}

sub content {
    my ($log) = @_;
    open my $fh, '<', "$out/$log.log" or return '';
    local $/;
    return scalar(<$fh>) // '';
}

# The first of the programs that is missing here.
sub not_installed {
    for my $program (@_) {
        return $program if !grep { -x } $program =~ m{/} ? $program : map { "$_/$program" } split /:/, $ENV{PATH};
    }
    return;
}

# --- verdicts ------------------------------------------------------------------------------------

sub skipped {
    my ($label, $why) = @_;
  SKIP: { skip "$label: $why", 1 }
    return;
}

sub verdict {
    my ($label, $good, $log) = @_;
    return skipped($label, 'what std needs was not fetched, and this is offline: run `make portability` once')
      if !$good && $ENV{CARGO_NET_OFFLINE} && content($log) =~ /offline mode/;
    return if ok $good, $label;
    my @lines = split /^/, content($log);
    diag(@lines > 60 ? @lines[ -60 .. -1 ] : @lines);
    return;
}

# --- the C programs ------------------------------------------------------------------------------

# Runs tests/c.t for programs that need no shared object. Options: target (names the directory of the
# programs in target/ctests), lib, cc, run, names (none: all programs), skip (a reason for each name).
sub run_c_tests {
    my ($log, %option) = @_;
    local $ENV{CC} = $option{cc} // 'cc';
    my @words = ($^X, 'tests/c.t', '--target', $option{target}, '--lib', $option{lib}, qw(--only static), '--with',
        '-static -lgcc_eh -lpthread -ldl -lm', $option{run} ? ('--run', $option{run}) : ());
    my %skip = %{ $option{skip} // {} };
    push @words, map { ('--skip', "$_=$skip{$_}") } sort keys %skip;
    return quiet_anew($log, join ' ', map { quoted($_) } @words, @{ $option{names} // [] });
}

sub quoted {
    my ($word) = @_;
    $word =~ s/'/'\\''/g;
    return "'$word'";
}

# What a log of tests/c.t says of each program: passed, skipped or failed, and the text that belongs to that.
sub c_tests {
    my ($log) = @_;
    my (%result, $failed);
    for (split /^/, content($log)) {
        if (/^ok \d+ # skip (\w+)(?: \(\w+\))?[,:] (.*)/i) {
            $result{$1} = ['skipped', $2];
        } elsif (/^(not )?ok \d+ - (\w+)/) {
            $failed = $1 ? $2 : undef;
            $result{$2} = [$1 ? 'failed' : 'passed', ''];
        } elsif (/^# Looks like|^# \w+ \(static\) SKIPPED/) {
            undef $failed;
        } elsif (defined $failed && /^# ?(?!  Failed test|  at )(.*)/s) {
            $result{$failed}[1] .= $1;
        }
    }
    return \%result;
}

# One line for a system on which the programs ran, and what there is to say of those that did not pass.
sub report {
    my ($name, $version, $result, $log) = @_;
    my %names = (passed => [], skipped => [], failed => []);
    push @{ $names{ $result->{$_}[0] } }, $_ for sort keys %$result;
    my @counts = map { scalar(@{ $names{$_} }) . " $_" } qw(passed skipped failed);
    diag("$name: skipped: $_: $result->{$_}[1]") for @{ $names{skipped} };
    my $good = @{ $names{passed} } && !@{ $names{failed} };
    return if ok $good, join ', ', "$name: $version", @counts;
    diag("$_ failed:\n$result->{$_}[1]") for @{ $names{failed} };
    diag(content($log)) if !%$result;
    diag("the whole log is target/portability/$log.log");
    return;
}

1;

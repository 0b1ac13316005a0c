# Running other programs. Each has a process group of its own, which is killed with it.
#
# SPDX-License-Identifier: MIT OR Apache-2.0
package Processes;

use strict;
use warnings;

use Exporter qw(import);
use Fcntl qw(F_SETFD);
use File::Temp ();
use POSIX ();
use Test::More ();

our @EXPORT_OK = qw(installed run spawn succeeds works);

# Starts a command and returns its process id. The caller waits for it. The options, all of which may be left out:
#
#   out       a handle for both of its outputs (our own standard output)
#   dir       its current directory
#   env       { NAME => value }, to be added to ours
#   keep      [handles that it inherits]
#   deadline  seconds after which SIGALRM ends it
sub spawn {
    my ($option, @command) = @_;
    my $pid = fork // die "fork: $!\n";
    if ($pid == 0) {
        POSIX::setpgid(0, 0);
        $SIG{$_} = 'DEFAULT' for qw(ALRM HUP INT PIPE TERM);
        my $env = $option->{env} // {};
        @ENV{ keys %$env } = values %$env;
        my $ready = (!defined $option->{dir} || chdir $option->{dir})
          && open(STDIN, '<', '/dev/null')
          && (!$option->{out} || open STDOUT, '>&', $option->{out})
          && open(STDERR, '>&', \*STDOUT);
        fcntl $_, F_SETFD, 0 or $ready = 0 for @{ $option->{keep} // [] };
        alarm $option->{deadline} if $option->{deadline};
        no warnings 'exec';
        exec { $command[0] } @command if $ready;
        syswrite STDERR, "$command[0]: $!\n";
        POSIX::_exit(127);
    }
    POSIX::setpgid($pid, $pid);    # both do it, as either may be first
    return $pid;
}

# Runs a command to its end. Returns what it printed and its wait status.
sub run {
    my $option = ref $_[0] ? shift : {};
    my @command = @_;
    my $out = File::Temp->new;
    my $pid = spawn({ deadline => 180, %$option, out => $out }, @command);
    waitpid $pid, 0;
    my $status = $?;
    kill KILL => -$pid;    # children that it has left
    seek $out, 0, 0;
    my $text = do { local $/; <$out> } // '';
    return ($text, $status);
}

sub succeeds {
    my ($text, $status) = run(@_);
    return $status == 0;
}

# A test: the command succeeds. Returns what it printed, or undef if it failed.
sub works {
    my ($what, @command) = @_;
    my ($text, $status) = run(@command);
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return $text if Test::More::is($status, 0, $what);
    Test::More::diag(join(' ', grep { !ref } @command) . "\n$text");
    return;
}

# Is there a program of this name?
sub installed {
    my ($program) = @_;
    return scalar grep { -x && -f _ } $program =~ m{/} ? $program : map { "$_/$program" } split /:/, $ENV{PATH};
}

1;

# What the tests in tests/fdpass/ share, beside Examples.pm. `make` comes first.
#
# SPDX-License-Identifier: MIT OR Apache-2.0
package Fdpass;

use strict;
use warnings;

use CPrograms qw($built);
use Examples;
use Exporter qw(import);
use Fcntl qw(F_SETFD FD_CLOEXEC);
use Processes ();
use Skips qw(loudly);
use Test::More;

our @EXPORT = qw($fdpass $open_fds needs_python needs_strace one_line python shell status);

our $fdpass = "$built/fdpass";
-x $fdpass or die "$fdpass is missing: run `make lib`\n";
$ENV{PATH} = "$built:$ENV{PATH}";

# A script that says which numbers up to 40 are open, without opening any. It may say so over a descriptor.
our $open_fds = 'l=; n=0; while [ $n -le 40 ]; do [ ! -e /proc/$$/fd/$n ] || l="$l$n "; n=$((n + 1)); done; echo "$l"';

chdir $dir or die "$dir: $!";

# What the tests were started with is not for what they start.
my @inherited;
for (3 .. 1023) {
    open my $handle, '+<&=', $_ or next;
    fcntl $handle, F_SETFD, FD_CLOEXEC;
    push @inherited, $handle;
}

# Nor is what a manager that started the tests says.
delete @ENV{qw(LISTEN_FDS LISTEN_PID LISTEN_PIDFDID LISTEN_FDNAMES NOTIFY_SOCKET)};

# Starts a script of the shell, with arguments.
sub shell {
    my ($script, @args) = @_;
    return start([ 'sh', '-c', $script, 'sh' ], @args);
}

# Waits for the end of a program, and returns what it printed and its exit status, or "signal N".
sub status {
    my ($process) = @_;
    my $output = rest($process);
    my $status = ended($process);
    return ($output, $status & 127 ? 'signal ' . ($status & 127) : $status >> 8);
}

# A program ends with this status, and says one line that matches.
sub one_line {
    my ($what, $process, $expected, $line) = @_;
    my ($output, $status) = status($process);
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is($status, $expected, "$what: $expected");
    like($output, qr/\Afdpass: [^\n]*$line[^\n]*\n\z/, "$what: says so in one line");
    return;
}

sub python {
    my ($script, @args) = @_;
    return start([ 'python3', '-c', $script ], @args);
}

sub needs_python {
    plan skip_all => loudly('there is no Python with socket.send_fds (3.9)')
      if !Processes::succeeds('python3', '-c', 'import socket; socket.send_fds');
    return;
}

sub needs_strace {
    plan skip_all => loudly('strace is for Linux') if $^O ne 'linux';
    plan skip_all => loudly('strace cannot be run') if !Processes::succeeds('strace', '-o', '/dev/null', 'true');
    return;
}

1;

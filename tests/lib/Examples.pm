# SPDX-License-Identifier: MIT OR Apache-2.0

# What the tests in tests/examples/ share: building the examples, running them, and being their clients.
# `make` comes first.

package Examples;

use strict;
use warnings;

use CPrograms      qw(cc static_link);
use Errno          qw(EAGAIN);
use Exporter       qw(import);
use File::Basename qw(basename);
use File::Temp     qw(tempdir);
use Files          qw($root slurp spew);
use IO::Socket::INET;
use IO::Socket::UNIX;
use POSIX qw(WUNTRACED);
use Processes ();
use Socket qw(AF_UNIX SOCK_STREAM sockaddr_un);
use Test::More;

our @EXPORT = qw(
  $dir $get $other_half DEADLINE
  as answer client compile curl edited ended fails fill_backlog freeze handed_down helper limited listener load local_socket part
  perl prefork rest restart run said serve start stop
);

use constant DEADLINE => 60;    # seconds, for anything that we wait for

my $main = $$;
my %running;                    # pid => 1
my $edited = 0;

# Other users can read what is in it, such as programs, but not write to it.
our $dir = tempdir('fdpasser-examples-XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $dir or die "$dir: $!";

$SIG{PIPE} = 'IGNORE';          # a test is told by an error when its peer is gone

# A request that keeps the connection.
our $get = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

# What is missing after "GET / HTTP/1.1" alone.
our $other_half = "\r\nHost: localhost\r\n\r\n";

# --- the programs ------------------------------------------------------------------------------------

# Each of these returns a program: a command as a list.

sub compile {
    my ($source) = @_;
    my $path    = $source =~ m{\A/} ? $source : "$root/examples/$source";
    my $program = "$dir/" . basename($source, '.c');
    my @flags   = (qw(-std=c99 -O2 -g -Wall -Wextra -Werror -pedantic), "-I$root/include");
    push @flags, "-I$root/examples/http";    # for copies that edited() makes
    my ($text, $status) = Processes::run(cc(), @flags, '-o', $program, $path, static_link());
    $status == 0 or BAIL_OUT("cannot compile $source: $text");
    chmod 0755, $program or die "$program: $!";
    return [$program];
}

# Runs from a copy of the module and of the program, so that other users can run it too.
sub perl {
    my ($source) = @_;
    my $path = $source =~ m{\A/} ? $source : "$root/examples/$source";
    my $copy = "$dir/" . basename($source);
    system('sh', '-c', <<'SH', $root, $dir, $path, $copy) == 0 or BAIL_OUT("cannot copy $source");
        [ -d "$1/module" ] || { mkdir "$1/module" && cp -R "$0/perl/blib" "$1/module"; } || exit 1
        [ "$2" = "$3" ] || cp "$2" "$3" || exit 1
        chmod -R a+rX "$1/module" "$3"
SH
    return [ $^X, "-Mblib=$dir/module", $copy ];
}

# A program with other constants, so that a test need not wait for a minute.
sub edited {
    my ($source, %constant) = @_;
    my $text = slurp("$root/examples/$source");
    for my $name (sort keys %constant) {
        $text =~ s/\b$name(\s*=>?\s*)[0-9][^,]*,/$name$1$constant{$name},/ or die "no $name in $source";
    }
    my $copy = spew("$dir/edited-" . ++$edited . '-' . basename($source), $text);
    return $source =~ /\.c\z/ ? compile($copy) : perl($copy);
}

# As another user, without names: just a number.
sub as {
    my ($uid, $program) = @_;
    return $program if $uid == $>;
    my $become = 'my $uid = shift; $) = "$uid $uid"; $( = $uid; ($<, $>) = ($uid, $uid);
        $> == $uid && $< == $uid && $) eq "$uid $uid" or die "cannot become $uid: $!";
        exec { $ARGV[0] } @ARGV or die "exec: $!"';
    return [ $^X, '-e', $become, $uid, @$program ];
}

# With a small descriptor table.
sub limited {
    my ($files, $program) = @_;
    return [ 'sh', '-c', "ulimit -n $files && exec \"\$@\"", 'sh', @$program ];
}

# --- processes ---------------------------------------------------------------------------------------

# Starts a program. said() and rest() read what it prints, standard error included.
sub start {
    my ($program, @args) = @_;
    pipe my $out, my $write or die "pipe: $!";
    my $pid = Processes::spawn({ out => $write }, @$program, @args);
    close $write;
    $running{$pid} = 1;
    return { pid => $pid, out => $out, all => '' };
}

# Starts a program as a service manager does, with a handle as its descriptor 3 and 4 as often as LISTEN_FDS wants it. The
# variables are added to its environment.
sub handed_down {
    my ($handle, $variables, $program, @args) = @_;
    my $as_3 = 'use POSIX (); my $n = $ENV{LISTEN_FDS} =~ /^[1-9]$/ ? $ENV{LISTEN_FDS} : 1;
        POSIX::dup2(500, $_) for 3 .. 2 + $n; POSIX::close(500);
        $ENV{LISTEN_PID} = $$; exec { $ARGV[0] } @ARGV or die "exec: $!"';
    # No handle of ours has this number, and every program that starts would inherit it.
    POSIX::dup2(fileno $handle, 500) // die "dup2: $!";
    local @ENV{ 'LISTEN_FDS', keys %$variables } = (1, values %$variables);
    my $process = start([ $^X, '-e', $as_3, @$program ], @args);
    POSIX::close(500);
    return $process;
}

# Waits for the next line of a program's output that matches. Returns its first capture.
sub said {
    my ($process, $expected) = @_;
    while (defined(my $line = readline $process->{out})) {
        $process->{all} .= $line;
        return $1 // 1 if $line =~ $expected;
    }
    die "it ended without saying $expected, but: $process->{all}\n";
}

# The rest of the output, up to the end of the last process that can write to it.
sub rest {
    my ($process) = @_;
    my $rest = do { local $/; readline $process->{out} };
    $process->{all} .= $rest // '';
    return $rest // '';
}

# Starts a server. Returns it and its port.
sub serve {
    my $server = start(@_);
    return ($server, said($server, qr/^listening on 127\.0\.0\.1:(\d+)$/));
}

# Starts examples/restart. Returns the server when it is ready, and its port.
sub restart {
    my ($program, $node) = @_;
    my ($server, $port) = serve($program, 0, $node);
    said($server, qr/^ready/);
    return ($server, $port);
}

# Starts the helper of examples/privsep for $dir/files and a user, and returns it when it is ready.
sub helper {
    my ($program, $node, $user) = @_;
    my $helper = start($program, "$dir/files", $node, $user);
    said($helper, qr/^ready$/);
    return $helper;
}

# Starts examples/prefork. Returns the supervisor, the port, and the pids of the dispatcher and the workers.
sub prefork {
    my ($program, $workers) = @_;
    my ($server, $port) = serve($program, 0, $workers);
    my %pid;
    for (0 .. $workers) {
        my ($job, $pid) = split ' ', said($server, qr/^(\w+ \d+)$/);
        push @{ $pid{$job} }, $pid;
    }
    return ($server, $port, $pid{dispatcher}[0], @{ $pid{worker} });
}

# Waits for a program's end, and returns its status.
sub ended {
    my ($process) = @_;
    waitpid $process->{pid}, 0;
    delete $running{ $process->{pid} };
    return $?;
}

sub stop {
    my ($process, $signal) = @_;
    kill $signal || 'KILL', $process->{pid};
    return ended($process);
}

# Stops a program, as SIGSTOP does. SIGCONT makes it go on.
sub freeze {
    my ($process) = @_;
    kill STOP => $process->{pid};
    waitpid $process->{pid}, WUNTRACED;
    return;
}

# Runs a program to its end. Returns its output and its status.
sub run {
    my $process = start(@_);
    my $output  = rest($process);
    return ($output, ended($process));
}

# A program must fail, and print one line that matches, and nothing else.
sub fails {
    my ($what, $expected, @command) = @_;
    my $process = ref $command[0] eq 'HASH' ? $command[0] : start(@command);
    my $output  = rest($process);
    my $status  = ended($process);
    ok($status > 0 && !($status & 127), "$what: it fails") or diag "status $status";
    like($output, qr/\A[^\n]*$expected[^\n]*\n\z/, 'with a message of one line');
    return;
}

# --- clients -----------------------------------------------------------------------------------------

# A TCP connection.
sub client {
    my ($port, $text) = @_;
    my $client = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) or die "connect: $@";
    syswrite $client, $text if defined $text;
    return $client;
}

# A listener on a TCP port, which then is in use.
sub listener {
    return IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') || die "listen: $@";
}

# Who answered the next request on a connection: "C, pid 4711".
sub answer {
    my ($client) = @_;
    my $got = '';
    while ($got !~ /^answered by .*\n\z/m) {
        sysread $client, $got, 1, length $got or return "no answer, but '$got'";
    }
    return $got =~ m{\AHTTP/1\.1 200 OK\r\n.*\r\n\r\nanswered by (.*)\n\z}s ? $1 : "not right: $got";
}

# Starts curl, which makes many requests. It prints a line of this format after each answer.
sub curl {
    my ($port, $requests, $at_one_time, $format) = @_;
    my @options = (qw(-q --no-progress-meter --noproxy * --parallel --parallel-max), $at_one_time, '--max-time', DEADLINE);
    return start([ 'curl', @options, '-w', "$format\\n", "http://127.0.0.1:$port/[1-$requests]" ]);
}

# Has curl make many requests. $each is called after each answer. Returns a hash: curl's exit status, how many
# answers were good, how many each process gave, and everything else that curl said.
sub load {
    my ($port, $requests, $at_one_time, $each) = @_;
    my $curl = curl($port, $requests, $at_one_time, '%{http_code} %{errormsg}');
    my %result = (good => 0, by => {}, strange => '');
    while (defined(my $line = readline $curl->{out})) {
        if    ($line =~ /^200 $/)                     { $each->(++$result{good}) }
        elsif ($line =~ /^answered by \w+, pid (\d+)$/) { $result{by}{$1}++ }
        else                                          { $result{strange} .= $line }
    }
    $result{status} = ended($curl);
    return \%result;
}

sub local_socket {
    my ($path) = @_;
    return IO::Socket::UNIX->new(Peer => $path) || die "$path: $!";
}

# Connects to a node until its backlog is full. Returns the sockets.
sub fill_backlog {
    my ($path) = @_;
    my @sockets;
    while (1) {
        socket my $socket, AF_UNIX, SOCK_STREAM, 0 or die "socket: $!";
        $socket->blocking(0);
        if (!connect $socket, sockaddr_un($path)) {
            die "$path: $!" if $! != EAGAIN;
            return @sockets;
        }
        push @sockets, $socket;
    }
}

# --- the tests' frame --------------------------------------------------------------------------------

# One thing that must work as a whole. If it fails, the next one runs all the same.
sub part {
    my ($what, $code) = @_;
    subtest $what => sub {
        local $SIG{ALRM} = sub { die "nothing happens\n" };
        alarm DEADLINE;
        eval { $code->(); 1 } or fail("died: $@");
        alarm 0;
        kill_all();
    };
    return;
}

sub kill_all {
    for my $pid (keys %running) {
        kill KILL => -$pid, $pid;
        waitpid $pid, 0;
    }
    %running = ();
    return;
}

END {
    if ($$ == $main) {
        my $status = $?;
        kill_all();
        $? = $status;
    }
}

1;

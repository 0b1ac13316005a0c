# SPDX-License-Identifier: MIT OR Apache-2.0

# What tests/examples/http*.t share: dispatchers and workers of examples/http, and their clients.

package HttpExample;

use strict;
use warnings;

use Examples;
use Exporter qw(import);
use IO::Poll qw(POLLERR POLLHUP POLLPRI);
use IO::Select;
use IO::Socket::UNIX;
use Processes ();
use Socket    qw(SOL_SOCKET SO_LINGER);
use Test::More;

our @EXPORT = qw(
  all_of answer_to answer_to_talker answers_to begin connection dispatcher end head_of joined node nothing_left_open open_fds pairs
  request reset_connection send_message worker
);

my %program;

sub dispatcher { return $program{"dispatcher $_[0]"} //= $_[0] eq 'C' ? compile('http/dispatcher.c') : perl('http/dispatcher.pl') }
sub worker     { return $program{"worker $_[0]"}     //= $_[0] eq 'C' ? compile('http/worker.c')     : perl('http/worker.pl') }

# Each dispatcher with each worker.
sub pairs {
    return map { my $dispatcher = $_; map { [ $dispatcher, $_ ] } qw(C Perl) } qw(C Perl);
}

# A dispatcher for /x/ whose node is $dir/node, with workers that have joined, and its port. Languages name the programs.
sub begin {
    my ($dispatcher, @workers) = @_;
    my $program = ref $dispatcher ? $dispatcher : dispatcher($dispatcher);
    my ($server, $port) = serve($program, 0, "/x/=$dir/node");
    return ($server, $port, map { joined($server, "$dir/node", $_) } @workers);
}

sub joined {
    my ($server, $node, $worker) = @_;
    my $process = start(ref $worker ? $worker : worker($worker), $node);
    said($server, qr/^worker \d+ joined /);
    return $process;
}

# Stops a dispatcher, and its workers with it. All must end well, without another word.
sub end {
    my ($server, @workers) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my @status = (stop($server, 'TERM'), map { ended($_) } @workers);
    is_deeply(\@status, [ (0) x @status ], 'all end well');
    is(join('', map { rest($_) } $server, @workers), '', 'without a word');
    return;
}

sub open_fds {
    my ($process) = @_;
    opendir my $fds, "/proc/$process->{pid}/fd" or die "/proc/$process->{pid}/fd: $!";
    return scalar grep { /\d/ } readdir $fds;
}

# Waits until processes have no more descriptors open than before: they notice a little later that a client has closed.
sub nothing_left_open {
    my ($before, @processes) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $end = time + DEADLINE / 2;
    my @more;
    do {
        select undef, undef, undef, 0.01;
        @more = grep { open_fds($processes[$_]) > $before->[$_] } 0 .. $#processes;
    } while @more && time < $end;
    is("@more", '', 'nothing is left open');
    return;
}

# --- requests and answers

sub request {
    my ($method, @fields) = @_;
    return join "\r\n", "$method /x/ HTTP/1.1", 'Host: localhost', @fields, '', '';
}

# The head of a request that has this length.
sub head_of {
    my ($length) = @_;
    my $rest = $length - length request('GET', 'Filler: ');
    return request('GET', 'Filler: ' . 'x' x $rest);
}

# What comes on each connection up to its end, which must not be a reset. Whatever comes is read at once, so that no
# client waits for another one.
sub all_of {
    my @clients = @_;
    my %all     = map { $_ => '' } @clients;
    my $open    = IO::Select->new(@clients);
    while ($open->count) {
        for my $client ($open->can_read) {
            my $n = sysread $client, $all{$client}, 65536, length $all{$client};
            next if $n;
            $all{$client} .= " ($!)" if !defined $n;
            $open->remove($client);
            close $client;
        }
    }
    return wantarray ? @all{@clients} : $all{ $clients[0] };
}

# Waits for the answer, and for the end of the connection. Returns its status, its head, what a worker says in it, and
# the body that the worker has repeated.
sub answer_to { return (answers_to(@_))[0] }

sub answers_to {
    return map { parse_answer($_) } all_of(@_);
}

sub parse_answer {
    my ($all) = @_;
    my ($head, $content) = split /(?<=\r\n)\r\n/, $all, 2;
    my %answer = (status => "none, but '$all'", head => $head // '', body => 'none', map { $_ => -1 } qw(language pid request handed read));
    return \%answer if ($head // '') !~ m{\AHTTP/1\.1 (\d+) };
    $answer{status} = $1;
    my ($length) = $head =~ /^Content-Length: (\d+)\r$/m;
    $answer{status} .= ', cut' if ($length // -1) != length $content;
    if ($content =~ /\Alanguage: (\w+)\npid: (\d+)\nrequest: (.*)\nfrom the dispatcher: (\d+) bytes\nfrom the client: (\d+) bytes\n(.*)\z/s) {
        @answer{qw(language pid request handed read body)} = ($1, $2, $3, $4, $5, $6);
    }
    return \%answer;
}

# Waits for the answer to a client that sends too much and goes on to send. That must not reset the connection, as a reset
# can take the answer away. Returns the answer.
sub answer_to_talker {
    my ($client) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    open my $copy, '+<&', $client or die "dup: $!";
    my $answer = answer_to($client);
    is(syswrite($copy, 'more'), 4, 'more can be sent after the answer');
    my $poll = IO::Poll->new;
    $poll->mask($copy => POLLPRI);    # asks for nothing: a reset is reported all the same
    $poll->poll(0.1);
    is($poll->events($copy) & (POLLERR | POLLHUP), 0, '... without a reset');
    return $answer;
}

# --- a dispatcher of our own

# A listener for workers, and its path.
sub node {
    my $path = "$dir/our-node";
    unlink $path;
    return (IO::Socket::UNIX->new(Local => $path, Listen => 5) || die("$path: $!"), $path);
}

# A TCP connection: the client's socket and the server's.
sub connection {
    my $listener = listener();
    my $client   = client($listener->sockport);
    return ($client, scalar $listener->accept);
}

# Sends a socket with these bytes, by other means than our library.
sub send_message {
    my ($passer, $socket, $bytes) = @_;
    my $code = 'import socket, sys; passer, data, fd = sys.argv[1:]; '
      . 'socket.send_fds(socket.socket(fileno=int(passer)), [bytes.fromhex(data)], [int(fd)])';
    my @arguments = (fileno $passer, unpack('H*', $bytes), fileno $socket);
    my ($text, $status) = Processes::run({ keep => [ $passer, $socket ] }, 'python3', '-c', $code, @arguments);
    $status == 0 or die "sending: $text";
    return;
}

# Closes a connection so that the peer sees a reset.
sub reset_connection {
    my ($client) = @_;
    setsockopt $client, SOL_SOCKET, SO_LINGER, pack 'i2', 1, 0 or die "SO_LINGER: $!";
    close $client;
    return;
}

1;

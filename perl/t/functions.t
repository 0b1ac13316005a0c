# SPDX-License-Identifier: MIT OR Apache-2.0
# fdpasser_socketpair, fdpasser_server, fdpasser_accept, fdpasser_connect.
use strict;
use warnings;

use Errno qw(EAGAIN EBADF EEXIST ENOENT ECONNREFUSED ENAMETOOLONG EADDRINUSE EINVAL);
use Fcntl qw(F_GETFL O_NONBLOCK);
use Test::More;
use lib 't/lib';
use Helpers;

my $server  = \&AnyEvent::FDpasser::fdpasser_server;
my $accept  = \&AnyEvent::FDpasser::fdpasser_accept;
my $connect = \&AnyEvent::FDpasser::fdpasser_connect;

my $dir  = temp_dir();
my $path = "$dir/socket";

sub blocking { return !(fcntl($_[0], F_GETFL, 0) & O_NONBLOCK) }

# Two handles are connected if each receives what the other sends.
sub connected {
    my ($x, $y, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $fh = numbered(5);
    my @got;
    for ([ $x, $y ], [ $y, $x ]) {
        AnyEvent::FDpasser::send_fd(fileno $_->[0], fileno $fh) == 1 or return fail "$name: $!";
        push @got, raw_recv_number($_->[1]);
    }
    return is_deeply \@got, [ 5, 5 ], $name;
}

sub dies_with {
    my ($code, $errno, $path, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $before = open_fds();
    my @result = eval { $code->() };
    my ($error, $number) = ($@, $! + 0);
    local $! = $errno;
    subtest $name => sub {
        is scalar @result, 0, 'it dies';
        like $error, qr/\Q$path\E/, 'the message has the path';
        like $error, qr/\Q$!\E/, 'the message has the reason';
        like $error, qr/ at \Q$0\E line \d/, 'the message has the caller\'s line';
        is $number, $errno, '$! is the reason';
        is open_fds(), $before, 'no descriptor is leaked';
    };
}

# --- socketpair
{
    my @pair = AnyEvent::FDpasser::fdpasser_socketpair();
    is scalar @pair, 2, 'socketpair returns two handles';
    is ref $_, 'GLOB', 'each is a plain handle' for @pair;
    ok blocking($_), 'each is in blocking mode' for @pair;
    connected(@pair, 'the two are connected');
}

# --- server, connect, accept
{
    my $listener = $server->($path);
    ok is_server($path), 'the server\'s node is there';
    ok blocking($listener), 'the listener is in blocking mode';
    my $client = $connect->($path);
    my $served = $accept->($listener);
    ok blocking($_), 'the connection is in blocking mode' for $client, $served;
    connected($client, $served, 'client and server are connected');

    AnyEvent::Util::fh_nonblocking($listener, 1);
    is $accept->($listener), undef, 'a non-blocking accept returns undef when nobody connects';
    is $! + 0, EAGAIN, '$! is EAGAIN';
    is_deeply [ $accept->($listener) ], [undef], 'it returns undef in list context too';

    my @client = map { $connect->($path) } 1 .. 10;
    my @served = map { $accept->($listener) } @client;
    connected($client[$_], $served[$_], "client $_ of ten waiting clients") for 0, 9;

    close $listener;
    ok is_server($path), 'the node stays when the listener is closed';
    dies_with(sub { $connect->($path) }, ECONNREFUSED, $path, 'connect to a socket without a server');
}

# --- a new server takes over
{
    my $old = $server->($path);
    my $new = $server->($path, 5);
    ok is_server($path), 'a live socket is replaced';
    AnyEvent::Util::fh_nonblocking($_, 1) for $old, $new;
    my $client = $connect->($path);
    is $accept->($old), undef, 'a new client does not reach the old server';
    my $served = $accept->($new);
    connected($client, $served, 'a new client reaches the new server');
    is_deeply entries($dir), ['socket'], 'nothing else is left in the directory';
    unlink $path;
}

# --- backlog
{
    my $listener = $server->($path, 1);
    my $pid = in_child {
        # The backlog has room for one or two. The third client has to wait until somebody accepts.
        my @client = map { $connect->($path) } 1 .. 6;
        return @client == 6;
    };
    my @served = map { $accept->($listener) } 1 .. 6;
    is scalar(grep { defined } @served), 6, 'all clients are accepted, although the backlog is short';
    child_ok($pid, 'no client had an error');
    close $listener;
    unlink $path;

    SKIP: {
        skip 'a SysV listener has no backlog', 4 if sysv();
        skip 'no ss(8) to see the backlog with', 4 if !`sh -c 'command -v ss'`;
        for ([ 0, 10 ], [ 7, 7 ], [ -1, 10 ], [ undef, 10 ]) {
            my $listener = $server->($path, defined $_->[0] ? $_->[0] : ());
            my ($line) = grep { /\Q$dir\E/ } `ss -xlH`;
            is((split ' ', $line)[3], $_->[1], 'the backlog is right when it is ' . (defined $_->[0] ? $_->[0] : 'not given'));
            close $listener;
            unlink $path;
        }
    }
}

# --- a server leaves other files alone
{
    open my $file, '>', $path or die $!;
    print $file "precious\n";
    close $file;
    dies_with(sub { $server->($path) }, EEXIST, $path, 'a regular file at the path');
    open $file, '<', $path or die $!;
    is <$file>, "precious\n", 'the file is as it was';
    close $file;
    unlink $path;

    mkdir $path or die $!;
    dies_with(sub { $server->($path) }, EEXIST, $path, 'a directory at the path');
    ok -d $path, 'the directory is there';
    rmdir $path;

    is_deeply entries($dir), [], 'nothing is left in the directory';
}

# --- errors
dies_with(sub { $server->("$dir/no/such") },  ENOENT, "$dir/no/such", 'server in a directory that does not exist');
dies_with(sub { $connect->("$dir/nothing") }, ENOENT, "$dir/nothing", 'connect to a path that does not exist');
for my $code ($server, $connect) {
    my $long = "$dir/" . 'x' x (sysv() ? 300 : 200);    # too long for a file name, or for a socket's path
    dies_with(sub { $code->($long) }, ENAMETOOLONG, $long, 'a path that is too long');
    dies_with(sub { $code->("$dir/a\0b") }, EINVAL, "$dir/a", 'a path with a NUL inside');
    dies_with(sub { $code->('') }, ENOENT, '', 'an empty path');
}
{
    is_deeply entries($dir), [], 'no failure left anything in the directory';
}
{
    my @warnings;
    local $SIG{__WARN__} = sub { push @warnings, @_ };
    my ($x) = AnyEvent::FDpasser::fdpasser_socketpair();
    open my $file, '<', $0 or die $!;
    open my $closed, '<', $0 or die $!;
    close $closed;
    open my $memory, '<', \'x' or die $!;
    AnyEvent::Util::fh_nonblocking($x, 1);    # on SysV accept would wait at a stream
    for ([ 'a regular file', $file ], [ 'a connected socket', $x ]) {
        is $accept->($_->[1]), undef, "accept returns undef for $_->[0]";
        isnt $! + 0, 0, 'and sets $!';
    }
    for ([ 'closed', $closed ], [ 'in memory', $memory ], [ 'undef', undef ]) {
        $! = 0;
        ok eval { !defined $accept->($_->[1]) }, "accept returns undef for a handle without a descriptor: $_->[0]" or diag $@;
        is $! + 0, EBADF, '$! is EBADF';
    }
    is_deeply \@warnings, [], 'there are no warnings';
}

# --- abstract addresses
SKIP: {
    skip 'only Linux has abstract addresses', 6 if $^O ne 'linux';
    skip 'STREAMS have no abstract addresses', 6 if sysv();
    my $name     = "\0fdpasser-test-$$-" . rand;
    my $listener = $server->($name);
    my $client   = $connect->($name);
    my $served   = $accept->($listener);
    connected($client, $served, 'the abstract address connects the two');
    dies_with(sub { $server->($name) }, EADDRINUSE, substr($name, 1), 'an abstract address in use');
    close $listener;
    dies_with(sub { $connect->($name) }, ECONNREFUSED, substr($name, 1), 'an abstract address where nobody listens any more');
    my $odd = "$name\0with\0NULs";
    $listener = $server->($odd);
    ok $connect->($odd), 'an abstract address may have NULs inside';
    ok !eval { $connect->("$name\0with"); 1 }, 'the part after a NUL counts';
}

# --- a path with bytes above 127
{
    my $bytes = "$dir/caf\xc3\xa9";
    my $listener = $server->($bytes);
    ok is_server($bytes), 'the node has the path of bytes';
    ok $connect->($bytes), 'a client connects to it';
    unlink $bytes;
}

# --- a signal handler that dies between the system call and the next statement
{
    local $SIG{USR1} = sub { die "signal\n" };
    my $listener = $server->($path);
    my $client   = $connect->($path);
    my $node     = "$dir/other";
    for (
        [ _accept      => sub { $accept->($listener) } ],
        [ _connect     => sub { $connect->($path) } ],
        [ _pair        => sub { AnyEvent::FDpasser::fdpasser_socketpair() } ],
        [ _pair        => sub { AnyEvent::FDpasser->new } ],
        [ _server      => sub { $server->($node) } ],
        [ _server_with => sub { $server->($node, 0, mode => 0600) } ],
      )
    {
        my ($function, $code) = @$_;
        my $before = open_fds();
        my $signal = signal_during($function);
        ok !eval { my @handles = $code->(); 1 }, "a signal handler dies during $function";
        is $@, "signal\n", 'and its exception arrives';
        is open_fds(), $before, 'no descriptor is leaked';
    }
    unlink $path, $node;
}
done_testing;

# SPDX-License-Identifier: MIT OR Apache-2.0
# The documentation's recipe for moving an AnyEvent::Handle to another process, as it stands there: the bytes that one
# process has read and those that the other one reads are what the client has written, in order.
use strict;
use warnings;
use lib 't/lib';
use Loops;

use AnyEvent::Handle;
use IO::Socket::INET;
use Test::More;
use Helpers;

if (sysv()) {
    plan skip_all => 'STREAMS have no data';
    exit;
}

# --- the recipe

my $pod = do {
    local $/;
    open my $fh, '<', $INC{'AnyEvent/FDpasser.pm'} or die "$INC{'AnyEvent/FDpasser.pm'}: $!";
    readline $fh;
};
my ($recipe) = $pod =~ /^=head2 Moving an AnyEvent::Handle\n(.*?)^=head2 /ms;
my @function = $recipe =~ /^(    (?:use|sub) .*?)^(?=\S)/msg;
is scalar @function, 2, 'the documentation has the two functions';
eval "use strict; use warnings; @function; 1" or die $@;
my ($sizes) = $recipe =~ /C<< (read_size => \d+, max_read_size => \d+) >>/ or die 'no sizes in the recipe';
my %sizes = split /, | => /, $sizes;

# --- the other process

# A child that receives handles, and answers each client with all that it reads from the handle. It reads a line first,
# then all up to the end. The line must be there at once if $at_once says so.
sub start_child {
    my ($passer, $handles) = @_;
    return in_child {
        $passer->i_am_child;
        my ($left, %open) = $handles;
        my $next;
        $next = sub {
            my ($handle) = @_;
            $open{$handle} = $handle;
            my $all = '';
            $handle->on_error(sub { $all .= "error: $_[2]"; $left-- });
            $handle->on_eof(sub {
                my ($handle) = @_;
                $handle->push_write("all: $all");
                $handle->on_drain(sub { delete $open{ $_[0] }; $_[0]->destroy; $left-- });
            });
            $handle->push_read(line => sub {
                my ($handle, $line, $end) = @_;
                $handle->push_write("line: $line\n");
                $all = $line . $end;
                $handle->on_read(sub { $all .= $_[0]{rbuf}; $_[0]{rbuf} = '' });
            });
        };
        receive_handle($passer, $next) for 1 .. $handles;
        wait_for { !$left } 'the handles';
        return 1;
    };
}

my $listener = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1') or die "listen: $@";

# A TCP connection: the client's handle, and ours. The client's is in blocking mode, and a read ends after a minute.
sub connection {
    my $client = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $listener->sockport) or die "connect: $@";
    my $server = $listener->accept or die "accept: $!";
    return ($client, $server);
}

sub write_all {
    my ($fh, $bytes) = @_;
    syswrite($fh, $bytes) == length $bytes or die "write: $!";
}

# Reads from the client's handle without blocking the loop, up to what matches.
sub comes {
    my ($client, $expected) = @_;
    my $got = '';
    my $watcher;
    $watcher = AE::io $client, 0, sub {
        return if sysread $client, $got, 65536, length $got;
        $got .= '(end)';
        undef $watcher;
    };
    wait_for { $got =~ $expected || !$watcher } 'the answer';
    undef $watcher;    # it refers to itself
    return $got;
}

# Reads until at least so many bytes are in rbuf, and nothing of them is used.
sub fill_rbuf {
    my ($handle, $length) = @_;
    my $filled;
    $handle->push_read(sub { $filled = length($_[0]{rbuf} // '') >= $length });
    wait_for { $filled };
}

# --- moves

# All bytes are different at every place, so that a shift, a gap or a change of order shows.
my $TEXT = join '', map { pack('v', $_ * 31) =~ tr/\n/\0/r } 1 .. 50000;

# [ what, bytes in rbuf, bytes written before the push, after the push, after the move, whether the client is done before it ]
my @move = (
    [ 'nothing was read',              0,    0,     0,     100 ],
    [ 'a byte was read',               1,    0,     0,     100 ],
    [ 'more arrives before the push',  100,  2000,  0,     0 ],
    [ 'more arrives after the push',   100,  0,     2000,  0 ],
    [ 'more arrives after the move',   100,  0,     0,     2000 ],
    [ 'more arrives all the time',     3000, 20000, 20000, 20000 ],
    [ 'rbuf is as long as it may be',  4096, 30,    40,    50 ],
    [ 'everything was read',           2048, 0,     0,     0 ],
    [ 'the client is done',            1000, 3000,  0,     0, 1 ],
);
{
    my $passer = AnyEvent::FDpasser->new;
    my $child  = start_child($passer, scalar @move);
    $passer->i_am_parent;
    for (@move) {
        my ($what, $read, $before, $after, $later, $done) = @$_;
        my ($client, $server) = connection();
        my $handle = AnyEvent::Handle->new(fh => $server, %sizes);
        undef $server;

        # The first line is ours. The child's line ends with the first byte that it gets from the socket, or is in rbuf.
        my $at_once = !$before && !$after && !$later;
        my $rest    = substr $TEXT, 0, $read + $before + $after + $later;
        substr($rest, $at_once ? $read - 9 : $read, 1) = "\n";
        my $part = sub { my ($n) = @_; my $from = $_[1]; write_all($client, substr $rest, $from, $n) if $n };
        my $line;
        write_all($client, "ours\n");
        $handle->push_read(line => sub { $line = $_[1] });
        wait_for { $line };
        $part->($read, 0);
        fill_rbuf($handle, $read) if $read;
        is length($handle->{rbuf} // ''), $read, "$what: rbuf has what it should";

        $part->($before, $read);
        shutdown $client, 1 if $done;
        send_handle($passer, $handle);
        ok $handle->destroyed, '... the handle is gone';
        $part->($after, $read + $before);
        wait_for { !$passer->{send_queue} } 'the move';
        $part->($later, $read + $before + $after);

        my ($first, $others) = split /(?<=\n)/, $rest, 2;
        my $got = $done ? '' : comes($client, qr/\n/);
        is $got, "line: $first", '... the other process uses it before the client is done' if !$done;
        shutdown $client, 1;
        ok $got . comes($client, qr/\(end\)\z/) eq "line: ${first}all: $rest(end)", '... and gets everything, in order';
    }
    child_ok($child, 'the other process is content');
}

# --- many at once, with pieces of any length

{
    my $passer = AnyEvent::FDpasser->new;
    my $many   = 30;
    my $child  = start_child($passer, $many);
    $passer->i_am_parent;
    my (@client, $moved);
    for my $i (1 .. $many) {
        my ($client, $server) = connection();
        my $rest   = substr($TEXT, $i * 100, $i * 300) . "\n";
        my $handle = AnyEvent::Handle->new(fh => $server, %sizes);
        $handle->on_read(sub { send_handle($passer, $_[0]); $moved++ });
        push @client, { fh => $client, rest => $rest, left => $rest, handle => $handle };
    }
    srand 13;
    while (my @busy = grep { length $_->{left} } @client) {
        for (@busy) {
            write_all($_->{fh}, my $piece = substr $_->{left}, 0, 1 + int rand 10_000);
            substr $_->{left}, 0, length $piece, '';
        }
        ticks(1);
    }
    wait_for { $moved == $many && !$passer->{send_queue} };
    my $wrong = 0;
    for (@client) {
        shutdown $_->{fh}, 1;
        my $got = comes($_->{fh}, qr/\(end\)\z/);
        $wrong++ if $got !~ /\Aline: [^\n]*\nall: \Q$_->{rest}\E\(end\)\z/;
    }
    is $wrong, 0, 'many clients that write all the time';
    child_ok($child, 'the other process is content');
}

# --- what cannot be moved stays as it was

sub refused {
    my ($what, $expected, $handle, $passer) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    ok !eval { send_handle($passer, $handle); 1 }, "$what: it is refused";
    like $@, $expected, '... with a clear error';
    is $passer->{send_queue}, undef, '... nothing is queued';
}

{
    my ($x, $y) = passers();
    my ($client, $server) = connection();
    my $handle = AnyEvent::Handle->new(fh => $server, on_error => sub { });
    write_all($client, substr $TEXT, 0, 4097);
    fill_rbuf($handle, 4097);
    refused('4097 bytes in rbuf', qr/^push_send_message: 4097 bytes of data, and a message has at most 4096 at /, $handle, $x);
    ok $handle->{rbuf} eq substr($TEXT, 0, 4097), '... and still there';
    substr $handle->{rbuf}, 0, 4096, '';
    $handle->{rbuf} = "\0";
    refused('one NUL in rbuf', qr/^cannot move the handle: it has read nothing but a NUL byte$/, $handle, $x);
    $handle->{rbuf} = '';

    my $big = 'x' x 20_000_000;
    $handle->push_write($big);
    cmp_ok length $handle->{wbuf}, '>', 0, 'not everything was written';
    refused('wbuf is not empty', qr/^cannot move the handle: not everything is written$/, $handle, $x);

    # As the documentation says, it can be moved from on_drain.
    my ($got, $moved) = 0;
    my $reader = AE::io $client, 0, sub { $got += sysread $client, my $buffer, 1 << 20 };
    $handle->on_drain(sub { send_handle($x, $_[0]) });
    receive_handle($y, sub { $moved = shift });
    wait_for { $moved && $got == length $big };
    pass 'on_drain is the time to move it';
    refused('a handle that was moved', qr/^cannot move the handle: it has no socket$/, $handle, $x);

    my $dead = AnyEvent::FDpasser->new(fh => (AnyEvent::FDpasser::fdpasser_socketpair())[0]);
    $dead->error('stop');
    ok !eval { send_handle($dead, $moved); 1 }, 'the passer is dead';
    like $@, qr/^passer object is in error_state: stop/, '... which is said';
    ok !$moved->destroyed, '... and the handle lives';
}
SKIP: {
    skip 'Net::SSLeay is not installed', 3 if !eval { require Net::SSLeay };
    my ($x) = passers();
    my ($client, $server) = connection();
    my $handle = AnyEvent::Handle->new(fh => $server, tls => 'connect', on_error => sub { });
    refused('TLS', qr/^cannot move the handle: it uses TLS$/, $handle, $x);
    $handle->destroy;
}

done_testing;

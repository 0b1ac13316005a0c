# SPDX-License-Identifier: MIT OR Apache-2.0
# A received handle has the same properties as the handle of `open my $fh, '+<&=', $fd`.
use strict;
use warnings;
use lib 't/lib';
use Loops qw(Perl);

use B ();
use Errno qw(EBADF);
use Fcntl qw(:DEFAULT F_GETFL F_GETFD);
use IO::Handle;
use PerlIO ();
use POSIX qw(mkfifo);
use Scalar::Util qw(reftype blessed);
use Socket;
use Test::More;
use Helpers;

# The handle that Perl itself makes.
sub like_this {
    my ($fd) = @_;
    open my $fh, '+<&=', $fd or die $!;
    return $fh;
}

use open ':utf8';    # applies to the handles that are opened below

my ($x, $y) = passers();

sub arrives { return pass_over($x, $y, @_) }

sub properties {
    my ($fh) = @_;
    my $flags = fcntl $fh, F_GETFL, 0;
    return {
        ref     => ref $fh,
        reftype => reftype $fh,
        blessed => blessed $fh,
        tied    => ref tied *$fh,
        in      => [ PerlIO::get_layers($fh) ],
        out     => [ PerlIO::get_layers($fh, output => 1) ],
        detail  => [ map { defined ? $_ : 'undef' } PerlIO::get_layers($fh, details => 1) ],
        type    => B::svref_2object(*$fh{IO})->IoTYPE,
        io      => ref *$fh{IO},
        flags   => 0 + $flags,
        cloexec => 0 + fcntl($fh, F_GETFD, 0),
        file    => join(':', (stat $fh)[ 0, 1, 2, 6 ]),
        tell    => tell $fh,
        fileops => join(':', map { $_ ? 1 : 0 } -S $fh, -p _, -f _, -d _, -c _, -t $fh),
        buffers => buffers_of($fh),
    };
}

# Whether reading and writing share a buffer.
sub buffers_of {
    my ($fh) = @_;
    my ($in, $out) = map { my %arg = @$_; join ',', map { defined ? $_ : 'undef' } PerlIO::get_layers($fh, details => 1, %arg) }
      [], [ output => 1 ];
    return $in eq $out ? 'one' : 'two';
}

my $dir = temp_dir();
open my $plain, '+>', "$dir/plain" or die $!;
open my $append, '>>', "$dir/append" or die $!;
pipe my $r, my $w or die $!;
socketpair my $s, my $s2, AF_UNIX, SOCK_STREAM, PF_UNSPEC or die $!;
socketpair my $d, my $d2, AF_UNIX, SOCK_DGRAM, PF_UNSPEC or die $!;
socket my $tcp, PF_INET, SOCK_STREAM, 0 or die $!;
sysopen my $directory, '/', O_RDONLY or die $!;
sysopen my $read_only, $0, O_RDONLY or die $!;
sysopen my $nonblocking, "$dir/plain", O_RDWR | O_NONBLOCK or die $!;
sysopen my $everything, "$dir/plain", O_RDWR | O_APPEND | O_NONBLOCK or die $!;
my @kinds = (
    [ 'a file'                       => $plain ],
    [ 'a file for appending'         => $append ],
    [ 'a file for reading'           => $read_only ],
    [ 'O_NONBLOCK'                   => $nonblocking ],
    [ 'O_NONBLOCK and O_APPEND'      => $everything ],
    [ 'the reading end of a pipe'    => $r ],
    [ 'the writing end of a pipe'    => $w ],
    [ 'a stream socket'              => $s ],
    [ 'a datagram socket'            => $d ],
    [ 'a TCP socket, not connected'  => $tcp ],
    [ 'a directory'                  => $directory ],
);
sysopen my $offset, $0, O_RDONLY or die $!;
sysseek $offset, 100, 0;
sysopen my $device, '/dev/null', O_RDWR or die $!;
mkfifo("$dir/fifo", 0600) or die $!;
sysopen my $fifo, "$dir/fifo", O_RDWR or die $!;
push @kinds, [ 'a file that is not at its beginning' => $offset ], [ 'a device' => $device ], [ 'a named pipe' => $fifo ];
SKIP: {
    sysopen my $tty, '/dev/ptmx', O_RDWR | O_NOCTTY or skip "no terminal: /dev/ptmx: $!", 1;
    push @kinds, [ 'a terminal' => $tty ];
    # TIOCSPTLCK, TIOCGPTN: the other side of the terminal
    my ($unlocked, $number) = (pack('i', 0), pack 'i', 0);
    if ($^O eq 'linux' && ioctl($tty, 0x40045431, $unlocked) && ioctl($tty, 0x80045430, $number)) {
        sysopen my $slave, '/dev/pts/' . unpack('i', $number), O_RDWR | O_NOCTTY or last SKIP;
        push @kinds, [ 'the other side of a terminal' => $slave ];
    }
}

for (@kinds) {
    my ($name, $fh) = @$_;
    my $got = arrives($fh);
    is_deeply properties($got), properties(like_this(POSIX::dup(fileno $fh))), $name;
    is fcntl($got, F_GETFL, 0) + 0, fcntl($fh, F_GETFL, 0) + 0, '... the flags are the sender\'s';
    is ref $got, 'GLOB', '... it is a plain GLOB';
    is_deeply [ (PerlIO::get_layers($got))[ 0, 1 ] ], [qw(unix perlio)], '... the layers are unix and perlio';
    is !!B::svref_2object(*$got{IO})->IoTYPE, 1, '... it has an IoTYPE';
    is -t $got || 0, -t $fh || 0, '... -t is the same';
    cmp_ok fileno $got, '>', 2, '... it does not take the place of a standard handle';

    # There is one close(2). A number that is in use again is not closed a second time.
    my $fd = fileno $got;
    ok close $got, '... close succeeds';
    ok !is_open($fd), '... and closes the descriptor';
    POSIX::dup2(fileno $plain, $fd);
    undef $got;
    ok is_open($fd), '... once';
    POSIX::close($fd);
}

{
    my $got = arrives($s);
    is B::svref_2object(*$got{IO})->IoTYPE, 's', 'the IoTYPE of a socket is s';
    ok getpeername $got, 'getpeername works';
    print $got "out\n";
    binmode $_ for $s, $s2;
    syswrite $s2, "in\nand more\n";
    $got->flush;
    is scalar <$got>, "in\n", 'the socket reads';
    is scalar <$s2>, "out\n", 'the socket writes';
    print $got "second\n";
    is scalar <$got>, "and more\n", 'unwritten data does not get in the way of reading';
    $got->flush;
    is scalar <$s2>, "second\n", 'the unwritten data arrives after a flush';
    ok shutdown($got, 1), 'shutdown works';
    is sysread($s2, my $byte, 1), 0, 'the peer sees the shutdown';
    my $fd = fileno $got;
    undef $got;
    ok !is_open($fd), 'the descriptor is closed with the last reference';
}
{
    my $got = arrives($plain);
    is B::svref_2object(*$got{IO})->IoTYPE, '+', 'the IoTYPE of a file is +';
    print $got "\xe9\n";
    close $got;
    is -s "$dir/plain", 2, 'there is no encoding layer';
}

# The system calls for one handle.
SKIP: {
    skip 'STREAMS need other system calls', 3 if sysv();
    skip 'strace is not installed', 3 if !`sh -c 'command -v strace'`;
    my $trace = "$dir/trace";
    my $program = <<'PERL';
use AnyEvent::FDpasser; use Socket; use POSIX ();
my ($p, $q) = AnyEvent::FDpasser::fdpasser_socketpair();
socketpair my $s, my $t, AF_UNIX, SOCK_STREAM, 0;
open my $f, '<', '/dev/null';
my ($x, $y) = map { AnyEvent::FDpasser->new(fh => $_) } $p, $q;
pipe my $r, my $w;
for my $fh ($s, $f, $r) {
    my ($cv, $fd) = AE::cv();
    $x->push_send_fh($fh);
    $y->push_recv_fh(sub { my $got = shift; $fd = fileno $got; POSIX::access("/mark-open-$fd", 0); $cv->send });
    $cv->recv;
    POSIX::access("/mark-closed-$fd", 0);
}
PERL
    my $status = system 'strace', '-qq', '-o', $trace, $^X, (map { "-I$_" } grep { !ref } @INC), '-e', $program;
    skip 'strace does not work here', 3 if $status || !-s $trace;
    open my $fh, '<', $trace or die $!;
    my ($fd, @closes, @calls, @since);
    for (<$fh>) {
        if (/mark-open-(\d+)/) {
            $fd = $1;
            push @closes, 0;
            # All calls about this descriptor since it was received.
            my ($received) = grep { $since[$_] =~ /^recvmsg.*cmsg_data=\[$fd\]/ } 0 .. $#since;
            push @calls, [ map { /^(\w+)\($fd[,)]/ && $1 =~ /stat/ ? 'stat' : /^(\w+)\($fd[,)]/ ? $1 : () } @since[ $received + 1 .. $#since ] ]
              if defined $received;
            @since = ();
        }
        elsif (/mark-closed/) { undef $fd }
        elsif (defined $fd && /^close\($fd\)/) { $closes[-1]++ }
        push @since, $_;
    }
    is_deeply \@closes, [ 1, 1, 1 ], 'close(2) is called once for a socket, once for a file and once for a pipe';
    skip 'the descriptors do not come by recvmsg', 2 if @calls != 3;
    is_deeply $calls[0], ['stat'], 'a socket needs one fstat';
    is_deeply $calls[2], ['stat'], 'a pipe needs one fstat';
}
done_testing;

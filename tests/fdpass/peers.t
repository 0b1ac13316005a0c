#!/usr/bin/perl
# fdpass against other programs: Python's send_fds and recv_fds, IO::FDPass, and what runc sends.
#
# SPDX-License-Identifier: MIT OR Apache-2.0
use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/../lib";
use Examples;
use Fdpass;
use Files qw(spew);
use IO::Socket::UNIX;
use Skips qw(loudly);

spew($_, "$_\n") for qw(one two);

my $connect = <<'PYTHON';
import os, socket, sys, time
s = socket.socket(socket.AF_UNIX)
while True:
    try:
        s.connect("node")
        break
    except OSError:
        time.sleep(0.01)
PYTHON

my $report = 'echo "$LISTEN_FDNAMES"; cat <&3';

part 'Python sends' => sub {
    needs_python();
    for ([ q{b'\0'}, 'unknown' ], [ q{b'name'}, 'name' ]) {
        my ($data, $name) = @$_;
        my $receiver = start([ $fdpass, qw(recv -l -t 60) ], 'node', 'sh', '-c', $report);
        my $sender   = python("${connect}socket.send_fds(s, [$data], [os.open('one', os.O_RDONLY)])");
        is((status($receiver))[0], "$name\none\n", "send_fds with $data");
        is((status($sender))[1], 0, 'and Python is content');
    }
    # It does not end: the count ends it.
    my $receiver = start([ $fdpass, qw(recv -l -t 60 -n 2) ], 'node', 'sh', '-c', $report);
    my $sender   = python("${connect}fd = os.open('one', os.O_RDONLY)\nsocket.send_fds(s, [b'x'], [fd, fd])\ntime.sleep(60)");
    is((status($receiver))[0], "x:x\none\n", 'two in a message, and the connection stays open');
    stop($sender);
};

part 'Python receives' => sub {
    needs_python();
    my $receive = "${connect}data, fds, flags, address = socket.recv_fds(s, 4096, 10)\nprint(data, os.read(fds[0], 100))\n";
    my $receiver = python($receive);
    is((status(shell('exec fdpass send -l -t 60 node 5 5<one')))[1], 0, 'without a name');
    is((status($receiver))[0], "b'\\x00' b'one\\n'\n", 'recv_fds: the lone NUL');
    $receiver = python($receive);
    is((status(shell('exec fdpass send -l -t 60 node 5:name 5<one')))[1], 0, 'with a name');
    is((status($receiver))[0], "b'name' b'one\\n'\n", 'recv_fds: the name');

    # Whoever waits for such a receiver is content when it closes the connection and lives.
    $receiver = python("${receive}s.close()\ntime.sleep(60)");
    is((status(shell('exec fdpass send -w -l -t 60 node 5 5<one')))[1], 0, '--wait: it closes the connection and goes on');
    stop($receiver);
    $receiver = python("${receive}os._exit(0)");
    one_line('--wait: it ends', shell('exec fdpass send -w -l -t 60 node 5 5<one'), 125, 'the receiver has ended');
    status($receiver);
    $receiver = python("${connect}s.close()\ntime.sleep(60)");
    one_line('--wait: it does not take what was sent', shell('exec fdpass send -w -l -t 60 node 5 5<one'), 125, 'did not take everything|Broken pipe');
    stop($receiver);
};

# runc connects to the console socket of its caller, and sends the terminal with its name as data.
part "runc's form" => sub {
    needs_python();
    my $receiver = start([ $fdpass, qw(recv -l -t 60 -n 1 -e), "readable,writable" ], 'node', 'sh', '-c', 'echo "$LISTEN_FDNAMES"; tty <&3');
    my $sender   = python("${connect}ours, theirs = os.openpty()\nname = os.ttyname(theirs)\nsocket.send_fds(s, [name.encode()], [theirs])\nprint(name, flush=True)\ntime.sleep(60)");
    my $name     = said($sender, qr/(.*)/);
    is((status($receiver))[0], "$name\n$name\n", 'the terminal, and its name');
    stop($sender);
};

part 'IO::FDPass' => sub {
    plan skip_all => loudly('there is no IO::FDPass') if !eval { require IO::FDPass };
    my $perl = sub {
        my ($script) = @_;
        return start([ $^X, '-MIO::FDPass', '-MIO::Socket::UNIX', '-e' ], <<"PERL" . $script);
            my \$s;
            until (\$s = IO::Socket::UNIX->new(Peer => 'node')) { select undef, undef, undef, 0.01 }
PERL
    };
    my $receiver = start([ $fdpass, qw(recv -l -t 60) ], 'node', 'sh', '-c', $report);
    my $sender   = $perl->('open my $f, "<", "one"; IO::FDPass::send fileno $s, fileno $f or die $!');
    is((status($receiver))[0], "unknown\none\n", 'sends');
    is((status($sender))[1], 0, 'and is content');
    $receiver = $perl->('for (1, 2) { my $fd = IO::FDPass::recv fileno $s; $fd >= 0 or die $!; open my $f, "<&=", $fd; print readline $f }');
    is((status(shell('exec fdpass send -l -t 60 node 5 6 5<one 6<two')))[1], 0, 'what is sent to it');
    is((status($receiver))[0], "one\ntwo\n", 'it receives');
};

done_testing;

#!/usr/bin/perl
# What the command of `fdpass recv` finds: its descriptors in order, their names, and nothing else; and what is refused.
#
# SPDX-License-Identifier: MIT OR Apache-2.0
use strict;
use warnings;

use FindBin;
use POSIX ();
use Test::More;

use lib "$FindBin::Bin/../lib";
use Examples;
use Fdpass;
use Files qw(spew);

# Receives with these options, and says what the command finds.
my $report = 'echo "$LISTEN_FDS $LISTEN_FDNAMES $([ "$LISTEN_PID" = $$ ] && echo ours) ${LISTEN_PIDFDID-}"; n=3
    while [ $n -lt $((3 + LISTEN_FDS)) ] && [ $n -lt 10 ]; do cat <&$n; n=$((n + 1)); done; ' . $open_fds;

sub receiver { return start([ $fdpass, qw(recv -l -t 60) ], @_, 'node', 'sh', '-c', $report) }

sub sends {
    my ($what, $script) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is((status(shell("exec fdpass send -t 60 node $script")))[1], 0, $what);
    return;
}

sub finds {
    my ($what, $receiver, @lines) = @_;
    my ($output, $status) = status($receiver);
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is($status, 0, $what);
    is($output, join("\n", @lines, ''), "$what: what the command finds");
    return;
}

spew($_, "$_\n") for qw(one two three);

part 'descriptors, in order, and their names' => sub {
    my $receiver = receiver();
    sends('one', '3 3<one');
    finds('one', $receiver, '1 unknown ours ', 'one', '0 1 2 3 ');

    $receiver = receiver(qw(-n 3));
    sends('three', '7:seven 5 6:six 5<one 6<two 7<three');
    finds('three', $receiver, '3 seven:unknown:six ours ', qw(three one two), '0 1 2 3 4 5 ');

    $receiver = receiver();
    sends('one of them twice', '3:a 3:a 3<one');
    finds('one of them twice', $receiver, '2 a:a ours ', 'one', '0 1 2 3 4 ');

    my $longest = 'n' x 255;
    $receiver = receiver();
    sends('the longest name', "3:$longest '4: !~' 3<one 4<two");
    finds('the longest name', $receiver, "2 $longest: !~ ours ", qw(one two), '0 1 2 3 4 ');
};

part 'many' => sub {
    # None of them stays under the number that it was received with.
    my $receiver = receiver(qw(-n 30));
    sends('thirty', join(' ', ('3:x') x 30) . ' 3<one');
    finds('thirty', $receiver, '30 ' . join(':', ('x') x 30) . ' ours ', 'one', join(' ', 0 .. 32) . ' ');

    $receiver = shell('ulimit -n 40 && exec fdpass recv -l -t 60 node true');
    my $sender = shell('exec fdpass send -w -t 60 node ' . join(' ', (0) x 60));
    one_line('more than there are slots', $receiver, 125, 'Too many open files');
    isnt((status($sender))[1], 0, 'and the sender is told');

    $receiver = shell('ulimit -n 11 && exec fdpass recv -l -t 60 -n 6 node -- sh -c "echo \$LISTEN_FDS"');
    sends('just enough slots', '0 0 0 0 0 0');
    is((status($receiver))[0], "6\n", 'are enough');
};

part 'what was there before' => sub {
    # 3 and 4 are replaced, and 9 is as it was: it is not ours.
    my $receiver = shell("LISTEN_FDS=7 LISTEN_FDNAMES=old LISTEN_PIDFDID=1 exec fdpass recv -l -t 60 node sh -c \"\$1\" 3<one 4<one 9<one", $report);
    sends('two', '5 6 5<two 6<three');
    finds('two', $receiver, '2 unknown:unknown ours ', qw(two three), '0 1 2 3 4 9 ');
};

part 'the descriptor itself' => sub {
    my $receiver = start([ $fdpass, qw(recv -l -t 60 node perl -e) ], 'open my $in, "<&=3"; sysseek $in, 0, 1 and print sysseek $in, 0, 1');
    spew('long', 'x' x 1000);
    is((status(shell('exec 3<long; head -c 100 <&3 >/dev/null; exec fdpass send -t 60 node 3')))[1], 0, 'a file that was read');
    like((status($receiver))[0], qr/^\d+$/, 'has one position for both');
};

part '--expect' => sub {
    my %is = (
        '3<one'   => [qw(file readable)],
        '3<>one'  => [qw(file readable writable)],
        '3>>one'  => [qw(file writable)],
        '3<.'     => [qw(directory readable)],
        '3</dev/null' => [qw(readable)],
    );
    my @kinds = qw(socket stream datagram packet listening local internet pipe file directory readable writable sealed);
    for my $how (sort keys %is) {
        my %true = map { $_ => 1 } @{ $is{$how} };
        my $receiver = start([ $fdpass, qw(recv -l -t 60) ], (map { (-e => $_) } sort keys %true), 'node', 'true');
        sends("$how: @{ $is{$how} }", "3 $how");
        is((status($receiver))[1], 0, 'is taken');
        for my $kind (grep { !$true{$_} } @kinds) {
            $receiver = start([ $fdpass, qw(recv -l -t 60 -e), join(',', $kind, keys %true), 'node', 'true' ]);
            sends("$how: not $kind", "3:it $how");
            one_line("$how: not $kind", $receiver, 123, "it is not $kind");
        }
    }
    my $receiver = start([ $fdpass, qw(recv -l -t 60 -e file node true) ]);
    sends('one of two', '3:good 4:bad 3<one 4<.');
    one_line('one of two', $receiver, 123, 'bad is not file');
};

# What can only come from another program.
part 'hostile data' => sub {
    needs_python();
    my $script = <<'PYTHON';
import os, socket, sys
s = socket.socket(socket.AF_UNIX)
while True:
    try:
        s.connect("node")
        break
    except OSError:
        pass
fd = os.open("one", os.O_RDONLY)
for data, count in eval(sys.argv[1]):
    socket.send_fds(s, [data], [fd] * count) if count else s.sendall(data)
s.shutdown(socket.SHUT_WR)
PYTHON
    for (
        [ 'a colon',              q{[(b'a:b', 1)]},                 qr/no name/ ],
        [ 'a newline',            q{[(b'a\n', 1)]},                 qr/no name/ ],
        [ 'an escape',            q{[(b'\x1b[2J', 1)]},             qr/no name/ ],
        [ 'a NUL inside',         q{[(b'a\0', 1)]},                 qr/no name/ ],
        [ 'two NULs',             q{[(b'\0\0', 1)]},                qr/no name/ ],
        [ 'DEL',                  q{[(b'\x7f', 1)]},                qr/no name/ ],
        [ 'not ASCII',            q{[(b'\xc3\xa4', 1)]},            qr/no name/ ],
        [ '256 characters',       q{[(b'n' * 256, 1)]},             qr/no name/ ],
        [ '4096 characters',      q{[(b'n' * 4096, 1)]},            qr/no name/ ],
        [ 'the second one',       q{[(b'a', 1), (b':', 1)]},        qr/no name/ ],
        [ 'no descriptor',        q{[(b'a', 0)]},                   qr/without a descriptor/ ],
        [ "multiprocessing's",    q{[(b'\1', 1)]},                  qr/no name/ ],
        [ 'too many in one',      q{[(b'a', 3)]},                   qr/too many/, '-n2' ],
      )
    {
        my ($what, $messages, $says, @options) = @$_;
        my $receiver = start([ $fdpass, qw(recv -l -t 60) ], @options, qw(node echo run));
        my $sender = python($script, $messages);
        one_line($what, $receiver, 123, $says);
        status($sender);
    }
    my $receiver = start([ $fdpass, qw(recv -l -t 60 node echo run) ]);
    my $sender   = python($script, q{[(b'n' * 5000, 1)]});
    one_line('more than a message may have', $receiver, 125, 'Message too long');
    status($sender);

    $receiver = receiver();
    $sender   = python($script, q{[(b'\0', 1), (b'both', 2), (b'n', 1)]});
    finds('several in a message have its name', $receiver, '4 unknown:both:both:n ours ', 'one', '0 1 2 3 4 5 6 ');
    status($sender);
};

done_testing;

#!/usr/bin/perl
# fdpass(1) as a program among others: its options, its exit statuses and messages, and the surroundings that it works in.
#
# SPDX-License-Identifier: MIT OR Apache-2.0
use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/../lib";
use Examples;
use Fdpass;
use File::Path qw(make_path);
use Files qw($root slurp spew);
use Skips qw(loudly);

part 'help and version' => sub {
    my ($help, $status) = run([$fdpass], '--help');
    is($status, 0, '--help');
    is_deeply([ grep { length > 80 } split /\n/, $help ], [], 'fits a terminal');
    is((run([$fdpass], @$_))[0], $help, "@$_") for ['-h'], [qw(send --help)], [qw(recv -h)];
    my ($version) = slurp("$root/Cargo.toml") =~ /^version = "(.*)"/m;
    is((run([$fdpass], $_))[0], "fdpass $version\n", $_) for qw(-V --version);
    one_line('standard output is full', shell('fdpass --help >/dev/full'), 125, 'standard output: No space left');
    is((run([ 'sh', '-c', 'fdpass --help >&-' ]))[1] & 127, 0, 'closed standard output kills nobody');

    my $manual     = slurp("$root/man/fdpass.1") =~ s/\\f.//gr =~ s/\\-/-/gr;
    my $completion = slurp("$root/completions/fdpass.bash");
    my @long       = $help =~ /(--[a-z][a-z-]+)/g;
    cmp_ok(@long, '>=', 8, 'there are options');
    for my $option (@long) {
        like($manual,     qr/^\.B[RI].* $option\b/m, "fdpass(1) has $option");
        like($completion, qr/\Q$option\E\b/,         "the completion has $option");
    }
    my ($kinds) = $help =~ /this: (.*?)\n  -h/s;
    for my $kind ($kinds =~ /(\w+)/g) {
        like($manual,     qr/\b$kind\b/, "fdpass(1) has the kind $kind");
        like($completion, qr/\b$kind\b/, "the completion has the kind $kind");
    }
    like($manual, qr/^\.B $_$/m, "fdpass(1) has the status $_") for 0, $help =~ /\b(12\d)\b/g;
};

part 'a wrong command line' => sub {
    for (
        [ qr/send or recv/ ],
        [ qr/send or recv, not serve/, 'serve' ],
        [ qr/there is no NODE/,        'send' ],
        [ qr/there is no NODE/,        qw(recv --listen) ],
        [ qr/there is no COMMAND/,     qw(recv node) ],
        [ qr/there is no COMMAND/,     qw(recv node --) ],
        [ qr/--wait/,                  qw(recv --wait node true) ],
        [ qr/--count/,                 qw(send --count 1 node) ],
        [ qr/--expect/,                qw(send --expect pipe node) ],
        [ qr/--nonsense/,              qw(send --nonsense node) ],
        [ qr/unknown kind fifo/,       qw(recv --expect fifo node true) ],
        [ qr/unknown kind /,           'recv', '--expect', 'pipe,', 'node', 'true' ],
        [ qr/is no count/,             qw(recv -n 0 node true) ],
        [ qr/is no count/,             qw(recv -n -1 node true) ],
        [ qr/is no time/,              qw(recv -t -1 node true) ],
        [ qr/is no time/,              qw(recv -t nan node true) ],
        [ qr/is no time/,              qw(recv -t -inf node true) ],
        [ qr/is no time/,              qw(send -t -1e300 node) ],
        [ qr/is no time/,              'send', '-t', '', 'node' ],
        [ qr/is no time/,              qw(recv -t soon node true) ],
        [ qr/uid|number|digit/,        qw(recv -u nobody node true) ],
        [ qr/stdin is no descriptor/,  qw(send node stdin) ],
        [ qr/is no descriptor/,        qw(send node -- -1) ],
        [ qr/is no descriptor/,        qw(send node 4294967296) ],
        [ qr/is no descriptor/,        'send', 'node', '' ],
        [ qr/0:: a name/,              qw(send node 0:) ],
        [ qr/a name/,                  qw(send node 0:a:b) ],
        [ qr/a name/,                  'send', 'node', "0:a\nb" ],
        [ qr/a name/,                  'send', 'node', "0:\xe4" ],
        [ qr/a name/,                  'send', 'node', '0:' . 'n' x 256 ],
      )
    {
        my ($says, @args) = @$_;
        one_line(join(' ', 'fdpass', map { s/\W/?/gr } substr "@args", 0, 40), start([$fdpass], @args), 125, $says);
    }
};

part 'any number of seconds is a time' => sub {
    one_line("$_ seconds", start([$fdpass], qw(recv -l -t), $_, qw(node true)), 124, 'node: timed out') for qw(0 1e-300 1e-9 0.001);
    my @long = qw(1e6 1e9 1e10 1e13 1e15 1e18 1e19 1e20 1e300 1e999 inf);
    # These wait for their nodes.
    my %receiver = map { $_ => start([$fdpass], qw(recv -t), $_, "node-$_", qw(sleep 2)) } @long;
    my %sender   = map { $_ => start([$fdpass], qw(send -l -w -t), $_, "node-$_") } @long;
    for my $time (@long) {
        is_deeply([ status($sender{$time}) ],   [ '', 0 ], "$time seconds: send");
        is_deeply([ status($receiver{$time}) ], [ '', 0 ], "$time seconds: recv");
    }
};

part 'exit statuses' => sub {
    one_line('send: no node',           start([$fdpass], qw(send node)),                 125, 'node: No such file or directory');
    one_line('recv: no node',           start([$fdpass], qw(recv node true)),            125, 'node: No such file or directory');
    one_line('send: no node in time',   start([$fdpass], qw(send -t 0.05 node)),         124, 'node: timed out');
    one_line('recv: no node in time',   start([$fdpass], qw(recv -t 0.05 node true)),    124, 'node: timed out');
    one_line('send: nobody comes',      start([$fdpass], qw(send -l -t 0.05 node)),      124, 'node: timed out');
    one_line('recv: nobody comes',      start([$fdpass], qw(recv -l -t 0.05 node true)), 124, 'node: timed out');
    # At once, however long the time.
    mkdir 'directory';
    one_line('send: not a node',        start([$fdpass], qw(send -t 600 directory)),     125, 'directory: not a socket');
    one_line('recv: not a node',        start([$fdpass], qw(recv directory true)),       125, 'directory: not a socket');
    one_line('send: it is not open',    start([$fdpass], qw(send node 77)),              125, '77: Bad file descriptor');
    one_line('no directory',            start([$fdpass], qw(send -l no/node)),           125, 'no/node: No such file');
    one_line('a node that is too long', start([$fdpass], 'send', 'n' x 200),             125, 'File name too long');
    spew('file', 'kept');
    one_line('a file is at the node', start([$fdpass], qw(recv -l file true)), 125, 'file: File exists');
    is(slurp('file'), 'kept', 'and stays');
    ok(!-e 'node', 'a node is removed however it ends');

    my $nobody = start([$fdpass], qw(recv -t 60 -l node true));
    one_line('connected, and nothing comes', start([$fdpass], qw(recv -t 0.3 node true)), 124, 'node: timed out');
    one_line('and the other one is told',    $nobody,                                     125, 'no descriptor came');
    for (
        [ 127, 'no-such-command', 'no-such-command: No such file or directory' ],
        [ 126, $dir,              'Permission denied' ],
        [ 123, qw(-e pipe true),  'refused: unknown is not pipe' ],
        [ 123, '-e', 'readable,listening', 'true', 'refused: unknown is not listening' ],
        [ 125, qw(-n 2 true),     'only 1 of 2 descriptors came' ],
      )
    {
        my $says = pop @$_;
        my ($status, @args) = @$_;
        my @options = map { splice @args, 0, 2 } grep { $args[0] =~ /^-/ } 1;
        my $receiver = start([$fdpass], 'recv', '-l', @options, 'node', @args);
        one_line("@options @args: the sender that waits fails", start([$fdpass], qw(send -w -t 60 node)), 125, 'the receiver has ended');
        one_line("@options @args", $receiver, $status, $says);
    }
    my $receiver = shell('exec fdpass recv -l node -- sh -c "exit 42"');
    is((status(start([$fdpass], qw(send -t 60 node))))[1], 0,  'send');
    is((status($receiver))[1],                             42, "recv: the command's own");
};

part 'the node' => sub {
    my $first = start([$fdpass], qw(recv -l node cat));
    select undef, undef, undef, 0.01 until -S 'node';
    is((stat 'node')[2] & 0777, 0600, 'only for ourselves');
    one_line('a second one cannot have it', start([$fdpass], qw(recv -l node true)), 125, 'node: Address already in use');
    stop($first);
    ok(-S 'node', 'a process that is killed leaves it');
    one_line('nobody is there', start([$fdpass], qw(send node)), 125, 'node: Connection refused');
    my $next = shell('exec fdpass recv -l node -- sh -c "test ! -e node && echo gone"');
    is((status(start([$fdpass], qw(send -t 60 node))))[1], 0, 'the next one replaces it');
    is((status($next))[0], "gone\n", 'and removes it once it has a connection');
};

part 'the other user' => sub {
    my ($own, $other) = ($>, $> + 1);
    my $receiver = start([$fdpass], qw(recv -l -u), $other, qw(-t 1 node true));
    one_line('a sender checks the receiver', start([$fdpass], qw(send -t 60 -u), $other, 'node'), 123, "node: refused user $own");
    like(said($receiver, qr/(.*)/), qr/refused user $own/, 'a listener says whom it turns away');
    one_line('and waits for the right one', $receiver, 124, 'timed out');
    $receiver = start([$fdpass], qw(recv -l -u), $own, qw(node true));
    is((status(start([$fdpass], qw(send -t 60 -u), $own, 'node')))[1], 0, 'the right one');
    is((status($receiver))[1], 0, 'both ways');
  SKIP: {
        skip loudly('only root can become another user'), 3 if $> != 0;
        $receiver = start([$fdpass], qw(recv -l -t 60 node true));
        select undef, undef, undef, 0.01 until -S 'node';
        one_line('without the option nobody else can connect', start(as(12345, [$fdpass]), qw(send node)), 125, 'Permission denied');
        stop($receiver);
        unlink 'node' or die "node: $!";    # it is left, and still for root only
        $receiver = start([$fdpass], qw(recv -l -u 12345 -t 60 node true));
        is((status(start(as(12345, [$fdpass]), qw(send -t 60 -u 0 node))))[1], 0, 'with it the named one can');
        is((status($receiver))[1], 0, 'and is taken');
    }
};

# A process of the wrong user that connects again and again.
part 'a flood of strangers' => sub {
    my $flood = <<'PERL';
        use IO::Socket::UNIX;
        $| = 1;
        my ($end, $connected) = (time + 60, 0);
        until ($connected && !-e 'node' || time > $end) { $connected++ if IO::Socket::UNIX->new(Peer => 'node') }
        print "$connected\n";
PERL
    my $receiver = start([$fdpass], qw(recv -l -t 1.5 -u), $> + 1, qw(node true));
    my $stranger = start([ $^X, '-e', $flood ]);
    my ($output, $status) = status($receiver);
    is($status, 124, 'the time runs out');
    ok(!-e 'node', 'and the node is removed');
    my @lines = split /\n/, $output;
    my $lines = @lines;
    is($lines[-1], 'fdpass: node: timed out', 'it says so');
    cmp_ok($lines, '<=', 6, 'and complains at most twice a second') or diag(join "\n", @lines[0 .. 9]);
    my $refused = grep { /refused user $>$/ } @lines;
    $refused += $_ for map { /refused (\d+) more$/ } @lines;
    cmp_ok($refused, '>', 100, "of $refused strangers");
    unlink 'node';    # if it is still there, the stranger goes on
    my ($connected) = status($stranger);
    cmp_ok($refused, '<=', $connected, 'it counts each once');
    cmp_ok($refused, '>=', $connected - 20, 'and leaves none out') or diag($connected);    # the backlog is 10
};

part 'surroundings' => sub {
    one_line('standard input is closed, and it was to be sent', shell('exec fdpass send node <&-'), 125, '0: Bad file descriptor');
    spew('list', '');
    my $receiver = shell('exec fdpass recv -l node -- sh -c "$1 1>&3" <&- >&- 2>&-', $open_fds);
    is((status(shell('exec fdpass send -t 60 node 5 5>>list <&- >&- 2>&-')))[1], 0, 'without standard input, output and error');
    is((status($receiver))[1], 0, 'the command runs');
    is(slurp('list'), "3 \n", 'and has its descriptor, and nothing in place of them');

    $receiver = shell('exec env -i "$(command -v fdpass)" recv -l node env');
    is((status(shell('exec env -i "$(command -v fdpass)" send -t 60 node')))[1], 0, 'an empty environment');
    like((status($receiver))[0], qr/\ALISTEN_FDS=1\nLISTEN_PID=\d+\nLISTEN_FDNAMES=unknown\n\z/, 'the command has what it needs');

    for (['', 'as it is'], ["trap '' PIPE; ", 'ignored']) {
        my ($trap, $what) = @$_;
        my $wanted = (run([ 'sh', '-c', "${trap}grep SigIgn /proc/self/status" ]))[0];
        $receiver = shell("${trap}exec fdpass recv -l node grep SigIgn /proc/self/status");
        is((status(start([$fdpass], qw(send -t 60 node))))[1], 0, "SIGPIPE $what");
        is((status($receiver))[0], $wanted, 'the command finds it so');
    }
};

part 'in a chroot' => sub {
    plan skip_all => loudly('only root can chroot') if $> != 0;
    my $jail = "$dir/jail";
    my ($libraries) = run(['ldd'], $fdpass);
    for my $file ($fdpass, $libraries =~ m{(/\S+)}g) {
        my ($to) = $file eq $fdpass ? "$jail/fdpass" : "$jail$file";
        make_path($to =~ s{/[^/]+\z}{}r);
        is((run([ 'cp', '-L' ], $file, $to))[1], 0, "cp $file");
    }
    # Without /proc. What is sent goes in, from there to another one, and comes out again.
    spew('word', "through the chroot\n");
    my $outside = start([$fdpass], qw(recv -t 60 jail/out cat /dev/fd/3));
    my $inside  = start([ 'chroot', $jail, '/fdpass' ], qw(recv -l /in -- /fdpass send -l -w -t 60 /out 3:word));
    is((status(shell('exec fdpass send -t 60 -w jail/in 7 7<word')))[1], 0, 'in');
    is((status($outside))[0], "through the chroot\n", 'and out');
    # The command, cat, ends at once. So whoever waits for it may be told either.
    like((status($inside))[1], qr/^(0|125)$/, 'it ended by itself');
};

done_testing;

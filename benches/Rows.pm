package Rows;

# The rows: which there are, which programs they need, and how one is run.
#
# SPDX-License-Identifier: MIT OR Apache-2.0
use strict;
use warnings;

use Cwd qw(abs_path getcwd);
use Exporter qw(import);
use Peers qw(run_pair);

our @EXPORT_OK = qw(rows command run_row works);

# A row is a name, its sender, its receiver, and what differs from the defaults below. A sender or a
# receiver is a program and its role. A row with `calls` is also run under strace, on that side.
my @loops = ([ EV => 'AnyEvent::FDpasser, EV' ], [ Perl => 'AnyEvent::FDpasser, pure-Perl loop' ]);
my ($bare, $bare_dup) = ('bare C loop', 'bare C loop with dup and close');
my ($bare_data, $bare_dup_data) = map { "$_, 100 bytes" } $bare, $bare_dup;
my %table = (
    throughput => [
        [ "$bare, one by one",            'bare send',     'bare recv', calls => 'both' ],
        [ "$bare, 16 per message",        'bare send',     'bare recv', per => 16 ],
        [ "$bare, 253 per message",       'bare send',     'bare recv', per => 253 ],
        [ "$bare_dup, one by one",        'bare send_dup', 'bare recv', same => $bare_dup ],
        [ "$bare_dup, 16 per message",    'bare send_dup', 'bare recv', same => $bare_dup, per => 16 ],
        [ "$bare_data, one by one",       'bare send_data',     'bare recv_data', calls => 'both' ],
        [ "$bare_dup_data, one by one",   'bare send_dup_data', 'bare recv_data', same => $bare_dup ],

        [ 'send_fd, bare receiver',                       'fdpasser send_fd',  'bare recv',              calls => 'sender' ],
        [ 'recv_fd, bare sender',                         'bare send',         'fdpasser recv_fd',       calls => 'receiver' ],
        [ 'send_fd, recv_fd',                             'fdpasser send_fd',  'fdpasser recv_fd' ],
        [ 'send_fds, recv_fds, 253 per message',          'fdpasser send_fds', 'fdpasser recv_fds',      per => 253 ],
        [ 'send_fds, try_recv_messages, one by one',      'fdpasser send_fds', 'fdpasser recv_messages', calls => 'both' ],
        [ 'send_fds, try_recv_messages, 16 per message',  'fdpasser send_fds', 'fdpasser recv_messages', per => 16, calls => 'both' ],
        [ 'fdpasser_process, one by one',                 'fdpasser send_queue', 'fdpasser recv_queue', same => $bare_dup, calls => 'both' ],
        [ 'fdpasser_process, 16 per message',             'fdpasser send_queue', 'fdpasser recv_queue', same => $bare_dup, per => 16, calls => 'both' ],
        [ 'fdpasser_process, bare receiver, one by one',     'fdpasser send_queue', 'bare recv', same => $bare_dup ],
        [ 'fdpasser_process, bare receiver, 16 per message', 'fdpasser send_queue', 'bare recv', same => $bare_dup, per => 16 ],
        [ 'fdpasser_process, bare sender, 16 per message',   'bare send', 'fdpasser recv_queue', per => 16 ],

        [ 'send_message, bare receiver, 100 bytes', 'fdpasser send_message',    'bare recv_data',           same => $bare_data, calls => 'sender' ],
        [ 'recv_message, bare sender, 100 bytes',   'bare send_data',           'fdpasser recv_message',    same => $bare_data, calls => 'receiver' ],
        [ 'send_message, recv_message, 100 bytes',  'fdpasser send_message',    'fdpasser recv_message',    same => $bare_data ],
        [ 'fdpasser_process, 100 bytes',            'fdpasser send_queue_data', 'fdpasser recv_queue_data', same => $bare_dup_data, calls => 'both' ],

        [ 'skalibs unixmessage, one by one',       'skalibs send', 'skalibs recv' ],
        [ 'skalibs unixmessage, 16 per message',   'skalibs send', 'skalibs recv', per => 16 ],
        [ 'libuv uv_write2, uv_accept',            'uv send',     'uv recv' ],
        [ 'IO::FDPass, blocking, handles, pipe',   'fdpass send', 'fdpass open', calls => 'receiver' ],
        [ 'IO::FDPass, blocking, handles, socket', 'fdpass send', 'fdpass open', kind => 'socket', calls => 'receiver' ],

        [ 'AnyEvent::FDpasser, EV, pipe',                              'EV send',   'EV recv' ],
        [ 'AnyEvent::FDpasser, EV, socket',                            'EV send',   'EV recv', kind => 'socket', calls => 'receiver' ],
        [ 'AnyEvent::FDpasser, EV, pipe, 16 per message',              'EV send',   'EV recv', per => 16 ],
        [ 'AnyEvent::FDpasser, EV, bare receiver',                     'EV send',   'bare recv', calls => 'sender' ],
        [ 'AnyEvent::FDpasser, EV, bare receiver, 16 per message',     'EV send',   'bare recv', per => 16, calls => 'sender' ],
        [ 'AnyEvent::FDpasser, EV, bare sender, pipe',                 'bare send', 'EV recv', calls => 'receiver' ],
        [ 'AnyEvent::FDpasser, EV, bare sender, pipe, 16 per message', 'bare send', 'EV recv', per => 16, calls => 'receiver' ],
        [ 'AnyEvent::FDpasser, EV, one callback at a time, pipe',      'EV send',   'EV recv_one', calls => 'receiver' ],
        [ 'AnyEvent::FDpasser, pure-Perl loop, pipe',                  'Perl send', 'Perl recv' ],
        [ 'AnyEvent::FDpasser, pure-Perl loop, bare receiver',         'Perl send', 'bare recv', calls => 'sender' ],
        [ 'AnyEvent::FDpasser, pure-Perl loop, bare sender, pipe',     'bare send', 'Perl recv', calls => 'receiver' ],
    ],
    latency => [
        [ "$bare, round trip",           'bare ping',     'bare pong' ],
        [ 'send_fd, recv_fd, round trip', 'fdpasser ping', 'fdpasser pong' ],
        map { [ "$_->[1], round trip", "$_->[0] ping", "$_->[0] pong" ] } @loops,
    ],
    queue => [
        map { my ($loop, $name) = @$_; map { [ "$name, $_ queued", "$loop send_queue", "$loop recv_queue", n => $_, x => $_ ] }
            10, 100, 1000, 10_000, 100_000 } @loops
    ],
    passers => [
        map { my ($loop, $name) = @$_; map { [ "$name, $_ passers", "$loop send_queue", "$loop recv_queue", passers => $_, x => $_ ] }
            1, 10, 100, 1000 } @loops
    ],
    idle => [ map { my ($loop, $name) = @$_; map { [ "$name, $_ idle", "$loop idle", '', n => $_ ] } 1000, 10_000 } @loops ],
);

# A row moves `n` descriptors of a `kind`, `per` in a message. It is compared with the row `floor`, and
# also with the loop `same` at as many per message. `rounds` is how often it is measured at most.
my %default = (
    throughput => { n => 20_000, floor => "$bare, one by one", same => $bare },
    latency    => { n => 1000, floor => "$bare, round trip" },
    queue      => { rounds => 5 },
    passers    => { n => 20_000, rounds => 3 },
    idle       => { rounds => 1 },
);

# --- programs ------------------------------------------------------------------------------------------

my $root = getcwd();
my $out  = 'target/bench';

sub compiled {
    my ($name, @libraries) = @_;
    return {
        command => ["$out/$name"],
        needs => [ split(' ', $ENV{CC} || 'cc'), qw(-std=gnu99 -O2 -Wall -Wextra -Werror -Iinclude -o), "$out/$name",
            "benches/$name.c", @libraries ],
        without => "benches/$name.c does not compile here; see $out/log",
    };
}

sub perl_loop {
    my ($loop, @needs) = @_;
    return { command => [ 'env', "PERL_ANYEVENT_MODEL=$loop", $^X ], needs => [ $^X, '-MAnyEvent', @needs, '-e1' ] };
}

# How a program is started, a command that succeeds where the program can run, and what to say elsewhere.
my %program = (
    bare     => compiled('bare'),
    fdpasser => compiled('fdpasser', "-L$root/target/release", '-lfdpasser', "-Wl,-rpath,$root/target/release"),
    skalibs  => compiled('skalibs', '-lskarnet'),
    uv       => compiled('uv', '-luv'),
    fdpass   => { name => 'IO::FDPass', command => [ $^X, 'benches/peer.pl', 'fdpass' ], needs => [ $^X, '-MIO::FDPass', '-e1' ] },
    EV       => perl_loop('EV', '-MEV'),
    Perl     => perl_loop('Perl'),
);

# Where the Perl module is loaded from.
our %module = (ours => ["-Mblib=$root/perl"]);

sub works {
    my (@command) = @_;
    return system('sh', '-c', 'log=$1; shift; exec "$@" >>"$log" 2>&1 </dev/null', 'sh', "$out/log", @command) == 0;
}

# The words of a row's command on that side.
sub command {
    my ($row, $side, $n) = @_;
    my ($name, $role) = split ' ', $row->{$side};
    my @start = @{ $program{$name}{command} };
    if ($name eq 'EV' || $name eq 'Perl') {
        push @start, @{ $module{ $row->{whose} } };
        return (@start, 'benches/idle.pl', $n) if $role eq 'idle';
        push @start, 'benches/peer.pl', 'passer';
    }
    return (@start, $role, $n, $row->{per}, $row->{kind}, $row->{passers} // ());
}

# Runs the row's two programs for `n` descriptors. %before has words to put before a side's command.
sub run_row {
    my ($row, $n, %before) = @_;
    return run_pair(
        passers => $row->{passers},
        map { $_ => [ @{ $before{$_} || [] }, command($row, $_, $n) ] } qw(sender receiver)
    );
}

# --- all rows that can be run here -----------------------------------------------------------------------

# Calls $skip with a name and a reason for each program that is missing, and leaves its rows out. Each row
# of AnyEvent::FDpasser is followed by the same row for the other build, if one is named.
sub rows {
    my ($skip) = @_;
    unlink "$out/log";
    for my $name (sort keys %program) {
        my $program = $program{$name};
        next if works(@{ $program->{needs} });
        die "bench: $program->{without}\n" if $name =~ /^(?:bare|fdpasser)$/;
        $skip->($program->{name} // $name, $program->{without} // 'not installed');
        delete $program{$name};
    }
    my ($other_sends_many) = find_other($skip);

    my (@rows, %row);
    for my $section (qw(throughput latency queue passers idle)) {
        for (@{ $table{$section} }) {
            my ($name, $sender, $receiver, %how) = @$_;
            my $row = { section => $section, per => 1, kind => 'pipe', whose => 'ours', %{ $default{$section} },
                name => $name, sender => $sender, receiver => $receiver, %how };
            next if grep { /^(\w+) / && !$program{$1} } $sender, $receiver;
            $row->{n} *= 5 if $row->{per} > 1;
            push @rows, $row;
            push @rows, { %$row, name => "the other $name", whose => 'other' }
              if $module{other} && $name =~ /^AnyEvent/ && ($row->{per} == 1 || $other_sends_many);
        }
    }
    $row{ $_->{name} } = $_ for @rows;
    for my $row (@rows) {
        $row->{floor} = $row{ $row->{floor} } if $row->{floor};
        my $same = delete $row->{same} or next;
        $same = $row{ $same . ($row->{per} > 1 ? ", $row->{per} per message" : ', one by one') };
        $row->{same} = $same if $same != $row && $same != $row->{floor};
    }
    return @rows;
}

sub find_other {
    my ($skip) = @_;
    my $dir = $ENV{FDPASSER_BENCH_OTHER} or return;
    my $path = abs_path($dir) // die "bench: FDPASSER_BENCH_OTHER: no such directory: $dir\n";
    my @load = ((map { "-I$_" } grep { -d } "$path/arch", "$path/lib", $path), '-MAnyEvent::FDpasser');
    works($^X, @load, '-e1') or die "bench: FDPASSER_BENCH_OTHER: AnyEvent::FDpasser cannot be loaded from $path; see $out/log\n";
    $module{other} = \@load;
    my $knows = works($^X, @load, '-e', 'open my $in, "<", $INC{"AnyEvent/FDpasser.pm"} or die; exit !grep { /max_fds_per_message/ } <$in>');
    $skip->('16 per message with the other AnyEvent::FDpasser', 'that build has no max_fds_per_message') if !$knows;
    return $knows;
}

1;

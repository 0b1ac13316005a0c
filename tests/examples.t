#!/usr/bin/perl
# The examples that people copy, each in C and in Perl, with real clients.

use strict;
use warnings;

use Cwd        qw(getcwd);
use File::Temp qw(tempdir);
use IO::Socket::INET;
use IO::Socket::UNIX;
use POSIX qw(WNOHANG);
use Test::More;
use Time::HiRes ();

use constant DEADLINE => 60;    # seconds, for anything that we wait for

my $root = getcwd();
my $lib  = "$root/target/release";
my $dir  = tempdir('fdpasser-examples-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $main = $$;
my %running;                    # pid => 1

# --- tools -------------------------------------------------------------------------------------------

sub compile {
    my ($source) = @_;
    my ($name) = $source =~ m{([^/]+)\.c\z};
    my @cc = (split(' ', $ENV{CC} || 'cc'), qw(-std=c99 -O2 -g -Wall -Wextra -Werror -pedantic));
    system(@cc, "-I$root/include", '-o', "$dir/$name", "$root/examples/$source", "$lib/libfdpasser.a", qw(-lpthread -ldl -lm)) == 0
      or BAIL_OUT("cannot compile $source");
    return ["$dir/$name"];
}

sub perl { return [ $^X, "-Mblib=$root/perl", "$root/examples/$_[0]" ] }

# Starts a program. What it prints, standard error included, is for said().
sub start {
    my ($program, @args) = @_;
    pipe my $out, my $write or die "pipe: $!";
    defined(my $pid = fork) or die "fork: $!";
    if (!$pid) {
        setpgrp;    # with all that it starts itself
        open STDOUT, '>&', $write or POSIX::_exit(126);
        open STDERR, '>&', $write or POSIX::_exit(126);
        exec { $program->[0] } @$program, @args or POSIX::_exit(127);
    }
    close $write;
    $running{$pid} = 1;
    return { pid => $pid, out => $out, all => '' };
}

# The next line of a program's output that matches; its first capture.
sub said {
    my ($process, $expected) = @_;
    while (defined(my $line = readline $process->{out})) {
        $process->{all} .= $line;
        return $1 // 1 if $line =~ $expected;
    }
    die "it ended without saying $expected, but: $process->{all}\n";
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
    ended($process);
}

# A connection, and the next answer on it.
sub client {
    my ($port, $text) = @_;
    my $client = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) or die "connect: $@";
    syswrite $client, $text if defined $text;
    return $client;
}

sub answer {
    my ($client) = @_;
    my $got = '';
    while ($got !~ /^answered by .*\n\z/m) {
        sysread $client, $got, 1, length $got or return "no answer, but '$got'";
    }
    return $got =~ m{\AHTTP/1\.1 200 OK\r\n.*\r\n\r\nanswered by (.*)\n\z}s ? $1 : "not right: $got";
}

my $get = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

# One thing that must work as a whole: a failure of it is told, and the next one runs.
sub part {
    my ($what, $code) = @_;
    subtest $what => sub {
        local $SIG{ALRM} = sub { die "nothing happens\n" };
        alarm DEADLINE;
        eval { $code->(); 1 } or fail("died: $@");
        alarm 0;
        kill_all();
    };
}

sub kill_all {
    for my $pid (keys %running) {
        kill KILL => -$pid, $pid;
        waitpid $pid, 0;
    }
    %running = ();
}

END {
    if ($$ == $main) {
        my $status = $?;
        kill_all();
        $? = $status;
    }
}

my $have_curl = grep { -x "$_/curl" } split /:/, $ENV{PATH};

# --- restart -----------------------------------------------------------------------------------------

my %restart = (C => compile('restart/restart.c'), Perl => perl('restart/restart.pl'));

part 'restart: 10,000 requests, six restarts, C and Perl, and no client notices' => sub {
    plan skip_all => 'curl is not installed' if !$have_curl;
    my ($requests, $at_one_time) = (10_000, 8);
    my @order  = qw(C Perl C C Perl Perl C);
    my $server = start($restart{ shift @order }, 0, "$dir/load");
    my $port   = said($server, qr/^listening on 127\.0\.0\.1:(\d+)$/);
    said($server, qr/^ready/);
    my @servers = $server;

    my $curl = start(
        [
            qw(curl -q --no-progress-meter --noproxy * --parallel --parallel-max), $at_one_time, '--max-time', DEADLINE,
            '-w', '%{http_code} %{num_connects} %{errormsg}\n', "http://127.0.0.1:$port/[1-$requests]",
        ]
    );
    my ($good, $connects, %by, @strange) = (0, 0);
    while (defined(my $line = readline $curl->{out})) {
        if    ($line =~ /^200 (\d+) $/)              { $good++; $connects += $1 }
        elsif ($line =~ /^answered by (\w+), pid (\d+)$/) { $by{"$1 $2"}++ }
        else                                         { push @strange, $line }
        next if !@order || $good < @servers * $requests / (@order + @servers + 1);

        # curl goes on meanwhile: the pipe takes some thousand lines.
        push @servers, start($restart{ my $language = shift @order }, 0, "$dir/load");
        my $carried = said($servers[-1], qr/^ready with (\d+) connections$/);
        note "at $good requests: $language took over, with $carried connections";
    }
    is(ended($curl), 0, 'curl is content');
    is("@strange", '', 'and says nothing else');
    is($good, $requests, 'all requests are answered');
    cmp_ok($connects, '<=', $at_one_time, 'no connection was lost and made again');
    note "$_: $by{$_}" for sort { $by{$a} <=> $by{$b} } keys %by;
    is(scalar(grep { $by{"C $_->{pid}"} || $by{"Perl $_->{pid}"} } @servers), scalar @servers, 'each server has answered some');
    my $last = pop @servers;
    is(ended($_), 0, "server $_->{pid} ended well") for @servers;
    like(answer(client($port, $get)), qr/ $last->{pid}\z/, 'the last one serves');
    stop($last);
};

for my $language (qw(C Perl)) {
    part "restart: HTTP in $language" => sub {
        my $server = start($restart{$language}, 0, "$dir/http-$language");
        my $port   = said($server, qr/^listening on 127\.0\.0\.1:(\d+)$/);
        my %to_the_end = (
            "GET / HTTP/1.1\r\nconnection: close\r\n\r\n" => qr{\AHTTP/1\.1 200 OK\r\n},
            "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi" => qr{\AHTTP/1\.1 400 },
            "GET / HTTP/1.1\r\nX: " . 'x' x 9000            => qr{\AHTTP/1\.1 400 },
            "GET /\r\n\r\n"                                 => qr{\AHTTP/1\.1 400 },
        );
        for my $request (sort keys %to_the_end) {
            my $client = client($port, $request);
            like(do { local $/; readline $client }, qr/$to_the_end{$request}.*^Connection: close\r\n/ms, ($request =~ /(.{9,20})/)[0]);
        }
        client($port, $get);    # and is gone
        is(answer(client($port, $get)), "$language, pid $server->{pid}", 'it still answers');
        stop($server);
    };
}

# Half a request is with the old server when the new one starts.
for my $old (qw(C Perl)) {
    my $new = $old eq 'C' ? 'Perl' : 'C';
    my $begin = sub {
        my ($node) = @_;
        my $server = start($restart{$old}, 0, $node);
        my $port   = said($server, qr/^listening on 127\.0\.0\.1:(\d+)$/);
        said($server, qr/^ready/);
        my $idle = client($port, $get);
        is(answer($idle), "$old, pid $server->{pid}", 'the old server answers');
        my $half = client($port, 'GET / HTTP/1.1');
        # The server has accepted it before a later connection, and reads it with that one's request.
        is(answer(client($port, $get)), "$old, pid $server->{pid}", 'and has half a request');
        my $successor = start($restart{$new}, 0, $node);
        said($successor, qr/^listening/);
        is(answer(client($port, $get)), "$new, pid $successor->{pid}", 'the new server accepts');
        syswrite $idle, $get;
        is(answer($idle), "$new, pid $successor->{pid}", 'it has the idle connection');
        return ($server, $successor, $port, $half);
    };

    part "restart: $old finishes what it has begun, $new has the connection after that" => sub {
        my ($server, $successor, $port, $half) = $begin->("$dir/half-$old");
        is(waitpid($server->{pid}, WNOHANG), 0, 'the old server waits');
        syswrite $half, "\r\nHost: localhost\r\n\r\n";
        is(answer($half), "$old, pid $server->{pid}", 'the old server answers what it has begun');
        is(ended($server), 0, 'and ends');
        said($successor, qr/^ready/);
        syswrite $half, $get x 3;
        is(answer($half), "$new, pid $successor->{pid}", "the new one answers what comes next: $_") for 1 .. 3;
        stop($successor);
    };

    part "restart: $new dies before it has all, and $old goes on" => sub {
        my ($server, $successor, $port, $half) = $begin->("$dir/dies-$old");
        stop($successor);
        is(answer(client($port, $get)), "$old, pid $server->{pid}", 'the old server accepts again');
        syswrite $half, "\r\nHost: localhost\r\n\r\n";
        is(answer($half), "$old, pid $server->{pid}", 'and answers what it has begun');
        my $third = start($restart{$new}, 0, "$dir/dies-$old");
        said($third, qr/^ready/);
        is(ended($server), 0, 'the next server takes over');
        syswrite $half, $get;
        is(answer($half), "$new, pid $third->{pid}", 'with all connections');
        stop($third);
    };
}

# --- prefork -----------------------------------------------------------------------------------------

my %prefork = (C => compile('prefork/prefork.c'), Perl => perl('prefork/prefork.pl'));

for my $language (qw(C Perl)) {
    my $begin = sub {
        my ($workers) = @_;
        my $server = start($prefork{$language}, 0, $workers);
        my $port   = said($server, qr/^listening on 127\.0\.0\.1:(\d+)$/);
        my %pid;
        for (0 .. $workers) {
            my $line = said($server, qr/^(\w+ \d+)$/);
            my ($job, $pid) = split ' ', $line;
            push @{ $pid{$job} }, $pid;
        }
        return ($server, $port, $pid{dispatcher}[0], @{ $pid{worker} });
    };
    my $end = sub {
        my ($server) = @_;
        is(stop($server, 'TERM'), 0, 'it ends well');
    };

    part "prefork in $language: 2,000 requests for three workers" => sub {
        plan skip_all => 'curl is not installed' if !$have_curl;
        my ($server, $port, $dispatcher, @workers) = $begin->(3);
        my $curl = start(
            [
                qw(curl -q --no-progress-meter --noproxy * --parallel --parallel-max 50 --max-time), DEADLINE,
                '-w', '%{http_code} %{errormsg}\n', "http://127.0.0.1:$port/[1-2000]",
            ]
        );
        my ($good, %by, @strange) = (0);
        while (defined(my $line = readline $curl->{out})) {
            if    ($line =~ /^200 $/)                             { $good++ }
            elsif ($line =~ /^answered by $language, pid (\d+)$/) { $by{$1}++ }
            else                                                  { push @strange, $line }
        }
        is(ended($curl), 0, 'curl is content');
        is("@strange", '', 'and says nothing else');
        is($good, 2000, 'all requests are answered');
        note "$_: $by{$_}" for sort { $a <=> $b } keys %by;
        is(scalar(grep { my $pid = $_; !grep { $_ == $pid } @workers } keys %by), 0, 'by our workers');
        cmp_ok(scalar keys %by, '>', 1, 'and by more than one');
        $end->($server);
    };

    part "prefork in $language: a busy worker, back-pressure, and its death" => sub {
        my ($server, $port, $dispatcher, $worker) = $begin->(1);
        is(answer(client($port, $get)), "$language, pid $worker", 'the worker answers');
        my $slow = client($port, 'GET / HTTP/1.1');

        # More than the passer takes, so that some stay in the listening socket.
        my @waiting = map { client($port, $get) } 1 .. 500;
        SKIP: {
            skip 'no /proc here: the dispatcher\'s open files are not counted', 1 if !-d "/proc/$dispatcher/fd";
            my ($open, $before) = (0, -1);
            while ($open != $before || $open < 64) {    # until no more come in
                select undef, undef, undef, 0.1;
                $before = $open;
                $open   = () = glob "/proc/$dispatcher/fd/*";
            }
            cmp_ok($open, '<', 64 + 20, "the dispatcher holds no more than it should: $open");
        }
        kill KILL => $worker;
        my $next = said($server, qr/^worker (\d+)$/);
        close $slow;
        my $answered = 0;
        while (my $client = shift @waiting) {    # and close it, as the worker waits for that
            $answered++ if answer($client) eq "$language, pid $next";
        }
        is($answered, 500, 'a new worker answers all that waited');
        $end->($server);
    };

    part "prefork in $language: a dispatcher that dies is replaced too" => sub {
        my ($server, $port, $dispatcher, $worker) = $begin->(1);
        kill KILL => $dispatcher;
        isnt(said($server, qr/^dispatcher (\d+)$/), $dispatcher, 'another one comes');
        is(answer(client($port, $get)), "$language, pid $worker", 'and the worker answers');
        $end->($server);
    };
}

# --- privsep -----------------------------------------------------------------------------------------

# Other users must be able to reach the programs, and may not enter where we are.
chmod 0755, $dir or die $!;
my %helper = (C => compile('privsep/helper.c'), Perl => perl('privsep/helper.pl'));
my %client = (C => compile('privsep/client.c'), Perl => [ $^X, "-Mblib=$dir/copy", "$dir/copy/client.pl" ]);
mkdir "$dir/copy";
system("cp -R '$root/perl/blib' '$root/examples/privsep/client.pl' '$dir/copy' && chmod -R a+rX '$dir/copy'") == 0
  or BAIL_OUT('cannot copy the module');

mkdir $_, 0700 or die "$_: $!" for "$dir/files", "$dir/files/sub";
for my $file ("$dir/outside", "$dir/files/letter") {
    open my $out, '>', $file or die "$file: $!";
    print {$out} "for your eyes only\n" x 10_000;
    close $out;
    chmod 0600, $file;
}
symlink 'letter', "$dir/files/link" or die $!;
POSIX::mkfifo("$dir/files/fifo", 0600) or die $!;
my $letter = "for your eyes only\n" x 10_000;
my @refused = (
    '', '.', '..', '/etc/passwd', '../outside', 'sub/../letter', 'sub', 'link', 'fifo', 'missing', 'x' x 256, 'x' x 5000,
    "letter\n",
);

# Runs a program as somebody, to its end. Returns its exit status, and what it printed.
sub run_as {
    my ($uid, $program, @args) = @_;
    my $process = start(
        [
            $^X, '-e',
            'my $uid = shift;
             if ($uid != $>) {
                 $) = "$uid $uid"; $( = $uid; ($<, $>) = ($uid, $uid);
                 $> == $uid && $< == $uid && $) eq "$uid $uid" or die "cannot become $uid: $!";
             }
             exec { $ARGV[0] } @ARGV or die "exec: $!"',
        ],
        $uid, @$program, @args
    );
    my $said = do { local $/; readline $process->{out} } // '';    # or it would wait for us, and we for it
    return (ended($process), $said);
}

sub local_socket {
    my ($path) = @_;
    return IO::Socket::UNIX->new(Peer => $path) || die "$path: $!";
}

# Those users need no names.
my ($nobody, $stranger) = (65534, 65533);

for my $language (qw(C Perl)) {
    for my $asking (qw(C Perl)) {
        part "privsep: helper in $language, client in $asking, same user" => sub {
            my $node   = "$dir/own-$language-$asking";
            my $helper = start($helper{$language}, "$dir/files", $node, $>);
            said($helper, qr/^ready$/);
            is_deeply([ run_as($>, $client{$asking}, $node, 'letter') ], [ 0, $letter ], 'the client reads the letter');
            for my $name (@refused) {
                my ($status, $said) = run_as($>, $client{$asking}, $node, $name);
                ok($status != 0 && $said =~ /Permission denied\n\z/, 'refused: ' . substr($name, 0, 20) =~ s/\n/\\n/r)
                  or diag $said;
            }
            is_deeply([ run_as($>, $client{$asking}, $node, 'letter') ], [ 0, $letter ], 'then it reads again');
            stop($helper);
        };

        part "privsep: helper in $language as root, client in $asking as nobody" => sub {
            plan skip_all => 'not root: nobody else can be let in or kept out' if $> != 0;
            my ($status) = run_as($nobody, [ $^X, '-e', 'exit(-r $ARGV[0] ? 42 : 43)' ], "$dir/copy/client.pl");
            plan skip_all => "user $nobody cannot run $^X, or cannot reach $dir" if $status >> 8 != 42;

            my $node   = "$dir/root-$language-$asking";
            my $helper = start($helper{$language}, "$dir/files", $node, $nobody);
            said($helper, qr/^ready$/);
            isnt((run_as($nobody, [ 'cat', "$dir/files/letter" ]))[0], 0, 'nobody cannot open the letter');
            is_deeply([ run_as($nobody, $client{$asking}, $node, 'letter') ], [ 0, $letter ], 'but reads it by the helper');
            for my $uid ($stranger, 0) {
                my ($status, $said) = run_as($uid, $client{$asking}, $node, 'letter');
                ok($status != 0 && $said =~ /Permission denied\n\z/, "user $uid is refused") or diag $said;
            }
            for my $name (@refused) {
                my ($status, $said) = run_as($nobody, $client{$asking}, $node, $name);
                ok($status != 0 && $said =~ /Permission denied\n\z/, 'refused: ' . substr($name, 0, 20) =~ s/\n/\\n/r)
                  or diag $said;
            }
            stop($helper);
        };
    }

    part "privsep: helper in $language, and clients that do not get to the point" => sub {
        my $node   = "$dir/slow-$language";
        my $helper = start($helper{$language}, "$dir/files", $node, $>);
        said($helper, qr/^ready$/);
        my @slow = map { local_socket($node) } 1 .. 20;
        syswrite $_, 'let' for @slow;
        is_deeply([ run_as($>, $client{C}, $node, 'letter') ], [ 0, $letter ], 'do not keep others waiting');
        is(scalar(grep { !defined recv $_, my $byte, 1, Socket::MSG_DONTWAIT() } @slow), 20, 'and have time');

        # As many as it serves at once, and more: they wait for the first ones' time to be up.
        push @slow, map { local_socket($node) } 1 .. 44;
        is_deeply([ run_as($>, $client{Perl}, $node, 'letter') ], [ 0, $letter ], 'too many clients are a delay');
        is(scalar(grep { !sysread $_, my $byte, 1 } @slow), 64, 'their time is limited');
        stop($helper);
    };
}

done_testing;

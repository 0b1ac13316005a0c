#!/usr/bin/perl
# One process of a soak run, on AnyEvent::FDpasser and the event loop that PERL_ANYEVENT_MODEL names.
# `soak` starts it with the key=value arguments of peer.c. These are different:
#
#   role=pairs       `pairs` pairs of passers in this process, all at work at once; most of them end half-way
#   window=10        how many descriptors are pushed at a time
#   close=1          a callback closes the descriptor of the receiving passer
#   rss=1            records the memory after a second and at the end
#   ithread=1        runs all of it in a Perl thread
#   fork=1           forks before the first push; and in callbacks, where the child ends at once
#
# SPDX-License-Identifier: MIT OR Apache-2.0

use strict;
use warnings;

use AnyEvent;
use AnyEvent::FDpasser;
use Errno qw(EBADF EPIPE ECONNRESET EMFILE ENFILE EBADMSG EMSGSIZE ENOTRECOVERABLE);
use Fcntl qw(F_GETFD FD_CLOEXEC SEEK_SET SEEK_CUR);
use POSIX ();
use Socket qw(AF_UNIX PF_UNSPEC SOCK_STREAM SOL_SOCKET SO_SNDBUF);

use constant { SO_PASSCRED => 16, SO_PASSPIDFD => 76 };

my %arg = (
    id => 0, seed => 1, count => 1, window => 10, map({ $_ => 0 } qw(slow fork close uid hostile pairs rss ithread)), per => 1,
    map { /\A(\w+)=(.*)\z/ ? ($1, $2) : die "peer.pl: what is $_?\n" } @ARGV,
);
my ($id, $file) = @arg{qw(id file)};
srand $arg{seed} * 1000 + $id;

open my $ledger, '>>&=', $arg{ledger} or die "ledger: $!";
my $ledger_node = node($ledger);
my $others      = 0;                 # descriptors received that are not numbered
my $done;                            # a condition variable: all streams have ended

# --- the ledger (see ledger.h) ---------------------------------------------------------------------

sub record {
    my ($what, $who, $value, $rest) = @_;
    local $!;
    syswrite($ledger, pack 'a1 x S L a8', $what, $who, $value, $rest) == 16 or POSIX::abort();
    return;
}

sub record_number { my ($what, $who, $number, $value) = @_; return record($what, $who, $value || 0, pack 'Q', $number) }

sub node { my ($fh) = @_; return join ':', (stat $fh)[ 0, 1 ] }

sub fatal {
    my ($what) = @_;
    print STDERR "peer.pl role=$arg{role} id=$id on $AnyEvent::MODEL: $what\n";
    POSIX::_exit(3);
}

sub descriptors {
    my ($table) = @_;
    opendir my $dir, $table or fatal("$table: $!");
    return grep { /\d/ } readdir $dir;
}

sub rss {
    open my $statm, '<', '/proc/self/statm' or return 0;
    return 4 * (split ' ', <$statm>)[1];
}

# A handle whose offset is its number; undef while the table is full.
sub numbered {
    my ($number) = @_;
    open my $fh, '<', $file or $!{EMFILE} || $!{ENFILE} ? return : fatal("$file: $!");
    sysseek $fh, $number, SEEK_SET or fatal("seek: $!");
    return $fh;
}

sub take {
    my ($who, $fh) = @_;
    my $fd = fileno $fh;
    fatal('received no descriptor') if !defined $fd || $fd < 3;
    fatal('not close-on-exec') if !(fcntl($fh, F_GETFD, 0) & FD_CLOEXEC);
    if    (node($fh) eq $ledger_node) { record_number('R', $who, sysseek($fh, 0, SEEK_CUR) + 0) }
    elsif ($arg{hostile})             { $others++ }
    else                              { fatal('received something that nobody sent') }
    return;
}

# --- one direction of one passer ------------------------------------------------------------------------

# Sends `count` descriptors, a window of them at a time, and calls `over` at the end.
sub send_stream {
    my ($passer, $who, $count, $over) = @_;
    my ($next, $accepted, $paused, $pump) = (0, 0);
    my $number = sub { return ($who << 24) + $_[0] };

    my $end = sub {
        my ($errno) = @_;
        record_number('F', $who, $number->($_), $errno) for $accepted .. $next - 1;
        undef $pump;
        undef $passer;
        $over->();
    };
    $passer->{on_error} = sub {
        my $error = $@;
        return $end->(0) if $error eq 'dropped';
        fatal("sending: $error") if $error != EPIPE && $error != ECONNRESET;
        $end->($error + 0);
    };
    $pump = sub {
        undef $paused;
        while ($next < $count && $next - $accepted < $arg{window}) {
            my $fh = numbered($number->($next));
            return $paused = AE::timer(0.005, 0, $pump) if !$fh;
            record_number('P', $who, $number->($next++));
            $passer->push_send_fh($fh, sub {
                record_number('A', $who, $number->($accepted++));
                return                if !$pump;
                return $end->()       if $accepted == $count;
                $pump->()             if !$paused;
            });
        }
    };
    return $pump->();
}

# Receives until the end. It calls `each` with a count after each descriptor, and `over` at the end.
sub receive_stream {
    my ($passer, $who, $over, $each) = @_;
    my ($n, $closed, $cb) = (0);
    my $close_at = $arg{close} ? 1 + int rand($arg{count} / 2) : -1;

    $passer->{on_error} = sub {
        my $error = $@;
        if (defined $error && !$closed && $error ne 'dropped') {
            if    ($error == ENOTRECOVERABLE)                                  { record_number('D', $who, 0); record_number('X', $who, 0) }
            elsif ($arg{hostile} && grep { $error == $_ } EBADMSG, EMSGSIZE, ECONNRESET, EPIPE) { }
            else                                                               { fatal("receiving: $error") }
        }
        fatal("the passer was closed, but the error is $error") if $closed && $error != EBADF;
        undef $cb;
        undef $passer;
        $over->();
    };
    my $again = sub { $passer->push_recv_fh($cb) if $passer && !$passer->{error_state} };
    $cb = sub {
        my ($fh) = @_;
        take($who, $fh);
        undef $fh;
        if (++$n == $close_at) {
            record_number('X', $who, 0);
            record('I', $id, 0, 'closing');
            $closed = 1;
            $n % 2 ? close $passer->{fh} : POSIX::close(fileno $passer->{fh});
        }
        if ($arg{fork} && rand() < 0.002) {
            record('I', $id, 0, 'fork');
            my $child = fork // fatal("fork: $!");
            POSIX::_exit(0) if !$child;
            reap($child);
        }
        $each->($n) if $each;
        if ($arg{slow} && rand($arg{slow}) < 1) {
            record('I', $id, 0, 'slow');
            my $timer;
            $timer = AE::timer(rand 0.005, 0, sub { undef $timer; $again->() });
            return;
        }
        $again->();
    };
    $again->() for 1 .. 1 + rand $arg{window};
    return;
}

# --- roles -----------------------------------------------------------------------------------------------

sub role_send {
    my @passers = map { AnyEvent::FDpasser->new(fh => $_, max_fds_per_message => $arg{per}) } @_;
    return connect_and_send() if !@passers;
    my $who = $id;
    for (@passers) {
        $done->begin;
        send_stream($_, $who++, $arg{count}, sub { $done->end });
    }
    return;
}

sub role_recv {
    my @passers = map { AnyEvent::FDpasser->new(fh => $_, max_fds_per_message => $arg{per}) } @_;
    my $who = $id;
    for (@passers) {
        $done->begin;
        receive_stream($_, $who++, sub { $done->end });
    }
    return;
}

sub connect_and_send {
    my $left = $arg{count};
    my ($paused, $connect);
    my $next = 5000 + 10 * $id;    # a stream for each connection
    $done->begin;
    $connect = sub {
        return $done->end if $left <= 0;
        my $fh = eval { AnyEvent::FDpasser::fdpasser_connect($arg{path}) }
          or return $paused = AE::timer(0.001, 0, $connect);
        my $n = 1 + int rand 5;
        $left -= $n;
        send_stream(AnyEvent::FDpasser->new(fh => $fh, max_fds_per_message => $arg{per}), $next++, $n, $connect);
    };
    $connect->();
    return;
}

# Some loops duplicate the handle, which fails while the harness keeps the table full. It empties the table at one
# of the library's next calls.
sub readable {
    my ($fh, $cb) = @_;
    while () {
        my $watcher = eval { AE::io $fh, 0, $cb };
        return $watcher if $watcher;
        AnyEvent::FDpasser::fdpasser_socketpair();
    }
}

# Accepts connections and receives all that comes, until nobody holds the other end of `stop` any more.
sub role_serve {
    my $listener;
    for (1 .. 50) {    # many, so that faults hit some; each takes over from the one before
        undef $listener;
        $listener = eval { AnyEvent::FDpasser::fdpasser_server($arg{path}, 100) } until $listener;
    }
    AnyEvent::Util::fh_nonblocking($listener, 1);
    open my $stop, '<&=', $arg{stop} or fatal("stop: $!");
    my ($connections, $open, $warm, $accept, $retry) = (0, 0);
    $done->begin;
    $accept = sub {
        for (1 .. 20) {
            return if $open >= 100;    # a table full of connections has no slot to receive into
            my $fh = AnyEvent::FDpasser::fdpasser_accept($listener);
            return if !$fh;
            $warm = rss() if ++$connections == 300;
            setsockopt $fh, SOL_SOCKET, SO_PASSCRED, 1 if rand() < 0.5;
            setsockopt $fh, SOL_SOCKET, SO_PASSPIDFD, 1 if $arg{hostile} && rand() < 0.5;
            $done->begin;
            $open++;
            my $passer = AnyEvent::FDpasser->new(fh => $fh);
            receive_stream($passer, $id, sub { $open--; $done->end });
            $passer->push_send_fh(\*STDERR) if $arg{hostile} && rand() < 0.5;    # they close with this unread, which is a reset
        }
    };
    my $accepting = readable($listener, $accept);
    my $stopping;
    $stopping = readable $stop, sub {
        # Nobody connects any more, but some connections may wait, and a failure may have been injected.
        undef $stopping;
        my $look;
        $retry = AE::timer 0, 0.01, $look = sub {
            vec(my $readable = '', fileno $listener, 1) = 1;
            return $accept->() if select $readable, undef, undef, 0;
            undef $_ for $retry, $accepting, $look;
            close $listener;
            close $stop;
            $done->end;
        };
    };
    record_number('W', $id, 0);
    return sub {
        record_number('O', $id, rss(), $warm) if $warm;
        record_number('g', $id, $others);
    };
}

# All pairs are at work at the same time. Half-way each of them ends in one of these ways:
my @ends = (
    undef,                                                        # it does not
    sub { my ($s, $r, $who) = @_; record_number('X', $who, $who); $r->error('dropped') },
    sub { my ($s) = @_; $s->error('dropped') },
    sub { my ($s, $r, $who) = @_; record_number('X', $who, $who); close $r->{fh}; $r->error('dropped') },
);

sub role_pairs {
    my @pairs = map {
        my @fh;
        @fh = eval { AnyEvent::FDpasser::fdpasser_socketpair() } until @fh;
        setsockopt $_, SOL_SOCKET, SO_SNDBUF, 1 for @fh;    # so that not everything is sent before anything arrives
        [ map { AnyEvent::FDpasser->new(fh => $_, max_fds_per_message => $arg{per}) } @fh ]
    } 1 .. $arg{pairs};
    my $who = $id;
    while (my $pair = shift @pairs) {
        my ($sender, $receiver) = @$pair;
        my $me  = $who++;
        my $end = $ends[ rand @ends ];
        $done->begin for 1 .. 2;
        receive_stream($receiver, $me, sub { $done->end }, sub {
            my ($n) = @_;
            return if $n != int($arg{count} / 2) || !$end || !$sender;
            record('I', $id, 0, 'dropped');
            $end->($sender, $receiver, $me);
        });
        send_stream($sender, $me, $arg{count}, sub { undef $sender; $done->end });
    }
    return;
}

sub reap {
    my ($child) = @_;
    my $pid;
    do { $pid = waitpid $child, 0 } while $pid < 0 && $!{EINTR};
    fatal("child: $?") if $pid > 0 && $?;
    return;
}

# --- start and end ------------------------------------------------------------------------------------------

# Before we count the open descriptors the loop has to open all that it needs, and load what it loads late.
sub warm_up {
    socketpair my $a, my $b, AF_UNIX, SOCK_STREAM, PF_UNSPEC or fatal("socketpair: $!");
    my $cv = AE::cv;
    my $n  = 0;
    my @w  = (AE::timer(0, 0, sub { $cv->send if ++$n == 2 }), AE::io($a, 1, sub { $cv->send if ++$n == 2 }));
    $cv->recv;
    return;
}

# One turn of the loop.
sub turn {
    my $cv = AE::cv;
    my $w  = AE::timer 0.005, 0, $cv;
    $cv->recv;
    return;
}

sub main {
    # The fork comes before the first push, as the documentation demands. Both processes go on.
    my $child;
    if ($arg{fork}) {
        record('I', $id, 0, 'fork');
        $child = fork // fatal("fork: $!");
        $id += 1000 if !$child;
    }

    $done = AE::cv;    # from here on there is an event loop
    my @fh = map { open my $fh, '+<&=', $_ or fatal("passer $_: $!"); $fh } split /,/, $arg{passers} // '';
    my @stdio = map { node($_) } \*STDIN, \*STDOUT, \*STDERR;
    do { local $@; eval { die sprintf '%s', $!{EAGAIN} ? 1 : 0 } };    # loads what %! and die need
    warm_up();
    turn() for 1 .. 5;    # some loops tidy up late when a watcher goes
    if ($arg{uid}) {
        POSIX::setgid($arg{uid}) && POSIX::setuid($arg{uid}) or fatal("setuid: $!");
    }
    my $before = descriptors('/proc/self/./fd') - @fh - ($arg{stop} ? 1 : 0);

    my ($warm_rss, $report);
    my $warm = AE::timer 1, 0, sub { $warm_rss = rss() };
    $report = { send => \&role_send, recv => \&role_recv, serve => \&role_serve, pairs => \&role_pairs }->{ $arg{role} }->(@fh);
    @fh = ();
    $done->recv;
    undef $warm;
    record_number('O', $id, rss(), $warm_rss) if $arg{rss} && $warm_rss;
    $report->() if $report;
    undef $report;
    reap($child) if $child;

    fatal('standard input, output or error is not what it was') if "@stdio" ne join ' ', map { node($_) } \*STDIN, \*STDOUT, \*STDERR;
    my $leaked;
    for (1 .. 50) {
        turn();
        $leaked = descriptors('/proc/self/fd') - $before or last;
    }
    record_number('L', $id, $leaked) if $leaked;
    return;
}

# A passer belongs to the interpreter that made it, whether that is the first one or not.
if ($arg{ithread}) {
    require threads;
    record('I', $id, 0, 'ithread');
    threads->create(\&main)->join;
}
else { main() }
POSIX::_exit(0);

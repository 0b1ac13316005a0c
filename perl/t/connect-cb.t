# SPDX-License-Identifier: MIT OR Apache-2.0
# fdpasser_connect_cb connects without stopping the event loop.
use strict;
use warnings;
use lib 't/lib';
use Loops;

use Errno qw(ENOENT ECONNREFUSED ETIMEDOUT);
use Fcntl qw(F_GETFL O_NONBLOCK);
use Test::More;
use Helpers;

plan skip_all => 'a SysV listener has no backlog' if sysv();
warm_up();

my $path = temp_dir() . '/socket';
my @result;
my $note = sub { push @result, [ $! + 0, @_ ] };

# --- there is room
{
    my $listener = AnyEvent::FDpasser::fdpasser_server($path);
    my @returned = AnyEvent::FDpasser::fdpasser_connect_cb($path, $note);
    is_deeply \@result, [], 'the callback does not run inside the call';
    wait_for { @result } 'the connection';
    my $fh = $result[0][1];
    is ref $fh, 'GLOB', 'the callback gets a handle';
    ok !(fcntl($fh, F_GETFL, 0) & O_NONBLOCK), 'which is in blocking mode';
    my $served = AnyEvent::FDpasser::fdpasser_accept($listener);
    peer_sends($fh, 3);
    is raw_recv_number($served), 3, 'and is connected';
    @result = ();
}

# --- there is none
{
    my $listener = AnyEvent::FDpasser::fdpasser_server($path, 1);
    AnyEvent::Util::fh_nonblocking($listener, 1);
    my @guard = map { scalar AnyEvent::FDpasser::fdpasser_connect_cb($path, $note) } 1 .. 6;
    ticks(10);
    cmp_ok scalar @result, '<', 6, 'while the backlog is full some clients wait, and the loop runs';
    cmp_ok scalar @result, '>', 0, 'and some are connected';
    my @served;
    wait_for { push @served, grep { defined } AnyEvent::FDpasser::fdpasser_accept($listener); @result == 6 } 'all clients';
    is scalar(grep { $_->[1] } @result), 6, 'all are connected in the end';
    @result = ();

    # Full again.
    my @more = map { scalar AnyEvent::FDpasser::fdpasser_connect_cb($path, $note, timeout => 0.1) } 1 .. 6;
    my $dropped = 0;
    my $guard = AnyEvent::FDpasser::fdpasser_connect_cb($path, sub { $dropped++ }, timeout => 0.2);
    undef $guard;
    undef @served;
    wait_for { @result == 6 } 'the timeout';
    my @late = grep { !$_->[1] } @result;
    cmp_ok scalar @late, '>', 0, 'some are too late';
    is_deeply [ grep { $_->[0] != ETIMEDOUT || @$_ != 1 } @late ], [], 'for them $! is ETIMEDOUT, and there is no argument';
    ticks(30);
    is $dropped, 0, 'a callback whose guard was dropped does not run';
    @result = ();
    close $listener;
}

# --- other errors
AnyEvent::FDpasser::fdpasser_connect_cb($path, $note);
wait_for { @result };
is_deeply \@result, [ [ECONNREFUSED] ], 'nobody listens: ECONNREFUSED';
unlink $path;
@result = ();
AnyEvent::FDpasser::fdpasser_connect_cb($path, $note);
wait_for { @result };
is_deeply \@result, [ [ENOENT] ], 'there is no node: ENOENT';
ok !eval { AnyEvent::FDpasser::fdpasser_connect_cb($path, $note, tiemout => 1); 1 }, 'an unknown option dies';
like $@, qr/unknown option tiemout at \Q$0\E line/, 'with its name';
ok !eval { AnyEvent::FDpasser::fdpasser_connect_cb($path); 1 }, 'a missing callback dies';

done_testing;

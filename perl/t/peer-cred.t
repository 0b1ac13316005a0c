# SPDX-License-Identifier: MIT OR Apache-2.0
# peer_cred tells the user, group and process at the other end.
use strict;
use warnings;

use Errno qw(EBADF EINVAL ENOTCONN EOPNOTSUPP);
use IO::Select;
use Socket qw(AF_UNIX SOCK_STREAM);
use Test::More;
use lib 't/lib';
use Helpers;

my $dir  = temp_dir();
my $path = "$dir/socket";
my $gid  = (split ' ', $))[0];

# --- a pair
{
    my $passer = AnyEvent::FDpasser->new;
    ok !eval { $passer->peer_cred; 1 }, 'peer_cred dies before an end is chosen';
    like $@, qr/must call i_am_parent or i_am_child/, 'with the right message';
    $passer->i_am_parent;
    # STREAMS know the peer at the server's end of a connection only.
    is_deeply [ $passer->peer_cred ], [ sysv() ? () : ($>, $gid, $$) ], 'the peer of a pair is the process that made it';
}

# --- a connection
sub connection_from {
    my ($uid, $client_gid) = @_;
    my $listener = AnyEvent::FDpasser::fdpasser_server($path, 5, mode => 0777);
    my ($server_uid, $server_pid) = ($>, $$);
    my $pid = in_child {
        become($uid, $client_gid) if $uid != $>;
        my $fh = AnyEvent::FDpasser::fdpasser_connect($path);
        my @peer = AnyEvent::FDpasser->new(fh => $fh, dont_set_nonblocking => 1)->peer_cred;
        sysread $fh, my $end, 1;    # stays until the server has asked for peer_cred
        return sysv() ? !@peer : "@peer" eq "$server_uid $gid $server_pid";
    };
    # If the client fails, do not wait for it.
    my ($first) = IO::Select->new($listener, $pid->{verdict})->can_read;
    return child_ok($pid, 'the client connects') if $first != $listener;
    my $fh = AnyEvent::FDpasser::fdpasser_accept($listener) or die "accept: $!";
    my $passer = AnyEvent::FDpasser->new(fh => $fh);
    is_deeply [ $passer->peer_cred ], [ $uid, $client_gid, $pid->{pid} ], "the server sees the client's user $uid, its group and its process";
    syswrite $fh, 'x';
    child_ok($pid, 'the client sees the server');
    $passer->error('closed');
    is_deeply [ $passer->peer_cred ], [], 'peer_cred returns nothing after an error';
    is $! + 0, EBADF, 'and sets $!';
    unlink $path;
    return;
}

sub become {
    my ($uid, $other_gid) = @_;
    $( = $other_gid;
    $) = "$other_gid $other_gid";
    $< = $> = $uid;
    return;
}

connection_from($>, $gid);
SKIP: {
    skip 'only root can become another user', 4 if $> != 0;
    chmod 0755, $dir or die "$dir: $!";
    my $reaches = in_child { become(65534, 65533); -d $dir };
    skip "user 65534 cannot reach $dir", 4 if child_verdict($reaches) ne 'good';
    connection_from(65534, 65533);
}

# --- no peer
{
    socket my $alone, AF_UNIX, SOCK_STREAM, 0 or die "socket: $!";
    my @peer = AnyEvent::FDpasser->new(fh => $alone)->peer_cred;
    is_deeply \@peer, [], 'peer_cred returns nothing for a socket that is not connected';
    is $! + 0, sysv() ? Errno::ENOSTR() : ENOTCONN, 'and sets $!';

    my $listener = AnyEvent::FDpasser::fdpasser_server($path);
    @peer = AnyEvent::FDpasser->new(fh => $listener)->peer_cred;
    is_deeply \@peer, [], 'peer_cred returns nothing for a listener';
    is $! + 0, sysv() ? EOPNOTSUPP : EINVAL, 'and sets $!';
}

done_testing;

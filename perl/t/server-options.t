# SPDX-License-Identifier: MIT OR Apache-2.0
# fdpasser_server with options, and fdpasser_unlink.
use strict;
use warnings;

use Errno qw(EADDRINUSE EINVAL);
use Test::More;
use lib 't/lib';
use Helpers;

my $server  = \&AnyEvent::FDpasser::fdpasser_server;
my $accept  = \&AnyEvent::FDpasser::fdpasser_accept;
my $connect = \&AnyEvent::FDpasser::fdpasser_connect;
my $unlink  = \&AnyEvent::FDpasser::fdpasser_unlink;

my $dir  = temp_dir();
my $path = "$dir/socket";

# A simulated mount has one bit more.
sub mode_of { return (lstat $_[0])[2] & (sysv() ? 0777 : 07777) }

# --- mode
for my $umask (0, 022, 077) {
    for my $mode (0600, 0660, 0777) {
        my $old      = umask $umask;
        my $listener = $server->($path, 0, mode => $mode);
        is umask($old), $umask, 'the umask does not change';
        is mode_of($path), $mode, sprintf 'the mode is %04o with umask %04o', $mode, $umask;
        is ref $listener, 'GLOB', 'the listener is a plain handle';
        ok $unlink->($listener), 'fdpasser_unlink removes its node';
    }
}
is_deeply entries($dir), [], 'nothing is left in the directory';

# --- exclusive
{
    my ($fh, $before) = (numbered(3), open_fds());
    my $listener = $server->($path, 5, exclusive => 1, mode => 0600);
    ok !eval { $server->($path, 5, exclusive => 1); 1 }, 'an exclusive server dies if another server is live';
    is $! + 0, EADDRINUSE, '$! is EADDRINUSE';
    like $@, qr/\Q$path\E.* at \Q$0\E line \d/, 'the message has the path and the line';
    AnyEvent::Util::fh_nonblocking($listener, 1);
    my $probe = $accept->($listener);
    ok !defined $probe, 'the live server noticed nothing';
    AnyEvent::Util::fh_nonblocking($listener, 0);
    my $client = $connect->($path);
    my $served = $accept->($listener);
    is AnyEvent::FDpasser::send_fd(fileno $client, fileno $fh), 1, 'the live server still works';
    is raw_recv_number($served), 3, 'and passes descriptors';
    close $listener;
    my $next = $server->($path, 5, exclusive => 1);
    ok is_server($path), 'a socket without a server is replaced';
    is_deeply entries($dir), ['socket'], 'no lock is left in the directory';
    my $plain = $server->($path);
    ok !$unlink->($next), 'fdpasser_unlink leaves another server\'s node alone';
    ok is_server($path), 'that node is still there';
    ok !eval { $unlink->($plain); 1 }, 'fdpasser_unlink dies for a listener that was made without options';
    like $@, qr/made with options/, 'with the right message';
    unlink $path;
    ok !$unlink->($next), 'fdpasser_unlink returns false if there is no node';
    undef $_ for $next, $plain, $probe, $client, $served;
    is open_fds(), $before, 'no descriptor is leaked';
}

# --- wrong options
ok !eval { $server->($path, 5, exclusiv => 1, moode => 2); 1 }, 'unknown options die';
like $@, qr/unknown option exclusiv, moode at \Q$0\E line \d/, 'with their names';
ok !eval { $server->($path, 5, mode => 010000); 1 }, 'a mode that is out of range dies';
is $! + 0, EINVAL, '$! is EINVAL';
is_deeply entries($dir), [], 'wrong options leave nothing behind';

done_testing;

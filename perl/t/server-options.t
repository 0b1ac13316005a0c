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

# (A simulated mount has a bit more.)
sub mode_of { return (lstat $_[0])[2] & (sysv() ? 0777 : 07777) }

sub entries {
    opendir my $dh, $dir or die "$dir: $!";
    return [ sort grep { !/^\.\.?$/ } readdir $dh ];
}

# --- mode
for my $umask (0, 022, 077) {
    for my $mode (0600, 0660, 0777) {
        my $old      = umask $umask;
        my $listener = $server->($path, 0, mode => $mode);
        is umask($old), $umask, 'the umask is untouched';
        is mode_of($path), $mode, sprintf 'mode %04o with umask %04o', $mode, $umask;
        is ref $listener, 'GLOB', 'a plain handle';
        ok $unlink->($listener), 'which takes its node away';
    }
}
is_deeply entries(), [], 'and nothing else is left';

# --- exclusive
{
    my ($fh, $before) = (numbered(3), open_fds());
    my $listener = $server->($path, 5, exclusive => 1, mode => 0600);
    ok !eval { $server->($path, 5, exclusive => 1); 1 }, 'an exclusive server leaves a live one alone';
    is $! + 0, EADDRINUSE, '$! is EADDRINUSE';
    like $@, qr/\Q$path\E.* at \Q$0\E line \d/, 'the message has the path and the line';
    my $probe = $accept->($listener);
    is sysread($probe, my $byte, 1), 0, 'which saw a connection that ended at once';
    my $client = $connect->($path);
    my $served = $accept->($listener);
    is AnyEvent::FDpasser::send_fd(fileno $client, fileno $fh), 1, 'and works';
    is raw_recv_number($served), 3, 'on';
    close $listener;
    my $next = $server->($path, 5, exclusive => 1);
    ok is_server($path), 'what is left over is replaced';
    is_deeply entries(), ['socket'], 'no lock is left';
    my $plain = $server->($path);
    ok !$unlink->($next), 'a node that is another server\'s by now is left alone';
    ok is_server($path), 'and there';
    ok !eval { $unlink->($plain); 1 }, 'a listener without options does not know its node';
    like $@, qr/made with options/, 'and says so';
    unlink $path;
    ok !$unlink->($next), 'nothing to remove is no error';
    undef $_ for $next, $plain, $probe, $client, $served;
        is open_fds(), $before, 'no descriptor leaked';
}

# --- mistakes
ok !eval { $server->($path, 5, exclusiv => 1, moode => 2); 1 }, 'unknown options die';
like $@, qr/unknown option exclusiv, moode at \Q$0\E line \d/, 'by name';
ok !eval { $server->($path, 5, mode => 010000); 1 }, 'a mode that is none dies';
is $! + 0, EINVAL, 'with EINVAL';
is_deeply entries(), [], 'and leaves nothing behind';

done_testing;

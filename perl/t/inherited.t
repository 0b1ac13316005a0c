# SPDX-License-Identifier: MIT OR Apache-2.0
# fdpasser_inherited takes over what a service manager hands down, fdpasser_is tells what it is, and fdpasser_notify
# tells the manager.
use strict;
use warnings;

use Errno qw(EBADF EINVAL ENOENT);
use IO::Socket::INET;
use IO::Socket::UNIX;
use Socket qw(SOCK_DGRAM);
use Test::More;
use lib 't/lib';
use Helpers;

my $dir = temp_dir();

# A program that says what it was handed: each handle by its name, with its number, its contents, and close-on-exec.
my $program = "$dir/program";
open my $source, '>', $program or die "$program: $!";
print {$source} <<'PROGRAM';
use Fcntl qw(F_GETFD FD_CLOEXEC);
use AnyEvent::FDpasser;
sub said {
    my ($fh) = @_;
    sysread $fh, my $text, 10;
    return join ':', fileno $fh, $text, fcntl($fh, F_GETFD, 0) & FD_CLOEXEC ? 'cloexec' : 'stays';
}
sub take {
    my %handles = AnyEvent::FDpasser::fdpasser_inherited();
    return map { my $name = $_; map { "$name=" . said($_) } @{ $handles{$name} } } sort keys %handles;
}
my @got = eval shift;
print $@ ? "died: $@" : "@got";
PROGRAM
close $source or die "$program: $!";

# Runs Perl code in a process that was handed files which contain their numbers. Returns what the code returned, as text.
sub as_service {
    my ($files, $variables, $code) = @_;
    my $redirected = '';
    for my $i (0 .. $files - 1) {
        open my $file, '>', "$dir/$i" or die "$dir/$i: $!";
        print {$file} $i;
        $redirected .= ' ' . ($i + 3) . "<$dir/$i";
    }
    local @ENV{qw(LISTEN_FDS LISTEN_PID LISTEN_PIDFDID LISTEN_FDNAMES)};
    delete @ENV{qw(LISTEN_FDS LISTEN_PID LISTEN_PIDFDID LISTEN_FDNAMES)};
    local %ENV = (%ENV, LISTEN_FDS => $files, %$variables);
    my @command = ('sh', '-c', qq{exec$redirected; : "\${LISTEN_PID=\$\$}"; export LISTEN_PID; exec "\$@"}, 'sh', $^X, (map { "-I$_" } @INC), $program);
    open my $out, '-|', @command, $code or die "sh: $!";
    my $got = do { local $/; <$out> } // '';
    close $out;
    return $got;
}

is as_service(1, {}, 'take'), 'unknown=3:0:cloexec', 'one, without a name';
is as_service(3, { LISTEN_FDNAMES => 'web:admin:web' }, 'take'), 'admin=4:1:cloexec web=3:0:cloexec web=5:2:cloexec',
    'names, and several with one';
is as_service(1, { LISTEN_FDNAMES => '' }, 'take'), '=3:0:cloexec', 'an empty name';
is as_service(2, { LISTEN_PID => 1 }, 'take'), '', 'for somebody else';
is as_service(2, { LISTEN_FDNAMES => 'a:b' }, <<'PERL'), '0 a=3:0:cloexec b=4:1:cloexec', 'a child has none';
    my $pid = fork // die;
    if ($pid == 0) { require POSIX; POSIX::_exit(scalar(my @none = AnyEvent::FDpasser::fdpasser_inherited())) }
    waitpid $pid, 0;
    ($?, take());
PERL
is as_service(1, {}, '(take(), "and", take())'), 'unknown=3:0:cloexec and', 'a second call has none';
is as_service(1, {}, <<'PERL'), 'closed', 'dropping a handle closes it';
    my %handles = AnyEvent::FDpasser::fdpasser_inherited();
    %handles = ();
    open(my $again, '<&=', 3) ? 'open' : 'closed';
PERL
is as_service(2, {}, <<'PERL'), 'signal, closed closed, and', 'a signal handler that dies leaks no descriptor';
    local @INC = (@INC, 't/lib');
    require Helpers;
    my $signal = Helpers::signal_during('_inherited');
    $SIG{USR1} = sub { die "signal" };
    my $died = eval { my %handles = AnyEvent::FDpasser::fdpasser_inherited(); 1 } ? 'none' : $@ =~ /(\w+)/ && $1;
    undef $signal;
    ("$died,", join(' ', map { open(my $again, '<&=', $_) ? 'open' : 'closed' } 3, 4) . ',', 'and', take());
PERL
is as_service(1, {}, 'local $^F = 10; take'), 'unknown=3:0:stays', 'close-on-exec follows $^F';

for (
    [ { LISTEN_FDS => -1 },             EINVAL ],
    [ { LISTEN_FDS => 'x' },            EINVAL ],
    [ { LISTEN_FDNAMES => 'a:b' },      EINVAL ],
    [ { LISTEN_FDNAMES => "a\n" },      EINVAL ],
    [ { LISTEN_FDNAMES => 'n' x 256 },  EINVAL ],
    [ { LISTEN_FDS => 90 },             EBADF ],
  )
{
    my ($variables, $errno) = @$_;
    my ($name, $value) = %$variables;
    my $text = do { local $! = $errno; "$!" };
    like as_service(1, $variables, 'take'), qr/\Adied: fdpasser_inherited: \Q$text\E at /, "$name=" . substr $value =~ s/\n/?/r, 0, 10;
}

# --- what it is
{
    my $is       = \&AnyEvent::FDpasser::fdpasser_is;
    my $listener = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die $@;
    is $is->($listener, qw(listening stream internet socket readable writable)), 1, 'all of it';
    is $is->($listener, qw(listening local)), 0, 'not all of it';
    is $is->($listener), 1, 'nothing in particular';
    is $is->(\*STDIN, 'sealed'), 0, 'a glob';
    open my $file, '<', $0 or die $!;
    is_deeply [ grep { $is->($file, $_) } qw(socket stream datagram packet listening local internet pipe file directory readable writable sealed) ],
        [qw(file readable)], 'a file';
    close $file;
    $! = 0;
    is $is->($file, 'file'), undef, 'a closed handle';
    is $! + 0, EBADF, 'is EBADF';
    ok !eval { $is->($listener, 'fifo'); 1 }, 'an unknown kind dies';
    like $@, qr/\Afdpasser_is: unknown kind fifo at \Q$0\E line /, 'with its name and the caller\'s line';
}

# --- the manager
SKIP: {
    skip 'the SysV interface has no datagrams', 18 if AnyEvent::FDpasser::fdpasser_mode() == 2;
    my $notify = \&AnyEvent::FDpasser::fdpasser_notify;
    delete $ENV{NOTIFY_SOCKET};
    is $notify->('READY=1'), 0, 'nobody wants to know';
    my $manager = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => "$dir/manager") or die $!;
    $ENV{NOTIFY_SOCKET} = "$dir/manager";
    is $notify->('READY=1'), 1, 'it is sent';
    recv $manager, my $text, 100, 0;
    is $text, 'READY=1', 'and comes';
    is $notify->("FDSTORE=1\nFDNAME=in", \*STDIN, $manager), 1, 'with descriptors';
    recv $manager, $text, 100, 0;
    is $text, "FDSTORE=1\nFDNAME=in", 'comes too';
    for (1, 2) {
        my $state = "STATUS=\xe9";
        utf8::upgrade($state) if $_ == 2;
        is $notify->($state), 1, 'a byte above 127';
        recv $manager, $text, 100, 0;
        is $text, "STATUS=\xe9", 'comes as it is' . ($_ == 2 ? ', though flagged as UTF-8' : '');
    }
    for ([ "STATUS=\x{263a}", 'Wide character' ], [ "READY=1\0STATUS=x", 'NUL character' ]) {
        my ($state, $what) = @$_;
        ok !eval { $notify->($state); 1 }, "a state with a $what dies";
        like $@, qr/^$what in fdpasser_notify at \Q$0\E line/, 'with the right message';
    }
    is $notify->(''), undef, 'nothing';
    is $! + 0, EINVAL, 'is EINVAL';
    open my $closed, '<', $0 or die $!;
    close $closed;
    is $notify->('READY=1', $closed), undef, 'a closed handle';
    is $! + 0, EBADF, 'is EBADF';
    unlink "$dir/manager";
    is $notify->('READY=1'), undef, 'nobody is there';
    is $! + 0, ENOENT, 'is ENOENT';
}

done_testing;

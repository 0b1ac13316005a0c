#!/usr/bin/perl
# Every example in README.md, in docs/queues.md, in the header's comment and in the POD's synopsis runs as it
# stands.

use strict;
use warnings;

use Cwd        qw(getcwd);
use File::Temp qw(tempdir);
use Test::More;

my $root = getcwd();
my $lib  = "$root/target/release";
my $dir  = tempdir(CLEANUP => 1);
my @cc   = ($ENV{CC} || 'cc', qw(-Wall -Wextra -Werror), "-I$root/include");
my @link = ("-L$lib", '-lfdpasser', "-Wl,-rpath,$lib");

sub slurp { my ($path) = @_; open my $in, '<', $path or die "$path: $!"; local $/; return <$in> }

sub write_file {
    my ($name, $text) = @_;
    open my $out, '>', "$dir/$name" or die "$name: $!";
    print {$out} $text;
    close $out or die "$name: $!";
    return "$dir/$name";
}

# What a command printed, standard error included; the command's success is a test.
sub output_of {
    my ($what, @command) = @_;
    my $pid = open my $out, '-|';
    die "fork: $!" unless defined $pid;
    if (!$pid) {
        chdir $dir;
        $ENV{LD_LIBRARY_PATH} = $lib;
        open STDERR, '>&', \*STDOUT;
        alarm 120;
        exec @command;
        die "$command[0]: $!";
    }
    my $text = do { local $/; <$out> } // '';
    close $out;
    is($?, 0, "$what succeeds") or diag $text;
    return $text;
}

my $readme = slurp('README.md');

sub only_example {
    my ($language) = @_;
    my @found = $readme =~ /^```$language\n(.*?)^```$/msg;
    is(scalar @found, 1, "README has one example in $language");
    return $found[0];
}

write_file('hello.c', only_example('c'));
output_of('compiling the C example', @cc, '-o', 'hello', 'hello.c', @link);
like(output_of('the C example', './hello'), qr/^received descriptor \d+, which says hello$/m, 'and passes a descriptor');

write_file('hello.pl', only_example('perl'));
is(output_of('the Perl example', $^X, "-Mblib=$root/perl", '-Mstrict', '-w', 'hello.pl'), "received: hello\n", 'and passes a descriptor');

SKIP: {
    my $python = only_example('python');
    skip 'python3 with ctypes is not installed', 2 if system('python3 -c "import ctypes" 2>/dev/null') != 0;
    write_file('hello.py', $python);
    is(output_of('the Python example', 'python3', 'hello.py'), "received: hello\n", 'and passes a descriptor');
}

my ($synopsis) = slurp('perl/lib/AnyEvent/FDpasser.pm') =~ /^=head1 SYNOPSIS\n(.*?)^=head1/ms;
write_file('synopsis.pl', $synopsis);
output_of("the module's synopsis", $^X, "-Mblib=$root/perl", '-Mstrict', '-w', 'synopsis.pl');
is_deeply(
    [ sort split /\n/, slurp("$dir/greeting") ],
    [ 'a line from the child', 'a line from the parent' ],
    'and both processes wrote to the one file'
);

# The header has three: a complete use, and two poll loops around `passer` and `use`.
my ($comment) = slurp('include/fdpasser.h') =~ m{\A/\*(.*?)\*/}s;
my @blocks = $comment =~ /((?:^ \*(?:     .*)?\n)*^ \*     .*\n)/mg;
s/^ \* ?//mg for @blocks;
@blocks = grep { /;/ } @blocks;
is(scalar @blocks, 3, 'the header has three examples') or diag explain \@blocks;
my $head = <<'C';
#include "fdpasser.h"
#include <err.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
C

write_file('pair.c', <<"C");
${head}int main(void) {
$blocks[0]
    if (fd <= 2) err(1, "recv_fd");
    if (write(fd, "through the parent\\n", 19) != 19) err(1, "write");
    return wait(NULL) < 0;
}
C
output_of("compiling the header's first example", @cc, '-std=gnu99', '-o', 'pair', 'pair.c', @link);
is(output_of("the header's first example", './pair'), "through the parent\n", "and what it received is the child's output");

for ([ 'poll loop', 'loop', $blocks[1] ], [ 'loop with queues', 'queues', $blocks[2] ]) {
    my ($what, $name, $block) = @$_;
    write_file("$name.c", <<"C");
${head}static int used;
static void use(int fd) { used++; close(fd); }
int main(void) {
    int ends[2], passer;
    if (fdpasser_socketpair(ends) != 0) err(1, "fdpasser_socketpair");
    for (int i = 0; i < 5; i++)
        if (send_fd(ends[1], 1) != 1) err(1, "send_fd");
    /* Not closed: one of the two sends as well. */
    shutdown(ends[1], SHUT_WR);
    passer = ends[0];
$block
    printf("%d\\n", used);
    return 0;
}
C
    output_of("compiling the header's $what", @cc, '-std=gnu99', '-o', $name, "$name.c", @link);
    is(output_of("the header's $what", "./$name"), "5\n", 'and receives until the orderly shutdown');
}

# The tables of programs have what is there.
my @ffi = sort glob 'examples/ffi/*/*.{py,rb,lua,go,cpp,hpp,rs}';
is_deeply([ sort $readme =~ m{\]\((examples/ffi/[^)]+)\)}g ], \@ffi, 'README names the programs in examples/ffi');
is_deeply(
    [ sort map { "examples/$_" } slurp('examples/README.md') =~ m{^\| `(ffi/[^`]+)`}mg ],
    \@ffi, 'and so does examples/README.md'
);

my %soname = map { $_ => 1 } map { /\b(libfdpasser\.so\.[0-9.]*[0-9])/g } $readme, map { slurp($_) } @ffi;
is_deeply([ map { "$lib/$_" } sort keys %soname ], [ glob "$lib/libfdpasser.so.*" ], 'they all know the soname');

# docs/queues.md: a client for poll, a server for epoll, and the client for libuv.
my @programs = slurp('docs/queues.md') =~ /^```c\n(.*?)^```$/msg;
is(scalar @programs, 3, 'docs/queues.md has three programs');
SKIP: {
    my @uv = split ' ', `pkg-config --cflags --libs libuv 2>/dev/null` // '';
    my @names = qw(poll_client epoll_server uv_client);
    write_file("$names[$_].c", $programs[$_]) for 0 .. 2;
    for my $name (grep { @uv || $_ ne 'uv_client' } @names) {
        output_of("compiling $name", @cc, '-std=gnu99', '-pedantic', '-o', $name, "$name.c", @link,
            $name eq 'uv_client' ? @uv : ());
    }
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        chdir $dir;
        alarm 120;
        exec './epoll_server', 'echo' or die "epoll_server: $!";
    }
    my $deadline = time + 60;
    select undef, undef, undef, 0.01 while !-S "$dir/echo" && time < $deadline;
    is((stat "$dir/echo")[2] & 07777, 0600, 'the server is for its user alone');
    is(output_of("the client for poll, time $_", './poll_client', 'echo'), "1000 came back\n", 'gets all back') for 1, 2;
    isnt(system("cd $dir && ./epoll_server echo 2>/dev/null"), 0, 'a second server does not start');
    if (@uv) {
        is(output_of('the client for libuv', './uv_client', 'echo'), "1000 came back\n", 'gets all back');
    }
    kill TERM => $pid;
    waitpid $pid, 0;
    is($?, 0, 'the server ends when it is told to');
    ok(!-e "$dir/echo", 'and takes its node along');
    skip 'libuv is not installed', 2 if !@uv;
}

chomp(my $quotes = `$^X benches/quote --check 2>&1`);
is($?, 0, 'README quotes the figures of benches/results.txt') or diag $quotes;

done_testing;

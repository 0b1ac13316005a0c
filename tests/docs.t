#!/usr/bin/perl
# The documentation keeps its word: examples in README.md, docs/ and the POD run as they stand, links lead somewhere,
# and the tables of files name the files that are there. (tests/man.t runs the examples of the manual.)
#
# SPDX-License-Identifier: MIT OR Apache-2.0
use strict;
use warnings;

use File::Basename qw(dirname);
use File::Temp     qw(tempdir);
use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use CPrograms qw($built cc library shared_link static_link);
use Files     qw($root slurp spew);
use Processes qw(run spawn succeeds works);
use Skips     qw(loudly);

chdir $root or die "chdir: $!";
library('so');
my $dir  = tempdir(CLEANUP => 1);
my @cc   = (cc(), qw(-Wall -Wextra -Werror), "-I$root/include");
my @link = shared_link();

# The README's commands are for the root of the tree, so give them one that they may write to.
for my $name (qw(include target perl)) {
    symlink "$root/$name", "$dir/$name" or die "$name: $!";
}

my $readme = slurp('README.md');
my @ffi    = sort glob 'examples/ffi/*/*.{py,rb,lua,go,cpp,hpp,rs,php}';

readme_examples();
synopsis();
sonames();
queues();
data();
names_of_others();
tables();
links();

works('README quotes the figures of benches/results.txt', $^X, 'benches/quote', '--check');

done_testing;

# --- examples ------------------------------------------------------------------------------------

# Each is run by the command that the README gives for this tree. (The one in Rust is a test of cargo's.)
sub readme_examples {
    my %example = map { $_ => only_example($_) } qw(c perl python);
    spew("$dir/hello.c",  $example{c});
    spew("$dir/hello.pl", $example{perl});
    spew("$dir/hello.py", $example{python});

    output_of('the C example compiles without a warning', @cc, '-o', 'hello', 'hello.c', @link);
    unlink "$dir/hello";
    my ($compile) = $readme =~ /^\$ (cc .* -Iinclude .*?)\s+#/m;
    output_of("README's command compiles it", 'sh', '-c', $compile // 'false');
    is(output_of('the C example', './hello'), "received\n", 'and passes a descriptor');

    # In the tree itself, where the name of the node must be free.
    my ($shell) = $readme =~ /^## In a shell.*?^```console\n(.*?)^```/ms;
    my ($node) = ($shell // '') =~ /--listen (\S+)/;
    ok(defined $node && !-e "$root/$node", "README's node has a name that is free in this tree");
    is(works('the shell example succeeds', { dir => $root, deadline => 60 }, 'sh', '-c', ($shell // 'false') =~ s/^\$ //mgr . "wait\n"),
        "received\n", 'and passes a descriptor');
    unlink "$root/$node" if defined $node;

    my ($perl) = $readme =~ /`(perl .*?hello\.pl)`/;
    is(output_of('the Perl example', 'sh', '-c', $perl // 'false'), "received\n", 'and passes a descriptor');

  SKIP: {
        skip loudly('python3 with ctypes is not installed'), 2 if !succeeds(qw(python3 -c), 'import ctypes');
        my ($python) = $readme =~ /`(\S+ python3 hello\.py)`/;
        is(output_of('the Python example', 'sh', '-c', $python // 'false'), "received\n", 'and passes a descriptor');
    }
    return;
}

sub only_example {
    my ($language) = @_;
    my @found = $readme =~ /^```$language\n(.*?)^```$/msg;
    is(scalar @found, 1, "README has one example in $language");
    return $found[0] // '';
}

sub synopsis {
    my ($synopsis) = slurp('perl/lib/AnyEvent/FDpasser.pm') =~ /^=head1 SYNOPSIS\n(.*?)^=head1/ms;
    spew("$dir/synopsis.pl", $synopsis);
    output_of("the module's synopsis", $^X, "-Mblib=$root/perl", '-Mstrict', '-w', 'synopsis.pl');
    is_deeply(
        [ sort split /\n/, slurp("$dir/greeting") ],
        [ 'a line from the child', 'a line from the parent' ],
        'and both processes wrote to the one file'
    );
    return;
}

sub sonames {
    my %soname = map { $_ => 1 } map { /\b(libfdpasser\.so\.[0-9.]*[0-9])/g } $readme, slurp('docs/packaging.md'),
      map { slurp($_) } @ffi;
    is_deeply([ map { "$built/$_" } sort keys %soname ], [ glob "$built/libfdpasser.so.*" ], 'all that name the soname know it');
    return;
}

# docs/queues.md: a client for poll, a server for epoll, and the client for libuv.
sub queues {
    my @programs = slurp('docs/queues.md') =~ /^```c\n(.*?)^```$/msg;
    is(scalar @programs, 3, 'docs/queues.md has three programs') or return;
    my @names = qw(poll_client epoll_server uv_client);
    my @uv    = split ' ', `pkg-config --cflags --libs libuv 2>/dev/null` // '';
    my @built = grep { @uv || $_ ne 'uv_client' } @names;
    spew("$dir/$names[$_].c", $programs[$_]) for 0 .. 2;
    for my $name (@built) {
        output_of("compiling $name", @cc, '-std=gnu99', '-pedantic', '-o', $name, "$name.c", @link,
            $name eq 'uv_client' ? @uv : ());
    }
    like(failure_of("./$_"), qr/name the server's node$/m, "$_ wants a node") for @built;
    like(failure_of("./$_", 'echo'), qr/echo: No such file or directory$/m, "$_ says that there is no server")
      for grep { /client/ } @built;

    my $pid = spawn({ dir => $dir, deadline => 120 }, './epoll_server', 'echo');
    my $deadline = time + 60;
    select undef, undef, undef, 0.01 while !-S "$dir/echo" && time < $deadline;
    is((stat "$dir/echo")[2] & 07777, 0600, 'the server is for its user alone');
    is(output_of("the client for poll, time $_", './poll_client', 'echo'), "1000 came back\n", 'gets all back') for 1, 2;
    like(failure_of('./epoll_server', 'echo'), qr/echo: Address already in use$/m, 'a second server does not start');
  SKIP: {
        skip loudly('libuv is not installed'), 2 if !@uv;
        is(output_of('the client for libuv', './uv_client', 'echo'), "1000 came back\n", 'gets all back');
    }
    kill TERM => $pid;
    waitpid $pid, 0;
    is($?, 0, 'the server ends when it is told to');
    ok(!-e "$dir/echo", 'and takes its node along');
    return;
}

# docs/data.md: what was read goes along.
sub data {
    my @programs = slurp('docs/data.md') =~ /^```c\n(.*?)^```$/msg;
    is(scalar @programs, 1, 'docs/data.md has one program') or return;
    spew("$dir/data.c", $programs[0]);
    output_of('compiling it', @cc, '-std=gnu99', '-pedantic', '-o', 'data', 'data.c', @link);
    my $text = "a line\nand the beginning of another one,";
    is(output_of('data', './data'), length($text) . " bytes came with the connection:\n$text which ends here\n",
        'what was read goes along, and the rest comes behind it');
    return;
}

# docs/troubleshooting.md: what helps if another library has a send_fd of its own, and what does not.
sub names_of_others {
    spew("$dir/other.c", "int send_fd(int, int);\nint send_fd(int a, int b) { return a + b; }\nint other(void);\nint other(void) { return send_fd(40, 2); }\n");
    spew("$dir/both.c", <<'C');
#define FDPASSER_NO_SHORT_NAMES
#include <fdpasser.h>
#include <stdio.h>
int other(void);
int main(void)
{
    int ends[2];
    if (fdpasser_socketpair(ends) != 0 || fdpasser_send_fd(ends[0], 1) != 1 || fdpasser_recv_fd(ends[1]) <= 2)
        return 1;
    printf("%d\n", other());
    return 0;
}
C
    my @other  = ('-L.', '-lother', '-Wl,-rpath,.');
    my ($private) = slurp('fdpasser.pc.in') =~ /^Libs.private: (.*)/m;
    my @static = static_link($built, $private);
    for (
        [ 'ours first',               '',             [ @link, @other ],   '-1' ],
        [ 'the other one first',      '',             [ @other, @link ],   '42' ],
        [ '-Bsymbolic',               '-Wl,-Bsymbolic', [ @link, @other ], '42' ],
        [ 'the static archive',       '',             [ @static, @other ], '-1' ],
        [ 'the archive, not exported', '', [ '-Wl,--exclude-libs,libfdpasser.a', @static, @other ], '42' ],
      )
    {
        my ($what, $option, $libraries, $answer) = @$_;
        output_of("$what: the other library", @cc, qw(-shared -fPIC -o libother.so other.c), $option || ());
        output_of("$what: the program", @cc, qw(-o both both.c), @$libraries);
        is(output_of($what, './both'), "$answer\n", $answer < 0 ? 'the other library calls ours' : 'the other library calls its own');
    }
    return;
}

# --- tables and links ----------------------------------------------------------------------------

sub tables {
    is_deeply(
        [ sort map { "examples/$_" } slurp('examples/README.md') =~ m{^\| `(ffi/[^`]+)`}mg ],
        \@ffi, 'examples/README.md names the programs in examples/ffi'
    );
    is_deeply(
        [ sort grep { $_ ne 'docs/README.md' } glob 'docs/*' ],
        [ sort map { "docs/$_" } slurp('docs/README.md') =~ /^\| \[([^\]]+)\]\(\1\)/mg ],
        'docs/README.md names what is in docs/'
    );
    my ($map) = slurp('CONTRIBUTING.md') =~ /^## Where everything is\n(.*?)^## /ms;
    is_deeply([ sort $map =~ /^\| `(src\/[^`]+)` \|/mg ], [ sort glob 'src/*.rs src/*/*.rs' ], 'the map names each file of src/');
    my %named = map { $_ => 1 } $map =~ /`([\w.]+)\/`/g;
    is_deeply([ grep { !$named{$_} } grep { -d } grep { $_ ne 'target' } glob '*' ], [], 'and each folder');
    my @files = $map =~ m{`((?:src|tests|perl|scripts|docs|fuzz|man|benches|examples)/[\w./*-]+)`}g;
    is_deeply([ grep { !grep { -e } glob } @files ], [], 'and it mentions nothing that is not there');

    # "`NAME` in `FILE`", or several of them: each name is in each file, and not as a part of another word.
    my $list = qr/`[^`|]+`(?:(?:,| and) `[^`|]+`)*/;
    my (@missing, $looked_for);
    while ($map =~ /($list)\s+in\s+(?:the\s+)?($list)/g) {
        my ($names, $in) = ($1, $2);
        for my $file ($in =~ /`([^`]+)`/g) {
            my $text = -f $file ? slurp($file) : '';
            for my $name ($names =~ /`([^`]+)`/g) {
                $looked_for++;
                push @missing, "$name in $file" if $text !~ /(?<!\w)\Q$name\E(?!\w)/;
            }
        }
    }
    cmp_ok($looked_for, '>', 50, 'it says what is in which file');
    is(join("\n", @missing), '', 'and each name is in that file');
    return;
}

# Links within the project, with their anchors.
sub links {
    my @pages = grep { -e } 'README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', glob '*/README.md docs/*.md';
    my (@broken, $checked);
    for my $page (@pages) {
        my $text = slurp($page);
        $text =~ s/^```.*?^```$//msg;
        for my $link ($text =~ /\]\(([^)\s]+)\)/g) {
            next if $link =~ /^\w+:/;
            my ($path, $anchor) = $link =~ /^([^#]*)#?(.*)/;
            my $target = $path eq '' ? $page : dirname($page) . "/$path";
            $checked++;
            push @broken, "$page: $link" if !-e $target || $anchor ne '' && !grep { $_ eq $anchor } anchors($target);
        }
    }
    cmp_ok($checked, '>', 20, 'the pages have links to look at');
    is_deeply(\@broken, [], 'and each leads somewhere');
    return;
}

# As GitHub makes them of headings.
sub anchors {
    my ($page) = @_;
    my $text = slurp($page);
    $text =~ s/^```.*?^```$//msg;
    return map { s/[^\w\- ]//gr =~ tr/ /-/r } map { lc } $text =~ /^#+ +(.*)$/mg;
}

# --- tools ---------------------------------------------------------------------------------------

# What a command printed in our directory, standard error included; the command's success is a test.
sub output_of {
    my ($what, @command) = @_;
    return works("$what succeeds", { dir => $dir }, @command);
}

# The same of a command that has to fail.
sub failure_of {
    my @command = @_;
    my ($text, $status) = run({ dir => $dir }, @command);
    ok($status >> 8 && !($status & 127), "@command fails") or diag $text;
    return $text;
}

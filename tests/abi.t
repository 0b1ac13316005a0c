#!/usr/bin/perl
# What a C program sees of the library: the header, the symbols of both libraries, the soname, and what
# can be linked with what. `make lib` comes first.
#
# SPDX-License-Identifier: MIT OR Apache-2.0
use strict;
use warnings;

use File::Path qw(make_path);
use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use CPrograms qw($built $target cc cxx library shared_link static_link symbols);
use Files qw($root slurp spew);
use Header;
use Processes qw(run succeeds works);
use Skips qw(loudly);

chdir $root or die "chdir: $!";
my $shared = library('so');
my $static = library('a');
my $out    = "$target/ctests/abi";
my @cc     = cc();
my @cxx    = cxx();

my @strict  = qw(-Wall -Wextra -pedantic -Werror -Iinclude);
my @link_so = shared_link();
my (undef, @link_libs) = static_link();    # what the archive needs

make_path($out);

my @functions = sort map { $_->{name} } @{ Header->read('include/fdpasser.h')->{functions} };

subtest 'the header declares what the design says' => sub {
    my %has = map { $_ => 1 } @functions;
    ok($has{$_}, $_) for qw(
        fdpasser_socketpair fdpasser_server fdpasser_accept fdpasser_connect send_fd recv_fd
        fdpasser_send_fd fdpasser_recv_fd fdpasser_mode fdpasser_send_fds fdpasser_recv_fds
        fdpasser_retry_ms
        fdpasser_new fdpasser_new_pair fdpasser_i_am_parent fdpasser_i_am_child fdpasser_free
        fdpasser_fileno fdpasser_push_send_fd fdpasser_push_recv fdpasser_events fdpasser_timeout_ms
        fdpasser_process fdpasser_refused fdpasser_next_fd fdpasser_queued fdpasser_drained
        fdpasser_set_per_message fdpasser_set_max_queued
        fdpasser_server_with fdpasser_unlink fdpasser_peer_cred fdpasser_version
    );
};

subtest 'symbols' => sub {
    my %so = symbols('-D', $shared);
    is_deeply([sort keys %so], \@functions, 'the shared library exports the API and nothing else');

    my %archive = symbols('-g', $static);
    is_deeply([sort keys %archive], \@functions, 'so does the archive');
    is($archive{$_}, $_ =~ /^(?:send|recv)_fd$/ ? 'W' : 'T', "$_ in the archive") for @functions;

    # A name that has to come from somewhere else than the C library would break a link.
    my ($undefined) = run($ENV{NM} || 'nm', '-u', $static);
    my @rust = grep { /^_R|^_ZN|rust|fdpasser/ } $undefined =~ /^\s+[Uvw] (\S+)/mg;
    is_deeply(\@rust, [], 'the archive needs nothing of Rust from elsewhere');
};

subtest 'soname' => sub {
    my ($version) = slurp('Cargo.toml') =~ /^version\s*=\s*"([^"]+)"/m;
    my ($major, $minor) = split /\./, $version;
    my $soname = 'libfdpasser.so.' . ($major == 0 ? "0.$minor" : $major);
    my ($dynamic, $status) = run('readelf', '-d', $shared);
    plan skip_all => loudly('there is no readelf') if $status != 0;
    like($dynamic, qr/SONAME.*\[\Q$soname\E\]/, $soname);
    ok(-e "$built/$soname", 'which is there to be loaded');
    unlike($dynamic, qr/TEXTREL/, 'no text relocations');
    unlike($dynamic, qr/R(?:UN)?PATH/, 'no run path');
    my @needed = $dynamic =~ /NEEDED.*\[([^\]]+)\]/g;
    is_deeply([grep { !/^(?:libc|libgcc_s|libpthread|libdl|libm|ld-|linux-)/ } @needed], [],
        "needs the C library's only");
};

subtest 'the header compiles' => sub {
    my $once = "#include <fdpasser.h>\n";
    my $use  = "int (*volatile f)(int) = fdpasser_recv_fd; ssize_t n;\n";
    my $none = "int empty;\n";
    compiles('alone, as C99', 'c', [qw(-std=c99)], $once . $none);
    compiles('as C11',        'c', [qw(-std=c11)], $once . $none);
    compiles('twice',         'c', [qw(-std=c99)], $once . $once . $use);
    compiles('behind others', 'c', [qw(-std=c99 -D_GNU_SOURCE)],
        "#include <sys/socket.h>\n#include <unistd.h>\n$once$use");

    my $own = <<'C';
typedef struct { double x; } send_fd;
static int recv_fd(const char *text) { return text != 0; }
int call(void);
int call(void) { send_fd s = {1}; return recv_fd("") + (int)s.x; }
C
    compiles('without the short names', 'c', [qw(-std=c99 -DFDPASSER_NO_SHORT_NAMES)], $once . $own);
    isnt((try_compile('c', [qw(-std=c99)], $once . $own))[1], 0, 'which clash where they are there');

  SKIP: {
        skip loudly("there is no @cxx"), 3 if !succeeds(@cxx, '--version');
        compiles('as C++', 'cc', [], $once . $once . $use);
        compiles('as C++ without the short names', 'cc', [qw(-DFDPASSER_NO_SHORT_NAMES)],
            "${once}class send_fd {};\nenum recv_fd { none };\n");
        # Without extern "C" the names would be mangled, and not be found.
        spew("$out/plus.cc", "${once}int main() { return fdpasser_mode() - send_fd(-1, -1) - 2; }\n");
        runs('a C++ program', [@cxx, @strict, "$out/plus.cc", '-o', "$out/plus", @link_so], "$out/plus");
    }
};

# --- the archive within another shared object ----------------------------------------------------

# Passes a descriptor to itself; 0 if it is the same file.
my $body = <<'C';
    int pair[2], fd;
    struct stat sent, got;

    if (fdpasser_socketpair(pair) != 0 || fdpasser_send_fd(pair[0], pair[1]) != 1)
        return 1;
    fd = fdpasser_recv_fd(pair[1]);
    if (fd < 3 || fstat(pair[1], &sent) != 0 || fstat(fd, &got) != 0)
        return 2;
    close(fd);
    close(pair[0]);
    close(pair[1]);
    return sent.st_dev != got.st_dev || sent.st_ino != got.st_ino;
C
my $includes = "#include <fdpasser.h>\n#include <sys/stat.h>\n#include <unistd.h>\n";

subtest 'the archive within another shared object' => sub {
    # Two such objects in one process: each has its own Rust within, and neither sees the other's.
    for my $which (qw(one two)) {
        spew("$out/$which.c", "${includes}int $which(void);\nint $which(void)\n{\n$body}\n");
        defined works("lib$which.so links", @cc, qw(-std=c99 -D_GNU_SOURCE -O1 -g -fPIC -shared), @strict,
            "$out/$which.c", '-o', "$out/lib$which.so", $static, @link_libs) or return;
        my %exported = symbols('-D', "$out/lib$which.so");
        delete $exported{$_} for @functions;
        # Where the linker exports its own marks.
        delete $exported{$_} for qw(_init _fini _edata _end __bss_start);
        is_deeply([keys %exported], [$which], "lib$which.so exports nothing of Rust's");
    }
    spew("$out/both.c", <<'C');
#include <dlfcn.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        void *object = dlopen(argv[i], RTLD_NOW | RTLD_GLOBAL);
        int (*function)(void), result;

        if (object == NULL) {
            puts(dlerror());
            return 1;
        }
        *(void **)&function = dlsym(object, argv[i + 1]);
        if (function == NULL || (result = function()) != 0) {
            printf("%s: %d\n", argv[i + 1], function ? result : -1);
            return 1;
        }
    }
    return 0;
}
C
    runs('both are loaded and work',
        [@cc, qw(-std=gnu99 -Wall -Wextra -Werror), "$out/both.c", '-o', "$out/both", '-ldl'],
        "$out/both", map { ("$out/lib$_.so", $_) } qw(one two));
    runs('and with the shared library in the same process',
        [@cc, qw(-std=gnu99 -Wall -Wextra -Werror), "$out/both.c", '-o', "$out/both3", '-ldl',
            '-Wl,--no-as-needed', @link_so],
        "$out/both3", map { ("$out/lib$_.so", $_) } qw(one two));
};

subtest 'the archive beside another one of Rust' => sub {
    my $rustc = $ENV{RUSTC} // 'rustc';
    plan skip_all => loudly("there is no $rustc") if !succeeds($rustc, '--version');
    spew("$out/other.rs", <<'RUST');
#[no_mangle]
pub extern "C" fn other() -> i32 {
    let words: Vec<String> = (0..3).map(|i| format!("{i}")).collect();
    words.join("").parse::<i32>().map_or(1, |n| n - 12)
}
RUST
    defined works('another archive',
        $rustc, qw(--edition 2021 --crate-type staticlib -o), "$out/libother.a", "$out/other.rs") or return;
    spew("$out/two_rusts.c", "${includes}int other(void);\nint main(void)\n{\n"
        . "    if (other() != 0)\n        return 9;\n$body}\n");
    for my $order (["$static", "$out/libother.a"], ["$out/libother.a", "$static"]) {
        runs('both in one program',
            [@cc, qw(-std=c99 -D_GNU_SOURCE), @strict, "$out/two_rusts.c", '-o', "$out/two_rusts", @$order,
                @link_libs],
            "$out/two_rusts");
    }
};

# --- names that a program has of its own ---------------------------------------------------------

subtest "a program's own send_fd and recv_fd" => sub {
    # Not even compiled with the header's help: an old program that knows nothing of the short names.
    spew("$out/own.c", <<"C");
#define FDPASSER_NO_SHORT_NAMES
${includes}int send_fd(void);
int recv_fd(void);
int send_fd(void) { return 40; }
int recv_fd(void) { return 2; }
static int pass(void)
{
$body}
int main(void) { return pass() != 0 || send_fd() + recv_fd() != 42; }
C
    my @build = (@cc, qw(-std=c99 -D_GNU_SOURCE), @strict, "$out/own.c", '-o');
    runs('with the shared library', [@build, "$out/own-shared", @link_so], "$out/own-shared");
    runs('with the static one', [@build, "$out/own-static", $static, @link_libs], "$out/own-static");
    runs('with the static one, all of it',
        [@build, "$out/own-whole", '-Wl,--whole-archive', $static, '-Wl,--no-whole-archive', @link_libs],
        "$out/own-whole");
    runs('exporting them to the shared library', [@build, "$out/own-rdynamic", '-rdynamic', @link_so],
        "$out/own-rdynamic");

    # Without any of its own, the archive's are found although they are weak.
    spew("$out/short.c", "#include <fdpasser.h>\n#include <errno.h>\n"
        . "int main(void) { return !(send_fd(-1, 0) == -1 && errno == EBADF && recv_fd(-1) == -1); }\n");
    runs('a program that has none, static',
        [@cc, '-std=c99', @strict, "$out/short.c", '-o', "$out/short-static", $static, @link_libs],
        "$out/short-static");
    runs('a program that has none, shared',
        [@cc, '-std=c99', @strict, "$out/short.c", '-o', "$out/short-shared", @link_so],
        "$out/short-shared");
};

done_testing;

# -------------------------------------------------------------------------------------------------

# Builds a program and runs it.
sub runs {
    my ($name, $build, @command) = @_;
    my ($text, $status) = run(@$build);
    ($text, $status) = run(@command) if $status == 0;
    ok($status == 0, $name) or diag("wait status $status\n$text");
}

sub try_compile {
    my ($suffix, $flags, $text) = @_;
    spew("$out/header.$suffix", $text);
    return run($suffix eq 'c' ? @cc : @cxx, @$flags, @strict, '-c', "$out/header.$suffix", '-o', "$out/header.o");
}

sub compiles {
    my ($name, @how) = @_;
    my ($text, $status) = try_compile(@how);
    ok($status == 0, $name) or diag($text);
}

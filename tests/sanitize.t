#!/usr/bin/perl
# Builds the library and the programs of tests/c with AddressSanitizer, and again with ThreadSanitizer, and runs
# the programs. This needs a nightly Rust.
#
#   prove -v tests/sanitize.t                        all
#   prove -v tests/sanitize.t :: address NAME...     one sanitizer, some programs
#
# SPDX-License-Identifier: MIT OR Apache-2.0
use strict;
use warnings;

use File::Path qw(make_path);
use File::Temp;
use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use CPrograms qw(@flags c_programs cc shared_link why_skipped);
use Files qw($root spew);
use Processes qw(run);
use Skips qw(loudly);

use constant FOUND => 66;    # the exit status of a program in which a sanitizer has found something

chdir $root or die "chdir: $!";
# Where rustup has a nightly Rust beside another one, take that.
$ENV{RUSTUP_TOOLCHAIN} //= 'nightly'
  if `rustc -V 2>&1` !~ /nightly/ && `rustup toolchain list 2>&1` =~ /^nightly/m;
my $cargo = $ENV{CARGO} // 'cargo';
my $base  = "$root/target/sanitize";
my ($host) = `rustc -vV 2>&1` =~ /^host: (\S+)/m;
make_path($base);

# Each canary makes a mistake that only an instrumented library can notice: the library itself writes where the
# canary tells it to.
my %sanitizers = (
    address => {
        rustflags => '-Zsanitizer=address',
        cflags    => '-fsanitize=address,undefined',
        env       => { ASAN_OPTIONS => "detect_leaks=1:exitcode=${\FOUND}:detect_stack_use_after_return=1",
                       UBSAN_OPTIONS => 'halt_on_error=1:print_stacktrace=1' },
        found     => qr/ERROR: AddressSanitizer: heap-buffer-overflow/,
        canary    => <<'C',
#include "check.h"
static void test(void)
{
    int pair[2], *two = malloc(2 * sizeof *two);

    make_pair(pair);
    send_numbered(pair[0], 1, 16);
    fdpasser_recv_fds(pair[1], two, 16); /* 2 is not 16 */
}
C
    },
    # Rust's standard library comes without ThreadSanitizer's instrumentation, so its locks and atomics are not
    # seen. That does not matter here: this library uses none, and has no state for them to guard.
    thread => {
        rustflags => '-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer',
        cflags    => '-fsanitize=thread',
        # The C compiler's own runtime may be too old for this Rust. Rust's runtime suits both.
        runtime   => 'tsan',
        env       => { TSAN_OPTIONS => "exitcode=${\FOUND}:halt_on_error=1" },
        found     => qr/WARNING: ThreadSanitizer: data race/,
        canary    => <<'C',
#include "check.h"
#include <pthread.h>
static int same[2];
static void *make(void *unused)
{
    for (int i = 0; i < 200; i++) {
        fdpasser_socketpair(same); /* for two threads at once */
        poll(NULL, 0, 1);
    }
    return unused;
}
static void test(void)
{
    pthread_t thread;

    pthread_create(&thread, NULL, make, NULL);
    make(NULL);
    pthread_join(thread, NULL);
}
C
    },
);

my @which = @ARGV && $sanitizers{ $ARGV[0] } ? shift @ARGV : sort keys %sanitizers;
my @names = @ARGV ? @ARGV : c_programs();
my $scratch = File::Temp->newdir;
$ENV{TMPDIR} = $scratch;
delete $ENV{FDPASSER_VALGRIND};

for my $which (@which) {
    subtest "the C programs with the $which sanitizer" => sub { with($which) };
}
done_testing;

sub with {
    my ($which) = @_;
    my $sanitizer = $sanitizers{$which};
    my $out       = "$base/$which";
    make_path($out);
    local @ENV{ keys %{ $sanitizer->{env} } } = values %{ $sanitizer->{env} };

    my ($lib, $why) = library($which, $sanitizer, $out);
    plan skip_all => loudly("$which sanitizer: $why") if !$lib;

    my @compile = (cc(), @flags, split ' ', $sanitizer->{cflags});
    my @link = shared_link($lib);
    my $runtime = $sanitizer->{runtime} && runtime($sanitizer->{runtime});
    my $build = sub {
        my ($source, $program) = @_;
        return run(@compile, $source, '-o', $program, @link) if !$runtime;
        my ($text, $status) = run(@compile, '-c', $source, '-o', "$program.o");
        return ($text, $status) if $status != 0;
        return run(cc(), qw(-rdynamic -pthread), "$program.o", '-o', $program,
            '-Wl,--whole-archive', $runtime, '-Wl,--no-whole-archive', @link, qw(-ldl -lm -lrt -lresolv));
    };

    # The test of the test.
    spew("$out/canary.c", $sanitizer->{canary});
    my ($text, $status) = $build->("$out/canary.c", "$out/canary");
    if ($status != 0) {
        diag($text);
        plan skip_all => loudly("$which sanitizer: the C compiler does not have it");
    }
    ($text, $status) = run("$out/canary");
    ok($status == FOUND << 8 && $text =~ $sanitizer->{found}, 'a mistake of the library is found')
      or diag("wait status $status\n$text");

    for my $name (@names) {
        ($text, $status) = $build->("tests/c/$name.c", "$out/$name");
        if ($status != 0) { fail("$name: does not compile"); diag($text); next }
        ($text, $status) = run("$out/$name");
      SKIP: {
            my $why = why_skipped($status, $text);
            skip loudly("$name ($which): $why"), 1 if defined $why;
            ok($status == 0, $name) or diag("wait status $status\n$text");
        }
    }
}

# The directory of the instrumented library. If it cannot be built: undef, and why not.
sub library {
    my ($which, $sanitizer, $out) = @_;
    return (undef, 'no Rust compiler') if !defined $host;
    local $ENV{RUSTFLAGS}        = $sanitizer->{rustflags};
    local $ENV{CARGO_TARGET_DIR} = "$out/rust";
    my ($text, $status) = run(split(' ', $cargo), qw(build --release --locked --lib --target), $host);
    if ($status != 0) {
        my ($reason) = $text =~ /^(error.*)/m;
        return (undef, $reason // "wait status $status") if $text =~ /nightly|sanitizer/;
        fail('the library builds');
        diag($text);
        return (undef, 'it does not build');
    }
    my $lib = "$out/rust/$host/release";
    my ($soname) = (run('readelf', '-d', "$lib/libfdpasser.so"))[0] =~ /SONAME.*\[(.+)\]/;
    $soname //= 'libfdpasser.so.0.1';
    symlink 'libfdpasser.so', "$lib/$soname";    # or it is there already
    return $lib;
}

# The archive of Rust's runtime for a sanitizer, if it is there.
sub runtime {
    my ($name) = @_;
    chomp(my ($directory) = run(qw(rustc --print target-libdir)));
    my ($archive) = glob "$directory/librustc*rt.$name.a";
    return $archive;
}

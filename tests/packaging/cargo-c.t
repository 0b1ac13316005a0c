#!/usr/bin/perl
# `cargo cinstall` installs what `make install` does. What differs is what docs/packaging.md says. `make` comes first.
#
# SPDX-License-Identifier: MIT OR Apache-2.0
use strict;
use warnings;

use File::Temp qw(tempdir);
use FindBin;
use Test::More;

use lib "$FindBin::Bin/../lib";
use CPrograms qw(cc library symbols);
use Files qw($root slurp spew);
use Packaging qw(without_network);
use Processes qw(run succeeds works);
use Skips qw(loudly);

chdir $root or die "chdir: $!";
library('so');
plan skip_all => loudly('cargo-c is not installed: cargo install cargo-c@0.10.24 (a quarter of an hour)')
  if !succeeds(qw(cargo cinstall --version));
my $dir  = tempdir(CLEANUP => 1);
my $make = $ENV{MAKE} || 'make';

works('make install-lib', $make, 'install-lib', "prefix=$dir/make") or BAIL_OUT('there is nothing to compare with');
my ($command) = slurp('docs/packaging.md') =~ /^\$ (cargo cinstall .*)/m or BAIL_OUT('docs/packaging.md has no command');
like($command, qr{ --prefix /usr --libdir lib\b}, 'the command of docs/packaging.md');
my @offline = (without_network(), 'env', 'CARGO_NET_OFFLINE=true', 'CARGO_TARGET_DIR=target/cargo-c');
works("$command, elsewhere", { deadline => 1800 }, @offline, 'sh', '-c', "$command --destdir $dir/c") or BAIL_OUT('it fails');

my %at = (make => "$dir/make", 'cargo-c' => "$dir/c/usr");
my %libs = map { $_ => "$at{$_}/lib/libfdpasser.so" } keys %at;

subtest 'what is equal' => sub {
    is(slurp("$at{'cargo-c'}/include/fdpasser.h"), slurp("$at{make}/include/fdpasser.h"), 'the header');
    my %files = map { my $top = $at{$_}; $_ => [ map { s{^\Q$top\E/}{}r } sort glob "$top/lib/*.so* $top/lib/pkgconfig/* $top/include/*" ] } keys %at;
    is_deeply($files{'cargo-c'}, $files{make}, 'the names of the files');
    is(scalar @{ $files{make} }, 6, 'six of them');
    my %symbols = map { my %has = symbols('-D', $libs{$_}); $_ => [ sort keys %has ] } keys %libs;
    is_deeply($symbols{'cargo-c'}, $symbols{make}, 'the exported names');
    my %dynamic = map { $_ => join ' ', (run('readelf', '-d', $libs{$_}))[0] =~ /\bSONAME.*|\bFlags:.*/g } keys %libs;
    is($dynamic{'cargo-c'}, $dynamic{make}, 'the soname, and that it is never unloaded');
    my %config = map { $_ => join '', sort grep { /^(?:Name|Description|Version|Libs|Cflags):/ } map { s/\s*\n/\n/r } split /^/, slurp("$at{$_}/lib/pkgconfig/fdpasser.pc") } keys %at;
    is($config{'cargo-c'}, $config{make}, 'name, description, version and flags for pkg-config');
};

spew("$dir/hello.c", slurp('docs/linking.md') =~ /^```c\n(.*?)^```$/ms ? $1 : die 'no hello.c');

subtest 'programs' => sub {
    for my $with (sort keys %at) {
        works("linked with $with\'s", cc(), "-I$at{$with}/include", '-o', "$dir/with-$with", "$dir/hello.c", "-L$at{$with}/lib", '-lfdpasser');
    }
    my $runs = sub { my ($program, $lib) = @_; return run('env', "LD_LIBRARY_PATH=$at{$lib}/lib", "$dir/with-$program") };
    is(($runs->('cargo-c', 'cargo-c'))[0], "received\n", "it runs with cargo-c's");
    is(($runs->('cargo-c', 'make'))[0],    "received\n", "and with make's");
    # What docs/packaging.md says.
    my ($said, $status) = $runs->('make', 'cargo-c');
    is($status, 0, "one that was linked with make's runs with cargo-c's");
    like($said, qr/no version information available.*^received$/ms, 'after the loader has said that there are no versions');
};

subtest 'the archive' => sub {
    works('cargo cinstall with all libraries', { deadline => 1800 }, @offline, 'sh', '-c', "$command --destdir $dir/all" =~ s/--library-type cdylib//r)
      // return;
    like(slurp("$dir/all/usr/lib/pkgconfig/fdpasser.pc"), qr/^Libs\.private:.*-lgcc_s/m, 'its Libs.private has what static programs cannot have');
    spew("$dir/own.c", <<'C');
#define FDPASSER_NO_SHORT_NAMES
#include <fdpasser.h>
int send_fd(int a, int b);
int send_fd(int a, int b) { return a + b; }
int main(void) { return fdpasser_send_fd(-1, -1) + send_fd(0, 1) + fdpasser_recv_fd(-1) + 1; }
C
    my @build = (cc(), "-I$at{make}/include", '-o', "$dir/own", "$dir/own.c");
    works("make's lets a program have a send_fd of its own", @build, "$at{make}/lib/libfdpasser.a");
    my ($said, $status) = run(@build, "$dir/all/usr/lib/libfdpasser.a", qw(-lpthread -ldl -lm));
    isnt($status, 0, "cargo-c's does not");
    like($said, qr/multiple definition of `send_fd'/, 'as docs/packaging.md says');
};

done_testing;

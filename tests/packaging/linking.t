#!/usr/bin/perl
# The commands of docs/linking.md, word for word, with a library that was installed into a fresh prefix: pkg-config,
# CMake, Meson, static programs, musl. `make` comes first.
#
# SPDX-License-Identifier: MIT OR Apache-2.0
use strict;
use warnings;

use File::Path qw(make_path remove_tree);
use File::Temp qw(tempdir);
use FindBin;
use Test::More;

use lib "$FindBin::Bin/../lib";
use CPrograms qw(library);
use Files qw($root slurp spew);
use Packaging qw(home_of_cargo without_network);
use Processes qw(installed run works);
use Skips qw(loudly);

chdir $root or die "chdir: $!";
library('so');
plan skip_all => loudly('pkg-config is not installed') if !installed('pkg-config');
my $dir  = tempdir(CLEANUP => 1);
my $make = $ENV{MAKE} || 'make';

# Heading => what is in its blocks.
my %page;
for my $section (split /^## /m, slurp('docs/linking.md')) {
    my ($heading) = $section =~ /\A(.*)/;
    push @{ $page{$heading}{$1} }, $2 while $section =~ /^```(\w+)\n(.*?)^```$/msg;
}

# The commands of a section, each in a shell, in a directory with hello.c. What they build has to run.
my @environment = ('env', "HOME=$dir", 'LD_LIBRARY_PATH=');

sub commands {
    my ($heading) = @_;
    return map { /^\$ (.*)$/mg } @{ $page{$heading}{console} // [] };
}

sub builds {
    my ($command, $program, @variables) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    remove_tree("$dir/work");
    make_path("$dir/work");
    spew("$dir/work/hello.c", $page{'# Linking a C program'}{c}[0]);
    spew("$dir/work/CMakeLists.txt", $page{CMake}{cmake}[0]);
    spew("$dir/work/meson.build",    $page{Meson}{meson}[0]);
    my $run = { dir => "$dir/work" };
    works($command, $run, @environment, @variables, 'sh', '-c', $command) // return;
    is((run($run, @environment, @variables, "./$program"))[0], "received\n", 'and the program runs');
    return;
}

# What a program wants of whom.
sub wants {
    my ($file) = @_;
    return (run('readelf', '--dynamic', '--wide', "$dir/work/$file"))[0] =~ /NEEDED.*\[(.*)\]/g;
}

works('make install-lib', $make, 'install-lib', "prefix=$dir/opt") or BAIL_OUT('there is nothing to link with');
my @found = ("PKG_CONFIG_PATH=$dir/opt/lib/pkgconfig", "LD_LIBRARY_PATH=$dir/opt/lib");
my ($soname) = map { s{.*/}{}r } glob 'target/release/libfdpasser.so.*';

subtest 'pkg-config' => sub {
    my ($plain, $with_path) = commands('pkg-config');
    builds($plain, 'hello', @found);
    ok((grep { $_ eq $soname } wants('hello')), 'which is linked with the shared library');
    builds($with_path, 'hello', $found[0]);
};

subtest 'CMake' => sub {
    plan skip_all => loudly('CMake is not installed') if !installed('cmake');
    builds($_, 'build/hello', @found) for commands('CMake');
    ok((grep { $_ eq $soname } wants('build/hello')), 'which is linked with the shared library');
};

subtest 'Meson' => sub {
    plan skip_all => loudly('Meson is not installed') if !installed('meson');
    builds($_, 'build/hello', @found) for commands('Meson');
    ok((grep { $_ eq $soname } wants('build/hello')), 'which is linked with the shared library');
};

subtest 'static' => sub {
    my @commands = commands('The static library');
    is(@commands, 3, 'three commands');
    for my $command (@commands) {
        builds($command, 'hello', $found[0]);
        my @wants = wants('hello');
        if ($command =~ /-static/) { is("@wants", '', 'which needs no shared library') }
        else                       { ok(!(grep { /fdpasser/ } @wants), 'which does not need the shared library') }
    }
};

subtest 'musl' => sub {
    my ($install, $set, @commands) = commands('musl');
    my ($target) = $install =~ /CARGO_BUILD_TARGET=(\S+)/;
    plan skip_all => loudly('musl-gcc is not installed') if !installed('musl-gcc');
    chomp(my $directory = (run('rustc', '--print', 'target-libdir', '--target', $target))[0]);
    plan skip_all => loudly("this Rust has no standard library for $target") if !glob "$directory/libstd-*";
    # It builds the library, without a network.
    works($install, { deadline => 1800, env => { HOME => $dir, CARGO_NET_OFFLINE => 'true', home_of_cargo() } },
        without_network(), 'sh', '-c', $install)
      // return;
    my ($found) = $set =~ /^export (\w+=)"\$HOME\/(.*)"$/ or return fail('the command that sets PKG_CONFIG_PATH');
    is(@commands, 2, 'two commands');
    builds($_, 'hello', "$1$dir/$2") for @commands;
    ok((grep { $_ eq $soname } wants('hello')), 'and the last one is linked with the shared library');
    # musl's own sendmsg(3) has no room for it in some versions.
    my ($prefix) = $install =~ m{prefix="\$HOME/(.*)"} or return fail('the prefix');
    works('253 descriptors in one message', { deadline => 300, env => { CC => 'musl-gcc' } }, $^X, 'tests/c.t',
        '--target', $target, '--lib', "$dir/$prefix/lib", qw(--run env largest_message));
};

subtest 'the version' => sub {
    my ($major, $minor, $patch) = slurp('Cargo.toml') =~ /^version = "(\d+)\.(\d+)\.(\d+)"/m;
    my ($if) = slurp('docs/linking.md') =~ /^(#if FDPASSER_VERSION.*?#endif)$/ms;
    spew("$dir/work/hello.c", <<"C");
#include <fdpasser.h>
#if FDPASSER_VERSION_MAJOR != $major || FDPASSER_VERSION_MINOR != $minor || FDPASSER_VERSION_PATCH != $patch
#error "not the version of Cargo.toml"
#endif
$if
int main(void) { return fdpasser_version() != FDPASSER_VERSION || FDPASSER_VERSION != ($major << 16 | $minor << 8 | $patch); }
C
    my ($plain) = commands('pkg-config');
    works('the header has that of Cargo.toml', { dir => "$dir/work" }, @environment, @found, 'sh', '-c', $plain);
    works('and the library too', { dir => "$dir/work" }, @environment, @found, './hello');
};

done_testing;

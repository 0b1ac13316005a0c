#!/usr/bin/perl
# The package for Node: its tarball, its installation, its types, and its own tests.
#
#   node.t          with the node in PATH, and the library that `make` has built (`make check`)
#   node.t --all    also with each Node of target/node, and with a library that cargo builds from the tarball
#
# scripts/setup-node fills target/node.
#
# SPDX-License-Identifier: MIT OR Apache-2.0
use strict;
use warnings;

use File::Temp qw(tempdir);
use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use CPrograms qw($built cc library);
use Files     qw($root slurp spew);
use Processes qw(installed run succeeds works);
use Skips     qw(loudly);

my $all = grep { $_ eq '--all' } @ARGV;
my $archive = library('a');
my $dir     = tempdir(CLEANUP => 1);

# npm reads no configuration of the user's, and asks nobody.
my %env = (
    CARGO_NET_OFFLINE => 'true', NODE_OPTIONS => '', NODE_PATH => '', FDPASSER_LIB => $archive, FDPASSER_INCLUDE => "$root/include",
    npm_config_offline => 'true', npm_config_audit => 'false', npm_config_fund => 'false', npm_config_update_notifier => 'false',
    npm_config_userconfig => "$dir/npmrc", npm_config_cache => "$dir/npm",
);

sub version { return (run($_[0], '-p', 'process.versions.node'))[0] =~ /^(\d+)\.\S+$/ ? $1 : 0 }

plan skip_all => loudly('there is no node') if !installed('node');
my @nodes = ('node', $all ? glob "$root/target/node/*/node_modules/node/bin/node" : ());
plan skip_all => loudly('node is older than 18') if version('node') < 18;
plan skip_all => loudly('there is no npm') if !installed('npm');
plan skip_all => loudly('there is no C compiler') if !succeeds(cc(), '--version');
plan skip_all => loudly("Node's headers are not installed (libnode-dev)") if !succeeds('node', "$root/node/install.js", '--headers');

# --- the tarball and its installation -------------------------------------------------------------------

works('the tarball is made', { dir => "$root/node", env => \%env }, qw(npm pack --silent --pack-destination), $dir);
my ($tarball) = glob "$dir/fdpasser-*.tgz";
BAIL_OUT('there is no tarball') if !$tarball;
my ($contents) = run('tar', '-tzf', $tarball);
like($contents, qr{^package/\Q$_\E$}m, "it has $_")
  for qw(README.md index.d.ts install.js lib/index.js src/addon.c LICENSE-MIT libfdpasser/Cargo.lock libfdpasser/src/ffi.rs libfdpasser/include/fdpasser.h);
unlike($contents, qr{\.node$|\.so$|^package/(?:test|build|node_modules)/}m, 'and nothing that was built');
my ($version) = slurp("$root/Cargo.toml") =~ /^version = "(.*)"/m;
like($tarball, qr/fdpasser-\Q$version\E\.tgz\z/, 'its version is that of the library');

# What a folder says in which the package was installed.
my $smoke = <<'JS';
import { Passer, socketpair } from 'fdpasser';
const [a, b] = socketpair().map((end) => new Passer(end));
const [received] = await Promise.all([b.recv(), a.send(1, 'data')]);
console.log(String(received.data));
received.close();
a.close();
b.close();
JS

my $folder = "$dir/folder";
mkdir $folder or die "$folder: $!";
spew("$folder/smoke.mjs", $smoke);

sub npm_install { return run({ dir => $folder, env => { %env, @_ }, deadline => 900 }, qw(npm install --foreground-scripts), $tarball) }

# What npm runs, in the folder where it has installed the package.
sub install { return run({ dir => "$folder/node_modules/fdpasser", env => { %env, @_ }, deadline => 900 }, qw(node install.js)) }

sub runs {
    my ($what, $text, $status) = @_;
    my ($said) = $status ? '' : run({ dir => $folder, env => \%env }, 'node', '--trace-warnings', 'smoke.mjs');
    return is($said, "data\n", $what) || diag($text);
}

# An installed library, as pkg-config shows it.
mkdir "$dir/pc" or die "$dir/pc: $!";
spew("$dir/pc/fdpasser.pc", <<"PC");
includedir=$root/include
libdir=$built
Name: fdpasser
Description: descriptors
Version: $version
Cflags: -I\${includedir}
Libs: -L\${libdir} -lfdpasser
PC

runs('npm installs it, with an archive that FDPASSER_LIB names', npm_install());
runs('or with a shared library', install(FDPASSER_LIB => library('so')));
SKIP: {
    skip loudly('there is no pkg-config'), 1 if !installed('pkg-config');
    runs('or with an installed library', install(FDPASSER_LIB => 'installed', PKG_CONFIG_PATH => "$dir/pc"));
}
runs('or with a library that cargo builds from its own sources', install(FDPASSER_LIB => '')) if $all;

for (
    [ { FDPASSER_LIB => '', CARGO => '/nowhere/cargo' }, qr/neither cargo \(Rust 1\.81 or newer\) nor an installed libfdpasser was found/ ],
    [ { FDPASSER_LIB => 'installed' },                   qr/pkg-config finds no installed libfdpasser/ ],
    [ { FDPASSER_LIB => '/nowhere/libfdpasser.a' },      qr{FDPASSER_LIB: there is no /nowhere/libfdpasser\.a} ],
    [ { CC => '/nowhere/cc' },                           qr{there is no C compiler: /nowhere/cc} ],
) {
    my ($env, $expected) = @$_;
    my ($text, $status) = install(PKG_CONFIG_LIBDIR => '/nowhere', PKG_CONFIG_PATH => '', %$env);
    ok($status != 0 && $text =~ $expected, "it says what is missing: $expected") or diag($text);
}

# --- types ----------------------------------------------------------------------------------------------

SKIP: {
    my $types = "$root/target/node/types/node_modules";
    skip loudly('there is no TypeScript (scripts/setup-node)'), 1 if !-x "$types/.bin/tsc";
    spew("$folder/types.ts", slurp("$root/node/test/types.ts"));
    spew("$folder/tsconfig.json", <<"JSON");
{ "compilerOptions": { "strict": true, "noEmit": true, "module": "nodenext", "target": "es2022", "types": ["node"], "typeRoots": ["$types/\@types"] },
  "files": ["types.ts"] }
JSON
    works('tsc accepts what is right, and nothing else', { dir => $folder, env => \%env }, "$types/.bin/tsc", '-p', '.');
}

# --- its own tests --------------------------------------------------------------------------------------

works('the module is built in the source tree', { dir => "$root/node", env => \%env }, 'node', 'install.js');
for my $node (@nodes) {
    my ($name) = (run($node, '--version'))[0] =~ /(\S+)/;
    for my $test (sort glob "$root/node/test/*.test.js") {
        my ($file) = $test =~ m{([^/]+)$};
        my ($text, $failed) = run({ dir => "$root/node", env => \%env, deadline => 300 }, $node, '--trace-warnings', '--test-reporter=tap', $test);
        my $passed = () = $text =~ /^ok \d+/mg;
        ok(!$failed && $passed && $text !~ /^not ok|^# fail [^0]/m, "Node $name: $file, $passed tests") or diag($text);
        unlike($text, qr/warning/i, 'without a warning');
        while ($text =~ /^ok \d+ - (.*?) # SKIP\s*(.*)$/mg) {
            SKIP: { skip loudly("Node $name: $1: $2"), 1 }
        }
    }
}

done_testing;

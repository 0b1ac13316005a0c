#!/usr/bin/perl
# The Python package: its source distribution, its wheel, its types, and its own tests with the wheel installed.
#
#   python.t          with one Python, and the library that `make` has built (`make check`)
#   python.t --all    with each Python of target/python, and a wheel that cargo builds from the source distribution
#
# scripts/setup-python makes the environments in target/python. Without one python3 is taken, if it has what is needed.
#
# SPDX-License-Identifier: MIT OR Apache-2.0
use strict;
use warnings;

use File::Temp qw(tempdir);
use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use CPrograms qw($built library);
use Files     qw($root);
use Processes qw(run succeeds works);
use Skips     qw(loudly);

my $all = grep { $_ eq '--all' } @ARGV;
my $library = library('so');
my $dir     = tempdir(CLEANUP => 1);
my %env     = (CARGO_NET_OFFLINE => 'true', PIP_DISABLE_PIP_VERSION_CHECK => 1, PIP_NO_INDEX => 1, PYTHONPATH => '', FDPASSER_LIB => '');

# The newest one first.
my @pythons = sort { minor($b) <=> minor($a) } glob "$root/target/python/*/bin/python";
@pythons = grep { succeeds($_, '-c', 'from setuptools import build_meta, __version__ as v; import pip, pytest; assert int(v.split(".")[0]) >= 77') }
  @pythons ? @pythons : 'python3';
plan skip_all => loudly('there is no Python with pip, pytest and setuptools 77 or newer (scripts/setup-python)') if !@pythons;
my ($python) = @pythons;
@pythons = $python if !$all;

sub minor { return $_[0] =~ m{/3\.(\d+)/} ? $1 : 0 }

# --- distributions ------------------------------------------------------------------------------------

my $sdist = "$dir/sdist";
mkdir $sdist or die "$sdist: $!";
works('a source distribution', { dir => "$root/python", env => \%env }, $python, '-c',
    "from setuptools import build_meta; build_meta.build_sdist('$sdist')");
my ($sources) = glob "$sdist/fdpasser-*.tar.gz";
BAIL_OUT('there is none') if !$sources;
my ($contents) = run('tar', '-tzf', $sources);
like($contents, qr{^fdpasser-[\d.]+/\Q$_\E$}m, "it has $_")
  for qw(README.md tests/test_asyncio.py libfdpasser/Cargo.lock libfdpasser/src/ffi.rs libfdpasser/include/fdpasser.h LICENSE-MIT);
unlike($contents, qr/\.so$|__pycache__/m, 'and nothing that was built');

my $wheel = wheel('a wheel with the library that FDPASSER_LIB names', FDPASSER_LIB => $library);
like($wheel, qr/-py3-none-\w+_\w+\.whl\z/, 'it is for every Python, and for one platform');

my $without = wheel('a wheel for an installed library', FDPASSER_LIB => 'installed');
like($without, qr/-py3-none-any\.whl\z/, 'it is for every platform');
my $loaded = 'import fdpasser; from fdpasser._library import lib; print(lib._name)';
is(
    (run({ env => { %env, PYTHONPATH => installed($without), LD_LIBRARY_PATH => $built } }, $python, '-c', $loaded))[0],
    "libfdpasser.so.0.1\n", 'and loads that'
);
is((run({ env => { %env, PYTHONPATH => installed($without), FDPASSER_LIB => $library } }, $python, '-c', $loaded))[0],
    "$library\n", 'or the one that FDPASSER_LIB names');
my ($said, $status) = run({ env => { %env, CARGO => '/nowhere/cargo', PKG_CONFIG_LIBDIR => '/nowhere' } }, pip_wheel("$dir/none"));
ok($status != 0 && $said =~ /neither cargo \(Rust 1\.81 or newer\) nor an installed libfdpasser was found/,
    'without any library it says what is missing') or diag($said);

if ($all) {
    my $own = wheel('a wheel with the library that cargo builds');
    like((run({ env => { %env, PYTHONPATH => installed($own) } }, $python, '-c', $loaded))[0], qr{/fdpasser/libfdpasser\.so$},
        'and it is loaded');
}

# Builds a wheel from the source distribution, offline, and returns its path.
sub wheel {
    my ($what, %more) = @_;
    my $out = tempdir(DIR => $dir);
    works($what, { env => { %env, %more }, deadline => 900 }, pip_wheel($out));
    my ($wheel) = glob "$out/*.whl";
    return $wheel // '';
}

sub pip_wheel { return ($python, qw(-m pip wheel --quiet --no-build-isolation --no-deps -w), $_[0], $sources) }

# The directory that has the package of a wheel.
sub installed {
    my ($wheel) = @_;
    my $site = tempdir(DIR => $dir);
    my ($text, $failed) = run({ env => \%env }, $python, qw(-m pip install --quiet --no-deps --target), $site, $wheel);
    diag($text) if $failed;
    return $site;
}

# --- types and tests ------------------------------------------------------------------------------------

SKIP: {
    skip loudly('mypy is not installed'), 1 if !succeeds($python, '-m', 'mypy', '--version');
    works('mypy finds nothing to say', { dir => "$root/python", env => \%env }, $python, qw(-m mypy --cache-dir), "$root/target/python/mypy");
}

my $site = installed($wheel);
for my $python (@pythons) {
    my ($version) = (run($python, '-c', 'import sys; print("%d.%d" % sys.version_info[:2])'))[0] =~ /(\S+)/;
    my ($text, $failed) = run({ dir => "$root/python", env => { %env, PYTHONPATH => $site, PYTHONDONTWRITEBYTECODE => 1 }, deadline => 600 },
        $python, qw(-X dev -m pytest -q -rs -p no:cacheprovider));
    ok(!$failed && $text =~ /^\d+ passed/m, "Python $version: " . ($text =~ /^(\d+ .* in .*)$/m ? $1 : 'its tests')) or diag($text);
    my %why = map { $_ => 1 } $text =~ /^SKIPPED \[\d+\] [^:]+:(?:\d+:)? (.*)$/mg;
    for my $why (sort keys %why) {
        SKIP: { skip loudly("Python $version: $why"), 1 }
    }
}

done_testing;

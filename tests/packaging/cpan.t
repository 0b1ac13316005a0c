#!/usr/bin/perl
# The CPAN tarball: what is in it, and that it is built, tested and installed from itself alone, without a network; the
# same with vendored crates and nothing fetched; and with an installed library in place of the Rust sources.
#
# SPDX-License-Identifier: MIT OR Apache-2.0
use strict;
use warnings;

use Config;
use CPAN::Meta;
use ExtUtils::Manifest qw(maniread);
use File::Temp qw(tempdir);
use FindBin;
use Test::More;

use lib "$FindBin::Bin/../lib";
use Files qw($root slurp spew);
use Packaging qw(copy_of_the_tree home_of_cargo without_network);
use Processes qw(installed run works);
use Skips qw(loudly);

chdir $root or die "chdir: $!";
my $dir  = tempdir(CLEANUP => 1);
my $make = $ENV{MAKE} || 'make';
delete @ENV{ grep { /^FDPASSER_/ } keys %ENV };

my @offline = (without_network(), 'env', 'CARGO_NET_OFFLINE=true');
my $loads   = 'AnyEvent::FDpasser::fdpasser_mode() == 1 or die';

# A shell command in a directory has to succeed. Some of them build the library.
sub in {
    my ($directory, $command, @environment) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return works($command, { dir => $directory, deadline => 1800 }, @offline, @environment, 'sh', '-c', $command);
}

# And another one has to fail. Returns what it says.
sub fails {
    my ($what, $directory, $command, @environment) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my ($said, $status) = run({ dir => $directory }, 'env', @environment, 'sh', '-c', $command);
    isnt($status, 0, $what);
    return $said;
}

my $tree = "$dir/tree";
copy_of_the_tree($tree);
my ($tarball, $unpacked);

subtest 'make dist' => sub {
    in($tree, "$make dist");
    ($tarball) = glob "$tree/target/dist/AnyEvent-FDpasser-*.tar.gz" or BAIL_OUT('there is no tarball');
    my ($name) = $tarball =~ m{([^/]+)\z};
    in("$tree/perl", "$^X Makefile.PL && $make dist");
    ok(-e "$tree/perl/$name", 'it makes one in perl/ too') or return;
    is((run('cmp', $tarball, "$tree/perl/$name"))[0], '', 'and the two are the same');
    works('unpacking it', 'tar', '-xzf', $tarball, '-C', $dir);
    $unpacked = "$dir/" . ($name =~ s/\.tar\.gz\z//r);
};

subtest 'what is in it' => sub {
    my $listed = maniread("$unpacked/MANIFEST");
    my ($found) = run({ dir => $unpacked }, qw(find . -type f));
    is_deeply([ sort split /\n/, $found =~ s{^\./}{}gmr ], [ sort keys %$listed ], 'what MANIFEST says, and no more');
    ok(exists $listed->{$_}, $_) for qw(README LICENSE META.json META.yml MANIFEST.SKIP libfdpasser/Cargo.lock libfdpasser/src/ffi.rs libfdpasser/include/fdpasser.h);
    like(slurp("$unpacked/LICENSE"), qr/Permission is hereby granted.*Apache License\s+Version 2\.0/s, 'both licences');
    my $meta = CPAN::Meta->load_file("$unpacked/META.json");
    is($meta->meta_spec_version, 2, 'META: its version');
    is_deeply([ $meta->licenses ], [qw(mit apache_2_0)], 'META: licences');
    is_deeply([ $meta->authors ], ['the libfdpasser authors'], 'META: authors');
    ok($meta->resources->{homepage}, 'META: a homepage');
    my ($version) = slurp('perl/lib/AnyEvent/FDpasser.pm') =~ /VERSION = '([\d.]+)'/;
    is_deeply($meta->provides->{'AnyEvent::FDpasser'}, { file => 'lib/AnyEvent/FDpasser.pm', version => $version }, 'META: what it provides');
    my $prereqs = $meta->effective_prereqs;
    ok(defined $prereqs->requirements_for(@{ $_->[0] })->requirements_for_module($_->[1]), "META: @{ $_->[0] } $_->[1]")
      for [ [qw(runtime requires)], 'AnyEvent' ], [ [qw(runtime requires)], 'perl' ], [ [qw(runtime recommends)], 'EV' ],
      [ [qw(configure requires)], 'ExtUtils::MakeMaker' ], [ [qw(test requires)], 'Test::More' ];
    is((run(qw(podchecker -warnings -warnings), "$unpacked/lib/AnyEvent/FDpasser.pm"))[0] =~ s/^.* pod syntax OK\.\n\z//r, '', 'podchecker is quiet')
      if installed('podchecker');
};

subtest 'distcheck' => sub {
    # It prints the command, and then what it finds.
    for my $where ("$tree/perl", $unpacked) {
        in($where, "$^X Makefile.PL");
        is((run({ dir => $where }, $make, '-s', 'distcheck'))[0], '', 'finds nothing');
    }
    in($unpacked, "$make realclean");
};

subtest 'no tarball' => sub {
    my $none = "$dir/none";
    like(fails('without cargo', $tree, "scripts/perl-dist $none", 'CARGO=no-such-cargo'), qr/without cargo/, 'and it says so');
    spew("$tree/perl/t/forgotten.t", '');
    like(fails('with a file that MANIFEST lacks', $tree, "scripts/perl-dist $none"), qr/Not in MANIFEST: t\/forgotten\.t/, 'which it names');
    unlink "$tree/perl/t/forgotten.t";
    ok(!glob("$none/*"), 'in none of these cases');
    # perl/ alone, where an installed library is found.
    in($dir, "mkdir alone && cp -R tree/perl alone/ && touch alone/libfdpasser.a && mkdir -p alone/include && touch alone/include/fdpasser.h");
    like(fails('without the Rust sources', "$dir/alone/perl", "FDPASSER_LIB=../libfdpasser.a $^X Makefile.PL >/dev/null && $make dist"),
        qr/no Rust sources here to put into the tarball/, 'and it says so');
};

subtest 'from the tarball alone' => sub {
    my @loop = 'PERL_ANYEVENT_MODEL=Perl';
    my $top  = "$dir/local";
    if (installed('cpanm')) {
        # It looks nowhere for what is installed already.
        in($dir, "cpanm --local-lib $top --verbose $tarball", @loop, "HOME=$dir", map { my %home = home_of_cargo(); "$_=$home{$_}" } qw(CARGO_HOME RUSTUP_HOME));
    }
    else {
        loudly('cpanm is not installed, so its steps are made by hand');
        in($unpacked, "$^X Makefile.PL INSTALL_BASE=$top && $make && $make test && $make install", @loop);
    }
    in('/', "$^X -I$top/lib/perl5 -MAnyEvent::FDpasser -e '$loads'");
    unlike((run('ldd', glob "$top/lib/perl5/$Config{archname}/auto/AnyEvent/FDpasser/FDpasser.$Config{dlext}"))[0], qr/fdpasser/, 'it needs no other library');
};

subtest 'with vendored crates, and nothing fetched' => sub {
    in($tree, "scripts/perl-dist --vendored $dir/vendored");
    my ($vendored) = glob "$dir/vendored/*.tar.gz" or return fail('there is a tarball');
    in("$dir/vendored", "tar -xzf $vendored");
    my ($where) = glob "$dir/vendored/*/";
    is((run({ dir => $where }, 'sh', '-c', "$^X Makefile.PL >/dev/null && $make -s distcheck"))[0], '', 'distcheck finds nothing');
    in($where, "$make && $^X -Mblib -MAnyEvent::FDpasser -e '$loads'", "CARGO_HOME=$dir/empty");
};

# --- without the Rust sources, an installed library is linked ------------------------------------

subtest 'an installed library' => sub {
    plan skip_all => loudly('pkg-config is not installed') if !installed('pkg-config');
    my $prefix = "$dir/opt";
    works('make install-lib', $make, 'install-lib', "prefix=$prefix") // return;
    my $bare = "$dir/bare";
    in($dir, "cp -R $unpacked bare && rm -r bare/libfdpasser");
    my @found = ("PKG_CONFIG_PATH=$prefix/lib/pkgconfig");
    my $build = "$^X Makefile.PL && $make";
    my $again = "$make distclean >/dev/null";
    my $module = "$bare/blib/arch/auto/AnyEvent/FDpasser/FDpasser.$Config{dlext}";
    my $wants  = sub { return (run('readelf', '-d', $module))[0] };

    in($bare, $build, @found);
    in($bare, "$^X -Mblib -MAnyEvent::FDpasser -e '$loads'");
    unlike($wants->(), qr/libfdpasser/, 'its archive is linked');

    unlink "$prefix/lib/libfdpasser.a";
    like(fails('without the archive', $bare, "$again; $^X Makefile.PL", @found),
        qr{needs the C library.*no Rust sources.*installed, but \Q$prefix\E/lib/libfdpasser\.a is missing\. FDPASSER_SHARED=1.*libfdpasser\.so}s,
        'it says what is missing, and what to do');
    in($bare, $build, @found, 'FDPASSER_SHARED=1');
    like($wants->(), qr/NEEDED.*\[libfdpasser\.so\.[\d.]+\]/, 'the shared library is linked');
    unlike($wants->(), qr/R(?:UN)?PATH|\Q$dir\E/, 'and the module has no RUNPATH');
    in($bare, "$^X -Mblib -MAnyEvent::FDpasser -e '$loads'", "LD_LIBRARY_PATH=$prefix/lib");
    in($bare, "$again; LD_RUN_PATH=$prefix/lib; export LD_RUN_PATH; $build", @found, 'FDPASSER_SHARED=1');
    in($bare, "$^X -Mblib -MAnyEvent::FDpasser -e '$loads'");

    # What is missing has its own words each time.
    unlink "$prefix/lib/libfdpasser.so";
    my $configure = "$again; $^X Makefile.PL";
    like(fails('without the shared library', $bare, $configure, @found, 'FDPASSER_SHARED=1'), qr{\Q$prefix\E/lib/libfdpasser\.so is missing\.$}m, 'it says so');
    like(fails('where nothing is installed', $bare, $configure, "PKG_CONFIG_LIBDIR=$dir"), qr/no Rust sources.*pkg-config knows no fdpasser/s, 'it says so');
    like(fails('without pkg-config', $bare, $configure, 'PKG_CONFIG=no-such-pkg-config'), qr/pkg-config is missing/, 'it says so');
    like(fails('without cargo', $unpacked, "$^X Makefile.PL", "PKG_CONFIG_LIBDIR=$dir", 'CARGO=no-such-cargo'),
        qr/sources are here, but cargo is missing: install Rust 1\.81 or newer/, 'it says so');
    spew("$dir/old-cargo", "#!/bin/sh\necho cargo 1.63.0\n");
    chmod 0755, "$dir/old-cargo";
    like(fails('with an old cargo', $unpacked, "$^X Makefile.PL", "PKG_CONFIG_LIBDIR=$dir", "CARGO=$dir/old-cargo"), qr/cargo is 1\.63: install Rust 1\.81/, 'it says so');
};

done_testing;

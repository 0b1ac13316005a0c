#!/usr/bin/perl
# What `make install` puts in place works from there, and the CPAN tarball is built, tested and installed
# as any CPAN module is.
#
# SPDX-License-Identifier: MIT OR Apache-2.0

use strict;
use warnings;

use Config;
use File::Temp qw(tempdir);
use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use CPrograms qw(library symbols);
use Files     qw($root slurp spew);
use Header;
use Processes qw(installed works);
use Skips     qw(loudly);

chdir $root or die "chdir: $!";
my $dir  = tempdir(CLEANUP => 1);
my $make = $ENV{MAKE} || 'make';

# A recipe's make must not inherit the outer one's flags and job server.
delete @ENV{qw(MAKEFLAGS MFLAGS MAKELEVEL)};

# A shell command has to succeed. Some of them build the library.
sub succeed {
    my ($what, $command) = @_;
    works($what, { deadline => 1800 }, 'sh', '-c', $command);
    return;
}

# --- make install

my ($version) = slurp('Cargo.toml') =~ /^version = "(.*)"/m;

# Always with DESTDIR: a test installs nothing into the system.
succeed('make install', "$make install prefix=/opt/fdpasser DESTDIR=$dir/dest");
my $prefix = "$dir/dest/opt/fdpasser";
ok(-f "$prefix/$_", "$_ is there")
  for qw(include/fdpasser.h lib/libfdpasser.a lib/libfdpasser.so lib/pkgconfig/fdpasser.pc), "lib/libfdpasser.so.$version";
succeed('the Perl module is there, and works without LD_LIBRARY_PATH',
    "cd / && $^X -I$dir/dest$Config{installsitearch} -MAnyEvent::FDpasser -e 'AnyEvent::FDpasser::fdpasser_mode() == 1 or die'");

spew("$dir/mode.c", "#include <fdpasser.h>\nint main(void) { return fdpasser_mode() != FDPASSER_MODE_BSD; }\n");

my $no_pkg_config = !installed('pkg-config') && loudly('pkg-config is not installed');
SKIP: {
    skip $no_pkg_config, 5 if $no_pkg_config;
    local $ENV{PKG_CONFIG_PATH}        = "$prefix/lib/pkgconfig";
    local $ENV{PKG_CONFIG_SYSROOT_DIR} = "$dir/dest";
    my $cc = $ENV{CC} || 'cc';
    is(`pkg-config --modversion fdpasser`, "$version\n", 'pkg-config knows the version');
    succeed('linking the shared library', "cd $dir && $cc mode.c -o shared \$(pkg-config --cflags --libs fdpasser)");
    succeed('the program finds it by its soname', "LD_LIBRARY_PATH=$prefix/lib $dir/shared");
    succeed('linking the static library',
        "cd $dir && rm $prefix/lib/*.so* && $cc mode.c -o static \$(pkg-config --static --cflags --libs fdpasser)");
    succeed('the program needs no library', "$dir/static");
}

# --- the manual; what is in it tests/man.t looks at

my $manual = "$prefix/share/man";
my @found  = sort map { m{([^/]+)\.3\z} } glob "$manual/man3/*.3";
SKIP: {
    skip loudly('nm is not installed'), 1 if !installed('nm');
    my %exported = symbols('-D', library('so'));
    is("@found", join(' ', sort keys %exported), 'there is a page for what the library exports, and for nothing else');
}
is_deeply([ map { $_->{name} } sort { $a->{name} cmp $b->{name} } @{ Header->read("$prefix/include/fdpasser.h")->{functions} } ],
    \@found, 'and what the header declares');
ok(-f "$manual/man7/fdpasser.7", 'fdpasser(7) is there');
SKIP: {
    skip loudly('man is not installed'), 3 if !installed('man');
    for (['send_fd', 'fdpasser_send_fd'], ['fdpasser_new', 'fdpasser_new'], ['7 fdpasser', 'fdpasser']) {
        my ($asked, $name) = @$_;
        # Some systems' man without their manual is a script that says so.
        my $text = `MANPATH=$manual MANPAGER=cat man $asked 2>&1` =~ s/.\x08//gr;
        skip loudly("man shows nothing here: $text"), 1 if $text =~ /minimized/;
        like($text, qr/^NAME\n\s+$name\b/m, "man $asked");
    }
}

# --- the CPAN tarball

succeed('make the tarball', "scripts/perl-dist $dir/dist");
my ($tarball) = glob "$dir/dist/AnyEvent-FDpasser-*.tar.gz";
ok($tarball, 'it is there');
succeed('unpack it', "cd $dir && tar xzf $tarball");
my ($unpacked) = glob "$dir/AnyEvent-FDpasser-*";
delete @ENV{qw(FDPASSER_LIB FDPASSER_INCLUDE)};
succeed('perl Makefile.PL', "cd $unpacked && $^X Makefile.PL INSTALL_BASE=$dir/cpan");
succeed('make',             "cd $unpacked && $make");
succeed('make test',        "cd $unpacked && PERL_ANYEVENT_MODEL=Perl $make test");
succeed('make install',     "cd $unpacked && $make install");
succeed('the installed module works',
    "cd / && $^X -I$dir/cpan/lib/perl5 -MAnyEvent::FDpasser -e 'AnyEvent::FDpasser::fdpasser_mode() == 1 or die'");

# --- without the sources beside it, an installed library is found

SKIP: {
    skip $no_pkg_config, 3 if $no_pkg_config;
    succeed('a pkg-config file for where the library is now',
        "sed 's|/opt/fdpasser|$prefix|' $prefix/lib/pkgconfig/fdpasser.pc > $dir/fdpasser.pc");
    succeed('perl Makefile.PL && make with an installed library',
        "cd $unpacked && $make distclean && rm -rf libfdpasser && PKG_CONFIG_PATH=$dir $^X Makefile.PL && $make");
    succeed('the module works',
        "cd $unpacked && $^X -Mblib -MAnyEvent::FDpasser -e 'AnyEvent::FDpasser::fdpasser_mode() == 1 or die'");
}

done_testing;

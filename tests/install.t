#!/usr/bin/perl
# What `make install` puts in place works from there, and the CPAN tarball is built, tested and installed
# as any CPAN module is.
#
# SPDX-License-Identifier: MIT OR Apache-2.0

use strict;
use warnings;

use Config;
use Cwd        qw(getcwd);
use File::Temp qw(tempdir);
use Test::More;

use lib 'tests/lib';
use Header;

my $root = getcwd();
my $dir  = tempdir(CLEANUP => 1);
my $make = $ENV{MAKE} || 'make';

# A recipe's make must not inherit the outer one's flags and job server.
delete @ENV{qw(MAKEFLAGS MFLAGS MAKELEVEL)};

sub output_of {
    my ($what, $command) = @_;
    my $text = `($command) 2>&1 </dev/null`;
    is($?, 0, $what) or diag "$command\n$text";
    return $text;
}

# --- make install

my ($version) = do { open my $in, '<', 'Cargo.toml' or die $!; map { /^version = "(.*)"/ } <$in> };

# Always with DESTDIR: a test installs nothing into the system.
output_of('make install', "$make install prefix=/opt/fdpasser DESTDIR=$dir/dest");
my $prefix = "$dir/dest/opt/fdpasser";
ok(-f "$prefix/$_", "$_ is there")
  for qw(include/fdpasser.h lib/libfdpasser.a lib/libfdpasser.so lib/pkgconfig/fdpasser.pc), "lib/libfdpasser.so.$version";
output_of('the Perl module is there, and works without LD_LIBRARY_PATH',
    "cd / && $^X -I$dir/dest$Config{installsitearch} -MAnyEvent::FDpasser -e 'AnyEvent::FDpasser::fdpasser_mode() == 1 or die'");

open my $out, '>', "$dir/mode.c" or die $!;
print {$out} "#include <fdpasser.h>\nint main(void) { return fdpasser_mode() != FDPASSER_MODE_BSD; }\n";
close $out or die $!;

my $have_pkg_config = system('pkg-config --version >/dev/null 2>&1') == 0;
SKIP: {
    skip 'pkg-config is not installed', 5 unless $have_pkg_config;
    local $ENV{PKG_CONFIG_PATH}        = "$prefix/lib/pkgconfig";
    local $ENV{PKG_CONFIG_SYSROOT_DIR} = "$dir/dest";
    my $cc = $ENV{CC} || 'cc';
    is(`pkg-config --modversion fdpasser`, "$version\n", 'pkg-config knows the version');
    output_of('linking the shared library', "cd $dir && $cc mode.c -o shared \$(pkg-config --cflags --libs fdpasser)");
    output_of('the program finds it by its soname', "LD_LIBRARY_PATH=$prefix/lib $dir/shared");
    output_of('linking the static library',
        "cd $dir && rm $prefix/lib/*.so* && $cc mode.c -o static \$(pkg-config --static --cflags --libs fdpasser)");
    output_of('the program needs no library', "$dir/static");
}

# --- the manual; what is in it tests/man.t looks at

my $manual = "$prefix/share/man";
my @found  = sort map { m{([^/]+)\.3\z} } glob "$manual/man3/*.3";
SKIP: {
    my @exported = `nm -D --defined-only target/release/libfdpasser.so 2>&1`;
    skip 'nm is not installed', 1 if $?;
    @exported = sort map { / [TtWw] (\w+)$/ ? $1 : () } @exported;
    is("@found", "@exported", 'there is a page for what the library exports, and for nothing else');
}
is_deeply([ map { $_->{name} } sort { $a->{name} cmp $b->{name} } @{ Header->read("$prefix/include/fdpasser.h")->{functions} } ],
    \@found, 'and what the header declares');
ok(-f "$manual/man7/fdpasser.7", 'fdpasser(7) is there');
SKIP: {
    skip 'man is not installed', 3 if system('man --version >/dev/null 2>&1') != 0;
    for (['send_fd', 'fdpasser_send_fd'], ['fdpasser_new', 'fdpasser_new'], ['7 fdpasser', 'fdpasser']) {
        my ($asked, $name) = @$_;
        # Some systems' man without their manual is a script that says so.
        my $text = `MANPATH=$manual MANPAGER=cat man $asked 2>&1` =~ s/.\x08//gr;
        skip "man shows nothing here: $text", 1 if $text =~ /minimized/;
        like($text, qr/^NAME\n\s+$name\b/m, "man $asked");
    }
}

# --- the CPAN tarball

output_of('make the tarball', "scripts/perl-dist $dir/dist");
my ($tarball) = glob "$dir/dist/AnyEvent-FDpasser-*.tar.gz";
ok($tarball, 'it is there');
output_of('unpack it', "cd $dir && tar xzf $tarball");
my ($unpacked) = glob "$dir/AnyEvent-FDpasser-*";
delete @ENV{qw(FDPASSER_LIB FDPASSER_INCLUDE)};
output_of('perl Makefile.PL', "cd $unpacked && $^X Makefile.PL INSTALL_BASE=$dir/cpan");
output_of('make',             "cd $unpacked && $make");
output_of('make test',        "cd $unpacked && PERL_ANYEVENT_MODEL=Perl $make test");
output_of('make install',     "cd $unpacked && $make install");
output_of('the installed module works',
    "cd / && $^X -I$dir/cpan/lib/perl5 -MAnyEvent::FDpasser -e 'AnyEvent::FDpasser::fdpasser_mode() == 1 or die'");

# --- without the sources beside it, an installed library is found

SKIP: {
    skip 'pkg-config is not installed', 3 unless $have_pkg_config;
    output_of('a pkg-config file for where the library is now',
        "sed 's|/opt/fdpasser|$prefix|' $prefix/lib/pkgconfig/fdpasser.pc > $dir/fdpasser.pc");
    output_of('perl Makefile.PL && make with an installed library',
        "cd $unpacked && $make distclean && rm -rf libfdpasser && PKG_CONFIG_PATH=$dir $^X Makefile.PL && $make");
    output_of('the module works',
        "cd $unpacked && $^X -Mblib -MAnyEvent::FDpasser -e 'AnyEvent::FDpasser::fdpasser_mode() == 1 or die'");
}

done_testing;

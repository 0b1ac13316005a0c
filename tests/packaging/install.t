#!/usr/bin/perl
# `make install` and `make uninstall`, into fresh directories, with the PATH and the tools that sudo leaves: nothing is
# built again, everything is where it was wanted, and what it says at the end is enough to use it. `make` comes first.
#
# SPDX-License-Identifier: MIT OR Apache-2.0
use strict;
use warnings;

use Config;
use File::Find qw(find);
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use FindBin;
use Test::More;
use Time::HiRes ();

use lib "$FindBin::Bin/../lib";
use CPrograms qw(cc library symbols);
use Files qw($root slurp spew);
use Header;
use Packaging ();
use Processes qw(installed run works);
use Skips qw(loudly);

chdir $root or die "chdir: $!";
library('so');
my $dir = tempdir(CLEANUP => 1);
chmod 0755, $dir or die "$dir: $!";    # another user installs below it
my $make = $ENV{MAKE} || 'make';

my ($version) = slurp('Cargo.toml') =~ /^version = "(.*)"/m;
my ($soname)  = map { s{.*/}{}r } glob 'target/release/libfdpasser.so.*';
my $arch      = $Config{archname};

# As sudo has it, with programs in front that tell on whoever builds.
make_path("$dir/tools");
for my $tool (qw(cargo rustc cc gcc ld ar objcopy xsubpp), $Config{cc}) {
    spew("$dir/tools/$tool", "#!/bin/sh\necho \"\$0 \$*\" >> $dir/built\nexit 1\n");
    chmod 0755, "$dir/tools/$tool" or die "$tool: $!";
}
my @as_sudo = ('env', '-i', "PATH=$dir/tools:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", $make);

my @header = ('include/fdpasser.h', 'include/fdpasser.cdef');
my @pages  = map { "$_->{name}.3" } @{ Header->read('include/fdpasser.h')->{functions} };

# The files of the library, below a libdir and a mandir.
sub library_in {
    my ($libdir, $mandir) = @_;
    return ((map { "$libdir/$_" } 'libfdpasser.a', 'libfdpasser.so', $soname, "libfdpasser.so.$version", 'pkgconfig/fdpasser.pc'),
        (map { "$mandir/man3/$_" } @pages), "$mandir/man7/fdpasser.7");
}

# Those of fdpass, below a prefix.
sub tool_in {
    my ($bindir, $mandir) = @_;
    return ("$bindir/fdpass", "$mandir/man1/fdpass.1", "$bindir/../share/bash-completion/completions/fdpass" =~ s{[^/]+/\.\./}{}r);
}

# Those of the Perl module.
sub module_in {
    my ($lib, $man3) = @_;
    return ("$lib/AnyEvent/FDpasser.pm", "$lib/auto/AnyEvent/FDpasser/FDpasser.$Config{dlext}",
        "$man3/AnyEvent::FDpasser.$Config{man3ext}");
}

sub files_below {
    my ($top) = @_;
    my @found;
    find({ no_chdir => 1, wanted => sub { push @found, s{^\Q$top\E/}{}r if !-d || -l } }, $top) if -d $top;
    return sort @found;
}

sub has_files {
    my ($what, $top, @files) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is_deeply([ files_below($top) ], [ sort @files ], $what);
}

subtest 'a prefix of its own' => sub {
    my $prefix = "$dir/opt";
    my $mark   = spew("$dir/mark", '');
    my $umask  = umask 077;                                                # of a careful administrator
    my $said   = works('make install', @as_sudo, 'install', "prefix=$prefix");
    umask $umask;
    defined $said or return;
    is((run('find', $prefix, '!', '-perm', '-444', '!', '-type', 'l'))[0], '', 'everybody can read it, whatever the umask');
    ok(!-e "$dir/built", 'nothing is built') or diag slurp("$dir/built");
    my $before = (Time::HiRes::stat($mark))[9];
    my @tree   = map { my $top = $_; map { "$top/$_" } files_below($top) } qw(include perl target/man target/release target/sealed);
    is_deeply([ grep { (Time::HiRes::stat($_))[9] > $before } @tree ], [], 'and nothing in the tree is written');
    has_files('all files are below the prefix', $prefix, @header, library_in('lib', 'share/man'), tool_in('bin', 'share/man'),
        module_in("lib/perl5/$arch", 'share/man/man3'), "lib/perl5/$arch/auto/AnyEvent/FDpasser/.packlist");
    is(readlink "$prefix/lib/libfdpasser.so", $soname, 'the link for linkers leads to the soname');
    is(readlink "$prefix/lib/$soname", "libfdpasser.so.$version", 'and that to the file');

    my ($commands) = $said =~ /\nInstalled\. Before you use it:\n((?:  .*\n)+)\z/ or return fail('the last lines say how it is found');
    like($commands, qr/^  export $_=/m, "the last lines have $_") for qw(LD_LIBRARY_PATH PKG_CONFIG_PATH PERL5LIB);
    spew("$dir/version.c", "#include <fdpasser.h>\nint main(void) { return fdpasser_version() != FDPASSER_VERSION; }\n");
    my $with = sub { ({ dir => $dir }, 'env', '-i', "PATH=$ENV{PATH}", 'sh', '-ec', join "\n", $commands, @_) };
  SKIP: {
        skip loudly('pkg-config is not installed'), 3 if !installed('pkg-config');
        is((run($with->('pkg-config --modversion fdpasser')))[0], "$version\n", 'with them pkg-config knows the version');
        works('a program is linked', $with->(join ' ', cc(), '-o version version.c $(pkg-config --cflags --libs fdpasser)'));
        works('and runs', $with->('./version'));
    }
    works('and Perl finds the module', $with->("$^X -MAnyEvent::FDpasser -e 'AnyEvent::FDpasser::fdpasser_mode() == 1 or die'"));
    man_finds_pages("$prefix/share/man");

    works('installed again, over itself', @as_sudo, 'install', "prefix=$prefix");
    works('make uninstall', @as_sudo, 'uninstall', "prefix=$prefix");
    has_files('leaves no file', $prefix);
    works('and may be called again', @as_sudo, 'uninstall', "prefix=$prefix");
};

# What README says, with the true /usr/local: in a namespace of its own, where a layer above it takes what is written.
subtest 'the usual place' => sub {
    plan skip_all => loudly('pkg-config is not installed') if !installed('pkg-config');
    plan skip_all => loudly('there is no ldconfig') if !grep { -x "$_/ldconfig" } qw(/usr/sbin /sbin);
    spew("$dir/version.c", "#include <fdpasser.h>\nint main(void) { return fdpasser_version() != FDPASSER_VERSION; }\n");
    my $layer = <<'SH';
        mkdir "$1/layer" && mount -t tmpfs tmpfs "$1/layer" && mkdir "$1/layer/upper" "$1/layer/work" &&
        mount -t overlay overlay -o "lowerdir=/usr/local,upperdir=$1/layer/upper,workdir=$1/layer/work" /usr/local || { echo cannot; exit; }
SH
    my @private = qw(unshare -m);
    plan skip_all => loudly('no layer can be put above /usr/local, which root can do on most systems')
      if (run(@private, 'sh', '-c', "($layer) && echo can; :", 'sh', tempdir(DIR => $dir)))[0] !~ /^can$/m;
    my $said = works('installed, compiled, run, uninstalled', { deadline => 1800 }, @private, 'sh', '-ec', $layer . <<'SH', 'sh', $dir, join(' ', cc()), $^X, @as_sudo);
        dir=$1 cc=$2 perl=$3
        shift 3
        unset PKG_CONFIG_PATH LD_LIBRARY_PATH PERL5LIB
        "$@" install
        echo "=== installed"
        (cd "$dir/layer/upper" && find . ! -type d)
        echo "==="
        PATH="$PATH:/usr/sbin:/sbin"
        ldconfig -C "$dir/layer/cache"
        mount --bind "$dir/layer/cache" /etc/ld.so.cache
        cd "$dir"
        $cc -o version version.c $(pkg-config --cflags --libs fdpasser)
        ./version
        $perl -MAnyEvent::FDpasser -e 'AnyEvent::FDpasser::fdpasser_mode() == 1 or die'
        cd - >/dev/null
        "$@" uninstall
        echo "=== left"
        (cd "$dir/layer/upper" && find . -type f)
SH
    like($said // return, qr/^Installed\. Before you use it:\n  (?:sudo )?ldconfig .*\n=== installed$/m, 'it asks for ldconfig, and for nothing else')
      if $Config{siteprefix} eq '/usr/local';
    like($said, qr{^\./lib/\Q$soname\E$}m, 'it is below /usr/local');
    like($said, qr/^=== left\n\z/m, 'and nothing is left');
};

subtest 'a part of it' => sub {
    my $said = works('make install-lib', @as_sudo, 'install-lib', "prefix=$dir/lib-only");
    has_files('installs the library', "$dir/lib-only", @header, library_in('lib', 'share/man'));
    unlike($said, qr/PERL5LIB/, 'and says nothing of Perl');
    works('make install-fdpass', @as_sudo, 'install-fdpass', "prefix=$dir/fdpass-only");
    has_files('installs fdpass', "$dir/fdpass-only", tool_in('bin', 'share/man'));
    is((run({ dir => '/' }, "$dir/fdpass-only/bin/fdpass", '--version'))[0], "fdpass $version\n", 'which needs no library');
    $said = works('make install-perl', @as_sudo, 'install-perl', "prefix=$dir/perl-only");
    has_files('installs the module', "$dir/perl-only", module_in("lib/perl5/$arch", 'share/man/man3'),
        "lib/perl5/$arch/auto/AnyEvent/FDpasser/.packlist");
    unlike($said, qr/LD_LIBRARY_PATH/, 'and says nothing of the library');
};

subtest 'DESTDIR, as packages are made' => sub {
    my @to = ("DESTDIR=$dir/dest", 'prefix=/usr', 'libdir=/usr/lib/somewhere', 'mandir=/usr/man');
    my $said = works('make install', @as_sudo, 'install', @to) // return;
    # Is this Perl one that was configured for /usr?
    my @perl =
      ($Config{vendorprefix} // '') eq '/usr' ? @Config{qw(installvendorarch installvendorman3dir)}
      : ($Config{siteprefix} eq '/usr')       ? @Config{qw(installsitearch installsiteman3dir)}
      :                                         ("/usr/lib/perl5/$arch", '/usr/man/man3');
    has_files('everything is below it, where it is to be', "$dir/dest",
        map { s{^/}{}r } '/usr/include/fdpasser.h', '/usr/include/fdpasser.cdef', library_in('/usr/lib/somewhere', '/usr/man'), tool_in('/usr/bin', '/usr/man'),
            module_in(@perl));
    like($said, qr/^Installed below \Q$dir\E\/dest, to be packed from there\.\n\z/m, 'and no user is told anything');
    my $config = slurp("$dir/dest/usr/lib/somewhere/pkgconfig/fdpasser.pc");
    unlike($config, qr/\Q$dir\E/, 'the file for pkg-config does not know DESTDIR');
    like($config, qr/^prefix=\/usr\nexec_prefix=\$\{prefix\}\nincludedir=\$\{prefix\}\/include\nlibdir=\$\{exec_prefix\}\/lib\/somewhere\n/m,
        'and moves with its prefix');
    like($config, qr/^URL: https:/m, 'it has a URL');
  SKIP: {
        skip loudly('readelf is not installed'), 2 if !installed('readelf');
        for my $object ("/usr/lib/somewhere/$soname", (module_in(@perl))[1]) {
            unlike((run('readelf', '-d', "$dir/dest$object"))[0], qr/R(?:UN)?PATH|\Q$dir\E/, "$object names no directory");
        }
    }
    works('make uninstall', @as_sudo, 'uninstall', @to);
    has_files('leaves no file', "$dir/dest");
    works('a relative one', @as_sudo, 'install-lib', 'DESTDIR=target/tmp-dest');
    has_files('is below the tree', 'target/tmp-dest/usr/local', @header, library_in('lib', 'share/man'));
    works('and is uninstalled', @as_sudo, 'uninstall', 'DESTDIR=target/tmp-dest', 'parts=lib');
    run('rm', '-r', 'target/tmp-dest');
};

subtest 'INSTALLDIRS' => sub {
    for (['site', qw(installsitearch installsiteman3dir)], ['vendor', qw(installvendorarch installvendorman3dir)]) {
        my ($kind, @names) = @$_;
      SKIP: {
            my ($lib, $man) = @Config{@names};
            skip loudly("this Perl has no directories for modules of the $kind"), 2 if !$lib || !$man;
            works("make install-perl, $kind", @as_sudo, 'install-perl', "INSTALLDIRS=$kind", "DESTDIR=$dir/$kind");
            has_files("it is in Perl's own directories", "$dir/$kind", map { s{^/}{}r } module_in($lib, $man));
        }
    }
    my ($said, $status) = run(@as_sudo, 'install-perl', 'INSTALLDIRS=none', "DESTDIR=$dir/none");
    isnt($status, 0, 'another word is refused');
    ok(!-e "$dir/none", 'and nothing is installed');
};

# The first directories are writable, the last one is not.
subtest 'without the right' => sub {
    my $user = $> || 65534;
    my @as   = $> ? () : ($^X, '-e', '($(, $)) = ($ARGV[0], "$ARGV[0] $ARGV[0]"); ($<, $>) = ($ARGV[0]) x 2; shift; exec { $ARGV[0] } @ARGV; die', $user);
    plan skip_all => loudly('another user cannot read this tree') if (run(@as, 'test', '-r', "$root/Makefile"))[1] != 0;
    make_path("$dir/user", "$dir/not-ours");
    chown $user, -1, "$dir/user" or die "$dir/user: $!";
    chmod 0555, "$dir/not-ours" or die "$dir/not-ours: $!";
    for (['manual pages', "mandir=$dir/not-ours/man"], ['the Perl module', "perldir=$dir/not-ours/perl"], ['a file in the way', "perldir=$dir/mark"]) {
        my ($what, $directory) = @$_;
        my ($said, $status) = run(@as, @as_sudo, 'install', "prefix=$dir/user/opt", $directory);
        isnt($status, 0, "it fails: $what");
        like($said, qr/^make: cannot write to \Q$dir\E\/(?:not-ours|mark), so nothing was installed\. .*sudo make install/m, 'it says so');
        has_files('and nothing is there', "$dir/user");
    }
    works('into a directory of its own', @as, @as_sudo, 'install', "prefix=$dir/user/opt");
};

subtest 'what is not built' => sub {
    # As if this file had been edited.
    my ($said, $status) = run($make, '-W', 'src/lib.rs', 'install', "prefix=$dir/not-built", 'CARGO=no-such-cargo');
    isnt($status, 0, 'is not installed without cargo');
    like($said, qr/^make: there is no no-such-cargo in PATH\. .*run `make` as yourself first/m, 'it says so');
    ok(!-e "$dir/not-built", 'and nothing is there');
};

done_testing;

# What is in the pages tests/man.t looks at.
sub man_finds_pages {
    my ($manual) = @_;
  SKIP: {
        skip loudly('nm is not installed'), 1 if !installed('nm');
        my %exported = symbols('-D', library('so'));
        is_deeply([ sort map { s/\.3\z//r } @pages ], [ sort keys %exported ], 'there is a page for each exported function, and for nothing else');
    }
  SKIP: {
        skip loudly('man is not installed'), 5 if !installed('man');
        for (['send_fd', 'fdpasser_send_fd'], ['fdpasser_new', 'fdpasser_new'], ['7 fdpasser', 'fdpasser'], ['fdpass', 'fdpass'], ['AnyEvent::FDpasser', 'AnyEvent::FDpasser']) {
            my ($asked, $name) = @$_;
            # Some systems' man without their manual is a script that says so.
            my $text = `MANPATH=$manual MANPAGER=cat man $asked 2>&1` =~ s/.\x08//gr;
            skip loudly("man shows nothing here: $text"), 1 if $text =~ /minimized/;
            like($text, qr/^NAME\n\s+$name\b/m, "man $asked");
        }
    }
    return;
}

#!/usr/bin/perl
# What programs rely on stays as it is for as long as the soname does: the header against the record in tests/abi, the
# symbols and their versions against both. `make lib` comes first.
#
# SPDX-License-Identifier: MIT OR Apache-2.0
use strict;
use warnings;

use File::Basename qw(dirname);
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use FindBin;
use Test::More;

use lib "$FindBin::Bin/../lib";
use Abi;
use CPrograms qw(cc library shared_link symbols);
use Files qw($root slurp spew);
use Header;
use Processes qw(installed run works);
use Skips qw(loudly);

chdir $root or die "chdir: $!";
my $shared = library('so');
my $dir    = tempdir(CLEANUP => 1);

my ($version) = slurp('Cargo.toml') =~ /^version = "(.*)"/m;
my $soname    = Abi::soname_of($version);
my $node      = 'LIBFDPASSER_' . (split /\./, $version)[0];
my $header    = slurp('include/fdpasser.h');
my $record    = Abi->recorded($version);

sub declared { return Abi->declared(Header->parse($_[0], 'include/fdpasser.h'), $version) }

subtest 'the record' => sub {
    ok(-e Abi::file($version), "there is one for libfdpasser.so.$soname") or diag('run `make abi`');
    is(join("\n", $record->broken_by(declared($header))), '', 'nothing was changed or removed')
      or diag('this needs a new soname: a new version in Cargo.toml');
    is(join(' ', $record->added_by(declared($header))), '', 'and what is new is recorded') or diag('run `make abi`');
};

# What a program of Debian's needs is the version that its functions came with.
subtest "Debian's record" => sub {
    my @recorded = map { "$_\@$node " . $record->since($_) } sort grep { $record->{$_}{kind} eq 'function' } keys %$record;
    my @debian = slurp("packaging/debian/libfdpasser$soname.symbols") =~ /^ (\w+\@\S+ [\d.]+)$/mg;
    is_deeply([ grep { !/^LIBFDPASSER/ } @debian ], \@recorded, "packaging/debian/libfdpasser$soname.symbols");
};

# Each of these would break programs that exist.
subtest 'what it notices' => sub {
    for (
        [ 'a function that is removed',     qr{^/\*\* Takes the next connection.*?;\n}ms, '', qr/^fdpasser_accept was removed$/ ],
        [ 'another parameter',              qr/fdpasser_accept\(int listener\)/, 'fdpasser_accept(int listener, int flags)', qr/^fdpasser_accept was/ ],
        [ 'another type of parameter',      qr/size_t path_len, int timeout_ms/, 'size_t path_len, long timeout_ms', qr/^fdpasser_connect_timed was/ ],
        [ 'a pointer to what is not const', qr/fdpasser_connect\(const char/, 'fdpasser_connect(char', qr/^fdpasser_connect was/ ],
        [ 'another type that is returned',  qr/^ssize_t fdpasser_recv_fds/m, 'int fdpasser_recv_fds', qr/^fdpasser_recv_fds was/ ],
        [ 'another value of a constant',    qr/FDPASSER_MAX_DATA 4096/, 'FDPASSER_MAX_DATA 8192', qr/^FDPASSER_MAX_DATA was constant 4096, and is constant 8192$/ ],
        [ 'a field of another width',       qr/unsigned long long inode/, 'unsigned long inode', qr/^fdpasser_node was/ ],
        [ 'another order of fields',        qr/long device;(.*)long inode;/s, sub { "long inode;$1long device;" }, qr/^fdpasser_node was/ ],
      )
    {
        my ($what, $old, $new, $expected) = @$_;
        my $edited = $header =~ s/$old/ref $new ? $new->() : $new/er;
        isnt($edited, $header, $what) or next;
        my @broken = $record->broken_by(declared($edited));
        is(scalar @broken, 1, 'is one change');
        like($broken[0] // '', $expected, 'which has its name');
    }
    for ([ 'a parameter of another name', qr/int listener\)/, 'int server)' ], [ 'another version', qr/(FDPASSER_VERSION) \w+/, 'FDPASSER_VERSION 0x00017f' ]) {
        my ($what, $old, $new) = @$_;
        my $edited = $header =~ s/$old/$new/r;
        isnt($edited, $header, $what);
        is_deeply([ $record->broken_by(declared($edited)) ], [], 'is no change');
    }
};

subtest 'make abi' => sub {
    my $copy  = "$dir/copy";
    for (qw(scripts/record-abi include/fdpasser.h Cargo.toml), glob 'tests/lib/{Abi,Files,Header}.pm tests/abi/*') {
        make_path("$copy/" . dirname($_));
        spew("$copy/$_", slurp($_));
    }
    my $file  = "$copy/tests/abi/$soname";
    my $whole = slurp($file);
    my $make  = sub { return run($^X, "$copy/scripts/record-abi") };
    is(($make->())[0], "tests/abi: nothing is new\n", 'adds nothing where nothing is new');
    is(slurp($file), $whole, 'and changes nothing');

    my $more = $header =~ s{(\n#ifdef __cplusplus\n\})}{\n/**\n * Is new.\n */\nint fdpasser_new_one(int x);\n$1}r;
    spew("$copy/include/fdpasser.h", $more);
    spew("$copy/Cargo.toml", slurp('Cargo.toml') =~ s/^version = .*/version = "$soname.99"/mr);
    is(($make->())[0], "tests/abi: recorded as new in $soname.99: fdpasser_new_one\n", 'records what is new');
    is_deeply([ grep { !/fdpasser_new_one/ } split /^/, slurp($file) ], [ split /^/, $whole ], 'beside what was there');
    like(slurp($file), qr/^\Q$soname\E\.99 function fdpasser_new_one: int \(int\)$/m, 'with the version that it comes with');

    my $recorded = slurp($file);
    spew("$copy/include/fdpasser.h", $header);
    my ($said, $status) = $make->();
    isnt($status, 0, 'refuses what removes a name');
    like($said, qr/libfdpasser\.so\.\Q$soname\E rely.*\n  fdpasser_new_one was removed\n.*new version in Cargo\.toml/s, 'and says what to do');
    is(slurp($file), $recorded, 'and changes nothing');

    # With a new soname anything goes. What there was keeps the version that it came with.
    spew("$copy/include/fdpasser.h", $more =~ s/fdpasser_accept\(int listener\)/fdpasser_accept(int listener, int more)/r);
    spew("$copy/Cargo.toml", slurp('Cargo.toml') =~ s/^version = .*/version = "17.0.0"/mr);
    is(($make->())[1], 0, 'with a new soname it begins another record');
    like(slurp("$copy/tests/abi/17"), qr/^\Q$soname\E\.99 function fdpasser_new_one: /m, 'which knows since when each name is there');
    like(slurp("$copy/tests/abi/17"), qr/^\S+ function fdpasser_accept: int \(int, int\)$/m, 'and how it is now');
};

subtest 'symbols' => sub {
    plan skip_all => loudly('symbol versions are for ELF') if (run('uname', '-s'))[0] =~ /Darwin/;
    my @functions = grep { $record->{$_}{kind} eq 'function' } sort keys %$record;
    my ($text, $status) = run($ENV{NM} || 'nm', qw(-D --defined-only --with-symbol-versions), $shared);
    $status == 0 or return fail("nm: $text");
    is_deeply([ sort $text =~ /^[0-9a-f]+ [^A] (\S+)$/mg ], [ map { "$_\@\@$node" } @functions ], 'each has its version, and there are no others');

    spew("$dir/program.c", "#include <fdpasser.h>\nint main(void) { return send_fd(-1, -1) + 1; }\n");
    works('a program is linked', cc(), '-Iinclude', '-o', "$dir/program", "$dir/program.c", shared_link()) // return;
    works('and runs', "$dir/program");
  SKIP: {
        skip loudly('readelf is not installed'), 1 if !installed('readelf');
        like((run('readelf', '--version-info', '--wide', "$dir/program"))[0], qr/File: libfdpasser\.so\.\Q$soname\E.*\n.*Name: $node\b/,
            'it asks the loader for that version');
    }
};

# abidiff compares what compilers make of the declarations. It agrees with the record.
subtest 'abidiff' => sub {
    plan skip_all => loudly('abidiff is not installed') if !installed('abidiff');
    my $stubs = sub {
        my ($name, $text) = @_;
        make_path("$dir/$name");
        spew("$dir/$name/fdpasser.h", $text);
        my $bodies = join '', map { $_->{prototype} =~ s/;\z/ { abort(); }\n/r } @{ Header->parse($text, $name)->{functions} };
        spew("$dir/$name/stubs.c", "#include \"fdpasser.h\"\n#include <stdlib.h>\nstruct fdpasser { int x; };\n$bodies");
        works("the $name declarations as a library", { dir => "$dir/$name" }, cc(), qw(-g -w -shared -fPIC -o lib.so stubs.c));
    };
    $stubs->('present', $header) // return;
    for ([ 'width', qr/unsigned long long inode/, 'unsigned int inode' ], [ 'removed', qr{^/\*\* Takes the next connection.*?;\n}ms, '' ],
        [ 'signature', qr/fdpasser_accept\(int listener\)/, 'fdpasser_accept(const char *listener)' ]) {
        my ($name, $old, $new) = @$_;
        my $edited = $header =~ s/$old/$new/r;
        $stubs->($name, $edited) // next;
        my ($said, $status) = run('abidiff', "$dir/present/lib.so", "$dir/$name/lib.so");
        is($status >> 8 & 5, 4, "$name: abidiff sees a change") or diag $said;    # 1 is an error, 4 a change
        cmp_ok(scalar $record->broken_by(declared($edited)), '>', 0, "$name: and the record too");
    }
};

done_testing;

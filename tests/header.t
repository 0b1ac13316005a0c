#!/usr/bin/perl
# The parser of the header reads the whole header, and refuses what it does not understand.
#
# SPDX-License-Identifier: MIT OR Apache-2.0
use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use Files qw($root slurp);
use Header;

chdir $root or die "chdir: $!";

my $path   = 'include/fdpasser.h';
my $text   = slurp($path);
my $header = Header->parse($text, $path);
my %named  = map { map { $_->{name} => $_ } @$_ } @$header{qw(functions constants types)};

subtest 'what the header has' => sub {
    # Counted in another way: whatever is in front of a parenthesis at the left margin, outside of comments.
    my $code = $text =~ s{/\*.*?\*/}{}gsr;
    my @prototypes = $code =~ /^\w[\w ]*[ *](\w+)\(/mg;
    is_deeply([ map { $_->{name} } @{ $header->{functions} } ], \@prototypes, 'every function');
    is_deeply([ map { $_->{name} } @{ $header->{constants} } ], [ $code =~ /^#define (\w+) /mg ], 'every constant');
    is($named{FDPASSER_MAX_PER_MESSAGE}{value}, 253, "a constant's value");
    is_deeply([ map { $_->{name} } @{ $header->{types} } ], [qw(fdpasser fdpasser_node)], 'every type');
    is_deeply([ map { "$_->{type} $_->{name}" } @{ $named{fdpasser_node}{fields} } ],
        [ 'unsigned long long device', 'unsigned long long inode' ], "a type's fields");
    is($named{fdpasser_new}{returns}, 'fdpasser *', 'a pointer that is returned');
    is($named{fdpasser_send_fds}{returns}, 'ssize_t', 'a number that is returned');
    is_deeply(
        $named{fdpasser_send_fds}{parameters},
        [
            { type => 'int',          name => 'passer' },
            { type => 'const int *',  name => 'fds' },
            { type => 'size_t',       name => 'n' },
            { type => 'unsigned int', name => 'per_message' },
        ],
        'parameters'
    );
    is_deeply($named{fdpasser_mode}{parameters}, [], 'no parameters');
    is($named{send_fd}{guard}, 'FDPASSER_NO_SHORT_NAMES', 'what leaves a function out');
    is($named{fdpasser_send_fd}{guard}, '', 'which most have not');
    unlike($header->{head}, qr/^\s*\*/m, 'a comment is without stars');
};

subtest 'the header is a reference card' => sub {
    my $lines = () = $text =~ /\n/g;
    cmp_ok($lines, '<=', 400, "$lines lines");
    my @groups = map { $_->{group} } @{ $header->{functions} };
    ok(!(grep { $_ eq '' } @groups), 'every function stands under a heading');
    my ($changes, %groups) = (1, map { $_ => 1 } @groups);
    $groups[ $_ - 1 ] eq $groups[$_] or $changes++ for 1 .. $#groups;
    is($changes, keys %groups, 'and each heading stands once');
    for my $what (map { @$_ } @$header{qw(functions constants types)}) {
        like($what->{comment}, qr/\A[A-Za-z][^\n]*\.\z/, "$what->{name}: one line, a whole sentence");
    }
};

subtest 'what it does not understand' => sub {
    my $sound = "/* Head. */\n/**\n * Does it.\n */\nint f(int a);\n";
    my $at    = sub { eval { Header->parse($_[0], 'x.h') } ? '' : $@ };
    is($at->($sound), '', 'what is sound is parsed');
    is(Header->parse("/* H. */\n/**\n * Does it.\n */\nint64_t *f(void);\n", 'x.h')->{functions}[0]{returns},
        'int64_t *', 'and so is a return type that nobody has used yet');
    for (
        [ 'no comment',                   "/* Head. */\nint f(int a);\n",                                       3 - 1 ],
        [ 'a pointer to a function',      "/* Head. */\n/**\n * Does.\n */\nint (*f(int a))(void);\n",          2 ],
        [ 'a function as a parameter',    "/* Head. */\n/**\n * Does.\n */\nint f(int (*g)(void));\n",          2 ],
        [ 'an enumeration',               "/* Head. */\n/**\n * Does.\n */\ntypedef enum { a } e;\n",           2 ],
        [ 'a variable',                   "/* Head. */\n/**\n * Does.\n */\nextern int x;\n",                   2 ],
        [ 'a macro with parameters',      "/* Head. */\n/**\n * Does.\n */\n#define f(x) x\n",                  2 ],
        [ 'an #if of another kind',       "/* Head. */\n#if 1\n",                                               2 ],
        [ 'a field without a comment',    "/* Head. */\n/**\n * A.\n */\ntypedef struct {\n  int a;\n} t;\n",   2 ],
      )
    {
        my ($what, $declaration, $line) = @$_;
        like($at->($declaration), qr/\Ax\.h, line $line: what is this\?/, $what);
    }
    like($at->("/* Head. */\n/**\n * Does.\n */\nint f(int a[2]);\n"), qr/parameter "int a\[2\]"/, 'an array as a parameter');
    like($at->("/* Head. */\n#if !defined(A)\n"), qr/A is still open/, 'an #if without an end');
    like($at->("int f(int a);\n"), qr/no comment at the top/, 'no head');
};

done_testing;

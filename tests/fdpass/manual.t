#!/usr/bin/perl
# The examples of fdpass(1) run, and bash completes its command line.
#
# SPDX-License-Identifier: MIT OR Apache-2.0
use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/../lib";
use Examples;
use Fdpass;
use Files qw($root slurp spew);
use Processes ();
use Skips qw(loudly);

part 'the examples' => sub {
    my @examples = slurp("$root/man/fdpass.1") =~ /^\.EX\n(.*?)^\.EE$/msg;
    s/\\\(aq/'/g, s/\\-/-/g, s/\\e/\\/g for @examples;
    is(@examples, 4, 'there are four');
    spew('names', '');
    spew('words', "some words\n");
    is_deeply([ status(shell($examples[0])) ], [ "hello\n", 0 ], 'the first');
    is_deeply([ status(shell($examples[1])) ], [ "names:words\nsome words\n", 0 ], 'the second');
    # The other two are one, and handover.t runs them.
    like($examples[2], qr{\A#!/bin/sh\n.*--wait}s, 'the script of the third');
    like($examples[3], qr{ \./serve\n\z}, 'and what starts it in the fourth');
};

# A bash that completes: it fills in the words, and prints what it would offer.
sub completions {
    my (@words) = @_;
    my $script = 'source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); compopt() { :; }; _fdpass; printf "%s\n" "${COMPREPLY[@]}"';
    my ($text, $status) = run([ 'bash', '--norc', '-c' ], $script, "$root/completions/fdpass.bash", @words);
    is($status, 0, "@words");
    return join ' ', sort split /\n/, $text;
}

part 'completion' => sub {
    plan skip_all => loudly('there is no bash') if !Processes::installed('bash');
    mkdir 'empty';
    spew('node with a blank', '');
    is(completions('fdpass', ''),  '--help --version recv send', 'the jobs');
    is(completions('fdpass', 're'), 'recv', 'one of them');
    like(completions(qw(fdpass send --)), qr/\A--help --listen --peer-uid --timeout --wait\z/, 'options of send');
    like(completions(qw(fdpass recv --)), qr/\A--count --expect --help --listen --peer-uid --timeout\z/, 'options of recv');
    is(completions(qw(fdpass recv --expect s)), 'sealed socket stream', 'kinds');
    is(completions(qw(fdpass recv -e), 'stream,l'), 'stream,listening stream,local', 'more of them');
    is(completions(qw(fdpass send -u), ''), $>, 'our user');
    is(completions(qw(fdpass send -t), ''), '', 'a time is not known');
    is(completions('fdpass', 'send', 'node w'), 'node with a blank', 'the node');
    is(completions('fdpass', 'send', '-t', '5', 'node w'), 'node with a blank', 'after options too');
    like(completions('fdpass', 'send', 'node', ''), qr/\b0 1\b.* 2\b/, 'descriptors');
    is(completions(qw(fdpass recv node -- fdpas)), 'fdpass', 'the command');
    is(completions(qw(fdpass recv node fdpas)), 'fdpass', 'without -- too');
    is(completions(qw(fdpass recv node -- cat empt)), 'empty', 'its arguments');
    is(completions(qw(fdpass serve), ''), '', 'no such job');
};

part 'completion in a terminal' => sub {
    plan skip_all => loudly('there is no script(1), which makes a terminal') if !Processes::installed('script');
    spew('keys', join '', map { "$_\n" } "source $root/completions/fdpass.bash", "fdpass re\t--exp\tseal\t--vers\t", 'exit');
    my ($text) = run([ 'sh', '-c', q{script -qec 'bash --norc -i' /dev/null <keys | tr -d '\r'} ]);
    like($text, qr/fdpass recv --expect sealed --vers/, 'the keys of a line are completed') or diag $text;
};

done_testing;

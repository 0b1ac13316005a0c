# SPDX-License-Identifier: MIT OR Apache-2.0
# The first push of a program comes while the descriptor table is full. If the loop is loaded, the passer is served when
# there is room. If something has to be loaded for it, the push dies and queues nothing.
use strict;
use warnings;
use lib 't/lib';
use Loops;
use Helpers limit => 64;

use Test::More;

my ($x, $y) = passers();
my @fh = map { numbered($_) } 1 .. 3;
my (@got, $sent);

my @push = (
    [ push_send_fh => $y, sub { $y->push_send_fh($_, sub { $sent++ }) for @fh } ],
    [ push_recv_fh => $x, sub { $x->push_recv_fh(sub { push @got, number_of($_[0]) }) for 1 .. @fh - !sysv() } ],
);
push @push, [ push_recv_message => $x, sub { $x->push_recv_message(sub { push @got, number_of($_[0]) }) } ] if !sysv();

# AnyEvent tries to load a loop once, so this is for a process of its own.
child_ok in_child {
    my $full = fill_table();
    my @wrong;
    for (@push) {
        my ($name, $passer, $push) = @$_;
        push @wrong, "$name succeeds" if eval { $push->(); 1 };
        push @wrong, "$name dies otherwise: $@"
          if $@ !~ /^cannot watch the passer: .+ at \Q$0\E line \d+\.$/s;
        my $keys = join ' ', sort keys %$passer;
        push @wrong, "$name leaves $keys" if $keys ne 'fh on_error';
    }
    undef $full;
    print STDERR "# $_\n" for @wrong;
    !@wrong;
}, 'no loop is loaded: a push dies, and queues nothing';

AnyEvent::detect();
my $full = fill_table();
my @died = grep { !eval { $_->[2]->(); 1 } } @push;
undef $full;
is @died, $ENV{PERL_ANYEVENT_MODEL} eq 'IOAsync' ? @push : 0, 'the loop is loaded, but IO::Async loads more for its first timer';
is join(' ', sort keys %{ $_->[1] }), 'fh on_error', "$_->[0] died and queued nothing" for @died;
$_->[2]->() for @died;
wait_for { @got == @fh && $sent == @fh } 'everything';
is_deeply \@got, [ 1 .. @fh ], 'all is served when there is room';
done_testing;

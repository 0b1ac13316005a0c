# SPDX-License-Identifier: MIT OR Apache-2.0
# Everything that Perl's fileno understands can be sent.
use strict;
use warnings;
use lib 't/lib';
use Loops;

use IO::File;
use IO::Handle;
use Test::More;
use Handles;
use Helpers;

my ($x, $y) = passers();

# Sends the handle, and returns what arrives. A bareword means a handle of the package that pushes, so the push is here.
sub arrives {
    my ($handle) = @_;
    my $got;
    $x->push_send_fh($handle);
    $y->push_recv_fh(sub { $got = shift });
    wait_for { $got };
    return $got;
}

my $lexical = numbered(1);
is number_of(arrives($lexical)), 1, 'a lexical handle';
is number_of(arrives(*$lexical)), 1, 'its glob';
is number_of(arrives(*{$lexical}{IO})), 1, 'its IO slot';

open NAMED, '<&', $lexical or die $!;
is number_of(arrives(\*NAMED)), 1, '\*NAMED';
is number_of(arrives(*NAMED)),  1, '*NAMED';
is number_of(arrives('NAMED')), 1, 'a bareword name, in the package that pushes';
is number_of(arrives('main::NAMED')), 1, 'a qualified name';
is number_of(arrives('::NAMED')), 1, 'a name in ::';
is number_of(arrives('*main::NAMED')), 1, 'the text of a glob';
{
    package Other;
    my $other = Helpers::numbered(3);
    open NAMED, '<&', $other or die $!;
    my $got;
    $x->push_send_fh('NAMED');
    $y->push_recv_fh(sub { $got = shift });
    Helpers::wait_for { $got };
    main::is main::number_of($got), 3, 'a name means the handle in the package that pushes';
    close NAMED;

    $got = undef;
    $x->push_send_fh('STDERR');
    $y->push_recv_fh(sub { $got = shift });
    Helpers::wait_for { $got };
    main::ok main::same_file($got, \*STDERR), 'STDERR means the one in main everywhere';
}
{
    # The methods of the subclass only pass the pushes on.
    package Logging;
    our @ISA = 'AnyEvent::FDpasser';
    my $never = Helpers::numbered(4);
    open NAMED, '<&', $never or die $!;
    close NAMED;
    sub push_send_fh      { my ($self, @arg) = @_; return $self->SUPER::push_send_fh(@arg) }
    sub push_send_message { my ($self, @arg) = @_; return $self->SUPER::push_send_message(@arg) }
}
bless $x, 'Logging';
is number_of(arrives('NAMED')), 1, 'a name that goes through an overridden push_send_fh means a handle of the caller';
if (!sysv()) {
    my $got;
    $x->push_send_message('NAMED', 'data');
    $y->push_recv_fh(sub { $got = shift });
    wait_for { $got };
    is number_of($got), 1, 'and through push_send_message';
}
bless $x, 'AnyEvent::FDpasser';
close NAMED;

for ([ STDIN => \*STDIN ], [ STDOUT => \*STDOUT ], [ STDERR => \*STDERR ]) {
    my ($name, $glob) = @$_;
    ok same_file(arrives($glob), $glob), "\\*$name";
    ok same_file(arrives(*$glob), $glob), "*$name";
    ok same_file(arrives(*$glob{IO}), $glob), "*$name\{IO}";
    ok same_file(arrives($name), $glob), "'$name'";
}

is number_of(arrives(IO::Handle->new_from_fd(fileno numbered(4), 'r') || die $!)), 4, 'IO::Handle';
{
    my $file = IO::File->new('/dev/zero') or die $!;
    ok same_file(arrives($file), $file), 'IO::File';
    my $object = bless numbered(5), 'Some::Class';
    is number_of(arrives($object)), 5, 'a blessed glob of any class';
}
SKIP: {
    opendir my $dir, '/' or die $!;
    skip 'this Perl has no fileno for directory handles', 1 if !defined eval { fileno $dir };
    my $got = arrives($dir);
    is_deeply [ (stat $got)[ 0, 1 ] ], [ (stat '/')[ 0, 1 ] ], 'a directory handle';
}
{
    my $six  = numbered(6);
    my $tied = tied_handle(sub { fileno $six });
    is number_of(arrives($tied)), 6, 'a tied handle with FILENO';
    is number_of(arrives(*$tied)), 6, 'its glob';
    my $inner = numbered(7);
    is number_of(arrives(overloaded_handle(sub { $inner }))), 7, 'an object that overloads *{}';
    is number_of(arrives(overloaded_handle(sub { $tied }))),  6, 'an object whose *{} is a tied handle';
}
{
    open my $read_write, '+<&', $lexical or die $!;
    is number_of(arrives($read_write)), 1, 'a duplicate';
    open my $alias, '<&=', fileno $lexical or die $!;
    is number_of(arrives($alias)), 1, 'an alias';
    pipe my $r, my $w or die $!;
    my ($r2, $w2) = (arrives($r), arrives($w));
    syswrite $w2, 'through';
    sysread $r2, my $text, 100;
    is $text, 'through', 'both ends of a pipe work';
}
# Descriptor 0 can be sent.
{
    my $number = POSIX::dup(0);
    POSIX::dup2(fileno $lexical, 0);
    is number_of(arrives(\*STDIN)), 1, 'the descriptor with number 0';
    POSIX::dup2($number, 0);
    POSIX::close($number);
}
done_testing;

# SPDX-License-Identifier: MIT OR Apache-2.0
# A handle without a descriptor is an error of its passer: EBADF. No other descriptor is sent in its place, and in
# particular not standard input.
use strict;
use warnings;
use lib 't/lib';
use Loops;

use Errno qw(EBADF);
use Symbol qw(gensym);
use Test::More;
use Handles;
use Helpers;

open my $memory, '<', \'in memory' or die $!;
my $closed = numbered(1);
close $closed;
opendir my $dir, '/' or die $!;
closedir $dir;

my @none = (
    [ 'in memory'                  => $memory ],
    [ 'closed'                     => $closed ],
    [ 'a closed directory'         => $dir ],
    [ 'never opened'               => gensym() ],
    [ 'the glob of one'            => *{ gensym() } ],
    [ 'undef'                      => undef ],
    [ 'an empty string'            => '' ],
    [ 'a number'                   => 0 ],
    [ 'the name of no handle'      => 'NO_SUCH_HANDLE' ],
    [ 'a hash'                     => {} ],
    [ 'a reference to a number'    => \0 ],
    [ 'an object'                  => bless({}, 'Something') ],
    [ 'overloaded *{} that dies'   => overloaded_handle(sub { die "no glob\n" }) ],
    [ 'tied, without FILENO'       => tied_without_fileno() ],
    [ 'tied, FILENO dies'          => tied_handle(sub { die "no number\n" }) ],
    [ 'tied, FILENO gives nothing' => tied_handle(sub { return }) ],
    [ 'tied, FILENO gives undef'   => tied_handle(sub { undef }) ],
    [ 'tied, FILENO gives abc'     => tied_handle(sub { 'abc' }) ],
    [ 'tied, FILENO gives ""'      => tied_handle(sub { '' }) ],
    [ 'tied, FILENO gives -1'      => tied_handle(sub { -1 }) ],
    [ 'tied, FILENO gives 2**32'   => tied_handle(sub { 2**32 }) ],
    [ 'tied, FILENO gives nan'     => tied_handle(sub { 'nan' }) ],
);

warm_up();    # loading a loop may use eval and die

my @warnings;
local $SIG{__WARN__} = sub { push @warnings, @_ };

for (@none) {
    my ($name, $handle) = @$_;
    my ($errors, $sent, @died) = ([], 0);
    my ($x, $y) = raw_pair($errors);
    local $SIG{__DIE__} = sub { push @died, @_ };
    $x->push_send_fh(numbered(1), sub { $sent++ });
    $x->push_send_fh($handle,     sub { $sent++ });
    $x->push_send_fh(numbered(2), sub { $sent++ });
    wait_for { @$errors } "the error of: $name";
    is $errors->[0] + 0, EBADF, "$name: the error is EBADF";
    my @state = raw_state($y);
    wait_for { push @state, grep { $_ ne 'nothing' } raw_state($y); $state[-1] eq 'end of file' };
    is_deeply \@state, [ 1, 'end of file' ], '... only what was queued before it is sent';
    is $sent, 1, '... one send callback runs';
    is_deeply \@died, [], '... no die handler runs';
}
is_deeply \@warnings, [], 'there are no warnings';
done_testing;

# A handle without a descriptor is an error of that passer: EBADF. Never is another descriptor sent in
# its place, standard input least of all.
use strict;
use warnings;
use lib 't/lib';
use Loops;

use Errno qw(EBADF);
use Symbol qw(gensym);
use Test::More;
use Helpers;

{
    package Tied;
    sub TIEHANDLE { my ($class, $code) = @_; return bless { code => $code }, $class }
    sub FILENO    { return $_[0]{code}->() }

    package TiedWithout;
    sub TIEHANDLE { return bless {}, shift }

    package Over;
    use overload '*{}' => sub { die "no glob\n" }, fallback => 1;
}

sub tied_handle {
    my ($code) = @_;
    my $fh = gensym();
    tie *$fh, 'Tied', $code;
    return $fh;
}

open my $memory, '<', \'in memory' or die $!;
my $closed = numbered(1);
close $closed;
opendir my $dir, '/' or die $!;
closedir $dir;
my $without = gensym();
tie *$without, 'TiedWithout';

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
    [ 'overloaded *{} that dies'   => bless([], 'Over') ],
    [ 'tied, without FILENO'       => $without ],
    [ 'tied, FILENO dies'          => tied_handle(sub { die "no number\n" }) ],
    [ 'tied, FILENO gives nothing' => tied_handle(sub { return }) ],
    [ 'tied, FILENO gives undef'   => tied_handle(sub { undef }) ],
    [ 'tied, FILENO gives abc'     => tied_handle(sub { 'abc' }) ],
    [ 'tied, FILENO gives ""'      => tied_handle(sub { '' }) ],
    [ 'tied, FILENO gives -1'      => tied_handle(sub { -1 }) ],
    [ 'tied, FILENO gives 2**32'   => tied_handle(sub { 2**32 }) ],
    [ 'tied, FILENO gives nan'     => tied_handle(sub { 'nan' }) ],
);

warm_up();    # a loop may use eval and die while it loads

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
    is $errors->[0] + 0, EBADF, "$name: EBADF";
    my @state = raw_state($y);
    wait_for { push @state, grep { $_ ne 'nothing' } raw_state($y); $state[-1] eq 'end of file' };
    is_deeply \@state, [ 1, 'end of file' ], '... what came before it is sent, and nothing else';
    is $sent, 1, '... one send callback';
    is_deeply \@died, [], '... and no die handler is bothered';
}
is_deeply \@warnings, [], 'no warnings';
done_testing;

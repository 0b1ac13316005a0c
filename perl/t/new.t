# SPDX-License-Identifier: MIT OR Apache-2.0
# new() in all its forms, i_am_parent and i_am_child, and the calls that die.
use strict;
use warnings;

use Fcntl qw(F_GETFL O_NONBLOCK);
use Test::More;
use lib 't/lib';
use Handles;
use Helpers;

sub pair { return AnyEvent::FDpasser::fdpasser_socketpair() }
sub nonblocking { return !!(fcntl($_[0], F_GETFL, 0) & O_NONBLOCK) }

sub dies (&$$) {
    my ($code, $like, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    ok !eval { $code->(); 1 }, "$name: it dies";
    like $@, $like, '... with the right message';
    like $@, qr/ at \Q$0\E line \d/, '... and the line of the caller';
}

# --- one handle
{
    my ($x, $y) = pair();
    my $passer = AnyEvent::FDpasser->new(fh => $x);
    isa_ok $passer, 'AnyEvent::FDpasser';
    is $passer->{fh}, $x, 'fh is the handle that was given';
    ok nonblocking($x), 'the handle is non-blocking now';
    ok !nonblocking($y), 'the peer is still blocking';

    $passer = AnyEvent::FDpasser->new(fh => [$y]);
    is $passer->{fh}, $y, '[$a] means $a';
    ok nonblocking($y), 'that handle is non-blocking too';
    dies { $passer->i_am_parent } qr/^i_am_parent only applicable when socketpair used/, 'i_am_parent on a single handle';
    dies { $passer->i_am_child } qr/^i_am_child only applicable when socketpair used/, 'i_am_child on a single handle';
}
for my $class (qw(IO::Handle IO::Socket::UNIX)) {
    eval "require $class" or die $@;
    my ($x) = pair();
    my $object = $class->new_from_fd(POSIX::dup(fileno $x), '+<');
    is(AnyEvent::FDpasser->new(fh => $object)->{fh}, $object, "an object of class $class");
}
{
    my ($x) = pair();
    my $object = overloaded_handle(sub { $x });
    is(AnyEvent::FDpasser->new(fh => $object)->{fh}, $object, 'an object that overloads *{}');
    ok nonblocking($x), 'its handle is non-blocking';
}

# --- two
{
    my ($x, $y) = pair();
    my $passer = AnyEvent::FDpasser->new(fh => [ $x, $y ]);
    is_deeply $passer->{fh_pair}, [ $x, $y ], 'fh_pair has both handles';
    is $passer->{fh}, undef, 'there is no fh yet';
    ok nonblocking($_), 'each handle is non-blocking' for $x, $y;
    for (qw(push_recv_fh push_send_fh)) {
        dies { $passer->$_(sub { }) } qr/^must call i_am_parent or i_am_child/, "$_ before an end is chosen";
    }
    $passer->i_am_parent;
    is $passer->{fh}, $x, 'the parent keeps the first handle';
    is fileno $y, undef, 'the other is closed';
    is $passer->{fh_pair}, undef, 'fh_pair is gone';
    dies { $passer->i_am_child } qr/only applicable when socketpair used/, 'choosing the other end afterwards';
    dies { $passer->i_am_parent } qr/only applicable when socketpair used/, 'choosing the same end again';

    ($x, $y) = pair();
    $passer = AnyEvent::FDpasser->new(fh => [ $x, $y ]);
    $passer->i_am_child;
    is $passer->{fh}, $y, 'the child keeps the second handle';
    is fileno $x, undef, 'the other is closed';
}

# --- none
for my $arg ([], [ fh => undef ]) {
    my $before = open_fds();
    my $passer = AnyEvent::FDpasser->new(@$arg);
    is scalar @{ $passer->{fh_pair} }, 2, 'without fh the passer makes a pair';
    ok nonblocking($_), 'each handle is non-blocking' for @{ $passer->{fh_pair} };
    is open_fds(), $before + 2, 'that is two descriptors';
    undef $passer;
    is open_fds(), $before, 'the pair is closed with the passer';
}

# --- dont_set_nonblocking
{
    my ($x, $y) = pair();
    AnyEvent::FDpasser->new(fh => [ $x, $y ], dont_set_nonblocking => 1);
    ok !nonblocking($_), 'dont_set_nonblocking leaves the mode alone' for $x, $y;
    my $passer = AnyEvent::FDpasser->new(dont_set_nonblocking => 1);
    ok !nonblocking($_), 'so it does for a pair that the passer makes' for @{ $passer->{fh_pair} };
}

# --- errors
{
    my ($x, $y) = pair();
    my ($z) = pair();
    my $before = open_fds();
    dies { AnyEvent::FDpasser->new(fh => [ $x, $y, $z ]) } qr/^too many elements in fh array/, 'three handles';
    dies { AnyEvent::FDpasser->new(fh => []) } qr/^no elements in fh array/, 'no handle';
    close $z;
    dies { AnyEvent::FDpasser->new(fh => $z) } qr/^fh is not an open filehandle/, 'a closed handle';
    dies { AnyEvent::FDpasser->new(fh => [ $x, $z ]) } qr/^fh is not an open filehandle/, 'two handles, one of them closed';
    dies { AnyEvent::FDpasser->new(fh => [ $x, undef ]) } qr/^fh is not an open filehandle/, 'two handles, one of them undef';
    open my $memory, '<', \'abc' or die $!;
    dies { AnyEvent::FDpasser->new(fh => $memory) } qr/^fh is not an open filehandle/, 'a handle in memory';
    dies { AnyEvent::FDpasser->new(fh => {}) } qr/^fh is not an open filehandle/, 'a hash';
    is fileno $_ && 1, 1, 'the handle is still open' for $x, $y;
}
{
    my ($x, $y) = pair();
    my $passer = AnyEvent::FDpasser->new(fh => $x);
    dies { $passer->push_recv_fh } qr/push_recv_fh needs a callback/, 'push_recv_fh without a callback';
}

# --- a subclass
{
    package Mine;
    our @ISA = ('AnyEvent::FDpasser');
}
{
    my ($x, $y) = pair();
    my $error  = sub { };
    my $passer = Mine->new(fh => $x, on_error => $error);
    is ref $passer, 'Mine', 'the passer is of the subclass';
    is $passer->{on_error}, $error, 'on_error has the documented name';
    is $passer->{error_state}, undef, 'error_state is not set';
    $passer->{mine} = 1;
    is ref $passer->new(fh => $y), 'Mine', 'new works as an object method';
}

# --- error()
{
    my ($x, $y) = pair();
    my @calls;
    my $passer = AnyEvent::FDpasser->new(fh => $x, on_error => sub { push @calls, [ $@, @_ ] });
    {
        local $@ = 'outer';
        $passer->error('my reason');
        is $@, 'outer', 'outer $@ is restored';
    }
    is_deeply \@calls, [ ['my reason'] ], 'error() calls on_error without arguments, and $@ is the reason';
    is $passer->{error_state}, 'my reason', 'error_state is the reason';
    is fileno $x, undef, 'the handle is closed';
    $passer->error('again');
    is scalar @calls, 1, 'on_error runs once';
    for (qw(push_recv_fh push_send_fh)) {
        dies { $passer->$_(sub { }) } qr/^passer object is in error_state: my reason/, "$_ after an error";
    }

    ($x, $y) = pair();
    $passer = AnyEvent::FDpasser->new(fh => [ $x, $y ]);
    $passer->error;
    ok $passer->{error_state}, 'error_state is true after error() without a reason';
    is fileno $_, undef, 'each handle is closed' for $x, $y;
    dies { $passer->push_recv_fh(sub { }) } qr/^passer object is in error_state: /, 'push_recv_fh after error()';

    for my $reason ('', 0, '0') {
        ($x, $y) = pair();
        $passer = AnyEvent::FDpasser->new(fh => $x);
        $passer->error($reason);
        dies { $passer->push_recv_fh(sub { }) } qr/^passer object is in error_state: /, "push_recv_fh after error('$reason')";
    }
}

is $AnyEvent::MODEL, undef, 'none of this touches the event loop';
done_testing;

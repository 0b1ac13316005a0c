# new() in all its forms, i_am_parent and i_am_child, and what dies.
use strict;
use warnings;

use Fcntl qw(F_GETFL O_NONBLOCK);
use Test::More;
use lib 't/lib';
use Helpers;

sub pair { return AnyEvent::FDpasser::fdpasser_socketpair() }
sub nonblocking { return !!(fcntl($_[0], F_GETFL, 0) & O_NONBLOCK) }

sub dies (&$$) {
    my ($code, $like, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    ok !eval { $code->(); 1 }, "$name: dies";
    like $@, $like, '... saying why';
    like $@, qr/ at \Q$0\E line \d/, '... and where';
}

# --- one handle
{
    my ($x, $y) = pair();
    my $passer = AnyEvent::FDpasser->new(fh => $x);
    isa_ok $passer, 'AnyEvent::FDpasser';
    is $passer->{fh}, $x, 'fh is the very handle that was given';
    ok nonblocking($x), 'it is non-blocking now';
    ok !nonblocking($y), 'the peer is not';

    $passer = AnyEvent::FDpasser->new(fh => [$y]);
    is $passer->{fh}, $y, '[$a] means $a';
    ok nonblocking($y), 'non-blocking too';
    dies { $passer->i_am_parent } qr/^i_am_parent only applicable when socketpair used/, 'i_am_parent on a single handle';
    dies { $passer->i_am_child } qr/^i_am_child only applicable when socketpair used/, 'i_am_child on a single handle';
}
for my $class (qw(IO::Handle IO::Socket::UNIX)) {
    eval "require $class" or die $@;
    my ($x) = pair();
    my $object = $class->new_from_fd(POSIX::dup(fileno $x), '+<');
    is(AnyEvent::FDpasser->new(fh => $object)->{fh}, $object, "$class object");
}
{
    package Over;
    use overload '*{}' => sub { $_[0]{inner} }, fallback => 1;
}
{
    my ($x) = pair();
    my $object = bless { inner => $x }, 'Over';
    is(AnyEvent::FDpasser->new(fh => $object)->{fh}, $object, 'an object with *{} overloaded');
    ok nonblocking($x), 'non-blocking';
}

# --- two
{
    my ($x, $y) = pair();
    my $passer = AnyEvent::FDpasser->new(fh => [ $x, $y ]);
    is_deeply $passer->{fh_pair}, [ $x, $y ], 'fh_pair';
    is $passer->{fh}, undef, 'no fh yet';
    ok nonblocking($_), 'non-blocking' for $x, $y;
    for (qw(push_recv_fh push_send_fh)) {
        dies { $passer->$_(sub { }) } qr/^must call i_am_parent or i_am_child/, "$_ before it is known who we are";
    }
    $passer->i_am_parent;
    is $passer->{fh}, $x, 'the parent has the first';
    is fileno $y, undef, 'and the other is closed';
    is $passer->{fh_pair}, undef, 'no fh_pair';
    dies { $passer->i_am_child } qr/only applicable when socketpair used/, 'it is decided once';
    dies { $passer->i_am_parent } qr/only applicable when socketpair used/, 'and for all';

    ($x, $y) = pair();
    $passer = AnyEvent::FDpasser->new(fh => [ $x, $y ]);
    $passer->i_am_child;
    is $passer->{fh}, $y, 'the child has the second';
    is fileno $x, undef, 'and the other is closed';
}

# --- none
for my $arg ([], [ fh => undef ]) {
    my $before = open_fds();
    my $passer = AnyEvent::FDpasser->new(@$arg);
    is scalar @{ $passer->{fh_pair} }, 2, 'without fh: a socket pair';
    ok nonblocking($_), 'non-blocking' for @{ $passer->{fh_pair} };
    is open_fds(), $before + 2, 'two descriptors';
    undef $passer;
    is open_fds(), $before, 'which are closed with it';
}

# --- dont_set_nonblocking
{
    my ($x, $y) = pair();
    AnyEvent::FDpasser->new(fh => [ $x, $y ], dont_set_nonblocking => 1);
    ok !nonblocking($_), 'dont_set_nonblocking' for $x, $y;
    my $passer = AnyEvent::FDpasser->new(dont_set_nonblocking => 1);
    ok !nonblocking($_), 'for our own pair too' for @{ $passer->{fh_pair} };
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
    dies { AnyEvent::FDpasser->new(fh => [ $x, $z ]) } qr/^fh is not an open filehandle/, 'one of them closed';
    dies { AnyEvent::FDpasser->new(fh => [ $x, undef ]) } qr/^fh is not an open filehandle/, 'one of them undef';
    open my $memory, '<', \'abc' or die $!;
    dies { AnyEvent::FDpasser->new(fh => $memory) } qr/^fh is not an open filehandle/, 'a handle in memory';
    dies { AnyEvent::FDpasser->new(fh => {}) } qr/^fh is not an open filehandle/, 'no handle at all';
    is fileno $_ && 1, 1, 'the handles are still open' for $x, $y;
}
{
    my ($x, $y) = pair();
    my $passer = AnyEvent::FDpasser->new(fh => $x);
    dies { $passer->push_recv_fh } qr/push_recv_fh needs a callback/, 'push_recv_fh without a callback';
}

# --- a class of its own
{
    package Mine;
    our @ISA = ('AnyEvent::FDpasser');
}
{
    my ($x, $y) = pair();
    my $error  = sub { };
    my $passer = Mine->new(fh => $x, on_error => $error);
    is ref $passer, 'Mine', 'a subclass';
    is $passer->{on_error}, $error, 'on_error is where it was';
    is $passer->{error_state}, undef, 'no error_state';
    $passer->{mine} = 1;
    is ref $passer->new(fh => $y), 'Mine', 'new as an object method';
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
    is_deeply \@calls, [ ['my reason'] ], 'error() calls on_error, without arguments, $@ is the reason';
    is $passer->{error_state}, 'my reason', 'error_state';
    is fileno $x, undef, 'the handle is closed';
    $passer->error('again');
    is scalar @calls, 1, 'once';
    for (qw(push_recv_fh push_send_fh)) {
        dies { $passer->$_(sub { }) } qr/^passer object is in error_state: my reason/, "$_ afterwards";
    }

    ($x, $y) = pair();
    $passer = AnyEvent::FDpasser->new(fh => [ $x, $y ]);
    $passer->error;
    ok $passer->{error_state}, 'error() without a reason: error_state is true all the same';
    is fileno $_, undef, 'both are closed' for $x, $y;
    dies { $passer->push_recv_fh(sub { }) } qr/^passer object is in error_state: /, 'push_recv_fh afterwards';

    for my $reason ('', 0, '0') {
        ($x, $y) = pair();
        $passer = AnyEvent::FDpasser->new(fh => $x);
        $passer->error($reason);
        dies { $passer->push_recv_fh(sub { }) } qr/^passer object is in error_state: /, "pushing after error('$reason')";
    }
}

is $AnyEvent::MODEL, undef, 'none of this touched the event loop';
done_testing;

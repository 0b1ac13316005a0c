# After an error nothing of the passer's keeps anything alive, and what is dropped does not disturb $@.
use strict;
use warnings;
use lib 't/lib';
use Loops;

use Scalar::Util qw(weaken);
use Test::More;
use Helpers;

{
    package Guard;
    sub new { my ($class, $code) = @_; return bless { code => $code }, $class }
    sub DESTROY { my ($self) = @_; return $self->{code}->() }
}

# on_error is a closure that holds the passer, as closures do.
{
    my ($x, $y) = AnyEvent::FDpasser::fdpasser_socketpair();
    my ($passer, $errors) = (undef, 0);
    {
        my $held;
        $held = $passer = AnyEvent::FDpasser->new(fh => $x, on_error => sub { $errors++ if $held });
    }
    $passer->push_recv_fh(sub { fail 'nothing was sent' });
    close $y;
    wait_for { $errors } 'on_error';
    ticks(2);
    is($errors, 1, 'on_error was called once');
    weaken $passer;
    ok(!$passer, 'the passer is freed, though on_error held it');
}

# Destructors of what was queued may use eval.
for my $queue (qw(send recv)) {
    my ($x, $y) = AnyEvent::FDpasser::fdpasser_socketpair();
    my ($dropped, $seen);
    my $passer = AnyEvent::FDpasser->new(fh => $x, on_error => sub { $seen = $@ });
    my $guard = Guard->new(sub { $dropped++; eval { die "inner\n" } });
    my $cb = do { my $g = $guard; sub { fail 'never called'; undef $g } };
    undef $guard;
    if   ($queue eq 'send') { $passer->push_send_fh(numbered(1), $cb) }
    else                    { $passer->push_recv_fh($cb) }
    undef $cb;
    $@ = "outer\n";
    $passer->push_recv_fh(sub { });
    is($@, "outer\n", "$queue: pushing leaves \$\@ alone");
    $passer->error("the reason\n");
    is($@,       "outer\n",      "$queue: outer \$\@ is as it was");
    is($seen,    "the reason\n", 'on_error saw the reason');
    is($dropped, 1,              'what was queued was dropped');
}

done_testing;

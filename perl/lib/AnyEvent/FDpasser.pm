package AnyEvent::FDpasser;

use 5.014;
use strict;
use warnings;

BEGIN {
    die "AnyEvent::FDpasser: Windows cannot pass file descriptors between processes\n"
      if $^O eq 'MSWin32';
}

use AnyEvent       ();
use AnyEvent::Util ();
use Carp           ();
use Errno          ();
use Symbol         ();

our $VERSION = '1.000';

require XSLoader;
XSLoader::load(__PACKAGE__, $VERSION);

# How many descriptors one event moves at most, so that one busy passer does not starve the others.
use constant FAIR_SHARE => 100;

# A passer is a hash of as few keys as its state needs:
#
#   fh | fh_pair              the handle, or both until it is known which one is ours
#   on_error, error_state     as documented
#   send_queue                [handle, callback]...
#   recv_queue                callback...
#   received                  handles that came with others in one message and nobody asked for yet
#   failing                   [reason]: sending has failed, but what has reached us comes first
#   send_io, recv_io          the watchers: there only while the queue is not empty, and what keeps
#   send_timer, recv_timer    the passer alive until then

sub new {
    my ($class, %arg) = @_;

    my $fh  = $arg{fh};
    my @fh  = ref $fh eq 'ARRAY' ? @$fh : defined $fh ? $fh : fdpasser_socketpair();
    Carp::croak 'too many elements in fh array' if @fh > 2;
    Carp::croak 'no elements in fh array'       if @fh < 1;
    for (@fh) {
        Carp::croak 'fh is not an open filehandle' unless defined _fileno($_);
        AnyEvent::Util::fh_nonblocking($_, 1) unless $arg{dont_set_nonblocking};
    }

    my $self = bless {}, ref $class || $class;
    $self->{on_error} = $arg{on_error} if $arg{on_error};
    if   (@fh == 1) { $self->{fh}      = $fh[0] }
    else            { $self->{fh_pair} = \@fh }
    return $self;
}

sub i_am_parent { $_[0]->_keep_end(0, 'i_am_parent') }
sub i_am_child  { $_[0]->_keep_end(1, 'i_am_child') }

sub _keep_end {
    my ($self, $mine, $method) = @_;
    my $pair = delete $self->{fh_pair}
      or Carp::croak "$method only applicable when socketpair used";
    $self->{fh} = $pair->[$mine];
    close $pair->[ 1 - $mine ];
    return;
}

sub push_send_fh {
    my ($self, $fh, $cb) = @_;
    $self->_assert_usable;
    $fh = Symbol::qualify_to_ref($fh, scalar caller)
      if defined $fh && !ref $fh && ref \$fh ne 'GLOB';
    push @{ $self->{send_queue} }, [ $fh, $cb ];
    $self->_watch('send') unless $self->{send_io} || $self->{send_timer} || $self->{failing};
    return;
}

sub push_recv_fh {
    my ($self, $cb) = @_;
    $self->_assert_usable;
    Carp::croak 'push_recv_fh needs a callback' unless $cb;
    push @{ $self->{recv_queue} }, $cb;
    $self->_watch('recv') unless $self->{recv_io} || $self->{recv_timer};
    return;
}

sub _assert_usable {
    my ($self) = @_;
    Carp::croak "passer object is in error_state: $self->{error_state}" if $self->{error_state};
    Carp::croak 'must call i_am_parent or i_am_child'                   if $self->{fh_pair};
    return;
}

# Shuts the passer down, once: first everything is closed and dropped, then on_error hears of it.
sub error {
    my ($self, $reason) = @_;
    return if $self->{error_state};

    $self->{error_state} = defined $reason ? $reason : 'orderly shutdown';
    my $on_error = delete $self->{on_error};
    delete @$self{qw(send_io recv_io send_timer recv_timer failing)};
    close $_ for grep { defined } delete $self->{fh}, @{ delete $self->{fh_pair} || [] };
    {
        local $@;    # what is dropped may have destructors
        delete @$self{qw(send_queue recv_queue received)};
    }

    if ($on_error) {
        local $@ = $reason;
        $on_error->();
    }
    return;
}

# --- called by the event loop, and the only places where there is I/O or a callback ------------------

# An exception of a callback's leaves these at once and goes to the event loop; what must be done at
# the end all the same is left to a guard.

sub _send_now {
    my ($self) = @_;
    my $settle = AnyEvent::FDpasser::Settle->new($self, 'send');

    for (1 .. FAIR_SHARE) {
        my $next = $self->{send_queue} && $self->{send_queue}[0] or last;
        if (_send(fileno $self->{fh}, _fileno($next->[0]))) {
            shift @{ $self->{send_queue} };
            my $cb = $next->[1];
            undef $next;    # closes the handle, unless the caller has kept it
            $cb->() if $cb;
            next;
        }
        my $reason = _errno();
        my $ms     = _retry_ms($reason);
        if    ($ms > 0) { $settle->pause($ms) }
        elsif ($ms < 0) { $self->_fail($reason) }
        last;
    }
    return;
}

sub _recv_now {
    my ($self) = @_;
    my $settle = AnyEvent::FDpasser::Settle->new($self, 'recv');

    for (my $left = FAIR_SHARE ; $self->{recv_queue} && @{ $self->{recv_queue} } ; $left--) {
        return if $left == 0;
        my $received = $self->{received} ||= [];
        if (!@$received) {
            my @fd = _recv(fileno $self->{fh});
            if (!@fd) {
                my $reason = _errno();
                my $ms     = _retry_ms($reason);
                return $settle->pause($ms) if $ms > 0;
                last                       if $ms == 0;
                return $self->_finish($reason);
            }
            return $self->_finish(undef) if !$fd[0];
            push @$received, map { _handle($_) } @fd;
        }
        (shift @{ $self->{recv_queue} })->(shift @$received);
    }
    $self->_finish if $self->{failing};
    return;
}

# Sending is over, but what has reached us is delivered before on_error hears of it.
sub _fail {
    my ($self, $reason) = @_;
    $self->{failing} = [$reason];
    $self->_recv_now;
    return;
}

# The first error is the one to report.
sub _finish {
    my ($self, $reason) = @_;
    $self->error($self->{failing} ? $self->{failing}[0] : $reason);
    return;
}

# --- watchers --------------------------------------------------------------------------------------

# Leaves one direction with the watcher that its state asks for. `$pause` (ms): not before then.
sub _settle {
    my ($self, $dir, $pause) = @_;
    return if $self->{error_state};

    my $queue = $self->{"${dir}_queue"};
    my $busy  = $queue && @$queue;
    if ($dir eq 'recv') {
        my $received = $self->{received};
        delete $self->{received} if $received && !@$received;
        # None of these makes the socket readable.
        $pause //= 0 if $self->{failing} || $busy && $self->{received};
        $busy = 1 if $self->{failing};
    }
    else {
        $busy = 0 if $self->{failing};
    }

    if    (!$busy)           { delete @$self{ "${dir}_queue", "${dir}_io", "${dir}_timer" } }
    elsif (defined $pause)   { $self->_watch($dir, $pause) }
    elsif (!$self->{"${dir}_io"}) { $self->_watch($dir) }
    return;
}

# Waits for the socket; or, for `$pause` milliseconds, for nothing but time: a socket that polls ready
# while nothing can be done would make the loop spin.
sub _watch {
    my ($self, $dir, $pause) = @_;
    my $work = $dir eq 'send' ? \&_send_now : \&_recv_now;
    my $cb   = sub {
        # GLib blocks a source while it is being dispatched. A callback may run the event loop, so
        # another one must be there by then.
        $self->_watch($dir, $pause) if $AnyEvent::MODEL eq 'AnyEvent::Impl::Glib';
        $work->($self);
    };

    $pause //= 0 if $dir eq 'recv' && $self->{received};
    if (!defined $pause) {
        delete $self->{"${dir}_timer"};
        # Some loops duplicate the handle for each watcher, which fails while the table is full. The
        # timer tries the transfer as well, so that nothing but time is lost.
        my $io = do {
            local ($@, $SIG{__DIE__});
            eval { AE::io($self->{fh}, $dir eq 'send' ? 1 : 0, $cb) };
        };
        return $self->{"${dir}_io"} = $io if $io;
        $pause = _retry_ms(Errno::EMFILE);
    }
    delete $self->{"${dir}_io"};
    # It repeats, for the case that a callback runs the event loop.
    $self->{"${dir}_timer"} = AE::timer($pause / 1000, ($pause || 10) / 1000, $cb);
    return;
}

# --- handles, descriptors, errors --------------------------------------------------------------------

# The handle's descriptor at this moment; undef or -1 if it has none.
sub _fileno {
    my ($fh) = @_;
    return fileno $fh if ref $fh eq 'GLOB' && !tied *$fh;
    local ($@, $SIG{__DIE__});    # code of the caller's may run: FILENO, overloading
    return eval { fileno $fh };
}

# A handle that owns the descriptor. Its close-on-exec flag follows $^F, as with Perl's own.
sub _handle {
    my ($fd) = @_;
    open my $fh, '+<&=', $fd or do {
        my $error = $!;
        _close($fd);
        Carp::croak "cannot make a handle of descriptor $fd: $error";
    };
    return $fh;
}

# $! is number and text, but the next system call changes it.
sub _errno { my $errno = $!; return $errno }

# --- connections -----------------------------------------------------------------------------------

sub fdpasser_socketpair {
    my @fd = _pair() or _croak('fdpasser_socketpair');
    return map { _handle($_) } @fd;
}

sub fdpasser_server {
    my ($path, $backlog) = @_;
    my $fd = _server($path, $backlog || 0);
    _croak("fdpasser_server: $path") if $fd < 0;
    return _handle($fd);
}

sub fdpasser_accept {
    my ($listener) = @_;
    my $fd = _accept(_fileno($listener));
    return $fd < 0 ? undef : _handle($fd);
}

sub fdpasser_connect {
    my ($path) = @_;
    my $fd = _connect($path);
    _croak("fdpasser_connect: $path") if $fd < 0;
    return _handle($fd);
}

# Dies with $! in the message, and leaves it as it was for who wants the number.
sub _croak {
    my ($what)  = @_;
    my $errno   = _errno();
    my $message = Carp::shortmess("$what: $errno");
    $! = $errno;
    die $message;
}

# Settles one direction of a passer when the scope is left, by an exception too.
package AnyEvent::FDpasser::Settle;

sub new {
    my ($class, $passer, $dir) = @_;
    return bless { passer => $passer, dir => $dir }, $class;
}

sub pause {
    my ($self, $ms) = @_;
    $self->{pause} = $ms;
    return;
}

sub DESTROY {
    my ($self) = @_;
    return if ${^GLOBAL_PHASE} eq 'DESTRUCT';
    local ($@, $!);
    $self->{passer}->_settle($self->{dir}, $self->{pause});
    return;
}

1;

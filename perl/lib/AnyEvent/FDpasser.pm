# SPDX-License-Identifier: MIT OR Apache-2.0
package AnyEvent::FDpasser;

# Why there are two queues. The C library has a queue object, `fdpasser` (in Rust: `Passer`). Its
# entries are descriptor numbers, which it owns, and it calls nobody back. This module has a queue of
# its own. Its entries are Perl handles and callbacks: Perl decides how long a handle lives, the handle's
# number is looked up at the moment of sending, and callbacks may throw exceptions. Both queues use the
# same transfer functions below them: fdpasser_try_send_fds, fdpasser_try_recv_messages and
# fdpasser_retry_ms; with data fdpasser_try_send_message and fdpasser_try_recv_message.

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
use Scalar::Util   ();
use Symbol         ();

our $VERSION = '1.000';

require XSLoader;
XSLoader::load(__PACKAGE__, $VERSION);

# One event moves at most this many descriptors. A loop may serve a passer last in one round and first in the next, so
# another watcher gets its turn at least once in 96 descriptors.
use constant FAIR_SHARE => 48;

# The statuses of a descriptor that the kernel destroyed. (NetBSD has the second one.) No other error passes them over.
my %LOST = map { my $errno = Errno->can($_); $errno ? (-$errno->() => 1) : () } qw(ENOTRECOVERABLE ENOLINK);

# A passer is a hash, in which a subclass may keep what it likes. So the private keys begin with a hyphen (OWN in passer.h),
# and private functions are not called as methods. The queues have none: there are programs that look at their lengths. A
# passer has only the keys that its state needs:
#
#   fh | fh_pair              our handle, or both handles until one end is chosen
#   on_error, error_state     see the documentation
#   max_fds_per_message       only if it is not 1
#   send_queue                [handle, callback]..., or [handle, callback, data]
#   -sent                     entries of send_queue that were sent but whose callback has not run yet
#   recv_queue                callback..., or [callback] of push_recv_message
#   -received                 handles that were received but not given to a callback yet, or [handle, data]
#   -messages                 how many callbacks of push_recv_message are in recv_queue, if there are any. Then messages
#                             are received with their data.
#   -ahead                    bytes that came without a descriptor. They belong to the data of the next message.
#   -failing                  a status: sending is over; what has already arrived is delivered first
#   -ended                    a status: receiving is over; what has already arrived is delivered first
#   -reported                 `error` was called
#   -pause                    in milliseconds, until the turn ends
#   -quiet                    for how many events no second descriptor is looked for
#   -send_io, -recv_io        the watchers. They exist only while there is something to do, and they
#   -send_timer, -recv_timer  keep the passer alive.
#
# The comments leave the hyphen out. A status is 0 at orderly shutdown, or an errno, negated. A callback and a handle are
# no plain arrays themselves.
#
# The life of a received handle:
#   1. The event loop calls a watcher of the passer, and the watcher calls _move.
#   2. _move calls _recv_some (receive.h), which takes descriptors from the socket, as many as callbacks wait and what is
#      left of the last message.
#   3. Each becomes a handle at once (handle.h). The handles of one message wait in `received` for their turn.
#   4. The first callback of `recv_queue` gets the first handle, and owns it alone: when it drops the handle, Perl closes
#      the descriptor.
#   5. When the turn ends, also by an exception, the passer gets the watcher that it needs next (settle in passer.h), or
#      none if no callback waits.

# What differs between the directions.
my %DIRECTION = (
    send => { io => '-send_io', timer => '-send_timer', poll_for_write => 1 },
    recv => { io => '-recv_io', timer => '-recv_timer', poll_for_write => 0 },
);

# What differs between event loops, by the name of AnyEvent's adaptor.
#
#   is_ev           the loop can call back before it waits; see _start
#   by_socket       a timer that is due at once is no good: the loop does not look at sockets while a timer is due, or
#                   loses the timer if a signal handler dies
#   is_glib         the loop does not call a watcher or timer again while its callback runs, and drops it if the
#                   callback dies; see _on_glib
#   keeps_timer     a cancelled timer is never freed, and a repeated one never ends
#   has_family      a watcher is a child of the watcher in whose callback it was made
my %LOOP = (
    'AnyEvent::Impl::EV'      => { is_ev         => 1 },
    'AnyEvent::Impl::Perl'    => { by_socket     => 1 },
    'AnyEvent::Impl::Glib'    => { is_glib       => 1 },
    'AnyEvent::Impl::IOAsync' => { by_socket     => 1, keeps_timer => 1 },
    'AnyEvent::Impl::POE'     => { has_family    => 1 },
);
my $loop;    # the entry for the loop that is in use, from the first push on

sub new {
    my ($class, %arg) = @_;

    my $fh  = $arg{fh};
    my @fh  = ref $fh eq 'ARRAY' ? @$fh : defined $fh ? $fh : fdpasser_socketpair();
    Carp::croak 'too many elements in fh array' if @fh > 2;
    Carp::croak 'no elements in fh array'       if @fh < 1;
    for (@fh) {
        Carp::croak 'fh is not an open filehandle' if (_fileno($_) // -1) < 0;
        AnyEvent::Util::fh_nonblocking($_, 1) unless $arg{dont_set_nonblocking};
    }

    my $per_message = $arg{max_fds_per_message} || 1;
    Carp::croak 'max_fds_per_message is not between 1 and 253' if $per_message !~ /\A\d+\z/ || $per_message > 253;

    my $self = bless {}, ref $class || $class;
    $self->{max_fds_per_message} = $per_message if $per_message > 1;
    $self->{on_error} = $arg{on_error} if $arg{on_error};
    if   (@fh == 1) { $self->{fh}      = $fh[0] }
    else            { $self->{fh_pair} = \@fh }
    return $self;
}

# A new thread of Perl gets no passers. A clone would share watchers with the original, and end them when it goes.
sub CLONE_SKIP { return 1 }

sub i_am_parent { _keep_end($_[0], 0, 'i_am_parent') }
sub i_am_child  { _keep_end($_[0], 1, 'i_am_child') }

sub _keep_end {
    my ($self, $mine, $method) = @_;
    my $pair = delete $self->{fh_pair}
      or Carp::croak "$method only applicable when socketpair used";
    $self->{fh} = $pair->[$mine];
    close $pair->[ 1 - $mine ];
    return;
}

sub peer_cred {
    my ($self) = @_;
    Carp::croak 'must call i_am_parent or i_am_child' if $self->{fh_pair};
    return _peer_cred(_fileno($self->{fh}));
}

sub push_send_fh {
    my ($self, $fh, $cb) = @_;
    _assert_usable($self) if $self->{error_state} || $self->{fh_pair};
    $fh = _named_handle($fh) if defined $fh && !ref $fh && ref \$fh ne 'GLOB';
    _push($self, 'send', [ $fh, $cb ]);
    return;
}

sub push_recv_fh {
    my ($self, $cb) = @_;
    _assert_usable($self) if $self->{error_state} || $self->{fh_pair};
    Carp::croak 'push_recv_fh needs a callback' unless $cb;
    _push($self, 'recv', $cb);
    return;
}

# The same with data.
sub push_send_message {
    my ($self, $fh, $data, $cb) = @_;
    _assert_usable($self);
    my $bytes = _bytes_of_data($data);
    $fh = _named_handle($fh) if defined $fh && !ref $fh && ref \$fh ne 'GLOB';
    _push($self, 'send', [ $fh, $cb, defined $bytes ? $bytes : () ]);
    return;
}

sub push_recv_message {
    my ($self, $cb) = @_;
    _assert_usable($self);
    Carp::croak 'push_recv_message needs a callback' unless $cb;
    _hold_signals();
    _push($self, 'recv', [$cb]);
    $self->{-messages}++ if !$self->{error_state};
    return;
}

# The handle of that name, in the package that pushes. A subclass that passes the push on does not push.
sub _named_handle {
    my ($name) = @_;
    my $level = 1;
    my $package;
    do { $package = caller $level++ } while defined $package && $package->isa(__PACKAGE__);
    return Symbol::qualify_to_ref($name, $package // caller 1);
}

# The bytes of data, the same whether the string is flagged as UTF-8 or not. Undef if there are none. A single NUL is what
# is sent where there is no data.
sub _bytes_of_data {
    my ($data) = @_;
    return undef if !defined $data;
    my $bytes = "$data";
    utf8::downgrade($bytes, 1) or Carp::croak 'Wide character in push_send_message';
    my $length = length $bytes;
    Carp::croak "push_send_message: $length bytes of data, and a message has at most 4096" if $length > 4096;
    return $bytes eq '' || $bytes eq "\0" ? undef : $bytes;
}

sub _assert_usable {
    my ($self) = @_;
    Carp::croak "passer object is in error_state: $self->{error_state}" if $self->{error_state};
    Carp::croak 'must call i_am_parent or i_am_child'                   if $self->{fh_pair};
    return;
}

# Shuts the passer down, once. Everything is closed and dropped before on_error is called.
sub error {
    my ($self, $reason) = @_;
    _hold_signals();
    return if $self->{error_state};

    $self->{error_state} = defined $reason ? $reason || "'$reason'" : 'orderly shutdown';
    my $on_error = delete $self->{on_error};
    {
        local $@;            # destructors may run here, for example those of POE's watchers
        no warnings 'io';    # about handles that are dropped with unwritten data in their buffers
        delete @$self{qw(-send_io -recv_io -send_timer -recv_timer -failing -ended -quiet)};
        {
            local $SIG{__DIE__};    # the caller's code may run: CLOSE of a tied handle, overloading
            eval { close $_ } for grep { defined } delete $self->{fh}, @{ delete $self->{fh_pair} || [] };
        }
        delete @$self{qw(send_queue -sent recv_queue -received -messages -ahead)};
    }

    if ($on_error) {
        local $@ = $reason;
        _call($on_error);
    }
    return;
}

# --- called by the event loop --------------------------------------------------------------------------

# A signal handler of the program may die, for example to end a loop that takes too long. Perl runs signal handlers at
# any statement, and the code here is no exception. So _hold_signals() makes them wait until the scope is left. They run
# while a callback runs.

# Moves descriptors in one direction. All callbacks are called from here, except on_error. A callback's exception
# leaves this function at once and goes to the event loop. _begin() holds signals, and when the scope is left, also by
# an exception, the passer gets the watcher that it needs next. $before_wait: the loop waits next; see _start.
sub _move {
    my ($self, $dir, $before_wait) = @_;
    no warnings 'io';    # about handles that are dropped with unwritten data in their buffers
    _begin($self, $dir, $before_wait) or return;
    my $status = $dir eq 'send' ? _send_some($self, FAIR_SHARE) : _recv_some($self, FAIR_SHARE);
    _stopped($self, $dir, $status)
      if $status != 1 && $status != -Errno::EAGAIN || defined $self->{-failing} || defined $self->{-ended};
    return;
}

# Decides what a status means. It may be a reason to pause, or a direction may be over. When a direction is over, what
# has already arrived is delivered first, and then `error` is called.
sub _stopped {
    my ($self, $dir, $status) = @_;
    return if $self->{error_state} || $self->{-reported};

    # A socket polls writable only while it is nearly empty, but it may take more now. So go on without polling.
    $self->{-pause} = 0 if $status == 2;

    my $ms = $status < 0 ? _retry_ms(-$status) : $status == 0 ? -1 : 0;
    if    ($ms > 0) { $self->{-pause} = $ms }
    elsif ($ms < 0) { $self->{ $dir eq 'send' ? '-failing' : '-ended' } //= $status }
    return if !defined $self->{-failing} && !defined $self->{-ended};
    return _move($self, 'recv') if $dir eq 'send';

    my $drained = !_length($self->{recv_queue}) || $status <= 0 && $ms <= 0;
    return if !(defined $self->{-failing} && $drained) && !(defined $self->{-ended} && !_length($self->{-received}));
    my $why    = $LOST{ $self->{-ended} // 0 } ? $self->{-ended} : $self->{-failing} // $self->{-ended};
    my $reason = $why ? _error(-$why) : undef;
    $self->{-reported} = 1;
    _call($self->can('error'), $self, $reason);
    return;
}

# --- watchers --------------------------------------------------------------------------------------

# The functions in passer.h decide which watcher a direction needs. They call _start, _watch and _later.

# The first entry was pushed. A socket is writable as a rule, so what is to be sent need not wait for an event of the
# socket. EV has watchers that it calls before it waits, but one that is made at that very moment comes too late. Then the
# timer comes at once.
sub _start {
    my ($self, $dir) = @_;
    return _watch($self, $dir) if $dir ne 'send' || !($loop || _loop())->{is_ev};
    my $cb = sub { _move($self, 'send', 1) };
    $self->{-send_timer} = [ EV::prepare($cb), EV::timer(0, 0.01, $cb) ];
    return;
}

# A prepare watcher runs after EV has decided to poll, and before it decides how long it waits. If a condition comes true
# there, AnyEvent does not see it before the poll is over. So EV must not wait, and it does not while an idle watcher is
# active. There is one for all passers. A new thread gets none: it must not free EV's references to it.
{
    my $idle;

    sub _poll_without_waiting {
        $idle ||= bless [ EV::idle_ns(sub { $_[0]->stop; _will_poll(0) }) ], 'AnyEvent::FDpasser::Unshared';
        $idle->[0]->start;
        _will_poll(1);
        return;
    }
    sub AnyEvent::FDpasser::Unshared::CLONE_SKIP { return 1 }
}

# Waits for the socket.
sub _watch {
    my ($self, $dir) = @_;
    my $is = $DIRECTION{$dir};
    my $cb = sub { _move($self, $dir) };
    if (_loop()->{is_glib}) {
        # The callbacks may run the event loop. So there has to be a new watcher before they are called.
        $cb = sub {
            { _hold_signals(); _watch($self, $dir) }
            _move($self, $dir);
        };
    }
    # Some loops duplicate the handle for each watcher. That fails while the descriptor table is full. Then a
    # timer takes the watcher's place: it tries the transfer too.
    if   (my $io = _io($self, $is->{poll_for_write}, $cb)) { $self->{ $is->{io} } = $io }
    else                                                  { _later($self, $dir, _retry_ms(Errno::EMFILE)) }
    return;
}

# Tries again after that many milliseconds, or in the loop's next turn; and then again and again, until it is dropped.
sub _later {
    my ($self, $dir, $ms) = @_;
    my $loop  = _loop();
    my $timer = $DIRECTION{$dir}{timer};
    my $again = $ms || 10;
    return _later_for_good($self, $dir, $ms, $again) if $loop->{keeps_timer};

    my $cb = sub { _move($self, $dir) };
    if ($loop->{is_glib}) {
        $cb = sub {
            { _hold_signals(); _later($self, $dir, $again) }
            _move($self, $dir);
        };
    }
    my $io = !$ms && $loop->{by_socket} && _soon($self, $cb);
    # A socket is writable as a rule. If it is not, the timer comes.
    my $timed = $loop->{is_glib} ? _on_glib('Timeout', $ms, $cb)
      : _on_its_own(AE::timer(($io ? $again : $ms) / 1000, $again / 1000, $cb));
    $self->{$timer} = $io ? [ $io, $timed ] : $timed;
    return;
}

# The same for a loop that never frees a cancelled timer. So the passer cancels none. It drops the slot instead. The
# timer finds the slot gone and does nothing.
sub _later_for_good {
    my ($self, $dir, $ms, $again) = @_;
    my $slot = $self->{ $DIRECTION{$dir}{timer} } = { passer => $self };
    Scalar::Util::weaken(my $weak = $slot);
    my $cb = sub {
        my $self;
        {
            _hold_signals();
            $self = $weak && $weak->{passer} or return;
            _later($self, $dir, $again);
        }
        _move($self, $dir);
    };
    my $io = !$ms && _soon($self, $cb);
    $slot->{io} = $io if $io;
    return if eval { _once(($io ? $again : $ms) / 1000, $cb) };
    delete $self->{ $DIRECTION{$dir}{timer} };
    die $@;
}

# A timer that nobody can cancel.
sub _once {
    my ($after, $cb) = @_;
    my $until_it_fires;
    $until_it_fires = AE::timer($after, 0, sub { undef $until_it_fires; $cb->() });
    return 1;
}

# Waits until the socket is writable, which it is as a rule.
sub _soon {
    my ($self, $cb) = @_;
    AE::now_update();
    return _io($self, 1, $cb);
}

sub _io {
    my ($self, $for_write, $cb) = @_;
    local ($@, $SIG{__DIE__});
    my $io = eval {
        my $fd = _number_of($self->{fh});
        $fd < 0 ? undef
          : _loop()->{is_glib} ? _on_glib('IO', $fd, $for_write ? [qw(out hup)] : [qw(in hup)], $cb)
          : AE::io($self->{fh}, $for_write, $cb);
    };
    return $io && _on_its_own($io);
}

# AnyEvent's adaptor for Glib calls a Perl function for each event. If a signal handler dies at the beginning of that
# function, Glib drops the watcher before our code has made the next one. _call_held begins with signals held.
sub _on_glib {
    my ($class, @what) = @_;
    my $cb = pop @what;
    my $id = $class eq 'IO' ? Glib::IO->add_watch(@what, \&_call_held, $cb) : Glib::Timeout->add(@what, \&_call_held, $cb);
    return AnyEvent::Util::guard(sub { Glib::Source->remove($id) });
}

# POE makes a watcher that is created in a callback a child of the watcher that called back. POE keeps a parent
# while it has children. A chain of passers, each made in a callback of the one before, would stay open as a
# whole. So each watcher is detached from its parent.
sub _on_its_own {
    my ($watcher) = @_;
    return $watcher if !_loop()->{has_family};
    my $poe = ref $watcher eq 'AnyEvent::Strict::io' ? $watcher->[1] : $watcher;
    local $!;    # detach_child fails if the watcher has no parent
    POE::Kernel->detach_child($$$poe) if ref $poe eq 'AnyEvent::Impl::POE';
    return $watcher;
}

sub _loop {
    return $loop ||= do {
        local $@;
        my $found = $LOOP{ AnyEvent::detect() || die "AnyEvent cannot load an event loop\n" } || {};
        # IO::Async loads its timers at the first one. Later the descriptor table may be full.
        AE::timer(0, 0, sub { }) if $found->{keeps_timer};
        $found;
    };
}

sub _length {
    my ($queue) = @_;
    return $queue ? scalar @$queue : 0;
}

# --- handles, descriptors, errors --------------------------------------------------------------------

# The handle's descriptor number at this moment. It is undef or -1 if the handle has none.
sub _fileno {
    my ($fh) = @_;
    return fileno $fh if ref $fh eq 'GLOB' && !tied *$fh;
    local ($@, $SIG{__DIE__});    # the caller's code may run: FILENO, overloading
    my $fd = eval { fileno $fh };
    return $fd;
}

# Returns an error that is a number and a text, as $! is. The argument may be $! itself.
sub _error {
    my ($errno) = @_;
    local $! = $errno;
    return my $error = $!;
}

# --- connections -----------------------------------------------------------------------------------

sub fdpasser_socketpair {
    my @pair = grep { defined } _pair();
    _croak('fdpasser_socketpair') if @pair < 2;
    return @pair;
}

sub fdpasser_server {
    my ($path, $backlog, @options) = @_;
    my $bytes = _bytes_of_path('fdpasser_server', $path);
    return _server_with_options($bytes, $backlog, @options) if @options;
    return _server($bytes, $backlog || 0) // _croak("fdpasser_server: $path");
}

sub _server_with_options {
    my ($path, $backlog, %option) = @_;
    my ($mode, $exclusive) = delete @option{qw(mode exclusive)};
    Carp::croak 'fdpasser_server: unknown option ' . join ', ', sort keys %option if %option;
    my ($listener, $node) = _server_with($path, $backlog || 0, $mode // -1, !!$exclusive);
    _croak("fdpasser_server: $path") if !$listener;
    *$listener->{fdpasser_node} = [ $path, $node ];
    return $listener;
}

sub fdpasser_unlink {
    my ($listener) = @_;
    my $made = *$listener->{fdpasser_node}
      or Carp::croak 'fdpasser_unlink: not a listener that fdpasser_server made with options';
    my $removed = _unlink(@$made);
    return $removed < 0 ? _croak("fdpasser_unlink: $made->[0]") : $removed;
}

sub fdpasser_accept {
    my ($listener) = @_;
    return _accept(_fileno($listener));
}

sub fdpasser_connect {
    my ($path) = @_;
    return _connect(_bytes_of_path('fdpasser_connect', $path)) // _croak("fdpasser_connect: $path");
}

sub fdpasser_connect_cb {
    my ($path, $cb, %option) = @_;
    my $timeout = delete $option{timeout} // 10;
    Carp::croak 'fdpasser_connect_cb: unknown option ' . join ', ', sort keys %option if %option;
    Carp::croak 'fdpasser_connect_cb needs a callback' unless $cb;
    my $bytes    = _bytes_of_path('fdpasser_connect_cb', $path);
    my $deadline = AE::time() + $timeout;

    # A full backlog cannot be waited for by poll. So a timer tries again. Signal handlers wait from the attempt to the
    # callback: one that dies would lose the connection, or the callback.
    my %attempt = (cb => $cb);
    my $try = sub {
        _hold_signals();
        my $cb = $attempt{cb} or return;
        my $fh = _connect_now($bytes);
        my $errno = $! + 0;
        if (!$fh && ($errno == Errno::EAGAIN || $errno == Errno::ETIMEDOUT)) {
            return if AE::time() < $deadline;
            $errno = Errno::ETIMEDOUT;
        }
        %attempt = ();
        $! = $errno;
        _call($cb, $fh || ());
        return;
    };
    if   (_loop()->{keeps_timer}) { _try_until_over(\%attempt, 0, $try) }
    else                          { $attempt{timer} = AE::timer(0, 0.01, $try) }
    $attempt{spare} = _on_glib('Timeout', 10, $try) if $loop->{is_glib};    # Glib drops a timer if a signal handler dies
    return defined wantarray ? AnyEvent::Util::guard(sub { %attempt = () }) : ();
}

# The same timer for a loop that never frees a cancelled one. So none is cancelled: the last one finds the attempt over.
sub _try_until_over {
    my ($attempt, $after, $try) = @_;
    _once($after, sub {
        { _hold_signals(); _try_until_over($attempt, 0.01, $try) if $attempt->{cb} }
        $try->();
    });
    return;
}

sub fdpasser_inherited {
    my $handles = _inherited();
    _croak('fdpasser_inherited') if !$handles || grep { !defined } map { @$_ } values %$handles;
    return %$handles;
}

sub fdpasser_is {
    my ($fh, @kinds) = @_;
    my $what = 0;
    $what |= _kind($_) || Carp::croak("fdpasser_is: unknown kind $_") for @kinds;
    my $is = _is(_fileno($fh), $what);
    return $is < 0 ? undef : $is;
}

sub fdpasser_notify {
    my ($state, @fhs) = @_;
    my $bytes = _bytes('fdpasser_notify', $state);
    Carp::croak 'NUL character in fdpasser_notify' if $bytes =~ /\0/;
    my $told = _notify($bytes, map { _fileno($_) } @fhs);
    return $told < 0 ? undef : $told;
}

# The bytes of a path, as for Perl's own bind and connect.
sub _bytes_of_path {
    my ($function, $path) = @_;
    my $bytes = _bytes($function, $path);
    if (${^TAINT} && Scalar::Util::tainted($bytes)) {
        my $message = "Insecure dependency in $function while running with " . (${^TAINT} > 0 ? '-T' : '-t') . ' switch';
        Carp::croak $message if ${^TAINT} > 0;
        Carp::carp $message;
    }
    return $bytes;
}

# The bytes of a string: the same whether it is flagged as UTF-8 or not.
sub _bytes {
    my ($function, $string) = @_;
    my $bytes = ref $string ? "$string" : $string;
    utf8::downgrade($bytes, 1) or Carp::croak "Wide character in $function";
    return $bytes;
}

# Dies with $! in the message. $! stays as it was.
sub _croak {
    my ($what)  = @_;
    my $errno   = _error($!);
    my $message = Carp::shortmess("$what: $errno");
    $! = $errno;
    die $message;
}

1;

__END__

=encoding utf-8

=head1 NAME

AnyEvent::FDpasser - pass file descriptors between processes, without blocking

=head1 SYNOPSIS

    use AnyEvent;
    use AnyEvent::FDpasser;

    my $passer = AnyEvent::FDpasser->new;

    if (my $pid = fork // die "fork: $!") {
        $passer->i_am_parent;

        open my $fh, '>', 'greeting' or die "open: $!";
        syswrite $fh, "a line from the parent\n";    # not print: see "Userspace buffers"

        my $sent = AE::cv;
        $passer->push_send_fh($fh, $sent);
        undef $fh;
        $sent->recv;
        waitpid $pid, 0;
    }
    else {
        $passer->i_am_child;

        my $done = AE::cv;
        $passer->push_recv_fh(sub {
            my ($fh) = @_;
            syswrite $fh, "a line from the child\n";
            $done->send;
        });
        $done->recv;
        exit;
    }

=head1 DESCRIPTION

A passer is one end of a connection between two processes on the same machine. It sends and receives open file
descriptors over that connection, in the order in which they were pushed. It never blocks. Handles to send and
callbacks that wait for handles go into queues, and the event loop serves the queues. Every event loop that
L<AnyEvent> supports will do.

The receiver gets the open file itself, as if by C<dup>. It shares the file position, the status flags and, for
a socket, the connection with every other process that has the file open.

A descriptor is always in exactly one place: with the sender, in the kernel, or with the receiver. It is not lost
when the receiver's descriptor table is full: receiving pauses until a slot is free.

There is one exception. If another I<thread> of the process takes the last slot between our check and the system
call, the kernel destroys the descriptor. The passer reports this as the error C<ENOTRECOVERABLE>. On the BSDs and
macOS it needs no other thread, if the peer puts several descriptors into a message: see
L</Several processes and a table that is nearly full>.

This module is a new implementation of the interface of Doug Hoyte's AnyEvent::FDpasser. It is built on the C
library libfdpasser. Programs written for the original run unchanged, with the exceptions that L</COMPATIBILITY> lists.
The two can talk to each other.

=head1 METHODS

=head2 AnyEvent::FDpasser->new(%options)

Makes a passer. This does not touch the event loop; the first push does. The options are:

=over

=item fh => $fh

One connected C<AF_UNIX> stream socket. It may come from C<fdpasser_connect>, from C<fdpasser_accept>, or from
elsewhere. The passer takes it over: do not read from it or write to it any more.

=item fh => [$fh0, $fh1]

Both ends of a connection, for use with C<fork>. The parent keeps C<$fh0> and the child keeps C<$fh1>. An array
with one element means that element. An array with more than two elements dies.

=item (no fh)

The same as an array of two handles that C<fdpasser_socketpair> has just made.

=item on_error => $cb->()

A callback that runs once, when the passer is shut down. It gets no arguments. C<$@> is the reason:

=over

=item *

C<undef> if the peer closed its end in good order.

=item *

Otherwise an error that is a number and a text, as C<$!> is. You can compare it: C<< $@+0 == EPIPE >>.

=back

When the callback runs, the passer is closed and its queues are dropped. Handles that had already arrived were
given to the waiting callbacks before. An orderly shutdown is noticed only while a callback waits for a handle.

L</ERRORS> lists the reasons.

=item dont_set_nonblocking => 1

C<new> sets the handles to non-blocking mode unless you pass this option. It saves two system calls for a
handle that is non-blocking already. The passer never waits, whatever the mode. (macOS, illumos, Solaris and the SysV
interface are exceptions: see CALLS THAT DO NOT WAIT in L<fdpasser(7)>.)

=item max_fds_per_message => $count

How many descriptors one message may carry when several are queued. The default is 1, and the maximum is 253. A
larger number is faster. Use it only with a peer that expects it, such as another passer of this module: every
passer of this module receives messages of any size.

The descriptor numbers of all handles in one message are looked up together, before the callback of the first one
runs.

=back

=head2 $passer->i_am_parent

Chooses the parent's end of a pair after C<fork>, and closes the other one. The child calls C<i_am_child>. Nothing can
be pushed before. Both methods die on a passer that was made with a single handle.

=head2 $passer->i_am_child

Does the same in the child, with the child's end.

=head2 $passer->push_send_fh($fh [, $cb->()])

Queues a handle to be sent. It never blocks, and it sends nothing itself: the event loop sends the handle when the
socket has room.

The handle may be anything that Perl's C<fileno> understands: a glob, a reference to a glob, C<*STDERR{IO}>, the
name of a handle, an IO::Handle object, a directory handle, a tied handle with a C<FILENO> method, or an object
that overloads C<*{}>.

The descriptor number is looked up when the handle's turn comes. If the handle has no descriptor then, the passer
fails with C<EBADF>. A handle that was closed has none, and neither has one that is in memory only.

The queue keeps the handle alive until it is sent, and then drops it. If you keep no other reference, the
descriptor is then closed in this process. If you keep one, it stays open. Perl waits for the child when it closes a
handle of a piped C<open> (C<-|>). So keep a reference to such a handle until the child has ended, or the event loop
stands still.

The push dies, and queues nothing, if the event loop cannot make a watcher. That happens if something has to be loaded
for the loop while the descriptor table is full.

The callback runs when the operating system has taken the descriptor. By then the descriptor is closed in this
process, unless you keep a reference. The peer may not have received it yet.

=head2 $passer->push_recv_fh($cb->($fh))

Queues a callback for the next handle that arrives. Callbacks run in the order in which they were pushed. They get
the handles in the order in which those were sent.

The handle is what C<< open my $fh, '+<&=', $fd >> makes. It is close-on-exec, unless its number is at most C<$^F>.

While the descriptor table is full, receiving pauses. The passer tries again every 50 milliseconds.

The passer takes nothing from the socket before a callback waits for it. A message may carry more descriptors than
there are callbacks. The surplus waits for further callbacks, and is closed together with the passer.

Data that comes with the handle is dropped. C<push_recv_message> keeps it.

=head2 $passer->push_send_message($fh, $data [, $cb->()])

Queues a handle to be sent together with data: 1 to 4096 bytes that tell the receiver more about the handle. The handle
and the callback are those of C<push_send_fh>, and the entry goes into the same queue.

    $passer->push_send_message($client, $request);

The data is copied at the push. It is a string of bytes. The push dies if a character is above 255, or if there are more
than 4096 bytes. Encode text before you push it.

If the data is C<undef>, empty, or one NUL byte, there is none. The method then does what C<push_send_fh> does.

Send data only to a peer that is known to read it, such as another passer with C<push_recv_message>. An older peer takes
one byte for each message.

A handle with data travels in a message of its own, whatever C<max_fds_per_message> says. If the socket's C<SO_SNDBUF> is
too small for the message, the passer fails with C<EMSGSIZE>. On Linux 2048 bytes always fit, and 4096 fit if C<SO_SNDBUF>
is at least 8320. With the SysV interface the passer fails with C<EOPNOTSUPP>.

=head2 $passer->push_recv_message($cb->($fh, $data))

Queues a callback for the next handle that arrives and for its data. C<$data> is a string of bytes. It is C<undef> if
there is none. Apart from that it does what C<push_recv_fh> does, and the callback goes into the same queue.

    $passer->push_recv_message(sub {
        my ($client, $request) = @_;
        ...
    });

If a message carries several handles, its data goes with the first.

On a stream, bytes may come before the message that they belong to. They are put in front of that message's data. More
than 4096 bytes together are the error C<EMSGSIZE>. If no handle comes any more, the error is C<EBADMSG>.

On a SOCK_SEQPACKET or SOCK_DGRAM socket nothing joins. There a message without a handle is C<EBADMSG>, and one of more
than 4096 bytes is C<EMSGSIZE>. Either is final for the passer, whereas the C library's queue goes on with the next
message.

Each handle that waits for its callback may hold 4096 bytes.

=head2 my ($uid, $gid, $pid) = $passer->peer_cred

Returns the effective user, the effective group and the process at the other end:

=over

=item *

If the peer connected to us, they are the peer's at the time when it connected.

=item *

If we connected, they are the listener's at the time when it began to listen.

=item *

For a pair, they are those of the process that made the pair.

=back

C<$pid> is C<undef> if the system does not tell it. On macOS it is the process that used the other end last. The list is
empty, and C<$!> is set, if the peer is not known, as for a pair on DragonFly and FreeBSD 10.

A server that serves only its own user:

    my $passer = AnyEvent::FDpasser->new(fh => $accepted);
    my ($uid) = $passer->peer_cred;
    return unless defined $uid && $uid == $>;

=head2 $passer->error($reason)

Shuts the passer down as if an error with that reason had occurred. A subclass may override it. The module calls it
once for an error. If the method of the subclass does not call the inherited one, the passer does nothing any more.

=head2 Callbacks and exceptions

The event loop runs all callbacks. A push runs none. A callback may push, drop the passer, fork, or run the event
loop.

If a callback dies, its exception goes to the event loop, as from any watcher. The queue goes on with the next
entry. The event loop L<Event> never frees the code of a watcher that is dropped while it dies. So if a callback dies
there after the last entry of the queue, the passer and its socket stay until you call C<error>.

A signal handler may die too, for example to end a loop that takes too long. No descriptor is lost or sent twice by
that, and no callback runs twice. Handlers do not run while the module works. They run while a callback runs, but not
between the statements of the callback itself. So a callback of a few plain statements runs as a whole. A handler that
dies inside a loop, a branch or a function call of a callback ends that callback. If a callback sets a time limit for a
call that waits, put that into an C<eval> block:

    eval {
        local $SIG{ALRM} = sub { die "timeout\n" };
        alarm 5;
        sysread $fh, my $data, 100;
        alarm 0;
        1;
    } or warn $@;

In one round of the loop a passer moves at most 48 descriptors in each direction. So other watchers and timers get their
turn, also if the peer never stops.

=head2 Lifetime

A passer keeps itself alive while one of its queues has an entry. When both queues are empty it has no watchers. An
event loop that runs as long as there are watchers can then end. The socket is closed when the last reference to
the passer is dropped.

=head2 error_state

After a shutdown every push dies with "passer object is in error_state:" and the reason. C<<
$passer->{error_state} >> is then true.

A subclass may also look at C<fh> (the handle that you gave), C<fh_pair> (both handles, until an end is chosen) and
C<on_error>. Together with C<max_fds_per_message> these are the public members. The private ones are C<send_queue>,
C<recv_queue>, and those that begin with a hyphen. A subclass may use all other names for members of its own, and any
name that is not documented here for its methods.

=head1 FUNCTIONS

Nothing is exported. The handles that these functions return are in blocking mode. They are close-on-exec, unless
their number is at most C<$^F>.

=head2 AnyEvent::FDpasser::fdpasser_socketpair()

Returns two connected handles: a socketpair(2) on BSD-like systems, a pipe(2) on SysV systems. Dies with the reason
if it fails.

=head2 AnyEvent::FDpasser::fdpasser_server($path [, $backlog [, %options]])

Returns a handle that listens at C<$path>: an C<AF_UNIX> socket on BSD-like systems, a mounted stream on SysV
systems. The default backlog is 10.

If a socket is at the path already, it is replaced, whether a server still uses it or not. The path is never
missing in between: the new socket is bound under another name and then renamed. C<getsockname> returns that other
name. A file that is not a socket is left alone, and the function dies with C<EEXIST>.

On Linux a path that begins with a NUL is an abstract address. Abstract addresses are not replaced.

A path is a string of bytes. It dies if the path has a character above 255, or if the path is tainted and Perl runs
with C<-T>. The same holds for the functions that connect.

Closing the listener does not remove its node.

The options are:

=over

=item mode => 0600

The mode of the node. It does not depend on the umask, and the umask does not change. Without this option the umask
decides. A client needs write permission to connect.

=item exclusive => 1

Do not take the path over from a live server: die with C<EADDRINUSE>. A socket without a server is replaced.

=back

If any option is given, the listener is bound under another name first, even if the path is free.

If it fails, it dies with the path and the reason. C<$!> is set to the reason too.

=head2 AnyEvent::FDpasser::fdpasser_unlink($listener)

Removes the node of a listener that was made with options. If another server's node is there by now, or none, it
removes nothing. Returns whether it removed the node. If it fails, it dies with the path and the reason.

Call it before you close the listener, and in one process only. If the path is relative, the working directory must
be the same as when the listener was made.

=head2 AnyEvent::FDpasser::fdpasser_accept($listener)

Takes the next connection of a listener and returns a handle for it. Returns C<undef> and sets C<$!> if it fails.
It waits if the listener is in blocking mode. For a watcher, set the listener to non-blocking mode:

    my $listener = AnyEvent::FDpasser::fdpasser_server('/run/myserver');
    AnyEvent::Util::fh_nonblocking($listener, 1);

    my ($watcher, $pause, $accept);
    $accept = sub {
        while (my $fh = AnyEvent::FDpasser::fdpasser_accept($listener)) {
            my $passer = AnyEvent::FDpasser->new(fh => $fh);
            ...
        }
        if ($!{EAGAIN}) {
            undef $pause;
            $watcher ||= AE::io $listener, 0, $accept;
        }
        else {
            warn "accept: $!";
            undef $watcher;
            $pause = AE::timer 0.1, 0, $accept;
        }
    };
    $accept->();

The pause matters when the descriptor table is full (C<EMFILE>). The connection then stays in the backlog, so the
listener stays readable, and a watcher without a pause would make the loop spin. (On macOS and under gVisor a connection
is lost if the table fills while the call waits.)

=head2 AnyEvent::FDpasser::fdpasser_connect($path)

Connects to a listener and returns a handle. If it fails, it dies with the path and the reason. C<$!> is set to the
reason too.

It waits while the listener's backlog is full, and the event loop stands still meanwhile. In an event-based program use
C<fdpasser_connect_cb>. On the BSDs and macOS a full backlog is C<ECONNREFUSED> at once.

=head2 my $guard = AnyEvent::FDpasser::fdpasser_connect_cb($path, $cb->($fh) [, timeout => $seconds])

Connects to a listener without waiting. The event loop calls the callback once, with a handle. If connecting fails, it
calls the callback without arguments, and C<$!> is the reason.

While the listener's backlog is full it tries again every 10 milliseconds. After the timeout the reason is C<ETIMEDOUT>.
The default timeout is 10 seconds. On the BSDs and macOS a full backlog is C<ECONNREFUSED> at once.

It returns a guard. If you drop the guard, the attempt is given up and the callback is not called. If you call the
function in void context, there is no guard.

On SysV systems a listener has no backlog, and connecting waits until the server accepts.

=head2 my %handles = AnyEvent::FDpasser::fdpasser_inherited()

Takes over the descriptors that a service manager such as systemd handed to this process when it started it, or that
L<fdpass(1)> did. It returns a hash: each name has an array of handles, in their order. What was not named is called
C<unknown>. If nothing was handed to this process, it returns the empty list.

    my %handles  = AnyEvent::FDpasser::fdpasser_inherited();
    my $listener = $handles{web}[0]
      // AnyEvent::FDpasser::fdpasser_server('/run/web');

The handles own their descriptors. So a second call returns the empty list. Call it when the program starts.

It dies if the environment makes no sense: C<$!> is C<EINVAL> for variables that are wrong, and C<EBADF> if a descriptor
is not open. The variables C<LISTEN_FDS>, C<LISTEN_PID>, C<LISTEN_PIDFDID> and C<LISTEN_FDNAMES> stay in the environment.
Child processes take no notice of them, because C<LISTEN_PID> is not theirs.

=head2 AnyEvent::FDpasser::fdpasser_is($fh, @kinds)

Tells whether a handle is all of these: C<socket>, C<stream>, C<datagram>, C<packet>, C<listening>, C<local>, C<internet>,
C<pipe>, C<file>, C<directory>, C<readable>, C<writable> or C<sealed>. It returns 1 or 0. If it cannot tell, because the
handle has no open descriptor, it returns C<undef>, and C<$!> is the reason. It dies of another kind.

    AnyEvent::FDpasser::fdpasser_is($fh, qw(listening stream)) or die 'not a server';

L<fdpasser_is(3)> says what each of them means.

=head2 AnyEvent::FDpasser::fdpasser_notify($state [, @handles])

Tells the service manager that started this process what state it is in, such as C<"READY=1">, and may give it descriptors
to keep (C<"FDSTORE=1\nFDNAME=name">). It returns 1 if that was sent, and 0 if nobody wants to know. If it fails it returns
C<undef>, and C<$!> is the reason. It waits while the manager's queue is full.

The state is a string of bytes, so encode text. It dies if a character is above 255 or is a NUL.

=head2 AnyEvent::FDpasser::fdpasser_mode()

Returns 1 if the library was built for the BSD interface, 2 if it was built for the SysV interface.

=head2 AnyEvent::FDpasser::send_fd($passer_number, $number)

Is the C library's function of the same name, and takes descriptor I<numbers>. It returns 1 when the descriptor was
sent. If it fails, it returns -1 and sets C<$!>. It waits if the passer is in blocking mode.

=head2 AnyEvent::FDpasser::recv_fd($passer_number)

Is the other one. It returns the number of the descriptor that it received, or 0 at orderly shutdown. If it fails, it
returns -1 and sets C<$!>. It waits if the passer is in blocking mode. The caller owns the descriptor and must close
it.

=head1 ERRORS

These are the reasons that C<on_error> finds in C<$@>. The passer is closed then.

    reason              what has happened                        what to do
    ------------------  ---------------------------------------  ----------------------------
    undef               The peer closed its end in good order.   nothing
    EPIPE, ECONNRESET   The peer is gone.                        connect again
    EBADF               A queued handle had no descriptor when   leave a handle open until it
                        its turn came.                           is sent
    EBADMSG             Bytes came without a descriptor.         find out who else writes to
                        See also Forking.                        the socket
    EMSGSIZE            A message with more than 4096 bytes      send less data; ask for a
                        came, or SO_SNDBUF is too small to       larger SO_SNDBUF
                        send one.
    ENOTRECOVERABLE     The kernel destroyed a descriptor.       keep slots of the descriptor
    (NetBSD: ENOLINK)   See DESCRIPTION.                         table free
    EINVAL, EPERM,      The system or the peer refuses this      send another kind of
    EOPNOTSUPP          kind of descriptor.                      descriptor

A full descriptor table, a full socket and too many descriptors in flight are no errors here. The passer waits and
tries again.

A peer that stops receiving (C<shutdown $fh, 0>) and stays is not noticed while the socket is full: the system
does not report it. When the peer closes, the passer notices.

The functions die with the path and the reason, and leave the reason in C<$!>. C<fdpasser_accept> returns C<undef>,
and the callback of C<fdpasser_connect_cb> gets no handle. The reasons are those of the system, and among them:

    reason              function                 what has happened
    ------------------  -----------------------  ------------------------------------------------
    EADDRINUSE          server, exclusive => 1   A live server has the path.
    EEXIST              server                   There is something else than a socket.
    ENAMETOOLONG        server, connect          The path does not fit into an address.
    EACCES              server, connect          The directory or the node has another mode.
    ENOENT              server, connect          The directory or the node does not exist.
    ECONNREFUSED        connect                  The node has no server any more. (On the BSDs and
                                                 macOS also: the backlog is full.)
    ETIMEDOUT           connect_cb               The backlog was full for all of the timeout.
    EAGAIN              accept                   No connection waits.
    EMFILE, ENFILE      all                      The descriptor table is full. Nothing is lost.

A push that is called wrongly dies. The passer stays as it is:

    passer object is in error_state: ...         The passer was shut down. The reason follows.
    must call i_am_parent or i_am_child          No end of a pair was chosen yet.
    push_recv_fh needs a callback                It was called without one.
    Wide character in push_send_message          The data is text that was not encoded.

=head1 NOTES

=head2 Userspace buffers

A passer passes the descriptor. It does not pass the buffers that lie above it in your process.

B<Data that you have not written yet> may be written before the descriptor is sent, after it, or never. So flush before
you push a handle and write nothing to it afterwards, or use C<syswrite>.

B<Data that you have read already> does not go along by itself. Send it with the handle: a message carries up to 4096
bytes. Read with C<sysread>, and no more than you can send:

    sysread $client, $request, 4096 - length $request, length $request;
    ...
    $passer->push_send_message($client, $request);

For the receiver it is the beginning of what it reads:

    $passer->push_recv_message(sub {
        my ($client, $data) = @_;
        my $request = $data // '';
        sysread $client, $request, 4096, length $request;
        ...
    });

C<readline>, C<read> and C<eof> do not suit. They fill a buffer of Perl's, and you cannot ask what is in it.

One NUL byte alone cannot be sent, as it means that there is no data. Read on until there is more.

A TLS session cannot be moved. Its keys and its state are in your process, and they change with every byte.

=head2 Moving an AnyEvent::Handle

What an AnyEvent::Handle has read and not used yet is in its C<rbuf>. This function sends its socket and its C<rbuf> to
another process. If it dies, the handle is as it was.

    use AnyEvent::Handle;

    sub send_handle {
        my ($passer, $handle) = @_;
        my $fh   = $handle->fh or die "cannot move the handle: it has no socket\n";
        my $read = $handle->{rbuf} // '';
        die "cannot move the handle: it uses TLS\n"                         if $handle->{tls};
        die "cannot move the handle: not everything is written\n"           if length($handle->{wbuf} // '');
        die "cannot move the handle: it has read nothing but a NUL byte\n"  if $read eq "\0";
        $passer->push_send_message($fh, $read);    # dies if there are more than 4096 bytes
        $handle->destroy;                          # before the event loop can send it
    }

The other process makes a new handle that goes on with these bytes:

    sub receive_handle {
        my ($passer, $cb) = @_;
        $passer->push_recv_message(sub {
            my ($fh, $read) = @_;
            $cb->(AnyEvent::Handle->new(fh => $fh, rbuf => $read // ''));
        });
    }

The callback sets C<on_error> and C<on_eof> first, and then calls C<on_read> or C<push_read>. Those look at C<rbuf> at once.
(An C<on_read> that is given to C<new> is not called before more bytes arrive.)

    receive_handle($passer, sub {
        my ($handle) = @_;
        $handle->on_error(sub { ... });
        $handle->push_read(line => sub { my ($handle, $line) = @_; ... });
    });

If C<wbuf> is not empty, call C<send_handle> from C<on_drain>. C<rbuf> is never longer than 4096 bytes if the handle was
made with C<< read_size => 4096, max_read_size => 4096 >> and is moved at the first C<on_read>. Its callbacks, timeouts
and read requests are not moved.

=head2 Watchers

Destroy all watchers of a handle before you push the handle. It may be closed once it is sent, and a watcher must go
before its handle does. A read watcher that still fires would also read data that the receiver then lacks.

POE adds a rule of its own. If a callback makes something that waits for events, such as a watcher or a session,
POE makes that a child of the passer's watcher. POE keeps a parent as long as it has children, so the passer's
socket stays open until then. Other loops do not do this.

=head2 Forking

This module never forks, but programs that use it often do. Fork before the first push. A push makes AnyEvent
watchers, and an event loop does not survive a fork unless your program takes care of that.

If both processes use the passer after the fork, each with an end of its own, call C<i_am_parent> and C<i_am_child>.
Several processes may also receive from one end, as in a pool of workers. Each descriptor then reaches exactly one
of them.

On the BSDs and macOS C<ENOTRECOVERABLE> in one of them leaves the bytes of the lost message in the socket. Another one
may then fail with C<EBADMSG> although it lost nothing, or get them in front of the data of the next handle.

=head2 Threads

A Perl thread gets a clone of Perl's data. Watchers cannot be cloned that way. So passers are left out: use a passer only
in the thread that made it. In a new thread the variable holds a reference to C<undef>. A thread may make passers of its
own.

=head2 Several processes and a table that is nearly full

A descriptor can be lost if all of this comes together: several processes receive from one end, messages carry
different numbers of descriptors, the receiver has fewer than about 300 free slots, and another process takes a
message just between our look at it and our taking it. By default this module sends one descriptor in each message,
and so do all common senders. Then this cannot happen.

On the BSDs and macOS one process is enough: a message of several descriptors is destroyed if the table has a free slot,
but not one for each of them. With one descriptor in each message this cannot happen either.

=head2 Too many descriptors in flight

The kernel limits how many descriptors of one user are in flight (C<ETOOMANYREFS>). At the limit sending pauses, and
the passer tries again every 50 milliseconds.

Linux before 4.14 returns the same error when a local socket is sent over a socket that is itself in flight,
more than four levels deep. Then the queue waits until somebody receives the sockets inside. Call C<error> to give
up.

=head2 Platforms

This version is tested on Linux. C<FDPASSER_SYSV=1 perl Makefile.PL> selects the SysV interface, for illumos and
Solaris. It was not run on either system. It was tested on Linux against a simulation, which does what the sources of
illumos say.

=head1 COMPATIBILITY

The interface and the wire are those of the original AnyEvent::FDpasser: one NUL byte with one descriptor attached.
L<IO::FDPass>, L<Socket::MsgHdr> and Python's C<socket.send_fds> use the same wire. These are the differences:

=over

=item *

A readiness event moves up to 48 descriptors. The original moved one.

=item *

A passer holds one descriptor open. The original held three.

=item *

A closed handle in the queue is an error of the passer. The original sent C<STDIN> in its place.

=item *

These do no harm: a received descriptor with number 0, a message without a descriptor, an early C<EAGAIN>, too many
descriptors in flight, a callback that dies, and a full table while sending.

=item *

C<fdpasser_accept> returns C<undef> if it fails. C<fdpasser_server> leaves everything but sockets alone.

=item *

A signal handler that dies between two plain statements of a callback does not end the callback. A time limit by C<alarm>
needs an C<eval> block there: see L</Callbacks and exceptions>.

=back

=head1 SEE ALSO

L<AnyEvent>, L<IO::FDPass>, L<Socket::MsgHdr>, unix(7)

=head1 AUTHORS AND LICENSE

The libfdpasser authors. The interface was designed by Doug Hoyte. On CPAN the name AnyEvent::FDpasser belongs to its
author, so a release of this module there needs co-maintainership.

This module is free software. You may use it under the terms of the MIT license or of the Apache License, version
2.0, at your choice.

=cut

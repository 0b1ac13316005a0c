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
use Scalar::Util   ();
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
#   max_fds_per_message       if not 1
#   send_queue                [handle, callback]...
#   sent                      the same, sent but not told of yet
#   recv_queue                callback...
#   received                  handles that no callback has got yet
#   failing, ended            [reason] why sending, or receiving, is over; what has reached us comes first
#   send_io, recv_io          the watchers: there only while the queue is not empty, and what keeps
#   send_timer, recv_timer    the passer alive until then

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

sub peer_cred {
    my ($self) = @_;
    Carp::croak 'must call i_am_parent or i_am_child' if $self->{fh_pair};
    return _peer_cred(_fileno($self->{fh}));
}

sub push_send_fh {
    my ($self, $fh, $cb) = @_;
    $self->_assert_usable if $self->{error_state} || $self->{fh_pair};
    $fh = Symbol::qualify_to_ref($fh, scalar caller)
      if defined $fh && !ref $fh && ref \$fh ne 'GLOB';
    push @{ $self->{send_queue} }, [ $fh, $cb ];
    $self->_settle('send') unless $self->{send_io} || $self->{send_timer};
    return;
}

sub push_recv_fh {
    my ($self, $cb) = @_;
    $self->_assert_usable if $self->{error_state} || $self->{fh_pair};
    Carp::croak 'push_recv_fh needs a callback' unless $cb;
    push @{ $self->{recv_queue} }, $cb;
    $self->_settle('recv') unless $self->{recv_io} || $self->{recv_timer};
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

    $self->{error_state} = defined $reason ? $reason || "'$reason'" : 'orderly shutdown';
    my $on_error = delete $self->{on_error};
    {
        local $@;    # what is dropped may have destructors, POE's watchers among it
        delete @$self{qw(send_io recv_io send_timer recv_timer failing ended)};
        close $_ for grep { defined } delete $self->{fh}, @{ delete $self->{fh_pair} || [] };
        delete @$self{qw(send_queue sent recv_queue received)};
    }

    if ($on_error) {
        local $@ = $reason;
        $on_error->();
    }
    return;
}

# --- called by the event loop, and the only places where there is I/O or a callback ------------------

# An exception of a callback's leaves these at once and goes to the event loop; what must be done at
# the end all the same is left to a guard, and what was moved but not yet told of stays in `sent` and
# `received`.

sub _send_now {
    my ($self) = @_;
    my $settle = AnyEvent::FDpasser::Settle->new($self, 'send');

    for (my $left = FAIR_SHARE ; ; $left--) {
        my $sent = $self->{sent};
        if (!$sent || !@$sent) {
            my $queue = $self->{send_queue};
            return if !$queue || !@$queue || $left <= 0;
            my $n;
            if (my $per_message = $self->{max_fds_per_message}) {
                my $count = $per_message < @$queue ? $per_message : @$queue;
                $n = _send(fileno $self->{fh}, $per_message, map { _fileno($_->[0]) } @$queue[ 0 .. $count - 1 ]);
            }
            else {
                my $fh = $queue->[0][0];
                # _fileno's own first look, as calling it costs 4 % of the instructions for a descriptor.
                $n = _send(fileno $self->{fh}, 1, ref $fh eq 'GLOB' && !tied *$fh ? fileno $fh : _fileno($fh));
            }
            if ($n < 0) {
                my $reason = _error($!);
                my $ms     = _retry_ms($reason);
                return                     if $ms == 0;
                return $settle->pause($ms) if $ms > 0;
                return $self->_fail($reason);
            }
            $sent = $queue;
            if ($n > 1) {
                $self->{sent} = $sent = [ splice @$queue, 0, $n ];
                $self->_soon('send') if !$self->{send_timer};
            }
        }
        my $cb = (shift @$sent)->[1];    # closes the handle, unless the caller has kept it
        $cb->() if $cb;
    }
}

sub _recv_now {
    my ($self) = @_;
    my $settle = AnyEvent::FDpasser::Settle->new($self, 'recv');
    my $reset;

    for (my $left = FAIR_SHARE ; ; $left--) {
        my ($queue, $received) = @$self{qw(recv_queue received)};
        # Most times there is nothing more to it.
        if ($left > 0 && $received && @$received && $queue && @$queue) {
            (shift @$queue)->(shift @$received);
            next;
        }
        $queue    ||= [];
        $received ||= $self->{received} = [];
        return $self->_finish if $self->{ended}   && !@$received;
        return $self->_finish if $self->{failing} && !@$queue;
        return                if !@$queue || $left <= 0;

        if (!@$received) {
            (my $status, @$received) = _recv(fileno $self->{fh}, scalar @$queue);
            my $ms = $status < 0 ? _retry_ms(-$status) : 0;
            if ($status == 0) {
                $self->{ended} = [undef];
            }
            elsif ($status == -Errno::ECONNRESET && !$reset++) {
                $self->{failing} ||= [ _error(-$status) ];    # of SOCK_SEQPACKET, where it comes first
            }
            elsif ($ms < 0) {
                $self->{ended} = [ _error(-$status) ];
            }
            elsif ($status < 0 && !@$received) {
                return $settle->pause($ms) if $ms > 0;
                return $self->_finish      if $self->{failing};
                return;
            }
            $self->_soon('recv') if @$received > 1 && !$self->{recv_timer};
            next if !@$received;
        }
        (shift @$queue)->(shift @$received);
    }
}

# Sending is over, but what has reached us is delivered before on_error hears of it.
sub _fail {
    my ($self, $reason) = @_;
    $self->{failing} = [$reason];
    $self->_recv_now;
    return;
}

sub _finish {
    my ($self) = @_;
    $self->error(($self->{failing} || $self->{ended})->[0]);
    return;
}

# --- watchers --------------------------------------------------------------------------------------

my %NOW = (send => \&_send_now, recv => \&_recv_now);

# Leaves one direction with the watcher that its state asks for. `$pause` (ms): not before then.
sub _settle {
    my ($self, $dir, $pause) = @_;
    return if $self->{error_state};

    my ($queue, $moved) = @$self{ "${dir}_queue", $dir eq 'send' ? 'sent' : 'received' };
    my $waiting = $queue && @$queue;
    my $in_hand = $moved && @$moved;
    my $over    = $self->{failing} || $self->{ended} && !$in_hand;    # on_error has yet to hear of it
    my $busy    = $dir eq 'send' ? $in_hand || $waiting && !$over : $waiting || $over;

    delete $self->{ $dir eq 'send' ? 'sent' : 'received' } if !$in_hand;
    if (!$busy) {
        delete @$self{ "${dir}_queue", "${dir}_io", "${dir}_timer" };
        return;
    }
    $pause //= 0 if $in_hand || $over;    # neither makes the socket ready
    return $self->_pause($dir, $pause) if defined $pause;
    delete $self->{"${dir}_timer"};
    $self->_watch($dir) if !$self->{"${dir}_io"};
    return;
}

# Waits for the socket.
sub _watch {
    my ($self, $dir) = @_;
    my $now = $NOW{$dir};
    my $cb = sub {
        # GLib blocks a source while it is being dispatched, and a callback may run the event loop.
        $self->_watch($dir) if $AnyEvent::MODEL eq 'AnyEvent::Impl::Glib';
        $self->$now;
    };
    # Some loops duplicate the handle for each watcher, which fails while the table is full. The timer
    # tries the transfer as well, so that nothing but time is lost.
    my $io = defined fileno $self->{fh} && do {
        local ($@, $SIG{__DIE__});
        eval { AE::io($self->{fh}, $dir eq 'send' ? 1 : 0, $cb) };
    };
    return $self->_pause($dir, _retry_ms(Errno::EMFILE)) if !$io;
    $self->{"${dir}_io"} = _on_its_own($io);
    return;
}

# Waits for nothing but time: a socket that polls ready while nothing can be done would make the loop
# spin.
sub _pause {
    my ($self, $dir, $ms) = @_;
    delete $self->{"${dir}_io"};
    $self->_soon($dir, $ms);
    return;
}

# Comes back after so many milliseconds, or at once.
sub _soon {
    my ($self, $dir, $ms) = @_;
    my $now = $NOW{$dir};
    # AnyEvent's adaptor for IO::Async never frees a timer that is cancelled. So the passer cancels none
    # there: it drops what is in the slot, and the timer, which finds that gone, does nothing.
    my $slot = $self->{"${dir}_timer"} = { passer => $self };
    Scalar::Util::weaken(my $weak = $slot);
    my $until_it_fires;
    my $timer = AE::timer(($ms || 0) / 1000, 0, sub {
        undef $until_it_fires;
        my $self = $weak && $weak->{passer} or return;
        # Again, for the case that a callback runs the event loop while there is something in hand.
        $self->_soon($dir, $ms || 10);
        $self->$now;
    });
    if ($AnyEvent::MODEL eq 'AnyEvent::Impl::IOAsync') { $until_it_fires = $timer }
    else                                               { $slot->{timer}  = _on_its_own($timer) }
    return;
}

# For POE a watcher that is made in a callback is a child of the watcher that called back, and POE keeps
# parents while they have children: a chain of passers, each made in a callback of the one before, would
# stay open from end to end.
sub _on_its_own {
    my ($watcher) = @_;
    return $watcher if $AnyEvent::MODEL ne 'AnyEvent::Impl::POE';
    my $poe = ref $watcher eq 'AnyEvent::Strict::io' ? $watcher->[1] : $watcher;
    local $!;    # it may be nobody's child
    POE::Kernel->detach_child($$$poe) if ref $poe eq 'AnyEvent::Impl::POE';
    return $watcher;
}

# --- handles, descriptors, errors --------------------------------------------------------------------

# The handle's descriptor at this moment; undef or -1 if it has none.
sub _fileno {
    my ($fh) = @_;
    return fileno $fh if ref $fh eq 'GLOB' && !tied *$fh;
    local ($@, $SIG{__DIE__});    # code of the caller's may run: FILENO, overloading
    my $fd = eval { fileno $fh };
    return $fd;
}

# An error as $! is one, number and text. (A copy first: what is passed may be $! itself.)
sub _error {
    my ($errno) = @_;
    local $! = $errno;
    return my $error = $!;
}

# --- connections -----------------------------------------------------------------------------------

sub fdpasser_socketpair {
    my @fd = _pair() or _croak('fdpasser_socketpair');
    return map { _handle($_) // _croak('fdpasser_socketpair') } @fd;
}

sub fdpasser_server {
    my ($path, $backlog, @options) = @_;
    return _server_with_options($path, $backlog, @options) if @options;
    my $fd = _server($path, $backlog || 0);
    return ($fd < 0 ? undef : _handle($fd)) // _croak("fdpasser_server: $path");
}

sub _server_with_options {
    my ($path, $backlog, %option) = @_;
    my ($mode, $exclusive) = delete @option{qw(mode exclusive)};
    Carp::croak 'fdpasser_server: unknown option ' . join ', ', sort keys %option if %option;
    my ($fd, $node) = _server_with($path, $backlog || 0, $mode // -1, !!$exclusive);
    my $listener = (defined $fd ? _handle($fd) : undef) // _croak("fdpasser_server: $path");
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
    my $fd = _accept(_fileno($listener));
    return $fd < 0 ? undef : _handle($fd);
}

sub fdpasser_connect {
    my ($path) = @_;
    my $fd = _connect($path);
    return ($fd < 0 ? undef : _handle($fd)) // _croak("fdpasser_connect: $path");
}

# Dies with $! in the message, and leaves it as it was for who wants the number.
sub _croak {
    my ($what)  = @_;
    my $errno   = _error($!);
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

A passer stands at one end of a connection between two processes of one machine and moves open file
descriptors over it, in both directions, each in the order in which it was pushed. Nothing blocks:
handles to be sent, and callbacks that wait for handles, are queued and served by the event loop, any
that L<AnyEvent> supports.

What arrives is the open file itself, as if by C<dup>: the receiver shares its position, its status
flags and, for a socket, its connection with whoever else has it open.

A descriptor that was sent is always in one place: in the sender's queue, in the kernel, or with the
receiver. In particular none is lost while the receiver's descriptor table is full: receiving pauses
until there is a free slot again. (The one exception: when another I<thread> of the process takes the
last slot in the instant between the check and the system call, the kernel destroys the descriptor.
That is an error, C<ENOTRECOVERABLE>, not silence.)

This is a new implementation of the interface of Doug Hoyte's AnyEvent::FDpasser, on top of the C
library libfdpasser. Programs written for the original run unchanged, and the two can talk to each
other. See L</COMPATIBILITY>.

=head1 METHODS

=head2 AnyEvent::FDpasser->new(%options)

Makes a passer. Options:

=over

=item fh => $fh

One connected C<AF_UNIX> stream socket: from C<fdpasser_connect> or C<fdpasser_accept>, or made in
any other way. The passer takes it over; do not read from it or write to it any more.

=item fh => [$fh0, $fh1]

Both ends of a connection, for use with C<fork>: the parent keeps C<$fh0>, the child C<$fh1>. An array
with one element is the same as that element alone; one with more than two dies.

=item (no fh)

The same with a fresh pair from C<fdpasser_socketpair>.

=item on_error => $cb->()

Called once, without arguments, when the passer is shut down. C<$@> is the reason: C<undef> if the peer
closed its end in good order, otherwise an error that is a number and a text, as C<$!> is (C<<
$@+0 == EPIPE >>). By then the passer is closed and its queues are dropped; what had reached us for
callbacks that were waiting was delivered before. An orderly shutdown is noticed only while a callback
waits for a handle.

Reasons you may meet: C<EPIPE> and C<ECONNRESET> (the peer is gone), C<EBADF> (what was to be sent had
no descriptor when its turn came), C<EBADMSG> (a byte came without a descriptor), C<ENOTRECOVERABLE>
(see above), C<EINVAL>, C<EOPNOTSUPP>, C<EPERM> (this kind of descriptor cannot be sent).

=item dont_set_nonblocking => 1

The handles are set to non-blocking mode, unless you pass this. It saves two system calls for a handle
that is non-blocking already. The passer never waits in either case, whatever the mode.

=item max_fds_per_message => $count

How many descriptors one message may carry when several are queued: 1 if you do not say, at most 253. More
than one is faster, and only for a peer that expects it, such as another passer of this module; every passer
here receives messages of any size. Handles that are sent in one message have their descriptor numbers looked
up together, before the callback of the first is called.

=back

Making a passer does not touch the event loop; the first push does.

=head2 $passer->i_am_parent

=head2 $passer->i_am_child

After a C<fork>, the parent calls the first one and the child the second one: each keeps its end and
closes the other. Until then nothing can be pushed. They die on a passer that was made with a single
handle.

=head2 $passer->push_send_fh($fh [, $cb->()])

Queues a handle to be sent. Never blocks, and never sends anything itself: the event loop does, as soon
as the socket takes it.

The handle may be whatever Perl's C<fileno> understands: a glob, a reference to one, C<*STDERR{IO}>, the
name of a handle, an IO::Handle object, a directory handle, a tied handle with a C<FILENO> method, an
object that overloads C<*{}>. Its descriptor number is looked up when its turn comes; if it has none by
then, because it was closed or is in memory only, that is an error of the passer.

The queue keeps the handle alive until it is sent, and then drops it. So if you keep no reference to the
handle, its descriptor is closed in this process once it is sent; if you do, it stays open.

The callback is called when the descriptor has been handed to the operating system and, if you kept no
reference, is closed here. The peer need not have received it by then.

=head2 $passer->push_recv_fh($cb->($fh))

Queues a callback for the next handle that arrives. Callbacks are called in the order in which they were
pushed, with handles in the order in which they were sent.

The handle is what C<< open my $fh, '+<&=', $fd >> makes. It is close-on-exec, unless its number is not
above C<$^F>.

While the descriptor table is full, receiving pauses, and is tried again every 50 milliseconds.

If a peer puts several descriptors into one message they are handed out one by one. Those for which there
is no callback yet wait for one, and are closed with the passer. Apart from that nothing is taken from the
socket before a callback waits for it.

=head2 my ($uid, $gid, $pid) = $passer->peer_cred

Who is at the other end: the effective user and group, and the process, of who connected to us; if we
connected, of who listens there; each as they were at that time. Of a pair it is the process that made the
pair, so nothing new. The process is C<undef> where the system does not tell. Returns the empty list with
C<$!> set if nobody is known to be there.

A server that serves only its own user:

    my $passer = AnyEvent::FDpasser->new(fh => $accepted);
    my ($uid) = $passer->peer_cred;
    return unless defined $uid && $uid == $>;

=head2 $passer->error($reason)

Shuts the passer down as if an error with that reason had occurred. Subclasses may override it.

=head2 Callbacks and exceptions

No callback is called from within a push, only from the event loop. A callback may push, drop the passer,
fork or run the event loop. If it dies, the exception goes to the event loop as from any watcher, and the
queue goes on with what is next.

=head2 Lifetime

A passer with something in a queue keeps itself alive. When its queues are empty it has no watchers, so
that an event loop that runs as long as there are any may end; and when the last reference to it is
dropped, its socket is closed.

=head2 error_state

After a shutdown every push dies with "passer object is in error_state:" and the reason. C<<
$passer->{error_state} >> is true then. The other members that a subclass may look at are C<fh> (your own
handle), C<fh_pair> (before i_am_parent or i_am_child) and C<on_error>.

=head1 FUNCTIONS

None is exported. Handles that they return are in blocking mode and, unless their number is not above
C<$^F>, close-on-exec.

=head2 AnyEvent::FDpasser::fdpasser_socketpair()

Returns two connected handles: a socketpair(2) on BSD-like systems, a pipe(2) on SysV systems. Dies with
the reason on failure.

=head2 AnyEvent::FDpasser::fdpasser_server($path [, $backlog [, %options]])

Returns a handle that listens at C<$path>: an C<AF_UNIX> socket on BSD-like systems, a mounted stream on
SysV systems. The backlog is 10 if you give none.

A socket that is at the path already is replaced, be it left over or live, and there is no moment in which
the path is missing. (It is bound under another name and renamed, which is the name that C<getsockname>
then gives.) Anything that is not a socket is left alone. On Linux a path that begins with a NUL is an
abstract address; those are not replaced. The node stays when the listener is closed.

Options:

=over

=item mode => 0600

The node's mode, whatever the umask, which is not touched. Without it the umask decides. Who connects needs
permission to write.

=item exclusive => 1

Do not take over from a server that is live: die with C<EADDRINUSE>. A socket that is left over is replaced.
The live server sees a connection that ends at once.

=back

With any option the listener is bound under another name first, also if the path is free.

Dies with the path and the reason on failure; C<$!> is the reason too.

=head2 AnyEvent::FDpasser::fdpasser_unlink($listener)

Removes the node of a listener that was made with options, if it is still there and not another server's by
now. Returns whether it was; dies with the path and the reason on failure. Call it before the listener is
closed, and in one process only. A path that is not absolute must still mean the same.

=head2 AnyEvent::FDpasser::fdpasser_accept($listener)

Takes the next connection of a listener and returns a handle for it, or C<undef> with C<$!> set. It waits
if the listener is in blocking mode; for use with a watcher, set it to non-blocking mode:

    my $listener = AnyEvent::FDpasser::fdpasser_server('/run/myserver');
    AnyEvent::Util::fh_nonblocking($listener, 1);
    my $accepting = AE::io $listener, 0, sub {
        while (my $fh = AnyEvent::FDpasser::fdpasser_accept($listener)) {
            my $passer = AnyEvent::FDpasser->new(fh => $fh);
            ...
        }
    };

=head2 AnyEvent::FDpasser::fdpasser_connect($path)

Connects to a listener and returns a handle. Dies with the path and the reason on failure; C<$!> is the
reason too.

=head2 AnyEvent::FDpasser::fdpasser_mode()

1 if the library was built for the BSD interface, 2 for the SysV interface.

=head2 AnyEvent::FDpasser::send_fd($passer_number, $number)

=head2 AnyEvent::FDpasser::recv_fd($passer_number)

The two functions of the C library, with descriptor I<numbers>: 1 for a descriptor sent; the number of the
descriptor received, 0 at orderly shutdown; -1 on failure with C<$!> set. They wait if the passer is in
blocking mode. Who calls C<recv_fd> owns the descriptor and has to close it.

=head1 NOTES

=head2 Userspace buffers

What is passed is the descriptor, not the buffers that Perl or AnyEvent::Handle keep above it. Whether data
that is still in such a buffer gets written before or after the descriptor is sent, or not at all, is
undefined: flush before you push a handle and write nothing to it afterwards, or use C<syswrite>. Likewise,
what you have read into a buffer does not go along.

=head2 Watchers

Destroy all watchers of a handle before you push it. It may be closed once it is sent, and watchers must go
before their handles do. A read watcher that fires before that reads data which the receiver then lacks.

On POE, whatever a callback makes that waits for something (a watcher, a session) is a child of the passer's
watcher that called back, and POE keeps parents as long as they have children: the passer's socket stays open
until then. Other loops do not have this.

=head2 Forking

This module never forks, but what uses it often does. Fork before the first push: a push makes AnyEvent
watchers, and the event loop that serves them does not survive a fork unless your program sees to that.
A passer that is used by both processes after a fork, with two ends, needs C<i_am_parent> and
C<i_am_child>. With one end in several processes, as in a pool of workers, each descriptor reaches
exactly one of them.

=head2 Threads

Perl threads get clones of Perl's data, but watchers and sockets are not the kind of thing that can be
cloned. Use a passer only in the interpreter that made it.

=head2 Several processes and a table that is nearly full

Where several processes receive from one end, messages carry different numbers of descriptors, and the
receiver has fewer than about 300 free slots, a descriptor can be lost if another process takes a message in
the instant between our look at it and our taking it. This module and all common ones send one descriptor in a
message, and then this cannot happen.

=head2 Too many descriptors in flight

While the kernel holds more unreceived descriptors of your user than it likes (C<ETOOMANYREFS>), sending
pauses, and is tried again every 50 milliseconds. Some Linux kernels, of which 6.18 is none, say the same of
a local socket in which sockets are in flight, and in those others, more than four deep: then the queue waits
until somebody receives what is in there. C<error> gives up.

=head2 Platforms

Linux is what this version is tested on. C<FDPASSER_SYSV=1 perl Makefile.PL> selects the SysV interface, for
illumos and Solaris. It was not tried on either, only on Linux, against a simulation of their manual pages,
written from memory.

=head1 COMPATIBILITY

With the original AnyEvent::FDpasser the interface and the wire are the same: one NUL byte with one descriptor
attached. L<IO::FDPass>, L<Socket::MsgHdr> and Python's C<socket.send_fds> use it too. What differs:

=over

=item *

A readiness event moves up to 100 descriptors, not one.

=item *

A passer holds one descriptor open. The original held three.

=item *

A closed handle in the queue is an error of the passer. The original sent C<STDIN> instead.

=item *

A received descriptor numbered 0, a message without a descriptor, an early C<EAGAIN>, too many descriptors in
flight, a callback that dies and a full table while sending do no harm.

=item *

C<fdpasser_accept> returns C<undef> on failure, and C<fdpasser_server> leaves everything but sockets alone.

=back

=head1 SEE ALSO

L<AnyEvent>, L<IO::FDPass>, L<Socket::MsgHdr>, unix(7)

=head1 AUTHORS AND LICENSE

The libfdpasser authors. The interface was designed by Doug Hoyte.

This module is free software; you may use it under the terms of the MIT license or of the Apache License,
version 2.0, at your choice.

=cut

# SPDX-License-Identifier: MIT OR Apache-2.0
# Data that goes with a descriptor. push_send_message sends it and push_recv_message receives it. They share the queues
# with push_send_fh and push_recv_fh.
use strict;
use warnings;
use lib 't/lib';
use Loops;

use Errno  qw(EBADF EBADMSG EMSGSIZE EOPNOTSUPP);
use Socket qw(AF_UNIX SOCK_SEQPACKET SOL_SOCKET SO_SNDBUF PF_UNSPEC);
use Scalar::Util ();
use Test::More;
use Handles;
use Helpers limit => 64;

warm_up();

# Different at every place, so that a shift or a cut shows.
my $TEXT = join '', map { pack 'v', $_ * 31 } 1 .. 2048;

sub text { return substr $TEXT, 0, $_[0] }

# Makes a callback of push_recv_message. It adds "number:data" to the array, with a dash if there is no data.
sub noting {
    my ($log) = @_;
    return sub { push @$log, number_of($_[0]) . ':' . (@_ == 2 ? defined $_[1] ? $_[1] : '-' : 'not two arguments') };
}

# The same for push_recv_fh.
sub noting_fh {
    my ($log) = @_;
    return sub { push @$log, number_of($_[0]) . (@_ == 1 ? '' : ': more than one argument') };
}

# What dies at the push.
{
    my ($x) = raw_pair();
    my $fh = numbered(1);
    my @bad = (
        [ 'a character above 255',  "a\x{100}",    qr/^Wide character in push_send_message at \Q$0\E/ ],
        [ '4097 bytes',             'x' x 4097,    qr/^push_send_message: 4097 bytes of data, .* 4096 at \Q$0\E/ ],
        [ '4097 bytes, in UTF-8',   do { my $s = "\xe9" x 4097; utf8::upgrade($s); $s }, qr/4097 bytes/ ],
    );
    for (@bad) {
        my ($name, $data, $message) = @$_;
        ok !eval { $x->push_send_message($fh, $data); 1 }, "$name: the push dies";
        like $@, $message, '... with the right message';
        is $x->{send_queue}, undef, '... and queues nothing';
    }
    ok !eval { $x->push_recv_message; 1 }, 'a push without a callback dies';
    like $@, qr/^push_recv_message needs a callback at \Q$0\E/, '... with the right message';
    is $x->{recv_queue}, undef, '... and queues nothing';
    is $x->{-messages},   undef, '... and counts nothing';

    my $pair = AnyEvent::FDpasser->new;
    for (qw(push_send_message push_recv_message)) {
        ok !eval { $pair->$_(sub { }, 'data'); 1 }, "$_ dies before an end is chosen";
        like $@, qr/^must call i_am_parent or i_am_child at \Q$0\E/, '... with the right message';
    }
    $x->error('stop') if delete $x->{on_error};
    for (qw(push_send_message push_recv_message)) {
        ok !eval { $x->$_(sub { }, 'data'); 1 }, "$_ dies after an error";
        like $@, qr/^passer object is in error_state: stop at \Q$0\E/, '... with the right message';
    }
}
{
    # No data: the wire is that of push_send_fh, and so is the batching.
    my ($p, $q) = AnyEvent::FDpasser::fdpasser_socketpair();
    my ($x, $y) = (passer($p, undef, max_fds_per_message => 10), passer($q));
    my @log;
    my $i = 0;
    for my $none (undef, '', "\0") { $x->push_send_message(numbered(++$i), $none) }
    $x->push_send_fh(numbered(4));
    $y->push_recv_message(noting(\@log)) for 1 .. 4;
    wait_for { @log == 4 };
    is_deeply \@log, [ map { "$_:-" } 1 .. 4 ], 'undef, an empty string and a NUL are no data';
}
if (sysv()) {
    my ($x, $y) = raw_pair(my $errors = []);
    $x->push_send_fh(numbered(1));
    $x->push_send_message(numbered(2), 'data');
    wait_for { @$errors };
    is $errors->[0] + 0, EOPNOTSUPP, 'STREAMS have no data';
    is raw_state($y), 1, 'what was queued before is sent';
    done_testing;
    exit;
}

# --- both ends are passers -----------------------------------------------------------------------

for my $blocking (0, 1) {
    my ($p, $q) = AnyEvent::FDpasser::fdpasser_socketpair();
    my ($x, $y) = map { passer($_, undef, $blocking ? (dont_set_nonblocking => 1) : ()) } $p, $q;
    my @length = (1, 2, 3, 100, 2047, 2048, 2049, 4095, 4096);
    my (@log, @sent);
    for my $length (@length) {
        $x->push_send_message(numbered($length), text($length), sub { push @sent, [ $length, scalar @_ ] });
        $y->push_recv_message(noting(\@log));
    }
    wait_for { @log == @length && @sent == @length };
    ok $log[$_] eq "$length[$_]:" . text($length[$_]), "$length[$_] bytes arrive" . ($blocking ? ' over a handle in blocking mode' : '')
      for 0 .. $#length;
    is_deeply \@sent, [ map { [ $_, 0 ] } @length ], 'the callbacks of sending run in order, without arguments';
    # There are more than a socket's buffer holds, and more callbacks than messages.
    my $fh = numbered(5);
    (@log, @sent) = ();
    $x->push_send_message($fh, text($_), sub { push @sent, 1 }) for 3797 .. 4096;
    ticks(3);
    cmp_ok scalar @sent, '<', 300, 'a full socket stops sending, and the loop goes on';
    $y->push_recv_message(noting(\@log)) for 1 .. 301;
    wait_for { @log == 300 };
    ticks(1);
    is scalar(grep { $log[$_] ne '5:' . text(3797 + $_) } 0 .. 299), 0, 'all arrive whole and in order, and the loop goes on';
    $y->error('stop') if delete $y->{on_error};
}
{
    my ($x, $y) = passers();
    my $upgraded = "caf\xe9\0";
    utf8::upgrade($upgraded);
    my $object = bless { text => 'overloaded' }, 'Text';
    my @data   = ("\0\0", "\1", "\n", '0', 0, join('', map { chr } 0 .. 255), $upgraded, $object);
    my @got;
    for my $data (@data) {
        $x->push_send_message(numbered(1), $data);
        $y->push_recv_message(sub { push @got, $_[1] });
    }
    $upgraded .= 'changed later';
    wait_for { @got == @data };
    is_deeply \@got, [ "\0\0", "\1", "\n", '0', '0', join('', map { chr } 0 .. 255), "caf\xe9\0", 'overloaded' ],
      'all bytes arrive, whatever the string was flagged as, and as they were at the push';
    is_deeply [ grep { utf8::is_utf8($_) } @got ], [], 'what arrives is bytes';
    is utf8::is_utf8($data[6]), 1, 'the string of the caller keeps its flag';
}
for my $max (1, 2, 7, 253) {
    # Sending and receiving change between the two kinds, in different rhythms.
    my ($p, $q) = AnyEvent::FDpasser::fdpasser_socketpair();
    my ($x, $y) = (passer($p, undef, max_fds_per_message => $max), passer($q));
    my $n = 200;
    my (@log, @sent, @expected);
    my @fh = map { numbered($_) } 0 .. 11;
    for my $i (1 .. $n) {
        my $data = $i % 3 == 0 ? "data of $i" : undef;
        if (defined $data) { $x->push_send_message($fh[ $i % 12 ], $data, sub { push @sent, $i }) }
        else               { $x->push_send_fh($fh[ $i % 12 ], sub { push @sent, $i }) }
        if ($i % 4 < 2) { $y->push_recv_message(noting(\@log)) }
        else            { $y->push_recv_fh(noting_fh(\@log)) }
        push @expected, $i % 12 . ($i % 4 < 2 ? ':' . (defined $data ? $data : '-') : '');
    }
    wait_for { @log == $n && @sent == $n };
    is_deeply \@log, \@expected, "data and none, mixed in both queues, with up to $max in a message";
    is_deeply \@sent, [ 1 .. $n ], '... each callback of sending runs once, in order';
    is $y->{$_}, undef, "... the passer keeps no $_" for qw(-messages -ahead -received recv_queue);
}
SKIP: {
    skip 'Socket::MsgHdr is not installed', 1 if !eval { require Socket::MsgHdr };
    my ($p, $q) = AnyEvent::FDpasser::fdpasser_socketpair();
    my $x = passer($p, undef, max_fds_per_message => 10);
    my $sent = 0;
    for my $i (1 .. 8) {
        if ($i == 4 || $i == 5) { $x->push_send_message(numbered($i), "data $i", sub { $sent++ }) }
        else                    { $x->push_send_fh(numbered($i), sub { $sent++ }) }
    }
    wait_for { $sent == 8 };
    my @message;
    for (1 .. 4) {
        my $message = Socket::MsgHdr->new(buflen => 100, controllen => 1024);
        Socket::MsgHdr::recvmsg($q, $message, 0);
        my (undef, undef, $fds) = $message->cmsghdr;
        push @message, [ $message->buf, map { my $n = number_of($_); POSIX::close($_); $n } unpack 'i*', $fds ];
    }
    is_deeply \@message, [ [ "\0", 1 .. 3 ], [ 'data 4', 4 ], [ 'data 5', 5 ], [ "\0", 6 .. 8 ] ],
      'a descriptor with data has a message of its own';
}
{
    # Handles are what push_send_fh takes.
    my ($x, $y) = passers();
    our $GLOBAL = numbered(3);
    no warnings 'once';
    open NAMED, '<&', numbered(2) or die $!;
    my @log;
    $x->push_send_message(*$GLOBAL, 'glob');
    $x->push_send_message('NAMED', 'name');
    $x->push_send_message(tied_handle(sub { fileno $GLOBAL }), 'tied');
    $y->push_recv_message(noting(\@log)) for 1 .. 3;
    wait_for { @log == 3 };
    is_deeply \@log, [ '3:glob', '2:name', '3:tied' ], 'globs, names and tied handles';
    close NAMED;
}
for my $none (undef, do { my $fh = numbered(9); close $fh; $fh }) {
    my ($x, $y) = raw_pair(my $errors = []);
    my $sent = 0;
    $x->push_send_message(numbered(1), 'data', sub { $sent++ });
    $x->push_send_message($none,       'data', sub { $sent++ });
    $x->push_send_message(numbered(2), 'data', sub { $sent++ });
    wait_for { @$errors };
    is $errors->[0] + 0, EBADF, 'a handle without a descriptor is EBADF, as for push_send_fh';
    is $sent, 1, 'what was queued before it is sent';
    is raw_state($y), 1, 'and arrives';
}
{
    my ($x, $y) = raw_pair(my $errors = []);
    my @sent;
    setsockopt $x->{fh}, SOL_SOCKET, SO_SNDBUF, 1 or die $!;    # the kernel's least
    $x->push_send_message(numbered(1), text(2048), sub { push @sent, 1 });
    $x->push_send_message(numbered(2), text(4096), sub { push @sent, 2 });
    my $p = passer($y, my $peer_errors = []);
    my @log;
    $p->push_recv_message(noting(\@log)) for 1 .. 2;
    wait_for { @$errors && @$peer_errors };
    is $errors->[0] + 0, EMSGSIZE, 'SO_SNDBUF is too small: EMSGSIZE';
    is_deeply \@sent, [1], 'what was queued before it is sent';
    ok @log == 1 && $log[0] eq '1:' . text(2048), 'and arrives';
}
{
    my ($x, $y) = passers();
    my $n = 0;
    my ($again, @log);
    $again = sub {
        push @log, "$_[1]";
        $x->push_send_message($_[0], "round $n"), $y->push_recv_message($again) if ++$n < 5;
    };
    $x->push_send_message(numbered(1), 'begin');
    $y->push_recv_message($again);
    wait_for { @log == 5 };
    is_deeply \@log, [ 'begin', map { "round $_" } 1 .. 4 ], 'a callback pushes';
    undef $again;

    @log = ();
    $x->push_send_message(numbered($_), "data $_") for 1 .. 6;
    $y->push_recv_message(sub {
        push @log, $_[1];
        nested_wait_for { @log == 6 };
    });
    $y->push_recv_message(sub { push @log, $_[1] }) for 2 .. 6;
    wait_for { @log == 6 };
    is_deeply \@log, [ map { "data $_" } 1 .. 6 ], 'a callback runs the loop';
}
{
    my ($x, $y) = passers();
    my $got;
    $x->push_send_message(numbered(1), 'data');
    $y->push_recv_message(sub { $got = 1; $_[0] = $_[1] = 'changed' });
    wait_for { $got };
    $x->push_send_fh(numbered(1));
    $y->push_recv_message(sub { $got = 2; $_[1] = 'changed' });
    wait_for { $got == 2 };
    pass 'a callback may change its arguments';
}
{
    # What is dropped with the passer.
    my $before = open_fds();
    {
        my ($x, $y) = raw_pair([]);
        my $held = { };
        Scalar::Util::weaken(my $weak = $held);
        $x->push_recv_message(sub { my $never = $held });
        $x->push_send_message(numbered(1), 'data', sub { my $never = $held });
        undef $held;
        $x->error('stop');
        is $weak, undef, 'an error drops the queues';
        is $x->{-messages}, undef, 'and the count';
    }
    ticks(2);
    is open_fds(), $before, 'nothing is left open';
}

SKIP: {
    skip 'no /proc/self/statm', 1 if !-r '/proc/self/statm';
    my ($x, $y) = passers();
    my $fh   = numbered(1);
    my $pass = sub {
        my $got = 0;
        for (1 .. 10) {
            $x->push_send_message($fh, text(4096)) for 1, 2;
            $y->push_recv_fh(sub { $got++ });
            $y->push_recv_message(sub { $got++ });
        }
        wait_for { $got == 20 };
    };
    $pass->() for 1 .. 20;
    my $before = resident();
    $pass->() for 1 .. 200;
    cmp_ok resident() - $before, '<', 4 << 20, 'data is freed: 16 MB passed';
}
sub resident {
    open my $fh, '<', '/proc/self/statm' or die $!;
    return (split ' ', readline $fh)[1] * POSIX::sysconf(POSIX::_SC_PAGESIZE());
}

# --- a peer that sends any message ------------------------------------------------------------------

my $none = can_send_messages();
if (defined $none) {
    SKIP: { skip $none, 1 }
    done_testing;
    exit;
}
my $message = sub { my ($bytes, @n) = @_; return sub { send_message($_[0], $bytes, map { numbered($_) } @n) } };
# Runs the loop until the bytes were received.
my $alone = sub { my ($bytes) = @_; return sub { my ($fh, $x) = @_; syswrite $fh, $bytes; wait_for { unread($x->{fh}) == 0 } 'bytes' } };

sub unread {
    my ($fh) = @_;
    return 0 if !$fh;    # the passer has failed
    my $count = recv $fh, my $peeked = '', 1, Socket::MSG_PEEK() | Socket::MSG_DONTWAIT();
    return defined $count ? length $peeked : 0;
}

# The messages come while the callbacks wait: 'm' is push_recv_message, and 'f' is push_recv_fh.
sub arrives {
    my ($name, $callbacks, $expected, $errno, @message) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $before = open_fds();
    my @log;
    {
        my ($x, $y) = raw_pair(my $errors = []);
        $_ eq 'm' ? $x->push_recv_message(noting(\@log)) : $x->push_recv_fh(noting_fh(\@log)) for split //, $callbacks;
        $_->($y, $x) for @message;
        if (defined $errno) { wait_for { @$errors } $name; is +($errors->[0] || 0) + 0, $errno, "$name: the error" }
        else                { wait_for { @log == @$expected } $name; ticks(1); is_deeply $errors, [], "$name: no error" }
        is_deeply \@log, $expected, "$name: what arrives";
        $x->error('end');
    }
    ticks(2);
    is open_fds(), $before, "$name: nothing is left open";
}

my $end = sub { shutdown $_[0], 1 };

arrives('hello', 'm', ['1:hello'], undef, $message->('hello', 1));
arrives('a byte that is not NUL', 'm', ["1:\1"], undef, $message->("\1", 1));
arrives('a NUL', 'm', ['1:-'], undef, $message->("\0", 1));
arrives('several descriptors', 'mmmm', [ '1:hello', '2:-', '3:-', '4:next' ], undef, $message->('hello', 1 .. 3), $message->('next', 4));
arrives('several, and the first is for push_recv_fh', 'fmm', [ 1, '2:-', '3:next' ], undef, $message->('hello', 1, 2), $message->('next', 3));
arrives('several, between the two kinds', 'mfmfm', [ '1:hello', 2, '3:-', 4, '5:-' ], undef, $message->('hello', 1 .. 3), $message->('lost', 4, 5));
arrives('push_recv_fh drops it', 'ffm', [ 1, 2, '3:three' ], undef, map { $message->((qw(zero one two three))[$_], $_) } 1 .. 3);
arrives('only push_recv_fh', 'ff', [ 1, 2 ], undef, $message->('hello', 1), $message->('hello', 2));
arrives('the longest', 'm', [ '1:' . text(4096) ], undef, $message->(text(4096), 1));
arrives('one too long', 'mm', ['1:good'], EMSGSIZE, $message->('good', 1), $message->(text(4096) . 'x', 2));
arrives('bytes ahead', 'mm', [ '1:one two three', '2:-' ], undef, $alone->('one '), $alone->('two '), $message->('three', 1), $message->("\0", 2));
arrives('bytes ahead of a message without data', 'mm', [ '1:one ', '2:two' ], undef, $alone->('one '), $message->("\0", 1), $message->('two', 2));
arrives('a NUL ahead of a message without data', 'm', ['1:-'], undef, $alone->("\0"), $message->("\0", 1));
arrives('bytes ahead, for push_recv_fh', 'fm', [ 1, '2:two' ], undef, $alone->('one '), $message->('lost', 1), $message->('two', 2));
arrives('bytes ahead, 4096 together', 'm', [ '1:' . text(4096) ], undef, $alone->(text(4000)), $message->(substr(text(4096), 4000), 1));
arrives('bytes ahead, 4097 together', 'm', [], EMSGSIZE, $alone->(text(4000)), $message->('x' x 97, 1, 2));
arrives('bytes ahead, 4097 of them', 'm', [], EMSGSIZE, $alone->(text(4096)), sub { syswrite $_[0], 'x' });
arrives('bytes ahead of the end', 'mm', ['1:good'], EBADMSG, $message->('good', 1), $alone->('x'), $end);
arrives('bytes ahead, only push_recv_fh', 'ff', [1], EBADMSG, $message->('good', 1), sub { wait_for { !unread($_[1]{fh}) }; syswrite $_[0], 'x' });
arrives('the end', 'mm', ['1:good'], 0, $message->('good', 1), $end);

{
    my ($x, $y) = raw_pair();
    send_message($y, 'of three', map { numbered($_) } 1 .. 3);
    send_message($y, 'of one', numbered(4));
    my @log;
    $x->push_recv_message(noting(\@log));
    wait_for { @log == 1 };
    ticks(2);
    $x->push_recv_message(noting(\@log)) for 1 .. 3;
    wait_for { @log == 4 };
    is_deeply \@log, [ '1:of three', '2:-', '3:-', '4:of one' ], 'a surplus waits for further callbacks';
}
{
    my ($x, $y) = raw_pair();
    my @log;
    $x->push_recv_fh(sub { noting_fh(\@log)->(@_); $x->push_recv_message(noting(\@log)) });
    send_message($y, $_, numbered($_)) for 1 .. 2;
    wait_for { @log == 2 };
    is_deeply \@log, [ 1, '2:2' ], 'data that waits in the socket is kept for a push_recv_message that comes before it is taken';
}
{
    socketpair my $p, my $q, AF_UNIX, SOCK_SEQPACKET, PF_UNSPEC or die $!;
    my $x = passer($p);
    my @log;
    $x->push_recv_message(noting(\@log)) for 1 .. 3;
    send_message($q, 'packet', numbered(1));
    send_message($q, text(4096), numbered(2), numbered(3));
    wait_for { @log == 3 };
    is_deeply \@log, [ '1:packet', '2:' . text(4096), '3:-' ], 'SOCK_SEQPACKET';
}
SKIP: {
    # Bytes of different processes are read one by one if the receiver wants to know who sent them. An event takes 48, so
    # that other watchers get their turn.
    my $passcred = eval { Socket::SO_PASSCRED() } || ($^O eq 'linux' ? 16 : undef);
    skip 'no SO_PASSCRED here', 2 if !defined $passcred;
    my ($x, $y) = raw_pair();
    setsockopt $x->{fh}, SOL_SOCKET, $passcred, 1 or die "SO_PASSCRED: $!";
    my (@log, $events);
    my $counting = stand_in(recv => sub { my ($real) = @_; $events++; return $real->() });
    my @byte = split //, text(100);
    while (my ($ours, $of_child) = splice @byte, 0, 2) {
        syswrite $y, $ours;
        child_verdict(in_child { syswrite $y, $of_child }) eq 'good' or die 'the child failed';
    }
    send_message($y, "\0", numbered(4));
    $x->push_recv_message(noting(\@log));
    wait_for { @log == 1 };
    ok $log[0] eq '4:' . text(100), 'many bytes ahead, which are read one by one';
    cmp_ok $events, '>=', 3, 'one event does not take them all';
}
{
    # The table is full. The data waits as the descriptors do.
    my ($x, $y) = raw_pair();
    my @log;
    my $received = 0;
    my $counting = stand_in(recv => sub { my ($real) = @_; $received++; return $real->() });
    send_message($y, text(4096), map { numbered($_) } 1 .. 3);
    send_message($y, 'second', numbered(4));
    ticks(2);
    my $full = fill_table();
    $x->push_recv_message(noting(\@log)) for 1 .. 4;
    my $calls = calls_per_pause(\$received);
    is_deeply \@log, [], 'nothing is received while the table is full';
    cmp_ok $calls, '<', 2, 'it pauses';
    splice @$full, 0, 2;
    ticks(12);
    is_deeply \@log, [], 'a message of three waits as a whole while there are two slots';
    undef $full;
    wait_for { @log == 4 };
    is_deeply \@log, [ '1:' . text(4096), '2:-', '3:-', '4:second' ], 'data and descriptors are intact';
}

package Text;
use overload '""' => sub { $_[0]{text} }, fallback => 1;

package main;
done_testing;

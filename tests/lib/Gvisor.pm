# The C programs under gVisor, a kernel of its own behind Linux's system calls. Many containers run on it.
#
# SPDX-License-Identifier: MIT OR Apache-2.0
package Gvisor;
use strict;
use warnings;

use Portability qw(c_tests host not_installed quiet_anew report run_c_tests);

# Programs that depend on what gVisor does not do, or does in another way than Linux.
use constant ENDLESS => 'a socket is never full: gVisor takes descriptors without a limit';
use constant CUT => 'a message that meets a nearly full socket is cut: the send reports it, and the receiver gets a part';
my %left_out = (
    accept_shut_down => 'a listener cannot be shut down: ENOTCONN',
    accept_lost      => 'accept(2) takes the connection before it says EMFILE, so a table that fills meanwhile loses it',
    cancel           => ENDLESS,
    deadline_send    => ENDLESS,
    destroyed        => 'a descriptor that is lost in a race with another thread is not reported: no MSG_CTRUNC',
    interrupted      => ENDLESS,
    is               => 'a socket does not tell that it listens (SO_ACCEPTCONN)',
    nonblocking      => ENDLESS,
    notify           => 'connecting a datagram socket to a stream is ECONNREFUSED, not EPROTOTYPE',
    queue_bounded    => ENDLESS,
    message_full_table    => 'MSG_PEEK does not look past bytes without descriptors, so a message behind them is not proven',
    message_ledger        => CUT,
    message_many          => CUT,
    message_packets       => 'an empty packet never arrives',
    message_senders       => CUT,
    message_two_receivers => CUT,
    message_waits         => CUT,
    packets          => 'an empty packet never arrives',
    packets_sandbox  => 'an empty packet never arrives',
    queue_packets    => 'an empty packet never arrives',
    datagram_shut_down => 'an empty packet never arrives',
    peer_cred        => 'SO_PEERCRED names the process that asks, not its peer',
    queue_arguments  => 'receiving on an unconnected stream socket is ENOTCONN, not EINVAL',
    recv_control     => 'with SO_PASSCRED a message of several is EMFILE until there is a slot more than it needs',
    recv_out_of_band => 'sending out-of-band data is EINVAL, not EOPNOTSUPP',
    recv_reset       => 'ECONNRESET comes with every call, and the end of file never',
    queue_message_bounded => 'the memory of a process does not grow as on Linux',
    roomy_table      => 'select(2) says EBADF of every closed number, so each message is peeked at',
    sandbox          => 'each system call passes through the filter, which is too slow for the deadline',
    send_half_closed => ENDLESS,
    server_refuses   => 'bind(2) to "/" is EISDIR, not EADDRINUSE',
    server_probe     => 'connecting a datagram socket does not show that a server lives, so a connection has to be tried',
    socket_options   => 'setsockopt(2) succeeds for options that gVisor does not have, such as SO_PASSRIGHTS',
    stack            => 'open(2) creates a file before it says EMFILE, so a lock file is left',
    timed_connect    => 'connecting to a datagram socket is ECONNREFUSED, not EPROTOTYPE',
    timed_send       => ENDLESS,
    sockets          => 'a descriptor of O_PATH is no socket (ENOTSOCK) rather than no descriptor (EBADF)',
);

sub names  { return 'gvisor' }
sub target { return host() . '-unknown-linux-gnu' }

my $runsc = 'runsc --network=none --ignore-cgroups do --force-overlay';
my $slow  = 'env FDPASSER_SLOW_CALLS=1';    # check.h then makes fewer system calls

# If no program can run here: why.
sub unavailable {
    my (undef, $name) = @_;
    return 'runsc is not installed' if not_installed('runsc');
    return 'only root can start runsc' if $> != 0;
    return if quiet_anew($name, "$runsc /bin/true");
    return "runsc cannot run a program; target/portability/$name.log says why";
}

# Runs the programs with these names. Without a name: all but those that are left out.
sub run {
    my (undef, $name, $lib, @names) = @_;
    my ($version) = `runsc --version` =~ /version (?:release-)?(\S+)/;
    run_c_tests(
        $name,
        target => "$name-linux-static",    # tests/c.t looks for the "linux"
        lib    => $lib,
        run    => "$runsc $slow",
        names  => \@names,
        @names ? () : (skip => \%left_out),
    );
    return report($name, "runsc $version", c_tests($name), $name);
}

1;

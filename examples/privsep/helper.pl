#!/usr/bin/env perl

# Opens files for a process that may not open them itself. The helper runs with more rights, usually as root.
# It has one directory, and gives descriptors of the files in it, for reading, to one user's processes.
#
# Usage: helper.pl DIRECTORY NODE USER
#
# USER is a name or a number. Nobody else should be able to write to DIRECTORY or to the directory of NODE.
# SIGTERM and SIGINT end the helper: it removes NODE, finishes the requests that have begun, and exits
# with 0. A second signal ends it at once.
#
# helper.c is the same program in C, and says what client and helper send each other. client.c and client.pl
# make requests.
#
# SPDX-License-Identifier: MIT OR Apache-2.0

use strict;
use warnings;

use AnyEvent;
use AnyEvent::FDpasser;
use AnyEvent::Util ();
use Fcntl;
use File::Spec;

use constant {
    MAX_CLIENTS => 64,     # further ones wait in the listener
    MAX_NAME    => 255,
    REQUEST     => 5,      # seconds
    PAUSE       => 0.1,    # seconds, after an accept that failed for another reason than EAGAIN
};

@ARGV == 3 or die "usage: $0 DIRECTORY NODE USER\n";
my ($directory, $path, $name) = @ARGV;
my $user = $name =~ /\A[0-9]+\z/ ? $name : getpwnam $name;
defined $user or die "there is no user $name\n";

$path = File::Spec->rel2abs($path);
chdir $directory or die "$directory: $!\n";

my (%client, $accepting, $stopping);
my $accept_error = '';    # already logged; empty after an accept that succeeded
my $end          = AE::cv;

my %watch;    # a second signal ends us at once
for my $signal (qw(INT TERM)) {
    $watch{$signal} = AE::signal $signal, sub {
        %watch    = ();
        $stopping = 1;
        undef $accepting;
        $end->send if !%client;
    };
}

# Everybody may connect, whatever our umask.
my $listener = AnyEvent::FDpasser::fdpasser_server($path, 0, mode => 0666);
AnyEvent::Util::fh_nonblocking($listener, 1);

sub accept_clients {
    $accepting = AE::io $listener, 0, sub {
        if (my $fh = AnyEvent::FDpasser::fdpasser_accept($listener)) {
            $accept_error = '';
            welcome($fh);
            return;
        }
        return if $!{EAGAIN} || $!{EWOULDBLOCK} || $!{EINTR};

        # When the descriptor table is full, the listener stays ready. So it is left alone for a while. The
        # log gets one line, not one for each try.
        warn "accept: $!\n" if $accept_error ne "$!";
        $accept_error = "$!";
        $accepting    = AE::timer PAUSE, 0, \&accept_clients;
    };
}

# The passer sends the answer. It receives nothing, so that we can read the name ourselves.
sub welcome {
    my ($fh) = @_;
    my $c = { fh => $fh, name => '' };
    $c->{passer} = AnyEvent::FDpasser->new(fh => $fh, on_error => sub { drop($c, $@) });

    # Everybody can connect. The kernel knows who it is.
    my ($uid, undef, $pid) = $c->{passer}->peer_cred;
    if (!defined $uid || $uid != $user) {
        warn defined $uid ? "refused user $uid, process " . ($pid // 'unknown') . "\n" : "dropped a client: $!\n";
        %$c = ();    # closes
        return;
    }
    $client{$c} = $c;
    $c->{io}    = AE::io $fh, 0, sub { read_name($c) };
    $c->{timer} = AE::timer REQUEST, 0, sub { drop($c, 'no request within its time') };
    undef $accepting if keys %client == MAX_CLIENTS;
}

# With the reason, unless the request was answered.
sub drop {
    my ($c, $reason) = @_;
    delete $client{$c} or return;
    %$c = ();    # closes
    warn "dropped a client: $reason\n" if defined $reason;
    if ($stopping) {
        $end->send if !%client;
        return;
    }
    accept_clients() if keys %client == MAX_CLIENTS - 1;
}

sub read_name {
    my ($c) = @_;
    my $n = sysread $c->{fh}, $c->{name}, MAX_NAME + 1, length $c->{name};
    if (!defined $n) {
        drop($c, "$!") if !$!{EAGAIN} && !$!{EWOULDBLOCK} && !$!{EINTR};
        return;
    }
    return drop($c, 'the name is too long') if length $c->{name} > MAX_NAME;
    return if $n;

    delete $c->{io};
    my $file = open_file($c->{name}) or return drop($c);
    $c->{passer}->push_send_fh($file, sub { drop($c) });
}

# Opens a plain file in the directory itself. Undef if the client may not have it.
sub open_file {
    my ($name) = @_;
    return if !length $name || $name =~ m{[/\0]};

    # O_NONBLOCK: to open a FIFO, for instance, must not make us wait.
    sysopen my $file, $name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY or return;
    return if !-f $file;
    AnyEvent::Util::fh_nonblocking($file, 0);    # the client shares the flags with us, and gets a file without any
    return $file;
}

accept_clients();
$| = 1;
print "ready\n";
$end->recv;

# It may be another helper's node by now, which is left alone.
AnyEvent::FDpasser::fdpasser_unlink($listener);

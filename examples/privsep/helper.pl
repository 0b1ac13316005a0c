#!/usr/bin/env perl

# Opens files for a process that may not. It runs with more rights, usually as root, has one directory,
# and gives descriptors of the files in it, for reading, to the processes of one user.
#
# Usage: helper.pl DIRECTORY NODE USER
#
# USER is a name or a number. Nobody else should be able to write to DIRECTORY, or to where NODE is.
# helper.c is the same in C and says what goes over the wire; client.c and client.pl ask.
#
# SPDX-License-Identifier: MIT OR Apache-2.0

use strict;
use warnings;

use AnyEvent;
use AnyEvent::FDpasser;
use AnyEvent::Util ();
use Fcntl;

use constant {
    MAX_CLIENTS => 64,     # with so many, further ones wait in the listener
    MAX_NAME    => 255,
    REQUEST     => 5,      # seconds
    PAUSE       => 0.1,    # a full descriptor table leaves the listener ready
};

@ARGV == 3 or die "usage: $0 DIRECTORY NODE USER\n";
my ($directory, $path, $name) = @ARGV;
my $user = $name =~ /\A[0-9]+\z/ ? $name : getpwnam $name;
defined $user or die "there is no user $name\n";

# The mode lets everybody connect, whatever our umask.
my $listener = AnyEvent::FDpasser::fdpasser_server($path, 0, mode => 0666);
AnyEvent::Util::fh_nonblocking($listener, 1);
chdir $directory or die "$directory: $!\n";

my (%client, $accepting);

sub accept_clients {
    $accepting = AE::io $listener, 0, sub {
        if (my $fh = AnyEvent::FDpasser::fdpasser_accept($listener)) { welcome($fh) }
        elsif ($!{EMFILE} || $!{ENFILE} || $!{ENOBUFS} || $!{ENOMEM}) {
            $accepting = AE::timer PAUSE, 0, \&accept_clients;
        }
    };
}

# The passer is for what we send. It reads nothing, so that we can read the name ourselves.
sub welcome {
    my ($fh) = @_;
    my $c = { fh => $fh, name => '' };
    $c->{passer} = AnyEvent::FDpasser->new(fh => $fh, on_error => sub { drop($c) });

    # Everybody can connect. Who it is, the kernel knows.
    my ($uid) = $c->{passer}->peer_cred;
    return %$c = () if !defined $uid || $uid != $user;

    $client{$c} = $c;
    $c->{io}    = AE::io $fh, 0, sub { read_name($c) };
    $c->{timer} = AE::timer REQUEST, 0, sub { drop($c) };
    undef $accepting if keys %client == MAX_CLIENTS;
}

sub drop {
    my ($c) = @_;
    delete $client{$c} or return;
    %$c = ();    # closes
    accept_clients() if keys %client == MAX_CLIENTS - 1;
}

sub read_name {
    my ($c) = @_;
    my $n = sysread $c->{fh}, $c->{name}, MAX_NAME + 1, length $c->{name};
    if (!defined $n) {
        drop($c) if !$!{EAGAIN} && !$!{EWOULDBLOCK} && !$!{EINTR};
        return;
    }
    return drop($c) if length $c->{name} > MAX_NAME;
    return if $n;

    delete $c->{io};
    my $file = open_file($c->{name}) or return drop($c);
    $c->{passer}->push_send_fh($file, sub { drop($c) });
}

# Opens a plain file that is in the directory itself. Undef: it is not for the client.
sub open_file {
    my ($name) = @_;
    return if !length $name || $name =~ m{[/\0]};

    # What is not a plain file, a FIFO for instance, must not keep us waiting.
    sysopen my $file, $name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY or return;
    return if !-f $file;
    AnyEvent::Util::fh_nonblocking($file, 0);    # the client shares the flags: it has an ordinary file
    return $file;
}

accept_clients();
$| = 1;
print "ready\n";
AE::cv->recv;

# The record of what programs rely on: every function, constant and type of the header, with the version that it came
# with. There is a file in tests/abi/ for each soname.
#
#   my $record = Abi->recorded('0.1.0');            what was recorded for the soname of this version
#   my $now    = Abi->declared($header, '0.1.0');   what a Header declares
#   my $older  = Abi->before('0.1.0');              what was recorded for the soname before it
#   $record->since('send_fd')                       the version that it came with
#   $record->broken_by($now)                        what was changed or removed, a line for each
#   $record->added_by($now)                         the names that are new
#   $record->with($now)                             a record that has them too
#
# SPDX-License-Identifier: MIT OR Apache-2.0
package Abi;

use strict;
use warnings;

use Files qw($root slurp);

# As build.rs has it: while the major version is 0, the minor one is part of the soname.
sub soname_of {
    my ($version) = @_;
    my ($major, $minor) = split /\./, $version;
    return $major == 0 ? "0.$minor" : $major;
}

sub file { my ($version) = @_; return "$root/tests/abi/" . soname_of($version) }

# Empty if this soname has none yet.
sub recorded {
    my ($class, $version) = @_;
    my $file = file($version);
    return $class->parse(-e $file ? slurp($file) : '');
}

# The record of the newest soname before this one, to know when its names came.
sub before {
    my ($class, $version) = @_;
    my $order = sub { my ($major, $minor) = split /\./, $_[0]; sprintf '%05d.%05d', $major, $minor // 0 };
    my ($newest) = grep { $order->($_) lt $order->(soname_of($version)) }
      sort { $order->($b) cmp $order->($a) } map { m{([\d.]+)\z} } glob "$root/tests/abi/*";
    return $class->parse(defined $newest ? slurp("$root/tests/abi/$newest") : '');
}

sub parse {
    my ($class, $text) = @_;
    my %entry;
    for my $line (grep { !/^(?:#|$)/ } split /\n/, $text) {
        my ($since, $kind, $name, $what) = $line =~ /\A(\S+) (function|constant|type) (\w+): (.*)\z/
          or die "tests/abi: what is this? $line\n";
        $entry{$name} = { since => $since, kind => $kind, what => $what };
    }
    return bless \%entry, $class;
}

# Names of parameters and fields are no part of it. Nor is the version, which each release changes.
sub declared {
    my ($class, $header, $version) = @_;
    my %entry;
    my $add = sub { my ($kind, $name, $what) = @_; $entry{$name} = { since => $version, kind => $kind, what => $what } };
    for (@{ $header->{functions} }) {
        my $parameters = join(', ', map { $_->{type} } @{ $_->{parameters} }) || 'void';
        $add->('function', $_->{name}, "$_->{returns} ($parameters)");
    }
    $add->('constant', $_->{name}, $_->{value}) for grep { $_->{name} !~ /^FDPASSER_VERSION/ } @{ $header->{constants} };
    for (@{ $header->{types} }) {
        my $fields = join '; ', map { "$_->{type} $_->{name}" } @{ $_->{fields} };
        $add->('type', $_->{name}, $fields ne '' ? "{ $fields }" : 'opaque');
    }
    return bless \%entry, $class;
}

sub since { my ($self, $name) = @_; return $self->{$name} && $self->{$name}{since} }

sub broken_by {
    my ($self, $now) = @_;
    my @broken;
    for my $name (sort keys %$self) {
        my ($old, $new) = map { $_->{$name} && "$_->{$name}{kind} $_->{$name}{what}" } $self, $now;
        if    (!defined $new) { push @broken, "$name was removed" }
        elsif ($old ne $new)  { push @broken, "$name was $old, and is $new" }
    }
    return @broken;
}

sub added_by {
    my ($self, $now) = @_;
    return grep { !$self->{$_} } sort keys %$now;
}

sub with {
    my ($self, $now) = @_;
    return bless { %$now, %$self }, ref $self;
}

sub text {
    my ($self) = @_;
    return join '', map { "$self->{$_}{since} $self->{$_}{kind} $_: $self->{$_}{what}\n" } sort keys %$self;
}

1;

#!/usr/bin/perl
# examples/ffi/php in php-fpm: preloaded, so that a page receives descriptors with data while FFI is closed to all other
# files. (tests/interop/matrix runs the program for the command line.)
#
# SPDX-License-Identifier: MIT OR Apache-2.0
use strict;
use warnings;

use FindBin;
use Test::More;

use lib "$FindBin::Bin/../lib";
use CPrograms qw(library);
use Examples;
use Files     qw($root spew);
use Processes qw(installed succeeds);
use Skips     qw(loudly);

my ($fpm) = grep { installed($_) } 'php-fpm', reverse sort glob '/usr/sbin/php-fpm*';
plan skip_all => loudly('php-fpm is not installed') if !$fpm;
plan skip_all => loudly('php-cli with FFI is not installed') if !succeeds('php', '-r', 'exit((int)!class_exists("FFI"));');
plan skip_all => loudly('this php-fpm has no FFI or no opcache')
  if !succeeds('sh', '-c', '"$1" -m | grep -qx FFI && "$1" -m | grep -q OPcache', 'sh', $fpm);

local $ENV{FDPASSER_LIBRARY} = library('so');
local $ENV{FDPASSER_CDEF}    = "$root/include/fdpasser.cdef";
my $example = "$root/examples/ffi/php";

my ($header, $status) = run([ 'php', "$example/header.php" ]);
is($status, 0, 'header.php') or BAIL_OUT($header);
spew("$dir/fdpasser.h", $header);

# Who gives files away: a server in Perl that sends two, with their names as data.
spew("$dir/one", "the first\n");
spew("$dir/two", "the second\n");
spew("$dir/give.pl", <<'PERL');
use strict;
use warnings;
use AnyEvent;
use AnyEvent::FDpasser;

my ($node, @files) = @ARGV;
$| = 1;
my $listener = AnyEvent::FDpasser::fdpasser_server($node) or die "$node: $!\n";
print "ready\n";
my %passers;
my $watcher = AE::io $listener, 0, sub {
    my $fh = AnyEvent::FDpasser::fdpasser_accept($listener) or die "accept: $!\n";
    my $passer = AnyEvent::FDpasser->new(fh => $fh);
    $passers{$passer} = $passer;
    for my $file (@files) {
        open my $in, '<', $file or die "$file: $!\n";
        my ($name) = $file =~ m{(\w+)\z};
        $passer->push_send_message($in, $name, sub { delete $passers{$passer} if $file eq $files[-1] });
    }
};
AE::cv->recv;
PERL

spew("$dir/fpm.conf", <<"CONF");
[global]
error_log = $dir/fpm.log
[www]
listen = $dir/fpm.sock
pm = static
pm.max_children = 1
CONF

part 'a page gets descriptors from a server in Perl' => sub {
    my $giver = start(perl("$dir/give.pl"), "$dir/node", "$dir/one", "$dir/two");
    said($giver, qr/^ready$/);
    my $server = fpm("$dir/fpm.conf");
    for my $time (1, 2) {
        is(page("$example/page.php", "$dir/node"), "one: the first\ntwo: the second\n", "with their data, time $time");
    }
    stop($giver);
    unlink "$dir/node";
    like(page("$example/page.php", "$dir/node"), qr/^\Q$dir\E\/node: No such file or directory$/, 'and an error if there is no server');
    stop($server, 'TERM');
};

part 'FFI is closed to other files' => sub {
    my $server = fpm("$dir/fpm.conf");
    my $other  = spew("$dir/other.php", '<?php try { FFI::cdef("int getpid(void);"); echo "open"; } catch (Throwable $e) { echo get_class($e); }');
    is(page($other, ''), 'FFI\Exception', 'as php.ini has it');
    stop($server, 'TERM');
};

done_testing;

sub fpm {
    my ($conf) = @_;
    unlink "$dir/fpm.sock";
    my @root    = $> == 0 ? '-R' : ();
    my @preload = map { ('-d', $_) } "ffi.preload=$dir/fdpasser.h", 'opcache.enable=1', "opcache.preload=$example/Fdpasser.php",
      $> == 0 ? 'opcache.preload_user=root' : ();
    my $server  = start([ $fpm, @root, '-F', '-O', '-y', $conf, @preload ]);
    said($server, qr/ready to handle connections/);
    return $server;
}

# Asks php-fpm for a page, by FastCGI, and returns its text.
sub page {
    my ($script, $node) = @_;
    my $fpm    = local_socket("$dir/fpm.sock");
    my %params = (REQUEST_METHOD => 'GET', SCRIPT_FILENAME => $script, SERVER_PROTOCOL => 'HTTP/1.1', FDPASSER_NODE => $node);
    my $size   = sub { return pack 'N', length($_[0]) | 1 << 31 };
    my $params = join '', map { $size->($_) . $size->($params{$_}) . $_ . $params{$_} } sort keys %params;
    my $record = sub { my ($type, $content) = @_; return pack('CCnnCC', 1, $type, 1, length $content, 0, 0) . $content };
    print {$fpm} $record->(1, pack 'nCx5', 1, 0), $record->(4, $params), $record->(4, ''), $record->(5, '');
    $fpm->flush;
    my ($text, $header) = ('');
    while (read $fpm, $header, 8) {
        my (undef, $type, undef, $length, $padding) = unpack 'CCnnC', $header;
        my $content = '';
        read $fpm, $content, $length + $padding if $length + $padding;
        $text .= substr $content, 0, $length if $type == 6 || $type == 7;
        last if $type == 3;
    }
    return $text =~ s/\A.*?\r\n\r\n//sr;
}

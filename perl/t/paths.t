# SPDX-License-Identifier: MIT OR Apache-2.0
# A path is a string of bytes, as for Perl's own bind and connect.
use strict;
use warnings;

use Test::More;
use lib 't/lib';
use Helpers;

my $dir   = temp_dir();
my $bytes = "$dir/caf\xe9";
my $flagged = $bytes;
utf8::upgrade($flagged);

for ([ 'unflagged', $bytes, $flagged ], [ 'flagged as UTF-8', $flagged, $bytes ]) {
    my ($name, $here, $there) = @$_;
    for my $option ([], [ 5, mode => 0600 ]) {
        my $listener = AnyEvent::FDpasser::fdpasser_server($here, @$option);
        is_deeply entries($dir), ["caf\xe9"], "the node has the same name if the path is $name";
        ok eval { AnyEvent::FDpasser::fdpasser_connect($there) }, 'a client connects by the other string' or diag $@;
        ok AnyEvent::FDpasser::fdpasser_unlink($listener), 'fdpasser_unlink finds the node' if @$option;
        unlink $bytes;
    }
}

my $wide = "$dir/\x{263a}";
for my $function (qw(fdpasser_server fdpasser_connect fdpasser_connect_cb)) {
    no strict 'refs';
    ok !eval { &{"AnyEvent::FDpasser::$function"}($wide, sub { }); 1 }, "$function dies if the path has a wide character";
    like $@, qr/^Wide character in $function at \Q$0\E line/, 'with the right message';
}
is_deeply entries($dir), [], 'nothing is left behind';

# --- taint mode: another process, because it has to be on from the start
my $object = "bless([\$ARGV[0]], 'Path')";
for (
    [ 'fdpasser_server',     '-T', qr/^died: Insecure dependency in fdpasser_server while running with -T switch at -e/ ],
    [ 'fdpasser_connect',    '-T', qr/^died: Insecure dependency in fdpasser_connect while running with -T switch at -e/ ],
    [ 'fdpasser_connect_cb', '-T', qr/^died: Insecure dependency in fdpasser_connect_cb while running with -T switch at -e/ ],
    [ 'fdpasser_server',     '',   qr/^done/ ],
    [ 'fdpasser_server',     '-T', qr/^died: Insecure dependency in fdpasser_server while running with -T switch at -e/, $object ],
    [ 'fdpasser_server',     '',   qr/^done/, $object ],
  )
{
    my ($function, $switch, $expected, $path) = @$_;
    $path ||= '$ARGV[0]';
    my @inc = map { "-I$_" } grep { !ref } @INC;
    my $program = "package Path; use overload '\"\"' => sub { \$_[0][0] }; package main; use AnyEvent::FDpasser;"
      . "print eval { AnyEvent::FDpasser::$function($path, sub { }); 1 } ? 'done' : \"died: \$\@\"";
    open my $out, '-|', $^X, ($switch ? $switch : ()), @inc, '-e', $program, "$dir/tainted" or die "perl: $!";
    like do { local $/; <$out> }, $expected, "$function with a tainted path" . ($path eq $object ? ' in an object' : '') . ($switch ? " under $switch" : ', not in taint mode');
    close $out;
    unlink "$dir/tainted";
}

done_testing;

#!/usr/bin/perl
# include/fdpasser.cdef is what scripts/cdef makes of the header. LuaJIT's ffi, Python's cffi and PHP's FFI read it as it
# is, find each function in the library, and pass a descriptor with it.
#
# SPDX-License-Identifier: MIT OR Apache-2.0
use strict;
use warnings;

use File::Temp qw(tempdir);
use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use CPrograms qw(cc library);
use Files     qw($root slurp spew);
use Header;
use Processes qw(run succeeds works);
use Skips     qw(loudly);

chdir $root or die "chdir: $!";
my $cdef    = "$root/include/fdpasser.cdef";
my $text    = slurp($cdef);
my $header  = Header->read('include/fdpasser.h');
my $library = library('so');
my $dir     = tempdir(CLEANUP => 1);

my @functions = map { $_->{name} } grep { !$_->{guard} } @{ $header->{functions} };
my %constants = map { $_->{name} => $_->{value} } @{ $header->{constants} };

is($text, (run($^X, 'scripts/cdef', 'include/fdpasser.h'))[0], 'the committed file is up to date (else: make header)');
unlike($text, qr/^\s*#/m, 'it has no preprocessor line');

# The types are those of C: its compiler takes the header and this file together.
spew("$dir/both.c", qq{#define FDPASSER_NO_SHORT_NAMES\n#include "fdpasser.h"\n} . declarations() . "int main(void) { return 0; }\n");
works('a C compiler finds nothing that contradicts the header', cc(), qw(-std=c11 -Wall -Wextra -Werror -fsyntax-only),
    "-I$root/include", "$dir/both.c");

# What defines an enum or a struct cannot be there twice.
sub declarations {
    return $text =~ s/^enum \{.*?^\};$//msr =~ s/^typedef struct \{.*?^\} fdpasser_node;$//msr;
}

my @python = grep { succeeds($_, '-c', 'import cffi') } glob("$root/target/python/*/bin/python"), 'python3';

reads('LuaJIT', 'luajit is not installed', ['luajit'], <<"END");
local ffi = require("ffi")
ffi.cdef(io.open("$cdef"):read("*a"))
ffi.cdef("int close(int fd);")
local lib = ffi.load("$library")
for _, name in ipairs { @{[ join ', ', map { qq{"$_"} } @functions ]} } do
    assert(lib[name], name)
end
@{[ join "\n", map { "assert(lib.$_ == $constants{$_})" } sort keys %constants ]}
local ends, uid, pid = ffi.new("int[2]"), ffi.new("uid_t[1]"), ffi.new("pid_t[1]")
local data, len, fds = ffi.new("char[4096]"), ffi.new("size_t[1]"), ffi.new("int[1]")
assert(lib.fdpasser_socketpair(ends) == 0)
assert(lib.fdpasser_peer_cred(ends[0], uid, nil, pid) == 0 and uid[0] == $> and pid[0] > 1)
fds[0] = 1
assert(lib.fdpasser_send_message(ends[0], fds, 1, "hello", 5) == 1)
assert(lib.fdpasser_recv_message(ends[1], fds, 1, data, 4096, len) == 1)
assert(fds[0] > 2 and ffi.string(data, len[0]) == "hello")
local node = ffi.new("fdpasser_node")
assert(lib.fdpasser_server_with("$dir/lua", #"$dir/lua", 0, tonumber("600", 8), 0, node) > 2 and node.inode ~= 0)
local queue = lib.fdpasser_new(ends[0])
assert(queue ~= nil and lib.fdpasser_timeout_ms(queue) == -1)
lib.fdpasser_free(queue)
print("passed")
END

reads('cffi', 'python3-cffi is not installed', @python ? [ $python[0] ] : undef, <<"END");
import cffi
ffi = cffi.FFI()
ffi.cdef(open("$cdef").read())
lib = ffi.dlopen("$library")
for name in "@functions".split():
    assert getattr(lib, name), name
@{[ join "\n", map { "assert lib.$_ == $constants{$_}" } sort keys %constants ]}
ends, uid, pid = ffi.new("int[2]"), ffi.new("uid_t *"), ffi.new("pid_t *")
data, size, fds = ffi.new("char[4096]"), ffi.new("size_t *"), ffi.new("int[1]")
assert lib.fdpasser_socketpair(ends) == 0
assert lib.fdpasser_peer_cred(ends[0], uid, ffi.NULL, pid) == 0 and uid[0] == $> and pid[0] > 1
fds[0] = 1
assert lib.fdpasser_send_message(ends[0], fds, 1, b"hello", 5) == 1
assert lib.fdpasser_recv_message(ends[1], fds, 1, data, 4096, size) == 1
assert fds[0] > 2 and ffi.buffer(data, size[0])[:] == b"hello"
node, path = ffi.new("fdpasser_node *"), b"$dir/cffi"
assert lib.fdpasser_server_with(path, len(path), 0, 0o600, 0, node) > 2 and node.inode != 0
queue = lib.fdpasser_new(ends[0])
assert queue != ffi.NULL and lib.fdpasser_timeout_ms(queue) == -1
lib.fdpasser_free(queue)
print("passed")
END

reads('PHP', 'php-cli with FFI is not installed', [qw(php -d ffi.enable=1)], <<"END", '-r', 'exit((int)!class_exists("FFI"));');
<?php
\$ffi = FFI::cdef(file_get_contents("$cdef"), "$library");
@{[ join "\n", map { qq{if ($constants{$_} !== \$ffi->$_) throw new Exception("$_");} } sort keys %constants ]}
function must(bool \$true, string \$what) { if (!\$true) throw new Exception(\$what); }
\$ends = \$ffi->new("int[2]");
[\$uid, \$pid] = [\$ffi->new("uid_t"), \$ffi->new("pid_t")];
[\$data, \$len, \$fds] = [\$ffi->new("char[4096]"), \$ffi->new("size_t"), \$ffi->new("int[1]")];
must(\$ffi->fdpasser_socketpair(\$ends) === 0, "socketpair");
must(\$ffi->fdpasser_peer_cred(\$ends[0], FFI::addr(\$uid), null, FFI::addr(\$pid)) === 0, "peer_cred");
must(\$uid->cdata === $> && \$pid->cdata > 1, "peer");
\$fds[0] = 1;
must(\$ffi->fdpasser_send_message(\$ends[0], \$fds, 1, "hello", 5) === 1, "send");
must(\$ffi->fdpasser_recv_message(\$ends[1], \$fds, 1, \$data, 4096, FFI::addr(\$len)) === 1, "recv");
must(\$fds[0] > 2 && FFI::string(\$data, \$len->cdata) === "hello", "data");
\$node = \$ffi->new("fdpasser_node");
must(\$ffi->fdpasser_server_with("$dir/php", strlen("$dir/php"), 0, 0600, 0, FFI::addr(\$node)) > 2, "server");
must(\$node->inode !== 0, "node");
\$queue = \$ffi->fdpasser_new(\$ends[0]);
must(!FFI::isNull(\$queue) && \$ffi->fdpasser_timeout_ms(\$queue) === -1, "queue");
\$ffi->fdpasser_free(\$queue);
print("passed\\n");
END

# A program, which is run if the language is there. PHP looks for every function when it reads the declarations, and the
# programs for the others do so themselves.
sub reads {
    my ($language, $missing, $command, $program, @probe) = @_;
  SKIP: {
        my $there = $command && (@probe ? succeeds(@$command, @probe) : succeeds(@$command, $language eq 'LuaJIT' ? '-v' : '--version'));
        skip loudly($missing), 1 if !$there;
        my ($said, $status) = run(@$command, spew("$dir/program", $program));
        ok($status == 0 && $said eq "passed\n", "$language reads it, and passes a descriptor with data") or diag("$status: $said");
    }
    return;
}

done_testing;

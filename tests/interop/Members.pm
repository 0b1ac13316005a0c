# The programs of the matrix. To add one, write a program as below, and add an entry to the table.
#
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# A program is run as
#
#   PROGRAM send COUNT PASSER
#   PROGRAM recv COUNT PASSER
#
# PASSER is the number of an inherited descriptor: one end of a connection, in blocking mode. `send` sends COUNT
# descriptors in order. The first one reads as "1" and then ends, the second one as "2", and so on. `recv` checks that it
# gets these, and that the connection ends after them. Both exit with 0 if all went well. If not, they say why.
# FDPASSER_LIBRARY in the environment is the path of the shared library.
#
# A program that knows data reads a line of standard input for each descriptor that it sends. The line, without its
# newline, is the data. It can contain any byte. An empty line is no data, and so is the end of the input. Such a program
# prints a line for each descriptor that it receives: the number, a colon, a space and the data. It prints nothing else.
# The matrix compares the output of the receiver with the input of the sender.
package Members;

use strict;
use warnings;

use CPrograms qw(cc cxx library shared_link);
use Exporter  qw(import);
use Files     qw($root);
use List::Util qw(min);

our @EXPORT_OK = qw(consoles drivers members wrong_senders $out);

# Where programs are built.
our $out = "$root/target/interop";

my $ffi  = "$root/examples/ffi";
my $here = "$root/tests/interop";

# name     its name in the tables
# what     which library and which calls it uses
# run      the command, to which role, count and descriptor are added
# needs    [the package to install, a command that fails where the package is missing]
# build    a command, and `in` its directory
# env      the environment of all three
# slow     it needs a language that `make setup` does not install
# pauses   it waits out shortages, and uses the shared library, where the fault harness gets at it. Go does not
#          count: its poller reports changes only, so after a false EAGAIN of the harness it would wait for ever. Nor does
#          PHP: it loads libraries with RTLD_DEEPBIND, so the harness does not get at them.
# data     what it knows of data:
#          lines  it sends and prints data, as above. `longest` is the most bytes that it takes, if not 4096.
#          drops  it sends no data. It receives from senders of data, and drops the data.
#          fixed  all that it sends and accepts is `says`, or what that function says of a number and the count. It reads
#                 no input and prints nothing.
#          none   it knows messages of one NUL, and no data.
# answers  it waits for an answer to each message, so the other end has to be a program that answers
# groups   it sends several descriptors in a message. The first one has the data.
# several  it can receive several in a message, one after the other
# partner  it is the other end where one pair for each program is enough. `make check` runs its pairs with data.
# again    another program of a language that is there already. `make check` runs fewer of its pairs without data. In
#          return it runs those with senders of `groups`.
sub members {
    my @link    = shared_link();
    my @c       = c_compiler();
    my @cxx     = (cxx(), qw(-std=c++17 -Wall -Wextra -pedantic -Werror -O1 -g), "-I$root/include");
    my @cargo   = (split(' ', $ENV{CARGO} // 'cargo'), qw(build --quiet --locked --features header --example pass));
    my @perl    = perl();
    my @python  = ('python3', 'python3');    # the package, the command
    my %package = (PYTHONPATH => "$root/python/src", PYTHONDONTWRITEBYTECODE => 1, FDPASSER_LIB => library('so'));

    return (
        {
            name  => 'C',
            what  => 'send_fd and recv_fd',
            data  => 'drops',
            partner => 1,
            build => [ @c, '-o', "$out/single", "$here/single.c", @link ],
            run   => ["$out/single"],
        },
        {
            name  => 'C messages',
            what  => 'fdpasser_send_message and fdpasser_recv_message',
            data  => 'lines',
            again => 1,
            partner => 1,
            build => [ @c, '-o', "$out/message", "$here/message.c", @link ],
            run   => ["$out/message"],
        },
        {
            name  => 'C queue',
            what  => 'fdpasser_new, poll, without data',
            data  => 'drops',
            several => 1,
            pauses => 1,
            build => [ @c, '-o', "$out/queue", "$here/queue.c", @link ],
            run   => [ "$out/queue", 'plain' ],
        },
        {
            name  => 'C queue data',
            what  => 'fdpasser_new, poll',
            data  => 'lines',
            several => 1,
            again => 1,
            pauses => 1,
            build => [ @c, '-o', "$out/queue", "$here/queue.c", @link ],
            run   => [ "$out/queue", 'data' ],
        },
        {
            name  => 'C++',
            what  => 'fdpasser.hpp, poll',
            data  => 'lines',
            several => 1,
            pauses => 1,
            needs => [ 'g++', $cxx[0], '--version' ],
            build => [ @cxx, '-o', "$out/cxx", "$ffi/c++/pass.cpp", @link ],
            run   => ["$out/cxx"],
        },
        {
            name  => 'Rust',
            what  => 'the crate, poll',
            data  => 'lines',
            several => 1,
            build => \@cargo,
            run   => ["$root/target/debug/examples/pass"],
        },
        {
            name  => 'Perl EV',
            what  => 'AnyEvent::FDpasser on EV',
            data  => 'lines',
            several => 1,
            pauses => 1,
            needs => [ 'libev-perl', $^X, '-MEV', '-e1' ],
            env   => { PERL_ANYEVENT_MODEL => 'EV' },
            run   => [ @perl, "$here/anyevent.pl", 'data' ],
        },
        {
            name  => 'Perl',
            what  => 'AnyEvent::FDpasser, pure-Perl loop, without data',
            data  => 'drops',
            several => 1,
            pauses => 1,
            env   => { PERL_ANYEVENT_MODEL => 'Perl' },
            run   => [ @perl, "$here/anyevent.pl", 'plain' ],
        },
        {
            name  => 'Python',
            what  => 'ctypes, asyncio',
            data  => 'lines',
            several => 1,
            pauses => 1,
            needs => [ @python, '-c', 'import ctypes, asyncio' ],
            run   => [ 'python3', "$ffi/python/pass.py" ],
        },
        {
            name  => 'Python package',
            what  => 'fdpasser.asyncio',
            data  => 'lines',
            several => 1,
            again => 1,
            pauses => 1,
            needs => [ @python, '-c', 'import sys, ctypes, asyncio; sys.exit(sys.version_info < (3, 9))' ],
            env   => \%package,
            run   => [ 'python3', "$here/python_package.py", 'asyncio' ],
        },
        {
            name  => 'Python calls',
            what  => "the package's send_message and recv_message",
            data  => 'lines',
            again => 1,
            needs => [ @python, '-c', 'import sys, ctypes; sys.exit(sys.version_info < (3, 9))' ],
            env   => \%package,
            run   => [ 'python3', "$here/python_package.py", 'blocking' ],
        },
        {
            name  => 'PHP',
            what  => 'FFI, poll',
            data  => 'lines',
            several => 1,
            slow  => 1,
            needs => [ 'php-cli', 'php', '-r', 'exit((int)!class_exists("FFI"));' ],
            env   => { FDPASSER_CDEF => "$root/include/fdpasser.cdef" },
            run   => [ 'php', "$ffi/php/pass.php" ],
        },
        {
            name  => 'Node',
            what  => 'the package in node/, promises',
            data  => 'lines',
            several => 1,
            pauses => 1,
            needs => [ 'nodejs with its headers (libnode-dev)', 'node', "$root/node/install.js", '--headers' ],
            env   => { FDPASSER_LIB => library('so'), FDPASSER_INCLUDE => "$root/include", NODE_OPTIONS => '' },
            build => [ 'node', "$root/node/install.js" ],
            run   => [ 'node', '--trace-warnings', "$here/node.js" ],
        },
        {
            name  => 'Ruby',
            what  => 'Fiddle, IO.select',
            data  => 'lines',
            several => 1,
            pauses => 1,
            slow  => 1,
            needs => [ 'ruby', 'ruby', '-rfiddle/import', '-e', '' ],
            run   => [ 'ruby', '-w', "$ffi/ruby/pass.rb" ],
        },
        {
            name  => 'LuaJIT',
            what  => 'ffi, poll',
            data  => 'lines',
            several => 1,
            pauses => 1,
            slow  => 1,
            needs => [ 'luajit', 'luajit', '-v' ],
            env   => { FDPASSER_CDEF => "$root/include/fdpasser.cdef" },
            run   => [ 'luajit', "$ffi/luajit/pass.lua" ],
        },
        {
            name  => 'Go',
            what  => "cgo, Go's poller",
            data  => 'lines',
            several => 1,
            slow  => 1,
            needs => [ 'golang-go', 'go', 'version' ],
            in    => "$ffi/go",
            env   => {
                CGO_ENABLED => 1,
                CGO_CFLAGS  => "-I$root/include",
                CGO_LDFLAGS => join(' ', grep { $_ ne '-lfdpasser' } @link),
                GOCACHE     => "$out/go",
                GOFLAGS     => '-buildvcs=false',
            },
            build => [ 'go', 'build', '-o', "$out/go-pass", '.' ],
            run   => ["$out/go-pass"],
        },
        {
            name  => 'IO::FDPass',
            what  => 'not ours',
            data  => 'none',
            needs => [ 'libio-fdpass-perl', $^X, '-MIO::FDPass', '-e1' ],
            run   => [ $^X, "$here/io_fdpass.pl" ],
        },
        {
            name  => 'Socket::MsgHdr',
            what  => 'not ours',
            data  => 'none',
            needs => [ 'libsocket-msghdr-perl', $^X, '-MSocket::MsgHdr', '-e1' ],
            run   => [ $^X, "$here/socket_msghdr.pl" ],
        },
        {
            name  => 'socket.send_fds',
            what  => "not ours: Python's",
            data  => 'lines',
            needs => [ @python, '-c', 'import socket; socket.send_fds' ],
            run   => [ 'python3', "$here/python_socket.py" ],
        },
        {
            name    => 'runc',
            what    => "not ours: Go's WriteMsgUnix and ReadMsgUnix, as runc's console socket",
            data    => 'lines',
            longest => 4095,
            runc(),
            run     => ["$out/go-runc"],
        },
        {
            name  => 'multiprocessing',
            what  => "not ours: Python's; the number of descriptors as a byte",
            data  => 'fixed',
            says  => "\1",
            needs => [ @python, '-c', 'from multiprocessing.reduction import sendfds' ],
            run   => [ 'python3', "$here/python_multiprocessing.py", 'single' ],
        },
        {
            name  => 'mp several',
            what  => "not ours: Python's multiprocessing, several in a message",
            data  => 'fixed',
            says  => \&number_in_three,
            groups  => 1,
            several => 1,
            needs => [ @python, '-c', 'from multiprocessing.reduction import sendfds' ],
            run   => [ 'python3', "$here/python_multiprocessing.py", 'several' ],
        },
        {
            name  => 'textbook',
            what  => 'not ours: a NUL and a status',
            data  => 'fixed',
            says  => "\0\0",
            build => [ @c, '-o', "$out/textbook", "$here/textbook.c" ],
            run   => ["$out/textbook"],
        },
        {
            name    => 'mp answers',
            what    => "not ours: Python's multiprocessing as on macOS, several in a message",
            data    => 'fixed',
            says    => 'a number',
            answers => 1,
            needs   => [ @python, '-c', 'from multiprocessing.reduction import sendfds' ],
            run     => [ 'python3', "$here/python_multiprocessing.py", 'answers' ],
        },
        {
            name    => 'C answers',
            what    => 'fdpasser_send_message and fdpasser_recv_message, for multiprocessing as on macOS',
            data    => 'fixed',
            says    => 'a number',
            answers => 1,
            partner => 1,
            build   => [ @c, '-o', "$out/answers", "$here/answers.c", @link ],
            run     => ["$out/answers"],
        },
    );
}

# Senders that are wrong: see wrong.c.
sub wrong_senders {
    my @build = (c_compiler(), '-o', "$out/wrong", "$here/wrong.c", shared_link());
    return map { { name => $_, data => 'lines', build => \@build, run => [ "$out/wrong", $_ ] } }
      qw(swapped missing extra data-swapped data-missing data-cut data-changed);
}

# Programs that send terminals with shells on them: see terminal.c.
sub consoles {
    my @needs = (qw(python3 python3 -c), 'import socket; socket.send_fds');
    my @build = (c_compiler(), '-o', "$out/console", "$here/console.c", shared_link());
    return (
        { name => 'C',      run => ["$out/console"], build => \@build },
        { name => 'Python', run => [ 'python3', "$here/console.py" ], needs => \@needs },
        { name => 'runc',   run => [ "$out/go-runc", 'console' ], runc() },
    );
}

# Programs that use these shells.
sub drivers {
    my @build = (c_compiler(), '-o', "$out/terminal", "$here/terminal.c", shared_link());
    return (
        { name => 'C',    run => ["$out/terminal"], build => \@build },
        { name => 'Perl', run => [ perl(), "$here/terminal.pl" ] },
        { name => 'runc', run => [ "$out/go-runc", 'terminal' ], runc() },
    );
}

# How runc.go is built.
sub runc {
    return (
        slow  => 1,
        needs => [ 'golang-go', 'go', 'version' ],
        env   => { CGO_ENABLED => 0, GOCACHE => "$out/go" },
        build => [ 'go', 'build', '-o', "$out/go-runc", "$here/runc.go" ],
    );
}

sub c_compiler { return (cc(), qw(-std=gnu99 -Wall -Wextra -Werror -O1 -g), "-I$root/include") }
sub perl       { return ($^X, "-I$root/perl/blib/lib", "-I$root/perl/blib/arch") }

# Three descriptors are in each message but the last one, and their number is its data.
sub number_in_three {
    my ($number, $count) = @_;
    return $number % 3 != 1 ? '' : chr min(3, $count - $number + 1);
}

1;

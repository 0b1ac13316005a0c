#!/usr/bin/perl
# The manual: each function has a page that answers the five questions, the examples run as they stand, and the list
# of system calls is what strace sees. `make lib` comes first.
#
# SPDX-License-Identifier: MIT OR Apache-2.0
use strict;
use warnings;

use Errno ();
use File::Basename qw(dirname);
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use FindBin;
use Test::More;

use lib "$FindBin::Bin/lib";
use CPrograms qw(cc library shared_link);
use Files qw($root slurp spew);
use Header;
use Processes qw(run succeeds works);
use Skips qw(loudly);

chdir $root or die "chdir: $!";
library('so');
my $dir = tempdir(CLEANUP => 1);
my $man = "$dir/man";

my @declared  = @{ Header->read('include/fdpasser.h')->{functions} };
my @functions = map { $_->{name} } @declared;
my %prototype = map { $_->{name} => $_->{prototype} } @declared;

is((run($^X, 'scripts/man-page', '1.2.3', $man))[0], '', 'the manual is made');

# Page => roff. A link is what it links to.
my (%page, %linked);
for my $path (glob "$man/man1/*.1 $man/man3/*.3 $man/man7/*.7") {
    my ($name) = $path =~ m{([^/]+)\z};
    my $roff = slurp($path);
    if ($roff =~ m{\A\.so (man3/(.*))\n\z}) {
        ($roff, $linked{$name}) = (slurp("$man/$1"), $2);
    }
    $page{$name} = $roff;
}

subtest 'pages' => sub {
    is_deeply([ sort keys %page ], [ sort 'fdpass.1', 'fdpasser.7', map { "$_.3" } @functions ],
        'one for each function, fdpasser(7) and fdpass(1)');
    my %links;
    for my $name (sort keys %page) {
        my $text = $page{$name} =~ s/\\f.//gr;
        $links{"$1.$2"} //= $name while $text =~ /\b(fdpass(?:er(?:_\w+)?)?|send_fd|recv_fd)"? ?"?\((\d)\)/g;
    }
    is_deeply([ grep { !$page{$_} } sort keys %links ], [], 'what they refer to is there');
    like($page{'fdpasser.7'}, qr/^\.BR \Q$_\E \(3\)$/m, "fdpasser(7) has $_") for @functions;
};

subtest 'dates' => sub {
    my @made = map {
        my $out = "$dir/$_";
        local $ENV{SOURCE_DATE_EPOCH} = 86400 * 365;
        run($^X, 'scripts/man-page', '1.2.3', $out);
        join '', map { slurp($_) } sort glob "$out/man?/*";
    } qw(once twice);
    is($made[0], $made[1], 'made twice it is the same');
    my @dates = $made[0] =~ /^\.TH \S+ \d (\S+)/mg;
    is_deeply([ grep { $_ ne '1971-01-01' } @dates ], [], 'SOURCE_DATE_EPOCH is the date of all');
    is(@dates, keys(%page) - keys(%linked), 'and each page has one');
};

subtest 'each page answers the five questions' => sub {
    my ($render) = grep { succeeds(@$_, '/dev/null') } [qw(mandoc -man -Tascii)], [qw(groff -man -Tascii -P-c)];
    plan skip_all => loudly('there is neither mandoc nor groff') if !$render;
    for my $name (@functions) {
        my ($text) = run({ dir => $man }, @$render, 'man3/' . ($linked{"$name.3"} // "$name.3"));
        $text =~ s/.\x08//g;
        my %section = $text =~ /^(\w[A-Z ]+)\n(.*?)(?=^\S|\z)/msg;
        my $all     = join "\n", values %section;
        like($section{NAME} // '', qr/\b$name\b.* -\s+\S/s, "$name: its name");
        like(squeezed($section{SYNOPSIS}), qr/\Q$prototype{$name}\E/, "$name: its declaration");
        like($section{DESCRIPTION} // '', qr/\A\s+[A-Z].*\.\s*\z/s, "$name: what it does");
        like($section{$_} // '', qr/\A\s+\S.*[.:]\s*\z/s, "$name: " . lc) for 'OWNERSHIP', 'RETURN VALUE', 'BLOCKING', 'THREADS AND FORK';
        like($section{BLOCKING} // '', qr/\bwaits?\b/, "$name: whether it waits");
        like($section{'SEE ALSO'} // '', qr/fdpasser\(7\)/, "$name: where more is");
        isnt($section{EXAMPLES} // '', '', "$name: an example, or where one is");
        like($section{HISTORY} // '', qr/\bSince \d+\.\d+\.\d+\.|\b\Q$name\E\(\).*: since \d+\.\d+\.\d+\./, "$name: since when");
        my $errors = $section{ERRORS} // '';
        my @entries = $errors =~ /^ {7}(E[A-Z0-9]+(?:, E[A-Z0-9]+)*)(?:\n {14}| )\S/mg;
        ok(@entries || $errors =~ /\A\s+None\./, "$name: each errno");
        is_deeply([ grep { !exists $!{$_} } map { split /, / } @entries ], [], "$name: and they exist");
        # A function whose failure says errno has one to tell, here or on the page that it names.
        ok(@entries > 0, "$name: at least one errno") if squeezed($section{'RETURN VALUE'}) =~ /with errno/;
    }
};

subtest 'a comment that leaves a question open' => sub {
    my $copy = "$dir/copy";
    for (glob('src/ffi/*.rs'), qw(include/fdpasser.h man/fdpass.1 man/fdpasser.7 scripts/man-page), glob('tests/lib/{Abi,Files,Header}.pm'), 'Cargo.toml', glob 'tests/abi/*') {
        make_path("$copy/" . dirname($_));
        spew("$copy/$_", slurp($_));
    }
    my @make = ($^X, "$copy/scripts/man-page", 1, "$dir/none");
    is((run(@make))[1], 0, 'as it is it does not');
    my $whole = slurp("$copy/src/ffi/connections.rs");
    spew("$copy/src/ffi/connections.rs", $whole =~ s{/// # Errors\n}{}r);
    like((run(@make))[0], qr/no section Errors/, 'is refused');
    spew("$copy/src/ffi/connections.rs", $whole =~ s{/// # Errors\n}{/// # Error\n}r);
    like((run(@make))[0], qr/unknown section Error\b/, 'and so is a heading that is none');
    spew("$copy/src/ffi/connections.rs", $whole =~ s{fn fdpasser_accept\b}{fn fdpasser_take}r);
    like((run(@make))[0], qr/fdpasser_accept/, 'and a function without a comment');
};

subtest 'since when' => sub {
    my $copy = "$dir/copy";
    my ($record) = glob "$copy/tests/abi/*";
    my $whole = slurp($record);
    my $made  = sub { run($^X, "$copy/scripts/man-page", '0.1.7', "$dir/since"); return slurp("$dir/since/man3/$_[0].3") };
    spew("$copy/src/ffi/connections.rs", slurp('src/ffi/connections.rs'));
    spew($record, $whole =~ s/^\S+ (function fdpasser_accept):/0.1.3 $1:/mr);
    like($made->('fdpasser_accept'), qr/^\.SH HISTORY\nSince 0\.1\.3\.\n\.SH/m, 'as the record has it');
    like($made->('fdpasser_connect'), qr/^\.SH HISTORY\nSince \Q@{[ $whole =~ m{^(\S+) function fdpasser_connect:}m ]}\E\.\n/m,
        'for each function');
    spew($record, $whole =~ s/^.* function fdpasser_accept:.*\n//mr);
    like($made->('fdpasser_accept'), qr/^Since 0\.1\.7\.$/m, 'and what it does not have is new in this version');
    spew($record, $whole =~ s/^\S+ (function fdpasser_send_fd):/0.1.3 $1:/mr);
    like($made->('fdpasser_send_fd'), qr/fdpasser_send_fd\\fP\(\): since 0\.1\.3\.$/m, 'two functions of a page may differ')
      if $linked{'send_fd.3'};
};

subtest 'lint' => sub {
    my @pages = map { "man" . substr($_, -1) . "/$_" } grep { !$linked{$_} } sort keys %page;
    # mandoc calls every link fragile, so links are not shown to it.
    for ([qw(mandoc -Tlint)], [qw(groff -man -ww -z -Tutf8)]) {
        my ($program, @options) = @$_;
      SKIP: {
            skip loudly("$program is not installed"), 1 if !succeeds($program, '/dev/null');
            is((run({ dir => $man }, $program, @options, @pages))[0], '', "$program finds nothing wrong");
        }
    }
};

# --- the examples ---------------------------------------------------------------------------------------------

my $includes = join '', map { "#include <$_>\n" } qw(fdpasser.h err.h errno.h fcntl.h poll.h stdio.h string.h sys/socket.h sys/stat.h sys/wait.h unistd.h);

# Five descriptors wait for `passer`; the peer's end is shut down, and stays open, as one of the two sends as well.
my $five = <<'C';
static int used;
static void use(int fd) { used++; close(fd); }
int main(void) {
    int ends[2], passer;
    if (fdpasser_socketpair(ends) != 0) err(1, "fdpasser_socketpair");
    for (int i = 0; i < 5; i++)
        if (send_fd(ends[1], 1) != 1) err(1, "send_fd");
    shutdown(ends[1], SHUT_WR);
    passer = ends[0];
EXAMPLE
    printf("%d\n", used);
    return 0;
}
C

# Page => [ what is around its example, what it prints ].
my %examples = (
    'fdpasser.7'           => [ undef, "through the parent\n" ],
    'fdpasser_retry_ms.3'  => [ $five, "5\n" ],
    'fdpasser_new.3'       => [ $five, "5\n" ],
    'fdpasser_inherited.3' => [ <<'C', "3 is unknown\n" ],
#include <stdlib.h>
int main(int argc, char **argv) {
    if (argc == 1) {
        char pid[20];
        int listener = fdpasser_server("service", 0);
        if (listener < 0 || dup2(listener, 3) != 3) err(1, "dup2");
        fcntl(3, F_SETFD, 0);
        snprintf(pid, sizeof pid, "%ld", (long)getpid());
        setenv("LISTEN_PID", pid, 1);
        setenv("LISTEN_FDS", "1", 1);
        execl(argv[0], argv[0], "service", (char *)NULL);
        err(1, "exec");
    }
EXAMPLE
    return 0;
}
C
    'fdpasser_notify.3' => [ <<'C', "READY=1\nSTATUS=Serving\nFDSTORE=1\nFDNAME=sessions\n" ],
#include <stdlib.h>
#include <sys/un.h>
int main(void) {
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int manager = socket(AF_UNIX, SOCK_DGRAM, 0), sessions = 1;
    char text[4097];
    if (!realpath(".", text)) err(1, "realpath");
    snprintf(address.sun_path, sizeof address.sun_path, "%.90s/manager", text);
    unlink(address.sun_path);
    if (bind(manager, (struct sockaddr *)&address, sizeof address) != 0) err(1, "bind");
    setenv("NOTIFY_SOCKET", address.sun_path, 1);
EXAMPLE
    for (int i = 0; i < 2; i++) {
        ssize_t n = recv(manager, text, sizeof text - 1, 0);
        if (n < 0) err(1, "recv");
        text[n] = '\0';
        puts(text);
    }
    return 0;
}
C
    'fdpasser_version.3'   => [ "int main(void)\n{\n    {\nEXAMPLE\n    }\n    return 0;\n}\n", '' ],
    'fdpasser_mode.3'      => [ "int main(void)\n{\n    {\nEXAMPLE\n    }\n    return 0;\n}\n", '' ],
    'fdpasser_socketpair.3' => [ <<'C', "through the parent\n" ],
int main(void) {
EXAMPLE
    if (write(fd, "through the parent\n", 19) != 19) err(1, "write");
    return wait(NULL) < 0;
}
C
    'fdpasser_new_pair.3' => [ <<'C', "through the parent\n" ],
int main(void) {
EXAMPLE
    int fd;
    fdpasser_push_recv(p, 1);
    while ((fd = fdpasser_next_fd(p)) < 0) {
        struct pollfd f = { fdpasser_fileno(p), (short)fdpasser_events(p), 0 };
        poll(&f, 1, fdpasser_timeout_ms(p));
        if (fdpasser_process(p, f.revents) != 1) err(1, "fdpasser_process");
    }
    if (write(fd, "through the parent\n", 19) != 19) err(1, "write");
    fdpasser_free(p);
    return wait(NULL) < 0;
}
C
    'fdpasser_server_with.3' => [ <<'C', "600\ngone\n" ],
static const char *path = "node";
static void serve(int listener) {
    struct stat st;
    int client = fdpasser_connect(path);
    if (client < 0 || fdpasser_accept(listener) < 0 || stat(path, &st) != 0) err(1, "serve");
    printf("%o\n", st.st_mode & 0777u);
}
int main(void) {
EXAMPLE
    puts(access(path, F_OK) != 0 ? "gone" : "there");
    return 0;
}
C
);

my %compiled;
subtest 'examples' => sub {
    my %found;
    # tests/fdpass/manual.t runs those of fdpass(1).
    for my $name (grep { !$linked{$_} && $_ ne 'fdpass.1' } sort keys %page) {
        my @blocks = $page{$name} =~ /^\.EX\n(.*?)^\.EE$/msg;
        is(@blocks, 1, "$name has one example") if @blocks;
        $found{$name} = $blocks[0] if @blocks;
    }
    is_deeply([ sort keys %found ], [ sort keys %examples ], 'and this test knows them all');
    for my $name (sort keys %found) {
        my $example = $found{$name} =~ s/^\\&//mgr;
        $example =~ s/\\\(aq/'/g;
        $example =~ s/\\-/-/g;
        $example =~ s/\\e/\\/g;
        my ($around, $expected) = @{ $examples{$name} // next };
        my $program = "$dir/$name" =~ s/\.\d\z//r;
        spew("$program.c", defined $around ? $includes . $around =~ s/^EXAMPLE$/$example/mr : $example);
        builds("$name: it compiles", $program) or next;
        my ($printed, $status) = run({ dir => $dir }, $program);
        is($printed, $expected, "$name: and does what it says");
        is($status, 0, "$name: and ends well");
        $compiled{$name} = $program;
    }
};

# --- system calls -----------------------------------------------------------------------------------------------

# Where a system call has several names, the one of fdpasser(7). malloc may make its own at any time.
my %same = (
    prlimit64 => 'getrlimit', ugetrlimit => 'getrlimit', pselect6 => 'select', _newselect => 'select', ppoll => 'poll',
    renameat  => 'rename', renameat2 => 'rename', unlinkat => 'unlink', linkat => 'link', open => 'openat',
    fchmodat2 => 'fchmodat', newfstatat => 'fstat', statfs => 'fstatfs',
);
my %malloc = map { $_ => 1 } qw(brk mmap munmap mremap madvise);

# A mark in the trace, then a call. What stands between a call and the next mark is not looked at if the mark is "-".
my $calls = <<'C';
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/un.h>
static void mark(const char *name) { char path[100]; snprintf(path, sizeof path, "/MARK/%s", name); (void)!access(path, F_OK); }
#define CALL(function, arguments) (mark(#function), keep = (long)function arguments, mark("-"), (int)keep)
static long keep;
static fdpasser *queue(long made) { return (fdpasser *)made; }
int main(void) {
    int ends[2], pair[2], fds[16 * FDPASSER_MAX_PER_MESSAGE], status, listener, peer, client, one[5] = {1, 1, 1, 1, 1};
    static char data[FDPASSER_MAX_DATA];
    size_t len;
    fdpasser_node node;
    uid_t uid; gid_t gid; pid_t pid;
    struct rlimit limit, full;
    struct timeval soon = {0, 1000};
    struct sockaddr_un manager = {.sun_family = AF_UNIX, .sun_path = "\0man-t"};
    int dgram = socket(AF_UNIX, SOCK_DGRAM, 0);
    fdpasser *p;

    alarm(60);
    free(malloc(100000));
    CALL(fdpasser_socketpair, (ends));
    CALL(fdpasser_socketpair, (pair));
    CALL(fdpasser_server, ("node", 0));
    CALL(fdpasser_server, ("node", 0));
    CALL(fdpasser_server_n, ("\0abc-man-t", 10, 0));
    CALL(fdpasser_server_with, ("node", 4, 0, -1, 0, &node));
    CALL(fdpasser_server_with, ("node", 4, 0, 0640, 0, &node));
    CALL(fdpasser_unlink, ("node", 4, &node));
    CALL(fdpasser_unlink, ("node", 4, &node));
    listener = CALL(fdpasser_server_with, ("node", 4, 0, 0600, FDPASSER_EXCLUSIVE, &node));
    CALL(fdpasser_server_with, ("node", 4, 0, 0600, FDPASSER_EXCLUSIVE, &node));
    client = CALL(fdpasser_connect, ("node"));
    CALL(fdpasser_connect_n, ("node", 4));
    CALL(fdpasser_connect_timed, ("node", 4, 0));
    CALL(fdpasser_connect_timed, ("node", 4, 1000));
    peer = CALL(fdpasser_accept, (listener));
    for (int i = 0; i < 5; i++) /* the last one waits */
        CALL(fdpasser_accept_timed, (listener, 1));
    CALL(fdpasser_peer_cred, (peer, &uid, &gid, &pid));
    CALL(fdpasser_peer_pidfd, (peer));
    CALL(fdpasser_send_fd, (client, 1));
    CALL(send_fd, (client, 1));
    CALL(fdpasser_send_fd_timed, (client, 1, 1000));
    CALL(fdpasser_recv_fd, (peer));
    CALL(recv_fd, (peer));
    CALL(fdpasser_recv_fd_timed, (peer, 1000));
    CALL(fdpasser_recv_fd_timed, (peer, 1));
    CALL(fdpasser_send_fds, (client, one, 5, 2));
    CALL(fdpasser_try_send_fds, (client, one, 5, 1));
    CALL(fdpasser_try_send_fds, (client, one, 5, 1 | FDPASSER_LOCAL));
    CALL(fdpasser_recv_fds, (peer, fds, FDPASSER_MAX_PER_MESSAGE));
    CALL(fdpasser_try_recv_fds, (peer, fds, FDPASSER_MAX_PER_MESSAGE));
    CALL(fdpasser_try_recv_messages, (peer, fds, 4 * FDPASSER_MAX_PER_MESSAGE, 4, &status));
    while (fdpasser_try_recv_fds(peer, fds, FDPASSER_MAX_PER_MESSAGE) > 0)
        ;
    CALL(fdpasser_send_message, (client, one, 2, "data", 4));
    CALL(fdpasser_send_message, (client, one, 2, data, sizeof data));
    CALL(fdpasser_recv_message, (peer, fds, 2, data, sizeof data, &len));
    CALL(fdpasser_recv_message, (peer, fds, 2, data, sizeof data, &len));
    CALL(fdpasser_try_send_message, (client, one, 2, "data", 4));
    CALL(fdpasser_try_recv_message, (peer, fds, 2, data, sizeof data, &len));
    CALL(fdpasser_try_recv_message, (peer, fds, 2, data, sizeof data, &len));
    /* A receiver that waits. */
    if (setsockopt(peer, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon) != 0) err(1, "SO_RCVTIMEO");
    CALL(fdpasser_recv_fd, (peer));
    CALL(fdpasser_recv_fds, (peer, fds, FDPASSER_MAX_PER_MESSAGE));
    /* A full table, and one with a single slot. */
    fdpasser_send_fds(client, one, 3, 1);
    getrlimit(RLIMIT_NOFILE, &limit);
    full = limit;
    full.rlim_cur = 64;
    setrlimit(RLIMIT_NOFILE, &full);
    while (dup(1) >= 0)
        ;
    CALL(fdpasser_recv_fd, (peer));
    CALL(fdpasser_try_recv_fds, (peer, fds, FDPASSER_MAX_PER_MESSAGE));
    close(60);
    CALL(fdpasser_recv_fd, (peer));
    setrlimit(RLIMIT_NOFILE, &limit);
    p = queue((mark("fdpasser_new"), keep = (long)fdpasser_new(pair[0]), mark("-"), keep));
    keep = dup(1);
    CALL(fdpasser_push_send_fd, (p, (int)keep));
    CALL(fdpasser_push_recv, (p, 10));
    CALL(fdpasser_want_data, (p, 1));
    keep = dup(1);
    CALL(fdpasser_push_send_message, (p, (int)keep, "data", 4));
    CALL(fdpasser_events, (p));
    CALL(fdpasser_timeout_ms, (p));
    CALL(fdpasser_fileno, (p));
    CALL(fdpasser_set_per_message, (p, 2));
    CALL(fdpasser_set_max_queued, (p, 100));
    fdpasser_send_fd(pair[1], 1);
    CALL(fdpasser_process, (p, POLLIN | POLLOUT));
    CALL(fdpasser_next_fd, (p));
    CALL(fdpasser_next_message, (p, data, sizeof data, &len));
    CALL(fdpasser_refused, (p));
    CALL(fdpasser_queued, (p));
    CALL(fdpasser_drained, (p));
    mark("fdpasser_free"); fdpasser_free(p); mark("-");
    p = queue((mark("fdpasser_new_pair"), keep = (long)fdpasser_new_pair(), mark("-"), keep));
    CALL(fdpasser_i_am_parent, (p));
    p = fdpasser_new_pair();
    CALL(fdpasser_i_am_child, (p));
    setenv("LISTEN_FDS", "1", 1);
    snprintf(data, sizeof data, "%ld", (long)getpid());
    setenv("LISTEN_PID", data, 1);
    CALL(fdpasser_inherited, (fds, 1));
    CALL(fdpasser_inherited_name, (0, data, sizeof data));
    setenv("LISTEN_PIDFDID", "1", 1);
    CALL(fdpasser_inherited, (fds, 1));
    CALL(fdpasser_is, (peer, FDPASSER_IS_LISTENING | FDPASSER_IS_LOCAL));
    CALL(fdpasser_is, (1, FDPASSER_IS_READABLE));
    setenv("NOTIFY_SOCKET", "@man-t", 1);
    bind(dgram, (struct sockaddr *)&manager, offsetof(struct sockaddr_un, sun_path) + 6);
    CALL(fdpasser_notify, ("READY=1", NULL, 0));
    CALL(fdpasser_notify, ("READY=1", one, 1));
    CALL(fdpasser_retry_ms, (EAGAIN));
    CALL(fdpasser_mode, ());
    CALL(fdpasser_version, ());
    return 0;
}
C

subtest 'system calls' => sub {
    needs_strace();
    my $program = "$dir/calls";
    spew("$program.c", $includes . $calls);
    builds('the program with every function', $program) or return;
    works('runs', { dir => $dir }, qw(strace -qq -e signal=none -o trace), $program);

    my ($table) = $page{'fdpasser.7'} =~ /^\.SH SYSTEM CALLS\n(.*?)^\.SH /ms;
    my (%always, %also);
    while ($table =~ /^\.TP\n\.BR (.*)\n((?:(?!\.(?:TP|PP)).*\n)+)/mg) {
        my ($names, $listed) = ($1, $2);
        my ($always, $also) = split /;\n\.I also\n/, $listed;
        for my $name ($names =~ /([a-z_]+)/g) {
            $always{$name} = { map { ($same{$_} // $_) => 1 } $always =~ /(\w+)/g };
            $also{$name}   = { map { ($same{$_} // $_) => 1 } ($also // '') =~ /(\w+)/g };
        }
    }
    my ($at, %seen) = ('-');
    for my $line (split /\n/, slurp("$dir/trace")) {
        if ($line =~ m{"/MARK/([^"]+)"}) {
            $at = $1;
            $seen{$at} //= {} if $at ne '-';
        }
        elsif ($line =~ /^(\w+)\(/ && $at ne '-' && !$malloc{$1}) { $seen{$at}{ $same{$1} // $1 } = 1 }
    }
    is_deeply([ sort keys %seen ], [ sort @functions ], 'each function is called');
    for my $name (@functions) {
        my @more = grep { !$always{$name}{$_} && !$also{$name}{$_} } sort keys %{ $seen{$name} };
        is("@more", '', "$name: it makes none that is not in the list");
        my @fewer = grep { !$seen{$name}{$_} } sort keys %{ $always{$name} };
        is("@fewer", '', "$name: and makes those of the list");
    }
};

subtest 'system calls that a filter may refuse' => sub {
    needs_strace();
    my ($may) = $page{'fdpasser.7'} =~ /^A filter may refuse, with an errno,\n(.*?)^The functions/ms;
    my @refused = sort map { (my $name = $_) =~ s/^getrlimit$/prlimit64/; $name =~ s/^select$/pselect6/; $name } $may =~ /^\.BR (\w+) \(2\)/mg;
    is("@refused", 'getsockopt prlimit64 pselect6 setsockopt', 'those that fdpasser(7) names');
    my @inject = map { ('-e', "inject=$_:error=EPERM") } @refused;
    # fdpasser_is() needs getsockopt.
    for my $name (grep { $_ ne 'fdpasser_inherited.3' } sort keys %compiled) {
        my ($printed, $status) = run({ dir => $dir }, qw(strace -f -qq -o trace), @inject, $compiled{$name});
        is($printed, $examples{$name}[1], "$name: the example does the same without them");
        is($status, 0, "$name: and ends as well");
    }
    my $injected = () = slurp("$dir/trace") =~ /\(INJECTED\)/g;
    cmp_ok($injected, '>', 0, 'which were indeed refused');
};

done_testing;

# -------------------------------------------------------------------------------------------------------------------

sub builds {
    my ($what, $program) = @_;
    return defined works($what, cc(), qw(-std=gnu99 -Wall -Wextra -Werror -Iinclude -o), $program, "$program.c", shared_link());
}

# Ends a subtest that cannot be without strace.
sub needs_strace {
    plan skip_all => loudly('strace is for Linux') if $^O ne 'linux';
    my ($said, $status) = run('strace', '-o', "$dir/trace", 'true');
    plan skip_all => loudly('strace cannot be run: ' . $said =~ s/\n.*//sr) if $status != 0;
}

sub squeezed { return ($_[0] // '') =~ s/\s+/ /gr }

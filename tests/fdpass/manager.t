#!/usr/bin/perl
# Real service managers: systemd-socket-activate hands a socket down, and systemd itself hands down sockets and what the
# service has stored, and is told that the service is ready.
#
# SPDX-License-Identifier: MIT OR Apache-2.0
use strict;
use warnings;

use FindBin;
use IO::Socket::UNIX;
use Test::More;
use Time::HiRes qw(sleep time);

use lib "$FindBin::Bin/../lib";
use Examples;
use Fdpass;
use Files qw($root slurp spew);
use Processes ();
use Skips qw(loudly);

my ($service) = @{ compile("$root/tests/fdpass/service.c") };
my $report = "$dir/report";

part 'systemd-socket-activate' => sub {
    plan skip_all => loudly('there is no systemd-socket-activate') if !Processes::installed('systemd-socket-activate');
    for ([ [], 'unknown listens' ], [ ['--fdname=web'], 'web listens' ], [ [qw(-l second --fdname=web:admin)], "web listens\nadmin listens" ]) {
        my ($options, $expected) = @$_;
        unlink $report, 'first', 'second';
        my $manager = start([qw(systemd-socket-activate -l)], "$dir/first", (map { $_ eq 'second' ? "$dir/second" : $_ } @$options), $service, $report);
        my $client;
        until ($client = IO::Socket::UNIX->new(Peer => "$dir/first")) { sleep 0.01 }
        is((status($manager))[1], 0, "@$options");
        is(slurp($report), "$expected\n", 'what the service finds');
    }
    # What it hands down goes on to somebody else.
    unlink 'first', 'node';
    my $manager = start([qw(systemd-socket-activate --fdname=web -l)], "$dir/first", $fdpass, qw(send -l -t 60), "$dir/node", '3:web');
    my $client;
    until ($client = IO::Socket::UNIX->new(Peer => "$dir/first")) { sleep 0.01 }
    unlink $report;
    is((status(start([ $fdpass, qw(recv -t 60 -e), 'listening,local', "$dir/node", $service, $report ])))[1], 0, 'from one giver to another');
    is(slurp($report), "web listens\n", 'and it arrives');
    status($manager);
};

part 'systemd' => sub {
    my ($systemd) = grep { -x } qw(/lib/systemd/systemd /usr/lib/systemd/systemd);
    plan skip_all => loudly('there is no systemd') if !$systemd || !Processes::installed('systemctl');
    plan skip_all => loudly('only root can start a systemd of its own') if $> != 0;

    mkdir 'units';
    spew('units/test.target', "[Unit]\nDefaultDependencies=no\n");
    spew('units/word.socket', "[Unit]\nDefaultDependencies=no\n[Socket]\nListenStream=$dir/word.sock\nFileDescriptorName=web\n");
    spew('units/word.service', <<"UNIT");
[Unit]
DefaultDependencies=no
[Service]
Type=notify
NotifyAccess=main
FileDescriptorStoreMax=4
ExecStart=$service $report
UNIT
    unlink $report;
    # A user's manager, in namespaces where the system seems to have been started by systemd. All ends with the first process.
    my $script = <<'SH';
        mount -t tmpfs none /run && mkdir -p /run/systemd/system /run/user/0 || exit 1
        export XDG_RUNTIME_DIR=/run/user/0 SYSTEMD_UNIT_PATH=$1/units HOME=$1 SYSTEMD_LOG_TARGET=console
        $2 --user --unit=test.target &
        until systemctl --user is-active test.target >/dev/null 2>&1; do sleep 0.05; kill -0 $! || exit 1; done
        echo manager runs
        state() { systemctl --user show word.service -p ActiveState -p StatusText -p NFileDescriptorStore | sort | tr '\n' ' '; echo; }
        systemctl --user start word.socket && systemctl --user start word.service && state
        systemctl --user restart word.service && state
        systemctl --user exit
SH
    my $manager = start([ qw(unshare --mount --cgroup --pid --fork --kill-child --mount-proc sh -c), $script, 'sh' ], $dir, $systemd);
    my ($output) = status($manager);
    plan skip_all => loudly('systemd cannot be run here: ' . ($output =~ s/\n/ /gr)) if $output !~ /^manager runs$/m;
    my @states = $output =~ /^(ActiveState=.*)$/mg;
    is($states[0], 'ActiveState=active NFileDescriptorStore=1 StatusText=serving ', 'it is told, and keeps the descriptor') or diag $output;
    is($states[1], 'ActiveState=active NFileDescriptorStore=1 StatusText=serving ', 'after a restart too');
    is(slurp($report), "web listens\nweb listens\nsessions has a word\n", 'the next process finds both');
};

done_testing;

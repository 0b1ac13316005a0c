# SPDX-License-Identifier: MIT OR Apache-2.0
# What the module does behind the program's back leaves $! and $@ alone, and emits no warnings.
use strict;
use warnings;
use lib 't/lib';
use Loops;

use Errno qw(ENOTDIR EAGAIN);
use Test::More;
use Helpers;

my @warnings;
local $SIG{__WARN__} = sub { push @warnings, @_ };

# --- a push, the first one and later ones
{
    my ($x, $y) = passers();
    my $got = 0;
    for my $time ('first', 'second', 'third') {
        my $fh = numbered(1);
        for my $push (sub { $x->push_send_fh($fh) }, sub { $y->push_recv_fh(sub { $got++ }) }) {
            ($!, $@) = (ENOTDIR, "before\n");
            $push->();
            my ($errno, $error) = ($! + 0, $@);
            is $errno, ENOTDIR,    "the $time push leaves \$! alone";
            is $error, "before\n", "the $time push leaves \$\@ alone";
        }
        wait_for { $got } "the $time descriptor" if $time eq 'second';
    }
    wait_for { $got == 3 };
}

# --- a turn of the passer
for my $dir (qw(send recv)) {
    my ($x, $y) = raw_pair();
    my $done = 0;
    peer_sends($y, 1);
    $x->push_recv_fh(sub { $done++; $! = EAGAIN });
    $x->push_send_fh(numbered(2), sub { $done++; $! = EAGAIN });
    wait_for { $done == 2 };
    $x->push_recv_fh(sub { });
    my $guard = stand_in($dir => sub { $! = EAGAIN; return refuse(EAGAIN) });
    ($!, $@) = (ENOTDIR, "before\n");
    $x->_move($dir);
    my ($errno, $error) = ($! + 0, $@);
    is $errno, ENOTDIR,    "a turn ($dir) leaves \$! alone";
    is $error, "before\n", "a turn ($dir) leaves \$\@ alone";
    $x->error('end') if delete $x->{on_error};
}

# --- the last reference to a handle goes, and its data cannot be written
for my $how ('sent', 'error') {
    my ($x, $y) = raw_pair([]);
    my $sent = 0;
    {
        pipe my $r, my $w or die "pipe: $!";
        local $SIG{PIPE} = 'IGNORE';
        print $w 'unwritten';
        close $r;
        $x->push_send_fh($w, sub { $sent++ });
    }
    local $SIG{PIPE} = 'IGNORE';
    if ($how eq 'sent') { wait_for { $sent } }
    else                { $x->error('end') }
    is_deeply \@warnings, [], "no warning about a handle with unwritten data ($how)";
}
{
    my ($x, $y) = passers();
    my $got = 0;
    local $SIG{PIPE} = 'IGNORE';
    pipe my $r, my $w or die "pipe: $!";
    $x->push_send_fh($w);
    undef $w;
    close $r;
    $y->push_recv_fh(sub { print { $_[0] } 'unwritten'; $got++ });
    wait_for { $got };
    is_deeply [ grep { /FDpasser\.pm/ } @warnings ], [], 'nor about a received one';
}

done_testing;

# SPDX-License-Identifier: MIT OR Apache-2.0
# Runs basic.t with AnyEvent's own checks switched on (PERL_ANYEVENT_STRICT).
use strict;
use warnings;
use lib 't/lib';
use Loops;

BEGIN { $ENV{PERL_ANYEVENT_STRICT} = 1 }
use AnyEvent;
die 'AnyEvent is not strict' if !$INC{'AnyEvent/Strict.pm'} && !AnyEvent::detect();

do './t/basic.t' or die $@ || $!;

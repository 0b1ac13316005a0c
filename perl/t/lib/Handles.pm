# SPDX-License-Identifier: MIT OR Apache-2.0
package Handles;

# Handles that are more than a glob: tied ones, and objects that overload *{}.

use strict;
use warnings;

use Exporter qw(import);
use Symbol   qw(gensym);

our @EXPORT = qw(tied_handle tied_without_fileno overloaded_handle);

# A tied handle. Its FILENO returns what the code returns.
sub tied_handle {
    my ($code) = @_;
    my $fh = gensym();
    tie *$fh, 'Handles::Tied', $code;
    return $fh;
}

sub tied_without_fileno {
    my $fh = gensym();
    tie *$fh, 'Handles::TiedWithout';
    return $fh;
}

# An object whose *{} is what the code returns.
sub overloaded_handle {
    my ($code) = @_;
    return bless { code => $code }, 'Handles::Overloaded';
}

package Handles::Tied;
sub TIEHANDLE { my ($class, $code) = @_; return bless { code => $code }, $class }
sub FILENO    { return $_[0]{code}->() }

package Handles::TiedWithout;
sub TIEHANDLE { return bless {}, shift }

package Handles::Overloaded;
use overload '*{}' => sub { $_[0]{code}->() }, fallback => 1;

1;

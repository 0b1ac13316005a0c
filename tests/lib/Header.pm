# The one parser of the C header. Whoever needs to know what the header declares asks this module.
#
#   my $header = Header->read('include/fdpasser.h');
#   $header->{head}         the text of the comment at the top
#   $header->{functions}    [ { name, returns, parameters => [ { type, name } ], prototype, comment, group, guard } ]
#   $header->{constants}    [ { name, value, comment } ]
#   $header->{types}        [ { name, fields => [ { type, name, comment } ], comment } ]
#
# All are in the order of the header. `group` is the heading that a function stands under, `guard` the macro that
# leaves it out. What the grammar below does not know is an error, so nothing can be overlooked: a return type that
# nobody has thought of is either understood or reported.
#
# SPDX-License-Identifier: MIT OR Apache-2.0
package Header;

use strict;
use warnings;

use Files qw(slurp);

# A comment that documents something. What has none is an error too.
my $comment = qr{(?|/\*\* (.*) \*/\n|/\*\*\n((?:[ ]*\*(?!/).*\n)+)[ ]*\*/\n)};

# A C type that is written in front of a name: no arrays, no pointers to functions.
my $type = qr{(?:const )?(?:(?:unsigned|signed|struct) )?(?:long long|\w+)(?: const)?(?: \*+| )};

sub read {
    my ($class, $path) = @_;
    return $class->parse(slurp($path), $path);
}

sub parse {
    my ($class, $text, $path) = @_;
    my $self = bless { functions => [], constants => [], types => [] }, $class;
    my ($group, $guard) = ('', '');
    $text =~ m{\A\s*/\*(?!\*)(.*?)\*/\n}gcs or die "$path: there is no comment at the top\n";
    $self->{head} = text_of("$1\n");
    until ($text =~ /\G\s*\z/gc) {
        if ($text =~ m{\G\n+}gc) { }
        elsif ($text =~ m{\G/\* -+ (.*?) -+ \*/\n}gc) { $group = $1 }
        elsif ($text =~ m{\G\#if !defined\((\w+)\)\n}gc) { $guard = $1 }
        elsif ($guard && $text =~ m{\G\#endif\n}gc) { $guard = '' }
        elsif ($text =~ m{\G\#ifndef FDPASSER_H\n\#define FDPASSER_H\n}gc) { }
        elsif ($text =~ m{\G\#endif\s*/\* FDPASSER_H \*/\n}gc) { }
        elsif ($text =~ m{\G\#include <[\w./]+>\n}gc) { }
        elsif ($text =~ m{\G\#ifdef __cplusplus\n(?:extern "C" \{|\}\s*// extern "C")\n\#endif\s*// __cplusplus\n}gc) { }
        elsif ($text =~ m{\G$comment\#define (\w+) (-?\w+)\n}gc) {
            push @{ $self->{constants} }, { name => $2, value => $3, comment => text_of($1) };
        }
        elsif ($text =~ m{\G${comment}typedef struct (\w+) \g2;\n}gc) {
            push @{ $self->{types} }, { name => $2, fields => [], comment => text_of($1) };
        }
        elsif ($text =~ m{\G${comment}typedef struct \{\n((?:[ ]*$comment[ ]*$type\w+;\n)+)\} (\w+);\n}gc) {
            my ($what, $fields, $name) = ($1, $2, $4);
            my @fields;
            while ($fields =~ /\G[ ]*$comment[ ]*($type)(\w+);\n/g) {
                my ($what, $type, $name) = ($1, $2, $3);
                push @fields, { type => trim($type), name => $name, comment => text_of($what) };
            }
            push @{ $self->{types} }, { name => $name, fields => \@fields, comment => text_of($what) };
        }
        elsif ($text =~ m{\G$comment($type)(\w+)\(([^()]*)\);\n}gc) {
            my ($what, $returns, $name, $parameters) = ($1, $2, $3, $4);
            $parameters =~ s/\s+/ /g;
            push @{ $self->{functions} },
              {
                name       => $name,
                returns    => trim($returns),
                parameters => [ $parameters eq 'void' ? () : map { parameter($_, $name, $path) } split /, /, $parameters ],
                prototype  => "$returns$name($parameters);",
                comment    => text_of($what),
                group      => $group,
                guard      => $guard,
              };
        }
        else {
            my $line = 1 + (substr($text, 0, pos $text) =~ tr/\n//);
            my ($shown) = $text =~ /\G(.*\n.*)/g;
            die "$path, line $line: what is this?\n$shown\n";
        }
    }
    die "$path: $guard is still open at the end\n" if $guard;
    return $self;
}

sub parameter {
    my ($text, $function, $path) = @_;
    $text =~ /\A($type)(\w+)\z/ or die "$path, $function: what is the parameter \"$text\"?\n";
    my ($its_type, $name) = ($1, $2);
    return { type => trim($its_type), name => $name };
}

sub trim { return $_[0] =~ s/\A\s+|\s+\z//gr }

# A comment without its stars.
sub text_of {
    my ($comment) = @_;
    $comment =~ s/^ *\*(?: |$)//mg;
    return trim($comment);
}

1;

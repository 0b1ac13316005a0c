# The C programs on Debian's kernels, booted in qemu with an initramfs that holds nothing else. A kernel's package
# is fetched from where this machine's apt fetches Debian, unpacked and kept; nothing is installed.
#
# SPDX-License-Identifier: MIT OR Apache-2.0
package Kernel;
use strict;
use warnings;

use File::Path qw(make_path remove_tree);
use IO::Select;
use POSIX ();
use Test::More;

use Portability qw($out c_tests content host not_installed quiet report run_c_tests skipped verdict);

use constant {
    KEYRING  => '/usr/share/keyrings/debian-archive-keyring.gpg',
    # Seconds until the first program begins.
    ACCELERATED => 15,
    EMULATED    => 120,
    # For all programs, emulated on a busy machine.
    DEADLINE => 900,
    SKIPPED  => 77,
};

# processor: Debian's name of it; target: Rust's, of the machine that the programs are for.
my %machine = (
    amd64 => {
        cc     => 'cc',
        qemu      => ['qemu-system-x86_64'],
        processor => 'x86_64',
        console => 'ttyS0',
    },
    arm64 => {
        cc     => 'aarch64-linux-gnu-gcc',
        qemu      => [qw(qemu-system-aarch64 -machine virt -cpu cortex-a72)],
        processor => 'aarch64',
        console => 'ttyAMA0',
    },
);

# Debian 12's own kernel, the one before and the one after.
my %suite = ('5.10' => 'bullseye', '6.1' => 'bookworm', '6.12' => 'trixie');

# Names of kernels are kernel-VERSION, or kernel-VERSION-PROCESSOR if that is not this machine's.
my @kernels = map { { name => "kernel-$_->[0]" . ($_->[1] eq 'amd64' ? '' : "-$_->[1]"), suite => $suite{ $_->[0] }, processor => $_->[1] } }
  [ '6.1', 'amd64' ], [ '6.1', 'arm64' ], [ '5.10', 'amd64' ], [ '6.12', 'amd64' ];

sub names { return map { $_->{name} } @kernels }

# Rust's name of the machine that a kernel is for.
sub target {
    my (undef, $name) = @_;
    return $machine{ find($name)->{processor} }{processor} . '-unknown-linux-gnu';
}

sub find {
    my ($name) = @_;
    my ($kernel) = grep { $_->{name} eq $name } @kernels;
    return $kernel;
}

# Runs the programs with these names, or all, on a kernel; lib: where the library for its processor is.
sub run {
    my (undef, $name, $lib, @names) = @_;
    my $kernel  = find($name);
    my $machine = $machine{ $kernel->{processor} };
    my $missing = not_installed($machine->{qemu}[0], $machine->{cc}, qw(cpio dpkg-deb apt-get));
    return skipped($name, "$missing is not installed") if $missing;
    my ($image, $why) = image($kernel);
    return skipped($name, $why) if !$image;

    my $target = "$kernel->{processor}-linux-static";    # tests/c.t looks for the "linux"
    run_c_tests("$name.build", target => $target, lib => $lib, cc => $machine->{cc}, names => \@names);
    my $result = c_tests("$name.build");
    my @built  = grep { $result->{$_}[0] eq 'passed' } keys %$result;
    my $how = boot($kernel, $image, "target/ctests/$target", @built) or return verdict("$name: its initramfs", 0, $name);
    my %ran = %{ results($name) };
    $result->{$_} = $ran{$_} // [ 'failed', "the kernel did not get to it\n" ] for @built;
    my ($version) = $image =~ m{/vmlinuz-([^/]+)$};
    return report($name, "Linux $version $how", $result, $name);
}

# --- the kernel ----------------------------------------------------------------------------------

# The kernel's file, fetched if it was not yet; or nothing, and why.
sub image {
    my ($kernel) = @_;
    my $dir = "$out/$kernel->{name}";
    my ($image) = glob "$dir/vmlinuz-*";
    return $image if $image;
    return (undef, 'its kernel was not fetched, and this is offline: run `make portability` once') if $ENV{CARGO_NET_OFFLINE};
    make_path($dir);
    my $failed = fetch($kernel, $dir);
    ($image) = glob "$dir/vmlinuz-*";
    return $image if $image;
    return (undef, "$failed; target/portability/$kernel->{name}.fetch.log says why");
}

# Fetches the package, and keeps the kernel alone. What failed, if something did.
sub fetch {
    my ($kernel, $dir) = @_;
    my ($suite, $processor, $log) = (@$kernel{qw(suite processor)}, "$kernel->{name}.fetch");
    unlink "$out/$log.log";
    my $mirror = mirror() or return "apt has no Debian mirror here";
    my $apt = apt($dir, "deb [signed-by=${\ KEYRING}] $mirror $suite main", $processor);
    quiet($log, "apt-get $apt update") or return "the mirror's list for $suite cannot be fetched";
    my ($package) = `apt-cache $apt depends linux-image-cloud-$processor 2>>'$out/$log.log'` =~ /Depends: (linux-image-\S+)/
      or return "the mirror has no kernel for $processor in $suite";
    quiet($log, "cd '$dir' && apt-get $apt download $package") or return "$package cannot be fetched";
    quiet($log, "cd '$dir' && dpkg-deb --fsys-tarfile $package*.deb | tar -x --strip-components=2 ./boot && rm -rf apt *.deb");
    return "$package has no kernel";
}

# Where this machine's apt has Debian from.
sub mirror {
    my ($line) = `apt-get indextargets --format '\$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' 2>/dev/null` =~ /^(\S+)$/m;
    return $line;
}

# Options that give apt lists of its own, so that the machine's stay as they are.
sub apt {
    my ($dir, $source, $processor) = @_;
    make_path("$dir/apt/lists/partial", "$dir/apt/cache");
    open my $fh, '>', "$dir/apt/sources.list" or die "$dir/apt: $!";
    print $fh "$source\n";
    close $fh;
    open $fh, '>', "$dir/apt/status" or die "$dir/apt: $!";
    close $fh;
    my %option = (
        'APT::Architecture'     => $processor,
        'APT::Architectures'    => $processor,
        'APT::Sandbox::User'    => 'root',
        'Dir::Etc::sourcelist'  => "$dir/apt/sources.list",
        'Dir::Etc::sourceparts' => '/dev/null',
        'Dir::State::Lists'     => "$dir/apt/lists",
        'Dir::State::status'    => "$dir/apt/status",
        'Dir::Cache'            => "$dir/apt/cache",
        'Acquire::Languages'    => 'none',
    );
    return join ' ', map { "-o '$_=$option{$_}'" } sort keys %option;
}

# --- the run -------------------------------------------------------------------------------------

# Boots the kernel with the programs; how it ran, or nothing if it could not be tried.
sub boot {
    my ($kernel, $image, $programs, @names) = @_;
    my ($name, $machine) = ($kernel->{name}, $machine{ $kernel->{processor} });
    my $initramfs = "$out/$name/initramfs";
    unlink "$out/$name.log";
    pack_initramfs($name, $machine->{cc}, $initramfs, map { [ "$programs/$_.static", $_ ] } @names) or return;
    my @command = (@{ $machine->{qemu} }, qw(-smp 2 -m 2048 -nographic -nodefaults -serial stdio -no-reboot),
        '-kernel', $image, '-initrd', $initramfs, '-append', "console=$machine->{console} quiet panic=-1");
    my $how = accelerated($name, $machine, @command) ? 'with KVM' : 'emulated';
    run_qemu($name, EMULATED, @command, '-accel', 'tcg') if $how eq 'emulated';
    unlink $initramfs;
    return $how;
}

# Tries KVM, but not again where it did not get as far as to the programs.
sub accelerated {
    my ($name, $machine, @command) = @_;
    my $failed = "$out/kvm-failed.log";
    return if $machine->{processor} ne host() || !-w '/dev/kvm';
    if (!-e $failed) {
        return 1 if run_qemu($name, ACCELERATED, @command, '-accel', 'kvm');
        rename "$out/$name.log", $failed or die "$failed: $!";
    }
    diag("$name: KVM does not work here: target/portability/kvm-failed.log; remove that to try again");
    return;
}

# Whether it came as far as to the programs; its output goes to the log. A KVM that cannot go on stops the machine
# and does not end qemu.
sub run_qemu {
    my ($log, $boot, @command) = @_;
    open my $fh, '>>', "$out/$log.log" or die "$log: $!";
    my $pid = open(my $console, '-|') // die "fork: $!";
    if ($pid == 0) {
        open STDERR, '>&', \*STDOUT;
        open STDIN, '<', '/dev/null';
        exec { $command[0] } @command or POSIX::_exit(127);
    }
    my ($begun, $until, $select, $all) = (0, time + $boot, IO::Select->new($console), '');
    while ($select->can_read($until - time)) {
        sysread($console, $all, 65536, length $all) or last;
        last if $all =~ /KVM internal error/;
        if (!$begun && $all =~ /^begin /m) {
            ($begun, $until) = (1, time + DEADLINE);
        }
    }
    kill KILL => $pid;
    close $console;
    print $fh $all;
    return $begun;
}

sub pack_initramfs {
    my ($log, $cc, $file, @programs) = @_;
    my $root = "$file.d";
    remove_tree($root);
    make_path("$root/programs");
    quiet($log, "$cc -static -O1 -Wall -Wextra -Werror -D_GNU_SOURCE -o '$root/init' tests/lib/init.c") or return;
    for (@programs) {
        my ($from, $name) = @$_;
        link $from, "$root/programs/$name" or die "$from: $!";
    }
    my $good = quiet($log, "cd '$root' && find . | cpio --quiet -o -H newc >'$file'");
    remove_tree($root);
    return $good;
}

# What tests/lib/init.c wrote of each program.
sub results {
    my ($log) = @_;
    (my $console = content($log)) =~ s/\r//g;
    my %result;
    while ($console =~ /^begin (\w+)\n(.*?)\nend \1 (-?\d+)$/msg) {
        my ($name, $output, $status) = ($1, $2, $3);
        $result{$name} =
            $status == 0            ? [ 'passed', '' ]
          : $status == SKIPPED << 8 ? [ 'skipped', $output =~ /^skip: (.*)/m ? $1 : 'no reason given' ]
          :                           [ 'failed', $output . how_it_ended($status) ];
    }
    return \%result;
}

sub how_it_ended {
    my ($status) = @_;
    return "did not end in time\n" if ($status & 127) == POSIX::SIGALRM;
    return 'died of signal ' . ($status & 127) . "\n" if $status & 127;
    return 'exit status ' . ($status >> 8) . "\n";
}

1;

# The C programs on Debian's kernels. A kernel is booted in qemu, with an initramfs that holds tests/lib/init.c and
# the programs. Its package comes from the mirror that this machine's apt uses. It is unpacked and kept in
# target/portability, and nothing is installed.
#
# SPDX-License-Identifier: MIT OR Apache-2.0
package Kernel;
use strict;
use warnings;

use File::Path qw(make_path remove_tree);
use IO::Handle;
use IO::Select;
use POSIX ();
use Test::More;

use Portability qw($out c_tests content host not_installed quiet report run_c_tests verdict);

use constant {
    KEYRING  => '/usr/share/keyrings/debian-archive-keyring.gpg',
    # Seconds until the first program begins.
    ACCELERATED => 15,
    EMULATED    => 120,
    # Seconds for all programs, emulated on a busy machine.
    DEADLINE => 1800,
    SKIPPED  => 77,
    # With a thread for each processor a kernel that patches its own code may die of an int3 as it boots.
    TCG => 'tcg,thread=single',
};

# By Debian's name of the processor: Rust's name of it, the C compiler, qemu, and where the kernel finds its console.
my %machine = (
    amd64 => {
        cc        => 'cc',
        qemu      => ['qemu-system-x86_64'],
        processor => 'x86_64',
        console   => 'ttyS0',
    },
    arm64 => {
        cc        => 'aarch64-linux-gnu-gcc',
        qemu      => [qw(qemu-system-aarch64 -machine virt -cpu cortex-a72)],
        processor => 'aarch64',
        console   => 'ttyAMA0',
    },
);

# The kernel of Debian 12, and those of the releases before and after it.
my @kernels = (
    { name => 'kernel-6.1',       suite => 'bookworm', processor => 'amd64' },
    { name => 'kernel-6.1-arm64', suite => 'bookworm', processor => 'arm64' },
    { name => 'kernel-5.10',      suite => 'bullseye', processor => 'amd64' },
    { name => 'kernel-6.12',      suite => 'trixie',   processor => 'amd64' },
);

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

# If a kernel cannot be booted here: why.
sub unavailable {
    my (undef, $name) = @_;
    my $kernel  = find($name);
    my $machine = $machine{ $kernel->{processor} };
    my $missing = not_installed($machine->{qemu}[0], $machine->{cc}, qw(cpio dpkg-deb apt-get));
    return "$missing is not installed" if $missing;
    return image($kernel) ? undef : fetch($kernel);
}

# Runs the programs with these names, or all, with a library for the kernel's processor.
sub run {
    my (undef, $name, $lib, @names) = @_;
    my $kernel = find($name);
    my %result = built($kernel->{processor}, $lib, @names);
    my @built  = grep { $result{$_}[0] eq 'passed' } keys %result;
    my $how    = boot($kernel, @built) or return verdict("$name: no program began", 0, $name);
    my %ran    = results($name);
    $result{$_} = $ran{$_} // [ 'failed', "the kernel did not get to its end\n" ] for @built;
    my ($version) = image($kernel) =~ m{/vmlinuz-([^/]+)$};
    return report($name, "Linux $version ($how)", \%result, $name);
}

# Builds the programs for a processor, once for all of its kernels. What tests/c.t says of each.
my %built;

sub built {
    my ($processor, $lib, @names) = @_;
    $built{$processor} //= do {
        my %option = (target => programs($processor), lib => $lib, cc => $machine{$processor}{cc}, names => \@names);
        run_c_tests("$processor.build", %option);
        c_tests("$processor.build");
    };
    return %{ $built{$processor} };
}

# Their directory in target/ctests; tests/c.t looks for the "linux".
sub programs { return "$_[0]-linux-static" }

# --- the kernel ----------------------------------------------------------------------------------

# The kernel's file, if it was fetched.
sub image {
    my ($kernel) = @_;
    my ($image) = glob "$out/$kernel->{name}/vmlinuz-*";
    return $image;
}

# Fetches the kernel. If that fails: why.
sub fetch {
    my ($kernel) = @_;
    my ($dir, $log) = ("$out/$kernel->{name}", "$kernel->{name}.fetch");
    return 'the kernel was not fetched, and this is offline: run `make portability` once' if $ENV{CARGO_NET_OFFLINE};
    unlink "$out/$log.log";
    my $failed = unpack_kernel($kernel, $dir, $log);
    remove_tree("$dir/apt");
    return $failed && "$failed; target/portability/$log.log says why";
}

# Gets a kernel's package from the mirror and keeps only the kernel. If that fails: why.
sub unpack_kernel {
    my ($kernel, $dir, $log) = @_;
    my ($suite, $processor) = @$kernel{qw(suite processor)};
    my $mirror = mirror() or return 'apt has no Debian mirror here';
    my $apt = apt("$dir/apt", "deb [signed-by=${\ KEYRING}] $mirror $suite main", $processor);
    quiet($log, "apt-get $apt update") or return "$suite cannot be fetched from the mirror";
    my $depends = `apt-cache $apt depends linux-image-cloud-$processor 2>>'$out/$log.log'`;
    my ($package) = $depends =~ /Depends: (linux-image-\S+)/ or return "$suite has no kernel for $processor";
    quiet($log, "cd '$dir/apt' && apt-get $apt download $package") or return "$package cannot be fetched";
    my $unpack = "dpkg-deb --fsys-tarfile *.deb | tar -x --wildcards './boot/vmlinuz-*'";
    quiet($log, "cd '$dir/apt' && $unpack && mv boot/vmlinuz-* ..") or return "$package has no kernel";
    return;
}

# The mirror that this machine's apt uses for Debian.
sub mirror {
    my $which = join ' ', map { "'$_'" } '$(REPO_URI)', 'Created-By: Packages', 'Origin: Debian', 'Label: Debian';
    my ($mirror) = `apt-get indextargets --format $which 2>/dev/null` =~ /^(\S+)$/m;
    return $mirror;
}

# Options that give apt files of its own, so that this machine's stay as they are.
sub apt {
    my ($dir, $source, $processor) = @_;
    make_path("$dir/lists/partial", "$dir/cache");
    write_file("$dir/sources.list", "$source\n");
    write_file("$dir/status", '');
    my %option = (
        'APT::Architecture'       => $processor,
        'APT::Architectures'      => $processor,
        'APT::Sandbox::User'      => 'root',
        'Dir::Etc::sourcelist'    => "$dir/sources.list",
        'Dir::Etc::sourceparts'   => '/dev/null',
        'Dir::State::Lists'       => "$dir/lists",
        'Dir::State::status'      => "$dir/status",
        'Dir::Cache'              => "$dir/cache",
        'Acquire::Languages'      => 'none',
        'APT::Update::Error-Mode' => 'any',
    );
    return join ' ', map { "-o '$_=$option{$_}'" } sort keys %option;
}

sub write_file {
    my ($file, $content) = @_;
    open my $fh, '>', $file or die "$file: $!";
    print $fh $content;
    close $fh;
    return;
}

# --- the run -------------------------------------------------------------------------------------

# Boots the kernel with the programs. Whether qemu used KVM, in words; nothing if no program began.
sub boot {
    my ($kernel, @names) = @_;
    my ($name, $machine) = ($kernel->{name}, $machine{ $kernel->{processor} });
    my $initramfs = "$out/$name/initramfs";
    unlink "$out/$name.log";
    pack_initramfs($name, $kernel->{processor}, $initramfs, @names) or return;
    my @command = (@{ $machine->{qemu} }, qw(-smp 2 -m 2048 -nographic -nodefaults -serial stdio -no-reboot),
        '-kernel', image($kernel), '-initrd', $initramfs, '-append', "console=$machine->{console} quiet panic=-1");
    my $how = accelerated($name, $machine, @command) ? 'with KVM'
      : run_qemu($name, EMULATED, @command, '-accel', TCG) && 'emulated';
    unlink $initramfs;
    return $how;
}

# Boots with KVM. If no program began, KVM is not tried again on this machine.
my $told;

sub accelerated {
    my ($name, $machine, @command) = @_;
    my $failed = "$out/kvm-failed.log";
    return if $machine->{processor} ne host() || !-w '/dev/kvm';
    if (!-e $failed) {
        return 1 if run_qemu($name, ACCELERATED, @command, '-accel', 'kvm');
        rename "$out/$name.log", $failed or die "$failed: $!";
    }
    diag('KVM does not work here: target/portability/kvm-failed.log; without that file it is tried again') if !$told++;
    return;
}

# Runs qemu with its console in the log. Whether a program began within the seconds that it has for that.
sub run_qemu {
    my ($log, $boot, @command) = @_;
    my $pid = open(my $console, '-|') // die "fork: $!";
    if ($pid == 0) {
        open STDERR, '>&', \*STDOUT;
        open STDIN, '<', '/dev/null';
        exec { $command[0] } @command or POSIX::_exit(127);
    }
    open my $fh, '>>', "$out/$log.log" or die "$log: $!";
    $fh->autoflush;
    my $begun = watch($console, $fh, $boot);
    kill KILL => $pid;
    close $console;
    close $fh;
    return $begun;
}

# Copies the console to the log until qemu ends, or will not go on: a failure of KVM stops the machine, and qemu stays.
sub watch {
    my ($console, $log, $boot) = @_;
    my ($select, $until, $begun, $text) = (IO::Select->new($console), time + $boot, 0, '');
    while ($select->can_read($until - time)) {
        my $length = sysread($console, $text, 65536, length $text) or last;
        print $log substr $text, -$length;
        return 0 if $text =~ /KVM internal error/;
        next if $begun || $text !~ /^begin /m;
        ($begun, $until) = (1, time + DEADLINE);
    }
    return $begun;
}

sub pack_initramfs {
    my ($log, $processor, $file, @names) = @_;
    my ($root, $from) = ("$file.d", 'target/ctests/' . programs($processor));
    my $compile = "$machine{$processor}{cc} -static -O1 -Wall -Wextra -Werror -D_GNU_SOURCE";
    remove_tree($root);
    make_path("$root/programs");
    quiet($log, "$compile -o '$root/init' tests/lib/init.c") or return;
    link "$from/$_.static", "$root/programs/$_" or die "$from/$_.static: $!" for @names;
    my $good = quiet($log, "cd '$root' && find . | cpio --quiet -o -H newc >'$file'");
    remove_tree($root);
    return $good;
}

# What tests/lib/init.c says of each program.
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
    return %result;
}

sub how_it_ended {
    my ($status) = @_;
    return "did not end in time\n" if ($status & 127) == POSIX::SIGALRM;
    return 'died of signal ' . ($status & 127) . "\n" if $status & 127;
    return 'exit status ' . ($status >> 8) . "\n";
}

1;

# libfdpasser. `make help` lists what there is to make.
#
# SPDX-License-Identifier: MIT OR Apache-2.0

CARGO   ?= cargo
RUSTC   ?= rustc
PERL    ?= perl
PROVE   ?= prove
CC      ?= cc
CFLAGS  ?= -O2 -g
INSTALL ?= install

prefix        ?= /usr/local
exec_prefix   ?= $(prefix)
bindir        ?= $(exec_prefix)/bin
libdir        ?= $(exec_prefix)/lib
includedir    ?= $(prefix)/include
mandir        ?= $(prefix)/share/man
pkgconfigdir  ?= $(libdir)/pkgconfig
bashcompdir   ?= $(prefix)/share/bash-completion/completions
# For a prefix that Perl does not know.
perldir       ?= $(prefix)/lib/perl5
DESTDIR       ?=
# An absolute path without a slash at its end.
override prefix := $(abspath $(prefix))
dest            := $(abspath $(DESTDIR))

# The exact versions of Cargo.lock. Empty, cargo may take others. (`make check` also forbids the network.)
CARGO_FLAGS ?= --locked
# What makes the header anew, and compiles cbindgen for it.
with_header := --features header
# What builds the program fdpass. Empty, it is neither built nor installed.
with_cli ?= $(if $(filter-out 0,$(FDPASSER_SYSV)),,--features cli)

from_cargo = $(shell sed -n '/^$(1) = /{s/.*"\(.*\)".*/\1/p;q;}' Cargo.toml)
version   := $(call from_cargo,version)
major     := $(firstword $(subst ., ,$(version)))
# While the major version is 0 the minor one is part of the soname; build.rs knows the same.
abi       := $(if $(filter 0,$(major)),$(basename $(version)),$(major))

# FDPASSER_SYSV=1 in the environment selects the SysV interface, which is kept in a directory of its own. Linux has
# no STREAMS: a simulation of them, for tests, stands in front of libc there.
ifneq ($(filter-out 0,$(FDPASSER_SYSV)),)
target := target/sysv
export CARGO_TARGET_DIR := $(CURDIR)/$(target)
sysv := yes
streams := $(target)/streams_sim/libstreams_sim.so
else
target := target
sysv :=
endif

# CARGO_BUILD_TARGET, Rust's name of a system, is another one to build for. CC, LD, AR and OBJCOPY have to be for it too.
triple := $(CARGO_BUILD_TARGET:%=%/)
out    := $(target)/$(triple)release
sealed := $(target)/$(triple)sealed
header := include/fdpasser.h
cdef   := include/fdpasser.cdef
static := $(out)/libfdpasser.a

# The names of the shared library: to link with, the soname, and the file.
ifeq ($(shell uname -s),Darwin)
so := libfdpasser.dylib libfdpasser.$(abi).dylib libfdpasser.$(version).dylib
final := $(out)
else
so := libfdpasser.so libfdpasser.so.$(abi) libfdpasser.so.$(version)
elf := yes
# Cargo puts its own libraries back into the other directory whenever it runs.
final := $(sealed)
endif
shared := $(out)/$(firstword $(so))
soak_programs := target/soak/fault.so target/soak/peer target/soak/hostile

.PHONY: all lib perl-module manual setup demo test check interop portability soak sanitize bench header abi install uninstall
.PHONY: packages python node sbom dist clean help
.DELETE_ON_ERROR:
.NOTPARALLEL:

all: lib perl-module manual ## build the library, the Perl module and the manual

help: ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 20

# --- the library --------------------------------------------------------------------------------

lib: ## build target/release/libfdpasser.so and libfdpasser.a
	@command -v $(CARGO) >/dev/null || { echo "make: there is no $(CARGO) in PATH. To install as another user," \
	    "run \`make\` as yourself first: what is built is installed without it." >&2; exit 1; }
	$(CARGO) build --release --target-dir $(target) $(CARGO_FLAGS) $(with_cli)
ifdef elf
	@$(MAKE) --no-print-directory -s $(sealed)/libfdpasser.so
	@ln -f $(sealed)/libfdpasser.a $(sealed)/libfdpasser.so $(out)/
endif
	@ln -sf $(firstword $(so)) $(out)/$(word 2,$(so))
	@mkdir -p $(sealed) && touch $(sealed)/made

# Nothing that the libraries are made of is newer than this mark, or they are built again.
$(sealed)/made: Cargo.toml $(wildcard Cargo.lock) build.rs $(shell find src -name '*.rs') $(header) scripts/seal-archive
	@$(MAKE) --no-print-directory lib

# The unwinder that Rust has for musl. A C compiler has none for it that links.
unwinder = $(wildcard $(shell $(RUSTC) --print target-libdir $(CARGO_BUILD_TARGET:%=--target %))/self-contained/libunwind.a)

$(sealed)/libfdpasser.a: $(static) $(header) scripts/seal-archive tests/lib/Header.pm tests/lib/Files.pm
	scripts/seal-archive $(static) $(header) $@ $(unwinder)

# Cargo's shared library cannot have symbol versions: rustc has a version script of its own.
$(sealed)/libfdpasser.so: $(sealed)/libfdpasser.a Makefile
	@printf '%s\n' 'LIBFDPASSER_$(major) { global: fdpasser_*; send_fd; recv_fd; local: *; };' > $(sealed)/libfdpasser.map
	$(CC) $(CFLAGS) $(LDFLAGS) -shared -o $@ -Wl,--whole-archive $< -Wl,--no-whole-archive \
	    -Wl,--version-script,$(sealed)/libfdpasser.map -Wl,-soname,$(word 2,$(so)) -Wl,-z,relro,-z,now,-z,nodelete \
	    $(if $(sysv),,-Wl,-z,defs) -lpthread -ldl

header: ## bring include/ up to date with src/ffi, and record what is new in it
	FDPASSER_UPDATE_HEADER=1 $(CARGO) test --quiet $(CARGO_FLAGS) $(with_header) --test header
	$(PERL) scripts/cdef $(header) >$(cdef).new && mv $(cdef).new $(cdef)
	@$(MAKE) --no-print-directory abi

abi: ## record what the header declares anew in tests/abi; what was changed or removed is refused
	$(PERL) scripts/record-abi

# --- the Perl module ----------------------------------------------------------------------------

ifneq ($(sysv),)
# The module is built in a copy, so that the one for sockets stays as it is. Its own Makefile.PL runs cargo.
crate  := $(target)/crate
module := $(crate)/perl

$(streams): tests/streams_sim/streams_sim.c
	@mkdir -p $(@D)
	$(CC) -std=c99 -Wall -Wextra -Werror -pedantic $(CFLAGS) -shared -fPIC -pthread -Wl,-soname,$(@F) -o $@ $<

perl-module:
	@mkdir -p $(module)
	@for entry in *; do case $$entry in target|perl) ;; *) ln -sfn "$(CURDIR)/$$entry" $(crate)/;; esac; done
	@tar -C perl -cf - -T perl/MANIFEST | tar -C $(module) -xf -
	cd $(module) && $(PERL) Makefile.PL
	$(MAKE) -C $(module) --no-print-directory
	@touch $(module)/blib/made
else
module := perl

# FDPASSER_SHARED=1 in the environment links it with the shared library.
module_lib := $(CURDIR)/$(if $(filter-out 0,$(FDPASSER_SHARED)),$(shared),$(static))

perl-module: lib ## build perl/blib
	@[ perl/Makefile -nt perl/Makefile.PL ] && grep -q ' $(module_lib)$$' perl/Makefile || \
	    (cd perl && FDPASSER_LIB=$(module_lib) $(PERL) Makefile.PL)
	$(MAKE) -C perl --no-print-directory
	@touch perl/blib/made
endif

# As with the libraries.
$(module)/blib/made: perl/Makefile.PL perl/FDpasser.xs $(shell find perl/lib -name '*.pm') $(sealed)/made
	@$(MAKE) --no-print-directory perl-module

# --- set-up, demo, tests ------------------------------------------------------------------------

setup: ## install what demo and test need and is missing
	@scripts/setup

demo: ## the main job: a dispatcher reads requests and hands the connections to workers, in C and in Perl
	@scripts/setup demo
	@$(MAKE) --no-print-directory all
	@examples/http/demo

test: setup ## set-up, then check
	@$(MAKE) --no-print-directory check

python: lib ## the Python package on each Python from 3.9 to 3.13 that is there, with uvloop
	@scripts/setup-python --all
	$(PROVE) -v tests/python.t :: --all

interop: ## every sender against every receiver, in all languages
	@scripts/setup interop
	@$(MAKE) --no-print-directory all target/soak/fault.so
	tests/interop/matrix

MINUTES ?= 30
soak: setup ## the fault harness for MINUTES (30) minutes, with random seeds; a million messages with data
	@$(MAKE) --no-print-directory perl-module $(soak_programs)
	$(PROVE) tests/c.t :: message_ledger
	FDPASSER_LEDGER=1000000 target/ctests/message_ledger.shared
	tests/soak/soak --minutes $(MINUTES)

sanitize: setup ## the C programs with AddressSanitizer and ThreadSanitizer (needs a nightly Rust)
	$(PROVE) -v tests/sanitize.t

bench: ## measure side by side with other libraries (three minutes, on an idle machine)
	@scripts/setup bench
	@$(MAKE) --no-print-directory all
	benches/run

target/soak/fault.so: tests/soak/fault.c tests/soak/ledger.h
	@mkdir -p target/soak
	$(CC) -std=c99 -Wall -Wextra -Werror $(CFLAGS) -shared -fPIC -o $@ $< -ldl

target/soak/%: tests/soak/%.c tests/soak/ledger.h $(header) | lib
	@mkdir -p target/soak
	$(CC) -std=c99 -Wall -Wextra -Werror $(CFLAGS) -pthread -Iinclude -o $@ $< -L$(out) -lfdpasser -Wl,-rpath,$(CURDIR)/$(out)

check: export CARGO_NET_OFFLINE := true
check: ## run all tests with what is there, offline
	@$(PERL) scripts/check

# The stages of `check`, each of which can be made alone.
.PHONY: check-format check-clippy check-rust check-build check-c check-perl check-interop check-faults check-fuzz check-speed
.PHONY: check-docs check-kernels check-sysv check-portability check-examples check-fdpass check-install check-python check-node

# Not every Rust has these two. scripts/check reports what is said here.
has_tool = $(CARGO) $(1) --version >/dev/null 2>&1 || { echo '1..0 \# skip there is no cargo $(1)'; exit 0; };

check-format:
	@$(call has_tool,fmt) set -x; $(CARGO) fmt --check && $(CARGO) fmt --check --manifest-path fuzz/Cargo.toml && \
	    $(CARGO) fmt --check --manifest-path examples/tokio/Cargo.toml
	$(PROVE) -v tests/licences.t tests/dependencies.t

check-clippy:
	@$(call has_tool,clippy) set -x; $(CARGO) clippy --all-targets $(CARGO_FLAGS) $(with_header) $(with_cli) -- -D warnings && \
	    $(CARGO) clippy $(CARGO_FLAGS) --no-default-features -- -D warnings

check-build: all

ifneq ($(sysv),)
# The simulation is linked in front of libc. Without --target cargo would link build scripts with it too.
host := $(shell rustc -vV | sed -n 's/^host: //p')
linked := -Lnative=$(CURDIR)/$(dir $(streams)) -Clink-arg=-Wl,-rpath,$(CURDIR)/$(dir $(streams))

check-rust: $(streams)
	STREAMS_SIM_EAGER=1 RUSTFLAGS='$(linked) -lstreams_sim' RUSTDOCFLAGS='$(linked)' $(CARGO) test $(CARGO_FLAGS) $(with_header) --target $(host)

check-c: lib $(streams)
	$(PROVE) -v tests/sysv.t tests/c.t

# A file that is not for the SysV interface says so itself, and is skipped.
check-perl: perl-module $(streams)
	cd $(module) && STREAMS_SIM_EAGER=1 LD_PRELOAD=$(CURDIR)/$(streams) PERL_ANYEVENT_MODEL=Perl \
	    $(PROVE) -v -b -It/lib t/*.t
else
check-rust:
	$(CARGO) test $(CARGO_FLAGS) $(with_header)

check-c: lib
	$(PROVE) -v tests/header.t tests/abi.t tests/cdef.t tests/c.t

check-perl: perl-module
	$(MAKE) -C perl --no-print-directory test TEST_VERBOSE=1
endif

check-portability:
	$(PROVE) -v tests/portability :: --quick

portability: ## what can be told here about other systems, a line for each
	@scripts/setup portability
	@$(PROVE) -v tests/portability

check-kernels:
	$(PROVE) -v tests/kernels.t

check-sysv:
	FDPASSER_SYSV=1 $(MAKE) --no-print-directory check

check-python: lib
	$(PROVE) -v tests/python.t

node: lib ## the package for Node on Node 18 and 20, and with the library that it builds itself
	@scripts/setup-node --all
	$(PROVE) -v tests/node.t :: --all

check-node: lib
	$(PROVE) -v tests/node.t

check-interop: all target/soak/fault.so
	$(PROVE) -v tests/interop/matrix :: --quick

check-faults: perl-module $(soak_programs)
	$(PROVE) -v tests/soak/soak :: --short

check-fuzz:
	$(PROVE) -v tests/fuzz.t

check-speed: all
	$(PROVE) -v tests/instructions.t tests/bench.t

check-docs: all
	$(PROVE) -v tests/docs.t

check-examples: all
	$(PROVE) -j3 -v tests/examples

check-fdpass: all
	$(PROVE) -v tests/fdpass

check-install: all
	$(PROVE) -v tests/man.t tests/packaging

# --- packaging ----------------------------------------------------------------------------------

# The mark is newer than all pages. No cargo, no cbindgen: whoever packages this needs Perl only.
target/man/made: scripts/man-page man/fdpass.1 man/fdpasser.7 $(header) Cargo.toml $(wildcard src/ffi/*.rs tests/abi/* tests/lib/*.pm)
	$(PERL) scripts/man-page $(version) $(@D)
	@touch $@

manual: target/man/made

# What is built is installed as it is, so root needs neither cargo nor a compiler. What is not built yet is built.
# Nothing is installed by halves: before the first file, each directory must be writable.
parts := lib $(if $(with_cli),fdpass) perl
.PHONY: $(foreach what,install can-install put remove,$(parts:%=$(what)-%))

install: $(parts:%=can-install-%) $(parts:%=put-%) ## install all under prefix, honouring DESTDIR; install-lib, install-fdpass, install-perl: a part
	@scripts/after-install '$(dest)' '$(bindir)' '$(libdir)' '$(pkgconfigdir)' $(perldir) $(perl_dirs)

install-lib: can-install-lib put-lib
	@scripts/after-install '$(dest)' '$(bindir)' '$(libdir)' '$(pkgconfigdir)'

install-fdpass: can-install-fdpass put-fdpass

install-perl: can-install-perl put-perl
	@scripts/after-install '$(dest)' '' '' '' $(perldir) $(perl_dirs)

uninstall: $(parts:%=remove-%) ## remove what install has put there, if it is told the same directories

can_write = @for directory in $(1); do \
	    until [ -e "$$directory" ]; do directory=$$(dirname "$$directory"); done; \
	    [ -d "$$directory" ] && [ -w "$$directory" ] || { echo "make: cannot write to $$directory, so nothing was installed." \
	        "Run \`sudo make install\`, or name a directory of yours: \`make install prefix=\$$HOME/.local\`" >&2; exit 1; }; \
	done

lib_dirs = $(addprefix $(dest),$(includedir) $(libdir) $(pkgconfigdir) $(mandir)/man3 $(mandir)/man7)

can-install-lib: $(sealed)/made target/man/made
	$(call can_write,$(lib_dirs))

put-lib:
	$(INSTALL) -d $(lib_dirs)
	$(INSTALL) -m 644 $(header) $(cdef) $(dest)$(includedir)/
	$(INSTALL) -m 644 $(final)/$(notdir $(static)) $(dest)$(libdir)/
	$(INSTALL) -m 755 $(final)/$(notdir $(shared)) $(dest)$(libdir)/$(lastword $(so))
	ln -sf $(lastword $(so)) $(dest)$(libdir)/$(word 2,$(so))
	ln -sf $(word 2,$(so)) $(dest)$(libdir)/$(firstword $(so))
	rm -f $(dest)$(pkgconfigdir)/fdpasser.pc
	sed -e 's|@prefix@|$(prefix)|; s|@exec_prefix@|$(call below,prefix,$(exec_prefix))|' \
	    -e 's|@includedir@|$(call below,prefix,$(includedir))|; s|@libdir@|$(call below,exec_prefix,$(libdir))|' \
	    -e 's|@version@|$(version)|; s|@url@|$(call from_cargo,homepage)|' \
	    fdpasser.pc.in > $(dest)$(pkgconfigdir)/fdpasser.pc
	chmod 644 $(dest)$(pkgconfigdir)/fdpasser.pc
	$(INSTALL) -m 644 target/man/man3/*.3 $(dest)$(mandir)/man3/
	$(INSTALL) -m 644 target/man/man7/*.7 $(dest)$(mandir)/man7/

# A directory as pkg-config is to know it, so that it moves together with the prefix.
below = $(patsubst $($(1))/%,$${$(1)}/%,$(patsubst $($(1)),$${$(1)},$(2)))

remove-lib: target/man/made
	rm -f $(addprefix $(dest)$(includedir)/,$(notdir $(header) $(cdef))) $(addprefix $(dest)$(libdir)/,libfdpasser.a $(so)) \
	    $(dest)$(pkgconfigdir)/fdpasser.pc
	cd target/man && rm -f $$(printf '$(dest)$(mandir)/%s ' man[37]/*.[37])

can-install-fdpass: $(sealed)/made target/man/made
	$(call can_write,$(addprefix $(dest),$(bindir) $(mandir)/man1 $(bashcompdir)))

put-fdpass:
	$(INSTALL) -d $(addprefix $(dest),$(bindir) $(mandir)/man1 $(bashcompdir))
	$(INSTALL) -m 755 $(out)/fdpass $(dest)$(bindir)/
	$(INSTALL) -m 644 target/man/man1/fdpass.1 $(dest)$(mandir)/man1/
	$(INSTALL) -m 644 completions/fdpass.bash $(dest)$(bashcompdir)/fdpass

remove-fdpass:
	rm -f $(addprefix $(dest),$(bindir)/fdpass $(mandir)/man1/fdpass.1 $(bashcompdir)/fdpass)

# The Perl that the module was built for. It is asked for the directories of module and manual page.
built_for = $(or $(shell sed -n 's/^FULLPERL = //p' $(module)/Makefile 2>/dev/null),$(PERL))
perl_dirs = $(or $(shell $(built_for) scripts/perl-dirs '$(prefix)' '$(perldir)' '$(mandir)' $(INSTALLDIRS)), \
    $(error there are no directories for the Perl module))

can-install-perl: $(module)/blib/made
	$(call can_write,$(addprefix $(dest),$(perl_dirs)))

# As MakeMaker's pure_install does it, but without building anything. The list of files would name those below DESTDIR.
put-perl:
	umask 022; cd $(module) && PERL_INSTALL_ROOT= $(built_for) -MExtUtils::Install -e 'my ($$lib, $$man, $$list) = @ARGV;' \
	    -e 'install({ read => "", write => $$list, "blib/lib" => $$lib, "blib/arch" => $$lib, "blib/man3" => $$man }, 1)' \
	    $(addprefix $(dest),$(perl_dirs)) '$(if $(dest),,$(firstword $(perl_dirs))/auto/AnyEvent/FDpasser/.packlist)'

remove-perl:
	rm -rf $(addprefix $(dest)$(firstword $(perl_dirs))/,AnyEvent/FDpasser.pm auto/AnyEvent/FDpasser)
	@# Unless other modules are there.
	@rmdir $(addprefix $(dest)$(firstword $(perl_dirs))/,auto/AnyEvent AnyEvent) 2>/dev/null || :
	rm -f $(dest)$(lastword $(perl_dirs))/AnyEvent::FDpasser.*

packages: ## the Debian packages: built, checked, installed and purged in two clean roots (ten minutes, as root)
	tests/packaging/debian target/debian

# Needs cargo-cyclonedx. It writes beside Cargo.toml only.
sbom: ## the bill of materials of a release, in target/dist
	@$(CARGO) cyclonedx --help >/dev/null 2>&1 || { echo "make: cargo-cyclonedx is missing: \`cargo install cargo-cyclonedx\`" >&2; exit 1; }
	mkdir -p target/dist
	$(CARGO) cyclonedx --quiet --format json --spec-version 1.5 --all-features --override-filename sbom
	mv sbom.json target/dist/fdpasser-$(version).cdx.json

dist: ## make the crate's and the CPAN module's tarballs in target/dist (VENDORED=1: with the crates inside)
	$(CARGO) package --locked --allow-dirty --no-verify
	mkdir -p target/dist && cp target/package/fdpasser-$(version).crate target/dist/
	scripts/perl-dist $(if $(filter-out 0,$(VENDORED)),--vendored) target/dist

clean: ## remove all that was built
	$(CARGO) clean
	[ ! -f perl/Makefile ] || $(MAKE) -C perl --no-print-directory realclean

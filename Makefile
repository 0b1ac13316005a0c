# libfdpasser. `make help` lists what there is to make.
#
# SPDX-License-Identifier: MIT OR Apache-2.0

CARGO   ?= cargo
PERL    ?= perl
PROVE   ?= prove
CC      ?= cc
CFLAGS  ?= -O2 -g
INSTALL ?= install

prefix     ?= /usr/local
includedir ?= $(prefix)/include
libdir     ?= $(prefix)/lib
mandir     ?= $(prefix)/share/man
DESTDIR    ?=

# The exact versions of Cargo.lock, always; `make check` also forbids the network.
CARGO_FLAGS := --locked --features header

version := $(shell sed -n '/^version/{s/.*"\(.*\)".*/\1/p;q}' Cargo.toml)
# While the major version is 0 the minor one is part of the soname; build.rs knows the same.
abi     := $(if $(filter 0.%,$(version)),$(basename $(version)),$(firstword $(subst ., ,$(version))))

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

out    := $(target)/release
header := include/fdpasser.h
shared := $(out)/libfdpasser.so
static := $(out)/libfdpasser.a
sealed := $(target)/sealed/libfdpasser.a
soak_programs := target/soak/fault.so target/soak/peer target/soak/hostile

.PHONY: all lib perl-module setup demo test check interop portability soak sanitize bench header install dist clean help
.DELETE_ON_ERROR:
.NOTPARALLEL:

all: lib perl-module ## build the library and the Perl module

help: ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 20

# --- the library --------------------------------------------------------------------------------

lib: ## build target/release/libfdpasser.so and libfdpasser.a
	$(CARGO) build --release $(CARGO_FLAGS)
	@# Cargo has put its own archive back, as it does whenever it runs.
	@$(MAKE) --no-print-directory -s $(sealed)
	@ln -f $(sealed) $(static)
	@ln -sf libfdpasser.so $(shared).$(abi)

$(sealed): $(static) $(header) scripts/seal-archive tests/lib/Header.pm tests/lib/Files.pm
	scripts/seal-archive $(static) $(header) $@

header: ## bring include/fdpasser.h up to date with src/ffi
	FDPASSER_UPDATE_HEADER=1 $(CARGO) test --quiet $(CARGO_FLAGS) --test header

# --- the Perl module ----------------------------------------------------------------------------

ifneq ($(sysv),)
# The module is built in a copy, so that the one for sockets stays as it is. Its own Makefile.PL runs cargo.
crate := $(target)/crate

$(streams): tests/streams_sim/streams_sim.c
	@mkdir -p $(@D)
	$(CC) -std=c99 -Wall -Wextra -Werror -pedantic $(CFLAGS) -shared -fPIC -pthread -Wl,-soname,$(@F) -o $@ $<

perl-module:
	@mkdir -p $(crate)/perl
	@for entry in *; do case $$entry in target|perl) ;; *) ln -sfn "$(CURDIR)/$$entry" $(crate)/;; esac; done
	@tar -C perl -cf - -T perl/MANIFEST | tar -C $(crate)/perl -xf -
	cd $(crate)/perl && $(PERL) Makefile.PL
	$(MAKE) -C $(crate)/perl --no-print-directory
else
perl-module: lib ## build perl/blib
	@[ perl/Makefile -nt perl/Makefile.PL ] || \
	    (cd perl && FDPASSER_LIB=$(CURDIR)/$(static) $(PERL) Makefile.PL)
	$(MAKE) -C perl --no-print-directory
endif

# --- set-up, demo, tests ------------------------------------------------------------------------

setup: ## install what demo and test need and is missing
	@scripts/setup

demo: ## the main job: a Perl and a C worker answer connections handed to them
	@scripts/setup demo
	@$(MAKE) --no-print-directory all
	@examples/http/demo

test: setup ## set-up, then check
	@$(MAKE) --no-print-directory check

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
.PHONY: check-docs check-kernels check-sysv check-portability check-examples check-install

# Not every Rust has these two. scripts/check reports what is said here.
has_tool = $(CARGO) $(1) --version >/dev/null 2>&1 || { echo '1..0 \# skip there is no cargo $(1)'; exit 0; };

check-format:
	@$(call has_tool,fmt) set -x; $(CARGO) fmt --check && $(CARGO) fmt --check --manifest-path fuzz/Cargo.toml
	$(PROVE) -v tests/licences.t

check-clippy:
	@$(call has_tool,clippy) set -x; $(CARGO) clippy --all-targets $(CARGO_FLAGS) -- -D warnings && \
	    $(CARGO) clippy --locked --no-default-features -- -D warnings

check-build: all

ifneq ($(sysv),)
# The simulation is linked in front of libc. Without --target cargo would link build scripts with it too.
host := $(shell rustc -vV | sed -n 's/^host: //p')
linked := -Lnative=$(CURDIR)/$(dir $(streams)) -Clink-arg=-Wl,-rpath,$(CURDIR)/$(dir $(streams))

check-rust: $(streams)
	STREAMS_SIM_EAGER=1 RUSTFLAGS='$(linked) -lstreams_sim' RUSTDOCFLAGS='$(linked)' $(CARGO) test $(CARGO_FLAGS) --target $(host)

check-c: lib $(streams)
	$(PROVE) -v tests/sysv.t tests/c.t

# A file that is not for the SysV interface says so itself, and is skipped.
check-perl: perl-module $(streams)
	cd $(crate)/perl && STREAMS_SIM_EAGER=1 LD_PRELOAD=$(CURDIR)/$(streams) PERL_ANYEVENT_MODEL=Perl \
	    $(PROVE) -v -b -It/lib t/*.t
else
check-rust:
	$(CARGO) test $(CARGO_FLAGS)

check-c: lib
	$(PROVE) -v tests/header.t tests/abi.t tests/c.t

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

check-install: all
	$(PROVE) -v tests/man.t tests/install.t

# --- packaging ----------------------------------------------------------------------------------

# The mark is newer than all pages. No cargo, no cbindgen: whoever packages this needs Perl only.
target/man/made: scripts/man-page tests/lib/Header.pm man/fdpasser.7 $(header) Cargo.toml $(wildcard src/ffi/*.rs) tests/lib/Files.pm
	$(PERL) scripts/man-page $(version) $(@D)
	@touch $@

install: all target/man/made ## install library, header, manual, pkg-config file and Perl module under prefix (DESTDIR honoured)
	$(INSTALL) -d $(DESTDIR)$(includedir) $(DESTDIR)$(libdir)/pkgconfig $(DESTDIR)$(mandir)/man3 $(DESTDIR)$(mandir)/man7
	$(INSTALL) -m 644 $(header) $(DESTDIR)$(includedir)/
	$(INSTALL) -m 644 target/man/man3/*.3 $(DESTDIR)$(mandir)/man3/
	$(INSTALL) -m 644 target/man/man7/fdpasser.7 $(DESTDIR)$(mandir)/man7/
	$(INSTALL) -m 644 $(static) $(DESTDIR)$(libdir)/
	$(INSTALL) -m 755 $(shared) $(DESTDIR)$(libdir)/libfdpasser.so.$(version)
	ln -sf libfdpasser.so.$(version) $(DESTDIR)$(libdir)/libfdpasser.so.$(abi)
	ln -sf libfdpasser.so.$(abi) $(DESTDIR)$(libdir)/libfdpasser.so
	sed -e 's|@prefix@|$(prefix)|; s|@includedir@|$(includedir)|; s|@libdir@|$(libdir)|; s|@version@|$(version)|' \
	    fdpasser.pc.in > $(DESTDIR)$(libdir)/pkgconfig/fdpasser.pc
	$(MAKE) -C perl --no-print-directory install DESTDIR=$(DESTDIR)

dist: ## make the crate's and the CPAN module's tarballs in target/dist
	$(CARGO) package --locked --allow-dirty --no-verify
	mkdir -p target/dist && cp target/package/fdpasser-$(version).crate target/dist/
	scripts/perl-dist target/dist

clean: ## remove all that was built
	$(CARGO) clean
	[ ! -f perl/Makefile ] || $(MAKE) -C perl --no-print-directory realclean

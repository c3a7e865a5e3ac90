# gcdboot: build, tests, demo. `make help` lists the targets; everything is made below $(BUILD).

VERSION := 0.1.0

CC      = gcc
BUILD   = build
PREFIX  = /usr/local
DESTDIR =
WERROR  ?=
SANITIZE =
V       ?=

sbindir = $(PREFIX)/sbin
mandir  = $(PREFIX)/share/man
docdir  = $(PREFIX)/share/doc/gcdboot
unitdir = $(PREFIX)/lib/systemd/system
confdir = /etc/gcdboot

.DELETE_ON_ERROR:
.SUFFIXES:

all: $(BUILD)/gcdboot $(BUILD)/chroot_escape

# ---- what needs root says so at once, before anything is built
NEEDS_ROOT = check check-sanitize check-vm demo bench
ifneq ($(filter $(NEEDS_ROOT),$(MAKECMDGOALS)),)
ifneq ($(shell id -u),0)
$(error needs root: sudo make $(firstword $(filter $(NEEDS_ROOT),$(MAKECMDGOALS))))
endif
endif

# ---- packages (Debian's names), by purpose. Where all are there, nothing is run but one dpkg-query.
# The compiler's package is asked for only where the compiler is not there: it may have come from elsewhere.
compiler   = $(if $(shell command -v $(firstword $(CC))),,$(notdir $(firstword $(CC))))
DEPS_build = libc6-dev pkg-config libmount-dev libblkid-dev libsmartcols-dev libinih-dev libcap-dev libjansson-dev $(compiler)
DEPS_bed   = mmdebstrap e2fsprogs fdisk util-linux mount
DEPS_demo  = $(DEPS_build) $(DEPS_bed)
DEPS_check = $(DEPS_demo) libcmocka-dev perl strace procps psmisc libcap2-bin squashfs-tools
DEPS_vm    = $(DEPS_demo) perl qemu-system-x86 qemu-utils openssh-client squashfs-tools xorriso xz-utils
DEPS_lint  = $(DEPS_build) clang clang-format clang-tidy cppcheck shellcheck mandoc libcmocka-dev
DEPS_bench = $(DEPS_build) bubblewrap busybox-static

# Installs what is missing, or says what to type. Not on a Debian: the compiler tells what is missing.
.PHONY: deps deps-build deps-demo deps-check deps-vm deps-lint deps-bench
deps: deps-check
deps-build deps-demo deps-check deps-vm deps-lint deps-bench: deps-%:
	@tests/deps $* $(sort $(DEPS_$*))

# ---- flags
# $(call cc_takes,FLAG) is FLAG where the compiler takes it without a warning, for this architecture.
cc_takes = $(shell echo 'int main(void) { return 0; }' | $(CC) -Werror -O2 $(1) -x c -o /dev/null - 2>/dev/null && echo '$(1)')

# _FORTIFY_SOURCE=3 gives a warning where glibc or the compiler know only 2. The sanitizers bring their own checks.
fortify = -U_FORTIFY_SOURCE $(if $(call cc_takes,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -include stdio.h),-D_FORTIFY_SOURCE=3,-D_FORTIFY_SOURCE=2)
harden = $(fortify) -fstack-protector-strong $(call cc_takes,-fstack-clash-protection) $(call cc_takes,-fcf-protection)

# Asked once, and only when a recipe needs it: by then the compiler is installed.
HARDEN = $(eval HARDEN := $$(harden))$(HARDEN)
LIB_CFLAGS = $(eval LIB_CFLAGS := $$(shell pkg-config --cflags mount blkid smartcols))$(LIB_CFLAGS)

WARN = -Wall -Wextra -Wshadow -Wformat=2 -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wwrite-strings $(if $(WERROR),-Werror)
BASE_CFLAGS = -std=c17 -D_GNU_SOURCE -DGCDBOOT_VERSION='"$(VERSION)"' -O2 -g $(WARN) -fPIE -MMD -MP $(CFLAGS)
SANITIZERS = -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
ALL_CFLAGS = $(BASE_CFLAGS) $(LIB_CFLAGS) $(if $(SANITIZE),$(SANITIZERS),$(HARDEN))
ALL_LDFLAGS = -pie -Wl,-z,relro,-z,now -Wl,-z,noexecstack -Wl,--as-needed $(if $(SANITIZE),$(SANITIZERS)) $(LDFLAGS)

# One gcdboot lies on C: and runs in any distribution: util-linux's libraries are everywhere, the others go into the binary.
LIBS = -lmount -lblkid -lsmartcols -l:libinih.a -l:libcap.a -l:libjansson.a

# chroot_escape runs in any root, whatever libc that has: static, and never with a sanitizer's runtime.
STATIC_CFLAGS = $(BASE_CFLAGS) $(HARDEN)
STATIC_LDFLAGS = -static-pie -Wl,-z,relro,-z,now -Wl,-z,noexecstack $(LDFLAGS)

# A stamp that is written again only where the compiler or the flags have changed: every object depends on it.
$(BUILD)/flags: FORCE | deps-build
	@mkdir -p $(@D)
	@echo '$(subst ','\'',$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS))' | cmp -s - $@ || echo '$(subst ','\'',$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS))' >$@

.PHONY: FORCE
FORCE:

# One short line per step; V=1 shows the commands.
Q = $(if $(V),,@)
show = $(if $(V),@true,@echo "  $(1)	$(2)")

# ---- the programs
GCDBOOT_C = $(sort $(wildcard gcdboot/*.c conf/*.c))
ESCAPE_C  = $(sort $(wildcard escape/*.c)) $(addprefix gcdboot/,control_client.c login.c inroot.c mountid.c err.c util.c)

# Every file but the two that hold a main(): what unit tests link with.
MAINS = $(shell grep -l '^int main\>' $(wildcard gcdboot/*.c escape/*.c) /dev/null)
PARTS_C = $(filter-out $(MAINS),$(sort $(GCDBOOT_C) $(wildcard escape/*.c)))

object = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
static_object = $(patsubst %.c,$(BUILD)/static/%.o,$(1))

$(BUILD)/gcdboot: $(call object,$(GCDBOOT_C))
	$(call show,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

$(BUILD)/chroot_escape: $(call static_object,$(ESCAPE_C))
	$(call show,LINK,$@)
	$(Q)$(CC) $(STATIC_CFLAGS) $(STATIC_LDFLAGS) -o $@ $^

$(BUILD)/obj/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call show,CC,$<)
	$(Q)$(CC) $(ALL_CFLAGS) -c -o $@ $<

$(BUILD)/static/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call show,CC,$< (static))
	$(Q)$(CC) $(STATIC_CFLAGS) -c -o $@ $<

-include $(wildcard $(BUILD)/obj/*/*.d $(BUILD)/obj/*/*/*.d $(BUILD)/static/*/*.d $(BUILD)/tests/*/*.d)

# ---- unit tests: tests/unit/NAME_test.c has its own main() and links with all modules. A test that needs more says so in a line of its own,
# /* link with: -Wl,--wrap=mount */
UNIT_C = $(sort $(wildcard tests/unit/*_test.c))
UNIT   = $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(UNIT_C))

$(BUILD)/libparts.a: $(call object,$(PARTS_C))
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(UNIT): $(BUILD)/tests/unit/%: tests/unit/%.c $(wildcard tests/unit/*.h) $(BUILD)/libparts.a $(BUILD)/flags | deps-check
	@mkdir -p $(@D)
	$(call show,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $< $(BUILD)/libparts.a $(LIBS) -lcmocka $$(sed -n 's|.*/\* link with: \(.*\) \*/.*|\1|p' $<)

# Small programs that system tests run in their own namespaces, and machine tests on their machines: tests/system/NAME.c becomes
# $(BUILD)/tests/system/NAME, static.
HELPERS = $(patsubst tests/system/%.c,$(BUILD)/tests/system/%,$(sort $(wildcard tests/system/*.c)))
VM_HELPERS = $(patsubst tests/vm/%.c,$(BUILD)/tests/vm/%,$(sort $(wildcard tests/vm/*.c)))

$(HELPERS) $(VM_HELPERS): $(BUILD)/tests/%: tests/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call show,LINK,$@)
	$(Q)$(CC) $(STATIC_CFLAGS) $(STATIC_LDFLAGS) -o $@ $<

# ---- the test bed: a Debian root, a disk image of it, and a tiny root. The packed Debian is kept in build/bed for all build directories.
BED_ROOT = build/bed/root.tar
BED = $(BED_ROOT) $(BUILD)/bed/disk.img build/bed/tiny

.PHONY: bed
bed: $(BED)

# root.sh looks itself whether its recipe has changed, and then leaves the file alone.
$(BED_ROOT): FORCE | deps-demo
	@tests/bed/root.sh $@

$(BUILD)/bed/disk.img: $(BED_ROOT) $(BUILD)/chroot_escape tests/bed/image.sh | deps-demo
	tests/bed/image.sh $(BED_ROOT) $(BUILD)/chroot_escape $@

build/bed/tiny: $(BED_ROOT) tests/bed/tiny.sh
	tests/bed/tiny.sh $(BED_ROOT) $@
	touch $@

# ---- the machine bed: a host with a kernel, an OS of another release, and the key that both take. Kept in build/vm for all build directories, but for
# the OS's disk, which holds a chroot_escape.
VM_KEY = build/vm/key
VM_BED = build/vm/vps.img build/vm/os.tar $(BUILD)/vm/os.img

$(VM_KEY): | deps-vm
	@mkdir -p $(@D)
	@ssh-keygen -q -t ed25519 -N '' -C gcdboot-tests -f $@

# Laid over the roots, as root's authorized_keys.
build/vm/authorized: $(VM_KEY)
	@install -D -m 600 $(VM_KEY).pub $@/root/.ssh/authorized_keys
	@chmod 700 $@/root/.ssh
	@touch $@

build/vm/vps.img: FORCE build/vm/authorized | deps-vm
	@tests/bed/vps.sh $@ build/vm/authorized

build/vm/os.tar: FORCE build/vm/authorized | deps-vm
	@tests/bed/root.sh $@ trixie openssh-server,procps,iproute2,kmod,iptables,conntrack,tcpdump tests/bed/vps_os build/vm/authorized

$(BUILD)/vm/os.img: build/vm/os.tar $(BUILD)/chroot_escape tests/bed/image.sh | deps-vm
	tests/bed/image.sh build/vm/os.tar $(BUILD)/chroot_escape $@

# ---- what people type
.PHONY: all demo check check-sanitize check-vm lint format bench install uninstall clean help
demo: all $(BED_ROOT) $(BUILD)/bed/disk.img
	@BUILD=$(BUILD) tests/demo.sh

check: all deps-check $(BUILD)/libparts.a $(UNIT) $(HELPERS) $(BED)
	@BUILD=$(BUILD) tests/run $(TESTS)

# The same tests with AddressSanitizer and UndefinedBehaviorSanitizer in gcdboot and in the unit tests. Leaks are looked for in the
# unit tests only (tests/run_one): LeakSanitizer needs ptrace, which strace takes, and cannot inspect a process that has changed its namespaces.
check-sanitize:
	ASAN_OPTIONS=detect_leaks=0:abort_on_error=1 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 \
		$(MAKE) check SANITIZE=1 BUILD=build/sanitize

# On machines of their own (QEMU, emulated), two at a time; VM_JOBS=1 where others need the processors.
VM_TESTS = $(sort $(filter-out tests/vm/lib.sh,$(wildcard tests/vm/*.sh)))

check-vm: all deps-vm $(VM_HELPERS) $(VM_BED)
	@BUILD=$(BUILD) tests/run $(or $(TESTS),$(VM_TESTS))

# Static, as what they are measured against costs nothing to load.
BENCH = $(patsubst tests/bench/%.c,$(BUILD)/bench/%,$(wildcard tests/bench/*.c))

$(BENCH): $(BUILD)/bench/%: tests/bench/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call show,LINK,$@)
	$(Q)$(CC) -O2 -D_GNU_SOURCE $(WARN) -static -o $@ $<

bench: all deps-bench $(BENCH)
	@BUILD=$(BUILD) tests/bench/run

SHELL_FILES = $(sort tests/run tests/run_one tests/deps .ci/run $(wildcard tests/*.sh tests/bed/*.sh tests/system/*.sh tests/vm/*.sh tests/bench/run tests/bench/shell_loop) \
	$(wildcard tests/bed/gcdos/etc/init.d/* tests/bed/gcdos/etc/rc.d/* tests/bed/*/service/*/run tests/bed/*/service/*/log/run conf/rc.local))
LINT_C = $(sort $(GCDBOOT_C) $(wildcard escape/*.c tests/unit/*.c tests/system/*.c tests/vm/*.c tests/bench/*.c))
LINT_H = $(sort $(wildcard gcdboot/*.h conf/*.h escape/*.h tests/*/*.h))
MAN = $(wildcard gcdboot/gcdboot.8 escape/chroot_escape.8 conf/gcdboot.conf.5)

# The code as clang-format wants it.
format:
	clang-format -i $(LINT_C) $(LINT_H)

# Each linter is a target of its own: `make -k lint` runs them all, also where one has something to say.
LINT = lint-format lint-cppcheck lint-shell lint-man lint-tidy
.PHONY: $(LINT)
lint: $(LINT)
$(LINT): | deps-lint

lint-format:
	clang-format --dry-run -Werror $(LINT_C) $(LINT_H)

# memleak: it does not know __attribute__((cleanup)). It cannot read the macros of the unit tests.
lint-cppcheck:
	cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr --error-exitcode=1 -D_GNU_SOURCE \
		-DGCDBOOT_VERSION='"$(VERSION)"' --suppress=missingIncludeSystem --suppress=memleak $(filter-out tests/unit/%,$(LINT_C))

# SC2016: tests hand '$$...' to another shell on purpose. SC2001: sed says some things better. SC2119: boot() and its like take options.
lint-shell:
	shellcheck -x -e SC2016,SC2001,SC2119 $(SHELL_FILES)

lint-man:
	$(if $(MAN),mandoc -Tlint -W warning $(MAN))

lint-tidy:
	@printf '%s\n' $(LINT_C) | xargs -P "$$(nproc)" -I FILE sh -c 'echo "  TIDY	FILE"; clang-tidy --quiet FILE -- $(TIDY_CFLAGS) 2>/dev/null'

TIDY_CFLAGS = -std=c17 -D_GNU_SOURCE -DGCDBOOT_VERSION=\"$(VERSION)\" $(LIB_CFLAGS)

install: all
	install -d $(DESTDIR)$(sbindir) $(DESTDIR)$(mandir)/man5 $(DESTDIR)$(mandir)/man8 $(DESTDIR)$(docdir) $(DESTDIR)$(unitdir) $(DESTDIR)$(confdir)
	install -m 755 $(BUILD)/gcdboot $(BUILD)/chroot_escape $(DESTDIR)$(sbindir)
	$(foreach page,$(MAN),install -m 644 $(page) $(DESTDIR)$(mandir)/man$(subst .,,$(suffix $(page))) &&) true
	$(foreach unit,$(wildcard systemd/*.service),sed 's|/usr/local/sbin/|$(sbindir)/|g' $(unit) >$(DESTDIR)$(unitdir)/$(notdir $(unit)) && \
		chmod 644 $(DESTDIR)$(unitdir)/$(notdir $(unit)) &&) true
	install -m 644 $(SAMPLES) $(DESTDIR)$(docdir)
	@new=$(DESTDIR)$(confdir)/default.conf; \
	if [ -e "$$new" ] && ! cmp -s conf/default.conf "$$new"; then \
		echo "$$new is yours and stays; the sample goes to $$new.new"; new=$$new.new; \
	fi; \
	install -m 644 conf/default.conf "$$new"

SAMPLES = $(wildcard README.md CHANGELOG.md LICENSE systemd/*.conf) $(filter-out conf/gcdboot.conf.5 %.c %.h,$(wildcard conf/*))

# The configuration is the person's: it stays.
uninstall:
	rm -f $(DESTDIR)$(sbindir)/gcdboot $(DESTDIR)$(sbindir)/chroot_escape
	rm -f $(foreach page,$(MAN),$(DESTDIR)$(mandir)/man$(subst .,,$(suffix $(page)))/$(notdir $(page)))
	rm -f $(addprefix $(DESTDIR)$(unitdir)/,$(notdir $(wildcard systemd/*.service)))
	rm -f $(addprefix $(DESTDIR)$(docdir)/,$(notdir $(SAMPLES)))
	-rmdir $(DESTDIR)$(docdir)

clean:
	rm -rf $(BUILD)

help:
	@echo 'make                 build $(BUILD)/gcdboot and $(BUILD)/chroot_escape'
	@echo 'sudo make demo       the whole story on a disk image, on this machine; leaves nothing behind'
	@echo 'sudo make check      all tests; TESTS="tests/unit/plan_test.c tests/system/00_bed.sh" runs these only'
	@echo 'sudo make check-sanitize   the same with AddressSanitizer and UndefinedBehaviorSanitizer'
	@echo 'sudo make check-vm   on emulated machines that start from power-on; VM_JOBS=1: one at a time instead of two'
	@echo 'make lint            clang-format, clang-tidy, cppcheck, shellcheck, mandoc'
	@echo 'sudo make bench      times, beside a bare mount loop, a shell loop and bubblewrap'
	@echo 'sudo make install    into PREFIX=$(PREFIX); DESTDIR= is put before it'
	@echo 'sudo make uninstall  takes it away again, but for $(confdir)'
	@echo 'sudo make deps       the packages for all but check-vm, lint and bench (deps-vm, deps-lint, deps-bench)'
	@echo 'make clean           removes $(BUILD)'
	@echo 'variables: CC=clang  BUILD=dir  WERROR=1  SANITIZE=1  V=1 (show the commands)  CFLAGS= LDFLAGS= (added)'

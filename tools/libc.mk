# The libc of link mode: musl, from Debian's source, with libc/ in front: build/lib/libc.a and
# build/lib/include. build/lib/libnosys.a has the calls that the kernel does not have.
MUSL_VERSION := 1.2.3
MUSL_SHA256 := 7d5b0b6062521e4627e099e4c9dc8248d32a30285e959b7eecaa780cf8cfd4a4
MUSL_TAR := $(B)/src/musl_$(MUSL_VERSION).orig.tar.gz
MUSL_DIR := $(B)/musl
MUSL_SRC := $(MUSL_DIR)/musl-$(MUSL_VERSION)
LIBC_OWN := $(wildcard libc/*.c libc/*.S libc/arch/*.h) libc/musl.mk
# The caller's jobs when make runs with -j, else all CPUs: one at a time takes a minute.
LIBC_JOBS = $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell nproc))

.PHONY: libc
all: libc
libc: $(B)/lib/libc.a $(B)/lib/libnosys.a $(B)/lib/include/.installed

$(MUSL_TAR):
	@echo "musl $(MUSL_VERSION): fetching Debian's source"
	@mkdir -p $(@D)
	tools/fetch-source.sh musl $(MUSL_VERSION) $(MUSL_SHA256) $@
# With the fix of CVE-2025-26519 (iconv from EUC-KR: a lead byte's bound), which the tarball lacks.
$(MUSL_SRC)/.unpacked: | $(MUSL_TAR)
	@mkdir -p $(MUSL_DIR)
	tar -xf $(MUSL_TAR) -C $(MUSL_DIR)
	sed -i 's/c >= 93 || c>=0xc6-0x81 && d>0x52/c > 0xc6-0x81 || c==0xc6-0x81 \&\& d>0x52/' $(MUSL_SRC)/src/locale/iconv.c
	grep -q 'c > 0xc6-0x81 ||' $(MUSL_SRC)/src/locale/iconv.c
	@touch $@
$(MUSL_DIR)/config.mak: tools/libc.mk
	@mkdir -p $(@D)
	@printf '%s\n' 'srcdir = musl-$(MUSL_VERSION)' 'lith = $(CURDIR)' 'gen = $(abspath $(B)/gen/link)' \
	    'includedir = $(abspath $(B)/lib/include)' 'include $$(lith)/libc/musl.mk' > $@
$(B)/gen/link/gates.inc: libc/gen.sh
	libc/gen.sh gates $@
	@touch $@
$(B)/lib/libc.a: $(LIBC_OWN) $(MUSL_DIR)/config.mak $(MUSL_SRC)/.unpacked $(B)/gen/link/gates.inc | $(B)/lib/include/.installed
	@mkdir -p $(@D)
	@echo "musl $(MUSL_VERSION): compiling"
	@+$(MAKE) -s --no-print-directory $(LIBC_JOBS) -C $(MUSL_DIR) -f musl-$(MUSL_VERSION)/Makefile lib/libc.a
	cp $(MUSL_DIR)/lib/libc.a $@
# musl's headers, and Linux's own (linux/futex.h): glibc's folder would bring glibc's as well.
$(B)/lib/include/.installed: $(MUSL_DIR)/config.mak $(MUSL_SRC)/.unpacked libc/musl.mk $(B)/gen/link/gates.inc
	@mkdir -p $(@D)
	@+$(MAKE) -s --no-print-directory $(LIBC_JOBS) -C $(MUSL_DIR) -f musl-$(MUSL_VERSION)/Makefile install-headers
	@for d in linux asm-generic mtd; do ln -sfn /usr/include/$$d $(@D)/$$d; done
	@ln -sfn /usr/include/$$($(CC) -print-multiarch)/asm $(@D)/asm
	@touch $@
$(B)/gen/nosys.S: libc/gen.sh $(B)/gen/syscalls.inc
	libc/gen.sh nosys $(B)/gen/syscalls.list $@
	@touch $@
$(B)/lib/libnosys.a: $(B)/gen/nosys.S
	@mkdir -p $(@D)
	$(CC) -c -o $(B)/gen/nosys.o $<
	@rm -f $@
	ar rcs $@ $(B)/gen/nosys.o

# The C++ library of link mode (`make cxx`): libstdc++ with libsupc++, and the unwinder of libgcc, from the gcc
# source that Debian packages for its own compiler, built for musl: build/lib/libstdc++.a, libgcc_eh.a and
# include/c++. Not part of `make`: it takes a minute or two, and a download of 83 MB.
GCC_VERSION := 12.2.0
GCC_PACKAGE := gcc-12-source
GCC_PACKAGE_VERSION := 12.2.0-14+deb12u1
GCC_SHA256 := 8f2a5411028dfe216aeb6346b926df0cc7471f375c6a375bf180fbf279af02a1
GCC_DEB := $(B)/src/$(GCC_PACKAGE)_$(GCC_PACKAGE_VERSION)_all.deb
CXX_DIR := $(B)/cxx
CXX_SRC := $(CXX_DIR)/gcc-$(GCC_VERSION)
# What of the tarball is unpacked: the library, and the pieces that it takes from its neighbours.
CXX_PARTS := libstdc++-v3 libgcc/*.h libgcc/unwind* libgcc/config/no-unwind.h libiberty/cp-demangle.[ch] include config \
    gcc/BASE-VER gcc/DATESTAMP gcc/DEV-PHASE gcc/tsystem.h config.sub config.guess config.rpath config-ml.in install-sh ltmain.sh missing \
    mkinstalldirs move-if-change depcomp compile libtool.m4 libtool-ldflags lt*.m4
CXX_NOT := libstdc++-v3/testsuite/*/* libstdc++-v3/doc/html libstdc++-v3/doc/xml
# Without futex of its own: syscall() would keep the whole kernel in each program; pthread's waits do the same.
# `lith-cc`, and not `lith-c++`: that would link the library that is not there yet.
CXX_CONFIGURE = --build=x86_64-linux-gnu --host=x86_64-linux-musl --with-cross-host=x86_64-linux-gnu \
    --disable-shared --disable-multilib --disable-nls --disable-libstdcxx-pch --disable-linux-futex --disable-cet --disable-werror \
    --prefix=/usr --libdir=/lib --with-gxx-include-dir=/include \
    CC=$(abspath $(B)/bin/lith-cc) CXX="$(abspath $(B)/bin/lith-cc) -nostdinc++" CPP="$(abspath $(B)/bin/lith-cc) -E" \
    CFLAGS=-O2 CXXFLAGS=-O2 AR=ar RANLIB=ranlib NM=nm STRIP=strip
# A makefile's own rules and jobs, not ours.
CXX_MAKE = env -u MAKEFLAGS -u MFLAGS -u LITH_LIB $(firstword $(MAKE)) -s -C $(CXX_DIR)/build

.PHONY: cxx
cxx: $(B)/lib/libstdc++.a $(B)/lib/libgcc_eh.a
# The script fetches nothing when the file is there and is the right one.
$(CXX_SRC)/.unpacked: tools/cxx.mk
	@mkdir -p $(dir $(GCC_DEB)) $(CXX_DIR)
	@[ -e $(GCC_DEB) ] || echo "libstdc++ $(GCC_VERSION): fetching Debian's $(GCC_PACKAGE), 83 MB"
	@tools/fetch-package.sh $(GCC_PACKAGE) $(GCC_PACKAGE_VERSION) $(GCC_SHA256) $(GCC_DEB)
	@rm -rf $(CXX_SRC)
	@mkdir -p $(CXX_SRC)
	@dpkg-deb --fsys-tarfile $(GCC_DEB) 2>/dev/null | tar -xO ./usr/src/gcc-12/gcc-$(GCC_VERSION)-dfsg.tar.xz | \
	    tar -xJ -C $(CXX_SRC) --strip-components=1 --wildcards --no-wildcards-match-slash \
	    $(CXX_NOT:%=--exclude='gcc-$(GCC_VERSION)/%') $(CXX_PARTS:%='gcc-$(GCC_VERSION)/%')
	@touch $@
# The unwinder. The host's refers to threads weakly, which in a static program without them ends in nothing.
# Of the headers that gcc's configuration makes, it needs these names only.
CXX_EH_FLAGS := -O2 -fexceptions -fbuilding-libgcc -DIN_GCC -DSUPPORTS_WEAK=1 -DGTHREAD_USE_WEAK=0 -DHAVE_LD_EH_FRAME_HDR \
    -DTARGET_DL_ITERATE_PHDR '-DDWARF_REG_TO_UNWIND_COLUMN(r)=(r)' -I$(CXX_DIR)/libgcc -I$(CXX_SRC)/libgcc -I$(CXX_SRC)/gcc \
    -I$(CXX_SRC)/include
CXX_EH_OBJS := $(addprefix $(CXX_DIR)/libgcc/,unwind-dw2.o unwind-dw2-fde-dip.o unwind-c.o)
$(CXX_DIR)/libgcc/gthr-default.h: $(CXX_SRC)/.unpacked
	@mkdir -p $(@D)
	@touch $(addprefix $(@D)/,tconfig.h tm.h libgcc_tm.h coretypes.h auto-target.h)
	@cp $(CXX_SRC)/libgcc/unwind-generic.h $(@D)/unwind.h
	@cp $(CXX_SRC)/libgcc/config/no-unwind.h $(@D)/md-unwind-support.h
	@cp $(CXX_SRC)/libgcc/gthr-posix.h $@
$(CXX_EH_OBJS): $(CXX_DIR)/libgcc/gthr-default.h | all
	@$(B)/bin/lith-cc $(CXX_EH_FLAGS) -c $(CXX_SRC)/libgcc/$(notdir $(@:.o=.c)) -o $@
$(B)/lib/libgcc_eh.a: $(CXX_EH_OBJS)
	@rm -f $@
	@ar rcs $@ $(CXX_EH_OBJS)
# Of the libc, with unwind tables: what calls the program back, and pthread_once of our own.
CXX_LIBC_OBJS := $(CXX_DIR)/libc/once.o
$(CXX_LIBC_OBJS): libc/once.c libc/musl.mk $(MUSL_SRC)/.unpacked | all
	@mkdir -p $(@D)
	@+$(MAKE) -s --no-print-directory -C $(MUSL_DIR) -f musl-$(MUSL_VERSION)/Makefile call_back
	@cp $(MUSL_DIR)/obj/src/stdlib/qsort.lo $(@D)/qsort.o
	@cp $(MUSL_DIR)/obj/src/stdlib/qsort_nr.lo $(@D)/qsort_nr.o
	@cp $(MUSL_DIR)/obj/src/stdlib/bsearch.lo $(@D)/bsearch.o
	@$(B)/bin/lith-cc -O2 -std=gnu11 -fexceptions -Wall -Wextra -Werror -c $< -o $@
# The makefiles find gcc's thread model beside their folder, as in a build of the whole of gcc.
$(CXX_DIR)/.installed: $(CXX_SRC)/.unpacked $(CXX_DIR)/libgcc/gthr-default.h $(MUSL_SRC)/.unpacked | all
	@command -v g++ >/dev/null || { echo "cxx: g++ is not installed (make deps)" >&2; exit 1; }
	@echo "libstdc++ $(GCC_VERSION): configuring and compiling (log: $(CXX_DIR)/log)"
	@rm -rf $(CXX_DIR)/build $(CXX_DIR)/install
	@mkdir -p $(CXX_DIR)/build
	@{ (cd $(CXX_DIR)/build && env -u LITH_LIB ../gcc-$(GCC_VERSION)/libstdc++-v3/configure $(CXX_CONFIGURE)) && \
	    $(CXX_MAKE) -j$(shell nproc) && $(CXX_MAKE) install DESTDIR=$(abspath $(CXX_DIR))/install; } \
	    >$(CXX_DIR)/log 2>&1 || { tail -n 20 $(CXX_DIR)/log; exit 1; }
	@rm -rf $(CXX_DIR)/build
	@touch $@
# The archive comes last: with it the driver takes the library for complete.
$(B)/lib/libstdc++.a: $(CXX_DIR)/.installed $(CXX_LIBC_OBJS) $(B)/lib/libgcc_eh.a
	@rm -rf $@ $(B)/lib/include/c++
	@cp -r $(CXX_DIR)/install/include $(B)/lib/include/c++
	@find $(CXX_DIR)/install \( -name 'libsupc++.a' -o -name 'libstdc++fs.a' \) -exec cp {} $(B)/lib \;
	@find $(CXX_DIR)/install -name 'libstdc++.a' -exec cp {} $@.new \;
	@ar rs $@.new $(CXX_DIR)/libc/*.o
	@mv $@.new $@

# Link mode's tests: the libc as ordinary Linux processes (tests/link/libc, run by tests/link/libc.sh).
LINK_TESTS_DIR := $(B)/tests/link/libc
LINK_LIBC_PROGRAMS := $(patsubst tests/link/libc/%.c,%,$(filter-out %/host.c,$(wildcard tests/link/libc/*.c)))
LINK_LIBC_HOST := $(LINK_TESTS_DIR)/host.S.o $(LINK_TESTS_DIR)/host.o $(LINK_TESTS_DIR)/gates.o
LINK_LIBC_CFLAGS := -std=gnu11 -O2 -g -MMD -MP $(CFLAGS_WARN) -fPIE -ffunction-sections -fdata-sections -fcf-protection=none \
    -nostdinc -isystem $(B)/lib/include -isystem $(shell $(CC) -print-file-name=include)
.PHONY: link-tests
.SECONDARY: $(LINK_LIBC_PROGRAMS:%=$(LINK_TESTS_DIR)/%.o)
link-tests: cxx $(LINK_LIBC_PROGRAMS:%=$(LINK_TESTS_DIR)/%)
$(LINK_TESTS_DIR)/%: $(LINK_TESTS_DIR)/%.o $(LINK_LIBC_HOST) $(B)/lib/libc.a
	ld.lld -pie --no-dynamic-linker -Bsymbolic --gc-sections -z start-stop-gc -z noexecstack -z relro \
	    -o $@ $(LINK_LIBC_HOST) $< $(B)/lib/libc.a $(shell $(CC) -print-libgcc-file-name)
$(LINK_TESTS_DIR)/host.S.o: tests/link/libc/host.S
	@mkdir -p $(@D)
	$(CC) -c $< -o $@
$(LINK_TESTS_DIR)/%.o: tests/link/libc/%.c $(B)/lib/include/.installed
	@mkdir -p $(@D)
	$(CC) $(LINK_LIBC_CFLAGS) $(if $(filter host,$*),-fno-stack-protector,-fstack-protector-strong) -c $< -o $@
# Every call of Linux, by the generator of libnosys.a; link_gate passes it through.
$(LINK_TESTS_DIR)/gates.S: libc/gen.sh
	libc/gen.sh nosys /dev/null $@
	@touch $@
$(LINK_TESTS_DIR)/gates.o: $(LINK_TESTS_DIR)/gates.S
	$(CC) -c $< -o $@
-include $(wildcard $(LINK_TESTS_DIR)/*.d)
# C++ (tests/link/cxx.sh): each program once for instances and once for this host; and two of Debian's sources.
CXX_TESTS_DIR := $(B)/tests/link/cxx
CXX_TESTS := $(patsubst tests/link/cxx/%.cc,$(CXX_TESTS_DIR)/%,$(wildcard tests/link/cxx/*.cc))
CXX_TESTS_FLAGS := -std=gnu++20 -O2 -Wall -Wextra -Werror -pthread
JSONCPP_SRC := $(CXX_TESTS_DIR)/libjsoncpp-1.9.5
link-tests: $(CXX_TESTS) $(CXX_TESTS:%=%.native) $(CXX_TESTS_DIR)/jsoncpp $(CXX_TESTS_DIR)/lzip.native/lzip
$(CXX_TESTS): $(CXX_TESTS_DIR)/%: tests/link/cxx/%.cc $(B)/lib/libstdc++.a $(B)/lib/libc.a $(B)/lib/liblith.a $(B)/bin/lith-cc
	@mkdir -p $(@D)
	$(B)/bin/lith-c++ $(CXX_TESTS_FLAGS) -o $@ $<
$(CXX_TESTS_DIR)/%.native: tests/link/cxx/%.cc
	@mkdir -p $(@D)
	g++ $(CXX_TESTS_FLAGS) -o $@ $<
$(JSONCPP_SRC)/.unpacked:
	@mkdir -p $(@D)
	tools/fetch-source.sh libjsoncpp 1.9.5 f409856e5920c18d0c2fb85276e24ee607d2a09b5e7d5f0a371368903c275da2 $(B)/src/libjsoncpp_1.9.5.orig.tar
	tar -xf $(B)/src/libjsoncpp_1.9.5.orig.tar -C $(@D) --strip-components=1
	@touch $@
$(CXX_TESTS_DIR)/jsoncpp: $(JSONCPP_SRC)/.unpacked $(B)/lib/libstdc++.a $(B)/lib/libc.a $(B)/lib/liblith.a $(B)/bin/lith-cc
	$(B)/bin/lith-c++ -O1 -w -I$(JSONCPP_SRC)/include $(JSONCPP_SRC)/src/*_json/*.cpp -o $@
$(CXX_TESTS_DIR)/lzip.native/lzip: | example-lzip
	@mkdir -p $(@D)
	cd $(@D) && $(abspath $(B))/examples/lzip/src/configure CXX=g++ >/dev/null
	env -u MAKEFLAGS -u MFLAGS $(firstword $(MAKE)) -s -C $(@D) lzip
# Lua 5.1 with Lua's own tests (tests/link/lua.sh): Debian has the suite of this version only, in gopher-lua's source.
LUA51_DIR := $(B)/tests/link/lua51
LUA51_SUITE := golang-github-yuin-gopher-lua
LUA51_SUITE_VERSION := 0.0~git20170915.0.eb1c729
link-tests: $(LUA51_DIR)/image/lua $(LUA51_DIR)/lua.native $(LUA51_DIR)/image/t/all.lua
$(LUA51_DIR)/src/Makefile:
	@mkdir -p $(LUA51_DIR)
	tools/fetch-source.sh lua5.1 5.1.5 2640fc56a795f29d28ef15e13c34a47e223960b0240e8cb0a82d9b0738695333 $(B)/src/lua5.1_5.1.5.orig.tar
	tar -xf $(B)/src/lua5.1_5.1.5.orig.tar -C $(LUA51_DIR) --strip-components=1
	@touch $@
$(LUA51_DIR)/image/lua: $(LUA51_DIR)/src/Makefile $(B)/lib/libc.a $(B)/lib/liblith.a $(B)/bin/lith-cc
	@mkdir -p $(@D)
	$(B)/bin/lith-cc -O2 -w -DLUA_USE_POSIX $$(ls $(LUA51_DIR)/src/*.c | grep -v -e luac.c -e print.c) -lm -o $@
$(LUA51_DIR)/lua.native: $(LUA51_DIR)/src/Makefile
	$(CC) -O2 -w -DLUA_USE_POSIX $$(ls $(LUA51_DIR)/src/*.c | grep -v -e luac.c -e print.c) -lm -o $@
$(LUA51_DIR)/image/t/all.lua:
	@mkdir -p $(@D)
	tools/fetch-source.sh $(LUA51_SUITE) $(LUA51_SUITE_VERSION) 4930565f2f9596a0a47bc84b8c4c535655e8c3206b0d8dd8d2728803dab996e7 \
	    $(B)/src/$(LUA51_SUITE).orig.tar
	tar -xf $(B)/src/$(LUA51_SUITE).orig.tar -C $(@D) --strip-components=2 gopher-lua/_lua5.1-tests
	@touch $@

# Tests. A unit test or fuzz target is one file that names the sources it tests, in one line:
#   // links: kernel/net/tcp.c kernel/net/ip.c tests/unit/fake_sched.c -lzydis
# Kernel sources are compiled for the host (kernel headers, hosted libc) with ASan and UBSan.
UNIT_SRCS := $(wildcard tests/unit/test_*.c)
UNIT_BINS := $(UNIT_SRCS:tests/unit/%.c=$(B)/tests/unit/%)
FUZZ_SRCS := $(wildcard tests/fuzz/fuzz_*.c)
FUZZ_BINS := $(FUZZ_SRCS:tests/fuzz/%.c=$(B)/tests/fuzz/%)
links = $(shell sed -n 's|^// links: *||p' $(1))
TEST_CFLAGS := -std=gnu11 -g -O1 -I. -Ikernel -Ihost -D_GNU_SOURCE -DLITH_HOSTED $(CFLAGS_WARN) \
    -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -fno-strict-aliasing
.SECONDEXPANSION:
test_deps = $(filter %.c,$(call links,$(1))) $(wildcard $(sort $(dir $(filter %.c,$(call links,$(1)))))*.h) $(wildcard kernel/*/*.h abi/*.h)
$(B)/tests/unit/%: tests/unit/%.c $$(call test_deps,tests/unit/$$*.c)
	@mkdir -p $(@D)
	$(CC) $(TEST_CFLAGS) -o $@ $< $(filter %.c,$(call links,$<)) $(filter-out %.c,$(call links,$<)) -lcmocka
$(B)/tests/fuzz/%: tests/fuzz/%.c $$(call test_deps,tests/fuzz/$$*.c)
	@mkdir -p $(@D)
	$(CLANG) $(TEST_CFLAGS) -fsanitize=fuzzer -Wno-unknown-warning-option -o $@ $< $(filter %.c,$(call links,$<)) $(filter-out %.c,$(call links,$<))

FUZZ_SECONDS ?= 30
.PHONY: unit fuzzers fuzz check guest-tests
unit: $(UNIT_BINS)
fuzzers: $(FUZZ_BINS)
fuzz: fuzzers
	@FUZZ_SECONDS=$(if $(filter command line,$(origin FUZZ_SECONDS)),$(FUZZ_SECONDS),600) tests/run.sh fuzz

# Programs that run inside instances: ordinary Linux programs, static (*.static.c) or dynamic.
GUEST_SRCS := $(wildcard tests/guest/*.c)
GUEST_BINS := $(GUEST_SRCS:tests/guest/%.c=$(B)/tests/guest/%)
guest-tests: $(GUEST_BINS)
GUEST_CFLAGS := -std=gnu11 -O1 -g -fstack-protector-strong -D_GNU_SOURCE $(CFLAGS_WARN) -pthread
$(B)/tests/guest/%.static: tests/guest/%.static.c
	@mkdir -p $(@D)
	$(CC) $(GUEST_CFLAGS) -static -o $@ $<
$(B)/tests/guest/%: tests/guest/%.c
	@mkdir -p $(@D)
	$(CC) $(GUEST_CFLAGS) -o $@ $<

check:
	@tools/deps.sh
	@$(MAKE) -s --no-print-directory -j$(shell nproc) all unit fuzzers guest-tests native-tests link-tests examples
	@tests/run.sh all
# The hostile program of the process machine (tests/process).
guest-tests: $(B)/tests/process/hostile
$(B)/tests/process/hostile: tests/process/hostile.c
	@mkdir -p $(@D)
	$(CC) $(GUEST_CFLAGS) -static -o $@ $<

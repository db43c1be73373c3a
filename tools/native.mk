# The native proof: rewritten Debian programs as ordinary processes behind a pass-through gate,
# under a seccomp filter that kills any system call from elsewhere (tests/native/run.sh).
NATIVE_DIR := $(B)/tests/native
.PHONY: native-tests
native-tests: $(NATIVE_DIR)/launcher $(NATIVE_DIR)/rewrite_file $(NATIVE_DIR)/omp
$(NATIVE_DIR)/launcher: tests/native/launcher.c tests/native/gate.S abi/gate.h abi/layout.h
	@mkdir -p $(@D)
	$(CC) $(filter-out -MMD -MP,$(HOST_CFLAGS)) -o $@ tests/native/launcher.c tests/native/gate.S
$(NATIVE_DIR)/rewrite_file: tests/native/rewrite_file.c $(wildcard host/image/rewrite/*.c host/image/rewrite/*.h)
	@mkdir -p $(@D)
	$(CC) $(filter-out -MMD -MP,$(HOST_CFLAGS)) -o $@ $(filter %.c,$^) -lZydis -ljansson
$(NATIVE_DIR)/omp: tests/native/omp.c
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -O1 $(CFLAGS_WARN) -fopenmp -o $@ $<

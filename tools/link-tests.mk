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

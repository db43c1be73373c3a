# The app tests (tests/apps): their lossy link. `make check` gets it through guest-tests.
.PHONY: apps-tests
guest-tests: apps-tests
apps-tests: $(B)/tests/apps/lossy
$(B)/tests/apps/lossy: tests/apps/lossy.c
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -g -O2 -D_GNU_SOURCE $(CFLAGS_WARN) -o $@ $<

# Benchmarks. Each prints a table; docs/performance.md holds results with their commands.
.PHONY: bench-start bench-raw
bench: bench-start bench-raw
bench-start: all $(B)/bench/first_byte
	@bench/start.sh
$(B)/bench/first_byte: bench/first_byte.c
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -g -O2 -D_GNU_SOURCE $(CFLAGS_WARN) -o $@ $<
bench-raw: all
	@bench/raw.sh

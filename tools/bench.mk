# Benchmarks. Each prints a table; docs/performance.md holds results with their commands.
.PHONY: bench-start bench-raw
bench: bench-start bench-raw
bench-start: all $(B)/bench/first_byte
	@bench/start.sh
$(B)/bench/first_byte: bench/first_byte.c
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -g -O2 -D_GNU_SOURCE $(CFLAGS_WARN) -o $@ $<

# Link mode (bench/link.sh): our examples, and what they are compared with.
.PHONY: bench-link
bench: bench-link
BENCH_LINK := $(addprefix $(B)/bench/,first_output null_call null_call.linked hello http sqlite/speedtest1)
bench-link: all examples $(BENCH_LINK)
	@+$(MAKE) -s --no-print-directory -C examples/sqlite speedtest
	@bench/link.sh
$(B)/bench/first_output $(B)/bench/null_call: $(B)/bench/%: bench/%.c
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -O2 -D_GNU_SOURCE $(CFLAGS_WARN) -o $@ $<
$(B)/bench/null_call.linked: bench/null_call.c examples
	@mkdir -p $(@D)
	$(B)/bin/lith-cc -std=gnu11 -O2 -D_GNU_SOURCE $(CFLAGS_WARN) -o $@ $<
$(B)/bench/hello: examples/hello/hello.c
$(B)/bench/http: examples/http/http.c
$(B)/bench/hello $(B)/bench/http:
	@mkdir -p $(@D)
	$(CC) -O2 -D_GNU_SOURCE $(CFLAGS_WARN) -o $@ $<
# The same speedtest1 as a Linux program; its generated sources are the example's.
$(B)/bench/sqlite/speedtest1: examples
	@mkdir -p $(@D)
	@+$(MAKE) -s --no-print-directory -C examples/sqlite speedtest CC=$$(command -v $(CC)) WORK=$(abspath $(@D)) \
	    SRC=$(abspath $(B))/examples/sqlite/src GEN=$(abspath $(B))/examples/sqlite/gen >/dev/null
bench-raw: all
	@bench/raw.sh
.PHONY: bench-http
bench: bench-http
bench-http: all
	@bench/http.sh

# Benchmarks; docs/performance.md holds results with their commands.
#   make bench          everything beside native Linux (bench/bench.c), some 15 minutes; needs root
#   make bench-quick    the same with short loads and three rounds, below 3 minutes
#   PLATFORMS="process kvm"   which, beside native; with qemu comes linux-guest (full bench only)
#   CASES="nginx redis udp speedtest1 calls start memory sizes", and "profile"
#   ROUNDS=7 LOAD_SECONDS=3 NICE=-15
#   BENCH_TREE=../other       another tree's build/bin/lith and kernel, by this tree's bench
.PHONY: bench bench-quick bench-smoke bench-tools bench-programs bench-start bench-raw
BENCH_TREE ?= $(CURDIR)
BENCH_OPTIONS = --out $(B)/bench --tree $(BENCH_TREE) $(if $(PLATFORMS),--platforms "$(PLATFORMS)") \
    $(if $(CASES),--cases "$(CASES)") $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(LOAD_SECONDS),--seconds $(LOAD_SECONDS)) $(if $(NICE),--nice $(NICE))
BENCH_RUN = @BENCH_TREE=$(BENCH_TREE) bench/prepare.sh $(if $(filter qemu linux-guest,$(PLATFORMS)),linux-guest) && \
    cp bench/plots.gp $(B)/bench/ && exec $(B)/bench/bench $(1) $(BENCH_OPTIONS)
bench: bench-tools
	$(call BENCH_RUN,)
bench-quick: bench-tools
	$(call BENCH_RUN,--quick)
bench-smoke: bench-tools
	$(call BENCH_RUN,--smoke)
BENCH_SRCS := $(addprefix bench/,bench.c world.c server.c load.c exits.c profile.c alone.c stats.c report.c)
guest-tests: bench-programs # tests/apps/60-bench.sh
bench-programs: $(addprefix $(B)/bench/,bench calls udp_echo first_byte)
bench-tools: $(if $(filter $(CURDIR),$(BENCH_TREE)),all) bench-programs
	@+$(MAKE) -s --no-print-directory $(B)/bench/sqlite/speedtest1 || \
	    echo "bench: no speedtest1, its sources could not be fetched"
$(B)/bench/bench: $(BENCH_SRCS) bench/bench.h
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -g -O2 -D_GNU_SOURCE -I. $(CFLAGS_WARN) -o $@ $(BENCH_SRCS) -lm
$(B)/bench/calls $(B)/bench/udp_echo: $(B)/bench/%: bench/%.c
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -g -O2 -D_GNU_SOURCE $(CFLAGS_WARN) -pthread -o $@ $<

bench-start: all $(B)/bench/first_byte
	@bench/start.sh
$(B)/bench/first_byte: bench/first_byte.c
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -g -O2 -D_GNU_SOURCE $(CFLAGS_WARN) -o $@ $<

# Link mode (bench/link.sh): our examples, and what they are compared with.
.PHONY: bench-link
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
# The same speedtest1 as a Linux program.
$(B)/bench/sqlite/speedtest1:
	@+$(MAKE) -s --no-print-directory -C examples/sqlite speedtest CC=$(CC) LIBS= WORK=$(abspath $(B))/bench/sqlite
bench-raw: all
	@bench/raw.sh
.PHONY: bench-http
bench: bench-http
bench-http: all
	@bench/http.sh

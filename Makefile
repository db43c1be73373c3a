# Lith: build. `make help` lists the targets.
MAKEFLAGS += --no-builtin-rules
.DEFAULT_GOAL := all
B := build
CC := gcc
CLANG := clang
CFLAGS_WARN := -Wall -Wextra -Werror -Wshadow -Wpointer-arith -Wcast-qual -Wwrite-strings -Wvla
CFLAGS_COMMON := -std=gnu11 -g -MMD -MP -I. $(CFLAGS_WARN)

include tools/kernel.mk
include tools/host.mk
include tools/libc.mk
include tools/cxx.mk
include tools/monitor.mk
include tools/tests.mk
include tools/link-tests.mk
include tools/examples.mk
include tools/svm.mk
include tools/native.mk
include tools/apps.mk
include tools/bench.mk

.PHONY: all help deps demo check lint fuzz bench clean format
all: kernel host

help:
	@echo "make            build everything into build/"
	@echo "make demo       set up, build, and serve a page from Debian's nginx in a unikernel"
	@echo "                (KEEP=1 leaves it running, PORT=N takes another port than 8080)"
	@echo "make cxx        the C++ library of link mode (lith-c++); fetches 83 MB"
	@echo "make examples   programs of link mode: hello, http, lua, sqlite, redis, lzip (examples/README.md)"
	@echo "make check      set up, build, and run all tests"
	@echo "make deps       install the Debian packages that build, tests and demo need"
	@echo "make bench      everything beside native Linux (needs root); make bench-quick: below 3 minutes;"
	@echo "                parts of it: bench-start, bench-link (docs/performance.md)"
	@echo "make lint       formatting, layering, one public header per folder"
	@echo "make format     clang-format every source file"
	@echo "make fuzz       run the fuzz targets longer (FUZZ_SECONDS=600)"
	@echo "make clean      remove build/"

deps:
	@tools/deps.sh

demo:
	@tools/deps.sh
	@$(MAKE) -s --no-print-directory -j$(shell nproc) all
	@tools/demo.sh

lint:
	@tools/lint.sh

format:
	@git ls-files '*.c' '*.h' '*.cc' | xargs clang-format -i

clean:
	rm -rf $(B)

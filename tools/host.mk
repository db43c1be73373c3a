# Host programs: build/bin/lith (cli + image); the monitor has tools/monitor.mk.
HOST_CFLAGS := $(CFLAGS_COMMON) -O2 -D_GNU_SOURCE -Ihost -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE \
    -ffunction-sections -fdata-sections
COMMON_SRCS := $(wildcard host/common/*.c)
CLI_SRCS := $(wildcard host/cli/*.c) $(wildcard host/image/*.c) $(wildcard host/image/rewrite/*.c) $(COMMON_SRCS)
CLI_LIBS := -lZydis -larchive -ljansson -lcrypto -lelf -lmnl
obj = $(patsubst %,$(B)/obj/%.o,$(1))

.PHONY: host
host: $(if $(wildcard host/cli/*.c),$(B)/bin/lith)
$(B)/bin/lith: $(call obj,$(CLI_SRCS))
	@mkdir -p $(@D)
	$(CC) -pie -Wl,--gc-sections -Wl,-z,relro,-z,now -o $@ $^ $(CLI_LIBS)
$(B)/obj/host/%.c.o: host/%.c
	@mkdir -p $(@D)
	$(CC) $(HOST_CFLAGS) -c $< -o $@
-include $(patsubst %.o,%.d,$(call obj,$(CLI_SRCS)))

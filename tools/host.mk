# Host programs: build/bin/lith (the tool) and build/bin/lith-build (its verbs that make images); the
# monitor has tools/monitor.mk. `lith` is static: the libraries that making images takes would cost
# every `lith run` 6 ms of loading.
HOST_CFLAGS := $(CFLAGS_COMMON) -O2 -D_GNU_SOURCE -Ihost -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE \
    -ffunction-sections -fdata-sections
HOST_LDFLAGS := -Wl,--gc-sections -Wl,-z,relro,-z,now
SHARED_SRCS := $(wildcard host/common/*.c) $(wildcard host/store/*.c)
CLI_SRCS := $(wildcard host/cli/*.c) $(SHARED_SRCS) host/image/rewrite/report.c
CLI_LIBS := -ljansson -lcrypto
IMAGE_SRCS := $(wildcard host/image/*.c) $(wildcard host/image/rewrite/*.c) $(SHARED_SRCS)
IMAGE_LIBS := -lZydis -larchive -ljansson -lcrypto
obj = $(patsubst %,$(B)/obj/%.o,$(1))

.PHONY: host
host: $(B)/bin/lith $(B)/bin/lith-build
$(B)/bin/lith: $(call obj,$(CLI_SRCS))
	@mkdir -p $(@D)
	$(CC) -static-pie $(HOST_LDFLAGS) -o $@ $^ $(CLI_LIBS)
$(B)/bin/lith-build: $(call obj,$(IMAGE_SRCS))
	@mkdir -p $(@D)
	$(CC) -pie $(HOST_LDFLAGS) -o $@ $^ $(IMAGE_LIBS)
$(B)/obj/host/%.c.o: host/%.c
	@mkdir -p $(@D)
	$(CC) $(HOST_CFLAGS) -c $< -o $@
-include $(patsubst %.o,%.d,$(call obj,$(sort $(CLI_SRCS) $(IMAGE_SRCS))))

# Host programs: build/bin/lith (help and `run`), build/bin/lith-image (all other commands) and the
# compiler driver build/bin/lith-cc; the monitor has tools/monitor.mk. `lith` is small, static and built against musl, as the monitor is: its
# own start is part of every instance's. What handling images takes costs 8 ms to load.
HOST_CFLAGS := $(CFLAGS_COMMON) -O2 -D_GNU_SOURCE -Ihost -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE \
    -ffunction-sections -fdata-sections
COMMON_SRCS := $(wildcard host/common/*.c)
CLI_SRCS := $(wildcard host/cli/*.c) $(COMMON_SRCS)
IMAGE_SRCS := $(wildcard host/image/*.c) $(wildcard host/image/rewrite/*.c) $(wildcard host/store/*.c) $(wildcard host/size/*.c) \
    $(COMMON_SRCS)
IMAGE_LIBS := -lZydis -larchive -ljansson -lcrypto -lm
obj = $(patsubst %,$(B)/obj/%.o,$(1))
CLI_OBJS := $(CLI_SRCS:%=$(B)/obj/musl/%.o)

CC_SRCS := $(wildcard host/cc/*.c) $(COMMON_SRCS)
CC_OBJS := $(CC_SRCS:%=$(B)/obj/musl/%.o)

.PHONY: host
host: $(B)/bin/lith $(B)/bin/lith-image $(B)/bin/lith-cc $(B)/bin/lith-c++
# MUSL is set in tools/monitor.mk, which comes later: recipes see it. So does the rule for obj/musl.
$(B)/bin/lith: $(CLI_OBJS)
$(B)/bin/lith-cc: $(CC_OBJS)
$(B)/bin/lith $(B)/bin/lith-cc:
	@mkdir -p $(@D)
	$(CC) -static-pie -nostdlib -nostartfiles -Wl,--gc-sections -Wl,-z,relro,-z,now -Wl,--build-id -o $@ \
	    $(MUSL)/rcrt1.o $(MUSL)/crti.o $^ $(MUSL)/libc.a -lgcc $(MUSL)/crtn.o
$(B)/bin/lith-c++: | $(B)/bin/lith-cc
	ln -sfn lith-cc $@
$(B)/bin/lith-image: $(call obj,$(IMAGE_SRCS))
	@mkdir -p $(@D)
	$(CC) -pie -Wl,--gc-sections -Wl,-z,relro,-z,now -o $@ $^ $(IMAGE_LIBS)
$(B)/obj/host/%.c.o: host/%.c
	@mkdir -p $(@D)
	$(CC) $(HOST_CFLAGS) -c $< -o $@
-include $(patsubst %.o,%.d,$(call obj,$(IMAGE_SRCS))) $(CLI_OBJS:.o=.d) $(CC_OBJS:.o=.d)

# The monitor: a static program against musl, not glibc. glibc's start-up asks CPUID some thirty times and
# resolves its string functions, 0.4 ms where CPUID traps; the monitor needs nothing that it has more.
MUSL := /usr/lib/x86_64-linux-musl
MONITOR_SRCS := $(wildcard host/monitor/*.c)
MONITOR_OBJS := $(MONITOR_SRCS:%=$(B)/obj/musl/%.o)
MONITOR_CFLAGS := $(CFLAGS_COMMON) -O2 -D_GNU_SOURCE -Ihost -fstack-protector-strong -fPIE \
    -ffunction-sections -fdata-sections -fno-asynchronous-unwind-tables \
    -nostdinc -isystem /usr/include/x86_64-linux-musl -isystem $(B)/obj/musl/include \
    -isystem $(shell $(CC) -print-file-name=include)

host: $(if $(MONITOR_SRCS),$(B)/bin/lith-monitor)
$(B)/bin/lith-monitor: $(MONITOR_OBJS)
	@mkdir -p $(@D)
	$(CC) -static-pie -nostdlib -nostartfiles -Wl,--gc-sections -Wl,-z,relro,-z,now -Wl,--build-id -o $@ \
	    $(MUSL)/rcrt1.o $(MUSL)/crti.o $(MONITOR_OBJS) $(MUSL)/libc.a -lgcc $(MUSL)/crtn.o
$(B)/obj/musl/host/%.c.o: host/%.c | $(B)/obj/musl/include
	@mkdir -p $(@D)
	$(CC) $(MONITOR_CFLAGS) -c $< -o $@
# The kernel's own headers (linux/kvm.h): musl has none, and glibc's directory would bring glibc's too.
$(B)/obj/musl/include:
	@mkdir -p $@
	ln -sfn /usr/include/linux $@/linux
	ln -sfn /usr/include/asm-generic $@/asm-generic
	ln -sfn /usr/include/$(shell $(CC) -print-multiarch)/asm $@/asm
-include $(MONITOR_OBJS:.o=.d)

# The kernel: one ELF, build/kernel/lith (stripped) and build/kernel/lith.debug beside it.
# Folders in layering order; every .c and .S file in them belongs to the kernel.
KERNEL_DIRS := lib arch/x86_64 plat plat/kvm plat/pvh plat/process core mm sched dev fs net lith linux
KERNEL_SRCS := $(sort $(foreach d,$(KERNEL_DIRS),$(wildcard kernel/$(d)/*.c kernel/$(d)/*.S)))
KERNEL_OBJS := $(KERNEL_SRCS:%=$(B)/obj/%.o)
KERNEL_CFLAGS := $(CFLAGS_COMMON) -O2 -Ikernel -ffreestanding -fno-strict-aliasing -fwrapv \
    -mgeneral-regs-only -mno-red-zone -fPIE -fvisibility=hidden -mcmodel=small \
    -fstack-protector-strong -mstack-protector-guard=global -fno-asynchronous-unwind-tables -fno-omit-frame-pointer \
    -ffunction-sections -fdata-sections -fcf-protection=none -fno-builtin-malloc -fno-jump-tables
KERNEL_LDFLAGS := -pie --no-dynamic-linker -Bsymbolic --gc-sections -z start-stop-gc -z noseparate-code \
    -z relro -z noexecstack --apply-dynamic-relocs -z max-page-size=4096 --build-id=sha1 --pack-dyn-relocs=relr --hash-style=sysv \
    -T $(B)/kernel/kernel.ld

.PHONY: kernel kernel-objs
kernel-objs: $(KERNEL_OBJS)
kernel: $(B)/kernel/lith
$(B)/kernel/lith: $(B)/kernel/lith.debug
	llvm-strip-14 --strip-all -o $@ $< 2>/dev/null || strip -s -o $@ $<
# Linked twice: the second time with the symbol table of the first (core/symbols.c). Text comes first in
# the image, so that the table does not move what it names.
$(B)/kernel/lith.debug: $(KERNEL_OBJS) $(B)/kernel/kernel.ld tools/symbols.sh
	@mkdir -p $(@D)
	ld.lld $(KERNEL_LDFLAGS) -o $@.1 $(KERNEL_OBJS)
	tools/symbols.sh $@.1 > $(B)/kernel/symbols.S
	$(CC) -c -o $(B)/kernel/symbols.o $(B)/kernel/symbols.S
	ld.lld $(KERNEL_LDFLAGS) -o $@ $(KERNEL_OBJS) $(B)/kernel/symbols.o
	@rm -f $@.1
$(B)/kernel/kernel.ld: kernel/kernel.ld
	@mkdir -p $(@D)
	$(CC) -E -P -x c -o $@ $<
# Link mode's half of it: the script, and every object as an archive member named FOLDER__FILE.o. What the
# kernel calls its things is not the program's business: all global names get a prefix, but for the
# calls (gate_*, sys_*), lith.h's functions, and what the libc's own assembly names.
LINK_EXPORTS := ^(gate_|sys_|lith_|link_gate|link_unknown)
$(B)/lib/link.ld: kernel/kernel.ld
	@mkdir -p $(@D)
	$(CC) -E -P -x c -DLINK_MODE -o $@ $<
# Its C files are compiled for size, but for those on a packet's way; an assertion there says where, not what.
LINK_SRCS := $(KERNEL_SRCS)
LINK_OBJS := $(patsubst %.c,$(B)/obj/link/%.c.o,$(filter %.c,$(LINK_SRCS))) $(patsubst %.S,$(B)/obj/%.S.o,$(filter %.S,$(LINK_SRCS)))
LINK_FAST := kernel/net/% kernel/dev/% kernel/sched/wait.c kernel/sched/runq.c kernel/linux/epoll.c kernel/linux/socket% kernel/fs/iov.c kernel/lith/net.c kernel/lib/string.c kernel/lib/hash.c
$(B)/lib/liblith.a: $(LINK_OBJS) $(B)/lib/link.ld tools/archive.sh
	tools/archive.sh $@ '$(LINK_EXPORTS)' $(LINK_OBJS)
$(B)/obj/link/%.c.o: %.c tools/kernel.mk
	@mkdir -p $(@D)
	$(CC) $(KERNEL_CFLAGS) -DLITH_LINK -fstack-protector $(if $(filter $(LINK_FAST),$<),,-Os) -c $< -o $@
$(B)/obj/link/kernel/linux/table.c.o: $(B)/gen/syscalls.inc
-include $(LINK_OBJS:.o=.d)
kernel: $(B)/lib/liblith.a $(B)/lib/include/lith.h
$(B)/lib/include/lith.h: kernel/lith/lith.h | $(B)/lib/include/.installed
	cp $< $@
$(B)/obj/kernel/%.c.o: kernel/%.c tools/kernel.mk
	@mkdir -p $(@D)
	$(CC) $(KERNEL_CFLAGS) -c $< -o $@
$(B)/obj/kernel/%.S.o: kernel/%.S tools/kernel.mk
	@mkdir -p $(@D)
	$(CC) $(KERNEL_CFLAGS) -D__ASSEMBLY__ -c $< -o $@
# The dispatch table is collected from the SYSCALL lines of kernel/linux.
$(B)/gen/syscalls.inc: $(wildcard kernel/linux/*.c) tools/syscalls.sh
	tools/syscalls.sh $(B)/gen $(filter %.c,$^)
$(B)/obj/kernel/linux/table.c.o: $(B)/gen/syscalls.inc
# The vDSO: a shared object for programs, embedded in the kernel by kernel/linux/vdso_image.S.
VDSO_CFLAGS := $(CFLAGS_COMMON) -O2 -Ikernel -ffreestanding -fPIC -fvisibility=hidden -mno-red-zone \
    -fno-stack-protector -fcf-protection=none -fno-jump-tables -fasynchronous-unwind-tables
$(B)/gen/vdso.so: kernel/linux/vdso/vdso.c kernel/linux/vdso/vdso.lds
	@mkdir -p $(@D)
	$(CC) $(VDSO_CFLAGS) -MT $@ -c $< -o $(@:.so=.o)
	ld.bfd -shared --no-undefined --hash-style=both -soname linux-vdso.so.1 -z max-page-size=4096 --eh-frame-hdr -Bsymbolic \
	    --build-id=none -s -T kernel/linux/vdso/vdso.lds -o $@ $(@:.so=.o)
$(B)/obj/kernel/linux/vdso_image.S.o: $(B)/gen/vdso.so
-include $(B)/gen/vdso.d
-include $(KERNEL_OBJS:.o=.d)

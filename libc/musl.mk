# How musl is built, and which of its files are replaced. musl's own Makefile includes this (through the
# config.mak that tools/libc.mk writes): lith is this tree, gen the folder with gates.inc, srcdir musl.
ARCH = x86_64
CC = gcc
# Ours in front: libc/arch has syscall_arch.h.
CFLAGS_C99FSE = -I$(lith)/libc/arch -I$(gen) -std=c99 -nostdinc -ffreestanding -fexcess-precision=standard \
    -frounding-math -Wa,--noexecstack
CFLAGS_AUTO = -pipe -fomit-frame-pointer -fno-unwind-tables -fno-asynchronous-unwind-tables \
    -ffunction-sections -fdata-sections -Werror=implicit-function-declaration -Werror=implicit-int \
    -Werror=int-conversion -Werror=incompatible-pointer-types -Werror=return-type -Wno-return-local-addr
CFLAGS = -O2 -fPIE -mcmodel=small -fcf-protection=none -fno-stack-protector
CFLAGS_MEMOPS = -fno-tree-loop-distribute-patterns
CFLAGS_NOSSP = -fno-stack-protector
SHARED_LIBS =
MALLOC_DIR = mallocng
# Every object is made again when these change.
IMPH += config.mak $(lith)/libc/musl.mk $(lith)/libc/arch/syscall_arch.h $(gen)/gates.inc

# What calls the program back, once more with unwind tables: for libstdc++.a (tools/cxx.mk), so that exceptions
# pass through. C programs do without the tables.
CALL_BACK = obj/src/stdlib/qsort.lo obj/src/stdlib/qsort_nr.lo obj/src/stdlib/bsearch.lo
$(CALL_BACK): CFLAGS_ALL += -fasynchronous-unwind-tables
call_back: $(CALL_BACK)
.PHONY: call_back

# Our file for musl's object of this name.
define replaced
obj/src/$(1).o: $(lith)/libc/$(2) $(IMPH)
	$$(CC_CMD) $(3)
endef
own_warnings = -Wall -Wextra -Wno-unused-parameter -Wno-unused-value -Werror # musl's headers have such
$(eval $(call replaced,env/__libc_start_main,start.c,$(own_warnings)))
$(eval $(call replaced,ldso/dl_iterate_phdr,dl_iterate_phdr.c,$(own_warnings)))
$(eval $(call replaced,process/x86_64/vfork,vfork.S))
$(eval $(call replaced,signal/x86_64/restore,restore.S))
$(eval $(call replaced,thread/__syscall_cp,syscall_cp.c,$(own_warnings)))
$(eval $(call replaced,thread/pthread_cancel,pthread_cancel.c,-I$(srcdir)))
$(eval $(call replaced,thread/x86_64/__set_thread_area,thread_area.c,$(own_warnings)))
$(eval $(call replaced,thread/x86_64/__unmapself,unmapself.S))
$(eval $(call replaced,thread/x86_64/clone,clone.S))
$(eval $(call replaced,thread/x86_64/syscall_cp,syscall_cp.S))
$(eval $(call replaced,unistd/getpid,getpid.S))
$(eval $(call replaced,unistd/getppid,getppid.S))
$(eval $(call replaced,unistd/setxid,setxid.c,$(own_warnings)))

// SPDX-License-Identifier: ISC
// The thread pointer. musl calls this before the pointer is set, so it is compiled without stack
// protector.
#include "pthread_impl.h"

int __set_thread_area(void *p)
{
    return __syscall(SYS_arch_prctl, 0x1002 /* ARCH_SET_FS */, p);
}

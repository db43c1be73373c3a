// SPDX-License-Identifier: ISC
// pthread_cancel: musl's, but a cancellation point has its gate where musl has a number. musl's
// function that takes the number is made static by another name, and dropped as unused.
#define _GNU_SOURCE
#include <string.h>
#include "pthread_impl.h"
#include "syscall.h"

static long unused_cp_by_number(long, long, long, long, long, long, long);
#define __syscall_cp_c unused_cp_by_number
#include "src/thread/pthread_cancel.c"
#undef __syscall_cp_c

long __syscall_cp_c(__gate_fn *gate, long a, long b, long c, long d, long e, long f)
{
    pthread_t self = __pthread_self();
    if (self->canceldisable == PTHREAD_CANCEL_DISABLE)
        return gate(a, b, c, d, e, f);
    long r = __syscall_cp_asm(&self->cancel, (long)gate, a, b, c, d, e, f);
    if (r == -EINTR && self->cancel && self->canceldisable != PTHREAD_CANCEL_DISABLE)
        r = __cancel();
    return r;
}

long __syscall_cp_close_c(__gate_fn *gate, long a)
{
    pthread_t self = __pthread_self();
    if (self->canceldisable)
        return gate(a, 0, 0, 0, 0, 0);
    return __syscall_cp_asm(&self->cancel, (long)gate, a, 0, 0, 0, 0, 0);
}

// SPDX-License-Identifier: ISC
// Cancellation points, in a program that cancels no thread: just the call. libc/pthread_cancel.c
// has the functions that take the place of these two when it is linked.
#include "syscall.h"

static long call(__gate_fn *gate, long a, long b, long c, long d, long e, long f)
{
    return gate(a, b, c, d, e, f);
}

static long call_close(__gate_fn *gate, long a)
{
    return gate(a, 0, 0, 0, 0, 0);
}

weak_alias(call, __syscall_cp_c);
weak_alias(call_close, __syscall_cp_close_c);
extern hidden __typeof__(call) __syscall_cp_c;
extern hidden __typeof__(call_close) __syscall_cp_close_c;

long __syscall_cp_gate(__gate_fn *gate, long a, long b, long c, long d, long e, long f)
{
    return __syscall_cp_c(gate, a, b, c, d, e, f);
}

long __syscall_cp_close(__gate_fn *gate, long a)
{
    return __syscall_cp_close_c(gate, a);
}

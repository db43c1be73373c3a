// SPDX-License-Identifier: ISC
// setuid and its like: Linux changes one thread's ids, POSIX the process's. Every thread makes the
// call, through musl's __synccall. musl's own setxid.c carries the call's number; this one carries
// its gate.
#include <signal.h>
#include <unistd.h>
#include "syscall.h"
#include "libc.h"

struct setxid {
    __gate_fn *gate;
    long a, b, c;
    int result; // the first thread's when it failed; 1 before any thread has called
};

static void call(void *p)
{
    struct setxid *x = p;
    if (x->result < 0)
        return;
    int result = x->gate(x->a, x->b, x->c, 0, 0, 0);
    if (result && !x->result) {
        // Some threads have the new ids and this one cannot: a state that nothing may run in.
        __block_all_sigs(0);
        __syscall(SYS_kill, __syscall(SYS_getpid), SIGKILL);
    }
    x->result = result;
}

int __setxid_gate(__gate_fn *gate, long a, long b, long c)
{
    struct setxid x = {.gate = gate, .a = a, .b = b, .c = c, .result = 1};
    __synccall(call, &x);
    return __syscall_ret(x.result);
}

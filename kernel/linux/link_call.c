// SPDX-License-Identifier: ISC
// Link mode: calls by a number that is only known when they are made (syscall(2)), and calls that
// this kernel does not have (libnosys.a). Only programs with such calls have this, and with the
// first kind the whole table.
#include <asm-generic/errno.h>
#include "linux/process.h"

// gate_syscall(nr, a, b, c, d, e, f): the number goes where link_gate expects it, arguments move
// down.
__asm__(".pushsection .text.gates.syscall,\"ax\",@progbits\n\t"
        ".globl gate_syscall\n\t.type gate_syscall,@function\n"
        "gate_syscall:\n\t"
        "mov %rdi,%rax\n\tmov %rsi,%rdi\n\tmov %rdx,%rsi\n\tmov %rcx,%rdx\n\t"
        "mov %r8,%rcx\n\tmov %r9,%r8\n\tmov 8(%rsp),%r9\n\t"
        "lea link_numbered(%rip),%r11\n\tjmp link_gate_full\n\t"
        ".size gate_syscall,.-gate_syscall\n\t.popsection");

long link_unknown(void);
long link_unknown(void)
{
    return syscall_unknown(arch_user_regs());
}

long link_numbered(long a, long b, long c, long d, long e, long f);
long link_numbered(long a, long b, long c, long d, long e, long f)
{
    syscall_fn fn = syscall_lookup(arch_user_regs()->orig_rax);
    return fn ? fn(a, b, c, d, e, f) : link_unknown();
}

// SPDX-License-Identifier: ISC
// Binary mode's ways in, beyond gate.S: switched on once, by the table of calls (linux/table.c).
#include "arch/x86_64/x86.h"
#include "abi/gate.h"

extern const char gate_heads_start[], entry_tail_low[], arch_gate_table[], gate_jump[];

// A program interrupted at the first instructions of a gate is put back to its own call, so that no
// gate address is ever seen in a signal frame.
static void leave_gate(struct regs *r)
{
    uint64_t ret;
    uint8_t site[7];
    uint32_t target;
    if (r->rip < (uintptr_t)gate_heads_start || r->rip >= (uintptr_t)entry_tail_low ||
        copy_in(&ret, (const void *)r->rsp, 8) || copy_in(site, (const void *)(ret - 7), 7) ||
        site[0] != 0xff || site[1] != 0x14 || site[2] != 0x25)
        return;
    __builtin_memcpy(&target, site + 3, 4);
    if (target >= LITH_GATE_TABLE && target <= LITH_GATE_GENERIC_CALL) {
        r->rip = ret - 7;
        r->rsp += 8;
    }
}

long (*const *gate_calls)(long, long, long, long, long, long); // gate.S

uint64_t arch_gates_init(long (*const *calls)(long, long, long, long, long, long))
{
    gate_calls = calls;
    arch_gate_fixup = leave_gate;
    arch_syscall_entry = (uintptr_t)gate_jump;
    if (arch_ring == 0) {
        wrmsr(MSR_EFER, rdmsr(MSR_EFER) | 1); // SCE
        wrmsr(MSR_STAR, (uint64_t)LITH_SEL_KCODE << 32);
        wrmsr(MSR_LSTAR, (uintptr_t)gate_jump);
        wrmsr(MSR_FMASK, 0);
    }
    return (uintptr_t)arch_gate_table;
}

// SPDX-License-Identifier: ISC
// Exceptions in C: page faults go to mm, others of a program to linux; the kernel's own are
// either expected (a table says where to go on) or end in a report.
#include <asm/errno.h>
#include "arch/x86_64/x86.h"
#include "abi/gate.h"

struct ex_entry {
    int32_t fault, fixup; // relative to themselves
};
extern const struct ex_entry ex_table_start[], ex_table_end[];
extern const char gates_start[], link_heads_end[]; // kernel.ld, entry.S
void (*arch_gate_fixup)(struct regs *r);
void (*arch_panic_hook)(unsigned vector, uint64_t error, uint64_t addr, struct regs *r);

static bool fix_up(struct regs *r)
{
    for (const struct ex_entry *e = ex_table_start; e < ex_table_end; e++) {
        if ((uintptr_t)&e->fault + (uint64_t)(int64_t)e->fault == r->rip) {
            r->rip = (uintptr_t)&e->fixup + (uint64_t)(int64_t)e->fixup;
            return true;
        }
    }
    return false;
}

static uint64_t fault_address(void)
{
    return arch_ring == 0 ? read_cr2() : this_cpu()->cr2;
}

// The two bytes `int3; nop` stand for a system call that could not become a call (abi/gate.h).
static bool is_call_site(const struct regs *r)
{
    uint8_t code[2];
    return copy_in(code, (const void *)(r->rip - 1), 2) == 0 && code[0] == 0xcc && code[1] == 0x90;
}

void arch_trap_user(struct regs *r, unsigned vector, uint64_t error)
{
    uint64_t addr = 0;
    r->orig_rax = (uint64_t)-1 - vector;
    if (vector == VECTOR_PF) {
        addr = fault_address();
        if (arch_page_fault_hook && arch_page_fault_hook(addr, error & 2, error & 16, r, true))
            return;
    }
    if (vector == 3 && arch_syscall_hook && is_call_site(r)) {
        r->orig_rax = r->rax;
        r->rip++;
        arch_syscall_hook(r);
        return;
    }
    if (!arch_user_exception_hook)
        arch_panic_hook(vector, error, addr, r);
    arch_user_exception_hook(vector, error, addr, r);
}

void arch_trap_kernel(struct regs *r, unsigned vector, uint64_t error)
{
    uint64_t addr = 0;
    if (vector == VECTOR_PF) {
        addr = fault_address();
        // The kernel touches programs' memory only by the copy functions, all in the table.
        bool expected = addr < LITH_USER_END;
        if (expected && arch_page_fault_hook &&
            arch_page_fault_hook(addr, error & 2, error & 16, r, false))
            return;
    }
    if ((vector == VECTOR_PF || vector == 13) && fix_up(r))
        return;
    if (arch_panic_hook)
        arch_panic_hook(vector, error, addr, r);
    for (;;) // a fault before there is anything to report it with
        __asm__ volatile("pause");
}

// The way out with work to do. True: leave at once, with the interrupt mask set. That is for a
// program that was interrupted in a gate of link mode: it is as good as in its call, which does the
// work when it is over, or wants to sleep.
bool arch_exit_work(struct regs *r);
bool arch_exit_work(struct regs *r)
{
    if (r->cs && r->rip >= (uintptr_t)gates_start && r->rip < (uintptr_t)link_heads_end)
        return true;
    if (r->cs && arch_gate_fixup)
        arch_gate_fixup(r);
    arch_exit_hook(r);
    return false;
}

// --- user memory ---
extern size_t arch_copy(void *dst, const void *src, size_t n);
extern size_t arch_zero(void *dst, size_t n);
extern long arch_user_strncpy(char *dst, const char *src, size_t size);
extern int arch_user_cmpxchg32(uint32_t *uaddr, uint32_t *old, uint32_t desired);

uint64_t arch_user_end = LITH_USER_END;

bool user_range_ok(const void *p, size_t n)
{
    return (uintptr_t)p < arch_user_end && n <= arch_user_end - (uintptr_t)p;
}

int copy_recover(void *dst, const void *src, size_t n)
{
    return arch_copy(dst, src, n) == 0 ? 0 : -EFAULT;
}

int zero_recover(void *dst, size_t n)
{
    return arch_zero(dst, n) == 0 ? 0 : -EFAULT;
}

int copy_in(void *dst, const void *user_src, size_t n)
{
    return user_range_ok(user_src, n) && arch_copy(dst, user_src, n) == 0 ? 0 : -EFAULT;
}

int copy_out(void *user_dst, const void *src, size_t n)
{
    return user_range_ok(user_dst, n) && arch_copy(user_dst, src, n) == 0 ? 0 : -EFAULT;
}

int zero_out(void *user_dst, size_t n)
{
    return user_range_ok(user_dst, n) && arch_zero(user_dst, n) == 0 ? 0 : -EFAULT;
}

ssize_t_k strncpy_in(char *dst, const char *user_src, size_t size)
{
    if (!user_range_ok(user_src, 1))
        return -EFAULT;
    size_t room = arch_user_end - (uintptr_t)user_src;
    long n = arch_user_strncpy(dst, user_src, MIN(size, room));
    return n == -ENAMETOOLONG && room < size ? -EFAULT : n;
}

int user_cmpxchg32(uint32_t *uaddr, uint32_t *old, uint32_t desired)
{
    return user_range_ok(uaddr, 4) ? arch_user_cmpxchg32(uaddr, old, desired) : -EFAULT;
}

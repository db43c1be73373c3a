// SPDX-License-Identifier: ISC
// What only x86-64 code (arch/x86_64 and the platforms of that CPU) uses: privileged instructions,
// ports, descriptor tables, page-table bits. Not for folders above plat.
#ifndef LITH_X86_H
#define LITH_X86_H

#include "arch/arch.h"
#include "abi/layout.h"

// Page-table entries (Intel SDM volume 3, 4.5). U is set in all: the kernel may run in ring 3.
#define PTE_P     1ull
#define PTE_W     2ull
#define PTE_U     4ull
#define PTE_PWT   8ull
#define PTE_PCD   0x10ull
#define PTE_A     0x20ull
#define PTE_D     0x40ull
#define PTE_LARGE 0x80ull
#define PTE_NX    (1ull << 63)
#define PTE_ADDR  0x000ffffffffff000ull

#define MSR_EFER   0xc0000080u
#define MSR_STAR   0xc0000081u
#define MSR_LSTAR  0xc0000082u
#define MSR_FMASK  0xc0000084u
#define MSR_FSBASE 0xc0000100u
#define MSR_GSBASE 0xc0000101u

#define VECTOR_PF 14

static inline void outb(uint16_t port, uint8_t v)
{
    __asm__ volatile("outb %0, %1" ::"a"(v), "Nd"(port));
}
static inline void outw(uint16_t port, uint16_t v)
{
    __asm__ volatile("outw %0, %1" ::"a"(v), "Nd"(port));
}
static inline void outl(uint16_t port, uint32_t v)
{
    __asm__ volatile("outl %0, %1" ::"a"(v), "Nd"(port) : "memory");
}
static inline uint8_t inb(uint16_t port)
{
    uint8_t v;
    __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}
static inline void wrmsr(uint32_t msr, uint64_t v)
{
    __asm__ volatile("wrmsr" ::"c"(msr), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)) : "memory");
}
static inline uint64_t rdmsr(uint32_t msr)
{
    uint32_t lo, hi;
    __asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
    return (uint64_t)hi << 32 | lo;
}
static inline void cpuid(uint32_t leaf, uint32_t sub, uint32_t r[4])
{
    __asm__ volatile("cpuid"
                     : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3])
                     : "a"(leaf), "c"(sub));
}
static inline uint64_t read_cr2(void)
{
    uint64_t v;
    __asm__ volatile("mov %%cr2, %0" : "=r"(v));
    return v;
}
static inline uint64_t read_cr3(void)
{
    uint64_t v;
    __asm__ volatile("mov %%cr3, %0" : "=r"(v));
    return v;
}
static inline void write_cr3(uint64_t v)
{
    __asm__ volatile("mov %0, %%cr3" ::"r"(v) : "memory");
}
static inline uint64_t read_cr4(void)
{
    uint64_t v;
    __asm__ volatile("mov %%cr4, %0" : "=r"(v));
    return v;
}
static inline void write_cr4(uint64_t v)
{
    __asm__ volatile("mov %0, %%cr4" ::"r"(v) : "memory");
}

// --- start of a CPU (cpu.c) ---
extern unsigned arch_ring; // 0 or 3, fixed before anything below
extern uint32_t arch_ss;
// GS, descriptor tables (ring 0 loads them; in ring 3 they are loaded already), FPU, canary. The
// boot thread runs on the boot stack with in_kernel set.
void arch_cpu_start(unsigned ring);
void arch_tables_init(unsigned ring); // fills the IDT for the ring; before ring 0 enters ring 3
void arch_flush_tlb_page(uint64_t va);
void arch_flush_tlb(void);
extern uint8_t arch_gdt[], arch_gdt_end[], arch_idt[], arch_tss[], arch_tss_end[];
extern char boot_stack[], boot_stack_top[], panic_stack_top[];

// entry.S: what a machine needs to know that makes a program enter the kernel itself.
extern char entry_code_start[], entry_code_end[], irq_posted[], irq_stack_top[];
// Where the process machine sends a signal on, as if the CPU had: exceptions (below exc_stack_top
// vector, error, rip, cs, rflags, rsp, ss), and calls by `syscall` where these are calls (else 0).
extern char exc_entry_start[], exc_entry_end[], exc_common[], exc_stack_top[];
extern uintptr_t arch_syscall_entry;
extern void (*arch_gate_fixup)(struct regs *r); // on the way out of an interrupt; NULL: no gates

#endif

// SPDX-License-Identifier: ISC
// Brings a CPU into the state the kernel runs in: descriptor tables, GS, call entry, FPU, stack
// canary. Feature choices are made once, here.
#include <asm/errno.h>
#include "arch/x86_64/x86.h"
#include "abi/boot.h"

static struct cpu boot_cpu; // CPU 0
unsigned arch_ring;
uint32_t arch_ss; // the stack selector of this ring
uintptr_t arch_syscall_entry;
bool (*arch_page_fault_hook)(uint64_t, bool, bool, struct regs *, bool);
void (*arch_user_exception_hook)(unsigned, uint64_t, uint64_t, struct regs *);
void (*arch_syscall_hook)(struct regs *);
void (*arch_restart_hook)(struct regs *);
void (*arch_exit_hook)(struct regs *);

// GCC's -fstack-protector reads this; set before the first protected function runs.
uintptr_t __stack_chk_guard = 0x4c697468;

extern const char irq_entry_start[];
extern char df_stack_top[];
extern void irq_spurious(void), ring0_page_fault(void), ring0_breakpoint(void),
    ring3_flush_site(void);

static size_t fpu_size = 512;
static uint64_t xcr0; // 0: FXSAVE only
static bool have_fsgsbase, have_rdrand, have_rdseed, have_xsaveopt;

// A 64-bit gate with DPL 3: a trap gate (int3 of programs, and interrupts that stay enabled) or an
// interrupt gate. Intel SDM volume 3, 6.14.1.
#define GATE_TRAP      0xefull
#define GATE_INTERRUPT 0xeeull
#define EXC_STUB_SIZE  16 // entry.S
#define EXC_STUBS      22
#define IRQ_STUB_SIZE  8

// `count` gates, whose targets lie `stride` apart.
static void set_gates(unsigned vector, uintptr_t target, unsigned stride, unsigned count,
                      uint64_t kind)
{
    uint64_t *gate = (uint64_t *)(void *)arch_idt + 2 * vector;
    for (; count; count--, gate += 2, target += stride) {
        gate[0] = kind | (target & 0xffff) | (target & 0xffff0000) << 32;
        gate[1] = target >> 32;
    }
}

static void set_gate(unsigned vector, void (*target)(void), uint64_t kind)
{
    set_gates(vector, (uintptr_t)target, 0, 1, kind);
}

void arch_tables_init(unsigned ring)
{
    uint64_t kind = (uint64_t)(ring ? LITH_SEL_UCODE : LITH_SEL_KCODE) << 16 | GATE_TRAP << 40;
    static const uint8_t own_stack[] = {2, 8, 18}; // NMI, double fault, machine check: IST 3
    set_gates(0, (uintptr_t)exc_entry_start, EXC_STUB_SIZE, EXC_STUBS, kind | 2ull << 32);
    for (unsigned i = 0; i < ARRAY_LEN(own_stack); i++)
        ((uint8_t *)arch_idt)[16 * own_stack[i] + 4] = 3;
    set_gates(0x20, (uintptr_t)irq_entry_start, IRQ_STUB_SIZE, 16, kind | 1ull << 32);
    if (ring) {
        // These two need one privileged instruction each. Interrupt gates: an interrupt's gate
        // leads to ring 3 and is #GP while a stub runs in ring 0. The stubs' own iretq sets IF
        // again.
        uint64_t ring0 = (uint64_t)LITH_SEL_KCODE << 16 | GATE_INTERRUPT << 40 | 2ull << 32;
        set_gate(3, ring0_breakpoint, ring0);
        set_gate(VECTOR_PF, ring0_page_fault, ring0);
    }
    set_gate(0xff, irq_spurious, kind);

    uint64_t *ist = (uint64_t *)(void *)(arch_tss + 0x24);
    __builtin_memcpy(arch_tss + 4, &(uint64_t){(uintptr_t)exc_stack_top}, 8); // rsp0
    __builtin_memcpy(ist, &(uint64_t){(uintptr_t)irq_stack_top}, 8);
    __builtin_memcpy(ist + 1, &(uint64_t){(uintptr_t)exc_stack_top}, 8);
    __builtin_memcpy(ist + 2, &(uint64_t){(uintptr_t)df_stack_top}, 8);

    static const uint64_t segments[] = {[LITH_SEL_KCODE / 8] = 0x00af9b000000ffff,
                                        [LITH_SEL_KDATA / 8] = 0x00cf93000000ffff,
                                        [LITH_SEL_UDATA / 8 - 1] = 0x00cffb000000ffff,
                                        [LITH_SEL_UDATA / 8] = 0x00cff3000000ffff,
                                        [LITH_SEL_UCODE / 8] = 0x00affb000000ffff};
    __builtin_memcpy(arch_gdt, segments, sizeof(segments));
    uint64_t tss_bytes = (uint64_t)(arch_tss_end - arch_tss);
    uint64_t tss = (uintptr_t)arch_tss, limit = tss_bytes - 1;
    *(uint16_t *)(void *)(arch_tss + 0x66) = 0x68; // the I/O bitmap: all zero, all allowed
    arch_tss[tss_bytes - 1] = (char)0xff;
    uint64_t *d = (uint64_t *)(void *)(arch_gdt + LITH_SEL_TSS);
    d[0] = (limit & 0xffff) | (tss & 0xffffff) << 16 | 0x89ull << 40 | ((limit >> 16) & 15) << 48 |
           ((tss >> 24) & 0xff) << 56;
    d[1] = tss >> 32;
}

struct table_pointer {
    uint16_t limit;
    uint64_t base;
} __attribute__((packed));

static void load_tables(void)
{
    struct table_pointer gdt = {(uint16_t)(arch_gdt_end - arch_gdt - 1), (uintptr_t)arch_gdt};
    struct table_pointer idt = {256 * 16 - 1, (uintptr_t)arch_idt};
    __asm__ volatile("lgdt %0\n\t"
                     "pushq %2\n\t"
                     "lea 1f(%%rip), %%rax\n\t"
                     "push %%rax\n\t"
                     "lretq\n"
                     "1: mov %3, %%ss\n\t"
                     "mov %4, %%ds\n\t"
                     "mov %4, %%es\n\t"
                     "mov %4, %%fs\n\t"
                     "mov %4, %%gs\n\t"
                     "lidt %1\n\t"
                     "ltr %w5"
                     :
                     : "m"(gdt), "m"(idt), "i"(LITH_SEL_KCODE), "r"(LITH_SEL_KDATA), "r"(0),
                       "r"(LITH_SEL_TSS)
                     : "rax", "memory");
}

static uint64_t xgetbv(void)
{
    uint32_t lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (uint64_t)hi << 32 | lo;
}

#define CR4_FSGSBASE (1ull << 16)
#define CR4_OSXSAVE  (1ull << 18)

static void detect_features(void)
{
    uint32_t r[4], max[4];
    cpuid(0, 0, max);
    cpuid(1, 0, r);
    have_rdrand = r[2] >> 30 & 1;
    bool xsave = r[2] >> 26 & 1, osxsave = r[2] >> 27 & 1, avx = r[2] >> 28 & 1;
    bool fsgs = false, avx512 = false;
    if (max[0] >= 7) {
        cpuid(7, 0, r);
        fsgs = r[1] & 1;
        have_rdseed = r[1] >> 18 & 1;
        avx512 = r[1] >> 16 & 1;
    }
    if (arch_ring == 0) {
        uint64_t cr4 = read_cr4();
        if (fsgs)
            cr4 |= CR4_FSGSBASE;
        if (xsave)
            cr4 |= CR4_OSXSAVE;
        write_cr4(cr4);
        have_fsgsbase = fsgs;
        if (xsave) {
            uint64_t want = 3 | (avx ? 4 : 0);
            cpuid(0xd, 0, r);
            uint64_t can = (uint64_t)r[3] << 32 | r[0];
            if (avx && avx512 && (can & 0xe0) == 0xe0)
                want |= 0xe0;
            want &= can;
            __asm__ volatile("xsetbv" ::"c"(0), "a"((uint32_t)want), "d"((uint32_t)(want >> 32)));
            osxsave = true;
            xcr0 = want; // KVM-PVM does not emulate XGETBV in ring 0
        }
    } else {
        have_fsgsbase = true; // ring 3 cannot do without: the monitor checked
    }
    if (osxsave && max[0] >= 0xd) {
        if (arch_ring)
            xcr0 = xgetbv();
        cpuid(0xd, 0, r);
        fpu_size = r[1]; // for the features enabled in XCR0
        cpuid(0xd, 1, r);
        have_xsaveopt = r[0] & 1;
    }
}

__attribute__((no_stack_protector)) void arch_cpu_start(unsigned ring)
{
    struct cpu *c = &boot_cpu;
    c->self = c;
    c->in_kernel = 1;
    c->kstack_top = (uintptr_t)boot_stack_top - 8;
    arch_ring = ring;
    arch_ss = ring ? LITH_SEL_UDATA : LITH_SEL_KDATA;
    if (ring == 0) {
        load_tables();
        wrmsr(MSR_GSBASE, (uintptr_t)c);
        detect_features();
    } else {
        __asm__ volatile("wrgsbase %0" ::"r"((uint64_t)(uintptr_t)c));
        detect_features();
    }
    uint64_t canary;
    if (!arch_random64(&canary))
        canary = arch_tsc() * 0x9e3779b97f4a7c15;
    __stack_chk_guard = canary & ~0xffull; // a NUL byte stops string overflows
}

void arch_protect_tables(void (*protect)(uint64_t va, uint64_t len))
{
    extern char ro_after_init_start[], ro_after_init_end[];
    protect((uintptr_t)ro_after_init_start, (uint64_t)(ro_after_init_end - ro_after_init_start));
}

void arch_flush_tlb_page(uint64_t va)
{
    if (arch_ring == 0)
        __asm__ volatile("invlpg (%0)" ::"r"(va) : "memory");
    else
        ring3_flush_site();
}

void arch_flush_tlb(void)
{
    if (arch_ring == 0)
        write_cr3(read_cr3());
    else
        ring3_flush_site();
}

bool arch_random64(uint64_t *out)
{
    unsigned char ok = 0;
    for (int i = 0; i < 32 && !ok && have_rdseed; i++)
        __asm__ volatile("rdseed %0; setc %1" : "=r"(*out), "=qm"(ok)::"cc");
    for (int i = 0; i < 32 && !ok && have_rdrand; i++)
        __asm__ volatile("rdrand %0; setc %1" : "=r"(*out), "=qm"(ok)::"cc");
    return ok;
}

// --- FPU ---
size_t arch_fpu_size(void)
{
    return fpu_size;
}

void arch_fpu_init(void *area)
{
    memset(area, 0, fpu_size);
    *(uint16_t *)area = 0x37f;                         // x87 control word
    *(uint32_t *)(void *)((char *)area + 24) = 0x1f80; // MXCSR
    if (xcr0)
        *(uint64_t *)(void *)((char *)area + 512) = 3; // XSTATE_BV: x87 and SSE come from the area
}

void arch_fpu_save(void *area)
{
    if (have_xsaveopt)
        __asm__ volatile("xsaveopt64 (%0)" ::"r"(area), "a"((uint32_t)xcr0),
                         "d"((uint32_t)(xcr0 >> 32))
                         : "memory");
    else if (xcr0)
        __asm__ volatile("xsave64 (%0)" ::"r"(area), "a"((uint32_t)xcr0),
                         "d"((uint32_t)(xcr0 >> 32))
                         : "memory");
    else
        __asm__ volatile("fxsave64 (%0)" ::"r"(area) : "memory");
}

void arch_fpu_restore(const void *area)
{
    if (xcr0)
        __asm__ volatile("xrstor64 (%0)" ::"r"(area), "a"((uint32_t)xcr0),
                         "d"((uint32_t)(xcr0 >> 32))
                         : "memory");
    else
        __asm__ volatile("fxrstor64 (%0)" ::"r"(area) : "memory");
}

// --- FS base ---
uint64_t arch_fs_base_get(void)
{
    uint64_t v;
    if (!have_fsgsbase)
        return rdmsr(MSR_FSBASE);
    __asm__ volatile("rdfsbase %0" : "=r"(v));
    return v;
}

void arch_fs_base_set(uint64_t base)
{
    if (!have_fsgsbase)
        wrmsr(MSR_FSBASE, base);
    else
        __asm__ volatile("wrfsbase %0" ::"r"(base));
}

// --- threads ---
extern void arch_switch_stack(uint64_t *save_rsp, uint64_t new_rsp);
extern void arch_thread_entry(void);
extern void arch_return_user(struct regs *top) __attribute__((noreturn));

void arch_thread_init(struct arch_thread *t, void *kstack_base, size_t kstack_len,
                      void (*fn)(void *), void *arg)
{
    // struct regs then ends 16-byte aligned at its low end, as calls from entry.S need.
    t->kstack_top = (uintptr_t)kstack_base + kstack_len - 8;
    t->fs_base = 0;
    uint64_t *sp = (uint64_t *)(t->kstack_top - sizeof(struct regs) - 64);
    sp = (uint64_t *)((uintptr_t)sp & ~15ul);
    *--sp = (uintptr_t)arch_thread_entry;
    *--sp = (uintptr_t)fn;  // rbx
    *--sp = 0;              // rbp
    *--sp = (uintptr_t)arg; // r12
    *--sp = 0;
    *--sp = 0;
    *--sp = 0;
    t->rsp = (uintptr_t)sp;
}

void arch_switch(struct arch_thread *from, struct arch_thread *to)
{
    if (from->fpu) {
        arch_fpu_save(from->fpu);
        from->fs_base = arch_fs_base_get();
    }
    if (to->fpu) {
        arch_fpu_restore(to->fpu);
        arch_fs_base_set(to->fs_base);
    }
    this_cpu()->kstack_top = to->kstack_top;
    arch_switch_stack(&from->rsp, to->rsp);
}

struct regs *arch_user_regs(void)
{
    return (struct regs *)(this_cpu()->kstack_top - sizeof(struct regs));
}

void arch_regs_set_result(struct regs *r, uint64_t result)
{
    uint64_t flags;
    r->rax = result;
    if (!r->cs)
        return;
    __asm__("cmp $-4096, %1\n\tpushfq\n\tpop %0" : "=r"(flags) : "r"(result) : "cc", "memory");
    r->rflags = (r->rflags & ~0x8d5ull) | (flags & 0x8d5); // OF SF ZF AF PF CF
}

void arch_regs_make_full(struct regs *r)
{
    if (r->cs)
        return;
    bool link = r->ss & 1; // FRAME_C_CALL: rcx and r11 are its own
    r->cs = arch_ring ? LITH_SEL_UCODE : LITH_SEL_KCODE;
    r->ss = arch_ring ? LITH_SEL_UDATA : LITH_SEL_KDATA;
    r->rflags = 0x202;
    arch_regs_set_result(r, r->rax);
    if (link)
        return;
    r->rcx = r->rip;
    r->r11 = 0x202;
}

void arch_regs_stack_gone(struct regs *r)
{
    if (!r->cs)
        r->ss &= ~2ull; // FRAME_CALLED
}

void arch_enter_user(const struct regs *r)
{
    struct regs *top = arch_user_regs();
    struct regs copy = *r;
    copy.cs = 0;
    uint64_t flags = copy.rflags, rcx = copy.rcx, r11 = copy.r11;
    arch_regs_make_full(&copy);
    copy.rflags = (flags & 0xcd5) | 0x202; // status flags and DF only; interrupts stay on
    copy.rcx = rcx;
    copy.r11 = r11;
    *top = copy;
    arch_return_user(top);
}

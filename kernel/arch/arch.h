// SPDX-License-Identifier: ISC
// arch: what depends on the CPU and not on the machine around it: registers, the per-CPU block,
// context switch, user memory access with fault recovery, locks, the software interrupt mask.
//
// The interrupt mask. While `cpu->in_kernel` is set, interrupts only set bits in `cpu->pending` and
// return; the kernel looks at the bits when it leaves (to a program) or sleeps. So kernel code is
// never preempted on its CPU, and is never interrupted in a way it could notice. There is no
// cli/sti.
#ifndef LITH_ARCH_H
#define LITH_ARCH_H

#include "lib/lib.h"

#define PAGE_SIZE  4096ul
#define PAGE_SHIFT 12

// Everything a program had in its registers when it entered the kernel. Layout known to entry.S.
struct regs {
    uint64_t r15, r14, r13, r12, rbp, rbx;
    uint64_t r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
    uint64_t orig_rax; // call number at a kernel call; -1 - vector for traps and interrupts
    uint64_t rip, cs, rflags, rsp, ss;
};

struct thread; // sched/sched.h

// Per-CPU block, reached through GS. Offsets of the first fields are known to assembly.
struct cpu {
    struct cpu *self;     // 0
    uint64_t kstack_top;  // 8: kernel stack of the current thread
    uint64_t scratch_rsp; // 16
    uint8_t in_kernel;    // 24: the software interrupt mask
    uint8_t need_resched; // 25: checked with `pending` on the way out
    uint8_t unused[6];
    uint64_t pending;       // 32: bit per vector 0x20..0x5f whose interrupt came
    struct thread *current; // 40
    uint64_t cr2;           // 48: fault address, put there by the ring-0 stub
    uint64_t user_work;     // 56: nonzero: current thread has work before it returns (signals)
    uint64_t scratch_rip;   // 64
    uint32_t id;
    uint32_t spin_depth; // spin locks held: sleeping with any is a bug
    uint64_t switches;
};

static inline struct cpu *this_cpu(void)
{
#ifdef LITH_HOSTED
    extern struct cpu host_cpu; // unit tests run kernel code on one host thread
    return &host_cpu;
#else
    struct cpu *c;
    __asm__("mov %%gs:0, %0" : "=r"(c));
    return c;
#endif
}

// --- threads: what the CPU keeps of one that does not run. First in struct thread; offsets of the
// last fields are known to assembly ---
#define ARCH_CALLS_KEPT 16 // a power of two
#define ARCH_CALL_NONE  0xffff
struct arch_thread {
    uint64_t rsp;     // kernel stack pointer while switched out
    uint64_t fs_base; // the program's thread pointer
    void *fpu;        // XSAVE/FXSAVE area (64-byte aligned), or NULL for kernel threads
    uint64_t kstack_top;
    uint32_t calls_at;               // 32: ring of the last call numbers, for fault reports
    uint16_t calls[ARCH_CALLS_KEPT]; // 36
};
// Bytes and initial content of an FPU area; area is arch_fpu_size() bytes, 64-byte aligned.
size_t arch_fpu_size(void);
void arch_fpu_init(void *area);
void arch_fpu_save(void *area);
void arch_fpu_restore(const void *area);
// Prepares `t` so that the first switch to it calls fn(arg) on its kernel stack.
void arch_thread_init(struct arch_thread *t, void *kstack_base, size_t kstack_len,
                      void (*fn)(void *), void *arg);
// Switches stacks, FS base and FPU state; returns when somebody switches back. Kernel mode only.
void arch_switch(struct arch_thread *from, struct arch_thread *to);
// Leaves the kernel into a program with these registers; never returns. Runs the way-out work
// first.
void arch_enter_user(const struct regs *r) __attribute__((noreturn));
// The registers with which the current thread entered the kernel (top of its kernel stack). Those
// that C keeps (rbx, rbp, r12 to r15) are there only on the way out, after traps, and in
// SYSCALL_REGS calls.
struct regs *arch_user_regs(void);
// A gate frame (cs == 0) restores no rcx, r11 and flags. Whoever changes registers other than rax
// in one, or shows one to the program (signals, sigreturn, exec), makes it full first.
void arch_regs_make_full(struct regs *r);
// The program may not have its stack any more when the call is over (munmap): the way out must not
// touch it.
void arch_regs_stack_gone(struct regs *r);
// Gives the result of a kernel call: rax, and in a full frame the flags of `cmp $-4096,%rax` that
// form B call sites (abi/gate.h) look at.
void arch_regs_set_result(struct regs *r, uint64_t result);
uint64_t arch_fs_base_get(void);
void arch_fs_base_set(uint64_t base); // of the running thread, and remembered by arch_switch

// --- user memory: a bad pointer is -EFAULT, never a crash. May sleep (demand faults) ---
int copy_in(void *dst, const void *user_src, size_t n);
int copy_out(void *user_dst, const void *src, size_t n);
int zero_out(void *user_dst, size_t n);
// The same with fault recovery only: either side may be kernel memory. For callers that have
// checked program pointers themselves (user_range_ok).
int copy_recover(void *dst, const void *src, size_t n);
int zero_recover(void *dst, size_t n);
// Copies a string with its NUL; -ENAMETOOLONG when it does not fit in `size`, else its length.
ssize_t_k strncpy_in(char *dst, const char *user_src, size_t size);
// True if [p, p+n) lies below arch_user_end (mapped or not): the programs' half, or in link mode
// all there is.
extern uint64_t arch_user_end;
bool user_range_ok(const void *p, size_t n);
#define get_user(dst, uptr) copy_in((dst), (uptr), sizeof(*(dst)))
#define put_user(uptr, src) copy_out((uptr), (src), sizeof(*(src)))
// Atomic compare and exchange on a user word: 0 and *old set, or -EFAULT.
int user_cmpxchg32(uint32_t *uaddr, uint32_t *old, uint32_t desired);

// --- locks. Spin locks are never held across a sleep; on one CPU they only assert that ---
typedef struct {
    uint32_t locked;
} spinlock_t;
#define SPINLOCK_INIT \
    {                 \
        0             \
    }
static inline void spin_lock(spinlock_t *l)
{
    this_cpu()->spin_depth++;
    while (__atomic_exchange_n(&l->locked, 1, __ATOMIC_ACQUIRE))
        __builtin_ia32_pause();
}
static inline void spin_unlock(spinlock_t *l)
{
    __atomic_store_n(&l->locked, 0, __ATOMIC_RELEASE);
    this_cpu()->spin_depth--;
}

// --- time stamp counter, random instruction ---
static inline uint64_t arch_tsc(void)
{
    uint32_t lo, hi;
    __asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
    return (uint64_t)hi << 32 | lo;
}
// Lines of /proc/cpuinfo that name the CPU (vendor, family, model, flags); the length.
size_t arch_cpu_describe(char *buf, size_t size);
bool arch_random64(uint64_t *out); // RDSEED or RDRAND; false: the CPU has neither or they failed

// Binary mode: makes the gates of rewritten programs (abi/gate.h) work, and raw `syscall` where the
// ring allows it. Returns the two pages of pointers that belong at LITH_GATE_TABLE, read-only.
// `calls`: a function for each number below LITH_GATE_ENTRIES (512); others go to
// arch_syscall_hook.
uint64_t arch_gates_init(long (*const *calls)(long, long, long, long, long, long));
// Descriptor tables become read-only; protect() changes the pages.
void arch_protect_tables(void (*protect)(uint64_t va, uint64_t len));

// --- fault hooks, set by higher layers at start ---
// Page fault: returns true when the access can be repeated. `write`, `exec`: kind of access.
extern bool (*arch_page_fault_hook)(uint64_t addr, bool write, bool exec, struct regs *r,
                                    bool from_user);
// Any other exception of a program (or a page fault that nothing resolved): returns when it turned
// the fault into something (a signal); the kernel's own faults never get here, they panic.
extern void (*arch_user_exception_hook)(unsigned vector, uint64_t error, uint64_t addr,
                                        struct regs *r);
// A kernel call. regs->orig_rax is the number (in link mode r11 the function); the result goes to
// regs->rax.
extern void (*arch_syscall_hook)(struct regs *r);
// A call's result says that it may have to be made again.
extern void (*arch_restart_hook)(struct regs *r);
// Work on the way out to a program: pending interrupts, rescheduling, signals. In kernel mode.
extern void (*arch_exit_hook)(struct regs *r);
// A fault of the kernel itself that nothing expected: reports it, never returns. Set by core.
extern void (*arch_panic_hook)(unsigned vector, uint64_t error, uint64_t addr, struct regs *r);

#endif

// SPDX-License-Identifier: ISC
// The host's signals are this machine's exceptions and interrupts. The handler runs on a stack of
// its own with all other signals that come from outside held back. It never does the work: it
// builds the frame that a CPU would have put on the interrupt stack, and returns to the entry code
// (arch, entry.S) with all other registers as they were.
#include "plat/process/process.h"

// The host's struct ucontext (Linux arch/x86/include/uapi/asm/ucontext.h, sigcontext.h).
struct host_context {
    uint64_t flags, link, stack[3];
    uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
    uint64_t rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, rflags;
    uint16_t cs, gs, fs, ss;
    uint64_t err, trapno, oldmask, cr2, fpstate;
};
struct host_siginfo {
    int32_t signo, error, code, pad;
    uint64_t call_addr;
    int32_t syscall;
    uint32_t arch;
};

compile_assert(pending_is_where_entry_looks, offsetof(struct cpu, pending) == 32);

#define SIG_HUP     1
#define SIG_INT     2
#define SIG_TERM    15
#define SIG_SYS     31
#define ARCH_X86_64 0xc000003eu

#define GRACE_NS    (10ull * NSEC_PER_SEC) // from a signal to the end by force
#define REPEAT_NS   (200ull * NSEC_PER_MSEC)
#define EXIT_KILLED 137

// The frame of an exception as exc_common finds it; an interrupt's begins at rip.
struct exception_frame {
    uint64_t vector, error, rip, cs, rflags, rsp, ss;
};

int process_early_signal;
void process_signal(int sig, const struct host_siginfo *info, struct host_context *c);
static int outside_signal; // for the program, not taken yet

static void die_by_force(const char *why, size_t len)
{
    plat_console_write(why, len, 2);
    plat_exit(EXIT_KILLED);
}

// A terminal and whoever passes its signals on mean one; a second one means it.
static void outside(int sig)
{
    static uint64_t first_ns;
    uint64_t now = plat_clock_ns();
    if (first_ns && now - first_ns < REPEAT_NS)
        return;
    if (first_ns)
        plat_exit(EXIT_KILLED);
    first_ns = now + 1;
    outside_signal = sig;
    process_timer(plat_boot.process.grace_id, GRACE_NS);
}

int signal_take(void)
{
    int early = process_early_signal;
    if (unlikely(early)) {
        process_early_signal = 0;
        outside(early);
    }
    return __atomic_exchange_n(&outside_signal, 0, __ATOMIC_RELAXED);
}

// Where the interrupt is noticed without help: kernel code runs, or is about to.
static bool enters_kernel(const struct host_context *c)
{
    // Between these two lies no code that leaves the kernel on this machine.
    return this_cpu()->in_kernel ||
           (c->rip >= (uintptr_t)irq_posted && c->rip < (uintptr_t)exc_entry_end);
}

static struct exception_frame *frame_below(const char *stack_top)
{
    return (struct exception_frame *)((uintptr_t)stack_top - sizeof(struct exception_frame));
}

static void interrupt(struct host_context *c, unsigned vector)
{
    __atomic_fetch_or(&this_cpu()->pending, 1ull << (vector - 0x20), __ATOMIC_RELAXED);
    if (c->rip >= (uintptr_t)process_wait_start && c->rip < (uintptr_t)process_wait_end) {
        c->rip = (uintptr_t)process_wait_end;
        c->rax = (uint64_t)-4;
        return;
    }
    if (enters_kernel(c))
        return;
    struct exception_frame *f = frame_below(irq_stack_top);
    f->rip = c->rip;
    f->cs = LITH_SEL_UCODE;
    f->rflags = c->rflags;
    f->rsp = c->rsp;
    f->ss = LITH_SEL_UDATA;
    c->rip = (uintptr_t)irq_posted;
    c->rsp = (uintptr_t)&f->rip;
    c->rflags &= ~0x400ull;
}

static void exception(struct host_context *c, unsigned vector, uint64_t error)
{
    struct exception_frame *f = frame_below(exc_stack_top);
    *f = (struct exception_frame){vector,    error,  c->rip,        LITH_SEL_UCODE,
                                  c->rflags, c->rsp, LITH_SEL_UDATA};
    this_cpu()->cr2 = c->cr2;
    c->rip = (uintptr_t)exc_common;
    c->rsp = (uintptr_t)f;
    c->rflags &= ~0x100ull; // single-stepping is the program's
}

void process_signal(int sig, const struct host_siginfo *info, struct host_context *c)
{
    switch (sig) {
    case LITH_PROCESS_SIGTIMER:
        plat_stats->signals_timer++;
        interrupt(c, LITH_VECTOR_TIMER);
        return;
    case LITH_PROCESS_SIGGRACE: {
        static const char text[] =
            "lith: the program did not end within 10 s of the signal: stopped by force\n";
        die_by_force(text, sizeof(text) - 1);
        return;
    }
    case SIG_HUP:
    case SIG_INT:
    case SIG_TERM:
        plat_stats->signals_outside++;
        outside(sig);
        interrupt(c, LITH_VECTOR_SIGNAL);
        return;
    case SIG_SYS:
        plat_stats->signals_syscall++;
        // A `syscall` that the rewriter did not find (the host's filter sends it here). A fault as
        // on our other machines: int 0x80, and any in a program that is linked with the kernel.
        if (info->arch != ARCH_X86_64 || this_cpu()->in_kernel || !arch_syscall_entry) {
            exception(c, 13, 0);
            return;
        }
        c->rcx = c->rip;
        c->r11 = c->rflags;
        c->rip = arch_syscall_entry;
        return;
    default:
        plat_stats->signals_fault++;
        if (c->trapno == VECTOR_PF && space_settle(c->cr2))
            return;
        exception(c, (unsigned)c->trapno & 31, c->err);
    }
}

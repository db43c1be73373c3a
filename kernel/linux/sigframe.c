// SPDX-License-Identifier: ISC
// Delivery of signals on the way out of the kernel: default actions, handler frames in Linux's
// x86-64 layout (struct rt_sigframe), sigreturn, calls that a signal interrupted, and faults of the
// program.
//
// Restarting. A call site is a rewritten call, so the program cannot be set back to "before the
// call". A call that is restarted without a handler is simply made again here. For a handler with
// SA_RESTART the frame shows the address after the site with rax = -EINTR, and carries a mark with
// the call's number; sigreturn of a frame whose mark and context are intact makes the call again.
#include <linux/errno.h>
#include "linux/signals.h"
#include <asm/sigcontext.h>
#include <asm/ucontext.h> // needs stack_t

#define RED_ZONE 128
// Flags that a program may have in a frame: arithmetic, DF. AC and TF would trap in the kernel's
// own ring.
#define USER_RFLAGS 0xcd5ull
#define RFLAGS_BASE 0x202ull // IF and the bit that is always set

struct rt_sigframe {
    uint64_t pretcode;
    struct ucontext uc;
    siginfo_t info;
};
compile_assert(sigframe_layout, sizeof(struct rt_sigframe) == 8 + 304 + 128);

static void *fpu_initial;     // an FPU area as a program starts with: handlers start so too
static uint64_t restart_mark; // random per boot: says that a frame's restart fields are ours
static char fault_title[128]; // cause of the fault that is being delivered, for the report

// --- FPU state in frames ---

static uint64_t fpu_features(void)
{
    uint32_t lo, hi;

    if (arch_fpu_size() <= 512)
        return 3;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (uint64_t)hi << 32 | lo;
}

// Copies the live FPU state to `user` (64-byte aligned) in the format that programs know.
static int fpu_to_user(uint64_t user)
{
    char *area = current_lt()->thread->arch.fpu;
    struct _fpx_sw_bytes sw;
    uint32_t magic2 = FP_XSTATE_MAGIC2;
    size_t size = arch_fpu_size();

    memset(&sw, 0, sizeof(sw));
    if (size > 512) {
        sw.magic1 = FP_XSTATE_MAGIC1;
        sw.extended_size = (uint32_t)(size + FP_XSTATE_MAGIC2_SIZE);
        sw.xfeatures = fpu_features();
        sw.xstate_size = (uint32_t)size;
    }
    arch_fpu_save(area);
    // The CPU leaves these bytes alone; a switch while copying saves the same state again.
    memcpy(area + 512 - sizeof(sw), &sw, sizeof(sw));
    if (copy_out((void *)user, area, size))
        return -EFAULT;
    return size > 512 ? copy_out((void *)(user + size), &magic2, sizeof(magic2)) : 0;
}

// Takes FPU state from a frame. Everything that the CPU would refuse (and fault on) is cleared.
static int fpu_from_user(uint64_t user)
{
    char *area = current_lt()->thread->arch.fpu, *copy;
    size_t size = arch_fpu_size();
    struct _fpx_sw_bytes sw;
    uint64_t header[8] = {0};
    uint32_t mxcsr, magic2 = 0;
    bool extended;

    if (!user) {
        arch_fpu_restore(fpu_initial);
        arch_fpu_save(area);
        return 0;
    }
    if (!IS_ALIGNED(user, 16))
        return -EFAULT;
    copy = kzalloc(size);
    if (!copy)
        return -EFAULT;
    if (copy_in(copy, (const void *)user, 512))
        goto out_fault;
    memcpy(&sw, copy + 512 - sizeof(sw), sizeof(sw));
    extended = size > 512 && sw.magic1 == FP_XSTATE_MAGIC1 && sw.xstate_size == size &&
               sw.extended_size == size + FP_XSTATE_MAGIC2_SIZE &&
               !copy_in(&magic2, (const void *)(user + size), sizeof(magic2)) &&
               magic2 == FP_XSTATE_MAGIC2;
    if (extended && copy_in(copy + 512, (const void *)(user + 512), size - 512))
        goto out_fault;
    if (size > 512) {
        memcpy(header, copy + 512, sizeof(header[0]));
        header[0] = extended ? header[0] & sw.xfeatures & fpu_features() : 3;
        memcpy(copy + 512, header, sizeof(header));
    }
    memcpy(&mxcsr, copy + 24, sizeof(mxcsr));
    mxcsr &= 0xffbf;
    memcpy(copy + 24, &mxcsr, sizeof(mxcsr));
    // From the thread's own area, so that the CPU's memory of "unchanged since" stays right.
    memcpy(area, copy, size);
    arch_fpu_restore(area);
    kfree(copy);
    return 0;
out_fault:
    kfree(copy);
    return -EFAULT;
}

// --- registers ---

static void regs_to_frame(const struct regs *r, const struct linux_thread *t, struct sigcontext *sc)
{
    sc->r8 = r->r8;
    sc->r9 = r->r9;
    sc->r10 = r->r10;
    sc->r11 = r->r11;
    sc->r12 = r->r12;
    sc->r13 = r->r13;
    sc->r14 = r->r14;
    sc->r15 = r->r15;
    sc->rdi = r->rdi;
    sc->rsi = r->rsi;
    sc->rbp = r->rbp;
    sc->rbx = r->rbx;
    sc->rdx = r->rdx;
    sc->rax = r->rax;
    sc->rcx = r->rcx;
    sc->rsp = r->rsp;
    sc->rip = r->rip;
    sc->eflags = r->rflags;
    sc->cs = LITH_SEL_UCODE; // what Linux shows, whatever ring this is
    sc->ss = LITH_SEL_UDATA;
    sc->err = t->trap_error;
    sc->trapno = t->trap_vector;
    sc->cr2 = t->trap_addr;
}

static void regs_from_frame(struct regs *r, const struct sigcontext *sc)
{
    r->r8 = sc->r8;
    r->r9 = sc->r9;
    r->r10 = sc->r10;
    r->r11 = sc->r11;
    r->r12 = sc->r12;
    r->r13 = sc->r13;
    r->r14 = sc->r14;
    r->r15 = sc->r15;
    r->rdi = sc->rdi;
    r->rsi = sc->rsi;
    r->rbp = sc->rbp;
    r->rbx = sc->rbx;
    r->rdx = sc->rdx;
    r->rax = sc->rax;
    r->rcx = sc->rcx;
    r->rsp = sc->rsp;
    r->rip = sc->rip;
    r->rflags = (sc->eflags & USER_RFLAGS) | RFLAGS_BASE;
    r->orig_rax = ~0ull;
}

// --- frames ---

// Where the frame goes; 0: no room on the alternate stack.
static uint64_t frame_place(const struct linux_thread *t, const struct regs *r,
                            const struct k_sigaction *act, uint64_t *fpstate)
{
    uint64_t sp = r->rsp - RED_ZONE;
    uint64_t base = (uintptr_t)t->altstack.ss_sp;
    bool usable = t->altstack.ss_size != 0, on_it = signal_on_altstack(t, r->rsp);
    size_t fpu_size = arch_fpu_size();

    if ((act->flags & SA_ONSTACK) && usable && !on_it) {
        sp = base + t->altstack.ss_size;
        on_it = true;
    }
    if (fpu_size > 512)
        fpu_size += FP_XSTATE_MAGIC2_SIZE;
    *fpstate = ALIGN_DOWN(sp - fpu_size, 64ul);
    sp = ALIGN_DOWN(*fpstate - sizeof(struct rt_sigframe), 16ul) - 8;
    if (on_it && (sp < base || sp > base + t->altstack.ss_size))
        return 0;
    return sp;
}

// call_nr: the call to be made again when the handler returns, or -1.
static int build_frame(struct regs *r, int sig, const siginfo_t *info,
                       const struct k_sigaction *act, long call_nr)
{
    struct linux_thread *t = current_lt();
    struct rt_sigframe f;
    uint64_t fpstate, sp = frame_place(t, r, act, &fpstate);

    if (!sp || !(act->flags & SA_RESTORER))
        return -EFAULT;
    memset(&f, 0, sizeof(f));
    f.pretcode = (uintptr_t)act->restorer;
    f.uc.uc_flags =
        UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS | (arch_fpu_size() > 512 ? UC_FP_XSTATE : 0);
    f.uc.uc_stack = t->altstack;
    f.uc.uc_stack.ss_flags |= signal_on_altstack(t, r->rsp) ? SS_ONSTACK : 0;
    regs_to_frame(r, t, &f.uc.uc_mcontext);
    f.uc.uc_sigmask = t->restore_sigmask ? t->saved_sigmask : t->sigmask;
    f.uc.uc_mcontext.oldmask = f.uc.uc_sigmask;
    f.uc.uc_mcontext.fpstate = (void *)fpstate;
    if (call_nr >= 0) {
        f.uc.uc_mcontext.reserved1[0] = restart_mark ^ r->rip;
        f.uc.uc_mcontext.reserved1[1] = (uint64_t)call_nr;
    }
    f.info = *info;
    if (fpu_to_user(fpstate) || copy_out((void *)sp, &f, sizeof(f)))
        return -EFAULT;

    if (t->altstack.ss_flags & (int)SS_AUTODISARM)
        t->altstack = (stack_t){.ss_flags = SS_DISABLE};
    arch_regs_make_full(r);
    r->rdi = (uint64_t)sig;
    r->rsi = sp + offsetof(struct rt_sigframe, info);
    r->rdx = sp + offsetof(struct rt_sigframe, uc);
    r->rax = 0;
    r->rsp = sp;
    r->rip = (uintptr_t)act->handler;
    r->rflags = RFLAGS_BASE;
    r->orig_rax = ~0ull;
    arch_fpu_restore(fpu_initial);
    return 0;
}

SYSCALL(15, rt_sigreturn, void)
{
    struct linux_thread *t = current_lt();
    struct regs *r = arch_user_regs();
    struct ucontext uc;
    const struct sigcontext *sc = &uc.uc_mcontext;

    // The handler's `ret` took pretcode off the frame.
    if (copy_in(&uc, (const void *)r->rsp, sizeof(uc)) || fpu_from_user((uintptr_t)sc->fpstate)) {
        signal_force_fault(SIGSEGV, SI_KERNEL, 0);
        return 0;
    }
    arch_regs_make_full(r);
    regs_from_frame(r, sc);
    (void)signal_set_altstack(t, &uc.uc_stack, r->rsp);
    signal_set_mask(t, uc.uc_sigmask);
    if (sc->reserved1[0] == (restart_mark ^ sc->rip) && sc->reserved1[1] < PAGE_SIZE &&
        sc->rax == (uint64_t)-EINTR) {
        r->orig_rax = sc->reserved1[1];
        thread_add_user_work(t->thread);
        return -ERESTARTNOINTR;
    }
    return (long)r->rax;
}

// --- delivery ---

static void die_of(struct regs *r, int sig) __attribute__((noreturn));
static void die_of(struct regs *r, int sig)
{
    struct linux_thread *t = current_lt();
    char title[64];

    if (SIG_MASK_DEFAULT_CORE & sig_bit(sig)) {
        lib_snprintf(title, sizeof(title), "program ended by SIG%s", signal_name(sig));
        report_fault(fault_title[0] ? fault_title : title, r,
                     fault_title[0] ? t->trap_addr : REPORT_NO_ADDRESS);
    }
    process_exit_group(sig);
}

// True if the action is to be ignored; ends the process where the default is to.
static bool default_action(struct regs *r, int sig)
{
    static bool logged;

    if (SIG_MASK_DEFAULT_STOP & sig_bit(sig)) {
        if (!logged)
            log_warn("SIG%s: there is no job control here, the program is not stopped",
                     signal_name(sig));
        logged = true;
    } else if (!(SIG_MASK_DEFAULT_IGNORE & sig_bit(sig))) {
        die_of(r, sig);
    }
    return true;
}

static bool is_restart(long ret)
{
    return ret == -ERESTARTSYS || ret == -ERESTARTNOINTR || ret == -ERESTARTNOHAND ||
           ret == -ERESTART_RESTARTBLOCK;
}

// musl's cancellation points in link mode (libc/): its handler for pthread_cancel() looks whether
// the interrupted address is before the call has been made. So a call that is to be made again
// shows the address of the call, with the registers that it was made with.
extern const char __cp_restart[] __attribute__((weak, visibility("default")));
extern const char __cp_end[] __attribute__((weak, visibility("default")));

// What an interrupted call shows to a handler: -EINTR; the number of the call if it is made again.
static long interrupted_call(struct regs *r, const struct k_sigaction *act)
{
    long ret = (long)r->rax;

    if ((long)r->orig_rax < 0 || !is_restart(ret))
        return -1;
    arch_regs_set_result(r, (uint64_t)-EINTR);
    if (ret != -ERESTARTNOINTR && !(ret == -ERESTARTSYS && (act->flags & SA_RESTART)))
        return -1;
    if (r->rip != (uintptr_t)__cp_end || !r->rip)
        return (long)r->orig_rax;
    r->rip = (uintptr_t)__cp_restart;
    return -1;
}

static void deliver(struct regs *r, int sig, const siginfo_t *info)
{
    struct linux_thread *t = current_lt();
    struct k_sigaction *slot = &t->process->actions[sig], act = *slot;
    long call_nr = interrupted_call(r, &act);

    arch_regs_make_full(r);
    if (build_frame(r, sig, info, &act, call_nr)) {
        // No stack for the handler. A SIGSEGV handler that cannot run must not be tried for ever.
        if (sig == SIGSEGV)
            slot->handler = SIG_DFL;
        if (!fault_title[0])
            lib_snprintf(fault_title, sizeof(fault_title),
                         "no stack to run the handler of SIG%s on", signal_name(sig));
        t->trap_addr = r->rsp;
        signal_force_fault(SIGSEGV, SI_KERNEL, 0);
        return;
    }
    fault_title[0] = '\0';
    if (act.flags & SA_RESETHAND)
        slot->handler = SIG_DFL;
    t->restore_sigmask = false;
    signal_set_mask(t, t->sigmask | act.mask | (act.flags & SA_NODEFER ? 0 : sig_bit(sig)));
}

// sched_user_work_hook: the thread is about to return to its program.
static void signal_user_work(struct regs *r)
{
    struct linux_thread *t = current_lt();
    siginfo_t info;
    int sig;

    for (;;) {
        long ret = (long)r->rax;
        bool is_call = (long)r->orig_rax >= 0;

        // A call with a temporary mask that was not interrupted: signals see the mask of before.
        if (t->restore_sigmask && !(is_call && (ret == -EINTR || is_restart(ret))))
            signal_restore_mask();
        while ((sig = signal_dequeue(~t->sigmask, &info)) != 0) {
            void (*h)(int) = t->process->actions[sig].handler;

            if (h == SIG_IGN || (h == SIG_DFL && default_action(r, sig)))
                continue;
            deliver(r, sig, &info);
        }
        signal_restore_mask();
        ret = (long)r->rax;
        if ((long)r->orig_rax < 0 || !is_restart(ret))
            break;
        t->restarting = ret == -ERESTART_RESTARTBLOCK;
        arch_syscall_hook(r);
        arch_regs_set_result(r, r->rax);
        t->restarting = false;
    }
}

// --- faults ---

void signal_force_fault(int sig, int code, uint64_t addr)
{
    struct linux_thread *t = current_lt();
    struct k_sigaction *act = &t->process->actions[sig];
    siginfo_t info;

    if (act->handler == SIG_IGN || (t->sigmask & sig_bit(sig))) {
        act->handler = SIG_DFL;
        signal_set_mask(t, t->sigmask & ~sig_bit(sig));
    }
    memset(&info, 0, sizeof(info));
    info.si_code = code;
    info.si_addr = (void *)addr;
    signal_send_thread(t, sig, &info);
}

// The cause of a page fault in words; the signal and its code.
static int describe_page_fault(uint64_t addr, uint64_t error, const struct regs *r, int *code)
{
    bool write = error & 2, exec = error & 16;
    const char *what = exec ? "execution of" : write ? "write to" : "read of", *where;
    int err = addr < LITH_USER_END ? mm_fault(current_process()->mm, addr, write, exec) : -EFAULT;
    int sig = SIGSEGV;

    *code = err == -EACCES ? SEGV_ACCERR : SEGV_MAPERR;
    if (addr < LITH_LOW_GUARD_END)
        where = "address zero or close to it (null pointer)";
    else if (addr >= LITH_USER_END)
        where = "memory of the kernel";
    else if (err == -ENXIO || err == -ENOMEM)
        where = err == -ENXIO ? "a mapped file beyond its end"
                              : "memory, of which none is left (lith run -m)";
    else if (mm_is_stack_guard(addr))
        where = "the guard page below the stack (stack overflow)";
    else if (err == -EACCES)
        where = exec    ? "memory that is not executable"
                : write ? "read-only memory"
                        : "memory without access";
    else if (addr < r->rsp + PAGE_SIZE && addr + 16 * PAGE_SIZE > r->rsp)
        where = "unmapped memory at the stack pointer (stack overflow)";
    else
        where = "unmapped memory";
    if (err == -ENXIO || err == -ENOMEM) {
        sig = SIGBUS;
        *code = BUS_ADRERR;
    }
    lib_snprintf(fault_title, sizeof(fault_title), "%s: %s %s",
                 sig == SIGBUS ? "bus error" : "page fault", what, where);
    return sig;
}

static int fpu_exception_code(bool simd)
{
    char *area = current_lt()->thread->arch.fpu;
    uint16_t control, status;
    uint32_t mxcsr, raised;

    arch_fpu_save(area);
    memcpy(&control, area, 2);
    memcpy(&status, area + 2, 2);
    memcpy(&mxcsr, area + 24, 4);
    raised = simd ? mxcsr & ~(mxcsr >> 7) & 0x3f : status & ~(uint32_t)control & 0x3f;
    return raised & 1    ? FPE_FLTINV
           : raised & 4  ? FPE_FLTDIV
           : raised & 8  ? FPE_FLTOVF
           : raised & 18 ? FPE_FLTUND
                         : FPE_FLTRES;
}

// arch_user_exception_hook
static void user_exception(unsigned vector, uint64_t error, uint64_t addr, struct regs *r)
{
    static const struct {
        const char *title;
        uint8_t vector, sig, code;
        bool at_rip; // si_addr is the instruction
    } causes[] = {
        {"integer division by zero or overflow", 0, SIGFPE, FPE_INTDIV, true},
        {"debug trap", 1, SIGTRAP, TRAP_TRACE, true},
        {"breakpoint", 3, SIGTRAP, SI_KERNEL, false},
        {"overflow trap", 4, SIGSEGV, SI_KERNEL, false},
        {"bound check", 5, SIGSEGV, SI_KERNEL, false},
        {"illegal instruction", 6, SIGILL, ILL_ILLOPN, true},
        {"stack segment fault (address is not canonical)", 12, SIGBUS, SI_KERNEL, false},
        {"general protection fault (privileged instruction or address not canonical)", 13, SIGSEGV,
         SI_KERNEL, false},
        {"floating point exception", 16, SIGFPE, 0, true},
        {"unaligned access", 17, SIGBUS, BUS_ADRALN, true},
        {"floating point exception", 19, SIGFPE, 0, true},
    };
    struct linux_thread *t = current_lt();
    int sig, code;

    if (!t) { // a thread of lith.h
        report_fault("program ended by an exception of a thread that gets no signals", r,
                     vector == 14 ? addr : REPORT_NO_ADDRESS);
        plat_exit(128 + SIGSEGV);
    }
    t->trap_vector = vector;
    t->trap_error = error;
    t->trap_addr = addr;
    if (vector == 14) {
        sig = describe_page_fault(addr, error, r, &code);
        signal_force_fault(sig, code, addr);
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(causes); i++) {
        if (causes[i].vector != vector)
            continue;
        sig = causes[i].sig;
        code = causes[i].code ? causes[i].code : fpu_exception_code(vector == 19);
        lib_strlcpy(fault_title, causes[i].title, sizeof(fault_title));
        signal_force_fault(sig, code, causes[i].at_rip ? r->rip : 0);
        return;
    }
    lib_snprintf(fault_title, sizeof(fault_title), "exception %u", vector);
    signal_force_fault(SIGSEGV, SI_KERNEL, 0);
}

// sched_signal_hook: the instance was asked to stop, or its terminal says so.
static void outside_signal(int sig)
{
    siginfo_t info;

    memset(&info, 0, sizeof(info));
    info.si_code = SI_USER;
    if (!process_init) // nobody can have a handler yet: what all these signals do then
        plat_exit(128 + sig);
    if (sig > 0 && sig <= PROC_NSIG)
        signal_send_process(process_init, sig, &info);
}

int signal_delivery_init(void)
{
    size_t size = 64;

    while (size < arch_fpu_size())
        size *= 2;
    fpu_initial = kzalloc(size);
    if (!fpu_initial)
        return -ENOMEM;
    arch_fpu_init(fpu_initial);
    restart_mark = random_u64();
    sched_user_work_hook = signal_user_work;
    sched_signal_hook = outside_signal;
    arch_user_exception_hook = user_exception;
    return 0;
}

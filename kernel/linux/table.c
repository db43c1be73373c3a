// SPDX-License-Identifier: ISC
// The dispatch of kernel calls: from the registers of a program to `sys_<name>`. The table is built
// from the SYSCALL lines of this folder (tools/syscalls.sh); it refers to the functions weakly, so
// that it brings none into a program that is linked with the kernel as a library. An unknown call
// is ENOSYS and, once per number, a line in the log that names the call, its arguments and the
// caller.
#include <asm-generic/errno.h>
#include "abi/gate.h"
#include "linux/process.h"

#define SYSCALL_ENTRY(nr, name) \
    extern long sys_##name(long, long, long, long, long, long) __attribute__((weak));
#include "build/gen/syscalls.inc"
#undef SYSCALL_ENTRY

static long call_absent(long a, long b, long c, long d, long e, long f)
{
    (void)a, (void)b, (void)c, (void)d, (void)e, (void)f;
    return syscall_unknown(arch_user_regs());
}

// Every number has a function, so that a gate need not look.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init"
static const syscall_fn syscall_table[LITH_GATE_ENTRIES] = {
    [0 ... LITH_GATE_ENTRIES - 1] = call_absent,
#define SYSCALL_ENTRY(nr, name) [nr] = sys_##name,
#include "build/gen/syscalls.inc"
#undef SYSCALL_ENTRY
};
#pragma GCC diagnostic pop

// Linux's names in order of number, each with its NUL; a number that Linux does not use has an
// empty name.
static const char syscall_names[] =
#include "build/gen/syscall_names.inc"
    ;

static uint64_t unknown_logged[LITH_GATE_ENTRIES / 64];

syscall_fn syscall_lookup(unsigned long nr)
{
    return nr < LITH_GATE_ENTRIES && syscall_table[nr] != call_absent ? syscall_table[nr] : NULL;
}

const char *syscall_name(unsigned long nr)
{
    const char *at = syscall_names, *end = syscall_names + sizeof(syscall_names) - 1;
    while (nr && at < end) {
        at += strlen(at) + 1;
        nr--;
    }
    return at < end && *at ? at : "?";
}

// "file+0xoffset" of a program's address, or the bare address.
static void describe_caller(uint64_t addr, char *buf, size_t size)
{
    static struct mm_area_info area; // too large for a kernel stack; the kernel is not preempted
    if (mm_next_area(current_process()->mm, addr, &area) && area.start <= addr && area.name[0])
        lib_snprintf(buf, size, "%s+0x%lx", area.name,
                     (unsigned long)(addr - area.start + area.off));
    else
        lib_snprintf(buf, size, "0x%lx", (unsigned long)addr);
}

__attribute__((noinline, cold)) long syscall_unknown(const struct regs *r)
{
    unsigned long nr = r->orig_rax;
    unsigned slot = nr < LITH_GATE_ENTRIES ? nr : LITH_GATE_ENTRIES - 1;
    uint64_t bit = 1ull << (slot % 64);
    if (!(unknown_logged[slot / 64] & bit)) {
        char caller[160];
        unknown_logged[slot / 64] |= bit;
        describe_caller(r->rip, caller, sizeof(caller));
        log_warn(
            "unknown kernel call %lu %s(0x%lx, 0x%lx, 0x%lx, 0x%lx, 0x%lx, 0x%lx) from %s: ENOSYS",
            nr, syscall_name(nr), (unsigned long)r->rdi, (unsigned long)r->rsi,
            (unsigned long)r->rdx, (unsigned long)r->r10, (unsigned long)r->r8,
            (unsigned long)r->r9, caller);
    }
    return -ENOSYS;
}

// For calls that come by a trap, or are made again; gate.S does the same for those that come by a
// gate.
static void syscall_dispatch(struct regs *r)
{
    unsigned long nr = r->orig_rax;
    struct arch_thread *a = &thread_current()->arch;
    a->calls[a->calls_at] = (uint16_t)nr;
    a->calls_at = (a->calls_at + 1) % ARCH_CALLS_KEPT;
    if (unlikely(nr >= LITH_GATE_ENTRIES)) {
        r->rax = (uint64_t)syscall_unknown(r);
        return;
    }
    r->rax = (uint64_t)syscall_table[nr]((long)r->rdi, (long)r->rsi, (long)r->rdx, (long)r->r10,
                                         (long)r->r8, (long)r->r9);
    // Kernel-internal results must not reach the program: signal.c turns them into others.
    if (unlikely((long)r->rax <= -ERESTARTSYS && (long)r->rax >= -ERESTART_RESTARTBLOCK))
        thread_add_user_work(thread_current());
}

static void call_restarts(struct regs *r)
{
    (void)r;
    thread_add_user_work(thread_current());
}

static void log_last_calls(void)
{
    struct thread *t = this_cpu()->current;
    char line[512];
    size_t at = 0;
    if (!t || !t->linux_thread)
        return;
    line[0] = '\0';
    for (unsigned i = 0; i < ARCH_CALLS_KEPT && at < sizeof(line); i++) {
        uint16_t nr = t->arch.calls[(t->arch.calls_at + i) % ARCH_CALLS_KEPT];
        if (nr != ARCH_CALL_NONE)
            at += (size_t)lib_snprintf(line + at, sizeof(line) - at, " %s", syscall_name(nr));
    }
    log_error("last kernel calls:%s", line);
}

static const char *current_program_name(void)
{
    struct thread *thread = this_cpu()->current;
    struct linux_thread *t = thread ? thread->linux_thread : NULL;
    return t ? t->process->comm : NULL;
}

// Binary mode. The table of gates stands below the programs, where rewritten calls look for it.
int syscall_table_install(void)
{
    uint64_t pa;
    if (!plat_query(arch_gates_init(syscall_table), &pa, NULL) ||
        plat_map(LITH_GATE_TABLE, pa, 2 * PAGE_SIZE, PLAT_READ))
        return -ENOMEM;
    arch_syscall_hook = syscall_dispatch;
    arch_restart_hook = call_restarts;
    report_last_calls = log_last_calls;
    if (!report_thread_name)
        report_thread_name = current_program_name;
    return 0;
}

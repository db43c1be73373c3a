// SPDX-License-Identifier: ISC
// Machine "process": the guest is this very process, without KVM. RAM is a memory file, mapped
// where the kernel expects physical memory; the kernel image lies at its random base; descriptors,
// timers and signal handlers are made here. Then the filter closes, and the kernel is jumped to,
// which unmaps all that is left of the monitor. No thread, no monitor code runs beside it.
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "abi/layout.h"
#include "monitor/monitor.h"

#define HWCAP2_FSGSBASE_ 2ul
#define STACK_LEN        (64 * 1024ull) // for signals: a frame has all vector registers in it
#define MEASURE_NS       800000ull      // of the TSC's rate, at least: 20 ns are 25 ppm

static void *fixed_map(uint64_t at, uint64_t len, int prot, int fd, uint64_t offset)
{
    void *p = mmap((void *)(uintptr_t)at, len, prot, MAP_SHARED | MAP_FIXED, fd, (off_t)offset);
    if (p == MAP_FAILED)
        fatal("cannot map memory at 0x%llx: %s", (unsigned long long)at, strerror(errno));
    return p;
}

void process_map_ram(struct monitor *m, uint64_t low_len)
{
    uint64_t high_len = m->ram_len - low_len, end = high_len ? 4 * GIB + high_len : low_len;
    m->ram_fd = memfd_create("lith-ram", MFD_CLOEXEC);
    if (m->ram_fd < 0 || ftruncate(m->ram_fd, (off_t)end) != 0)
        fatal("cannot make guest memory: %s", strerror(errno));
    void *taken = mmap((void *)(uintptr_t)LITH_DIRECT_BASE, end, PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (taken != (void *)(uintptr_t)LITH_DIRECT_BASE)
        fatal("the guest's addresses are in use: %s", strerror(errno));
    add_region(m, 0, low_len,
               fixed_map(LITH_DIRECT_BASE, low_len, PROT_READ | PROT_WRITE, m->ram_fd, 0), true);
    if (high_len)
        add_region(m, 4 * GIB, high_len,
                   fixed_map(LITH_DIRECT_BASE + 4 * GIB, high_len, PROT_READ | PROT_WRITE,
                             m->ram_fd, 4 * GIB),
                   true);
}

bool process_reserve_kernel(struct monitor *m)
{
    void *want = (void *)(uintptr_t)m->kernel_base;
    void *got = mmap(want, m->kernel.len, PROT_NONE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (got == MAP_FAILED && errno != EEXIST)
        fatal("cannot map the kernel: %s", strerror(errno));
    if (got != want && got != MAP_FAILED)
        munmap(got, m->kernel.len); // an old host that knows no NOREPLACE
    return got == want;
}

// The image's segments, and read-only what the direct map shows of them. Text comes from the
// kernel's file: all instances share it, and debuggers and profilers know whose it is. (It has no
// relocations; a file that has some there harms itself only.)
void process_map_kernel(struct monitor *m, int fd, const char *path)
{
    struct statvfs fs;
    if (fstatvfs(fd, &fs) == 0 && fs.f_flag & ST_NOEXEC)
        fatal("%s lies on a file system that is mounted noexec: nothing there can run as a process",
              path);
    for (unsigned i = 0; i < m->kernel.count; i++) {
        const struct kernel_segment *s = &m->kernel.segment[i];
        uint64_t len = round_up(s->mem_len, PAGE_SIZE), gpa = m->kernel.phys + s->offset;
        if (s->exec && !s->write)
            fixed_map(m->kernel_base + s->offset, len, PROT_READ | PROT_EXEC, fd, s->file_offset);
        else
            fixed_map(m->kernel_base + s->offset, len,
                      PROT_READ | (s->write ? PROT_WRITE : 0) | (s->exec ? PROT_EXEC : 0),
                      m->ram_fd, gpa);
        if (!s->write && mprotect((void *)(uintptr_t)(LITH_DIRECT_BASE + gpa), len, PROT_READ) != 0)
            fatal("cannot protect the kernel: %s", strerror(errno));
    }
}

static uint64_t monotonic_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

// A moment on both clocks: of some tries the one that was least disturbed.
static void read_clocks(uint64_t *tsc, uint64_t *ns)
{
    uint64_t best = UINT64_MAX;
    for (int i = 0; i < 20; i++) {
        uint64_t before = rdtsc(), at = monotonic_ns(), after = rdtsc();
        if (after - before < best) {
            best = after - before;
            *tsc = before + best / 2;
            *ns = at;
        }
    }
}

static void cpuid(uint32_t leaf, uint32_t r[4])
{
    __asm__ volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "a"(leaf), "c"(0));
}

// From CPUID, if it is there (a hypervisor's leaf, or the CPU's own). (Performance events would
// tell it exactly, but opening the host's first one takes it 5 ms.)
static uint64_t cpuid_tsc_khz(void)
{
    uint32_t r[4], max;
    cpuid(0, r);
    max = r[0];
    cpuid(1, r);
    if (r[2] >> 31) {
        cpuid(0x40000000, r);
        if (r[0] >= 0x40000010 && r[0] < 0x40010000) {
            cpuid(0x40000010, r);
            if (r[0])
                return r[0];
        }
    }
    if (max >= 0x15) {
        cpuid(0x15, r);
        if (r[0] && r[1] && r[2])
            return (uint64_t)r[2] * r[1] / r[0] / 1000;
    }
    return 0;
}

// Or else measured, from process_check() to the end of the start.
static uint64_t measured_tsc, measured_ns;

static uint64_t measured_tsc_khz(void)
{
    uint64_t tsc = 0, ns = 0;
    while (monotonic_ns() - measured_ns < MEASURE_NS)
        __asm__ volatile("pause");
    read_clocks(&tsc, &ns);
    return (uint64_t)((unsigned __int128)(tsc - measured_tsc) * 1000000u / (ns - measured_ns));
}

void process_check(struct monitor *m, const struct options *o)
{
    // Threads of a program have an FS base each; the kernel switches it without the host.
    if (!(getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE_))
        fatal("machine process: this CPU or kernel has no FSGSBASE instructions for programs");
    m->tsc_khz = cpuid_tsc_khz();
    if (m->tsc_khz)
        return;
    read_clocks(&measured_tsc, &measured_ns);
    // Who started us was there earlier: the longer, the better.
    if (o->clock_tsc && o->clock_tsc < measured_tsc && o->clock_ns < measured_ns) {
        measured_tsc = o->clock_tsc;
        measured_ns = o->clock_ns;
    }
}

static int make_timer(int sig)
{
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = sig};
    int id;
    if (syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &id) != 0)
        fatal("cannot make a timer: %s", strerror(errno));
    return id;
}

// The host's own struct sigaction: the C library's has its own function to return through.
struct host_sigaction {
    uint64_t handler, flags, restorer, mask;
};
#define SA_RESTORER_ 0x04000000ull

static void take_signals(const struct monitor *m)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS};
    static const int outside[] = {SIGTERM, SIGINT, SIGHUP, LITH_PROCESS_SIGTIMER,
                                  LITH_PROCESS_SIGGRACE};
    uint64_t mask = 0, none = 0;
    for (unsigned i = 0; i < sizeof outside / sizeof outside[0]; i++)
        mask |= 1ull << (outside[i] - 1);
    struct host_sigaction action = {
        .handler = m->kernel_base + m->kernel.process.signal_off,
        .flags = SA_SIGINFO | SA_ONSTACK | SA_RESTORER_,
        .restorer = m->kernel_base + m->kernel.process.restorer_off,
        .mask = mask,
    };
    bool failed = false;
    for (unsigned i = 0; i < sizeof faults / sizeof faults[0]; i++)
        failed |= syscall(SYS_rt_sigaction, faults[i], &action, NULL, sizeof mask) != 0;
    for (unsigned i = 0; i < sizeof outside / sizeof outside[0]; i++)
        failed |= syscall(SYS_rt_sigaction, outside[i], &action, NULL, sizeof mask) != 0;
    failed |= syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof mask) != 0;
    if (failed)
        fatal("cannot set the signal handlers: %s", strerror(errno));
}

static void describe(struct monitor *m, const struct options *o)
{
    const struct net_backend *net = &m->net_backend;
    struct lith_process *p = &m->boot->process;
    p->ram_fd = m->ram_fd;
    p->root_fd = o->root ? o->root_fd : -1;
    p->net_fd = m->has_net ? net->fd : -1;
    if (m->has_net) {
        p->net_flags = (net->flush ? LITH_PROCESS_NET_STREAM : 0) |
                       (net->offload_checksum ? LITH_PROCESS_NET_CSUM : 0) |
                       (net->offload_tso ? LITH_PROCESS_NET_TSO4 : 0);
        p->mtu = net->mtu;
        memcpy(p->mac, o->mac, sizeof p->mac);
    }
    p->timer_id = make_timer(LITH_PROCESS_SIGTIMER);
    p->grace_id = make_timer(LITH_PROCESS_SIGGRACE);
}

static void close_filter(const struct monitor *m, const struct options *o)
{
    static struct sock_filter filter[PROCESS_FILTER_MAX];
    const struct lith_process *p = &m->boot->process;
    struct process_rules rules = {
        .calls_start = m->kernel_base + m->kernel.process.calls_start,
        .calls_end = m->kernel_base + m->kernel.process.calls_end,
        .ram_fd = p->ram_fd,
        .root_fd = p->root_fd,
        .net_fd = p->net_fd,
        .allow_wx = o->allow_wx,
    };
    if (rules.calls_start >> 32 != rules.calls_end >> 32)
        fatal("the kernel's calls lie across 4 GiB"); // its base is 2 MiB-aligned: the image is too
    struct sock_fprog program = {.len = (unsigned short)process_filter(&rules, filter),
                                 .filter = filter};
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0)
        fatal("cannot install the system call filter: %s", strerror(errno));
}

// What the host's page tables for this process may take: a program that maps one page at as many
// places as there are would fill the host's memory with them.
static void limit_addresses(const struct monitor *m)
{
    uint64_t mapped = 4 * GIB;
    for (unsigned i = 0; i < m->mem.count; i++)
        mapped += 4 * m->mem.region[i].len;
    struct rlimit limit = {mapped, mapped};
    if (setrlimit(RLIMIT_AS, &limit) != 0)
        fatal("cannot set limits: %s", strerror(errno));
}

_Noreturn void process_run(struct monitor *m, const struct options *o)
{
    if (m->kernel.process.calls_end == 0)
        fatal("this kernel is too old to run as a process");
    describe(m, o);
    uint64_t stack_gpa = m->free_gpa;
    if (stack_gpa + STACK_LEN > m->mem.region[0].len)
        fatal("--mem is too small for the signal stack");
    m->boot->free_gpa = stack_gpa + STACK_LEN;
    stack_t stack = {.ss_sp = m->mem.region[0].host + stack_gpa, .ss_size = STACK_LEN};
    if (sigaltstack(&stack, NULL) != 0)
        fatal("cannot set the signal stack: %s", strerror(errno));
    if (!m->tsc_khz)
        m->tsc_khz = measured_tsc_khz();
    boot_finish(m);
    uint64_t entry = m->kernel_base + m->kernel.tables.start64_off;
    uint64_t boot = LITH_DIRECT_BASE + m->boot_gpa;
    prctl(PR_SET_NAME, "lith-process", 0, 0, 0);
    limit_addresses(m);
    take_signals(m);
    chart_mark("clocks, timers, signals");
    if (o->boot_chart)
        chart_print(m);
    close_filter(m, o);
    __asm__ volatile("wrgsbase %2\n\t"
                     "xor %%ebp, %%ebp\n\t"
                     "jmp *%0" ::"r"(entry),
                     "D"(boot), "r"(0ull)
                     : "memory");
    __builtin_unreachable();
}

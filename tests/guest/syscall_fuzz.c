// SPDX-License-Identifier: ISC
// Every call number with garbage: bad pointers, odd lengths, wrong descriptors. The kernel may
// refuse or accept, but must neither panic nor hang, and must still work afterwards. What is random
// comes from a seed (first argument), so that a finding can be had again; the second argument is
// the number of rounds. Each round runs in a thread of its own where a signal handler leaves calls
// that block (an interval timer interrupts them) and faults.
//
// It runs only as process 1 of an instance: it would damage any other machine.
//
// Left out are calls that end or stop the program by right (exit, kill, pause, execve, ...), and
// arguments that would take away the ground under the test: its own text, stacks and standard
// output are out of reach of the calls that unmap or protect memory, and of close and dup.
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "tap.h"

enum { CALLS = 470, SCRATCH = 1 << 16 };

static uint64_t seed = 1;
static uint8_t *scratch, *readonly, *hole; // written by anybody; not writable; not mapped
static unsigned long current_nr;
static long current_args[6];
static unsigned long calls_made, faults, interrupted;

static uint64_t next_random(void) // xorshift64*
{
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return seed * 0x2545f4914f6cdd1dull;
}

static unsigned below(unsigned n)
{
    return (unsigned)(next_random() >> 33) % n;
}

// Calls that end the program or a thread, wait for good by right, or change what the test needs.
static bool left_out(long nr)
{
    switch (nr) {
    case SYS_rt_sigreturn: // by right a jump to garbage
    case SYS_pause:
    case SYS_rt_sigsuspend:
    case SYS_clone: // a child on the parent's own stack
    case SYS_clone3:
    case SYS_fork:
    case SYS_vfork:
    case SYS_execve:
    case SYS_execveat:
    case SYS_exit:
    case SYS_exit_group:
    case SYS_kill:
    case SYS_tkill:
    case SYS_tgkill:
    case SYS_rt_sigqueueinfo:
    case SYS_rt_tgsigqueueinfo:
    case SYS_pidfd_send_signal:
    case SYS_rt_sigaction: // the handlers are how the test gets out
    case SYS_rt_sigprocmask:
    case SYS_sigaltstack:
    case SYS_setitimer:
    case SYS_alarm:
    case SYS_arch_prctl: // the thread pointer
    case SYS_set_tid_address:
    case SYS_set_robust_list:
    case SYS_rseq:
    case SYS_brk: // the heap of the C library
    case SYS_prctl:
    case SYS_prlimit64: // a limit of 0 on descriptors or CPU time
    case SYS_setrlimit:
    case SYS_seccomp:
    case SYS_ptrace:
    case SYS_reboot:
    case SYS_vhangup:
    case SYS_chroot:
    case SYS_pivot_root:
    case SYS_mount:
    case SYS_umount2:
    case SYS_settimeofday:
    case SYS_clock_settime:
    case SYS_adjtimex:
    case SYS_clock_adjtime:
    case SYS_sethostname:
    case SYS_setdomainname:
    case SYS_setuid:
    case SYS_setgid:
    case SYS_setreuid:
    case SYS_setregid:
    case SYS_setresuid:
    case SYS_setresgid:
    case SYS_setpriority:
    case SYS_sched_setparam:
    case SYS_sched_setscheduler: // real-time beside the thread that watches
    case SYS_sched_setattr:
    case SYS_close_range:
    case SYS_unshare:
    case SYS_setns:
    case SYS_mlockall:
    case SYS_kexec_load:
    case SYS_kexec_file_load:
    case SYS_init_module:
    case SYS_finit_module:
    case SYS_delete_module:
    case SYS_swapoff:
    case SYS_swapon:
    case SYS_acct:
    case SYS_setpgid:
    case SYS_setsid:
    case SYS_syslog:
    case SYS_iopl:
    case SYS_ioperm:
    case SYS_modify_ldt:
    case SYS_bpf:
        return true;
    default:
        return false;
    }
}

static long odd_pointer(void)
{
    static const uint64_t bad[] = {0,
                                   1,
                                   0xfff,
                                   0x10000,
                                   0xffff,
                                   0x7fffffffe000,
                                   0x7fffffffffff,
                                   0x800000000000,
                                   0xffff800000000000,
                                   0xffffffff80000000,
                                   0xfffffffffffff000,
                                   0xffffffffffffffff,
                                   0x8000000000000000,
                                   0xdeadbeef00000000};
    switch (below(8)) {
    case 0:
        return (long)bad[below(sizeof(bad) / sizeof(bad[0]))];
    case 1:
        return (long)(readonly + below(4096));
    case 2:
        return (long)(hole - below(64)); // runs from the scratch pages into the hole
    case 3:
        return (long)(hole + below(4096));
    default:
        return (long)(scratch + below(SCRATCH));
    }
}

static long odd_number(void)
{
    static const long odd[] = {0,         1,         2,          3,          -1,        -2,
                               7,         8,         16,         63,         64,        127,
                               128,       255,       256,        1023,       1024,      4095,
                               4096,      4097,      65535,      65536,      INT32_MAX, INT32_MIN,
                               INT64_MAX, INT64_MIN, UINT32_MAX, 1L << 32,   1L << 40,  1L << 47,
                               -4095,     -4096,     -4097,      0x40000000, -100,      1L << 62};
    return below(3) ? odd[below(sizeof(odd) / sizeof(odd[0]))] : (long)(next_random() >> below(64));
}

// Descriptors of every kind lie from 3 up; the standard ones stay out of reach.
static long odd_argument(void)
{
    switch (below(4)) {
    case 0:
        return odd_number();
    case 1:
        return 3 + (long)below(40);
    default:
        return odd_pointer();
    }
}

static bool in_scratch(unsigned long at, unsigned long size)
{
    unsigned long from = (unsigned long)scratch, to = from + SCRATCH;
    return at >= from && at < to && size <= to - at;
}

// Keeps calls off the memory and the descriptors that the test stands on, and makes waits short.
static void make_safe(long nr, long *a)
{
    switch (nr) {
    case SYS_mmap: // the address is a wish, or within the scratch pages
        if (!in_scratch((unsigned long)a[0], (unsigned long)a[1]))
            a[3] &= ~(long)MAP_FIXED;
        a[3] &= ~(long)(MAP_LOCKED | MAP_POPULATE);
        break;
    case SYS_munmap:
    case SYS_mprotect:
    case SYS_pkey_mprotect:
    case SYS_madvise:
    case SYS_remap_file_pages:
    case SYS_mremap:
    case SYS_shmdt:
    case SYS_process_madvise:
        if (!in_scratch((unsigned long)a[0], (unsigned long)a[1])) {
            a[0] = (long)hole + 4096 * (long)below(8);
            a[1] &= 0x7fff;
        }
        if (nr == SYS_mremap)
            a[3] &= 1; // no MREMAP_FIXED to anywhere
        break;
    case SYS_shmat:
        a[1] = 0;
        break;
    case SYS_close:
    case SYS_dup3:
    case SYS_dup2:
    case SYS_dup: // the table must not fill up with what nobody closes
        for (int i = 0; i < 2; i++)
            a[i] = 3 + (long)((unsigned long)a[i] % 40);
        break;
    case SYS_fcntl:
    case SYS_ioctl:
    case SYS_sendfile:
    case SYS_splice:
    case SYS_tee:
        for (int i = 0; i < 3; i += 2)
            if (a[i] >= 0 && a[i] < 3)
                a[i] = 3;
        break;
    default: // 0, 1 and 2 are the console: nobody reads it, and its output is the result
        if (a[0] >= 0 && a[0] < 3)
            a[0] = 3;
        break;
    }
}

static sigjmp_buf way_out;
static volatile sig_atomic_t inside;

static void on_signal(int sig)
{
    if (sig == SIGALRM)
        interrupted++;
    else
        faults++;
    if (inside)
        siglongjmp(way_out, 1);
}

static void fill_scratch(void)
{
    uint64_t *words = (uint64_t *)scratch;
    switch (below(4)) {
    case 0:
        memset(scratch, 0, SCRATCH);
        break;
    case 1: // iovecs, message headers: pointers with lengths
        for (unsigned i = 0; i < SCRATCH / 8; i += 2) {
            words[i] = (uint64_t)odd_pointer();
            words[i + 1] = (uint64_t)odd_number();
        }
        break;
    case 2: // paths
        memset(scratch, "/a."[below(3)], SCRATCH);
        for (unsigned i = 0; i < 64; i++)
            scratch[below(SCRATCH)] = 0;
        break;
    default:
        for (unsigned i = 0; i < SCRATCH / 8; i++)
            words[i] = (uint64_t)odd_argument();
    }
}

// Files of every kind at 3 and up; those that a call closed come again.
static void open_files(void)
{
    int p[2];
    for (int fd = 3; fd < 48; fd++)
        close(fd);
    int f = open("/tmp/fuzz-file", O_RDWR | O_CREAT | O_NONBLOCK, 0600);
    if (f >= 0 && ftruncate(f, 10000) != 0)
        close(f);
    if (pipe2(p, O_NONBLOCK) != 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, p) != 0 ||
        socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, p) != 0)
        p[0] = -1;
    socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    syscall(SYS_epoll_create1, 0);
    syscall(SYS_eventfd2, 0, O_NONBLOCK);
    syscall(SYS_timerfd_create, CLOCK_MONOTONIC, O_NONBLOCK);
    syscall(SYS_memfd_create, "fuzz", 0);
    open("/proc/self/maps", O_RDONLY);
    open("/dev/null", O_RDWR);
    open("/dev/zero", O_RDWR);
    open("/", O_RDONLY | O_DIRECTORY);
    open("/tmp", O_RDONLY | O_DIRECTORY);
    open("/tmp/fuzz-file", O_RDONLY | O_PATH);
}

static bool remap_scratch(void)
{
    uint8_t *at = mmap(scratch, SCRATCH, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | (scratch ? MAP_FIXED : 0), -1, 0);
    return at != MAP_FAILED;
}

static void one_call(long nr)
{
    long a[6];
    for (int i = 0; i < 6; i++)
        a[i] = odd_argument();
    if (below(2))
        a[0] = 3 + (long)below(20); // most calls want a descriptor first
    make_safe(nr, a);
    current_nr = (unsigned long)nr;
    memcpy(current_args, a, sizeof(a));
    if (sigsetjmp(way_out, 1) == 0) {
        inside = 1;
        calls_made++;
        syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
    }
    inside = 0;
}

static bool still_works(void)
{
    char buf[8] = "";
    int p[2];
    void *m = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (m == MAP_FAILED)
        return false;
    memset(m, 1, 65536);
    munmap(m, 65536);
    if (pipe(p) != 0)
        return false;
    bool good = write(p[1], "hello", 5) == 5 && read(p[0], buf, 5) == 5 && !memcmp(buf, "hello", 5);
    close(p[0]);
    close(p[1]);
    return good && getpid() > 0;
}

int main(int argc, char **argv)
{
    unsigned long rounds = argc > 2 ? strtoul(argv[2], NULL, 0) : 12;
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 0) : 20260101;
    const char *verbose = getenv("FUZZ_VERBOSE");
    struct itimerval tick = {.it_interval.tv_usec = 20000, .it_value.tv_usec = 20000};
    static char alt[65536];
    if (getpid() != 1) { // chmod and unlink with garbage are nothing for a shared machine
        OK(1, "garbage for every call # SKIP only where it is the one process of its machine");
        return tap_end();
    }
    stack_t ss = {.ss_sp = alt, .ss_size = sizeof(alt)};
    uint8_t *all =
        mmap(NULL, 2 * SCRATCH + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (!OK(all != MAP_FAILED && chdir("/tmp") == 0, "pages of its own"))
        return tap_end();
    readonly = all;
    mprotect(readonly, 4096, PROT_READ);
    scratch = all + 4096;
    hole = scratch + SCRATCH;
    munmap(hole, SCRATCH);
    sigaltstack(&ss, NULL);
    for (int sig = 1; sig < 32; sig++)
        if (sig != SIGKILL && sig != SIGSTOP && sig != SIGABRT && sig != SIGTERM)
            sigaction(
                sig,
                &(struct sigaction){.sa_handler = on_signal, .sa_flags = SA_ONSTACK | SA_NODEFER},
                NULL);
    setitimer(ITIMER_REAL, &tick, NULL);
    time_t end = time(NULL) + (argc > 2 ? 3600 : 20);
    for (unsigned long r = 0; r < rounds && time(NULL) < end; r++) {
        seed = (first + r) * 0x9e3779b97f4a7c15ull | 1;
        open_files();
        for (long nr = 0; nr < CALLS; nr++) {
            if (left_out(nr))
                continue;
            if (nr % 16 == 0 && !remap_scratch())
                break;
            if (nr % 16 == 0)
                fill_scratch();
            if (verbose)
                dprintf(1, "# seed %lu call %ld\n", (unsigned long)(first + r), nr);
            for (int k = 0; k < 4; k++)
                one_call(nr);
        }
    }
    setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
    printf("# %lu calls, %lu faults, %lu interrupted\n", calls_made, faults, interrupted);
    OK(calls_made > 0, "every call took garbage");
    OK(still_works(), "the kernel still works");
    fflush(stdout);
    return tap_end();
}

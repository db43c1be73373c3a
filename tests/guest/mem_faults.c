// SPDX-License-Identifier: ISC
// Accesses that must fault, each with the signal, code and address that Linux gives; and bad
// pointers in calls, which must be EFAULT. Every fault is caught and survived.
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#include "tap.h"

#define PAGE 4096ul
#define RW   (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static sigjmp_buf back;
static volatile siginfo_t seen;
static char alt[64 << 10];

static void on_fault(int sig, siginfo_t *info, void *context)
{
    (void)sig, (void)context;
    *(siginfo_t *)(uintptr_t)&seen = *info;
    siglongjmp(back, 1);
}

// Does `access` fault with this signal, code and address?
#define FAULTS(access, sig, code, addr, name)                                                      \
    do {                                                                                           \
        memset((void *)(uintptr_t)&seen, 0, sizeof(seen));                                         \
        if (sigsetjmp(back, 1) == 0) {                                                             \
            access;                                                                                \
            OK(0, name ": no fault");                                                              \
        } else if (!OK(seen.si_signo == (sig) && seen.si_code == (code) &&                         \
                           seen.si_addr == (void *)(addr),                                         \
                       name)) {                                                                    \
            printf("# signal %d code %d address %p\n", seen.si_signo, seen.si_code, seen.si_addr); \
        }                                                                                          \
    } while (0)

static char *anon(size_t pages, int prot)
{
    char *p = mmap(NULL, pages * PAGE, prot, ANON, -1, 0);
    if (p == MAP_FAILED)
        perror("mmap"), exit(1);
    return p;
}
static int read_from(volatile char *p)
{
    return *p;
}
static void call(void *p)
{
    void (*fn)(void);
    memcpy(&fn, &p, sizeof(fn));
    fn();
}

static void accesses(void)
{
    char *p = anon(3, RW);
    FAULTS(read_from((char *)0), SIGSEGV, SEGV_MAPERR, 0, "read of 0");
    FAULTS(*(volatile char *)8 = 1, SIGSEGV, SEGV_MAPERR, 8, "write of 8");
    FAULTS(call((void *)0), SIGSEGV, SEGV_MAPERR, 0, "call of 0");
    FAULTS(read_from((char *)0xfff0), SIGSEGV, SEGV_MAPERR, 0xfff0, "read below 64 KiB");
    mprotect(p + PAGE, PAGE, PROT_NONE);
    FAULTS(read_from(p + PAGE + 5), SIGSEGV, SEGV_ACCERR, p + PAGE + 5, "read of PROT_NONE");
    FAULTS(p[PAGE + 5] = 1, SIGSEGV, SEGV_ACCERR, p + PAGE + 5, "write of PROT_NONE");
    mprotect(p, PAGE, PROT_READ);
    FAULTS(p[3] = 1, SIGSEGV, SEGV_ACCERR, p + 3, "write of read-only memory");
    OK(read_from(p + 3) == 0, "which can be read");
    munmap(p + 2 * PAGE, PAGE);
    FAULTS(read_from(p + 2 * PAGE), SIGSEGV, SEGV_MAPERR, p + 2 * PAGE, "read of unmapped memory");
    char *code = anon(1, RW);
    code[0] = (char)0xc3; // ret
    FAULTS(call(code), SIGSEGV, SEGV_ACCERR, code, "call of memory that is not executable");
    mprotect(code, PAGE, PROT_READ | PROT_EXEC);
    if (sigsetjmp(back, 1) == 0) {
        call(code);
        OK(1, "code that was written, then made executable, runs");
    } else {
        OK(0, "code that was written, then made executable, runs");
    }
    FAULTS(code[0] = 0, SIGSEGV, SEGV_ACCERR, code, "and cannot be written");
    static char stack_or_data[16] = {(char)0xc3};
    FAULTS(call(stack_or_data), SIGSEGV, SEGV_ACCERR, stack_or_data, "call of .data");
    FAULTS(*(volatile char *)(uintptr_t)&on_fault = 1, SIGSEGV, SEGV_ACCERR,
           (char *)(uintptr_t)&on_fault, "write of own text");
}

static void files(void)
{
    char name[] = "/tmp/mem_faultsXXXXXX";
    int fd = mkstemp(name);
    OK(fd >= 0 && ftruncate(fd, PAGE + 100) == 0, "a file of a page and 100 bytes");
    char *p = mmap(NULL, 4 * PAGE, RW, MAP_SHARED, fd, 0);
    OK(p != MAP_FAILED && p[PAGE + 99] == 0 && p[2 * PAGE - 1] == 0, "mapped: zero behind its end");
    FAULTS(read_from(p + 2 * PAGE), SIGBUS, BUS_ADRERR, p + 2 * PAGE, "read beyond its last page");
    FAULTS(p[3 * PAGE] = 1, SIGBUS, BUS_ADRERR, p + 3 * PAGE, "write beyond its last page");
    p[5] = 1;
    OK(ftruncate(fd, 0) == 0, "cut to nothing");
    FAULTS(read_from(p + 5), SIGBUS, BUS_ADRERR, p + 5, "read of what was cut off");
    OK(ftruncate(fd, PAGE) == 0 && p[5] == 0, "longer again: zero");
    unlink(name);
    close(fd);
}

static char *bad_pointer(uintptr_t addr)
{
    volatile uintptr_t v = addr; // the compiler shall not know
    return (char *)v;
}

static void bad_pointers(void)
{
    char *p = anon(2, RW), c = 'x';
    int pipes[2];
    if (pipe(pipes))
        return;
    munmap(p + PAGE, PAGE);
    FAILS(write(pipes[1], bad_pointer(16), 4), EFAULT, "write from 16");
    FAILS(write(pipes[1], p + PAGE, 4), EFAULT, "write from unmapped memory");
    FAILS(write(pipes[1], bad_pointer(0x780000001000), 4), EFAULT,
          "write from the kernel's memory");
    FAILS(write(pipes[1], bad_pointer(~0ul), 1), EFAULT, "write from the last byte there is");
    OK(write(pipes[1], &c, 1) == 1, "something to read");
    mprotect(p, PAGE, PROT_READ);
    FAILS(read(pipes[0], p, 1), EFAULT, "read into read-only memory");
    mprotect(p, PAGE, PROT_NONE);
    FAILS(open(p, O_RDONLY), EFAULT, "open of a path without access");
    mprotect(p, PAGE, RW);
    memset(p, 'a', PAGE);
    FAILS(open(p + PAGE - 8, O_RDONLY), EFAULT, "open of a path that runs into a hole");
    FAILS(syscall(SYS_clock_gettime, 0, p + PAGE), EFAULT, "clock_gettime into a hole");
    FAILS(syscall(SYS_rt_sigaction, SIGUSR1, p + PAGE, NULL, 8), EFAULT, "sigaction from a hole");
}

// --- stacks ---
static volatile uintptr_t deepest;
// Uses 1 KiB of stack a level; with n < 0 until it faults.
static int recurse(int n)
{
    volatile char frame[1024];
    frame[0] = (char)n;
    deepest = (uintptr_t)frame;
    return n ? recurse(n - 1) + frame[0] : 0;
}
static int faulted_near_deepest(void)
{
    intptr_t off = (intptr_t)deepest - (intptr_t)seen.si_addr;
    return seen.si_signo == SIGSEGV && off < 65536 && off > -65536;
}

static void *thread(void *arg)
{
    stack_t ss = {.ss_sp = malloc(sizeof(alt)), .ss_size = sizeof(alt)};
    (void)arg;
    sigaltstack(&ss, NULL);
    if (sigsetjmp(back, 1) == 0)
        recurse(-1);
    OK(faulted_near_deepest(), "a thread's stack overflow faults at its guard");
    return NULL;
}

static void stacks(void)
{
    recurse(4000);
    OK(1, "4 MiB of stack");
    if (sigsetjmp(back, 1) == 0)
        recurse(-1);
    OK(faulted_near_deepest(), "stack overflow faults just below the stack");
    pthread_t t;
    OK(pthread_create(&t, NULL, thread, NULL) == 0 && pthread_join(t, NULL) == 0, "thread");
}

int main(void)
{
    struct sigaction a = {.sa_sigaction = on_fault,
                          .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    stack_t ss = {.ss_sp = alt, .ss_size = sizeof(alt)};
    sigaltstack(&ss, NULL);
    sigaction(SIGSEGV, &a, NULL);
    sigaction(SIGBUS, &a, NULL);
    accesses();
    files();
    bad_pointers();
    stacks();
    return tap_end();
}

// SPDX-License-Identifier: ISC
// Signals: handlers and what they see, masks, queues, alternate stacks, interrupted and restarted
// calls, jumps out of handlers, faults, waiting, signals of threads.
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>
#include "tap.h"

static volatile sig_atomic_t hits, last_sig, last_code, last_value, last_pid, order[8], order_count;
static void *volatile last_addr;

static void on_signal(int sig, siginfo_t *si, void *ctx)
{
    (void)ctx;
    hits++;
    last_sig = sig;
    last_code = si->si_code;
    last_value = si->si_value.sival_int;
    last_pid = si->si_pid;
    last_addr = si->si_addr;
    if (order_count < 8)
        order[order_count++] = sig;
}

static void handle(int sig, void (*fn)(int, siginfo_t *, void *), int flags)
{
    struct sigaction sa = {.sa_sigaction = fn, .sa_flags = SA_SIGINFO | flags};

    sigemptyset(&sa.sa_mask);
    sigaction(sig, &sa, NULL);
    hits = 0;
    order_count = 0;
}

static void nap(int ms)
{
    struct timespec t = {0, ms * 1000000L};

    nanosleep(&t, NULL);
}

static void sending(void)
{
    sigset_t set, pending;
    union sigval v = {.sival_int = 42};
    struct sigaction old;

    handle(SIGUSR1, on_signal, 0);
    kill(getpid(), SIGUSR1);
    OK(hits == 1 && last_sig == SIGUSR1 && last_code == SI_USER && last_pid == getpid(), "kill");
    raise(SIGUSR1);
    OK(hits == 2 && last_code == SI_TKILL, "raise");
    sigqueue(getpid(), SIGUSR1, v);
    OK(hits == 3 && last_code == SI_QUEUE && last_value == 42, "sigqueue with a value");

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGRTMIN);
    sigprocmask(SIG_BLOCK, &set, NULL);
    handle(SIGRTMIN, on_signal, 0);
    for (int i = 0; i < 3; i++) {
        kill(getpid(), SIGUSR1);
        v.sival_int = i;
        sigqueue(getpid(), SIGRTMIN, v);
    }
    OK(hits == 0, "blocked signals wait");
    sigpending(&pending);
    OK(sigismember(&pending, SIGUSR1) && sigismember(&pending, SIGRTMIN), "and are pending");
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    OK(hits == 4 && last_sig == SIGUSR1, "ordinary ones come once, real-time ones each time");
    OK(order[0] == SIGRTMIN && order[1] == SIGRTMIN, "stacked frames run the last first");

    handle(SIGUSR1, on_signal, (int)SA_RESETHAND);
    raise(SIGUSR1);
    sigaction(SIGUSR1, NULL, &old);
    OK(hits == 1 && old.sa_handler == SIG_DFL, "SA_RESETHAND");
    signal(SIGUSR1, SIG_IGN);
    raise(SIGUSR1);
    OK(hits == 1, "SIG_IGN");
    raise(SIGCHLD);
    raise(SIGWINCH);
    raise(SIGCONT);
    OK(1, "ignored by default: SIGCHLD, SIGWINCH, SIGCONT");
    FAILS(sigaction(SIGKILL, NULL, NULL) ? -1 : syscall(SYS_rt_sigaction, SIGKILL, &old, NULL, 8),
          EINVAL, "SIGKILL cannot be handled");
    FAILS(syscall(SYS_rt_sigaction, 65, NULL, NULL, 8), EINVAL, "no signal 65");
    FAILS(kill(getpid(), 65), EINVAL, "nor kill of it");
}

static volatile int depth, deepest, raises;
static void nests(int sig, siginfo_t *si, void *ctx)
{
    (void)si;
    (void)ctx;
    depth++;
    deepest = depth > deepest ? depth : deepest;
    if (sig == SIGUSR1)
        raise(SIGUSR2);
    if (raises-- > 0 && sig == SIGUSR2)
        raise(SIGUSR2); // blocked while its handler runs, unless SA_NODEFER
    depth--;
}

static void nesting(void)
{
    handle(SIGUSR1, nests, 0);
    handle(SIGUSR2, nests, 0);
    raises = 2;
    raise(SIGUSR1);
    OK(deepest == 2 && depth == 0, "a handler is interrupted by another signal, not its own");
    deepest = 0;
    raises = 2;
    handle(SIGUSR2, nests, SA_NODEFER);
    raise(SIGUSR2);
    OK(deepest == 3, "SA_NODEFER");
}

static void changes_registers(int sig, siginfo_t *si, void *ctx)
{
    ucontext_t *uc = ctx;

    (void)sig;
    (void)si;
    uc->uc_mcontext.gregs[REG_RIP] += 2; // over the ud2
    uc->uc_mcontext.gregs[REG_RBX] = 0x1234;
    uc->uc_mcontext.fpregs->_xmm[5].element[0] = 77;
}

static void registers(void)
{
    uint64_t rbx = 1, rcx = 2, r11 = 3, r15 = 15, flags_ok;
    uint32_t xmm = 0, xmm6 = 0;

    handle(SIGILL, changes_registers, 0);
    __asm__ volatile("mov $5, %%eax\n\t"
                     "movd %%eax, %%xmm5\n\t"
                     "movd %%eax, %%xmm6\n\t"
                     "stc\n\t"
                     "mov $99, %%rcx\n\t"
                     "mov $98, %%r11\n\t"
                     "movq $0x55, -64(%%rsp)\n\t"
                     "ud2\n\t"
                     "setc %b4\n\t"
                     "cmpq $0x55, -64(%%rsp)\n\t"
                     "sete %h4\n\t"
                     "movd %%xmm5, %5\n\t"
                     "movd %%xmm6, %6\n\t"
                     : "+b"(rbx), "=c"(rcx), "=r"(r11), "+r"(r15), "=Q"(flags_ok), "=r"(xmm),
                       "=r"(xmm6)
                     :
                     : "rax", "r11", "xmm5", "xmm6", "cc", "memory");
    OK(rbx == 0x1234 && rcx == 99, "a handler changes a register, others are kept");
    OK((flags_ok & 0xffff) == 0x101, "flags and red zone are kept");
    OK(xmm == 77 && xmm6 == 5, "a handler changes an SSE register through the context");
}

static sigjmp_buf jump;
static void jumps(int sig, siginfo_t *si, void *ctx)
{
    (void)ctx;
    last_code = si->si_code;
    last_addr = si->si_addr;
    last_sig = sig;
    siglongjmp(jump, 1);
}

static volatile int zero;
static int dive(int n)
{
    volatile char pad[4096];

    pad[0] = (char)n;
    return n ? dive(n - 1) + pad[0] : pad[0];
}

static void faults(void)
{
    char *ro = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int fd = (int)syscall(SYS_memfd_create, "f", 0);
    char *past = mmap(NULL, 8192, PROT_READ, MAP_SHARED, fd, 0);
    static char stack[65536];
    stack_t ss = {.ss_sp = stack, .ss_size = sizeof(stack)}, old;
    volatile int value = 1;

    handle(SIGSEGV, jumps, SA_NODEFER);
    handle(SIGFPE, jumps, SA_NODEFER);
    handle(SIGBUS, jumps, SA_NODEFER);
    handle(SIGTRAP, on_signal, 0);
    if (!sigsetjmp(jump, 1))
        *(volatile char *)ro = 1;
    OK(last_sig == SIGSEGV && last_code == SEGV_ACCERR && last_addr == ro,
       "write to read-only memory");
    munmap(ro, 4096);
    if (!sigsetjmp(jump, 1))
        value = *(volatile char *)ro;
    OK(last_sig == SIGSEGV && last_code == SEGV_MAPERR && last_addr == ro,
       "read of unmapped memory");
    if (!sigsetjmp(jump, 1))
        value /= zero;
    OK(last_sig == SIGFPE && last_code == FPE_INTDIV, "division by zero");
    if (fd >= 0) {
        if (!sigsetjmp(jump, 1))
            value = past[4096];
        OK(last_sig == SIGBUS && last_code == BUS_ADRERR && last_addr == past + 4096,
           "beyond a file's end");
    }
    __asm__ volatile("int3; nop; nop");
    OK(1, "int3 goes on or is a call");
    OK(sigaltstack(&ss, NULL) == 0, "sigaltstack");
    handle(SIGSEGV, jumps, SA_ONSTACK);
    if (!sigsetjmp(jump, 1))
        value = dive(1 << 20);
    OK(last_sig == SIGSEGV, "stack overflow, handled on the alternate stack");
    OK(sigaltstack(NULL, &old) == 0 && old.ss_sp == stack && old.ss_flags == 0,
       "which is free again");
    ss.ss_size = 100;
    FAILS(sigaltstack(&ss, NULL), ENOMEM, "an alternate stack too small");
    ss.ss_flags = SS_DISABLE;
    sigaltstack(&ss, NULL);
    signal(SIGSEGV, SIG_DFL);
    (void)value;
}

static pthread_t main_thread;
static int fds[2];

static void *pokes(void *arg)
{
    nap(30);
    pthread_kill(main_thread, SIGUSR1);
    nap(30);
    if (arg)
        write(fds[1], arg, 1);
    return NULL;
}

static void interrupted_calls(void)
{
    pthread_t t;
    char c = 'x';
    struct timespec long_time = {10, 0}, left = {0, 0};
    struct pollfd p;
    struct timespec a, b;

    main_thread = pthread_self();
    pipe(fds);
    p = (struct pollfd){.fd = fds[0], .events = POLLIN};
    handle(SIGUSR1, on_signal, 0);
    pthread_create(&t, NULL, pokes, NULL);
    FAILS(read(fds[0], &c, 1), EINTR, "read is interrupted");
    pthread_join(t, NULL);
    OK(hits == 1, "by the handler");
    pthread_create(&t, NULL, pokes, NULL);
    FAILS(nanosleep(&long_time, &left), EINTR, "so is nanosleep");
    OK(left.tv_sec >= 8 && left.tv_sec < 10, "which tells the time that was left");
    pthread_join(t, NULL);
    handle(SIGUSR1, on_signal, SA_RESTART);
    pthread_create(&t, NULL, pokes, &c);
    OK(read(fds[0], &c, 1) == 1 && hits == 1, "read is restarted with SA_RESTART");
    pthread_join(t, NULL);
    pthread_create(&t, NULL, pokes, NULL);
    FAILS(poll(&p, 1, 5000), EINTR, "poll never is");
    pthread_join(t, NULL);
    pthread_create(&t, NULL, pokes, NULL);
    FAILS(pause(), EINTR, "nor pause");
    pthread_join(t, NULL);
    signal(SIGUSR1, SIG_IGN);
    pthread_create(&t, NULL, pokes, NULL);
    clock_gettime(CLOCK_MONOTONIC, &a);
    OK(poll(&p, 1, 100) == 0, "an ignored signal interrupts nothing");
    clock_gettime(CLOCK_MONOTONIC, &b);
    OK((b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000 >= 99,
       "for the whole time");
    pthread_join(t, NULL);
    close(fds[0]);
    handle(SIGPIPE, on_signal, 0);
    FAILS(write(fds[1], "x", 1), EPIPE, "write to a pipe without reader");
    OK(hits == 1 && last_sig == SIGPIPE, "sends SIGPIPE");
    close(fds[1]);
}

// A handler that makes calls of its own, which another handler interrupts, while a read is
// restarted.
static void naps(int sig, siginfo_t *si, void *ctx)
{
    on_signal(sig, si, ctx);
    nap(50);
}

static void *pokes_twice(void *arg)
{
    nap(20);
    pthread_kill(main_thread, SIGUSR1);
    nap(20);
    pthread_kill(main_thread, SIGUSR2);
    nap(100);
    write(fds[1], "y", 1);
    return arg;
}

static void nested_restart(void)
{
    pthread_t t;
    char c = 0;

    pipe(fds);
    handle(SIGUSR2, on_signal, SA_RESTART); // may come late on a loaded machine
    handle(SIGUSR1, naps, SA_RESTART);
    pthread_create(&t, NULL, pokes_twice, NULL);
    OK(read(fds[0], &c, 1) == 1 && c == 'y' && hits == 2, "restart under nested handlers");
    pthread_join(t, NULL);
    close(fds[0]);
    close(fds[1]);
}

static void *sends_rt(void *arg)
{
    union sigval v = {.sival_int = 5};

    nap(30);
    sigqueue(getpid(), SIGRTMIN + 1, v);
    return arg;
}

static void waiting(void)
{
    sigset_t set, none;
    siginfo_t si;
    struct timespec t = {0, 20000000};
    pthread_t thread;

    sigemptyset(&none);
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 1);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    FAILS(sigtimedwait(&set, &si, &t), EAGAIN, "sigtimedwait times out");
    pthread_create(&thread, NULL, sends_rt, NULL);
    OK(sigwaitinfo(&set, &si) == SIGRTMIN + 1 && si.si_value.sival_int == 5, "sigwaitinfo");
    pthread_join(thread, NULL);
    handle(SIGUSR1, on_signal, 0);
    kill(getpid(), SIGUSR1);
    OK(hits == 0, "still blocked");
    FAILS(sigsuspend(&none), EINTR, "sigsuspend lets it in");
    OK(hits == 1, "and runs its handler");
    pthread_sigmask(SIG_SETMASK, NULL, &set);
    OK(sigismember(&set, SIGUSR1), "the mask is back");
    pthread_sigmask(SIG_SETMASK, &none, NULL);
}

static atomic_int ready;
static atomic_long taken_by;
static void who(int sig, siginfo_t *si, void *ctx)
{
    (void)sig;
    (void)si;
    (void)ctx;
    taken_by = syscall(SYS_gettid);
}

static void *takes(void *arg)
{
    ready = (int)syscall(SYS_gettid);
    while (!taken_by)
        nap(1);
    return arg;
}

static void threads(void)
{
    pthread_t t;
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    handle(SIGUSR2, who, 0);
    pthread_create(&t, NULL, takes, NULL);
    while (!ready)
        nap(1);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    kill(getpid(), SIGUSR2);
    pthread_join(t, NULL);
    OK(taken_by == ready, "a process signal goes to the thread that does not block it");
    taken_by = 0;
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    pthread_kill(pthread_self(), SIGUSR2);
    OK(taken_by == getpid(), "a thread signal to its thread");
}

static void timer_loop(void)
{
    struct itimerval it = {{0, 2000}, {0, 2000}}, off = {{0, 0}, {0, 0}};
    volatile uint64_t sum = 0;

    handle(SIGALRM, on_signal, SA_RESTART);
    setitimer(ITIMER_REAL, &it, NULL);
    while (hits < 20)
        sum += (uint64_t)hits * 3; // no kernel call: the signal comes out of the interrupt
    setitimer(ITIMER_REAL, &off, NULL);
    OK(hits >= 20, "a loop without kernel calls is interrupted by SIGALRM");
}

int main(void)
{
    sending();
    nesting();
    registers();
    faults();
    interrupted_calls();
    nested_restart();
    waiting();
    threads();
    timer_loop();
    return tap_end();
}

// SPDX-License-Identifier: ISC
// Signals: handlers, their stack, masks, interrupted and restarted calls, jumps out of handlers.
#define _GNU_SOURCE
#include "tap.h"
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

static volatile int seen;
static siginfo_t last; // of raise: read after it returned
static char alternate[65536];
static volatile char *where;
static sigjmp_buf env;
static int ends[2];
static volatile int *volatile nowhere;

static void handler(int sig, siginfo_t *info, void *context)
{
    char local;
    (void)context;
    seen = sig;
    where = &local;
    last = *info;
    errno = 0;
}

static void jump(int sig)
{
    siglongjmp(env, sig);
}

static void feed(int sig)
{
    static int rings;
    (void)sig;
    if (++rings == 3 && write(ends[1], "x", 1) != 1)
        _exit(1);
}

static void set(int sig, int flags)
{
    struct sigaction sa = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags};
    sigaction(sig, &sa, 0);
}

int main(void)
{
    char c;
    struct itimerval once = {.it_value.tv_usec = 20000}, thrice = {.it_interval.tv_usec = 20000},
                     off = {.it_value.tv_usec = 0};
    thrice.it_value = thrice.it_interval;
    alarm(30);
    set(SIGUSR1, 0);
    raise(SIGUSR1);
    tap(seen == SIGUSR1 && last.si_signo == SIGUSR1, "a handler runs");

    stack_t ss = {.ss_sp = alternate, .ss_size = sizeof(alternate)}, old;
    tap(!sigaltstack(&ss, 0) && !sigaltstack(0, &old) && old.ss_sp == alternate, "sigaltstack");
    set(SIGUSR1, SA_ONSTACK);
    raise(SIGUSR1);
    tap(where >= alternate && where < alternate + sizeof(alternate), "a handler on its own stack");

    sigset_t mask, pend;
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR2);
    sigprocmask(SIG_BLOCK, &mask, 0);
    set(SIGUSR2, 0);
    sigqueue(getpid(), SIGUSR2, (union sigval){.sival_int = 77});
    tap(seen == SIGUSR1 && !sigpending(&pend) && sigismember(&pend, SIGUSR2),
        "a blocked signal waits");
    siginfo_t info;
    tap(sigwaitinfo(&mask, &info) == SIGUSR2 && info.si_value.sival_int == 77, "sigwaitinfo");
    sigprocmask(SIG_UNBLOCK, &mask, 0);

    if (pipe(ends))
        return 1;
    set(SIGVTALRM, 0);
    set(SIGALRM, 0);
    setitimer(ITIMER_REAL, &once, 0);
    errno = 0;
    tap(read(ends[0], &c, 1) == -1 && errno == EINTR, "a signal interrupts a read");
    struct sigaction sa = {.sa_handler = feed, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &sa, 0);
    setitimer(ITIMER_REAL, &thrice, 0);
    tap(read(ends[0], &c, 1) == 1, "a read goes on after signals");
    setitimer(ITIMER_REAL, &off, 0);

    sa = (struct sigaction){.sa_handler = jump};
    sigaction(SIGSEGV, &sa, 0);
    int got = sigsetjmp(env, 1);
    if (!got)
        *nowhere = 1;
    tap(got == SIGSEGV, "a jump out of a handler");
    got = sigsetjmp(env, 1);
    if (!got)
        *nowhere = 1;
    tap(got == SIGSEGV, "a second one: the mask was restored");
    pthread_sigmask(SIG_BLOCK, &mask, &pend);
    tap(!sigismember(&pend, SIGSEGV), "pthread_sigmask");
    return tap_failed;
}

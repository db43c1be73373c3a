// SPDX-License-Identifier: ISC
// Clocks, sleeping, interval timers, POSIX timers, timerfd; the vDSO against the kernel call.
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>
#include "tap.h"

static int64_t ns_of(struct timespec t)
{
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t now(clockid_t id)
{
    struct timespec t;

    return clock_gettime(id, &t) ? -1 : ns_of(t);
}

static int64_t now_by_call(clockid_t id)
{
    struct timespec t;

    return syscall(SYS_clock_gettime, id, &t) ? -1 : ns_of(t);
}

static struct timespec ts(int64_t ns)
{
    return (struct timespec){ns / 1000000000, ns % 1000000000};
}

static void clocks(void)
{
    static const clockid_t ids[] = {
        CLOCK_REALTIME,           CLOCK_MONOTONIC,         CLOCK_MONOTONIC_RAW,
        CLOCK_REALTIME_COARSE,    CLOCK_MONOTONIC_COARSE,  CLOCK_BOOTTIME,
        CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID, CLOCK_TAI};
    struct timespec t;
    struct timeval tv;
    int good = 1, agree = 1;
    int64_t last = 0, a, b, c;
    volatile uint64_t spin = 0;

    for (unsigned i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        good &= now(ids[i]) > 0 && clock_getres(ids[i], &t) == 0 && ns_of(t) > 0;
        a = now_by_call(ids[i]);
        b = now(ids[i]);
        c = now_by_call(ids[i]);
        // Coarse clocks go in ticks.
        agree &= a <= b + 20000000 && b <= c + 20000000;
    }
    OK(good, "all clocks tell the time and their resolution");
    OK(agree, "the vDSO agrees with the kernel");
    good = 1;
    for (int i = 0; i < 100000; i++) {
        a = now(CLOCK_MONOTONIC);
        good &= a >= last;
        last = a;
    }
    OK(good, "the monotonic clock never goes back");
    FAILS(clock_gettime(77, &t), EINVAL, "no clock 77");
    OK(gettimeofday(&tv, NULL) == 0 && llabs(now(CLOCK_REALTIME) / 1000000000 - tv.tv_sec) <= 1,
       "gettimeofday");
    OK(labs(time(NULL) - tv.tv_sec) <= 1, "time");
    OK(tv.tv_sec > 1600000000, "the year is right");
    OK(getauxval(AT_SYSINFO_EHDR) != 0, "there is a vDSO");
    a = now(CLOCK_PROCESS_CPUTIME_ID);
    b = now(CLOCK_MONOTONIC);
    while (now(CLOCK_MONOTONIC) - b < 20000000)
        spin++;
    c = now(CLOCK_PROCESS_CPUTIME_ID) - a;
    OK(c > 1000000, "CPU time grows with work");
    a = now(CLOCK_PROCESS_CPUTIME_ID);
    t = ts(30000000);
    nanosleep(&t, NULL);
    OK(now(CLOCK_PROCESS_CPUTIME_ID) - a < 25000000, "and not with sleep");
}

static void sleeping(void)
{
    struct timespec t = ts(25000000), bad = {0, 1000000000};
    int64_t a = now(CLOCK_MONOTONIC);

    OK(nanosleep(&t, NULL) == 0 && now(CLOCK_MONOTONIC) - a >= 25000000, "nanosleep");
    t = ts(now(CLOCK_MONOTONIC) + 25000000);
    OK(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == 0 &&
           now(CLOCK_MONOTONIC) >= ns_of(t),
       "to a time of the monotonic clock");
    t = ts(now(CLOCK_REALTIME) + 25000000);
    OK(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &t, NULL) == 0 &&
           now(CLOCK_REALTIME) >= ns_of(t) - 1000000,
       "to a time of the wall clock");
    OK(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &(struct timespec){0, 0}, NULL) == 0,
       "to the past");
    FAILS(nanosleep(&bad, NULL), EINVAL, "a bad time");
    FAILS(nanosleep(NULL, NULL), EFAULT, "no time");
    OK(clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &t, NULL) == EINVAL,
       "own CPU time cannot be slept on");
}

static volatile sig_atomic_t hits, last_sig, last_value, last_code;
static void on_signal(int sig, siginfo_t *si, void *ctx)
{
    (void)ctx;
    hits++;
    last_sig = sig;
    last_value = si->si_value.sival_int;
    last_code = si->si_code;
}

static void handle(int sig)
{
    struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};

    sigaction(sig, &sa, NULL);
    hits = 0;
}

static void interval_timers(void)
{
    struct itimerval it = {{0, 0}, {0, 20000}}, got;
    int64_t a;

    handle(SIGALRM);
    a = now(CLOCK_MONOTONIC);
    setitimer(ITIMER_REAL, &it, NULL);
    OK(getitimer(ITIMER_REAL, &got) == 0 && got.it_value.tv_usec > 0 &&
           got.it_value.tv_usec <= 20000,
       "getitimer");
    pause();
    OK(hits == 1 && now(CLOCK_MONOTONIC) - a >= 20000000, "ITIMER_REAL");
    it.it_interval.tv_usec = 5000;
    setitimer(ITIMER_REAL, &it, NULL);
    for (int i = 0; i < 5; i++)
        pause();
    it = (struct itimerval){{0, 0}, {0, 0}};
    OK(setitimer(ITIMER_REAL, &it, &got) == 0 && got.it_interval.tv_usec == 5000 && hits >= 6,
       "repeats");
    OK(alarm(100) == 0 && alarm(0) == 100, "alarm");
    handle(SIGPROF);
    it.it_value.tv_usec = 20000;
    a = now(CLOCK_PROCESS_CPUTIME_ID);
    setitimer(ITIMER_PROF, &it, NULL);
    while (!hits && now(CLOCK_PROCESS_CPUTIME_ID) - a < 3000000000)
        ;
    OK(hits == 1 && last_sig == SIGPROF, "ITIMER_PROF");
    handle(SIGVTALRM);
    setitimer(ITIMER_VIRTUAL, &it, NULL);
    a = now(CLOCK_PROCESS_CPUTIME_ID);
    while (!hits && now(CLOCK_PROCESS_CPUTIME_ID) - a < 3000000000)
        ;
    OK(hits == 1 && last_sig == SIGVTALRM, "ITIMER_VIRTUAL");
    it.it_value.tv_usec = 1000000;
    FAILS(setitimer(ITIMER_REAL, &it, NULL), EINVAL, "a bad time");
}

static volatile int thread_calls;
static void in_thread(union sigval v)
{
    thread_calls += v.sival_int;
}

static void posix_timers(void)
{
    timer_t id, id2;
    struct sigevent se = {
        .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN, .sigev_value.sival_int = 9};
    struct itimerspec its = {.it_value = ts(20000000)}, got;
    sigset_t set, old;
    siginfo_t si;

    handle(SIGRTMIN);
    OK(timer_create(CLOCK_MONOTONIC, &se, &id) == 0, "timer_create");
    OK(timer_settime(id, 0, &its, NULL) == 0, "timer_settime");
    OK(timer_gettime(id, &got) == 0 && ns_of(got.it_value) > 0 && ns_of(got.it_value) <= 20000000,
       "timer_gettime");
    pause();
    OK(hits == 1 && last_value == 9 && last_code == SI_TIMER, "sends its signal with its value");
    timer_gettime(id, &got);
    OK(ns_of(got.it_value) == 0, "and is disarmed");

    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    sigprocmask(SIG_BLOCK, &set, &old);
    its.it_value = its.it_interval = ts(2000000);
    timer_settime(id, 0, &its, NULL);
    nanosleep(&(struct timespec){0, 30000000}, NULL);
    OK(sigwaitinfo(&set, &si) == SIGRTMIN && si.si_overrun >= 8,
       "expiries that were missed are counted");
    OK(timer_getoverrun(id) == si.si_overrun, "timer_getoverrun");
    OK(timer_delete(id) == 0, "timer_delete");
    sigtimedwait(&set, &si, &(struct timespec){0, 0});
    sigprocmask(SIG_SETMASK, &old, NULL);
    FAILS(syscall(SYS_timer_delete, 12345), EINVAL, "no such timer");

    se.sigev_notify = SIGEV_NONE;
    OK(timer_create(CLOCK_REALTIME, &se, &id) == 0, "a timer without notification");
    its.it_value = ts(now(CLOCK_REALTIME) + 5000000000);
    its.it_interval = ts(0);
    OK(timer_settime(id, TIMER_ABSTIME, &its, NULL) == 0 && timer_gettime(id, &got) == 0 &&
           got.it_value.tv_sec >= 4 && got.it_value.tv_sec <= 5,
       "to a time of the wall clock");
    se.sigev_notify = SIGEV_THREAD;
    se.sigev_notify_function = in_thread;
    its.it_value = ts(10000000);
    OK(timer_create(CLOCK_MONOTONIC, &se, &id2) == 0 && timer_settime(id2, 0, &its, NULL) == 0,
       "SIGEV_THREAD");
    for (int i = 0; i < 100 && !thread_calls; i++)
        nanosleep(&(struct timespec){0, 10000000}, NULL);
    OK(thread_calls == 9, "calls the function");
    timer_delete(id);
    timer_delete(id2);
}

static void timer_files(void)
{
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    struct itimerspec its = {.it_value = ts(10000000), .it_interval = ts(10000000)}, got;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    uint64_t n = 0;

    OK(fd >= 0, "timerfd_create");
    FAILS(read(fd, &n, 8), EAGAIN, "nothing to read yet");
    OK(timerfd_settime(fd, 0, &its, NULL) == 0, "timerfd_settime");
    OK(poll(&p, 1, 1000) == 1 && read(fd, &n, 8) == 8 && n >= 1, "becomes readable");
    nanosleep(&(struct timespec){0, 35000000}, NULL);
    OK(read(fd, &n, 8) == 8 && n >= 3, "counts what was missed");
    OK(timerfd_gettime(fd, &got) == 0 && ns_of(got.it_interval) == 10000000 &&
           ns_of(got.it_value) > 0,
       "timerfd_gettime");
    its = (struct itimerspec){.it_value = ts(0)};
    timerfd_settime(fd, 0, &its, NULL);
    OK(poll(&p, 1, 30) == 0, "disarmed");
    its.it_value = ts(now(CLOCK_MONOTONIC) + 10000000);
    timerfd_settime(fd, TFD_TIMER_ABSTIME, &its, NULL);
    OK(poll(&p, 1, 1000) == 1, "to an absolute time");
    FAILS(read(fd, &n, 4), EINVAL, "a short read");
    close(fd);
    FAILS(timerfd_create(55, 0), EINVAL, "no such clock");
    FAILS(timerfd_settime(0, 0, &its, NULL), EINVAL, "not a timer file");
}

int main(void)
{
    struct timex tx = {.modes = 0};

    clocks();
    sleeping();
    interval_timers();
    posix_timers();
    timer_files();
    OK(adjtimex(&tx) >= 0, "adjtimex is read");
    return tap_end();
}

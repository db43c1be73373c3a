// SPDX-License-Identifier: ISC
// Threads: many at once, joining, thread-local storage, condition variables, fairness, names, ids,
// robust mutexes, cancellation, refused processes, what programs ask about themselves.
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/times.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "tap.h"

#define THREADS 64

static atomic_int counter;
static __thread int local = 7;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int plain, turn;

static void *adder(void *arg)
{
    for (int i = 0; i < 1000; i++) {
        counter++;
        pthread_mutex_lock(&mutex);
        plain++;
        pthread_mutex_unlock(&mutex);
        if (i % 100 == 0)
            sched_yield();
    }
    local += (int)(intptr_t)arg;
    return (void *)(intptr_t)local;
}

static void many(void)
{
    pthread_t t[THREADS];
    int good = 1, started = 0;

    for (intptr_t i = 0; i < THREADS; i++)
        started += !pthread_create(&t[i], NULL, adder, (void *)i);
    for (intptr_t i = 0; i < THREADS; i++) {
        void *ret;

        good &= !pthread_join(t[i], &ret) && (intptr_t)ret == 7 + i;
    }
    OK(started == THREADS && good, "64 threads with their own thread-local storage");
    OK(counter == THREADS * 1000 && plain == THREADS * 1000, "atomics and a mutex count right");
    OK(local == 7, "the first thread's storage is its own");
}

static void *nothing(void *arg)
{
    return arg;
}

static void churn(void)
{
    int good = 1;

    for (int i = 0; i < 2000; i++) {
        pthread_t t;

        good &= !pthread_create(&t, NULL, nothing, NULL) && !pthread_join(t, NULL);
    }
    OK(good, "2000 threads one after another");
}

static void *ping(void *arg)
{
    int me = (int)(intptr_t)arg;

    for (int i = 0; i < 1000; i++) {
        pthread_mutex_lock(&mutex);
        while (turn != me)
            pthread_cond_wait(&cond, &mutex);
        turn = !me;
        pthread_cond_broadcast(&cond);
        pthread_mutex_unlock(&mutex);
    }
    return NULL;
}

static void ping_pong(void)
{
    pthread_t a, b;

    pthread_create(&a, NULL, ping, (void *)0);
    pthread_create(&b, NULL, ping, (void *)1);
    pthread_join(a, NULL);
    pthread_join(b, NULL);
    OK(turn == 0, "condition variable, 2000 hand-overs");
}

static atomic_int stop;
static uint64_t spins[3];

static void *spinner(void *arg)
{
    int me = (int)(intptr_t)arg;

    if (me == 2)
        setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 10);
    while (!stop)
        spins[me]++; // no kernel call: only preemption lets others run
    return NULL;
}

static void preemption(void)
{
    pthread_t t[3];
    struct timespec second = {0, 600000000};

    for (intptr_t i = 0; i < 3; i++)
        pthread_create(&t[i], NULL, spinner, (void *)i);
    nanosleep(&second, NULL);
    stop = 1;
    for (int i = 0; i < 3; i++)
        pthread_join(t[i], NULL);
    printf("# spins %lu %lu %lu\n", (unsigned long)spins[0], (unsigned long)spins[1],
           (unsigned long)spins[2]);
    OK(spins[0] && spins[1] && spins[2], "threads that never call the kernel share the CPU");
    OK(sysconf(_SC_NPROCESSORS_ONLN) > 1 || spins[2] < spins[0] / 2, "nice 10 gets less");
}

static double fpu_sum;

static void *fpu_worker(void *arg)
{
    double x = (double)(intptr_t)arg, sum = 0;

    for (int i = 0; i < 200000; i++) {
        sum += x;
        if (i % 20000 == 0)
            sched_yield();
    }
    fpu_sum = sum;
    return (void *)(intptr_t)(sum == 200000.0 * x);
}

static void fpu(void)
{
    pthread_t t[4];
    int good = 1;

    for (intptr_t i = 0; i < 4; i++)
        pthread_create(&t[i], NULL, fpu_worker, (void *)(i + 1));
    for (int i = 0; i < 4; i++) {
        void *ret;

        pthread_join(t[i], &ret);
        good &= ret != NULL;
    }
    OK(good, "floating point registers are each thread's own");
}

static pthread_mutex_t robust;

static void *dies_locked(void *arg)
{
    pthread_mutex_lock(&robust);
    return arg;
}

static void robust_mutex(void)
{
    pthread_mutexattr_t a;
    pthread_t t;

    pthread_mutexattr_init(&a);
    pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&robust, &a);
    pthread_create(&t, NULL, dies_locked, NULL);
    pthread_join(t, NULL);
    OK(pthread_mutex_lock(&robust) == EOWNERDEAD, "a robust mutex tells that its owner died");
    OK(pthread_mutex_consistent(&robust) == 0 && pthread_mutex_unlock(&robust) == 0,
       "and can be used again");
}

static void *sleeper(void *arg)
{
    for (;;)
        pause();
    return arg;
}

static int cleaned;
static void clean(void *arg)
{
    (void)arg;
    cleaned = 1;
}

static void *computes(void *arg)
{
    int old;

    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &old);
    pthread_cleanup_push(clean, NULL);
    for (;;)
        counter++;
    pthread_cleanup_pop(0);
    return arg;
}

static void cancellation(void)
{
    pthread_t t;
    void *ret;
    struct timespec ms = {0, 20000000};

    pthread_create(&t, NULL, sleeper, NULL);
    nanosleep(&ms, NULL);
    pthread_cancel(t);
    OK(pthread_join(t, &ret) == 0 && ret == PTHREAD_CANCELED, "cancel in a blocking call");
    pthread_create(&t, NULL, computes, NULL);
    nanosleep(&ms, NULL);
    pthread_cancel(t);
    OK(pthread_join(t, &ret) == 0 && ret == PTHREAD_CANCELED && cleaned,
       "asynchronous cancel of a loop, with clean-up");
}

static void names_and_ids(void)
{
    char name[16];
    cpu_set_t set;
    struct rlimit lim;
    struct utsname u;
    struct sysinfo si;
    struct rusage ru;
    struct tms tms;
    unsigned cpu = 99, node = 99;
    uint8_t a[32], b[32];
    uid_t r, e, s;

    OK(getpid() == syscall(SYS_gettid), "the first thread has the process's number");
    OK(prctl(PR_SET_NAME, "a-long-thread-name") == 0 && prctl(PR_GET_NAME, name) == 0 &&
           !strcmp(name, "a-long-thread-n"),
       "thread names are cut at 15");
    OK(sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) >= 1, "affinity is told");
    OK(sched_setaffinity(0, sizeof(set), &set) == 0, "and can be set to the same");
    CPU_ZERO(&set);
    FAILS(sched_setaffinity(0, sizeof(set), &set), EINVAL, "but not to no CPU");
    OK(syscall(SYS_getcpu, &cpu, &node, NULL) == 0 && cpu < 4096 && node < 64, "getcpu");
    OK(getrlimit(RLIMIT_NOFILE, &lim) == 0 && lim.rlim_cur >= 64, "limit of open files");
    lim.rlim_cur = lim.rlim_max + 1;
    FAILS(lim.rlim_max == RLIM_INFINITY ? (errno = EINVAL, -1) : setrlimit(RLIMIT_NOFILE, &lim),
          EINVAL, "a soft limit above the hard one");
    OK(uname(&u) == 0 && !strcmp(u.sysname, "Linux") && !strcmp(u.machine, "x86_64"), "uname");
    OK(sysinfo(&si) == 0 && si.totalram > si.freeram && si.mem_unit, "sysinfo");
    OK(getrusage(RUSAGE_SELF, &ru) == 0 && ru.ru_maxrss > 0, "getrusage");
    OK(times(&tms) != -1, "times");
    OK(getrandom(a, sizeof(a), 0) == 32 && getrandom(b, sizeof(b), GRND_NONBLOCK) == 32 &&
           memcmp(a, b, sizeof(a)),
       "getrandom");
    FAILS(getrandom(a, 1, 0x80), EINVAL, "getrandom with an unknown flag");
    OK(getresuid(&r, &e, &s) == 0 && r == getuid() && e == geteuid(), "getresuid");
    OK(getppid() >= 0 && getpgrp() > 0 && getsid(0) > 0, "process group and session");
    OK(sched_getscheduler(0) == SCHED_OTHER && sched_get_priority_max(SCHED_FIFO) == 99, "policy");
    errno = 0;
    OK(getpriority(PRIO_PROCESS, 0) == 0 && errno == 0, "nice value");
    OK(syscall(SYS_set_tid_address, NULL) == getpid(), "set_tid_address");
    FAILS(kill(999999, 0), ESRCH, "kill of nobody");
    OK(kill(getpid(), 0) == 0, "kill 0 of oneself");
    FAILS(syscall(SYS_tgkill, getpid(), 999999, 0), ESRCH, "tgkill of nobody");
    FAILS(waitpid(-1, NULL, WNOHANG), ECHILD, "no children");
    FAILS(syscall(SYS_clone3, NULL, 8), EINVAL, "clone3 with a short structure");
    FAILS(syscall(SYS_clone, CLONE_THREAD, 0, 0, 0, 0), EINVAL, "clone: a thread without SIGHAND");
}

// Threads that sleep for microseconds only leave room for each other, and for who hands a lock
// around.
static volatile int naps_end;
static void *naps(void *count)
{
    while (!naps_end) {
        struct timespec t = {0, 1000};
        nanosleep(&t, NULL);
        ++*(volatile long *)count;
    }
    return NULL;
}

static void short_sleeps(void)
{
    pthread_t t[2];
    long count[2] = {0, 0};
    volatile unsigned work = 0;
    struct timespec from, to;
    for (int i = 0; i < 2; i++)
        pthread_create(&t[i], NULL, naps, &count[i]);
    clock_gettime(CLOCK_MONOTONIC, &from);
    do { // a third one computes meanwhile
        for (int i = 0; i < 10000; i++)
            work++;
        clock_gettime(CLOCK_MONOTONIC, &to);
    } while (to.tv_sec - from.tv_sec + (to.tv_nsec - from.tv_nsec) / 1e9 < 0.2);
    usleep(200000); // and not
    naps_end = 1;
    for (int i = 0; i < 2; i++)
        pthread_join(t[i], NULL);
    OK(count[0] > 20 && count[1] > 20, "sleepers of a microsecond, and one that computes");
}

int main(void)
{
    names_and_ids();
    many();
    churn();
    ping_pong();
    preemption();
    short_sleeps();
    fpu();
    robust_mutex();
    cancellation();
    return tap_end();
}

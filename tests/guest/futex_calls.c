// SPDX-License-Identifier: ISC
// futex(2) itself: compare, timeouts on both clocks, bitsets, requeue, wake-op, shared mappings,
// signals.
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "tap.h"

static long futex(void *addr, int op, uint32_t val, const struct timespec *t, void *addr2,
                  uint32_t val3)
{
    return syscall(SYS_futex, addr, op, val, t, addr2, val3);
}

static long elapsed_us(const struct timespec *a)
{
    struct timespec b;

    clock_gettime(CLOCK_MONOTONIC, &b);
    return (b.tv_sec - a->tv_sec) * 1000000 + (b.tv_nsec - a->tv_nsec) / 1000;
}

static void nap(int ms)
{
    struct timespec t = {0, ms * 1000000L};

    nanosleep(&t, NULL);
}

static atomic_uint word, word2;
static atomic_int waiting, woken;

struct wait_args {
    void *addr;
    int op;
    uint32_t bits;
};

static void *waiter(void *arg)
{
    struct wait_args *w = arg;
    long ret;

    waiting++;
    ret = futex(w->addr, w->op, 0, NULL, NULL, w->bits);
    if (ret == 0)
        woken++;
    return (void *)ret;
}

static void start(pthread_t *t, int n, struct wait_args *w)
{
    waiting = woken = 0;
    for (int i = 0; i < n; i++)
        pthread_create(&t[i], NULL, waiter, w);
    while (waiting < n)
        nap(1);
    nap(20);
}

static void timeouts(void)
{
    struct timespec a, t = {0, 30000000}, now;
    uint32_t w = 5;

    FAILS(futex(&w, FUTEX_WAIT, 4, NULL, NULL, 0), EAGAIN, "the word has another value");
    clock_gettime(CLOCK_MONOTONIC, &a);
    FAILS(futex(&w, FUTEX_WAIT_PRIVATE, 5, &t, NULL, 0), ETIMEDOUT, "relative timeout");
    OK(elapsed_us(&a) >= 30000, "not too early");
    now = (struct timespec){0, 1};
    FAILS(futex(&w, FUTEX_WAIT_BITSET_PRIVATE, 5, &now, NULL, ~0u), ETIMEDOUT,
          "absolute, in the past");
    clock_gettime(CLOCK_MONOTONIC, &now);
    a = now;
    now.tv_nsec += 30000000;
    if (now.tv_nsec >= 1000000000) {
        now.tv_nsec -= 1000000000;
        now.tv_sec++;
    }
    FAILS(futex(&w, FUTEX_WAIT_BITSET_PRIVATE, 5, &now, NULL, ~0u), ETIMEDOUT,
          "absolute, monotonic");
    OK(elapsed_us(&a) >= 30000, "not too early");
    clock_gettime(CLOCK_REALTIME, &now);
    clock_gettime(CLOCK_MONOTONIC, &a);
    now.tv_nsec += 30000000;
    if (now.tv_nsec >= 1000000000) {
        now.tv_nsec -= 1000000000;
        now.tv_sec++;
    }
    FAILS(futex(&w, FUTEX_WAIT_BITSET_PRIVATE | FUTEX_CLOCK_REALTIME, 5, &now, NULL, ~0u),
          ETIMEDOUT, "absolute, wall clock");
    OK(elapsed_us(&a) >= 29000 && elapsed_us(&a) < 5000000, "after the right time");
    t.tv_nsec = 1000000000;
    FAILS(futex(&w, FUTEX_WAIT, 5, &t, NULL, 0), EINVAL, "a bad time");
    FAILS(futex((char *)&w + 1, FUTEX_WAKE, 1, NULL, NULL, 0), EINVAL, "an odd address");
    FAILS(futex(NULL, FUTEX_WAIT, 1, NULL, NULL, 0), EFAULT, "no address");
    FAILS(futex(&w, FUTEX_WAIT_BITSET, 5, NULL, NULL, 0), EINVAL, "an empty bitset");
    OK(futex(&w, FUTEX_WAKE, 1, NULL, NULL, 0) == 0, "waking nobody");
}

static void waking(void)
{
    pthread_t t[6];
    struct wait_args all = {&word, FUTEX_WAIT_PRIVATE, 0};
    struct wait_args bits = {&word, FUTEX_WAIT_BITSET_PRIVATE, 2};

    start(t, 6, &all);
    OK(futex(&word, FUTEX_WAKE_PRIVATE, 2, NULL, NULL, 0) == 2, "wakes as many as asked");
    nap(20);
    OK(woken == 2, "and no more");
    OK(futex(&word, FUTEX_WAKE_PRIVATE, 100, NULL, NULL, 0) == 4, "wakes the rest");
    for (int i = 0; i < 6; i++)
        pthread_join(t[i], NULL);

    start(t, 2, &bits);
    OK(futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 9, NULL, NULL, 4) == 0, "other bits wake nobody");
    OK(futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 9, NULL, NULL, 6) == 2, "shared bits do");
    for (int i = 0; i < 2; i++)
        pthread_join(t[i], NULL);

    start(t, 5, &all);
    FAILS(futex(&word, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)9, &word2, 1), EAGAIN,
          "requeue compares first");
    OK(futex(&word, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)2, &word2, 0) == 3,
       "requeue wakes one, moves two");
    OK(futex(&word2, FUTEX_WAKE_PRIVATE, 9, NULL, NULL, 0) == 2, "two were moved");
    OK(futex(&word, FUTEX_WAKE_PRIVATE, 9, NULL, NULL, 0) == 2, "two had stayed");
    for (int i = 0; i < 5; i++)
        pthread_join(t[i], NULL);

    start(t, 2, &all);
    word2 = 7;
    OK(futex(&word, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1, &word2,
             FUTEX_OP(FUTEX_OP_ADD, 3, FUTEX_OP_CMP_EQ, 8)) == 1 &&
           word2 == 10,
       "wake-op adds, and its comparison fails");
    OK(futex(&word2, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1, &word,
             FUTEX_OP(FUTEX_OP_SET, 0, FUTEX_OP_CMP_GE, 0)) == 1,
       "wake-op wakes the second word's waiter");
    for (int i = 0; i < 2; i++)
        pthread_join(t[i], NULL);
    word2 = 0;
}

static void shared(void)
{
    pthread_t t;
    int fd = (int)syscall(SYS_memfd_create, "futex", 0);
    struct wait_args w = {NULL, FUTEX_WAIT, 0};
    char *a, *b;

    if (fd < 0 || ftruncate(fd, 4096)) {
        printf("ok - # skip no memfd\n");
        return;
    }
    a = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    b = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    w.addr = a + 64;
    start(&t, 1, &w);
    OK(futex(b + 64, FUTEX_WAKE, 1, NULL, NULL, 0) == 1, "one word in two mappings");
    pthread_join(t, NULL);
}

static void handler(int sig)
{
    (void)sig;
}

static void *interrupts(void *arg)
{
    nap(30);
    pthread_kill(*(pthread_t *)arg, SIGUSR1);
    nap(30);
    word = 1;
    futex(&word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    return NULL;
}

static void signals(void)
{
    struct sigaction sa = {.sa_handler = handler};
    struct timespec t = {5, 0};
    pthread_t me = pthread_self(), helper;
    long ret;

    word = 0;
    sigaction(SIGUSR1, &sa, NULL);
    pthread_create(&helper, NULL, interrupts, &me);
    FAILS(futex(&word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0), EINTR, "interrupted by a handler");
    pthread_join(helper, NULL);
    word = 0;
    sa.sa_flags = SA_RESTART;
    sigaction(SIGUSR1, &sa, NULL);
    pthread_create(&helper, NULL, interrupts, &me);
    ret = futex(&word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
    OK((ret == 0 || (ret == -1 && errno == EAGAIN)) && word == 1, "restarted after the handler");
    pthread_join(helper, NULL);
    word = 0;
    pthread_create(&helper, NULL, interrupts, &me);
    FAILS(futex(&word, FUTEX_WAIT_PRIVATE, 0, &t, NULL, 0), EINTR,
          "with a relative timeout it is not restarted");
    pthread_join(helper, NULL);
}

int main(void)
{
    timeouts();
    waking();
    shared();
    signals();
    return tap_end();
}

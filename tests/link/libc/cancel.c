// SPDX-License-Identifier: ISC
// pthread_cancel: while a call blocks, before it, in a condition; with restarting handlers; a race
// that must lose no data: a read that was cancelled has not taken the byte.
#define _GNU_SOURCE
#include "tap.h"
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { RACES = 3000 };

static int ends[2];
static sem_t ready;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t never = PTHREAD_COND_INITIALIZER;
static int cleaned; // read after joins only
static volatile int handled, taken, calls;

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, 0);
}

static void clean(void *arg)
{
    cleaned += arg == &cleaned;
}

static void unlock(void *arg)
{
    cleaned++;
    pthread_mutex_unlock(arg);
}

static void handler(int sig)
{
    handled += sig == SIGUSR1;
}

static void *blocked_read(void *arg)
{
    char c;
    long got;
    pthread_cleanup_push(clean, &cleaned);
    sem_post(&ready);
    got = read(ends[0], &c, 1);
    (void)arg;
    pthread_cleanup_pop(0);
    return (void *)got;
}

static void *blocked_wait(void *arg)
{
    pthread_mutex_lock(&lock);
    pthread_cleanup_push(unlock, &lock);
    sem_post(&ready);
    for (;;)
        pthread_cond_wait(&never, &lock);
    pthread_cleanup_pop(0);
    return arg;
}

static void *pending(void *arg)
{
    int old;
    char c;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
    sem_post(&ready);
    while (!*(volatile int *)arg)
        sched_yield();
    calls += write(ends[1], "x", 1) == 1 && read(ends[0], &c, 1) == 1; // not while disabled
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &old);
    calls += 100 * (read(ends[0], &c, 1) != 0); // at once, before it would block
    return 0;
}

static void *closing(void *arg)
{
    sem_post(&ready);
    while (!*(volatile int *)arg)
        sched_yield();
    int fd = dup(ends[0]);
    close(fd); // a cancellation point: ends here
    return arg;
}

static void *racing(void *arg)
{
    char c;
    sem_post(&ready);
    while (read(ends[0], &c, 1) == 1)
        taken++;
    return arg;
}

static void *busy(void *arg)
{
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &(int){0});
    sem_post(&ready);
    for (;;)
        ;
    return arg;
}

static pthread_t start(void *(*f)(void *), void *arg)
{
    pthread_t t;
    pthread_create(&t, 0, f, arg);
    sem_wait(&ready);
    return t;
}

static int cancelled(pthread_t t)
{
    void *result;
    pthread_cancel(t);
    pthread_join(t, &result);
    return result == PTHREAD_CANCELED;
}

static void races(void)
{
    int given = 0, good = 1, left = 0;
    char c;
    for (int i = 0; i < RACES; i++) {
        pthread_t t = start(racing, 0);
        for (int n = i % 7; n > 0; n--)
            given += write(ends[1], "x", 1) == 1;
        for (volatile int spin = 0; spin < (i * 37) % 2000; spin++)
            ;
        good &= cancelled(t);
    }
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    while (read(ends[0], &c, 1) == 1)
        left++;
    tap(good, "every racing thread was cancelled");
    if (!tap(taken + left == given, "no byte was lost"))
        printf("# given %d, taken %d, left %d\n", given, taken, left);
}

int main(void)
{
    int go = 0;
    alarm(60);
    sem_init(&ready, 0, 0);
    if (pipe(ends))
        return 1;
    pthread_t t = start(blocked_read, 0);
    pause_ms(20);
    tap(cancelled(t) && cleaned == 1, "a blocked read is cancelled, handlers run");

    t = start(blocked_wait, 0);
    pause_ms(20);
    tap(cancelled(t) && cleaned == 2 && !pthread_mutex_trylock(&lock),
        "a condition wait is cancelled");
    pthread_mutex_unlock(&lock);

    sigaction(SIGUSR1, &(struct sigaction){.sa_handler = handler, .sa_flags = SA_RESTART}, 0);
    t = start(blocked_read, 0);
    pause_ms(20);
    pthread_kill(t, SIGUSR1);
    pause_ms(20);
    tap(handled == 1 && cancelled(t) && cleaned == 3,
        "a read that went on after a signal is cancelled");

    void *result;
    t = start(blocked_read, 0);
    pause_ms(20);
    pthread_kill(t, SIGUSR1);
    pause_ms(20);
    if (write(ends[1], "x", 1) != 1)
        return 1;
    pthread_join(t, &result);
    tap(handled == 2 && result == (void *)1, "a read goes on after a signal");

    t = start(pending, &go);
    pthread_cancel(t);
    go = 1;
    tap(cancelled(t) && calls == 1, "a cancellation waits while it is disabled");

    go = 0;
    t = start(closing, &go);
    pthread_cancel(t);
    go = 1;
    tap(cancelled(t), "close is a cancellation point");

    t = start(busy, 0);
    tap(cancelled(t), "an asynchronous cancellation");
    races();
    return tap_failed;
}

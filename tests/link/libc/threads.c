// SPDX-License-Identifier: ISC
// Threads: creation, joining, detached ends (a thread that unmaps its own stack), locks,
// conditions.
#define _GNU_SOURCE
#include "tap.h"
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 4, ROUNDS = 20000, DETACHED = 300 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static long total;
static int turn;
static __thread long mine = 5;
static sem_t ended;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int onces, destroyed;
static pthread_key_t key;

static void *count(void *arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        pthread_mutex_lock(&lock);
        total++;
        pthread_mutex_unlock(&lock);
        mine++;
    }
    return (char *)arg + mine;
}

static void *take_turns(void *arg)
{
    int me = (int)(intptr_t)arg;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < 500; i++) {
        while (turn % THREADS != me)
            pthread_cond_wait(&changed, &lock);
        turn++;
        pthread_cond_broadcast(&changed);
    }
    pthread_mutex_unlock(&lock);
    return 0;
}

static void *detached(void *arg)
{
    sem_post(arg);
    return 0;
}

static void run_once(void)
{
    onces++;
}

static void destroy(void *arg)
{
    destroyed += *(int *)arg;
}

static void *specific(void *arg)
{
    pthread_once(&once, run_once);
    pthread_setspecific(key, arg);
    pthread_exit(arg);
}

int main(void)
{
    pthread_t t[THREADS];
    void *result;
    int good = 1;
    for (long i = 0; i < THREADS; i++)
        good &= !pthread_create(&t[i], 0, count, (void *)(i * 1000000));
    for (long i = 0; i < THREADS; i++)
        good &= !pthread_join(t[i], &result) && (long)result == i * 1000000 + ROUNDS + 5;
    tap(good, "threads have their own variables and results");
    tap(total == THREADS * ROUNDS, "a mutex");

    for (long i = 0; i < THREADS; i++)
        pthread_create(&t[i], 0, take_turns, (void *)i);
    for (long i = 0; i < THREADS; i++)
        pthread_join(t[i], 0);
    tap(turn == THREADS * 500, "a condition variable");

    sem_init(&ended, 0, 0);
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    good = 1;
    for (int i = 0; i < DETACHED; i++) {
        good &= !pthread_create(&t[0], &attr, detached, &ended);
        good &= !sem_wait(&ended);
    }
    tap(good, "detached threads end");

    int value = 1;
    pthread_key_create(&key, destroy);
    for (long i = 0; i < THREADS; i++)
        pthread_create(&t[i], 0, specific, &value);
    for (long i = 0; i < THREADS; i++)
        good &= !pthread_join(t[i], &result) && result == &value;
    tap(good && onces == 1 && destroyed == THREADS, "pthread_once, pthread_exit, keys");

    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&lock);
    tap(pthread_cond_timedwait(&changed, &lock, &until) != 0, "a condition times out");
    pthread_mutex_unlock(&lock);
    return tap_failed;
}

// SPDX-License-Identifier: ISC
// pthread_once for C++ programs (in libstdc++.a, before libc.a): what std::call_once calls may
// throw, and then the next call tries again. musl's own is compiled without unwind tables:
// exceptions would end the program. This one is compiled with -fexceptions.
#include <pthread.h>
#include <stdbool.h>

enum { FRESH, RUNNING, DONE }; // FRESH is PTHREAD_ONCE_INIT

// One lock for all: it is held for a moment only, and calls of pthread_once from within others are
// allowed.
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

struct attempt {
    pthread_once_t *control;
    int state; // what it is at the end
    struct __ptcb handler;
};

static void settle(pthread_once_t *control, int state)
{
    pthread_mutex_lock(&lock);
    __atomic_store_n(control, state, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&lock);
    pthread_cond_broadcast(&changed);
}

static void cancelled(void *control)
{
    settle(control, FRESH);
}

// By return or by an exception; cancelled() when the thread is.
static void attempt_end(struct attempt *a)
{
    _pthread_cleanup_pop(&a->handler, 0);
    settle(a->control, a->state);
}

// True if this thread is the one to run it. Not a cancellation point.
static bool take(pthread_once_t *control)
{
    int cancel;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
    pthread_mutex_lock(&lock);
    while (*control == RUNNING)
        pthread_cond_wait(&changed, &lock);
    bool mine = *control == FRESH;
    if (mine)
        *control = RUNNING;
    pthread_mutex_unlock(&lock);
    pthread_setcancelstate(cancel, NULL);
    return mine;
}

int pthread_once(pthread_once_t *control, void (*function)(void))
{
    if (__atomic_load_n(control, __ATOMIC_ACQUIRE) != DONE && take(control)) {
        struct attempt a __attribute__((cleanup(attempt_end))) = {.control = control};
        _pthread_cleanup_push(&a.handler, cancelled, control);
        function();
        a.state = DONE;
    }
    return 0;
}

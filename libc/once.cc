// SPDX-License-Identifier: ISC
// pthread_once for C++ programs (in libstdc++.a, before libc.a): what std::call_once calls may
// throw, and then the next call tries again. musl's own is C without unwind tables: exceptions
// would end the program.
#include <pthread.h>

namespace
{

enum : int { fresh, running, done }; // fresh is PTHREAD_ONCE_INIT

// One lock for all: it is held for a moment only, and calls of pthread_once from within others are
// allowed.
pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

void settle(pthread_once_t *control, int state)
{
    pthread_mutex_lock(&lock);
    __atomic_store_n(control, state, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&lock);
    pthread_cond_broadcast(&changed);
}

void cancelled(void *control)
{
    settle(static_cast<pthread_once_t *>(control), fresh);
}

// Ended by return, exception (the destructor) or the thread's cancellation (the handler).
struct attempt {
    explicit attempt(pthread_once_t *c) : control(c)
    {
        _pthread_cleanup_push(&handler, cancelled, control);
    }
    attempt(const attempt &) = delete;
    attempt &operator=(const attempt &) = delete;
    ~attempt()
    {
        _pthread_cleanup_pop(&handler, 0);
        settle(control, state);
    }
    pthread_once_t *control;
    int state = fresh;
    __ptcb handler;
};

// True if this thread is the one to run it. Not a cancellation point.
bool take(pthread_once_t *control)
{
    int cancel;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
    pthread_mutex_lock(&lock);
    while (*control == running)
        pthread_cond_wait(&changed, &lock);
    bool mine = *control == fresh;
    if (mine)
        *control = running;
    pthread_mutex_unlock(&lock);
    pthread_setcancelstate(cancel, nullptr);
    return mine;
}

} // namespace

extern "C" int pthread_once(pthread_once_t *control, void (*function)(void))
{
    if (__atomic_load_n(control, __ATOMIC_ACQUIRE) != done && take(control)) {
        attempt a(control);
        function();
        a.state = done;
    }
    return 0;
}

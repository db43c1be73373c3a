// SPDX-License-Identifier: ISC
// Clock, sleeping, and waiting for a word in memory to change. Console and the instance's end.
#include "lith/internal.h"

#define WRITE_PIECE 512 // bytes of console output copied at a time, on the stack

uint64_t lith_clock_ns(void)
{
    return clock_monotonic_ns();
}

LITH_CALL(0x1010, sleep_until);
int call_sleep_until(uint64_t deadline)
{
    int err;
    do
        err = sched_block(deadline, true);
    while (!err);
    return err == -ETIMEDOUT ? 0 : err;
}

// Threads in lith_wait(), longest first. Kernel code is not preempted: what happens between two
// sleeps is one step.
struct waiter {
    struct list_head link; // waiters, until woken
    const uint32_t *word;
    struct thread *thread;
    bool woken;
};
static struct list_head waiters = {&waiters, &waiters};

LITH_CALL(0x1011, wait);
int call_wait(const uint32_t *word, uint32_t expected, uint64_t deadline)
{
    struct waiter w = {.word = word, .thread = thread_current()};
    uint32_t value;
    int err = 0;
    if (!IS_ALIGNED((uintptr_t)word, sizeof(*word)))
        return -EINVAL;
    if (get_user(&value, word)) // may sleep; what follows does not until it is queued
        return -EFAULT;
    if (value != expected)
        return -EAGAIN;
    list_add_tail(&w.link, &waiters);
    while (!w.woken && !err)
        err = sched_block(deadline, true);
    list_del(&w.link);
    return w.woken ? 0 : err;
}

LITH_CALL(0x1012, wake);
int call_wake(const uint32_t *word, unsigned count)
{
    unsigned woken = 0;
    list_for_each_safe (pos, &waiters) {
        struct waiter *w = list_entry(pos, struct waiter, link);
        if (w->word != word || woken == count)
            continue;
        list_del(&w->link);
        w->woken = true;
        thread_wake(w->thread);
        woken++;
    }
    return (int)woken;
}

LITH_CALL(0x1018, console_write);
int call_console_write(int stream, const void *text, size_t length)
{
    char piece[WRITE_PIECE];
    if (stream != 1 && stream != 2)
        return -EINVAL;
    if (!user_range_ok(text, length))
        return -EFAULT;
    for (const char *from = text; length;) {
        size_t n = MIN(length, sizeof(piece));
        if (copy_in(piece, from, n))
            return -EFAULT;
        plat_console_write(piece, n, stream);
        from += n;
        length -= n;
    }
    return 0;
}

LITH_CALL(0x1019, exit);
void call_exit(int status)
{
    if (core_end_hook)
        core_end_hook();
    chart_print();
    plat_exit(status & 0xff);
}

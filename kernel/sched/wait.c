// SPDX-License-Identifier: ISC
// Wait queues, and the sleeping lock built on them.
#include "sched/internal.h"

void wait_queue_init(struct wait_queue *q)
{
    q->lock = (spinlock_t)SPINLOCK_INIT;
    list_init(&q->entries);
}

void wait_entry_init(struct wait_entry *e)
{
    *e = (struct wait_entry){.thread = thread_current()};
    list_init(&e->link);
}

void wait_add(struct wait_queue *q, struct wait_entry *e)
{
    if (e->queue) {
        ASSERT(e->queue == q);
        e->woken = false;
        return;
    }
    spin_lock(&q->lock);
    e->queue = q;
    e->woken = false;
    list_add_tail(&e->link, &q->entries);
    spin_unlock(&q->lock);
}

void wait_remove(struct wait_queue *q, struct wait_entry *e)
{
    if (!e->queue)
        return;
    ASSERT(e->queue == q);
    spin_lock(&q->lock);
    list_del(&e->link);
    e->queue = NULL;
    spin_unlock(&q->lock);
}

// True if it consumed the wake-up.
static bool wait_wake_thread(struct wait_entry *e)
{
    if (e->woken)
        return false;
    e->woken = true;
    thread_wake(e->thread);
    return true;
}

void wait_wake(struct wait_queue *q, unsigned events, unsigned n)
{
    if (list_empty(&q->entries))
        return;
    spin_lock(&q->lock);
    list_for_each_safe (pos, &q->entries) {
        struct wait_entry *e = list_entry(pos, struct wait_entry, link);
        bool consumed;

        if (e->exclusive && !n)
            continue;
        consumed = e->wake ? e->wake(e, events) : wait_wake_thread(e);
        if (e->exclusive && consumed)
            n--;
    }
    spin_unlock(&q->lock);
}

void mutex_init(struct mutex *m)
{
    m->owner = NULL;
    wait_queue_init(&m->queue);
}

bool mutex_trylock(struct mutex *m)
{
    struct thread *cur = thread_current();

    ASSERT(m->owner != cur);
    if (m->owner)
        return false;
    m->owner = cur;
    return true;
}

void mutex_lock(struct mutex *m)
{
    struct wait_entry e;

    if (mutex_trylock(m))
        return;
    wait_entry_init(&e);
    e.exclusive = true;
    do {
        wait_add(&m->queue, &e);
        sched_block(DEADLINE_NEVER, false);
        wait_remove(&m->queue, &e);
    } while (!mutex_trylock(m));
}

void mutex_unlock(struct mutex *m)
{
    ASSERT(m->owner == thread_current());
    m->owner = NULL;
    wait_wake(&m->queue, 0, 1);
}

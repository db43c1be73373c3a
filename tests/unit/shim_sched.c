// SPDX-License-Identifier: ISC
// Host stand-ins for sched: one thread; blocking calls the test's hook; timers and work run when
// the test moves the clock.
#include <stdio.h>
#include <stdlib.h>
#include "shim.h"

bool (*shim_block_hook)(uint64_t deadline_ns);
void (*sched_user_work_hook)(struct regs *r);
static struct rb_root timers;
static struct list_head pollers = {&pollers, &pollers}, works = {&works, &works};

int sched_block(uint64_t deadline_ns, bool interruptible)
{
    struct thread *t = thread_current();
    if (this_cpu()->spin_depth)
        panic("sleeping with a spin lock held");
    if (interruptible && t->signal_pending)
        return -4;
    if (deadline_ns <= shim_clock)
        return -110;
    if (shim_block_hook && shim_block_hook(deadline_ns))
        return shim_clock >= deadline_ns ? -110 : 0;
    if (shim_poll())
        return 0;
    struct rb_node *n = rb_first(&timers);
    if (n && container_of(n, struct ktimer, node)->deadline_ns <= deadline_ns) {
        shim_advance_to(container_of(n, struct ktimer, node)->deadline_ns);
        return 0;
    }
    if (deadline_ns != DEADLINE_NEVER) {
        shim_advance_to(deadline_ns);
        return -110;
    }
    panic("shim: would sleep for ever");
}
void thread_wake(struct thread *t)
{
    (void)t;
}
void thread_interrupt(struct thread *t)
{
    t->signal_pending = true;
}
void sched_yield_now(void)
{
}

void wait_queue_init(struct wait_queue *q)
{
    q->lock = (spinlock_t)SPINLOCK_INIT;
    list_init(&q->entries);
}
void wait_add(struct wait_queue *q, struct wait_entry *e)
{
    e->queue = q;
    if (list_empty(&e->link))
        list_add_tail(&e->link, &q->entries);
}
void wait_remove(struct wait_queue *q, struct wait_entry *e)
{
    (void)q;
    e->queue = NULL;
    list_del(&e->link);
}
void wait_entry_init(struct wait_entry *e)
{
    *e = (struct wait_entry){.thread = thread_current()};
    list_init(&e->link);
}
void wait_wake(struct wait_queue *q, unsigned events, unsigned n)
{
    list_for_each_safe (p, &q->entries) {
        struct wait_entry *e = list_entry(p, struct wait_entry, link);
        if (e->exclusive && n == 0)
            continue;
        e->woken = true;
        bool used = e->wake ? e->wake(e, events) : true;
        if (e->exclusive && used)
            n--;
    }
}

void mutex_init(struct mutex *m)
{
    m->owner = NULL;
    wait_queue_init(&m->queue);
}
void mutex_lock(struct mutex *m)
{
    if (m->owner)
        panic("mutex: locked twice by one thread");
    m->owner = thread_current();
}
bool mutex_trylock(struct mutex *m)
{
    if (m->owner)
        return false;
    m->owner = thread_current();
    return true;
}
void mutex_unlock(struct mutex *m)
{
    if (!m->owner)
        panic("mutex: not locked");
    m->owner = NULL;
}

void ktimer_init(struct ktimer *t, void (*fn)(struct ktimer *))
{
    *t = (struct ktimer){.fn = fn};
}
void ktimer_arm(struct ktimer *t, uint64_t deadline_ns)
{
    ktimer_cancel(t);
    t->deadline_ns = deadline_ns;
    struct rb_node **link = &timers.node, *parent = NULL;
    while (*link) {
        parent = *link;
        link = deadline_ns < container_of(parent, struct ktimer, node)->deadline_ns
                   ? &parent->left
                   : &parent->right;
    }
    rb_insert(&timers, &t->node, parent, link);
    t->armed = true;
}
bool ktimer_cancel(struct ktimer *t)
{
    if (!t->armed)
        return false;
    rb_remove(&timers, &t->node);
    t->armed = false;
    return true;
}
uint64_t clock_realtime_ns(void)
{
    return plat_realtime_ns();
}
void shim_advance_to(uint64_t ns)
{
    for (;;) {
        struct rb_node *n = rb_first(&timers);
        if (!n || container_of(n, struct ktimer, node)->deadline_ns > ns)
            break;
        struct ktimer *t = container_of(n, struct ktimer, node);
        if (t->deadline_ns > shim_clock)
            shim_clock = t->deadline_ns;
        ktimer_cancel(t);
        t->fn(t);
        shim_poll();
    }
    if (ns > shim_clock)
        shim_clock = ns;
}
uint64_t shim_poll_by = DEADLINE_NEVER;
void sched_add_poller(struct poller *p)
{
    list_add_tail(&p->link, &pollers);
}
void sched_idle_once(void)
{
    if (!shim_poll())
        shim_advance_to(shim_clock + NSEC_PER_MSEC);
}
int block_until(uint64_t deadline_ns); // linux/process.h, without the slack
int block_until(uint64_t deadline_ns)
{
    return sched_block(deadline_ns, true);
}
void sched_poll_by(uint64_t deadline_ns)
{
    shim_poll_by = deadline_ns;
}
void work_queue(struct work *w)
{
    if (!w->queued) {
        w->queued = true;
        list_add_tail(&w->link, &works);
    }
}
bool shim_poll(void)
{
    bool any = false, progress = true;
    for (int rounds = 0; progress && rounds < 100000; rounds++) {
        progress = false;
        list_for_each_safe (p, &pollers)
            progress |=
                list_entry(p, struct poller, link)->poll(list_entry(p, struct poller, link));
        while (!list_empty(&works)) {
            struct work *w = list_first(&works, struct work, link);
            list_del(&w->link);
            w->queued = false;
            w->fn(w);
            progress = true;
        }
        any |= progress;
    }
    return any;
}

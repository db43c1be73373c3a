// SPDX-License-Identifier: ISC
// Timers, in a tree ordered by deadline, and the wall clock. Timer functions run from the way out
// of the kernel, from the switch and from idle: never inside other kernel code.
#include "sched/internal.h"

// Timers run in one go; more wait for the next round, so that pollers get their turn.
#define TIMER_BATCH 256

static spinlock_t timer_lock = SPINLOCK_INIT;
static struct rb_root timer_tree;
static struct rb_node *timer_first;
static int64_t realtime_shift; // what clock_set_realtime() added to the machine's clock
void (*clock_realtime_changed)(void);

uint64_t timer_next(void)
{
    return timer_first ? container_of(timer_first, struct ktimer, node)->deadline_ns
                       : DEADLINE_NEVER;
}

void ktimer_init(struct ktimer *t, void (*fn)(struct ktimer *))
{
    *t = (struct ktimer){.fn = fn};
}

static void timer_unlink(struct ktimer *t)
{
    if (timer_first == &t->node)
        timer_first = rb_next(&t->node);
    rb_remove(&timer_tree, &t->node);
    t->armed = false;
}

void ktimer_arm(struct ktimer *t, uint64_t deadline_ns)
{
    struct rb_node **link = &timer_tree.node, *parent = NULL;
    bool first = true;

    spin_lock(&timer_lock);
    if (t->armed)
        timer_unlink(t);
    t->deadline_ns = deadline_ns;
    if (deadline_ns == DEADLINE_NEVER) {
        spin_unlock(&timer_lock);
        return;
    }
    while (*link) {
        parent = *link;
        if (deadline_ns < container_of(parent, struct ktimer, node)->deadline_ns) {
            link = &parent->left;
        } else {
            link = &parent->right;
            first = false;
        }
    }
    rb_insert(&timer_tree, &t->node, parent, link);
    t->armed = true;
    if (first)
        timer_first = &t->node;
    spin_unlock(&timer_lock);
    if (first)
        sched_note_timer(deadline_ns);
}

bool ktimer_cancel(struct ktimer *t)
{
    bool was = t->armed;

    if (was) {
        spin_lock(&timer_lock);
        timer_unlink(t);
        spin_unlock(&timer_lock);
    }
    return was;
}

bool timer_run(uint64_t now)
{
    unsigned n;

    for (n = 0; n < TIMER_BATCH && timer_next() <= now; n++) {
        struct ktimer *t = container_of(timer_first, struct ktimer, node);

        spin_lock(&timer_lock);
        timer_unlink(t);
        spin_unlock(&timer_lock);
        t->fn(t); // may free t
    }
    return n != 0;
}

uint64_t clock_realtime_ns(void)
{
    return plat_realtime_ns() + (uint64_t)realtime_shift;
}

int64_t clock_realtime_offset_ns(void)
{
    return (int64_t)(clock_realtime_ns() - plat_clock_ns());
}

int64_t clock_realtime_shift_ns(void)
{
    return realtime_shift;
}

void clock_set_realtime(uint64_t ns)
{
    realtime_shift = (int64_t)(ns - plat_realtime_ns());
    if (clock_realtime_changed)
        clock_realtime_changed();
}

// A machine without a clock gets the time by the boot configuration.
static int clock_init_realtime(void)
{
    if (boot_config.clock_ns)
        clock_set_realtime(boot_config.clock_ns + plat_clock_ns());
    return 0;
}
INIT_RECORD(INIT_SCHED, clock_init_realtime, clock_realtime_ns);

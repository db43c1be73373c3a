// SPDX-License-Identifier: ISC
// The run queue and the switch between threads. Threads are ordered by weighted virtual run time:
// who has had least of the CPU, in proportion to its weight, comes first. A thread that blocks
// while nobody else can run waits in place, on its own stack: the usual request costs no switch at
// all.
#include <linux/errno.h>
#include "sched/internal.h"

// Weight of each nice level: 1024 * 1.25^-nice, so that one level is about 10 % of the CPU.
static const uint32_t nice_weight[40] = {
    88818, 71054, 56843, 45475, 36380, 29104, 23283, 18626, 14901, 11921, 9537, 7629, 6104, 4883,
    3906,  3125,  2500,  2000,  1600,  1280,  1024,  819,   655,   524,   419,  336,  268,  215,
    172,   137,   110,   88,    70,    56,    45,    36,    29,    23,    18,   15,
};

struct thread sched_boot_thread;

static struct {
    spinlock_t lock;
    struct rb_root tree;
    struct rb_node *first;
    uint64_t min_vruntime; // never goes back
    unsigned count;
} runq;

static struct thread *dead_thread; // switched away from, its stack is free to go

static inline struct thread *runq_first(void)
{
    return runq.first ? container_of(runq.first, struct thread, run_node) : NULL;
}

static void runq_insert(struct thread *t)
{
    struct rb_node **link = &runq.tree.node, *parent = NULL;
    bool first = true;

    while (*link) {
        parent = *link;
        if (t->vruntime < container_of(parent, struct thread, run_node)->vruntime) {
            link = &parent->left;
        } else {
            link = &parent->right;
            first = false;
        }
    }
    rb_insert(&runq.tree, &t->run_node, parent, link);
    if (first)
        runq.first = &t->run_node;
    runq.count++;
}

static void runq_remove(struct thread *t)
{
    if (runq.first == &t->run_node)
        runq.first = rb_next(&t->run_node);
    rb_remove(&runq.tree, &t->run_node);
    runq.count--;
}

bool sched_runnable(void)
{
    return runq.count != 0;
}

void sched_account(struct thread *t, uint64_t now)
{
    uint64_t delta = now > t->run_since ? now - t->run_since : 0;
    uint64_t least;

    t->run_since = now;
    t->cpu_ns += delta;
    t->vruntime += t->nice ? delta * 1024 / nice_weight[t->nice + 20] : delta;
    least = runq.first ? MIN(runq_first()->vruntime, t->vruntime) : t->vruntime;
    runq.min_vruntime = MAX(runq.min_vruntime, least);
}

uint64_t thread_cpu_ns(const struct thread *t)
{
    uint64_t now;

    if (t != thread_current() || t->state != THREAD_RUNNING)
        return t->cpu_ns;
    now = plat_clock_ns();
    return t->cpu_ns + (now > t->run_since ? now - t->run_since : 0);
}

// True if the first thread in the queue should replace the running one now.
static bool runq_should_preempt(const struct thread *cur, uint64_t granularity)
{
    return runq.first && runq_first()->vruntime + granularity < cur->vruntime;
}

void sched_enqueue_new(struct thread *t)
{
    t->vruntime = runq.min_vruntime;
    thread_wake(t);
}

void thread_wake(struct thread *t)
{
    struct cpu *cpu = this_cpu();
    struct thread *cur = cpu->current;
    uint64_t floor;

    if (t->state != THREAD_SLEEPING && t->state != THREAD_NEW) {
        t->wake_pending = t->state == THREAD_RUNNING || t->state == THREAD_RUNNABLE;
        return;
    }
    spin_lock(&runq.lock);
    floor = runq.min_vruntime > SLEEPER_CREDIT_NS ? runq.min_vruntime - SLEEPER_CREDIT_NS : 0;
    t->vruntime = MAX(t->vruntime, floor);
    t->state = THREAD_RUNNABLE;
    runq_insert(t);
    if (cur->state == THREAD_RUNNING && cur != &sched_boot_thread) {
        sched_account(cur, plat_clock_ns());
        cpu->need_resched |= RESCHED_TIMER;
        if (runq_should_preempt(cur, WAKEUP_GRANULARITY_NS))
            cpu->need_resched |= RESCHED_SWITCH;
    }
    spin_unlock(&runq.lock);
}

void thread_update_user_work(struct thread *t)
{
    struct cpu *cpu = this_cpu();

    if (t == cpu->current)
        cpu->user_work = t->signal_pending || t->user_work;
}

void thread_add_user_work(struct thread *t)
{
    t->user_work = true;
    thread_update_user_work(t);
}

void thread_interrupt(struct thread *t)
{
    t->signal_pending = true;
    thread_update_user_work(t);
    if (t->state == THREAD_SLEEPING && t->interruptible)
        thread_wake(t);
}

void thread_set_nice(struct thread *t, int nice)
{
    if (t->state == THREAD_RUNNING && t == thread_current())
        sched_account(t, plat_clock_ns());
    t->nice = nice < -20 ? -20 : nice > 19 ? 19 : nice;
}

void sched_tick(uint64_t now)
{
    struct cpu *cpu = this_cpu();
    struct thread *cur = cpu->current;

    if (cur->state != THREAD_RUNNING || cur == &sched_boot_thread)
        return;
    sched_account(cur, now);
    // A turn has a least length, or threads that sleep for microseconds take every turn of one that
    // pays for their timers.
    if (runq_should_preempt(cur, now - cur->picked < TURN_MIN_NS ? WAKEUP_GRANULARITY_NS : 0))
        cpu->need_resched |= RESCHED_SWITCH;
}

void sched_finish_switch(void)
{
    struct thread *dead = dead_thread;

    dead_thread = NULL;
    if (dead)
        thread_reap(dead);
}

void sched_switch(void)
{
    struct cpu *cpu = this_cpu();
    struct thread *prev = cpu->current, *next;
    uint64_t now = plat_clock_ns();

    if (prev != &sched_boot_thread)
        sched_account(prev, now);
    cpu->need_resched &= ~RESCHED_SWITCH;
    sched_poll_if_due(now);
    while (!runq.first) {
        if (prev->state == THREAD_RUNNING)
            return;
        if (prev->state == THREAD_DEAD)
            break;
        sched_idle_once();
    }
    spin_lock(&runq.lock);
    next = runq_first();
    if (next)
        runq_remove(next);
    else
        next = &sched_boot_thread;
    if (prev->state == THREAD_RUNNING) {
        prev->state = THREAD_RUNNABLE;
        runq_insert(prev);
    }
    spin_unlock(&runq.lock);
    next->state = THREAD_RUNNING;
    next->run_since = next->picked = plat_clock_ns();
    cpu->need_resched = (cpu->need_resched & ~RESCHED_SWITCH) | RESCHED_TIMER;
    if (next == prev)
        return;
    cpu->current = next;
    cpu->user_work = next->signal_pending || next->user_work;
    cpu->switches++;
    plat_stats->switches++;
    if (prev->state == THREAD_DEAD)
        dead_thread = prev;
    arch_switch(&prev->arch, &next->arch);
    sched_finish_switch();
}

void sched_yield_now(void)
{
    struct thread *cur = thread_current();

    if (!runq.first) {
        sched_poll();
        if (!runq.first)
            return;
    }
    // Behind the one that has waited longest, ahead of nobody with the same time.
    sched_account(cur, plat_clock_ns());
    cur->vruntime = MAX(cur->vruntime, runq_first()->vruntime);
    sched_switch();
}

void sched_cond_resched(void)
{
    struct cpu *cpu = this_cpu();

    if (cpu->pending)
        sched_run_due(false);
    if (sched_runnable())
        sched_tick(plat_clock_ns());
    if (cpu->need_resched & RESCHED_SWITCH)
        sched_switch();
}

struct block_timer {
    struct ktimer timer;
    struct thread *thread;
    bool fired;
};

static void block_timeout(struct ktimer *timer)
{
    struct block_timer *b = container_of(timer, struct block_timer, timer);

    b->fired = true;
    thread_wake(b->thread);
}

int sched_block(uint64_t deadline_ns, bool interruptible)
{
    struct thread *t = thread_current();
    struct block_timer b = {.thread = t};

    ASSERT(!this_cpu()->spin_depth && !sched_in_callback);
    if (t->wake_pending) {
        t->wake_pending = false;
        return 0;
    }
    if (interruptible && t->signal_pending)
        return -EINTR;
    if (deadline_ns != DEADLINE_NEVER) {
        uint64_t now = plat_clock_ns();

        if (deadline_ns <= now) { // only asking: devices get their turn all the same
            sched_poll_if_due(now);
            return -ETIMEDOUT;
        }
        ktimer_init(&b.timer, block_timeout);
        ktimer_arm(&b.timer, deadline_ns);
    }
    t->interruptible = interruptible;
    t->state = THREAD_SLEEPING;
    sched_switch();
    t->interruptible = false;
    t->wake_pending = false; // the caller looks at its condition now
    if (deadline_ns != DEADLINE_NEVER)
        ktimer_cancel(&b.timer);
    if (interruptible && t->signal_pending)
        return -EINTR;
    return b.fired ? -ETIMEDOUT : 0;
}

static int sched_init(void)
{
    struct thread *t = &sched_boot_thread;

    lib_strlcpy(t->name, "idle", sizeof(t->name));
    t->state = THREAD_RUNNING;
    t->arch.kstack_top = this_cpu()->kstack_top;
    list_init(&t->all);
    this_cpu()->current = t;
    return 0;
}
INIT_RECORD_ALWAYS(INIT_SCHED, sched_init);

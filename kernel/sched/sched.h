// SPDX-License-Identifier: ISC
// sched: threads, wait queues, sleeping locks, timers, clocks, deferred work.
// One kernel thread of control per CPU, never preempted in the kernel (arch/arch.h); programs are.
#ifndef LITH_SCHED_H
#define LITH_SCHED_H

#include "mm/mm.h"

enum thread_state { THREAD_NEW, THREAD_RUNNABLE, THREAD_RUNNING, THREAD_SLEEPING, THREAD_DEAD };

struct thread {
    struct arch_thread arch;
    void *kstack;
    enum thread_state state;
    bool interruptible;      // sleeping so that thread_interrupt() wakes it
    bool signal_pending;     // set by thread_interrupt(), cleared by the signal code
    bool user_work;          // thread_add_user_work()
    bool wake_pending;       // woken while it did not sleep: its next sched_block() returns at once
    int nice;                // -20..19
    uint64_t vruntime;       // ns, weighted
    uint64_t cpu_ns;         // time on CPU
    uint64_t run_since;      // plat_clock_ns up to which its running is accounted
    uint64_t picked;         // plat_clock_ns when it last got the CPU
    struct rb_node run_node; // in the run queue
    struct list_head all;    // in the list of all threads
    int id;                  // kernel's own number, unique
    char name[16];
    void *linux_thread; // linux/process.h, NULL for kernel threads
    // In the context of another thread, before the memory goes; must not sleep.
    void (*on_exit)(struct thread *t);
    void (*fn)(void *); // what it runs
    void *arg;
};

static inline struct thread *thread_current(void)
{
    return this_cpu()->current;
}

// A thread that will run fn(arg) in kernel mode. Not started. -ENOMEM.
int thread_create(struct thread **out, const char *name, void (*fn)(void *), void *arg);
// Makes room for the FPU state of one that will enter a program. 0 or -ENOMEM.
int thread_add_fpu(struct thread *t);
void thread_start(struct thread *t);
void thread_discard(struct thread *t); // frees one that was not started, on_exit included
void thread_exit(void) __attribute__((noreturn));
void thread_set_nice(struct thread *t, int nice);
// Wakes a thread from an interruptible sleep, which returns -EINTR; stays pending if it does not
// sleep.
void thread_interrupt(struct thread *t);
void thread_wake(struct thread *t); // makes a sleeping thread runnable
// The user work hook runs when `t` next leaves the kernel, without waking it. Cleared before the
// hook is called.
void thread_add_user_work(struct thread *t);
// Call when signal_pending was cleared: the way out looks at a copy of the CPU.
void thread_update_user_work(struct thread *t);
uint64_t thread_cpu_ns(const struct thread *t); // time on CPU up to now
void sched_yield_now(void);
// For long loops in the kernel: runs pollers and gives others the CPU when it is their turn. May
// sleep.
void sched_cond_resched(void);
// Runs what is due: all pollers, and timers. True: something was done. For calls that ask without
// sleeping (epoll_wait with timeout 0). Holding no spin lock.
bool sched_poll(void);
// Calls fn for every thread.
void thread_for_each(void (*fn)(struct thread *t, void *arg), void *arg);
// Gives up the CPU until woken, interrupted (if interruptible) or at the deadline (monotonic ns).
// The caller has queued itself somewhere before. 0, -EINTR or -ETIMEDOUT. Waking early is allowed:
// loop.
int sched_block(uint64_t deadline_ns, bool interruptible);
// Called once at the end of start-up: becomes the idle thread of CPU 0.
void sched_run(void) __attribute__((noreturn));
// The way out of the kernel (arch_exit_hook): pending interrupts, deferred work, rescheduling, then
// the thread's own work. linux sets sched_user_work_hook for signals.
extern void (*sched_user_work_hook)(struct regs *r);
// Called with the number of a signal that came from outside the instance (plat_take_signal). Not in
// a thread; must not sleep.
extern void (*sched_signal_hook)(int sig);
// Takes what came without an interrupt: before there was a hook, or before interrupts were on.
void sched_take_outside_signal(void);

// --- wait queues ---
struct wait_entry {
    struct list_head link;
    struct wait_queue *queue; // it is in; NULL: none
    // Called with the queue's lock held; must not sleep, nor touch this queue. Returns true if it
    // consumed the wake-up (exclusive). NULL: wakes `thread`.
    bool (*wake)(struct wait_entry *e, unsigned events);
    struct thread *thread;
    bool exclusive; // woken one at a time
    bool woken;     // by the default wake, since wait_add(); such an entry is passed over
};
struct wait_queue {
    spinlock_t lock;
    struct list_head entries;
};
#define WAIT_QUEUE_INIT(name)                \
    {                                        \
        SPINLOCK_INIT,                       \
        {                                    \
            &(name).entries, &(name).entries \
        }                                    \
    }
void wait_queue_init(struct wait_queue *q);
void wait_add(struct wait_queue *q, struct wait_entry *e);    // at the tail
void wait_remove(struct wait_queue *q, struct wait_entry *e); // harmless when not queued
void wait_entry_init(struct wait_entry *e);                   // wakes the current thread
// Wakes all non-exclusive entries and up to `n` exclusive ones. events: EPOLL* bits that happened.
void wait_wake(struct wait_queue *q, unsigned events, unsigned n);
static inline void wait_wake_all(struct wait_queue *q, unsigned events)
{
    wait_wake(q, events, ~0u);
}
static inline bool wait_has_waiters(const struct wait_queue *q)
{
    return !list_empty(&q->entries);
}

// Sleeps until cond holds: 0, -EINTR (interruptible and a signal came) or -ETIMEDOUT.
#define wait_event(q, cond, deadline_ns, intr)                            \
    ({                                                                    \
        int ret_ = 0;                                                     \
        if (!(cond)) {                                                    \
            struct wait_entry e_;                                         \
            wait_entry_init(&e_);                                         \
            for (;;) {                                                    \
                wait_add((q), &e_);                                       \
                if (cond)                                                 \
                    break;                                                \
                ret_ = e_.woken ? 0 : sched_block((deadline_ns), (intr)); \
                wait_remove((q), &e_);                                    \
                if (cond) {                                               \
                    ret_ = 0;                                             \
                    break;                                                \
                }                                                         \
                if (ret_)                                                 \
                    break;                                                \
            }                                                             \
            wait_remove((q), &e_);                                        \
        }                                                                 \
        ret_;                                                             \
    })

// --- sleeping lock ---
struct mutex {
    struct thread *owner;
    struct wait_queue queue;
};
#define MUTEX_INIT(name)                    \
    {                                       \
        NULL, WAIT_QUEUE_INIT((name).queue) \
    }
void mutex_init(struct mutex *m);
void mutex_lock(struct mutex *m);
bool mutex_trylock(struct mutex *m);
void mutex_unlock(struct mutex *m);

// --- timers: fn runs in kernel mode outside any thread (deferred), must not sleep ---
struct ktimer {
    uint64_t deadline_ns;
    void (*fn)(struct ktimer *t);
    struct rb_node node;
    bool armed;
};
void ktimer_init(struct ktimer *t, void (*fn)(struct ktimer *));
void ktimer_arm(struct ktimer *t, uint64_t deadline_ns); // re-arms when armed
bool ktimer_cancel(struct ktimer *t);                    // true: it was armed
static inline uint64_t clock_monotonic_ns(void)
{
    return plat_clock_ns();
}
uint64_t clock_realtime_ns(void);
void clock_set_realtime(uint64_t ns);
int64_t clock_realtime_offset_ns(void);      // realtime - monotonic
int64_t clock_realtime_shift_ns(void);       // what clock_set_realtime() added to plat's clock
extern void (*clock_realtime_changed)(void); // called after clock_set_realtime(); may be NULL

// --- deferred work and pollers ---
// Poller: called when its interrupt is pending, before sleeping and now and then under load;
// returns true if it did something (it will be called again before the CPU sleeps). Not in a
// thread; must not sleep.
struct poller {
    struct list_head link;
    bool (*poll)(struct poller *p);
    // Bits of cpu->pending that raise it. 0: no interrupt, it is called often while programs run.
    uint64_t vectors;
};
void sched_add_poller(struct poller *p);
// For the idle CPU, and at the instance's end: asks the pollers, or sleeps until something may have
// changed. Other threads do not get to run.
void sched_idle_once(void);
// All pollers are asked at this time at the latest, also while a program runs and does not call.
void sched_poll_by(uint64_t deadline_ns);
// A poller of something that is not a device (loopback) uses this bit, and raises itself: it is
// called on the next way out of the kernel, or before the CPU sleeps.
#define POLLER_SOFTWARE (1ull << 63)
static inline void sched_raise_software(void)
{
    __atomic_fetch_or(&this_cpu()->pending, POLLER_SOFTWARE, __ATOMIC_RELAXED);
}
// Runs fn soon in a kernel worker thread, where it may sleep.
struct work {
    struct list_head link;
    void (*fn)(struct work *w);
    bool queued;
};
void work_queue(struct work *w);

#endif

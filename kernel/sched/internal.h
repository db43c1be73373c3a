// SPDX-License-Identifier: ISC
// What the files of sched/ share.
#ifndef LITH_SCHED_INTERNAL_H
#define LITH_SCHED_INTERNAL_H

#include "abi/boot.h"
#include "sched/sched.h"

// Bits of cpu->need_resched: any of them makes the way out of the kernel call the exit hook.
#define RESCHED_SWITCH 1u // another thread's turn
#define RESCHED_TIMER  2u // the hardware timer must be looked at before a program runs

// Preemption costs about 20 us where timers are dearest (facts: process.md section 3): 10 ms is 0.2
// %.
#define SLICE_NS (10 * NSEC_PER_MSEC)
// A turn is at least so long, unless somebody is owed more than the next.
#define TURN_MIN_NS (1 * NSEC_PER_MSEC)
// A woken thread preempts when it is owed more than this.
#define WAKEUP_GRANULARITY_NS (1 * NSEC_PER_MSEC)
// A sleeper is owed at most this much when it wakes.
#define SLEEPER_CREDIT_NS (5 * NSEC_PER_MSEC)
// After a poller had work, spin this long before sleeping: a wake-up costs 20 to 30 us.
#define IDLE_SPIN_NS     (50 * NSEC_PER_USEC)
#define SPIN_SCALE       256u
#define SPIN_SUCCESS_MIN (SPIN_SCALE / 4) // rarer: it spins only each so many times:
#define SPIN_TRY_EACH    16u
// While threads are runnable, pollers run at least this often at switches.
#define POLL_INTERVAL_NS (20 * NSEC_PER_USEC)
// Rounds of polling on one way out of the kernel, and how long a program then runs before the next.
#define EXIT_POLL_ROUNDS 4
#define POLL_LOADED_NS   (100 * NSEC_PER_USEC)
// How often pollers without an interrupt are asked while a program runs.
#define POLL_BLIND_NS (1 * NSEC_PER_MSEC)

// runq.c
extern struct thread sched_boot_thread; // start-up, then idle
bool sched_runnable(void);              // somebody waits for the CPU
void sched_enqueue_new(struct thread *t);
void sched_account(struct thread *t, uint64_t now);
void sched_tick(uint64_t now); // decides whether the current thread's turn is over
void sched_switch(void);       // the current thread's state says whether it wants to run on
void sched_finish_switch(void);

// thread.c
void thread_reap(struct thread *t);

// timer.c
uint64_t timer_next(void); // deadline of the earliest timer
bool timer_run(uint64_t now);

// idle.c
extern bool sched_in_callback; // a poller or timer function runs: sleeping is a bug
void sched_note_timer(uint64_t deadline_ns);
bool sched_run_due(bool all_pollers);

void sched_poll_if_due(uint64_t now);

#endif

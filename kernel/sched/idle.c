// SPDX-License-Identifier: ISC
// What happens between kernel and program, and when nobody can run: pending interrupts are turned
// into polling, timers fire, the CPU is given to another thread or sleeps. There is no tick: the
// hardware timer is set only for the earliest timer, and for the end of a time slice when somebody
// waits for the CPU.
#include "sched/internal.h"

static struct list_head pollers = {&pollers, &pollers};
static bool pollers_without_vector;
static bool poll_again;                         // a poller had work: ask all of them again
static uint64_t poll_deadline = DEADLINE_NEVER; // when to ask although a program runs
static uint64_t poll_wanted = DEADLINE_NEVER;   // by sched_poll_by(), until all have been asked
static uint64_t last_work_ns;                   // when a poller last had work
static uint64_t last_poll_ns;
// The hardware timer fires at this time or sooner; DEADLINE_NEVER: it may not be set.
static uint64_t timer_set_ns = DEADLINE_NEVER;
bool sched_in_callback;

void (*sched_user_work_hook)(struct regs *r);
void (*sched_signal_hook)(int sig);

// Polling for a while before sleeping pays where work comes that soon. Where it does not (what
// brings the work may want this very CPU) it only takes time from others: then it is tried now and
// then. True: ask the pollers again at once.
static bool spin(bool found, bool over)
{
    static unsigned success = SPIN_SCALE; // of SPIN_SCALE: how often it has found work lately
    static unsigned left_out;
    static bool spinning;

    if (!over && last_work_ns && plat_clock_ns() - last_work_ns < IDLE_SPIN_NS) {
        if (!spinning && success < SPIN_SUCCESS_MIN && ++left_out < SPIN_TRY_EACH)
            return false;
        left_out = 0;
        spinning = true;
        __builtin_ia32_pause();
        return true;
    }
    if (spinning) {
        spinning = false;
        success -= success / 16;
        if (found)
            success += SPIN_SCALE / 16;
    }
    return false;
}
static bool (*spin_hook)(bool found, bool over); // only where there are pollers

void sched_add_poller(struct poller *p)
{
    spin_hook = spin;
    list_add_tail(&p->link, &pollers);
    if (!p->vectors)
        pollers_without_vector = true;
}

void sched_note_timer(uint64_t deadline_ns)
{
    if (deadline_ns < timer_set_ns)
        this_cpu()->need_resched |= RESCHED_TIMER;
}

// Sets the hardware timer for what can happen while a program runs.
static void timer_program(uint64_t now)
{
    uint64_t need = MIN(timer_next(), poll_deadline);

    this_cpu()->need_resched &= ~RESCHED_TIMER;
    if (sched_runnable())
        need = MIN(need, now + SLICE_NS);
    if (need >= timer_set_ns)
        return;
    timer_set_ns = need;
    plat_timer_set(need);
}

void sched_take_outside_signal(void)
{
    int sig = sched_signal_hook ? plat_take_signal() : 0;

    if (sig)
        sched_signal_hook(sig);
}

bool sched_run_due(bool all_pollers)
{
    struct cpu *cpu = this_cpu();
    uint64_t pending = __atomic_exchange_n(&cpu->pending, 0, __ATOMIC_ACQUIRE);
    bool was_in_callback = sched_in_callback, worked = false;
    uint64_t now;

    if (pending & ~POLLER_SOFTWARE) {
        plat_irq_done(pending & ~POLLER_SOFTWARE);
        plat_stats->interrupts++;
    }
    if (pending & 1ull << (LITH_VECTOR_TIMER - 0x20)) {
        timer_set_ns = DEADLINE_NEVER;
        cpu->need_resched |= RESCHED_TIMER;
        plat_stats->timer_interrupts++;
    }
    if (pending & 1ull << (LITH_VECTOR_SIGNAL - 0x20))
        sched_take_outside_signal();
    all_pollers |=
        poll_again || (poll_deadline != DEADLINE_NEVER && plat_clock_ns() >= poll_deadline);
    if (all_pollers)
        poll_wanted = DEADLINE_NEVER;
    sched_in_callback = true;
    list_for_each_safe (pos, &pollers) {
        struct poller *p = list_entry(pos, struct poller, link);

        if ((all_pollers || (pending & p->vectors)) && p->poll(p))
            worked = true;
    }
    now = plat_clock_ns();
    if (all_pollers)
        last_poll_ns = now;
    if (worked)
        last_work_ns = now;
    poll_again = worked;
    worked |= timer_run(now);
    sched_in_callback = was_in_callback;
    if (sched_runnable())
        sched_tick(now);
    return worked;
}

bool sched_poll(void)
{
    return !sched_in_callback && sched_run_due(true);
}

void sched_poll_if_due(uint64_t now)
{
    if (this_cpu()->pending || timer_next() <= now || now - last_poll_ns >= POLL_INTERVAL_NS)
        sched_run_due(true);
}

void sched_poll_by(uint64_t deadline_ns)
{
    poll_wanted = MIN(poll_wanted, deadline_ns);
    if (poll_wanted >= poll_deadline)
        return;
    poll_deadline = poll_wanted;
    sched_note_timer(poll_deadline);
}

// One round of having nothing to run: returns when something may have changed.
void sched_idle_once(void)
{
    uint64_t deadline;
    bool found = sched_run_due(true), over = found || sched_runnable();

    if ((spin_hook && spin_hook(found, over)) || over)
        return;
    deadline = timer_next();
    plat_stats->idle_waits++;
    plat_wait(deadline);
    // The machine may have used the timer for the wait, or not at all.
    timer_set_ns = MAX(timer_set_ns, deadline);
    sched_take_outside_signal();
}

// Asks pollers until they have nothing more, but a flood must not keep the program from running:
// after a few rounds they have to wait until it calls the kernel again, or the timer does.
static void exit_poll(void)
{
    for (unsigned n = 0; n < EXIT_POLL_ROUNDS; n++) {
        sched_run_due(false);
        if (!poll_again && !this_cpu()->pending)
            break;
    }
    if (poll_again)
        poll_deadline = last_poll_ns + POLL_LOADED_NS;
    else
        poll_deadline = pollers_without_vector ? last_poll_ns + POLL_BLIND_NS : DEADLINE_NEVER;
    poll_deadline = MIN(poll_deadline, poll_wanted);
    if (poll_deadline < timer_set_ns)
        this_cpu()->need_resched |= RESCHED_TIMER;
}

// arch_exit_hook: the kernel is done with a call or an interrupt. It is called again until neither
// need_resched nor pending nor user_work is set.
static void sched_exit_hook(struct regs *r)
{
    struct cpu *cpu = this_cpu();

    for (;;) {
        if (cpu->pending || poll_again || plat_clock_ns() >= poll_deadline)
            exit_poll();
        if (cpu->need_resched & RESCHED_SWITCH)
            sched_switch();
        if (!cpu->user_work)
            break;
        cpu->current->user_work = false;
        if (sched_user_work_hook)
            sched_user_work_hook(r);
        else
            cpu->current->signal_pending = false;
        thread_update_user_work(cpu->current);
    }
    if (cpu->need_resched & RESCHED_TIMER)
        timer_program(plat_clock_ns());
}

void sched_run(void)
{
    struct thread *t = &sched_boot_thread;

    ASSERT(thread_current() == t);
    for (;;) {
        t->state = THREAD_SLEEPING;
        sched_switch();
    }
}

static int sched_idle_init(void)
{
    arch_exit_hook = sched_exit_hook;
    return 0;
}
INIT_RECORD_ALWAYS(INIT_SCHED, sched_idle_init);

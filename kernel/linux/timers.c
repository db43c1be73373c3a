// SPDX-License-Identifier: ISC
// Timers that send signals: setitimer, alarm, timer_create and its relatives. A timer on a CPU-time
// clock sleeps for the time that is missing and looks again: it never fires early, and an idle
// process looks at most a thousand times a second.
#include <linux/errno.h>
#include "linux/clocks.h"
#include "linux/signals.h"
#include "linux/timeutil.h"

#define POSIX_TIMERS_MAX      4096
#define CPU_TIMER_STEP_NS     NSEC_PER_MSEC
#define ITIMER_COUNT          3
#define ITIMER_SIGNAL_REAL    SIGALRM
#define ITIMER_SIGNAL_VIRTUAL SIGVTALRM
#define ITIMER_SIGNAL_PROF    SIGPROF

struct linux_timer {
    struct ktimer ktimer;
    struct process *process;
    int clock;
    int cpu_tid;       // CPU-time clocks: the thread; 0: the process
    uint64_t next;     // expiry: on the monotonic clock, or of CPU time; 0: not armed
    uint64_t interval; // 0: once
    void (*expire)(struct linux_timer *t, uint64_t times);
    int sig;
    // of timer_create
    struct list_head link;
    int id, notify, target_tid;
    sigval_t value;
    bool signal_queued; // its signal waits for delivery: further expiries are overruns
    uint64_t overrun;
    int last_overrun;
};

static bool cpu_time(const struct linux_timer *t, uint64_t *ns)
{
    const struct linux_thread *thread;

    if (!t->cpu_tid) {
        *ns = process_cpu_ns(t->process);
        return true;
    }
    thread = linux_thread_find(t->cpu_tid);
    if (thread)
        *ns = thread_cpu_ns(thread->thread);
    return thread != NULL;
}

static uint64_t timer_now(const struct linux_timer *t)
{
    uint64_t ns = 0;

    if (clock_is_cpu_time(t->clock))
        cpu_time(t, &ns);
    else
        ns = clock_monotonic_ns();
    return ns;
}

static void timer_start(struct linux_timer *t)
{
    uint64_t now;

    if (!clock_is_cpu_time(t->clock)) {
        ktimer_arm(&t->ktimer, t->next);
    } else if (cpu_time(t, &now)) {
        uint64_t left = t->next > now ? t->next - now : 0;

        ktimer_arm(&t->ktimer, deadline_after(MAX(left, (uint64_t)CPU_TIMER_STEP_NS)));
    }
}

static void timer_fired(struct ktimer *k)
{
    struct linux_timer *t = container_of(k, struct linux_timer, ktimer);
    uint64_t now = timer_now(t), times = 1;

    if (now < t->next) { // CPU time
        timer_start(t);
        return;
    }
    if (t->interval) {
        times += (now - t->next) / t->interval;
        t->next += times * t->interval;
        timer_start(t);
    } else {
        t->next = 0;
    }
    t->expire(t, times);
}

static void timer_init(struct linux_timer *t, struct process *p, int clock)
{
    ktimer_init(&t->ktimer, timer_fired);
    t->process = p;
    t->clock = clock;
}

static void timer_set(struct linux_timer *t, uint64_t next, uint64_t interval)
{
    ktimer_cancel(&t->ktimer);
    t->next = next;
    t->interval = interval;
    if (next)
        timer_start(t);
}

static uint64_t timer_left(const struct linux_timer *t)
{
    uint64_t now;

    if (!t->next)
        return 0;
    now = timer_now(t);
    return t->next > now ? t->next - now : 1; // 0 would say: not armed
}

// --- interval timers ---

static void itimer_expire(struct linux_timer *t, uint64_t times)
{
    (void)times;
    signal_send_process(t->process, t->sig, NULL);
}

static struct linux_timer *itimers(struct process *p)
{
    static const int signals[ITIMER_COUNT] = {ITIMER_SIGNAL_REAL, ITIMER_SIGNAL_VIRTUAL,
                                              ITIMER_SIGNAL_PROF};
    struct linux_timer *t = p->itimers;

    if (t)
        return t;
    t = kzalloc(ITIMER_COUNT * sizeof(*t));
    for (unsigned i = 0; t && i < ITIMER_COUNT; i++) {
        // Time in the kernel is not told apart: VIRTUAL counts as PROF does.
        timer_init(&t[i], p, i == ITIMER_REAL ? CLOCK_MONOTONIC : CLOCK_PROCESS_CPUTIME_ID);
        t[i].sig = signals[i];
        t[i].expire = itimer_expire;
    }
    return p->itimers = t;
}

struct itimer_value {
    struct __kernel_old_timeval interval, value;
};

static int itimer_get(int which, struct itimer_value *out)
{
    const struct linux_timer *t = itimers(current_process());

    if (!t)
        return -ENOMEM;
    out->interval = timeval_of(t[which].interval);
    // Rounded up: what is left is not zero while the timer runs.
    out->value = timeval_of(timer_left(&t[which]) + (t[which].next ? NSEC_PER_USEC - 1 : 0));
    return 0;
}

SYSCALL(36, getitimer, int which, struct itimer_value *user)
{
    struct itimer_value v;
    int err;

    if (which < 0 || which >= ITIMER_COUNT)
        return -EINVAL;
    err = itimer_get(which, &v);
    return err ? err : put_user(user, &v);
}

static void itimer_set(int which, uint64_t value, uint64_t interval)
{
    struct linux_timer *t = &itimers(current_process())[which];

    timer_set(t, value ? timer_now(t) + value : 0, interval);
}

SYSCALL(38, setitimer, int which, const struct itimer_value *user_new,
        struct itimer_value *user_old)
{
    struct itimer_value new = {0}, old;
    uint64_t value, interval;

    if (which < 0 || which >= ITIMER_COUNT)
        return -EINVAL;
    if (user_new && get_user(&new, user_new))
        return -EFAULT;
    if (timeval_in(&new.value, &value) || timeval_in(&new.interval, &interval))
        return -EINVAL;
    if (itimer_get(which, &old))
        return -ENOMEM;
    itimer_set(which, value, interval);
    return user_old ? put_user(user_old, &old) : 0;
}

SYSCALL(37, alarm, unsigned seconds)
{
    struct itimer_value old;

    if (itimer_get(ITIMER_REAL, &old))
        return 0;
    itimer_set(ITIMER_REAL, seconds * NSEC_PER_SEC, 0);
    // Rounded to the nearest second, but not to "none was set".
    if (!old.value.tv_sec && old.value.tv_usec)
        return 1;
    return old.value.tv_sec + (old.value.tv_usec >= 500000);
}

// --- POSIX timers ---

static struct list_head *posix_timers(struct process *p)
{
    struct list_head *l = p->posix_timers;

    if (!l) {
        l = p->posix_timers = kmalloc(sizeof(*l));
        if (l)
            list_init(l);
    }
    return l;
}

static struct linux_timer *posix_timer_find(const struct process *p, int id)
{
    struct list_head *l = p->posix_timers;

    if (!l)
        return NULL;
    list_for_each (pos, l) {
        struct linux_timer *t = list_entry(pos, struct linux_timer, link);

        if (t->id == id)
            return t;
    }
    return NULL;
}

static void posix_timer_expire(struct linux_timer *t, uint64_t times)
{
    struct linux_thread *thread;
    siginfo_t info;
    int ret;

    if (t->notify == SIGEV_NONE)
        return;
    if (t->signal_queued) {
        t->overrun += times;
        return;
    }
    t->overrun = times - 1;
    memset(&info, 0, sizeof(info));
    info.si_code = SI_TIMER;
    info.si_tid = t->id;
    info.si_value = t->value;
    if (t->notify == SIGEV_THREAD_ID) {
        thread = linux_thread_find(t->target_tid);
        ret = thread ? signal_send(t->process, thread, t->sig, &info) : SIGNAL_DROPPED;
    } else {
        ret = signal_send(t->process, NULL, t->sig, &info);
    }
    t->signal_queued = ret == SIGNAL_QUEUED;
}

void timer_signal_taken(struct process *p, siginfo_t *info)
{
    struct linux_timer *t = posix_timer_find(p, info->si_tid);

    if (!t || !t->signal_queued)
        return;
    t->signal_queued = false;
    t->last_overrun = (int)MIN(t->overrun, (uint64_t)INT32_MAX);
    t->overrun = 0;
    info->si_overrun = t->last_overrun;
}

static int check_event(const struct sigevent *e)
{
    const struct linux_thread *t;

    switch (e->sigev_notify) {
    case SIGEV_NONE:
        return 0;
    case SIGEV_THREAD_ID:
        t = linux_thread_find(e->sigev_notify_thread_id);
        if (!t || t->process != current_process())
            return -EINVAL;
        // fall through
    case SIGEV_SIGNAL:
    case SIGEV_THREAD:
        return e->sigev_signo < 1 || e->sigev_signo > PROC_NSIG ? -EINVAL : 0;
    default:
        return -EINVAL;
    }
}

SYSCALL(222, timer_create, int clock, struct sigevent *user_event, int *user_id)
{
    struct process *p = current_process();
    struct list_head *l = posix_timers(p);
    struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
    struct linux_timer *t;
    uint64_t ns;
    int id = 0;

    if (!l)
        return -EAGAIN;
    if (user_event && get_user(&e, user_event))
        return -EFAULT;
    if (check_event(&e))
        return -EINVAL;
    if (clock_read(clock, &ns) || clock == CLOCK_MONOTONIC_RAW || clock == CLOCK_REALTIME_COARSE ||
        clock == CLOCK_MONOTONIC_COARSE)
        return -EINVAL;
    while (posix_timer_find(p, id))
        if (++id >= POSIX_TIMERS_MAX)
            return -EAGAIN;
    t = kzalloc(sizeof(*t));
    if (!t)
        return -EAGAIN;
    timer_init(t, p, clock);
    t->cpu_tid = clock == CLOCK_THREAD_CPUTIME_ID ? current_lt()->tid
                 : clock < 0 && (clock & 4)       ? ~(clock >> 3)
                                                  : 0;
    t->id = id;
    t->notify = e.sigev_notify;
    t->sig = e.sigev_signo;
    t->value = e.sigev_value;
    if (!user_event)
        t->value.sival_int = id;
    t->target_tid = e.sigev_notify == SIGEV_THREAD_ID ? e.sigev_notify_thread_id : 0;
    t->expire = posix_timer_expire;
    if (put_user(user_id, &id)) {
        kfree(t);
        return -EFAULT;
    }
    list_add_tail(&t->link, l);
    return 0;
}

static int itimerspec_out(struct __kernel_itimerspec *user, uint64_t value, uint64_t interval)
{
    return timespec_out(&user->it_value, value) || timespec_out(&user->it_interval, interval)
               ? -EFAULT
               : 0;
}

SYSCALL(223, timer_settime, int id, int flags, const struct __kernel_itimerspec *user_new,
        struct __kernel_itimerspec *user_old)
{
    struct linux_timer *t = posix_timer_find(current_process(), id);
    uint64_t value, interval, next = 0, old_left, old_interval;
    bool absolute = flags & TIMER_ABSTIME;
    int err;

    if (!user_new)
        return -EINVAL;
    err = timespec_in(&user_new->it_value, &value);
    if (!err)
        err = timespec_in(&user_new->it_interval, &interval);
    if (err)
        return err;
    if (!t)
        return -EINVAL;
    if (value) {
        if (clock_is_cpu_time(t->clock))
            next = absolute ? value : timer_now(t) + value;
        else if (clock_deadline(t->clock, value, absolute, &next))
            return -EINVAL;
        next = MAX(next, (uint64_t)1);
    }
    old_left = timer_left(t);
    old_interval = t->interval;
    timer_set(t, next, interval);
    t->overrun = 0;
    return user_old ? itimerspec_out(user_old, old_left, old_interval) : 0;
}

SYSCALL(224, timer_gettime, int id, struct __kernel_itimerspec *user)
{
    const struct linux_timer *t = posix_timer_find(current_process(), id);

    return t ? itimerspec_out(user, timer_left(t), t->interval) : -EINVAL;
}

SYSCALL(225, timer_getoverrun, int id)
{
    const struct linux_timer *t = posix_timer_find(current_process(), id);

    return t ? t->last_overrun : -EINVAL;
}

SYSCALL(226, timer_delete, int id)
{
    struct linux_timer *t = posix_timer_find(current_process(), id);

    if (!t)
        return -EINVAL;
    ktimer_cancel(&t->ktimer);
    list_del(&t->link);
    kfree(t);
    return 0;
}

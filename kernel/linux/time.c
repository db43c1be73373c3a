// SPDX-License-Identifier: ISC
// Clocks and sleeping: clock_gettime and its relatives, nanosleep, gettimeofday. Timers are
// timers.c's and timerfd.c's.
#include <linux/errno.h>
#include <linux/timex.h>
#include "linux/clocks.h"
#include "linux/timeutil.h"

uint64_t timer_slack_ns = TIMER_SLACK_DEFAULT_NS;

int block_until(uint64_t deadline_ns)
{
    if (deadline_ns < DEADLINE_NEVER - timer_slack_ns && deadline_ns > clock_monotonic_ns())
        deadline_ns += timer_slack_ns;
    return sched_block(deadline_ns, true);
}

uint64_t call_deadline(uint64_t timeout_ns)
{
    struct linux_thread *t = current_lt();

    if (!t->restarting)
        t->restart_deadline = deadline_after(timeout_ns);
    return t->restart_deadline;
}

// CPU-time clocks of given threads and processes: the number is ~id << 3 | kind (Linux's
// include/linux/posix-timers.h).
#define CPUCLOCK_PERTHREAD 4
#define CPUCLOCK_KIND_MASK 3

int clock_read(int id, uint64_t *ns)
{
    const struct linux_thread *t;

    switch (id) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
    case CLOCK_TAI: // no leap seconds are known
        *ns = clock_realtime_ns();
        return 0;
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_BOOTTIME:
        *ns = clock_monotonic_ns();
        return 0;
    case CLOCK_PROCESS_CPUTIME_ID:
        *ns = process_cpu_ns(current_process());
        return 0;
    case CLOCK_THREAD_CPUTIME_ID:
        *ns = thread_cpu_ns(thread_current());
        return 0;
    }
    if (id >= 0 || (id & CPUCLOCK_KIND_MASK) == 3)
        return -EINVAL;
    if (id & CPUCLOCK_PERTHREAD) {
        t = ~(id >> 3) ? linux_thread_find(~(id >> 3)) : current_lt();
        if (!t)
            return -EINVAL;
        *ns = thread_cpu_ns(t->thread);
        return 0;
    }
    if (~(id >> 3) && !process_find(~(id >> 3)))
        return -EINVAL;
    *ns = process_cpu_ns(current_process());
    return 0;
}

bool clock_is_cpu_time(int id)
{
    return id == CLOCK_PROCESS_CPUTIME_ID || id == CLOCK_THREAD_CPUTIME_ID || id < 0;
}

int clock_deadline(int id, uint64_t ns, bool absolute, uint64_t *deadline)
{
    switch (id) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_ALARM:
    case CLOCK_TAI:
        *deadline = absolute ? deadline_of_realtime(ns) : deadline_after(ns);
        return 0;
    case CLOCK_MONOTONIC:
    case CLOCK_BOOTTIME:
    case CLOCK_BOOTTIME_ALARM:
        *deadline = absolute ? ns : deadline_after(ns);
        return 0;
    default:
        return -EINVAL;
    }
}

SYSCALL(228, clock_gettime, int id, void *user_ts)
{
    uint64_t ns;
    int err = clock_read(id, &ns);

    return err ? err : timespec_out(user_ts, ns);
}

SYSCALL(229, clock_getres, int id, void *user_ts)
{
    uint64_t ns;
    int err = clock_read(id, &ns);

    return err || !user_ts ? err : timespec_out(user_ts, 1);
}

SYSCALL(227, clock_settime, int id, const void *user_ts)
{
    uint64_t ns;
    int err = timespec_in(user_ts, &ns);

    if (err)
        return err;
    if (id != CLOCK_REALTIME)
        return -EINVAL;
    clock_set_realtime(ns);
    return 0;
}

SYSCALL(96, gettimeofday, struct __kernel_old_timeval *user_tv, struct timezone *user_tz)
{
    struct __kernel_old_timeval tv = timeval_of(clock_realtime_ns());
    struct timezone tz = {0, 0};

    if (user_tv && put_user(user_tv, &tv))
        return -EFAULT;
    return user_tz ? put_user(user_tz, &tz) : 0;
}

SYSCALL(164, settimeofday, const struct __kernel_old_timeval *user_tv,
        const struct timezone *user_tz)
{
    struct __kernel_old_timeval tv;
    uint64_t ns;
    int err;

    (void)user_tz; // there is no time zone in the kernel
    if (!user_tv)
        return 0;
    if (get_user(&tv, user_tv))
        return -EFAULT;
    err = timeval_in(&tv, &ns);
    if (!err)
        clock_set_realtime(ns);
    return err;
}

SYSCALL(201, time, long *user_t)
{
    long now = (long)(clock_realtime_ns() / NSEC_PER_SEC);

    return user_t && put_user(user_t, &now) ? -EFAULT : now;
}

// Sleeps to a deadline of the monotonic clock.
static int sleep_until(uint64_t deadline)
{
    int ret;

    do {
        ret = block_until(deadline);
    } while (ret == 0);
    return ret == -ETIMEDOUT ? 0 : ret;
}

static long sleep_for(uint64_t ns, void *user_left)
{
    uint64_t deadline = call_deadline(ns), now;

    if (sleep_until(deadline) == 0)
        return 0;
    now = clock_monotonic_ns();
    if (user_left && timespec_out(user_left, deadline > now ? deadline - now : 0))
        return -EFAULT;
    return -ERESTART_RESTARTBLOCK;
}

SYSCALL(35, nanosleep, const void *user_time, void *user_left)
{
    uint64_t ns;
    int err = timespec_in(user_time, &ns);

    return err ? err : sleep_for(ns, user_left);
}

// Sleeps until CPU time of the process (other threads use it) has come to `target`.
static long sleep_cpu_time(int id, uint64_t target)
{
    uint64_t now;
    int err;

    if (id == CLOCK_THREAD_CPUTIME_ID)
        return -EINVAL;
    for (;;) {
        err = clock_read(id, &now);
        if (err || now >= target)
            return err;
        err = sleep_until(deadline_after(target - now));
        if (err)
            return -ERESTARTNOHAND;
    }
}

SYSCALL(230, clock_nanosleep, int id, int flags, const void *user_time, void *user_left)
{
    bool absolute = flags & TIMER_ABSTIME;
    uint64_t ns, deadline, now;
    int err = timespec_in(user_time, &ns);

    if (err)
        return err;
    if (clock_is_cpu_time(id)) {
        err = clock_read(id, &now);
        return err ? err : sleep_cpu_time(id, absolute ? ns : now + ns);
    }
    err = clock_deadline(id, ns, absolute, &deadline);
    if (err)
        return err == -EINVAL && id > 0 && id <= CLOCK_TAI ? -EOPNOTSUPP : err;
    if (!absolute)
        return sleep_for(ns, user_left);
    return sleep_until(deadline) ? -ERESTARTNOHAND : 0;
}

// Reads only: the machine's clock is not for the program to steer.
static long adjust_clock(struct __kernel_timex *user)
{
    struct __kernel_timex tx;
    uint64_t now = clock_realtime_ns();

    if (get_user(&tx, user))
        return -EFAULT;
    if (tx.modes)
        return -EPERM;
    memset(&tx, 0, sizeof(tx));
    tx.status = STA_UNSYNC;
    tx.tick = 10000;
    tx.maxerror = tx.esterror = 16000000;
    tx.precision = 1;
    tx.tolerance = 32768000;
    tx.time.tv_sec = (long long)(now / NSEC_PER_SEC);
    tx.time.tv_usec = (long long)(now % NSEC_PER_SEC / NSEC_PER_USEC);
    return put_user(user, &tx) ? -EFAULT : TIME_ERROR;
}

SYSCALL(159, adjtimex, struct __kernel_timex *user)
{
    return adjust_clock(user);
}

SYSCALL(305, clock_adjtime, int id, struct __kernel_timex *user)
{
    return id == CLOCK_REALTIME ? adjust_clock(user) : -EINVAL;
}

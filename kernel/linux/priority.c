// SPDX-License-Identifier: ISC
// Scheduling as programs see it: yielding, nice values, policies, affinity. One CPU; the policies
// are those of time sharing, real-time ones are refused.
#include <linux/errno.h>
#include <linux/resource.h>
#include <linux/sched.h>
#include <linux/sched/types.h>
#include "linux/process.h"
#include "linux/timeutil.h"

SYSCALL(24, sched_yield, void)
{
    sched_yield_now();
    return 0;
}

static struct linux_thread *thread_or_self(int tid)
{
    return tid ? linux_thread_find(tid) : current_lt();
}

SYSCALL(203, sched_setaffinity, int tid, unsigned len, const void *user_mask)
{
    uint8_t first;

    if (tid < 0)
        return -EINVAL;
    if (!thread_or_self(tid))
        return -ESRCH;
    if (!len)
        return -EINVAL;
    if (copy_in(&first, user_mask, 1))
        return -EFAULT;
    return first & 1 ? 0 : -EINVAL; // CPU 0 is all there is
}

SYSCALL(204, sched_getaffinity, int tid, unsigned len, void *user_mask)
{
    uint64_t mask = 1;

    if (len < sizeof(mask) || len % sizeof(mask))
        return -EINVAL;
    if (tid < 0 || !thread_or_self(tid))
        return -ESRCH;
    return copy_out(user_mask, &mask, sizeof(mask)) ? -EFAULT : (long)sizeof(mask);
}

static bool is_time_sharing(int policy)
{
    return policy == SCHED_NORMAL || policy == SCHED_BATCH || policy == SCHED_IDLE;
}

static long set_policy(int tid, int policy, const int *user_priority)
{
    int priority;

    if (tid < 0 || !user_priority)
        return -EINVAL;
    if (get_user(&priority, user_priority))
        return -EFAULT;
    if (!thread_or_self(tid))
        return -ESRCH;
    policy &= ~SCHED_RESET_ON_FORK;
    if (policy == SCHED_FIFO || policy == SCHED_RR)
        return priority < 1 || priority > 99 ? -EINVAL : -EPERM;
    return !is_time_sharing(policy) || priority ? -EINVAL : 0;
}

SYSCALL(144, sched_setscheduler, int tid, int policy, const int *user_priority)
{
    return set_policy(tid, policy, user_priority);
}

SYSCALL(142, sched_setparam, int tid, const int *user_priority)
{
    return set_policy(tid, SCHED_NORMAL, user_priority);
}

SYSCALL(145, sched_getscheduler, int tid)
{
    return tid < 0 ? -EINVAL : thread_or_self(tid) ? SCHED_NORMAL : -ESRCH;
}

SYSCALL(143, sched_getparam, int tid, int *user_priority)
{
    int priority = 0;

    if (tid < 0 || !user_priority)
        return -EINVAL;
    return thread_or_self(tid) ? put_user(user_priority, &priority) : -ESRCH;
}

SYSCALL(315, sched_getattr, int tid, struct sched_attr *user_attr, unsigned size, unsigned flags)
{
    const struct linux_thread *t = tid < 0 ? NULL : thread_or_self(tid);
    struct sched_attr a = {.size = SCHED_ATTR_SIZE_VER0, .sched_policy = SCHED_NORMAL};

    if (tid < 0 || flags || size < SCHED_ATTR_SIZE_VER0)
        return -EINVAL;
    if (!t)
        return -ESRCH;
    a.sched_nice = t->thread->nice;
    return copy_out(user_attr, &a, SCHED_ATTR_SIZE_VER0);
}

SYSCALL(314, sched_setattr, int tid, const struct sched_attr *user_attr, unsigned flags)
{
    struct linux_thread *t = tid < 0 ? NULL : thread_or_self(tid);
    struct sched_attr a;

    if (tid < 0 || flags)
        return -EINVAL;
    if (copy_in(&a, user_attr, SCHED_ATTR_SIZE_VER0))
        return -EFAULT;
    if (!t)
        return -ESRCH;
    if (!is_time_sharing((int)a.sched_policy))
        return a.sched_policy == SCHED_FIFO || a.sched_policy == SCHED_RR ? -EPERM : -EINVAL;
    thread_set_nice(t->thread, a.sched_nice);
    return 0;
}

SYSCALL(146, sched_get_priority_max, int policy)
{
    return policy == SCHED_FIFO || policy == SCHED_RR ? 99 : is_time_sharing(policy) ? 0 : -EINVAL;
}

SYSCALL(147, sched_get_priority_min, int policy)
{
    return policy == SCHED_FIFO || policy == SCHED_RR ? 1 : is_time_sharing(policy) ? 0 : -EINVAL;
}

SYSCALL(148, sched_rr_get_interval, int tid, void *user_time)
{
    if (tid < 0)
        return -EINVAL;
    return thread_or_self(tid) ? timespec_out(user_time, 10 * NSEC_PER_MSEC) : -ESRCH;
}

// PRIO_PROCESS names a thread; a group or user is everybody.
static bool priority_names(int which, int who, const struct linux_thread *t)
{
    const struct process *p = t->process;

    if (which == 0) // PRIO_PROCESS
        return who ? t->tid == who : t == current_lt();
    if (which == 1) // PRIO_PGRP
        return who == 0 || who == p->pgid;
    return who == 0 || (uint32_t)who == p->uid;
}

SYSCALL(140, getpriority, int which, int who)
{
    long best = -ESRCH;

    if (which < 0 || which > 2)
        return -EINVAL;
    list_for_each (pos, &current_process()->threads) {
        const struct linux_thread *t = list_entry(pos, struct linux_thread, in_process);

        if (priority_names(which, who, t))
            best = MAX(best, (long)(20 - t->thread->nice));
    }
    return best;
}

SYSCALL(141, setpriority, int which, int who, int nice)
{
    long ret = -ESRCH;

    if (which < 0 || which > 2)
        return -EINVAL;
    list_for_each (pos, &current_process()->threads) {
        struct linux_thread *t = list_entry(pos, struct linux_thread, in_process);

        if (priority_names(which, who, t)) {
            thread_set_nice(t->thread, nice);
            ret = 0;
        }
    }
    return ret;
}

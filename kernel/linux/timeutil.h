// SPDX-License-Identifier: ISC
// Conversions between Linux's time structures in programs' memory and nanoseconds.
#ifndef LITH_LINUX_TIMEUTIL_H
#define LITH_LINUX_TIMEUTIL_H

#include <linux/errno.h>
#include <linux/time.h>
#include <linux/time_types.h>
#include "linux/process.h"

// Seconds beyond this (292 years) are as good as never; sums of two such still fit.
#define TIME_SEC_MAX (INT64_MAX / (int64_t)NSEC_PER_SEC)

// Non-negative times only. -EFAULT, -EINVAL.
static inline int timespec_in(const void *user, uint64_t *ns)
{
    struct __kernel_timespec ts;

    if (copy_in(&ts, user, sizeof(ts)))
        return -EFAULT;
    if (ts.tv_sec < 0 || ts.tv_nsec < 0 || ts.tv_nsec >= (long long)NSEC_PER_SEC)
        return -EINVAL;
    *ns = ts.tv_sec >= TIME_SEC_MAX ? (uint64_t)INT64_MAX
                                    : (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
    return 0;
}

static inline int timespec_out(void *user, uint64_t ns)
{
    struct __kernel_timespec ts = {(int64_t)(ns / NSEC_PER_SEC), (long long)(ns % NSEC_PER_SEC)};

    return copy_out(user, &ts, sizeof(ts));
}

static inline int timeval_in(const struct __kernel_old_timeval *tv, uint64_t *ns)
{
    if (tv->tv_sec < 0 || tv->tv_usec < 0 || tv->tv_usec >= 1000000)
        return -EINVAL;
    *ns = tv->tv_sec >= TIME_SEC_MAX
              ? (uint64_t)INT64_MAX
              : (uint64_t)tv->tv_sec * NSEC_PER_SEC + (uint64_t)tv->tv_usec * NSEC_PER_USEC;
    return 0;
}

static inline struct __kernel_old_timeval timeval_of(uint64_t ns)
{
    return (struct __kernel_old_timeval){(long)(ns / NSEC_PER_SEC),
                                         (long)(ns % NSEC_PER_SEC / NSEC_PER_USEC)};
}

// now + ns on the monotonic clock, saturated.
static inline uint64_t deadline_after(uint64_t ns)
{
    uint64_t now = clock_monotonic_ns();

    return ns >= DEADLINE_NEVER - now ? DEADLINE_NEVER : now + ns;
}

// A point of the wall clock as one of the monotonic clock; what has passed is 0.
static inline uint64_t deadline_of_realtime(uint64_t ns)
{
    int64_t at = (int64_t)ns - clock_realtime_offset_ns();

    return at > 0 ? (uint64_t)at : 0;
}

#endif

// SPDX-License-Identifier: ISC
// What poll, select and epoll share: deadlines from timeouts, and signal masks that hold while a
// call waits. Private to linux/.
#ifndef LITH_LINUX_WAITING_H
#define LITH_LINUX_WAITING_H

#include <asm-generic/errno.h>
#include <linux/time_types.h>
#include "linux/process.h"

// A deadline of the monotonic clock; 0 means do not wait, DEADLINE_NEVER no limit.
static inline uint64_t deadline_after(uint64_t ns)
{
    uint64_t now = clock_monotonic_ns();
    return ns == 0 ? 0 : ns > DEADLINE_NEVER - 1 - now ? DEADLINE_NEVER - 1 : now + ns;
}

static inline uint64_t deadline_ms(int ms) // negative: no limit
{
    return ms < 0 ? DEADLINE_NEVER : deadline_after((uint64_t)ms * NSEC_PER_MSEC);
}

static inline int deadline_seconds(int64_t sec, int64_t nsec, uint64_t *out)
{
    if (sec < 0 || nsec < 0 || nsec >= (int64_t)NSEC_PER_SEC)
        return -EINVAL;
    if ((uint64_t)sec > UINT64_MAX / NSEC_PER_SEC - 1)
        *out = DEADLINE_NEVER - 1;
    else
        *out = deadline_after((uint64_t)sec * NSEC_PER_SEC + (uint64_t)nsec);
    return 0;
}

// user NULL: no limit.
static inline int deadline_timespec(const struct __kernel_timespec *user, uint64_t *out)
{
    struct __kernel_timespec ts;
    *out = DEADLINE_NEVER;
    if (!user)
        return 0;
    if (copy_in(&ts, user, sizeof(ts)))
        return -EFAULT;
    return deadline_seconds(ts.tv_sec, ts.tv_nsec, out);
}

// What is left of the time until a deadline; zero when it has passed.
static inline void deadline_left(uint64_t deadline, struct __kernel_timespec *out)
{
    uint64_t now = clock_monotonic_ns(), left = deadline > now ? deadline - now : 0;
    out->tv_sec = (int64_t)(left / NSEC_PER_SEC);
    out->tv_nsec = (int64_t)(left % NSEC_PER_SEC);
}

// mask NULL: nothing changes.
static inline int temp_mask_set(const void *mask, size_t size)
{
    return mask ? signal_set_temp_mask(mask, size) : 0;
}

// The call is over. When it was interrupted, the signal code puts the mask back behind the
// handler's frame; otherwise it is put back here, and signals that waited behind the temporary one
// get their turn.
static inline void temp_mask_end(const void *mask, bool interrupted)
{
    if (mask && !interrupted)
        signal_restore_mask();
}

#endif

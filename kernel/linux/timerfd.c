// SPDX-License-Identifier: ISC
// timerfd: a timer that is read and polled as a file. Setting the wall clock does not move or
// cancel timers that run on it.
#include <linux/errno.h>
#include <linux/eventpoll.h>
#include <linux/fcntl.h>
#include <linux/timerfd.h>
#include "linux/clocks.h"
#include "linux/timeutil.h"

struct timerfd {
    struct ktimer ktimer;
    int clock;
    uint64_t next;     // monotonic; 0: not armed
    uint64_t interval; // 0: once
    uint64_t expired;  // times, since the last read
    struct wait_queue queue;
};

static void timerfd_fired(struct ktimer *k)
{
    struct timerfd *t = container_of(k, struct timerfd, ktimer);
    uint64_t now = clock_monotonic_ns(), times = 1;

    if (t->interval) {
        times += now > t->next ? (now - t->next) / t->interval : 0;
        t->next += times * t->interval;
        ktimer_arm(&t->ktimer, t->next);
    } else {
        t->next = 0;
    }
    t->expired += times;
    wait_wake_all(&t->queue, EPOLLIN);
}

static ssize_t_k timerfd_read(struct file *f, struct iov_iter *to, uint64_t *pos)
{
    struct timerfd *t = f->priv;
    uint64_t times;
    ssize_t_k n;
    int err;

    (void)pos;
    if (to->left < sizeof(times))
        return -EINVAL;
    if (!t->expired && (f->flags & O_NONBLOCK))
        return -EAGAIN;
    err = wait_event(&t->queue, t->expired, DEADLINE_NEVER, true);
    if (err)
        return err;
    times = t->expired;
    t->expired = 0;
    n = iov_copy_to(to, &times, sizeof(times));
    return n < 0 ? n : (ssize_t_k)sizeof(times);
}

static unsigned timerfd_poll(struct file *f, struct poll_table *pt)
{
    struct timerfd *t = f->priv;

    poll_wait_on(pt, &t->queue);
    return t->expired ? EPOLLIN : 0;
}

static void timerfd_release(struct file *f)
{
    struct timerfd *t = f->priv;

    ktimer_cancel(&t->ktimer);
    kfree(t);
}

static const struct file_ops timerfd_ops = {
    .name = "anon_inode:[timerfd]",
    .read = timerfd_read,
    .poll = timerfd_poll,
    .release = timerfd_release,
};

SYSCALL(283, timerfd_create, int clock, int flags)
{
    struct timerfd *t;
    struct file *f;

    if (flags & ~(TFD_CLOEXEC | TFD_NONBLOCK))
        return -EINVAL;
    if (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC && clock != CLOCK_BOOTTIME &&
        clock != CLOCK_REALTIME_ALARM && clock != CLOCK_BOOTTIME_ALARM)
        return -EINVAL;
    t = kzalloc(sizeof(*t));
    if (!t)
        return -ENOMEM;
    ktimer_init(&t->ktimer, timerfd_fired);
    t->clock = clock;
    wait_queue_init(&t->queue);
    f = file_create(&timerfd_ops, t, O_RDWR | (flags & TFD_NONBLOCK));
    if (!f) {
        kfree(t);
        return -ENOMEM;
    }
    return fd_install_current(f, flags & TFD_CLOEXEC);
}

static int put_state(struct __kernel_itimerspec *user, uint64_t next, uint64_t interval)
{
    uint64_t now = clock_monotonic_ns(), left = !next ? 0 : next > now ? next - now : 1;

    return timespec_out(&user->it_value, left) || timespec_out(&user->it_interval, interval)
               ? -EFAULT
               : 0;
}

static struct file *timerfd_get(int fd, int *err)
{
    struct file *f = fget(fd);

    if (f && f->ops == &timerfd_ops)
        return f;
    *err = f ? -EINVAL : -EBADF;
    if (f)
        file_unref(f);
    return NULL;
}

static long timerfd_set(struct timerfd *t, int flags, uint64_t value, uint64_t interval)
{
    uint64_t next = 0;

    if (value && clock_deadline(t->clock, value, flags & TFD_TIMER_ABSTIME, &next))
        return -EINVAL;
    ktimer_cancel(&t->ktimer);
    t->next = value ? MAX(next, (uint64_t)1) : 0;
    t->interval = interval;
    t->expired = 0;
    if (t->next)
        ktimer_arm(&t->ktimer, t->next);
    return 0;
}

SYSCALL(286, timerfd_settime, int fd, int flags, const struct __kernel_itimerspec *user_new,
        struct __kernel_itimerspec *user_old)
{
    uint64_t value, interval, old_next, old_interval;
    struct timerfd *t;
    struct file *f;
    int err;

    if (flags & ~(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET))
        return -EINVAL;
    err = timespec_in(&user_new->it_value, &value);
    if (!err)
        err = timespec_in(&user_new->it_interval, &interval);
    if (err)
        return err;
    f = timerfd_get(fd, &err);
    if (!f)
        return err;
    t = f->priv;
    old_next = t->next;
    old_interval = t->interval;
    err = (int)timerfd_set(t, flags, value, interval);
    if (!err && user_old)
        err = put_state(user_old, old_next, old_interval);
    file_unref(f);
    return err;
}

SYSCALL(287, timerfd_gettime, int fd, struct __kernel_itimerspec *user)
{
    const struct timerfd *t;
    struct file *f;
    int err;

    f = timerfd_get(fd, &err);
    if (!f)
        return err;
    t = f->priv;
    err = put_state(user, t->next, t->interval);
    file_unref(f);
    return err;
}

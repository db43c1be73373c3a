// SPDX-License-Identifier: ISC
// eventfd(2): a 64-bit counter that threads add to and take from.
#include <linux/eventpoll.h>
#include "linux/fileio.h"

#define EFD_SEMAPHORE 1 // <sys/eventfd.h>; no UAPI header of this version has it
#define EFD_CLOEXEC   O_CLOEXEC
#define EFD_NONBLOCK  O_NONBLOCK

#define EVENTFD_MAX (UINT64_MAX - 1) // the counter's largest value

struct eventfd {
    uint64_t count;
    bool semaphore;
    struct wait_queue queue;
};

static ssize_t_k eventfd_read(struct file *f, struct iov_iter *to, uint64_t *pos)
{
    struct eventfd *e = f->priv;
    (void)pos;
    if (to->left < sizeof(uint64_t))
        return -EINVAL;
    while (!e->count) {
        if (f->flags & O_NONBLOCK)
            return -EAGAIN;
        int err = wait_event(&e->queue, e->count != 0, DEADLINE_NEVER, true);
        if (err)
            return err;
    }
    uint64_t value = e->semaphore ? 1 : e->count;
    e->count -= value;
    wait_wake(&e->queue, EPOLLOUT, 1);
    ssize_t_k n = iov_copy_to(to, &value, sizeof(value));
    return n < 0 ? n : (ssize_t_k)sizeof(value);
}

static ssize_t_k eventfd_write(struct file *f, struct iov_iter *from, uint64_t *pos)
{
    struct eventfd *e = f->priv;
    uint64_t value;
    (void)pos;
    if (from->left < sizeof(value))
        return -EINVAL;
    ssize_t_k n = iov_copy_from(from, &value, sizeof(value));
    if (n != (ssize_t_k)sizeof(value))
        return n < 0 ? n : -EFAULT;
    if (value == UINT64_MAX)
        return -EINVAL;
    while (EVENTFD_MAX - e->count < value) {
        if (f->flags & O_NONBLOCK)
            return -EAGAIN;
        int err = wait_event(&e->queue, EVENTFD_MAX - e->count >= value, DEADLINE_NEVER, true);
        if (err)
            return err;
    }
    e->count += value;
    wait_wake(&e->queue, EPOLLIN, 1);
    return sizeof(value);
}

static unsigned eventfd_poll(struct file *f, struct poll_table *pt)
{
    struct eventfd *e = f->priv;
    poll_wait_on(pt, &e->queue);
    return (e->count ? EPOLLIN : 0u) | (e->count < EVENTFD_MAX ? EPOLLOUT : 0u) |
           (e->count == UINT64_MAX ? EPOLLERR : 0u);
}

static void eventfd_release(struct file *f)
{
    kfree(f->priv);
}

static const struct file_ops eventfd_ops = {
    .name = "anon_inode:[eventfd]",
    .read = eventfd_read,
    .write = eventfd_write,
    .poll = eventfd_poll,
    .release = eventfd_release,
};

static long do_eventfd(unsigned count, int flags)
{
    if (flags & ~(EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE))
        return -EINVAL;
    struct eventfd *e = kzalloc(sizeof(*e));
    if (!e)
        return -ENOMEM;
    e->count = count;
    e->semaphore = flags & EFD_SEMAPHORE;
    wait_queue_init(&e->queue);
    struct file *f = file_create(&eventfd_ops, e, O_RDWR | (flags & EFD_NONBLOCK));
    if (!f) {
        kfree(e);
        return -ENOMEM;
    }
    return fd_install_current(f, flags & EFD_CLOEXEC);
}

SYSCALL(284, eventfd, unsigned count)
{
    return do_eventfd(count, 0);
}

SYSCALL(290, eventfd2, unsigned count, int flags)
{
    return do_eventfd(count, flags);
}

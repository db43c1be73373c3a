// SPDX-License-Identifier: ISC
// signalfd(2): reading takes pending signals of a mask from the reading thread and its process.
#include <linux/eventpoll.h>
#include <linux/signal.h>
#include <linux/signalfd.h>
#include "linux/fileio.h"

struct signalfd {
    uint64_t mask;
};

static bool has_signal(const struct signalfd *s)
{
    struct linux_thread *t = current_lt();
    return ((t->pending | t->process->pending) & s->mask) != 0;
}

static void fill_info(struct signalfd_siginfo *out, const siginfo_t *in)
{
    *out = (struct signalfd_siginfo){
        .ssi_signo = (uint32_t)in->si_signo,
        .ssi_errno = in->si_errno,
        .ssi_code = in->si_code,
        .ssi_pid = (uint32_t)in->si_pid,
        .ssi_uid = in->si_uid,
    };
    switch (in->si_signo) {
    case SIGCHLD:
        out->ssi_status = in->si_status;
        out->ssi_utime = (uint64_t)in->si_utime;
        out->ssi_stime = (uint64_t)in->si_stime;
        break;
    case SIGSEGV:
    case SIGBUS:
    case SIGILL:
    case SIGFPE:
    case SIGTRAP:
        out->ssi_addr = (uint64_t)(uintptr_t)in->si_addr;
        break;
    default:
        out->ssi_ptr = (uint64_t)(uintptr_t)in->si_ptr;
        out->ssi_int = in->si_int;
        if (in->si_code == SI_TIMER) {
            out->ssi_tid = (uint32_t)in->si_tid;
            out->ssi_overrun = (uint32_t)in->si_overrun;
        }
        break;
    }
}

static ssize_t_k signalfd_read(struct file *f, struct iov_iter *to, uint64_t *pos)
{
    struct signalfd *s = f->priv;
    ssize_t_k done = 0;
    (void)pos;
    if (to->left < sizeof(struct signalfd_siginfo))
        return -EINVAL;
    while (to->left >= sizeof(struct signalfd_siginfo)) {
        struct signalfd_siginfo out;
        siginfo_t info;
        if (!signal_dequeue(s->mask, &info)) {
            if (done)
                break;
            if (f->flags & O_NONBLOCK)
                return -EAGAIN;
            int err =
                wait_event(&current_process()->signal_queue, has_signal(s), DEADLINE_NEVER, true);
            if (err)
                return err;
            continue;
        }
        fill_info(&out, &info);
        ssize_t_k n = iov_copy_to(to, &out, sizeof(out));
        if (n != (ssize_t_k)sizeof(out))
            return done ? done : -EFAULT;
        done += n;
    }
    return done;
}

static unsigned signalfd_poll(struct file *f, struct poll_table *pt)
{
    poll_wait_on(pt, &current_process()->signal_queue);
    return has_signal(f->priv) ? EPOLLIN : 0;
}

static void signalfd_release(struct file *f)
{
    kfree(f->priv);
}

static const struct file_ops signalfd_ops = {
    .name = "anon_inode:[signalfd]",
    .read = signalfd_read,
    .poll = signalfd_poll,
    .release = signalfd_release,
};

static long do_signalfd(int fd, const uint64_t *user_mask, size_t size, int flags)
{
    uint64_t mask;
    if ((flags & ~(SFD_CLOEXEC | SFD_NONBLOCK)) || size != sizeof(mask))
        return -EINVAL;
    if (get_user(&mask, user_mask))
        return -EFAULT;
    mask &= ~(1ull << (SIGKILL - 1) | 1ull << (SIGSTOP - 1));
    if (fd != -1) { // a new mask for an old descriptor
        struct file *f = fget(fd);
        long r = !f ? -EBADF : f->ops != &signalfd_ops ? -EINVAL : fd;
        if (r >= 0) {
            ((struct signalfd *)f->priv)->mask = mask;
            wait_wake_all(&current_process()->signal_queue, EPOLLIN);
        }
        if (f)
            file_unref(f);
        return r;
    }
    struct signalfd *s = kzalloc(sizeof(*s));
    if (!s)
        return -ENOMEM;
    s->mask = mask;
    struct file *f = file_create(&signalfd_ops, s, O_RDWR | (flags & SFD_NONBLOCK));
    if (!f) {
        kfree(s);
        return -ENOMEM;
    }
    return fd_install_current(f, flags & SFD_CLOEXEC);
}

SYSCALL(282, signalfd, int fd, const uint64_t *mask, size_t size)
{
    return do_signalfd(fd, mask, size, 0);
}

SYSCALL(289, signalfd4, int fd, const uint64_t *mask, size_t size, int flags)
{
    return do_signalfd(fd, mask, size, flags);
}

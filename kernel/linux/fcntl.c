// SPDX-License-Identifier: ISC
// fcntl, flock and ioctl: descriptor flags, file flags, locks, owners, and device requests.
#include <asm/ioctls.h>
#include <linux/fs.h>
#include <linux/stat.h>
#include "linux/fileio.h"

#define SETFL_MASK (O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME | FASYNC)

// Open-file-description locks are record locks whose owner is the open file.
static bool ofd_locks_used;
static void (*next_closed_hook)(struct file *f);

static void drop_ofd_locks(struct file *f)
{
    struct flock fl = {.l_type = F_UNLCK};
    vfs_record_lock(f, (void *)f, F_SETLK, &fl, -1);
    if (next_closed_hook)
        next_closed_hook(f);
}

static long record_lock(struct file *f, int cmd, struct flock *user)
{
    struct process *p = current_process();
    struct fd_table *owner = p->fds;
    struct flock fl;
    int pid = p->pid;
    if (copy_in(&fl, user, sizeof(fl)))
        return -EFAULT;
    if (cmd == F_OFD_GETLK || cmd == F_OFD_SETLK || cmd == F_OFD_SETLKW) {
        if (fl.l_pid)
            return -EINVAL;
        if (!ofd_locks_used) {
            ofd_locks_used = true;
            next_closed_hook = file_closed_hook;
            file_closed_hook = drop_ofd_locks;
        }
        owner = (void *)f;
        pid = -1;
        cmd = cmd == F_OFD_GETLK ? F_GETLK : cmd == F_OFD_SETLK ? F_SETLK : F_SETLKW;
    }
    int err = vfs_record_lock(f, owner, cmd, &fl, pid);
    if (!err && cmd == F_GETLK)
        err = copy_out(user, &fl, sizeof(fl));
    return io_result(err);
}

static long set_file_flags(struct file *f, int arg)
{
    int flags = (f->flags & ~SETFL_MASK) | (arg & SETFL_MASK);
    return file_set_flags(f, flags);
}

static long do_fcntl(int fd, struct file *f, int cmd, unsigned long arg)
{
    struct fd_table *fds = current_process()->fds;
    int r;
    switch (cmd) {
    case F_DUPFD:
    case F_DUPFD_CLOEXEC:
        if (arg >= fd_limit())
            return -EINVAL;
        r = fd_install(fds, file_ref(f), (int)arg, cmd == F_DUPFD_CLOEXEC, fd_limit());
        if (r < 0)
            file_unref(f);
        return r;
    case F_GETFD:
        r = fd_get_cloexec(fds, fd);
        return r < 0 ? r : (r ? FD_CLOEXEC : 0);
    case F_SETFD:
        return fd_set_cloexec(fds, fd, arg & FD_CLOEXEC);
    case F_GETFL:
        return f->flags | O_LARGEFILE;
    case F_SETFL:
        return set_file_flags(f, (int)arg);
    case F_GETLK:
    case F_SETLK:
    case F_SETLKW:
    case F_OFD_GETLK:
    case F_OFD_SETLK:
    case F_OFD_SETLKW:
        return record_lock(f, cmd, (struct flock *)arg);
    case F_GETOWN:
        return f->owner;
    case F_SETOWN: // remembered and reported; no file here sends SIGIO
        f->owner = (int)arg;
        return 0;
    case F_GETPIPE_SZ:
        return pipe_get_size(f);
    case F_SETPIPE_SZ:
        return pipe_set_size(f, arg);
    default:
        return -EINVAL;
    }
}

SYSCALL(72, fcntl, int fd, int cmd, unsigned long arg)
{
    struct file *f = fget(fd);
    if (!f)
        return -EBADF;
    long r = do_fcntl(fd, f, cmd, arg);
    file_unref(f);
    return r;
}

SYSCALL(73, flock, int fd, int op)
{
    struct file *f = fget(fd);
    if (!f)
        return -EBADF;
    int err = vfs_flock(f, op);
    file_unref(f);
    return io_result(err);
}

// --- ioctl ---

static long set_nonblock(struct file *f, const int *user)
{
    int on;
    if (get_user(&on, user))
        return -EFAULT;
    return file_set_flags(f, on ? f->flags | O_NONBLOCK : f->flags & ~O_NONBLOCK);
}

SYSCALL(16, ioctl, int fd, unsigned cmd, unsigned long arg)
{
    struct file *f = fget(fd);
    long r;
    if (!f)
        return -EBADF;
    switch (cmd) {
    case FIOCLEX:
    case FIONCLEX:
        r = fd_set_cloexec(current_process()->fds, fd, cmd == FIOCLEX);
        break;
    case FIONBIO:
        r = set_nonblock(f, (const int *)arg);
        break;
    default:
        r = f->ops->ioctl ? f->ops->ioctl(f, cmd, arg) : -ENOTTY;
        break;
    }
    file_unref(f);
    return r;
}

// SPDX-License-Identifier: ISC
// Changing what files say about themselves: mode, owner, times; extended attributes, which no file
// system here stores.
#include <linux/stat.h>
#include <linux/time_types.h>
#include "linux/fileio.h"

#define UTIME_NOW_  0x3fffffff // utimensat(2); the C library's names clash with no UAPI header
#define UTIME_OMIT_ 0x3ffffffe

// --- mode and owner ---

static long chmod_at(int dfd, const char *path, unsigned mode, int flags)
{
    struct path_at pa;
    int err = path_at_get(&pa, dfd, path, flags);
    if (err)
        return err;
    err = vfs_chmod(current_process()->fs, pa.dir, pa.path, mode & 07777, flags);
    path_at_put(&pa);
    return err;
}

SYSCALL(90, chmod, const char *path, unsigned mode)
{
    return chmod_at(AT_FDCWD, path, mode, 0);
}

SYSCALL(268, fchmodat, int dfd, const char *path, unsigned mode)
{
    return chmod_at(dfd, path, mode, 0);
}

SYSCALL(91, fchmod, int fd, unsigned mode)
{
    struct file *f = fget(fd);
    if (!f)
        return -EBADF;
    int err = f->inode ? vfs_chmod(current_process()->fs, f, "", mode & 07777, AT_EMPTY_PATH) : 0;
    file_unref(f);
    return err;
}

static long chown_at(int dfd, const char *path, uint32_t uid, uint32_t gid, int flags)
{
    struct path_at pa;
    if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
        return -EINVAL;
    int err = path_at_get(&pa, dfd, path, flags);
    if (err)
        return err;
    err = vfs_chown(current_process()->fs, pa.dir, pa.path, uid, gid, flags);
    path_at_put(&pa);
    return err;
}

SYSCALL(92, chown, const char *path, uint32_t uid, uint32_t gid)
{
    return chown_at(AT_FDCWD, path, uid, gid, 0);
}

SYSCALL(94, lchown, const char *path, uint32_t uid, uint32_t gid)
{
    return chown_at(AT_FDCWD, path, uid, gid, AT_SYMLINK_NOFOLLOW);
}

SYSCALL(260, fchownat, int dfd, const char *path, uint32_t uid, uint32_t gid, int flags)
{
    return chown_at(dfd, path, uid, gid, flags);
}

SYSCALL(93, fchown, int fd, uint32_t uid, uint32_t gid)
{
    struct file *f = fget(fd);
    if (!f)
        return -EBADF;
    int err = f->inode ? vfs_chown(current_process()->fs, f, "", uid, gid, AT_EMPTY_PATH) : 0;
    file_unref(f);
    return err;
}

SYSCALL(95, umask, unsigned mask)
{
    struct process *p = current_process();
    unsigned old = p->umask;
    p->umask = mask & 0777;
    return old;
}

// --- times: in ns since 1970, UINT64_MAX to leave one ---

static long utimes_at(int dfd, const char *path, uint64_t atime, uint64_t mtime, int flags)
{
    struct path_at pa;
    if (!path) { // futimens
        struct file *f = fget(dfd);
        if (!f)
            return -EBADF;
        int ret = vfs_utimes(current_process()->fs, f, "", atime, mtime, AT_EMPTY_PATH);
        file_unref(f);
        return ret;
    }
    int err = path_at_get(&pa, dfd, path, flags);
    if (err)
        return err;
    err = vfs_utimes(current_process()->fs, pa.dir, pa.path, atime, mtime, flags);
    path_at_put(&pa);
    return err;
}

static int time_in(const struct __kernel_timespec *ts, uint64_t *out)
{
    if (ts->tv_nsec == UTIME_NOW_) {
        *out = clock_realtime_ns();
    } else if (ts->tv_nsec == UTIME_OMIT_) {
        *out = UINT64_MAX;
    } else {
        if (ts->tv_nsec < 0 || ts->tv_nsec > 999999999)
            return -EINVAL;
        int64_t sec = ts->tv_sec < 0 ? 0 : ts->tv_sec; // inodes begin in 1970
        uint64_t max = UINT64_MAX / NSEC_PER_SEC - 2;
        *out = ((uint64_t)sec > max ? max : (uint64_t)sec) * NSEC_PER_SEC + (uint64_t)ts->tv_nsec;
    }
    return 0;
}

SYSCALL(280, utimensat, int dfd, const char *path, const struct __kernel_timespec *user, int flags)
{
    uint64_t times[2];
    times[0] = times[1] = clock_realtime_ns();
    if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
        return -EINVAL;
    if (user) {
        struct __kernel_timespec ts[2];
        if (copy_in(ts, user, sizeof(ts)))
            return -EFAULT;
        int err = time_in(&ts[0], &times[0]);
        if (!err)
            err = time_in(&ts[1], &times[1]);
        if (err)
            return err;
        if (times[0] == UINT64_MAX && times[1] == UINT64_MAX)
            return 0;
    }
    return utimes_at(dfd, path, times[0], times[1], flags);
}

static long do_utimes(int dfd, const char *path, const struct __kernel_old_timeval *user)
{
    uint64_t times[2];
    times[0] = times[1] = clock_realtime_ns();
    if (user) {
        struct __kernel_old_timeval tv[2];
        if (copy_in(tv, user, sizeof(tv)))
            return -EFAULT;
        for (unsigned i = 0; i < 2; i++) {
            struct __kernel_timespec ts = {.tv_sec = tv[i].tv_sec, .tv_nsec = tv[i].tv_usec * 1000};
            if (tv[i].tv_usec < 0 || tv[i].tv_usec >= 1000000)
                return -EINVAL;
            time_in(&ts, &times[i]);
        }
    }
    return utimes_at(dfd, path, times[0], times[1], 0);
}

SYSCALL(235, utimes, const char *path, const struct __kernel_old_timeval *tv)
{
    return path ? do_utimes(AT_FDCWD, path, tv) : -EFAULT;
}

SYSCALL(261, futimesat, int dfd, const char *path, const struct __kernel_old_timeval *tv)
{
    return do_utimes(dfd, path, tv);
}

SYSCALL(132, utime, const char *path, const int64_t *user)
{
    int64_t sec[2];
    if (!path)
        return -EFAULT;
    if (!user)
        return do_utimes(AT_FDCWD, path, NULL);
    if (copy_in(sec, user, sizeof(sec)))
        return -EFAULT;
    uint64_t times[2];
    for (unsigned i = 0; i < 2; i++)
        time_in(&(struct __kernel_timespec){.tv_sec = sec[i]}, &times[i]);
    return utimes_at(AT_FDCWD, path, times[0], times[1], 0);
}

// --- extended attributes: none is ever there, none can be stored ---

static long check_path(const char *user_path, int at_flags)
{
    struct stat st;
    struct path_at pa;
    int err = path_at_get(&pa, AT_FDCWD, user_path, 0);
    if (err)
        return err;
    err = vfs_stat(current_process()->fs, NULL, pa.path, at_flags, &st);
    path_at_put(&pa);
    return err;
}

static long check_fd(int fd)
{
    struct file *f = fget(fd);
    if (!f)
        return -EBADF;
    file_unref(f);
    return 0;
}

static long or_else(long err, long result)
{
    return err ? err : result;
}

SYSCALL(188, setxattr, const char *path)
{
    return or_else(check_path(path, 0), -EOPNOTSUPP);
}

SYSCALL(189, lsetxattr, const char *path)
{
    return or_else(check_path(path, AT_SYMLINK_NOFOLLOW), -EOPNOTSUPP);
}

SYSCALL(190, fsetxattr, int fd)
{
    return or_else(check_fd(fd), -EOPNOTSUPP);
}

SYSCALL(191, getxattr, const char *path)
{
    return or_else(check_path(path, 0), -ENODATA);
}

SYSCALL(192, lgetxattr, const char *path)
{
    return or_else(check_path(path, AT_SYMLINK_NOFOLLOW), -ENODATA);
}

SYSCALL(193, fgetxattr, int fd)
{
    return or_else(check_fd(fd), -ENODATA);
}

SYSCALL(194, listxattr, const char *path)
{
    return check_path(path, 0);
}

SYSCALL(195, llistxattr, const char *path)
{
    return check_path(path, AT_SYMLINK_NOFOLLOW);
}

SYSCALL(196, flistxattr, int fd)
{
    return check_fd(fd);
}

SYSCALL(197, removexattr, const char *path)
{
    return or_else(check_path(path, 0), -ENODATA);
}

SYSCALL(198, lremovexattr, const char *path)
{
    return or_else(check_path(path, AT_SYMLINK_NOFOLLOW), -ENODATA);
}

SYSCALL(199, fremovexattr, int fd)
{
    return or_else(check_fd(fd), -ENODATA);
}

// SPDX-License-Identifier: ISC
// Asking about files: stat and its relatives, access, links, file systems. stat(2), statx(2),
// access(2), readlink(2), statfs(2).
#include <linux/stat.h>
#include "linux/fileio.h"

static long stat_fd(int fd, struct stat *st)
{
    struct file *f = fget(fd);
    if (!f)
        return -EBADF;
    int err = vfs_fstat(f, st);
    file_unref(f);
    return err;
}

static long stat_at(int dfd, const char *user_path, int flags, struct stat *st)
{
    struct path_at pa;
    if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT | AT_STATX_SYNC_TYPE))
        return -EINVAL;
    flags &= AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH;
    if ((flags & AT_EMPTY_PATH) && dfd >= 0) { // glibc's fstat
        char first;
        if (get_user(&first, user_path))
            return -EFAULT;
        if (!first)
            return stat_fd(dfd, st);
    }
    int err = path_at_get(&pa, dfd, user_path, flags);
    if (err)
        return err;
    err = vfs_stat(current_process()->fs, pa.dir, pa.path, flags, st);
    path_at_put(&pa);
    return err;
}

static long put_stat(long err, struct stat *user, const struct stat *st)
{
    return err ? err : put_user(user, st);
}

SYSCALL(4, stat, const char *path, struct stat *user)
{
    struct stat st;
    return put_stat(stat_at(AT_FDCWD, path, 0, &st), user, &st);
}

SYSCALL(5, fstat, int fd, struct stat *user)
{
    struct stat st;
    return put_stat(stat_fd(fd, &st), user, &st);
}

SYSCALL(6, lstat, const char *path, struct stat *user)
{
    struct stat st;
    return put_stat(stat_at(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, &st), user, &st);
}

SYSCALL(262, newfstatat, int dfd, const char *path, struct stat *user, int flags)
{
    struct stat st;
    return put_stat(stat_at(dfd, path, flags, &st), user, &st);
}

static uint32_t dev_major(uint64_t dev)
{
    return (uint32_t)(((dev >> 8) & 0xfff) | ((dev >> 32) & ~0xfffull));
}

static uint32_t dev_minor(uint64_t dev)
{
    return (uint32_t)((dev & 0xff) | ((dev >> 12) & ~0xffull));
}

static struct statx_timestamp statx_time(uint64_t sec, uint64_t nsec)
{
    return (struct statx_timestamp){.tv_sec = (int64_t)sec, .tv_nsec = (uint32_t)nsec};
}

SYSCALL(332, statx, int dfd, const char *path, int flags, unsigned mask, struct statx *user)
{
    struct stat st;
    if ((flags & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE || (mask & STATX__RESERVED))
        return -EINVAL;
    long err = stat_at(dfd, path, flags, &st);
    if (err)
        return err;
    struct statx x = {
        .stx_mask = STATX_BASIC_STATS,
        .stx_blksize = (uint32_t)st.st_blksize,
        .stx_nlink = (uint32_t)st.st_nlink,
        .stx_uid = st.st_uid,
        .stx_gid = st.st_gid,
        .stx_mode = (uint16_t)st.st_mode,
        .stx_ino = st.st_ino,
        .stx_size = (uint64_t)st.st_size,
        .stx_blocks = (uint64_t)st.st_blocks,
        .stx_atime = statx_time(st.st_atime, st.st_atime_nsec),
        .stx_ctime = statx_time(st.st_ctime, st.st_ctime_nsec),
        .stx_mtime = statx_time(st.st_mtime, st.st_mtime_nsec),
        .stx_rdev_major = dev_major(st.st_rdev),
        .stx_rdev_minor = dev_minor(st.st_rdev),
        .stx_dev_major = dev_major(st.st_dev),
        .stx_dev_minor = dev_minor(st.st_dev),
    };
    return put_user(user, &x);
}

// --- access, links ---

static long access_at(int dfd, const char *path, int mode, int flags)
{
    struct path_at pa;
    if ((mode & ~7) || (flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)))
        return -EINVAL;
    int err = path_at_get(&pa, dfd, path, flags);
    if (err)
        return err;
    err = vfs_access(current_process()->fs, pa.dir, pa.path, mode, flags & ~AT_EACCESS);
    path_at_put(&pa);
    return err;
}

SYSCALL(21, access, const char *path, int mode)
{
    return access_at(AT_FDCWD, path, mode, 0);
}

SYSCALL(269, faccessat, int dfd, const char *path, int mode)
{
    return access_at(dfd, path, mode, 0);
}

SYSCALL(439, faccessat2, int dfd, const char *path, int mode, int flags)
{
    return access_at(dfd, path, mode, flags);
}

static long readlink_at(int dfd, const char *path, char *user, int size)
{
    struct path_at pa;
    if (size <= 0)
        return -EINVAL;
    int err = path_at_get(&pa, dfd, path, AT_EMPTY_PATH);
    if (err)
        return err;
    char *buf = kmalloc(PATH_MAX);
    ssize_t_k n = -ENOMEM;
    if (buf) {
        n = vfs_readlink(current_process()->fs, pa.dir, pa.path, buf, PATH_MAX);
        if (n > size)
            n = size;
        if (n > 0 && copy_out(user, buf, (size_t)n))
            n = -EFAULT;
        kfree(buf);
    }
    path_at_put(&pa);
    return n;
}

SYSCALL(89, readlink, const char *path, char *buf, int size)
{
    return readlink_at(AT_FDCWD, path, buf, size);
}

SYSCALL(267, readlinkat, int dfd, const char *path, char *buf, int size)
{
    return readlink_at(dfd, path, buf, size);
}

// --- file systems ---

SYSCALL(137, statfs, const char *user_path, struct statfs *user)
{
    struct statfs st;
    int err;
    char *path = path_in(user_path, &err);
    if (!path)
        return err;
    err = path[0] ? vfs_statfs(current_process()->fs, NULL, path, &st) : -ENOENT;
    kfree(path);
    return err ? err : put_user(user, &st);
}

SYSCALL(138, fstatfs, int fd, struct statfs *user)
{
    struct statfs st;
    struct file *f = fget(fd);
    if (!f)
        return -EBADF;
    int err = vfs_statfs(current_process()->fs, f, NULL, &st);
    file_unref(f);
    return err ? err : put_user(user, &st);
}

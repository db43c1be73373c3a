// SPDX-License-Identifier: ISC
// Opening, closing and duplicating descriptors, pipes, and moving data: read, write and their
// vector and positioned forms. Semantics: the man pages of section 2.
#include <linux/close_range.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <linux/stat.h>
#include "linux/fileio.h"

int fd_install_current(struct file *f, bool cloexec)
{
    int fd = fd_install(current_process()->fds, f, 0, cloexec, fd_limit());
    if (fd < 0)
        file_unref(f);
    return fd;
}

// --- open and close ---

static long do_open(int dfd, const char *user_path, int flags, unsigned mode)
{
    struct process *p = current_process();
    struct path_at pa;
    struct file *f;
    int err = path_at_get(&pa, dfd, user_path, 0);
    if (err)
        return err;
    err = vfs_open(p->fs, pa.dir, pa.path, flags & ~O_CLOEXEC, mode & 07777 & ~p->umask, &f);
    path_at_put(&pa);
    return err ? io_result(err) : fd_install_current(f, flags & O_CLOEXEC);
}

SYSCALL(2, open, const char *path, int flags, unsigned mode)
{
    return do_open(AT_FDCWD, path, flags, mode);
}

SYSCALL(257, openat, int dfd, const char *path, int flags, unsigned mode)
{
    return do_open(dfd, path, flags, mode);
}

SYSCALL(85, creat, const char *path, unsigned mode)
{
    return do_open(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

SYSCALL(437, openat2, int dfd, const char *path, const struct open_how *user_how, size_t size)
{
    struct open_how how;
    if (size < sizeof(how))
        return -EINVAL;
    if (size > sizeof(how))
        return -E2BIG;
    if (copy_in(&how, user_how, sizeof(how)))
        return -EFAULT;
    if (how.flags > UINT32_MAX || (how.mode & ~07777ull))
        return -EINVAL;
    if (how.resolve) // restricted resolution is not there: callers fall back to openat
        return -ENOSYS;
    return do_open(dfd, path, (int)how.flags, (unsigned)how.mode);
}

SYSCALL(3, close, int fd)
{
    return fd_close(current_process()->fds, fd);
}

SYSCALL(436, close_range, unsigned first, unsigned last, unsigned flags)
{
    struct fd_table *fds = current_process()->fds;
    if (first > last || (flags & ~(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC)))
        return -EINVAL;
    if (first > INT32_MAX)
        return 0;
    for (int fd = fd_next(fds, (int)first); fd >= 0 && (unsigned)fd <= last;
         fd = fd_next(fds, fd + 1)) {
        if (flags & CLOSE_RANGE_CLOEXEC)
            fd_set_cloexec(fds, fd, true);
        else
            fd_close(fds, fd);
    }
    return 0;
}

// --- duplicates, pipes ---

SYSCALL(32, dup, int fd)
{
    struct file *f = fget(fd);
    return f ? fd_install_current(f, false) : -EBADF;
}

static long do_dup3(int old_fd, int new_fd, int flags)
{
    struct file *f = fget(old_fd);
    if (!f)
        return -EBADF;
    if (new_fd < 0 || (unsigned)new_fd >= fd_limit()) {
        file_unref(f);
        return -EBADF;
    }
    int fd = fd_replace(current_process()->fds, new_fd, f, flags & O_CLOEXEC, fd_limit());
    if (fd < 0)
        file_unref(f);
    return fd;
}

SYSCALL(33, dup2, int old_fd, int new_fd)
{
    if (old_fd == new_fd) {
        struct file *f = fget(old_fd);
        if (!f)
            return -EBADF;
        file_unref(f);
        return new_fd;
    }
    return do_dup3(old_fd, new_fd, 0);
}

SYSCALL(292, dup3, int old_fd, int new_fd, int flags)
{
    if (old_fd == new_fd || (flags & ~O_CLOEXEC))
        return -EINVAL;
    return do_dup3(old_fd, new_fd, flags);
}

static long do_pipe(int *user_fds, int flags)
{
    struct file *r, *w;
    int fds[2];
    if (flags & ~(O_CLOEXEC | O_NONBLOCK | O_DIRECT))
        return -EINVAL;
    signal_use_pipes();
    int err = pipe_create(&r, &w, flags & ~O_CLOEXEC);
    if (err)
        return err;
    fds[0] = fd_install_current(r, flags & O_CLOEXEC);
    if (fds[0] < 0) {
        file_unref(w);
        return fds[0];
    }
    fds[1] = fd_install_current(w, flags & O_CLOEXEC);
    err = fds[1] < 0 ? fds[1] : copy_out(user_fds, fds, sizeof(fds));
    if (err) {
        fd_close(current_process()->fds, fds[0]);
        if (fds[1] >= 0)
            fd_close(current_process()->fds, fds[1]);
    }
    return err;
}

SYSCALL(22, pipe, int *fds)
{
    return do_pipe(fds, 0);
}

SYSCALL(293, pipe2, int *fds, int flags)
{
    return do_pipe(fds, flags);
}

SYSCALL(319, memfd_create, const char *user_name, unsigned flags)
{
    char name[250];
    struct file *f;
    ssize_t_k n = strncpy_in(name, user_name, sizeof(name));
    if (n < 0)
        return n == -ENAMETOOLONG ? -EINVAL : n;
    if (flags & ~3u) // MFD_CLOEXEC, MFD_ALLOW_SEALING; huge pages are refused
        return -EINVAL;
    int err = vfs_memfd(name, 0, &f);
    return err ? err : fd_install_current(f, flags & 1);
}

// --- read and write ---

static long do_read(struct file *f, struct iov_iter *it, uint64_t *pos)
{
    return io_result(file_read(f, it, pos));
}

SYSCALL(0, read, int fd, char *buf, size_t n)
{
    struct iov_iter it;
    struct file *f = fget(fd);
    if (!f)
        return -EBADF;
    long r = iov_import_one(&it, buf, n < IO_COUNT_MAX ? n : IO_COUNT_MAX);
    if (!r)
        r = do_read(f, &it, &f->pos);
    file_unref(f);
    return r;
}

SYSCALL(1, write, int fd, char *buf, size_t n)
{
    struct iov_iter it;
    struct file *f = fget(fd);
    if (!f)
        return -EBADF;
    long r = iov_import_one(&it, buf, n < IO_COUNT_MAX ? n : IO_COUNT_MAX);
    if (!r)
        r = io_write_result(file_write(f, &it, &f->pos));
    file_unref(f);
    return r;
}

// A file that has positions, for the p-calls.
static struct file *fget_seekable(int fd, int64_t off, long *err)
{
    struct file *f = off < 0 ? NULL : fget(fd);
    *err = off < 0 ? -EINVAL : -EBADF;
    if (f && !f->ops->seek) {
        file_unref(f);
        *err = -ESPIPE;
        return NULL;
    }
    return f;
}

SYSCALL(17, pread64, int fd, char *buf, size_t n, int64_t off)
{
    struct iov_iter it;
    uint64_t pos = (uint64_t)off;
    long r;
    struct file *f = fget_seekable(fd, off, &r);
    if (!f)
        return r;
    r = iov_import_one(&it, buf, n < IO_COUNT_MAX ? n : IO_COUNT_MAX);
    if (!r)
        r = do_read(f, &it, &pos);
    file_unref(f);
    return r;
}

SYSCALL(18, pwrite64, int fd, char *buf, size_t n, int64_t off)
{
    struct iov_iter it;
    uint64_t pos = (uint64_t)off;
    long r;
    struct file *f = fget_seekable(fd, off, &r);
    if (!f)
        return r;
    r = iov_import_one(&it, buf, n < IO_COUNT_MAX ? n : IO_COUNT_MAX);
    if (!r)
        r = io_write_result(file_write(f, &it, &pos));
    file_unref(f);
    return r;
}

// off -1 (of the v2 calls): the file's own position.
static long do_vector(int fd, const struct iovec *iov, unsigned long count, int64_t off, bool write,
                      int flags)
{
    struct user_vec v;
    uint64_t at = (uint64_t)off;
    long r = -EBADF;
    if (flags & ~(RWF_HIPRI | RWF_DSYNC | RWF_SYNC))
        return -EOPNOTSUPP;
    struct file *f = off == -1 ? fget(fd) : fget_seekable(fd, off, &r);
    if (!f)
        return r;
    r = user_vec_import(&v, iov, count);
    if (!r) {
        uint64_t *pos = off == -1 ? &f->pos : &at;
        r = write ? io_write_result(file_write(f, &v.it, pos)) : do_read(f, &v.it, pos);
        if (write && r > 0 && (flags & (RWF_DSYNC | RWF_SYNC)) && f->ops->fsync) {
            int err = f->ops->fsync(f, !(flags & RWF_SYNC));
            r = err ? err : r;
        }
        user_vec_free(&v);
    }
    file_unref(f);
    return r;
}

SYSCALL(19, readv, int fd, const struct iovec *iov, unsigned long count)
{
    return do_vector(fd, iov, count, -1, false, 0);
}

SYSCALL(20, writev, int fd, const struct iovec *iov, unsigned long count)
{
    return do_vector(fd, iov, count, -1, true, 0);
}

SYSCALL(295, preadv, int fd, const struct iovec *iov, unsigned long count, int64_t off)
{
    return off < 0 ? -EINVAL : do_vector(fd, iov, count, off, false, 0);
}

SYSCALL(296, pwritev, int fd, const struct iovec *iov, unsigned long count, int64_t off)
{
    return off < 0 ? -EINVAL : do_vector(fd, iov, count, off, true, 0);
}

SYSCALL(327, preadv2, int fd, const struct iovec *iov, unsigned long count, int64_t off, long high,
        int flags)
{
    (void)high; // the upper half of off on 32-bit machines
    return do_vector(fd, iov, count, off, false, flags);
}

SYSCALL(328, pwritev2, int fd, const struct iovec *iov, unsigned long count, int64_t off, long high,
        int flags)
{
    (void)high;
    return do_vector(fd, iov, count, off, true, flags);
}

SYSCALL(8, lseek, int fd, int64_t off, int whence)
{
    struct file *f = fget(fd);
    if (!f)
        return -EBADF;
    long r = file_seek(f, off, whence);
    file_unref(f);
    return r;
}

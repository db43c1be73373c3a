// SPDX-License-Identifier: ISC
// Calls on the data of files as a whole: from file to file, sizes, making durable, advice.
#include <linux/fadvise.h>
#include <linux/fs.h>
#include <linux/stat.h>
#include "linux/fileio.h"

// Zero-copy transmit of a file's pages to a socket, where linux/socket.c offers it: bytes sent
// (with *pos advanced), -errno, or -EOPNOTSUPP: copy instead.
long socket_sendfile(struct file *sock, struct file *in, uint64_t *pos, size_t count);
__attribute__((weak)) long socket_sendfile(struct file *sock, struct file *in, uint64_t *pos,
                                           size_t count)
{
    (void)sock, (void)in, (void)pos, (void)count;
    return -EOPNOTSUPP;
}

static bool is_regular(struct file *f)
{
    struct stat st;
    return vfs_fstat(f, &st) == 0 && S_ISREG(st.st_mode);
}

// --- from file to file ---

SYSCALL(40, sendfile, int out_fd, int in_fd, int64_t *user_off, size_t count)
{
    struct file *in = fget(in_fd), *out = fget(out_fd);
    int64_t off = 0;
    long r = -EBADF;
    if (!in || !out)
        goto out;
    r = user_off ? get_user(&off, user_off) : 0;
    if (!r && (off < 0 || !in->ops->seek || (out->flags & O_APPEND)))
        r = -EINVAL;
    if (r)
        goto out;
    uint64_t own = (uint64_t)off, *pos = user_off ? &own : &in->pos;
    if (count > IO_COUNT_MAX)
        count = IO_COUNT_MAX;
    r = socket_sendfile(out, in, pos, count);
    if (r == -EOPNOTSUPP)
        r = file_copy(out, &out->pos, in, pos, count);
    r = io_write_result(r);
    if (r >= 0 && user_off) {
        off = (int64_t)own;
        if (put_user(user_off, &off))
            r = -EFAULT;
    }
out:
    if (in)
        file_unref(in);
    if (out)
        file_unref(out);
    return r;
}

SYSCALL(326, copy_file_range, int in_fd, int64_t *in_off, int out_fd, int64_t *out_off,
        size_t count, unsigned flags)
{
    struct file *in = fget(in_fd), *out = fget(out_fd);
    int64_t from = 0, to = 0;
    long r = -EBADF;
    if (!in || !out)
        goto out;
    r = flags || !is_regular(in) || !is_regular(out) ? -EINVAL : 0;
    if (!r && in_off)
        r = get_user(&from, in_off);
    if (!r && out_off)
        r = get_user(&to, out_off);
    if (!r && (from < 0 || to < 0))
        r = -EINVAL;
    if (!r && (out->flags & O_APPEND))
        r = -EBADF;
    if (r)
        goto out;
    uint64_t in_pos = in_off ? (uint64_t)from : in->pos;
    uint64_t out_pos = out_off ? (uint64_t)to : out->pos;
    if (count > IO_COUNT_MAX)
        count = IO_COUNT_MAX;
    if (in->inode && in->inode == out->inode && in_pos < out_pos + count &&
        out_pos < in_pos + count) {
        r = -EINVAL; // the ranges overlap
        goto out;
    }
    r = io_result(file_copy(out, &out_pos, in, &in_pos, count));
    if (r < 0)
        goto out;
    from = (int64_t)in_pos;
    to = (int64_t)out_pos;
    if (!in_off)
        in->pos = in_pos;
    if (!out_off)
        out->pos = out_pos;
    if ((in_off && put_user(in_off, &from)) || (out_off && put_user(out_off, &to)))
        r = -EFAULT;
out:
    if (in)
        file_unref(in);
    if (out)
        file_unref(out);
    return r;
}

// splice(2) by copying. What is taken from a stream must find its place on the other side at once,
// for it cannot be put back: so a pipe goes only to regular files, and into a pipe goes only what
// fits.
static long do_splice(struct file *in, int64_t *in_off, struct file *out, int64_t *out_off,
                      size_t count)
{
    long in_pipe = pipe_get_size(in), out_pipe = pipe_get_size(out);
    int64_t from = 0, to = 0;
    if ((in_pipe < 0 && out_pipe < 0) || (out->flags & O_APPEND))
        return -EINVAL;
    if ((in_pipe >= 0 && in_off) || (out_pipe >= 0 && out_off))
        return -ESPIPE;
    if (out_pipe < 0 && !is_regular(out))
        return -EINVAL;
    if ((in_off && get_user(&from, in_off)) || (out_off && get_user(&to, out_off)))
        return -EFAULT;
    if (from < 0 || to < 0)
        return -EINVAL;
    if (out_pipe >= 0) {
        size_t room = (size_t)out_pipe - pipe_readable(out);
        if (!room && (out->flags & O_NONBLOCK))
            return -EAGAIN;
        count = room && room < count ? room : count < PAGE_SIZE ? count : PAGE_SIZE;
    } else if (in_pipe >= 0) { // not more than is there: the call does not wait for the rest
        size_t there = pipe_readable(in);
        count = there && there < count ? there : count;
    }
    uint64_t in_pos = (uint64_t)from, out_pos = (uint64_t)to;
    long r = file_copy(out, out_off ? &out_pos : &out->pos, in, in_off ? &in_pos : &in->pos, count);
    from = (int64_t)in_pos;
    to = (int64_t)out_pos;
    if (r > 0 && ((in_off && put_user(in_off, &from)) || (out_off && put_user(out_off, &to))))
        return -EFAULT;
    return r;
}

SYSCALL(275, splice, int in_fd, int64_t *in_off, int out_fd, int64_t *out_off, size_t count,
        unsigned flags)
{
    struct file *in = fget(in_fd), *out = fget(out_fd);
    long r = !in || !out ? -EBADF : flags & ~15u ? -EINVAL : 0;
    if (!r && count)
        r = io_write_result(
            do_splice(in, in_off, out, out_off, count < IO_COUNT_MAX ? count : IO_COUNT_MAX));
    if (in)
        file_unref(in);
    if (out)
        file_unref(out);
    return r;
}

// --- sizes ---

SYSCALL(76, truncate, const char *user_path, int64_t len)
{
    int err;
    if (len < 0)
        return -EINVAL;
    char *path = path_in(user_path, &err);
    if (!path)
        return err;
    err = vfs_truncate(current_process()->fs, path, (uint64_t)len);
    kfree(path);
    return err;
}

SYSCALL(77, ftruncate, int fd, int64_t len)
{
    if (len < 0)
        return -EINVAL;
    struct file *f = fget(fd);
    if (!f)
        return -EBADF;
    int err = (f->flags & O_ACCMODE) == O_RDONLY ? -EINVAL : vfs_ftruncate(f, (uint64_t)len);
    file_unref(f);
    return err;
}

SYSCALL(285, fallocate, int fd, int mode, int64_t off, int64_t len)
{
    if (off < 0 || len <= 0)
        return -EINVAL;
    if (off > INT64_MAX - len)
        return -EFBIG;
    struct file *f = fget(fd);
    if (!f)
        return -EBADF;
    int err = (f->flags & O_ACCMODE) == O_RDONLY
                  ? -EBADF
                  : vfs_fallocate(f, mode, (uint64_t)off, (uint64_t)len);
    file_unref(f);
    return err;
}

// --- making durable ---

static long do_fsync(int fd, bool data_only)
{
    struct file *f = fget(fd);
    if (!f)
        return -EBADF;
    int err = f->ops->fsync ? f->ops->fsync(f, data_only) : f->inode ? 0 : -EINVAL;
    file_unref(f);
    return io_result(err);
}

SYSCALL(74, fsync, int fd)
{
    return do_fsync(fd, false);
}

SYSCALL(75, fdatasync, int fd)
{
    return do_fsync(fd, true);
}

SYSCALL(306, syncfs, int fd)
{
    return do_fsync(fd, false);
}

SYSCALL(277, sync_file_range, int fd, int64_t off, int64_t len, unsigned flags)
{
    if (off < 0 || len < 0 || (flags & ~7u))
        return -EINVAL;
    return do_fsync(fd, true);
}

// Memory file systems have nothing to write back; what lasts (virtio-fs) writes through.
SYSCALL(162, sync)
{
    return 0;
}

// --- advice: checked, and not needed by file systems that lie in memory ---

static long check_advice(int fd, int advice)
{
    struct file *f = fget(fd);
    if (!f)
        return -EBADF;
    long r = !f->inode || !f->ops->seek                                  ? -ESPIPE
             : advice < POSIX_FADV_NORMAL || advice > POSIX_FADV_NOREUSE ? -EINVAL
                                                                         : 0;
    file_unref(f);
    return r;
}

SYSCALL(221, fadvise64, int fd, int64_t off, int64_t len, int advice)
{
    (void)off;
    return len < 0 ? -EINVAL : check_advice(fd, advice);
}

SYSCALL(187, readahead, int fd, int64_t off, size_t count)
{
    (void)off, (void)count;
    long r = check_advice(fd, POSIX_FADV_NORMAL);
    return r == -ESPIPE ? -EINVAL : r;
}

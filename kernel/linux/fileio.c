// SPDX-License-Identifier: ISC
// Helpers of the file calls (fileio.h): copying paths and vectors in, and moving data between
// files.
#include <linux/uio.h>
#include "linux/fileio.h"

#define COPY_CHUNK 65536ul

char *path_in(const char *user_path, int *err)
{
    char first[128];
    ssize_t_k n = strncpy_in(first, user_path, sizeof(first));
    if (n >= 0) {
        char *p = kmalloc((size_t)n + 1);
        *err = -ENOMEM;
        if (p)
            memcpy(p, first, (size_t)n + 1);
        return p;
    }
    if (n != -ENAMETOOLONG) {
        *err = (int)n;
        return NULL;
    }
    char *p = kmalloc(PATH_MAX);
    if (!p) {
        *err = -ENOMEM;
        return NULL;
    }
    n = strncpy_in(p, user_path, PATH_MAX);
    if (n < 0) {
        kfree(p);
        *err = (int)n;
        return NULL;
    }
    return p;
}

int path_at_get(struct path_at *pa, int dfd, const char *user_path, int at_flags)
{
    int err;
    pa->dir = NULL;
    pa->path = path_in(user_path, &err);
    if (!pa->path)
        return err;
    if (!pa->path[0] && !(at_flags & AT_EMPTY_PATH)) {
        err = -ENOENT;
    } else if (pa->path[0] == '/' || dfd == AT_FDCWD) {
        if (!pa->path[0]) { // the current directory itself
            kfree(pa->path);
            pa->path = kstrdup(".");
        }
        if (pa->path)
            return 0;
        return -ENOMEM;
    } else {
        pa->dir = fget(dfd);
        if (pa->dir)
            return 0;
        err = -EBADF;
    }
    kfree(pa->path);
    return err;
}

void path_at_put(struct path_at *pa)
{
    if (pa->dir)
        file_unref(pa->dir);
    kfree(pa->path);
}

int user_vec_import(struct user_vec *v, const struct iovec *user, unsigned long count)
{
    struct iovec *iov = v->few;
    v->many = NULL;
    if (count > UIO_MAXIOV)
        return -EINVAL;
    if (count > ARRAY_LEN(v->few)) {
        iov = v->many = kmalloc(count * sizeof(*iov));
        if (!iov)
            return -ENOMEM;
    }
    int err = count ? copy_in(iov, user, count * sizeof(*iov)) : 0;
    size_t total = 0;
    for (unsigned long i = 0; i < count && !err; i++) {
        if ((ssize_t_k)iov[i].iov_len < 0)
            err = -EINVAL;
        else if (!user_range_ok(iov[i].iov_base, iov[i].iov_len))
            err = -EFAULT;
        else if (iov[i].iov_len > IO_COUNT_MAX - total)
            iov[i].iov_len = IO_COUNT_MAX - total;
        total += iov[i].iov_len;
    }
    if (err) {
        user_vec_free(v);
        return err;
    }
    v->it = (struct iov_iter){.iov = iov, .count = (unsigned)count, .left = total};
    return 0;
}

void user_vec_free(struct user_vec *v)
{
    kfree(v->many);
    v->many = NULL;
}

void (*signal_broken_pipe)(void);

long io_write_result(long r)
{
    if (r == -EPIPE && signal_broken_pipe)
        signal_broken_pipe();
    return io_result(r);
}

long file_copy(struct file *out, uint64_t *out_pos, struct file *in, uint64_t *in_pos, size_t count)
{
    size_t size = count < COPY_CHUNK ? count : COPY_CHUNK, done = 0;
    char *buf = size ? kmalloc(size) : NULL;
    long result = 0;
    if (!buf)
        return size ? -ENOMEM : 0;
    while (done < count) {
        struct iov_iter it;
        size_t want = count - done < size ? count - done : size;
        uint64_t at = *in_pos;
        iov_init_kernel(&it, buf, want);
        ssize_t_k got = file_read(in, &it, &at);
        if (got <= 0) {
            result = got;
            break;
        }
        iov_init_kernel(&it, buf, (size_t)got);
        ssize_t_k put = file_write(out, &it, out_pos);
        if (put < 0) {
            result = put;
            break;
        }
        // What was read and not written stays in the file: only the part that went is passed over.
        *in_pos += (uint64_t)put;
        done += (size_t)put;
        if (put < got || !in->ops->seek) // a stream gives what it has, it is not waited for again
            break;
    }
    kfree(buf);
    return done ? (long)done : result;
}

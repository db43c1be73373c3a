// SPDX-License-Identifier: ISC
// Pieces of program (or kernel) memory as one stream of bytes. Copies recover from faults;
// the check that a program's pointers lie in its half is made once, at import.
#include <linux/errno.h>
#include "fs/fs.h"

int iov_import_one(struct iov_iter *it, void *user_base, size_t len)
{
    if (len > INT64_MAX)
        return -EINVAL;
    if (!user_range_ok(user_base, len))
        return -EFAULT;
    iov_init_kernel(it, user_base, len);
    return 0;
}

void iov_init_kernel(struct iov_iter *it, void *base, size_t len)
{
    // iov NULL: the piece is `one`, so that the iterator can be copied as a value.
    *it = (struct iov_iter){.one = {base, len}, .count = 1, .left = len};
}

enum direction { TO, FROM, ZERO };

static ssize_t_k iov_copy(struct iov_iter *it, void *kernel, size_t n, enum direction dir)
{
    size_t done = 0;
    n = MIN(n, it->left);
    while (done < n) {
        const struct iovec *v = it->iov ? it->iov : &it->one;
        if (it->skip == v->iov_len) {
            ASSERT(it->count > 1 && it->iov);
            it->iov++;
            it->count--;
            it->skip = 0;
            continue;
        }
        size_t part = MIN(n - done, v->iov_len - it->skip);
        char *user = (char *)v->iov_base + it->skip;
        int err = dir == TO     ? copy_recover(user, (char *)kernel + done, part)
                  : dir == FROM ? copy_recover((char *)kernel + done, user, part)
                                : zero_recover(user, part);
        if (err)
            return done ? (ssize_t_k)done : -EFAULT;
        it->skip += part;
        it->left -= part;
        done += part;
    }
    return (ssize_t_k)done;
}

ssize_t_k iov_copy_to(struct iov_iter *it, const void *src, size_t n)
{
    return iov_copy(it, (void *)(uintptr_t)src, n, TO);
}

ssize_t_k iov_copy_from(struct iov_iter *it, void *dst, size_t n)
{
    return iov_copy(it, dst, n, FROM);
}

ssize_t_k iov_zero(struct iov_iter *it, size_t n)
{
    return iov_copy(it, NULL, n, ZERO);
}

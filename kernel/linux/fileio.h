// SPDX-License-Identifier: ISC
// What the file calls share: paths relative to a descriptor, vectors of program memory, results of
// interrupted and broken transfers. Private to linux/.
#ifndef LITH_LINUX_FILEIO_H
#define LITH_LINUX_FILEIO_H

#include <asm-generic/errno.h>
#include <linux/fcntl.h>
#include <linux/limits.h>
#include "linux/process.h"

#define IO_COUNT_MAX 0x7ffff000ul // one transfer, as Linux: INT_MAX rounded down to a page

// A path argument of the *at calls.
struct path_at {
    struct file *dir; // NULL: relative to the current directory, or absolute
    char *path;
};
// 0 or -errno; release with path_at_put(). An empty path is -ENOENT without AT_EMPTY_PATH.
int path_at_get(struct path_at *pa, int dfd, const char *user_path, int at_flags);
void path_at_put(struct path_at *pa);

// Vector of program memory, checked: at most IOV_MAX pieces, IO_COUNT_MAX bytes.
struct user_vec {
    struct iov_iter it;
    struct iovec few[8];
    struct iovec *many; // from kmalloc, when `few` is too small
};
int user_vec_import(struct user_vec *v, const struct iovec *user, unsigned long count);
void user_vec_free(struct user_vec *v);

// -EINTR of the layers below becomes a restart unless a handler without SA_RESTART runs.
static inline long io_result(long r)
{
    return r == -EINTR ? -ERESTARTSYS : r;
}
// The same for writes; -EPIPE sends SIGPIPE.
long io_write_result(long r);

// Moves up to count bytes between files through kernel memory. NULL position: the file's own.
long file_copy(struct file *out, uint64_t *out_pos, struct file *in, uint64_t *in_pos,
               size_t count);

static inline unsigned fd_limit(void)
{
    uint64_t n = current_process()->limits[RLIMIT_NOFILE].rlim_cur;
    return n > INT32_MAX ? INT32_MAX : (unsigned)n;
}

#endif

// SPDX-License-Identifier: ISC
// select(2) and pselect6(2): the three bit sets become poll requests and back.
#include <linux/eventpoll.h>
#include "linux/fileio.h"
#include "linux/poll_files.h"

#define IN_SET   (EPOLLRDNORM | EPOLLRDBAND | EPOLLIN | EPOLLHUP | EPOLLERR)
#define OUT_SET  (EPOLLWRBAND | EPOLLWRNORM | EPOLLOUT | EPOLLERR)
#define EXCL_SET EPOLLPRI

struct select_sets {
    unsigned words;   // of each set
    uint64_t *in[3];  // read, write, exceptional
    uint64_t *memory; // all three
};

static int sets_import(struct select_sets *s, int n, uint64_t *const user[3])
{
    s->words = ((unsigned)n + 63) / 64;
    s->memory = kzalloc((s->words * 3 + 1) * sizeof(uint64_t));
    if (!s->memory)
        return -ENOMEM;
    for (unsigned k = 0; k < 3; k++) {
        s->in[k] = s->memory + k * s->words;
        if (user[k] && copy_in(s->in[k], user[k], s->words * sizeof(uint64_t)))
            return -EFAULT;
        if (n % 64 && s->words) // bits at and above n do not count
            s->in[k][s->words - 1] &= (1ull << (n % 64)) - 1;
    }
    return 0;
}

static bool set_has(const struct select_sets *s, unsigned k, int fd)
{
    return s->in[k][fd / 64] >> (fd % 64) & 1;
}

static unsigned wanted_of(const struct select_sets *s, int fd)
{
    return (set_has(s, 0, fd) ? IN_SET : 0) | (set_has(s, 1, fd) ? OUT_SET : 0) |
           (set_has(s, 2, fd) ? EXCL_SET : 0);
}

// Requests of all descriptors in the sets, in ascending order; *fds tells which.
static long make_requests(const struct select_sets *s, int n, struct poll_request **req, int **fds,
                          unsigned *count)
{
    *count = 0;
    for (unsigned w = 0; w < s->words; w++)
        for (uint64_t bits = s->in[0][w] | s->in[1][w] | s->in[2][w]; bits; bits &= bits - 1)
            ++*count;
    *req = kzalloc((*count + 1) * sizeof(**req));
    *fds = kmalloc((*count + 1) * sizeof(**fds));
    if (!*req || !*fds)
        return -ENOMEM;
    unsigned i = 0;
    for (int fd = 0; fd < n; fd++) {
        unsigned wanted = wanted_of(s, fd);
        if (!wanted)
            continue;
        (*fds)[i] = fd;
        (*req)[i].wanted = wanted;
        (*req)[i].file = fget(fd);
        if (!(*req)[i].file)
            return -EBADF;
        i++;
    }
    return 0;
}

// Writes back which bits hold; returns their number.
static long sets_export(struct select_sets *s, const struct poll_request *req, const int *fds,
                        unsigned count, uint64_t *const user[3])
{
    static const unsigned kinds[3] = {IN_SET, OUT_SET, EXCL_SET};
    long bits = 0;
    for (unsigned k = 0; k < 3; k++) {
        for (unsigned i = 0; i < count; i++) {
            int fd = fds[i];
            if (!set_has(s, k, fd))
                continue;
            if (req[i].found & kinds[k])
                bits++;
            else
                s->in[k][fd / 64] &= ~(1ull << (fd % 64));
        }
        if (user[k] && copy_out(user[k], s->in[k], s->words * sizeof(uint64_t)))
            return -EFAULT;
    }
    return bits;
}

static long do_select(int n, uint64_t *const user[3], uint64_t deadline)
{
    struct select_sets s = {0};
    struct poll_request *req = NULL;
    int *fds = NULL;
    unsigned count = 0;
    if (n < 0)
        return -EINVAL;
    if ((unsigned)n > fd_limit())
        n = (int)fd_limit();
    long r = sets_import(&s, n, user);
    if (!r)
        r = make_requests(&s, n, &req, &fds, &count);
    if (!r)
        r = poll_files(req, count, deadline);
    if (r >= 0)
        r = sets_export(&s, req, fds, count, user);
    if (req)
        poll_release(req, count);
    kfree(fds);
    kfree(s.memory);
    return r;
}

SYSCALL(23, select, int n, uint64_t *in, uint64_t *out, uint64_t *except,
        struct __kernel_old_timeval *timeout)
{
    uint64_t *const user[3] = {in, out, except};
    uint64_t deadline = DEADLINE_NEVER;
    struct __kernel_old_timeval tv;
    if (timeout) {
        if (get_user(&tv, timeout))
            return -EFAULT;
        if (tv.tv_usec < 0 || tv.tv_sec < 0)
            return -EINVAL;
        int err = deadline_seconds(tv.tv_sec + tv.tv_usec / 1000000, tv.tv_usec % 1000000 * 1000,
                                   &deadline);
        if (err)
            return err;
    }
    long r = do_select(n, user, deadline);
    if (timeout && deadline) {
        struct __kernel_timespec left;
        deadline_left(deadline, &left);
        tv = (struct __kernel_old_timeval){.tv_sec = left.tv_sec, .tv_usec = left.tv_nsec / 1000};
        (void)put_user(timeout, &tv);
    }
    return r == -EINTR ? -ERESTARTNOHAND : r;
}

struct sigset_arg { // sixth argument of pselect6
    const void *mask;
    size_t size;
};

SYSCALL(270, pselect6, int n, uint64_t *in, uint64_t *out, uint64_t *except,
        struct __kernel_timespec *timeout, const struct sigset_arg *user_sig)
{
    uint64_t *const user[3] = {in, out, except};
    struct sigset_arg sig = {0};
    uint64_t deadline;
    if (user_sig && get_user(&sig, user_sig))
        return -EFAULT;
    int err = deadline_timespec(timeout, &deadline);
    if (!err)
        err = temp_mask_set(sig.mask, sig.size);
    if (err)
        return err;
    long r = do_select(n, user, deadline);
    temp_mask_end(sig.mask, r == -EINTR);
    if (timeout && deadline) {
        struct __kernel_timespec left;
        deadline_left(deadline, &left);
        (void)put_user(timeout, &left);
    }
    return r == -EINTR ? -ERESTARTNOHAND : r;
}

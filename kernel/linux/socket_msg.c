// SPDX-License-Identifier: ISC
// The socket calls on messages: sendto, recvfrom, sendmsg, recvmsg and their vectors; ancillary
// data (open files, credentials, destination addresses); sendfile to a socket.
#include <linux/time_types.h>
#include "linux/sockets.h"
#include "linux/waiting.h"

#define SCM_RIGHTS      1
#define SCM_CREDENTIALS 2

struct user_msghdr { // x86-64 layout of struct msghdr
    void *name;
    int name_len;
    const struct iovec *iov;
    size_t iov_count;
    void *control;
    size_t control_len;
    unsigned flags;
};
struct user_mmsghdr {
    struct user_msghdr hdr;
    unsigned len;
};
struct cmsg {
    size_t len;
    int level, type;
};
#define CMSG_ALIGNED(n) ALIGN_UP((size_t)(n), sizeof(size_t))

// Open files in messages. Sockets that hold each other in their queues are never found again, so
// their number is bounded.
static unsigned rights_in_flight;

static struct socket *get(int fd, struct file **f, long *err)
{
    *f = fget(fd);
    struct socket *s = *f ? socket_of(*f) : NULL;
    if (!s) {
        *err = *f ? -ENOTSOCK : -EBADF;
        if (*f)
            file_unref(*f);
    }
    return s;
}

// Files that are let go may be sockets with more such messages in their queues, and so on: a
// program can make that chain as long as it likes, and a kernel stack is short. So whoever comes
// while one thread empties the list only adds to it.
static spinlock_t dropped_lock;
static struct socket_rights *dropped;
static bool dropping;

void socket_rights_free(struct socket_rights *r)
{
    if (!r)
        return;
    spin_lock(&dropped_lock);
    r->next = dropped;
    dropped = r;
    if (dropping) {
        spin_unlock(&dropped_lock);
        return;
    }
    dropping = true;
    while ((r = dropped)) {
        dropped = r->next;
        spin_unlock(&dropped_lock);
        __atomic_sub_fetch(&rights_in_flight, r->count, __ATOMIC_RELAXED);
        for (unsigned i = 0; i < r->count; i++)
            file_unref(r->file[i]);
        kfree(r);
        spin_lock(&dropped_lock);
    }
    dropping = false;
    spin_unlock(&dropped_lock);
}

static long send_result(long r, int flags)
{
    return flags & MSG_NOSIGNAL ? io_result(r) : io_write_result(r);
}

static int file_msg_flags(const struct file *f, int flags)
{
    return flags | (f->flags & O_NONBLOCK ? MSG_DONTWAIT : 0);
}

static int dest_in(struct socket_msg *m, const void *user, unsigned len)
{
    if (!user || !len)
        return 0;
    if (len > sizeof(m->addr))
        return -EINVAL;
    m->addr_len = len;
    return copy_in(&m->addr, user, len);
}

SYSCALL(44, sendto, int fd, void *buf, size_t len, int flags, const void *addr, unsigned addr_len)
{
    struct file *f;
    long r;
    struct socket *s = get(fd, &f, &r);
    if (!s)
        return r;
    struct iov_iter it;
    struct socket_msg m = {.it = &it, .flags = file_msg_flags(f, flags)};
    r = iov_import_one(&it, buf, MIN(len, IO_COUNT_MAX));
    if (!r)
        r = dest_in(&m, addr, addr_len);
    if (!r)
        r = s->ops->send(s, &m);
    file_unref(f);
    return send_result(r, flags);
}

static int name_out(const struct socket_msg *m, void *user, int *user_len)
{
    int room;
    if (!user)
        return 0;
    if (get_user(&room, user_len))
        return -EFAULT;
    if (room < 0)
        return -EINVAL;
    int full = (int)m->addr_len;
    if (copy_out(user, &m->addr, MIN((unsigned)room, m->addr_len)) || put_user(user_len, &full))
        return -EFAULT;
    return 0;
}

SYSCALL(45, recvfrom, int fd, void *buf, size_t len, int flags, void *addr, int *addr_len)
{
    struct file *f;
    long r;
    struct socket *s = get(fd, &f, &r);
    if (!s)
        return r;
    struct iov_iter it;
    struct socket_msg m = {.it = &it, .flags = file_msg_flags(f, flags)};
    r = iov_import_one(&it, buf, MIN(len, IO_COUNT_MAX));
    if (!r)
        r = s->ops->recv(s, &m);
    socket_rights_free(m.rights);
    file_unref(f);
    if (r >= 0 && name_out(&m, addr, addr_len))
        r = -EFAULT;
    return io_result(r);
}

// --- ancillary data, out ---
// Several headers of one message add up.
static int rights_in(struct socket_msg *m, const uint8_t *data, size_t len)
{
    size_t n = len / sizeof(int), had = m->rights ? m->rights->count : 0;
    if (len % sizeof(int) || had + n > SOCKET_RIGHTS_MAX)
        return -EINVAL;
    if (!n)
        return 0;
    if (__atomic_load_n(&rights_in_flight, __ATOMIC_RELAXED) + n > SOCKET_RIGHTS_IN_FLIGHT_MAX)
        return -ETOOMANYREFS;
    struct socket_rights *r = kzalloc(sizeof(*r) + (had + n) * sizeof(r->file[0]));
    if (!r)
        return -ENOMEM;
    if (had)
        memcpy(r, m->rights, sizeof(*r) + had * sizeof(r->file[0]));
    kfree(m->rights); // its references have moved
    m->rights = r;
    while (r->count < had + n) {
        int fd;
        memcpy(&fd, data + (r->count - had) * sizeof(fd), sizeof(fd));
        r->file[r->count] = fget(fd);
        if (!r->file[r->count])
            return -EBADF;
        r->count++;
        __atomic_add_fetch(&rights_in_flight, 1, __ATOMIC_RELAXED);
    }
    return 0;
}

static int control_in(struct socket_msg *m, const struct user_msghdr *h)
{
    if (!h->control_len)
        return 0;
    if (h->control_len > SOCKET_CONTROL_MAX)
        return -ENOBUFS;
    uint8_t *c = kmalloc(h->control_len);
    if (!c)
        return -ENOMEM;
    int err = copy_in(c, h->control, h->control_len);
    for (size_t at = 0; !err && h->control_len - at >= sizeof(struct cmsg);) {
        struct cmsg hdr;
        memcpy(&hdr, c + at, sizeof(hdr));
        if (hdr.len < sizeof(hdr) || hdr.len > h->control_len - at) {
            err = -EINVAL;
            break;
        }
        if (hdr.level == SOL_SOCKET && hdr.type == SCM_RIGHTS)
            err = rights_in(m, c + at + sizeof(hdr), hdr.len - sizeof(hdr));
        else if (hdr.level == SOL_SOCKET && hdr.type != SCM_CREDENTIALS)
            err = -EINVAL;
        // Credentials are always the sender's own; hints of other levels are ignored.
        at = MIN(at + CMSG_ALIGNED(hdr.len), h->control_len);
    }
    kfree(c);
    return err;
}

static long send_one(struct file *f, struct socket *s, const struct user_msghdr *user, int flags)
{
    struct user_msghdr h;
    struct user_vec vec;
    if (copy_in(&h, user, sizeof(h)))
        return -EFAULT;
    long r = user_vec_import(&vec, h.iov, h.iov_count);
    if (r < 0)
        return h.iov_count > UIO_MAXIOV ? -EMSGSIZE : r;
    struct socket_msg m = {.it = &vec.it, .flags = file_msg_flags(f, flags)};
    r = dest_in(&m, h.name, (unsigned)h.name_len);
    if (!r)
        r = control_in(&m, &h);
    if (!r)
        r = s->ops->send(s, &m);
    socket_rights_free(m.rights); // what the family did not take
    user_vec_free(&vec);
    return r;
}

SYSCALL(46, sendmsg, int fd, const struct user_msghdr *user, int flags)
{
    struct file *f;
    long r;
    struct socket *s = get(fd, &f, &r);
    if (!s)
        return r;
    r = send_one(f, s, user, flags);
    file_unref(f);
    return send_result(r, flags);
}

SYSCALL(307, sendmmsg, int fd, struct user_mmsghdr *user, unsigned count, int flags)
{
    struct file *f;
    long r = 0;
    unsigned done = 0;
    struct socket *s = get(fd, &f, &r);
    if (!s)
        return r;
    count = MIN(count, (unsigned)UIO_MAXIOV);
    for (r = 0; done < count; done++) {
        r = send_one(f, s, &user[done].hdr, flags);
        unsigned n = (unsigned)r;
        if (r >= 0 && put_user(&user[done].len, &n))
            r = -EFAULT;
        if (r < 0)
            break;
    }
    file_unref(f);
    return done ? (long)done : send_result(r, flags);
}

// --- ancillary data, in ---
struct control_out {
    uint8_t *user;
    size_t room, used;
    int *flags;
};

static int cmsg_out(struct control_out *c, int level, int type, const void *data, size_t len)
{
    struct cmsg hdr = {sizeof(hdr) + len, level, type};
    if (c->room - c->used < hdr.len) {
        *c->flags |= MSG_CTRUNC;
        return 0;
    }
    if (copy_out(c->user + c->used, &hdr, sizeof(hdr)) ||
        copy_out(c->user + c->used + sizeof(hdr), data, len))
        return -EFAULT;
    c->used = MIN(c->used + CMSG_ALIGNED(hdr.len), c->room);
    return 0;
}

// Installs the files that came along, as many as there is room for.
static int rights_out(struct control_out *c, struct socket_msg *m)
{
    int fds[SOCKET_RIGHTS_MAX];
    size_t free_room = c->room - c->used;
    size_t fit =
        free_room > sizeof(struct cmsg) ? (free_room - sizeof(struct cmsg)) / sizeof(int) : 0;
    unsigned n = 0;
    if (fit < m->rights->count)
        m->out_flags |= MSG_CTRUNC;
    for (; n < m->rights->count && n < fit; n++) {
        int fd = fd_install_current(file_ref(m->rights->file[n]), m->flags & MSG_CMSG_CLOEXEC);
        if (fd < 0) {
            m->out_flags |= MSG_CTRUNC;
            break;
        }
        fds[n] = fd;
    }
    return n ? cmsg_out(c, SOL_SOCKET, SCM_RIGHTS, fds, n * sizeof(int)) : 0;
}

static int control_back(struct socket_msg *m, struct user_msghdr *h)
{
    struct control_out c = {h->control, h->control ? h->control_len : 0, 0, &m->out_flags};
    int err = 0;
    if (m->pktinfo.have) {
        struct in_pktinfo pi = {.ipi_ifindex = (int)m->pktinfo.if_index};
        pi.ipi_addr.s_addr = pi.ipi_spec_dst.s_addr = cpu_to_be32(m->pktinfo.dst);
        err = cmsg_out(&c, IPPROTO_IP, IP_PKTINFO, &pi, sizeof(pi));
    }
    if (!err && m->have_cred)
        err = cmsg_out(&c, SOL_SOCKET, SCM_CREDENTIALS, &m->cred, sizeof(m->cred));
    if (!err && m->rights)
        err = rights_out(&c, m);
    h->control_len = c.used;
    return err;
}

static long recv_one(struct file *f, struct socket *s, struct user_msghdr *user, int flags)
{
    struct user_msghdr h;
    struct user_vec vec;
    if (copy_in(&h, user, sizeof(h)))
        return -EFAULT;
    long r = user_vec_import(&vec, h.iov, h.iov_count);
    if (r < 0)
        return h.iov_count > UIO_MAXIOV ? -EMSGSIZE : r;
    struct socket_msg m = {.it = &vec.it, .flags = file_msg_flags(f, flags)};
    r = s->ops->recv(s, &m);
    user_vec_free(&vec);
    if (r >= 0) {
        int err = control_back(&m, &h);
        if (!err && h.name)
            err = name_out(&m, h.name, &user->name_len);
        h.flags = (unsigned)m.out_flags | (unsigned)(flags & MSG_CMSG_CLOEXEC);
        if (err || put_user(&user->flags, &h.flags) || put_user(&user->control_len, &h.control_len))
            r = -EFAULT;
    }
    socket_rights_free(m.rights);
    return r;
}

SYSCALL(47, recvmsg, int fd, struct user_msghdr *user, int flags)
{
    struct file *f;
    long r;
    struct socket *s = get(fd, &f, &r);
    if (!s)
        return r;
    r = recv_one(f, s, user, flags);
    file_unref(f);
    return io_result(r);
}

SYSCALL(299, recvmmsg, int fd, struct user_mmsghdr *user, unsigned count, int flags,
        const struct __kernel_timespec *timeout)
{
    struct file *f;
    long r = 0;
    unsigned done = 0;
    uint64_t deadline;
    int err = deadline_timespec(timeout, &deadline);
    if (err)
        return err;
    struct socket *s = get(fd, &f, &r);
    if (!s)
        return r;
    count = MIN(count, (unsigned)UIO_MAXIOV);
    for (r = 0; done < count; done++) {
        int one = flags & ~MSG_WAITFORONE;
        if (done && flags & MSG_WAITFORONE)
            one |= MSG_DONTWAIT;
        r = recv_one(f, s, &user[done].hdr, one);
        unsigned n = (unsigned)r;
        if (r >= 0 && put_user(&user[done].len, &n))
            r = -EFAULT;
        if (r < 0)
            break;
        if (clock_monotonic_ns() >= deadline) { // as Linux: looked at after each message
            done++;
            break;
        }
    }
    file_unref(f);
    return done ? (long)done : io_result(r);
}

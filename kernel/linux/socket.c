// SPDX-License-Identifier: ISC
// The socket calls on names, connections and options; sockets as files. Messages are in
// socket_msg.c, the families in socket_inet.c and unix.c.
#include <linux/stat.h>
#include "linux/sockets.h"

// --- sockets as files ---
static ssize_t_k socket_read(struct file *f, struct iov_iter *to, uint64_t *pos)
{
    struct socket *s = f->priv;
    struct socket_msg m = {.it = to, .flags = f->flags & O_NONBLOCK ? MSG_DONTWAIT : 0};
    (void)pos;
    ssize_t_k n = s->ops->recv(s, &m);
    socket_rights_free(m.rights); // read() drops what only recvmsg() can take
    return n;
}

static ssize_t_k socket_write(struct file *f, struct iov_iter *from, uint64_t *pos)
{
    struct socket *s = f->priv;
    struct socket_msg m = {.it = from, .flags = f->flags & O_NONBLOCK ? MSG_DONTWAIT : 0};
    (void)pos;
    return s->ops->send(s, &m);
}

static unsigned socket_poll(struct file *f, struct poll_table *pt)
{
    struct socket *s = f->priv;
    return s->ops->poll(s, pt);
}

static long socket_ioctl(struct file *f, unsigned cmd, unsigned long arg)
{
    struct socket *s = f->priv;
    return s->ops->ioctl(s, cmd, arg);
}

static void socket_release(struct file *f)
{
    struct socket *s = f->priv;
    s->ops->release(s);
}

const struct file_ops socket_file_ops = {
    .name = "socket",
    .mode = S_IFSOCK | 0777,
    .read = socket_read,
    .write = socket_write,
    .poll = socket_poll,
    .ioctl = socket_ioctl,
    .release = socket_release,
};

static struct file *socket_file(struct socket *s, int flags)
{
    struct file *f = file_create(&socket_file_ops, s, O_RDWR | (flags & SOCK_NONBLOCK));
    if (!f)
        s->ops->release(s);
    return f;
}

int socket_install(struct socket *s, int flags)
{
    signal_use_pipes();
    struct file *f = socket_file(s, flags);
    return f ? fd_install_current(f, flags & SOCK_CLOEXEC) : -ENOMEM;
}

// The socket behind a descriptor, with a reference on its file.
static struct socket *socket_get(int fd, struct file **f, long *err)
{
    *f = fget(fd);
    if (!*f) {
        *err = -EBADF;
        return NULL;
    }
    struct socket *s = socket_of(*f);
    if (!s) {
        file_unref(*f);
        *err = -ENOTSOCK;
    }
    return s;
}

static int addr_in(union socket_addr *a, const void *user, unsigned len)
{
    if (len > sizeof(*a))
        return -EINVAL;
    memset(a, 0, sizeof(*a));
    return copy_in(a, user, len);
}

// The name goes out cut to the caller's room; its full length is reported.
static int addr_out(const union socket_addr *a, unsigned len, void *user, int *user_len)
{
    int room;
    if (get_user(&room, user_len))
        return -EFAULT;
    if (room < 0)
        return -EINVAL;
    unsigned n = MIN((unsigned)room, len);
    int full = (int)len;
    if (copy_out(user, a, n) || put_user(user_len, &full))
        return -EFAULT;
    return 0;
}

// --- making sockets ---
static int socket_make(int family, int type, int protocol, struct socket **out)
{
    switch (family) {
    case AF_INET:
        return inet_socket(type, protocol, out);
    case AF_UNIX:
        return unix_socket(type, protocol, out);
    default:
        return -EAFNOSUPPORT;
    }
}

SYSCALL(41, socket, int family, int type, int protocol)
{
    struct socket *s;
    if (type & ~(SOCK_TYPE_MASK | SOCK_CLOEXEC | SOCK_NONBLOCK))
        return -EINVAL;
    int err = socket_make(family, type & SOCK_TYPE_MASK, protocol, &s);
    return err ? err : socket_install(s, type);
}

SYSCALL(53, socketpair, int family, int type, int protocol, int *user_fds)
{
    struct socket *pair[2];
    if (type & ~(SOCK_TYPE_MASK | SOCK_CLOEXEC | SOCK_NONBLOCK))
        return -EINVAL;
    if (family != AF_UNIX)
        return family == AF_INET ? -EOPNOTSUPP : -EAFNOSUPPORT;
    int err = unix_socketpair(type & SOCK_TYPE_MASK, protocol, pair);
    if (err)
        return err;
    int fds[2];
    fds[0] = socket_install(pair[0], type);
    if (fds[0] < 0) {
        pair[1]->ops->release(pair[1]);
        return fds[0];
    }
    fds[1] = socket_install(pair[1], type);
    if (fds[1] >= 0 && !copy_out(user_fds, fds, sizeof(fds)))
        return 0;
    err = fds[1] < 0 ? fds[1] : -EFAULT;
    fd_close(current_process()->fds, fds[0]);
    if (fds[1] >= 0)
        fd_close(current_process()->fds, fds[1]);
    return err;
}

// --- names and connections ---
SYSCALL(49, bind, int fd, const void *user_addr, unsigned len)
{
    struct file *f;
    union socket_addr a;
    long r;
    struct socket *s = socket_get(fd, &f, &r);
    if (!s)
        return r;
    r = addr_in(&a, user_addr, len);
    if (!r)
        r = s->ops->bind(s, &a, len);
    file_unref(f);
    return r;
}

SYSCALL(50, listen, int fd, int backlog)
{
    struct file *f;
    long r;
    struct socket *s = socket_get(fd, &f, &r);
    if (!s)
        return r;
    r = s->ops->listen(s, backlog);
    file_unref(f);
    return r;
}

SYSCALL(42, connect, int fd, const void *user_addr, unsigned len)
{
    struct file *f;
    union socket_addr a;
    long r;
    struct socket *s = socket_get(fd, &f, &r);
    if (!s)
        return r;
    r = len < sizeof(a.family) ? -EINVAL : addr_in(&a, user_addr, len);
    if (!r)
        r = s->ops->connect(s, &a, len, f->flags & O_NONBLOCK);
    file_unref(f);
    return io_result(r);
}

static long do_accept(int fd, void *user_addr, int *user_len, int flags)
{
    static bool served;
    struct file *f;
    struct socket *conn;
    long r;
    if (flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK))
        return -EINVAL;
    struct socket *s = socket_get(fd, &f, &r);
    if (!s)
        return r;
    r = s->ops->accept(s, &conn, f->flags & O_NONBLOCK);
    file_unref(f);
    if (r)
        return io_result(r);
    if (user_addr) {
        union socket_addr a = {0};
        unsigned len = 0;
        r = conn->ops->name(conn, true, &a, &len);
        if (r == -ENOTCONN) { // it ended while it waited: the name is gone, the socket is not
            a.family = AF_INET;
            len = sizeof(a.in);
            r = 0;
        }
        if (!r)
            r = addr_out(&a, len, user_addr, user_len);
        if (r) {
            conn->ops->release(conn);
            return r;
        }
    }
    if (!served) {
        served = true;
        chart_mark("first connection");
        chart_print();
    }
    return socket_install(conn, flags);
}

SYSCALL(43, accept, int fd, void *user_addr, int *user_len)
{
    return do_accept(fd, user_addr, user_len, 0);
}

SYSCALL(288, accept4, int fd, void *user_addr, int *user_len, int flags)
{
    return do_accept(fd, user_addr, user_len, flags);
}

SYSCALL(48, shutdown, int fd, int how)
{
    struct file *f;
    long r;
    struct socket *s = socket_get(fd, &f, &r);
    if (!s)
        return r;
    r = how < SHUT_RD || how > SHUT_RDWR ? -EINVAL : s->ops->shutdown(s, how);
    file_unref(f);
    return r;
}

static long do_name(int fd, void *user_addr, int *user_len, bool peer)
{
    struct file *f;
    union socket_addr a = {0};
    unsigned len = 0;
    long r;
    struct socket *s = socket_get(fd, &f, &r);
    if (!s)
        return r;
    r = s->ops->name(s, peer, &a, &len);
    file_unref(f);
    return r ? r : addr_out(&a, len, user_addr, user_len);
}

SYSCALL(51, getsockname, int fd, void *user_addr, int *user_len)
{
    return do_name(fd, user_addr, user_len, false);
}

SYSCALL(52, getpeername, int fd, void *user_addr, int *user_len)
{
    return do_name(fd, user_addr, user_len, true);
}

// --- options ---
#define OPT_MAX 512u // the largest option (TCP_INFO) has 240 bytes

SYSCALL(54, setsockopt, int fd, int level, int name, const void *user_val, int len)
{
    struct file *f;
    uint64_t val[OPT_MAX / 8] = {0};
    long r;
    struct socket *s = socket_get(fd, &f, &r);
    if (!s)
        return r;
    unsigned n = MIN((unsigned)len, OPT_MAX);
    r = len < 0 ? -EINVAL : copy_in(val, user_val, n);
    if (!r)
        r = s->ops->setopt(s, level, name, val, n);
    file_unref(f);
    return r;
}

SYSCALL(55, getsockopt, int fd, int level, int name, void *user_val, int *user_len)
{
    struct file *f;
    uint64_t val[OPT_MAX / 8] = {0};
    int len;
    long r;
    struct socket *s = socket_get(fd, &f, &r);
    if (!s)
        return r;
    r = get_user(&len, user_len);
    if (!r && len < 0)
        r = -EINVAL;
    if (!r) {
        unsigned n = MIN((unsigned)len, OPT_MAX);
        r = s->ops->getopt(s, level, name, val, &n);
        len = (int)n;
    }
    file_unref(f);
    if (!r && (copy_out(user_val, val, (size_t)len) || put_user(user_len, &len)))
        r = -EFAULT;
    return r;
}

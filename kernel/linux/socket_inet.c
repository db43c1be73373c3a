// SPDX-License-Identifier: ISC
// AF_INET sockets for the socket calls: addresses and data of net/'s sockets in the ABI's clothes;
// interface requests (SIOCGIF*).
#include <asm/ioctls.h>
#include <linux/sockios.h>
#include "linux/sockets.h"

static int copy_from_iter(void *ctx, void *dst, size_t n)
{
    return iov_copy_from(ctx, dst, n) == (ssize_t_k)n ? 0 : -EFAULT;
}

static int copy_to_iter(void *ctx, const void *src, size_t n)
{
    return iov_copy_to(ctx, src, n) == (ssize_t_k)n ? 0 : -EFAULT;
}

static int parse_addr(const union socket_addr *a, unsigned len, struct sock_addr *out)
{
    if (len < sizeof(a->in))
        return -EINVAL;
    if (a->family != AF_INET)
        return -EAFNOSUPPORT;
    out->ip = be32_to_cpu(a->in.sin_addr.s_addr);
    out->port = be16_to_cpu(a->in.sin_port);
    return 0;
}

static void make_addr(const struct sock_addr *in, union socket_addr *a, unsigned *len)
{
    memset(a, 0, sizeof(*a));
    a->in.sin_family = AF_INET;
    a->in.sin_port = cpu_to_be16(in->port);
    a->in.sin_addr.s_addr = cpu_to_be32(in->ip);
    *len = sizeof(a->in);
}

static int inet_bind(struct socket *s, const union socket_addr *a, unsigned len)
{
    struct sock_addr addr;
    union socket_addr any = *a;
    if (len >= sizeof(a->in) && a->family == AF_UNSPEC && !a->in.sin_addr.s_addr)
        any.family = AF_INET; // as Linux, for old programs
    int err = parse_addr(&any, len, &addr);
    return err ? err : sock_bind(s->inet, &addr);
}

static int inet_connect(struct socket *s, const union socket_addr *a, unsigned len, bool nonblock)
{
    struct sock_addr addr = {0, 0};
    if (a->family != AF_UNSPEC) {
        int err = parse_addr(a, len, &addr);
        if (err)
            return err;
        if (!addr.ip)
            addr.ip = 0x7f000001;
    }
    return sock_connect(s->inet, &addr, nonblock);
}

static int inet_listen(struct socket *s, int backlog)
{
    return sock_listen(s->inet, backlog);
}

static struct socket *inet_wrap(struct sock *inet);

static int inet_accept(struct socket *s, struct socket **out, bool nonblock)
{
    struct sock *conn;
    int err = sock_accept(s->inet, &conn, NULL, nonblock);
    if (err)
        return err;
    *out = inet_wrap(conn);
    return *out ? 0 : -ENOMEM;
}

static int inet_name(struct socket *s, bool peer, union socket_addr *out, unsigned *len)
{
    struct sock_addr a;
    int err = peer ? sock_getpeer(s->inet, &a) : sock_getname(s->inet, &a);
    if (!err)
        make_addr(&a, out, len);
    return err;
}

static ssize_t_k inet_send(struct socket *s, struct socket_msg *m)
{
    struct sock_copy from = {.copy_from = copy_from_iter, .ctx = m->it};
    struct sock_addr to;
    bool named = m->addr_len && sock_type(s->inet) != SOCK_STREAM;
    if (m->rights)
        return -EINVAL;
    if (named) {
        int err = parse_addr(&m->addr, m->addr_len, &to);
        if (err)
            return err;
    }
    return sock_send(s->inet, &from, m->it->left, m->flags, named ? &to : NULL);
}

static ssize_t_k inet_recv(struct socket *s, struct socket_msg *m)
{
    struct sock_copy to = {.copy_to = copy_to_iter, .ctx = m->it};
    struct sock_addr from = {0, 0};
    uint32_t dst = 0;
    unsigned if_index = 0;
    bool dgram = sock_type(s->inet) != SOCK_STREAM;
    size_t len = m->it->left;
    if (dgram && sock_peek_dst(s->inet, &dst, &if_index)) {
        m->pktinfo.have = true;
        m->pktinfo.dst = dst;
        m->pktinfo.if_index = if_index;
    }
    ssize_t_k n = sock_recv(s->inet, &to, len, m->flags, &from, &m->out_flags);
    if (n >= 0 && dgram)
        make_addr(&from, &m->addr, &m->addr_len);
    return n;
}

static int inet_shutdown(struct socket *s, int how)
{
    return sock_shutdown(s->inet, how);
}

static int inet_setopt(struct socket *s, int level, int name, const void *val, unsigned len)
{
    return sock_setopt(s->inet, level, name, val, len);
}

static int inet_getopt(struct socket *s, int level, int name, void *val, unsigned *len)
{
    return sock_getopt(s->inet, level, name, val, len);
}

static unsigned inet_poll(struct socket *s, struct poll_table *pt)
{
    poll_wait_on(pt, sock_wait_queue(s->inet));
    return sock_poll(s->inet);
}

// --- interface requests (netdevice(7)) ---
struct ifreq { // the C library's <net/if.h>
    char name[16];
    union {
        struct {
            uint16_t family;
            uint8_t data[14];
        } addr;
        int16_t flags;
        int32_t value;
        uint8_t pad[24];
    } u;
};
struct ifconf {
    int32_t len;
    void *buf;
};

static void ifreq_addr(struct ifreq *r, uint32_t ip)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = cpu_to_be32(ip)};
    memcpy(&r->u.addr, &in, sizeof(in));
}

static long inet_ifconf(unsigned long arg)
{
    struct ifconf c;
    struct net_if_info info;
    int used = 0;
    if (copy_in(&c, (const void *)arg, sizeof(c)))
        return -EFAULT;
    for (unsigned i = 1; !net_if_get(i, &info); i++) {
        struct ifreq r = {0};
        if (!info.ip)
            continue;
        memcpy(r.name, info.name, sizeof(r.name));
        ifreq_addr(&r, info.ip);
        if (c.buf) {
            if (c.len - used < (int)sizeof(r))
                break;
            if (copy_out((char *)c.buf + used, &r, sizeof(r)))
                return -EFAULT;
        }
        used += (int)sizeof(r);
    }
    c.len = used;
    return copy_out((void *)arg, &c, sizeof(c));
}

static long inet_ifreq(unsigned cmd, unsigned long arg)
{
    struct ifreq r;
    struct net_if_info info;
    unsigned i;
    if (copy_in(&r, (const void *)arg, sizeof(r)))
        return -EFAULT;
    r.name[sizeof(r.name) - 1] = 0;
    for (i = 1; !net_if_get(i, &info); i++)
        if (cmd == SIOCGIFNAME ? (int)i == r.u.value : !strcmp(r.name, info.name))
            break;
    if (net_if_get(i, &info))
        return -ENODEV;
    uint32_t mask = info.prefix ? ~0u << (32 - info.prefix) : 0;
    if ((cmd == SIOCGIFADDR || cmd == SIOCGIFNETMASK || cmd == SIOCGIFBRDADDR) && !info.ip)
        return -EADDRNOTAVAIL;
    memset(&r.u, 0, sizeof(r.u));
    switch (cmd) {
    case SIOCGIFNAME:
        memcpy(r.name, info.name, sizeof(r.name));
        r.u.value = (int)i;
        break;
    case SIOCGIFFLAGS:
        r.u.flags = (int16_t)info.flags;
        break;
    case SIOCGIFADDR:
        ifreq_addr(&r, info.ip);
        break;
    case SIOCGIFNETMASK:
        ifreq_addr(&r, mask);
        break;
    case SIOCGIFBRDADDR:
        ifreq_addr(&r, i == 1 ? 0 : info.ip | ~mask);
        break;
    case SIOCGIFMTU:
        r.u.value = (int)info.mtu;
        break;
    case SIOCGIFHWADDR:
        r.u.addr.family = i == 1 ? 772 : 1; // ARPHRD_LOOPBACK, ARPHRD_ETHER
        memcpy(r.u.addr.data, info.mac, 6);
        break;
    case SIOCGIFINDEX:
        r.u.value = (int)i;
        break;
    case SIOCGIFMETRIC:
        break;
    default:
        return -ENOTTY;
    }
    return copy_out((void *)arg, &r, sizeof(r));
}

static long inet_ioctl(struct socket *s, unsigned cmd, unsigned long arg)
{
    int n;
    switch (cmd) {
    case FIONREAD:
        n = (int)sock_inq(s->inet);
        return copy_out((void *)arg, &n, sizeof(n));
    case TIOCOUTQ:
        n = (int)sock_outq(s->inet);
        return copy_out((void *)arg, &n, sizeof(n));
    case SIOCATMARK:
        n = 0;
        return copy_out((void *)arg, &n, sizeof(n));
    case SIOCGIFCONF:
        return inet_ifconf(arg);
    default:
        return cmd >> 8 == 0x89 ? inet_ifreq(cmd, arg) : -ENOTTY;
    }
}

static void inet_release(struct socket *s)
{
    sock_close(s->inet);
    kfree(s);
}

static const struct socket_ops inet_ops = {
    .bind = inet_bind,
    .connect = inet_connect,
    .listen = inet_listen,
    .accept = inet_accept,
    .name = inet_name,
    .send = inet_send,
    .recv = inet_recv,
    .shutdown = inet_shutdown,
    .setopt = inet_setopt,
    .getopt = inet_getopt,
    .poll = inet_poll,
    .ioctl = inet_ioctl,
    .release = inet_release,
};

// Takes the socket over; closes it when memory is short.
static struct socket *inet_wrap(struct sock *inet)
{
    struct socket *s = kzalloc(sizeof(*s));
    if (!s) {
        sock_close(inet);
        return NULL;
    }
    s->ops = &inet_ops;
    s->inet = inet;
    return s;
}

int inet_socket(int type, int protocol, struct socket **out)
{
    struct sock *inet;
    if (type == SOCK_RAW)
        return -EPERM; // as for a program without CAP_NET_RAW
    if (type != SOCK_STREAM && type != SOCK_DGRAM)
        return -ESOCKTNOSUPPORT;
    int err = sock_create(type, protocol, &inet);
    if (err)
        return err;
    *out = inet_wrap(inet);
    return *out ? 0 : -ENOMEM;
}

// --- sendfile ---
// extent() only tells runs of the root file, which lies in memory, unchanged, for good.
static void nothing_to_release(void *arg)
{
    (void)arg;
}

long socket_sendfile(struct file *sock, struct file *in, uint64_t *pos, size_t count)
{
    struct socket *s = socket_of(sock);
    struct vm_object *o;
    struct stat st;
    if (!s || !s->inet || sock_type(s->inet) != SOCK_STREAM || !in->ops->map_object ||
        vfs_fstat(in, &st))
        return -EOPNOTSUPP;
    if (*pos >= (uint64_t)st.st_size)
        return 0;
    count = MIN(count, (size_t)((uint64_t)st.st_size - *pos));
    if (in->ops->map_object(in, &o, 1 /* PROT_READ */, 2 /* MAP_PRIVATE */))
        return -EOPNOTSUPP;
    size_t done = 0;
    long r = o->ops->extent ? 0 : -EOPNOTSUPP;
    int flags = sock->flags & O_NONBLOCK ? MSG_DONTWAIT : 0;
    while (!r && done < count) {
        uint64_t pa = 0, off = *pos % PAGE_SIZE;
        uint64_t pages = o->ops->extent(o, *pos / PAGE_SIZE, &pa);
        if (!pages) {
            r = -EOPNOTSUPP;
            break;
        }
        size_t n = MIN(count - done, (size_t)(pages * PAGE_SIZE - off));
        n = MIN(n, (size_t)256 << 10); // backpressure works in pieces of the send buffer's size
        r = sock_send_ref(s->inet, (const uint8_t *)pa_to_va(pa) + off, n,
                          flags | (done + n < count ? MSG_MORE : 0), nothing_to_release, NULL);
        if (r < 0)
            break;
        r = 0;
        *pos += n;
        done += n;
    }
    if (o->ops->unref)
        o->ops->unref(o);
    // Copying the rest is right too when some went by reference.
    return done ? (long)done : r;
}

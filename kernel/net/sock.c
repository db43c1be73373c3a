// SPDX-License-Identifier: ISC
// Sockets: what the kernel calls (net.h), handed to TCP or UDP; options of SOL_SOCKET and
// IPPROTO_IP.
#include <asm/socket.h>
#include "net/sock.h"

unsigned net_somaxconn = SOCK_SOMAXCONN;

static bool is_tcp(const struct sock *s)
{
    return s->proto == IPPROTO_TCP;
}

void sock_init(struct sock *s, int type, int proto)
{
    s->type = (uint8_t)type;
    s->proto = (uint8_t)proto;
    s->ttl = 64;
    wait_queue_init(&s->wq);
    list_init(&s->rxq);
    s->rcvbuf = proto == IPPROTO_TCP ? TCP_RCVBUF_DEFAULT : UDP_RCVBUF_DEFAULT;
    s->sndbuf = proto == IPPROTO_TCP ? TCP_SNDBUF_DEFAULT : UDP_SNDBUF_DEFAULT;
}

void sock_wake(struct sock *s, unsigned events)
{
    if (wait_has_waiters(&s->wq))
        wait_wake_all(&s->wq, events);
}

void sock_set_error(struct sock *s, int err)
{
    s->error = err;
    sock_wake(s, EPOLLERR | EPOLLIN | EPOLLOUT | EPOLLRDNORM | EPOLLWRNORM);
}

int sock_take_error(struct sock *s)
{
    int err = s->error;
    s->error = 0;
    return -err;
}

int sock_claim(struct sock *s, bool *busy, uint64_t deadline)
{
    while (*busy) {
        if (!deadline)
            return -EAGAIN;
        int err = SOCK_WAIT(s, !*busy, deadline);
        if (err)
            return err;
    }
    *busy = true;
    return 0;
}

void sock_unclaim(struct sock *s, bool *busy)
{
    *busy = false;
    // Level-triggered waiters look again; there is rarely one.
    if (wait_has_waiters(&s->wq))
        wait_wake_all(&s->wq, 0);
}

int sock_create(int type, int protocol, struct sock **out)
{
    if (type == SOCK_STREAM && (protocol == 0 || protocol == IPPROTO_TCP)) {
        *out = tcp_create();
    } else if (type == SOCK_DGRAM && (protocol == 0 || protocol == IPPROTO_UDP)) {
        *out = kzalloc(sizeof(**out));
        if (*out)
            sock_init(*out, type, IPPROTO_UDP);
    } else {
        return -EPROTONOSUPPORT;
    }
    return *out ? 0 : -ENOMEM;
}

void sock_close(struct sock *s)
{
    if (is_tcp(s))
        tcp_close(s);
    else
        udp_close(s);
}

int sock_bind(struct sock *s, const struct sock_addr *a)
{
    int err = 0;
    net_lock();
    struct net_if *first = net_if_count > 1 ? &net_ifs[1] : &net_ifs[0];
    bool ours = !a->ip || net_is_local(a->ip) ||
                (!is_tcp(s) && (net_is_broadcast(first, a->ip) || ip_is_multicast(a->ip)));
    if (s->bound || s->lport || (is_tcp(s) && tcp_has_peer(s)))
        err = -EINVAL;
    else if (!ours)
        err = -EADDRNOTAVAIL;
    else
        err = port_bind(s, a->ip, a->port);
    net_unlock();
    return err;
}

int sock_listen(struct sock *s, int backlog)
{
    return is_tcp(s) ? tcp_listen(s, backlog) : -EOPNOTSUPP;
}

int sock_accept(struct sock *s, struct sock **out, struct sock_addr *peer, bool nonblock)
{
    return is_tcp(s) ? tcp_accept(s, out, peer, nonblock) : -EOPNOTSUPP;
}

int sock_connect(struct sock *s, const struct sock_addr *a, bool nonblock)
{
    return is_tcp(s) ? tcp_connect(s, a, nonblock) : udp_connect(s, a);
}

ssize_t_k sock_send(struct sock *s, struct sock_copy *from, size_t len, int flags,
                    const struct sock_addr *to)
{
    return is_tcp(s) ? tcp_send(s, from, len, flags) : udp_send(s, from, len, flags, to);
}

ssize_t_k sock_recv(struct sock *s, struct sock_copy *to, size_t len, int flags,
                    struct sock_addr *from, int *out_flags)
{
    if (flags & (MSG_OOB | MSG_ERRQUEUE))
        return flags & MSG_OOB ? -EINVAL : -EAGAIN;
    if (!is_tcp(s))
        return udp_recv(s, to, len, flags, from, out_flags);
    ssize_t_k n = tcp_recv(s, to, len, flags);
    if (n >= 0 && from)
        *from = (struct sock_addr){s->raddr, s->rport};
    return n;
}

ssize_t_k sock_send_ref(struct sock *s, const void *bytes, size_t len, int flags,
                        void (*release)(void *), void *arg)
{
    return is_tcp(s) ? tcp_send_ref(s, bytes, len, flags, release, arg) : -EOPNOTSUPP;
}

int sock_shutdown(struct sock *s, int how)
{
    if (how < SHUT_RD || how > SHUT_RDWR)
        return -EINVAL;
    if (is_tcp(s))
        return tcp_shutdown(s, how);
    net_lock();
    int err = s->rport ? 0 : -ENOTCONN;
    s->shut |= (uint8_t)(how + 1);
    sock_wake(s, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP);
    net_unlock();
    return err;
}

int sock_getname(struct sock *s, struct sock_addr *out)
{
    *out = (struct sock_addr){s->laddr, s->lport};
    return 0;
}

int sock_getpeer(struct sock *s, struct sock_addr *out)
{
    if (is_tcp(s) ? !tcp_has_peer(s) : !s->rport)
        return -ENOTCONN;
    *out = (struct sock_addr){s->raddr, s->rport};
    return 0;
}

unsigned sock_poll(struct sock *s)
{
    return is_tcp(s) ? tcp_poll(s) : udp_poll(s);
}

struct wait_queue *sock_wait_queue(struct sock *s)
{
    return &s->wq;
}

unsigned sock_inq(struct sock *s)
{
    if (is_tcp(s))
        return s->rx_bytes;
    net_lock();
    unsigned n = list_empty(&s->rxq) ? 0 : list_first(&s->rxq, struct pktbuf, link)->total;
    net_unlock();
    return n;
}

unsigned sock_outq(struct sock *s)
{
    return is_tcp(s) ? tcp_outq(s) : 0;
}

int sock_type(struct sock *s)
{
    return s->type;
}

bool sock_peek_dst(struct sock *s, uint32_t *ip, unsigned *if_index)
{
    if (is_tcp(s) || !s->pktinfo)
        return false;
    net_lock();
    bool have = !list_empty(&s->rxq);
    if (have) {
        uint64_t stamp = list_first(&s->rxq, struct pktbuf, link)->stamp;
        *ip = (uint32_t)stamp;
        *if_index = (unsigned)(stamp >> 32);
    }
    net_unlock();
    return have;
}

// --- options ---
static int opt_timeval(const void *val, unsigned len, uint64_t *out)
{
    int64_t tv[2];
    if (len < sizeof(tv))
        return -EINVAL;
    memcpy(tv, val, sizeof(tv));
    if (tv[1] < 0 || tv[1] >= 1000000)
        return -EDOM;
    if (tv[0] < 0)
        *out = 1; // Linux: times out at once
    else if (tv[0] > 1000000000)
        *out = 0;
    else
        *out = (uint64_t)tv[0] * NSEC_PER_SEC + (uint64_t)tv[1] * NSEC_PER_USEC;
    return 0;
}

static uint32_t opt_bufsize(int v)
{
    // Linux doubles what is asked for, to account for its overhead; getsockopt shows the double.
    uint32_t n = v < 0 || (uint32_t)v > SOCK_BUF_MAX / 2 ? SOCK_BUF_MAX : (uint32_t)v * 2;
    return MAX(n, SOCK_BUF_MIN);
}

static int setopt_socket(struct sock *s, int name, const void *val, unsigned len)
{
    int v = 0;
    if (len >= sizeof(v))
        memcpy(&v, val, sizeof(v));
    else if (name != SO_BINDTODEVICE)
        return -EINVAL;
    switch (name) {
    case SO_REUSEADDR:
        s->reuseaddr = v;
        return 0;
    case SO_REUSEPORT:
        s->reuseport = v;
        return 0;
    case SO_BROADCAST:
        s->broadcast = v;
        return 0;
    case SO_KEEPALIVE:
        s->keepalive = v;
        if (is_tcp(s))
            tcp_keepalive_changed(s);
        return 0;
    case SO_LINGER:
        if (len < 8)
            return -EINVAL;
        s->linger_on = v;
        memcpy(&v, (const char *)val + 4, sizeof(v));
        s->linger_s = (uint32_t)(v < 0 ? 0 : v);
        return 0;
    case SO_SNDBUF:
    case SO_SNDBUFFORCE:
        s->sndbuf = opt_bufsize(v);
        s->sndbuf_fixed = true;
        return 0;
    case SO_RCVBUF:
    case SO_RCVBUFFORCE:
        s->rcvbuf = opt_bufsize(v);
        s->rcvbuf_fixed = true;
        return 0;
    case SO_RCVTIMEO_OLD:
    case SO_RCVTIMEO_NEW:
        return opt_timeval(val, len, &s->rcvtimeo);
    case SO_SNDTIMEO_OLD:
    case SO_SNDTIMEO_NEW:
        return opt_timeval(val, len, &s->sndtimeo);
    case SO_OOBINLINE: // urgent data is always in line (RFC 6093)
    case SO_DONTROUTE:
    case SO_PRIORITY:
    case SO_RCVLOWAT: // hints that change no promise
    case SO_MARK:
    case SO_BUSY_POLL:
    case SO_INCOMING_CPU:
    case SO_NO_CHECK:
    case SO_DEBUG:
        return 0;
    default:
        return -ENOPROTOOPT;
    }
}

static int setopt_ip(struct sock *s, int name, const void *val, unsigned len)
{
    int v = 0;
    if (len >= sizeof(v))
        memcpy(&v, val, sizeof(v));
    else if (len >= 1)
        v = *(const uint8_t *)val;
    else
        return -EINVAL;
    switch (name) {
    case IP_TOS:
        s->tos = (uint8_t)v;
        return 0;
    case IP_TTL:
        if (v != -1 && (v < 1 || v > 255))
            return -EINVAL;
        s->ttl = (uint8_t)(v == -1 ? 64 : v);
        return 0;
    case IP_PKTINFO:
        s->pktinfo = v;
        return 0;
    case IP_MTU_DISCOVER:
    case IP_MULTICAST_TTL:
    case IP_MULTICAST_LOOP:
    case IP_BIND_ADDRESS_NO_PORT:
    case IP_FREEBIND:
        return 0;
    case IP_RECVERR:
        return v ? -ENOPROTOOPT : 0;
    default:
        return -ENOPROTOOPT;
    }
}

int sock_setopt(struct sock *s, int level, int name, const void *val, unsigned len)
{
    int err = -ENOPROTOOPT;
    net_lock();
    if (level == SOL_SOCKET)
        err = setopt_socket(s, name, val, len);
    else if (level == IPPROTO_IP)
        err = setopt_ip(s, name, val, len);
    else if (level == IPPROTO_TCP && is_tcp(s))
        err = tcp_setopt(s, name, val, len);
    net_unlock();
    return err;
}

static int getopt_socket(struct sock *s, int name, void *val, unsigned *len)
{
    union {
        int v;
        int two[2];
        int64_t tv[2];
    } out = {.v = 0};
    unsigned n = sizeof(int);
    switch (name) {
    case SO_TYPE:
        out.v = s->type;
        break;
    case SO_PROTOCOL:
        out.v = s->proto;
        break;
    case SO_DOMAIN:
        out.v = 2; // AF_INET
        break;
    case SO_ERROR:
        out.v = -sock_take_error(s);
        break;
    case SO_REUSEADDR:
        out.v = s->reuseaddr;
        break;
    case SO_REUSEPORT:
        out.v = s->reuseport;
        break;
    case SO_BROADCAST:
        out.v = s->broadcast;
        break;
    case SO_KEEPALIVE:
        out.v = s->keepalive;
        break;
    case SO_ACCEPTCONN:
        out.v = is_tcp(s) && tcp_is_listening(s);
        break;
    case SO_SNDBUF:
        out.v = (int)s->sndbuf;
        break;
    case SO_RCVBUF:
        out.v = (int)s->rcvbuf;
        break;
    case SO_RCVLOWAT:
    case SO_SNDLOWAT:
        out.v = 1;
        break;
    case SO_LINGER:
        out.two[0] = s->linger_on;
        out.two[1] = (int)s->linger_s;
        n = 8;
        break;
    case SO_RCVTIMEO_OLD:
    case SO_RCVTIMEO_NEW:
    case SO_SNDTIMEO_OLD:
    case SO_SNDTIMEO_NEW: {
        uint64_t t = name == SO_RCVTIMEO_OLD || name == SO_RCVTIMEO_NEW ? s->rcvtimeo : s->sndtimeo;
        out.tv[0] = (int64_t)(t / NSEC_PER_SEC);
        out.tv[1] = (int64_t)(t % NSEC_PER_SEC / NSEC_PER_USEC);
        n = sizeof(out.tv);
        break;
    }
    case SO_OOBINLINE:
    case SO_DONTROUTE:
    case SO_PRIORITY:
    case SO_MARK:
    case SO_DEBUG:
        break;
    default:
        return -ENOPROTOOPT;
    }
    *len = MIN(*len, n);
    memcpy(val, &out, *len);
    return 0;
}

int sock_getopt(struct sock *s, int level, int name, void *val, unsigned *len)
{
    int err = -ENOPROTOOPT;
    net_lock();
    if (level == SOL_SOCKET) {
        err = getopt_socket(s, name, val, len);
    } else if (level == IPPROTO_IP) {
        int v = name == IP_TOS ? s->tos : name == IP_TTL ? s->ttl : s->pktinfo;
        if (name == IP_TOS || name == IP_TTL || name == IP_PKTINFO) {
            *len = MIN(*len, (unsigned)sizeof(v));
            memcpy(val, &v, *len);
            err = 0;
        }
    } else if (level == IPPROTO_TCP && is_tcp(s)) {
        err = tcp_getopt(s, name, val, len);
    }
    net_unlock();
    return err;
}

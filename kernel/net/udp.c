// SPDX-License-Identifier: ISC
// UDP (RFC 768, RFC 1122 section 4.1). A received datagram stays in the driver's buffer until it is
// read; its source lies in the buffer's scratch fields (tcp_seq address, tcp_end port, stamp:
// destination address and interface).
#include "net/sock.h"

static uint32_t udp_rx_total; // memory in receive queues of all UDP sockets

// How well a socket fits a datagram; 0: not at all.
static unsigned score(const struct sock *s, uint32_t laddr, uint16_t lport, uint32_t raddr,
                      uint16_t rport)
{
    unsigned n = 1;
    if (s->lport != lport)
        return 0;
    if (s->laddr) {
        if (s->laddr != laddr)
            return 0;
        n += 2;
    }
    if (s->rport) {
        if (s->rport != rport || s->raddr != raddr)
            return 0;
        n += 4;
    }
    return n;
}

static struct sock *udp_find(uint32_t laddr, uint16_t lport, uint32_t raddr, uint16_t rport)
{
    struct sock *best = NULL;
    unsigned best_score = 0, equals = 0;
    for (struct sock *s = port_chain(IPPROTO_UDP, lport); s; s = s->port_next) {
        unsigned n = score(s, laddr, lport, raddr, rport);
        if (n > best_score) {
            best = s;
            best_score = n;
            equals = 1;
        } else if (n && n == best_score && s->reuseport) {
            // SO_REUSEPORT: one of the equals, the same one for the same peer.
            uint32_t h = (raddr ^ (uint32_t)rport << 16 ^ rport) * 0x9e3779b1u;
            if ((uint64_t)h * ++equals >> 32 == 0)
                best = s;
        }
    }
    return best;
}

// Takes p.
static void udp_queue(struct sock *s, const struct ip_info *info, uint16_t rport, struct pktbuf *p)
{
    uint32_t memory = pkt_memory(p);
    uint64_t live, limit;
    pkt_stats(&live, &limit);
    if (s->rx_mem + memory > s->rcvbuf + 2048 || s->shut & SHUT_BIT_RD ||
        (udp_rx_total + memory > limit / 2 && !list_empty(&s->rxq))) {
        info->nif->dev->rx_dropped++;
        pkt_free(p);
        return;
    }
    p->tcp_seq = info->src;
    p->tcp_end = rport;
    p->stamp = (uint64_t)info->nif->index << 32 | info->dst;
    s->rx_mem += memory;
    s->rx_bytes += p->total;
    udp_rx_total += memory;
    list_add_tail(&p->link, &s->rxq);
    sock_wake(s, EPOLLIN | EPOLLRDNORM);
}

static void udp_unqueue(struct sock *s, struct pktbuf *p)
{
    uint32_t memory = pkt_memory(p);
    list_del(&p->link);
    s->rx_mem -= memory;
    s->rx_bytes -= p->total;
    udp_rx_total -= memory;
}

void udp_input(const struct ip_info *info, struct pktbuf *p)
{
    if (!pkt_pull_up(p, sizeof(struct udp_hdr)))
        goto drop;
    struct udp_hdr h;
    memcpy(&h, p->data, sizeof(h));
    uint32_t len = be16_to_cpu(h.len);
    if (len < sizeof(h) || len > p->total)
        goto drop;
    pkt_trim(p, len);
    if (h.csum && !ip_transport_csum_ok(p, info))
        goto drop;
    uint16_t sport = be16_to_cpu(h.sport), dport = be16_to_cpu(h.dport);
    if (info->nif->dhcp && dport == 68) {
        pkt_pull(p, sizeof(h));
        dhcp_input(info->nif, p);
        pkt_free(p);
        return;
    }
    if (info->to_broadcast) {
        // Every fitting socket gets a copy.
        for (struct sock *s = port_chain(IPPROTO_UDP, dport); s; s = s->port_next) {
            if (!score(s, s->laddr, dport, info->src, sport) || (s->laddr && s->laddr != info->dst))
                continue;
            struct pktbuf *copy = pkt_alloc(p->total - (uint32_t)sizeof(h));
            if (!copy)
                break;
            uint32_t n = p->total - (uint32_t)sizeof(h);
            pkt_copy_out(p, sizeof(h), pkt_put(copy, n), n);
            udp_queue(s, info, sport, copy);
        }
        pkt_free(p);
        return;
    }
    struct sock *s = udp_find(info->dst, dport, info->src, sport);
    if (!s) {
        icmp_error(info, p, ICMP_UNREACH, ICMP_UNREACH_PORT);
        pkt_free(p);
        return;
    }
    pkt_pull(p, sizeof(h));
    udp_queue(s, info, sport, p);
    return;
drop:
    info->nif->dev->rx_dropped++;
    pkt_free(p);
}

void udp_icmp(uint32_t laddr, uint32_t raddr, const uint8_t l4[8], int err)
{
    uint16_t lport = get_be16(l4), rport = get_be16(l4 + 2);
    for (struct sock *s = port_chain(IPPROTO_UDP, lport); s; s = s->port_next)
        // Only a connected socket can tell which of its sends failed.
        if (s->rport == rport && s->raddr == raddr && score(s, laddr, lport, raddr, rport) &&
            (err == ECONNREFUSED || err == EMSGSIZE || err == ENOPROTOOPT))
            sock_set_error(s, err);
}

static int udp_autobind(struct sock *s)
{
    return s->bound ? 0 : port_bind(s, s->laddr, 0);
}

int udp_connect(struct sock *s, const struct sock_addr *a)
{
    net_lock();
    int err = 0;
    struct ip_route route;
    struct sock_addr to = *a;
    if (!to.ip && !to.port) { // AF_UNSPEC: dissolve
        s->raddr = 0;
        s->rport = 0;
        goto out;
    }
    if (!to.ip)
        to.ip = 0x7f000001;
    err = ip_route(to.ip, &route);
    if (!err && net_is_broadcast(route.nif, to.ip) && !s->broadcast)
        err = -EACCES;
    if (!err)
        err = udp_autobind(s);
    if (err)
        goto out;
    if (!s->laddr)
        s->laddr = route.src;
    s->raddr = to.ip;
    s->rport = to.port;
out:
    net_unlock();
    return err;
}

ssize_t_k udp_send(struct sock *s, struct sock_copy *from, size_t len, int flags,
                   const struct sock_addr *to)
{
    if (flags & MSG_OOB)
        return -EOPNOTSUPP;
    if (len > 65507)
        return -EMSGSIZE;
    struct sock_addr dst = to ? *to : (struct sock_addr){s->raddr, s->rport};
    if (!to && !s->rport)
        return -EDESTADDRREQ;
    if (!dst.port)
        return -EINVAL;
    if (!dst.ip)
        dst.ip = 0x7f000001;
    struct pktbuf *p = pkt_alloc((uint32_t)len);
    if (!p)
        return -ENOBUFS;
    int err = len ? from->copy_from(from->ctx, pkt_put(p, (uint32_t)len), len) : 0;
    if (err) {
        pkt_free(p);
        return err;
    }
    net_lock();
    struct ip_route route;
    err = sock_take_error(s);
    if (!err && s->shut & SHUT_BIT_WR)
        err = -EPIPE;
    if (!err)
        err = ip_route(dst.ip, &route);
    if (!err && net_is_broadcast(route.nif, dst.ip) && !s->broadcast)
        err = -EACCES;
    if (!err)
        err = udp_autobind(s);
    if (err) {
        net_unlock();
        pkt_free(p);
        return err;
    }
    uint32_t src = s->laddr ? s->laddr : route.src;
    struct udp_hdr *h = pkt_push(p, sizeof(*h));
    h->sport = cpu_to_be16(s->lport);
    h->dport = cpu_to_be16(dst.port);
    h->len = cpu_to_be16((uint16_t)(len + sizeof(*h)));
    h->csum = 0;
    ip_transport_csum(p, route.nif, src, dst.ip, IPPROTO_UDP, offsetof(struct udp_hdr, csum));
    err = ip_output(p, &route, src, dst.ip, IPPROTO_UDP, s->ttl, s->tos, 0);
    net_unlock();
    return err ? err : (ssize_t_k)len;
}

ssize_t_k udp_recv(struct sock *s, struct sock_copy *to, size_t len, int flags,
                   struct sock_addr *from, int *out_flags)
{
    net_lock();
    uint64_t deadline = sock_deadline(s->rcvtimeo, flags & MSG_DONTWAIT);
    int err = 0;
    while (list_empty(&s->rxq)) {
        err = sock_take_error(s);
        if (err)
            break;
        if (s->shut & SHUT_BIT_RD) {
            net_unlock();
            return 0;
        }
        if (!deadline) {
            err = -EAGAIN;
            break;
        }
        err = SOCK_WAIT(s, !list_empty(&s->rxq) || s->error || s->shut & SHUT_BIT_RD, deadline);
        if (err)
            break;
    }
    if (err) {
        net_unlock();
        return err;
    }
    struct pktbuf *p = list_first(&s->rxq, struct pktbuf, link);
    if (flags & MSG_PEEK)
        pkt_ref(p);
    else
        udp_unqueue(s, p);
    net_unlock();
    if (from)
        *from = (struct sock_addr){p->tcp_seq, (uint16_t)p->tcp_end};
    uint32_t total = p->total;
    size_t left = MIN(len, (size_t)total);
    ssize_t_k n = (ssize_t_k)left;
    for (struct pktbuf *f = p; left && !err; f = f->frag) {
        size_t take = MIN(left, (size_t)f->len);
        err = take ? to->copy_to(to->ctx, f->data, take) : 0;
        left -= take;
    }
    pkt_free(p);
    if (err)
        return err;
    if (total > len) {
        if (out_flags)
            *out_flags |= MSG_TRUNC;
        if (flags & MSG_TRUNC)
            n = total;
    }
    return n;
}

unsigned udp_poll(struct sock *s)
{
    unsigned ev = EPOLLOUT | EPOLLWRNORM;
    if (!list_empty(&s->rxq))
        ev |= EPOLLIN | EPOLLRDNORM;
    if (s->error)
        ev |= EPOLLERR;
    if (s->shut & SHUT_BIT_RD)
        ev |= EPOLLIN | EPOLLRDNORM | EPOLLRDHUP;
    if (s->shut == (SHUT_BIT_RD | SHUT_BIT_WR))
        ev |= EPOLLHUP;
    return ev;
}

void udp_close(struct sock *s)
{
    net_lock();
    port_unbind(s);
    while (!list_empty(&s->rxq)) {
        struct pktbuf *p = list_first(&s->rxq, struct pktbuf, link);
        udp_unqueue(s, p);
        pkt_free(p);
    }
    net_unlock();
    kfree(s);
}

// SPDX-License-Identifier: ISC
// TCP: what programs call: connect, send, receive, shutdown, close, readiness.
#include "net/tcp.h"

#define CHUNK_COALESCE 1024u  // a small write joins the last unsent chunk
#define PUSH_BYTES     65536u // send while a large write is still being copied
// A writer looks so often whether there is memory for packets again.
#define MEMORY_RETRY_NS (5 * NSEC_PER_MSEC)

struct sock *tcp_create(void)
{
    struct tcp_sock *t = tcp_alloc();
    return t ? &t->s : NULL;
}

bool tcp_is_listening(struct sock *s)
{
    return tcp_of(s)->state == TCPS_LISTEN;
}

bool tcp_has_peer(struct sock *s)
{
    uint8_t state = tcp_of(s)->state;
    return state != TCPS_CLOSED && state != TCPS_LISTEN && state != TCPS_SYN_SENT;
}

unsigned tcp_outq(struct sock *s)
{
    struct tcp_sock *t = tcp_of(s);
    return t->state == TCPS_LISTEN || t->state == TCPS_CLOSED ? 0 : tcp_queued(t);
}

void tcp_keepalive_changed(struct sock *s)
{
    tcp_arm_keepalive(tcp_of(s));
}

// --- connect ---
// A local port for this peer: the one bound, or an ephemeral one whose four-tuple is free.
static int pick_port(struct tcp_sock *t, uint32_t laddr, const struct sock_addr *a, uint16_t *out)
{
    struct tcp_entry *e;
    if (t->s.lport) {
        e = tcp_lookup(laddr, t->s.lport, a->ip, a->port);
        if (e && e->kind == TCP_KIND_TW) {
            tcp_tw_free(container_of(e, struct tcp_tw, e)); // our ISS and timestamps go on rising
            e = NULL;
        }
        *out = t->s.lport;
        return e ? -EADDRNOTAVAIL : 0;
    }
    uint32_t range = PORT_EPHEMERAL_MAX - PORT_EPHEMERAL_MIN + 1;
    uint32_t start = port_ephemeral_start(laddr, a->ip, a->port) - PORT_EPHEMERAL_MIN;
    for (uint32_t i = 0; i < range; i++) {
        uint16_t port = (uint16_t)(PORT_EPHEMERAL_MIN + (start + i) % range);
        bool bound = false;
        for (struct sock *o = port_chain(IPPROTO_TCP, port); o && !bound; o = o->port_next)
            bound = o->lport == port;
        if (!bound && !tcp_lookup(laddr, port, a->ip, a->port)) {
            *out = port;
            return 0;
        }
    }
    return -EADDRNOTAVAIL;
}

// The structure of a connection that ended can open another one.
static void forget(struct tcp_sock *t)
{
    t->s.shut = 0;
    t->s.error = 0;
    t->fin_queued = t->fin_sent = t->fin_rcvd = t->ack_now = t->persist = false;
    t->retries = t->recovery = t->dupacks = t->keep_sent = 0;
    t->tlp_sent = false;
    t->srtt = t->rttvar = t->min_rtt = 0;
    t->rto = TCP_RTO_INIT_US;
    t->ssthresh = UINT32_MAX;
    t->rtt_start = t->rtx_since = t->idle_since = t->cubic_epoch = 0;
    t->soft_error = 0;
    t->sack_count = 0;
}

static int connect_start(struct tcp_sock *t, struct sock_addr a)
{
    struct ip_route route;
    if (!a.ip)
        a.ip = 0x7f000001;
    int err = ip_route(a.ip, &route);
    if (err)
        return err;
    if (ip_is_multicast(a.ip) || net_is_broadcast(route.nif, a.ip))
        return -ENETUNREACH;
    uint32_t laddr = t->s.laddr ? t->s.laddr : route.src;
    uint16_t lport;
    err = pick_port(t, laddr, &a, &lport);
    if (err)
        return err;
    forget(t);
    t->e.laddr = t->s.laddr = laddr;
    t->e.lport = t->s.lport = lport;
    t->e.raddr = t->s.raddr = a.ip;
    t->e.rport = t->s.rport = a.port;
    t->route = route;
    t->iss = tcp_new_iss(laddr, lport, a.ip, a.port);
    t->ts_offset = tcp_new_ts_offset(laddr, lport, a.ip, a.port);
    t->snd_una = t->iss;
    t->snd_nxt = t->snd_end = t->push_seq = t->iss + 1;
    t->adv_mss = (uint32_t)route.nif->dev->mtu - 40;
    t->state = TCPS_SYN_SENT;
    t->was_connecting = true;
    tcp_hash_add(&t->e);
    t->rtt_start = net_now;
    t->rtt_seq = t->snd_nxt;
    tcp_send_syn(t);
    tcp_arm_rtx(t);
    return 0;
}

static bool connecting(const struct tcp_sock *t)
{
    return t->state == TCPS_SYN_SENT || t->state == TCPS_SYN_RCVD;
}

int tcp_connect(struct sock *s, const struct sock_addr *a, bool nonblock)
{
    struct tcp_sock *t = tcp_of(s);
    int err = 0;
    net_lock();
    if (!a->ip && !a->port) { // AF_UNSPEC: dissolve
        if (t->state != TCPS_CLOSED && t->state != TCPS_LISTEN) {
            tcp_send_rst(t);
            tcp_destroy(t);
        }
        net_unlock();
        return 0;
    }
    uint64_t deadline = sock_deadline(s->sndtimeo, nonblock);
    if (t->state == TCPS_CLOSED && !t->was_connecting)
        err = s->error ? sock_take_error(s) : connect_start(t, *a);
    else if (connecting(t))
        err = nonblock ? -EALREADY : 0;
    else if (!t->was_connecting)
        err = -EISCONN;
    if (!err && connecting(t)) {
        err = deadline ? SOCK_WAIT(s, !connecting(t), deadline) : -EAGAIN;
        if (err == -EAGAIN)
            err = -EINPROGRESS;
    }
    if (!err) {
        // The outcome is reported once; after a failure the socket may try again.
        t->was_connecting = false;
        if (t->state == TCPS_CLOSED) {
            err = sock_take_error(s);
            if (!err)
                err = -ECONNABORTED;
            if (!s->bound)
                s->lport = 0, s->laddr = 0;
        }
    }
    net_unlock();
    return err;
}

// --- send ---
static bool has_space(const struct tcp_sock *t)
{
    return t->s.tx_mem < t->s.sndbuf && tcp_queued(t) < t->s.sndbuf &&
           (!t->s.tx_mem || !tcp_tx_pressure());
}

static bool can_send(const struct tcp_sock *t)
{
    return (t->state == TCPS_ESTABLISHED || t->state == TCPS_CLOSE_WAIT) &&
           !(t->s.shut & SHUT_BIT_WR);
}

// Whether there is an end to waiting for space. If not, whoever acknowledges something wakes us:
// each time anew, because other connections may hold the memory that this one waited for.
static bool space_or_end(struct tcp_sock *t)
{
    bool over = t->s.error || (!connecting(t) && (!can_send(t) || has_space(t)));
    t->s.want_space |= !over;
    return over;
}

// Waits until data may be queued. 0 or -errno.
static int wait_to_send(struct tcp_sock *t, uint64_t deadline)
{
    struct sock *s = &t->s;
    bool flushed = false;
    for (;;) {
        if (s->error)
            return sock_take_error(s);
        if (!can_send(t) && !connecting(t))
            return -EPIPE;
        if (can_send(t) && has_space(t))
            return 0;
        if (!connecting(t)) {
            tcp_output(t);
            if (t->route.nif->loopback && !flushed) {
                // The peer is next door: what it takes now need not be waited for.
                flushed = true;
                net_unlock();
                net_lock();
                continue;
            }
        }
        s->want_space = true;
        if (!deadline)
            return -EAGAIN;
        int err = SOCK_WAIT(s, space_or_end(t), deadline);
        if (err)
            return err;
    }
}

// Packets have used up their share of memory. It comes back as peers acknowledge, on whatever
// connection: so this is tried again and again. 0 or -errno.
static int wait_for_memory(struct tcp_sock *t, uint64_t deadline)
{
    struct sock *s = &t->s;
    if (!can_send(t))
        return 0; // the next look tells why
    tcp_output(t);
    if (!deadline && !s->tx_mem)
        return -ENOBUFS; // no acknowledgement is to come that would tell of room
    s->want_space = true;
    if (!deadline)
        return -EAGAIN;
    uint64_t again = net_now + MEMORY_RETRY_NS;
    int err = SOCK_WAIT(s, s->error || !can_send(t), MIN(again, deadline));
    return err == -EAGAIN && again < deadline ? 0 : err;
}

static void queue_chunk(struct tcp_sock *t, struct pktbuf *p)
{
    uint32_t n = p->total;
    struct pktbuf *tail =
        list_empty(&t->sndq) ? NULL : list_entry(t->sndq.prev, struct pktbuf, snd_link);
    if (tail && n <= CHUNK_COALESCE && !p->release && !tail->release && tail->refs == 1 &&
        seq_geq(tail->tcp_seq, t->snd_nxt)) {
        uint32_t used = tail->tcp_end - tail->tcp_seq;
        if (tail->size - PKT_HEADROOM >= used + n) {
            memcpy(tail->head + PKT_HEADROOM + used, p->data, n);
            tail->tcp_end += n;
            t->snd_end += n;
            pkt_free(p);
            return;
        }
    }
    p->tcp_seq = t->snd_end;
    p->tcp_end = t->snd_end = t->snd_end + n;
    list_add_tail(&p->snd_link, &t->sndq);
    uint32_t memory = tcp_chunk_memory(p);
    t->s.tx_mem += memory;
    tcp_tx_total += memory;
}

static uint32_t chunk_room(size_t left)
{
    if (left <= PKT_ROOM_SMALL)
        return PKT_ROOM_SMALL;
    if (left <= PKT_ROOM_MTU)
        return PKT_ROOM_MTU;
    if (left <= PKT_ROOM_PAGE)
        return PKT_ROOM_PAGE;
    return PKT_ROOM_LARGE;
}

static struct pktbuf *chunk_alloc(size_t left)
{
    // Where memory is short each connection takes little, so that all have some: what the others
    // hold may come back only after this one has gone on.
    uint32_t room = chunk_room(tcp_tx_pressure() ? MIN(left, (size_t)PKT_ROOM_MTU) : left);
    struct pktbuf *p = pkt_alloc(room);
    // Contiguous memory may be short where single pages are not.
    if (!p && room > PKT_ROOM_PAGE)
        p = pkt_alloc(PKT_ROOM_PAGE);
    return p ? p : pkt_alloc(PKT_ROOM_SMALL);
}

ssize_t_k tcp_send(struct sock *s, struct sock_copy *from, size_t len, int flags)
{
    struct tcp_sock *t = tcp_of(s);
    size_t done = 0;
    if (flags & MSG_OOB)
        return -EOPNOTSUPP;
    net_lock();
    uint64_t deadline = sock_deadline(s->sndtimeo, flags & MSG_DONTWAIT);
    int err = sock_claim(s, &s->tx_busy, deadline);
    if (err) {
        net_unlock();
        return err;
    }
    if (!len)
        err = s->error ? sock_take_error(s) : can_send(t) || connecting(t) ? 0 : -EPIPE;
    while (!err && done < len) {
        err = wait_to_send(t, deadline);
        if (err)
            break;
        net_unlock();
        struct pktbuf *p = chunk_alloc(len - done);
        if (!p) {
            net_lock();
            err = wait_for_memory(t, deadline);
            continue;
        }
        uint32_t n = (uint32_t)MIN(len - done, (size_t)pkt_tailroom(p));
        err = from->copy_from(from->ctx, pkt_put(p, n), n);
        net_lock();
        if (!err && !can_send(t))
            err = s->error ? sock_take_error(s) : -EPIPE; // it ended while we copied
        if (err) {
            pkt_free(p);
            break;
        }
        done += p->total;
        queue_chunk(t, p);
        if (tcp_unsent(t) >= PUSH_BYTES)
            tcp_output(t);
    }
    if (done) {
        t->more = flags & MSG_MORE;
        tcp_output_late(t);
    }
    sock_unclaim(s, &s->tx_busy);
    net_unlock();
    return done ? (ssize_t_k)done : err;
}

static void ref_release(struct pktbuf *p)
{
    void (*release)(void *) = (void (*)(void *))(uintptr_t)p->stamp;
    release(p->release_arg);
}

ssize_t_k tcp_send_ref(struct sock *s, const void *bytes, size_t len, int flags,
                       void (*release)(void *), void *arg)
{
    struct tcp_sock *t = tcp_of(s);
    if (!len || len > SOCK_BUF_MAX)
        return -EINVAL;
    net_lock();
    uint64_t deadline = sock_deadline(s->sndtimeo, flags & MSG_DONTWAIT);
    int err = sock_claim(s, &s->tx_busy, deadline);
    if (!err) {
        struct pktbuf *p = NULL;
        while (!err && !p) {
            err = wait_to_send(t, deadline);
            if (err)
                break;
            p = pkt_external(bytes, (uint32_t)len, ref_release, arg);
            if (!p)
                err = wait_for_memory(t, deadline);
        }
        if (p) {
            p->stamp = (uint64_t)(uintptr_t)release;
            queue_chunk(t, p);
            t->more = flags & MSG_MORE;
            tcp_output_late(t);
        }
        sock_unclaim(s, &s->tx_busy);
    }
    net_unlock();
    return err ? err : (ssize_t_k)len;
}

// --- receive ---
static void update_window(struct tcp_sock *t)
{
    // Tell the peer when what it may send doubles; otherwise acknowledgements carry the news.
    if (t->state != TCPS_ESTABLISHED && t->state != TCPS_FIN_WAIT_1 && t->state != TCPS_FIN_WAIT_2)
        return;
    if (!t->s.rx_bytes && !t->s.rcvbuf_fixed && t->s.rcvbuf < TCP_BUF_AUTO_MAX &&
        t->rcv_nxt - t->auto_seq >= t->s.rcvbuf && !tcp_rx_pressure()) {
        // The program keeps up with a buffer's worth: let more be in flight.
        t->s.rcvbuf *= 2;
        t->auto_seq = t->rcv_nxt;
    }
    uint32_t now = tcp_window_now(t), promised = t->rcv_adv - t->rcv_nxt;
    if (now >= 2 * promised && now - promised >= MIN(t->adv_mss, t->s.rcvbuf / 2))
        tcp_send_ack(t);
}

// Bytes were read from the front of the queue.
static void consume(struct tcp_sock *t, struct pktbuf *p, uint32_t n)
{
    uint32_t before = pkt_memory(p);
    pkt_consume(p, n);
    t->s.rx_bytes -= n;
    uint32_t freed = before;
    if (p->total) {
        freed -= pkt_memory(p);
    } else {
        list_del(&p->link);
        pkt_free(p);
    }
    t->s.rx_mem -= freed;
    tcp_rx_total -= freed;
}

// The contiguous bytes `skip` bytes into the queue, for peeking; NULL: no more.
static struct pktbuf *piece_at(struct tcp_sock *t, uint32_t skip, struct pktbuf **packet,
                               uint32_t *off)
{
    list_for_each (pos, &t->s.rxq) {
        struct pktbuf *p = list_entry(pos, struct pktbuf, link);
        if (skip >= p->total) {
            skip -= p->total;
            continue;
        }
        *packet = p;
        for (; p && skip >= p->len; p = p->frag)
            skip -= p->len;
        *off = skip;
        return p;
    }
    return NULL;
}

// Waits for data. 1: there is some; 0: end of stream; -errno.
static int wait_to_receive(struct tcp_sock *t, uint32_t beyond, uint64_t deadline)
{
    struct sock *s = &t->s;
    while (s->rx_bytes <= beyond) {
        if (s->error)
            return sock_take_error(s);
        if (s->shut & SHUT_BIT_RD || t->fin_rcvd)
            return 0;
        if (t->state == TCPS_LISTEN || (t->state == TCPS_CLOSED && !t->was_connecting))
            return -ENOTCONN;
        if (!deadline)
            return -EAGAIN;
        int err = SOCK_WAIT(s,
                            s->rx_bytes > beyond || s->error || s->shut & SHUT_BIT_RD ||
                                t->fin_rcvd || t->state == TCPS_CLOSED,
                            deadline);
        if (err)
            return err;
    }
    return 1;
}

ssize_t_k tcp_recv(struct sock *s, struct sock_copy *to, size_t len, int flags)
{
    struct tcp_sock *t = tcp_of(s);
    bool peek = flags & MSG_PEEK;
    size_t done = 0;
    net_lock();
    uint64_t deadline = sock_deadline(s->rcvtimeo, flags & MSG_DONTWAIT);
    int err = sock_claim(s, &s->rx_busy, deadline);
    if (err) {
        net_unlock();
        return err;
    }
    while (done < len) {
        uint32_t skip = peek ? (uint32_t)done : 0;
        if (s->rx_bytes <= skip) {
            if (done && !(flags & MSG_WAITALL))
                break;
            err = wait_to_receive(t, skip, deadline);
            if (err <= 0)
                break;
            err = 0;
        }
        struct pktbuf *packet = NULL;
        uint32_t off = 0;
        struct pktbuf *piece = piece_at(t, skip, &packet, &off);
        uint32_t n = (uint32_t)MIN(len - done, (size_t)(piece->len - off));
        if (!(flags & MSG_TRUNC)) {
            // Only the reader that holds rx_busy takes from the front: the bytes stay.
            const uint8_t *bytes = piece->data + off;
            net_unlock();
            err = to->copy_to(to->ctx, bytes, n);
            net_lock();
            if (err)
                break;
        }
        if (!peek)
            consume(t, packet, n);
        done += n;
    }
    if (done && !peek)
        update_window(t);
    sock_unclaim(s, &s->rx_busy);
    net_unlock();
    return done ? (ssize_t_k)done : err;
}

unsigned tcp_poll(struct sock *s)
{
    struct tcp_sock *t = tcp_of(s);
    unsigned ev = 0;
    if (t->state == TCPS_LISTEN)
        return list_empty(&t->acceptq) ? 0 : EPOLLIN | EPOLLRDNORM;
    if (s->error)
        ev |= EPOLLERR;
    if (t->state == TCPS_CLOSED || s->shut == (SHUT_BIT_RD | SHUT_BIT_WR))
        ev |= EPOLLHUP;
    if (s->shut & SHUT_BIT_RD)
        ev |= EPOLLIN | EPOLLRDNORM | EPOLLRDHUP;
    if (connecting(t))
        return ev;
    if (s->rx_bytes)
        ev |= EPOLLIN | EPOLLRDNORM;
    if (s->shut & SHUT_BIT_WR || t->state == TCPS_CLOSED || has_space(t))
        ev |= EPOLLOUT | EPOLLWRNORM;
    else
        s->want_space = true;
    return ev;
}

// --- the end ---
// Our side has nothing more to say.
void tcp_queue_fin(struct tcp_sock *t)
{
    t->fin_queued = true;
    t->more = false;
    t->push_seq = t->snd_end;
    t->state = t->state == TCPS_CLOSE_WAIT ? TCPS_LAST_ACK : TCPS_FIN_WAIT_1;
    tcp_output(t);
}

int tcp_shutdown(struct sock *s, int how)
{
    struct tcp_sock *t = tcp_of(s);
    bool rd = how != SHUT_WR, wr = how != SHUT_RD;
    int err = 0;
    net_lock();
    switch (t->state) {
    case TCPS_CLOSED:
        err = -ENOTCONN;
        break;
    case TCPS_LISTEN:
        if (rd) {
            tcp_listen_stop(t);
            t->state = TCPS_CLOSED;
            sock_wake(s, EPOLLIN | EPOLLHUP);
        }
        break;
    case TCPS_SYN_RCVD:
        tcp_send_rst(t);
        tcp_destroy(t);
        break;
    case TCPS_SYN_SENT:
        tcp_destroy(t);
        break;
    default:
        if (rd)
            s->shut |= SHUT_BIT_RD;
        if (wr && !(s->shut & SHUT_BIT_WR)) {
            s->shut |= SHUT_BIT_WR;
            if (!t->fin_queued)
                tcp_queue_fin(t);
        }
        sock_wake(s, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP);
    }
    net_unlock();
    return err;
}

void tcp_close(struct sock *s)
{
    struct tcp_sock *t = tcp_of(s);
    net_lock();
    if (t->state == TCPS_LISTEN)
        tcp_listen_stop(t);
    if (t->state == TCPS_LISTEN || t->state == TCPS_CLOSED || t->state == TCPS_SYN_SENT) {
        tcp_free(t);
        net_unlock();
        return;
    }
    port_unbind(s); // the port is free for others; the four-tuple stays taken
    // Data that nobody will read, or SO_LINGER with 0: abort (RFC 2525 section 2.17).
    // (A simultaneous opening that is given up half-way is aborted too.)
    if (t->state == TCPS_SYN_RCVD || s->rx_bytes || (s->linger_on && !s->linger_s) ||
        tcp_orphans >= TCP_ORPHANS_MAX) {
        tcp_output(t); // what was written before counts as sent, though it may have waited
        tcp_send_rst(t);
        tcp_free(t);
        net_unlock();
        return;
    }
    if (!t->fin_queued)
        tcp_queue_fin(t);
    if (s->linger_on) {
        uint64_t deadline = net_now + s->linger_s * NSEC_PER_SEC;
        SOCK_WAIT(s, t->state == TCPS_CLOSED || t->state == TCPS_FIN_WAIT_2, deadline);
    }
    if (t->state == TCPS_CLOSED) {
        tcp_free(t);
    } else {
        t->orphan = true;
        tcp_orphans++;
        s->shut |= SHUT_BIT_RD | SHUT_BIT_WR;
        t->s.keepalive = false;
        t->t_misc = t->state == TCPS_FIN_WAIT_2 ? net_now + TCP_FIN_WAIT2_NS : DEADLINE_NEVER;
        tcp_timer_update(t);
    }
    net_unlock();
}

// SPDX-License-Identifier: ISC
// TCP: connections that come in. A half-open connection is a small entry in the table of
// four-tuples; when there are too many, SYN cookies (RFC 4987 section 3.6) answer without any. The
// connection structure is made when the handshake completes and the accept queue has room.
#include "net/tcp.h"

#define SYN_TICK_NS   (500 * NSEC_PER_MSEC)
#define COOKIE_TICK_S 64 // a cookie is good for this long, at least, and twice as long at most

static struct list_head syn_list = {&syn_list, &syn_list};
static unsigned syn_total;
static struct ktimer syn_timer;
static uint64_t cookies_until; // ns: cookies sent lately may still come back

static const uint16_t cookie_mss[8] = {536, 1220, 1360, 1440, 1460, 4312, 8960, 65480};

struct tcp_sock *tcp_find_listener(uint32_t laddr, uint16_t lport)
{
    struct tcp_sock *best = NULL;
    for (struct sock *s = port_chain(IPPROTO_TCP, lport); s; s = s->port_next) {
        struct tcp_sock *t = tcp_of(s);
        if (s->lport != lport || t->state != TCPS_LISTEN || (s->laddr && s->laddr != laddr))
            continue;
        // A bound address is better than any; among equals (SO_REUSEPORT) the shorter queue.
        if (!best || (s->laddr && !best->s.laddr) ||
            (!!s->laddr == !!best->s.laddr && t->accept_count < best->accept_count))
            best = t;
    }
    return best;
}

void tcp_syn_free(struct tcp_syn *sy)
{
    tcp_hash_del(&sy->e);
    list_del(&sy->link);
    sy->listener->syn_count--;
    syn_total--;
    kfree(sy);
}

static void send_synack(const struct tcp_syn *sy)
{
    struct ip_route route;
    if (ip_route(sy->e.raddr, &route))
        return;
    struct tcp_reply r = {.laddr = sy->e.laddr,
                          .raddr = sy->e.raddr,
                          .lport = sy->e.lport,
                          .rport = sy->e.rport,
                          .seq = sy->iss,
                          .ack = sy->irs + 1,
                          .wnd = (uint16_t)MIN(sy->listener->s.rcvbuf, 65535u),
                          .mss = (uint16_t)(route.nif->dev->mtu - 40),
                          .wscale = sy->wscale >= 0 ? TCP_WSCALE : -1,
                          .ts = sy->ts_ok,
                          .sack_ok = sy->sack_ok,
                          .tsval = tcp_now_ms() + sy->ts_offset,
                          .tsecr = sy->ts_recent,
                          .flags = TCP_SYN | TCP_ACK};
    tcp_send_reply(&r);
}

static void syn_tick(struct ktimer *k)
{
    net_lock();
    list_for_each_safe (pos, &syn_list) {
        struct tcp_syn *sy = list_entry(pos, struct tcp_syn, link);
        if (sy->next_ns > net_now)
            continue;
        if (sy->retries >= TCP_SYNACK_RETRIES) {
            tcp_syn_free(sy);
            continue;
        }
        sy->retries++;
        sy->next_ns = net_now + (NSEC_PER_SEC << sy->retries);
        send_synack(sy);
    }
    if (!list_empty(&syn_list))
        ktimer_arm(k, net_now + SYN_TICK_NS);
    net_unlock();
}

// --- SYN cookies: 5 bits of time, 3 bits of MSS, 24 bits of keyed hash. With timestamps our
// TSval's low 6 bits carry window scale and SACK ---
static uint32_t cookie_hash(const struct tcp_seg *seg, uint32_t irs, uint32_t tick, unsigned mss)
{
    uint32_t in[5] = {seg->laddr, seg->raddr, (uint32_t)seg->lport << 16 | seg->rport, irs,
                      tick << 3 | mss};
    return (uint32_t)lib_siphash(tcp_secret + 1, in, sizeof(in)) & 0xffffff;
}

static void cookie_send(const struct tcp_seg *seg)
{
    struct ip_route route;
    if (ip_route(seg->raddr, &route))
        return;
    uint32_t tick = (uint32_t)(net_now / (COOKIE_TICK_S * NSEC_PER_SEC));
    unsigned m = ARRAY_LEN(cookie_mss) - 1;
    uint16_t peer = seg->opt.mss ? seg->opt.mss : TCP_DEFAULT_MSS;
    while (m && cookie_mss[m] > peer)
        m--;
    uint32_t ts = tcp_now_ms() + tcp_new_ts_offset(seg->laddr, seg->lport, seg->raddr, seg->rport);
    uint32_t bits =
        (uint32_t)(seg->opt.wscale >= 0 ? seg->opt.wscale : 15) | (seg->opt.sack_ok ? 16u : 0);
    struct tcp_reply r = {.laddr = seg->laddr,
                          .raddr = seg->raddr,
                          .lport = seg->lport,
                          .rport = seg->rport,
                          .seq = (tick & 31) << 27 | m << 24 | cookie_hash(seg, seg->seq, tick, m),
                          .ack = seg->seq + 1,
                          .wnd = 65535,
                          .mss = (uint16_t)(route.nif->dev->mtu - 40),
                          .wscale = seg->opt.ts && seg->opt.wscale >= 0 ? TCP_WSCALE : -1,
                          .ts = seg->opt.ts,
                          .sack_ok = seg->opt.ts && seg->opt.sack_ok,
                          .tsval = ((ts & ~63u) - 64) | bits, // in the past, so that time goes on
                          .tsecr = seg->opt.tsval,
                          .flags = TCP_SYN | TCP_ACK};
    if (cookies_until < net_now)
        log_warn("tcp: port %u: SYN queue full, sending SYN cookies", seg->lport);
    cookies_until = net_now + 2 * COOKIE_TICK_S * NSEC_PER_SEC;
    tcp_send_reply(&r);
}

// Does this acknowledgement bring a cookie back? Fills what the SYN had said.
static bool cookie_check(const struct tcp_seg *seg, struct tcp_syn *out)
{
    if (net_now >= cookies_until)
        return false;
    uint32_t cookie = seg->ack - 1, irs = seg->seq - 1;
    uint32_t now = (uint32_t)(net_now / (COOKIE_TICK_S * NSEC_PER_SEC));
    uint32_t age = (now - (cookie >> 27)) & 31;
    unsigned m = cookie >> 24 & 7;
    if (age > 1 || cookie_hash(seg, irs, now - age, m) != (cookie & 0xffffff))
        return false;
    *out = (struct tcp_syn){.iss = cookie, .irs = irs, .mss = cookie_mss[m], .wscale = -1};
    if (seg->opt.ts) {
        uint32_t bits = seg->opt.tsecr & 63;
        out->ts_ok = true;
        out->ts_recent = seg->opt.tsval;
        out->ts_offset = tcp_new_ts_offset(seg->laddr, seg->lport, seg->raddr, seg->rport);
        out->wscale = (bits & 15) == 15 ? -1 : (int8_t)(bits & 15);
        out->sack_ok = bits & 16;
    }
    return true;
}

// --- the connection itself ---
void tcp_established(struct tcp_sock *t)
{
    t->cwnd = tcp_initial_cwnd(t->mss);
    t->retries = 0;
    t->rtx_since = 0;
    t->t_rtx = DEADLINE_NEVER;
    t->high_rxt = t->snd_una;
    t->auto_seq = t->rcv_nxt;
    t->rcv_mss = MIN(t->adv_mss, TCP_DEFAULT_MSS);
    t->last_rx = net_now;
    tcp_arm_keepalive(t);
    sock_wake(&t->s, EPOLLOUT | EPOLLWRNORM);
}

static struct tcp_sock *make_child(struct tcp_sock *l, const struct tcp_seg *seg,
                                   const struct tcp_syn *sy)
{
    struct ip_route route;
    if (l->accept_count >= l->backlog || ip_route(seg->raddr, &route))
        return NULL;
    struct tcp_sock *t = tcp_alloc();
    if (!t)
        return NULL;
    struct sock *s = &t->s;
    s->reuseaddr = l->s.reuseaddr;
    s->keepalive = l->s.keepalive;
    s->linger_on = l->s.linger_on;
    s->linger_s = l->s.linger_s;
    s->tos = l->s.tos;
    s->ttl = l->s.ttl;
    s->rcvbuf = l->s.rcvbuf;
    s->sndbuf = l->s.sndbuf;
    s->rcvbuf_fixed = l->s.rcvbuf_fixed;
    s->sndbuf_fixed = l->s.sndbuf_fixed;
    s->rcvtimeo = l->s.rcvtimeo;
    s->sndtimeo = l->s.sndtimeo;
    t->nodelay = l->nodelay;
    t->cork = l->cork;
    t->keep_idle_s = l->keep_idle_s;
    t->keep_intvl_s = l->keep_intvl_s;
    t->keep_probes = l->keep_probes;
    t->user_timeout_ms = l->user_timeout_ms;
    t->maxseg = l->maxseg;
    t->e.laddr = s->laddr = seg->laddr;
    t->e.raddr = s->raddr = seg->raddr;
    t->e.lport = s->lport = seg->lport;
    t->e.rport = s->rport = seg->rport;
    t->route = route;
    t->state = TCPS_ESTABLISHED;
    t->iss = sy->iss;
    t->snd_una = t->snd_nxt = t->snd_end = t->push_seq = sy->iss + 1;
    t->irs = sy->irs;
    t->rcv_nxt = t->rcv_acked = sy->irs + 1;
    t->rcv_adv = t->rcv_nxt + MIN(s->rcvbuf, 65535u);
    t->wscale_ok = sy->wscale >= 0;
    t->snd_wscale = t->wscale_ok ? (uint8_t)sy->wscale : 0;
    t->rcv_wscale = t->wscale_ok ? TCP_WSCALE : 0;
    t->sack_ok = sy->sack_ok;
    t->ts_ok = sy->ts_ok;
    t->ts_recent = sy->ts_recent;
    t->ts_recent_at = net_now;
    t->ts_offset = sy->ts_offset;
    t->snd_wnd = t->max_wnd = seg->wnd << t->snd_wscale;
    t->snd_wl1 = seg->seq;
    t->snd_wl2 = seg->ack;
    t->peer_mss = sy->mss;
    t->adv_mss = (uint32_t)route.nif->dev->mtu - 40;
    tcp_set_mss(t, t->adv_mss);
    tcp_established(t);
    tcp_hash_add(&t->e);
    t->listener = l;
    l->accept_count++;
    list_add_tail(&t->accept_link, &l->acceptq);
    sock_wake(&l->s, EPOLLIN | EPOLLRDNORM);
    return t;
}

void tcp_listen_input(struct tcp_sock *l, struct tcp_seg *seg, struct pktbuf *p)
{
    if (seg->flags & TCP_RST)
        return;
    if (seg->flags & TCP_ACK) {
        struct tcp_syn sy;
        struct tcp_sock *t = NULL;
        if (!(seg->flags & TCP_SYN) && cookie_check(seg, &sy)) {
            t = make_child(l, seg, &sy);
            if (!t)
                return; // full: the peer comes again
            pkt_ref(p);
            tcp_segment(t, seg, p);
            return;
        }
        tcp_send_rst_for(seg);
        return;
    }
    if (!(seg->flags & TCP_SYN) || seg->flags & TCP_FIN || !seg->rport)
        return;
    if (l->accept_count >= l->backlog)
        return; // the program does not keep up: let the peer try again
    struct tcp_syn *sy = NULL;
    if (syn_total < TCP_SYN_MAX && l->syn_count < MAX(l->backlog, 8u))
        sy = kzalloc(sizeof(*sy));
    if (!sy) {
        cookie_send(seg);
        return;
    }
    sy->e.laddr = seg->laddr;
    sy->e.raddr = seg->raddr;
    sy->e.lport = seg->lport;
    sy->e.rport = seg->rport;
    sy->e.kind = TCP_KIND_SYN;
    sy->listener = l;
    sy->irs = seg->seq;
    sy->iss = tcp_new_iss(seg->laddr, seg->lport, seg->raddr, seg->rport);
    if (seg->has_iss_floor && seq_lt(sy->iss, seg->iss_floor))
        sy->iss = seg->iss_floor;
    sy->mss = seg->opt.mss ? seg->opt.mss : TCP_DEFAULT_MSS;
    sy->wscale = seg->opt.wscale;
    sy->sack_ok = seg->opt.sack_ok;
    sy->ts_ok = seg->opt.ts;
    sy->ts_recent = seg->opt.tsval;
    sy->ts_offset = tcp_new_ts_offset(seg->laddr, seg->lport, seg->raddr, seg->rport);
    sy->next_ns = net_now + NSEC_PER_SEC;
    tcp_hash_add(&sy->e);
    list_add_tail(&sy->link, &syn_list);
    l->syn_count++;
    syn_total++;
    if (!syn_timer.armed) {
        ktimer_init(&syn_timer, syn_tick);
        ktimer_arm(&syn_timer, net_now + SYN_TICK_NS);
    }
    send_synack(sy);
}

static void syn_answer_ack(const struct tcp_syn *sy)
{
    struct tcp_reply r = {.laddr = sy->e.laddr,
                          .raddr = sy->e.raddr,
                          .lport = sy->e.lport,
                          .rport = sy->e.rport,
                          .seq = sy->iss + 1,
                          .ack = sy->irs + 1,
                          .wnd = (uint16_t)(MIN(sy->listener->s.rcvbuf, 65535u) >>
                                            (sy->wscale >= 0 ? TCP_WSCALE : 0)),
                          .wscale = -1,
                          .ts = sy->ts_ok,
                          .tsval = tcp_now_ms() + sy->ts_offset,
                          .tsecr = sy->ts_recent,
                          .flags = TCP_ACK};
    if (tcp_challenge_ok())
        tcp_send_reply(&r);
}

void tcp_syn_input(struct tcp_syn *sy, struct tcp_seg *seg, struct pktbuf *p)
{
    struct tcp_sock *l = sy->listener;
    uint32_t wnd = MIN(l->s.rcvbuf, 65535u);
    if (seg->flags & TCP_SYN && !(seg->flags & (TCP_ACK | TCP_RST)) && seg->seq == sy->irs) {
        send_synack(sy); // our answer was lost
        goto drop;
    }
    if (sy->ts_ok && !(seg->flags & TCP_RST) &&
        (!seg->opt.ts || tcp_ts_before(seg->opt.tsval, sy->ts_recent)))
        goto drop;
    if (seg->seq - (sy->irs + 1) >= wnd) {
        if (!(seg->flags & TCP_RST))
            syn_answer_ack(sy);
        goto drop;
    }
    if (seg->flags & TCP_RST) {
        if (seg->seq == sy->irs + 1)
            tcp_syn_free(sy);
        else
            syn_answer_ack(sy);
        goto drop;
    }
    if (seg->flags & TCP_SYN) {
        syn_answer_ack(sy);
        goto drop;
    }
    if (!(seg->flags & TCP_ACK))
        goto drop;
    if (seg->ack != sy->iss + 1) {
        tcp_send_rst_for(seg);
        goto drop;
    }
    // TCP_DEFER_ACCEPT: a bare acknowledgement waits for data, while the SYN-ACK is still repeated.
    if (l->defer_accept_s && !seg->len && !(seg->flags & TCP_FIN) &&
        (NSEC_PER_SEC << sy->retries) <= l->defer_accept_s * NSEC_PER_SEC)
        goto drop;
    struct tcp_syn said = *sy;
    tcp_hash_del(&sy->e);
    struct tcp_sock *t = make_child(l, seg, &said);
    if (!t) {
        tcp_hash_add(&sy->e); // no room: the peer, or our SYN-ACK, comes again
        goto drop;
    }
    tcp_syn_free(sy);
    tcp_segment(t, seg, p);
    return;
drop:
    pkt_free(p);
}

// The listener goes: half-open connections are forgotten, finished ones reset.
void tcp_listen_stop(struct tcp_sock *l)
{
    list_for_each_safe (pos, &syn_list) {
        struct tcp_syn *sy = list_entry(pos, struct tcp_syn, link);
        if (sy->listener == l)
            tcp_syn_free(sy);
    }
    while (!list_empty(&l->acceptq)) {
        struct tcp_sock *t = list_first(&l->acceptq, struct tcp_sock, accept_link);
        list_del(&t->accept_link);
        if (t->state != TCPS_CLOSED)
            tcp_send_rst(t);
        tcp_free(t);
    }
    l->accept_count = 0;
}

int tcp_listen(struct sock *s, int backlog)
{
    struct tcp_sock *t = tcp_of(s);
    int err = 0;
    net_lock();
    if (t->state != TCPS_CLOSED && t->state != TCPS_LISTEN) {
        err = -EINVAL;
    } else {
        unsigned limit = MAX(net_somaxconn, 1u), want = backlog < 0 ? limit : (unsigned)backlog;
        if (!s->bound)
            err = port_bind(s, s->laddr, 0);
        else
            for (struct sock *o = port_chain(IPPROTO_TCP, s->lport); o && !err; o = o->port_next)
                if (o != s && o->lport == s->lport && tcp_is_listening(o) &&
                    (!o->laddr || !s->laddr || o->laddr == s->laddr) &&
                    !(o->reuseport && s->reuseport))
                    err = -EADDRINUSE;
        if (!err) {
            want = MAX(want, 1u);
            t->backlog = MIN(want, limit);
            t->state = TCPS_LISTEN;
            tcp_early_release();
        }
    }
    net_unlock();
    return err;
}

int tcp_accept(struct sock *s, struct sock **out, struct sock_addr *peer, bool nonblock)
{
    struct tcp_sock *l = tcp_of(s);
    net_lock();
    uint64_t deadline = sock_deadline(s->rcvtimeo, nonblock);
    int err = l->state == TCPS_LISTEN ? 0 : -EINVAL;
    while (!err && list_empty(&l->acceptq)) {
        if (!deadline)
            err = -EAGAIN;
        else
            err = SOCK_WAIT(s, !list_empty(&l->acceptq) || l->state != TCPS_LISTEN, deadline);
        if (!err && l->state != TCPS_LISTEN)
            err = -EINVAL;
    }
    if (!err) {
        struct tcp_sock *t = list_first(&l->acceptq, struct tcp_sock, accept_link);
        list_del(&t->accept_link);
        l->accept_count--;
        t->listener = NULL;
        *out = &t->s;
        if (peer)
            *peer = (struct sock_addr){t->s.raddr, t->s.rport};
    }
    net_unlock();
    return err;
}

// SPDX-License-Identifier: ISC
// TCP: segments arrive (RFC 9293 section 3.10.7; RFC 7323 PAWS; RFC 5961 against blind attacks).
// Payload is never copied here: the receive queue keeps the driver's buffers, except that small
// pieces are gathered in the previous buffer's free room, so that they do not pin one buffer each.
#include "net/tcp.h"

#define COALESCE_MAX 1024u // bytes worth copying to free a buffer
#define PKT_FIN      scratch[0]

bool tcp_ts_before(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) < 0;
}

bool tcp_challenge_ok(void)
{
    static struct rate_limit rate;
    return rate_ok(&rate, TCP_CHALLENGE_PER_S);
}

void tcp_parse_options(const uint8_t *opt, unsigned n, struct tcp_opts *out)
{
    memset(out, 0, offsetof(struct tcp_opts, sack));
    out->wscale = -1;
    if (n == 12 && get_be32(opt) == 0x0101080a) { // the usual case: timestamps alone
        out->ts = true;
        out->tsval = get_be32(opt + 4);
        out->tsecr = get_be32(opt + 8);
        return;
    }
    for (unsigned i = 0; i < n;) {
        uint8_t kind = opt[i];
        if (kind == 0)
            return;
        if (kind == 1) {
            i++;
            continue;
        }
        if (i + 1 >= n || opt[i + 1] < 2 || i + opt[i + 1] > n)
            return; // malformed: what came before counts
        uint8_t len = opt[i + 1];
        const uint8_t *v = opt + i + 2;
        if (kind == 2 && len == 4) {
            out->mss = get_be16(v);
        } else if (kind == 3 && len == 3) {
            out->wscale = (int8_t)MIN(v[0], 14); // RFC 7323 section 2.3
        } else if (kind == 4 && len == 2) {
            out->sack_ok = true;
        } else if (kind == 8 && len == 10) {
            out->ts = true;
            out->tsval = get_be32(v);
            out->tsecr = get_be32(v + 4);
        } else if (kind == 5 && (len - 2) % 8 == 0) {
            for (unsigned k = 0; k < (len - 2u) / 8 && out->sacks < 4; k++)
                out->sack[out->sacks++] =
                    (struct seq_range){get_be32(v + 8 * k), get_be32(v + 8 * k + 4)};
        }
        i += len;
    }
}

static void tw_input(struct tcp_tw *tw, struct tcp_seg *seg, struct pktbuf *p)
{
    bool newer = tw->ts_ok && seg->opt.ts && tcp_ts_before(tw->ts_recent, seg->opt.tsval);
    bool older = tw->ts_ok && seg->opt.ts && tcp_ts_before(seg->opt.tsval, tw->ts_recent);
    if (seg->flags & TCP_RST)
        return; // RFC 1337: it must not cut TIME_WAIT short
    if (seg->flags & TCP_SYN && !(seg->flags & TCP_ACK) && !older &&
        (newer || seq_gt(seg->seq, tw->rcv_nxt))) {
        // The peer opens the same pair again (RFC 9293 section 3.10.7.4, RFC 6191).
        struct tcp_sock *l = tcp_find_listener(seg->laddr, seg->lport);
        if (l) {
            seg->iss_floor = tw->snd_nxt + 65535;
            seg->has_iss_floor = true;
            tcp_tw_free(tw);
            tcp_listen_input(l, seg, p);
            return;
        }
    }
    if (seg->flags & TCP_FIN && !older)
        tcp_tw_restart(tw);
    if ((seg->len || seg->flags & (TCP_FIN | TCP_SYN) || older || seg->seq != tw->rcv_nxt) &&
        (!older || tcp_challenge_ok())) {
        struct tcp_reply r = {.laddr = seg->laddr,
                              .raddr = seg->raddr,
                              .lport = seg->lport,
                              .rport = seg->rport,
                              .seq = tw->snd_nxt,
                              .ack = tw->rcv_nxt,
                              .wnd = (uint16_t)(tw->rcv_wnd >> tw->rcv_wscale),
                              .flags = TCP_ACK,
                              .wscale = -1,
                              .ts = tw->ts_ok,
                              .tsval = tcp_now_ms() + tw->ts_offset,
                              .tsecr = tw->ts_recent};
        tcp_send_reply(&r);
    }
}

void tcp_input(const struct ip_info *info, struct pktbuf *p)
{
    if (info->to_broadcast || !pkt_pull_up(p, sizeof(struct tcp_hdr)))
        goto drop;
    const struct tcp_hdr *h = (const void *)p->data;
    unsigned off = (unsigned)(h->off >> 4) * 4;
    if (off < sizeof(*h) || !pkt_pull_up(p, off) || !ip_transport_csum_ok(p, info))
        goto drop;
    struct tcp_seg seg = {.laddr = info->dst,
                          .raddr = info->src,
                          .lport = be16_to_cpu(h->dport),
                          .rport = be16_to_cpu(h->sport),
                          .seq = be32_to_cpu(h->seq),
                          .ack = be32_to_cpu(h->ack),
                          .wnd = be16_to_cpu(h->wnd),
                          .flags = h->flags,
                          .ip = info};
    tcp_parse_options(p->data + sizeof(*h), off - (unsigned)sizeof(*h), &seg.opt);
    pkt_pull(p, off);
    seg.len = p->total;
    struct tcp_entry *e = tcp_lookup(seg.laddr, seg.lport, seg.raddr, seg.rport);
    if (likely(e && e->kind == TCP_KIND_SOCK)) {
        tcp_segment(container_of(e, struct tcp_sock, e), &seg, p);
        return;
    }
    if (e && e->kind == TCP_KIND_SYN) {
        tcp_syn_input(container_of(e, struct tcp_syn, e), &seg, p);
        return;
    }
    if (e) {
        tw_input(container_of(e, struct tcp_tw, e), &seg, p);
        pkt_free(p);
        return;
    }
    struct tcp_sock *l = tcp_find_listener(seg.laddr, seg.lport);
    if (l)
        tcp_listen_input(l, &seg, p);
    else if (tcp_early_hold(&seg, p))
        return;
    else
        tcp_send_rst_for(&seg);
    pkt_free(p);
    return;
drop:
    info->nif->dev->rx_dropped++;
    pkt_free(p);
}

// --- the receive queue ---
static void rx_append(struct tcp_sock *t, struct pktbuf *p)
{
    struct sock *s = &t->s;
    s->rx_bytes += p->total;
    if (!list_empty(&s->rxq) && p->total <= COALESCE_MAX) {
        struct pktbuf *tail = list_entry(s->rxq.prev, struct pktbuf, link);
        // Only our own, unshared memory; a reader's pointers stay valid, since bytes are only
        // added.
        if (!tail->frag && !tail->release && tail->refs == 1 && pkt_tailroom(tail) >= p->total) {
            uint32_t n = p->total;
            pkt_copy_out(p, 0, pkt_put(tail, n), n);
            pkt_free(p);
            return;
        }
    }
    uint32_t memory = pkt_memory(p);
    s->rx_mem += memory;
    tcp_rx_total += memory;
    list_add_tail(&p->link, &s->rxq);
}

static void sack_note(struct tcp_sock *t, uint32_t start, uint32_t end)
{
    // The block that changed last comes first (RFC 2018 section 4); blocks it touches merge.
    struct seq_range r = {start, end};
    unsigned n = 0;
    for (unsigned i = 0; i < t->sack_count; i++) {
        struct seq_range o = t->sack[i];
        if (seq_leq(o.start, r.end) && seq_leq(r.start, o.end)) {
            r.start = seq_lt(o.start, r.start) ? o.start : r.start;
            r.end = seq_gt(o.end, r.end) ? o.end : r.end;
        } else {
            t->sack[n++] = o;
        }
    }
    if (n == ARRAY_LEN(t->sack))
        n--;
    memmove(&t->sack[1], &t->sack[0], n * sizeof(r));
    t->sack[0] = r;
    t->sack_count = n + 1;
}

static void sack_advance(struct tcp_sock *t)
{
    unsigned n = 0;
    for (unsigned i = 0; i < t->sack_count; i++)
        if (seq_gt(t->sack[i].end, t->rcv_nxt))
            t->sack[n++] = t->sack[i];
    t->sack_count = n;
}

// Keeps an out-of-order segment. Takes p.
static void ooo_insert(struct tcp_sock *t, struct pktbuf *p)
{
    uint32_t memory = pkt_memory(p);
    t->ack_now = true;
    if (t->ooo_count >= TCP_OOO_MAX || t->s.rx_mem + memory > 2 * t->s.rcvbuf ||
        tcp_rx_pressure()) {
        pkt_free(p);
        return;
    }
    struct list_head *at = t->oooq.prev;
    while (at != &t->oooq && seq_gt(list_entry(at, struct pktbuf, link)->tcp_seq, p->tcp_seq))
        at = at->prev;
    if (at != &t->oooq) {
        struct pktbuf *before = list_entry(at, struct pktbuf, link);
        if (seq_geq(before->tcp_end, p->tcp_end) && before->PKT_FIN >= p->PKT_FIN) {
            sack_note(t, p->tcp_seq, p->tcp_end);
            pkt_free(p);
            return;
        }
    }
    // Successors that this one covers are not needed any more.
    while (at->next != &t->oooq) {
        struct pktbuf *next = list_entry(at->next, struct pktbuf, link);
        if (seq_gt(next->tcp_end, p->tcp_end) || next->PKT_FIN > p->PKT_FIN)
            break;
        list_del(&next->link);
        t->ooo_count--;
        uint32_t old = pkt_memory(next);
        t->s.rx_mem -= old;
        tcp_rx_total -= old;
        pkt_free(next);
    }
    list_add(&p->link, at);
    t->ooo_count++;
    t->s.rx_mem += memory;
    tcp_rx_total += memory;
    sack_note(t, p->tcp_seq, p->tcp_end);
}

// In-order bytes, and what they connect to. True: a FIN was reached. Takes p.
static bool rx_in_order(struct tcp_sock *t, struct pktbuf *p)
{
    bool fin = p->PKT_FIN;
    t->rcv_nxt = p->tcp_end;
    if (p->total)
        rx_append(t, p);
    else
        pkt_free(p);
    while (!fin && !list_empty(&t->oooq)) {
        struct pktbuf *q = list_first(&t->oooq, struct pktbuf, link);
        if (seq_gt(q->tcp_seq, t->rcv_nxt))
            break;
        list_del(&q->link);
        t->ooo_count--;
        uint32_t memory = pkt_memory(q);
        t->s.rx_mem -= memory;
        tcp_rx_total -= memory;
        if (seq_lt(q->tcp_end, t->rcv_nxt) || (q->tcp_end == t->rcv_nxt && !q->PKT_FIN)) {
            pkt_free(q);
            continue;
        }
        pkt_consume(q, t->rcv_nxt - q->tcp_seq);
        t->rcv_nxt = q->tcp_end;
        fin = q->PKT_FIN;
        if (q->total)
            rx_append(t, q);
        else
            pkt_free(q);
    }
    if (t->sack_count)
        sack_advance(t);
    return fin;
}

static void received_fin(struct tcp_sock *t)
{
    t->rcv_nxt++;
    t->fin_rcvd = true;
    t->ack_now = true;
    t->s.shut |= SHUT_BIT_RD;
    switch (t->state) {
    case TCPS_ESTABLISHED:
        t->state = TCPS_CLOSE_WAIT;
        break;
    case TCPS_FIN_WAIT_1:
        t->state = TCPS_CLOSING; // our FIN's acknowledgement was looked at before
        break;
    case TCPS_FIN_WAIT_2:
        tcp_send_ack(t);
        tcp_time_wait(t);
        return;
    default:
        break;
    }
    sock_wake(&t->s, EPOLLIN | EPOLLRDNORM | EPOLLRDHUP);
}

// The text of the segment (RFC 9293 section 3.10.7.4, seventh and eighth). Takes p.
static void receive_text(struct tcp_sock *t, struct tcp_seg *seg, struct pktbuf *p)
{
    bool fin = seg->flags & TCP_FIN;
    uint32_t seq = seg->seq, end = seg->seq + seg->len;
    if (seq_lt(end, t->rcv_nxt) || (end == t->rcv_nxt && !fin && seg->len)) {
        t->ack_now = true; // seen before: our acknowledgement was lost
        pkt_free(p);
        return;
    }
    if (seg->len > t->rcv_mss) {
        uint32_t size = p->gso_type && p->gso_size ? p->gso_size : seg->len;
        size = MIN(size, t->adv_mss);
        t->rcv_mss = MAX(t->rcv_mss, size);
    }
    if (seq_lt(seq, t->rcv_nxt)) {
        pkt_consume(p, t->rcv_nxt - seq);
        seq = t->rcv_nxt;
    }
    if (seq_gt(end, t->rcv_adv)) { // beyond the window
        pkt_trim(p, seq_gt(t->rcv_adv, seq) ? t->rcv_adv - seq : 0);
        end = seq + p->total;
        fin = false;
        t->ack_now = true;
        if (!p->total) {
            pkt_free(p);
            return;
        }
    }
    p->tcp_seq = seq;
    p->tcp_end = end;
    p->PKT_FIN = fin;
    if (seq != t->rcv_nxt) {
        ooo_insert(t, p);
        return;
    }
    // Short of memory, one segment per connection is still taken: the reader makes progress. What
    // came out of order does not count, nobody can read it before this segment is here.
    if (p->total && ((t->s.rx_bytes && tcp_rx_pressure()) || t->s.rx_mem > 4 * t->s.rcvbuf)) {
        t->ack_now = true;
        pkt_free(p);
        return;
    }
    bool had_ooo = t->ooo_count != 0, data = p->total != 0;
    fin = rx_in_order(t, p);
    uint32_t unacked = t->rcv_nxt - t->rcv_acked;
    // Every second full segment (RFC 9293 section 3.8.6.3), and before the window stops the peer.
    if (had_ooo || unacked >= 2 * t->rcv_mss || unacked > t->rcv_adv - t->rcv_nxt)
        t->ack_now = true;
    else if (data && t->t_delack == DEADLINE_NEVER) {
        t->t_delack = net_now + TCP_DELACK_NS;
        tcp_timer_update(t);
    }
    if (data && !fin)
        sock_wake(&t->s, EPOLLIN | EPOLLRDNORM);
    if (fin)
        received_fin(t);
}

// --- opening, from our side ---
static void input_syn_sent(struct tcp_sock *t, struct tcp_seg *seg)
{
    bool ack_ok = seg->flags & TCP_ACK && seg->ack == t->iss + 1;
    if (seg->flags & TCP_ACK && !ack_ok) {
        tcp_send_rst_for(seg);
        return;
    }
    if (seg->flags & TCP_RST) {
        if (ack_ok)
            tcp_fail(t, ECONNREFUSED);
        return;
    }
    if (!(seg->flags & TCP_SYN))
        return;
    t->irs = seg->seq;
    t->rcv_nxt = t->rcv_acked = seg->seq + 1;
    t->rcv_adv = t->rcv_nxt + MIN(t->s.rcvbuf, 65535u);
    t->peer_mss = seg->opt.mss ? seg->opt.mss : TCP_DEFAULT_MSS;
    t->wscale_ok = seg->opt.wscale >= 0;
    t->snd_wscale = t->wscale_ok ? (uint8_t)seg->opt.wscale : 0;
    t->rcv_wscale = t->wscale_ok ? TCP_WSCALE : 0;
    t->sack_ok = seg->opt.sack_ok;
    t->ts_ok = seg->opt.ts;
    t->ts_recent = seg->opt.tsval;
    t->ts_recent_at = net_now;
    t->snd_wnd = t->max_wnd = seg->wnd; // never scaled in a SYN
    t->snd_wl1 = seg->seq;
    t->snd_wl2 = seg->ack;
    tcp_set_mss(t, t->adv_mss);
    if (!ack_ok) { // both sides opened at once
        t->state = TCPS_SYN_RCVD;
        t->retries = 0;
        tcp_send_syn(t);
        tcp_arm_rtx(t);
        return;
    }
    t->snd_una = seg->ack;
    if (t->rtt_start && !t->retries)
        tcp_rtt_sample(
            t, (uint32_t)MIN((net_now - t->rtt_start) / NSEC_PER_USEC, (uint64_t)TCP_RTO_MAX_US));
    t->rtt_start = 0;
    t->state = TCPS_ESTABLISHED;
    t->ack_now = true;
    tcp_established(t);
    tcp_schedule(t);
}

// --- resets (RFC 9293 section 3.10.7.4, second; RFC 5961 section 3.2) ---
static void input_rst(struct tcp_sock *t, const struct tcp_seg *seg)
{
    if (seg->seq != t->rcv_nxt) {
        if (seq_gt(seg->seq, t->rcv_nxt) && seq_lt(seg->seq, t->rcv_adv) && tcp_challenge_ok())
            tcp_send_ack(t);
        return;
    }
    switch (t->state) {
    case TCPS_SYN_RCVD:
        tcp_fail(t, ECONNREFUSED);
        return;
    case TCPS_CLOSE_WAIT:
        tcp_fail(t, EPIPE);
        return;
    case TCPS_CLOSING:
    case TCPS_LAST_ACK:
        tcp_destroy(t);
        return;
    default:
        tcp_fail(t, ECONNRESET);
    }
}

// Sequence, PAWS, RST, SYN: what makes a segment not count. False: dropped (the connection may be
// gone).
static bool acceptable(struct tcp_sock *t, struct tcp_seg *seg)
{
    bool rst = seg->flags & TCP_RST;
    if (t->ts_ok && !rst) {
        if (!seg->opt.ts)
            return false; // RFC 7323 section 3.2
        if (tcp_ts_before(seg->opt.tsval, t->ts_recent) &&
            net_now - t->ts_recent_at < 24ull * 86400 * NSEC_PER_SEC) {
            t->ack_now = true;
            tcp_schedule(t);
            return false;
        }
    }
    uint32_t end = seg->seq + seg->len + !!(seg->flags & TCP_FIN) + !!(seg->flags & TCP_SYN);
    if (seq_lt(end, t->rcv_nxt) || seq_gt(seg->seq, t->rcv_adv)) {
        // RFC 9293: answered, so that a peer that is out of step finds its way back; at a bounded
        // rate when it carries nothing (two peers that disagree would answer each other for ever).
        if (!rst && (seg->len || seg->flags & (TCP_FIN | TCP_SYN) || seg->seq + 1 == t->rcv_nxt ||
                     tcp_challenge_ok())) {
            t->ack_now = true;
            tcp_schedule(t);
        }
        // But its acknowledgement counts (RFC 9293 section 3.10.7.4: "special allowance"): a peer
        // that went past a closed window, as passt does, would wait for us and we for it.
        return seg->flags & TCP_ACK && !(seg->flags & (TCP_RST | TCP_SYN)) &&
               seq_gt(seg->seq, t->rcv_adv) && seg->seq - t->rcv_adv <= TCP_PAST_WINDOW &&
               t->state != TCPS_SYN_RCVD;
    }
    if (rst) {
        input_rst(t, seg);
        return false;
    }
    if (seg->flags & TCP_SYN) {
        // In SYN_RCVD of a simultaneous opening the peer's SYN comes again with its ACK.
        if (t->state == TCPS_SYN_RCVD && seg->seq == t->irs) {
            seg->flags &= (uint8_t)~TCP_SYN;
            seg->seq++;
        } else {
            if (tcp_challenge_ok())
                tcp_send_ack(t);
            return false;
        }
    }
    return seg->flags & TCP_ACK;
}

// Our FIN has been acknowledged. True: the connection is gone.
static bool fin_acked(struct tcp_sock *t)
{
    switch (t->state) {
    case TCPS_FIN_WAIT_1:
        t->state = TCPS_FIN_WAIT_2;
        t->t_rtx = DEADLINE_NEVER;
        t->t_misc = t->orphan ? net_now + TCP_FIN_WAIT2_NS : DEADLINE_NEVER;
        tcp_timer_update(t);
        sock_wake(&t->s, 0); // a lingering close
        return false;
    case TCPS_CLOSING:
        tcp_time_wait(t);
        return true;
    case TCPS_LAST_ACK:
        tcp_destroy(t);
        return true;
    default:
        return false;
    }
}

void tcp_segment(struct tcp_sock *t, struct tcp_seg *seg, struct pktbuf *p)
{
    t->last_rx = net_now;
    if (t->keep_sent)
        tcp_arm_keepalive(t);
    if (t->state == TCPS_SYN_SENT) {
        input_syn_sent(t, seg);
        goto drop;
    }
    if (!acceptable(t, seg))
        goto drop;
    if (t->ts_ok && seq_leq(seg->seq, t->rcv_acked) &&
        !tcp_ts_before(seg->opt.tsval, t->ts_recent)) {
        t->ts_recent = seg->opt.tsval;
        t->ts_recent_at = net_now;
    }
    if (t->state == TCPS_SYN_RCVD) {
        if (seg->ack != t->snd_nxt) {
            tcp_send_rst_for(seg);
            goto drop;
        }
        t->snd_una = seg->ack;
        t->snd_wnd = t->max_wnd = seg->wnd << t->snd_wscale;
        t->snd_wl1 = seg->seq;
        t->snd_wl2 = seg->ack;
        t->state = TCPS_ESTABLISHED;
        tcp_established(t);
        tcp_schedule(t);
    } else if (!tcp_ack(t, seg)) {
        if (t->ack_now)
            tcp_schedule(t);
        goto drop;
    }
    if (t->fin_sent && t->snd_una == t->snd_end + 1 && fin_acked(t))
        goto drop;
    if ((seg->len || seg->flags & TCP_FIN) && !t->fin_rcvd &&
        (t->state == TCPS_ESTABLISHED || t->state == TCPS_FIN_WAIT_1 ||
         t->state == TCPS_FIN_WAIT_2)) {
        if (t->orphan && seg->len && seq_gt(seg->seq + seg->len, t->rcv_nxt)) {
            // Nobody will read it: the peer must know (RFC 9293 section 3.6.1, RFC 2525
            // section 2.17).
            tcp_send_rst(t);
            tcp_destroy(t);
            goto drop;
        }
        struct tcp_entry key = t->e;
        receive_text(t, seg, p);
        // A FIN may have ended it: only the table knows.
        if (tcp_lookup(key.laddr, key.lport, key.raddr, key.rport) != &t->e)
            return;
        p = NULL;
    } else if (seg->len || seg->flags & TCP_FIN) {
        t->ack_now = true; // text behind the FIN, or the FIN again
    }
    if (t->ack_now)
        tcp_schedule(t);
drop:
    pkt_free(p);
}

void tcp_icmp(uint32_t laddr, uint32_t raddr, const uint8_t l4[8], int err, uint32_t mtu)
{
    struct tcp_entry *e = tcp_lookup(laddr, get_be16(l4), raddr, get_be16(l4 + 2));
    if (!e || e->kind != TCP_KIND_SOCK)
        return;
    struct tcp_sock *t = container_of(e, struct tcp_sock, e);
    uint32_t seq = get_be32(l4 + 4);
    // Only about something that is in flight (RFC 5927 section 4.1).
    if (seq_lt(seq, t->snd_una) || seq_geq(seq, t->snd_nxt))
        return;
    if (t->state == TCPS_SYN_SENT) {
        if (err == ECONNREFUSED || err == ENOPROTOOPT)
            tcp_fail(t, ECONNREFUSED); // hard errors (RFC 1122 section 4.2.3.9)
        else if (err != EMSGSIZE)
            t->soft_error = err;
        return;
    }
    // Path MTU discovery (RFC 1191): smaller segments, and what was too large again.
    if (err == EMSGSIZE && mtu >= 576 && mtu - 40 < t->mss + (t->ts_ok ? 12 : 0) &&
        t->state != TCPS_SYN_RCVD) {
        tcp_set_mss(t, mtu - 40);
        t->peer_mss = MIN(t->peer_mss, mtu - 40);
        uint32_t cwnd = t->cwnd;
        tcp_enter_loss(t);
        t->cwnd = MAX(cwnd, 2 * t->mss);
        tcp_schedule(t);
    }
}

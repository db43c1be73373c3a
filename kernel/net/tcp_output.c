// SPDX-License-Identifier: ISC
// TCP: segments leave. Data is copied once, from the program into chunks of the send queue;
// segments are a fresh header in front of references to the chunks (or the header in the chunk's
// own head room, when one segment is one chunk), so that retransmission copies next to nothing.
// With segmentation offload one "segment" carries up to 64 KiB.
#include "net/tcp.h"

#define GATHER_MAX 1024u // smaller pieces are cheaper to copy than to refer to

static uint8_t *chunk_bytes(struct pktbuf *c, uint32_t seq)
{
    // Foreign bytes have no head room; pool memory always starts behind it (data may have moved).
    return c->head + (c->release ? 0 : PKT_HEADROOM) + (seq - c->tcp_seq);
}

unsigned tcp_put_options(uint8_t *o, const struct tcp_reply *r)
{
    uint8_t *at = o;
    if (r->mss) {
        at[0] = 2;
        at[1] = 4;
        put_be16(at + 2, r->mss);
        at += 4;
    }
    if (r->ts) {
        at[0] = r->sack_ok ? 4 : 1; // SACK permitted, in the place of two NOPs
        at[1] = r->sack_ok ? 2 : 1;
        at[2] = 8;
        at[3] = 10;
        put_be32(at + 4, r->tsval);
        put_be32(at + 8, r->tsecr);
        at += 12;
    } else if (r->sack_ok) {
        at[0] = at[1] = 1;
        at[2] = 4;
        at[3] = 2;
        at += 4;
    }
    if (r->wscale >= 0) {
        at[0] = 1;
        at[1] = 3;
        at[2] = 3;
        at[3] = (uint8_t)r->wscale;
        at += 4;
    }
    return (unsigned)(at - o);
}

// Options of a synchronised connection: timestamps, then SACK blocks (RFC 7323, 2018).
static unsigned data_options(struct tcp_sock *t, uint8_t *o, bool with_sack)
{
    uint8_t *at = o;
    if (t->ts_ok) {
        at[0] = at[1] = 1;
        at[2] = 8;
        at[3] = 10;
        put_be32(at + 4, tcp_tsval(t));
        put_be32(at + 8, t->ts_recent);
        at += 12;
    }
    if (with_sack && t->sack_ok && t->sack_count) {
        unsigned n = MIN(t->sack_count, t->ts_ok ? 3u : 4u);
        at[0] = at[1] = 1;
        at[2] = 5;
        at[3] = (uint8_t)(2 + 8 * n);
        at += 4;
        for (unsigned i = 0; i < n; i++, at += 8) {
            put_be32(at, t->sack[i].start);
            put_be32(at + 4, t->sack[i].end);
        }
    }
    return (unsigned)(at - o);
}

uint32_t tcp_window_now(const struct tcp_sock *t)
{
    uint32_t used = t->s.rx_bytes;
    uint32_t space = t->s.rcvbuf > used ? t->s.rcvbuf - used : 0;
    // Many small pieces in large buffers: memory, not bytes, is what runs out.
    if (t->s.rx_mem > t->s.rcvbuf * 2)
        space = 0;
    if (tcp_rx_pressure())
        space = t->s.rx_mem ? 0 : MIN(space, 4 * t->rcv_mss);
    if (space < MIN(t->rcv_mss, t->s.rcvbuf / 2)) // no silly windows (RFC 9293 section 3.8.6.2.2)
        space = 0;
    return MIN(space, 65535u << t->rcv_wscale);
}

uint32_t tcp_recv_window(struct tcp_sock *t)
{
    uint32_t wnd = ALIGN_DOWN(tcp_window_now(t), 1u << t->rcv_wscale);
    // The right edge never moves back.
    uint32_t promised = seq_gt(t->rcv_adv, t->rcv_nxt) ? t->rcv_adv - t->rcv_nxt : 0;
    if (wnd < promised)
        wnd = ALIGN_UP(promised, 1u << t->rcv_wscale);
    wnd = MIN(wnd, 65535u << t->rcv_wscale);
    if (seq_gt(t->rcv_nxt + wnd, t->rcv_adv))
        t->rcv_adv = t->rcv_nxt + wnd;
    return wnd;
}

void tcp_set_mss(struct tcp_sock *t, uint32_t mtu_payload)
{
    uint32_t mss = MIN(t->peer_mss, mtu_payload);
    if (t->maxseg)
        mss = MIN(mss, t->maxseg);
    mss = MAX(mss, TCP_MIN_MSS);
    t->mss = mss - (t->ts_ok ? 12 : 0);
}

// The header in front of p (payload at p->data), checksum, and away. Takes p.
static void transmit(const struct ip_route *route, struct pktbuf *p, uint32_t laddr, uint16_t lport,
                     uint32_t raddr, uint16_t rport, uint32_t seq, uint32_t ack, uint8_t flags,
                     uint16_t wnd, const uint8_t *opt, unsigned optlen, uint32_t mss, uint8_t tos,
                     uint8_t ttl)
{
    uint32_t payload = p->total;
    memcpy(pkt_push(p, optlen), opt, optlen);
    struct tcp_hdr *h = pkt_push(p, sizeof(*h));
    h->sport = cpu_to_be16(lport);
    h->dport = cpu_to_be16(rport);
    h->seq = cpu_to_be32(seq);
    h->ack = cpu_to_be32(ack);
    h->off = (uint8_t)((sizeof(*h) + optlen) / 4 << 4);
    h->flags = flags;
    h->wnd = cpu_to_be16(wnd);
    h->csum = 0;
    h->urg = 0;
    if (mss && payload > mss) {
        p->gso_type = PKT_GSO_TCPV4;
        p->gso_size = (uint16_t)mss;
        p->hdr_len = (uint16_t)(sizeof(*h) + optlen);
    }
    ip_transport_csum(p, route->nif, laddr, raddr, IPPROTO_TCP, offsetof(struct tcp_hdr, csum));
    ip_output(p, route, laddr, raddr, IPPROTO_TCP, ttl, tos, IP_OUT_DF);
}

static void transmit_conn(struct tcp_sock *t, struct pktbuf *p, uint32_t seq, uint8_t flags)
{
    uint8_t opt[40];
    bool data = p->total != 0;
    unsigned n = data_options(t, opt, !data || t->ack_now);
    // Options must not make a full segment larger than the path takes.
    if (data && n > (t->ts_ok ? 12u : 0u) && p->total + n + 40 > t->route.nif->dev->mtu)
        n = data_options(t, opt, false);
    uint32_t wnd = tcp_recv_window(t);
    transmit(&t->route, p, t->e.laddr, t->e.lport, t->e.raddr, t->e.rport, seq, t->rcv_nxt, flags,
             (uint16_t)(wnd >> t->rcv_wscale), opt, n, t->mss, t->s.tos, t->s.ttl);
    if (flags & TCP_ACK) {
        t->ack_now = false;
        t->rcv_acked = t->rcv_nxt;
        t->t_delack = DEADLINE_NEVER;
    }
}

void tcp_send_ack(struct tcp_sock *t)
{
    struct pktbuf *p = pkt_alloc_urgent(0);
    if (!p) {
        t->ack_now = true; // the delayed-ACK timer tries again
        t->t_delack = net_now + TCP_DELACK_NS;
        tcp_timer_update(t);
        return;
    }
    t->ack_now = true; // with SACK blocks
    transmit_conn(t, p, t->snd_nxt, TCP_ACK);
}

void tcp_send_rst(struct tcp_sock *t)
{
    struct pktbuf *p = pkt_alloc_urgent(0);
    if (p)
        transmit_conn(t, p, t->snd_nxt, TCP_RST | TCP_ACK);
}

void tcp_send_reply(const struct tcp_reply *r)
{
    struct ip_route route;
    if (ip_route(r->raddr, &route))
        return;
    struct pktbuf *p = pkt_alloc_urgent(0);
    if (!p)
        return;
    uint8_t opt[40];
    unsigned n = tcp_put_options(opt, r);
    transmit(&route, p, r->laddr, r->lport, r->raddr, r->rport, r->seq, r->ack, r->flags, r->wnd,
             opt, n, 0, 0, 64);
}

void tcp_send_rst_for(const struct tcp_seg *seg)
{
    static struct rate_limit rate;
    if (seg->flags & TCP_RST || !rate_ok(&rate, TCP_RSTS_PER_S))
        return;
    struct tcp_reply r = {.laddr = seg->laddr,
                          .raddr = seg->raddr,
                          .lport = seg->lport,
                          .rport = seg->rport,
                          .wscale = -1,
                          .flags = TCP_RST};
    if (seg->flags & TCP_ACK) {
        r.seq = seg->ack;
    } else {
        r.flags |= TCP_ACK;
        r.ack = seg->seq + seg->len + !!(seg->flags & TCP_SYN) + !!(seg->flags & TCP_FIN);
    }
    tcp_send_reply(&r);
}

void tcp_send_syn(struct tcp_sock *t)
{
    bool synack = t->state == TCPS_SYN_RCVD;
    struct pktbuf *p = pkt_alloc_urgent(0);
    if (!p)
        return; // the retransmission timer tries again
    uint32_t wnd = MIN(t->s.rcvbuf, 65535u);
    struct tcp_reply r = {.mss = (uint16_t)t->adv_mss,
                          .wscale = !synack || t->wscale_ok ? TCP_WSCALE : -1,
                          .sack_ok = !synack || t->sack_ok,
                          .ts = !synack || t->ts_ok,
                          .tsval = tcp_tsval(t),
                          .tsecr = t->ts_recent};
    uint8_t opt[40];
    unsigned n = tcp_put_options(opt, &r);
    t->rcv_adv = t->rcv_nxt + wnd;
    transmit(&t->route, p, t->e.laddr, t->e.lport, t->e.raddr, t->e.rport, t->iss,
             synack ? t->rcv_nxt : 0, synack ? TCP_SYN | TCP_ACK : TCP_SYN, (uint16_t)wnd, opt, n,
             0, t->s.tos, t->s.ttl);
}

// --- data ---
static struct pktbuf *chunk_at(struct tcp_sock *t, uint32_t seq)
{
    struct pktbuf *hint = t->snd_at;
    if (hint && seq_leq(hint->tcp_seq, seq) && seq_lt(seq, hint->tcp_end))
        return hint;
    list_for_each (pos, &t->sndq) {
        struct pktbuf *c = list_entry(pos, struct pktbuf, snd_link);
        if (seq_lt(seq, c->tcp_end))
            return c;
    }
    return NULL;
}

static struct pktbuf *chunk_next(struct tcp_sock *t, struct pktbuf *c)
{
    struct list_head *next = c->snd_link.next;
    return next == &t->sndq ? NULL : list_entry(next, struct pktbuf, snd_link);
}

// Appends n bytes, copied: to `room`, the packet's last piece, as far as they fit, else to a new
// one. NULL: memory is short. Else the last piece.
static struct pktbuf *gather(struct pktbuf *p, struct pktbuf *room, const uint8_t *from, uint32_t n)
{
    if (!room || pkt_tailroom(room) < n) {
        room = pkt_alloc_urgent(PKT_ROOM_PAGE);
        if (!room)
            return NULL;
        memcpy(pkt_put(room, n), from, n);
        pkt_append(p, room);
        return room;
    }
    memcpy(pkt_put(room, n), from, n);
    if (room != p)
        p->total += n;
    return room;
}

// A packet whose payload is [seq, seq + *len) of the send queue; NULL: memory is short. *len gets
// smaller where a device would not take so many pieces.
static struct pktbuf *build_payload(struct tcp_sock *t, uint32_t seq, uint32_t *wanted)
{
    uint32_t len = *wanted;
    struct pktbuf *c = chunk_at(t, seq);
    ASSERT(c && seq_leq(c->tcp_seq, seq));
    if (c->tcp_seq == seq && c->tcp_end - seq == len && !c->release && c->refs == 1 &&
        !t->route.nif->loopback) {
        // The chunk is the segment and no driver has it: its own head room takes the headers.
        c->data = chunk_bytes(c, seq);
        c->len = c->total = len;
        c->flags = 0;
        c->gso_type = PKT_GSO_NONE;
        c->frag = NULL;
        pkt_ref(c);
        t->snd_at = c;
        return c;
    }
    struct pktbuf *p = pkt_alloc_urgent(0), *room = p, *last;
    unsigned pieces = t->route.nif->loopback ? UINT32_MAX : NETDEV_PIECES_MAX - 1;
    while (p && len && pieces) {
        uint32_t n = MIN(len, c->tcp_end - seq);
        last = room;
        room = n <= GATHER_MAX ? gather(p, room, chunk_bytes(c, seq), n) : NULL;
        if (!room) {
            struct pktbuf *v = pkt_view(c, chunk_bytes(c, seq), n);
            if (!v) {
                pkt_free(p);
                return NULL;
            }
            pkt_append(p, v);
        }
        pieces -= !room || room != last;
        t->snd_at = c;
        seq += n;
        len -= n;
        c = chunk_next(t, c);
    }
    if (p && len) { // whole segments, as far as that goes
        *wanted = p->total > t->mss ? p->total - p->total % t->mss : p->total;
        pkt_trim(p, *wanted);
    }
    return p;
}

// Bytes of payload that one packet to the device may carry.
static uint32_t segment_max(const struct tcp_sock *t)
{
    if (!(t->route.nif->dev->features & NETDEV_TSO4))
        return t->mss;
    return MAX(TCP_GSO_MAX / t->mss, 1u) * t->mss;
}

// Takes less, and no FIN, where one packet cannot have all of it. False: memory is short.
static bool send_data(struct tcp_sock *t, uint32_t seq, uint32_t *len, bool *fin)
{
    uint32_t wanted = *len;
    struct pktbuf *p = wanted ? build_payload(t, seq, len) : pkt_alloc_urgent(0);
    if (!p)
        return false;
    uint8_t flags = TCP_ACK;
    *fin &= *len == wanted;
    if (*len && seq + *len == t->snd_end)
        flags |= TCP_PSH;
    if (*fin)
        flags |= TCP_FIN;
    transmit_conn(t, p, seq, flags);
    return true;
}

void tcp_send_probe(struct tcp_sock *t)
{
    uint32_t avail = tcp_unsent(t), edge = t->snd_una + t->snd_wnd;
    if (avail && t->persist && seq_gt(edge, t->snd_nxt)) {
        // A window too small for politeness, for too long: what fits goes out.
        uint32_t len = MIN(edge - t->snd_nxt, t->mss);
        len = MIN(len, avail);
        bool fin = false;
        if (send_data(t, t->snd_nxt, &len, &fin))
            t->snd_nxt += len;
        return;
    }
    // An old octet's number: the peer must answer with an acknowledgement that shows its window.
    struct pktbuf *p = pkt_alloc_urgent(0);
    if (p)
        transmit_conn(t, p, t->snd_una - 1, TCP_ACK);
}

bool tcp_retransmit(struct tcp_sock *t, uint32_t seq, uint32_t len)
{
    len = MIN(len, segment_max(t));
    uint32_t data_end = t->snd_end;
    bool fin = t->fin_sent && seq + len == data_end + 1;
    if (fin)
        len--;
    t->total_rxt++;
    plat_stats->tcp_retransmits++;
    // Karn: nothing that a retransmission overlaps can be timed.
    if (t->rtt_start && seq_lt(seq, t->rtt_seq))
        t->rtt_start = 0;
    if (!send_data(t, seq, &len, &fin))
        return false;
    if (seq_lt(t->high_rxt, seq + len + fin))
        t->high_rxt = seq + len + fin;
    return true;
}

// Retransmits what recovery asks for, as far as the pipe has room (RFC 6675 section 5).
static void output_recovery(struct tcp_sock *t, uint32_t *pipe)
{
    uint32_t seq, len;
    while (*pipe + t->mss <= t->cwnd || *pipe == 0) {
        if (!tcp_next_hole(t, true, &seq, &len))
            return;
        uint32_t segments = t->cwnd > *pipe ? (t->cwnd - *pipe) / t->mss : 0;
        if (!segments)
            segments = 1;
        len = MIN(len, segments * t->mss);
        len = MIN(len, segment_max(t));
        if (!tcp_retransmit(t, seq, len))
            return;
        *pipe += len;
    }
}

// How much of what waits may go out as the next packet; 0: nothing.
static uint32_t next_segment(struct tcp_sock *t, uint32_t pipe)
{
    uint32_t avail = tcp_unsent(t);
    uint32_t edge = t->snd_una + t->snd_wnd;
    uint32_t can = seq_gt(edge, t->snd_nxt) ? edge - t->snd_nxt : 0;
    uint32_t len = MIN(avail, can);
    uint32_t cw = t->cwnd > pipe ? t->cwnd - pipe : 0;
    if (len > cw) {
        t->cwnd_limited = true;
        if (cw < t->mss)
            return 0;
        len = cw;
    }
    len = MIN(len, segment_max(t));
    // Corked (TCP_CORK, MSG_MORE): a partial segment waits for more, or for the cork's deadline.
    bool corked = (t->cork || t->more) && seq_leq(t->push_seq, t->snd_nxt);
    if (len >= t->mss)
        // Whole segments, unless the rest is the end of the data and goes along.
        return len == avail && !corked ? len : len - len % t->mss;
    if (!len)
        return 0;
    bool last = len == avail;
    if (last && (t->fin_queued || seq_gt(t->push_seq, t->snd_nxt)))
        return len;
    if (last && !corked &&
        (t->nodelay || t->snd_nxt == t->snd_una)) // Nagle (RFC 9293 section 3.7.4)
        return len;
    // Sender's silly window avoidance (RFC 9293 section 3.8.6.2.1).
    if (!last && len >= t->max_wnd / 2)
        return len;
    return 0;
}

static bool may_send_data(const struct tcp_sock *t)
{
    switch (t->state) {
    case TCPS_ESTABLISHED:
    case TCPS_CLOSE_WAIT:
    case TCPS_FIN_WAIT_1:
    case TCPS_CLOSING:
    case TCPS_LAST_ACK:
        return true;
    default:
        return false;
    }
}

static void after_idle(struct tcp_sock *t)
{
    // RFC 5681 section 4.1: what we knew about the path is old.
    if (t->snd_nxt == t->snd_una && t->idle_since &&
        net_now - t->idle_since > (uint64_t)t->rto * NSEC_PER_USEC)
        t->cwnd = MIN(t->cwnd, tcp_initial_cwnd(t->mss));
}

void tcp_output(struct tcp_sock *t)
{
    if (may_send_data(t)) {
        bool sent = false, recovering = t->recovery != TCP_OPEN;
        uint32_t pipe = recovering ? tcp_pipe(t) : t->snd_nxt - t->snd_una;
        after_idle(t);
        t->cwnd_limited = false;
        if (recovering)
            output_recovery(t, &pipe);
        for (;;) {
            uint32_t len = next_segment(t, pipe);
            bool fin = t->fin_queued && !t->fin_sent && t->snd_nxt + len == t->snd_end;
            if ((!len && !fin) || !send_data(t, t->snd_nxt, &len, &fin))
                break;
            if (!t->rtt_start && len) {
                t->rtt_start = net_now;
                t->rtt_seq = t->snd_nxt + len;
            }
            t->snd_nxt += len + fin;
            t->fin_sent |= fin;
            pipe += len + fin;
            sent = true;
        }
        if (sent)
            t->idle_since = net_now;
        if (t->snd_nxt != t->snd_una) {
            if (t->t_rtx == DEADLINE_NEVER || t->persist)
                tcp_arm_rtx(t);
        } else if (tcp_unsent(t) && t->t_rtx == DEADLINE_NEVER &&
                   t->snd_wnd < MIN(t->mss, tcp_unsent(t))) {
            // Data waits for a window that only the peer can open: probe it, its update may be
            // lost.
            tcp_arm_rtx(t);
            t->persist = true;
        } else if (tcp_unsent(t) && t->t_rtx == DEADLINE_NEVER && !t->cork && !t->more) {
            tcp_arm_rtx(t); // no memory for the packet: try again
            t->persist = true;
        }
        if ((t->cork || t->more) && tcp_unsent(t) && t->t_cork == DEADLINE_NEVER) {
            t->t_cork = net_now + TCP_CORK_NS;
            tcp_timer_update(t);
        }
    }
    if (t->ack_now && t->state != TCPS_CLOSED && t->state != TCPS_SYN_SENT &&
        t->state != TCPS_LISTEN)
        tcp_send_ack(t);
}

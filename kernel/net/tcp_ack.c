// SPDX-License-Identifier: ISC
// TCP: what an acknowledgement does to the sender. RTT and RTO (RFC 6298), the SACK scoreboard and
// loss recovery (RFC 6675; RFC 6582 without SACK), slow start (RFC 5681, 6928) and CUBIC (RFC
// 9438).
#include "net/tcp.h"

#define DUP_THRESH 3u

uint32_t tcp_initial_cwnd(uint32_t mss) // RFC 6928: ten segments, about 14600 bytes
{
    uint32_t floor = MAX(2 * mss, 14600u);
    return MIN(10 * mss, floor);
}

// --- round-trip time ---
void tcp_rtt_sample(struct tcp_sock *t, uint32_t us)
{
    us = us ? us : 1;
    if (!t->min_rtt || us < t->min_rtt)
        t->min_rtt = us;
    if (!t->srtt) {
        t->srtt = us;
        t->rttvar = us / 2;
    } else {
        uint32_t delta = us > t->srtt ? us - t->srtt : t->srtt - us;
        t->rttvar += delta / 4 - t->rttvar / 4;
        t->srtt += us / 8 - t->srtt / 8;
    }
    uint32_t rto = t->srtt + MAX(4 * t->rttvar, 1000u);
    rto = MAX(rto, TCP_RTO_MIN_US);
    t->rto = MIN(rto, TCP_RTO_MAX_US);
}

static void take_rtt(struct tcp_sock *t, const struct tcp_seg *seg)
{
    if (t->rtt_start) {
        if (seq_geq(t->snd_una, t->rtt_seq)) {
            tcp_rtt_sample(t, (uint32_t)MIN((net_now - t->rtt_start) / NSEC_PER_USEC,
                                            (uint64_t)TCP_RTO_MAX_US));
            t->rtt_start = 0;
        }
    } else if (t->ts_ok && seg->opt.ts && seg->opt.tsecr && t->recovery != TCP_OPEN) {
        // Timestamps tell retransmission and original apart (RFC 7323), a millisecond fine.
        uint32_t ms = tcp_tsval(t) - seg->opt.tsecr;
        if (ms < TCP_RTO_MAX_US / 1000)
            tcp_rtt_sample(t, ms ? ms * 1000 : 500);
    }
}

// --- scoreboard ---
void tcp_scoreboard_clear(struct tcp_sock *t)
{
    if (t->sb)
        t->sb->count = 0;
}

static unsigned ranges(const struct tcp_sock *t)
{
    return t->sb ? t->sb->count : 0;
}

uint32_t tcp_sacked_bytes(const struct tcp_sock *t)
{
    uint32_t n = 0;
    for (unsigned i = 0; i < ranges(t); i++)
        n += t->sb->range[i].end - t->sb->range[i].start;
    return n;
}

// Bytes of [a, b) that are not SACKed.
static uint32_t unsacked(const struct tcp_sock *t, uint32_t a, uint32_t b)
{
    if (!seq_lt(a, b))
        return 0;
    uint32_t n = b - a;
    for (unsigned i = 0; i < ranges(t); i++) {
        uint32_t s = t->sb->range[i].start, e = t->sb->range[i].end;
        s = seq_lt(s, a) ? a : s;
        e = seq_gt(e, b) ? b : e;
        if (seq_lt(s, e))
            n -= e - s;
    }
    return n;
}

static void scoreboard_remove(struct tcp_scoreboard *sb, unsigned i, unsigned n)
{
    memmove(&sb->range[i], &sb->range[i + n], (sb->count - i - n) * sizeof(sb->range[0]));
    sb->count -= n;
}

// Adds a range, merging what it touches. Bytes that are new.
static uint32_t scoreboard_add(struct tcp_scoreboard *sb, uint32_t start, uint32_t end)
{
    unsigned i = 0;
    while (i < sb->count && seq_lt(sb->range[i].end, start))
        i++;
    unsigned j = i;
    uint32_t known = 0, s = start, e = end;
    while (j < sb->count && seq_leq(sb->range[j].start, end)) {
        struct seq_range *r = &sb->range[j++];
        uint32_t os = seq_gt(r->start, start) ? r->start : start;
        uint32_t oe = seq_lt(r->end, end) ? r->end : end;
        known += seq_lt(os, oe) ? oe - os : 0;
        s = seq_lt(r->start, s) ? r->start : s;
        e = seq_gt(r->end, e) ? r->end : e;
    }
    if (j == i) {
        if (sb->count == TCP_SACK_RANGES)
            return 0; // remembered no further: it will be SACKed again, or retransmitted
        memmove(&sb->range[i + 1], &sb->range[i], (sb->count - i) * sizeof(sb->range[0]));
        sb->count++;
    } else {
        scoreboard_remove(sb, i + 1, j - i - 1);
    }
    sb->range[i] = (struct seq_range){s, e};
    return end - start - known;
}

static void scoreboard_advance(struct tcp_sock *t)
{
    struct tcp_scoreboard *sb = t->sb;
    while (ranges(t) && seq_leq(sb->range[0].end, t->snd_una))
        scoreboard_remove(sb, 0, 1);
    if (ranges(t) && seq_lt(sb->range[0].start, t->snd_una))
        sb->range[0].start = t->snd_una;
}

static uint32_t process_sacks(struct tcp_sock *t, const struct tcp_seg *seg)
{
    uint32_t fresh = 0;
    for (unsigned i = 0; i < seg->opt.sacks; i++) {
        struct seq_range r = seg->opt.sack[i];
        // Below snd_una is a duplicate report (RFC 2883); above snd_nxt is nonsense.
        if (!seq_lt(r.start, r.end) || seq_leq(r.start, seg->ack) || seq_lt(r.start, t->snd_una) ||
            seq_gt(r.end, t->snd_nxt))
            continue;
        if (!t->sb) {
            t->sb = kzalloc(sizeof(*t->sb));
            if (!t->sb)
                return 0;
        }
        fresh += scoreboard_add(t->sb, r.start, r.end);
    }
    return fresh;
}

// Everything unSACKed below this is lost (RFC 6675 IsLost): enough was SACKed above it.
static uint32_t lost_edge(const struct tcp_sock *t)
{
    uint32_t above = 0;
    for (unsigned i = ranges(t), n = 1; i-- > 0; n++) {
        above += t->sb->range[i].end - t->sb->range[i].start;
        if (n >= DUP_THRESH || above > (DUP_THRESH - 1) * t->mss)
            return t->sb->range[i].start;
    }
    return t->snd_una;
}

// What recovery takes as lost.
static uint32_t recovery_edge(const struct tcp_sock *t)
{
    if (t->recovery == TCP_LOSS)
        return t->recover;
    uint32_t edge = lost_edge(t), first = t->snd_una + MIN(t->mss, t->snd_nxt - t->snd_una);
    return seq_lt(edge, first) ? first : edge; // the first segment, at least
}

uint32_t tcp_pipe(const struct tcp_sock *t)
{
    uint32_t flight = t->snd_nxt - t->snd_una;
    if (t->recovery == TCP_OPEN)
        return flight;
    if (t->recovery == TCP_RECOVERY && !t->sack_ok) {
        uint32_t left = (uint32_t)t->dupacks * t->mss;
        return flight > left ? flight - left : 0;
    }
    uint32_t edge = recovery_edge(t);
    uint32_t rxt = seq_lt(t->high_rxt, edge) ? t->high_rxt : edge;
    return unsacked(t, edge, t->snd_nxt) + unsacked(t, t->snd_una, rxt);
}

bool tcp_next_hole(struct tcp_sock *t, bool lost_only, uint32_t *seq, uint32_t *len)
{
    uint32_t edge = lost_only ? recovery_edge(t) : t->snd_nxt;
    uint32_t from = seq_gt(t->high_rxt, t->snd_una) ? t->high_rxt : t->snd_una;
    uint32_t hole = t->snd_una;
    for (unsigned i = 0; i <= ranges(t); i++) {
        uint32_t end = i < ranges(t) ? t->sb->range[i].start : edge;
        end = seq_gt(end, edge) ? edge : end;
        uint32_t start = seq_lt(hole, from) ? from : hole;
        if (seq_lt(start, end)) {
            *seq = start;
            *len = end - start;
            return true;
        }
        if (i < ranges(t))
            hole = t->sb->range[i].end;
    }
    return false;
}

// --- congestion window ---
static uint32_t cube_root(uint64_t v)
{
    uint32_t r = 0;
    for (int b = 20; b >= 0; b--) {
        uint64_t c = r | 1u << b;
        if (c * c * c <= v)
            r = (uint32_t)c;
    }
    return r;
}

// Multiplicative decrease: ssthresh after a loss, and CUBIC's memory of where it happened.
static void reduce(struct tcp_sock *t)
{
    uint32_t flight = t->snd_nxt - t->snd_una;
    uint32_t base = MAX(flight, t->mss);
    base = MIN(t->cwnd, base);
    // Fast convergence: a flow that reaches less than last time leaves room for others.
    t->w_max = t->cwnd < t->w_max ? t->cwnd / 20 * 17 : t->cwnd;
    t->ssthresh = base / 10 * 7;
    if (t->ssthresh < 2 * t->mss)
        t->ssthresh = 2 * t->mss;
    t->cubic_epoch = 0;
}

static void cubic_grow(struct tcp_sock *t, uint32_t acked)
{
    if (!t->cubic_epoch) {
        t->cubic_epoch = net_now;
        if (t->w_max < t->cwnd)
            t->w_max = t->cwnd;
        uint64_t gap = (t->w_max - t->cwnd) / t->mss;
        t->cubic_k_ms = cube_root(gap * 2500000000ull); // (gap / C) ^ 1/3, C = 0.4, in ms
        t->cubic_w_est = t->cwnd;
    }
    int64_t d =
        (int64_t)((net_now - t->cubic_epoch) / NSEC_PER_MSEC) + t->srtt / 1000 - t->cubic_k_ms;
    d = d > 100000 ? 100000 : d < -100000 ? -100000 : d;
    int64_t target = (int64_t)t->w_max + d * d * d / 2500000 * t->mss / 1000;
    // What Reno would have: alpha = 3 * (1 - 0.7) / (1 + 0.7) = 0.53 segments a round trip.
    t->cubic_w_est += (uint32_t)((uint64_t)acked * t->mss * 53 / 100 / t->cwnd);
    if (target < t->cubic_w_est)
        target = t->cubic_w_est;
    if (target > (int64_t)t->cwnd + t->cwnd / 2)
        target = (int64_t)t->cwnd + t->cwnd / 2;
    if (target > t->cwnd)
        t->cwnd += (uint32_t)((uint64_t)(target - t->cwnd) * acked / t->cwnd);
}

static void grow(struct tcp_sock *t, uint32_t acked)
{
    if (!t->cwnd_limited && t->recovery == TCP_OPEN)
        return; // the window was not what held us back (RFC 7661)
    if (t->cwnd < t->ssthresh)
        t->cwnd += t->recovery == TCP_LOSS ? MIN(acked, 2 * t->mss) : acked;
    else
        cubic_grow(t, acked);
    if (t->cwnd > SOCK_BUF_MAX)
        t->cwnd = SOCK_BUF_MAX;
}

static void enter_recovery(struct tcp_sock *t)
{
    reduce(t);
    t->cwnd = t->ssthresh;
    t->recovery = TCP_RECOVERY;
    t->recover = t->snd_nxt;
    t->high_rxt = t->snd_una;
    t->rxt_una = t->snd_una;
    t->rxt_mark = t->snd_nxt;
    uint32_t seq, len;
    // The first segment goes out whatever the pipe (RFC 6675 section 5 step 4.3).
    if (tcp_next_hole(t, true, &seq, &len))
        tcp_retransmit(t, seq, MIN(len, t->mss));
    tcp_arm_rtx(t);
}

void tcp_enter_loss(struct tcp_sock *t)
{
    if (t->recovery != TCP_LOSS)
        reduce(t);
    // A receiver that SACKed snd_una and does not acknowledge it has thrown it away (RFC 2018).
    if (ranges(t) && t->sb->range[0].start == t->snd_una)
        tcp_scoreboard_clear(t);
    t->cwnd = t->mss;
    t->recovery = TCP_LOSS;
    t->recover = t->snd_nxt;
    t->high_rxt = t->snd_una;
    t->dupacks = 0;
}

// A retransmission can be lost too: what was sent after it has been SACKed, it has not.
static void check_lost_retransmission(struct tcp_sock *t)
{
    if (t->snd_una != t->rxt_una) {
        t->rxt_una = t->snd_una;
        t->rxt_mark = t->snd_nxt;
        return;
    }
    uint32_t highest = ranges(t) ? t->sb->range[ranges(t) - 1].end : t->snd_una;
    if (seq_gt(highest, t->rxt_mark + DUP_THRESH * t->mss)) {
        t->high_rxt = t->snd_una;
        t->rxt_mark = t->snd_nxt;
    }
}

static void detect_loss(struct tcp_sock *t)
{
    if (t->recovery == TCP_OPEN) {
        bool lost = t->sack_ok && seq_gt(lost_edge(t), t->snd_una);
        if (lost || t->dupacks >= DUP_THRESH)
            enter_recovery(t);
    } else if (t->recovery == TCP_RECOVERY && t->sack_ok) {
        check_lost_retransmission(t);
    }
}

// --- acknowledged data leaves the send queue ---
static void release_acked(struct tcp_sock *t)
{
    uint32_t freed = 0;
    while (!list_empty(&t->sndq)) {
        struct pktbuf *c = list_first(&t->sndq, struct pktbuf, snd_link);
        if (seq_gt(c->tcp_end, t->snd_una))
            break;
        list_del(&c->snd_link);
        if (t->snd_at == c)
            t->snd_at = NULL;
        freed += tcp_chunk_memory(c);
        pkt_free(c);
    }
    t->s.tx_mem -= freed;
    tcp_tx_total -= freed;
    if (!t->s.sndbuf_fixed && t->s.sndbuf < TCP_BUF_AUTO_MAX && t->cwnd > t->s.sndbuf / 2 &&
        !tcp_tx_pressure())
        t->s.sndbuf = MIN(t->cwnd * 2, TCP_BUF_AUTO_MAX);
    // Half of what is queued must be free, so that writers do not wake for every segment.
    if (t->s.want_space && !t->orphan && t->s.tx_mem <= t->s.sndbuf / 3 * 2 &&
        tcp_queued(t) <= t->s.sndbuf / 3 * 2) {
        t->s.want_space = false;
        sock_wake(&t->s, EPOLLOUT | EPOLLWRNORM);
    }
}

static void ack_new(struct tcp_sock *t, const struct tcp_seg *seg)
{
    uint32_t acked = seg->ack - t->snd_una;
    t->snd_una = seg->ack;
    t->retries = 0;
    t->tlp_sent = false;
    t->rtx_since = 0;
    take_rtt(t, seg);
    scoreboard_advance(t);
    release_acked(t);
    if (t->recovery == TCP_OPEN) {
        t->dupacks = 0;
        grow(t, acked);
    } else if (seq_geq(t->snd_una, t->recover)) {
        if (t->recovery == TCP_RECOVERY)
            t->cwnd = t->ssthresh;
        t->recovery = TCP_OPEN;
        t->dupacks = 0;
        t->cubic_epoch = 0;
    } else if (t->recovery == TCP_LOSS) {
        grow(t, acked);
    } else if (!t->sack_ok) {
        // Partial acknowledgement (RFC 6582): the next segment is lost too.
        uint32_t left = acked / t->mss;
        t->dupacks = (uint8_t)(t->dupacks > left ? t->dupacks - left : 0);
        t->high_rxt = t->snd_una;
        tcp_retransmit(t, t->snd_una, MIN(t->mss, t->snd_nxt - t->snd_una));
    }
    if (seq_lt(t->high_rxt, t->snd_una))
        t->high_rxt = t->snd_una;
    t->persist = false;
    if (t->snd_una == t->snd_nxt)
        t->t_rtx = DEADLINE_NEVER;
    else
        tcp_arm_rtx(t);
}

bool tcp_ack(struct tcp_sock *t, const struct tcp_seg *seg)
{
    uint32_t wnd = seg->wnd << t->snd_wscale;
    // RFC 5961 section 5.2: neither for what was never sent, nor older than a window.
    if (seq_gt(seg->ack, t->snd_nxt) || seq_lt(seg->ack, t->snd_una - t->max_wnd)) {
        if (tcp_challenge_ok())
            t->ack_now = true;
        return false;
    }
    bool outstanding = t->snd_nxt != t->snd_una, newer = seq_gt(seg->ack, t->snd_una);
    uint32_t fresh = t->sack_ok && outstanding ? process_sacks(t, seg) : 0;
    if (newer) {
        ack_new(t, seg);
    } else if (seg->ack == t->snd_una && outstanding && !seg->len && !(seg->flags & TCP_FIN) &&
               (t->sack_ok ? fresh != 0 : wnd == t->snd_wnd)) {
        if (t->dupacks < 255)
            t->dupacks++;
    }
    if (outstanding && (fresh || t->dupacks || t->recovery != TCP_OPEN))
        detect_loss(t);
    if (newer || seq_lt(t->snd_wl1, seg->seq) ||
        (t->snd_wl1 == seg->seq && seq_leq(t->snd_wl2, seg->ack))) {
        if (wnd > t->snd_wnd && t->persist) {
            t->persist = false;
            t->retries = 0;
            t->t_rtx = DEADLINE_NEVER;
        }
        t->snd_wnd = wnd;
        t->snd_wl1 = seg->seq;
        t->snd_wl2 = seg->ack;
        t->max_wnd = MAX(t->max_wnd, wnd);
    }
    if (tcp_unsent(t) || t->recovery != TCP_OPEN || (t->fin_queued && !t->fin_sent))
        tcp_schedule(t);
    return true;
}

// SPDX-License-Identifier: ISC
// TCP timers. A connection has a few deadlines and one kernel timer, which is moved only when an
// earlier deadline appears: in the common case an acknowledgement comes long before, and nothing is
// re-armed per packet.
#include "net/tcp.h"

void tcp_timer_update(struct tcp_sock *t)
{
    uint64_t at = MIN(t->t_rtx, t->t_delack);
    uint64_t other = MIN(t->t_misc, t->t_cork);
    at = MIN(at, other);
    if (at != DEADLINE_NEVER && (!t->timer.armed || at < t->timer.deadline_ns))
        ktimer_arm(&t->timer, at);
}

static uint64_t rto_ns(const struct tcp_sock *t)
{
    uint64_t us = (uint64_t)t->rto << MIN(t->retries, 16);
    return MIN(us, (uint64_t)TCP_RTO_MAX_US) * NSEC_PER_USEC;
}

void tcp_arm_rtx(struct tcp_sock *t)
{
    uint64_t after = rto_ns(t);
    // Tail loss probe (RFC 8985 section 7): ask before the timeout, when nothing is known lost.
    if (t->recovery == TCP_OPEN && !t->tlp_sent && !t->retries && t->srtt &&
        t->snd_nxt - t->snd_una > t->mss && t->state == TCPS_ESTABLISHED) {
        uint64_t pto = MAX(2 * (uint64_t)t->srtt * NSEC_PER_USEC, 10 * NSEC_PER_MSEC);
        after = MIN(after, pto);
    }
    t->persist = false;
    t->t_rtx = net_now + after;
    tcp_timer_update(t);
}

void tcp_arm_keepalive(struct tcp_sock *t)
{
    if (t->s.keepalive && (t->state == TCPS_ESTABLISHED || t->state == TCPS_CLOSE_WAIT))
        t->t_misc = net_now + t->keep_idle_s * NSEC_PER_SEC;
    else if (t->state != TCPS_FIN_WAIT_2)
        t->t_misc = DEADLINE_NEVER;
    t->keep_sent = 0;
    tcp_timer_update(t);
}

// True: the connection is gone.
static bool gave_up(struct tcp_sock *t, unsigned limit)
{
    bool user = t->user_timeout_ms && t->rtx_since &&
                net_now - t->rtx_since >= t->user_timeout_ms * NSEC_PER_MSEC;
    if (t->retries < limit && !user)
        return false;
    tcp_fail(t, t->soft_error ? t->soft_error : ETIMEDOUT);
    return true;
}

static bool persist_timeout(struct tcp_sock *t)
{
    // A peer that answers may keep its window closed as long as it likes (RFC 9293
    // section 3.8.6.1).
    bool silent = net_now - t->last_rx > (uint64_t)TCP_RTO_MAX_US * NSEC_PER_USEC;
    if (t->retries < 250)
        t->retries++;
    if ((silent || t->orphan) && gave_up(t, t->orphan ? TCP_ORPHAN_RETRIES : TCP_RETRIES))
        return true;
    t->t_rtx = net_now + rto_ns(t);
    t->persist = true;
    if (t->snd_wnd >= MIN(t->mss, tcp_unsent(t))) {
        t->t_rtx = DEADLINE_NEVER; // the window was not the reason, memory was
        tcp_output(t);
        if (t->t_rtx == DEADLINE_NEVER && tcp_unsent(t)) {
            t->t_rtx = net_now + rto_ns(t);
            t->persist = true;
        }
    } else {
        tcp_send_probe(t);
        if (t->snd_nxt != t->snd_una)
            t->persist = false; // it carried data: retransmission takes over
    }
    return false;
}

static void tail_probe(struct tcp_sock *t)
{
    t->tlp_sent = true;
    uint32_t before = t->snd_nxt, cwnd = t->cwnd;
    t->cwnd += t->mss;
    tcp_output(t);
    t->cwnd = cwnd;
    if (t->snd_nxt == before) {
        uint32_t high = t->high_rxt, n = MIN(t->mss, t->snd_nxt - t->snd_una);
        tcp_retransmit(t, t->snd_nxt - n, n);
        t->high_rxt = high; // only recovery counts with it
    }
    tcp_arm_rtx(t);
}

// True: the connection is gone.
static bool rtx_timeout(struct tcp_sock *t)
{
    t->t_rtx = DEADLINE_NEVER;
    if (t->persist)
        return persist_timeout(t);
    if (!t->rtx_since)
        t->rtx_since = net_now;
    if (t->state == TCPS_SYN_SENT || t->state == TCPS_SYN_RCVD) {
        if (gave_up(t, t->syn_retries))
            return true;
        t->retries++;
        t->rtt_start = 0;
        tcp_send_syn(t);
        tcp_arm_rtx(t);
        return false;
    }
    if (t->snd_una == t->snd_nxt)
        return false;
    bool probing = t->recovery == TCP_OPEN && !t->tlp_sent && !t->retries && t->srtt &&
                   t->snd_nxt - t->snd_una > t->mss && t->state == TCPS_ESTABLISHED;
    if (probing) {
        tail_probe(t);
        return false;
    }
    if (gave_up(t, t->orphan ? TCP_ORPHAN_RETRIES : TCP_RETRIES))
        return true;
    t->retries++;
    tcp_enter_loss(t);
    struct ip_route fresh;
    if (!ip_route(t->e.raddr, &fresh))
        t->route = fresh;
    uint32_t seq, len;
    if (tcp_next_hole(t, true, &seq, &len))
        tcp_retransmit(t, seq, MIN(len, t->mss));
    tcp_arm_rtx(t);
    return false;
}

static bool misc_timeout(struct tcp_sock *t)
{
    t->t_misc = DEADLINE_NEVER;
    if (t->state == TCPS_FIN_WAIT_2) {
        if (!t->orphan)
            return false;
        tcp_time_wait(t);
        return true;
    }
    if (!t->s.keepalive)
        return false;
    uint64_t idle = net_now - t->last_rx, limit = t->keep_idle_s * NSEC_PER_SEC;
    if (idle < limit && !t->keep_sent) {
        t->t_misc = t->last_rx + limit;
        return false;
    }
    if (t->keep_sent >= t->keep_probes) {
        tcp_send_rst(t);
        tcp_fail(t, ETIMEDOUT);
        return true;
    }
    // Data in flight probes by itself.
    if (t->snd_una == t->snd_nxt) {
        t->keep_sent++;
        tcp_send_probe(t);
    }
    t->t_misc = net_now + t->keep_intvl_s * NSEC_PER_SEC;
    return false;
}

void tcp_timer_fn(struct ktimer *k)
{
    struct tcp_sock *t = container_of(k, struct tcp_sock, timer);
    net_lock();
    bool gone = t->state == TCPS_CLOSED || t->state == TCPS_LISTEN;
    if (!gone && net_now >= t->t_delack) {
        t->t_delack = DEADLINE_NEVER;
        t->ack_now = true;
        tcp_output(t);
    }
    if (!gone && net_now >= t->t_cork) {
        t->t_cork = DEADLINE_NEVER;
        t->push_seq = t->snd_end;
        tcp_output(t);
    }
    if (!gone && net_now >= t->t_rtx)
        gone = rtx_timeout(t);
    if (!gone && net_now >= t->t_misc)
        gone = misc_timeout(t);
    if (!gone)
        tcp_timer_update(t);
    net_unlock();
}

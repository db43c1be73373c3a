// SPDX-License-Identifier: ISC
// TCP: socket options (tcp(7)) and TCP_INFO.
#include <linux/tcp.h>
#include "net/tcp.h"

int tcp_setopt(struct sock *s, int name, const void *val, unsigned len)
{
    struct tcp_sock *t = tcp_of(s);
    int v = 0;
    if (name == TCP_CONGESTION) // there is one
        return len >= 5 && !memcmp(val, "cubic", 5) ? 0 : -ENOENT;
    if (len < sizeof(v))
        return -EINVAL;
    memcpy(&v, val, sizeof(v));
    switch (name) {
    case TCP_NODELAY:
        t->nodelay = v;
        break;
    case TCP_CORK:
        t->cork = v;
        break;
    case TCP_MAXSEG:
        if (v && (v < (int)TCP_MIN_MSS || v > 32767))
            return -EINVAL;
        t->maxseg = (uint32_t)v;
        return 0;
    case TCP_KEEPIDLE:
        if (v < 1 || v > 32767)
            return -EINVAL;
        t->keep_idle_s = (uint32_t)v;
        tcp_arm_keepalive(t);
        return 0;
    case TCP_KEEPINTVL:
        if (v < 1 || v > 32767)
            return -EINVAL;
        t->keep_intvl_s = (uint32_t)v;
        return 0;
    case TCP_KEEPCNT:
        if (v < 1 || v > 127)
            return -EINVAL;
        t->keep_probes = (uint32_t)v;
        return 0;
    case TCP_SYNCNT:
        if (v < 1 || v > 127)
            return -EINVAL;
        t->syn_retries = (uint32_t)v;
        return 0;
    case TCP_USER_TIMEOUT:
        if (v < 0)
            return -EINVAL;
        t->user_timeout_ms = (uint32_t)v;
        return 0;
    case TCP_DEFER_ACCEPT:
        t->defer_accept_s = (uint32_t)(v < 0 ? 0 : v);
        return 0;
    case TCP_QUICKACK:
        if (v && t->rcv_nxt != t->rcv_acked)
            t->ack_now = true;
        break;
    case TCP_LINGER2:
    case TCP_WINDOW_CLAMP:
    case TCP_NOTSENT_LOWAT: // bounds of our own hold; asking for less of them changes no promise
        return 0;
    default:
        return -ENOPROTOOPT;
    }
    // Less delay than before: what was held back goes out.
    if (t->state != TCPS_CLOSED && t->state != TCPS_LISTEN)
        tcp_schedule(t);
    return 0;
}

static void fill_info(const struct tcp_sock *t, struct tcp_info *i)
{
    memset(i, 0, sizeof(*i));
    i->tcpi_state = t->state;
    i->tcpi_ca_state = t->recovery == TCP_LOSS ? 4 : t->recovery == TCP_RECOVERY ? 3 : 0;
    i->tcpi_retransmits = t->retries;
    i->tcpi_options =
        (uint8_t)((t->ts_ok ? TCPI_OPT_TIMESTAMPS : 0) | (t->sack_ok ? TCPI_OPT_SACK : 0) |
                  (t->wscale_ok ? TCPI_OPT_WSCALE : 0));
    i->tcpi_snd_wscale = t->snd_wscale & 15;
    i->tcpi_rcv_wscale = t->rcv_wscale & 15;
    i->tcpi_rto = t->rto;
    i->tcpi_ato = (uint32_t)(TCP_DELACK_NS / NSEC_PER_USEC);
    i->tcpi_snd_mss = t->mss;
    i->tcpi_rcv_mss = t->rcv_mss;
    i->tcpi_advmss = t->adv_mss;
    i->tcpi_unacked = t->mss ? (t->snd_nxt - t->snd_una + t->mss - 1) / t->mss : 0;
    i->tcpi_sacked = t->mss ? tcp_sacked_bytes(t) / t->mss : 0;
    i->tcpi_pmtu = t->mss + 40 + (t->ts_ok ? 12 : 0);
    i->tcpi_rtt = t->srtt;
    i->tcpi_rttvar = t->rttvar;
    i->tcpi_snd_ssthresh = t->ssthresh == UINT32_MAX ? 0x7fffffff : t->ssthresh / t->mss;
    i->tcpi_snd_cwnd = t->cwnd / t->mss;
    i->tcpi_reordering = 3;
    i->tcpi_rcv_space = t->s.rcvbuf;
    i->tcpi_total_retrans = t->total_rxt;
    i->tcpi_min_rtt = t->min_rtt;
    i->tcpi_notsent_bytes = tcp_unsent(t);
    if (t->state == TCPS_LISTEN) {
        i->tcpi_unacked = t->accept_count; // as Linux: queue and its limit
        i->tcpi_sacked = t->backlog;
    }
}

int tcp_getopt(struct sock *s, int name, void *val, unsigned *len)
{
    const struct tcp_sock *t = tcp_of(s);
    int v;
    switch (name) {
    case TCP_NODELAY:
        v = t->nodelay;
        break;
    case TCP_CORK:
        v = t->cork;
        break;
    case TCP_MAXSEG:
        v = (int)(t->state == TCPS_CLOSED && t->maxseg ? t->maxseg : t->mss);
        break;
    case TCP_KEEPIDLE:
        v = (int)t->keep_idle_s;
        break;
    case TCP_KEEPINTVL:
        v = (int)t->keep_intvl_s;
        break;
    case TCP_KEEPCNT:
        v = (int)t->keep_probes;
        break;
    case TCP_SYNCNT:
        v = (int)t->syn_retries;
        break;
    case TCP_USER_TIMEOUT:
        v = (int)t->user_timeout_ms;
        break;
    case TCP_DEFER_ACCEPT:
        v = (int)t->defer_accept_s;
        break;
    case TCP_QUICKACK:
    case TCP_FASTOPEN:
        v = 0;
        break;
    case TCP_CONGESTION: {
        char cc[16] = "cubic";
        *len = MIN(*len, (unsigned)sizeof(cc));
        memcpy(val, cc, *len);
        return 0;
    }
    case TCP_INFO: {
        struct tcp_info info;
        fill_info(t, &info);
        *len = MIN(*len, (unsigned)sizeof(info));
        memcpy(val, &info, *len);
        return 0;
    }
    default:
        return -ENOPROTOOPT;
    }
    *len = MIN(*len, (unsigned)sizeof(v));
    memcpy(val, &v, *len);
    return 0;
}

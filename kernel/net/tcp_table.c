// SPDX-License-Identifier: ISC
// TCP: the table of four-tuples, birth and death of connections, TIME_WAIT in compact form (RFC
// 9293 section 3.6, RFC 1337), initial sequence numbers (RFC 6528).
#include "net/tcp.h"

static struct tcp_entry **table;
static uint32_t table_mask, table_count;
static struct list_head tw_list = {&tw_list, &tw_list}; // by expiry: all live equally long
static unsigned tw_count;
static struct ktimer tw_timer;
static struct list_head pending_list = {&pending_list, &pending_list};

uint64_t tcp_secret[4];
uint32_t tcp_rx_total, tcp_tx_total;
unsigned tcp_orphans;

static void tw_expire(struct ktimer *k);

void tcp_init(void)
{
    random_bytes(tcp_secret, sizeof(tcp_secret));
    table = kzalloc(TCP_HASH_MIN * sizeof(*table));
    if (!table)
        panic("no memory for the TCP table");
    table_mask = TCP_HASH_MIN - 1;
    ktimer_init(&tw_timer, tw_expire);
}

// A keyed multiply-fold: strangers choose the tuples, so they must not be able to aim at a bucket.
static uint32_t hash(uint32_t laddr, uint16_t lport, uint32_t raddr, uint16_t rport)
{
    uint64_t a = ((uint64_t)laddr << 32 | raddr) ^ tcp_secret[2];
    uint64_t b = ((uint64_t)lport << 16 | rport) ^ tcp_secret[3];
    unsigned __int128 m = (unsigned __int128)a * b;
    uint64_t h = (uint64_t)m ^ (uint64_t)(m >> 64);
    m = (unsigned __int128)(h ^ tcp_secret[1]) * 0x9e3779b97f4a7c15ull;
    return (uint32_t)((uint64_t)m ^ (uint64_t)(m >> 64));
}

static struct tcp_entry **bucket(const struct tcp_entry *e)
{
    return &table[hash(e->laddr, e->lport, e->raddr, e->rport) & table_mask];
}

struct tcp_entry *tcp_lookup(uint32_t laddr, uint16_t lport, uint32_t raddr, uint16_t rport)
{
    struct tcp_entry *e = table[hash(laddr, lport, raddr, rport) & table_mask];
    while (e && !(e->lport == lport && e->rport == rport && e->raddr == raddr && e->laddr == laddr))
        e = e->next;
    return e;
}

static void table_grow(void)
{
    uint32_t old_size = table_mask + 1;
    struct tcp_entry **old = table, **bigger = kzalloc(old_size * 2 * sizeof(*table));
    if (!bigger)
        return; // longer chains, nothing worse
    table = bigger;
    table_mask = old_size * 2 - 1;
    for (uint32_t i = 0; i < old_size; i++)
        for (struct tcp_entry *e = old[i], *next; e; e = next) {
            next = e->next;
            struct tcp_entry **b = bucket(e);
            e->next = *b;
            *b = e;
        }
    kfree(old);
}

void tcp_hash_add(struct tcp_entry *e)
{
    if (table_count++ > table_mask && table_mask + 1 < TCP_HASH_MAX)
        table_grow();
    struct tcp_entry **b = bucket(e);
    e->next = *b;
    *b = e;
    e->hashed = true;
}

void tcp_hash_del(struct tcp_entry *e)
{
    if (!e->hashed)
        return;
    struct tcp_entry **at = bucket(e);
    while (*at != e)
        at = &(*at)->next;
    *at = e->next;
    e->hashed = false;
    table_count--;
}

void tcp_for_each(void (*fn)(struct tcp_entry *, void *), void *ctx)
{
    for (uint32_t i = 0; i <= table_mask; i++)
        for (struct tcp_entry *e = table[i]; e; e = e->next)
            fn(e, ctx);
}

uint32_t tcp_new_iss(uint32_t laddr, uint16_t lport, uint32_t raddr, uint16_t rport)
{
    uint32_t tuple[3] = {laddr, raddr, (uint32_t)lport << 16 | rport};
    // M, a clock of 4 us, plus F of the connection and a secret.
    return (uint32_t)(net_now / 4096) + (uint32_t)lib_siphash(tcp_secret, tuple, sizeof(tuple));
}

uint32_t tcp_new_ts_offset(uint32_t laddr, uint16_t lport, uint32_t raddr, uint16_t rport)
{
    uint32_t tuple[4] = {laddr, raddr, (uint32_t)lport << 16 | rport, 0x7473};
    return (uint32_t)lib_siphash(tcp_secret, tuple, sizeof(tuple));
}

bool tcp_rx_pressure(void)
{
    uint64_t live, limit;
    pkt_stats(&live, &limit);
    return tcp_rx_total > limit * 3 / 8;
}

bool tcp_tx_pressure(void)
{
    uint64_t live, limit;
    pkt_stats(&live, &limit);
    return tcp_tx_total > limit * 3 / 8;
}

struct tcp_sock *tcp_alloc(void)
{
    struct tcp_sock *t = kzalloc(sizeof(*t));
    if (!t)
        return NULL;
    sock_init(&t->s, SOCK_STREAM, IPPROTO_TCP);
    t->state = TCPS_CLOSED;
    t->e.kind = TCP_KIND_SOCK;
    list_init(&t->pending);
    list_init(&t->sndq);
    list_init(&t->oooq);
    list_init(&t->accept_link);
    list_init(&t->acceptq);
    t->mss = t->peer_mss = TCP_DEFAULT_MSS;
    t->rto = TCP_RTO_INIT_US;
    t->ssthresh = UINT32_MAX;
    t->t_rtx = t->t_delack = t->t_cork = t->t_misc = DEADLINE_NEVER;
    t->keep_idle_s = TCP_KEEP_IDLE_S;
    t->keep_intvl_s = TCP_KEEP_INTVL_S;
    t->keep_probes = TCP_KEEP_PROBES;
    t->syn_retries = TCP_SYN_RETRIES;
    ktimer_init(&t->timer, tcp_timer_fn);
    return t;
}

static void free_queue(struct list_head *q)
{
    while (!list_empty(q)) {
        struct pktbuf *p = list_first(q, struct pktbuf, link);
        list_del(&p->link);
        pkt_free(p);
    }
}

static void free_send_queue(struct tcp_sock *t)
{
    while (!list_empty(&t->sndq)) {
        struct pktbuf *p = list_first(&t->sndq, struct pktbuf, snd_link);
        list_del(&p->snd_link);
        pkt_free(p);
    }
    tcp_tx_total -= t->s.tx_mem;
    t->s.tx_mem = 0;
    t->snd_at = NULL;
}

void tcp_free(struct tcp_sock *t)
{
    tcp_hash_del(&t->e);
    port_unbind(&t->s);
    ktimer_cancel(&t->timer);
    list_del(&t->pending);
    list_del(&t->accept_link);
    free_send_queue(t);
    free_queue(&t->s.rxq);
    free_queue(&t->oooq);
    tcp_rx_total -= t->s.rx_mem;
    if (t->orphan)
        tcp_orphans--;
    kfree(t->sb);
    kfree(t);
}

void tcp_destroy(struct tcp_sock *t)
{
    t->state = TCPS_CLOSED;
    tcp_hash_del(&t->e);
    ktimer_cancel(&t->timer);
    t->t_rtx = t->t_delack = t->t_cork = t->t_misc = DEADLINE_NEVER;
    list_del(&t->pending);
    free_send_queue(t);
    kfree(t->sb);
    t->sb = NULL;
    if (t->orphan) {
        tcp_free(t);
        return;
    }
    t->s.shut |= SHUT_BIT_RD | SHUT_BIT_WR;
    sock_wake(&t->s, EPOLLIN | EPOLLOUT | EPOLLRDNORM | EPOLLWRNORM | EPOLLRDHUP | EPOLLHUP);
}

void tcp_fail(struct tcp_sock *t, int err)
{
    t->s.error = err;
    if (!t->orphan)
        sock_wake(&t->s, EPOLLERR);
    tcp_destroy(t);
}

void tcp_schedule(struct tcp_sock *t)
{
    if (list_empty(&t->pending))
        list_add_tail(&t->pending, &pending_list);
}

// Small pieces that a program sends one after the other (a header, then a file) are one segment
// when sending waits for the next poll: it comes as soon as the program waits for something.
static struct list_head late_list = {&late_list, &late_list};

void tcp_output_late(struct tcp_sock *t)
{
    if (!(t->route.nif->dev->features & NETDEV_LATE) || tcp_unsent(t) >= TCP_LATE_MAX)
        tcp_output(t);
    else if (list_empty(&t->pending)) {
        list_add_tail(&t->pending, &late_list);
        sched_poll_by(net_now + TCP_LATE_NS);
    }
}

bool tcp_late(void)
{
    return !list_empty(&late_list);
}

void tcp_flush_late(void)
{
    while (!list_empty(&late_list)) {
        struct tcp_sock *t = list_first(&late_list, struct tcp_sock, pending);
        list_del(&t->pending);
        tcp_output(t);
    }
}

void tcp_flush_pending(void)
{
    while (!list_empty(&pending_list)) {
        struct tcp_sock *t = list_first(&pending_list, struct tcp_sock, pending);
        list_del(&t->pending);
        tcp_output(t);
    }
}

// --- TIME_WAIT ---
void tcp_tw_free(struct tcp_tw *tw)
{
    tcp_hash_del(&tw->e);
    list_del(&tw->link);
    tw_count--;
    kfree(tw);
}

static void tw_expire(struct ktimer *k)
{
    net_lock();
    while (!list_empty(&tw_list)) {
        struct tcp_tw *tw = list_first(&tw_list, struct tcp_tw, link);
        if (tw->expires > net_now) {
            ktimer_arm(k, tw->expires);
            break;
        }
        tcp_tw_free(tw);
    }
    net_unlock();
}

void tcp_tw_restart(struct tcp_tw *tw)
{
    list_del(&tw->link);
    list_add_tail(&tw->link, &tw_list);
    tw->expires = net_now + TCP_2MSL_NS;
}

void tcp_time_wait(struct tcp_sock *t)
{
    if (tw_count >= TCP_TW_MAX)
        tcp_tw_free(list_first(&tw_list, struct tcp_tw, link));
    // Without memory the connection just ends: the peer's stray segments get a RST.
    struct tcp_tw *tw = kzalloc(sizeof(*tw));
    if (tw) {
        tw->e = t->e;
        tw->e.kind = TCP_KIND_TW;
        tw->e.hashed = false;
        tw->snd_nxt = t->snd_nxt;
        tw->rcv_nxt = t->rcv_nxt;
        tw->rcv_wnd = t->rcv_adv - t->rcv_nxt;
        tw->rcv_wscale = t->rcv_wscale;
        tw->ts_ok = t->ts_ok;
        tw->ts_recent = t->ts_recent;
        tw->ts_offset = t->ts_offset;
        tw->expires = net_now + TCP_2MSL_NS;
        tcp_hash_del(&t->e);
        tcp_hash_add(&tw->e);
        list_add_tail(&tw->link, &tw_list);
        tw_count++;
        if (!tw_timer.armed)
            ktimer_arm(&tw_timer, tw->expires);
    }
    tcp_destroy(t);
}

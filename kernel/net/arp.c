// SPDX-License-Identifier: ISC
// ARP (RFC 826) with announcements and defence (RFC 5227). The cache is 4-way set-associative; only
// neighbours that we asked for, or that ask for us, get an entry. Packets for an unknown neighbour
// wait in its entry, a few at most.
#include "net/stack.h"

struct arp_hdr {
    uint16_t htype, ptype;
    uint8_t hlen, plen;
    uint16_t op;
    uint8_t sha[6];
    uint32_t spa;
    uint8_t tha[6];
    uint32_t tpa;
} PACKED;
#define ARP_REQUEST 1
#define ARP_REPLY   2

enum arp_state { ARP_FREE, ARP_ASKING, ARP_KNOWN };
struct arp_entry {
    uint32_t ip;
    uint8_t mac[6];
    uint8_t state;
    uint8_t tries;    // requests since the last answer
    uint8_t if_index; // net_if.index
    uint8_t pending_count;
    uint64_t confirmed; // ns: last answer
    uint64_t asked;     // ns: last request
    uint64_t used;
    struct list_head pending;
};

static struct arp_entry cache[ARP_SETS][ARP_WAYS];
static struct ktimer retry_timer;
static void arp_retry(struct ktimer *t);

static void arp_transmit(struct net_if *nif, uint16_t op, uint32_t spa, const uint8_t tha[6],
                         uint32_t tpa, const uint8_t dst[6])
{
    struct pktbuf *p = pkt_alloc_urgent(sizeof(struct arp_hdr));
    if (!p)
        return;
    struct arp_hdr *a = pkt_put(p, sizeof(*a));
    a->htype = cpu_to_be16(1);
    a->ptype = cpu_to_be16(ETH_IPV4);
    a->hlen = 6;
    a->plen = 4;
    a->op = cpu_to_be16(op);
    memcpy(a->sha, nif->dev->mac, 6);
    a->spa = cpu_to_be32(spa);
    memcpy(a->tha, tha, 6);
    a->tpa = cpu_to_be32(tpa);
    eth_output(nif, p, dst, ETH_ARP);
}

static void arp_ask(struct arp_entry *e)
{
    static const uint8_t none[6];
    struct net_if *nif = &net_ifs[e->if_index - 1];
    e->asked = net_now;
    e->tries++;
    // A neighbour that we know is asked directly first (RFC 1122 section 2.3.2.1).
    bool direct = e->state == ARP_KNOWN && e->tries < ARP_TRIES;
    arp_transmit(nif, ARP_REQUEST, nif->ip, none, e->ip, direct ? e->mac : eth_broadcast);
}

static void arp_clear(struct arp_entry *e)
{
    while (e->state && !list_empty(&e->pending)) {
        struct pktbuf *p = list_first(&e->pending, struct pktbuf, link);
        list_del(&p->link);
        pkt_free(p);
    }
    e->state = ARP_FREE;
    e->pending_count = 0;
}

static struct arp_entry *arp_find(uint32_t ip, bool create, struct net_if *nif)
{
    struct arp_entry *set = cache[(ip ^ ip >> 5 ^ ip >> 10) % ARP_SETS], *victim = set;
    for (unsigned i = 0; i < ARP_WAYS; i++) {
        struct arp_entry *e = &set[i];
        if (e->state && e->ip == ip && e->if_index == nif->index)
            return e;
        if (!e->state || (victim->state && e->used < victim->used))
            victim = victim->state ? e : victim;
    }
    if (!create)
        return NULL;
    arp_clear(victim);
    memset(victim, 0, sizeof(*victim));
    list_init(&victim->pending);
    victim->ip = ip;
    victim->if_index = (uint8_t)nif->index;
    victim->used = net_now;
    victim->state = ARP_ASKING;
    return victim;
}

static void arp_learn(struct arp_entry *e, const uint8_t mac[6])
{
    struct net_if *nif = &net_ifs[e->if_index - 1];
    memcpy(e->mac, mac, 6);
    e->state = ARP_KNOWN;
    e->confirmed = net_now;
    e->tries = 0;
    e->pending_count = 0;
    while (!list_empty(&e->pending)) {
        struct pktbuf *p = list_first(&e->pending, struct pktbuf, link);
        list_del(&p->link);
        eth_output(nif, p, e->mac, ETH_IPV4);
    }
}

bool arp_waiting(const struct net_if *nif)
{
    bool some = false;
    for (unsigned i = 0; i < ARP_SETS; i++)
        for (unsigned j = 0; j < ARP_WAYS; j++)
            some |= cache[i][j].pending_count && cache[i][j].if_index == nif->index;
    return some;
}

void arp_input(struct net_if *nif, struct pktbuf *p)
{
    struct arp_hdr a;
    if (p->total < sizeof(a)) {
        pkt_free(p);
        return;
    }
    pkt_copy_out(p, 0, &a, sizeof(a));
    pkt_free(p);
    uint32_t spa = be32_to_cpu(a.spa), tpa = be32_to_cpu(a.tpa);
    uint16_t op = be16_to_cpu(a.op);
    if (a.htype != cpu_to_be16(1) || a.ptype != cpu_to_be16(ETH_IPV4) || a.hlen != 6 ||
        a.plen != 4 || (a.sha[0] & 1) || (op != ARP_REQUEST && op != ARP_REPLY) || !nif->ip)
        return;
    if (spa == nif->ip) {
        // Somebody else has our address: say once in a while that it is ours (RFC 5227
        // section 2.4).
        if (memcmp(a.sha, nif->dev->mac, 6) &&
            (!nif->defended || net_now - nif->defended > ARP_DEFEND_NS)) {
            nif->defended = net_now;
            log_warn("%s: address conflict: %x:%x:%x:%x:%x:%x uses ours", nif->dev->name, a.sha[0],
                     a.sha[1], a.sha[2], a.sha[3], a.sha[4], a.sha[5]);
            arp_announce(nif);
        }
        return;
    }
    bool on_link = ((spa ^ nif->ip) & nif->mask) == 0 && !net_is_broadcast(nif, spa);
    bool for_us = tpa == nif->ip;
    if (on_link && spa) {
        // Only requests to us make a new entry; anything else can merely update one.
        struct arp_entry *e = arp_find(spa, for_us && op == ARP_REQUEST, nif);
        if (e)
            arp_learn(e, a.sha);
    }
    if (for_us && op == ARP_REQUEST)
        arp_transmit(nif, ARP_REPLY, nif->ip, a.sha, spa, a.sha);
}

void arp_send(struct net_if *nif, uint32_t next_hop, struct pktbuf *p)
{
    if (net_is_broadcast(nif, next_hop)) {
        eth_output(nif, p, eth_broadcast, ETH_IPV4);
        return;
    }
    if (ip_is_multicast(next_hop)) { // RFC 1112 section 6.4
        uint8_t mac[6] = {0x01,
                          0x00,
                          0x5e,
                          (uint8_t)(next_hop >> 16 & 0x7f),
                          (uint8_t)(next_hop >> 8),
                          (uint8_t)next_hop};
        eth_output(nif, p, mac, ETH_IPV4);
        return;
    }
    struct arp_entry *e = arp_find(next_hop, true, nif);
    e->used = net_now;
    if (e->state == ARP_KNOWN) {
        if (net_now - e->confirmed > ARP_FRESH_NS && net_now - e->asked > ARP_RETRY_NS) {
            if (e->tries >= ARP_TRIES)
                e->state = ARP_ASKING;
            arp_ask(e);
        }
        if (e->state == ARP_KNOWN) {
            eth_output(nif, p, e->mac, ETH_IPV4);
            return;
        }
    }
    if (e->pending_count == ARP_PENDING_MAX) { // the oldest is the least useful
        struct pktbuf *old = list_first(&e->pending, struct pktbuf, link);
        list_del(&old->link);
        pkt_free(old);
        e->pending_count--;
    }
    list_add_tail(&p->link, &e->pending);
    e->pending_count++;
    if (!e->asked || net_now - e->asked >= ARP_RETRY_NS)
        arp_ask(e);
    if (!retry_timer.armed) {
        ktimer_init(&retry_timer, arp_retry);
        ktimer_arm(&retry_timer, net_now + ARP_RETRY_NS);
    }
}

void arp_prepare(struct net_if *nif, uint32_t next_hop)
{
    struct arp_entry *e = arp_find(next_hop, true, nif);
    if (e->state == ARP_ASKING && !e->asked)
        arp_ask(e);
}

static void arp_retry(struct ktimer *t)
{
    bool again = false;
    net_lock();
    for (unsigned i = 0; i < ARP_SETS * ARP_WAYS; i++) {
        struct arp_entry *e = &cache[i / ARP_WAYS][i % ARP_WAYS];
        if (e->state != ARP_ASKING)
            continue;
        if (net_now - e->asked < ARP_RETRY_NS) {
            again = true;
        } else if (e->tries >= ARP_TRIES || !e->pending_count) {
            arp_clear(e);
        } else {
            arp_ask(e);
            again = true;
        }
    }
    if (again)
        ktimer_arm(t, net_now + ARP_RETRY_NS);
    net_unlock();
}

void arp_announce(struct net_if *nif)
{
    static const uint8_t none[6];
    if (!nif->loopback && nif->ip)
        arp_transmit(nif, ARP_REQUEST, nif->ip, none, nif->ip, eth_broadcast);
}

void arp_flush(struct net_if *nif)
{
    for (unsigned i = 0; i < ARP_SETS * ARP_WAYS; i++) {
        struct arp_entry *e = &cache[i / ARP_WAYS][i % ARP_WAYS];
        if (e->state && e->if_index == nif->index)
            arp_clear(e);
    }
}

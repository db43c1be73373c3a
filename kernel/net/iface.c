// SPDX-License-Identifier: ISC
// Interfaces: loopback and what drivers attach. Received packets are collected per device and
// looked at in one go when the driver's batch ends; what a batch or a socket call wants to send is
// sent before the lock is given back, with one doorbell for all of it.
#include "net/stack.h"

struct net_if net_ifs[NET_IF_MAX];
unsigned net_if_count;
uint64_t net_now;
const uint8_t eth_broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

static spinlock_t stack_lock;

static void eth_input(struct net_if *nif, struct pktbuf *p)
{
    if (!pkt_pull_up(p, sizeof(struct eth_hdr))) {
        pkt_free(p);
        return;
    }
    const struct eth_hdr *eth = (const void *)p->data;
    uint16_t type = be16_to_cpu(eth->type);
    bool group = eth->dst[0] & 1;
    if (!group && memcmp(eth->dst, nif->dev->mac, 6)) {
        nif->dev->rx_dropped++;
        pkt_free(p);
        return;
    }
    pkt_pull(p, sizeof(*eth));
    if (type == ETH_IPV4)
        ip_input(nif, p);
    else if (type == ETH_ARP)
        arp_input(nif, p);
    else
        pkt_free(p);
}

static void input_batch(struct net_if *nif)
{
    // Only what is there now: loopback may grow meanwhile.
    for (unsigned n = nif->rx_count; n && !list_empty(&nif->rx); n--) {
        struct pktbuf *p = list_first(&nif->rx, struct pktbuf, link);
        list_del(&p->link);
        nif->rx_count--;
        if (nif->loopback)
            ip_input(nif, p);
        else
            eth_input(nif, p);
    }
}

void net_lock(void)
{
    spin_lock(&stack_lock);
    net_now = clock_monotonic_ns();
}

void net_unlock(void)
{
    for (unsigned round = 0; round < NET_FLUSH_ROUNDS; round++) {
        tcp_flush_pending();
        if (!net_if_count || list_empty(&net_ifs[0].rx))
            break;
        input_batch(&net_ifs[0]);
    }
    for (unsigned i = 0; i < net_if_count; i++) {
        struct net_if *nif = &net_ifs[i];
        if (nif->dirty) {
            nif->dirty = false;
            if (nif->dev->flush)
                nif->dev->flush(nif->dev);
        }
    }
    spin_unlock(&stack_lock);
}

static void dev_receive(struct netdev *d, struct pktbuf *p)
{
    struct net_if *nif = d->stack;
    d->rx_packets++;
    d->rx_bytes += p->total;
    list_add_tail(&p->link, &nif->rx);
    nif->rx_count++;
}

static void dev_receive_done(struct netdev *d)
{
    net_lock();
    net_if_send_waiting(d->stack);
    input_batch(d->stack);
    tcp_flush_late();
    net_unlock();
}

// --- loopback: its wire is its receive queue ---
static bool lo_transmit(struct netdev *d, struct pktbuf *p, bool more)
{
    struct net_if *nif = d->stack;
    (void)more;
    if (nif->rx_count >= NET_LO_QUEUE_MAX) {
        d->tx_dropped++;
        pkt_free(p);
        return false;
    }
    p->flags = PKT_CSUM_VALID;
    d->receive(d, p);
    sched_raise_software();
    return true;
}

static bool lo_poll(struct poller *po)
{
    (void)po;
    if (list_empty(&net_ifs[0].rx) && !tcp_late())
        return false;
    net_lock();
    tcp_flush_late();
    net_unlock();
    return true;
}

static struct netdev lo_dev = {.name = "lo",
                               .mtu = NET_LO_MTU,
                               .features = NETDEV_CSUM_TX | NETDEV_CSUM_RX | NETDEV_TSO4,
                               .transmit = lo_transmit,
                               .link_up = true};
static struct poller lo_poller = {.poll = lo_poll, .vectors = POLLER_SOFTWARE};

// Somebody else wants the device: an interface without an address is as good as unplugged.
static bool if_detach(struct netdev *d)
{
    struct net_if *nif = d->stack;
    if (nif->ip || nif->dhcp)
        return false;
    nif->detached = true;
    while (!list_empty(&nif->rx)) {
        struct pktbuf *p = list_first(&nif->rx, struct pktbuf, link);
        list_del(&p->link);
        pkt_free(p);
    }
    nif->rx_count = 0;
    net_if_drop_waiting(nif);
    return true;
}

// Once for all interfaces; loopback is nobody else's.
static bool if_ending(struct netdev *d, bool give_up)
{
    static bool begun;
    struct net_if *nif = d->stack;
    net_lock();
    if (!begun)
        tcp_end();
    begun = true;
    if (give_up)
        tcp_end_now();
    bool busy = tcp_ending() || arp_waiting(nif) || !list_empty(&nif->tx);
    net_unlock();
    return busy;
}

static void if_attach(struct netdev *d)
{
    if (net_if_count == NET_IF_MAX || d->mtu < 576) {
        log_warn("%s: not used: %s", d->name,
                 net_if_count == NET_IF_MAX ? "too many interfaces" : "MTU below 576");
        return;
    }
    net_lock();
    struct net_if *nif = &net_ifs[net_if_count];
    memset(nif, 0, sizeof(*nif));
    nif->dev = d;
    nif->index = net_if_count + 1;
    list_init(&nif->rx);
    list_init(&nif->tx);
    nif->tx_max = (unsigned)MIN(plat_info.ram_total / NET_TXQ_SHARE, (uint64_t)NET_TXQ_MAX);
    d->stack = nif;
    d->receive = dev_receive;
    d->receive_done = dev_receive_done;
    d->detach = if_detach;
    d->ending = if_ending;
    net_if_count++;
    net_unlock();
}

const struct net_proc *net_proc;

static int net_init(void)
{
    if_attach(&lo_dev);
    net_ifs[0].loopback = true;
    net_ifs[0].ip = 0x7f000001;
    net_ifs[0].prefix = 8;
    net_ifs[0].mask = 0xff000000;
    tcp_init();
    sched_add_poller(&lo_poller);
    netdev_use(if_attach);
    net_proc = &net_proc_lines;
    return 0;
}
INIT_RECORD(INIT_DEV - 1, net_init, net_lock);

// --- addresses ---
struct net_if *net_if_by_ip(uint32_t ip)
{
    for (unsigned i = 0; i < net_if_count; i++)
        if (net_ifs[i].ip == ip && ip)
            return &net_ifs[i];
    return NULL;
}

bool net_is_local(uint32_t ip)
{
    return ip_is_loopback(ip) || net_if_by_ip(ip);
}

bool net_is_broadcast(const struct net_if *nif, uint32_t ip)
{
    if (ip == 0xffffffff)
        return true;
    return nif->ip && !nif->loopback && nif->prefix < 31 && ip == (nif->ip | ~nif->mask);
}

void net_if_set(struct net_if *nif, uint32_t ip, unsigned prefix, uint32_t gateway)
{
    nif->ip = ip;
    nif->prefix = prefix;
    nif->mask = prefix ? ~0u << (32 - prefix) : 0;
    nif->gateway = gateway;
    arp_flush(nif);
    if (ip)
        arp_announce(nif);
}

int net_if_configure(unsigned index, uint32_t ip, unsigned prefix, uint32_t gateway)
{
    if (index < 1 || index > net_if_count)
        return -ENODEV;
    if (prefix > 32 || ip_is_multicast(ip) || ip == 0xffffffff)
        return -EINVAL;
    if (net_ifs[index - 1].detached)
        return -ENODEV;
    net_lock();
    dhcp_stop(&net_ifs[index - 1]); // an address by hand ends the lease
    net_if_set(&net_ifs[index - 1], ip, prefix, gateway);
    net_unlock();
    return 0;
}

int net_if_get(unsigned index, struct net_if_info *out)
{
    if (index < 1 || index > net_if_count)
        return -ENODEV;
    struct net_if *nif = &net_ifs[index - 1];
    memset(out, 0, sizeof(*out));
    lib_strlcpy(out->name, nif->dev->name, sizeof(out->name));
    memcpy(out->mac, nif->dev->mac, 6);
    out->mtu = nif->dev->mtu;
    // IFF_UP, IFF_RUNNING; IFF_LOOPBACK or IFF_BROADCAST and IFF_MULTICAST
    out->flags = 0x1u | 0x40u | (nif->loopback ? 0x8u : 0x2u | 0x1000u);
    out->ip = nif->ip;
    out->prefix = nif->prefix;
    out->gateway = nif->gateway;
    return 0;
}

// --- output ---
void eth_output(struct net_if *nif, struct pktbuf *p, const uint8_t dst[6], uint16_t type)
{
    struct eth_hdr *eth = pkt_push(p, sizeof(*eth));
    memcpy(eth->dst, dst, 6);
    memcpy(eth->src, nif->dev->mac, 6);
    eth->type = cpu_to_be16(type);
    if (p->flags & PKT_CSUM_PARTIAL)
        p->csum_start += sizeof(*eth);
    if (p->gso_type)
        p->hdr_len += sizeof(*eth);
    net_if_transmit(nif, p);
}

bool rate_ok(struct rate_limit *r, uint32_t per_s)
{
    uint64_t elapsed = net_now - r->last;
    if (!r->last || elapsed >= NSEC_PER_SEC) {
        r->tokens = per_s;
        r->last = net_now;
    } else {
        uint64_t add = elapsed * per_s / NSEC_PER_SEC;
        if (add) {
            r->tokens = (uint32_t)MIN(r->tokens + add, (uint64_t)per_s);
            r->last += add * NSEC_PER_SEC / per_s;
        }
    }
    if (!r->tokens)
        return false;
    r->tokens--;
    return true;
}

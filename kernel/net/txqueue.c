// SPDX-License-Identifier: ISC
// What a device has no room for waits here, in order, and goes out as room comes: hundreds of
// connections that answer in one batch need more than a ring holds, and a packet that is dropped
// here costs its connection a retransmission timeout.
#include "net/stack.h"

// Descriptors that the device needs for p. Longer chains it refuses anyway.
static unsigned pieces_of(const struct pktbuf *p)
{
    unsigned n = 1;
    for (const struct pktbuf *f = p->frag; f && n < NETDEV_PIECES_MAX; f = f->frag)
        n++;
    return n;
}

static void send(struct net_if *nif, struct pktbuf *p)
{
    struct netdev *d = nif->dev;
    uint32_t bytes = p->total;
    if (d->transmit(d, p, true)) {
        d->tx_packets++;
        d->tx_bytes += bytes;
    }
    nif->dirty = true;
}

static void send_waiting(struct net_if *nif)
{
    struct netdev *d = nif->dev;
    while (!list_empty(&nif->tx)) {
        struct pktbuf *p = list_first(&nif->tx, struct pktbuf, link);
        if (d->room(d) < pieces_of(p))
            return;
        list_del(&p->link);
        nif->tx_count--;
        send(nif, p);
    }
}

void net_if_send_waiting(struct net_if *nif)
{
    if (list_empty(&nif->tx))
        return;
    do
        send_waiting(nif);
    while (!list_empty(&nif->tx) && nif->dev->want_room && nif->dev->want_room(nif->dev));
}

void net_if_transmit(struct net_if *nif, struct pktbuf *p)
{
    struct netdev *d = nif->dev;
    if (nif->detached) {
        pkt_free(p);
        return;
    }
    bool first = list_empty(&nif->tx);
    if (first && (!d->room || d->room(d) >= pieces_of(p))) {
        send(nif, p);
        return;
    }
    if (nif->tx_count >= nif->tx_max) {
        d->tx_dropped++;
        pkt_free(p);
        return;
    }
    list_add_tail(&p->link, &nif->tx);
    nif->tx_count++;
    nif->dirty = true; // room comes when the device knows of what it has
    if (first)
        net_if_send_waiting(nif);
}

void net_if_drop_waiting(struct net_if *nif)
{
    while (!list_empty(&nif->tx)) {
        struct pktbuf *p = list_first(&nif->tx, struct pktbuf, link);
        list_del(&p->link);
        pkt_free(p);
    }
    nif->tx_count = 0;
}

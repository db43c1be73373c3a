// SPDX-License-Identifier: ISC
// Network devices: the drivers that are looked for at start, in images that can use one (the stack,
// or a program by lith.h), and what they found.
#include "dev/virtio.h"

void (*netdev_attach)(struct netdev *d);
struct netdev *netdevs[NETDEV_MAX];
unsigned netdev_count;

void netdev_use(void (*attach)(struct netdev *d))
{
    if (attach)
        netdev_attach = attach;
}

static void drop(struct netdev *d, struct pktbuf *p)
{
    d->rx_dropped++;
    pkt_free(p);
}

static void drop_done(struct netdev *d)
{
    (void)d;
}

void netdev_unused(struct netdev *d)
{
    d->receive = drop;
    d->receive_done = drop_done;
    d->detach = NULL;
    d->hold = false;
    d->stack = NULL;
}

void netdev_add(struct netdev *d)
{
    netdev_unused(d);
    if (netdev_count < NETDEV_MAX)
        netdevs[netdev_count++] = d;
    if (netdev_attach)
        netdev_attach(d);
}

static int netdev_init(void)
{
    plat_find_devices();
    return plat_info.packets ? packets_probe() : virtio_net_probe();
}
INIT_RECORD(INIT_DEV, netdev_init, netdev_use);
LINK_MARK(link_uses_net, netdev_use);

// SPDX-License-Identifier: ISC
// Network devices: the drivers that are looked for at start, in images that can use one (the stack,
// or a program by lith.h), and what they found.
#include "dev/virtio.h"

#define END_NS      (500 * NSEC_PER_MSEC) // for the peers' acknowledgements
#define END_SENT_NS (20 * NSEC_PER_MSEC)  // then for the device to send what was said about it

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
    d->ending = NULL;
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

static void end_of_wait(struct ktimer *t)
{
    (void)t; // it only ends the sleep
}

// Programs that write an answer and exit have sent it, on Linux: the kernel sees to the rest. So
// the machine is stopped when the peers have it, or after END_NS.
static void netdev_end(void)
{
    static struct ktimer timer;
    uint64_t deadline = clock_monotonic_ns() + END_NS;
    bool busy, over = false, given_up = false;

    ktimer_init(&timer, end_of_wait);
    ktimer_arm(&timer, deadline);
    for (;;) {
        busy = false;
        for (unsigned i = 0; i < netdev_count; i++) {
            struct netdev *d = netdevs[i];
            d->hold = false;
            if (!given_up)
                busy |= d->ending && d->ending(d, over);
            busy |= d->sent && !d->sent(d);
        }
        given_up = over;
        if (clock_monotonic_ns() >= deadline) {
            if (over)
                return;
            over = true; // the users hear of it in the next round
            deadline += END_SENT_NS;
            ktimer_arm(&timer, deadline);
        } else if (!busy) {
            return;
        } else {
            sched_idle_once();
        }
    }
}

static int netdev_init(void)
{
    core_end_hook = netdev_end;
    plat_find_devices();
    return plat_info.packets ? packets_probe() : virtio_net_probe();
}
INIT_RECORD(INIT_DEV, netdev_init, netdev_use);
LINK_MARK(link_uses_net, netdev_use);

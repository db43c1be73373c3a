// SPDX-License-Identifier: ISC
// Network devices: the drivers that are looked for at start, in images that can use one (the stack,
// or a program by lith.h).
#include "dev/virtio.h"

void (*netdev_attach)(struct netdev *d);

void netdev_use(void (*attach)(struct netdev *d))
{
    netdev_attach = attach;
}

static int netdev_init(void)
{
    if (!netdev_attach)
        return 0;
    plat_find_devices();
    // By a pointer: where it is not there, its address is out of the code's reach.
    static int (*const volatile probe)(void) = packets_probe;
    if (plat_info.packets && probe)
        return probe();
    return virtio_net_probe();
}
INIT_RECORD(INIT_DEV, netdev_init, netdev_use);
LINK_MARK(link_uses_net, netdev_use);

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
    if (plat_info.packets && packets_probe)
        return packets_probe();
    return virtio_net_probe();
}
INIT_RECORD(INIT_DEV, netdev_init, netdev_use);
LINK_MARK(link_uses_net, netdev_use);

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
    return netdev_attach ? virtio_net_probe() : 0;
}
INIT_RECORD(INIT_DEV, netdev_init, netdev_use);

// SPDX-License-Identifier: ISC
// Where the network stack, if one is linked, hangs itself below the drivers.
#include "dev/dev.h"

void (*netdev_attach)(struct netdev *d);

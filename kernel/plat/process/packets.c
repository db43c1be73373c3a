// SPDX-License-Identifier: ISC
// Machine "process": packets, through the descriptor that the monitor has opened. In a file of its
// own: only kernels with a network have it (plat_find_devices).
#include <asm/errno.h>
#include "plat/process/process.h"

static long packets_read(const struct plat_iovec *iov, unsigned count)
{
    long got = host_readv(plat_boot.process.net_fd, iov, count);
    plat_stats->host_readv++;
    plat_stats->host_readv_empty += got == -EAGAIN;
    return got;
}

static long packets_write(const struct plat_iovec *iov, unsigned count)
{
    long done = host_writev(plat_boot.process.net_fd, iov, count);
    plat_stats->host_writev++;
    plat_stats->host_writev_full += done == -EAGAIN;
    return done;
}

void process_find_packets(void)
{
    static struct plat_packets packets;
    const struct lith_process *p = &plat_boot.process;
    if (p->net_fd < 0)
        return;
    packets = (struct plat_packets){
        .mtu = p->mtu,
        .stream = p->net_flags & LITH_PROCESS_NET_STREAM,
        .csum = p->net_flags & LITH_PROCESS_NET_CSUM,
        .tso4 = p->net_flags & LITH_PROCESS_NET_TSO4,
        .read = packets_read,
        .write = packets_write,
    };
    memcpy(packets.mac, p->mac, sizeof(packets.mac));
    plat_info.packets = &packets;
}

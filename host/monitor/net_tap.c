// SPDX-License-Identifier: ISC
// Network backend: a tap device with vnet headers, so that checksums and segmentation are left to
// whoever can do them last.
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#include "monitor/monitor.h"

#define SIOCGIFMTU_ 0x8921ul // <linux/sockios.h> clashes with musl's <sys/socket.h>

static long tap_ioctl(int fd, unsigned long request, const void *arg)
{
    return syscall(SYS_ioctl, fd, request, arg);
}

static long tap_receive(struct net_backend *backend, const struct iovec *iov, int count)
{
    ssize_t n;
    do
        n = readv(backend->fd, iov, count);
    while (n < 0 && errno == EINTR);
    if (n >= 0)
        return n;
    // EIO: the device is down; its descriptor stays good, and polls as quiet.
    return errno == EIO ? -EAGAIN : -errno;
}

static int tap_send(struct net_backend *backend, const struct iovec *iov, int count, uint32_t len)
{
    (void)len;
    ssize_t n;
    do
        n = writev(backend->fd, iov, count);
    while (n < 0 && errno == EINTR);
    // A refused frame is a lost frame (device down, bad header, no memory). Only a device that has
    // been deleted is an end.
    return n < 0 && errno == EBADFD ? -errno : 0;
}

// tun_chr_read and _write answer EBADFD once the interface is deleted.
void net_tap_open(struct net_backend *backend, const char *name)
{
    struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
    size_t name_len = strlen(name);
    if (name_len == 0 || name_len >= sizeof ifr.ifr_name)
        fatal("bad tap name '%s'", name);
    memcpy(ifr.ifr_name, name, name_len);
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        fatal("cannot open /dev/net/tun: %s", strerror(errno));
    if (tap_ioctl(fd, TUNSETIFF, &ifr) != 0) {
        int first = errno;
        ifr.ifr_flags |= IFF_MULTI_QUEUE; // a device made with several queues must be asked for so
        if (tap_ioctl(fd, TUNSETIFF, &ifr) != 0)
            fatal("cannot attach to tap device %s: %s", name, strerror(first));
    }
    const int hdr_len = NET_HDR_LEN;
    if (tap_ioctl(fd, TUNSETVNETHDRSZ, &hdr_len) != 0)
        fatal("tap device %s has no vnet headers: %s", name, strerror(errno));
    *backend =
        (struct net_backend){.fd = fd, .mtu = 1500, .receive = tap_receive, .send = tap_send};
    const unsigned tso = TUN_F_CSUM | TUN_F_TSO4;
    if (tap_ioctl(fd, TUNSETOFFLOAD, (void *)(uintptr_t)tso) == 0)
        backend->offload_checksum = backend->offload_tso = true;
    else if (tap_ioctl(fd, TUNSETOFFLOAD, (void *)(uintptr_t)TUN_F_CSUM) == 0)
        backend->offload_checksum = true;
    int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (sock >= 0) {
        if (tap_ioctl(sock, SIOCGIFMTU_, &ifr) == 0 && ifr.ifr_mtu >= 68 && ifr.ifr_mtu <= 65520)
            backend->mtu = (uint16_t)ifr.ifr_mtu;
        close(sock);
    }
}

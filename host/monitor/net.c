// SPDX-License-Identifier: ISC
// The virtio network device (virtio 1.2, 5.1): packets between the guest's two rings and a backend.
// Frames are not parsed: a tap's vnet header is the guest's own struct virtio_net_hdr_v1, which the
// host's kernel checks. Receive buffers are single descriptors of at least NET_HDR_LEN bytes.
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>

#include <linux/virtio_ring.h>
#include <string.h>
#include "monitor/monitor.h"

// Where the part of a packet goes that the guest has no room for: such a packet is dropped whole,
// never handed over cut short.
static uint8_t overflow[NET_FRAME_MAX];

uint64_t net_features(const struct net_backend *backend)
{
    uint64_t f = 1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_RING_F_EVENT_IDX |
                 1ull << VIRTIO_NET_F_MRG_RXBUF | 1ull << VIRTIO_NET_F_MAC |
                 1ull << VIRTIO_NET_F_STATUS | 1ull << VIRTIO_NET_F_MTU;
    if (backend->offload_checksum)
        f |= 1ull << VIRTIO_NET_F_CSUM | 1ull << VIRTIO_NET_F_GUEST_CSUM;
    if (backend->offload_tso) // IPv4 only: the kernel's stack has no IPv6
        f |= 1ull << VIRTIO_NET_F_HOST_TSO4 | 1ull << VIRTIO_NET_F_GUEST_TSO4;
    return f;
}

void net_describe(const struct net_backend *backend, const uint8_t mac[6], gpa_t queue_gpa,
                  struct lith_dev *dev)
{
    struct virtio_net_config config = {
        .status = VIRTIO_NET_S_LINK_UP, .max_virtqueue_pairs = 1, .mtu = backend->mtu};
    memcpy(config.mac, mac, sizeof config.mac);
    dev->virtio_id = VIRTIO_ID_NET;
    dev->irq_vector = LITH_VECTOR_DEVICE;
    dev->features = net_features(backend);
    dev->queue_count = 2;
    dev->config_len = offsetof(struct virtio_net_config, mtu) + sizeof config.mtu;
    memcpy(dev->config, &config, dev->config_len);
    for (unsigned i = 0; i < 2; i++) {
        virtq_layout(queue_gpa + i * virtq_bytes(NET_QUEUE_SIZE), NET_QUEUE_SIZE, &dev->queue[i]);
        dev->queue[i].doorbell = (uint16_t)(LITH_PORT_NOTIFY + 2 * i);
    }
}

bool net_init(struct net_device *net, struct net_backend *backend, const struct guest_mem *mem,
              const struct lith_dev *dev, struct lith_stats_io *stats)
{
    memset(net, 0, sizeof *net);
    net->backend = backend;
    net->stats = stats;
    return virtq_init(&net->rx, mem, &dev->queue[0]) && virtq_init(&net->tx, mem, &dev->queue[1]);
}

// Take receive buffers from the ring until the largest packet fits or the window is full.
static int fill_window(struct net_device *net)
{
    if (net->first && net->first + net->count == NET_RX_WINDOW) {
        memmove(net->window, net->window + net->first, net->count * sizeof net->window[0]);
        memmove(net->head, net->head + net->first, net->count * sizeof net->head[0]);
        net->first = 0;
    }
    while (net->first + net->count < NET_RX_WINDOW) {
        struct virtq_chain chain;
        int got = virtq_pop(&net->rx, true, &chain);
        if (got <= 0)
            return got;
        if (chain.count != 1 || chain.len < NET_HDR_LEN)
            return -EINVAL;
        net->window[net->first + net->count] = chain.iov[0];
        net->head[net->first + net->count] = chain.head;
        net->count++;
    }
    return 0;
}

// Give the buffers that `len` bytes filled to the guest. False if they did not fit.
static bool deliver(struct net_device *net, uint64_t len)
{
    uint16_t buffers = 0;
    uint64_t room = 0;
    while (room < len && buffers < net->count)
        room += net->window[net->first + buffers++].iov_len;
    if (room < len)
        return false;
    uint8_t *hdr = net->window[net->first].iov_base; // aligned as the guest pleases
    memcpy(hdr + offsetof(struct virtio_net_hdr_v1, num_buffers), &buffers, sizeof buffers);
    for (uint16_t i = 0; i < buffers; i++) {
        uint64_t part = net->window[net->first].iov_len;
        part = part < len ? part : len;
        virtq_push(&net->rx, net->head[net->first], (uint32_t)part);
        len -= part;
        net->first++;
        net->count--;
    }
    return true;
}

int net_receive(struct net_device *net, bool *interrupt)
{
    int moved = 0;
    while (moved < NET_BATCH && !net->backend_ended) {
        if (fill_window(net) < 0)
            return -EINVAL;
        if (net->count == 0)
            break;
        // The overflow area takes the window's next slot for the time of the call.
        struct iovec *last = &net->window[net->first + net->count], saved = *last;
        *last = (struct iovec){overflow, sizeof overflow};
        long len =
            net->backend->receive(net->backend, &net->window[net->first], (int)net->count + 1);
        *last = saved;
        if (len == -EAGAIN)
            break;
        if (len < 0) {
            net->backend_ended = true;
            warn("the network has gone: %s", strerror((int)-len));
            break;
        }
        if (len > (long)NET_HDR_LEN && deliver(net, (uint64_t)len)) {
            net->stats->net_rx_packets++;
            net->stats->net_rx_bytes += (uint64_t)len - NET_HDR_LEN;
        } else {
            net->stats->net_rx_dropped++;
        }
        moved++;
    }
    net->stats->net_rx_batches += moved > 0;
    if (virtq_publish(&net->rx))
        *interrupt = true;
    return moved;
}

// The backend is asked to pass on what waits; an error other than "not now" is its end.
static void flush_backend(struct net_device *net)
{
    if (!net->backend->send_pending || net->backend_ended)
        return;
    int error = net->backend->flush(net->backend);
    if (error && error != -EAGAIN)
        net->backend_ended = true;
}

int net_transmit(struct net_device *net, bool *interrupt)
{
    int moved = 0;
    struct virtq_chain chain;
    if (net->backend->send_full)
        flush_backend(net);
    while (moved < NET_BATCH && (!net->backend->send_full || net->backend_ended)) {
        int got = virtq_pop(&net->tx, false, &chain);
        if (got < 0)
            return got;
        if (got == 0)
            break;
        bool sent = false;
        if (chain.len > NET_HDR_LEN && chain.len <= NET_HDR_LEN + NET_FRAME_MAX &&
            !net->backend_ended) {
            sent = net->backend->send(net->backend, chain.iov, chain.count, chain.len) == 0;
            net->backend_ended = !sent;
        }
        if (sent) {
            net->stats->net_tx_packets++;
            net->stats->net_tx_bytes += chain.len - NET_HDR_LEN;
        } else {
            net->stats->net_tx_dropped++;
        }
        virtq_push(&net->tx, chain.head, 0);
        moved++;
    }
    flush_backend(net);
    net->stats->net_tx_batches += moved > 0;
    if (virtq_publish(&net->tx))
        *interrupt = true;
    return moved;
}

bool net_receive_starved(const struct net_device *net)
{
    return net->count == 0;
}

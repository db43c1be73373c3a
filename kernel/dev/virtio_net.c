// SPDX-License-Identifier: ISC
// virtio-net (virtio 1.2, section 5.1): receive buffers that go up to the stack as they are,
// mergeable; transmit of packet chains without copying; checksum and segmentation offload both
// ways. Interrupts only while the CPU sleeps or runs a program: under load the poller finds the
// work by itself.
#include <asm/errno.h>
#include "dev/virtio.h"

#define NET_F_CSUM       (1ull << 0)
#define NET_F_GUEST_CSUM (1ull << 1)
#define NET_F_MTU        (1ull << 3)
#define NET_F_MAC        (1ull << 5)
#define NET_F_GUEST_TSO4 (1ull << 7)
#define NET_F_HOST_TSO4  (1ull << 11)
#define NET_F_MRG_RXBUF  (1ull << 15)
#define NET_F_STATUS     (1ull << 16)
#define WANTED                                                                                    \
    (NET_F_CSUM | NET_F_GUEST_CSUM | NET_F_MTU | NET_F_MAC | NET_F_GUEST_TSO4 | NET_F_HOST_TSO4 | \
     NET_F_MRG_RXBUF | NET_F_STATUS | VIRTIO_F_EVENT_IDX)

#define RX_RING 256
// Buffers at first, and at least: each touches memory that a quiet instance saves, but a device
// waits until the largest packet fits (64 KiB, RX_MERGE_MAX buffers), for ever if need be.
#define RX_START        48
#define RX_BUDGET       64 // packets a poll hands up before others get their turn
#define REFILL_RETRY_NS (10 * NSEC_PER_MSEC)
#define RX_MERGE_MAX    40 // buffers of one received packet: 64 KiB in 1.8 KiB pieces

struct virtio_net {
    struct netdev dev;
    struct poller poller;
    struct virtio_dev vdev;
    struct virtq rx, tx;
    struct ktimer refill;
    bool room_wanted;   // the transmit ring raises interrupts, and its user is told
    unsigned rx_target; // buffers kept in the receive ring: doubles with batches that take half
    unsigned rx_most;   // ... up to this: fewer in small instances
};

static struct pktbuf *alloc_rx(void)
{
    struct pktbuf *p = pkt_alloc_urgent(PKT_ROOM_MTU);
    if (p)
        p->data = p->head + PKT_HEADROOM -
                  sizeof(struct net_hdr); // so that the frame starts at the head room's end
    return p;
}

static uint32_t rx_room(const struct pktbuf *p)
{
    return p->size - (uint32_t)(p->data - p->head);
}

static void fill_rx(struct virtio_net *n)
{
    while (n->rx.size - n->rx.free_count < n->rx_target) {
        struct pktbuf *p = alloc_rx();
        if (!p)
            break;
        struct virtq_buf b = {va_to_pa(p->data), rx_room(p), true};
        if (!virtq_add(&n->rx, &b, 1, p)) {
            pkt_free(p);
            break;
        }
    }
    virtq_kick(&n->rx);
    // Memory for packets was short. An empty ring raises no interrupt, so nothing else would come
    // back here.
    if (n->rx.size - n->rx.free_count < n->rx_target && !n->refill.armed)
        ktimer_arm(&n->refill, clock_monotonic_ns() + REFILL_RETRY_NS);
}

static void refill_later(struct ktimer *t)
{
    fill_rx(container_of(t, struct virtio_net, refill));
}

static void reclaim_tx(struct virtio_net *n)
{
    struct pktbuf *p;
    while ((p = virtq_take(&n->tx, NULL)))
        pkt_free(p);
}

// Takes one packet with all its merged buffers; NULL: none, or a broken one (*again says which).
static struct pktbuf *take_rx(struct virtio_net *n, bool *again)
{
    uint32_t len;
    struct pktbuf *p = virtq_take(&n->rx, &len);
    *again = p != NULL;
    if (!p)
        return NULL;
    if (len < sizeof(struct net_hdr) + 14 || len > rx_room(p)) {
        pkt_free(p);
        n->dev.rx_dropped++;
        return NULL;
    }
    p->len = p->total = len;
    unsigned pieces = net_hdr_pull(p);
    if (!(n->vdev.features & NET_F_MRG_RXBUF))
        pieces = 1;
    bool bad = pieces == 0 || pieces > RX_MERGE_MAX;
    for (unsigned i = 1; i < pieces && !bad; i++) {
        struct pktbuf *piece = virtq_take(&n->rx, &len);
        bad = !piece || len == 0 || len > rx_room(piece);
        if (piece && bad)
            pkt_free(piece);
        if (bad)
            break;
        piece->len = piece->total = len;
        pkt_append(p, piece);
    }
    if (bad) {
        pkt_free(p);
        n->dev.rx_dropped++;
        return NULL;
    }
    return p;
}

static bool net_poll(struct poller *poller)
{
    struct virtio_net *n = container_of(poller, struct virtio_net, poller);
    unsigned count = 0;
    bool again = true, room = false;
    virtio_dev_ack(&n->vdev);
    if (virtq_has_used(&n->tx)) {
        reclaim_tx(n);
        room = n->room_wanted;
        if (room) {
            n->room_wanted = false;
            virtq_interrupts(&n->tx, false);
        }
    }
    while (count < RX_BUDGET && again && !n->dev.hold) {
        struct pktbuf *p = take_rx(n, &again);
        if (p)
            n->dev.receive(&n->dev, p);
        count += again;
        if (!again) { // asked for an interrupt: what came in between would not raise one
            virtq_interrupts(&n->rx, true);
            again = virtq_has_used(&n->rx);
        }
    }
    if (count) {
        if (count >= n->rx_target / 2)
            n->rx_target = MIN(n->rx_target * 2, n->rx_most);
        fill_rx(n);
    } else if (n->rx.free_count > n->rx.size - n->rx_target) {
        fill_rx(n);
    }
    if (count || room)
        n->dev.receive_done(&n->dev);
    return count || room;
}

// The header goes into the packet's head room; the rest of the chain is referenced as it lies.
static bool net_transmit(struct netdev *dev, struct pktbuf *p, bool more)
{
    struct virtio_net *n = container_of(dev, struct virtio_net, dev);
    struct virtq_buf bufs[NETDEV_PIECES_MAX];
    unsigned count = 0;
    if (n->tx.free_count < NETDEV_PIECES_MAX)
        reclaim_tx(n);
    net_hdr_push(p);
    for (struct pktbuf *f = p; f; f = f->frag) {
        if (!f->len)
            continue;
        if (count == NETDEV_PIECES_MAX)
            goto drop;
        bufs[count++] = (struct virtq_buf){va_to_pa(f->data), f->len, false};
    }
    if (!virtq_add(&n->tx, bufs, count, p))
        goto drop;
    if (!more)
        virtq_kick(&n->tx);
    return true;
drop:
    dev->tx_dropped++;
    pkt_free(p);
    virtq_kick(&n->tx);
    n->tx.notify(&n->tx); // should the device have missed a doorbell, a full ring would stay full
    return false;
}

static unsigned net_room(struct netdev *dev)
{
    struct virtio_net *n = container_of(dev, struct virtio_net, dev);
    if (n->tx.free_count < n->tx.size / 2)
        reclaim_tx(n);
    return n->tx.free_count;
}

static bool net_want_room(struct netdev *dev)
{
    struct virtio_net *n = container_of(dev, struct virtio_net, dev);
    n->room_wanted = true;
    virtq_kick(&n->tx);
    virtq_interrupts(&n->tx, true);
    if (!virtq_has_used(&n->tx))
        return false;
    reclaim_tx(n); // in between, without an interrupt
    return true;
}

// Not yet: then a poll follows when the device has sent more.
static bool net_sent(struct netdev *dev)
{
    struct virtio_net *n = container_of(dev, struct virtio_net, dev);
    while (n->tx.free_count < n->tx.size)
        if (!net_want_room(dev))
            return false;
    return true;
}

static void net_flush(struct netdev *dev)
{
    virtq_kick(&container_of(dev, struct virtio_net, dev)->tx);
}

static int net_probe(unsigned i, struct virtio_net *n)
{
    n->dev.mtu = 1500;
    if (n->vdev.features & NET_F_MAC) {
        memcpy(n->dev.mac, n->vdev.config, 6);
    } else {
        random_bytes(n->dev.mac, 6);
        n->dev.mac[0] = (n->dev.mac[0] & 0xfe) | 2; // local, unicast
    }
    if (n->vdev.features & NET_F_MTU) {
        uint16_t mtu;
        memcpy(&mtu, n->vdev.config + 10, 2);
        if (mtu >= 576)
            n->dev.mtu =
                (uint16_t)MIN((unsigned)mtu, 1500u); // a receive buffer holds one such frame
    }
    n->dev.features |= NETDEV_LATE; // a descriptor, a copy in the host and an acknowledgement each
    if (n->vdev.features & NET_F_CSUM)
        n->dev.features |= NETDEV_CSUM_TX;
    if (n->vdev.features & NET_F_HOST_TSO4)
        n->dev.features |= NETDEV_TSO4;
    if (n->vdev.features & NET_F_GUEST_CSUM)
        n->dev.features |= NETDEV_CSUM_RX;
    int e = virtio_queue_init(&n->vdev, i, 0, RX_RING, &n->rx);
    if (!e)
        e = virtio_queue_init(&n->vdev, i, 1, VIRTQ_SIZE_MAX, &n->tx);
    if (!e && n->tx.size < NETDEV_PIECES_MAX)
        e = -EINVAL; // the largest packet would wait for ever
    if (e)
        return e;
    // 2 KiB a buffer: an eighth of the memory at most.
    uint64_t share = plat_info.ram_total / 32 / 2048;
    share = MAX(share, (uint64_t)RX_START);
    n->rx_most = (unsigned)MIN(share, (uint64_t)n->rx.size);
    n->rx_target = MIN(n->rx_most, (unsigned)RX_START);
    n->dev.transmit = net_transmit;
    n->dev.flush = net_flush;
    n->dev.room = net_room;
    n->dev.want_room = net_want_room;
    n->dev.sent = net_sent;
    n->dev.link_up = true;
    virtq_interrupts(&n->tx, false); // sent buffers are reclaimed with the next packet
    n->poller.poll = net_poll;
    ktimer_init(&n->refill, refill_later);
    n->poller.vectors = n->vdev.vectors;
    virtio_dev_ready(&n->vdev);
    fill_rx(n);
    virtq_interrupts(&n->rx, true);
    return 0;
}

int virtio_net_probe(void)
{
    unsigned count = 0;
    uint64_t want = WANTED;
    for (unsigned i = 0; i < plat_info.dev_count; i++) {
        struct virtio_net *n = kzalloc(sizeof(*n));
        if (!n)
            return -ENOMEM;
        // Large receive needs mergeable buffers: the ring's are of one frame each.
        if (!virtio_dev_open(i, 1, want, &n->vdev)) {
            kfree(n);
            continue;
        }
        lib_snprintf(n->dev.name, sizeof(n->dev.name), "eth%u", count++);
        int e = net_probe(i, n);
        if (e) {
            log_error("%s: virtio-net cannot be set up (error %d)", n->dev.name, -e);
            continue;
        }
        netdev_add(&n->dev);
        sched_add_poller(&n->poller);
    }
    return 0;
}

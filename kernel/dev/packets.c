// SPDX-License-Identifier: ISC
// The network of machine "process": packets that calls of the host's move (plat_packets). Two
// kinds: packets behind a virtio_net_hdr_v1 (a tap: offload both ways), each sent as it comes; and
// a stream of frames behind their lengths (passt), which is collected and cut here.
#include <asm/errno.h>
#include "dev/virtio.h"

#define RX_BUDGET 32 // packets a poll hands up before others get their turn
#define TX_PIECES NETDEV_PIECES_MAX
#define TX_ROOM   256u // packets go as they come, there is no queue: what elsewhere a queue takes
// Receive: one buffer for a frame, and behind it what takes the rest of a 64 KiB segment.
#define RX_LARGE  5
#define FRAME_MAX 65535u
#define RX_STREAM (96u << 10)
#define TX_STREAM (96u << 10)

struct packet_net {
    struct netdev dev;
    struct poller poller;
    struct plat_packets *host;
    // Packets: buffers ready for the next one.
    struct pktbuf *rx[1 + RX_LARGE];
    // Stream.
    uint8_t *rx_bytes, *tx_bytes;
    uint32_t rx_start, rx_end, tx_start, tx_end;
};

// --- packets ---
static bool fill_rx(struct packet_net *n)
{
    unsigned count = n->host->tso4 ? 1 + RX_LARGE : 1;
    for (unsigned i = 0; i < count; i++) {
        if (n->rx[i])
            continue;
        struct pktbuf *p = i ? pkt_alloc(PKT_ROOM_LARGE) : pkt_alloc_urgent(PKT_ROOM_MTU);
        if (!p)
            return i > 0; // large ones are lost meanwhile
        p->data = i ? p->head : p->head + PKT_HEADROOM - sizeof(struct net_hdr);
        n->rx[i] = p;
    }
    return true;
}

static uint32_t room_of(const struct pktbuf *p)
{
    return p->size - (uint32_t)(p->data - p->head);
}

// One packet; NULL: none (*again false), or a broken one.
static struct pktbuf *take_packet(struct packet_net *n, bool *again)
{
    struct plat_iovec iov[1 + RX_LARGE];
    unsigned count = 0;
    uint64_t room = 0;
    *again = false;
    if (!fill_rx(n))
        return NULL;
    for (; count <= RX_LARGE && n->rx[count]; count++) {
        iov[count] = (struct plat_iovec){n->rx[count]->data, room_of(n->rx[count])};
        room += iov[count].len;
    }
    long got = n->host->read(iov, count);
    if (got < 0) {
        *again = got == -EINTR;
        n->host->ended |= got != -EINTR && got != -EAGAIN && got != -EIO; // EIO: the device is down
        return NULL;
    }
    *again = true;
    if ((size_t)got < sizeof(struct net_hdr) + 14 || (uint64_t)got > room) {
        n->dev.rx_dropped++;
        return NULL;
    }
    struct pktbuf *first = NULL;
    uint64_t left = (uint64_t)got;
    for (unsigned i = 0; i < count && left; i++) {
        struct pktbuf *p = n->rx[i];
        p->len = p->total = (uint32_t)MIN(left, iov[i].len);
        left -= p->len;
        n->rx[i] = NULL;
        if (first) {
            pkt_append(first, p);
            continue;
        }
        first = p;
    }
    net_hdr_pull(first);
    return first;
}

static bool send_packet(struct packet_net *n, struct pktbuf *p)
{
    struct plat_iovec iov[TX_PIECES];
    unsigned count = 0;
    net_hdr_push(p);
    for (struct pktbuf *f = p; f; f = f->frag) {
        if (!f->len)
            continue;
        if (count == TX_PIECES)
            return false;
        iov[count++] = (struct plat_iovec){f->data, f->len};
    }
    long rc;
    do
        rc = n->host->write(iov, count);
    while (rc == -EINTR);
    return rc >= 0;
}

// --- the stream ---
static uint32_t frame_length(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static struct pktbuf *take_frame(struct packet_net *n, bool *again)
{
    uint32_t have, len = 0;
    *again = false;
    for (;;) {
        have = n->rx_end - n->rx_start;
        if (have >= 4) {
            len = frame_length(n->rx_bytes + n->rx_start);
            if (len > FRAME_MAX) {
                n->host->ended = true;
                return NULL;
            }
            if (have - 4 >= len)
                break;
        }
        if (n->rx_start) {
            memmove(n->rx_bytes, n->rx_bytes + n->rx_start, have);
            n->rx_start = 0;
            n->rx_end = have;
        }
        struct plat_iovec rest = {n->rx_bytes + n->rx_end, RX_STREAM - n->rx_end};
        long got = n->host->read(&rest, 1);
        if (got == -EINTR)
            continue;
        n->host->ended |= got == 0 || (got < 0 && got != -EAGAIN);
        if (got <= 0)
            return NULL;
        n->rx_end += (uint32_t)got;
    }
    *again = true;
    const uint8_t *frame = n->rx_bytes + n->rx_start + 4;
    n->rx_start += 4 + len;
    struct pktbuf *p = len >= 14 ? pkt_alloc_urgent(MAX(len, PKT_ROOM_MTU)) : NULL;
    if (!p) {
        n->dev.rx_dropped++;
        return NULL;
    }
    memcpy(pkt_put(p, len), frame, len);
    return p;
}

static void flush_stream(struct packet_net *n)
{
    while (n->tx_start < n->tx_end && !n->host->ended) {
        struct plat_iovec rest = {n->tx_bytes + n->tx_start, n->tx_end - n->tx_start};
        long done = n->host->write(&rest, 1);
        if (done == -EAGAIN)
            break;
        if (done < 0 && done != -EINTR)
            n->host->ended = true;
        else if (done > 0)
            n->tx_start += (uint32_t)done;
    }
    if (n->tx_start == n->tx_end || n->host->ended)
        n->tx_start = n->tx_end = 0;
    n->host->write_blocked = n->tx_end > 0;
}

static bool send_frame(struct packet_net *n, struct pktbuf *p)
{
    if (p->total > FRAME_MAX)
        return false;
    if (TX_STREAM - n->tx_end < 4 + p->total) {
        flush_stream(n);
        memmove(n->tx_bytes, n->tx_bytes + n->tx_start, n->tx_end - n->tx_start);
        n->tx_end -= n->tx_start;
        n->tx_start = 0;
        if (TX_STREAM - n->tx_end < 4 + p->total)
            return false;
    }
    uint8_t *to = n->tx_bytes + n->tx_end;
    to[0] = (uint8_t)(p->total >> 24);
    to[1] = (uint8_t)(p->total >> 16);
    to[2] = (uint8_t)(p->total >> 8);
    to[3] = (uint8_t)p->total;
    pkt_copy_out(p, 0, to + 4, p->total);
    n->tx_end += 4 + p->total;
    return true;
}

// --- the device ---
static bool packets_poll(struct poller *poller)
{
    struct packet_net *n = container_of(poller, struct packet_net, poller);
    unsigned count = 0;
    bool again = true;
    if (n->host->write_blocked)
        flush_stream(n);
    while (count < RX_BUDGET && again && !n->host->ended && !n->dev.hold) {
        struct pktbuf *p = n->host->stream ? take_frame(n, &again) : take_packet(n, &again);
        count += again;
        if (!p)
            continue;
        plat_stats->net_rx_packets++;
        plat_stats->net_rx_bytes += p->total;
        n->dev.receive(&n->dev, p);
    }
    n->dev.receive_done(&n->dev); // also when nothing came: there may be room (want_room)
    return count > 0;
}

static bool packets_transmit(struct netdev *dev, struct pktbuf *p, bool more)
{
    struct packet_net *n = container_of(dev, struct packet_net, dev);
    bool sent = false;
    uint32_t bytes = p->total;
    if (!n->host->ended)
        sent = n->host->stream ? send_frame(n, p) : send_packet(n, p);
    if (n->host->stream && !more)
        flush_stream(n);
    pkt_free(p);
    dev->tx_dropped += !sent;
    plat_stats->net_tx_packets += sent;
    plat_stats->net_tx_bytes += sent ? bytes : 0;
    return sent;
}

static void packets_flush(struct netdev *dev)
{
    struct packet_net *n = container_of(dev, struct packet_net, dev);
    if (n->host->stream)
        flush_stream(n);
}

static bool packets_sent(struct netdev *dev)
{
    struct packet_net *n = container_of(dev, struct packet_net, dev);
    if (n->host->stream)
        flush_stream(n);
    return n->tx_start == n->tx_end;
}

static unsigned packets_room(struct netdev *dev)
{
    struct packet_net *n = container_of(dev, struct packet_net, dev);
    if (!n->host->stream)
        return TX_ROOM;
    const uint32_t frame = 4 + 14 + n->dev.mtu;
    if (TX_STREAM - n->tx_end < NETDEV_PIECES_MAX * frame && !n->host->write_blocked)
        flush_stream(n);
    return (TX_STREAM - n->tx_end) / frame;
}

int packets_probe(void)
{
    struct packet_net *n = kzalloc(sizeof(*n));
    if (!n)
        return -ENOMEM;
    n->host = plat_info.packets;
    if (n->host->stream) {
        n->rx_bytes = kmalloc(RX_STREAM);
        n->tx_bytes = kmalloc(TX_STREAM);
        if (!n->rx_bytes || !n->tx_bytes)
            return -ENOMEM;
    }
    lib_strlcpy(n->dev.name, "eth0", sizeof(n->dev.name));
    memcpy(n->dev.mac, n->host->mac, sizeof(n->dev.mac));
    n->dev.mtu = MIN(n->host->mtu, (uint16_t)1500);
    n->dev.features = (n->host->csum ? NETDEV_CSUM_TX | NETDEV_CSUM_RX : 0) |
                      (n->host->tso4 ? NETDEV_TSO4 : 0) | NETDEV_LATE;
    n->dev.transmit = packets_transmit;
    n->dev.flush = packets_flush;
    n->dev.room = packets_room;
    n->dev.sent = packets_sent;
    n->dev.link_up = true;
    n->poller.poll = packets_poll;
    netdev_add(&n->dev);
    sched_add_poller(&n->poller);
    return 0;
}

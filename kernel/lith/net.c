// SPDX-License-Identifier: ISC
// Network devices for a program: frames wait in a queue per open device until the program takes
// them; packets that it holds have a slot each, which its handles name. A packet goes from driver
// to program to driver as the same buffer.
#include "lith/internal.h"

#define QUEUE_MAX   256 // frames that wait; then they stay in the device's ring
#define QUEUE_LOW   128 // and go on being taken from it from here
#define DRIVER_ROOM 16u // bytes before a frame that are the driver's
#define INDEX_BITS  10
#define INDEX_MASK  (LITH_NET_HELD - 1)

compile_assert(held_fits, LITH_NET_HELD == 1u << INDEX_BITS);
compile_assert(headroom_is_there, LITH_NET_HEADROOM + DRIVER_ROOM <= PKT_HEADROOM);

struct slot {
    struct pktbuf *packet; // NULL: free
    uint32_t generation;   // in the handle, never 0; another one for each packet
    uint16_t next_free;    // index + 1
    bool claimed;          // seen in the call that is being checked
};
static struct slot *slots;  // LITH_NET_HELD
static unsigned slots_used; // those from here were never used
static uint16_t first_free; // index + 1; 0: none
static unsigned held;
static bool bad_said;

struct port {
    struct netdev *dev;
    bool open;
    struct list_head queue; // struct pktbuf.link
    unsigned count;
    struct wait_queue waiting;
};
static struct port ports[NETDEV_MAX];

// --- packets of the program ---

static int slots_init(void)
{
    if (!slots)
        slots = kzalloc(LITH_NET_HELD * sizeof(*slots));
    return slots ? 0 : -ENOMEM;
}

static bool slot_free(void)
{
    return slots && held < LITH_NET_HELD;
}

// The caller knows that a slot is free.
static void hand_out(struct pktbuf *p, struct lith_packet *out)
{
    unsigned i = first_free ? first_free - 1u : slots_used++;
    struct slot *s = &slots[i];
    if (first_free)
        first_free = s->next_free;
    held++;
    s->packet = p;
    s->generation = s->generation == UINT32_MAX >> INDEX_BITS ? 1 : s->generation + 1;
    *out = (struct lith_packet){
        .data = p->data, .length = p->len, .handle = s->generation << INDEX_BITS | i};
}

static struct slot *slot_of(uint32_t handle)
{
    if ((handle & INDEX_MASK) >= slots_used)
        return NULL;
    struct slot *s = &slots[handle & INDEX_MASK];
    return s->packet && s->generation == handle >> INDEX_BITS ? s : NULL;
}

static struct pktbuf *take_back(uint32_t handle)
{
    struct slot *s = slot_of(handle);
    struct pktbuf *p = s->packet;
    s->packet = NULL;
    s->next_free = first_free;
    first_free = (uint16_t)((s - slots) + 1);
    held--;
    return p;
}

// All of them the program's, each once: else -EBADF.
static int check_handles(const struct lith_packet *packets, unsigned count, const char *call)
{
    unsigned n = 0;
    for (; n < count; n++) {
        struct slot *s = slot_of(packets[n].handle);
        if (!s || s->claimed)
            break;
        s->claimed = true;
    }
    for (unsigned i = 0; i < n; i++)
        slot_of(packets[i].handle)->claimed = false;
    return n == count ? 0
                      : lith_bad_handle(&bad_said, call,
                                        "not a packet of the program, or not any more: handle",
                                        packets[n].handle);
}

// --- devices ---

// A frame in several pieces, or joined by the device: the program gets one piece.
static struct pktbuf *make_contiguous(struct pktbuf *p)
{
    struct pktbuf *q = pkt_alloc(p->total);
    if (q) {
        pkt_copy_out(p, 0, pkt_put(q, p->total), p->total);
        q->flags = p->flags;
        q->gso_type = p->gso_type;
        q->gso_size = p->gso_size;
        q->csum_start = p->csum_start;
        q->csum_offset = p->csum_offset;
    }
    pkt_free(p);
    return q;
}

static void port_receive(struct netdev *d, struct pktbuf *p)
{
    struct port *port = d->stack;
    if (p->frag)
        p = make_contiguous(p);
    if (!p) {
        d->rx_dropped++;
        return;
    }
    d->rx_packets++;
    d->rx_bytes += p->total;
    list_add_tail(&p->link, &port->queue);
    d->hold = ++port->count >= QUEUE_MAX;
}

static void port_receive_done(struct netdev *d)
{
    struct port *port = d->stack;
    wait_wake(&port->waiting, 1, 1);
}

static struct port *open_port(int device)
{
    return device >= 0 && device < NETDEV_MAX && ports[device].open ? &ports[device] : NULL;
}

int lith_net_count(void)
{
    return (int)netdev_count;
}

LITH_CALL(0x1000, net_info);
int call_net_info(int device, struct lith_net_info *info)
{
    struct lith_net_info out = {0};
    if (device < 0 || (unsigned)device >= netdev_count)
        return -ENODEV;
    const struct netdev *d = netdevs[device];
    lib_strlcpy(out.name, d->name, sizeof(out.name));
    memcpy(out.mac, d->mac, sizeof(out.mac));
    out.mtu = d->mtu;
    if (device == 0 && boot_config.ip)
        lib_strlcpy(out.address, boot_config.ip, sizeof(out.address));
    out.received = d->rx_packets;
    out.sent = d->tx_packets;
    out.dropped = d->rx_dropped + d->tx_dropped;
    return put_user(info, &out);
}

LITH_CALL(0x1001, net_open);
int call_net_open(int device)
{
    if (device < 0 || (unsigned)device >= netdev_count)
        return -ENODEV;
    struct port *port = &ports[device];
    struct netdev *d = netdevs[device];
    int err = slots_init();
    if (err)
        return err;
    if (port->open || (d->detach && !d->detach(d)))
        return -EBUSY;
    list_init(&port->queue);
    wait_queue_init(&port->waiting);
    port->count = 0;
    port->dev = d;
    port->open = true;
    d->detach = NULL;
    d->stack = port;
    d->receive = port_receive;
    d->receive_done = port_receive_done;
    return 0;
}

LITH_CALL(0x1002, net_close);
int call_net_close(int device)
{
    struct port *port = open_port(device);
    if (!port)
        return -EBADF;
    netdev_unused(port->dev);
    port->open = false;
    while (!list_empty(&port->queue)) {
        struct pktbuf *p = list_first(&port->queue, struct pktbuf, link);
        list_del(&p->link);
        pkt_free(p);
    }
    port->count = 0;
    wait_wake_all(&port->waiting, 1);
    return 0;
}

static unsigned take_queued(struct port *port, struct lith_packet *out, unsigned count)
{
    unsigned n = 0;
    for (; n < count && !list_empty(&port->queue) && slot_free(); n++) {
        struct pktbuf *p = list_first(&port->queue, struct pktbuf, link);
        list_del(&p->link);
        port->count--;
        hand_out(p, &out[n]);
        if ((p->flags & PKT_CSUM_NOT_YET) && p->csum_start + p->csum_offset + 2u <= p->len) {
            out[n].flags = LITH_PACKET_CHECKSUM;
            out[n].checksum_start = p->csum_start;
            out[n].checksum_offset = p->csum_offset;
        } else if (p->flags & PKT_CSUM_VALID) {
            out[n].flags = LITH_PACKET_VERIFIED;
        }
        if (p->gso_type)
            out[n].segment = p->gso_size;
    }
    if (port->count <= QUEUE_LOW)
        port->dev->hold = false;
    return n;
}

LITH_CALL(0x1003, net_receive);
long call_net_receive(int device, struct lith_packet *packets, unsigned count, uint64_t deadline)
{
    struct lith_packet batch[LITH_NET_BATCH];
    struct port *port = open_port(device);
    if (!port)
        return -EBADF;
    if (!count)
        return -EINVAL;
    if (!slot_free())
        return -ENOBUFS;
    // Under load frames are there, or in the device's ring; only then is it worth to sleep.
    if (list_empty(&port->queue) && !sched_poll() && !deadline)
        return -EAGAIN;
    if (list_empty(&port->queue)) {
        int err =
            wait_event(&port->waiting, !port->open || !list_empty(&port->queue), deadline, true);
        if (err || !port->open)
            return err == -ETIMEDOUT && !deadline ? -EAGAIN : err ? err : -EBADF;
    }
    unsigned n = take_queued(port, batch, MIN(count, LITH_NET_BATCH));
    if (!n)
        return -ENOBUFS; // while it slept, others took the slots
    if (copy_out(packets, batch, n * sizeof(batch[0]))) {
        while (n-- > 0)
            pkt_free(take_back(batch[n].handle));
        return -EFAULT;
    }
    return n;
}

LITH_CALL(0x1004, net_alloc);
long call_net_alloc(struct lith_packet *packets, unsigned count)
{
    struct lith_packet batch[LITH_NET_BATCH];
    unsigned n = 0;
    if (!count || count > LITH_NET_BATCH)
        return -EINVAL;
    if (slots_init())
        return -ENOBUFS;
    for (; n < count && slot_free(); n++) {
        struct pktbuf *p = pkt_alloc(PKT_ROOM_MTU);
        if (!p)
            break;
        hand_out(p, &batch[n]);
    }
    if (!n)
        return -ENOBUFS;
    if (copy_out(packets, batch, n * sizeof(batch[0]))) {
        while (n-- > 0)
            pkt_free(take_back(batch[n].handle));
        return -EFAULT;
    }
    return n;
}

static bool frame_ok(const struct lith_packet *l, const struct netdev *d)
{
    const struct pktbuf *p = slot_of(l->handle)->packet;
    uintptr_t first = (uintptr_t)p->head + DRIVER_ROOM, end = (uintptr_t)p->head + p->size;
    uintptr_t data = (uintptr_t)l->data;
    if (l->length < LITH_NET_HEADER || l->length > d->mtu + LITH_NET_HEADER)
        return false;
    if (data < first || data > end || end - data < l->length)
        return false;
    return !(l->flags & LITH_PACKET_CHECKSUM) ||
           (uint32_t)l->checksum_start + l->checksum_offset + 2 <= l->length;
}

// RFC 1071, over what the device would have summed up.
static void fill_checksum(const struct lith_packet *l)
{
    const uint8_t *at = l->data + l->checksum_start, *end = l->data + l->length;
    uint64_t sum = 0;
    for (; at + 1 < end; at += 2)
        sum += (uint64_t)at[0] << 8 | at[1];
    if (at < end)
        sum += (uint64_t)*at << 8;
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    uint16_t result = (uint16_t)~sum;
    uint8_t *to = l->data + l->checksum_start + l->checksum_offset;
    if (!result) // for UDP "none"; for all, the same number
        result = 0xffff;
    to[0] = (uint8_t)(result >> 8);
    to[1] = (uint8_t)result;
}

static void prepare(struct pktbuf *p, const struct lith_packet *l, const struct netdev *d)
{
    p->data = l->data;
    p->len = p->total = l->length;
    p->gso_type = PKT_GSO_NONE;
    p->flags = 0;
    if (!(l->flags & LITH_PACKET_CHECKSUM))
        return;
    if (!(d->features & NETDEV_CSUM_TX)) {
        fill_checksum(l);
        return;
    }
    p->flags = PKT_CSUM_PARTIAL;
    p->csum_start = l->checksum_start;
    p->csum_offset = l->checksum_offset;
}

LITH_CALL(0x1005, net_send);
long call_net_send(int device, const struct lith_packet *packets, unsigned count)
{
    struct lith_packet batch[LITH_NET_BATCH];
    struct port *port = open_port(device);
    if (!port)
        return -EBADF;
    if (count > LITH_NET_BATCH)
        return -EINVAL;
    if (copy_in(batch, packets, count * sizeof(batch[0])))
        return -EFAULT;
    int err = check_handles(batch, count, "lith_net_send");
    if (err)
        return err;
    struct netdev *d = port->dev;
    for (unsigned i = 0; i < count; i++)
        if (!frame_ok(&batch[i], d))
            return -EINVAL;
    unsigned n = MIN(count, d->room(d));
    for (unsigned i = 0; i < n; i++) {
        struct pktbuf *p = take_back(batch[i].handle);
        prepare(p, &batch[i], d);
        if (d->transmit(d, p, true)) {
            d->tx_packets++;
            d->tx_bytes += batch[i].length;
        }
    }
    d->flush(d);
    return n;
}

LITH_CALL(0x1006, net_release);
int call_net_release(const struct lith_packet *packets, unsigned count)
{
    struct lith_packet batch[LITH_NET_BATCH];
    if (count > LITH_NET_BATCH)
        return -EINVAL;
    if (copy_in(batch, packets, count * sizeof(batch[0])))
        return -EFAULT;
    int err = check_handles(batch, count, "lith_net_release");
    for (unsigned i = 0; i < count && !err; i++)
        pkt_free(take_back(batch[i].handle));
    return err;
}

static int lith_net_init(void)
{
    netdev_use(NULL);
    return 0;
}
INIT_RECORD(INIT_DEV - 1, lith_net_init, call_net_open);

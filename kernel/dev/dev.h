// SPDX-License-Identifier: ISC
// dev: device interfaces and drivers. Network packets (struct pktbuf) and network devices.
// Kernel mode, outside threads or in them; nothing here sleeps.
#ifndef LITH_DEV_H
#define LITH_DEV_H

#include "sched/sched.h"

// A packet buffer: one contiguous piece of memory with head room, or a reference to somebody
// else's bytes; buffers chain by `frag` to one packet. Reference-counted: `refs` of the first
// piece counts for the whole chain.
struct pktbuf {
    struct list_head link;     // queue of the current owner (driver, stack, socket)
    struct list_head snd_link; // TCP's send queue: nobody else touches it
    uint8_t *head;             // start of the memory
    uint8_t *data;             // first valid byte; data - head is the head room
    uint32_t len;              // valid bytes in this piece
    uint32_t size;             // bytes of memory from head
    uint32_t total;            // valid bytes in the whole chain (first piece only)
    uint32_t refs;
    struct pktbuf *frag;               // next piece of the same packet
    void (*release)(struct pktbuf *p); // gives the memory behind head back; NULL: pool memory
    void *release_arg;
    // Offload (virtio 1.2 section 5.1.6): checksum still to be computed from csum_start (bytes from
    // `data`), stored at csum_start + csum_offset; GSO: payload is to be cut in gso_size pieces.
    uint16_t csum_start, csum_offset;
    uint16_t gso_size;
    uint16_t hdr_len;             // bytes of headers from `data`, for GSO
    uint8_t gso_type;             // PKT_GSO_*
    uint8_t flags;                // PKT_*
    uint8_t l3_offset, l4_offset; // from data, set by the stack on receive
    uint8_t pool;                 // pktbuf.c's: which free list it goes back to
    uint8_t scratch[3];           // the stack's
    uint32_t tcp_seq;             // scratch for the TCP queues
    uint32_t tcp_end;
    uint64_t stamp; // scratch: ns
};
#define PKT_CSUM_PARTIAL 1u    // transmit: device (or dev layer) must fill the checksum in
#define PKT_CSUM_VALID   2u    // receive: device checked it, or it never left this host
#define PKT_CSUM_NOT_YET 4u    // receive, with VALID: the checksum was never filled in (csum_start)
#define PKT_STACK_FLAGS  0xf0u // bits the stack uses for itself
#define PKT_GSO_NONE     0
#define PKT_GSO_TCPV4    1
#define PKT_GSO_TCPV6    4
#define PKT_GSO_UDP_L4   5

#define PKT_HEADROOM 128u // enough for virtio header, Ethernet, IPv6, TCP with options
// A buffer with `size` bytes of room behind PKT_HEADROOM, data at the end of the head room, len 0.
// NULL: memory is short, or the share of memory that packets may take is used up.
struct pktbuf *pkt_alloc(uint32_t size);
// The same for what keeps the network alive (receive rings, acknowledgements): may use the reserve.
struct pktbuf *pkt_alloc_urgent(uint32_t size);
// Room that fits a 2 KiB, 4 KiB and 16 KiB piece of memory exactly: ask for these.
#define PKT_OVERHEAD   (sizeof(struct pktbuf) + PKT_HEADROOM)
#define PKT_ROOM_SMALL ((uint32_t)(512 - PKT_OVERHEAD))
#define PKT_ROOM_MTU   ((uint32_t)(2048 - PKT_OVERHEAD)) // an Ethernet frame and virtio's header
#define PKT_ROOM_PAGE  ((uint32_t)(4096 - PKT_OVERHEAD))
#define PKT_ROOM_LARGE ((uint32_t)(16384 - PKT_OVERHEAD))
// References `len` bytes of parent's memory at `bytes`; takes its own reference on parent.
struct pktbuf *pkt_view(struct pktbuf *parent, uint8_t *bytes, uint32_t len);
// References foreign bytes (direct-mapped memory); release(p) when the last user is done, see
// release_arg.
struct pktbuf *pkt_external(const void *bytes, uint32_t len, void (*release)(struct pktbuf *p),
                            void *arg);
static inline void pkt_ref(struct pktbuf *p)
{
    __atomic_fetch_add(&p->refs, 1, __ATOMIC_RELAXED);
}
void pkt_free(struct pktbuf *p); // drops a reference on the whole chain; NULL is allowed
void pkt_stats(uint64_t *live, uint64_t *limit); // bytes

// Head room becomes data (headers in front) and back. The caller knows that there is room.
static inline void *pkt_push(struct pktbuf *p, uint32_t n)
{
    ASSERT((size_t)(p->data - p->head) >= n);
    p->data -= n;
    p->len += n;
    p->total += n;
    return p->data;
}
static inline void *pkt_pull(struct pktbuf *p, uint32_t n)
{
    ASSERT(p->len >= n);
    p->data += n;
    p->len -= n;
    p->total -= n;
    return p->data;
}
static inline uint32_t pkt_tailroom(const struct pktbuf *p)
{
    return (uint32_t)(p->size - (size_t)(p->data - p->head) - p->len);
}
// Bytes appended to a packet of one piece. The caller knows that there is room.
static inline void *pkt_put(struct pktbuf *p, uint32_t n)
{
    ASSERT(pkt_tailroom(p) >= n);
    void *at = p->data + p->len;
    p->len += n;
    p->total += n;
    return at;
}
// Makes `piece` (and its chain) the end of p's chain. The reference moves.
void pkt_append(struct pktbuf *p, struct pktbuf *piece);
// Makes the first n bytes contiguous in the first piece; false: shorter than that, or no room.
bool pkt_pull_up(struct pktbuf *p, uint32_t n);
// Drops n bytes from the front across pieces (n <= total), or everything behind `total` bytes.
void pkt_consume(struct pktbuf *p, uint32_t n);
void pkt_trim(struct pktbuf *p, uint32_t total);
// Copies n bytes from offset off; the caller knows off + n <= total.
void pkt_copy_out(const struct pktbuf *p, uint32_t off, void *dst, uint32_t n);

// A network device. The driver fills it; netdev_attach() hands it to the stack.
struct netdev {
    char name[16];
    uint8_t mac[6];
    uint16_t mtu;
    uint32_t features; // NETDEV_*
    // Sends packets (ownership moves to the driver, also on failure). `more`: others follow at
    // once, the doorbell may wait. False: the ring is full, packet dropped and counted. The driver
    // may push its own header in front (16 bytes of head room are left) and must not touch
    // snd_link.
    bool (*transmit)(struct netdev *d, struct pktbuf *p, bool more);
    void (*flush)(struct netdev *d); // rings the doorbell for what was sent with `more`
    // Pieces that transmit would take now, of one packet or of several. NULL: it always tries.
    unsigned (*room)(struct netdev *d);
    // Asks for a receive_done() once there is more room than now; true: there is already. NULL:
    // receive_done comes at each poll.
    bool (*want_room)(struct netdev *d);
    bool (*sent)(struct netdev *d); // all that was transmitted has left. NULL: it has at once
    // Given by its user (the stack, or lith.h): a received packet (ownership moves; data at the
    // Ethernet header, PKT_CSUM_* and gso_* set as the device told), then end of the batch. The
    // user counts packets and bytes.
    void (*receive)(struct netdev *d, struct pktbuf *p);
    void (*receive_done)(struct netdev *d);
    // The instance ends: finish what is under way, once, and tell whether some of it still is; or
    // (give_up) time is over. NULL: nothing is.
    bool (*ending)(struct netdev *d, bool give_up);
    // The stack gives the device up; false: it uses it. NULL: nobody has it.
    bool (*detach)(struct netdev *d);
    // The user has no room: packets stay in the device. It polls (sched_poll) after clearing this,
    // before it sleeps.
    bool hold;
    void *stack; // the user's own state
    uint64_t rx_packets, tx_packets, rx_bytes, tx_bytes, rx_dropped, tx_dropped;
    bool link_up;
};
#define NETDEV_PIECES_MAX 20 // of one packet: 64 KiB in 4 KiB pieces, and headers
#define NETDEV_CSUM_TX    1u // fills PKT_CSUM_PARTIAL in
#define NETDEV_TSO4       2u // takes PKT_GSO_TCPV4 packets up to 64 KiB
#define NETDEV_CSUM_RX    4u
// Sending a packet is dear: small sends may wait for the next poll, and become one packet with what
// follows.
#define NETDEV_LATE 8u
// Called by whoever has a use for devices, before drivers start (phase INIT_DEV - 1). attach: the
// stack's, called for each device found; NULL: devices are taken from the list below.
void netdev_use(void (*attach)(struct netdev *d));
extern void (*netdev_attach)(struct netdev *d); // NULL: no stack is linked
void netdev_add(struct netdev *d);              // by drivers
void netdev_unused(struct netdev *d);           // what it receives is dropped
#define NETDEV_MAX 8
extern struct netdev *netdevs[NETDEV_MAX];
extern unsigned netdev_count;

#endif

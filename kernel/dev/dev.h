// SPDX-License-Identifier: ISC
// dev: device interfaces and drivers. Network packets (struct pktbuf) and network devices.
// Kernel mode, outside threads or in them; nothing here sleeps.
#ifndef LITH_DEV_H
#define LITH_DEV_H

#include "sched/sched.h"

// A packet buffer: one contiguous piece of memory with head room, or a reference to somebody
// else's bytes; buffers chain by `frag` to one packet. Reference-counted.
struct pktbuf {
    struct list_head link; // queue it is in
    uint8_t *head;         // start of the memory
    uint8_t *data;         // first valid byte; data - head is the head room
    uint32_t len;          // valid bytes in this piece
    uint32_t size;         // bytes of memory from head
    uint32_t total;        // valid bytes in the whole chain (first piece only)
    uint32_t refs;
    struct pktbuf *frag;               // next piece of the same packet
    void (*release)(struct pktbuf *p); // frees the memory behind head; NULL: pool memory
    void *release_arg;
    // Offload (virtio 1.2 section 5.1.6): checksum still to be computed from csum_start, stored at
    // csum_start + csum_offset; GSO: payload is to be cut in gso_size pieces.
    uint16_t csum_start, csum_offset;
    uint16_t gso_size;
    uint16_t hdr_len;             // bytes of headers, for GSO
    uint8_t gso_type;             // PKT_GSO_*
    uint8_t flags;                // PKT_*
    uint8_t l3_offset, l4_offset; // from data, set by the stack on receive
    uint32_t tcp_seq;             // scratch for the TCP queues
    uint32_t tcp_end;
    uint64_t stamp; // scratch: ns
};
#define PKT_CSUM_PARTIAL 1u // transmit: device (or dev layer) must fill the checksum in
#define PKT_CSUM_VALID   2u // receive: device checked it
#define PKT_GSO_NONE     0
#define PKT_GSO_TCPV4    1
#define PKT_GSO_TCPV6    4
#define PKT_GSO_UDP_L4   5

#define PKT_HEADROOM 128u // enough for virtio header, Ethernet, IPv6, TCP with options
// A buffer with `size` bytes of room behind PKT_HEADROOM; NULL: memory is short.
struct pktbuf *pkt_alloc(uint32_t size);
void pkt_ref(struct pktbuf *p);
void pkt_free(struct pktbuf *p); // drops a reference on the whole chain
void pkt_stats(uint64_t *live, uint64_t *limit);

// A network device. The driver fills it; netdev_register() hands it to the stack.
struct netdev {
    char name[16];
    uint8_t mac[6];
    uint16_t mtu;
    uint32_t features; // NETDEV_*
    // Sends packets (ownership moves to the driver, also on failure). `more`: others follow at
    // once, the doorbell may wait. False: the ring is full, packet dropped and counted.
    bool (*transmit)(struct netdev *d, struct pktbuf *p, bool more);
    void (*flush)(struct netdev *d); // rings the doorbell for what was sent with `more`
    // Given by the stack: a received packet (ownership moves to the stack), then end of the batch.
    void (*receive)(struct netdev *d, struct pktbuf *p);
    void (*receive_done)(struct netdev *d);
    void *stack; // the stack's own state
    uint64_t rx_packets, tx_packets, rx_bytes, tx_bytes, rx_dropped, tx_dropped;
    bool link_up;
};
#define NETDEV_CSUM_TX 1u // fills PKT_CSUM_PARTIAL in
#define NETDEV_TSO4    2u // takes PKT_GSO_TCPV4 packets up to 64 KiB
#define NETDEV_CSUM_RX 4u
// Set by net/ before drivers start; called for each device found.
extern void (*netdev_attach)(struct netdev *d);

#endif

// SPDX-License-Identifier: ISC
// Split virtqueues (virtio 1.2, section 2.7) as the driver sees them. Private to dev/.
// The device is not trusted to be correct: indices and lengths that it writes are checked.
#ifndef LITH_DEV_VIRTIO_H
#define LITH_DEV_VIRTIO_H

#include "dev/dev.h"

#define VIRTQ_SIZE_MAX     256
#define VIRTQ_DESC_NEXT    1
#define VIRTQ_DESC_WRITE   2
#define VIRTQ_NO_INTERRUPT 1
#define VIRTIO_F_EVENT_IDX (1ull << 29)
#define VIRTIO_F_VERSION_1 (1ull << 32)

struct virtq_desc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags, next;
};
struct virtq_used_elem {
    uint32_t id, len;
};

struct virtq {
    unsigned size; // entries, a power of two
    bool event_idx;
    volatile struct virtq_desc *desc;
    volatile uint16_t *avail; // flags, idx, ring[size], used_event
    volatile uint16_t *used;  // flags, idx, then struct virtq_used_elem[size], avail_event
    uint16_t free_head, free_count;
    uint16_t avail_idx;                  // next to publish
    uint16_t kicked_idx;                 // avail_idx at the last doorbell
    uint16_t used_idx;                   // next to take
    void *cookie[VIRTQ_SIZE_MAX];        // by head descriptor
    uint16_t chain_next[VIRTQ_SIZE_MAX]; // our own copy of `next`: the ring's could be overwritten
    uint16_t chain_len[VIRTQ_SIZE_MAX];
    void (*notify)(struct virtq *q);
    uint16_t doorbell, index;
    volatile uint32_t *mmio;
};

struct virtq_buf {
    uint64_t pa;
    uint32_t len;
    bool device_writes;
};

// A device with its queues ready: found either way (pre-configured or virtio-mmio).
struct virtio_dev {
    uint32_t id;
    uint64_t features;       // negotiated
    volatile uint32_t *mmio; // NULL: pre-configured
    const uint8_t *config;   // copy of the configuration space
    unsigned config_len;
    uint64_t vectors; // for struct poller
    uint8_t config_copy[64];
};

// Negotiates features with plat device `i` (the driver's wishes in `want`). False: not of this id,
// or refused.
bool virtio_dev_open(unsigned i, uint32_t id, uint64_t want, struct virtio_dev *out);
// Sets queue `index` up with at most `size` entries. 0 or -errno.
int virtio_queue_init(struct virtio_dev *d, unsigned plat_index, unsigned index, unsigned size,
                      struct virtq *q);
void virtio_dev_ready(struct virtio_dev *d); // DRIVER_OK
void virtio_dev_ack(struct virtio_dev *d);   // interrupt status of virtio-mmio

// Publishes a chain of n buffers; false: no room. The doorbell rings at virtq_kick().
bool virtq_add(struct virtq *q, const struct virtq_buf *bufs, unsigned n, void *cookie);
void virtq_kick(struct virtq *q); // if the device wants to know
// Takes one used chain: its cookie and the bytes written; NULL: none.
void *virtq_take(struct virtq *q, uint32_t *written);
// Asks for an interrupt at the next used chain, or for none. After enabling, look once more.
void virtq_interrupts(struct virtq *q, bool on);
bool virtq_has_used(const struct virtq *q);

// net_hdr.c: what stands in front of every packet, virtio_net_hdr_v1 (section 5.1.6). Little
// endian.
struct net_hdr {
    uint8_t flags, gso_type;
    uint16_t hdr_len, gso_size, csum_start, csum_offset, num_buffers;
};
compile_assert(net_hdr_is_12_bytes, sizeof(struct net_hdr) == 12);
// Puts one in front of p, from p's offload fields. p has that much head room.
void net_hdr_push(struct pktbuf *p);
// Takes it off p, whose first piece holds at least a header, and sets p's offload fields. Returns
// num_buffers (receive buffers of this packet), unchecked.
unsigned net_hdr_pull(struct pktbuf *p);

int packets_probe(void);    // packets.c: the network of the process machine
int virtio_net_probe(void); // virtio_net.c: attaches the machine's virtio-net devices

#endif

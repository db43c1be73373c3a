// SPDX-License-Identifier: ISC
// The virtio_net_hdr_v1 in front of a packet (virtio 1.2, 5.1.6), as virtio-net's rings and a tap
// with IFF_VNET_HDR both carry it: what a packet's offload fields say, there and back.
#include "dev/virtio.h"

#define HDR_NEEDS_CSUM 1
#define HDR_DATA_VALID 2
#define HDR_GSO_ECN    0x80 // beside gso_type's kind

void net_hdr_push(struct pktbuf *p)
{
    struct net_hdr h = {0};
    if (p->flags & PKT_CSUM_PARTIAL) {
        h.flags = HDR_NEEDS_CSUM;
        h.csum_start = p->csum_start;
        h.csum_offset = p->csum_offset;
    }
    if (p->gso_type) {
        h.gso_type = p->gso_type;
        h.gso_size = p->gso_size;
        h.hdr_len = p->hdr_len;
    }
    memcpy(pkt_push(p, sizeof(h)), &h, sizeof(h));
}

unsigned net_hdr_pull(struct pktbuf *p)
{
    struct net_hdr h;
    memcpy(&h, p->data, sizeof(h));
    pkt_pull(p, sizeof(h));
    p->flags &= (uint8_t) ~(PKT_CSUM_PARTIAL | PKT_CSUM_VALID | PKT_CSUM_NOT_YET);
    // NEEDS_CSUM: the packet never left this host, its checksum is only partial, its bytes are
    // sound.
    if (h.flags & (HDR_NEEDS_CSUM | HDR_DATA_VALID))
        p->flags |= PKT_CSUM_VALID;
    if (h.flags & HDR_NEEDS_CSUM) {
        p->flags |= PKT_CSUM_NOT_YET;
        p->csum_start = h.csum_start;
        p->csum_offset = h.csum_offset;
    }
    p->gso_type = h.gso_type & (uint8_t)~HDR_GSO_ECN;
    p->gso_size = h.gso_size;
    p->hdr_len = h.hdr_len;
    return h.num_buffers;
}

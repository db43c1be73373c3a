// SPDX-License-Identifier: ISC
// Fragments (RFC 791, 815): cutting what is larger than the MTU, and putting together what arrives.
// Reassembly is bounded in datagrams, pieces, bytes and time; overlapping fragments throw the whole
// datagram away (RFC 5722 says so for IPv6, and no honest sender overlaps).
#include "net/stack.h"

struct frag_queue {
    struct list_head link;   // in `queues`, oldest first
    struct list_head pieces; // pktbufs by offset: tcp_seq first byte, tcp_end behind the last
    uint32_t src, dst;
    uint16_t id;
    uint8_t proto;
    unsigned count;
    uint32_t bytes; // memory held
    uint32_t total; // 0: the last fragment has not come
    uint64_t expires;
    struct ip_hdr first_hdr; // of offset 0
    bool have_first;
};

static struct list_head queues = {&queues, &queues};
static unsigned queue_count;
static uint32_t queue_bytes;
static struct ktimer expiry;

static void queue_free(struct frag_queue *q)
{
    while (!list_empty(&q->pieces)) {
        struct pktbuf *p = list_first(&q->pieces, struct pktbuf, link);
        list_del(&p->link);
        pkt_free(p);
    }
    queue_bytes -= q->bytes;
    queue_count--;
    list_del(&q->link);
    kfree(q);
}

static void queue_expire(struct ktimer *t)
{
    net_lock();
    while (!list_empty(&queues)) {
        struct frag_queue *q = list_first(&queues, struct frag_queue, link);
        if (q->expires > net_now) {
            ktimer_arm(t, q->expires);
            break;
        }
        queue_free(q);
    }
    net_unlock();
}

static struct frag_queue *queue_find(const struct ip_info *info)
{
    list_for_each (pos, &queues) {
        struct frag_queue *q = list_entry(pos, struct frag_queue, link);
        if (q->id == info->hdr->id && q->src == info->src && q->dst == info->dst &&
            q->proto == info->proto)
            return q;
    }
    if (queue_count == FRAG_DATAGRAMS_MAX)
        queue_free(list_first(&queues, struct frag_queue, link));
    struct frag_queue *q = kzalloc(sizeof(*q));
    if (!q)
        return NULL;
    list_init(&q->pieces);
    q->src = info->src;
    q->dst = info->dst;
    q->id = info->hdr->id;
    q->proto = info->proto;
    q->expires = net_now + FRAG_TIMEOUT_NS;
    list_add_tail(&q->link, &queues);
    queue_count++;
    if (!expiry.armed) {
        ktimer_init(&expiry, queue_expire);
        ktimer_arm(&expiry, q->expires);
    }
    return q;
}

// Links p at its place; false: it overlaps or contradicts what is there.
static bool queue_insert(struct frag_queue *q, struct pktbuf *p, bool last)
{
    struct list_head *at = q->pieces.prev; // fragments mostly come in order
    while (at != &q->pieces && list_entry(at, struct pktbuf, link)->tcp_seq > p->tcp_seq)
        at = at->prev;
    if (at != &q->pieces && list_entry(at, struct pktbuf, link)->tcp_end > p->tcp_seq)
        return false;
    if (at->next != &q->pieces && list_entry(at->next, struct pktbuf, link)->tcp_seq < p->tcp_end)
        return false;
    if (last) {
        if (q->total || at->next != &q->pieces)
            return false;
        q->total = p->tcp_end;
    } else if (q->total && p->tcp_end > q->total) {
        return false;
    }
    list_add(&p->link, at);
    return true;
}

struct pktbuf *ip_reassemble(struct ip_info *info, struct pktbuf *p, uint16_t frag_field)
{
    bool last = !(frag_field & IP_MF);
    p->tcp_seq = (frag_field & IP_OFFSET_MASK) * 8u;
    p->tcp_end = p->tcp_seq + p->total;
    uint32_t memory = 0;
    for (struct pktbuf *f = p; f; f = f->frag)
        memory += f->size;
    if (!p->total || (!last && p->total % 8) || p->tcp_end + 20 > 65535)
        goto drop;
    while (queue_bytes + memory > FRAG_BYTES_MAX && !list_empty(&queues))
        queue_free(list_first(&queues, struct frag_queue, link));
    if (memory > FRAG_BYTES_MAX)
        goto drop;
    struct frag_queue *q = queue_find(info);
    if (!q)
        goto drop;
    if (q->count == FRAG_PIECES_MAX || !queue_insert(q, p, last)) {
        queue_free(q);
        goto drop;
    }
    q->count++;
    q->bytes += memory;
    queue_bytes += memory;
    if (!p->tcp_seq) {
        q->first_hdr = *info->hdr;
        q->have_first = true;
    }
    if (!q->total || !q->have_first)
        return NULL;
    uint32_t end = 0;
    list_for_each (pos, &q->pieces) {
        if (list_entry(pos, struct pktbuf, link)->tcp_seq != end)
            return NULL;
        end = list_entry(pos, struct pktbuf, link)->tcp_end;
    }
    if (end != q->total)
        return NULL;
    // Complete: chain the pieces behind the first one, whose header lies in front of its data.
    struct pktbuf *whole = list_first(&q->pieces, struct pktbuf, link);
    list_del(&whole->link);
    struct pktbuf *tail = whole;
    while (tail->frag)
        tail = tail->frag;
    while (!list_empty(&q->pieces)) {
        struct pktbuf *next = list_first(&q->pieces, struct pktbuf, link);
        list_del(&next->link);
        tail->frag = next;
        whole->total += next->total;
        while (tail->frag)
            tail = tail->frag;
    }
    // Each fragment's checksum state says nothing about the datagram's.
    whole->flags &= (uint8_t) ~(PKT_CSUM_VALID | PKT_CSUM_PARTIAL);
    info->hdr = (const struct ip_hdr *)(whole->data - (q->first_hdr.version_ihl & 15) * 4u);
    info->tos = q->first_hdr.tos;
    queue_free(q);
    return whole;
drop:
    info->nif->dev->rx_dropped++;
    pkt_free(p);
    return NULL;
}

// A packet of views of p's bytes [off, off + n) behind fresh head room.
static struct pktbuf *slice(struct pktbuf *p, uint32_t off, uint32_t n)
{
    struct pktbuf *out = pkt_alloc(0);
    if (!out)
        return NULL;
    for (struct pktbuf *f = p; n; f = f->frag) {
        if (off >= f->len) {
            off -= f->len;
            continue;
        }
        uint32_t take = MIN(n, f->len - off);
        struct pktbuf *v = pkt_view(p, f->data + off, take);
        if (!v) {
            pkt_free(out);
            return NULL;
        }
        pkt_append(out, v);
        n -= take;
        off = 0;
    }
    return out;
}

int ip_fragment(struct pktbuf *p, const struct ip_route *route, const struct ip_hdr *hdr)
{
    uint32_t max = ALIGN_DOWN(route->nif->dev->mtu - (uint32_t)sizeof(*hdr), 8u);
    int err = 0;
    for (uint32_t off = 0; off < p->total; off += max) {
        uint32_t n = MIN(max, p->total - off);
        struct pktbuf *f = slice(p, off, n);
        if (!f) {
            err = -ENOBUFS;
            break;
        }
        struct ip_hdr h = *hdr;
        h.len = cpu_to_be16((uint16_t)(n + sizeof(h)));
        h.frag = cpu_to_be16((uint16_t)(off / 8 | (off + n < p->total ? IP_MF : 0)));
        h.csum = (uint16_t)~csum_fold(csum_add(0, &h, sizeof(h)));
        memcpy(pkt_push(f, sizeof(h)), &h, sizeof(h));
        if (route->nif->loopback)
            net_if_transmit(route->nif, f);
        else
            arp_send(route->nif, route->next_hop, f);
    }
    pkt_free(p);
    return err;
}

// SPDX-License-Identifier: ISC
// A scripted peer for tests of the network stack: a fake device that keeps what the stack sends
// (segmented and checksummed as hardware would) and feeds what the test says. Shared by
// tests/unit/test_net_*.c and tests/fuzz/fuzz_packet.c.
#ifndef LITH_TESTS_NET_PEER_H
#define LITH_TESTS_NET_PEER_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "net/tcp.h"
#include "tests/unit/shim.h"

#define OUR_IP    0x0a000002u // 10.0.0.2/24
#define PEER_IP   0x0a000001u
#define OUR_PORT  80
#define PEER_PORT 40000

struct frame {
    struct frame *next;
    uint32_t len;
    uint8_t bytes[];
};

struct tseg { // a TCP segment that the stack sent
    uint32_t seq, ack, wnd, len;
    uint16_t sport, dport;
    uint8_t flags;
    struct tcp_opts opt;
    uint8_t data[66000];
};

extern const struct init_record *const __start_init_records_always[],
    *const __stop_init_records_always[];
static struct netdev peer_dev;
static struct frame *sent_head, **sent_tail = &sent_head;
static const uint8_t peer_mac[6] = {2, 0, 0, 0, 0, 1};
static bool peer_drop; // transmit goes nowhere
static unsigned peer_sent;

static inline void frame_keep(const uint8_t *b, uint32_t n)
{
    struct frame *f = malloc(sizeof(*f) + n);
    f->next = NULL;
    f->len = n;
    memcpy(f->bytes, b, n);
    *sent_tail = f;
    sent_tail = &f->next;
    peer_sent++;
}

static inline void fill_csum(uint8_t *b, uint32_t n, uint32_t start, uint32_t off)
{
    uint16_t v = (uint16_t)~csum_fold(csum_add(0, b + start, n - start));
    memcpy(b + start + off, &v, 2);
}

// What the device does: cut GSO packets, fill checksums in.
static inline bool peer_transmit(struct netdev *d, struct pktbuf *p, bool more)
{
    static uint8_t flat[70000], one[70000];
    uint32_t n = p->total;
    (void)d;
    (void)more;
    unsigned pieces = 0;
    for (struct pktbuf *f = p; f; f = f->frag)
        pieces++;
    if (n > sizeof(flat) || pieces > NETDEV_PIECES_MAX)
        abort();
    pkt_copy_out(p, 0, flat, n);
    if (!peer_drop && p->gso_type == PKT_GSO_TCPV4) {
        uint32_t hdr = p->hdr_len, mss = p->gso_size, tcp = 14 + 20;
        if (!mss || hdr < 54 || p->csum_start != tcp || !(p->flags & PKT_CSUM_PARTIAL))
            abort();
        for (uint32_t off = hdr; off < n; off += mss) {
            uint32_t part = n - off < mss ? n - off : mss;
            memcpy(one, flat, hdr);
            memcpy(one + hdr, flat + off, part);
            put_be16(one + 16, (uint16_t)(hdr - 14 + part));
            put_be16(one + 24, 0);
            fill_csum(one, 34, 14, 10);
            put_be32(one + tcp + 4, get_be32(flat + tcp + 4) + off - hdr);
            if (off + part < n)
                one[tcp + 13] &= (uint8_t) ~(TCP_PSH | TCP_FIN);
            // The partial sum was for the large packet's length.
            uint64_t pseudo =
                csum_pseudo(get_be32(one + 26), get_be32(one + 30), 6, hdr - tcp + part);
            uint16_t v = csum_fold(pseudo);
            memcpy(one + tcp + 16, &v, 2);
            fill_csum(one, hdr + part, tcp, 16);
            frame_keep(one, hdr + part);
        }
    } else if (!peer_drop) {
        if (p->flags & PKT_CSUM_PARTIAL)
            fill_csum(flat, n, p->csum_start, p->csum_offset);
        frame_keep(flat, n);
    }
    pkt_free(p);
    return true;
}

static inline void peer_forget(void)
{
    while (sent_head) {
        struct frame *f = sent_head;
        sent_head = f->next;
        free(f);
    }
    sent_tail = &sent_head;
}

static inline struct frame *peer_next(void)
{
    struct frame *f = sent_head;
    if (f) {
        sent_head = f->next;
        if (!sent_head)
            sent_tail = &sent_head;
    }
    return f;
}

// A frame arrives; in one piece, or (split) as a chain of buffers as mergeable receive gives them.
static inline void peer_deliver(const void *bytes, uint32_t n, uint32_t split)
{
    uint32_t first = split && split < n ? split : n;
    struct pktbuf *p = pkt_alloc_urgent(first < PKT_ROOM_MTU ? PKT_ROOM_MTU : first);
    if (!p)
        return;
    memcpy(pkt_put(p, first), bytes, first);
    for (uint32_t off = first; off < n;) {
        uint32_t part = n - off < PKT_ROOM_MTU ? n - off : PKT_ROOM_MTU;
        struct pktbuf *f = pkt_alloc_urgent(PKT_ROOM_MTU);
        if (!f) {
            pkt_free(p);
            return;
        }
        memcpy(pkt_put(f, part), (const uint8_t *)bytes + off, part);
        pkt_append(p, f);
        off += part;
    }
    peer_dev.receive(&peer_dev, p);
}

static inline void peer_frame(const void *bytes, uint32_t n)
{
    peer_deliver(bytes, n, 0);
    peer_dev.receive_done(&peer_dev);
}

static inline uint32_t put_eth_ip(uint8_t *b, uint8_t proto, uint32_t src, uint32_t dst,
                                  uint32_t payload, uint16_t id, uint16_t frag)
{
    memcpy(b, peer_dev.mac, 6);
    memcpy(b + 6, peer_mac, 6);
    put_be16(b + 12, ETH_IPV4);
    uint8_t *ip = b + 14;
    memset(ip, 0, 20);
    ip[0] = 0x45;
    put_be16(ip + 2, (uint16_t)(20 + payload));
    put_be16(ip + 4, id);
    put_be16(ip + 6, frag);
    ip[8] = 64;
    ip[9] = proto;
    put_be32(ip + 12, src);
    put_be32(ip + 16, dst);
    fill_csum(b, 34, 14, 10);
    return 34;
}

struct say { // a segment for the stack
    uint32_t seq, ack, wnd;
    uint16_t sport, dport;
    uint8_t flags;
    const void *data;
    uint32_t len;
    uint8_t opt[40];
    unsigned optlen;
    uint32_t split;
    bool hold; // more of the batch follows
    bool bad_csum;
};

static inline void peer_say(const struct say *s)
{
    static uint8_t b[70000];
    uint32_t optlen = (s->optlen + 3) & ~3u, n = 20 + optlen + s->len;
    uint32_t at = put_eth_ip(b, 6, PEER_IP, OUR_IP, n, 0, 0);
    uint8_t *t = b + at;
    memset(t, 0, 20 + optlen);
    put_be16(t, s->sport ? s->sport : PEER_PORT);
    put_be16(t + 2, s->dport ? s->dport : OUR_PORT);
    put_be32(t + 4, s->seq);
    put_be32(t + 8, s->ack);
    t[12] = (uint8_t)((20 + optlen) / 4 << 4);
    t[13] = s->flags;
    put_be16(t + 14, (uint16_t)s->wnd);
    memcpy(t + 20, s->opt, s->optlen);
    if (s->len)
        memcpy(t + 20 + optlen, s->data, s->len);
    uint64_t sum = csum_pseudo(PEER_IP, OUR_IP, 6, n);
    uint16_t v = (uint16_t)~csum_fold(csum_add(sum, t, n));
    if (s->bad_csum)
        v ^= 0x1111;
    memcpy(t + 16, &v, 2);
    peer_deliver(b, at + n, s->split);
    if (!s->hold)
        peer_dev.receive_done(&peer_dev);
}

static inline void peer_udp(uint32_t src, uint16_t sport, uint32_t dst, uint16_t dport,
                            const void *data, uint32_t len)
{
    static uint8_t b[70000];
    uint32_t at = put_eth_ip(b, 17, src, dst, 8 + len, 0, 0);
    uint8_t *u = b + at;
    put_be16(u, sport);
    put_be16(u + 2, dport);
    put_be16(u + 4, (uint16_t)(8 + len));
    put_be16(u + 6, 0);
    memcpy(u + 8, data, len);
    uint16_t v = (uint16_t)~csum_fold(csum_add(csum_pseudo(src, dst, 17, 8 + len), u, 8 + len));
    memcpy(u + 6, &v, 2);
    peer_frame(b, at + 8 + len);
}

// The next TCP segment that the stack sent, checked; ARP is answered on the way. False: none.
static inline bool peer_hear(struct tseg *out)
{
    for (;;) {
        struct frame *f = peer_next();
        if (!f)
            return false;
        uint8_t *b = f->bytes;
        if (get_be16(b + 12) != ETH_IPV4 || b[23] != 6) {
            free(f);
            continue;
        }
        uint32_t total = get_be16(b + 16), n = total - 20;
        uint8_t *t = b + 34;
        if (f->len != 14 + total || csum_fold(csum_add(0, b + 14, 20)) != 0xffff ||
            csum_fold(csum_add(csum_pseudo(get_be32(b + 26), get_be32(b + 30), 6, n), t, n)) !=
                0xffff) {
            fprintf(stderr, "stack sent a bad segment\n");
            abort();
        }
        uint32_t hdr = (uint32_t)(t[12] >> 4) * 4;
        out->sport = get_be16(t);
        out->dport = get_be16(t + 2);
        out->seq = get_be32(t + 4);
        out->ack = get_be32(t + 8);
        out->flags = t[13];
        out->wnd = get_be16(t + 14);
        out->len = n - hdr;
        tcp_parse_options(t + 20, hdr - 20, &out->opt);
        memcpy(out->data, t + hdr, out->len);
        free(f);
        return true;
    }
}

static inline void peer_arp_reply(void)
{
    uint8_t b[42];
    memcpy(b, peer_dev.mac, 6);
    memcpy(b + 6, peer_mac, 6);
    put_be16(b + 12, ETH_ARP);
    put_be16(b + 14, 1);
    put_be16(b + 16, ETH_IPV4);
    b[18] = 6;
    b[19] = 4;
    put_be16(b + 20, 2);
    memcpy(b + 22, peer_mac, 6);
    put_be32(b + 28, PEER_IP);
    memcpy(b + 32, peer_dev.mac, 6);
    put_be32(b + 38, OUR_IP);
    peer_frame(b, sizeof(b));
}

// There are no devices but this one.
void plat_find_devices(void)
{
}
int packets_probe(void);
int packets_probe(void)
{
    return 0;
}
int virtio_net_probe(void);
int virtio_net_probe(void)
{
    return 0;
}

static inline void net_boot(void)
{
    for (const struct init_record *const *r = __start_init_records_always;
         r < __stop_init_records_always; r++)
        if ((*r)->fn())
            abort();
}

// The stack with one device, its address set and the peer's known.
static inline void peer_start(uint32_t features, bool address)
{
    if (!net_if_count)
        net_boot();
    peer_dev = (struct netdev){.name = "eth0",
                               .mac = {2, 0, 0, 0, 0, 2},
                               .mtu = 1500,
                               .features = features,
                               .transmit = peer_transmit,
                               .link_up = true};
    net_if_count = 1; // the device of the test before is gone
    netdev_attach(&peer_dev);
    if (address) {
        net_if_configure(2, OUR_IP, 24, PEER_IP);
        // Ask, so that the answer is taken.
        struct sock *s;
        struct sock_addr a = {PEER_IP, 9};
        sock_create(SOCK_DGRAM, 0, &s);
        struct sock_copy none = {0};
        sock_send(s, &none, 0, 0, &a);
        sock_close(s);
        peer_arp_reply();
    }
    peer_forget();
}

// Data of a test: byte i of a stream.
static inline uint8_t pattern(uint64_t i)
{
    return (uint8_t)(i * 31 + (i >> 8) * 7 + (i >> 16));
}

struct buffer {
    uint8_t *at;
};
static inline int buf_from(void *ctx, void *dst, size_t n)
{
    struct buffer *b = ctx;
    memcpy(dst, b->at, n);
    b->at += n;
    return 0;
}
static inline int buf_to(void *ctx, const void *src, size_t n)
{
    struct buffer *b = ctx;
    memcpy(b->at, src, n);
    b->at += n;
    return 0;
}
static inline long send_bytes(struct sock *s, const void *data, size_t n, int flags)
{
    struct buffer b = {(uint8_t *)(uintptr_t)data};
    struct sock_copy c = {.copy_from = buf_from, .ctx = &b};
    return sock_send(s, &c, n, flags, NULL);
}
static inline long recv_bytes(struct sock *s, void *data, size_t n, int flags)
{
    struct buffer b = {data};
    struct sock_copy c = {.copy_to = buf_to, .ctx = &b};
    return sock_recv(s, &c, n, flags, NULL, NULL);
}

#endif

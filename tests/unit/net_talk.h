// SPDX-License-Identifier: ISC
// A conversation with one connection of the stack: what its peer says, and hears. For
// tests/unit/test_net_tcp*.c; after <cmocka.h>.
#ifndef LITH_TESTS_NET_TALK_H
#define LITH_TESTS_NET_TALK_H

#include "tests/unit/net_peer.h"

#define MS NSEC_PER_MSEC
static struct tseg seg;
static struct sock *listener;
static uint8_t data[300000];

// The conversation with one connection: the next numbers on both sides.
static uint32_t our_seq, peer_seq;
static uint16_t peer_port = PEER_PORT;

static inline void say(uint8_t flags, const void *bytes, uint32_t len)
{
    struct say s = {.seq = peer_seq,
                    .ack = our_seq,
                    .wnd = 65535,
                    .sport = peer_port,
                    .flags = flags,
                    .data = bytes,
                    .len = len};
    peer_say(&s);
}

static inline void say_at(uint32_t seq, uint32_t ack, uint32_t wnd, uint8_t flags, uint32_t len)
{
    struct say s = {.seq = seq,
                    .ack = ack,
                    .wnd = wnd,
                    .sport = peer_port,
                    .flags = flags,
                    .data = data,
                    .len = len};
    peer_say(&s);
}

static inline void hear(uint8_t flags)
{
    if (!peer_hear(&seg))
        fail_msg("the stack sent nothing");
    if ((seg.flags & ~TCP_PSH) != flags)
        fail_msg("flags %02x, not %02x (seq +%d)", seg.flags, flags, (int)(seg.seq - our_seq));
}

static inline void silence(void)
{
    if (peer_hear(&seg))
        fail_msg("the stack sent flags %02x len %u", seg.flags, seg.len);
}

static inline int setup(void **st)
{
    (void)st;
    peer_start(0, true);
    struct sock_addr a = {0, OUR_PORT};
    int one = 1;
    sock_create(SOCK_STREAM, 0, &listener);
    sock_setopt(listener, 1, 2 /* SO_REUSEADDR */, &one, sizeof(one));
    assert_int_equal(sock_bind(listener, &a), 0);
    assert_int_equal(sock_listen(listener, 16), 0);
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = pattern(i);
    peer_port++;
    peer_drop = false;
    return 0;
}

static inline int teardown(void **st)
{
    (void)st;
    sock_close(listener);
    peer_drop = true;
    shim_advance_to(shim_clock + 2000 * NSEC_PER_SEC);
    shim_advance_to(shim_clock + 2000 * NSEC_PER_SEC);
    peer_forget();
    uint64_t live, limit;
    pkt_stats(&live, &limit);
    if (live || tcp_rx_total || tcp_tx_total || tcp_orphans) {
        print_error("left behind: %lu bytes of packets, rx %u tx %u, %u orphans\n", live,
                    tcp_rx_total, tcp_tx_total, tcp_orphans);
        return 1;
    }
    return 0;
}

// SYN with these options; the answer is checked and acknowledged.
static inline struct sock *open_with(const uint8_t *opt, unsigned optlen, uint32_t wnd)
{
    struct sock *s = NULL;
    peer_seq = 1000000;
    struct say syn = {
        .seq = peer_seq, .wnd = 65535, .sport = peer_port, .flags = TCP_SYN, .optlen = optlen};
    if (optlen)
        memcpy(syn.opt, opt, optlen);
    peer_say(&syn);
    hear(TCP_SYN | TCP_ACK);
    assert_int_equal(seg.ack, peer_seq + 1);
    assert_int_equal(seg.opt.mss, 1460);
    our_seq = seg.seq + 1;
    peer_seq++;
    assert_int_equal(sock_accept(listener, &s, NULL, true), -EAGAIN);
    say_at(peer_seq, our_seq, wnd, TCP_ACK, 0);
    assert_int_equal(sock_accept(listener, &s, NULL, true), 0);
    assert_non_null(s);
    return s;
}

static inline struct sock *open_plain(void)
{
    static const uint8_t mss[4] = {2, 4, 1460 >> 8, 1460 & 255};
    return open_with(mss, 4, 65535);
}

static inline struct sock *open_sack(void)
{
    static const uint8_t opt[] = {2, 4, 1460 >> 8, 1460 & 255, 1, 1, 4, 2};
    return open_with(opt, sizeof(opt), 65535);
}

// Both sides close; the connection is gone.
static inline void close_politely(struct sock *s)
{
    sock_close(s);
    hear(TCP_FIN | TCP_ACK);
    our_seq = seg.seq + seg.len + 1;
    say(TCP_FIN | TCP_ACK, NULL, 0);
    peer_seq++;
    hear(TCP_ACK);
    assert_int_equal(seg.ack, peer_seq);
}

// Reads all segments that wait; bytes in flight beyond our_seq, in order.
static inline uint32_t hear_data(uint32_t *last_len)
{
    uint32_t end = our_seq;
    while (peer_hear(&seg)) {
        if (!seg.len)
            continue;
        assert_int_equal(seg.seq, end);
        assert_memory_equal(seg.data, data + (seg.seq - our_seq), seg.len);
        end += seg.len;
        if (last_len)
            *last_len = seg.len;
    }
    return end - our_seq;
}

#endif

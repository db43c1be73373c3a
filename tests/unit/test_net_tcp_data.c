// SPDX-License-Identifier: ISC
// TCP against a scripted peer, segment by segment: data, windows, losses, memory.
// links: kernel/net/arp.c kernel/net/config.c kernel/net/csum.c kernel/net/dhcp.c
// links: kernel/net/icmp.c kernel/net/iface.c kernel/net/ip.c kernel/net/ip_frag.c
// links: kernel/net/port.c kernel/net/proc.c kernel/net/sock.c kernel/net/tcp_ack.c
// links: kernel/net/tcp_early.c kernel/net/tcp_end.c kernel/net/tcp_input.c
// links: kernel/net/tcp_listen.c kernel/net/tcp_opt.c kernel/net/tcp_output.c
// links: kernel/net/tcp_sock.c kernel/net/tcp_table.c kernel/net/tcp_timer.c
// links: kernel/net/txqueue.c kernel/net/udp.c kernel/dev/pktbuf.c kernel/dev/netdev.c
// links: kernel/lib/format.c kernel/lib/rbtree.c kernel/lib/hash.c tests/unit/shim_core.c
// links: tests/unit/shim_mm.c tests/unit/shim_sched.c
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "tests/unit/net_talk.h"

static uint8_t back[sizeof(data)];

static void every_second_segment_is_acknowledged(void **st)
{
    (void)st;
    struct sock *s = open_plain();
    say(TCP_ACK, data, 1460);
    peer_seq += 1460;
    silence();
    say(TCP_ACK, data + 1460, 1460);
    peer_seq += 1460;
    hear(TCP_ACK);
    assert_int_equal(seg.ack, peer_seq);
    assert_int_equal(recv_bytes(s, back, 5000, MSG_DONTWAIT), 2920);
    assert_memory_equal(back, data, 2920);
    close_politely(s);
}

static void peek_and_waitall(void **st)
{
    (void)st;
    struct sock *s = open_plain();
    say(TCP_ACK, data, 700);
    peer_seq += 700;
    say(TCP_ACK, data + 700, 1400);
    peer_seq += 1400;
    assert_int_equal(recv_bytes(s, back, 2000, MSG_DONTWAIT | MSG_PEEK), 2000);
    assert_memory_equal(back, data, 2000);
    assert_int_equal(sock_inq(s), 2100);
    memset(back, 0, 2100);
    assert_int_equal(recv_bytes(s, back, 2100, MSG_WAITALL), 2100);
    assert_memory_equal(back, data, 2100);
    peer_forget();
    close_politely(s);
}

static void out_of_order_with_sack(void **st)
{
    (void)st;
    struct sock *s = open_sack();
    say_at(peer_seq + 1000, our_seq, 65535, TCP_ACK, 500); // [1000, 1500)
    hear(TCP_ACK);
    assert_int_equal(seg.ack, peer_seq);
    assert_int_equal(seg.opt.sacks, 1);
    assert_int_equal(seg.opt.sack[0].start, peer_seq + 1000);
    assert_int_equal(seg.opt.sack[0].end, peer_seq + 1500);
    say_at(peer_seq + 2000, our_seq, 65535, TCP_ACK, 500);
    hear(TCP_ACK);
    assert_int_equal(seg.opt.sacks, 2);
    assert_int_equal(seg.opt.sack[0].start, peer_seq + 2000); // the latest first
    say_at(peer_seq + 1200, our_seq, 65535, TCP_ACK, 1000);   // overlaps both
    hear(TCP_ACK);
    assert_int_equal(seg.opt.sacks, 1);
    assert_int_equal(seg.opt.sack[0].start, peer_seq + 1000);
    assert_int_equal(seg.opt.sack[0].end, peer_seq + 2500);
    assert_int_equal(recv_bytes(s, back, 100, MSG_DONTWAIT), -EAGAIN);
    say_at(peer_seq, our_seq, 65535, TCP_ACK, 1000);
    hear(TCP_ACK);
    assert_int_equal(seg.ack, peer_seq + 2500);
    assert_int_equal(seg.opt.sacks, 0);
    assert_int_equal(recv_bytes(s, back, 5000, MSG_DONTWAIT), 2500);
    assert_memory_equal(back, data, 1000);
    assert_memory_equal(back + 1000, data, 500);
    peer_seq += 2500;
    close_politely(s);
}

// The bytes that wait for a missing segment cannot be read: if it were dropped because of the
// memory that they take, that would stay so for ever.
static void missing_segment_comes_when_memory_is_short(void **st)
{
    (void)st;
    struct sock *s = open_plain();
    say_at(peer_seq + 1000, our_seq, 65535, TCP_ACK, 500);
    hear(TCP_ACK);
    tcp_rx_total += 1u << 30; // of other connections
    say_at(peer_seq, our_seq, 65535, TCP_ACK, 1000);
    hear(TCP_ACK);
    assert_int_equal(seg.ack, peer_seq + 1500);
    say_at(peer_seq + 1500, our_seq, 65535, TCP_ACK,
           500); // what follows has to wait for the reader
    hear(TCP_ACK);
    assert_int_equal(seg.ack, peer_seq + 1500);
    tcp_rx_total -= 1u << 30;
    assert_int_equal(recv_bytes(s, back, 5000, MSG_DONTWAIT), 1500);
    peer_seq += 1500;
    close_politely(s);
}

static void segments_in_many_buffers(void **st)
{
    (void)st;
    struct sock *s = open_plain();
    struct say big = {.seq = peer_seq,
                      .ack = our_seq,
                      .wnd = 65535,
                      .sport = peer_port,
                      .flags = TCP_ACK,
                      .data = data,
                      .len = 30000,
                      .split = 300};
    peer_say(&big); // merged by the device: larger than the MSS, in pieces
    peer_seq += 30000;
    assert_int_equal(recv_bytes(s, back, 40000, MSG_DONTWAIT), 30000);
    assert_memory_equal(back, data, 30000);
    big.split = 40; // headers across pieces
    big.seq = peer_seq;
    big.len = 1000;
    peer_say(&big);
    peer_seq += 1000;
    assert_int_equal(recv_bytes(s, back, 40000, MSG_DONTWAIT), 1000);
    assert_memory_equal(back, data, 1000);
    peer_forget();
    close_politely(s);
}

static void initial_window_and_slow_start(void **st)
{
    (void)st;
    struct sock *s = open_plain();
    assert_int_equal(send_bytes(s, data, 58400, MSG_DONTWAIT), 58400);
    uint32_t n = hear_data(NULL);
    assert_int_equal(n, 14600); // RFC 6928
    shim_clock += MS;
    say_at(peer_seq, our_seq + n, 65535, TCP_ACK, 0);
    uint32_t base = our_seq + n, more = 0;
    while (peer_hear(&seg)) {
        assert_int_equal(seg.seq, base + more);
        more += seg.len;
    }
    assert_int_equal(more, 29200); // doubled
    say_at(peer_seq, base + more, 65535, TCP_ACK, 0);
    while (peer_hear(&seg))
        more += seg.len;
    our_seq = base + more;
    assert_int_equal(n + more, 58400);
    say(TCP_ACK, NULL, 0);
    close_politely(s);
}

static void offloaded_segments_are_large(void **st)
{
    (void)st;
    peer_dev.features = NETDEV_CSUM_TX | NETDEV_TSO4;
    unsigned before = (unsigned)peer_dev.tx_packets;
    struct sock *s = open_plain();
    assert_int_equal(send_bytes(s, data, 14600, MSG_DONTWAIT), 14600);
    assert_int_equal(hear_data(NULL), 14600);          // ten segments on the wire
    assert_int_equal(peer_dev.tx_packets - before, 2); // one SYN-ACK, one packet to the device
    our_seq += 14600;
    say(TCP_ACK, NULL, 0);
    close_politely(s);
}

static void nagle_cork_more(void **st)
{
    (void)st;
    struct sock *s = open_plain();
    int on = 1, off = 0;
    send_bytes(s, data, 10, 0);
    hear(TCP_ACK);
    send_bytes(s, data + 10, 10, 0);
    send_bytes(s, data + 20, 10, 0);
    silence(); // Nagle: something is in flight
    say_at(peer_seq, our_seq + 10, 65535, TCP_ACK, 0);
    hear(TCP_ACK);
    assert_int_equal(seg.len, 20);
    our_seq += 30;
    assert_int_equal(sock_setopt(s, IPPROTO_TCP, 1 /* TCP_NODELAY */, &on, 4), 0);
    send_bytes(s, data, 1, 0);
    hear(TCP_ACK);
    send_bytes(s, data, 1, 0);
    hear(TCP_ACK);
    our_seq += 2;
    say(TCP_ACK, NULL, 0);
    sock_setopt(s, IPPROTO_TCP, 3 /* TCP_CORK */, &on, 4);
    send_bytes(s, data, 2000, 0);
    hear(TCP_ACK);
    assert_int_equal(seg.len, 1460);
    silence();
    sock_setopt(s, IPPROTO_TCP, 3, &off, 4);
    hear(TCP_ACK);
    assert_int_equal(seg.len, 540);
    our_seq += 2000;
    say(TCP_ACK, NULL, 0);
    send_bytes(s, data, 100, MSG_MORE);
    silence();
    send_bytes(s, data + 100, 100, 0);
    hear(TCP_ACK);
    assert_int_equal(seg.len, 200);
    our_seq += 200;
    say(TCP_ACK, NULL, 0);
    send_bytes(s, data, 100, MSG_MORE);
    silence();
    shim_advance_to(shim_clock + 201 * MS); // forgotten cork
    hear(TCP_ACK);
    assert_int_equal(seg.len, 100);
    our_seq += 100;
    say(TCP_ACK, NULL, 0);
    close_politely(s);
}

static void retransmission_backs_off(void **st)
{
    (void)st;
    struct sock *s = open_plain();
    send_bytes(s, data, 100, 0);
    hear(TCP_ACK);
    uint64_t wait = 1000 * MS, at = shim_clock;
    for (int i = 0; i < 4; i++, wait *= 2) {
        shim_advance_to(at + wait - MS);
        silence();
        shim_advance_to(at + wait + MS);
        hear(TCP_ACK);
        assert_int_equal(seg.seq, our_seq);
        assert_int_equal(seg.len, 100);
        at += wait;
    }
    our_seq += 100;
    say(TCP_ACK, NULL, 0);
    silence();
    close_politely(s);
}

static void gives_up_in_the_end(void **st)
{
    (void)st;
    struct sock *s = open_plain();
    unsigned ms = 3000;
    sock_setopt(s, IPPROTO_TCP, 18 /* TCP_USER_TIMEOUT */, &ms, 4);
    send_bytes(s, data, 100, 0);
    shim_advance_to(shim_clock + 20 * NSEC_PER_SEC);
    assert_int_equal(recv_bytes(s, back, 1, MSG_DONTWAIT), -ETIMEDOUT);
    assert_true(sock_poll(s) & EPOLLHUP);
    assert_int_equal(send_bytes(s, data, 1, MSG_DONTWAIT), -EPIPE);
    peer_forget();
    sock_close(s);
}

static void fast_retransmit_newreno(void **st)
{
    (void)st;
    struct sock *s = open_plain();
    send_bytes(s, data, 14600, MSG_DONTWAIT);
    assert_int_equal(hear_data(NULL), 14600);
    for (int i = 0; i < 2; i++)
        say(TCP_ACK, NULL, 0);
    silence();
    say(TCP_ACK, NULL, 0); // the third duplicate
    hear(TCP_ACK);
    assert_int_equal(seg.seq, our_seq);
    assert_int_equal(seg.len, 1460);
    silence();
    // Partial acknowledgement: the next hole is retransmitted at once.
    say_at(peer_seq, our_seq + 4380, 65535, TCP_ACK, 0);
    hear(TCP_ACK);
    assert_int_equal(seg.seq, our_seq + 4380);
    while (peer_hear(&seg)) {
    }
    our_seq += 14600;
    say(TCP_ACK, NULL, 0);
    silence();
    close_politely(s);
}

static void fast_retransmit_sack(void **st)
{
    (void)st;
    struct sock *s = open_sack();
    send_bytes(s, data, 14600, MSG_DONTWAIT);
    assert_int_equal(hear_data(NULL), 14600);
    // Segments 0 and 2 are lost; the rest is reported.
    struct say ack = {.seq = peer_seq,
                      .ack = our_seq,
                      .wnd = 65535,
                      .sport = peer_port,
                      .flags = TCP_ACK,
                      .optlen = 20};
    uint8_t *o = ack.opt;
    o[0] = o[1] = 1;
    o[2] = 5;
    o[3] = 18;
    put_be32(o + 4, our_seq + 3 * 1460);
    put_be32(o + 8, our_seq + 10 * 1460);
    put_be32(o + 12, our_seq + 1460);
    put_be32(o + 16, our_seq + 2 * 1460);
    peer_say(&ack);
    hear(TCP_ACK);
    assert_int_equal(seg.seq, our_seq);
    hear(TCP_ACK);
    assert_int_equal(seg.seq, our_seq + 2 * 1460);
    silence(); // nothing that was SACKed
    our_seq += 14600;
    say(TCP_ACK, NULL, 0);
    silence();
    close_politely(s);
}

static void tail_loss_probe(void **st)
{
    (void)st;
    struct sock *s = open_sack();
    send_bytes(s, data, 1, 0);
    hear(TCP_ACK);
    shim_clock += MS;
    our_seq++;
    say(TCP_ACK, NULL, 0); // an RTT is known
    send_bytes(s, data + 1, 2920, 0);
    while (peer_hear(&seg)) {
    }
    shim_advance_to(shim_clock + 15 * MS); // long before the RTO of 200 ms
    hear(TCP_ACK);
    assert_int_equal(seg.seq + seg.len, our_seq + 2920);
    our_seq += 2920;
    say(TCP_ACK, NULL, 0);
    close_politely(s);
}

static void zero_window_and_probe(void **st)
{
    (void)st;
    struct sock *s = open_plain();
    say_at(peer_seq, our_seq, 1000, TCP_ACK, 0);
    send_bytes(s, data, 5000, MSG_DONTWAIT);
    assert_int_equal(hear_data(NULL), 0); // less than a segment, more may be coming
    say_at(peer_seq, our_seq, 2000, TCP_ACK, 0);
    assert_int_equal(hear_data(NULL), 1460);
    our_seq += 1460;
    say_at(peer_seq, our_seq, 0, TCP_ACK, 0);
    silence();
    uint64_t at = shim_clock;
    for (unsigned i = 0, after = 3; i < 3; i++, after *= 3) {
        shim_advance_to(at + after * NSEC_PER_SEC);
        unsigned probes = 0;
        while (peer_hear(&seg)) {
            assert_int_equal(seg.seq, our_seq - 1); // outside the window: an answer is due
            assert_int_equal(seg.len, 0);
            probes++;
        }
        assert_true(probes >= 1);
        say_at(peer_seq, our_seq, 0, TCP_ACK, 0);
    }
    say_at(peer_seq, our_seq, 65535, TCP_ACK, 0);
    uint32_t rest = 0;
    for (; peer_hear(&seg); rest += seg.len)
        assert_memory_equal(seg.data, data + 1460 + rest, seg.len);
    assert_int_equal(rest, 2920); // Nagle keeps the tail
    say_at(peer_seq, our_seq + rest, 65535, TCP_ACK, 0);
    hear(TCP_ACK);
    assert_int_equal(seg.len, 620);
    our_seq += 3540;
    say(TCP_ACK, NULL, 0);
    close_politely(s);
}

// The peer is past our window, as passt goes past a closed one: its acknowledgements count, its
// data does not.
static void acknowledged_from_past_our_window(void **st)
{
    (void)st;
    struct sock *s = open_plain();
    uint32_t edge = peer_seq + seg.wnd;
    send_bytes(s, data, 2920, MSG_DONTWAIT);
    assert_int_equal(hear_data(NULL), 2920);
    say_at(edge + 256, our_seq + 1460, 4000, TCP_ACK, 100);
    hear(TCP_ACK);
    assert_int_equal(seg.ack, peer_seq);
    assert_int_equal(seg.seq, our_seq + 2920);
    say_at(edge + 256, our_seq + 2920, 3000, TCP_ACK, 0);
    shim_advance_to(shim_clock + 3 * NSEC_PER_SEC);
    while (peer_hear(&seg)) // nothing is sent again
        assert_int_equal(seg.len, 0);
    our_seq += 2920;
    // Back in the window with news: it is believed.
    say_at(peer_seq, our_seq, 65535, TCP_ACK, 0);
    send_bytes(s, data, 1460, MSG_DONTWAIT);
    assert_int_equal(hear_data(NULL), 1460);
    our_seq += 1460;
    say(TCP_ACK, NULL, 0);
    close_politely(s);
}

static void our_window_closes_and_opens(void **st)
{
    (void)st;
    struct sock *s = open_plain();
    uint32_t total = 0;
    // Fill the window to the last byte.
    for (int i = 0; i < 200; i++) {
        say(TCP_ACK, data, 1460);
        peer_seq += 1460;
        while (peer_hear(&seg)) {
        }
        total = seg.ack;
        if (seg.wnd < 1460)
            break;
    }
    uint32_t edge = seg.ack + seg.wnd;
    // Beyond the window: not taken, and answered.
    say_at(edge, our_seq, 65535, TCP_ACK, 100);
    hear(TCP_ACK);
    assert_int_equal(seg.ack, total);
    // Reading everything makes the window worth telling.
    long n = recv_bytes(s, back, sizeof(back), MSG_DONTWAIT);
    assert_true(n > 60000);
    hear(TCP_ACK);
    assert_true(seg.wnd > 30000);
    peer_seq = seg.ack;
    close_politely(s);
}

static const uint8_t ts_syn[] = {2, 4, 1460 >> 8, 1460 & 255, 1, 1, 8, 10,
                                 0, 0, 3,         0xe8,       0, 0, 0, 0};

static void say_ts(uint32_t seq, uint32_t tsval, uint8_t flags, uint32_t len)
{
    struct say s = {.seq = seq,
                    .ack = our_seq,
                    .wnd = 65535,
                    .sport = peer_port,
                    .flags = flags,
                    .data = data,
                    .len = len,
                    .optlen = 12};
    put_be32(s.opt, 0x0101080a);
    put_be32(s.opt + 4, tsval);
    put_be32(s.opt + 8, 0);
    peer_say(&s);
}

static void paws(void **st)
{
    (void)st;
    struct sock *s;
    peer_seq = 1000;
    struct say syn = {.seq = peer_seq,
                      .wnd = 65535,
                      .sport = peer_port,
                      .flags = TCP_SYN,
                      .optlen = sizeof(ts_syn)};
    memcpy(syn.opt, ts_syn, sizeof(ts_syn));
    peer_say(&syn);
    hear(TCP_SYN | TCP_ACK);
    assert_true(seg.opt.ts);
    assert_int_equal(seg.opt.tsecr, 1000);
    our_seq = seg.seq + 1;
    peer_seq++;
    say_ts(peer_seq, 1001, TCP_ACK, 0);
    assert_int_equal(sock_accept(listener, &s, NULL, true), 0);
    say_ts(peer_seq, 2000, TCP_ACK, 100);
    peer_seq += 100;
    assert_int_equal(recv_bytes(s, back, 1000, MSG_DONTWAIT), 100);
    say_ts(peer_seq, 1500, TCP_ACK, 100); // older than what was seen: a duplicate from the past
    hear(TCP_ACK);
    assert_int_equal(seg.ack, peer_seq);
    assert_int_equal(seg.opt.tsecr, 2000);
    assert_int_equal(recv_bytes(s, back, 1000, MSG_DONTWAIT), -EAGAIN);
    say(TCP_ACK, data, 100); // without timestamps: dropped (RFC 7323)
    assert_int_equal(recv_bytes(s, back, 1000, MSG_DONTWAIT), -EAGAIN);
    say_ts(peer_seq, 2001, TCP_ACK, 50);
    assert_int_equal(recv_bytes(s, back, 1000, MSG_DONTWAIT), 50);
    say_ts(peer_seq + 50, 2002, TCP_RST, 0);
    peer_forget();
    sock_close(s);
}

static void window_scaling(void **st)
{
    (void)st;
    static const uint8_t opt[] = {2, 4, 1460 >> 8, 1460 & 255, 1, 3, 3, 4};
    struct sock *s = open_with(opt, sizeof(opt), 10); // 160 bytes
    assert_int_equal(tcp_of(s)->snd_wnd, 160);
    say_at(peer_seq, our_seq, 4096, TCP_ACK, 0);
    assert_int_equal(tcp_of(s)->snd_wnd, 65536);
    say(TCP_ACK, data, 1000);
    peer_seq += 1000;
    shim_advance_to(shim_clock + 41 * MS);
    hear(TCP_ACK);
    assert_true(seg.wnd << 7 >= 100000 && seg.wnd << 7 <= 131072);
    recv_bytes(s, back, 1000, 0);
    close_politely(s);
}

static void path_mtu(void **st)
{
    (void)st;
    struct sock *s = open_plain();
    send_bytes(s, data, 5000, MSG_DONTWAIT);
    assert_int_equal(hear_data(NULL), 5000 - 5000 % 1460 + 0 * 620);
    uint8_t b[200];
    uint32_t at = put_eth_ip(b, 1, PEER_IP, OUR_IP, 36, 0, 0);
    memset(b + at, 0, 36);
    b[at] = 3;
    b[at + 1] = 4;
    put_be16(b + at + 6, 1000);
    b[at + 8] = 0x45;
    put_be16(b + at + 10, 1500);
    b[at + 17] = 6;
    put_be32(b + at + 20, OUR_IP);
    put_be32(b + at + 24, PEER_IP);
    put_be16(b + at + 28, OUR_PORT);
    put_be16(b + at + 30, peer_port);
    put_be32(b + at + 32, our_seq + 9000); // not in flight: ignored
    fill_csum(b, at + 36, at, 2);
    peer_frame(b, at + 36);
    silence();
    put_be16(b + at + 2, 0);
    put_be32(b + at + 32, our_seq);
    fill_csum(b, at + 36, at, 2);
    peer_frame(b, at + 36);
    uint32_t last = 0;
    uint32_t n = hear_data(&last);
    assert_true(n >= 4380);
    assert_int_equal(tcp_of(s)->mss, 960);
    our_seq += 5000;
    say(TCP_ACK, NULL, 0);
    peer_forget();
    close_politely(s);
}

static unsigned released;
static void count_release(void *arg)
{
    (void)arg;
    released++;
}

static void send_by_reference(void **st)
{
    (void)st;
    struct sock *s = open_plain();
    released = 0;
    assert_int_equal(sock_send_ref(s, data, 5000, MSG_MORE, count_release, NULL), 5000);
    assert_int_equal(send_bytes(s, data + 5000, 100, 0), 100);
    uint32_t n = hear_data(NULL);
    assert_int_equal(n, 4380); // the rest: Nagle
    assert_int_equal(released, 0);
    say_at(peer_seq, our_seq + 4380, 65535, TCP_ACK, 0);
    hear(TCP_ACK);
    assert_int_equal(seg.len, 720);
    assert_memory_equal(seg.data, data + 4380, 720);
    our_seq += 5100;
    say(TCP_ACK, NULL, 0);
    assert_int_equal(released, 1);
    close_politely(s);
}

static void short_of_memory(void **st)
{
    (void)st;
    // Every allocation fails once, somewhere: nothing breaks, and the conversation still ends.
    for (int64_t at = 0; at < 60; at++) {
        peer_port++;
        peer_seq = 5000;
        shim_fail_after = at;
        struct sock *s = NULL;
        say_at(peer_seq, 0, 65535, TCP_SYN, 0);
        if (!peer_hear(&seg)) {
            shim_fail_after = -1;
            say_at(peer_seq, 0, 65535, TCP_SYN, 0);
            hear(TCP_SYN | TCP_ACK);
            shim_fail_after = at;
        }
        our_seq = seg.seq + 1;
        peer_seq++;
        for (int i = 0; i < 3 && !s; i++) {
            say_at(peer_seq, our_seq, 65535, TCP_ACK, 100);
            sock_accept(listener, &s, NULL, true);
        }
        assert_non_null(s);
        send_bytes(s, data, 20000, MSG_DONTWAIT);
        shim_fail_after = -1;
        peer_forget();
        say_at(peer_seq + 100, our_seq, 65535, TCP_RST, 0);
        say_at(peer_seq, our_seq, 65535, TCP_RST, 0);
        sock_close(s);
        peer_forget();
    }
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(every_second_segment_is_acknowledged),
        T(peek_and_waitall),
        T(out_of_order_with_sack),
        T(missing_segment_comes_when_memory_is_short),
        T(segments_in_many_buffers),
        T(initial_window_and_slow_start),
        T(offloaded_segments_are_large),
        T(nagle_cork_more),
        T(retransmission_backs_off),
        T(gives_up_in_the_end),
        T(fast_retransmit_newreno),
        T(fast_retransmit_sack),
        T(tail_loss_probe),
        T(zero_window_and_probe),
        T(acknowledged_from_past_our_window),
        T(our_window_closes_and_opens),
        T(paws),
        T(window_scaling),
        T(path_mtu),
        T(send_by_reference),
        T(short_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

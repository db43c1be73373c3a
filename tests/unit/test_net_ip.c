// SPDX-License-Identifier: ISC
// Below and beside TCP: ARP, IPv4 headers, fragments, ICMP, UDP, DHCP, options of sockets.
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
#include "tests/unit/net_peer.h"

static uint8_t buf[70000], big[70000];

static int setup(void **st)
{
    (void)st;
    peer_start(0, true);
    peer_drop = false;
    for (size_t i = 0; i < sizeof(big); i++)
        big[i] = pattern(i);
    return 0;
}

static int teardown(void **st)
{
    (void)st;
    shim_advance_to(shim_clock + 100 * NSEC_PER_SEC);
    peer_forget();
    uint64_t live, limit;
    pkt_stats(&live, &limit);
    if (live)
        print_error("left behind: %lu bytes of packets\n", live);
    return live != 0;
}

static struct sock *udp_bound(uint16_t port)
{
    struct sock *s;
    struct sock_addr a = {0, port};
    assert_int_equal(sock_create(SOCK_DGRAM, 0, &s), 0);
    assert_int_equal(sock_bind(s, &a), 0);
    return s;
}

static long udp_to(struct sock *s, uint32_t ip, uint16_t port, const void *d, size_t n)
{
    struct buffer b = {(uint8_t *)(uintptr_t)d};
    struct sock_copy c = {.copy_from = buf_from, .ctx = &b};
    struct sock_addr a = {ip, port};
    return sock_send(s, &c, n, 0, &a);
}

static long udp_from(struct sock *s, void *d, size_t n, struct sock_addr *from, int *flags)
{
    struct buffer b = {d};
    struct sock_copy c = {.copy_to = buf_to, .ctx = &b};
    return sock_recv(s, &c, n, MSG_DONTWAIT | (flags ? *flags : 0), from, flags);
}

static void arp(uint16_t op, uint32_t spa, uint32_t tpa, const uint8_t *mac)
{
    uint8_t b[42];
    memset(b, 0xff, 6);
    memcpy(b + 6, mac, 6);
    put_be16(b + 12, ETH_ARP);
    put_be16(b + 14, 1);
    put_be16(b + 16, ETH_IPV4);
    b[18] = 6;
    b[19] = 4;
    put_be16(b + 20, op);
    memcpy(b + 22, mac, 6);
    put_be32(b + 28, spa);
    memset(b + 32, 0, 6);
    put_be32(b + 38, tpa);
    peer_frame(b, sizeof(b));
}

static void arp_answers_and_announces(void **st)
{
    (void)st;
    arp(1, PEER_IP + 8, OUR_IP, (const uint8_t[]){2, 0, 0, 0, 0, 9});
    struct frame *f = peer_next();
    assert_non_null(f);
    assert_int_equal(get_be16(f->bytes + 12), ETH_ARP);
    assert_int_equal(get_be16(f->bytes + 20), 2);
    assert_int_equal(get_be32(f->bytes + 28), OUR_IP);
    assert_int_equal(f->bytes[5], 9);
    free(f);
    arp(1, PEER_IP, OUR_IP + 1, peer_mac); // for somebody else
    assert_null(peer_next());
    // Somebody claims our address: defended, once in 10 s.
    for (int i = 0; i < 5; i++)
        arp(2, OUR_IP, OUR_IP, (const uint8_t[]){2, 0, 0, 0, 0, 7});
    f = peer_next();
    assert_non_null(f);
    assert_int_equal(get_be32(f->bytes + 38), OUR_IP);
    free(f);
    assert_null(peer_next());
    net_if_configure(2, OUR_IP, 24, PEER_IP); // announces
    f = peer_next();
    assert_non_null(f);
    assert_int_equal(f->bytes[0], 0xff);
    assert_int_equal(get_be32(f->bytes + 28), OUR_IP);
    assert_int_equal(get_be32(f->bytes + 38), OUR_IP);
    free(f);
}

static void arp_waits_for_the_neighbour(void **st)
{
    (void)st;
    struct sock *s = udp_bound(5000);
    for (int i = 0; i < 20; i++)
        assert_int_equal(udp_to(s, PEER_IP + 30, 1, "abc", 3), 3);
    struct frame *f = peer_next();
    assert_int_equal(get_be16(f->bytes + 12), ETH_ARP); // one question
    free(f);
    assert_null(peer_next());
    arp(2, PEER_IP + 30, OUR_IP, (const uint8_t[]){2, 0, 0, 0, 0, 30});
    unsigned n = 0;
    for (; (f = peer_next()); n++, free(f))
        assert_int_equal(f->bytes[5], 30);
    assert_int_equal(n, 8); // ARP_PENDING_MAX
    // Nobody answers: asked three times, then given up.
    udp_to(s, PEER_IP + 31, 1, "abc", 3);
    shim_advance_to(shim_clock + 10 * NSEC_PER_SEC);
    for (n = 0; (f = peer_next()); n++, free(f))
        assert_int_equal(get_be16(f->bytes + 12), ETH_ARP);
    assert_int_equal(n, 3);
    // Off the net: the gateway's address is asked for.
    udp_to(s, 0x08080808, 53, "abc", 3);
    f = peer_next();
    assert_non_null(f);
    assert_int_equal(f->bytes[5], 1);
    free(f);
    sock_close(s);
}

static void udp_both_ways(void **st)
{
    (void)st;
    struct sock *s = udp_bound(5001);
    struct sock_addr from;
    peer_udp(PEER_IP, 777, OUR_IP, 5001, "question", 8);
    assert_true(sock_poll(s) & EPOLLIN);
    assert_int_equal(sock_inq(s), 8);
    assert_int_equal(udp_from(s, buf, sizeof(buf), &from, NULL), 8);
    assert_int_equal(from.ip, PEER_IP);
    assert_int_equal(from.port, 777);
    assert_int_equal(udp_to(s, from.ip, from.port, "answer", 6), 6);
    struct frame *f = peer_next();
    assert_int_equal(f->len, 14 + 20 + 8 + 6);
    assert_memory_equal(f->bytes + 42, "answer", 6);
    assert_int_equal(csum_fold(csum_add(csum_pseudo(OUR_IP, PEER_IP, 17, 14), f->bytes + 34, 14)),
                     0xffff);
    free(f);
    // Cut to the reader's room.
    int flags = 0;
    peer_udp(PEER_IP, 777, OUR_IP, 5001, big, 1000);
    assert_int_equal(udp_from(s, buf, 10, NULL, &flags), 10);
    assert_true(flags & MSG_TRUNC);
    assert_int_equal(udp_from(s, buf, 10, NULL, NULL), -EAGAIN);
    // Empty datagrams are datagrams.
    peer_udp(PEER_IP, 777, OUR_IP, 5001, "", 0);
    assert_int_equal(udp_from(s, buf, 10, NULL, NULL), 0);
    // The queue is bounded.
    for (int i = 0; i < 2000; i++)
        peer_udp(PEER_IP, 777, OUR_IP, 5001, big, 1000);
    unsigned n = 0;
    while (udp_from(s, buf, sizeof(buf), NULL, NULL) == 1000)
        n++;
    assert_true(n > 50 && n < 300);
    sock_close(s);
}

static void udp_connected_and_refused(void **st)
{
    (void)st;
    struct sock *s = udp_bound(5002), *any = udp_bound(5003);
    struct sock_addr to = {PEER_IP, 888};
    assert_int_equal(sock_connect(s, &to, false), 0);
    peer_udp(PEER_IP, 999, OUR_IP, 5002, "stranger", 8); // port unreachable, not delivered
    assert_int_equal(udp_from(s, buf, 100, NULL, NULL), -EAGAIN);
    peer_forget();
    peer_udp(PEER_IP, 888, OUR_IP, 5002, "friend", 6);
    assert_int_equal(udp_from(s, buf, 100, NULL, NULL), 6);
    assert_int_equal(send_bytes(s, "x", 1, 0), 1);
    struct frame *f = peer_next();
    uint8_t b[100];
    uint32_t at = put_eth_ip(b, 1, PEER_IP, OUR_IP, 8 + 28, 0, 0);
    memset(b + at, 0, 8);
    b[at] = 3;
    b[at + 1] = 3;
    memcpy(b + at + 8, f->bytes + 14, 28);
    free(f);
    fill_csum(b, at + 36, at, 2);
    peer_frame(b, at + 36);
    assert_true(sock_poll(s) & EPOLLERR);
    assert_int_equal(udp_from(s, buf, 100, NULL, NULL), -ECONNREFUSED);
    // Port taken.
    struct sock *t;
    struct sock_addr a = {0, 5003};
    sock_create(SOCK_DGRAM, 0, &t);
    assert_int_equal(sock_bind(t, &a), -EADDRINUSE);
    a.ip = 0x01020304;
    a.port = 1;
    assert_int_equal(sock_bind(t, &a), -EADDRNOTAVAIL);
    assert_int_equal(send_bytes(t, "x", 1, 0), -EDESTADDRREQ);
    assert_int_equal(udp_to(t, 0xffffffff, 9, "x", 1), -EACCES);
    int one = 1;
    sock_setopt(t, 1, 6 /* SO_BROADCAST */, &one, 4);
    assert_int_equal(udp_to(t, 0xffffffff, 9, "x", 1), 1);
    f = peer_next();
    assert_int_equal(f->bytes[0], 0xff);
    free(f);
    sock_close(s);
    sock_close(t);
    sock_close(any);
}

static void closed_port_and_ping(void **st)
{
    (void)st;
    peer_udp(PEER_IP, 888, OUR_IP, 4999, "x", 1);
    struct frame *f = peer_next();
    assert_non_null(f);
    assert_int_equal(f->bytes[23], 1);
    assert_int_equal(f->bytes[34], 3);
    assert_int_equal(f->bytes[35], 3);
    free(f);
    for (int i = 0; i < 1000; i++)
        peer_udp(PEER_IP, 888, OUR_IP, 4999, "x", 1);
    unsigned n = 0;
    for (; (f = peer_next()); n++)
        free(f);
    assert_true(n <= 200); // bounded
    uint32_t at = put_eth_ip(buf, 1, PEER_IP, OUR_IP, 8 + 1000, 0, 0);
    memset(buf + at, 0, 8);
    buf[at] = 8;
    put_be16(buf + at + 4, 0x1234);
    memcpy(buf + at + 8, big, 1000);
    fill_csum(buf, at + 1008, at, 2);
    peer_frame(buf, at + 1008);
    f = peer_next();
    assert_non_null(f);
    assert_int_equal(f->bytes[34], 0);
    assert_memory_equal(f->bytes + 42, big, 1000);
    assert_int_equal(csum_fold(csum_add(0, f->bytes + 34, 1008)), 0xffff);
    free(f);
    put_be32(buf + 30, 0x0a0000ff); // to the broadcast address: silence
    put_be16(buf + 24, 0);
    fill_csum(buf, 34, 14, 10);
    peer_frame(buf, at + 1008);
    assert_null(peer_next());
}

static void piece(uint16_t id, uint32_t off, uint32_t n, bool more)
{
    static uint8_t b[6000];
    uint32_t at =
        put_eth_ip(b, 17, PEER_IP, OUR_IP, n, id, (uint16_t)(off / 8 | (more ? IP_MF : 0)));
    memcpy(b + at, buf + off, n);
    peer_frame(b, at + n);
}

static uint32_t make_udp(uint16_t port, uint32_t len)
{
    put_be16(buf, 777);
    put_be16(buf + 2, port);
    put_be16(buf + 4, (uint16_t)(8 + len));
    put_be16(buf + 6, 0);
    memcpy(buf + 8, big, len);
    uint16_t v =
        (uint16_t)~csum_fold(csum_add(csum_pseudo(PEER_IP, OUR_IP, 17, 8 + len), buf, 8 + len));
    memcpy(buf + 6, &v, 2);
    return 8 + len;
}

static void fragments_in(void **st)
{
    (void)st;
    struct sock *s = udp_bound(5004);
    static uint8_t in[70000];
    uint32_t n = make_udp(5004, 5000);
    piece(1, 0, 1480, true);
    piece(1, 2960, 1480, true);
    piece(1, 4440, n - 4440, false);
    assert_int_equal(udp_from(s, in, sizeof(in), NULL, NULL), -EAGAIN);
    piece(1, 1480, 1480, true);
    assert_int_equal(udp_from(s, in, sizeof(in), NULL, NULL), 5000);
    assert_memory_equal(in, big, 5000);
    // Overlap: the whole datagram goes.
    piece(2, 0, 1480, true);
    piece(2, 1472, 1480, true);
    piece(2, 1480, n - 1480, false);
    assert_int_equal(udp_from(s, in, sizeof(in), NULL, NULL), -EAGAIN);
    // Beyond 64 KiB, and pieces that are no multiple of 8.
    piece(3, 65528 - 8, 1000, true);
    piece(4, 0, 1001, true);
    // Never completed: forgotten after a while, and bounded in number.
    for (uint16_t id = 100; id < 200; id++)
        piece(id, 0, 1480, true);
    shim_advance_to(shim_clock + 20 * NSEC_PER_SEC);
    piece(199, 1480, n - 1480, false);
    assert_int_equal(udp_from(s, in, sizeof(in), NULL, NULL), -EAGAIN);
    sock_close(s);
}

static void fragments_out_and_back(void **st)
{
    (void)st;
    struct sock *s = udp_bound(5005);
    static uint8_t whole[70000];
    assert_int_equal(udp_to(s, PEER_IP, 9, big, 65508), -EMSGSIZE);
    assert_int_equal(udp_to(s, PEER_IP, 9, big, 20001), 20001);
    uint32_t got = 0;
    struct frame *f;
    while ((f = peer_next())) {
        uint16_t frag = get_be16(f->bytes + 20);
        uint32_t off = (frag & IP_OFFSET_MASK) * 8u, n = f->len - 34;
        assert_true(f->len <= 1514);
        assert_int_equal(off, got);
        memcpy(whole + off, f->bytes + 34, n);
        got += n;
        assert_int_equal(!(frag & IP_MF), got == 20009);
        free(f);
    }
    assert_int_equal(got, 20009);
    assert_memory_equal(whole + 8, big, 20001);
    assert_int_equal(csum_fold(csum_add(csum_pseudo(OUR_IP, PEER_IP, 17, got), whole, got)),
                     0xffff);
    // Over loopback, with fragments.
    assert_int_equal(udp_to(s, 0x7f000001, 5005, big, 65507), 65507);
    assert_int_equal(udp_from(s, whole, sizeof(whole), NULL, NULL), 65507);
    assert_memory_equal(whole, big, 65507);
    // And by our own address.
    assert_int_equal(udp_to(s, OUR_IP, 5005, big, 100), 100);
    assert_int_equal(udp_from(s, whole, sizeof(whole), NULL, NULL), 100);
    sock_close(s);
}

static void bad_headers(void **st)
{
    (void)st;
    struct sock *s = udp_bound(5006);
    uint8_t b[100];
    uint32_t n = make_udp(5006, 10);
    for (int what = 0; what < 8; what++) {
        uint32_t src = what == 0   ? 0x7f000001
                       : what == 1 ? OUR_IP
                       : what == 2 ? 0xe0000001
                                   : PEER_IP;
        uint32_t dst = what == 3 ? OUR_IP + 1 : OUR_IP;
        uint32_t at = put_eth_ip(b, 17, src, dst, n, 0, 0);
        memcpy(b + at, buf, n);
        if (what == 4)
            b[14] = 0x65;
        if (what == 5)
            b[14] = 0x44;
        if (what == 6)
            put_be16(b + 16, 1000);
        if (what == 7)
            b[24] ^= 1;
        peer_frame(b, at + n);
        assert_int_equal(udp_from(s, buf + 1000, 100, NULL, NULL), -EAGAIN);
    }
    for (uint32_t cut = 0; cut < 34 + n; cut++) {
        uint32_t at = put_eth_ip(b, 17, PEER_IP, OUR_IP, n, 0, 0);
        memcpy(b + at, buf, n);
        peer_frame(b, cut);
        assert_int_equal(udp_from(s, buf + 1000, 100, NULL, NULL), -EAGAIN);
    }
    sock_close(s);
}

// --- DHCP ---
static uint8_t *dhcp_option(uint8_t *o, uint8_t code, uint32_t v)
{
    o[0] = code;
    o[1] = 4;
    put_be32(o + 2, v);
    return o + 6;
}

static void dhcp_say(uint8_t type, const uint8_t *request, uint32_t yiaddr, uint32_t lease)
{
    static uint8_t m[300];
    memset(m, 0, sizeof(m));
    m[0] = 2;
    m[1] = 1;
    m[2] = 6;
    memcpy(m + 4, request + 4, 4);
    put_be32(m + 16, yiaddr);
    memcpy(m + 28, request + 28, 6);
    put_be32(m + 236, 0x63825363);
    uint8_t *o = m + 240;
    o[0] = 53;
    o[1] = 1;
    o[2] = type;
    o = dhcp_option(o + 3, 1, 0xffffff00);
    o = dhcp_option(o, 3, PEER_IP);
    o = dhcp_option(o, 6, 0x01010101);
    o = dhcp_option(o, 54, PEER_IP);
    o = dhcp_option(o, 51, lease);
    *o = 255;
    peer_udp(PEER_IP, 67, yiaddr ? yiaddr : 0xffffffff, 68, m, sizeof(m));
}

// The client's next message; its type.
static uint8_t dhcp_hear(uint8_t *msg)
{
    struct frame *f;
    while ((f = peer_next())) {
        if (get_be16(f->bytes + 12) == ETH_IPV4 && f->bytes[23] == 17 &&
            get_be16(f->bytes + 36) == 67) {
            memcpy(msg, f->bytes + 42, f->len - 42);
            free(f);
            return msg[242];
        }
        free(f);
    }
    return 0;
}

static void dhcp_gives_an_address(void **st)
{
    (void)st;
    static uint8_t m[1000];
    peer_start(0, false);
    char word[] = "dhcp", host[] = "box";
    boot_config.ip = word;
    boot_config.hostname = host;
    assert_int_equal(net_configure(), 0);
    assert_int_equal(dhcp_hear(m), 1);
    shim_advance_to(shim_clock + NSEC_PER_SEC + 1);
    assert_int_equal(dhcp_hear(m), 1); // again
    uint8_t wrong[1000];
    memcpy(wrong, m, sizeof(m));
    wrong[5] ^= 1;
    dhcp_say(2, wrong, OUR_IP, 3600); // not our transaction
    assert_int_equal(dhcp_hear(m), 0);
    memcpy(m, wrong, sizeof(m));
    m[5] ^= 1;
    dhcp_say(2, m, OUR_IP, 3600);
    assert_int_equal(dhcp_hear(m), 3);
    dhcp_say(5, m, OUR_IP, 3600);
    struct net_if_info info;
    net_if_get(2, &info);
    assert_int_equal(info.ip, OUR_IP);
    assert_int_equal(info.prefix, 24);
    assert_int_equal(info.gateway, PEER_IP);
    assert_int_equal(net_dns[0], 0x01010101);
    assert_int_equal(net_wait_configured(0), 0);
    // Half of the lease later it is renewed, directly.
    peer_arp_reply();
    peer_forget();
    arp(1, PEER_IP, OUR_IP, peer_mac);
    peer_forget();
    shim_advance_to(shim_clock + 1801 * NSEC_PER_SEC);
    peer_arp_reply();
    assert_int_equal(dhcp_hear(m), 3);
    assert_int_equal(get_be32(m + 12), OUR_IP);
    dhcp_say(5, m, OUR_IP, 7200);
    // No more answers: it ends with the lease.
    shim_advance_to(shim_clock + 7300 * NSEC_PER_SEC);
    net_if_get(2, &info);
    assert_int_equal(info.ip, 0);
    peer_forget();
    shim_advance_to(shim_clock + 20 * NSEC_PER_SEC);
    assert_int_equal(dhcp_hear(m), 1);
    // Nonsense is refused.
    dhcp_say(2, m, OUR_IP, 3600);
    while (dhcp_hear(m) != 3) {
    }
    dhcp_say(5, m, 0x0a0000ff, 3600);
    net_if_get(2, &info);
    assert_int_equal(info.ip, 0);
    boot_config.ip = NULL;
    net_if_configure(2, OUR_IP, 24, 0); // by hand: the client stops
    assert_null(net_ifs[1].dhcp);
}

static void static_addresses(void **st)
{
    (void)st;
    static const struct {
        const char *ip, *gw;
        int err;
    } cases[] = {{"10.1.2.3/16", "10.1.0.1", 0},   {"10.1.2.3", NULL, 0},
                 {"10.1.2.3/33", NULL, -EINVAL},   {"10.1.2", NULL, -EINVAL},
                 {"10.1.2.300", NULL, -EINVAL},    {"10.1.2.3/8x", NULL, -EINVAL},
                 {"10.1.2.3/24", "gate", -EINVAL}, {"", NULL, 0}};
    log_level = (enum log_level) - 1;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        boot_config.ip = cases[i].ip;
        boot_config.gw = cases[i].gw;
        assert_int_equal(net_configure(), cases[i].err);
    }
    boot_config.ip = boot_config.gw = NULL;
    struct net_if_info info;
    assert_int_equal(net_if_get(1, &info), 0);
    assert_string_equal(info.name, "lo");
    assert_int_equal(net_if_get(2, &info), 0);
    assert_int_equal(net_if_get(3, &info), -ENODEV);
}

static void a_device_is_given_up_without_an_address_only(void **st)
{
    (void)st;
    assert_false(peer_dev.detach(&peer_dev));
    assert_int_equal(net_if_configure(2, 0, 0, 0), 0);
    peer_forget();
    unsigned before = peer_sent;
    assert_true(peer_dev.detach(&peer_dev));
    assert_int_equal(net_if_configure(2, OUR_IP, 24, 0), -ENODEV);
    struct sock *s;
    struct sock_addr a = {PEER_IP, 9};
    struct sock_copy none = {0};
    assert_int_equal(sock_create(SOCK_DGRAM, 0, &s), 0);
    assert_int_equal(sock_send(s, &none, 0, 0, &a), -ENETUNREACH);
    sock_close(s);
    assert_int_equal(peer_sent, before);
}

static void checksums(void **st)
{
    (void)st;
    // The same sum however the packet is cut, even and odd.
    uint16_t want = csum_fold(csum_add(0, big, 3001));
    uint64_t slow = 0;
    for (int i = 0; i < 3000; i += 2)
        slow += (uint32_t)big[i] | (uint32_t)big[i + 1] << 8;
    slow += big[3000];
    assert_int_equal(want, csum_fold(slow));
    for (uint32_t cut = 1; cut < 70; cut++) {
        struct pktbuf *p = pkt_external(big, cut, NULL, NULL);
        for (uint32_t off = cut; off < 3001; off += cut) {
            uint32_t n = MIN(cut, 3001 - off);
            pkt_append(p, pkt_external(big + off, n, NULL, NULL));
        }
        assert_int_equal(csum_fold(csum_pkt(0, p, 0, 3001)), want);
        pkt_free(p);
    }
    memset(buf, 0xff, 65536);
    assert_int_equal(csum_fold(csum_add(0, buf, 65536)), 0xffff);
}

static void packet_buffers(void **st)
{
    (void)st;
    struct pktbuf *p = pkt_alloc(100);
    memcpy(pkt_put(p, 100), big, 100);
    pkt_append(p, pkt_view(p, p->data + 50, 50)); // of itself
    struct pktbuf *q = pkt_alloc(2000);
    memcpy(pkt_put(q, 1000), big + 100, 1000);
    pkt_append(p, q);
    // A view of itself would never be freed: cut it off again first.
    pkt_copy_out(p, 90, buf, 70);
    assert_memory_equal(buf, big + 90, 10);
    assert_memory_equal(buf + 10, big + 50, 50);
    assert_memory_equal(buf + 60, big + 100, 10);
    pkt_trim(p, 60);
    assert_int_equal(p->total, 60);
    assert_null(p->frag);
    pkt_consume(p, 10);
    assert_int_equal(p->data[0], big[10]);
    pkt_free(p);
    p = pkt_alloc(1000);
    memcpy(pkt_put(p, 10), big, 10);
    q = pkt_alloc(100);
    memcpy(pkt_put(q, 100), big + 10, 100);
    pkt_append(p, q);
    assert_true(pkt_pull_up(p, 60));
    assert_memory_equal(p->data, big, 60);
    assert_false(pkt_pull_up(p, 111));
    assert_true(pkt_pull_up(p, 110));
    assert_null(p->frag);
    pkt_free(p);
    assert_null(pkt_alloc(UINT32_MAX));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(arp_answers_and_announces),
        T(arp_waits_for_the_neighbour),
        T(udp_both_ways),
        T(udp_connected_and_refused),
        T(closed_port_and_ping),
        T(fragments_in),
        T(fragments_out_and_back),
        T(bad_headers),
        T(dhcp_gives_an_address),
        T(static_addresses),
        T(a_device_is_given_up_without_an_address_only),
        T(checksums),
        T(packet_buffers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

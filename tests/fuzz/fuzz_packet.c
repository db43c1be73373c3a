// SPDX-License-Identifier: ISC
// Arbitrary frames into an interface with a listener, an established connection, a connection that
// opens, UDP sockets and a DHCP client. The input is a list of steps: raw frames, segments that fit
// the connection (so that the fuzzer gets past checksums and sequence numbers), time, socket calls.
// In the end everything is closed, and no packet may be left over.
// links: kernel/net/arp.c kernel/net/config.c kernel/net/csum.c kernel/net/dhcp.c
// links: kernel/net/icmp.c kernel/net/iface.c kernel/net/ip.c kernel/net/ip_frag.c
// links: kernel/net/port.c kernel/net/proc.c kernel/net/sock.c kernel/net/tcp_ack.c
// links: kernel/net/tcp_early.c kernel/net/tcp_end.c kernel/net/tcp_input.c
// links: kernel/net/tcp_listen.c kernel/net/tcp_opt.c kernel/net/tcp_output.c
// links: kernel/net/tcp_sock.c kernel/net/tcp_table.c kernel/net/tcp_timer.c
// links: kernel/net/txqueue.c kernel/net/udp.c kernel/dev/pktbuf.c kernel/dev/netdev.c
// links: kernel/lib/format.c kernel/lib/rbtree.c kernel/lib/hash.c tests/unit/shim_core.c
// links: tests/unit/shim_mm.c tests/unit/shim_sched.c
#include "tests/unit/net_peer.h"

struct input {
    const uint8_t *p;
    size_t n;
};

static uint32_t take(struct input *in, unsigned bytes)
{
    uint32_t v = 0;
    while (bytes--)
        v = v << 8 | (in->n ? in->n--, *in->p++ : 0u);
    return v;
}

static struct sock *listener, *conn, *opening, *udp;
static struct tseg seg;
static uint8_t scratch[70000];

static void open_all(void)
{
    struct sock_addr a = {0, OUR_PORT}, to = {PEER_IP, 7000}, u = {0, 5000};
    int one = 1;
    sock_create(SOCK_STREAM, 0, &listener);
    sock_setopt(listener, 1, 2, &one, sizeof(one));
    sock_bind(listener, &a);
    sock_listen(listener, 4);
    sock_create(SOCK_DGRAM, 0, &udp);
    sock_bind(udp, &u);
    sock_create(SOCK_STREAM, 0, &opening);
    sock_connect(opening, &to, true);
    peer_forget();
    struct say s = {.seq = 99, .wnd = 65535, .flags = TCP_SYN};
    s.optlen = 20;
    memcpy(s.opt, "\2\4\5\xb4\4\2\10\12\0\0\0\1\0\0\0\0\1\3\3\7", 20);
    peer_say(&s);
    if (!peer_hear(&seg))
        return;
    struct say ack = {.seq = 100, .ack = seg.seq + 1, .wnd = 65535, .flags = TCP_ACK, .optlen = 12};
    put_be32(ack.opt, 0x0101080a);
    put_be32(ack.opt + 4, 2);
    peer_say(&ack);
    sock_accept(listener, &conn, NULL, true);
}

// A segment near what the connection expects.
static void segment(struct input *in)
{
    struct tcp_sock *t = tcp_of(take(in, 1) & 1 && opening ? opening : conn ? conn : opening);
    struct say s = {0};
    s.flags = (uint8_t)take(in, 1);
    s.seq = t->rcv_nxt + (uint32_t)(int16_t)take(in, 2);
    s.ack = t->snd_una + (uint32_t)(int16_t)take(in, 2);
    s.wnd = take(in, 2);
    s.sport = t->s.rport;
    s.dport = t->s.lport;
    s.len = take(in, 2) & 0x1fff;
    s.split = take(in, 1);
    s.hold = take(in, 1) & 1;
    s.data = scratch;
    uint8_t kind = (uint8_t)take(in, 1);
    if (kind & 1) { // valid timestamps
        put_be32(s.opt, 0x0101080a);
        put_be32(s.opt + 4, t->ts_recent + (uint32_t)(int8_t)take(in, 1));
        put_be32(s.opt + 8, tcp_tsval(t));
        s.optlen = 12;
    }
    if (kind & 2) { // SACK blocks in the sent range
        unsigned n = kind >> 4 & 1;
        s.opt[s.optlen] = s.opt[s.optlen + 1] = 1;
        s.opt[s.optlen + 2] = 5;
        s.opt[s.optlen + 3] = (uint8_t)(10 + 8 * n);
        s.optlen += 4;
        for (unsigned i = 0; i <= n; i++, s.optlen += 8) {
            uint32_t start = t->snd_una + (uint32_t)(int16_t)take(in, 2);
            put_be32(s.opt + s.optlen, start);
            put_be32(s.opt + s.optlen + 4, start + take(in, 2));
        }
    }
    if (kind & 4) // anything
        while (s.optlen < 40 && in->n)
            s.opt[s.optlen++] = (uint8_t)take(in, 1);
    peer_say(&s);
}

static void frame(struct input *in, uint8_t proto)
{
    static uint8_t b[4096];
    uint32_t n = take(in, 2) & 0x7ff, at = 0;
    if (proto) {
        uint16_t frag = (uint16_t)take(in, 2);
        at = put_eth_ip(b, proto, PEER_IP, OUR_IP, n, (uint16_t)take(in, 1), frag);
    }
    for (uint32_t i = 0; i < n; i++)
        b[at + i] = (uint8_t)take(in, 1);
    if (proto == 1 && n >= 4) {
        put_be16(b + at + 2, 0);
        fill_csum(b, at + n, at, 2);
    }
    uint32_t split = take(in, 1);
    peer_deliver(b, at + n, split);
    peer_dev.receive_done(&peer_dev);
}

static void dhcp(struct input *in)
{
    static uint8_t m[600];
    uint32_t n = take(in, 2) % 360;
    memset(m, 0, sizeof(m));
    m[0] = 2;
    m[1] = 1;
    m[2] = 6;
    struct frame *f = sent_head; // the client's transaction number is in its last message
    for (; f; f = f->next)
        if (f->len > 280 && f->bytes[23] == 17)
            memcpy(m + 4, f->bytes + 46, 4);
    put_be32(m + 16, take(in, 4));
    memcpy(m + 28, peer_dev.mac, 6);
    put_be32(m + 236, 0x63825363);
    for (uint32_t i = 0; i < n; i++)
        m[240 + i] = (uint8_t)take(in, 1);
    peer_udp(PEER_IP, 67, 0xffffffff, 68, m, 240 + n);
}

static void step(struct input *in)
{
    struct sock *s = conn ? conn : opening;
    struct sock *extra;
    struct buffer b = {scratch};
    struct sock_copy c = {.copy_to = buf_to, .copy_from = buf_from, .ctx = &b};
    switch (take(in, 1) % 16) {
    case 0:
        frame(in, 0);
        break;
    case 1:
        frame(in, 6);
        break;
    case 2:
        frame(in, 17);
        break;
    case 3:
        frame(in, 1);
        break;
    case 4:
    case 5:
    case 6:
    case 7:
        segment(in);
        break;
    case 8:
        shim_advance_to(shim_clock + (uint64_t)take(in, 2) * NSEC_PER_MSEC);
        break;
    case 9:
        send_bytes(s, scratch, take(in, 2), MSG_DONTWAIT | (take(in, 1) & 1 ? MSG_MORE : 0));
        break;
    case 10:
        recv_bytes(s, scratch, take(in, 2), MSG_DONTWAIT | (take(in, 1) & MSG_PEEK));
        break;
    case 11:
        sock_shutdown(s, (int)(take(in, 1) % 3));
        break;
    case 12:
        if (!sock_accept(listener, &extra, NULL, true))
            sock_close(extra);
        break;
    case 13:
        sock_recv(udp, &c, take(in, 2), MSG_DONTWAIT, NULL, NULL);
        break;
    case 14:
        if (conn && take(in, 1) & 1) {
            sock_close(conn);
            conn = NULL;
        }
        break;
    default:
        dhcp(in);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    bool with_dhcp = take(&in, 1) & 1;
    shim_seed = 42;
    log_level = (enum log_level)0;
    peer_drop = false;
    if (with_dhcp) {
        static char word[] = "dhcp";
        peer_start(NETDEV_CSUM_TX, false);
        boot_config.ip = word;
        net_configure();
    } else {
        peer_start(take(&in, 1) & 1 ? NETDEV_CSUM_TX | NETDEV_TSO4 : 0, true);
    }
    open_all();
    for (unsigned n = 0; in.n && n < 200; n++) {
        step(&in);
        if (peer_sent > 4000) {
            if (!with_dhcp)
                peer_forget();
            peer_sent = 0;
        }
    }
    peer_dev.receive_done(&peer_dev);
    if (conn)
        sock_close(conn);
    conn = NULL;
    sock_close(opening);
    sock_close(listener);
    sock_close(udp);
    net_if_configure(2, OUR_IP, 24, 0);
    peer_drop = true;
    for (int i = 0; i < 6; i++)
        shim_advance_to(shim_clock + 500 * NSEC_PER_SEC);
    peer_forget();
    uint64_t live, limit;
    pkt_stats(&live, &limit);
    if (live || tcp_rx_total || tcp_tx_total || tcp_orphans)
        abort();
    return 0;
}

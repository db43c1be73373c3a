// SPDX-License-Identifier: ISC
// Bulk transfers of the stack with itself over a loopback that loses, doubles and reorders packets.
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
#include <stddef.h>
#include <stdint.h>
#include <stdarg.h>
#include <cmocka.h>
#include "tests/unit/net_peer.h"

struct wire { // impairment, per 1000
    unsigned loss, dup, reorder;
    uint64_t delay_ns;
};
static struct wire wire;
struct held {
    struct list_head link;
    struct pktbuf *p;
    uint64_t at;
};
static struct list_head held = {&held, &held};
static uint64_t rng = 88172645463325252ull;
static unsigned lost;

static unsigned rnd(unsigned n)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return (unsigned)(rng % n);
}

static struct pktbuf *flat_copy(struct pktbuf *p)
{
    struct pktbuf *c = pkt_alloc_urgent(p->total);
    if (!c)
        return NULL;
    pkt_copy_out(p, 0, pkt_put(c, p->total), p->total);
    c->gso_type = p->gso_type;
    c->gso_size = p->gso_size;
    c->flags = PKT_CSUM_VALID;
    return c;
}

static void hold(struct pktbuf *p, uint64_t delay)
{
    struct held *h = malloc(sizeof(*h));
    h->p = p;
    h->at = shim_clock + delay;
    struct list_head *pos = held.prev;
    while (pos != &held && list_entry(pos, struct held, link)->at > h->at)
        pos = pos->prev;
    list_add(&h->link, pos);
}

static bool bad_transmit(struct netdev *d, struct pktbuf *p, bool more)
{
    (void)d;
    (void)more;
    p->flags = PKT_CSUM_VALID;
    if (rnd(1000) < wire.loss) {
        lost++;
        pkt_free(p);
        return true;
    }
    if (rnd(1000) < wire.dup) {
        struct pktbuf *c = flat_copy(p);
        if (c)
            hold(c, wire.delay_ns + rnd(100) * 1000);
    }
    hold(p, wire.delay_ns + (rnd(1000) < wire.reorder ? wire.delay_ns * rnd(4) : 0));
    return true;
}

// Time goes on to the next event: a packet arrives, or a timer fires.
static bool step(void)
{
    struct netdev *lo = net_ifs[0].dev;
    if (list_empty(&held))
        return false;
    uint64_t at = list_first(&held, struct held, link)->at;
    shim_advance_to(at);
    while (!list_empty(&held) && list_first(&held, struct held, link)->at <= shim_clock) {
        struct held *h = list_first(&held, struct held, link);
        list_del(&h->link);
        lo->receive(lo, h->p);
        free(h);
    }
    lo->receive_done(lo);
    return true;
}

static void connect_pair(struct sock **a, struct sock **b, struct sock **l)
{
    struct sock_addr any = {0, 8080}, to = {0x7f000001, 8080};
    assert_int_equal(sock_create(SOCK_STREAM, 0, l), 0);
    int one = 1;
    sock_setopt(*l, 1, 2, &one, sizeof(one));
    assert_int_equal(sock_bind(*l, &any), 0);
    assert_int_equal(sock_listen(*l, 10), 0);
    assert_int_equal(sock_create(SOCK_STREAM, 0, a), 0);
    int r = sock_connect(*a, &to, true);
    assert_true(r == 0 || r == -EINPROGRESS);
    for (int i = 0; i < 10000 && sock_accept(*l, b, NULL, true); i++)
        if (!step())
            shim_advance_to(shim_clock + NSEC_PER_MSEC);
    assert_true(sock_poll(*a) & EPOLLOUT);
}

static void transfer(struct wire w, uint64_t bytes, uint32_t features, uint64_t limit_ns)
{
    struct netdev *lo;
    struct sock *a, *b, *l;
    static uint8_t out[100000], in[100000];
    if (!net_if_count)
        net_boot();
    wire = w;
    lo = net_ifs[0].dev;
    lo->transmit = bad_transmit;
    lo->features = features;
    lo->mtu = features & NETDEV_TSO4 ? 65520 : 1500;
    connect_pair(&a, &b, &l);
    uint64_t sent = 0, got = 0, start = shim_clock;
    bool shut = false;
    while (got < bytes) {
        bool moved = false;
        uint64_t want = bytes - sent < sizeof(out) ? bytes - sent : 1 + rnd(sizeof(out) - 1);
        if (want > bytes - sent)
            want = bytes - sent;
        for (uint64_t i = 0; i < want; i++)
            out[i] = pattern(sent + i);
        if (want) {
            long n = send_bytes(a, out, want, MSG_DONTWAIT);
            assert_true(n > 0 || n == -EAGAIN);
            if (n > 0) {
                sent += (uint64_t)n;
                moved = true;
            }
        } else if (!shut) {
            shut = true;
            assert_int_equal(sock_shutdown(a, SHUT_WR), 0);
        }
        long n = recv_bytes(b, in, 1 + rnd(sizeof(in) - 1), MSG_DONTWAIT);
        assert_true(n > 0 || n == -EAGAIN);
        if (n > 0) {
            for (long i = 0; i < n; i++)
                if (in[i] != pattern(got + (uint64_t)i))
                    fail_msg("byte %lu differs", got + (uint64_t)i);
            got += (uint64_t)n;
            moved = true;
        }
        if (!step() && !moved)
            shim_advance_to(shim_clock + NSEC_PER_MSEC);
        if (shim_clock - start > limit_ns)
            fail_msg("too slow: %lu of %lu bytes in %lu ms", got, bytes,
                     (shim_clock - start) / 1000000);
    }
    long n = -EAGAIN;
    for (int i = 0; i < 100000 && n == -EAGAIN; i++) {
        n = recv_bytes(b, in, sizeof(in), MSG_DONTWAIT);
        if (n == -EAGAIN && !step())
            shim_advance_to(shim_clock + NSEC_PER_MSEC);
    }
    assert_int_equal(n, 0);
    print_message("# %lu bytes, loss %u reorder %u dup %u per mille, MTU %u: %lu ms, %u lost\n",
                  bytes, w.loss, w.reorder, w.dup, lo->mtu, (shim_clock - start) / 1000000, lost);
    sock_close(b);
    sock_close(l);
    sock_close(a);
    for (int i = 0; i < 100000; i++)
        if (!step())
            shim_advance_to(shim_clock + 10 * NSEC_PER_MSEC);
    assert_int_equal(tcp_rx_total, 0);
    assert_int_equal(tcp_tx_total, 0);
    assert_int_equal(tcp_orphans, 0);
    uint64_t live, limit;
    pkt_stats(&live, &limit);
    assert_int_equal(live, 0);
}

#define MS       NSEC_PER_MSEC
#define OFFLOADS (NETDEV_CSUM_TX | NETDEV_CSUM_RX | NETDEV_TSO4)

static void clean(void **st)
{
    (void)st;
    transfer((struct wire){0, 0, 0, MS / 10}, 20 << 20, OFFLOADS, 2000 * MS);
    transfer((struct wire){0, 0, 0, MS / 10}, 5 << 20, 0, 4000 * MS);
}
static void loss_1_percent(void **st)
{
    (void)st;
    transfer((struct wire){10, 0, 0, MS / 2}, 10 << 20, 0, 60000 * MS);
}
static void loss_5_percent(void **st)
{
    (void)st;
    transfer((struct wire){50, 10, 50, MS / 2}, 10 << 20, 0, 120000 * MS);
}
static void loss_of_large_segments(void **st)
{
    (void)st;
    transfer((struct wire){30, 10, 30, MS / 2}, 20 << 20, OFFLOADS, 120000 * MS);
}
static void reordered_and_doubled(void **st)
{
    (void)st;
    transfer((struct wire){0, 50, 200, MS / 2}, 5 << 20, 0, 60000 * MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clean),
        cmocka_unit_test(loss_1_percent),
        cmocka_unit_test(loss_5_percent),
        cmocka_unit_test(loss_of_large_segments),
        cmocka_unit_test(reordered_and_doubled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: ISC
// links: kernel/net/txqueue.c kernel/dev/pktbuf.c kernel/lib/format.c kernel/lib/rbtree.c
// links: tests/unit/shim_core.c tests/unit/shim_mm.c tests/unit/shim_sched.c
// Packets that a device has no room for: they wait in order, go out as room comes, and are dropped
// only beyond the bound.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "net/stack.h"
#include "tests/unit/shim.h"

static unsigned ring_free, more_room, asked, sent_count;
static uint8_t sent[64];

static bool transmit(struct netdev *d, struct pktbuf *p, bool more)
{
    unsigned pieces = 0;
    (void)d;
    (void)more;
    for (struct pktbuf *f = p; f; f = f->frag)
        pieces++;
    assert_true(pieces <= ring_free); // a packet may never meet a full ring
    ring_free -= pieces;
    sent[sent_count++] = p->data[0];
    pkt_free(p);
    return true;
}

static unsigned room(struct netdev *d)
{
    (void)d;
    return ring_free;
}

// The device took `more_room` descriptors meanwhile.
static bool want_room(struct netdev *d)
{
    (void)d;
    asked++;
    ring_free += more_room;
    bool came = more_room != 0;
    more_room = 0;
    return came;
}

static struct netdev dev;
static struct net_if nif;

static int setup(void **state)
{
    (void)state;
    dev = (struct netdev){.transmit = transmit, .room = room, .want_room = want_room};
    nif = (struct net_if){.dev = &dev, .tx_max = 8};
    list_init(&nif.tx);
    ring_free = more_room = asked = sent_count = 0;
    return 0;
}

static void put(uint8_t name, unsigned pieces)
{
    struct pktbuf *p = pkt_alloc_urgent(PKT_ROOM_MTU);
    *(uint8_t *)pkt_put(p, 1) = name;
    for (unsigned i = 1; i < pieces; i++) {
        struct pktbuf *f = pkt_alloc_urgent(PKT_ROOM_MTU);
        *(uint8_t *)pkt_put(f, 1) = 0;
        pkt_append(p, f);
    }
    net_if_transmit(&nif, p);
}

static void with_room_nothing_waits(void **state)
{
    (void)state;
    ring_free = 3;
    put('a', 1);
    put('b', 2);
    assert_int_equal(sent_count, 2);
    assert_int_equal(dev.tx_packets, 2);
    assert_int_equal(dev.tx_bytes, 3);
    assert_int_equal(asked, 0);
    assert_true(nif.dirty);
}

static void waits_in_order(void **state)
{
    (void)state;
    ring_free = 1;
    put('a', 1);
    put('b', 2); // does not fit
    ring_free = 1;
    put('c', 1); // would fit, but b was first
    assert_int_equal(sent_count, 1);
    assert_int_equal(asked, 1);
    ring_free = 2;
    net_if_send_waiting(&nif); // b; asks for more
    assert_int_equal(sent_count, 2);
    assert_int_equal(asked, 2);
    ring_free = 5;
    net_if_send_waiting(&nif);
    put('d', 1);
    assert_memory_equal(sent, "abcd", 4);
    assert_int_equal(nif.tx_count, 0);
    assert_int_equal(dev.tx_dropped, 0);
    net_if_send_waiting(&nif);
    assert_int_equal(asked, 2); // nothing waits: nothing is asked for
}

// Room that came before the device could be told to say so is not missed.
static void room_while_asking(void **state)
{
    (void)state;
    more_room = 1;
    put('a', 1);
    assert_int_equal(sent_count, 1);
    assert_int_equal(nif.tx_count, 0);
}

static void bounded(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 11; i++)
        put((uint8_t)('a' + i), 1);
    assert_int_equal(nif.tx_count, 8);
    assert_int_equal(dev.tx_dropped, 3);
    ring_free = 20;
    net_if_send_waiting(&nif);
    assert_int_equal(sent_count, 8);
    assert_memory_equal(sent, "abcdefgh", 8);
}

static void a_detached_device_gets_nothing(void **state)
{
    (void)state;
    put('a', 1);
    put('b', 3);
    net_if_drop_waiting(&nif);
    nif.detached = true;
    ring_free = 5;
    put('c', 1);
    net_if_send_waiting(&nif);
    assert_int_equal(sent_count, 0);
    assert_int_equal(nif.tx_count, 0);
}

// No packet may be left over.
static int teardown(void **state)
{
    (void)state;
    net_if_drop_waiting(&nif);
    uint64_t live, limit;
    pkt_stats(&live, &limit);
    return live == 0 ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(with_room_nothing_waits, setup, teardown),
        cmocka_unit_test_setup_teardown(waits_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(room_while_asking, setup, teardown),
        cmocka_unit_test_setup_teardown(bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(a_detached_device_gets_nothing, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

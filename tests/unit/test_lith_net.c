// SPDX-License-Identifier: ISC
// lith.h's packets over a device that the test plays: frames in pieces, joined segments, checksums
// left to others, a full ring, a flood, a device that lies; handles, and memory that comes back.
//
// links: kernel/lith/net.c kernel/lith/page.c kernel/dev/pktbuf.c kernel/dev/netdev.c
// links: kernel/lib/rbtree.c kernel/lib/format.c
// links: tests/unit/shim_core.c tests/unit/shim_mm.c tests/unit/shim_sched.c
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "lith/internal.h"
#include "tests/unit/shim.h"

__typeof__(lith_net_info) call_net_info;
__typeof__(lith_net_open) call_net_open;
__typeof__(lith_net_close) call_net_close;
__typeof__(lith_net_receive) call_net_receive;
__typeof__(lith_net_alloc) call_net_alloc;
__typeof__(lith_net_send) call_net_send;
__typeof__(lith_net_release) call_net_release;

static unsigned ring_room, flushes, sent_count;
static uint8_t sent_bytes[2048];
static struct pktbuf sent_last; // a copy of its fields

static bool transmit(struct netdev *d, struct pktbuf *p, bool more)
{
    (void)d;
    assert_true(more);
    assert_true((size_t)(p->data - p->head) >= 16);
    memcpy(sent_bytes, p->data, p->len);
    sent_last = *p;
    sent_count++;
    ring_room--;
    pkt_free(p);
    return true;
}

static void flush(struct netdev *d)
{
    (void)d;
    flushes++;
}

static unsigned room(struct netdev *d)
{
    (void)d;
    return ring_room;
}

static struct netdev dev = {.name = "eth0",
                            .mac = {2, 0, 0, 0, 0, 2},
                            .mtu = 1500,
                            .transmit = transmit,
                            .flush = flush,
                            .room = room};

void plat_find_devices(void)
{
}

int packets_probe(void)
{
    return 0;
}
int virtio_net_probe(void)
{
    return 0;
}

static unsigned polls;
bool sched_poll(void)
{
    polls++;
    return false;
}

static uint64_t live(void)
{
    uint64_t now, limit;
    pkt_stats(&now, &limit);
    return now;
}

static uint64_t live_at_start;

static int start(void **state)
{
    (void)state;
    if (!netdev_count)
        netdev_add(&dev);
    dev.features = 0;
    ring_room = 256;
    flushes = sent_count = polls = 0;
    live_at_start = live();
    return call_net_open(0);
}

static int stop(void **state)
{
    (void)state;
    int err = call_net_close(0);
    return err ? err : live() != live_at_start; // every packet came back
}

// A frame of n bytes that starts with `first`.
static struct pktbuf *frame(uint32_t n, uint8_t first)
{
    struct pktbuf *p = pkt_alloc(PKT_ROOM_MTU);
    assert_non_null(p);
    memset(pkt_put(p, n), 0x11, n);
    p->data[0] = first;
    return p;
}

static void arrives(struct pktbuf *p)
{
    dev.receive(&dev, p);
    dev.receive_done(&dev);
}

static void a_frame_comes_and_goes_in_the_same_memory(void **state)
{
    (void)state;
    struct lith_packet l;
    struct pktbuf *p = frame(60, 1);
    const uint8_t *bytes = p->data;
    assert_int_equal(call_net_receive(0, &l, 1, 0), -EAGAIN);
    assert_int_equal(polls, 1);
    arrives(p);
    assert_int_equal(call_net_receive(0, &l, 1, 0), 1);
    assert_int_equal(polls, 1); // it was there
    assert_ptr_equal(l.data, bytes);
    assert_int_equal(l.length, 60);
    assert_int_equal(l.flags, 0);
    assert_int_equal(call_net_send(0, &l, 1), 1);
    assert_int_equal(sent_last.len, 60);
    assert_int_equal(flushes, 1);
    assert_int_equal(call_net_release(&l, 1), -EBADF);
}

static void pieces_become_one(void **state)
{
    (void)state;
    struct lith_packet l;
    struct pktbuf *p = frame(1000, 7), *q = frame(900, 8);
    p->flags = PKT_CSUM_VALID;
    p->gso_type = PKT_GSO_TCPV4;
    p->gso_size = 500;
    pkt_append(p, q);
    arrives(p);
    assert_int_equal(call_net_receive(0, &l, 1, 0), 1);
    assert_int_equal(l.length, 1900);
    assert_int_equal(l.data[0], 7);
    assert_int_equal(l.data[1000], 8);
    assert_int_equal(l.segment, 500);
    assert_int_equal(l.flags, LITH_PACKET_VERIFIED);
    assert_int_equal(call_net_send(0, &l, 1), -EINVAL); // longer than the device takes
    assert_int_equal(call_net_release(&l, 1), 0);
}

static void checksums_left_to_others(void **state)
{
    (void)state;
    struct lith_packet l;
    struct pktbuf *p = frame(60, 1);
    p->flags = PKT_CSUM_VALID | PKT_CSUM_NOT_YET;
    p->csum_start = 34;
    p->csum_offset = 6;
    memset(p->data + 34, 0, 26);
    p->data[34] = 0x12, p->data[35] = 0x34, p->data[59] = 1;
    arrives(p);
    assert_int_equal(call_net_receive(0, &l, 1, 0), 1);
    assert_int_equal(l.flags, LITH_PACKET_CHECKSUM);
    assert_int_equal(l.checksum_start, 34);
    assert_int_equal(call_net_send(0, &l, 1), 1); // the device cannot: the kernel computes it
    assert_int_equal(sent_last.flags, 0);
    assert_int_equal(sent_bytes[40] << 8 | sent_bytes[41], 0xffff - 0x1235);

    dev.features = NETDEV_CSUM_TX;
    assert_int_equal(call_net_alloc(&l, 1), 1);
    l.length = 35; // an odd end
    l.flags = LITH_PACKET_CHECKSUM;
    l.checksum_start = 20;
    l.checksum_offset = 14; // its second byte is outside
    assert_int_equal(call_net_send(0, &l, 1), -EINVAL);
    l.checksum_offset = 13;
    assert_int_equal(call_net_send(0, &l, 1), 1);
    assert_int_equal(sent_last.flags, PKT_CSUM_PARTIAL);
    assert_int_equal(sent_last.csum_start, 20);
    assert_int_equal(sent_last.csum_offset, 13);

    dev.features = 0;
    assert_int_equal(call_net_alloc(&l, 1), 1);
    memset(l.data, 0, 35);
    l.data[34] = 0x80;
    l.length = 35;
    l.flags = LITH_PACKET_CHECKSUM;
    l.checksum_start = 20;
    l.checksum_offset = 0;
    assert_int_equal(call_net_send(0, &l, 1), 1);
    assert_int_equal(sent_bytes[20] << 8 | sent_bytes[21], 0x7fff);
    // A device that says where there is nothing.
    p = frame(60, 1);
    p->flags = PKT_CSUM_VALID | PKT_CSUM_NOT_YET;
    p->csum_start = 0xffff;
    p->csum_offset = 0xffff;
    arrives(p);
    assert_int_equal(call_net_receive(0, &l, 1, 0), 1);
    assert_false(l.flags & LITH_PACKET_CHECKSUM);
    assert_int_equal(call_net_release(&l, 1), 0);
}

static void a_full_ring_takes_some(void **state)
{
    (void)state;
    struct lith_packet l[8];
    assert_int_equal(call_net_alloc(l, 8), 8);
    for (unsigned i = 0; i < 8; i++) {
        l[i].length = 14 + i;
        l[i].data[0] = (uint8_t)i;
    }
    ring_room = 5;
    assert_int_equal(call_net_send(0, l, 8), 5);
    assert_int_equal(sent_bytes[0], 4);
    assert_int_equal(call_net_send(0, l + 5, 3), 0);
    assert_int_equal(call_net_send(0, l + 4, 1), -EBADF);
    ring_room = 9;
    assert_int_equal(call_net_send(0, l + 5, 3), 3);
    assert_int_equal(sent_count, 8);
}

static void a_flood_stays_in_the_device(void **state)
{
    (void)state;
    struct lith_packet l[LITH_NET_BATCH];
    unsigned arrived = 0, taken = 0;
    while (!dev.hold) {
        dev.receive(&dev, frame(60, (uint8_t)arrived));
        assert_true(++arrived <= 1024);
    }
    assert_int_equal(arrived, 256);
    while (dev.hold) {
        assert_int_equal(call_net_receive(0, l, 1000, LITH_FOREVER), LITH_NET_BATCH);
        assert_int_equal(l[0].data[0], (uint8_t)taken);
        taken += LITH_NET_BATCH;
        assert_int_equal(call_net_release(l, LITH_NET_BATCH), 0);
    }
    assert_int_equal(taken, 128);
    assert_int_equal(polls, 0);
    // Closing drops the rest.
}

static void only_memory_of_the_packet_is_sent(void **state)
{
    (void)state;
    struct lith_packet l;
    assert_int_equal(call_net_alloc(&l, 1), 1);
    uint8_t *data = l.data;
    const uintptr_t bad[] = {0, (uintptr_t)data - LITH_NET_HEADROOM - 64, (uintptr_t)data + 1700,
                             (uintptr_t)data + 2048, UINTPTR_MAX - 10};
    l.length = 1514;
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        l.data = (uint8_t *)bad[i];
        assert_int_equal(call_net_send(0, &l, 1), -EINVAL);
    }
    l.data = data;
    l.length = UINT32_MAX;
    assert_int_equal(call_net_send(0, &l, 1), -EINVAL);
    l.data = data - LITH_NET_HEADROOM;
    l.length = 1514;
    assert_int_equal(call_net_send(0, &l, 1), 1);
}

static void handles_are_not_taken_for_others(void **state)
{
    (void)state;
    struct lith_packet l, old = {0};
    for (unsigned i = 0; i < 5000; i++) {
        assert_int_equal(call_net_alloc(&l, 1), 1);
        assert_int_not_equal(l.handle, 0);
        assert_int_not_equal(l.handle, old.handle);
        assert_int_equal(call_net_release(&old, 1), -EBADF);
        assert_int_equal(call_net_release(&l, 1), 0);
        old = l;
    }
    for (uint32_t h = 0; h < 4096; h++) {
        l.handle = h * 1048583u;
        assert_int_equal(call_net_release(&l, 1), -EBADF);
    }
}

static void open_and_close(void **state)
{
    (void)state;
    struct lith_packet l;
    struct lith_net_info info;
    assert_int_equal(call_net_open(0), -EBUSY);
    assert_int_equal(call_net_open(1), -ENODEV);
    assert_int_equal(call_net_open(-1), -ENODEV);
    arrives(frame(60, 1));
    assert_int_equal(call_net_close(0), 0);
    assert_int_equal(call_net_receive(0, &l, 1, 0), -EBADF);
    uint64_t dropped = dev.rx_dropped;
    arrives(frame(60, 2)); // nobody's
    assert_int_equal(dev.rx_dropped, dropped + 1);
    assert_int_equal(call_net_open(0), 0);
    assert_int_equal(call_net_receive(0, &l, 1, 0), -EAGAIN);
    assert_int_equal(call_net_info(0, &info), 0);
    assert_int_equal(info.dropped, dev.rx_dropped);
}

static bool detach_answer;
static bool detach(struct netdev *d)
{
    (void)d;
    return detach_answer;
}

static void the_stack_is_asked(void **state)
{
    (void)state;
    assert_int_equal(call_net_close(0), 0);
    dev.detach = detach;
    detach_answer = false;
    assert_int_equal(call_net_open(0), -EBUSY);
    detach_answer = true;
    assert_int_equal(call_net_open(0), 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, start, stop)
    const struct CMUnitTest tests[] = {
        T(a_frame_comes_and_goes_in_the_same_memory),
        T(pieces_become_one),
        T(checksums_left_to_others),
        T(a_full_ring_takes_some),
        T(a_flood_stays_in_the_device),
        T(only_memory_of_the_packet_is_sent),
        T(handles_are_not_taken_for_others),
        T(open_and_close),
        T(the_stack_is_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

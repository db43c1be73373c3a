// SPDX-License-Identifier: ISC
// links: tests/unit/shim_core.c tests/unit/shim_mm.c kernel/lib/format.c kernel/dev/virtio.c
// Split virtqueues against a device that the test plays: order, wrap-around of the 16-bit indices,
// chains, doorbells suppressed by EVENT_IDX and flags, and a device that returns what it does not
// own.
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "shim.h"
#include "dev/virtio.h"
#include "abi/boot.h"

static struct lith_dev ready = {.virtio_id = 1, .queue_count = 1, .features = VIRTIO_F_VERSION_1};
static unsigned doorbells;
static jmp_buf panicked;

void plat_doorbell(uint16_t port, uint16_t queue)
{
    assert_int_equal(port, 0xc20);
    assert_int_equal(queue, 0);
    doorbells++;
}

static void open_queue(struct virtio_dev *d, struct virtq *q, bool event_idx)
{
    uint64_t pa = page_alloc(1, PAGE_ZERO);
    ready.features = VIRTIO_F_VERSION_1 | (event_idx ? VIRTIO_F_EVENT_IDX : 0);
    ready.queue[0] = (struct lith_dev_queue){pa, pa + 1024, pa + 4096, 8, 0xc20, 0};
    plat_info.dev[0] = (struct plat_dev){NULL, &ready, 0x21};
    plat_info.dev_count = 1;
    assert_true(virtio_dev_open(0, 1, VIRTIO_F_EVENT_IDX, d));
    assert_int_equal(virtio_queue_init(d, 0, 0, 8, q), 0);
    doorbells = 0;
}

// The device: takes the next available chain and returns it with `len` bytes written.
static uint16_t device_seen;
static unsigned device_return(struct virtq *q, uint32_t len)
{
    uint16_t head = q->avail[2 + (device_seen++ & (q->size - 1))];
    unsigned n = 1;
    for (uint16_t i = head; q->desc[i].flags & VIRTQ_DESC_NEXT; i = q->desc[i].next)
        n++;
    volatile struct virtq_used_elem *ring = (volatile void *)(q->used + 2);
    ring[q->used[1] & (q->size - 1)].id = head;
    ring[q->used[1] & (q->size - 1)].len = len;
    q->used[1]++;
    return n;
}

static void chains_come_back_in_any_number(void **state)
{
    (void)state;
    struct virtio_dev d;
    struct virtq q;
    static int cookies[4];
    open_queue(&d, &q, false);
    device_seen = 0;
    // 70,000 rounds wrap the 16-bit indices.
    for (unsigned round = 0; round < 70000; round++) {
        struct virtq_buf bufs[3] = {{0x1000, 10, false}, {0x2000, 20, false}, {0x3000, 30, true}};
        unsigned n = 1 + round % 3;
        assert_true(virtq_add(&q, bufs, n, &cookies[0]));
        assert_true(virtq_add(&q, bufs, 1, &cookies[1]));
        virtq_kick(&q);
        assert_int_equal(device_return(&q, round), n);
        uint32_t written;
        assert_ptr_equal(virtq_take(&q, &written), &cookies[0]);
        assert_int_equal(written, round);
        assert_null(virtq_take(&q, NULL));
        device_return(&q, 0);
        assert_ptr_equal(virtq_take(&q, NULL), &cookies[1]);
        assert_int_equal(q.free_count, 8);
    }
}

static void full_ring_refuses(void **state)
{
    (void)state;
    struct virtio_dev d;
    struct virtq q;
    int cookie;
    open_queue(&d, &q, false);
    struct virtq_buf bufs[5] = {{0x1000, 10, false}};
    assert_true(virtq_add(&q, bufs, 5, &cookie));
    assert_false(virtq_add(&q, bufs, 4, &cookie));
    assert_true(virtq_add(&q, bufs, 3, &cookie));
    assert_false(virtq_add(&q, bufs, 1, &cookie));
    assert_int_equal(q.free_count, 0);
}

static void doorbell_only_when_wanted(void **state)
{
    (void)state;
    struct virtio_dev d;
    struct virtq q;
    int cookie;
    struct virtq_buf b = {0x1000, 10, false};
    open_queue(&d, &q, true);
    q.used[2 + 4 * 8] = 0; // avail_event 0: wants to know of index 0
    virtq_add(&q, &b, 1, &cookie);
    virtq_kick(&q);
    assert_int_equal(doorbells, 1);
    virtq_add(&q, &b, 1, &cookie); // the device has not looked yet: index 0 is passed
    virtq_kick(&q);
    assert_int_equal(doorbells, 1);
    q.used[2 + 4 * 8] = 2;
    virtq_add(&q, &b, 1, &cookie);
    virtq_kick(&q);
    assert_int_equal(doorbells, 2);
    virtq_kick(&q); // nothing new
    assert_int_equal(doorbells, 2);
}

static void on_panic(const char *text)
{
    assert_non_null(strstr(text, "does not own"));
    longjmp(panicked, 1);
}

static void wrong_descriptor_is_noticed(void **state)
{
    (void)state;
    struct virtio_dev d;
    struct virtq q;
    open_queue(&d, &q, false);
    volatile struct virtq_used_elem *ring = (volatile void *)(q.used + 2);
    const uint32_t ids[] = {3, 8, UINT32_MAX};
    for (unsigned i = 0; i < 3; i++) {
        ring[q.used_idx & 7].id = ids[i];
        q.used[1] = (uint16_t)(q.used_idx + 1);
        shim_panic_hook = on_panic;
        if (setjmp(panicked) == 0) {
            virtq_take(&q, NULL);
            fail();
        }
        shim_panic_hook = NULL;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chains_come_back_in_any_number),
        cmocka_unit_test(full_ring_refuses),
        cmocka_unit_test(doorbell_only_when_wanted),
        cmocka_unit_test(wrong_descriptor_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

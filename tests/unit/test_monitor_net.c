// SPDX-License-Identifier: ISC
// links: host/monitor/virtq.c host/monitor/net.c host/monitor/net_passt.c host/monitor/guest_mem.c
// Rings and the network device, driven from the guest's side through a fake guest memory; the
// backend is a queue of packets, or passt's framing over a socket pair.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <cmocka.h>
#include "monitor/monitor.h"

void warn(const char *format, ...)
{
    (void)format;
}
_Noreturn void fatal(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    abort();
}

#define RAM       (1u << 20)
#define QUEUE_GPA 0x1000
#define BUFFERS   0x10000

static _Alignas(4096) uint8_t ram[RAM];
static const struct guest_mem mem = {.count = 1, .region = {{0, RAM, ram, true}}};

// --- the guest's side of a queue
struct driver {
    struct vring_desc *desc;
    struct vring_avail *avail;
    struct vring_used *used;
    uint16_t size, next;
};
static struct lith_dev dev;
static struct driver rx, tx;
static struct net_device net;
static struct net_backend backend;
static struct lith_stats_io stats;

static struct driver driver_open(const struct lith_dev_queue *q)
{
    return (struct driver){(void *)(ram + q->desc_gpa), (void *)(ram + q->avail_gpa),
                           (void *)(ram + q->used_gpa), q->size, 0};
}
static void driver_put(struct driver *d, uint16_t head)
{
    d->avail->ring[d->next % d->size] = head;
    d->avail->idx = ++d->next;
}
static void driver_desc(struct driver *d, uint16_t i, uint64_t gpa, uint32_t len, uint16_t flags,
                        uint16_t next)
{
    d->desc[i] = (struct vring_desc){gpa, len, flags, next};
}

// --- a backend that remembers
static uint8_t sent[8][70000];
static uint32_t sent_len[8];
static unsigned sent_count;
static uint8_t pending[70000];
static uint32_t pending_len;
static unsigned pending_count;

static long fake_receive(struct net_backend *b, const struct iovec *iov, int count)
{
    (void)b;
    uint32_t done = 0;
    if (pending_count == 0)
        return -EAGAIN;
    pending_count--;
    for (int i = 0; i < count && done < pending_len; i++) {
        uint32_t n =
            pending_len - done < iov[i].iov_len ? pending_len - done : (uint32_t)iov[i].iov_len;
        memcpy(iov[i].iov_base, pending + done, n);
        done += n;
    }
    return pending_len;
}
static int fake_send(struct net_backend *b, const struct iovec *iov, int count, uint32_t len)
{
    (void)b;
    assert_true(sent_count < 8);
    uint32_t done = 0;
    for (int i = 0; i < count; i++) {
        memcpy(sent[sent_count] + done, iov[i].iov_base, iov[i].iov_len);
        done += (uint32_t)iov[i].iov_len;
    }
    assert_int_equal(done, len);
    sent_len[sent_count++] = len;
    return 0;
}

static void start(const struct net_backend *from)
{
    const uint8_t mac[6] = {2, 1, 2, 3, 4, 5};
    memset(ram, 0, sizeof ram);
    memset(&dev, 0, sizeof dev);
    memset(&stats, 0, sizeof stats);
    sent_count = pending_count = 0;
    backend = *from;
    net_describe(&backend, mac, QUEUE_GPA, &dev);
    assert_true(net_init(&net, &backend, &mem, &dev, &stats));
    rx = driver_open(&dev.queue[0]);
    tx = driver_open(&dev.queue[1]);
}
static int start_fake(void **state)
{
    (void)state;
    start(&(struct net_backend){.mtu = 1500, .receive = fake_receive, .send = fake_send});
    return 0;
}

static void test_layout(void **state)
{
    (void)state;
    assert_int_equal(dev.queue_count, 2);
    assert_int_equal(dev.queue[0].doorbell, LITH_PORT_NOTIFY);
    assert_int_equal(dev.queue[1].doorbell, LITH_PORT_NOTIFY + 2);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(dev.queue[i].desc_gpa % 16, 0);
        assert_int_equal(dev.queue[i].avail_gpa % 2, 0);
        assert_int_equal(dev.queue[i].used_gpa % 4, 0);
        assert_true(dev.queue[i].used_gpa + 6 + 8 * 256 <= QUEUE_GPA + (i + 1) * virtq_bytes(256));
    }
    assert_memory_equal(dev.config, "\2\1\2\3\4\5\1\0\1\0\334\5", 12);
}

static void test_transmit(void **state)
{
    (void)state;
    bool interrupt = false;
    memset(ram + BUFFERS, 'a', 12);
    memset(ram + BUFFERS + 12, 'b', 100);
    driver_desc(&tx, 3, BUFFERS, 12, VRING_DESC_F_NEXT, 9);
    driver_desc(&tx, 9, BUFFERS + 12, 100, 0, 0);
    driver_put(&tx, 3);
    assert_int_equal(net_transmit(&net, &interrupt), 1);
    assert_true(interrupt);
    assert_int_equal(sent_count, 1);
    assert_int_equal(sent_len[0], 112);
    assert_memory_equal(sent[0], ram + BUFFERS, 112);
    assert_int_equal(tx.used->idx, 1);
    assert_int_equal(tx.used->ring[0].id, 3);
    interrupt = false;
    assert_int_equal(net_transmit(&net, &interrupt), 0);
    assert_false(interrupt);
}

// Interrupts come when used_event says so; doorbells are asked for at the next entry.
static void test_event_index(void **state)
{
    (void)state;
    bool interrupt = false;
    uint16_t *used_event = &tx.avail->ring[tx.size];
    uint16_t *avail_event = (uint16_t *)(void *)&tx.used->ring[tx.size];
    *used_event = 2; // at the third
    driver_desc(&tx, 0, BUFFERS, 60, 0, 0);
    for (int i = 0; i < 2; i++)
        driver_put(&tx, 0);
    assert_int_equal(net_transmit(&net, &interrupt), 2);
    assert_false(interrupt);
    driver_put(&tx, 0);
    assert_int_equal(net_transmit(&net, &interrupt), 1);
    assert_true(interrupt);
    assert_int_equal(*avail_event, 0);
    assert_false(virtq_enable_notify(&net.tx));
    assert_int_equal(*avail_event, 3);
    driver_put(&tx, 0);
    assert_true(virtq_enable_notify(&net.tx));
}

// Indices run through 65536 more than once.
static void test_wrap(void **state)
{
    (void)state;
    driver_desc(&tx, 7, BUFFERS, 60, 0, 0);
    for (int i = 0; i < 150000; i++) {
        bool interrupt = false;
        tx.avail->ring[tx.size] = (uint16_t)i;
        driver_put(&tx, 7);
        sent_count = 0;
        assert_int_equal(net_transmit(&net, &interrupt), 1);
        assert_true(interrupt);
        assert_int_equal(tx.used->idx, (uint16_t)(i + 1));
    }
}

static void test_receive_merged(void **state)
{
    (void)state;
    bool interrupt = false;
    for (uint16_t i = 0; i < 40; i++) {
        driver_desc(&rx, i, BUFFERS + i * 2048u, 2048, VRING_DESC_F_WRITE, 0);
        driver_put(&rx, i);
    }
    for (unsigned i = 0; i < sizeof pending; i++)
        pending[i] = (uint8_t)(i * 7);
    pending_len = 65000;
    pending_count = 1;
    assert_int_equal(net_receive(&net, &interrupt), 1);
    assert_true(interrupt);
    assert_int_equal(rx.used->idx, 32);
    uint32_t total = 0;
    for (int i = 0; i < 32; i++)
        total += rx.used->ring[i].len;
    assert_int_equal(total, 65000);
    struct virtio_net_hdr_v1 hdr;
    memcpy(&hdr, ram + BUFFERS, sizeof hdr);
    assert_int_equal(hdr.num_buffers, 32);
    assert_memory_equal(ram + BUFFERS + 12, pending + 12, 65000 - 12);

    // The eight that are left cannot hold another such packet: it is dropped, not cut.
    pending_count = 1;
    interrupt = false;
    net_receive(&net, &interrupt);
    assert_int_equal(rx.used->idx, 32);
    assert_int_equal(stats.net_rx_dropped, 1);
    assert_false(net_receive_starved(&net));
    pending_len = 100;
    pending_count = 9;
    net_receive(&net, &interrupt);
    assert_int_equal(rx.used->idx, 40);
    assert_int_equal(pending_count, 1); // the ninth waits for a buffer
    assert_true(net_receive_starved(&net));
    driver_put(&rx, 0);
    assert_int_equal(net_receive(&net, &interrupt), 1);
}

static void test_receive_many(void **state)
{
    (void)state;
    for (uint16_t i = 0; i < 256; i++) {
        driver_desc(&rx, i, BUFFERS + i * 2048u, 2048, VRING_DESC_F_WRITE, 0);
        driver_put(&rx, i);
    }
    for (int round = 0; round < 3000; round++) {
        bool interrupt = false;
        pending_len = 2000 + (round % 5) * 1500u;
        pending_count = 1;
        uint16_t before = rx.used->idx;
        assert_int_equal(net_receive(&net, &interrupt), 1);
        for (; before != rx.used->idx; before++)
            driver_put(&rx, (uint16_t)rx.used->ring[before % 256].id);
    }
    assert_int_equal(stats.net_rx_dropped, 0);
    assert_int_equal(stats.net_rx_packets, 3000);
    assert_int_equal(stats.net_rx_batches, 3000);
    assert_int_equal(stats.net_rx_bytes, 600 * 5 * (2000 - NET_HDR_LEN) + 600 * 10 * 1500);
}

static void test_hostile(void **state)
{
    (void)state;
    static const struct vring_desc bad[] = {
        {RAM, 100, 0, 0},             // behind RAM
        {RAM - 50, 100, 0, 0},        // across its end
        {UINT64_MAX - 10, 100, 0, 0}, // wraps
        {BUFFERS, 0, 0, 0},           // empty
        {BUFFERS, UINT32_MAX, 0, 0},
        {BUFFERS, 100, VRING_DESC_F_WRITE, 0},    // the wrong way
        {BUFFERS, 100, VRING_DESC_F_INDIRECT, 0}, // not negotiated
        {BUFFERS, 100, VRING_DESC_F_NEXT, 0},     // a loop
        {BUFFERS, 100, VRING_DESC_F_NEXT, 256},   // out of the table
        {BUFFERS, 100, VRING_DESC_F_NEXT, 65535},
    };
    bool interrupt = false;
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        start_fake(NULL);
        tx.desc[0] = bad[i];
        driver_put(&tx, 0);
        assert_int_equal(net_transmit(&net, &interrupt), -EINVAL);
        assert_int_equal(sent_count, 0);
    }
    start_fake(NULL);
    driver_put(&tx, 256); // no such head
    assert_int_equal(net_transmit(&net, &interrupt), -EINVAL);
    start_fake(NULL);
    tx.avail->idx = 257; // more than the ring holds
    assert_int_equal(net_transmit(&net, &interrupt), -EINVAL);
    // Receive: a buffer that cannot hold the header, a chain, one that may not be written.
    static const struct vring_desc bad_rx[] = {
        {BUFFERS, 11, VRING_DESC_F_WRITE, 0},
        {BUFFERS, 2048, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 1},
        {BUFFERS, 2048, 0, 0},
        {RAM - 12, 2048, VRING_DESC_F_WRITE, 0},
    };
    for (unsigned i = 0; i < sizeof bad_rx / sizeof bad_rx[0]; i++) {
        start_fake(NULL);
        rx.desc[0] = bad_rx[i];
        driver_desc(&rx, 1, BUFFERS, 100, VRING_DESC_F_WRITE, 0);
        driver_put(&rx, 0);
        assert_int_equal(net_receive(&net, &interrupt), -EINVAL);
    }
    // Too short or too long a packet to send is dropped.
    start_fake(NULL);
    driver_desc(&tx, 0, BUFFERS, 12, 0, 0);
    driver_desc(&tx, 1, BUFFERS, 100000, 0, 0);
    driver_put(&tx, 0);
    driver_put(&tx, 1);
    assert_int_equal(net_transmit(&net, &interrupt), 2);
    assert_int_equal(stats.net_tx_dropped, 2);
}

// --- passt's framing

static int pair[2];
static int start_passt(void **state)
{
    (void)state;
    struct net_backend b;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_int_equal(fcntl(pair[1], F_SETFL, O_NONBLOCK), 0);
    net_passt_use(&b, pair[0]);
    start(&b);
    return 0;
}
static int stop_passt(void **state)
{
    (void)state;
    close(pair[0]);
    if (pair[1] >= 0)
        close(pair[1]);
    return 0;
}

static void test_passt_receive(void **state)
{
    (void)state;
    static uint8_t stream[200000];
    uint32_t len = 0;
    bool interrupt = false;
    for (uint16_t i = 0; i < 256; i++) {
        driver_desc(&rx, i, BUFFERS + i * 2048u, 2048, VRING_DESC_F_WRITE, 0);
        driver_put(&rx, i);
    }
    for (uint32_t f = 0; f < 60; f++) {
        uint32_t n = 60 + f * 40, prefix = htonl(n);
        memcpy(stream + len, &prefix, 4);
        memset(stream + len + 4, (int)f, n);
        len += 4 + n;
    }
    // The stream comes in odd pieces.
    unsigned got = 0;
    for (uint32_t at = 0; at < len;) {
        uint32_t n = len - at < 777 ? len - at : 777;
        assert_int_equal(write(pair[1], stream + at, n), n);
        at += n;
        got += (unsigned)net_receive(&net, &interrupt);
    }
    assert_int_equal(got, 60);
    unsigned entry = 0;
    for (uint32_t f = 0; f < 60; f++) {
        uint32_t n = 60 + f * 40, buffers = (n + 12 + 2047) / 2048;
        uint8_t *buffer = ram + BUFFERS + rx.used->ring[entry].id * 2048u;
        assert_int_equal(buffer[10], buffers);
        assert_int_equal(buffer[12], f);
        entry += buffers;
    }
    assert_int_equal(rx.used->idx, entry);
    // A frame longer than any is an end, and so is a closed socket.
    assert_int_equal(write(pair[1], "\xff\xff\xff\xff", 4), 4);
    net_receive(&net, &interrupt);
    assert_true(net.backend_ended);
}

static void test_passt_end(void **state)
{
    (void)state;
    bool interrupt = false;
    driver_desc(&rx, 0, BUFFERS, 2048, VRING_DESC_F_WRITE, 0);
    driver_put(&rx, 0);
    close(pair[1]);
    pair[1] = -1;
    assert_int_equal(net_receive(&net, &interrupt), 0);
    assert_true(net.backend_ended);
}

// Fill the socket until it blocks, then drain it: every frame arrives whole and in order.
static void test_passt_send(void **state)
{
    (void)state;
    static uint8_t all[4000000];
    uint32_t at = 0, frames = 0, taken = 0;
    for (int i = 0; i < 600; i++) {
        bool interrupt = false;
        uint16_t used = tx.used->idx;
        uint32_t id = htonl(frames);
        memcpy(ram + BUFFERS + 12, &id, 4);
        driver_desc(&tx, 0, BUFFERS, 5, VRING_DESC_F_NEXT, 1); // the header is cut
        driver_desc(&tx, 1, BUFFERS + 5, 1507, 0, 0);
        if (taken == frames) {
            driver_put(&tx, 0);
            frames++;
        }
        net_transmit(&net, &interrupt);
        taken += (uint16_t)(tx.used->idx - used);
        if (i % 7 == 0 || taken != frames) {
            ssize_t n = read(pair[1], all + at, i % 3 ? 40001 : 300000);
            at += n > 0 ? (uint32_t)n : 0;
        }
    }
    for (ssize_t n; (n = read(pair[1], all + at, 100000)) > 0 || backend.send_pending;) {
        bool interrupt = false;
        at += n > 0 ? (uint32_t)n : 0;
        net_transmit(&net, &interrupt);
    }
    assert_true(frames > 100);
    assert_int_equal(at, frames * 1504);
    for (uint32_t f = 0; f < frames; f++) {
        uint32_t len, id;
        memcpy(&len, all + f * 1504, 4);
        memcpy(&id, all + f * 1504 + 4, 4);
        assert_int_equal(ntohl(len), 1500);
        assert_int_equal(ntohl(id), f);
    }
}

// What would reach the host's own loopback services does not reach passt.
static void test_passt_loopback(void **state)
{
    (void)state;
    static const struct {
        uint8_t type[2];
        unsigned at;
        uint8_t to[16];
        bool passes;
    } cases[] = {
        {{0x08, 0x00}, 30, {127, 0, 0, 1}, false},
        {{0x08, 0x00}, 30, {127, 9, 8, 7}, false},
        {{0x08, 0x00}, 30, {0, 0, 0, 0}, false},
        {{0x08, 0x00}, 30, {192, 0, 2, 1}, true},
        {{0x86, 0xdd}, 38, {[15] = 1}, false},
        {{0x86, 0xdd}, 38, {[10] = 0xff, 0xff, 127, 0, 0, 1}, false},
        {{0x86, 0xdd}, 38, {0xfd, [15] = 1}, true},
        {{0x08, 0x06}, 30, {127, 0, 0, 1}, true},
    };
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        bool interrupt = false;
        uint8_t got[200];
        uint8_t *frame = ram + BUFFERS + 12;
        memset(frame, 0, 60);
        memcpy(frame + 12, cases[i].type, 2);
        memcpy(frame + cases[i].at, cases[i].to, 16);
        driver_desc(&tx, 0, BUFFERS, 72, 0, 0);
        driver_put(&tx, 0);
        net_transmit(&net, &interrupt);
        ssize_t n = recv(pair[1], got, sizeof(got), MSG_DONTWAIT);
        assert_int_equal(n, cases[i].passes ? 64 : -1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_layout, start_fake),
        cmocka_unit_test_setup(test_transmit, start_fake),
        cmocka_unit_test_setup(test_event_index, start_fake),
        cmocka_unit_test_setup(test_wrap, start_fake),
        cmocka_unit_test_setup(test_receive_merged, start_fake),
        cmocka_unit_test_setup(test_receive_many, start_fake),
        cmocka_unit_test_setup(test_hostile, start_fake),
        cmocka_unit_test_setup_teardown(test_passt_receive, start_passt, stop_passt),
        cmocka_unit_test_setup_teardown(test_passt_end, start_passt, stop_passt),
        cmocka_unit_test_setup_teardown(test_passt_send, start_passt, stop_passt),
        cmocka_unit_test_setup_teardown(test_passt_loopback, start_passt, stop_passt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

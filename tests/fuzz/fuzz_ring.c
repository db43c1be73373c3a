// SPDX-License-Identifier: ISC
// links: host/monitor/virtq.c host/monitor/net.c host/monitor/guest_mem.c
// The network device against a guest that writes anything into its rings at any time. The input is
// a list of steps: write bytes somewhere in the queues, move packets, let a packet arrive.
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "monitor/monitor.h"

#define RAM       (128u * 1024)
#define QUEUE_GPA 0x1000

static uint8_t *ram, *root;
static uint32_t waiting; // length of the packet that has arrived

void warn(const char *format, ...)
{
    (void)format;
}

static long receive(struct net_backend *b, const struct iovec *iov, int count)
{
    (void)b;
    uint32_t len = waiting, done = 0;
    waiting = 0;
    if (len == 0)
        return -EAGAIN;
    for (int i = 0; i < count && done < len; i++) {
        size_t n = len - done < iov[i].iov_len ? len - done : iov[i].iov_len;
        memset(iov[i].iov_base, 0xa5, n);
        done += (uint32_t)n;
    }
    return (long)len;
}

static int transmit(struct net_backend *b, const struct iovec *iov, int count, uint32_t len)
{
    (void)b;
    uint64_t total = 0;
    for (int i = 0; i < count; i++) {
        const uint8_t *bytes = iov[i].iov_base;
        total += iov[i].iov_len;
        (void)*(const volatile uint8_t *)&bytes[0];
        (void)*(const volatile uint8_t *)&bytes[iov[i].iov_len - 1];
    }
    if (total != len)
        abort();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (!ram) { // from malloc, so that ASan guards both ends
        ram = malloc(RAM);
        root = malloc(PAGE_SIZE);
        memset(root, 0, PAGE_SIZE);
    }
    const struct guest_mem mem = {
        .count = 2, .region = {{0, RAM, ram, true}, {4 * GIB, PAGE_SIZE, root, false}}};
    static struct net_device net;
    static struct lith_stats_io stats;
    struct net_backend backend = {.mtu = 1500, .receive = receive, .send = transmit};
    const uint8_t mac[6] = {2};
    struct lith_dev dev = {0};
    memset(ram, 0, RAM);
    waiting = 0;
    net_describe(&backend, mac, QUEUE_GPA, &dev);
    if (!net_init(&net, &backend, &mem, &dev, &stats))
        abort();
    // A receive ring in good order, so that the input soon gets beyond the first check.
    for (uint16_t i = 0; i < 16; i++) {
        struct {
            uint64_t addr;
            uint32_t len;
            uint16_t flags, next;
        } desc = {0x10000 + i * 2048u, 2048, 2, 0};
        memcpy(ram + dev.queue[0].desc_gpa + 16 * i, &desc, sizeof desc);
        memcpy(ram + dev.queue[0].avail_gpa + 4 + 2 * i, &i, 2);
    }
    ram[dev.queue[0].avail_gpa + 2] = 16;

    while (len >= 5) {
        bool interrupt = false;
        uint8_t op = data[0];
        uint32_t a = (uint32_t)(data[1] | data[2] << 8), n = data[4] & 31;
        const struct lith_dev_queue *q = &dev.queue[op >> 7];
        data += 4;
        len -= 4;
        switch (op & 7) {
        case 0:   // descriptors
        case 1:   // available ring
        case 2: { // anywhere in the queues
            uint64_t at = (op & 7) == 0   ? q->desc_gpa + a % (16 * NET_QUEUE_SIZE)
                          : (op & 7) == 1 ? q->avail_gpa + a % (6 + 2 * NET_QUEUE_SIZE)
                                          : QUEUE_GPA + a % (2 * virtq_bytes(NET_QUEUE_SIZE));
            data++;
            len--;
            n = n < len ? n : (uint32_t)len;
            memcpy(ram + at, data, n);
            data += n;
            len -= n;
            break;
        }
        case 3:
            waiting = a;
            if (net_receive(&net, &interrupt) < 0)
                return 0;
            break;
        case 4:
            waiting = 65000 + a % 600;
            if (net_receive(&net, &interrupt) < 0)
                return 0;
            break;
        case 5:
            if (net_transmit(&net, &interrupt) < 0)
                return 0;
            break;
        default:
            virtq_enable_notify(op >> 7 ? &net.tx : &net.rx);
        }
    }
    return 0;
}

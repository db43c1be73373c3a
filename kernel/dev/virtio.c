// SPDX-License-Identifier: ISC
// Split virtqueues and the two ways to find a device: configured beforehand by our monitor
// (abi/boot.h), or behind virtio-mmio registers (virtio 1.2, section 4.2), which other VMMs offer.
#include <asm/errno.h>
#include "dev/virtio.h"
#include "abi/boot.h"

// virtio-mmio registers, as indices of 32-bit words.
#define MMIO_VERSION       (0x004 / 4)
#define MMIO_DEVICE_ID     (0x008 / 4)
#define MMIO_DEV_FEATURES  (0x010 / 4)
#define MMIO_DEV_FEAT_SEL  (0x014 / 4)
#define MMIO_DRV_FEATURES  (0x020 / 4)
#define MMIO_DRV_FEAT_SEL  (0x024 / 4)
#define MMIO_QUEUE_SEL     (0x030 / 4)
#define MMIO_QUEUE_NUM_MAX (0x034 / 4)
#define MMIO_QUEUE_NUM     (0x038 / 4)
#define MMIO_QUEUE_READY   (0x044 / 4)
#define MMIO_QUEUE_NOTIFY  (0x050 / 4)
#define MMIO_INT_STATUS    (0x060 / 4)
#define MMIO_INT_ACK       (0x064 / 4)
#define MMIO_STATUS        (0x070 / 4)
#define MMIO_QUEUE_DESC    (0x080 / 4)
#define MMIO_QUEUE_DRIVER  (0x090 / 4)
#define MMIO_QUEUE_DEVICE  (0x0a0 / 4)
#define MMIO_CONFIG        0x100
#define STATUS_ACKNOWLEDGE 1
#define STATUS_DRIVER      2
#define STATUS_DRIVER_OK   4
#define STATUS_FEATURES_OK 8

bool virtio_dev_open(unsigned i, uint32_t id, uint64_t want, struct virtio_dev *out)
{
    const struct plat_dev *p = &plat_info.dev[i];
    memset(out, 0, sizeof(*out));
    out->vectors = p->vector ? 1ull << (p->vector - 0x20) : 0;
    out->id = id;
    out->config = out->config_copy;
    out->config_len = sizeof(out->config_copy);
    if (p->ready) {
        if (p->ready->virtio_id != id)
            return false;
        out->features = p->ready->features;
        if (out->features & ~(want | VIRTIO_F_VERSION_1)) {
            log_error("virtio device %u: the monitor chose features %lx, the driver knows %lx", id,
                      (unsigned long)out->features, (unsigned long)want);
            return false;
        }
        memcpy(out->config_copy, p->ready->config, sizeof(out->config_copy));
        return true;
    }
    volatile uint32_t *r = p->mmio;
    if (r[MMIO_DEVICE_ID] != id)
        return false;
    if (r[MMIO_VERSION] != 2) {
        log_error("virtio-mmio device of the legacy kind: start QEMU with -global "
                  "virtio-mmio.force-legacy=false");
        return false;
    }
    r[MMIO_STATUS] = 0;
    r[MMIO_STATUS] = STATUS_ACKNOWLEDGE | STATUS_DRIVER;
    r[MMIO_DEV_FEAT_SEL] = 0;
    uint64_t have = r[MMIO_DEV_FEATURES];
    r[MMIO_DEV_FEAT_SEL] = 1;
    have |= (uint64_t)r[MMIO_DEV_FEATURES] << 32;
    out->features = have & (want | VIRTIO_F_VERSION_1);
    r[MMIO_DRV_FEAT_SEL] = 0;
    r[MMIO_DRV_FEATURES] = (uint32_t)out->features;
    r[MMIO_DRV_FEAT_SEL] = 1;
    r[MMIO_DRV_FEATURES] = (uint32_t)(out->features >> 32);
    r[MMIO_STATUS] = STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK;
    if (!(r[MMIO_STATUS] & STATUS_FEATURES_OK)) {
        log_error("virtio device %u refused the features %lx", id, (unsigned long)out->features);
        return false;
    }
    out->mmio = r;
    const volatile uint8_t *c = (const volatile uint8_t *)r + MMIO_CONFIG;
    for (unsigned k = 0; k < sizeof(out->config_copy); k++)
        out->config_copy[k] = c[k];
    return true;
}

static void notify_mmio(struct virtq *q)
{
    q->mmio[MMIO_QUEUE_NOTIFY] = q->index;
}

static void notify_doorbell(struct virtq *q)
{
    plat_doorbell(q->doorbell, q->index);
}

static void virtq_reset(struct virtq *q)
{
    for (unsigned i = 0; i < q->size; i++)
        q->chain_next[i] = (uint16_t)(i + 1);
    q->free_count = (uint16_t)q->size;
}

// Allocates the three parts in one block: descriptors, avail, used (alignments 16, 2, 4).
static int allocate_rings(struct virtq *q)
{
    size_t avail_at = q->size * sizeof(struct virtq_desc),
           used_at = ALIGN_UP(avail_at + 6 + 2 * q->size, 64ul);
    size_t bytes = used_at + 6 + q->size * sizeof(struct virtq_used_elem);
    unsigned order = 0;
    while (PAGE_SIZE << order < bytes)
        order++;
    uint64_t pa = page_alloc(order, PAGE_ZERO);
    if (!pa)
        return -ENOMEM;
    char *base = pa_to_va(pa);
    q->desc = (void *)base;
    q->avail = (void *)(base + avail_at);
    q->used = (void *)(base + used_at);
    return 0;
}

static void set_address(volatile uint32_t *r, unsigned reg, volatile void *p)
{
    uint64_t pa = (uintptr_t)p - LITH_DIRECT_BASE;
    r[reg] = (uint32_t)pa;
    r[reg + 1] = (uint32_t)(pa >> 32);
}

int virtio_queue_init(struct virtio_dev *d, unsigned plat_index, unsigned index, unsigned size,
                      struct virtq *q)
{
    memset(q, 0, sizeof(*q));
    q->index = (uint16_t)index;
    q->event_idx = d->features & VIRTIO_F_EVENT_IDX;
    if (!d->mmio) {
        const struct lith_dev *r = plat_info.dev[plat_index].ready;
        if (index >= r->queue_count || index >= LITH_DEV_QUEUES_MAX)
            return -ENODEV;
        const struct lith_dev_queue *lq = &r->queue[index];
        if (!lq->size || lq->size > VIRTQ_SIZE_MAX || (lq->size & (lq->size - 1)))
            return -EINVAL;
        q->size = lq->size;
        q->desc = pa_to_va(lq->desc_gpa);
        q->avail = pa_to_va(lq->avail_gpa);
        q->used = pa_to_va(lq->used_gpa);
        q->doorbell = lq->doorbell;
        q->notify = notify_doorbell;
        virtq_reset(q);
        return 0;
    }
    volatile uint32_t *r = d->mmio;
    r[MMIO_QUEUE_SEL] = index;
    unsigned max = r[MMIO_QUEUE_NUM_MAX];
    if (!max || r[MMIO_QUEUE_READY])
        return -ENODEV;
    q->size = MIN(size, max);
    if (q->size > VIRTQ_SIZE_MAX || (q->size & (q->size - 1)))
        return -EINVAL;
    int e = allocate_rings(q);
    if (e)
        return e;
    r[MMIO_QUEUE_NUM] = q->size;
    set_address(r, MMIO_QUEUE_DESC, q->desc);
    set_address(r, MMIO_QUEUE_DRIVER, q->avail);
    set_address(r, MMIO_QUEUE_DEVICE, q->used);
    r[MMIO_QUEUE_READY] = 1;
    q->mmio = r;
    q->notify = notify_mmio;
    virtq_reset(q);
    return 0;
}

void virtio_dev_ready(struct virtio_dev *d)
{
    if (d->mmio)
        d->mmio[MMIO_STATUS] =
            STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK | STATUS_DRIVER_OK;
}

void virtio_dev_ack(struct virtio_dev *d)
{
    if (d->mmio) {
        uint32_t status = d->mmio[MMIO_INT_STATUS];
        if (status)
            d->mmio[MMIO_INT_ACK] = status;
    }
}

bool virtq_add(struct virtq *q, const struct virtq_buf *bufs, unsigned n, void *cookie)
{
    if (n == 0 || n > q->free_count)
        return false;
    uint16_t head = q->free_head, i = head;
    for (unsigned k = 0; k < n; k++) {
        uint16_t next = q->chain_next[i];
        q->desc[i].addr = bufs[k].pa;
        q->desc[i].len = bufs[k].len;
        q->desc[i].flags = (uint16_t)((bufs[k].device_writes ? VIRTQ_DESC_WRITE : 0) |
                                      (k + 1 < n ? VIRTQ_DESC_NEXT : 0));
        q->desc[i].next = k + 1 < n ? next : 0;
        i = next;
    }
    q->free_head = i;
    q->free_count = (uint16_t)(q->free_count - n);
    q->cookie[head] = cookie;
    q->chain_len[head] = (uint16_t)n;
    q->avail[2 + (q->avail_idx & (q->size - 1))] = head;
    q->avail_idx++;
    return true;
}

void virtq_kick(struct virtq *q)
{
    uint16_t from = q->kicked_idx, to = q->avail_idx;
    if (from == to)
        return;
    __atomic_thread_fence(__ATOMIC_RELEASE);
    q->avail[1] = to;
    __atomic_thread_fence(__ATOMIC_SEQ_CST); // publish, then look whether the device sleeps
    q->kicked_idx = to;
    bool wanted;
    if (q->event_idx) { // virtio 1.2, section 2.7.10
        uint16_t event = q->used[2 + 4 * q->size];
        wanted = (uint16_t)(to - event - 1) < (uint16_t)(to - from);
    } else {
        wanted = !(q->used[0] & 1);
    }
    if (wanted)
        q->notify(q);
}

bool virtq_has_used(const struct virtq *q)
{
    return q->used[1] != q->used_idx;
}

void *virtq_take(struct virtq *q, uint32_t *written)
{
    if (!virtq_has_used(q))
        return NULL;
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    volatile struct virtq_used_elem *ring =
        (volatile struct virtq_used_elem *)(volatile void *)(q->used + 2);
    uint32_t id = ring[q->used_idx & (q->size - 1)].id, len = ring[q->used_idx & (q->size - 1)].len;
    q->used_idx++;
    if (id >= q->size || !q->cookie[id])
        panic("virtio: the device returned descriptor %u, which it does not own", id);
    void *cookie = q->cookie[id];
    q->cookie[id] = NULL;
    unsigned n = q->chain_len[id];
    // The chain's own links are intact (chain_next of its members was not touched): append the free
    // list.
    uint16_t last = (uint16_t)id;
    for (unsigned k = 1; k < n; k++)
        last = q->chain_next[last];
    q->chain_next[last] = q->free_head;
    q->free_head = (uint16_t)id;
    q->free_count = (uint16_t)(q->free_count + n);
    if (written)
        *written = len;
    return cookie;
}

void virtq_interrupts(struct virtq *q, bool on)
{
    if (q->event_idx)
        q->avail[2 + q->size] =
            on ? q->used_idx : (uint16_t)(q->used_idx - 1); // far behind: never reached
    else
        q->avail[0] = on ? 0 : VIRTQ_NO_INTERRUPT;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

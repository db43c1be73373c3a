// SPDX-License-Identifier: ISC
// The device's side of a split virtqueue (virtio 1.2, 2.7). The guest may write any byte of it at
// any time: every value is loaded once, checked, and only the copy is used. A chain can be at most
// as long as VIRTQ_CHAIN_MAX, so a loop in the table ends.
#include <errno.h>

#include <linux/virtio_ring.h>
#include <string.h>
#include "monitor/monitor.h"

// Guest memory is shared with a running CPU: single loads and stores, ordered where the peer looks.
static uint16_t load16(const uint8_t *at, int order)
{
    const uint16_t *p = (const uint16_t *)(const void *)at;
    return order == __ATOMIC_ACQUIRE ? __atomic_load_n(p, __ATOMIC_ACQUIRE)
                                     : __atomic_load_n(p, __ATOMIC_RELAXED);
}

static void store16(uint8_t *at, uint16_t value)
{
    __atomic_store_n((uint16_t *)(void *)at, value, __ATOMIC_RELEASE);
}

static uint8_t *avail_idx(const struct virtq *r)
{
    return r->avail + 2;
}
static uint8_t *avail_entry(const struct virtq *r, uint16_t i)
{
    return r->avail + 4 + 2u * (i & (r->size - 1));
}
static uint8_t *used_event(const struct virtq *r) // the guest's: interrupt me at this one
{
    return r->avail + 4 + 2u * r->size;
}
static uint8_t *used_idx(const struct virtq *r)
{
    return r->used + 2;
}
static uint8_t *used_entry(const struct virtq *r, uint16_t i)
{
    return r->used + 4 + 8u * (i & (r->size - 1));
}
static uint8_t *avail_event(const struct virtq *r) // ours: ring the doorbell at this one
{
    return r->used + 4 + 8u * r->size;
}

static uint64_t desc_bytes(uint16_t size)
{
    return 16ull * size;
}
static uint64_t avail_bytes(uint16_t size)
{
    return 6 + 2ull * size;
}
static uint64_t used_bytes(uint16_t size)
{
    return 6 + 8ull * size;
}

uint64_t virtq_bytes(uint16_t size)
{
    return round_up(desc_bytes(size) + round_up(avail_bytes(size), 4) + used_bytes(size),
                    PAGE_SIZE);
}

void virtq_layout(gpa_t gpa, uint16_t size, struct lith_dev_queue *out)
{
    out->size = size;
    out->desc_gpa = gpa;
    out->avail_gpa = gpa + desc_bytes(size);
    out->used_gpa = round_up(out->avail_gpa + avail_bytes(size), 4);
}

bool virtq_init(struct virtq *r, const struct guest_mem *mem, const struct lith_dev_queue *queue)
{
    memset(r, 0, sizeof *r);
    r->mem = mem;
    r->size = queue->size;
    r->desc = guest_mem_ptr(mem, queue->desc_gpa, desc_bytes(r->size), true);
    r->avail = guest_mem_ptr(mem, queue->avail_gpa, avail_bytes(r->size), true);
    r->used = guest_mem_ptr(mem, queue->used_gpa, used_bytes(r->size), true);
    return r->desc && r->avail && r->used;
}

bool virtq_has_work(const struct virtq *r)
{
    return load16(avail_idx(r), __ATOMIC_ACQUIRE) != r->last_avail;
}

int virtq_pop(struct virtq *r, bool device_writes, struct virtq_chain *chain)
{
    uint16_t waiting = (uint16_t)(load16(avail_idx(r), __ATOMIC_ACQUIRE) - r->last_avail);
    if (waiting == 0)
        return 0;
    if (waiting > r->size)
        return -EINVAL;
    uint16_t index = load16(avail_entry(r, r->last_avail), __ATOMIC_RELAXED);
    chain->head = index;
    chain->count = 0;
    chain->len = 0;
    for (;;) {
        struct vring_desc desc;
        if (index >= r->size || chain->count == VIRTQ_CHAIN_MAX)
            return -EINVAL;
        memcpy(&desc, r->desc + 16u * index, sizeof desc);
        __asm__ volatile("" ::: "memory"); // the copy is what is used from here
        if (!!(desc.flags & VRING_DESC_F_WRITE) != device_writes ||
            (desc.flags & VRING_DESC_F_INDIRECT))
            return -EINVAL;
        void *host = guest_mem_ptr(r->mem, desc.addr, desc.len, device_writes);
        if (!host || desc.len > UINT32_MAX - chain->len)
            return -EINVAL;
        chain->iov[chain->count++] = (struct iovec){host, desc.len};
        chain->len += desc.len;
        if (!(desc.flags & VRING_DESC_F_NEXT))
            break;
        index = desc.next;
    }
    r->last_avail++;
    return 1;
}

void virtq_push(struct virtq *r, uint16_t head, uint32_t len)
{
    const struct vring_used_elem elem = {.id = head, .len = len};
    memcpy(used_entry(r, r->used_idx), &elem, sizeof elem);
    r->used_idx++;
}

bool virtq_publish(struct virtq *r)
{
    uint16_t from = r->signalled;
    if (from == r->used_idx)
        return false;
    store16(used_idx(r), r->used_idx);
    r->signalled = r->used_idx;
    // The guest stores used_event, then looks at used->idx; we store used->idx, then look at
    // used_event.
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return vring_need_event(load16(used_event(r), __ATOMIC_RELAXED), r->used_idx, from);
}

bool virtq_enable_notify(struct virtq *r)
{
    store16(avail_event(r), r->last_avail);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return virtq_has_work(r);
}

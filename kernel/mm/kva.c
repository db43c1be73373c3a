// SPDX-License-Identifier: ISC
// Kernel virtual memory: guarded stacks and large mapped objects, in the range that starts at
// LITH_KVA_BASE, from a place in it that is random per boot. Stacks: equal slots of a guard page
// and a stack, so that each stack has an unmapped page below and above. Objects: above the stacks,
// in order of address, each followed by an unmapped page.
#include "mm/internal.h"

#define SLOT_SIZE   (KSTACK_SIZE + PAGE_SIZE)
#define STACK_PAGES (KSTACK_SIZE / PAGE_SIZE)

struct kva_object {
    struct list_head link; // by address
    uint64_t start, len;
};

static spinlock_t lock = SPINLOCK_INIT;
static uint64_t stacks;                        // guard page of slot 0
static uint64_t slot_used[MM_KSTACK_MAX / 64]; // bit: has a stack, perhaps a cached one
static uint32_t cached[MM_KSTACK_CACHE];       // slots whose stack is mapped and unused
static unsigned cached_count;
static struct list_head objects;
static uint64_t objects_base;

static void *slot_stack(unsigned slot)
{
    return (void *)(uintptr_t)(stacks + slot * SLOT_SIZE + PAGE_SIZE);
}

// Unmaps and frees pages mapped from [va, va+len).
static void kva_unmap(uint64_t va, uint64_t len)
{
    struct page_batch batch = {0};
    uint64_t end = va + len, pa;
    unsigned prot;
    for (uint64_t at = plat_next_mapped(va, end); at < end;
         at = plat_next_mapped(at + PAGE_SIZE, end))
        if (plat_query(at, &pa, &prot))
            page_batch_unref(&batch, pa);
    plat_unmap(va, len);
    page_batch_free(&batch);
}

static bool kva_map(uint64_t va, uint64_t len, unsigned flags)
{
    for (uint64_t at = va; at < va + len; at += PAGE_SIZE) {
        uint64_t pa = page_alloc(0, flags);
        if (!pa || plat_map(at, pa, PAGE_SIZE, PLAT_READ | PLAT_WRITE)) {
            if (pa)
                page_free(pa, 0);
            kva_unmap(va, at - va);
            return false;
        }
    }
    return true;
}

static void slot_release(unsigned slot)
{
    kva_unmap((uint64_t)(uintptr_t)slot_stack(slot), KSTACK_SIZE);
    slot_used[slot / 64] &= ~(1ull << slot % 64);
}

void *kstack_alloc(void)
{
    unsigned slot = 0;
    spin_lock(&lock);
    if (cached_count) {
        slot = cached[--cached_count];
        spin_unlock(&lock);
        return slot_stack(slot);
    }
    while (slot < MM_KSTACK_MAX && slot_used[slot / 64] == UINT64_MAX)
        slot += 64;
    if (slot == MM_KSTACK_MAX) {
        spin_unlock(&lock);
        return NULL;
    }
    slot += (unsigned)__builtin_ctzll(~slot_used[slot / 64]);
    slot_used[slot / 64] |= 1ull << slot % 64;
    spin_unlock(&lock);
    void *base = slot_stack(slot);
    uint64_t va = (uint64_t)(uintptr_t)base;
    // One block if there is one: one call, and neighbouring page table entries at once.
    uint64_t pa = page_alloc(__builtin_ctzl(STACK_PAGES), 0);
    if (pa && plat_map(va, pa, KSTACK_SIZE, PLAT_READ | PLAT_WRITE) == 0)
        return base;
    if (pa)
        page_free(pa, __builtin_ctzl(STACK_PAGES));
    if (kva_map(va, KSTACK_SIZE, 0))
        return base;
    spin_lock(&lock);
    slot_used[slot / 64] &= ~(1ull << slot % 64);
    spin_unlock(&lock);
    return NULL;
}

void kstack_free(void *base)
{
    uint64_t off = (uint64_t)(uintptr_t)base - stacks - PAGE_SIZE;
    unsigned slot = (unsigned)(off / SLOT_SIZE);
    if (off % SLOT_SIZE || off / SLOT_SIZE >= MM_KSTACK_MAX ||
        !(slot_used[slot / 64] >> slot % 64 & 1))
        panic("kstack_free: %p is not a kernel stack", base);
    for (unsigned i = 0; i < cached_count; i++)
        if (cached[i] == slot)
            panic("kstack_free: %p is free already", base);
    spin_lock(&lock);
    if (cached_count < MM_KSTACK_CACHE)
        cached[cached_count++] = slot;
    else
        slot_release(slot);
    spin_unlock(&lock);
}

bool kstack_is_guard(uint64_t addr)
{
    uint64_t off = addr - stacks;
    return off <= (uint64_t)MM_KSTACK_MAX * SLOT_SIZE + PAGE_SIZE - 1 &&
           off % SLOT_SIZE < PAGE_SIZE;
}

static size_t shrink_stacks(size_t pages)
{
    size_t freed = 0;
    if (lock.locked)
        return 0;
    spin_lock(&lock);
    while (cached_count && freed < pages) {
        slot_release(cached[--cached_count]);
        freed += STACK_PAGES;
    }
    spin_unlock(&lock);
    return freed;
}

void *kva_alloc(size_t bytes)
{
    uint64_t len = ALIGN_UP(bytes, PAGE_SIZE), at = objects_base;
    struct kva_object *o = kmalloc(sizeof(*o));
    if (!o)
        return NULL;
    spin_lock(&lock);
    struct list_head *before = &objects;
    list_for_each (n, &objects) { // first gap that fits with its guard page
        struct kva_object *x = list_entry(n, struct kva_object, link);
        if (x->start - at >= len + PAGE_SIZE) {
            before = n;
            break;
        }
        at = x->start + x->len + PAGE_SIZE;
    }
    bool room = LITH_KVA_BASE + LITH_KVA_SIZE - at > len + PAGE_SIZE;
    if (room) {
        *o = (struct kva_object){.start = at, .len = len};
        list_add_tail(&o->link, before);
    }
    spin_unlock(&lock);
    if (room && kva_map(at, len, PAGE_ZERO)) {
        heap_pages += len >> PAGE_SHIFT;
        return (void *)(uintptr_t)at;
    }
    if (room) {
        spin_lock(&lock);
        list_del(&o->link);
        spin_unlock(&lock);
    }
    kfree(o);
    return NULL;
}

static struct kva_object *kva_find(const void *p)
{
    list_for_each (n, &objects) {
        struct kva_object *o = list_entry(n, struct kva_object, link);
        if (o->start == (uint64_t)(uintptr_t)p)
            return o;
    }
    return NULL;
}

bool kva_free(void *p)
{
    spin_lock(&lock);
    struct kva_object *o = kva_find(p);
    spin_unlock(&lock);
    if (!o)
        return false;
    kva_unmap(o->start, o->len);
    spin_lock(&lock);
    list_del(&o->link);
    spin_unlock(&lock);
    heap_pages -= o->len >> PAGE_SHIFT;
    kfree(o);
    return true;
}

size_t kva_size(const void *p)
{
    spin_lock(&lock);
    struct kva_object *o = kva_find(p);
    spin_unlock(&lock);
    if (!o)
        panic("krealloc: %p is not a heap object", p);
    return o->len;
}

void kva_init(void)
{
    // A quarter of the range holds every possible start of the stacks; objects lie in the upper
    // half.
    stacks = LITH_KVA_BASE + (random_u64() % (LITH_KVA_SIZE / 4) & ~(PAGE_SIZE - 1));
    objects_base = LITH_KVA_BASE + LITH_KVA_SIZE / 2;
    list_init(&objects);
    mm_add_shrinker(shrink_stacks);
}

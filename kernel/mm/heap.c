// SPDX-License-Identifier: ISC
// The kernel heap. Small objects come from slabs: runs of pages cut into objects of one size, whose
// bitmap of free objects lies elsewhere, so that an overflow never reaches what the heap believes,
// and a double or foreign free is seen at once. Large objects are whole pages; above the largest
// block they are mapped page by page (kva.c). Debug builds add a red zone behind each object and
// junk in free ones.
#include "mm/internal.h"

struct slab {
    struct list_head link; // in its class's list while an object is free
    struct heap_class *class;
    char *base;
    uint16_t free, total;
    uint64_t free_bits[MM_SLAB_OBJECTS / 64];
};
struct heap_class {
    spinlock_t lock;
    uint32_t size, order, reciprocal; // reciprocal: ceil(2^32 / size)
    struct list_head slabs;           // those with free objects
    unsigned empty;                   // of them, without any used object
};

// From 64 up multiples of 64, so that powers of two are aligned to 64.
static const uint16_t sizes[] = {16,  32,  48,  64,  96,   128,  192,  256,  320,        384,
                                 448, 512, 640, 768, 1024, 1280, 1536, 2048, MM_SLAB_MAX};
static struct heap_class classes[ARRAY_LEN(sizes)];
// Index into sizes[] by size in units of 16, rounded up.
static const uint8_t class_of[MM_SLAB_MAX / 16 + 1] = {
    [0 ... 1] = 0,    [2] = 1,          [3] = 2,           [4] = 3,           [5 ... 6] = 4,
    [7 ... 8] = 5,    [9 ... 12] = 6,   [13 ... 16] = 7,   [17 ... 20] = 8,   [21 ... 24] = 9,
    [25 ... 28] = 10, [29 ... 32] = 11, [33 ... 40] = 12,  [41 ... 48] = 13,  [49 ... 64] = 14,
    [65 ... 80] = 15, [81 ... 96] = 16, [97 ... 128] = 17, [129 ... 192] = 18};
static spinlock_t meta_lock = SPINLOCK_INIT;
static struct list_head meta_free; // unused struct slabs
uint64_t heap_pages;

#define RED_ZONE   16u // at least: fill, then 8 bytes of the size asked for
#define RED_FILL   0xbd
#define DEAD_FILL  0x6b
#define SIZE_MAGIC 0x9e3779b97f4a7c15ull

void heap_init(void)
{
    list_init(&meta_free);
    for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
        struct heap_class *k = &classes[i];
        k->size = sizes[i];
        k->reciprocal = (uint32_t)(((1ull << 32) + k->size - 1) / k->size);
        // Eight objects at least: one page up to 512 bytes, four pages at 2 KiB.
        k->order = k->size <= 512 ? 0 : k->size <= 1024 ? 1 : 2;
        list_init(&k->slabs);
    }
}

static struct slab *meta_alloc(void)
{
    static struct slab *fresh; // of the newest page: never used yet
    static unsigned fresh_count;
    spin_lock(&meta_lock);
    struct slab *s = NULL;
    if (!list_empty(&meta_free)) {
        s = list_first(&meta_free, struct slab, link);
        list_del(&s->link);
    } else if (!fresh_count) {
        uint64_t pa = page_alloc(0, 0);
        if (pa) {
            heap_pages++;
            fresh = pa_to_va(pa);
            fresh_count = PAGE_SIZE / sizeof(*s);
        }
    }
    if (!s && fresh_count) {
        fresh_count--;
        s = fresh++;
    }
    spin_unlock(&meta_lock);
    return s;
}

static void meta_release(struct slab *s)
{
    s->class = NULL;
    spin_lock(&meta_lock);
    list_add(&s->link, &meta_free);
    spin_unlock(&meta_lock);
}

static bool class_grow(struct heap_class *k)
{
    struct slab *s = meta_alloc();
    uint64_t pa = s ? page_alloc(k->order, 0) : 0;
    if (!pa) {
        if (s)
            meta_release(s);
        return false;
    }
    s->class = k;
    s->base = pa_to_va(pa);
    s->total = s->free = (uint16_t)((PAGE_SIZE << k->order) / k->size);
    for (unsigned i = 0; i < ARRAY_LEN(s->free_bits); i++) {
        unsigned left = s->total > 64 * i ? s->total - 64 * i : 0;
        s->free_bits[i] = left >= 64 ? UINT64_MAX : (1ull << left) - 1;
    }
    struct page *p = page_of(pa);
    for (unsigned i = 0; i < 1u << k->order; i++) {
        p[i].state = PG_SLAB;
        p[i].owner = s;
    }
    if (MM_DEBUG)
        memset(s->base, DEAD_FILL, PAGE_SIZE << k->order);
    heap_pages += 1u << k->order;
    list_add(&s->link, &k->slabs);
    k->empty++;
    return true;
}

static void slab_release(struct slab *s)
{
    unsigned order = s->class->order;
    uint64_t pa = va_to_pa(s->base);
    struct page *p = page_of(pa);
    for (unsigned i = 0; i < 1u << order; i++)
        p[i].state = PG_USED;
    heap_pages -= 1u << order;
    page_free(pa, order);
    meta_release(s);
}

// --- debug: [object][RED_FILL ...][size asked for ^ magic] fills the class's size ---
static void red_set(char *p, size_t n, size_t size)
{
    uint64_t word = n ^ SIZE_MAGIC;
    for (size_t i = 0; i < size; i++)
        if ((uint8_t)p[i] != DEAD_FILL)
            panic("kmalloc: object %p was written after it was freed (offset %lu)", (void *)p, i);
    memset(p + n, RED_FILL, size - n - 8);
    memcpy(p + size - 8, &word, 8);
}

static size_t red_check(const char *p, size_t size)
{
    uint64_t n;
    memcpy(&n, p + size - 8, 8);
    n ^= SIZE_MAGIC;
    if (n > size - RED_ZONE)
        panic("kfree: object %p was written beyond its end (size lost)", (const void *)p);
    for (size_t i = n; i < size - 8; i++)
        if ((uint8_t)p[i] != RED_FILL)
            panic("kfree: object %p of %lu bytes was written beyond its end (offset %lu)",
                  (const void *)p, (unsigned long)n, (unsigned long)i);
    return n;
}

// --- large objects: contiguous pages ---
static void *large_alloc(size_t n, unsigned flags)
{
    uint64_t pages = ALIGN_UP(n, PAGE_SIZE) >> PAGE_SHIFT;
    unsigned order = 0;
    if (pages > 1ul << PAGE_ORDER_MAX)
        return kva_alloc(n);
    while (1ul << order < pages)
        order++;
    uint64_t pa = page_alloc(order, flags);
    if (!pa)
        return NULL;
    struct page *p = page_of(pa);
    p->state = PG_LARGE;
    p->count = pages;
    heap_pages += pages;
    for (uint64_t i = pages; i < 1ul << order; i++) // what rounding up took too much
        page_free(pa + i * PAGE_SIZE, 0);
    return pa_to_va(pa);
}

static void large_free(void *obj, struct page *p)
{
    uint64_t pa = va_to_pa(obj), pages = p->count;
    p->state = PG_USED;
    heap_pages -= pages;
    while (pages) { // as the blocks that alignment allows
        unsigned order = 0;
        while (order < PAGE_ORDER_MAX && 2ul << order <= pages &&
               IS_ALIGNED(pa, PAGE_SIZE << (order + 1)))
            order++;
        page_free(pa, order);
        pa += PAGE_SIZE << order;
        pages -= 1ul << order;
    }
}

void *kmalloc(size_t n)
{
    size_t room = n;
    if (unlikely(n > MM_SLAB_MAX))
        return n > LITH_KVA_SIZE / 2 ? NULL : large_alloc(n, 0);
    if (MM_DEBUG) { // alignment of powers of two kept
        room = n >= 64 && (n & (n - 1)) == 0 ? ALIGN_UP(n + RED_ZONE, 64) : n + RED_ZONE;
        if (room > MM_SLAB_MAX)
            return large_alloc(n, 0);
    }
    struct heap_class *k = &classes[class_of[(room + 15) / 16]];
    spin_lock(&k->lock);
    if (unlikely(list_empty(&k->slabs)) && !class_grow(k)) {
        spin_unlock(&k->lock);
        return NULL;
    }
    struct slab *s = list_first(&k->slabs, struct slab, link);
    unsigned w = 0;
    while (!s->free_bits[w])
        w++;
    unsigned i = w * 64 + (unsigned)__builtin_ctzll(s->free_bits[w]);
    s->free_bits[w] &= s->free_bits[w] - 1;
    if (s->free == s->total)
        k->empty--;
    if (--s->free == 0)
        list_del(&s->link);
    spin_unlock(&k->lock);
    char *p = s->base + (size_t)i * k->size;
    if (MM_DEBUG)
        red_set(p, n, k->size);
    return p;
}

void *kzalloc(size_t n)
{
    if (n > MM_SLAB_MAX && n <= PAGE_SIZE << PAGE_ORDER_MAX)
        return large_alloc(n, PAGE_ZERO);
    void *p = kmalloc(n);
    if (p && n <= MM_SLAB_MAX) // mapped ones (kva.c) come zeroed
        memset(p, 0, n);
    return p;
}

static struct page *heap_page(const void *p, const char *who)
{
    uint64_t va = (uint64_t)(uintptr_t)p;
    struct page *pg = NULL;
    if (va >= LITH_DIRECT_BASE && va < LITH_DIRECT_BASE + LITH_DIRECT_SIZE)
        pg = page_of(va_to_pa(p));
    if (!pg || (pg->state != PG_SLAB && (pg->state != PG_LARGE || !IS_ALIGNED(va, PAGE_SIZE))))
        panic("%s: %p is not a heap object%s", who, p,
              pg && pg->state != PG_SLAB && pg->state != PG_LARGE && pg->state != PG_USED
                  ? " (freed already?)"
                  : "");
    return pg;
}

// Index of the object in its slab; panics if p is not the start of one in use.
static unsigned slab_index(const struct slab *s, const void *p, const char *who)
{
    size_t off = (size_t)((const char *)p - s->base);
    unsigned i = (unsigned)(((uint64_t)off * s->class->reciprocal) >> 32);
    if (unlikely((size_t)i * s->class->size != off || i >= s->total))
        panic("%s: %p points into a heap object, not at its start", who, p);
    if (unlikely(s->free_bits[i / 64] >> i % 64 & 1))
        panic("%s: heap object %p is free already (double free)", who, p);
    return i;
}

static bool is_kva(const void *p)
{
    uint64_t va = (uint64_t)(uintptr_t)p;
    return va >= LITH_KVA_BASE && va < LITH_KVA_BASE + LITH_KVA_SIZE;
}

void kfree(void *p)
{
    if (!p)
        return;
    if (unlikely(is_kva(p))) {
        if (!kva_free(p))
            panic("kfree: %p is not a heap object", p);
        return;
    }
    struct page *pg = heap_page(p, "kfree");
    if (unlikely(pg->state == PG_LARGE)) {
        large_free(p, pg);
        return;
    }
    struct slab *s = pg->owner;
    struct heap_class *k = s->class;
    unsigned i = slab_index(s, p, "kfree");
    if (MM_DEBUG) {
        red_check(p, k->size);
        memset(p, DEAD_FILL, k->size);
    }
    spin_lock(&k->lock);
    s->free_bits[i / 64] |= 1ull << i % 64;
    if (s->free++ == 0)
        list_add(&s->link, &k->slabs);
    struct slab *drop = NULL;
    if (s->free == s->total &&
        k->empty++) { // one empty slab stays, so that a pair of calls is cheap
        k->empty--;
        list_del(&s->link);
        drop = s;
    }
    spin_unlock(&k->lock);
    if (drop)
        slab_release(drop);
}

static size_t heap_size(const void *p)
{
    if (is_kva(p))
        return kva_size(p);
    struct page *pg = heap_page(p, "krealloc");
    if (pg->state == PG_LARGE)
        return pg->count << PAGE_SHIFT;
    const struct slab *s = pg->owner;
    slab_index(s, p, "krealloc");
    return MM_DEBUG ? red_check(p, s->class->size) : s->class->size;
}

void *krealloc(void *p, size_t n)
{
    if (!p)
        return kmalloc(n);
    size_t old = heap_size(p);
    // Kept while it fits and does not waste half of a large object.
    if (!MM_DEBUG && n <= old && (old <= PAGE_SIZE || n > old / 2))
        return p;
    void *q = kmalloc(n);
    if (!q)
        return NULL;
    memcpy(q, p, MIN(old, n));
    kfree(p);
    return q;
}

char *kstrdup(const char *s)
{
    size_t n = strlen(s) + 1;
    char *p = kmalloc(n);
    return p ? memcpy(p, s, n) : NULL;
}

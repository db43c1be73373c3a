// SPDX-License-Identifier: ISC
// Physical pages. A buddy allocator over the free RAM of the machine, with a struct page for each
// page and links kept there, never in the pages themselves. RAM that was never handed out is not on
// any list: each range has a high-water mark, and blocks come from above it only when the lists are
// empty. So start-up writes nothing per page, and a page that nobody used was never touched, which
// the host notices. A free block remembers whether it is known to hold zeroes.
#include "mm/internal.h"

struct page_range {
    uint64_t first, end; // page numbers; [first, end) is managed
    uint64_t next;       // high-water mark: pages from here were never handed out
    struct page *pages;  // of first
};
struct page_cache {
    unsigned count;
    uint32_t page[MM_PAGE_CACHE];
};

static struct page_range ranges[PLAT_MEM_MAX];
static unsigned range_count;
static spinlock_t lock = SPINLOCK_INIT; // everything below except the caches
static uint32_t free_list[PAGE_ORDER_MAX + 1];
static unsigned free_orders; // bit: the list of this order is not empty
static uint64_t total_pages, free_pages;
static struct page_cache caches[MM_CPU_MAX]; // each its CPU's own; kernel code is not preempted
static size_t (*shrinkers[8])(size_t);
static unsigned shrinker_count;
static bool shrinking;

struct page *page_of(uint64_t pa)
{
    uint64_t pfn = pa >> PAGE_SHIFT;
    for (unsigned i = 0; i < range_count; i++)
        if (pfn - ranges[i].first < ranges[i].next - ranges[i].first)
            return &ranges[i].pages[pfn - ranges[i].first];
    return NULL;
}

static struct page *page_at(uint32_t pfn)
{
    return page_of((uint64_t)pfn << PAGE_SHIFT);
}

static void list_push(uint32_t pfn, struct page *p, unsigned order, bool zero)
{
    uint32_t head = free_list[order];
    p->state = PG_FREE;
    p->order = (uint8_t)order;
    p->zero = zero;
    p->prev = 0;
    p->next = head;
    if (head)
        page_at(head)->prev = pfn;
    free_list[order] = pfn;
    free_orders |= 1u << order;
}

static void list_take(struct page *p)
{
    if (p->prev)
        page_at(p->prev)->next = p->next;
    else if (!(free_list[p->order] = p->next))
        free_orders &= ~(1u << p->order);
    if (p->next)
        page_at(p->next)->prev = p->prev;
    p->state = PG_FREE_TAIL;
}

// Gives a block back and joins it with free buddies. The pages' states are PG_FREE_TAIL.
static void buddy_free(uint64_t pfn, unsigned order, bool zero)
{
    struct page_range *r = ranges;
    while (pfn - r->first >= r->next - r->first)
        r++;
    free_pages += 1ul << order;
    plat_stats->free_pages = free_pages;
    for (; order < PAGE_ORDER_MAX; order++) {
        uint64_t buddy = pfn ^ (1ul << order);
        if (buddy < r->first || buddy + (1ul << order) > r->next)
            break;
        struct page *b = &r->pages[buddy - r->first];
        if (b->state != PG_FREE || b->order != order)
            break;
        list_take(b);
        zero = zero && b->zero;
        pfn &= ~(1ul << order);
    }
    list_push((uint32_t)pfn, &r->pages[pfn - r->first], order, zero);
}

// Moves the high-water mark over a block. What alignment skips becomes free.
static uint64_t carve(unsigned order, bool *zero)
{
    for (unsigned i = 0; i < range_count; i++) {
        struct page_range *r = &ranges[i];
        uint64_t pfn = ALIGN_UP(r->next, 1ul << order), skipped = r->next;
        if (pfn + (1ul << order) > r->end)
            continue;
        r->next = pfn + (1ul << order);
        if (plat_info.ram_mark)
            __atomic_store_n(plat_info.ram_mark, r->next << PAGE_SHIFT, __ATOMIC_RELAXED);
        for (uint64_t n = skipped; n < r->next; n++)
            r->pages[n - r->first] = (struct page){.state = PG_FREE_TAIL};
        free_pages -= r->next - skipped; // buddy_free counts the skipped ones again
        plat_stats->free_pages = free_pages;
        while (skipped < pfn) {
            unsigned o = (unsigned)__builtin_ctzl(skipped);
            o = MIN(o, (unsigned)PAGE_ORDER_MAX);
            while (skipped + (1ul << o) > pfn)
                o--;
            buddy_free(skipped, o, plat_info.ram_zeroed);
            skipped += 1ul << o;
        }
        *zero = plat_info.ram_zeroed;
        return pfn;
    }
    return 0;
}

static uint64_t buddy_alloc(unsigned order, bool *zero)
{
    unsigned fit = free_orders >> order << order;
    if (fit) {
        unsigned o = (unsigned)__builtin_ctz(fit);
        uint32_t pfn = free_list[o];
        struct page *p = page_at(pfn);
        *zero = p->zero;
        list_take(p);
        while (o-- > order)
            list_push(pfn + (1u << o), p + (1u << o), o, *zero);
        free_pages -= 1ul << order;
        plat_stats->free_pages = free_pages;
        return pfn;
    }
    return carve(order, zero);
}

static struct page_cache *cache(void)
{
    return &caches[this_cpu()->id % MM_CPU_MAX];
}

static void cache_drain(struct page_cache *c, unsigned keep)
{
    spin_lock(&lock);
    while (c->count > keep) {
        uint32_t pfn = c->page[--c->count];
        struct page *p = page_at(pfn);
        p->state = PG_FREE_TAIL;
        buddy_free(pfn, 0, p->zero);
    }
    spin_unlock(&lock);
}

// Some pages at once: most of what one allocation costs is finding a block.
static void cache_fill(struct page_cache *c)
{
    bool zero;
    spin_lock(&lock);
    uint64_t pfn = buddy_alloc(MM_PAGE_CACHE_FILL, &zero);
    spin_unlock(&lock);
    if (!pfn)
        return;
    struct page *p = page_at((uint32_t)pfn);
    for (unsigned i = 1u << MM_PAGE_CACHE_FILL; i-- > 0;) { // the lowest goes out first
        p[i].state = PG_CACHED;
        p[i].zero = zero;
        p[i].ahead = false;
        c->page[c->count++] = (uint32_t)pfn + i;
    }
}

static uint64_t free_now(void)
{
    return free_pages + cache()->count;
}

bool page_plenty(uint64_t pages)
{
    return free_now() >= (total_pages >> MM_PLENTY_SHIFT) + MM_RESERVE_PAGES + pages;
}

static bool shrink(size_t pages)
{
    size_t freed = 0;
    if (shrinking)
        return false;
    shrinking = true;
    for (unsigned i = 0; i < shrinker_count && freed < pages; i++)
        freed += shrinkers[i](pages - freed);
    shrinking = false;
    return freed > 0;
}

static struct page *take(unsigned order, unsigned flags, uint64_t *pfn, bool *zero)
{
    struct page_cache *c = cache();
    if ((flags & PAGE_USER) && free_now() < MM_RESERVE_PAGES + (1ul << order))
        return NULL;
    if (order == 0 && !c->count)
        cache_fill(c);
    if (order == 0 && c->count) {
        *pfn = c->page[--c->count];
        struct page *p = page_at((uint32_t)*pfn);
        *zero = p->zero;
        return p;
    }
    spin_lock(&lock);
    *pfn = buddy_alloc(order, zero);
    spin_unlock(&lock);
    if (!*pfn && order && c->count) {
        cache_drain(c, 0); // single pages may be what keeps a block apart
        spin_lock(&lock);
        *pfn = buddy_alloc(order, zero);
        spin_unlock(&lock);
    }
    return *pfn ? page_at((uint32_t)*pfn) : NULL;
}

uint64_t page_alloc(unsigned order, unsigned flags)
{
    bool zero;
    uint64_t pfn;
    ASSERT(order <= PAGE_ORDER_MAX);
    struct page *p = take(order, flags, &pfn, &zero);
    if (!p && shrink(MAX(1ul << order, 32ul)))
        p = take(order, flags, &pfn, &zero);
    if (!p)
        return 0;
    uint64_t pa = pfn << PAGE_SHIFT;
    for (size_t i = 0; i < 1ul << order; i++)
        p[i] = (struct page){.refs = 1, .state = PG_USED};
    if ((flags & PAGE_ZERO) && !zero)
        memset(pa_to_va(pa), 0, PAGE_SIZE << order);
    return pa;
}

uint64_t page_alloc_ahead(void)
{
    return page_plenty(1) ? page_alloc(0, PAGE_USER | PAGE_ZERO) : 0;
}

static void free_single(uint64_t pa, struct page *p)
{
    struct page_cache *c = cache();
    if (MM_DEBUG)
        memset(pa_to_va(pa), 0x5a, PAGE_SIZE);
    if (c->count == MM_PAGE_CACHE)
        cache_drain(c, MM_PAGE_CACHE / 2);
    p->state = PG_CACHED;
    p->zero = false;
    p->ahead = false;
    c->page[c->count++] = (uint32_t)(pa >> PAGE_SHIFT);
}

void page_free(uint64_t pa, unsigned order)
{
    struct page *p = page_of(pa);
    if (!p || !IS_ALIGNED(pa, PAGE_SIZE << order) || order > PAGE_ORDER_MAX)
        panic("page_free: %lx (order %u) is not a page of RAM", (unsigned long)pa, order);
    for (size_t i = 0; i < 1ul << order; i++) {
        if (p[i].state != PG_USED)
            panic("page_free: page %lx is %s", (unsigned long)(pa + i * PAGE_SIZE),
                  p[i].state >= PG_SLAB ? "the heap's" : "free already");
        p[i].refs = 0;
        p[i].state = PG_FREE_TAIL;
    }
    if (order == 0) {
        free_single(pa, p);
        return;
    }
    if (MM_DEBUG)
        memset(pa_to_va(pa), 0x5a, PAGE_SIZE << order);
    spin_lock(&lock);
    buddy_free(pa >> PAGE_SHIFT, order, false);
    spin_unlock(&lock);
}

void page_ref(uint64_t pa)
{
    struct page *p = page_of(pa);
    if (!p)
        return;
    ASSERT(p->state == PG_USED && p->refs && p->refs < UINT32_MAX);
    __atomic_fetch_add(&p->refs, 1, __ATOMIC_RELAXED);
}

void page_unref(uint64_t pa)
{
    struct page *p = page_of(pa);
    if (!p)
        return;
    if (p->state != PG_USED || !p->refs)
        panic("page_unref: page %lx is free already", (unsigned long)pa);
    if (__atomic_sub_fetch(&p->refs, 1, __ATOMIC_ACQ_REL) == 0)
        free_single(pa & ~(PAGE_SIZE - 1), p);
}

unsigned page_refs(uint64_t pa)
{
    struct page *p = page_of(pa);
    return p ? p->refs : UINT32_MAX; // the root file: shared with every instance on the host
}

void page_batch_unref(struct page_batch *b, uint64_t pa)
{
    struct page *p = page_of(pa);
    b->pages++;
    if (!p)
        return;
    if (p->state != PG_USED || !p->refs)
        panic("page_unref: page %lx is free already", (unsigned long)pa);
    if (__atomic_sub_fetch(&p->refs, 1, __ATOMIC_ACQ_REL) == 0) {
        p->next = b->first;
        b->first = (uint32_t)(pa >> PAGE_SHIFT);
    }
}

void page_batch_free(struct page_batch *b)
{
    for (uint32_t pfn = b->first, next; pfn; pfn = next) {
        struct page *p = page_at(pfn);
        next = p->next;
        free_single((uint64_t)pfn << PAGE_SHIFT, p);
    }
    *b = (struct page_batch){0};
}

void mm_stats(struct mm_stats *out)
{
    uint64_t cached = 0;
    for (unsigned i = 0; i < MM_CPU_MAX; i++)
        cached += caches[i].count;
    *out = (struct mm_stats){total_pages, free_pages + cached, heap_pages << PAGE_SHIFT,
                             mm_fault_count, mm_ahead_count};
}

void mm_add_shrinker(size_t (*fn)(size_t pages))
{
    ASSERT(shrinker_count < ARRAY_LEN(shrinkers));
    shrinkers[shrinker_count++] = fn;
}

// The array of a range's struct pages takes the range's first pages; its entries are written when
// the high-water mark passes them.
void page_init(void)
{
    for (unsigned i = 0; i < plat_info.ram_count; i++) {
        uint64_t start = ALIGN_UP(plat_info.ram[i].start, PAGE_SIZE);
        uint64_t end = ALIGN_DOWN(plat_info.ram[i].start + plat_info.ram[i].len, PAGE_SIZE);
        end = MIN(end, (uint64_t)LITH_DIRECT_SIZE);
        start = MAX(start, (uint64_t)PAGE_SIZE); // physical 0 means "none"
        if (end <= start)
            continue;
        uint64_t pages = (end - start) >> PAGE_SHIFT;
        uint64_t array = ALIGN_UP(pages * sizeof(struct page), PAGE_SIZE) >> PAGE_SHIFT;
        if (pages <= array)
            continue;
        struct page_range *r = &ranges[range_count++];
        r->pages = pa_to_va(start);
        r->first = r->next = (start >> PAGE_SHIFT) + array;
        r->end = end >> PAGE_SHIFT;
        total_pages += r->end - r->first;
    }
    free_pages = plat_stats->free_pages = plat_stats->total_pages = total_pages;
    if (!total_pages)
        panic("the machine gave no memory");
}

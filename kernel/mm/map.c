// SPDX-License-Identifier: ISC
// mmap, munmap and mprotect as the kernel knows them, and the start of mm. Each call checks
// everything, gets the memory it needs, and then cannot fail half-way.
#include "mm/internal.h"

#define MAP_KINDS (MAP_SHARED | MAP_PRIVATE | MAP_GROWSDOWN | MAP_NORESERVE | MAP_STACK)

struct mm_space *mm_current;

static uint64_t table_page_alloc(void)
{
    return page_alloc(0, PAGE_ZERO);
}
static void table_page_free(uint64_t pa)
{
    page_free(pa, 0);
}

int mm_init(void)
{
    page_init();
    heap_init();
    plat_set_page_source(table_page_alloc, table_page_free);
    kva_init();
    mm_add_shrinker(mm_reclaim_ahead);
    report_describe = mm_describe;
    return 0;
}
INIT_RECORD_ALWAYS(INIT_MM, mm_init);

struct mm_space *mm_space_create(void)
{
    struct mm_space *s = kzalloc(sizeof(*s));
    if (!s)
        return NULL;
    uint64_t random = random_u64() & ((1ull << MM_MMAP_RANDOM_BITS) - 1);
    s->mmap_top = LITH_USER_END - ((random + 1) << PAGE_SHIFT);
    s->hint = s->mmap_top;
    if (!mm_current)
        mm_current = s;
    return s;
}

void mm_space_destroy(struct mm_space *s)
{
    spin_lock(&s->lock);
    space_unmap_locked(s, LITH_USER_MIN, LITH_USER_END);
    space_unlock(s);
    if (mm_current == s)
        mm_current = NULL;
    kfree(s);
}

void mm_allow_wx(struct mm_space *s, bool allow)
{
    s->allow_wx = allow;
}

bool range_ok(uint64_t addr, uint64_t len)
{
    return IS_ALIGNED(addr | len, PAGE_SIZE) && addr >= LITH_USER_MIN && addr <= LITH_USER_END &&
           len <= LITH_USER_END - addr;
}

uint64_t space_zap(struct mm_space *s, uint64_t start, uint64_t end)
{
    struct page_batch batch = {0};
    uint64_t pa, first = end, last = start;
    unsigned prot;
    for (uint64_t va = plat_next_mapped(start, end); va < end;
         va = plat_next_mapped(va + PAGE_SIZE, end)) {
        if (!plat_query(va, &pa, &prot))
            continue;
        page_batch_unref(&batch, pa);
        first = MIN(first, va);
        last = va + PAGE_SIZE;
    }
    uint64_t pages = batch.pages;
    if (pages)
        plat_unmap(first, last - first);
    page_batch_free(&batch);
    s->resident -= pages;
    return pages;
}

// Cuts areas so that one begins at start and one at end, where any covers these. 0 or -ENOMEM.
static int split_at_ends(struct mm_space *s, uint64_t start, uint64_t end)
{
    struct vm_area *a = area_find(s, start);
    if (a && a->start < start && !(a = area_split(s, a, start)))
        return -ENOMEM;
    a = area_find(s, end);
    if (a && a->start < end && !area_split(s, a, end)) {
        area_merge_around(s, start, start);
        return -ENOMEM;
    }
    return 0;
}

int space_unmap_locked(struct mm_space *s, uint64_t start, uint64_t end)
{
    int rc = split_at_ends(s, start, end);
    if (rc)
        return rc;
    struct vm_area *below = start ? area_find(s, start - 1) : NULL;
    if (below && below->end == start && below->lazy) {
        below->lazy = false; // what ld.so left of the whole is its first segment
        fault_map_ahead(s, below, below->start, below->end);
    }
    for (struct vm_area *a = area_find(s, start), *next; a && a->start < end; a = next) {
        next = area_next(a);
        space_zap(s, a->start, a->end);
        area_unlink(s, a);
    }
    s->sequence++;
    return 0;
}

// Checks mm_map's arguments: 0 or Linux's error. *len is rounded up to pages.
static int map_check(struct mm_space *s, uint64_t addr, uint64_t *len, int prot, int flags,
                     uint64_t off)
{
    int type = flags & MAP_TYPE;
    bool fixed = flags & (MAP_FIXED | MAP_FIXED_NOREPLACE);
    if (type != MAP_SHARED && type != MAP_PRIVATE && type != MAP_SHARED_VALIDATE)
        return -EINVAL;
    if (*len == 0 || !IS_ALIGNED(off, PAGE_SIZE))
        return -EINVAL;
    if (*len > LITH_USER_END)
        return -ENOMEM;
    *len = ALIGN_UP(*len, PAGE_SIZE);
    if (off + *len < off)
        return -EOVERFLOW;
    if (prot & ~(PROT_READ | PROT_WRITE | PROT_EXEC | PROT_SEM))
        return -EINVAL;
    if ((prot & PROT_WRITE) && (prot & PROT_EXEC) && !s->allow_wx)
        return -EACCES;
    if (fixed && !IS_ALIGNED(addr, PAGE_SIZE))
        return -EINVAL;
    if (fixed && (addr > LITH_USER_END || *len > LITH_USER_END - addr))
        return -ENOMEM;
    if (fixed && addr < LITH_USER_MIN)
        return -EPERM; // as Linux below vm.mmap_min_addr
    return 0;
}

static long map_locked(struct mm_space *s, uint64_t addr, uint64_t len, int flags,
                       struct vm_area *a)
{
    if (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) {
        if ((flags & MAP_FIXED_NOREPLACE) && !area_range_free(s, addr, addr + len))
            return -EEXIST;
        int rc = space_unmap_locked(s, addr, addr + len);
        if (rc)
            return rc;
    } else {
        long at = area_find_gap(s, addr, len);
        if (at < 0)
            return at;
        addr = (uint64_t)at;
    }
    a->start = addr;
    a->end = addr + len;
    area_link(s, a);
    // ld.so first maps the whole span of a library, and then its segments over that with MAP_FIXED.
    // Pages mapped at the first step would only be replaced, with a TLB flush each time: so a new
    // place of some size waits until the next step, or the first fault.
    a->lazy =
        a->obj && area_private(a) && !(flags & MAP_FIXED) && len > MM_FAULT_AROUND * PAGE_SIZE;
    if (!a->lazy)
        fault_map_ahead(s, a, a->start, a->end);
    area_merge_around(s, addr, addr + len);
    return (long)addr;
}

long mm_map(struct mm_space *s, uint64_t addr, uint64_t len, int prot, int flags,
            struct vm_object *obj, uint64_t off)
{
    int rc = map_check(s, addr, &len, prot, flags, off);
    ASSERT(s == mm_current); // one space at a time has page tables
    if (rc)
        return rc;
    if (flags & MAP_ANONYMOUS) {
        obj = NULL;
        off = 0;
        if ((flags & MAP_TYPE) != MAP_PRIVATE && !(obj = shm_object_create(len >> PAGE_SHIFT)))
            return -ENOMEM;
    } else if (!obj) {
        return -EBADF;
    } else {
        obj->ops->ref(obj);
    }
    spin_lock(&s->lock);
    struct vm_area *a = area_new(s);
    long at = -ENOMEM;
    if (a) {
        a->off = off;
        a->obj = obj;
        a->prot = prot & (PROT_READ | PROT_WRITE | PROT_EXEC);
        a->flags = (flags & (MAP_KINDS | MM_MAP_NOWRITE) & ~MAP_TYPE) |
                   ((flags & MAP_TYPE) == MAP_PRIVATE ? MAP_PRIVATE : MAP_SHARED);
        at = map_locked(s, addr, len, flags, a);
    }
    space_unlock(s);
    if (at < 0) {
        kfree(a);
        if (obj)
            obj->ops->unref(obj);
        return at;
    }
    if (flags & (MAP_POPULATE | MAP_LOCKED)) // as Linux: what cannot be populated faults later
        mm_populate(s, (uint64_t)at, len, (prot & PROT_WRITE) && (flags & MAP_TYPE) == MAP_PRIVATE);
    return at;
}

int mm_unmap(struct mm_space *s, uint64_t addr, uint64_t len)
{
    if (!IS_ALIGNED(addr, PAGE_SIZE) || len == 0 || len > LITH_USER_END)
        return -EINVAL;
    len = ALIGN_UP(len, PAGE_SIZE);
    if (addr > LITH_USER_END || len > LITH_USER_END - addr)
        return -EINVAL;
    spin_lock(&s->lock);
    int rc = space_unmap_locked(s, addr, addr + len);
    space_unlock(s);
    return rc;
}

// Gives the translations of [start, end) in area a the rights that they should have now.
static void reprotect(struct vm_area *a, uint64_t start, uint64_t end)
{
    uint64_t run = start, run_end = start, pa; // [run, run_end): pages that get `run_rights`
    unsigned now, run_rights = 0;
    for (uint64_t va = plat_next_mapped(start, end); va < end;
         va = plat_next_mapped(va + PAGE_SIZE, end)) {
        if (!plat_query(va, &pa, &now))
            continue;
        unsigned want = fault_rights(a, pa, now);
        if (want == now)
            continue;
        if (run_end == run || want != run_rights || va != run_end) {
            if (run_end > run)
                plat_protect(run, run_end - run, run_rights);
            run = va;
            run_rights = want;
        }
        run_end = va + PAGE_SIZE;
    }
    if (run_end > run)
        plat_protect(run, run_end - run, run_rights);
}

int mm_protect(struct mm_space *s, uint64_t addr, uint64_t len, int prot)
{
    if (!IS_ALIGNED(addr, PAGE_SIZE) || (prot & ~(PROT_READ | PROT_WRITE | PROT_EXEC | PROT_SEM)))
        return -EINVAL;
    if (len == 0)
        return 0;
    if (len > LITH_USER_END || addr > LITH_USER_END ||
        ALIGN_UP(len, PAGE_SIZE) > LITH_USER_END - addr)
        return -ENOMEM;
    if ((prot & PROT_WRITE) && (prot & PROT_EXEC) && !s->allow_wx)
        return -EACCES;
    prot &= PROT_READ | PROT_WRITE | PROT_EXEC;
    uint64_t end = addr + ALIGN_UP(len, PAGE_SIZE), at = addr;
    int rc = 0;
    spin_lock(&s->lock);
    for (struct vm_area *a = area_find(s, addr); a && a->start <= at && at < end;
         a = area_next(a)) {
        if ((prot & PROT_WRITE) && (a->flags & MM_MAP_NOWRITE) && !area_private(a))
            rc = -EACCES;
        at = a->end;
    }
    if (at < end)
        rc = -ENOMEM;
    if (!rc)
        rc = split_at_ends(s, addr, end);
    for (struct vm_area *a = rc ? NULL : area_find(s, addr); a && a->start < end;
         a = area_next(a)) {
        bool opened = !(a->prot & PROT_WRITE) && (prot & PROT_WRITE);
        if (a->prot == prot)
            continue;
        a->prot = prot;
        s->sequence++;
        reprotect(a, a->start, a->end);
        if (opened && !a->obj)
            fault_map_ahead(s, a, a->start, a->end);
    }
    area_merge_around(s, addr, end);
    space_unlock(s);
    return rc;
}

void mm_invalidate_object(struct vm_object *o, uint64_t pgoff, uint64_t n)
{
    struct mm_space *s = mm_current;
    if (!s)
        return;
    spin_lock(&s->lock);
    for (struct vm_area *a = area_find(s, 0); a; a = area_next(a)) {
        if (a->obj != o)
            continue;
        uint64_t first = a->off >> PAGE_SHIFT, last = first + area_pages(a);
        uint64_t from = MAX(first, pgoff), to = pgoff + n < pgoff ? last : MIN(last, pgoff + n);
        if (from < to)
            space_zap(s, a->start + ((from - first) << PAGE_SHIFT),
                      a->start + ((to - first) << PAGE_SHIFT));
    }
    s->sequence++;
    spin_unlock(&s->lock);
}

void mm_replace_page(struct vm_object *o, uint64_t pgoff, uint64_t old_pa)
{
    struct mm_space *s = mm_current;
    if (!s)
        return;
    spin_lock(&s->lock);
    for (struct vm_area *a = area_find(s, 0); a; a = area_next(a)) {
        uint64_t first = a->off >> PAGE_SHIFT, pa;
        unsigned prot;
        if (a->obj != o || pgoff < first || pgoff - first >= area_pages(a))
            continue;
        uint64_t va = a->start + ((pgoff - first) << PAGE_SHIFT);
        if (plat_query(va, &pa, &prot) && ALIGN_DOWN(pa, PAGE_SIZE) == old_pa)
            space_zap(s, va, va + PAGE_SIZE);
    }
    s->sequence++;
    spin_unlock(&s->lock);
}

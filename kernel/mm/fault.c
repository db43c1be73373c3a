// SPDX-License-Identifier: ISC
// Page faults: anonymous pages, file pages mapped as they are, copy on write, and the work done
// ahead of need, because a fault costs more than mapping what comes next. The page tables are the
// only record of what is mapped; struct page's count tells a private copy (1) from a page that
// others use, too.
#include "mm/internal.h"

uint64_t mm_fault_count, mm_ahead_count;

static unsigned area_rights(const struct vm_area *a)
{
    unsigned rights = 0;
    if (a->prot & (PROT_READ | PROT_WRITE | PROT_EXEC)) // x86 has no write or execute without read
        rights |= PLAT_READ;
    if (a->prot & PROT_WRITE)
        rights |= PLAT_WRITE;
    if (a->prot & PROT_EXEC)
        rights |= PLAT_EXEC;
    return rights;
}

unsigned fault_rights(const struct vm_area *a, uint64_t pa, unsigned now)
{
    unsigned rights = area_rights(a);
    if (area_private(a))
        return page_refs(pa) == 1 ? rights : rights & ~PLAT_WRITE;
    // Shared: writable once the object has been told of a write (get_page).
    return shm_is(a->obj) || (now & PLAT_WRITE) ? rights : rights & ~PLAT_WRITE;
}

static bool rights_allow(unsigned rights, bool write, bool exec)
{
    return (rights & PLAT_READ) && (!write || (rights & PLAT_WRITE)) &&
           (!exec || (rights & PLAT_EXEC));
}

static int map_page(struct mm_space *s, uint64_t va, uint64_t pa, unsigned rights, bool present)
{
    int rc = plat_map(va, pa, PAGE_SIZE, rights);
    if (rc == 0 && !present)
        s->resident++;
    return rc;
}

// Anonymous pages for the holes in [start, end), as long as memory is plenty.
static void anon_ahead(struct mm_space *s, struct vm_area *a, uint64_t start, uint64_t end)
{
    unsigned rights = area_rights(a), now;
    uint64_t pa;
    for (uint64_t va = start; va < end; va += PAGE_SIZE) {
        if (plat_query(va, &pa, &now))
            continue;
        pa = page_alloc_ahead();
        if (!pa)
            return;
        struct page *p = page_of(pa);
        p->ahead = true;
        mm_ahead_count++;
        if (map_page(s, va, pa, rights, false)) {
            page_unref(pa);
            return;
        }
    }
}

static void clip_around(const struct vm_area *a, uint64_t va, uint64_t *start, uint64_t *end)
{
    *start = MAX(a->start, ALIGN_DOWN(va, MM_FAULT_AROUND * PAGE_SIZE));
    *end = MIN(a->end, ALIGN_DOWN(va, MM_FAULT_AROUND * PAGE_SIZE) + MM_FAULT_AROUND * PAGE_SIZE);
}

// In rising order, so that pages which lie side by side in memory are mapped so.
static int fault_anon(struct mm_space *s, struct vm_area *a, uint64_t va)
{
    uint64_t start, end;
    if (va == a->ahead_end) {
        a->ahead = MIN(a->ahead * 2, (uint64_t)MM_FAULT_AHEAD_MAX);
        start = va;
        end = MIN(a->end, va + a->ahead * PAGE_SIZE);
    } else {
        a->ahead = MM_FAULT_AROUND;
        clip_around(a, va, &start, &end);
    }
    anon_ahead(s, a, start, va);
    uint64_t pa = page_alloc(0, PAGE_ZERO | PAGE_USER);
    if (!pa)
        return -ENOMEM;
    int rc = map_page(s, va, pa, area_rights(a), false);
    if (rc) {
        page_unref(pa);
        return rc;
    }
    a->ahead_end = end;
    anon_ahead(s, a, va + PAGE_SIZE, end);
    return 0;
}

// Maps a private copy of page `old`, whose reference is consumed (unless the copy fails and `old`
// is what is mapped there: present).
static int copy_page(struct mm_space *s, struct vm_area *a, uint64_t va, uint64_t old, bool present)
{
    uint64_t pa = page_alloc(0, PAGE_USER);
    int rc = -ENOMEM;
    if (pa) {
        memcpy(pa_to_va(pa), pa_to_va(old), PAGE_SIZE);
        rc = map_page(s, va, pa, area_rights(a), present);
        if (rc)
            page_unref(pa);
    }
    if (rc == 0 || !present) // a translation that stays keeps its reference
        page_unref(old);
    return rc;
}

// Contiguous file pages for the holes of [start, end). Only objects with extents: no references.
static void file_ahead(struct mm_space *s, struct vm_area *a, uint64_t start, uint64_t end)
{
    unsigned rights = area_rights(a) & ~PLAT_WRITE, now;
    uint64_t pa, va = start;
    if (!a->obj->ops->extent || !rights)
        return;
    while (va < end) {
        uint64_t next = plat_next_mapped(va, end);
        if (next == va) {
            va += PAGE_SIZE;
            continue;
        }
        uint64_t run = a->obj->ops->extent(a->obj, area_pgoff(a, va), &pa);
        if (!run)
            return;
        run = MIN(run, (next - va) >> PAGE_SHIFT);
        if (plat_query(va, &pa, &now) || plat_map(va, pa, run << PAGE_SHIFT, rights))
            return;
        s->resident += run;
        mm_ahead_count += run;
        va += run << PAGE_SHIFT;
    }
}

void fault_map_ahead(struct mm_space *s, struct vm_area *a, uint64_t start, uint64_t end)
{
    uint64_t pages = (end - start) >> PAGE_SHIFT, pa;
    if (!area_rights(a))
        return;
    if (!a->obj) {
        if (!(a->prot & PROT_WRITE))
            return;
        if (a->flags & (MAP_STACK | MAP_GROWSDOWN)) // used from its end downwards
            start = end - MIN(pages, (uint64_t)MM_EAGER_STACK_PAGES) * PAGE_SIZE;
        else if (pages > MM_EAGER_ANON_PAGES)
            return;
        anon_ahead(s, a, start, end);
        return;
    }
    if (!a->obj->ops->extent || pages > MM_EAGER_FILE_PAGES)
        return;
    if (area_private(a) && (a->prot & PROT_WRITE) && pages <= MM_EAGER_COPY_PAGES &&
        page_plenty(pages)) {
        for (uint64_t va = start; va < end; va += PAGE_SIZE)
            if (plat_next_mapped(va, va + PAGE_SIZE) != va &&
                a->obj->ops->extent(a->obj, area_pgoff(a, va), &pa) &&
                copy_page(s, a, va, pa, false))
                return;
        return;
    }
    file_ahead(s, a, start, end);
}

// Maps a page of a file or shared object that get_page gave (its reference is consumed). Another
// thread may have mapped something there while get_page slept.
static int map_object_page(struct mm_space *s, struct vm_area *a, uint64_t va, uint64_t pa,
                           bool write)
{
    uint64_t old = 0;
    unsigned now = 0, rights = area_rights(a);
    bool present = plat_query(va, &old, &now);
    if (area_private(a) && write) {
        if (!present)
            return copy_page(s, a, va, pa, false);
        page_unref(pa);
        return now & PLAT_WRITE ? 0 : copy_page(s, a, va, old, true);
    }
    if (area_private(a) || (!write && !shm_is(a->obj)))
        rights &= ~PLAT_WRITE;
    int rc = present && area_private(a) ? 0 : map_page(s, va, pa, rights, present);
    if (rc || (present && area_private(a)))
        page_unref(pa);
    else if (present)
        page_unref(old);
    return rc;
}

// Below a stack that may grow: extends it to addr. The gap to what lies below stays.
static struct vm_area *grow_down(struct mm_space *s, struct vm_area *a, uint64_t addr)
{
    uint64_t start = ALIGN_DOWN(addr, PAGE_SIZE);
    if (!a || !(a->flags & MAP_GROWSDOWN) || a->end - start > MM_STACK_MAX)
        return NULL;
    // A window at once: each growth is a fault.
    uint64_t window = ALIGN_DOWN(addr, MM_FAULT_AROUND * PAGE_SIZE);
    if (window < a->start && a->end - window <= MM_STACK_MAX)
        start = window;
    struct vm_area *below = area_prev(a);
    uint64_t floor = below && below->prot ? below->end + MM_STACK_GAP : below ? below->end : 0;
    if (start < floor)
        start = ALIGN_DOWN(addr, PAGE_SIZE);
    if (start < floor || start < LITH_USER_MIN)
        return NULL;
    s->pages += (a->start - start) >> PAGE_SHIFT;
    s->sequence++;
    if (a->obj)
        a->off -= a->start - start;
    a->start = start;
    return a;
}

// With the lock held; drops it around get_page. -EAGAIN: the space changed meanwhile, look again.
static int fault_object(struct mm_space *s, struct vm_area *a, uint64_t va, bool write)
{
    struct vm_object *o = a->obj;
    uint64_t start, end, pa;
    uint64_t pgoff = area_pgoff(a, va), sequence = s->sequence;
    bool shared_write = !area_private(a) && (write || shm_is(o));
    if (!write && o->ops->extent) {
        clip_around(a, va, &start, &end);
        if (a->lazy && area_pages(a) <= MM_EAGER_FILE_PAGES) { // now it is known to be used
            start = a->start;
            end = a->end;
            a->lazy = false;
        }
        file_ahead(s, a, va, end);
        file_ahead(s, a, start, va);
        if (plat_next_mapped(va, va + PAGE_SIZE) == va)
            return 0;
    }
    o->ops->ref(o);
    space_unlock(s);
    int rc = o->ops->get_page(o, pgoff, shared_write, &pa);
    spin_lock(&s->lock);
    if (rc == 0 && sequence != s->sequence) {
        page_unref(pa);
        rc = -EAGAIN;
    }
    if (rc == 0)
        rc = map_object_page(s, a, va, pa, write);
    spin_unlock(&s->lock);
    o->ops->unref(o);
    spin_lock(&s->lock);
    return rc;
}

static int fault_locked(struct mm_space *s, uint64_t addr, bool write, bool exec)
{
    uint64_t va = ALIGN_DOWN(addr, PAGE_SIZE), pa = 0;
    unsigned now = 0;
    struct vm_area *a = area_find(s, addr);
    if ((!a || a->start > addr) && !(a = grow_down(s, a, addr)))
        return -EFAULT;
    if (!rights_allow(area_rights(a), write, exec))
        return -EACCES;
    if (!plat_query(va, &pa, &now))
        return a->obj ? fault_object(s, a, va, write) : fault_anon(s, a, va);
    if (rights_allow(now, write, exec))
        return 0; // somebody else resolved it
    unsigned rights = fault_rights(a, pa, now);
    if (rights_allow(rights, write, exec))
        return map_page(s, va, pa, rights, true);
    if (area_private(a))
        return copy_page(s, a, va, pa, true);
    return fault_object(s, a, va, write);
}

int mm_fault(struct mm_space *s, uint64_t addr, bool write, bool exec)
{
    int rc;
    if (addr < LITH_USER_MIN || addr >= LITH_USER_END)
        return -EFAULT;
    mm_fault_count++;
    plat_stats->page_faults++;
    do {
        spin_lock(&s->lock);
        do {
            rc = fault_locked(s, addr, write, exec);
        } while (rc == -EAGAIN);
        space_unlock(s);
        // The shrinker could not look at this space while it was locked.
    } while (rc == -ENOMEM && mm_reclaim_ahead(MM_FAULT_AROUND));
    return rc;
}

int mm_populate(struct mm_space *s, uint64_t addr, uint64_t len, bool write)
{
    uint64_t pa, end = addr + len;
    unsigned now;
    if (end < addr)
        return -ENOMEM;
    for (uint64_t va = ALIGN_DOWN(addr, PAGE_SIZE); va < end; va += PAGE_SIZE) {
        if (plat_query(va, &pa, &now) && rights_allow(now, write, false))
            continue;
        int rc = mm_fault(s, va, write, false);
        if (rc)
            return rc;
    }
    return 0;
}

static bool page_is_zero(uint64_t pa)
{
    const uint64_t *word = pa_to_va(pa), *end = word + PAGE_SIZE / sizeof(*word);
    while (word < end && *word == 0)
        word++;
    return word == end;
}

// Under memory pressure: pages that were mapped ahead and are still zero go, whether they were used
// or not. (On several CPUs the translation would have to go before the look.) Dirty bits would tell
// the same, but where KVM shadows the page tables, as below ring 3, clear ones are dear: KVM maps
// the neighbours of a touched page only if they have accessed and dirty set.
size_t mm_reclaim_ahead(size_t pages)
{
    struct mm_space *s = mm_current;
    size_t freed = 0;
    uint64_t pa;
    unsigned now;
    if (!s || s->lock.locked)
        return 0;
    spin_lock(&s->lock);
    for (struct vm_area *a = area_find(s, 0); a && freed < pages; a = area_next(a)) {
        if (a->obj)
            continue;
        uint64_t run = a->start, run_end = run; // pages to go: one TLB flush for all
        for (uint64_t va = plat_next_mapped(a->start, a->end);
             va < a->end && freed + ((run_end - run) >> PAGE_SHIFT) < pages;
             va = plat_next_mapped(va + PAGE_SIZE, a->end)) {
            struct page *p = plat_query(va, &pa, &now) ? page_of(pa) : NULL;
            if (!p || !p->ahead)
                continue;
            p->ahead = page_is_zero(pa);
            if (!p->ahead)
                continue;
            if (va != run_end) {
                freed += space_zap(s, run, run_end);
                run = va;
            }
            run_end = va + PAGE_SIZE;
        }
        freed += space_zap(s, run, run_end);
    }
    spin_unlock(&s->lock);
    return freed;
}

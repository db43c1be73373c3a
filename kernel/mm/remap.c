// SPDX-License-Identifier: ISC
// mremap, madvise, brk, and names of areas.
#include "mm/internal.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

// --- mremap ---

// Moves the translations of [from, from+len) to `to`. -ENOMEM: no page for tables; what was moved
// is moved back by calling it the other way round.
static int move_pages(uint64_t from, uint64_t to, uint64_t len, uint64_t *moved)
{
    uint64_t end = from + len, pa;
    unsigned prot;
    int rc = 0;
    for (uint64_t va = plat_next_mapped(from, end); va < end && !rc;
         va = plat_next_mapped(va + PAGE_SIZE, end)) {
        if (!plat_query(va, &pa, &prot))
            continue;
        rc = plat_map(to + (va - from), pa, PAGE_SIZE, prot);
        if (!rc)
            *moved = va + PAGE_SIZE - from;
    }
    return rc;
}

// Takes the piece [old, old+old_len) of area `a` to the free range at `to`. With the lock held.
static int move_area(struct mm_space *s, struct vm_area *a, uint64_t old, uint64_t old_len,
                     uint64_t to, uint64_t new_len)
{
    uint64_t moved = 0, keep = MIN(old_len, new_len);
    struct vm_area *n = area_new(s);
    if (!n)
        return -ENOMEM;
    if ((a->start < old && !(a = area_split(s, a, old))) ||
        (a->end > old + old_len && !area_split(s, a, old + old_len))) {
        kfree(n);
        return -ENOMEM;
    }
    int rc = move_pages(old, to, keep, &moved);
    if (rc) {
        if (moved)
            plat_unmap(to, moved);
        kfree(n);
        return rc;
    }
    if (moved)
        plat_unmap(old, keep); // their references went along
    *n = *a;
    n->start = to;
    n->end = to + new_len;
    if (n->obj)
        n->obj->ops->ref(n->obj);
    space_zap(s, old, old + old_len); // what a shorter new length left over
    area_unlink(s, a);
    area_link(s, n);
    area_merge_around(s, to, to + new_len);
    return 0;
}

static long remap_locked(struct mm_space *s, uint64_t old, uint64_t old_len, uint64_t new_len,
                         int flags, uint64_t new_addr)
{
    struct vm_area *a = area_find(s, old), *next;
    int rc;
    if (!a || a->start > old)
        return -EFAULT;
    if (flags & MREMAP_FIXED) {
        if (a->end < old + old_len)
            return -EFAULT;
        rc = space_unmap_locked(s, new_addr, new_addr + new_len);
        if (rc)
            return rc;
        a = area_find(s, old); // unmapping may have cut or joined
        rc = move_area(s, a, old, old_len, new_addr, new_len);
        return rc ? rc : (long)new_addr;
    }
    if (old_len >= new_len) {
        rc = old_len > new_len ? space_unmap_locked(s, old + new_len, old + old_len) : 0;
        return rc ? rc : (long)old;
    }
    if (a->end < old + old_len)
        return -EFAULT;
    next = area_next(a);
    if (a->end == old + old_len && old + new_len <= LITH_USER_END &&
        (!next || next->start >= old + new_len)) {
        s->pages += (new_len - old_len) >> PAGE_SHIFT;
        s->sequence++;
        a->end = old + new_len;
        fault_map_ahead(s, a, old + old_len, old + new_len);
        area_merge_around(s, old, old + new_len);
        return (long)old;
    }
    if (!(flags & MREMAP_MAYMOVE))
        return -ENOMEM;
    long to = area_find_gap(s, 0, new_len);
    if (to < 0)
        return to;
    rc = move_area(s, a, old, old_len, (uint64_t)to, new_len);
    return rc ? rc : to;
}

long mm_remap(struct mm_space *s, uint64_t old, uint64_t old_len, uint64_t new_len, int flags,
              uint64_t new_addr)
{
    if (flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED))
        return -EINVAL; // MREMAP_DONTUNMAP too: it needs userfaultfd to be of use
    if ((flags & MREMAP_FIXED) && !(flags & MREMAP_MAYMOVE))
        return -EINVAL;
    if (!IS_ALIGNED(old, PAGE_SIZE) || new_len == 0 || new_len > LITH_USER_END ||
        old_len > LITH_USER_END)
        return -EINVAL;
    old_len = ALIGN_UP(old_len, PAGE_SIZE);
    new_len = ALIGN_UP(new_len, PAGE_SIZE);
    if (old_len == 0) // Linux duplicates shared mappings this way; nobody here needs it
        return -EINVAL;
    if (!range_ok(old, old_len))
        return -EFAULT;
    if (flags & MREMAP_FIXED) {
        if (!range_ok(new_addr, new_len))
            return -EINVAL;
        if (new_addr < old + old_len && old < new_addr + new_len)
            return -EINVAL;
    }
    spin_lock(&s->lock);
    long rc = remap_locked(s, old, old_len, new_len, flags, new_addr);
    space_unlock(s);
    return rc;
}

// --- madvise ---

static int advise_area(struct mm_space *s, struct vm_area *a, uint64_t start, uint64_t end,
                       int advice)
{
    if (advice == MADV_FREE && (a->obj || !area_private(a)))
        return -EINVAL;
    // MADV_FREE lets us drop the pages when we like: at once, since the program may never say so
    // again.
    if (advice == MADV_DONTNEED || advice == MADV_FREE) {
        space_zap(s, start, end);
        s->sequence++;
    } else if (advice == MADV_WILLNEED) {
        fault_map_ahead(s, a, start, end);
    }
    return 0;
}

int mm_advise(struct mm_space *s, uint64_t addr, uint64_t len, int advice)
{
    switch (advice) {
    case MADV_NORMAL:
    case MADV_RANDOM:
    case MADV_SEQUENTIAL:
    case MADV_WILLNEED:
    case MADV_DONTNEED:
    case MADV_FREE:
    case MADV_DONTFORK:
    case MADV_DOFORK:
    case MADV_MERGEABLE:
    case MADV_UNMERGEABLE:
    case MADV_HUGEPAGE:
    case MADV_NOHUGEPAGE:
    case MADV_DONTDUMP:
    case MADV_DODUMP:
    case MADV_COLD:
    case MADV_PAGEOUT:
    case MADV_POPULATE_READ:
    case MADV_POPULATE_WRITE:
        break;
    default: // WIPEONFORK, REMOVE, HWPOISON, ...: a promise that would not be kept
        return -EINVAL;
    }
    if (!IS_ALIGNED(addr, PAGE_SIZE) || len > LITH_USER_END ||
        addr > LITH_USER_END - ALIGN_UP(len, PAGE_SIZE))
        return -EINVAL;
    uint64_t end = addr + ALIGN_UP(len, PAGE_SIZE), at = addr;
    if (advice == MADV_POPULATE_READ || advice == MADV_POPULATE_WRITE) {
        int rc = mm_populate(s, addr, end - addr, advice == MADV_POPULATE_WRITE);
        return rc == -ENXIO ? -EFAULT : rc == -EFAULT ? -ENOMEM : rc == -EACCES ? -EINVAL : rc;
    }
    int rc = 0;
    spin_lock(&s->lock);
    for (struct vm_area *a = area_find(s, addr); a && a->start < end; a = area_next(a)) {
        if (a->start > at)
            rc = -ENOMEM; // goes on with the rest, as Linux does
        int err = advise_area(s, a, MAX(a->start, addr), MIN(a->end, end), advice);
        if (err) {
            rc = err;
            break;
        }
        at = a->end;
    }
    if (!rc && at < end)
        rc = -ENOMEM;
    space_unlock(s);
    return rc;
}

int mm_sync(struct mm_space *s, uint64_t addr, uint64_t len)
{
    uint64_t end = addr + len;
    int rc = 0, err = 0;
    while (addr < end) {
        spin_lock(&s->lock);
        struct vm_area *a = area_find(s, addr);
        if (!a || a->start >= end || a->start > addr)
            err = -ENOMEM;
        if (!a || a->start >= end) {
            spin_unlock(&s->lock);
            break;
        }
        uint64_t from = MAX(a->start, addr), to = MIN(a->end, end), pgoff = area_pgoff(a, from);
        struct vm_object *o = !area_private(a) && a->obj && a->obj->ops->sync ? a->obj : NULL;
        if (o)
            o->ops->ref(o);
        spin_unlock(&s->lock);
        if (o) {
            rc = o->ops->sync(o, pgoff, (to - from) >> PAGE_SHIFT);
            o->ops->unref(o);
        }
        if (rc)
            return rc;
        addr = to;
    }
    return err;
}

// --- brk ---

void mm_set_brk(struct mm_space *s, uint64_t start)
{
    s->brk_start = s->brk = ALIGN_UP(start, PAGE_SIZE);
}

long mm_brk(struct mm_space *s, uint64_t brk)
{
    uint64_t old_end = ALIGN_UP(s->brk, PAGE_SIZE);
    if (brk < s->brk_start || !s->brk_start || brk > LITH_USER_END - PAGE_SIZE)
        return (long)s->brk;
    uint64_t new_end = ALIGN_UP(brk, PAGE_SIZE);
    spin_lock(&s->lock);
    bool ok = true;
    if (new_end < old_end) {
        ok = space_unmap_locked(s, new_end, old_end) == 0;
    } else if (new_end > old_end) {
        struct vm_area *a = NULL;
        // One free page stays above, so that running off the heap's end faults.
        ok = area_range_free(s, old_end, new_end + PAGE_SIZE) && (a = area_new(s));
        if (ok) {
            a->start = old_end;
            a->end = new_end;
            a->prot = PROT_READ | PROT_WRITE;
            a->flags = MAP_PRIVATE;
            lib_strlcpy(a->name, "[heap]", sizeof(a->name));
            area_link(s, a);
            // The first part is what malloc writes next.
            fault_map_ahead(s, a, a->start,
                            MIN(a->end, a->start + MM_EAGER_ANON_PAGES * PAGE_SIZE));
            area_merge_around(s, a->start, a->end);
        }
    }
    if (ok)
        s->brk = brk;
    space_unlock(s);
    return (long)s->brk;
}

int mm_set_name(struct mm_space *s, uint64_t addr, const char *name)
{
    spin_lock(&s->lock);
    struct vm_area *a = area_find(s, addr);
    bool found = a && a->start <= addr;
    if (found) {
        memset(a->name, 0, sizeof(a->name)); // compared as a whole when areas join
        lib_strlcpy(a->name, name, sizeof(a->name));
    }
    spin_unlock(&s->lock);
    return found ? 0 : -ENOENT;
}

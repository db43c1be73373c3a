// SPDX-License-Identifier: ISC
// What an address space looks like from outside: for /proc/self/maps, and for fault reports, which
// name what lies at an address.
#include "mm/internal.h"

static uint64_t resident_pages(uint64_t start, uint64_t end)
{
    uint64_t n = 0;
    for (uint64_t va = plat_next_mapped(start, end); va < end;
         va = plat_next_mapped(va + PAGE_SIZE, end))
        n++;
    return n;
}

bool mm_next_area(struct mm_space *s, uint64_t addr, struct mm_area_info *out)
{
    spin_lock(&s->lock);
    struct vm_area *a = area_find(s, addr);
    struct vm_object *o = NULL;
    if (a) {
        *out = (struct mm_area_info){.start = a->start,
                                     .end = a->end,
                                     .off = a->off,
                                     .prot = a->prot,
                                     .flags = a->flags & ~MM_MAP_NOWRITE};
        out->resident_pages = resident_pages(a->start, a->end);
        lib_strlcpy(out->name, a->name, sizeof(out->name));
        if (a->obj && a->obj->ops->describe) {
            o = a->obj;
            o->ops->ref(o);
        }
    }
    spin_unlock(&s->lock);
    if (o) {
        char path[sizeof(out->name)];
        if (o->ops->describe(o, path, sizeof(path), &out->ino) == 0 && !out->name[0])
            lib_strlcpy(out->name, path, sizeof(out->name));
        o->ops->unref(o);
    }
    return a != NULL;
}

int mm_is_resident(struct mm_space *s, uint64_t addr)
{
    uint64_t va = ALIGN_DOWN(addr, PAGE_SIZE);
    spin_lock(&s->lock);
    struct vm_area *a = area_find(s, addr);
    int r = a && a->start <= addr ? plat_next_mapped(va, va + PAGE_SIZE) == va : -ENOMEM;
    spin_unlock(&s->lock);
    return r;
}

void mm_space_usage(struct mm_space *s, uint64_t *vsize, uint64_t *rss)
{
    *vsize = s->pages << PAGE_SHIFT;
    *rss = s->resident << PAGE_SHIFT;
}

static const char *area_kind(const struct vm_area *a)
{
    return (a->prot & PROT_EXEC)    ? "text of "
           : (a->prot & PROT_WRITE) ? "data of "
           : (a->prot & PROT_READ)  ? "read-only data of "
                                    : "inaccessible part of ";
}

// In a fault report: takes no lock, because the fault may have happened under it.
static void describe_area(const struct vm_area *a, uint64_t addr, char *buf, size_t size)
{
    const char *rights = (a->prot & PROT_WRITE)  ? ""
                         : (a->prot & PROT_EXEC) ? " (read-only, executable)"
                         : (a->prot & PROT_READ) ? " (read-only)"
                                                 : " (no access)";
    char path[192];
    uint64_t ino = 0;
    if (a->name[0])
        lib_snprintf(buf, size, "%s+0x%lx%s", a->name, (unsigned long)(addr - a->start), rights);
    else if (a->obj && a->obj->ops->describe &&
             a->obj->ops->describe(a->obj, path, sizeof(path), &ino) == 0)
        lib_snprintf(buf, size, "%s%s+0x%lx%s", area_kind(a), path,
                     (unsigned long)(a->off + (addr - a->start)), rights);
    else if (!a->prot)
        lib_snprintf(buf, size, "reserved memory without access (a guard page?)");
    else
        lib_snprintf(buf, size, "%s memory%s",
                     a->flags & (MAP_STACK | MAP_GROWSDOWN) ? "stack" : "anonymous", rights);
}

bool mm_is_stack_guard(uint64_t addr)
{
    if (addr >= LITH_USER_END || !mm_current)
        return false;
    struct vm_area *a = area_find(mm_current, addr);
    if (a && a->start <= addr) { // a mapped guard, as exec and libc make them
        struct vm_area *above = a->prot || a->obj ? NULL : area_next(a);
        return above && above->start == a->end && (above->flags & MAP_STACK);
    }
    return a && (a->flags & MAP_GROWSDOWN) && a->start - addr <= MM_STACK_MAX + MM_STACK_GAP;
}

bool mm_describe(uint64_t addr, char *buf, size_t size)
{
    if (addr < LITH_LOW_GUARD_END) {
        lib_snprintf(buf, size, addr < PAGE_SIZE ? "null page" : "null pointer plus an offset");
        return true;
    }
    if (kstack_is_guard(addr)) {
        lib_snprintf(buf, size, "guard page of a kernel stack");
        return true;
    }
    if (addr >= LITH_KVA_BASE && addr < LITH_KVA_BASE + LITH_KVA_SIZE) {
        lib_snprintf(buf, size, "kernel stacks and mappings");
        return true;
    }
    if (addr >= LITH_DIRECT_BASE && addr < LITH_DIRECT_BASE + LITH_DIRECT_SIZE) {
        static const char *const kinds[] = {[0] = "not given to the kernel",
                                            [PG_FREE] = "free",
                                            [PG_FREE_TAIL] = "free",
                                            [PG_USED] = "in use",
                                            [PG_CACHED] = "free",
                                            [PG_SLAB] = "kernel heap",
                                            [PG_LARGE] = "kernel heap"};
        struct page *p = page_of(addr - LITH_DIRECT_BASE);
        lib_snprintf(buf, size, "physical memory at 0x%lx (%s)",
                     (unsigned long)(addr - LITH_DIRECT_BASE), kinds[p ? p->state : 0]);
        return true;
    }
    if (addr >= LITH_USER_END || !mm_current)
        return false;
    struct vm_area *a = area_find(mm_current, addr);
    if (addr < LITH_USER_MIN)
        lib_snprintf(buf, size, "call table of rewritten programs");
    else if (mm_is_stack_guard(addr))
        lib_snprintf(buf, size, "guard page below the stack%s",
                     a->start > addr || !strcmp(a->name, "[stack guard]") ? "" : " of a thread");
    else if (a && a->start <= addr)
        describe_area(a, addr, buf, size);
    else
        lib_snprintf(buf, size, "unmapped memory");
    return true;
}

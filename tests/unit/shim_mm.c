// SPDX-License-Identifier: ISC
// Host stand-ins for mm: heap by libc (ASan checks it), pages from the shim's RAM.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "shim.h"

uint64_t shim_pages_live;
int64_t shim_fail_after = -1;
static uint64_t next_pa = 0x100000;
static uint64_t free_list[PAGE_ORDER_MAX + 1];
static uint32_t refs[SHIM_RAM / PAGE_SIZE];

static bool fail_now(void)
{
    return shim_fail_after >= 0 && shim_fail_after-- == 0;
}

uint64_t page_alloc(unsigned order, unsigned flags)
{
    uint64_t pa = free_list[order];
    if (fail_now())
        return 0;
    if (pa) {
        free_list[order] = *(uint64_t *)pa_to_va(pa);
    } else {
        pa = ALIGN_UP(next_pa, PAGE_SIZE << order);
        if (pa + (PAGE_SIZE << order) > SHIM_RAM)
            return 0;
        next_pa = pa + (PAGE_SIZE << order);
    }
    memset(pa_to_va(pa), flags & PAGE_ZERO ? 0 : 0xa5, PAGE_SIZE << order);
    refs[pa / PAGE_SIZE] = 1;
    shim_pages_live += 1ul << order;
    return pa;
}
void page_free(uint64_t pa, unsigned order)
{
    memset(pa_to_va(pa), 0x5a, PAGE_SIZE << order);
    *(uint64_t *)pa_to_va(pa) = free_list[order];
    free_list[order] = pa;
    refs[pa / PAGE_SIZE] = 0;
    shim_pages_live -= 1ul << order;
}
void page_ref(uint64_t pa)
{
    if (pa < SHIM_RAM)
        refs[pa / PAGE_SIZE]++;
}
void page_unref(uint64_t pa)
{
    if (pa < SHIM_RAM && --refs[pa / PAGE_SIZE] == 0)
        page_free(pa, 0);
}
unsigned page_refs(uint64_t pa)
{
    return pa < SHIM_RAM ? refs[pa / PAGE_SIZE] : 1;
}
void mm_stats(struct mm_stats *out)
{
    *out = (struct mm_stats){SHIM_RAM / PAGE_SIZE, SHIM_RAM / PAGE_SIZE - shim_pages_live, 0, 0, 0};
}
void mm_add_shrinker(size_t (*shrink)(size_t))
{
    (void)shrink;
}
void *kmalloc(size_t n)
{
    return fail_now() ? NULL : malloc(n ? n : 1);
}
void *kzalloc(size_t n)
{
    return fail_now() ? NULL : calloc(1, n ? n : 1);
}
void *krealloc(void *p, size_t n)
{
    return fail_now() ? NULL : realloc(p, n);
}
void kfree(void *p)
{
    free(p);
}
char *kstrdup(const char *s)
{
    return fail_now() ? NULL : strdup(s);
}
__attribute__((weak)) void mm_invalidate_object(struct vm_object *o, uint64_t pgoff, uint64_t n)
{
    (void)o;
    (void)pgoff;
    (void)n;
}
__attribute__((weak)) void mm_replace_page(struct vm_object *o, uint64_t pgoff, uint64_t old_pa)
{
    (void)o;
    (void)pgoff;
    (void)old_pa;
}

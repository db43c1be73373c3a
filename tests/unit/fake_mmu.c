// SPDX-License-Identifier: ISC
// plat's address space operations over a four-level table in host memory. See fake_mmu.h.
#include <stdlib.h>
#include "fake_mmu.h"
#include "mm/internal.h"

struct entry {
    uint64_t pa;
    unsigned prot;
    bool present;
};
struct leaf {
    struct entry e[512];
};
static struct leaf **root[512][512]; // [47..39][38..30] -> [29..21] -> leaf
uint64_t fake_mmu_mapped, fake_mmu_flushes;
int64_t fake_mmu_fail_after = -1;
static uint64_t (*source)(void);

void plat_set_page_source(uint64_t (*alloc)(void), void (*release)(uint64_t pa))
{
    (void)release;
    source = alloc;
}

static struct entry *entry_of(uint64_t va, bool create)
{
    struct leaf ***pd = &root[va >> 39 & 511][va >> 30 & 511];
    if (!*pd) {
        if (!create)
            return NULL;
        *pd = calloc(512, sizeof(struct leaf *));
    }
    struct leaf **l = &(*pd)[va >> 21 & 511];
    if (!*l) {
        if (!create)
            return NULL;
        *l = calloc(1, sizeof(struct leaf));
    }
    return &(*l)->e[va >> 12 & 511];
}

int plat_map(uint64_t va, uint64_t pa, uint64_t len, unsigned prot)
{
    ASSERT(IS_ALIGNED(va | pa | len, PAGE_SIZE) && len);
    if (fake_mmu_fail_after >= 0 && fake_mmu_fail_after-- == 0)
        return -ENOMEM;
    for (uint64_t off = 0; off < len; off += PAGE_SIZE) {
        struct entry *e = entry_of(va + off, true);
        fake_mmu_mapped += !e->present;
        fake_mmu_flushes += e->present;
        *e = (struct entry){pa + off, prot & 15, true};
    }
    return 0;
}

void plat_map_done(void)
{
}

void plat_unmap(uint64_t va, uint64_t len)
{
    ASSERT(IS_ALIGNED(va | len, PAGE_SIZE));
    fake_mmu_flushes++;
    uint64_t end = va + len;
    for (va = plat_next_mapped(va, end); va < end; va = plat_next_mapped(va + PAGE_SIZE, end)) {
        entry_of(va, false)->present = false;
        fake_mmu_mapped--;
    }
}

void plat_protect(uint64_t va, uint64_t len, unsigned prot)
{
    ASSERT(IS_ALIGNED(va | len, PAGE_SIZE));
    fake_mmu_flushes++;
    uint64_t end = va + len;
    for (va = plat_next_mapped(va, end); va < end; va = plat_next_mapped(va + PAGE_SIZE, end)) {
        entry_of(va, false)->prot = prot;
    }
}

bool plat_query(uint64_t va, uint64_t *pa, unsigned *prot)
{
    struct entry *e = entry_of(va, false);
    if (!e || !e->present)
        return false;
    *pa = e->pa;
    *prot = e->prot;
    return true;
}

uint64_t plat_next_mapped(uint64_t va, uint64_t end)
{
    while (va < end) {
        struct leaf **pd = root[va >> 39 & 511][va >> 30 & 511];
        if (!pd) {
            va = ALIGN_DOWN(va, 1ul << 30) + (1ul << 30);
            continue;
        }
        struct leaf *l = pd[va >> 21 & 511];
        if (!l) {
            va = ALIGN_DOWN(va, 1ul << 21) + (1ul << 21);
            continue;
        }
        if (l->e[va >> 12 & 511].present)
            return va;
        va += PAGE_SIZE;
    }
    return end;
}

uint8_t *fake_mmu_access(uint64_t va, bool write, bool exec)
{
    struct entry *e = entry_of(va, false);
    if (!e || !e->present || !(e->prot & PLAT_READ) || (write && !(e->prot & PLAT_WRITE)) ||
        (exec && !(e->prot & PLAT_EXEC)))
        return NULL;
    return (uint8_t *)pa_to_va(e->pa) + va % PAGE_SIZE;
}

void fake_mmu_start_mm(void)
{
    static bool started;
    if (!started)
        mm_init();
    started = true;
}

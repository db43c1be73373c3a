// SPDX-License-Identifier: ISC
// The address space: 4-level page tables (Intel SDM volume 3, 4.5), written through the direct map.
// New translations need no TLB flush; changed and removed ones do: single pages up to
// FLUSH_SINGLE_MAX, the whole TLB beyond. No TLB holds a translation that was not present.
#include <asm/errno.h>
#include "arch/x86_64/x86.h"
#include "plat/machine.h"

#define FLUSH_SINGLE_MAX 16 // an INVLPG costs about 100 cycles, refilling a whole TLB some thousand

static uint64_t (*page_alloc_fn)(void);
static void (*page_free_fn)(uint64_t pa);
static uint64_t pml4_pa;
const struct plat_mirror *plat_mirror;

void pagetable_init(uint64_t pml4)
{
    pml4_pa = pml4;
}

void plat_set_page_source(uint64_t (*alloc)(void), void (*free_page)(uint64_t pa))
{
    page_alloc_fn = alloc;
    page_free_fn = free_page;
}

// The boot tables live in the kernel image, which the direct map shows too (read-write where data).
static uint64_t *table_at(uint64_t entry)
{
    return pa_to_va(entry & PTE_ADDR);
}

static unsigned index_at(uint64_t va, unsigned level)
{
    return va >> (PAGE_SHIFT + 9 * level) & 511;
}

static uint64_t bits_of(unsigned prot)
{
    uint64_t b = PTE_U | PTE_A; // accessed and dirty from the start: the CPU need not set them
    if (!prot)
        return b | PTE_NX; // not present
    b |= PTE_P;
    if (prot & PLAT_WRITE)
        b |= PTE_W | PTE_D;
    if (!(prot & PLAT_EXEC))
        b |= PTE_NX;
    if (prot & PLAT_UNCACHED)
        b |= PTE_PCD | PTE_PWT;
    return b;
}

// Replaces a 2 MiB entry by a table of 4 KiB ones with the same translation.
static bool split_large(uint64_t *e)
{
    uint64_t pa = page_alloc_fn ? page_alloc_fn() : 0;
    if (!pa)
        return false;
    uint64_t *t = pa_to_va(pa), base = *e & PTE_ADDR & ~0x1fffffull,
             bits = *e & ~PTE_ADDR & ~PTE_LARGE;
    for (unsigned i = 0; i < 512; i++)
        t[i] = (base + i * PAGE_SIZE) | bits;
    *e = pa | PTE_P | PTE_W | PTE_U | PTE_A;
    return true;
}

// The last-level entry of va. `create`: missing tables are made. NULL: none (or no memory).
static uint64_t *walk(uint64_t va, bool create)
{
    uint64_t *t = pa_to_va(pml4_pa);
    for (unsigned level = 3; level > 0; level--) {
        uint64_t *e = &t[index_at(va, level)];
        if (!(*e & PTE_P)) {
            uint64_t pa = create && page_alloc_fn ? page_alloc_fn() : 0;
            if (!pa)
                return NULL;
            *e = pa | PTE_P | PTE_W | PTE_U | PTE_A;
        } else if (*e & PTE_LARGE) {
            if (!create || !split_large(e))
                return NULL;
        }
        t = table_at(*e);
    }
    return &t[index_at(va, 0)];
}

static void flush_range(uint64_t va, uint64_t len)
{
    if (len > FLUSH_SINGLE_MAX * PAGE_SIZE || (arch_ring && len > PAGE_SIZE)) {
        arch_flush_tlb();
        return;
    }
    for (uint64_t a = va; a < va + len; a += PAGE_SIZE)
        arch_flush_tlb_page(a);
}

static void mirror_change(uint64_t va, uint64_t end, unsigned prot)
{
    if (plat_mirror && va < end)
        plat_mirror->change(va, end - va, prot);
}

static bool may_be_cached(uint64_t entry)
{
    return entry & PTE_P;
}

int plat_map(uint64_t va, uint64_t pa, uint64_t len, unsigned prot)
{
    uint64_t bits = bits_of(prot), *e = NULL, *first = NULL;
    bool flush = false;
    // First make sure that all tables are there, so that failure changes nothing.
    for (uint64_t a = va; a < va + len; a = ALIGN_DOWN(a, 0x200000ul) + 0x200000) {
        e = walk(a, true);
        if (!e)
            return -ENOMEM;
        first = first ? first : e;
    }
    for (uint64_t off = 0; off < len; off += PAGE_SIZE) {
        e = off == 0 ? first : index_at(va + off, 0) == 0 ? walk(va + off, true) : e + 1;
        flush |= may_be_cached(*e);
        *e = ((pa + off) & PTE_ADDR) | bits;
    }
    if (plat_mirror)
        plat_mirror->map(va, pa, len, prot);
    else if (flush)
        flush_range(va, len);
    return 0;
}

void plat_map_done(void)
{
    if (plat_mirror)
        plat_mirror->settle();
}

// Each last-level entry in the range that has a translation becomes what `keep` leaves of it (0:
// nothing is left, it is unmapped) with the bits of prot. 512-page holes cost one look each.
static void change_range(uint64_t va, uint64_t len, uint64_t keep, unsigned prot)
{
    bool flush = false;
    uint64_t end = va + len, bits = keep ? bits_of(prot) & ~keep : 0;
    uint64_t run = va, run_end = va; // changed in one piece, and not made known yet
    for (uint64_t a = va; a < end;) {
        uint64_t *t = pa_to_va(pml4_pa), span = 1ull << 39;
        unsigned level;
        for (level = 3; level > 0; level--) {
            uint64_t *e = &t[index_at(a, level)];
            span = 1ull << (PAGE_SHIFT + 9 * level);
            if (!(*e & PTE_P))
                break;
            if ((*e & PTE_LARGE) && !split_large(e))
                break;
            t = table_at(*e);
        }
        if (level > 0) { // a hole of `span`
            uint64_t next = ALIGN_DOWN(a, span) + span;
            if (next < a)
                break;
            a = next;
            continue;
        }
        uint64_t stop = MIN(end, ALIGN_DOWN(a, 0x200000ul) + 0x200000);
        for (uint64_t *e = &t[index_at(a, 0)]; a < stop; a += PAGE_SIZE, e++) {
            if (!(*e & PTE_ADDR))
                continue;
            flush |= may_be_cached(*e);
            *e = (*e & keep) | bits;
            if (a != run_end) {
                mirror_change(run, run_end, prot);
                run = a;
            }
            run_end = a + PAGE_SIZE;
        }
    }
    mirror_change(run, run_end, prot);
    if (flush && !plat_mirror)
        flush_range(va, len);
}

void plat_unmap(uint64_t va, uint64_t len)
{
    change_range(va, len, 0, MIRROR_GONE);
}

void plat_protect(uint64_t va, uint64_t len, unsigned prot)
{
    change_range(va, len, PTE_ADDR | PTE_A | PTE_D, prot);
}

bool plat_query(uint64_t va, uint64_t *pa, unsigned *prot)
{
    uint64_t *t = pa_to_va(pml4_pa), e = 0;
    for (int level = 3; level >= 0; level--) {
        e = t[index_at(va, (unsigned)level)];
        if (!(e & PTE_P)) {
            // An entry that PROT_NONE left: the page is still there, without access.
            if (level > 0 || !(e & PTE_ADDR))
                return false;
            break;
        }
        if (level > 0 && (e & PTE_LARGE)) {
            e = (e & ~PTE_ADDR) | ((e & PTE_ADDR & ~0x1fffffull) + (va & 0x1ff000));
            break;
        }
        if (level > 0)
            t = table_at(e);
    }
    if (pa)
        *pa = (e & PTE_ADDR) + (va & (PAGE_SIZE - 1));
    if (prot)
        *prot = !(e & PTE_P)
                    ? 0
                    : PLAT_READ | (e & PTE_W ? PLAT_WRITE : 0) | (e & PTE_NX ? 0 : PLAT_EXEC);
    return true;
}

uint64_t plat_next_mapped(uint64_t va, uint64_t end)
{
    for (uint64_t a = va; a < end;) {
        uint64_t *t = pa_to_va(pml4_pa), span = 0;
        for (int level = 3; level > 0 && !span; level--) {
            uint64_t e = t[index_at(a, (unsigned)level)];
            if (!(e & PTE_P))
                span = 1ull << (PAGE_SHIFT + 9 * level);
            else if (e & PTE_LARGE)
                return a;
            else
                t = table_at(e);
        }
        if (!span) {
            uint64_t stop = MIN(end, ALIGN_DOWN(a, 0x200000ul) + 0x200000);
            for (; a < stop; a += PAGE_SIZE) {
                if (t[index_at(a, 0)] & PTE_ADDR)
                    return a;
            }
            continue;
        }
        uint64_t next = ALIGN_DOWN(a, span) + span;
        if (next < a)
            break;
        a = next;
    }
    return end;
}

void *plat_map_device(uint64_t pa, uint64_t len)
{
    static uint64_t used;
    uint64_t first = ALIGN_DOWN(pa, PAGE_SIZE), size = ALIGN_UP(pa + len, PAGE_SIZE) - first;
    if (size > LITH_MMIO_SIZE - used)
        return NULL;
    uint64_t va = LITH_MMIO_BASE + used;
    if (plat_map(va, first, size, PLAT_READ | PLAT_WRITE | PLAT_UNCACHED))
        return NULL;
    used += size;
    return (void *)(va + (pa - first));
}

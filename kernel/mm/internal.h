// SPDX-License-Identifier: ISC
// Private to mm/: struct page, areas, and the functions that its files share.
#ifndef LITH_MM_INTERNAL_H
#define LITH_MM_INTERNAL_H

#include <asm/errno.h>
#include <linux/mman.h>
#include "mm/mm.h"
#include "mm/limits.h"

// --- pages (page.c) ---
enum page_state {
    PG_FREE = 1,  // first page of a free block of 2^order pages
    PG_FREE_TAIL, // other pages of it
    PG_USED,      // allocated; refs counts
    PG_CACHED,    // in a per-CPU cache
    PG_SLAB,      // heap: owner is the struct slab
    PG_LARGE,     // heap: first page of a large object; owner is the number of pages
};
struct page {
    uint32_t refs;
    uint8_t state;
    uint8_t order; // of a free block
    bool zero;     // free and known to hold zeroes
    bool ahead;    // mapped ahead of need and zero then: reclaimable while it still is
    union {
        struct {
            uint32_t next, prev; // page numbers; 0: none
        };
        void *owner;
        uintptr_t count;
    };
};
compile_assert(page_array_is_small, sizeof(struct page) == 16);
struct page *page_of(uint64_t pa); // NULL: not RAM of ours
bool page_plenty(uint64_t pages);  // enough is free to work ahead of need
uint64_t page_alloc_ahead(void);   // a zero page that costs the host nothing yet, or 0
void page_init(void);
// Pages whose translations are about to go: freed together after the TLB flush.
struct page_batch {
    uint32_t first;
    uint64_t pages; // references dropped
};
void page_batch_unref(struct page_batch *b, uint64_t pa);
void page_batch_free(struct page_batch *b);

// --- kernel virtual memory (kva.c) ---
void kva_init(void);
void *kva_alloc(size_t bytes); // mapped, zeroed, page-aligned, guarded
bool kva_free(void *p);        // false: not the start of one
size_t kva_size(const void *p);
void heap_init(void);
extern uint64_t heap_pages; // in slabs and large objects
extern uint64_t mm_fault_count, mm_ahead_count;

// --- address spaces ---
struct vm_area {
    struct rb_node node;
    uint64_t start, end;
    uint64_t off; // bytes into obj
    struct vm_object *obj;
    bool lazy;          // file pages wait with being mapped ahead (see map.c, map_locked)
    int prot, flags;    // PROT_*; MAP_SHARED, MAP_PRIVATE, MAP_GROWSDOWN, MAP_NORESERVE, MAP_STACK
    uint64_t ahead_end; // where the pages of the last anonymous fault ended ...
    uint64_t ahead;     // ... and how many they were: a fault right there gets twice as many
    char name[16];
    struct vm_area *dead_next;
};
struct mm_space {
    spinlock_t lock; // everything below
    struct rb_root areas;
    struct vm_area *last; // of the last lookup
    unsigned area_count;
    uint64_t pages;     // virtual size
    uint64_t resident;  // translations
    uint64_t sequence;  // counts changes of areas: a fault that slept looks again
    uint64_t mmap_top;  // new areas go below
    uint64_t hint;      // search for a gap starts here ...
    uint64_t hint_hole; // ... unless a hole this big is known above it
    uint64_t brk_start, brk;
    bool allow_wx;
    struct vm_area *dead; // removed areas whose objects are released after unlocking
};

static inline uint64_t area_pages(const struct vm_area *a)
{
    return (a->end - a->start) >> PAGE_SHIFT;
}
static inline uint64_t area_pgoff(const struct vm_area *a, uint64_t va)
{
    return (a->off + (va - a->start)) >> PAGE_SHIFT;
}
static inline bool area_private(const struct vm_area *a)
{
    return !(a->flags & MAP_SHARED);
}

// area.c: the tree. All with the lock held.
struct vm_area *area_find(struct mm_space *s, uint64_t addr); // first that ends above addr, or NULL
struct vm_area *area_next(struct vm_area *a);
struct vm_area *area_prev(struct vm_area *a);
struct vm_area *area_new(struct mm_space *s);
void area_link(struct mm_space *s, struct vm_area *a);
void area_unlink(struct mm_space *s, struct vm_area *a); // to s->dead
// Cuts the area at addr; returns the upper part (a keeps the lower) or NULL: no memory.
struct vm_area *area_split(struct mm_space *s, struct vm_area *a, uint64_t addr);
void area_merge_around(struct mm_space *s, uint64_t start, uint64_t end);
// A gap of len for a new area at most at `hint` (0: anywhere), or -ENOMEM.
long area_find_gap(struct mm_space *s, uint64_t hint, uint64_t len);
bool area_range_free(struct mm_space *s, uint64_t start, uint64_t end);
void space_unlock(struct mm_space *s); // and releases what died

// map.c
int mm_init(void);
int space_unmap_locked(struct mm_space *s, uint64_t start, uint64_t end);
// Drops the translations in [start, end) and their references; returns how many.
uint64_t space_zap(struct mm_space *s, uint64_t start, uint64_t end);
bool range_ok(uint64_t addr, uint64_t len); // page-aligned and in the programs' range

// fault.c. May drop and retake the lock only where it says so.
// Rights in hardware of page pa in area a, whose rights are `now` (0: not mapped yet).
unsigned fault_rights(const struct vm_area *a, uint64_t pa, unsigned now);
// Maps ahead of need what is cheap in the new or newly accessible [start, end) of one area.
void fault_map_ahead(struct mm_space *s, struct vm_area *a, uint64_t start, uint64_t end);
size_t mm_reclaim_ahead(size_t pages); // shrinker

// shm.c
struct vm_object *shm_object_create(uint64_t pages);
bool shm_is(const struct vm_object *o);

// info.c
bool mm_describe(uint64_t addr, char *buf, size_t size);

#endif

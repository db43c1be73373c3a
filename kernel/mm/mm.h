// SPDX-License-Identifier: ISC
// mm: physical pages, the kernel heap, guarded kernel stacks, address spaces of programs.
// Kernel mode only. Functions that may sleep say so.
#ifndef LITH_MM_H
#define LITH_MM_H

#include "core/core.h"

// --- physical pages (buddy; orders 0..10; per-CPU caches for order 0) ---
#define PAGE_ORDER_MAX 10
#define PAGE_ZERO      1u // zeroed page
#define PAGE_USER      2u // for a program: leaves the last pages to the kernel
// Physical address of 2^order contiguous pages with reference count 1, or 0 when memory is short.
uint64_t page_alloc(unsigned order, unsigned flags);
void page_free(uint64_t pa, unsigned order); // whatever the count: for exclusive owners
// Order-0 reference counts (shared file pages, copy-on-write). Pages outside RAM (the root file)
// ignore them.
void page_ref(uint64_t pa);
void page_unref(uint64_t pa); // frees at 0
unsigned page_refs(uint64_t pa);
struct mm_stats {
    uint64_t total_pages, free_pages, heap_bytes;
    uint64_t faults, ahead_pages; // resolved by mm_fault; mapped before they were asked for
};
void mm_stats(struct mm_stats *out);
// Called when memory is short, before an allocation fails; returns pages freed. Any context: it
// must not sleep, allocate, or call mm functions that take a space.
void mm_add_shrinker(size_t (*shrink)(size_t pages));

// --- heap: any size; 16-byte aligned (sizes that are powers of two from 64 up: aligned to 64) ---
void *kmalloc(size_t n);
void *kzalloc(size_t n);
void *krealloc(void *p, size_t n);
void kfree(void *p); // NULL is allowed; a double or foreign free panics
char *kstrdup(const char *s);

// --- guarded kernel mappings ---
#define KSTACK_SIZE 16384ul
void *kstack_alloc(void); // base; one unmapped page below and above; NULL: no memory
void kstack_free(void *base);
// Name of the guard page that addr lies in, or false.
bool kstack_is_guard(uint64_t addr);

// --- objects that can be mapped (files, shared memory) ---
struct vm_object;
struct vm_object_ops {
    // Physical address of page `pgoff` with a reference taken (page_ref). for_write: the page may
    // be written through a shared mapping (allocates holes). -ENXIO beyond the end (SIGBUS),
    // -ENOMEM. May sleep.
    int (*get_page)(struct vm_object *o, uint64_t pgoff, bool for_write, uint64_t *pa);
    // Length of the physically contiguous run at pgoff (pages) and its start, for map-ahead without
    // reference counts (root file); 0: none. May be NULL.
    uint64_t (*extent)(struct vm_object *o, uint64_t pgoff, uint64_t *pa);
    // Brings pages [pgoff, pgoff+n) that were written through shared mappings to where they last
    // (msync). May be NULL: memory is all there is. May sleep.
    int (*sync)(struct vm_object *o, uint64_t pgoff, uint64_t n);
    void (*ref)(struct vm_object *o);
    void (*unref)(struct vm_object *o);
    // Path for /proc/self/maps and reports; may be NULL.
    int (*describe)(struct vm_object *o, char *buf, size_t size, uint64_t *ino);
};
struct vm_object {
    const struct vm_object_ops *ops;
};

// --- address spaces ---
struct mm_space;
// The one that is loaded. mm_space_create sets it if there is none; a second space must not be
// mapped into while another is loaded.
extern struct mm_space *mm_current;
struct mm_space *mm_space_create(void);
void mm_space_destroy(struct mm_space *s); // unmaps all

// prot: PROT_* and flags: MAP_* of Linux (<linux/mman.h>): MAP_SHARED, MAP_PRIVATE, MAP_ANONYMOUS,
// MAP_FIXED, MAP_FIXED_NOREPLACE, MAP_NORESERVE, MAP_POPULATE, MAP_GROWSDOWN, MAP_STACK. Returns
// the address or -errno with Linux's errors. Takes its own reference on obj. W^X:
// PROT_WRITE|PROT_EXEC is -EACCES unless the space allows it (mm_allow_wx). May sleep.
#define MM_MAP_NOWRITE 0x40000000
long mm_map(struct mm_space *s, uint64_t addr, uint64_t len, int prot, int flags,
            struct vm_object *obj, uint64_t off);
int mm_unmap(struct mm_space *s, uint64_t addr, uint64_t len);
int mm_protect(struct mm_space *s, uint64_t addr, uint64_t len, int prot);
long mm_remap(struct mm_space *s, uint64_t old, uint64_t old_len, uint64_t new_len, int flags,
              uint64_t new_addr);
int mm_advise(struct mm_space *s, uint64_t addr, uint64_t len, int advice);
long mm_brk(struct mm_space *s, uint64_t brk);
void mm_set_brk(struct mm_space *s, uint64_t start);
void mm_allow_wx(struct mm_space *s, bool allow);
// Resolves a fault: 0, -EFAULT (SIGSEGV, no mapping), -EACCES (SIGSEGV, protection), -ENXIO
// (SIGBUS), -ENOMEM.
int mm_fault(struct mm_space *s, uint64_t addr, bool write, bool exec);
// Makes [addr, addr+len) present (and private where write), e.g. before program start. 0 or -errno.
int mm_populate(struct mm_space *s, uint64_t addr, uint64_t len, bool write);
// msync: writes shared file mappings in the range back. -ENOMEM: part of it is not mapped. May
// sleep.
int mm_sync(struct mm_space *s, uint64_t addr, uint64_t len);
// Drops an object's cached translations in [pgoff, pgoff+n) (truncate).
void mm_invalidate_object(struct vm_object *o, uint64_t pgoff, uint64_t n);
// The object has another page at pgoff now: drops translations that show old_pa. Private copies
// stay.
void mm_replace_page(struct vm_object *o, uint64_t pgoff, uint64_t old_pa);
// Iterates mappings in order: fills *out for the first one that ends above addr; false: no more.
struct mm_area_info {
    uint64_t start, end, off, ino;
    int prot, flags; // PROT_*, MAP_*
    char name[256];  // path, "[heap]", "[stack]", ""
    uint64_t resident_pages;
};
bool mm_next_area(struct mm_space *s, uint64_t addr, struct mm_area_info *out);
// Whether the page at addr is present (mincore); -ENOMEM: not mapped.
int mm_is_resident(struct mm_space *s, uint64_t addr);
// Whether addr lies in the guard below a thread's stack. For fault reports: takes no lock.
bool mm_is_stack_guard(uint64_t addr);
int mm_set_name(struct mm_space *s, uint64_t addr, const char *name); // "[stack]", "[vdso]"
// Bytes: virtual size, resident set, data+stack.
void mm_space_usage(struct mm_space *s, uint64_t *vsize, uint64_t *rss);

#endif

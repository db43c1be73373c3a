// SPDX-License-Identifier: ISC
// Limits and tuning of mm, each with its reason. Costs are those of facts measured in ring 3 on
// KVM-PVM: a fault 43-47 us, the first touch of a page of RAM 5-10 us, a TLB flush 28-35 us.
#ifndef LITH_MM_LIMITS_H
#define LITH_MM_LIMITS_H

#ifdef LITH_DEBUG
#define MM_DEBUG 1 // red zones, junk fill
#else
#define MM_DEBUG 0
#endif

#define MM_CPU_MAX 64 // per-CPU page caches

// Pages kept for the kernel: a program gets ENOMEM first, so that its death can still be reported.
#define MM_RESERVE_PAGES 32
// Per-CPU cache of single pages: refilled and drained by half, so that a burst costs one lock.
#define MM_PAGE_CACHE 64
// log2 of the pages that an empty cache takes at once.
#define MM_PAGE_CACHE_FILL 3

// Largest object taken from a slab; above, whole pages waste less than slabs would.
#define MM_SLAB_MAX 3072
// Objects of a slab: four 64-bit words of its bitmap.
#define MM_SLAB_OBJECTS 256

// Kernel stacks: 20 KiB of addresses each; 8192 threads are more than the RAM of most instances.
#define MM_KSTACK_MAX 8192
// Stacks kept mapped after their thread: unmapping needs a TLB flush, as dear as 16 KiB is cheap.
#define MM_KSTACK_CACHE 16

// Mappings of one space, as Linux's vm.max_map_count.
#define MM_AREA_MAX 65530

// One fault maps up to this many pages: a fault costs as much as five first touches, and pages that
// nobody touches cost the host nothing.
#define MM_FAULT_AROUND 16
// Up to so many for anonymous memory that is used from one end to the other.
#define MM_FAULT_AHEAD_MAX 128
// mmap and brk populate anonymous memory up to this at once (malloc's arenas, thread descriptors).
#define MM_EAGER_ANON_PAGES 64
// Top pages of a stack mapping that are populated at once: glibc puts the thread descriptor there.
#define MM_EAGER_STACK_PAGES 8
// Private writable file segments up to this are copied by mmap: ld.so relocates most of them
// anyway (libcrypto 101 pages, php 150, python 323).
#define MM_EAGER_COPY_PAGES 512
// Whole file segments up to this are mapped by mmap when the object is contiguous (page table
// writes cost 1-64 ns each; 64 MiB is node's text).
#define MM_EAGER_FILE_PAGES 16384
// Nothing above is done ahead unless this fraction of RAM is free (total >> shift).
#define MM_PLENTY_SHIFT 4

// A stack below which nothing is mapped grows to RLIMIT_STACK's default.
#define MM_STACK_MAX (8ul << 20)
// Distance that a growing stack keeps from the mapping below (Linux: 256 pages, stack clash).
#define MM_STACK_GAP (256 * PAGE_SIZE)

// Entropy of the mmap base in pages, as Linux's mmap_rnd_bits.
#define MM_MMAP_RANDOM_BITS 28

// Largest anonymous shared object: bounds its page directory (512 entries a page).
#define MM_SHM_PAGES_MAX (1ull << 27)

#endif

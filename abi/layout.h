// SPDX-License-Identifier: ISC
// The guest's virtual address space and its fixed physical places. One copy for kernel and
// monitor. Everything lies in the lower half, because ring 3 and host processes have no other.
#ifndef LITH_ABI_LAYOUT_H
#define LITH_ABI_LAYOUT_H

// Addresses below this are never mapped: a null pointer plus a large offset still faults.
#define LITH_LOW_GUARD_END 0x10000ull

// Call table of rewritten programs: 512 pointers, then the two generic gates (abi/gate.h).
#define LITH_GATE_TABLE 0x10000ull

// Programs own [LITH_USER_MIN, LITH_USER_END). 0x400000 and up is free for non-PIE programs.
#define LITH_USER_MIN 0x20000ull
#define LITH_USER_END 0x780000000000ull

// The kernel owns [LITH_KERNEL_FLOOR, LITH_KERNEL_CEIL): whatever is at or above the floor is
// refused as a user pointer.
#define LITH_KERNEL_FLOOR 0x780000000000ull
#define LITH_DIRECT_BASE  0x780000000000ull // all RAM, RW NX, physical 0 at the base
#define LITH_DIRECT_SIZE  0x020000000000ull
#define LITH_KVA_BASE     0x7a0000000000ull // kernel stacks and other guarded kernel mappings
#define LITH_KVA_SIZE     0x008000000000ull
#define LITH_MMIO_BASE    0x7b0000000000ull // device registers, uncached
#define LITH_MMIO_SIZE    0x008000000000ull
#define LITH_KERNEL_BASE  0x7c0000000000ull // kernel image: link address, and base under PVH
#define LITH_KERNEL_RANGE 0x030000000000ull // our monitor picks a 2 MiB-aligned base in it
#define LITH_KERNEL_ALIGN 0x200000ull
#define LITH_KERNEL_CEIL  0x7fffffff0000ull

// The kernel image starts here in guest-physical memory, on every machine.
#define LITH_KERNEL_PHYS 0x100000ull

// Segment selectors of the one GDT (Linux's own, which ring 3 on KVM-PVM shows anyway).
#define LITH_SEL_KCODE 0x10
#define LITH_SEL_KDATA 0x18
#define LITH_SEL_UDATA 0x2b
#define LITH_SEL_UCODE 0x33
#define LITH_SEL_TSS   0x40

#endif

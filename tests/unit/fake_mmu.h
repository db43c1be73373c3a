// SPDX-License-Identifier: ISC
// A page table in host memory in place of plat's, for tests of mm. Nothing is really mapped: tests
// read and write through fake_mmu_access, as a CPU would.
#ifndef LITH_TESTS_FAKE_MMU_H
#define LITH_TESTS_FAKE_MMU_H

#include "mm/mm.h"

extern uint64_t fake_mmu_mapped;    // translations
extern uint64_t fake_mmu_flushes;   // calls that would flush a TLB
extern int64_t fake_mmu_fail_after; // plat_map calls until one fails; negative: never
// What the CPU does with an access: a pointer to the byte, or NULL: it faults.
uint8_t *fake_mmu_access(uint64_t va, bool write, bool exec);
// mm's start-up, once per test program.
void fake_mmu_start_mm(void);

#endif

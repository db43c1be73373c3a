// SPDX-License-Identifier: ISC
// Private to plat/: what the machines (kvm, pvh) share and what each gives.
#ifndef LITH_PLAT_MACHINE_H
#define LITH_PLAT_MACHINE_H

#include "plat/plat.h"

struct plat_machine {
    void (*console_write)(const char *s, size_t n, int stream);
    void (*exit)(int status); // may return if the machine could not be stopped
    void (*wait)(uint64_t deadline_ns);
    int (*take_signal)(void);
    void (*timer_set)(uint64_t deadline_ns); // NULL: by the local APIC
};
extern const struct plat_machine *plat_machine; // chosen at start
extern const struct plat_machine machine_kvm, machine_pvh, machine_process;

void pagetable_init(uint64_t pml4_pa);
// A machine without page tables of its own (process): each change of the record is made known to
// it. Runs of pages that have (map: get) a translation.
struct plat_mirror {
    void (*map)(uint64_t va, uint64_t pa, uint64_t len, unsigned prot);
    void (*change)(uint64_t va, uint64_t len, unsigned prot); // MIRROR_GONE: unmap
    void (*settle)(void);                                     // plat_map_done()
};
#define MIRROR_GONE (~0u)
extern const struct plat_mirror *plat_mirror; // NULL: the CPU reads the tables
struct lith_boot;
extern struct lith_boot plat_boot; // what our monitor said, copied
// plat/process: sets plat_machine, and lets go of the monitor.
void process_start(void);
void process_find_packets(void); // plat_info.packets
// Rest of start-up, the same on all machines; never returns. kernel_main is core's.
extern void kernel_main(void) __attribute__((noreturn));

// Local APIC through its MMIO page (Intel SDM volume 3, chapter 10). 1 GHz timer on KVM and QEMU.
bool lapic_init(void);
void lapic_eoi(void);
uint32_t lapic_timer_count(void);
void lapic_timer_start(uint32_t count);
extern volatile uint32_t *lapic;

// Clock: monotonic ns from the TSC.
void clock_init(uint64_t tsc_khz, uint64_t start_tsc, uint64_t realtime_ns, uint64_t realtime_tsc);
uint64_t clock_ns_to_tsc(uint64_t ns);
uint64_t clock_find_tsc_khz(void); // CPUID or kvmclock; 0: neither knows
// Or else: measured by the local APIC's timer meanwhile. False: there is none.
bool clock_measure_start(uint64_t start_tsc);
void clock_measure_end(void);

// Ring 0 without the help of a monitor: halts until an interrupt is pending.
void wait_halted(uint64_t deadline_ns);

#endif

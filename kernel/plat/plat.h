// SPDX-License-Identifier: ISC
// plat: the machine around the CPU, about twenty operations. Nothing above knows which machine or
// ring it is. All run in kernel mode; none sleeps unless it says so.
#ifndef LITH_PLAT_H
#define LITH_PLAT_H

#include "arch/arch.h"
#include "abi/stats.h"

// --- what the machine told at start (filled by the platform's entry, read-only afterwards) ---
#define PLAT_MEM_MAX 16
#define PLAT_DEV_MAX 16
struct plat_range {
    uint64_t start, len; // physical, page-aligned
};
// A virtio device, either behind virtio-mmio registers (mmio != NULL) or pre-configured by our
// monitor.
// Finds the machine's devices (plat_info.dev); once, by whoever can use one.
void plat_find_devices(void);
struct plat_dev {
    volatile void *mmio;          // registers, mapped; or NULL
    const struct lith_dev *ready; // abi/boot.h, when mmio is NULL
    unsigned vector;              // bit (vector - 0x20) of cpu->pending is its interrupt; 0: none
};
// A network without a virtio device: packets through calls (machine "process").
struct plat_iovec {
    void *base; // direct-mapped
    uint64_t len;
};
struct plat_packets {
    uint8_t mac[6];
    uint16_t mtu;
    bool stream; // frames behind their length (32 bits, big endian); else packets, each behind a
                 // virtio_net_hdr_v1
    bool csum, tso4;    // as virtio-net's features, both ways
    bool write_blocked; // driver: waiting ends, too, when there is room to write
    bool ended;         // driver: the other side has gone, nobody waits for it
    // Bytes, or -errno: -EAGAIN when there is nothing or no room now.
    long (*read)(const struct plat_iovec *iov, unsigned count);
    long (*write)(const struct plat_iovec *iov, unsigned count);
};
struct plat_info {
    const char *name;                    // "kvm", "pvh", "process"
    unsigned ring;                       // 0 or 3
    struct plat_range ram[PLAT_MEM_MAX]; // free for use: without kernel image, page tables, root
    unsigned ram_count;
    bool ram_zeroed;            // all of ram[] was zero at start: mm need not clear it
    uint64_t ram_end;           // end of the highest RAM
    uint64_t ram_total;         // bytes given to the instance
    uint64_t root_pa, root_len; // the EROFS file (direct-mapped, read-only); 0: none
    char *config;               // boot configuration text (abi/bootconfig.h); decoded in place
    size_t config_room;         // bytes there: text, then room for pointers to its words
    uint64_t *ram_mark; // mm keeps the first never used address of RAM there; NULL: nobody asks
    uint64_t kernel_base, kernel_len; // virtual
    uint64_t kernel_pa;
    uint64_t exec_tsc;  // monitor's main(), 0 if unknown
    uint64_t entry_tsc; // kernel's first instruction
    uint8_t entropy[64];
    unsigned entropy_len; // bytes valid; wiped by core/random
    struct plat_dev dev[PLAT_DEV_MAX];
    unsigned dev_count;
    struct plat_packets *packets; // NULL: none
};
extern struct plat_info plat_info;

// The kernel's counters that somebody outside may look at (abi/stats.h): plain adding, anywhere.
// Never NULL; where nobody looks, they count into nothing.
extern struct lith_stats_guest *plat_stats;

// --- address space. prot is a set of PLAT_*; addresses and lengths are page-aligned ---
#define PLAT_READ     1u
#define PLAT_WRITE    2u
#define PLAT_EXEC     4u
#define PLAT_UNCACHED 8u
// The page source for page tables, given by mm before the first map outside the boot tables.
// Pages come zeroed.
void plat_set_page_source(uint64_t (*alloc)(void), void (*free)(uint64_t pa));
// Maps [va, va+len) to pa. Existing translations there are replaced. -ENOMEM: no page for tables
// (nothing mapped).
int plat_map(uint64_t va, uint64_t pa, uint64_t len, unsigned prot);
// What was mapped since the last time is complete, and will be used soon. (It can be used without
// this, too.)
void plat_map_done(void);
void plat_unmap(uint64_t va, uint64_t len);
// Changes protection of what is mapped in the range; holes are skipped. prot 0 keeps the
// translations (plat_query and plat_next_mapped still find them, with prot 0) but any access
// faults.
void plat_protect(uint64_t va, uint64_t len, unsigned prot);
// Translation of va: false if none.
bool plat_query(uint64_t va, uint64_t *pa, unsigned *prot);
// First page in [va, end) that has a translation (prot 0 counts), or end. Skips empty page tables,
// so that huge empty reservations cost nothing.
uint64_t plat_next_mapped(uint64_t va, uint64_t end);
void *plat_map_device(uint64_t pa, uint64_t len); // uncached, at LITH_MMIO_BASE; NULL: no room

// Physical <-> direct-mapped virtual.
static inline void *pa_to_va(uint64_t pa);
static inline uint64_t va_to_pa(const void *va);

// --- clocks and timer ---
uint64_t plat_clock_ns(void);          // monotonic since start
uint64_t plat_realtime_ns(void);       // since 1970; 0-based when the machine gave no clock
uint64_t plat_tsc_to_ns(uint64_t tsc); // same origin as plat_clock_ns
void plat_clock_params(uint64_t *base_tsc, uint32_t *mult, uint32_t *shift,
                       uint64_t *realtime_offset_ns); // for the vDSO: ns = ((tsc-base)*mult)>>shift
// One-shot interrupt (vector LITH_VECTOR_TIMER) at this monotonic time; DEADLINE_NEVER disarms.
void plat_timer_set(uint64_t deadline_ns);

// --- waiting: returns when an interrupt is pending, or at the deadline. Kernel mode, idle thread
// only ---
void plat_wait(uint64_t deadline_ns);

// Interrupts reach the CPU from here on. Called once, when the kernel is ready for them.
void plat_start_interrupts(void);
// Acknowledges the interrupts whose bits were taken from cpu->pending: each bit once, after it was
// cleared there and before programs run again (the local APIC holds others back until then).
void plat_irq_done(uint64_t bits);

// --- console, exit ---
void plat_console_write(const char *s, size_t n, int stream); // stream 1 stdout, 2 stderr
void plat_exit(int status) __attribute__((noreturn));
// Number of the signal that the outside asked the program to get (SIGTERM, SIGINT), once; else 0.
int plat_take_signal(void);
// Notify a queue of a pre-configured device (our monitor's doorbell port).
void plat_doorbell(uint16_t port, uint16_t queue);

#include "abi/layout.h"
static inline void *pa_to_va(uint64_t pa)
{
    return (void *)(uintptr_t)(LITH_DIRECT_BASE + pa);
}
static inline uint64_t va_to_pa(const void *va)
{
    return (uint64_t)(uintptr_t)va - LITH_DIRECT_BASE;
}

#endif

// SPDX-License-Identifier: ISC
// What our own monitor hands to the kernel at start: the boot block, and the few doorbells.
//
// Start state (machine "kvm"): 64-bit long mode, 4-level paging, CR0 0x80050033 (WP on),
// CR4 PAE|OSFXSR|OSXMMEXCPT (+FSGSBASE, OSXSAVE where the machine has them), EFER LME|LMA|NXE|SCE,
// interrupts off in ring 0 (RFLAGS 2), on in ring 3 (RFLAGS 0x202). CS/SS are LITH_SEL_KCODE/KDATA
// in ring 0, LITH_SEL_UCODE/UDATA in ring 3. rip = kernel's ELF entry `lith_start64`, relocated;
// rdi = virtual address (direct map) of struct lith_boot; rsp = 16-byte aligned top of the
// kernel's boot stack (ELF symbol is private: rsp may be 0, the entry sets its own).
// GDT, IDT and TSS are the kernel's own static data: the monitor sets GDTR, IDTR and TR to none
// in ring 0, where the kernel loads them itself; in ring 3, where it cannot, the monitor loads them
// from the kernel's ELF note (LITH_NOTE_TABLES below).
//
// The monitor builds the first page tables, with U set in every entry and W^X throughout:
//   - kernel segments at the base it chose, 4 KiB pages, protections of the ELF segments;
//   - all RAM at LITH_DIRECT_BASE (RW, NX, 2 MiB pages), but the kernel image's pages 4 KiB,
//   read-only
//     where the segment is not writable; the root file system at its place in the same map (R, NX);
//   - nothing else: page 0 and the lower addresses are not mapped.
// It applies the image's R_X86_64_RELATIVE relocations for that base.
//
// Start state (machine "process", LITH_BOOT_PROCESS): an ordinary process of the host, ring 3, in
// which the same addresses are mapped by the host, with the same protections. The page tables are
// built all the same: they are the kernel's record of what is mapped, and no CPU looks at them. The
// monitor's own memory is still mapped elsewhere; the kernel unmaps it first. From here on the
// kernel makes the few system calls itself that the filter lets through (struct lith_process).
#ifndef LITH_ABI_BOOT_H
#define LITH_ABI_BOOT_H

#include <stdint.h>

#define LITH_BOOT_MAGIC   0x4c495448u // "LITH"
#define LITH_BOOT_VERSION 1u

#define LITH_BOOT_MEM_MAX 4
#define LITH_BOOT_DEV_MAX 8

enum lith_mem_type {
    LITH_MEM_RAM = 1,
    LITH_MEM_ROOT = 2, // the EROFS file, read-only; exact length in `len`, mapped up to a page
};

struct lith_mem {
    uint64_t gpa; // page-aligned
    uint64_t len; // bytes
    uint32_t type;
    uint32_t pad;
};

// A virtio device whose queues the monitor has already set up (virtio 1.2, split rings). The
// device is as after DRIVER_OK with `features` negotiated.
struct lith_dev_queue {
    uint64_t desc_gpa, avail_gpa, used_gpa;
    uint16_t size;     // entries, a power of two
    uint16_t doorbell; // I/O port; a 16-bit write of the queue's index notifies the device
    uint32_t pad;
};

#define LITH_DEV_QUEUES_MAX 4

struct lith_dev {
    uint32_t virtio_id;  // 1 net, 2 block, 26 file system
    uint32_t irq_vector; // CPU vector that the device raises; 0: none, it must be polled
    uint64_t features;
    uint32_t queue_count;
    uint32_t config_len;
    struct lith_dev_queue queue[LITH_DEV_QUEUES_MAX]; // net: 0 receive, 1 transmit
    uint8_t
        config[64]; // the device's configuration space (virtio 1.2, e.g. struct virtio_net_config)
};

// Interrupts in ring 3. There is no interrupt controller: KVM hosts without hardware virtualization
// now and then deliver an interrupt twice, and the second frame overwrites the first on its
// interrupt stack. Instead the monitor sets bits in a word of the kernel's ("posts"), which the
// kernel looks at before it leaves to the program. Where a program does not enter the kernel by
// itself, the monitor stops the CPU and makes it enter: unless kernel code runs (`masked`), or the
// instruction pointer is in [skip_start, skip_end), it puts an interrupt's frame (rip, cs, rflags,
// rsp, ss) below entry_stack, and continues at entry.
struct lith_attention { // in struct cpu
    uint8_t masked;     // kernel: not zero while kernel code runs
    uint8_t pad[7];
    uint64_t posted; // monitor sets bit n for vector 0x20 + n, atomically; the kernel takes them
};

// The page that monitor and kernel both write while the guest runs.
struct lith_shared {
    uint32_t term_signal; // monitor: number of the signal to give the program (15, 2); kernel swaps
                          // it to 0
    uint32_t sleeping;    // kernel: 1 while it waits at LITH_PORT_WAIT
    // Monitor: bit per device index whose interrupt came (ring 3 waits look here). A device that
    // finds `sleeping` set only ends the sleep, its vector is not raised: after a wait, poll all.
    uint64_t irq_pending;
    uint64_t unused[16]; // zero
    uint64_t ram_mark; // kernel: RAM from here up was never used. The monitor makes it ready a bit
                       // ahead, so use goes upwards
    // Ring 3; kernel: set once, attention_gpa last (0: not yet).
    uint64_t attention_gpa;                            // struct lith_attention, 8-byte aligned
    uint64_t entry, entry_stack, skip_start, skip_end; // virtual addresses
    uint64_t entry_stack_gpa;                          // of entry_stack, which is 16-byte aligned
    // Ring 3's timer: vector 0x20 is posted when the TSC reaches timer_tsc (UINT64_MAX: none).
    uint64_t timer_tsc;      // kernel; the monitor puts UINT64_MAX back when it posts
    uint64_t timer_seen_tsc; // monitor: what it sleeps to. A kernel that sets an earlier deadline
                             // notifies LITH_PORT_TIMER
    // At LITH_STATS_GUEST_OFFSET: struct lith_stats_guest (abi/stats.h), the kernel's counters.
};

// Machine "process": what stands behind the descriptors, all opened by the monitor. -1: none.
struct lith_process {
    int32_t ram_fd;     // RAM; offset = gpa. For MAP_SHARED
    int32_t root_fd;    // the root file, read-only; offset 0 = gpa of LITH_MEM_ROOT
    int32_t net_fd;     // packets, non-blocking
    uint32_t net_flags; // LITH_PROCESS_NET_*
    uint8_t mac[6];
    uint16_t mtu;
    int32_t timer_id; // POSIX timer of CLOCK_MONOTONIC that raises LITH_PROCESS_SIGTIMER
    int32_t grace_id; // the same, raises LITH_PROCESS_SIGGRACE
    uint32_t pad;
};
#define LITH_PROCESS_NET_STREAM \
    1u                           // frames behind their length (32 bits, big endian), no header;
                                 // else each read and write is a packet behind a virtio_net_hdr_v1
#define LITH_PROCESS_NET_CSUM 2u // checksums may be left to the other side, both ways
#define LITH_PROCESS_NET_TSO4 4u // and so may cutting TCP into segments
#define LITH_PROCESS_SIGTIMER 14 // SIGALRM
#define LITH_PROCESS_SIGGRACE 26 // SIGVTALRM: the program did not end after a signal

struct lith_boot {
    uint32_t magic, version;
    uint32_t size;        // bytes of this struct as the monitor knows it
    uint32_t ring;        // 0 or 3
    uint64_t kernel_base; // virtual
    uint64_t kernel_gpa, kernel_len;
    uint64_t pml4_gpa;    // CR3
    uint64_t free_gpa;    // first RAM byte above everything that the monitor placed below it; the
                          // kernel's to use from here
    uint64_t tsc_khz;     // 0: unknown
    uint64_t realtime_ns; // CLOCK_REALTIME when TSC was realtime_tsc
    uint64_t realtime_tsc;
    uint64_t exec_tsc;   // TSC when the monitor's own main() began, for the boot chart; 0: unknown
    uint64_t generation; // changes when an instance is restored or cloned
    uint8_t entropy[64]; // fresh random bytes; the kernel wipes them
    uint64_t config_gpa; // boot configuration text (abi/bootconfig.h), NUL-terminated
    uint32_t config_len; // with the NUL
    uint32_t flags;      // LITH_BOOT_*
    uint64_t shared_gpa; // struct lith_shared, one page of its own
    uint32_t mem_count, dev_count;
    struct lith_mem mem[LITH_BOOT_MEM_MAX];
    struct lith_dev dev[LITH_BOOT_DEV_MAX];
    // Bytes at config_gpa that are the kernel's: the text, and behind it room for a pointer to each
    // of its words and four more. It decodes the text in place.
    uint64_t config_room;
    struct lith_process process; // with LITH_BOOT_PROCESS
};

#define LITH_BOOT_LAPIC   1u // an in-kernel local APIC is there: timer and interrupts work
#define LITH_BOOT_PROCESS 2u // the machine is a process of the host

// Doorbells (I/O ports; all writes are 32 bits unless said otherwise).
#define LITH_PORT_CONSOLE 0x0c00u // gpa of a struct lith_console_req, below 4 GiB
#define LITH_PORT_EXIT    0x0c04u // value: exit status 0..255 of the instance; does not return
#define LITH_PORT_WAIT \
    0x0c08u // ring 3 only: sleep until an interrupt is pending or shared.term_signal is
            // set, or the deadline in the request passes. value: gpa of struct lith_wait_req
#define LITH_PORT_TRACE  0x0c0cu // value: any; a mark for measurements, counted and ignored
#define LITH_PORT_TIMER  0x0c10u // ring 3 only, 16 bits, ioeventfd: timer_tsc became earlier
#define LITH_PORT_NOTIFY 0x0c20u // + 2*i: doorbell of queue i (16 bits); ioeventfd

// Console output: value written to LITH_PORT_CONSOLE is the low 32 bits of the gpa of this.
struct lith_console_req {
    uint64_t gpa;    // of the bytes
    uint32_t len;    // bytes, at most 64 KiB
    uint32_t stream; // 1 stdout, 2 stderr
};

struct lith_wait_req {
    uint64_t deadline_tsc; // absolute TSC; UINT64_MAX: none
};

// CPU vectors (ring 3: bits of lith_attention.posted): 0x20 timer, 0x21 + i device i, 0x2f the
// monitor's signal (term_signal is set).
#define LITH_VECTOR_TIMER  0x20
#define LITH_VECTOR_DEVICE 0x21
#define LITH_VECTOR_SIGNAL 0x2f

// ELF note "Lith" type 1, desc = struct lith_note_tables: where in the image (offsets from the
// image's base) the tables are that ring 3 cannot load itself.
#define LITH_NOTE_TABLES 1
struct lith_note_tables {
    uint64_t gdt_off, gdt_limit;
    uint64_t idt_off, idt_limit;
    uint64_t tss_off, tss_limit;
    uint64_t start64_off; // direct 64-bit entry
};

// ELF note "Lith" type 2, desc = struct lith_note_program: the program is linked into the kernel
// (link mode). It says which of the host's services the image can use at all.
#define LITH_NOTE_PROGRAM         2
#define LITH_NOTE_PROGRAM_VERSION 1u
struct lith_note_program {
    uint32_t version;
    uint32_t flags; // LITH_PROGRAM_*
};
// ELF note "Lith" type 3, desc = struct lith_note_process: this kernel can run as a process.
// Offsets from the image's base. System calls are let through from [calls_start, calls_end] only (a
// call's address is that behind its instruction).
#define LITH_NOTE_PROCESS 3
struct lith_note_process {
    uint64_t calls_start, calls_end;
    uint64_t signal_off;   // handler of all signals (SA_SIGINFO)
    uint64_t restorer_off; // what it returns to
};

#define LITH_PROGRAM_FILES   1u // the VFS is linked: a root file system is of use
#define LITH_PROGRAM_NETWORK 2u // the network is linked
#define LITH_PROGRAM_PROCESS 4u // the kernel can run as a process: LITH_NOTE_PROCESS is there

#endif

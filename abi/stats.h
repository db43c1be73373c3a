// SPDX-License-Identifier: ISC
// An instance's counters, as `lith stats` reads them. `lith run` makes a memory file named
// LITH_STATS_NAME for each instance, which lives as long as a process of the instance holds it open
// and is found by /proc/PID/fd: nothing is left behind by whatever end. Two pages:
//
//   page 0   struct lith_stats. Head: `lith run`. Counters: the monitor (machine "kvm"; on
//            "process" no monitor runs beside the guest, they stay 0). Never mapped in a guest.
//   page 1   the guest's struct lith_shared (abi/boot.h), mapped at its place in guest RAM. The
//            kernel's counters lie at LITH_STATS_GUEST_OFFSET in it. All of it is hostile.
//
// Counters are 64 bits, start at 0 and only grow, where their text does not say "now". Each has one
// writer, a thread or the kernel, which adds without locks; readers may see them a moment apart.
// Units are in the names: _bytes, _cycles (of the TSC), _pages (4 KiB); else events.
#ifndef LITH_ABI_STATS_H
#define LITH_ABI_STATS_H

#include <stdint.h>

#define LITH_STATS_NAME    "lith-stats"
#define LITH_STATS_LEN     8192u
#define LITH_STATS_MAGIC   0x535441544854494cull // "LITHSTAT"
#define LITH_STATS_VERSION 1u
#define LITH_STATS_LABEL   128 // bytes of a label, NUL included

enum lith_stats_platform {
    LITH_STATS_KVM = 1,
    LITH_STATS_PROCESS = 2,
    LITH_STATS_QEMU = 3, // no counters at all: QEMU has none for us
};

// The vCPU's thread: why KVM_RUN returned, and what was done about it.
#define LITH_STATS_CPU(X)                                                                \
    X(exit_console, "exit: port of the console, output")                                 \
    X(exit_wait, "exit: port of the wait, ring 3's halt")                                \
    X(exit_power, "exit: port of the end")                                               \
    X(exit_trace, "exit: port for measurements")                                         \
    X(exit_port, "exit: any other port (ends the instance)")                             \
    X(exit_mmio, "exit: an address where no memory is (ends the instance)")              \
    X(exit_signal, "exit: EINTR, a signal to the thread: a kick")                        \
    X(exit_shutdown, "exit: triple fault (ends the instance)")                           \
    X(exit_failed, "exit: entry refused, internal error, any other (ends the instance)") \
    X(console_bytes, "output of program and kernel")                                     \
    X(wait_sleeps, "waits that slept; the others found work")                            \
    X(wait_cycles, "TSC cycles that they slept")                                         \
    X(kicks_delivered, "kicks that found the program running and sent it into the kernel")

// The I/O thread.
#define LITH_STATS_IO(X)                                                           \
    X(kicks_sent, "signals to the vCPU's thread: a posted interrupt was not seen") \
    X(posted_timer, "interrupts posted: the timer was due (ring 3)")               \
    X(posted_device, "interrupts posted: packets (ring 3)")                        \
    X(posted_signal, "interrupts posted: SIGTERM, SIGINT (ring 3)")                \
    X(injected_device, "interrupts injected: packets (ring 0)")                    \
    X(injected_signal, "interrupts injected: SIGTERM, SIGINT (ring 0)")            \
    X(wakeups, "ends of the vCPU's sleep")                                         \
    X(doorbells_rx, "doorbells of the receive queue (ioeventfd)")                  \
    X(doorbells_tx, "doorbells of the transmit queue (ioeventfd)")                 \
    X(doorbells_timer, "doorbells of the timer (ioeventfd): an earlier deadline")  \
    X(polls, "sleeps of the I/O thread in ppoll")                                  \
    X(poll_events, "of these ended by an event, not by their deadline")            \
    X(yields, "turns without work while it expects some: it polls on")             \
    X(net_rx_packets, "packets to the guest")                                      \
    X(net_rx_bytes, "bytes of them, Ethernet header included")                     \
    X(net_rx_dropped, "packets to the guest that were dropped")                    \
    X(net_rx_batches, "turns that had packets to the guest")                       \
    X(net_tx_packets, "packets from the guest")                                    \
    X(net_tx_bytes, "bytes of them")                                               \
    X(net_tx_dropped, "packets from the guest that were dropped")                  \
    X(net_tx_batches, "turns that had packets from the guest")

// The guest's kernel. From host_readv on: machine "process" only, whose kernel makes the host calls
// itself.
#define LITH_STATS_GUEST(X)                                                        \
    X(switches, "switches between threads")                                        \
    X(interrupts, "times that interrupts were taken, of all kinds")                \
    X(timer_interrupts, "timer interrupts among them")                             \
    X(idle_waits, "times that nobody could run and the CPU waited")                \
    X(page_faults, "page faults of the program that were served")                  \
    X(free_pages, "pages of RAM that are free, now; a few more wait in a cache")   \
    X(total_pages, "pages of RAM that the kernel manages, now")                    \
    X(tcp_retransmits, "TCP segments sent again")                                  \
    X(host_readv, "host calls: readv, packets in")                                 \
    X(host_readv_empty, "of these without a packet")                               \
    X(host_writev, "host calls: writev, packets out")                              \
    X(host_writev_full, "of these without room")                                   \
    X(host_write, "host calls: write, the console")                                \
    X(host_ppoll, "host calls: ppoll, waiting")                                    \
    X(host_timer_settime, "host calls: timer_settime")                             \
    X(host_mmap, "host calls: mmap")                                               \
    X(host_mprotect, "host calls: mprotect")                                       \
    X(host_munmap, "host calls: munmap")                                           \
    X(signals_timer, "host signals: the timer")                                    \
    X(signals_outside, "host signals: SIGTERM, SIGINT, SIGHUP")                    \
    X(signals_syscall, "host signals: SIGSYS, a raw `syscall` of the program")     \
    X(signals_fault, "host signals: faults; those served by a noted mapping, too") \
    X(net_rx_packets, "packets in")                                                \
    X(net_rx_bytes, "bytes of them, Ethernet header included")                     \
    X(net_tx_packets, "packets out")                                               \
    X(net_tx_bytes, "bytes of them")

#define LITH_STATS_FIELD(name, text) uint64_t name;

struct lith_stats {
    uint64_t magic;
    uint32_t version, size; // size: of this struct as its writer knows it
    uint32_t platform;      // enum lith_stats_platform
    uint32_t pad;
    uint64_t mem_bytes;           // of the instance (-m)
    uint64_t tsc_khz;             // monitor; 0: unknown
    char label[LITH_STATS_LABEL]; // image or program, as the user named it
    // The threads' counters, on cache lines of their own.
    struct lith_stats_cpu {
        LITH_STATS_CPU(LITH_STATS_FIELD)
    } cpu __attribute__((aligned(64)));
    struct lith_stats_io {
        LITH_STATS_IO(LITH_STATS_FIELD)
    } io __attribute__((aligned(64)));
};

#define LITH_STATS_GUEST_VERSION 1u
#define LITH_STATS_GUEST_OFFSET  1024u // in the page of struct lith_shared

struct lith_stats_guest {
    uint32_t version, size; // kernel; version 0: no counters (a kernel from before them)
    LITH_STATS_GUEST(LITH_STATS_FIELD)
};

_Static_assert(sizeof(struct lith_stats) <= 4096, "the monitor's part is one page");
_Static_assert(LITH_STATS_GUEST_OFFSET + sizeof(struct lith_stats_guest) <= 4096,
               "the guest's part ends with its page");

#endif

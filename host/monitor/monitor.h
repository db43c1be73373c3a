// SPDX-License-Identifier: ISC
// The monitor: one process per instance. It builds the machine, hands the kernel its boot block,
// serves the console and the network, and exits with the instance's status.
//
// Threads: main() is the vCPU; one I/O thread serves devices and signals. What they share is said
// at each field. No allocation after start, no locks.
// Errors of set-up end the process with status 125 and one line; so does anything that a guest
// does outside the contract of abi/boot.h.
#ifndef LITH_MONITOR_H
#define LITH_MONITOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>
#include "abi/boot.h"
#include "abi/stats.h"

#define EXIT_MONITOR 125 // the monitor refused or failed, or the guest broke the contract
#define EXIT_KILLED  137 // ended by force, as docker reports it

#define PAGE_SIZE 4096ull
#define MIB       (1ull << 20)
#define GIB       (1ull << 30)

#define LOW_RAM_END 0xc0000000ull // RAM below 4 GiB ends here: APIC registers lie above
#define MEM_MIN     (1 * MIB)
#define MEM_MAX     (1ull << 40) // 1 TiB: half of the kernel's direct map
#define ROOT_MAX    (256 * GIB)

// Print "lith-monitor: ..." and end the process with status 125. Any thread.
_Noreturn void fatal(const char *format, ...) __attribute__((format(printf, 1, 2)));
void warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

static inline uint64_t rdtsc(void)
{
    uint32_t lo, hi;
    __asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
    return (uint64_t)hi << 32 | lo;
}

static inline uint64_t round_up(uint64_t value, uint64_t align)
{
    return (value + align - 1) & ~(align - 1);
}

// --- guest memory (guest_mem.c) --------------------------------------------------------------

// A guest-physical address. Only guest_mem_ptr() turns one into a pointer.
typedef uint64_t gpa_t;

struct monitor;

struct mem_region {
    gpa_t gpa;
    uint64_t len; // bytes that are mapped on both sides, page multiple
    uint8_t *host;
    bool writable;
};

struct guest_mem {
    unsigned count;
    struct mem_region region[LITH_BOOT_MEM_MAX];
};

// The host address of [gpa, gpa+len), which must lie in one region, writable if `write`; else NULL.
// len 0 is refused. The memory stays the guest's: read each value once.
void *guest_mem_ptr(const struct guest_mem *mem, gpa_t gpa, uint64_t len, bool write);

void add_region(struct monitor *m, gpa_t gpa, uint64_t len, uint8_t *host, bool writable);

// Copy a structure out of guest memory once; false if it is not all there.
bool guest_mem_read(const struct guest_mem *mem, gpa_t gpa, void *out, size_t len);

// --- the kernel's ELF file (kernel_elf.c) ----------------------------------------------------

#define KERNEL_SEGMENTS_MAX 16
#define KERNEL_HEADER_BYTES 4096 // ELF header and program headers lie in the file's first page
#define KERNEL_IMAGE_MAX    (64 * MIB)
#define KERNEL_PHYS_MIN     0x10000ull // what the monitor places goes below, if it fits
#define KERNEL_PHYS_MAX     (16 * MIB)

struct kernel_segment {
    uint64_t offset;            // in the image; page-aligned
    uint64_t file_offset;       // page-aligned
    uint64_t file_len, mem_len; // bytes from the aligned start; mem_len >= file_len
    bool write, exec;
};

struct kernel_image {
    uint64_t link_base; // lowest segment's address, page-aligned
    uint64_t phys;      // its place in guest RAM, page-aligned, KERNEL_PHYS_MIN..KERNEL_PHYS_MAX
    uint64_t len;       // bytes in memory, page multiple
    unsigned count;
    struct kernel_segment segment[KERNEL_SEGMENTS_MAX]; // ascending, not sharing pages
    uint64_t dynamic_off, dynamic_len;                  // len 0: none
    uint64_t note_off[4], note_len[4];
    unsigned note_count;
    struct lith_note_tables tables;   // set by kernel_elf_link
    struct lith_note_process process; // so is this; zeroes: not for the process machine
};

// Check the file's headers (its first `header_len` bytes) and fill `image`. 0, or -1 with a reason
// in *why. The file is hostile.
int kernel_elf_parse(const uint8_t *header, size_t header_len, uint64_t file_len,
                     struct kernel_image *image, const char **why);

// With the segments in memory at `mem` (image->len bytes), read the notes into image->tables and
// apply the relocations for the virtual address `base`. The bytes in memory are hostile.
int kernel_elf_link(struct kernel_image *image, uint8_t *mem, uint64_t base, const char **why);

// --- virtqueues (virtq.c) --------------------------------------------------------------------

#define VIRTQ_CHAIN_MAX 64 // descriptors per chain; a 64 KiB packet in 2 KiB pieces has 34

// The device's side of one split virtqueue (virtio 1.2, 2.7) with EVENT_IDX. The queue's place was
// chosen by the monitor; all that lies in it is hostile. Owned by the I/O thread.
struct virtq {
    const struct guest_mem *mem;
    uint16_t size;                // power of two
    uint16_t last_avail;          // next entry of the available ring to take
    uint16_t used_idx;            // entries put into the used ring
    uint16_t signalled;           // used_idx when the guest was last told
    uint8_t *desc, *avail, *used; // guest memory
};

struct virtq_chain {
    uint16_t head;
    uint16_t count;
    uint32_t len; // sum of the pieces
    struct iovec iov[VIRTQ_CHAIN_MAX];
};

uint64_t virtq_bytes(uint16_t size); // memory that a queue needs, page multiple
// Where the parts of a queue of `size` lie in it.
void virtq_layout(gpa_t gpa, uint16_t size, struct lith_dev_queue *out);
// False if the parts do not lie in RAM.
bool virtq_init(struct virtq *ring, const struct guest_mem *mem,
                const struct lith_dev_queue *queue);

// Take the next chain: 1 and *chain filled, 0 if there is none, -EINVAL if the ring's contents
// break the standard. `device_writes`: all pieces must be device-writable (receive), else
// device-readable.
int virtq_pop(struct virtq *ring, bool device_writes, struct virtq_chain *chain);
bool virtq_has_work(const struct virtq *ring);
// Give a chain back; visible to the guest only after virtq_publish().
void virtq_push(struct virtq *ring, uint16_t head, uint32_t len);
// Show what was pushed; true if the guest asked to be interrupted for it.
bool virtq_publish(struct virtq *ring);
// Ask for a doorbell at the next entry; true if one came meanwhile (look again, do not sleep).
bool virtq_enable_notify(struct virtq *ring);

// --- network (net.c, net_tap.c, net_passt.c) -------------------------------------------------

#define NET_HDR_LEN    12u // struct virtio_net_hdr_v1
#define NET_QUEUE_SIZE 256u
#define NET_FRAME_MAX \
    (65536u + 18u)       // Ethernet header, VLAN tag, and what segmentation offload makes of 64 KiB
#define NET_RX_WINDOW 64 // receive buffers held ready
#define NET_BATCH     64 // packets of one direction before the other has its turn

struct net_backend {
    int fd;
    bool offload_checksum, offload_tso;
    uint16_t mtu;
    bool send_pending; // packets wait for flush()
    bool send_full;    // and there is no room for another
    // One packet, virtio_net_hdr_v1 first, into iov. Bytes (even if the iov was too short for all
    // of it), -EAGAIN, or another error when the backend has ended.
    long (*receive)(struct net_backend *backend, const struct iovec *iov, int count);
    // One packet, virtio_net_hdr_v1 first. 0 when it was taken or dropped; another error when the
    // backend has ended.
    int (*send)(struct net_backend *backend, const struct iovec *iov, int count, uint32_t len);
    // Pass on what waits: 0, -EAGAIN if some still does, another error at the end. NULL: nothing
    // ever waits.
    int (*flush)(struct net_backend *backend);
};

// Open before the sandbox closes. They do not return on failure.
void net_tap_open(struct net_backend *backend, const char *name);
void net_passt_open(struct net_backend *backend, const char *path);
void net_passt_use(struct net_backend *backend, int fd); // a connected stream socket

bool net_frame_to_loopback(const uint8_t *frame, uint32_t len); // passt must not see it
// net_relay.c: machine "process" has no monitor that looks at its frames, so another process does.
// The backend's descriptor becomes the guest's end.
void net_relay_start(struct net_backend *backend);
// Frames from `guest` to `host` as far as they are allowed, everything the other way; returns when
// one side has ended.
void net_relay(int guest, int host);

struct net_device {
    struct net_backend *backend;
    struct lith_stats_io *stats;
    struct virtq rx, tx;
    bool backend_ended;
    // Receive buffers taken from the ring and not yet filled: window [first, first+count).
    unsigned first, count;
    struct iovec window[NET_RX_WINDOW + 1]; // one more for the overflow area
    uint16_t head[NET_RX_WINDOW];
};

uint64_t net_features(const struct net_backend *backend);
// Fill the device's entry of the boot block, its queues at queue_gpa (2*virtq_bytes()).
void net_describe(const struct net_backend *backend, const uint8_t mac[6], gpa_t queue_gpa,
                  struct lith_dev *dev);
// Its packets are counted in *stats.
bool net_init(struct net_device *net, struct net_backend *backend, const struct guest_mem *mem,
              const struct lith_dev *dev, struct lith_stats_io *stats);
// Move packets: number moved, or -EINVAL when the guest's ring is broken. *interrupt is set when
// the guest wants to hear of it.
int net_receive(struct net_device *net, bool *interrupt);
int net_transmit(struct net_device *net, bool *interrupt);
// True if receiving waits for buffers from the guest rather than for packets.
bool net_receive_starved(const struct net_device *net);

// --- the machine (boot.c, kvm.c, io.c, sandbox.c, main.c) ------------------------------------

// The CPU's hardware virtualization. With none, KVM is KVM-PVM: ring 3 runs natively, ring 0 does
// not.
enum virt { VIRT_NONE, VIRT_VMX, VIRT_SVM };

struct sock_filter;

struct monitor {
    // Set before the I/O thread starts, then constant.
    uint64_t exec_tsc;
    enum virt virt;
    int ring;
    bool process; // machine "process", else KVM
    int ram_fd;   // machine "process": RAM, offset = gpa
    uint64_t ram_len;
    struct guest_mem mem;
    struct kernel_image kernel;
    uint64_t kernel_base;
    struct lith_boot *boot;     // in guest memory: write only
    struct lith_shared *shared; // in guest memory: both sides write
    struct lith_stats *stats;   // .cpu: vCPU thread adds; .io: I/O thread
    gpa_t boot_gpa, pml4_gpa, free_gpa;
    int kvm_fd, vm_fd, vcpu_fd;
    struct kvm_run *run;
    uint64_t tsc_khz;
    uint64_t tsc_offset; // guest TSC - host TSC
    uint64_t xcr0;       // 0: leave alone
    bool has_fsgsbase;
    unsigned dev_count;
    int irq_fd[LITH_BOOT_DEV_MAX]; // eventfd that raises the device's vector
    int signal_irq_fd;             // raises LITH_VECTOR_SIGNAL
    int timer_fd;                  // ring 3: the guest's timer is due earlier
    int vcpu_tid;                  // ring 3: the thread that runs the guest
    int wake_fd;                   // ends the vCPU's sleep at LITH_PORT_WAIT
    int stop_fd;                   // tells the I/O thread of a signal
    bool has_net;
    int kick_fd[2]; // net: receive, transmit
    struct net_backend net_backend;
    // I/O thread only.
    struct net_device net;
    gpa_t populated; // RAM is ready up to here
};

// What the command line says (main.c). Files are open before the capabilities go.
struct options {
    const char *kernel, *root, *net;
    int kernel_fd, root_fd; // root_fd -1: none
    uint64_t kernel_len, root_len;
    uint64_t mem_bytes;
    int config_fd;
    int stats_fd; // -1: nobody looks at the counters
    int ring;     // -1: choose
    bool boot_chart;
    bool process, allow_wx;
    uint64_t clock_tsc, clock_ns; // a moment on the TSC and CLOCK_MONOTONIC; 0: none
    uint8_t mac[6];
};

// For --boot-chart.
void chart_mark(const char *what);
void chart_print(const struct monitor *m);

// In the order of start; any failure ends the process.
// attention.c: interrupts of a guest in ring 3 (abi/boot.h, struct lith_attention).
#define KICK_SIGNAL SIGUSR1
void attention_post(struct monitor *m, unsigned vector); // I/O thread
// I/O thread, every turn: the timer, and a guest that did not look. When to come back at the latest
// (CLOCK_MONOTONIC ns), or 0: no need.
uint64_t attention_serve(struct monitor *m, uint64_t now_ns);
void attention_start(struct monitor *m);   // vCPU thread, before it runs
void attention_deliver(struct monitor *m); // vCPU thread, when a signal stopped the guest
enum virt host_virt(void);
void sandbox_drop_privileges(void); // before any thread: capabilities, new privileges, limits
void boot_map(struct monitor *m, const struct options *options);      // guest memory, empty
void stats_open(struct monitor *m, const struct options *options);    // stats.c: sets m->stats
void stats_share(const struct options *options, uint8_t *guest_page); // the shared page's memory
void io_start(struct monitor *m);   // starts the I/O thread, which first calls kvm_create()
void kvm_create(struct monitor *m); // the whole machine but its registers; I/O thread
void boot_load(struct monitor *m, const struct options *options); // what is in the memory
void io_wait_created(void);
void kvm_set_registers(struct monitor *m);
void boot_finish(struct monitor *m);         // clocks and entropy, last of all
void sandbox_enter(const struct monitor *m); // all threads: the system call filter
// I/O thread: has the host give the RAM that the guest will use next. True if there was any to do.
bool boot_populate(struct monitor *m);
// process.c: the machine that is a process of the host's (abi/boot.h).
// What it needs of the host; begins to measure the TSC's rate.
void process_check(struct monitor *m, const struct options *options);
void process_map_ram(struct monitor *m,
                     uint64_t low_len);         // both parts of RAM, at the guest's addresses
bool process_reserve_kernel(struct monitor *m); // false: m->kernel_base is in use
void process_map_kernel(struct monitor *m, int fd, const char *path);
_Noreturn void process_run(struct monitor *m, const struct options *options);
// process_filter.c: what the host lets through. The filter's length.
#define PROCESS_FILTER_MAX 128
struct process_rules {
    uint64_t calls_start, calls_end; // addresses of the kernel's calls
    int ram_fd, root_fd, net_fd;
    bool allow_wx;
};
unsigned process_filter(const struct process_rules *rules, struct sock_filter *out);

void io_serve(void); // lets the I/O thread serve
_Noreturn void kvm_run_guest(struct monitor *m);

#endif

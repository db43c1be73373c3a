// SPDX-License-Identifier: ISC
// lith.h: the kernel's own interface for programs of link mode, below POSIX: packets of a network
// device, pages, threads, time. This text is the specification. Nothing of Linux's interface is
// linked because of it: a program that calls only these functions has the kernel's scheduler,
// memory and driver, and no sockets, files or signals. It may call the C library beside them.
//
// Errors. A function that returns int or long returns 0 or a count, or a negative errno value
// (<errno.h>): no other value is negative, and errno itself is not touched. A call that fails has
// changed nothing, unless its text says otherwise. Each may return
//   -EFAULT   a pointer points to memory that is not there
//   -EINVAL   an argument is outside of its range
// and what its own text names. What belongs to the program (packets, pages, threads) has a handle
// or an address that the kernel knows: one that was given back, or was never given out, is -EBADF;
// the first time, a line in the log says so. Writing to memory after giving it back is not noticed.
//
// Time. Points in time are nanoseconds of lith_clock_ns()'s clock, durations nanoseconds. A
// deadline is a point in time; one that has passed (0: always) means "only look", LITH_FOREVER
// "however long". A call that waits until its deadline returns -ETIMEDOUT; it may do so late, when
// others have the CPU, never early. Where a program has signals (sigaction), -EINTR says that one
// came while the call waited.
//
// Context. Every function may be called by main() and any thread of the program, also from a
// signal handler, and at once by several threads. Only those with a deadline sleep; others return
// without giving the CPU away. lith_clock_ns(), lith_net_count() and lith_cpu_count() are plain
// functions, all others cost a call of the kernel (some nanoseconds): batches are there to share
// it.
#ifndef LITH_H
#define LITH_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LITH_FOREVER UINT64_MAX

// --- network devices ---
// Devices are numbered from 0. One that a program has opened is the program's alone. Where the
// TCP/IP stack is linked too (the program calls socket()), it has every device that the instance's
// network configuration gives an address; others can be opened.
struct lith_net_info {
    char name[16]; // "eth0"
    uint8_t mac[6];
    uint16_t mtu; // bytes behind the Ethernet header: frames have up to mtu + LITH_NET_HEADER
    // What `lith run --ip` says about the first device: "10.0.0.2/24", "dhcp", or "".
    char address[32];
    // Since start: frames taken from the device and given to it; frames that nobody wanted, that
    // did not fit or were damaged.
    uint64_t received, sent, dropped;
};
#define LITH_NET_HEADER   14u   // bytes of an Ethernet header, the first of every frame
#define LITH_NET_BATCH    64u   // packets of one call, at most
#define LITH_NET_HELD     1024u // packets that a program may hold, at most
#define LITH_NET_HEADROOM 64u   // bytes before a frame that are there to be used

// A packet of the program: a frame in memory of the kernel, which the program may read and write,
// from `data` - LITH_NET_HEADROOM to `data` + mtu + LITH_NET_HEADER as the call filled it in.
struct lith_packet {
    uint8_t *data;   // the frame's first byte, its Ethernet header. May be moved within the memory
    uint32_t length; // bytes of the frame
    uint32_t handle; // never 0
    // With LITH_PACKET_CHECKSUM, in bytes from `data`: where the checksum's range begins (it goes
    // to the frame's end), and where behind that it is stored.
    uint16_t checksum_start, checksum_offset;
    uint16_t segment; // received only; not 0: see lith_net_receive()
    uint16_t flags;   // LITH_PACKET_*
};
// The Internet checksum is not in the frame yet. Received: the frame never left this host, and in
// the field is the sum of the pseudo-header. To send: the device, or else the kernel, computes it;
// the program puts the pseudo-header's sum in the field. A frame that goes back with addresses
// and ports exchanged keeps that sum, and a complete checksum as well.
#define LITH_PACKET_CHECKSUM 1u
// Received only: the device has verified the transport's checksum.
#define LITH_PACKET_VERIFIED 2u

// Number of network devices.
int lith_net_count(void);
// -ENODEV: no such device.
int lith_net_info(int device, struct lith_net_info *info);
// Frames that arrive from now on are the program's; those before are gone. -ENODEV; -EBUSY: it is
// open, or the TCP/IP stack uses it.
int lith_net_open(int device);
// Frames that were not taken are dropped. Packets that the program holds stay its own. A thread
// that waits in lith_net_receive() gets -EBADF. -EBADF: not open.
int lith_net_close(int device);

// Waits for frames until `deadline`, then takes those that are there, at most `count` and
// LITH_NET_BATCH: their number, at least 1. They are the program's until it sends or releases them;
// while it holds many, little memory is left for new ones. No more than 256 wait here; then the
// device keeps them, and drops what does not fit there.
// A frame has at most mtu + LITH_NET_HEADER bytes, with one exception: a device that joins TCP
// segments gives them as one frame of up to 65,549 bytes with `segment` the payload bytes of each;
// its checksum counts as verified.
// -EBADF: not open; -EAGAIN: none is there and the deadline is 0; -ETIMEDOUT; -EINTR; -ENOBUFS: the
// program holds LITH_NET_HELD packets. With -EFAULT the frames are lost.
long lith_net_receive(int device, struct lith_packet *packets, unsigned count, uint64_t deadline);
// Makes up to `count` packets to send, length 0, contents undefined: their number, which is less
// than `count` when memory is short or the program holds LITH_NET_HELD packets. -ENOBUFS: none.
long lith_net_alloc(struct lith_packet *packets, unsigned count);
// Sends frames from packets that were received or allocated, without copying, in order, with one
// doorbell: the number sent, which is less than `count` when the device has no room; try the others
// again after a while. What was sent is no longer the program's, what was not still is. Everything
// is checked first: with -EBADF (device not open, or a packet that is not the program's or is
// there twice) and -EINVAL (a frame shorter than its header, longer than the device takes, or not
// within the packet's memory; a checksum outside of the frame; count above LITH_NET_BATCH), nothing
// was sent.
long lith_net_send(int device, const struct lith_packet *packets, unsigned count);
// Gives packets back; only `handle` is looked at. -EBADF (one of them is not the program's, or is
// there twice) and -EINVAL (count above LITH_NET_BATCH): none was given back.
int lith_net_release(const struct lith_packet *packets, unsigned count);

// --- pages ---
#define LITH_PAGE_SIZE      4096u
#define LITH_PAGE_ORDER_MAX 10u
#define LITH_PAGE_ZERO      1u // flag: filled with zeroes; else the contents are undefined
// *pages: 2^order pages, contiguous in physical memory too, aligned to their size, readable and
// writable without faults. -EINVAL: order above LITH_PAGE_ORDER_MAX, unknown flag; -ENOMEM.
int lith_page_alloc(unsigned order, unsigned flags, void **pages);
// Gives back what lith_page_alloc() gave, as a whole, with the same order. -EBADF: it did not.
int lith_page_free(void *pages, unsigned order);

// --- threads ---
// A thread has a stack with a guard page, a copy of its own of thread-local variables, and the CPU
// when it is its turn: the program's threads take turns of some milliseconds. It may call
// everything here, and of the C library what only computes (memcpy, snprintf without %ls, strtol,
// qsort, math.h): not malloc or stdio, nor what calls the kernel; such a call ends the instance
// with a report. It gets no signals. When main() returns, the instance ends with all its threads.
#define LITH_THREAD_STACK 65536u // bytes, where 0 is asked for
#define LITH_THREADS_MAX  64u    // that were not joined yet
// Number of CPUs. Instances have one today: CPU 0.
int lith_cpu_count(void);
// Starts fn(arg) on CPU `cpu` with a stack of at least stack_bytes (0: LITH_THREAD_STACK), which is
// there from the start: no faults. Its handle, above 0. -ENODEV: no such CPU; -EAGAIN: there are
// LITH_THREADS_MAX; -ENOMEM; -EINVAL: fn is NULL, or the stack above 1 GiB.
long lith_thread_spawn(int cpu, void (*fn)(void *arg), void *arg, size_t stack_bytes);
// Waits for the thread's end; then its handle is gone. Each thread is to be joined, by one other.
// -EBADF: not a thread, or joined; -EDEADLK: by itself; -ETIMEDOUT; -EINTR.
int lith_thread_join(long thread, uint64_t deadline);
// Ends the calling thread, which lith_thread_spawn() started; as does returning from fn. In any
// other thread it ends the instance with a report.
void lith_thread_exit(void) __attribute__((noreturn));
// Lets others run that wait for the CPU, if there are any. Devices are looked at.
void lith_thread_yield(void);

// --- waiting and time ---
// There are no timers that call functions: every wait has a deadline.
uint64_t lith_clock_ns(void); // monotonic, from the instance's start
// -EINTR.
int lith_sleep_until(uint64_t deadline);
// Sleeps until lith_wake() of the same word, if *word (aligned to 4) is `expected`; looking and
// falling asleep are one step. 0: woken; -EAGAIN: it is something else; -ETIMEDOUT; -EINTR.
int lith_wait(const uint32_t *word, uint32_t expected, uint64_t deadline);
// Wakes up to `count` threads that wait for the word, longest first: their number.
int lith_wake(const uint32_t *word, unsigned count);

// --- console, end ---
// Writes to the instance's standard output (1) or error (2), unbuffered. -EFAULT: of what lies
// before the bad address some may be written.
int lith_console_write(int stream, const void *text, size_t length);
// Ends the instance with this exit status (its low 8 bits). Nothing of the C library's exit() runs.
void lith_exit(int status) __attribute__((noreturn));

#ifdef __cplusplus
}
#endif
#endif

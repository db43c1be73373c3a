// SPDX-License-Identifier: ISC
// Private to plat/process: a process of the host as the machine. The host's calls are made here and
// nowhere else; SECURITY.md lists those that it lets through.
#ifndef LITH_PLAT_PROCESS_H
#define LITH_PLAT_PROCESS_H

#include "arch/x86_64/x86.h"
#include "plat/machine.h"
#include "abi/boot.h"

// entry.S
long host_call(long nr, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4,
               uint64_t a5);
struct host_pollfd {
    int32_t fd;
    int16_t events, revents;
};
struct host_timespec {
    int64_t sec, ns;
};
long process_wait(struct host_pollfd *fds, uint64_t count, const struct host_timespec *timeout);
extern const char process_wait_start[], process_wait_end[];
extern int process_early_signal;

#define HOST_WRITE         1
#define HOST_MMAP          9
#define HOST_MPROTECT      10
#define HOST_MUNMAP        11
#define HOST_READV         19
#define HOST_WRITEV        20
#define HOST_PPOLL         271
#define HOST_TIMER_SETTIME 223
#define HOST_EXIT_GROUP    231

#define HOST_POLLIN  1
#define HOST_POLLOUT 4

extern struct lith_process process_files;

// space.c: the host's mappings follow the page tables.
void space_start(const struct lith_boot *boot);
// A fault at addr: true if a mapping that was only noted was made, and it is worth another try.
bool space_settle(uint64_t addr);

// signal.c
int signal_take(void);
void process_timer(int id, uint64_t after_ns); // 0: off

#endif

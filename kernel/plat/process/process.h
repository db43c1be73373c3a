// SPDX-License-Identifier: ISC
// Private to plat/process: a process of the host as the machine. The host's calls are made here and
// nowhere else; SECURITY.md lists those that it lets through.
#ifndef LITH_PLAT_PROCESS_H
#define LITH_PLAT_PROCESS_H

#include "arch/x86_64/x86.h"
#include "plat/machine.h"
#include "abi/boot.h"

struct host_pollfd {
    int32_t fd;
    int16_t events, revents;
};
struct host_timespec {
    int64_t sec, ns;
};
#define HOST_POLLIN  1
#define HOST_POLLOUT 4

// entry.S: the host's calls, with Linux's arguments and results (-errno).
long host_write(int fd, const void *bytes, uint64_t len);
long host_readv(int fd, const struct plat_iovec *iov, uint64_t count);
long host_writev(int fd, const struct plat_iovec *iov, uint64_t count);
long host_mmap(uint64_t va, uint64_t len, unsigned prot, int flags, int fd, uint64_t offset);
long host_mprotect(uint64_t va, uint64_t len, unsigned prot);
long host_munmap(uint64_t va, uint64_t len);
long host_timer_settime(int id, int flags, const struct host_timespec value[2], void *old);
long host_ppoll(struct host_pollfd *fds, uint64_t count, const struct host_timespec *timeout,
                const void *mask);
long host_exit_group(int status);
// ppoll, but -EINTR when an interrupt is pending, or comes meanwhile.
long process_wait(struct host_pollfd *fds, uint64_t count, const struct host_timespec *timeout);
extern const char process_wait_start[], process_wait_end[];
extern int process_early_signal;

// space.c: the host's mappings follow the page tables.
void space_start(void);
// A fault at addr: true if a mapping that was only noted was made, and it is worth another try.
bool space_settle(uint64_t addr);

// signal.c
int signal_take(void);
void process_timer(int id, uint64_t after_ns); // 0: off

#endif

// SPDX-License-Identifier: ISC
// linux: the Linux x86-64 ABI as C functions `long sys_<name>(...)`: Linux's numbers, types,
// semantics; -errno on failure. Each is declared beside its implementation:
//
//     SYSCALL(257, openat, int dfd, const char *path, int flags, unsigned mode)
//     {
//         ...
//     }
//
// The build collects these lines (one call a line, so that it can) into the dispatch table, which
// holds weak references.
#ifndef LITH_LINUX_H
#define LITH_LINUX_H

#include "fs/fs.h"
#include "net/net.h"

#define SYSCALL(nr, name, ...)    \
    long sys_##name(__VA_ARGS__); \
    long sys_##name(__VA_ARGS__)

typedef long (*syscall_fn)(long, long, long, long, long, long);
// NULL: not implemented (ENOSYS, logged once).
syscall_fn syscall_lookup(unsigned long nr);
const char *syscall_name(unsigned long nr);

// Starts the program of boot_config as process 1 (in its own thread). 0 or -errno.
int linux_start(void);

#endif

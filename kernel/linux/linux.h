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

// SYSCALL_QUICK: for calls that only read a field, touch no lock and no program memory: in link
// mode they are called as they are, without a gate.
#ifdef LITH_HOSTED // unit tests call sys_<name> themselves
#define SYSCALL_GATE(nr, name, gate)
#define SYSCALL_ALIAS(name)
#else
// Link mode's way in (docs/link-mode.md): a section of its own, so that it goes where nobody calls
// it.
#define SYSCALL_GATE(nr, name, gate)                                                   \
    __asm__(".pushsection .text.gates." #name ",\"ax\",@progbits\n\t"                  \
            ".globl gate_" #name "\n\t.type gate_" #name ",@function\n"                \
            "gate_" #name ":\n\tmov $" #nr ",%eax\n\tlea sys_" #name "(%rip),%r11\n\t" \
            "jmp " #gate "\n\t.size gate_" #name ",.-gate_" #name "\n\t.popsection");
#define SYSCALL_ALIAS(name) __asm__(".globl gate_" #name "\n\t.set gate_" #name ", sys_" #name);
#endif
#define SYSCALL(nr, name, ...)        \
    SYSCALL_GATE(nr, name, link_gate) \
    long sys_##name(__VA_ARGS__);     \
    long sys_##name(__VA_ARGS__)
// SYSCALL_REGS: for calls that look at all registers of the program (arch_user_regs).
#define SYSCALL_REGS(nr, name, ...)        \
    SYSCALL_GATE(nr, name, link_gate_full) \
    long sys_##name(__VA_ARGS__);          \
    long sys_##name(__VA_ARGS__)
#define SYSCALL_QUICK(nr, name, ...) \
    SYSCALL_ALIAS(name)              \
    long sys_##name(__VA_ARGS__);    \
    long sys_##name(__VA_ARGS__)

typedef long (*syscall_fn)(long, long, long, long, long, long);
// NULL: not implemented (ENOSYS, logged once).
syscall_fn syscall_lookup(unsigned long nr);
const char *syscall_name(unsigned long nr);
// -ENOSYS for the call that these registers ask for, with a line in the log, once per number.
long syscall_unknown(const struct regs *r);
int syscall_table_install(void); // binary mode: gates, dispatch. 0 or -ENOMEM

// Starts the program of boot_config as process 1 (in its own thread). 0 or -errno.
int linux_start(void);

#endif

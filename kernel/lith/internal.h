// SPDX-License-Identifier: ISC
// What the files of lith/ share: how a program gets here. Their state has no locks: there is one
// CPU (lith_cpu_count), kernel code is not preempted, and what must be one step does not sleep.
#ifndef LITH_LITH_INTERNAL_H
#define LITH_LITH_INTERNAL_H

#include <asm-generic/errno.h>
#include "dev/dev.h"
#include "lith/lith.h"

// LITH_CALL(nr, net_open): lith_net_open() is a gate (docs/link-mode.md) to call_net_open(), which
// has its type. The number is for reports; Linux has none as high.
#ifdef LITH_HOSTED // unit tests call call_<name> themselves
#define LITH_GATE(nr, name)
#else
#define LITH_GATE(nr, name)                                                             \
    __asm__(".pushsection .text.gates.lith_" #name ",\"ax\",@progbits\n\t"              \
            ".globl lith_" #name "\n\t.type lith_" #name ",@function\n"                 \
            "lith_" #name ":\n\tmov $" #nr ",%eax\n\tlea call_" #name "(%rip),%r11\n\t" \
            "jmp link_gate\n\t.size lith_" #name ",.-lith_" #name "\n\t.popsection");
#endif
#define LITH_CALL(nr, name) \
    LITH_GATE(nr, name)     \
    __typeof__(lith_##name) call_##name

// For -EBADF: says what happened, once per kind (*said). Returns -EBADF.
int lith_bad_handle(bool *said, const char *call, const char *what, uint64_t value);

#endif

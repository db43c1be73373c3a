// SPDX-License-Identifier: ISC
// The call gate: how rewritten programs reach the kernel. Shared by the rewriter (host/image)
// and the kernel. The table lies at the fixed address LITH_GATE_TABLE (abi/layout.h), readable
// and never writable while programs run.
//
//   form A  `mov $nr,%eax; syscall` (7 or 9 bytes) -> `call *[LITH_GATE_TABLE + 8*nr]`
//           Enters table[nr] with the return address on the stack; eax is NOT set.
//   form B  `syscall; cmp $-4096,%rax` (8 bytes)   -> `call *[LITH_GATE_GENERIC_CALL]; nop`
//           eax holds the number; the gate returns with the flags of `cmp $-4096,%rax`.
//   form C  instructions moved to a stub            -> `jmp stub`; the stub does
//           `lea ret(%rip),%rcx; jmp *[LITH_GATE_GENERIC_JUMP]`
//           eax holds the number, rcx the return address; nothing was pushed.
//
// All gates: arguments rdi rsi rdx r10 r8 r9 as for `syscall`; rax returns the result; rcx and
// r11 are clobbered; every other register, and the program's stack and red zone (forms C) are
// kept. At entry of forms A and B the return address is popped at once, so that the program's
// rsp is what it would be at a `syscall`.
#ifndef LITH_ABI_GATE_H
#define LITH_ABI_GATE_H

#include "abi/layout.h"

#define LITH_GATE_ENTRIES      512
#define LITH_GATE_GENERIC_CALL (LITH_GATE_TABLE + 8ull * LITH_GATE_ENTRIES)
#define LITH_GATE_GENERIC_JUMP (LITH_GATE_GENERIC_CALL + 8)

#endif

// SPDX-License-Identifier: ISC
// For assembly: offsets in struct cpu and struct regs (arch/arch.h), and the order of the
// registers.
#ifndef LITH_ARCH_X86_64_ENTRY_H
#define LITH_ARCH_X86_64_ENTRY_H

#define CPU_KSTACK      8
#define CPU_SCRATCH     16
#define CPU_INKERNEL    24
#define CPU_PENDING     32
#define CPU_CR2         48
#define CPU_USERWORK    56
#define CPU_SCRATCH_RIP 64
#define REGS_SIZE       168
#define REGS_RAX        80
#define REGS_RIP        128
#define REGS_CS         136
#define REGS_RSP        152
#define KSTACK_SIZE     16384

// Pushes the general registers below orig_rax: the order of struct regs.
.macro PUSH_REGS rax = % rax,
                 rcx = % rcx push % rdi push % rsi push % rdx push \rcx push \rax push % r8 push %
                       r9 push % r10 push % r11 push % rbx push % rbp push % r12 push % r13 push %
                       r14 push % r15.endm.macro POP_REGS pop % r15 pop % r14 pop % r13 pop %
                       r12 pop % rbp pop % rbx pop % r11 pop % r10 pop % r9 pop % r8 pop % rax pop %
                       rcx pop % rdx pop % rsi pop % rdi.endm

#endif

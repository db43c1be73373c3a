// SPDX-License-Identifier: ISC
// Gates of binary mode: what the calls lead to that the rewriter puts in a program (abi/gate.h), and LSTAR.
#include "arch/x86_64/entry.inc"

    .section .text.gate, "ax"
    .global gate_heads_start, gate_heads_end, gate_jump
    .balign 16
gate_heads_start:
// One entry a call number: form A leaves eax unset (abi/gate.h).
    .set nr, 0
    .rept 512
    mov $nr, %eax
    .byte 0xe9                  // jmp rel32, so that entries are 10 bytes each
    .long gate_call - . - 4
    .set nr, nr + 1
    .endr
    .balign 16
gate_call:
    movb $1, %gs:CPU_INKERNEL
gate_heads_end:
    pop %rcx
    mov %rsp, %gs:CPU_SCRATCH
    mov %gs:CPU_KSTACK, %rsp
    push $FRAME_CALLED          // ss
gate_common:
    push %gs:CPU_SCRATCH        // rsp
    push $0x202                 // rflags
    push $0                     // cs: a gate frame
    push %rcx                   // rip
    push %rax                   // orig_rax
    PUSH_REGS
    cmp gate_calls_count(%rip), %rax
    jae 1f
    mov gate_calls(%rip), %r11
    mov (%r11,%rax,8), %r11
    test %r11, %r11
    jz 1f
    mov %gs:CPU_CURRENT, %rcx
    mov THREAD_CALLS_AT(%rcx), %ebx // the frame has the program's rbx
    mov %ax, THREAD_CALLS(%rcx,%rbx,2)
    inc %ebx
    and $15, %ebx
    mov %ebx, THREAD_CALLS_AT(%rcx)
    mov %r10, %rcx              // the fourth argument, as C has it
    call *%r11
    mov REGS_RBX(%rsp), %rbx
    mov %rax, REGS_RAX(%rsp)
    lea 516(%rax), %rcx         // -512 to -516: to be made again, or EINTR (linux/process.h)
    cmp $4, %rcx
    ja gate_leave
    mov %rsp, %rdi
    call *arch_restart_hook(%rip)
    jmp gate_leave
1:  mov %rsp, %rdi              // no such call
    call *arch_syscall_hook(%rip)
    jmp gate_leave

// Form C, and LSTAR in ring 0: rcx is the return address, rax the number.
    .balign 16
gate_jump:
    movb $1, %gs:CPU_INKERNEL
    mov %rsp, %gs:CPU_SCRATCH
    mov %gs:CPU_KSTACK, %rsp
    push $0                     // ss
    jmp gate_common

// --- tables of addresses ---
    .section gate_table, "aw"
    .balign 4096
    .global arch_gate_table
arch_gate_table:
    .set nr, 0
    .rept 512
    .quad gate_heads_start + 10 * nr
    .set nr, nr + 1
    .endr
    .quad gate_call             // LITH_GATE_GENERIC_CALL
    .quad gate_jump             // LITH_GATE_GENERIC_JUMP
    .balign 4096

    .section .note.GNU-stack, "", @progbits

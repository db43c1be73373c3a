// SPDX-License-Identifier: ISC
// Gates of binary mode: what the calls lead to that the rewriter puts in a program (abi/gate.h), and LSTAR.
#include "arch/x86_64/entry.inc"

    .section .text.gate, "ax"
    .global gate_heads_start, gate_heads_end, gate_jump
    .balign 16
gate_heads_start:
// One entry a call number: form A leaves eax unset (abi/gate.h). What makes a second thread or process out
// of the registers (clone, fork, vfork, clone3) needs them all in the frame.
    .set nr, 0
    .rept 512
    mov $nr, %eax
    .byte 0xe9                  // jmp rel32, so that entries are 10 bytes each
    .if (nr == 56) || (nr == 57) || (nr == 58) || (nr == 435)
    .long gate_call - . - 4
    .else
    .long gate_call_light - . - 4
    .endif
    .set nr, nr + 1
    .endr
    .balign 16
gate_call_light:
    movb $1, %gs:CPU_INKERNEL
    pop %rcx
    mov %rsp, %r11
    mov %gs:CPU_KSTACK, %rsp
    push $FRAME_CALLED          // ss
    push %r11                   // rsp
    push $0x202                 // rflags
    push $0                     // cs: a gate frame
    push %rcx                   // rip
    push %rax                   // orig_rax
    PUSH_CALLER
    sub $REGS_CALLEE, %rsp      // gate_slow fills these in, should anybody want to know
    jmp gate_dispatch
    .balign 16
gate_call:
    movb $1, %gs:CPU_INKERNEL
gate_heads_end:
    pop %rcx
    mov %rsp, %r11
    mov %gs:CPU_KSTACK, %rsp
    push $FRAME_CALLED          // ss
gate_common:
    push %r11                   // rsp
    push $0x202                 // rflags
    push $0                     // cs: a gate frame
    push %rcx                   // rip
    push %rax                   // orig_rax
    PUSH_REGS
gate_dispatch:
    mov %gs:CPU_CURRENT, %rcx
    mov THREAD_CALLS_AT(%rcx), %r11d
    mov %ax, THREAD_CALLS(%rcx,%r11,2)
    inc %r11d
    and $15, %r11d
    mov %r11d, THREAD_CALLS_AT(%rcx)
    cmp gate_calls_count(%rip), %rax
    jae 1f
    mov gate_calls(%rip), %r11
    mov (%r11,%rax,8), %r11
    test %r11, %r11
    jz 1f
    mov %r10, %rcx              // the fourth argument, as C has it
    call *%r11
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
    mov %rsp, %r11
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

// SPDX-License-Identifier: ISC
// Gates of binary mode: what the calls lead to that the rewriter puts in a program (abi/gate.h), and LSTAR.
#include "arch/x86_64/entry.inc"

    .section .text.gate, "ax"
    .global gate_heads_start, gate_jump
    .balign 16
gate_heads_start:
// One entry a call number: form A leaves eax unset (abi/gate.h). What makes a second thread or process out
// of the registers (clone, fork, vfork, clone3) needs them all in the frame; rt_sigreturn leaves by another one.
    .set nr, 0
    .rept 512
    mov $nr, %eax
    .byte 0xe9                  // jmp rel32, so that entries are 10 bytes each
    .if (nr == 15) || (nr == 56) || (nr == 57) || (nr == 58) || (nr == 435)
    .long gate_call - . - 4
    .else
    .long gate_call_light - . - 4
    .endif
    .set nr, nr + 1
    .endr
    .balign 16
gate_call:
    movb $1, %gs:CPU_INKERNEL
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
    cmp $512, %rax
    jae 1f
    mov gate_calls(%rip), %r11
    mov %r10, %rcx              // the fourth argument, as C has it
    call *(%r11,%rax,8)
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

// The usual way, straight through: form A with a known number. Registers that C keeps are left out of the
// frame (gate_slow fills them in, should anybody want to know), and so is what nobody reads before
// arch_regs_make_full: rcx, r11, rflags. kernel.ld puts this section between .text.gate and
// .text.entry and knows how long its first instruction is: up to there a program is in a gate's head,
// behind it in the tail.
    .section .text.gate_light, "ax"
gate_call_light:
    movb $1, %gs:CPU_INKERNEL
    pop %rcx
    mov %rsp, %r11
    mov %gs:CPU_KSTACK, %rsp
    sub $REGS_SIZE, %rsp
    movq $FRAME_CALLED, REGS_SS(%rsp)
    mov %r11, REGS_RSP(%rsp)
    movq $0, REGS_CS(%rsp)
    mov %rcx, REGS_RIP(%rsp)
    mov %rax, REGS_ORIG(%rsp)
    mov %rdi, 112(%rsp)
    mov %rsi, 104(%rsp)
    mov %rdx, 96(%rsp)
    mov %r8, 72(%rsp)
    mov %r9, 64(%rsp)
    mov %r10, 56(%rsp)
    mov %gs:CPU_CURRENT, %rcx
    mov THREAD_CALLS_AT(%rcx), %r11d
    mov %ax, THREAD_CALLS(%rcx,%r11,2)
    inc %r11d
    and $15, %r11d
    mov %r11d, THREAD_CALLS_AT(%rcx)
    mov gate_calls(%rip), %r11
    mov %r10, %rcx              // the fourth argument, as C has it
    call *(%r11,%rax,8)         // there is one for every number below 512
    mov %rax, REGS_RAX(%rsp)
    lea 516(%rax), %rcx         // -512 to -516: to be made again, or EINTR (linux/process.h)
    cmp $4, %rcx
    jbe 1f
    movb $0, %gs:CPU_INKERNEL
    mov %gs:CPU_PENDING, %rcx
    or %gs:CPU_USERWORK, %rcx
    jnz 2f
    cmpb $0, %gs:CPU_RESCHED
    jne 2f
    mov 56(%rsp), %r10
    mov 64(%rsp), %r9
    mov 72(%rsp), %r8
    mov 96(%rsp), %rdx
    mov 104(%rsp), %rsi
    mov 112(%rsp), %rdi
    mov REGS_RIP(%rsp), %rcx
    testb $FRAME_CALLED, REGS_SS(%rsp) // munmap may have taken the stack
    mov REGS_RSP(%rsp), %rsp
    jz 3f
    push %rcx
    cmp $-4096, %rax
    ret
3:  cmp $-4096, %rax
    jmp *%rcx
1:  mov %rsp, %rdi
    call *arch_restart_hook(%rip)
2:  jmp gate_leave

// --- tables of addresses ---
    .section gate_table, "aw"
    .balign 4096
    .global arch_gate_table
arch_gate_table:
    .set nr, 0
    .rept 512
    .if nr == 39
    .quad gate_quick_getpid     // whole calls that need no gate: linux/quick.c
    .elseif nr == 110
    .quad gate_quick_getppid
    .elseif nr == 186
    .quad gate_quick_gettid
    .else
    .quad gate_heads_start + 10 * nr
    .endif
    .set nr, nr + 1
    .endr
    .quad gate_call             // LITH_GATE_GENERIC_CALL
    .quad gate_jump             // LITH_GATE_GENERIC_JUMP
    .balign 4096

    .section .note.GNU-stack, "", @progbits

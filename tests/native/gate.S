// SPDX-License-Identifier: ISC
// A pass-through gate for rewritten programs run as ordinary Linux processes: it makes the real
// system call. launcher.c copies these bytes into the gate's pages; they are position-independent.
//
// The real `syscall` destroys rcx, where the kernel under test would keep the return address. So
// it is parked at rsp-8: below the frames that signals push and, for what forks, on the child's
// stack too. Returning by jmp with flags of `cmp $-4096,%rax` satisfies forms A, B and C alike.

#define NR_CLONE      56
#define NR_FORK       57
#define NR_VFORK      58
#define NR_EXIT       60
#define NR_EXIT_GROUP 231
#define NR_CLONE3     435

// struct clone_args (linux/sched.h)
#define CLONE3_STACK      40
#define CLONE3_STACK_SIZE 48

        .section .rodata
        .globl gate_code, gate_generic_jump, gate_code_end
gate_code: // forms A and B: the return address is on the stack
        pop     %rcx
gate_generic_jump: // form C: it is in rcx
        cmp     $NR_EXIT, %eax
        je      2f              // the stack may be gone
        cmp     $NR_EXIT_GROUP, %eax
        je      2f
        cmp     $NR_VFORK, %eax
        jne     1f
        mov     $NR_FORK, %eax  // a vfork child would overwrite its parent's rsp-8
1:      mov     %rcx, -8(%rsp)
        cmp     $NR_CLONE, %eax
        je      3f
        cmp     $NR_CLONE3, %eax
        je      4f
2:      syscall
        mov     -8(%rsp), %rcx
        cmp     $-4096, %rax
        jmp     *%rcx
3:      test    %rsi, %rsi
        jz      2b
        mov     %rcx, -8(%rsi)
        jmp     2b
4:      mov     CLONE3_STACK(%rdi), %r11
        test    %r11, %r11
        jz      2b
        add     CLONE3_STACK_SIZE(%rdi), %r11
        mov     %rcx, -8(%r11)
        jmp     2b
gate_code_end:
        .section .note.GNU-stack, "", @progbits

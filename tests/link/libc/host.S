// SPDX-License-Identifier: ISC
// The kernel of the libc tests: Linux itself. link_gate and its like as docs/link-mode.md has them, but
// they make the real system call.

#define NR_MUNMAP       11
#define NR_RT_SIGACTION 13
#define NR_RT_SIGRETURN 15
#define NR_CLONE        56
#define NR_VFORK        58
#define SIGCANCEL       33

.text
.globl _start
_start:
    xor %ebp, %ebp
    mov %rsp, %rdi
    call host_start
    ud2

.globl link_gate, host_syscall, link_unknown, link_gate_noreturn, sys_exit, gate_syscall
.hidden link_gate, host_syscall, link_unknown, link_gate_noreturn, sys_exit, gate_syscall
link_gate: // eax: the number. The stack is not there at the end, or another: the return address waits in r9.
    cmp $NR_MUNMAP, %eax
    je 1f
    cmp $NR_RT_SIGRETURN, %eax
    je 1f
    cmp $NR_CLONE, %eax
    je 1f
    cmp $NR_VFORK, %eax
    je 1f
    cmp $NR_RT_SIGACTION, %eax
    je 2f
3:  mov %rcx, %r10
host_syscall:
    syscall
    ret
1:  pop %r9
    mov %rcx, %r10
    syscall
    jmp *%r9
2:  cmp $SIGCANCEL, %edi // the handler of host.c comes first
    jne 3b
    test %rsi, %rsi
    jz 3b
    mov (%rsi), %r8
    mov %r8, host_cancel_next(%rip)
    lea host_cancel(%rip), %r8
    mov %r8, (%rsi)
    jmp 3b
link_unknown: // only its address counts
sys_exit:
    ud2
link_gate_noreturn:
    lea sys_exit(%rip), %r10
    cmp %r10, %r11
    jne sys_exit
    syscall
    ud2
gate_syscall: // (nr, a, b, c, d, e, f)
    mov %rdi, %rax
    mov %rsi, %rdi
    mov %rdx, %rsi
    mov %rcx, %rdx
    mov %r8, %r10
    mov %r9, %r8
    mov 8(%rsp), %r9
    syscall
    ret
.section .note.GNU-stack, "", @progbits

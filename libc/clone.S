// SPDX-License-Identifier: ISC
// int __clone(int (*fn)(void *), void *stack, int flags, void *arg, pid_t *ptid, void *tls, pid_t *ctid)
// The child comes back from the same call, on its own stack: the gate has popped the return address, so
// rsp is what was given. What the child needs lies there, because a gate keeps only what C keeps.
.section .text.__clone, "ax", @progbits
.globl __clone
.hidden __clone
.type __clone, @function
__clone:
    and $-16, %rsi
    sub $16, %rsi
    mov %rdi, (%rsi)
    mov %rcx, 8(%rsi)
    mov %edx, %edi
    mov %r8, %rdx
    mov 8(%rsp), %rcx
    mov %r9, %r8
    call gate_clone
    test %eax, %eax
    jz 1f
    ret
1:  xor %ebp, %ebp
    pop %rax
    pop %rdi
    call *%rax
    mov %eax, %edi
    call gate_exit
    ud2
.size __clone, . - __clone
.section .note.GNU-stack, "", @progbits

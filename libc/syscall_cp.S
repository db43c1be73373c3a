// SPDX-License-Identifier: ISC
// long __syscall_cp_asm(volatile int *cancel, gate, a, b, c, d, e, f): a call that is a cancellation point.
// musl's handler of the cancellation signal looks where it came in: from __cp_begin up to __cp_end the
// call has not had any effect yet, and the thread goes to __cp_cancel instead. The kernel's part: no
// signal falls between the call instruction and the gate; a call that is to be made again after a
// signal is known by its return address, __cp_end, and goes on at __cp_restart with r10 and the
// arguments as they were, rsp at this function's return address.
.section .text.__syscall_cp_asm, "ax", @progbits
.globl __cp_begin, __cp_restart, __cp_end, __cp_cancel, __syscall_cp_asm
.hidden __cp_begin, __cp_restart, __cp_end, __cp_cancel, __syscall_cp_asm, __cancel
.type __syscall_cp_asm, @function
__syscall_cp_asm:
__cp_begin:
    mov (%rdi), %eax
    test %eax, %eax
    jnz __cp_cancel
    mov %rsi, %r10
    mov %rdx, %rdi
    mov %rcx, %rsi
    mov %r8, %rdx
    mov %r9, %rcx
    mov 8(%rsp), %r8
    mov 16(%rsp), %r9
__cp_restart:
    call *%r10
__cp_end:
    ret
__cp_cancel:
    jmp __cancel
.size __syscall_cp_asm, . - __syscall_cp_asm
.section .note.GNU-stack, "", @progbits

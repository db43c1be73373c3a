// SPDX-License-Identifier: ISC
// _Noreturn void __unmapself(void *base, size_t size): a detached thread's end. munmap takes the stack
// away; its gate has the return address in the kernel by then. exit is made without a stack.
.section .text.__unmapself, "ax", @progbits
.globl __unmapself
.hidden __unmapself
.type __unmapself, @function
__unmapself:
    call gate_munmap
    xor %edi, %edi
    mov $60, %eax
    lea sys_exit(%rip), %r11
    jmp link_gate_noreturn
.size __unmapself, . - __unmapself
.section .note.GNU-stack, "", @progbits

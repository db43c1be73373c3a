// SPDX-License-Identifier: ISC
// pid_t vfork(void). The child runs on this very stack and overwrites the return address, and no register
// that a gate keeps is ours to use: so the address waits in thread-local memory, which the child, being
// of this thread's TLS, finds as well and leaves alone (it may only exec or exit).
.section .text.vfork, "ax", @progbits
.globl vfork
.type vfork, @function
vfork:
    pop %rax
    mov %rax, %fs:vfork_return@tpoff
    call gate_vfork
    push %fs:vfork_return@tpoff
    mov %rax, %rdi
    .hidden __syscall_ret
    jmp __syscall_ret
.size vfork, . - vfork
.section .tbss.vfork, "awT", @nobits
.balign 8
vfork_return:
    .skip 8
.section .note.GNU-stack, "", @progbits

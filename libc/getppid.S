// SPDX-License-Identifier: ISC
// getppid(): the kernel's function itself, by one jump. gcc makes a call of it, because int is not long.
    .section .text.getppid, "ax", @progbits
    .global getppid
    .hidden gate_getppid
    .type getppid, @function
getppid:
    jmp gate_getppid
    .size getppid, . - getppid
    .section .note.GNU-stack, "", @progbits

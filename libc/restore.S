// SPDX-License-Identifier: ISC
// Where a signal handler returns to. The gate pops the return address; rsp is then the signal frame's.
.section .text.__restore_rt, "ax", @progbits
.globl __restore_rt
.hidden __restore_rt
.type __restore_rt, @function
    nop // unwinders look one byte before a return address
__restore_rt:
    call gate_rt_sigreturn
    ud2
.size __restore_rt, . - __restore_rt
.section .note.GNU-stack, "", @progbits

// SPDX-License-Identifier: ISC
// Direct 64-bit entry (abi/boot.h): rdi is the boot block.
    .section .text.boot, "ax"
    .global lith_start64
lith_start64:
    rdtsc
    shl $32, %rdx
    lea (%rax,%rdx), %rsi
    lea boot_stack_top(%rip), %rsp
    xor %ebp, %ebp
    cld
    call plat_kvm_start
    ud2
    .section .note.GNU-stack, "", @progbits

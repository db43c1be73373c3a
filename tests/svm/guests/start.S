// SPDX-License-Identifier: ISC
// The test guest's entry, tables and interrupt stubs. See guest.c.

    .text
    .globl lith_start64
lith_start64:
    lea stack_top(%rip), %rsp
    xor %ebp, %ebp
    mov %cs, %esi
    and $3, %esi            // guest_main(boot, ring)
    call guest_main
    ud2

// One stub for every vector that the guest expects: count it and return.
    .globl irq_stub_signal, irq_stub_device
irq_stub_signal:
    push %rax
    incl irq_signal(%rip)
    jmp eoi
irq_stub_device:
    push %rax
    incl irq_device(%rip)
eoi:
    mov lapic(%rip), %rax
    movl $0, 0xb0(%rax)
    pop %rax
    iretq

    .data
    .balign 16
    .globl gdt, gdt_end, idt, tss, tss_end, lapic, irq_signal, irq_device
gdt:
    .quad 0, 0
    .quad 0x00af9b000000ffff, 0x00cf93000000ffff
    .quad 0x00cffb000000ffff, 0x00cff3000000ffff, 0x00affb000000ffff, 0
    .quad 0, 0
gdt_end:
    .balign 16
lapic: .quad 0
irq_signal: .long 0
irq_device: .long 0
    .balign 16
tss:
    .skip 0x66
    .word 0x68
    .skip 0x1000 / 8 * 4
    .byte 0xff
tss_end:

    .bss
    .balign 4096
idt: .skip 4096
    .skip 16384
stack_top:
    .skip 4096
    .globl ist_top
ist_top:

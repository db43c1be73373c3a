// SPDX-License-Identifier: ISC
// PVH entry (Xen public/arch-x86/hvm/start_info.h): 32-bit protected mode, paging off, ebx = start info.
// Builds the kernel's 4 KiB mappings (W^X from the first page), turns paging on, goes to its address.
// pa_* are physical addresses, made by kernel.ld.
#define PTE_RX  0x25                // P U A
#define PTE_RW  0x67                // P W U A D
#define TABLE   0x67
#define NX_HIGH 0x80000000

.macro FILL count, bits, nx
    mov \count, %ecx
1:  lea \bits(%eax), %esp
    mov %esp, (%edx)
    .if \nx
    movl $NX_HIGH, 4(%edx)
    .endif
    add $4096, %eax
    add $8, %edx
    loop 1b
.endm
.macro LINK slot, table
    movl $(\table + TABLE), \slot
.endm

    .section .text.boot, "ax"
    .code32
    .global pvh_start32
pvh_start32:
    cld
    mov %ebx, %edi
    rdtsc
    mov %eax, %esi
    mov %edx, %ebp
    // Page-table entries of the image: text R-X, read-only data R--, data RW-.
    mov $pa_pvh_pt, %edx
    mov $pa_kernel_start, %eax
    FILL $pvh_text_pages, PTE_RX, 0
    FILL $pvh_rodata_pages, PTE_RX, 1
    FILL $pvh_data_pages, PTE_RW, 1
    // Upper tables: kernel range, direct map of the first GiB, identity map of the first 2 MiB for now.
    LINK "pa_pvh_pml4 + 8 * 248", pa_pvh_pdpt_kernel
    LINK "pa_pvh_pml4 + 8 * 240", pa_pvh_pdpt_direct
    LINK pa_pvh_pml4, pa_pvh_pdpt_low
    LINK pa_pvh_pdpt_kernel, pa_pvh_pd_kernel
    mov $(pa_pvh_pt + TABLE), %eax
    mov $pa_pvh_pd_kernel, %edx
    mov $pvh_tables, %ecx
1:  mov %eax, (%edx)
    add $4096, %eax
    add $8, %edx
    loop 1b
    LINK pa_pvh_pdpt_direct, pa_pvh_pd_direct
    LINK pa_pvh_pdpt_low, pa_pvh_pd_low
    movl $0xa5, pa_pvh_pd_low       // 2 MiB, read and execute
    // The first GiB: one page where the CPU has such (start.c replaces it by what RAM there is), else 512.
    mov %edi, %esp
    mov $0x80000001, %eax
    cpuid
    mov %esp, %edi
    bt $26, %edx
    jnc 2f
    movl $0xe7, pa_pvh_pdpt_direct
    movl $NX_HIGH, pa_pvh_pdpt_direct + 4
    jmp 3f
2:  mov $0xe7, %eax                 // 2 MiB, P W U A D
    mov $pa_pvh_pd_direct, %ecx
1:  mov %eax, (%ecx)
    movl $NX_HIGH, 4(%ecx)
    add $8, %ecx
    add $0x200000, %eax
    cmp $0x400000e7, %eax
    jb 1b

3:  mov $pa_pvh_pml4, %eax
    mov %eax, %cr3
    mov $0x620, %eax                // PAE, OSFXSR, OSXMMEXCPT
    mov %eax, %cr4
    mov $0xc0000080, %ecx
    xor %edx, %edx
    mov $0x901, %eax                // NXE, LME, SCE
    wrmsr
    mov $0x80050033, %eax           // PG, AM, WP, NE, ET, MP, PE
    mov %eax, %cr0
    lgdt pa_pvh_gdt_pointer
    ljmp $0x10, $pa_pvh_long
    .code64
    .global pvh_long
pvh_long:
    mov %edi, %edi
    mov %esi, %esi
    mov %ebp, %edx
    shl $32, %rdx
    or %rdx, %rsi                   // rsi: TSC at entry
    movabs $phys_to_virt, %rcx
    lea pvh_high(%rip), %rax
    add %rcx, %rax
    jmp *%rax
pvh_high:
    mov $0x18, %eax
    mov %eax, %ss
    lea boot_stack_top(%rip), %rsp
    xor %ebp, %ebp
    call plat_pvh_start
    ud2

    .section .rodata.pvh, "a"
    .balign 8
    .global pvh_image_pa, pvh_image_tables
pvh_image_pa: .quad pa_kernel_start
pvh_image_tables: .quad pvh_tables_direct

    .section .text.boot, "ax" // beside the code: what is mapped one to one is only the first 2 MiB
    .balign 16
pvh_gdt:
    .quad 0, 0
    .quad 0x00af9b000000ffff
    .quad 0x00cf93000000ffff
    .global pvh_gdt, pvh_gdt_pointer
pvh_gdt_pointer:
    .word 31
    .long pa_pvh_gdt

    .section .bss.page_tables, "aw", @nobits
    .balign 4096
    .global pvh_pml4, pvh_pdpt_kernel, pvh_pd_kernel, pvh_pdpt_direct, pvh_pd_direct
    .global pvh_pdpt_low, pvh_pd_low
pvh_pml4:        .skip 4096
pvh_pdpt_kernel: .skip 4096
pvh_pd_kernel:   .skip 4096
pvh_pdpt_direct: .skip 4096
pvh_pd_direct:   .skip 4096
pvh_pdpt_low:    .skip 4096
pvh_pd_low:      .skip 4096
    .section bss_config, "aw", @nobits // the last of the image: what the command line does not need is RAM
    .global pvh_config, pvh_config_end
pvh_config: .skip 65536 + 8 * 4096 + 64
pvh_config_end:
    .section .note.GNU-stack, "", @progbits

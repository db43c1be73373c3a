// SPDX-License-Identifier: ISC
// The vDSO's ELF file (built from kernel/linux/vdso), as it is mapped into programs.
    .section .rodata.vdso, "a"
    .global vdso_image, vdso_image_end
    .hidden vdso_image, vdso_image_end
    .balign 16
vdso_image:
    .incbin "build/gen/vdso.so"
vdso_image_end:

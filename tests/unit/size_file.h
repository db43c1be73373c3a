// SPDX-License-Identifier: ISC
// A small program as lith-cc leaves it, for the tests and the fuzz target of `lith size`: main in
// the program calls printf in libc, that calls gate_write in the kernel, which uses a buffer in
// bss; a record refers to the gate, and nothing refers to the record.
#ifndef LITH_TESTS_SIZE_FILE_H
#define LITH_TESTS_SIZE_FILE_H

#include <elf.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define SIZE_BASE    0x7c0000000000ull
#define SIZE_TEXT    0x1000u // file offsets; text is at SIZE_BASE
#define SIZE_DATA    0x2000u // at SIZE_BASE + 0x1000
#define SIZE_RELA    0x2100u
#define SIZE_SYMTAB  0x2200u
#define SIZE_STRTAB  0x2400u
#define SIZE_NAMES   0x2500u
#define SIZE_SHDRS   0x2600u
#define SIZE_MAP     0x2900u
#define SIZE_MAP_MAX 0x0700u
#define SIZE_LEN     0x3000u

static const char size_map[] =
    "             VMA              LMA     Size Align Out     In      Symbol\n"
    "    7c0000000000            10000      170    16 .text\n"
    "    7c0000000000            10000      100    16         /tmp/x/0/hello.o:(.text.main)\n"
    "    7c0000000100            10100       40    16         "
    "build/lib/libc.a(printf.o):(.text.printf)\n"
    "    7c0000000140            10140       30    16         "
    "lib/liblith.a(fs__write.o):(.text.gate)\n"
    "    7c0000001000            11000       20     8 .data\n"
    "    7c0000001000            11000       20     8         "
    "lib/liblith.a(fs__write.o):(init_records)\n"
    "    7c0000001020            11020      400     8 .bss\n"
    "    7c0000001020            11020      400     8         "
    "lib/liblith.a(plat_kvm__start.o):(.bss.b)\n"
    "               0                0       10     1 .comment\n"
    "               0                0       10     1         <internal>:(.comment)\n";

static inline void size_file(uint8_t file[SIZE_LEN], const char *map, size_t map_len)
{
    static const char strings[] = "\0main\0printf\0__lith_gate_write\0__lith_buffer\0write_init";
    static const char names[] = "\0.text\0.data\0.bss\0.rela.text\0.symtab\0.strtab\0.shstrtab\0"
                                ".debug_lith_map\0.comment\0.rela.data";
    const Elf64_Ehdr eh = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
                           .e_type = ET_DYN,
                           .e_machine = EM_X86_64,
                           .e_entry = SIZE_BASE + 0x140,
                           .e_phoff = sizeof(Elf64_Ehdr),
                           .e_phentsize = sizeof(Elf64_Phdr),
                           .e_phnum = 2,
                           .e_shoff = SIZE_SHDRS,
                           .e_shentsize = sizeof(Elf64_Shdr),
                           .e_shnum = 11,
                           .e_shstrndx = 7};
    const Elf64_Phdr ph[2] = {
        {PT_LOAD, PF_R | PF_X, SIZE_TEXT, SIZE_BASE, 0x10000, 0x170, 0x170, 4096},
        {PT_LOAD, PF_R | PF_W, SIZE_DATA, SIZE_BASE + 0x1000, 0x11000, 0x20, 0x420, 4096}};
    const Elf64_Sym sym[] = {
        {0},
        {1, ELF64_ST_INFO(STB_GLOBAL, STT_FUNC), 0, 1, SIZE_BASE, 0x100},
        {6, ELF64_ST_INFO(STB_GLOBAL, STT_FUNC), 0, 1, SIZE_BASE + 0x100, 0x40},
        {13, ELF64_ST_INFO(STB_GLOBAL, STT_FUNC), 0, 1, SIZE_BASE + 0x140, 0x30},
        {31, ELF64_ST_INFO(STB_LOCAL, STT_OBJECT), 0, 3, SIZE_BASE + 0x1020, 0x400},
        {45, ELF64_ST_INFO(STB_LOCAL, STT_OBJECT), 0, 2, SIZE_BASE + 0x1000, 0x20},
        {0, ELF64_ST_INFO(STB_LOCAL, STT_SECTION), 0, 3, SIZE_BASE + 0x1020, 0}};
    const Elf64_Rela rela[] = {
        {SIZE_BASE + 0x11, ELF64_R_INFO(2ull, R_X86_64_PLT32), -4},
        {SIZE_BASE + 0x111, ELF64_R_INFO(3ull, R_X86_64_PLT32), -4},
        {SIZE_BASE + 0x151, ELF64_R_INFO(6ull, R_X86_64_PC32), 0x10 - 4},
        {SIZE_BASE + 0x1008, ELF64_R_INFO(3ull, R_X86_64_64), 0}}; // of .rela.data
    const Elf64_Shdr sh[11] = {
        {0},
        {1, SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, SIZE_BASE, SIZE_TEXT, 0x170, 0, 0, 16, 0},
        {7, SHT_PROGBITS, SHF_ALLOC | SHF_WRITE, SIZE_BASE + 0x1000, SIZE_DATA, 0x20, 0, 0, 8, 0},
        {13, SHT_NOBITS, SHF_ALLOC | SHF_WRITE, SIZE_BASE + 0x1020, SIZE_RELA, 0x400, 0, 0, 8, 0},
        {18, SHT_RELA, SHF_INFO_LINK, 0, SIZE_RELA, 3 * sizeof(*rela), 5, 1, 8, sizeof(*rela)},
        {29, SHT_SYMTAB, 0, 0, SIZE_SYMTAB, sizeof(sym), 6, 1, 8, sizeof(*sym)},
        {37, SHT_STRTAB, 0, 0, SIZE_STRTAB, sizeof(strings), 0, 0, 1, 0},
        {45, SHT_STRTAB, 0, 0, SIZE_NAMES, sizeof(names), 0, 0, 1, 0},
        {55, SHT_PROGBITS, 0, 0, SIZE_MAP, map_len, 0, 0, 1, 0},
        {71, SHT_PROGBITS, 0, 0, SIZE_STRTAB, 16, 0, 0, 1, 0},
        {80, SHT_RELA, SHF_INFO_LINK, 0, SIZE_RELA + 3 * sizeof(*rela), sizeof(*rela), 5, 2, 8,
         sizeof(*rela)}};
    memset(file, 0, SIZE_LEN);
    memcpy(file, &eh, sizeof(eh));
    memcpy(file + sizeof(eh), ph, sizeof(ph));
    memcpy(file + SIZE_RELA, rela, sizeof(rela));
    memcpy(file + SIZE_SYMTAB, sym, sizeof(sym));
    memcpy(file + SIZE_STRTAB, strings, sizeof(strings));
    memcpy(file + SIZE_NAMES, names, sizeof(names));
    memcpy(file + SIZE_SHDRS, sh, sizeof(sh));
    memcpy(file + SIZE_MAP, map, map_len);
}

#endif

// SPDX-License-Identifier: ISC
// Makes small x86-64 ELF files in memory for the rewriter's tests and fuzz target. The layout is
// fixed, so that tests can name addresses: vaddr = ELF_BASE + file offset.
#ifndef LITH_TESTS_ELF_BUILDER_H
#define LITH_TESTS_ELF_BUILDER_H

#include <elf.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define ELF_BASE      0x10000u
#define ELF_TEXT      0x1000u // code: up to one page, the rest of which is slack
#define ELF_RODATA    0x2000u // a read-only segment of one page: four chunks
#define ELF_EH_FRAME  0x2400u
#define ELF_LSDA      0x2800u
#define ELF_PCLNTAB   0x2c00u
#define ELF_CHUNK     0x400u
#define ELF_SYMTAB    0x3000u
#define ELF_STRTAB    0x3400u
#define ELF_SHSTRTAB  0x3800u
#define ELF_NOTE      0x3c00u
#define ELF_SHDRS     0x3d00u
#define ELF_LEN       0x4000u
#define ELF_VADDR(at) (ELF_BASE + (at))

struct elf_symbol {
    const char *name;
    uint32_t lo, hi; // offsets in the text; hi == lo: a label
};

struct elf_spec {
    const uint8_t *text, *rodata, *eh_frame, *lsda, *pclntab;
    size_t text_len, rodata_len, eh_frame_len, lsda_len, pclntab_len;
    const struct elf_symbol *symbols;
    size_t symbol_count;
    uint16_t type;    // 0: ET_DYN
    bool no_sections; // no section table at all
    bool note;        // a PT_NOTE, first in the table
    bool stack;       // a PT_GNU_STACK, last in the table
};

static inline void elf_put_chunk(uint8_t *file, size_t at, const uint8_t *data, size_t len,
                                 size_t max)
{
    if (len)
        memcpy(file + at, data, len < max ? len : max);
}

static inline void elf_build(uint8_t file[ELF_LEN], const struct elf_spec *spec)
{
    memset(file, 0, ELF_LEN);
    elf_put_chunk(file, ELF_TEXT, spec->text, spec->text_len, 4096);
    elf_put_chunk(file, ELF_RODATA, spec->rodata, spec->rodata_len, ELF_CHUNK);
    elf_put_chunk(file, ELF_EH_FRAME, spec->eh_frame, spec->eh_frame_len, ELF_CHUNK);
    elf_put_chunk(file, ELF_LSDA, spec->lsda, spec->lsda_len, ELF_CHUNK);
    elf_put_chunk(file, ELF_PCLNTAB, spec->pclntab, spec->pclntab_len, ELF_CHUNK);

    Elf64_Sym symbols[16] = {0};
    size_t count = 1, strings = 1;
    for (size_t i = 0; i < spec->symbol_count && count < 16; i++) {
        const struct elf_symbol *s = &spec->symbols[i];
        size_t len = strlen(s->name) + 1;
        if (strings + len > ELF_CHUNK)
            break;
        memcpy(file + ELF_STRTAB + strings, s->name, len);
        symbols[count++] = (Elf64_Sym){.st_name = strings,
                                       .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC),
                                       .st_shndx = 1,
                                       .st_value = ELF_VADDR(ELF_TEXT) + s->lo,
                                       .st_size = s->hi - s->lo};
        strings += len;
    }
    memcpy(file + ELF_SYMTAB, symbols, count * sizeof(symbols[0]));

    static const char names[] =
        "\0.text\0.rodata\0.eh_frame\0.gcc_except_table\0.gopclntab\0.symtab\0.strtab\0.shstrtab";
    memcpy(file + ELF_SHSTRTAB, names, sizeof(names));
    const Elf64_Shdr sections[] = {
        {0},
        {.sh_name = 1,
         .sh_type = SHT_PROGBITS,
         .sh_flags = SHF_ALLOC | SHF_EXECINSTR,
         .sh_addr = ELF_VADDR(ELF_TEXT),
         .sh_offset = ELF_TEXT,
         .sh_size = spec->text_len},
        {.sh_name = 7,
         .sh_type = SHT_PROGBITS,
         .sh_flags = SHF_ALLOC,
         .sh_addr = ELF_VADDR(ELF_RODATA),
         .sh_offset = ELF_RODATA,
         .sh_size = ELF_CHUNK},
        {.sh_name = 15,
         .sh_type = SHT_PROGBITS,
         .sh_flags = SHF_ALLOC,
         .sh_addr = ELF_VADDR(ELF_EH_FRAME),
         .sh_offset = ELF_EH_FRAME,
         .sh_size = spec->eh_frame_len},
        {.sh_name = 25,
         .sh_type = SHT_PROGBITS,
         .sh_flags = SHF_ALLOC,
         .sh_addr = ELF_VADDR(ELF_LSDA),
         .sh_offset = ELF_LSDA,
         .sh_size = ELF_CHUNK},
        {.sh_name = spec->pclntab_len ? 43 : 0,
         .sh_type = SHT_PROGBITS,
         .sh_flags = SHF_ALLOC,
         .sh_addr = ELF_VADDR(ELF_PCLNTAB),
         .sh_offset = ELF_PCLNTAB,
         .sh_size = spec->pclntab_len},
        {.sh_name = 54,
         .sh_type = SHT_SYMTAB,
         .sh_offset = ELF_SYMTAB,
         .sh_size = count * sizeof(symbols[0]),
         .sh_link = 7,
         .sh_entsize = sizeof(symbols[0])},
        {.sh_name = 62, .sh_type = SHT_STRTAB, .sh_offset = ELF_STRTAB, .sh_size = strings},
        {.sh_name = 70, .sh_type = SHT_STRTAB, .sh_offset = ELF_SHSTRTAB, .sh_size = sizeof(names)},
    };
    const unsigned section_count = sizeof(sections) / sizeof(sections[0]);
    if (!spec->no_sections)
        memcpy(file + ELF_SHDRS, sections, sizeof(sections));

    Elf64_Phdr ph[4];
    unsigned phnum = 0;
    if (spec->note) {
        const Elf64_Nhdr note = {.n_namesz = 4, .n_descsz = 0, .n_type = 1};
        memcpy(file + ELF_NOTE, &note, sizeof(note));
        memcpy(file + ELF_NOTE + sizeof(note), "GNU", 4);
        ph[phnum++] = (Elf64_Phdr){.p_type = PT_NOTE,
                                   .p_flags = PF_R,
                                   .p_offset = ELF_NOTE,
                                   .p_filesz = 16,
                                   .p_memsz = 16,
                                   .p_align = 4};
    }
    ph[phnum++] = (Elf64_Phdr){.p_type = PT_LOAD,
                               .p_flags = PF_R | PF_X,
                               .p_offset = ELF_TEXT,
                               .p_vaddr = ELF_VADDR(ELF_TEXT),
                               .p_filesz = spec->text_len,
                               .p_memsz = spec->text_len,
                               .p_align = 4096};
    ph[phnum++] = (Elf64_Phdr){.p_type = PT_LOAD,
                               .p_flags = PF_R,
                               .p_offset = ELF_RODATA,
                               .p_vaddr = ELF_VADDR(ELF_RODATA),
                               .p_filesz = 4096,
                               .p_memsz = 4096,
                               .p_align = 4096};
    if (spec->stack)
        ph[phnum++] = (Elf64_Phdr){.p_type = PT_GNU_STACK, .p_flags = PF_R | PF_W};
    memcpy(file + sizeof(Elf64_Ehdr), ph, phnum * sizeof(ph[0]));
    Elf64_Ehdr eh = {.e_type = spec->type ? spec->type : ET_DYN,
                     .e_machine = EM_X86_64,
                     .e_version = EV_CURRENT,
                     .e_phoff = sizeof(Elf64_Ehdr),
                     .e_ehsize = sizeof(Elf64_Ehdr),
                     .e_phentsize = sizeof(Elf64_Phdr),
                     .e_phnum = phnum};
    memcpy(eh.e_ident, ELFMAG, SELFMAG);
    eh.e_ident[EI_CLASS] = ELFCLASS64;
    eh.e_ident[EI_DATA] = ELFDATA2LSB;
    eh.e_ident[EI_VERSION] = EV_CURRENT;
    if (!spec->no_sections) {
        eh.e_shoff = ELF_SHDRS;
        eh.e_shentsize = sizeof(Elf64_Shdr);
        eh.e_shnum = section_count;
        eh.e_shstrndx = section_count - 1;
    }
    memcpy(file, &eh, sizeof(eh));
}

#endif

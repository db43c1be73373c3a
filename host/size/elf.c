// SPDX-License-Identifier: ISC
// The parts of an ELF file that the reports need: sections, loaded segments, symbols.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "size/size.h"

#define PREFIX "__lith_"

static bool within(uint64_t offset, uint64_t len, uint64_t limit)
{
    return offset <= limit && len <= limit - offset;
}

// The string at `at` of a table, or "" when it is not there. A table that does not end with a NUL
// has no strings.
static const char *string_at(const uint8_t *table, size_t len, uint64_t at)
{
    if (table == NULL || at >= len || table[len - 1] != 0)
        return "";
    return (const char *)table + at;
}

const uint8_t *exe_bytes(const struct elf *elf, const struct section *s, size_t *len)
{
    *len = 0;
    if (s == NULL || s->sh.sh_type == SHT_NOBITS ||
        !within(s->sh.sh_offset, s->sh.sh_size, elf->len))
        return NULL;
    *len = (size_t)s->sh.sh_size;
    return elf->data + s->sh.sh_offset;
}

const struct section *exe_section(const struct elf *elf, const char *name)
{
    for (unsigned i = 0; i < elf->section_count; i++)
        if (strcmp(elf->sections[i].name, name) == 0)
            return &elf->sections[i];
    return NULL;
}

static int read_sections(struct elf *elf)
{
    const Elf64_Ehdr *eh = &elf->eh;
    size_t len;
    if (eh->e_shnum == 0)
        return 0;
    if (eh->e_shentsize != sizeof(Elf64_Shdr) ||
        !within(eh->e_shoff, (uint64_t)eh->e_shnum * sizeof(Elf64_Shdr), elf->len))
        return -EBADMSG;
    elf->sections = xcalloc(eh->e_shnum, sizeof(*elf->sections));
    elf->section_count = eh->e_shnum;
    for (unsigned i = 0; i < eh->e_shnum; i++)
        memcpy(&elf->sections[i].sh, elf->data + eh->e_shoff + i * sizeof(Elf64_Shdr),
               sizeof(Elf64_Shdr));
    const uint8_t *names =
        eh->e_shstrndx < eh->e_shnum ? exe_bytes(elf, &elf->sections[eh->e_shstrndx], &len) : NULL;
    for (unsigned i = 0; i < eh->e_shnum; i++)
        elf->sections[i].name = string_at(names, names ? len : 0, elf->sections[i].sh.sh_name);
    return 0;
}

static int read_loads(struct elf *elf)
{
    const Elf64_Ehdr *eh = &elf->eh;
    if (eh->e_phnum == 0)
        return 0;
    if (eh->e_phentsize != sizeof(Elf64_Phdr) ||
        !within(eh->e_phoff, (uint64_t)eh->e_phnum * sizeof(Elf64_Phdr), elf->len))
        return -EBADMSG;
    elf->loads = xcalloc(eh->e_phnum, sizeof(*elf->loads));
    for (unsigned i = 0; i < eh->e_phnum; i++) {
        Elf64_Phdr *ph = &elf->loads[elf->load_count];
        memcpy(ph, elf->data + eh->e_phoff + i * sizeof(*ph), sizeof(*ph));
        if (ph->p_type != PT_LOAD || ph->p_memsz == 0)
            continue;
        if (!within(ph->p_offset, ph->p_filesz, elf->len) || ph->p_filesz > ph->p_memsz ||
            ph->p_memsz > INT64_MAX / 4 || ph->p_vaddr > INT64_MAX / 4 ||
            ph->p_paddr > INT64_MAX / 4)
            return -EBADMSG;
        elf->load_count++;
    }
    return 0;
}

static void read_symbols(struct elf *elf)
{
    const struct section *s = NULL;
    size_t len, names_len = 0;
    for (unsigned i = 0; i < elf->section_count && s == NULL; i++)
        if (elf->sections[i].sh.sh_type == SHT_SYMTAB)
            s = &elf->sections[i];
    const uint8_t *p = exe_bytes(elf, s, &len);
    if (p == NULL)
        return;
    const uint8_t *names = s->sh.sh_link < elf->section_count
                               ? exe_bytes(elf, &elf->sections[s->sh.sh_link], &names_len)
                               : NULL;
    elf->symbol_count = len / sizeof(Elf64_Sym);
    elf->symbols = xcalloc(elf->symbol_count, sizeof(*elf->symbols));
    for (size_t i = 0; i < elf->symbol_count; i++) {
        Elf64_Sym sym;
        memcpy(&sym, p + i * sizeof(sym), sizeof(sym));
        const char *name = string_at(names, names_len, sym.st_name);
        if (strncmp(name, PREFIX, strlen(PREFIX)) == 0)
            name += strlen(PREFIX);
        elf->symbols[i] = (struct symbol){.name = name,
                                          .value = sym.st_value,
                                          .size = sym.st_size,
                                          .type = ELF64_ST_TYPE(sym.st_info),
                                          .bind = ELF64_ST_BIND(sym.st_info),
                                          .section = sym.st_shndx};
    }
}

int exe_open(struct elf *elf, const void *data, size_t len, struct err *e)
{
    *elf = (struct elf){.data = data, .len = len};
    if (len < sizeof(elf->eh) || memcmp(data, ELFMAG, SELFMAG) != 0)
        return err_set(e, -ENOEXEC, "it is not an ELF file");
    memcpy(&elf->eh, data, sizeof(elf->eh));
    if (elf->eh.e_ident[EI_CLASS] != ELFCLASS64 || elf->eh.e_ident[EI_DATA] != ELFDATA2LSB ||
        elf->eh.e_machine != EM_X86_64)
        return err_set(e, -ENOEXEC, "it is not for x86-64");
    if (read_sections(elf) < 0 || read_loads(elf) < 0) {
        exe_close(elf);
        return err_set(e, -EBADMSG, "it is damaged: its headers point outside the file");
    }
    read_symbols(elf);
    return 0;
}

void exe_close(struct elf *elf)
{
    free(elf->sections);
    free(elf->loads);
    free(elf->symbols);
    *elf = (struct elf){0};
}

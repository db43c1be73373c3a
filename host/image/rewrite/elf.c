// SPDX-License-Identifier: ISC
// The file's headers: checked once, then trusted by the rest. Program headers decide what is
// mapped; section headers, where usable, only narrow down where instructions are.
#include "image/rewrite/private.h"

#include <stdlib.h>
#include <string.h>

static bool range_in_file(const struct elf *elf, uint64_t offset, uint64_t len)
{
    return offset <= elf->len && len <= elf->len - offset;
}

bool elf_section(const struct elf *elf, unsigned index, Elf64_Shdr *section)
{
    if (index >= elf->section_count)
        return false;
    memcpy(section, elf->data + elf->eh.e_shoff + index * sizeof(*section), sizeof(*section));
    if (section->sh_type == SHT_NOBITS)
        return true;
    return range_in_file(elf, section->sh_offset, section->sh_size);
}

bool elf_section_named(const struct elf *elf, const char *name, Elf64_Shdr *section)
{
    Elf64_Shdr strings;
    if (!elf_section(elf, elf->eh.e_shstrndx, &strings) || strings.sh_type != SHT_STRTAB)
        return false;
    size_t name_len = strlen(name) + 1;
    for (unsigned i = 0; i < elf->section_count; i++) {
        if (!elf_section(elf, i, section) || section->sh_type == SHT_NOBITS)
            continue;
        if (section->sh_name >= strings.sh_size || strings.sh_size - section->sh_name < name_len)
            continue;
        if (!memcmp(elf->data + strings.sh_offset + section->sh_name, name, name_len))
            return true;
    }
    return false;
}

bool elf_locate(const struct elf *elf, uint64_t vaddr, size_t *offset, size_t *avail)
{
    for (unsigned i = 0; i < elf->load_count; i++) {
        const struct load *load = &elf->loads[i];
        if (vaddr < load->vaddr || vaddr - load->vaddr >= load->filesz)
            continue;
        *offset = load->offset + (vaddr - load->vaddr);
        *avail = load->filesz - (vaddr - load->vaddr);
        return true;
    }
    return false;
}

const struct code_range *elf_code_at(const struct elf *elf, size_t offset)
{
    for (unsigned i = 0; i < elf->code_count; i++)
        if (offset >= elf->code[i].lo && offset < elf->code[i].hi)
            return &elf->code[i];
    return NULL;
}

bool elf_code_offset(const struct elf *elf, uint64_t vaddr, size_t *offset)
{
    for (unsigned i = 0; i < elf->code_count; i++) {
        const struct code_range *code = &elf->code[i];
        uint64_t at = vaddr - code->delta;
        if (at >= code->lo && at < code->hi) {
            *offset = at;
            return true;
        }
    }
    return false;
}

uint64_t elf_vaddr(const struct elf *elf, size_t offset)
{
    const struct code_range *code = elf_code_at(elf, offset);
    return code ? offset + code->delta : 0;
}

static bool collect_loads(struct elf *elf)
{
    uint64_t end = 0;
    for (unsigned i = 0; i < elf->eh.e_phnum; i++) {
        const Elf64_Phdr *ph = &elf->ph[i];
        if (ph->p_type != PT_LOAD)
            continue;
        if (!range_in_file(elf, ph->p_offset, ph->p_filesz) || ph->p_filesz > ph->p_memsz)
            return false;
        if (ph->p_vaddr < end || ph->p_vaddr >= ADDRESS_MAX || ph->p_memsz >= ADDRESS_MAX ||
            ph->p_vaddr + ph->p_memsz > ADDRESS_MAX)
            return false;
        if ((ph->p_vaddr ^ ph->p_offset) & (PAGE - 1))
            return false;
        end = ph->p_vaddr + ph->p_memsz;
        elf->loads[elf->load_count++] = (struct load){.vaddr = ph->p_vaddr,
                                                      .memsz = ph->p_memsz,
                                                      .offset = ph->p_offset,
                                                      .filesz = ph->p_filesz,
                                                      .phdr = i,
                                                      .exec = ph->p_flags & PF_X};
    }
    // Bytes of code must be mapped once: a patch must not change data that shares them.
    for (unsigned i = 0; i < elf->load_count; i++) {
        const struct load *a = &elf->loads[i];
        for (unsigned k = 0; a->exec && k < elf->load_count; k++) {
            const struct load *b = &elf->loads[k];
            if (k != i && a->offset < b->offset + b->filesz && b->offset < a->offset + a->filesz)
                return false;
        }
    }
    return elf->load_count > 0;
}

static int compare_code(const void *a, const void *b)
{
    const struct code_range *x = a, *y = b;
    return x->lo < y->lo ? -1 : x->lo > y->lo;
}

// Executable sections that lie in an executable segment as the segment maps them.
static bool code_from_sections(struct elf *elf)
{
    for (unsigned i = 0; i < elf->section_count; i++) {
        Elf64_Shdr s;
        if (!elf_section(elf, i, &s) || s.sh_type == SHT_NOBITS || !s.sh_size ||
            !(s.sh_flags & SHF_ALLOC) || !(s.sh_flags & SHF_EXECINSTR))
            continue;
        bool mapped = false;
        for (unsigned k = 0; k < elf->load_count && !mapped; k++) {
            const struct load *load = &elf->loads[k];
            mapped = load->exec && s.sh_offset >= load->offset && s.sh_size <= load->filesz &&
                     s.sh_offset - load->offset <= load->filesz - s.sh_size &&
                     s.sh_addr - load->vaddr == s.sh_offset - load->offset;
        }
        if (!mapped)
            continue;
        if (elf->code_count == CODE_RANGE_MAX)
            return false;
        elf->code[elf->code_count++] = (struct code_range){
            .lo = s.sh_offset, .hi = s.sh_offset + s.sh_size, .delta = s.sh_addr - s.sh_offset};
    }
    qsort(elf->code, elf->code_count, sizeof(elf->code[0]), compare_code);
    for (unsigned i = 1; i < elf->code_count; i++)
        if (elf->code[i].lo < elf->code[i - 1].hi)
            return false;
    return elf->code_count > 0;
}

static void code_from_segments(struct elf *elf)
{
    elf->code_count = 0;
    for (unsigned i = 0; i < elf->load_count; i++) {
        const struct load *load = &elf->loads[i];
        if (load->exec && load->filesz)
            elf->code[elf->code_count++] = (struct code_range){.lo = load->offset,
                                                               .hi = load->offset + load->filesz,
                                                               .delta = load->vaddr - load->offset};
    }
    qsort(elf->code, elf->code_count, sizeof(elf->code[0]), compare_code);
}

enum rewrite_result elf_open(struct elf *elf, const uint8_t *data, size_t len)
{
    memset(elf, 0, sizeof(*elf));
    if (len < SELFMAG || memcmp(data, ELFMAG, SELFMAG))
        return REWRITE_NOT_ELF;
    if (len < sizeof(elf->eh))
        return REWRITE_MALFORMED;
    memcpy(&elf->eh, data, sizeof(elf->eh));
    const Elf64_Ehdr *eh = &elf->eh;
    if (eh->e_ident[EI_CLASS] != ELFCLASS64 || eh->e_ident[EI_DATA] != ELFDATA2LSB ||
        eh->e_machine != EM_X86_64 || (eh->e_type != ET_EXEC && eh->e_type != ET_DYN))
        return REWRITE_FOREIGN;
    elf->data = data;
    elf->len = len;
    if (len > FILE_LEN_MAX || !eh->e_phnum || eh->e_phnum > PHDR_MAX ||
        eh->e_phentsize != sizeof(Elf64_Phdr) ||
        !range_in_file(elf, eh->e_phoff, eh->e_phnum * sizeof(Elf64_Phdr)))
        return REWRITE_MALFORMED;
    memcpy(elf->ph, data + eh->e_phoff, eh->e_phnum * sizeof(Elf64_Phdr));
    if (!collect_loads(elf))
        return REWRITE_MALFORMED;
    if (eh->e_shentsize == sizeof(Elf64_Shdr) &&
        range_in_file(elf, eh->e_shoff, (uint64_t)eh->e_shnum * sizeof(Elf64_Shdr)))
        elf->section_count = eh->e_shnum;
    elf->code_by_sections = code_from_sections(elf);
    if (!elf->code_by_sections)
        code_from_segments(elf);
    return REWRITE_UNCHANGED;
}

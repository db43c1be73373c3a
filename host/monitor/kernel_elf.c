// SPDX-License-Identifier: ISC
// The kernel's ELF file: check its headers, read its notes, apply its relocations. An image comes
// from a registry, so every number in it is hostile. Nothing here maps or allocates: boot.c places
// the segments that kernel_elf_parse() has approved, and kernel_elf_link() works on the result.
#include <elf.h>
#include <string.h>
#include "monitor/monitor.h"

// <elf.h> of musl 1.2.3 has no names for these.
#define DYN_RELRSZ 35
#define DYN_RELR   36

#define refuse(reason)   \
    do {                 \
        *why = (reason); \
        return -1;       \
    } while (0)

static bool range_within(uint64_t offset, uint64_t len, uint64_t limit)
{
    return offset <= limit && len <= limit - offset;
}

// One PT_LOAD into the next slot of image->segment; segments come in ascending order.
static int add_segment(const Elf64_Phdr *ph, uint64_t file_len, struct kernel_image *image,
                       const char **why)
{
    uint64_t in_page = ph->p_vaddr & (PAGE_SIZE - 1);
    if (ph->p_memsz == 0)
        return 0;
    if (image->count == KERNEL_SEGMENTS_MAX)
        refuse("too many segments");
    if (ph->p_filesz > ph->p_memsz || !range_within(ph->p_offset, ph->p_filesz, file_len))
        refuse("a segment lies outside the file");
    if ((ph->p_offset & (PAGE_SIZE - 1)) != in_page && ph->p_filesz)
        refuse("a segment is not page-aligned in the file");
    if ((ph->p_flags & PF_W) && (ph->p_flags & PF_X))
        refuse("a segment is both writable and executable");
    if (!(ph->p_flags & PF_R))
        refuse("a segment is not readable");
    if (image->count == 0) {
        image->link_base = ph->p_vaddr - in_page;
        image->phys = ph->p_paddr - in_page;
        if (ph->p_paddr < KERNEL_PHYS_MIN || image->phys % PAGE_SIZE ||
            image->phys < KERNEL_PHYS_MIN || image->phys > KERNEL_PHYS_MAX)
            refuse("its physical address is not a page between 64 KiB and 16 MiB");
    }
    if (ph->p_vaddr < image->link_base)
        refuse("segments are not in ascending order");
    uint64_t offset = ph->p_vaddr - in_page - image->link_base;
    if (!range_within(offset, in_page, KERNEL_IMAGE_MAX) ||
        !range_within(offset + in_page, ph->p_memsz, KERNEL_IMAGE_MAX))
        refuse("the image is too large");
    if (offset < image->len)
        refuse("segments overlap or share a page");
    image->segment[image->count++] = (struct kernel_segment){
        .offset = offset,
        .file_offset = ph->p_filesz ? ph->p_offset - in_page : 0,
        .file_len = ph->p_filesz ? ph->p_filesz + in_page : 0,
        .mem_len = ph->p_memsz + in_page,
        .write = ph->p_flags & PF_W,
        .exec = ph->p_flags & PF_X,
    };
    image->len = round_up(offset + in_page + ph->p_memsz, PAGE_SIZE);
    return 0;
}

int kernel_elf_parse(const uint8_t *header, size_t header_len, uint64_t file_len,
                     struct kernel_image *image, const char **why)
{
    Elf64_Ehdr eh;
    memset(image, 0, sizeof *image);
    if (header_len < sizeof eh || file_len < header_len)
        refuse("too short");
    memcpy(&eh, header, sizeof eh);
    if (memcmp(eh.e_ident, ELFMAG, SELFMAG) != 0)
        refuse("not an ELF file");
    if (eh.e_ident[EI_CLASS] != ELFCLASS64 || eh.e_ident[EI_DATA] != ELFDATA2LSB ||
        eh.e_machine != EM_X86_64)
        refuse("not for x86-64");
    if (eh.e_type != ET_DYN)
        refuse("not position-independent");
    if (eh.e_phentsize != sizeof(Elf64_Phdr) ||
        !range_within(eh.e_phoff, (uint64_t)eh.e_phnum * sizeof(Elf64_Phdr), header_len))
        refuse("program headers are not in the file's first page");

    // Notes and the dynamic section are found by address: after all segments are known.
    Elf64_Phdr late[8];
    unsigned late_count = 0;
    for (unsigned i = 0; i < eh.e_phnum; i++) {
        Elf64_Phdr ph;
        memcpy(&ph, header + eh.e_phoff + i * sizeof ph, sizeof ph);
        if (ph.p_type == PT_LOAD) {
            if (add_segment(&ph, file_len, image, why) != 0)
                return -1;
        } else if (ph.p_type == PT_DYNAMIC || ph.p_type == PT_NOTE) {
            if (late_count == sizeof late / sizeof late[0])
                refuse("too many notes");
            late[late_count++] = ph;
        } else if (ph.p_type == PT_INTERP) {
            refuse("it has an interpreter");
        } // PT_TLS is a linked program's own business
    }
    if (image->count == 0)
        refuse("it has no segments");
    for (unsigned i = 0; i < late_count; i++) {
        uint64_t offset = late[i].p_vaddr - image->link_base; // may wrap; then it is out of range
        if (late[i].p_vaddr < image->link_base ||
            !range_within(offset, late[i].p_memsz, image->len))
            refuse("a note or the dynamic section lies outside the image");
        if (late[i].p_type == PT_DYNAMIC) {
            image->dynamic_off = offset;
            image->dynamic_len = late[i].p_memsz;
        } else if (image->note_count == sizeof image->note_off / sizeof image->note_off[0]) {
            refuse("too many notes");
        } else {
            image->note_off[image->note_count] = offset;
            image->note_len[image->note_count++] = late[i].p_memsz;
        }
    }
    return 0;
}

static const struct kernel_segment *segment_of(const struct kernel_image *image, uint64_t offset,
                                               uint64_t len)
{
    for (unsigned i = 0; i < image->count; i++) {
        const struct kernel_segment *s = &image->segment[i];
        if (offset >= s->offset && range_within(offset - s->offset, len, s->mem_len))
            return s;
    }
    return NULL;
}

// Find the tables note, and that of the process machine if there is one; notes are 4-byte aligned
// records of {namesz, descsz, type}.
static int read_notes(struct kernel_image *image, const uint8_t *mem, const char **why)
{
    bool found = false;
    for (unsigned n = 0; n < image->note_count; n++) {
        uint64_t at = image->note_off[n], end = at + image->note_len[n];
        while (end - at >= sizeof(Elf64_Nhdr)) {
            Elf64_Nhdr nh;
            memcpy(&nh, mem + at, sizeof nh);
            at += sizeof nh;
            uint64_t name_len = round_up(nh.n_namesz, 4), desc_len = round_up(nh.n_descsz, 4);
            if (!range_within(name_len, desc_len, end - at))
                refuse("a note is longer than its segment");
            bool ours = nh.n_namesz == 5 && memcmp(mem + at, "Lith", 5) == 0;
            if (ours && nh.n_type == LITH_NOTE_TABLES) {
                if (nh.n_descsz != sizeof image->tables)
                    refuse("its Lith note has another version's size");
                memcpy(&image->tables, mem + at + name_len, sizeof image->tables);
                found = true;
            } else if (ours && nh.n_type == LITH_NOTE_PROCESS &&
                       nh.n_descsz == sizeof image->process) {
                memcpy(&image->process, mem + at + name_len, sizeof image->process);
            }
            at += name_len + desc_len;
        }
    }
    if (found)
        return 0;
    refuse("it has no Lith note (is this a Lith kernel?)");
}

static bool in_code(const struct kernel_image *image, uint64_t offset, uint64_t len)
{
    const struct kernel_segment *s = segment_of(image, offset, len);
    return s && s->exec && !s->write;
}

static int check_tables(const struct kernel_image *image, const char **why)
{
    const struct lith_note_tables *t = &image->tables;
    const uint64_t table[3][2] = {
        {t->gdt_off, t->gdt_limit}, {t->idt_off, t->idt_limit}, {t->tss_off, t->tss_limit}};
    for (int i = 0; i < 3; i++)
        if (table[i][1] > 0xffff || !segment_of(image, table[i][0], table[i][1] + 1))
            refuse("a descriptor table lies outside the image");
    const struct kernel_segment *code = segment_of(image, t->start64_off, 1);
    if (!code || !code->exec)
        refuse("its entry point is not code");
    const struct lith_note_process *p = &image->process;
    if (p->calls_end == 0)
        return 0;
    if (p->calls_start >= p->calls_end ||
        !in_code(image, p->calls_start, p->calls_end - p->calls_start) ||
        !in_code(image, p->signal_off, 1) || !in_code(image, p->restorer_off, 1))
        refuse("what it says of the process machine lies outside its code");
    return 0;
}

static int relocate(const struct kernel_image *image, uint8_t *mem, uint64_t base,
                    uint64_t rela_off, uint64_t rela_len, const char **why)
{
    if (!segment_of(image, rela_off, rela_len))
        refuse("its relocations lie outside the image");
    for (uint64_t at = 0; at < rela_len; at += sizeof(Elf64_Rela)) {
        Elf64_Rela rela;
        memcpy(&rela, mem + rela_off + at, sizeof rela);
        uint64_t target = rela.r_offset - image->link_base;
        uint64_t to = (uint64_t)rela.r_addend - image->link_base;
        if (ELF64_R_TYPE(rela.r_info) == R_X86_64_NONE)
            continue;
        if (ELF64_R_TYPE(rela.r_info) != R_X86_64_RELATIVE)
            refuse("it has relocations other than R_X86_64_RELATIVE");
        if (rela.r_offset < image->link_base || !segment_of(image, target, 8))
            refuse("a relocation lies outside the image");
        if ((uint64_t)rela.r_addend < image->link_base || to > image->len)
            refuse("a relocation points outside the image");
        uint64_t value = base + to;
        memcpy(mem + target, &value, sizeof value);
    }
    return 0;
}

// Adds the distance to the word at `target` (offset in the image), which holds a link-time address.
static int relocate_word(const struct kernel_image *image, uint8_t *mem, uint64_t base,
                         uint64_t target, const char **why)
{
    uint64_t value;
    if (!segment_of(image, target, sizeof value))
        refuse("a relocation lies outside the image");
    memcpy(&value, mem + target, sizeof value);
    if (value < image->link_base || value - image->link_base > image->len)
        refuse("a relocation points outside the image");
    value = value - image->link_base + base;
    memcpy(mem + target, &value, sizeof value);
    return 0;
}

// The compact form (DT_RELR, System V gABI): an even word is an address, an odd one a bitmap of the
// 63 words after the last one.
static int relocate_compact(const struct kernel_image *image, uint8_t *mem, uint64_t base,
                            uint64_t relr_off, uint64_t relr_len, const char **why)
{
    uint64_t next = 0; // offset in the image
    if (!segment_of(image, relr_off, relr_len))
        refuse("its relocations lie outside the image");
    for (uint64_t at = 0; at < relr_len; at += sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, mem + relr_off + at, sizeof word);
        if (!(word & 1)) {
            next = word - image->link_base; // may wrap; then it is out of range
            if (relocate_word(image, mem, base, next, why) != 0)
                return -1;
            next += sizeof(uint64_t);
            continue;
        }
        for (unsigned bit = 1; bit < 64; bit++)
            if (word >> bit & 1 &&
                relocate_word(image, mem, base, next + (bit - 1) * sizeof(uint64_t), why) != 0)
                return -1;
        next += 63 * sizeof(uint64_t);
    }
    return 0;
}

int kernel_elf_link(struct kernel_image *image, uint8_t *mem, uint64_t base, const char **why)
{
    uint64_t rela = 0, rela_len = 0, entry_len = sizeof(Elf64_Rela), relr = 0, relr_len = 0;
    if (read_notes(image, mem, why) != 0 || check_tables(image, why) != 0)
        return -1;
    for (uint64_t at = 0; at + sizeof(Elf64_Dyn) <= image->dynamic_len; at += sizeof(Elf64_Dyn)) {
        Elf64_Dyn dyn;
        memcpy(&dyn, mem + image->dynamic_off + at, sizeof dyn);
        if (dyn.d_tag == DT_NULL)
            break;
        if (dyn.d_tag == DT_RELA)
            rela = dyn.d_un.d_ptr;
        else if (dyn.d_tag == DT_RELASZ)
            rela_len = dyn.d_un.d_val;
        else if (dyn.d_tag == DT_RELAENT)
            entry_len = dyn.d_un.d_val;
        else if (dyn.d_tag == DYN_RELR)
            relr = dyn.d_un.d_ptr;
        else if (dyn.d_tag == DYN_RELRSZ)
            relr_len = dyn.d_un.d_val;
        else if (dyn.d_tag == DT_NEEDED || dyn.d_tag == DT_REL || dyn.d_tag == DT_JMPREL)
            refuse("its dynamic section has entries that a kernel cannot have");
    }
    if (relr_len && (relr < image->link_base || relr_len % sizeof(uint64_t)))
        refuse("its relocation table is malformed");
    if (relr_len && relocate_compact(image, mem, base, relr - image->link_base, relr_len, why) != 0)
        return -1;
    if (rela_len == 0)
        return 0;
    if (entry_len != sizeof(Elf64_Rela) || rela_len % sizeof(Elf64_Rela) || rela < image->link_base)
        refuse("its relocation table is malformed");
    return relocate(image, mem, base, rela - image->link_base, rela_len, why);
}

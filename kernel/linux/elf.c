// SPDX-License-Identifier: ISC
// The ELF parser: takes a file's header and program headers apart and refuses everything that could
// not be loaded safely. After it succeeded, no sum of fields overflows and all segments lie in one
// span below the end of the address space; where that span goes is exec.c's business.
#include <asm-generic/errno.h>
#include <linux/elf.h>
#include "abi/layout.h"
#include "linux/elf_program.h"

#ifndef PAGE_SIZE
#define PAGE_SIZE 4096ul
#endif

static int refuse(const char **reason, const char *why)
{
    *reason = why;
    return -ENOEXEC;
}

static int check_header(const Elf64_Ehdr *h, const char **reason)
{
    if (memcmp(h->e_ident, ELFMAG, SELFMAG) != 0)
        return refuse(reason, "not an ELF file");
    if (h->e_ident[EI_CLASS] != ELFCLASS64)
        return refuse(reason, "not a 64-bit program");
    if (h->e_ident[EI_DATA] != ELFDATA2LSB || h->e_ident[EI_VERSION] != EV_CURRENT)
        return refuse(reason, "not little-endian ELF version 1");
    if (h->e_machine != EM_X86_64)
        return refuse(reason, "not for x86-64");
    if (h->e_type != ET_EXEC && h->e_type != ET_DYN)
        return refuse(reason, "neither a program nor a shared object");
    if (h->e_phentsize != sizeof(Elf64_Phdr))
        return refuse(reason, "program headers of an unknown size");
    if (h->e_phnum == 0 || h->e_phnum > ELF_PHDRS_MAX)
        return refuse(reason, "no program headers, or too many");
    return 0;
}

static int add_segment(struct elf_program *p, const Elf64_Phdr *ph, const char **reason)
{
    if (ph->p_memsz == 0)
        return 0;
    if (p->segment_count == ELF_SEGMENTS_MAX)
        return refuse(reason, "too many segments");
    if (ph->p_filesz > ph->p_memsz)
        return refuse(reason, "segment with more bytes in the file than in memory");
    if (ph->p_vaddr > LITH_USER_END || ph->p_memsz > LITH_USER_END - ph->p_vaddr)
        return refuse(reason, "segment outside the address space");
    if (ph->p_offset > INT64_MAX - PAGE_SIZE || ph->p_filesz > INT64_MAX - PAGE_SIZE - ph->p_offset)
        return refuse(reason, "segment beyond the largest file");
    if ((ph->p_vaddr - ph->p_offset) % PAGE_SIZE != 0)
        return refuse(reason, "segment whose address and file offset differ within a page");
    if (ph->p_align > 1) {
        if ((ph->p_align & (ph->p_align - 1)) != 0 || ph->p_align > ELF_ALIGN_MAX)
            return refuse(reason, "segment alignment is no power of two, or too large");
        p->align = MAX(p->align, (uint64_t)ph->p_align);
    }
    struct elf_segment *s = &p->segment[p->segment_count];
    *s = (struct elf_segment){.vaddr = ph->p_vaddr,
                              .memsz = ph->p_memsz,
                              .offset = ph->p_offset,
                              .filesz = ph->p_filesz,
                              .read = ph->p_flags & PF_R,
                              .write = ph->p_flags & PF_W,
                              .exec = ph->p_flags & PF_X};
    uint64_t first = ALIGN_DOWN(s->vaddr, PAGE_SIZE),
             last = ALIGN_UP(s->vaddr + s->memsz, PAGE_SIZE);
    if (p->segment_count == 0)
        p->start = first;
    else if (first < p->end)
        return refuse(reason, "segments out of order, or sharing a page");
    p->end = last;
    p->segment_count++;
    return 0;
}

static int read_exact(elf_read_fn read, void *ctx, void *buf, size_t n, uint64_t off,
                      const char **reason)
{
    ssize_t_k got = read(ctx, buf, n, off);
    if (got < 0)
        return (int)got;
    return (size_t)got == n ? 0 : refuse(reason, "file ends too soon");
}

static int read_interp(elf_read_fn read, void *ctx, const Elf64_Phdr *ph, struct elf_program *p,
                       const char **reason)
{
    if (p->interp[0])
        return refuse(reason, "two interpreters");
    if (ph->p_filesz < 2 || ph->p_filesz > sizeof(p->interp))
        return refuse(reason, "interpreter's path is empty or too long");
    if (ph->p_offset > INT64_MAX - sizeof(p->interp))
        return refuse(reason, "interpreter's path beyond the largest file");
    int err = read_exact(read, ctx, p->interp, ph->p_filesz, ph->p_offset, reason);
    if (err)
        return err;
    if (p->interp[ph->p_filesz - 1] != '\0' || !p->interp[0])
        return refuse(reason, "interpreter's path does not end");
    return 0;
}

// The program headers' place in memory, for AT_PHDR: PT_PHDR's word, or the segment that holds
// them.
static void find_phdrs(struct elf_program *p, uint64_t phoff, uint64_t len)
{
    for (unsigned i = 0; i < p->segment_count && !p->phdr_vaddr; i++) {
        const struct elf_segment *s = &p->segment[i];
        if (phoff >= s->offset && len <= s->filesz && phoff - s->offset <= s->filesz - len)
            p->phdr_vaddr = s->vaddr + (phoff - s->offset);
    }
}

int elf_parse(elf_read_fn read, void *ctx, struct elf_program *out, const char **reason)
{
    Elf64_Ehdr h;
    Elf64_Phdr ph;
    *out = (struct elf_program){.align = PAGE_SIZE};
    *reason = "";
    int err = read_exact(read, ctx, &h, sizeof(h), 0, reason);
    if (!err)
        err = check_header(&h, reason);
    if (err)
        return err;
    uint64_t table_len = (uint64_t)h.e_phnum * sizeof(ph);
    if (h.e_phoff > INT64_MAX - table_len)
        return refuse(reason, "program headers beyond the largest file");
    for (unsigned i = 0; i < h.e_phnum && !err; i++) {
        err = read_exact(read, ctx, &ph, sizeof(ph), h.e_phoff + i * sizeof(ph), reason);
        if (err)
            break;
        if (ph.p_type == PT_LOAD)
            err = add_segment(out, &ph, reason);
        else if (ph.p_type == PT_INTERP)
            err = read_interp(read, ctx, &ph, out, reason);
        else if (ph.p_type == PT_GNU_STACK)
            out->exec_stack = ph.p_flags & PF_X;
    }
    if (err)
        return err;
    if (out->segment_count == 0)
        return refuse(reason, "nothing to load");
    if (h.e_type == ET_EXEC && out->start < LITH_USER_MIN)
        return refuse(reason, "fixed address below the lowest that programs may use");
    out->dynamic_base = h.e_type == ET_DYN;
    out->entry = h.e_entry;
    out->phnum = h.e_phnum;
    bool entry_ok = false;
    for (unsigned i = 0; i < out->segment_count; i++) {
        const struct elf_segment *s = &out->segment[i];
        entry_ok |= s->exec && h.e_entry >= s->vaddr && h.e_entry - s->vaddr < s->memsz;
    }
    if (!entry_ok)
        return refuse(reason, "entry point outside the program's code");
    find_phdrs(out, h.e_phoff, table_len);
    return 0;
}

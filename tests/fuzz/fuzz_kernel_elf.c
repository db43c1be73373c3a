// SPDX-License-Identifier: ISC
// links: host/monitor/kernel_elf.c
// The kernel loader against any file: parse, place the segments as boot.c does, link. Input that
// begins with 'P' is a list of patches {offset 16, value 16} to a good image, so that the fuzzer
// need not guess one; other input is the file.
#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include "monitor/monitor.h"

#define IMAGE_LIMIT (1u << 20) // larger images are parsed but not placed: time, not coverage

#define BASE     0x7c0000000000ull
#define FILE_LEN 0x2000

// Headers at 0, one read-only segment with all that is looked at, one for code, one for data.
static void make_good(uint8_t *file)
{
    Elf64_Ehdr eh = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
                     .e_type = ET_DYN,
                     .e_machine = EM_X86_64,
                     .e_phoff = sizeof eh,
                     .e_phentsize = sizeof(Elf64_Phdr),
                     .e_phnum = 6};
    const Elf64_Phdr ph[6] = {
        {PT_LOAD, PF_R, 0x1000, BASE, 0x10000, 0x1000, 0x1000, 4096},
        {PT_LOAD, PF_R | PF_X, 0, BASE + 0x1000, 0, 0x100, 0x100, 4096},
        {PT_LOAD, PF_R | PF_W, 0x1800, BASE + 0x2800, 0, 0x10, 0x2000, 4096},
        {PT_NOTE, PF_R, 0, BASE, 0, 100, 100, 4},
        {PT_DYNAMIC, PF_R, 0, BASE + 0x100, 0, 64, 64, 8},
        {PT_TLS, PF_R, 0x1300, BASE + 0x300, 0, 16, 32, 16},
    };
    const Elf64_Nhdr note = {5, sizeof(struct lith_note_tables), LITH_NOTE_TABLES};
    const struct lith_note_tables tables = {0x2800, 79, 0x3000, 767, 0x2900, 200, 0x1000};
    const Elf64_Dyn dyn[4] = {{DT_RELA, {BASE + 0x200}}, {DT_RELASZ, {48}}, {DT_RELAENT, {24}}};
    const Elf64_Rela rela[2] = {{BASE + 0x2800, R_X86_64_RELATIVE, BASE + 8},
                                {BASE + 0x47f8, R_X86_64_RELATIVE, BASE + 0x1000}};
    memset(file, 0, FILE_LEN);
    memcpy(file, &eh, sizeof eh);
    memcpy(file + sizeof eh, ph, sizeof ph);
    memcpy(file + 0x1000, &note, sizeof note);
    memcpy(file + 0x100c, "Lith", 5);
    memcpy(file + 0x1014, &tables, sizeof tables);
    memcpy(file + 0x1100, dyn, sizeof dyn);
    memcpy(file + 0x1200, rela, sizeof rela);
}

static int load(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len == 0 || data[0] != 'P')
        return load(data, len), 0;
    uint8_t *file = malloc(FILE_LEN);
    make_good(file);
    size_t patches = (len - 1) / 4;
    for (size_t i = 0; i < patches; i++) {
        const uint8_t *p = data + 1 + 4 * i;
        size_t at = (size_t)(p[0] | p[1] << 8) % (FILE_LEN - 1);
        memcpy(file + at, p + 2, 2);
    }
    if (load(file, FILE_LEN) != 1 && patches == 0)
        abort(); // the good image must load
    free(file);
    return 0;
}

static int load(const uint8_t *data, size_t len)
{
    struct kernel_image image;
    const char *why = NULL;
    size_t header_len = len < KERNEL_HEADER_BYTES ? len : KERNEL_HEADER_BYTES;
    if (kernel_elf_parse(data, header_len, len, &image, &why) != 0) {
        if (!why)
            abort();
        return 0;
    }
    if (image.phys % PAGE_SIZE || image.phys < KERNEL_PHYS_MIN || image.phys > KERNEL_PHYS_MAX)
        abort();
    uint64_t end = 0;
    for (unsigned i = 0; i < image.count; i++) {
        const struct kernel_segment *s = &image.segment[i];
        if (s->offset < end || s->offset % PAGE_SIZE || s->mem_len < s->file_len ||
            s->file_offset % PAGE_SIZE || s->file_offset + s->file_len > len ||
            (s->write && s->exec))
            abort();
        end = s->offset + s->mem_len;
        if (end > image.len)
            abort();
    }
    if (image.len > IMAGE_LIMIT)
        return 0;
    uint8_t *mem = calloc(1, image.len);
    for (unsigned i = 0; i < image.count; i++) {
        const struct kernel_segment *s = &image.segment[i];
        memcpy(mem + s->offset, data + s->file_offset, s->file_len);
    }
    int error = kernel_elf_link(&image, mem, 0x7c0000200000ull, &why);
    if (error && !why)
        abort();
    free(mem);
    return error == 0;
}

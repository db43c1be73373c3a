// SPDX-License-Identifier: ISC
// Names for fault reports inside the image (kernel/core/symbols.c): programs that are linked with
// -g, and not with --release, carry a table of their functions. It lies behind the text, so it does
// not move what it names. Without it reports have addresses, which `lith symbolize` resolves.
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cc/cc.h"

struct name {
    uint64_t offset;
    const char *text;
};

static int by_offset(const void *a, const void *b)
{
    const struct name *x = a, *y = b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static bool within(uint64_t at, uint64_t len, uint64_t limit)
{
    return at <= limit && len <= limit - at;
}

// The functions of a program that we have just linked, by offset from the image's start.
static size_t collect(const char *data, size_t len, struct name **out)
{
    const Elf64_Ehdr *eh = (const void *)data;
    uint64_t base = UINT64_MAX;
    size_t n = 0;
    *out = NULL;
    if (len < sizeof(*eh) ||
        !within(eh->e_shoff, (uint64_t)eh->e_shnum * sizeof(Elf64_Shdr), len) ||
        !within(eh->e_phoff, (uint64_t)eh->e_phnum * sizeof(Elf64_Phdr), len))
        return 0;
    const Elf64_Phdr *ph = (const void *)(data + eh->e_phoff);
    for (unsigned i = 0; i < eh->e_phnum; i++)
        if (ph[i].p_type == PT_LOAD && ph[i].p_vaddr < base)
            base = ph[i].p_vaddr;
    const Elf64_Shdr *sh = (const void *)(data + eh->e_shoff);
    for (unsigned i = 0; i < eh->e_shnum; i++) {
        if (sh[i].sh_type != SHT_SYMTAB || sh[i].sh_link >= eh->e_shnum)
            continue;
        const Elf64_Shdr *str = &sh[sh[i].sh_link];
        if (!within(sh[i].sh_offset, sh[i].sh_size, len) ||
            !within(str->sh_offset, str->sh_size, len) || !str->sh_size ||
            data[str->sh_offset + str->sh_size - 1])
            return 0;
        const Elf64_Sym *sym = (const void *)(data + sh[i].sh_offset);
        size_t count = sh[i].sh_size / sizeof(*sym);
        *out = xcalloc(count + 1, sizeof(**out));
        for (size_t k = 0; k < count; k++) {
            if (ELF64_ST_TYPE(sym[k].st_info) != STT_FUNC || sym[k].st_shndx == SHN_UNDEF ||
                sym[k].st_name >= str->sh_size || sym[k].st_value < base)
                continue;
            const char *text = data + str->sh_offset + sym[k].st_name;
            if (strncmp(text, "__lith_", 7) == 0)
                text += 7;
            (*out)[n++] = (struct name){sym[k].st_value - base, text};
        }
    }
    qsort(*out, n, sizeof(**out), by_offset);
    return n;
}

// Names may hold anything, and what ends the string would be the assembler's next line.
static void put_name(FILE *f, const char *text)
{
    fputs(".asciz \"", f);
    for (; *text; text++)
        fputc((unsigned char)*text < ' ' || strchr("\"\\\x7f", *text) ? '?' : *text, f);
    fputs("\"\n", f);
}

static void put(FILE *f, const struct name *names, size_t n)
{
    size_t count = 0, at = 0;
    fputs(".section kernel_symbols, \"a\"\n.balign 4\n.globl kernel_symbol_count, "
          "kernel_symbol_table, kernel_symbol_names\n.hidden kernel_symbol_count, "
          "kernel_symbol_table, kernel_symbol_names\nkernel_symbol_table:\n",
          f);
    for (size_t i = 0; i < n; i++) {
        if (i && names[i].offset == names[i - 1].offset)
            continue;
        fprintf(f, ".long 0x%llx, %zu\n", (unsigned long long)names[i].offset, at);
        at += strlen(names[i].text) + 1;
        count++;
    }
    fprintf(f, "kernel_symbol_count: .long %zu\nkernel_symbol_names:\n", count);
    for (size_t i = 0; i < n; i++)
        if (!i || names[i].offset != names[i - 1].offset)
            put_name(f, names[i].text);
    fputs(".section .note.GNU-stack, \"\", @progbits\n", f);
}

const char *symbols_object(const struct options *o, const char *program, const char *tmp)
{
    char *data, *source = xasprintf("%s/symbols.s", tmp), *object = xasprintf("%s/symbols.o", tmp);
    size_t len;
    struct name *names;
    if (file_read(AT_FDCWD, program, 1u << 30, &data, &len) < 0)
        die("cannot read %s", program);
    size_t n = collect(data, len, &names);
    FILE *f = fopen(source, "we");
    if (!f)
        die("cannot write %s: %s", source, strerror(errno));
    put(f, names, n);
    if (fclose(f) != 0)
        die("cannot write %s: %s", source, strerror(errno));
    free(names);
    free(data);
    struct list argv = {0};
    list_add_all(&argv, (const char *const[]){gcc_name(), "-c", "-o", object, source, NULL});
    if (run(o, &argv, NULL) != 0)
        die("the table of names cannot be assembled");
    return object;
}

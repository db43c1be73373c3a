// SPDX-License-Identifier: ISC
// Function ranges and names from Go's runtime function table (runtime/symtab.go, debug/gosym):
// the layouts of Go 1.16, 1.18 and 1.20. Go's own text has no .eh_frame.
#include "image/rewrite/private.h"

#include <string.h>

#define MAGIC_1_16 0xfffffffau
#define MAGIC_1_18 0xfffffff0u
#define MAGIC_1_20 0xfffffff1u

struct table {
    const uint8_t *data; // the whole pclntab
    size_t len;
    size_t offset; // of it in the file
    uint64_t text; // entries are relative to this
    uint64_t names, functab;
    uint64_t count;
    unsigned entry_len; // 4 or 8
};

static uint64_t field(const struct table *t, size_t at)
{
    return load64(t->data + at);
}

static uint64_t entry(const struct table *t, uint64_t index)
{
    const uint8_t *p = t->data + t->functab + index * t->entry_len;
    return t->entry_len == 4 ? load32(p) : load64(p);
}

// In position-independent programs the table's text start is a relocation; its addend has it.
static uint64_t relocated_value(struct context *ctx, uint64_t vaddr)
{
    const struct elf *elf = &ctx->elf;
    for (unsigned i = 0; i < elf->section_count; i++) {
        Elf64_Shdr s;
        if (!elf_section(elf, i, &s) || s.sh_type != SHT_RELA || !(s.sh_flags & SHF_ALLOC) ||
            !budget_take(ctx, s.sh_size))
            continue;
        for (uint64_t at = 0; at + sizeof(Elf64_Rela) <= s.sh_size; at += sizeof(Elf64_Rela)) {
            Elf64_Rela rela;
            memcpy(&rela, elf->data + s.sh_offset + at, sizeof(rela));
            if (rela.r_offset == vaddr)
                return rela.r_addend;
        }
    }
    return 0;
}

static bool open_table(struct context *ctx, struct table *t)
{
    const struct elf *elf = &ctx->elf;
    Elf64_Shdr section;
    if (!elf_section_named(elf, ".gopclntab", &section) &&
        !elf_section_named(elf, ".data.rel.ro.gopclntab", &section))
        return false;
    t->data = elf->data + section.sh_offset;
    t->offset = section.sh_offset;
    t->len = section.sh_size;
    if (t->len < 72 || t->data[6] != 1 || t->data[7] != 8)
        return false; // instruction quantum and pointer size of x86-64
    t->count = field(t, 8);
    switch (load32(t->data)) {
    case MAGIC_1_16:
        t->names = field(t, 24);
        t->functab = field(t, 56);
        t->entry_len = 8;
        break;
    case MAGIC_1_18:
    case MAGIC_1_20:
        t->text = field(t, 24);
        if (!t->text)
            t->text = relocated_value(ctx, section.sh_addr + 24);
        t->names = field(t, 32);
        t->functab = field(t, 64);
        t->entry_len = 4;
        if (!t->text && elf_section_named(elf, ".text", &section))
            t->text = section.sh_addr;
        break;
    default:
        return false;
    }
    // The table ends with the end address of the last function.
    return t->functab < t->len && t->count < t->len &&
           (2 * t->count + 1) * t->entry_len <= t->len - t->functab && t->names < t->len;
}

bool go_collect(struct context *ctx)
{
    struct table t = {0};
    if (!open_table(ctx, &t))
        return true;
    for (uint64_t i = 0; i < t.count; i++) {
        uint64_t start = t.text + entry(&t, 2 * i), end = t.text + entry(&t, 2 * i + 2);
        size_t lo;
        if (start >= end || !elf_code_offset(&ctx->elf, start, &lo))
            continue;
        const struct code_range *code = elf_code_at(&ctx->elf, lo);
        size_t hi = end - start < code->hi - lo ? lo + (end - start) : code->hi;
        if (!functions_add(ctx, (struct function){.lo = lo, .hi = hi, .source = SOURCE_GO}))
            return false;
        // The function's record: entry (pointer, or offset since 1.18), then the name's offset.
        uint64_t record = entry(&t, 2 * i + 1);
        if (record >= t.len - t.functab || t.len - t.functab - record < t.entry_len + 4)
            continue;
        uint64_t name = load32(t.data + t.functab + record + t.entry_len);
        if (name < t.len - t.names && !functions_add_name(ctx, lo, hi, t.offset + t.names + name))
            return false;
    }
    return true;
}

// SPDX-License-Identifier: ISC
// The functions of a file, sorted and disjoint: from .eh_frame first, then Go's table, then
// symbols with a size. Files that have none of them get the gaps between functions, and files
// that have them get one kind of gap: glibc ends the frame description of clone and its kin right
// before their `syscall`.
#include "image/rewrite/private.h"

#include <stdlib.h>
#include <string.h>

#define NAME_LEN_MAX 128

bool array_reserve(void **array, size_t *room, size_t count, size_t size)
{
    if (count < *room)
        return true;
    size_t grown = *room ? *room * 2 : 64;
    void *p = reallocarray(*array, grown, size);
    if (!p)
        return false;
    *array = p;
    *room = grown;
    return true;
}

bool functions_add(struct context *ctx, struct function function)
{
    struct functions *f = &ctx->functions;
    if (!ARRAY_RESERVE(f->list, f->room, f->count))
        return false;
    f->list[f->count++] = function;
    return true;
}

bool functions_add_name(struct context *ctx, size_t lo, size_t hi, size_t string)
{
    struct functions *f = &ctx->functions;
    if (!ARRAY_RESERVE(f->names, f->name_room, f->name_count))
        return false;
    f->names[f->name_count++] = (struct name){.lo = lo, .hi = hi, .string = string};
    return true;
}

static bool collect_symbols(struct context *ctx, const Elf64_Shdr *table)
{
    const struct elf *elf = &ctx->elf;
    Elf64_Shdr strings;
    bool named = elf_section(elf, table->sh_link, &strings) && strings.sh_type == SHT_STRTAB;
    for (uint64_t at = 0; at + sizeof(Elf64_Sym) <= table->sh_size; at += sizeof(Elf64_Sym)) {
        Elf64_Sym symbol;
        memcpy(&symbol, elf->data + table->sh_offset + at, sizeof(symbol));
        unsigned type = ELF64_ST_TYPE(symbol.st_info);
        size_t lo;
        if ((type != STT_FUNC && type != STT_GNU_IFUNC) || symbol.st_shndx == SHN_UNDEF ||
            !symbol.st_size || !elf_code_offset(elf, symbol.st_value, &lo))
            continue;
        const struct code_range *code = elf_code_at(elf, lo);
        if (symbol.st_size > code->hi - lo)
            continue;
        size_t hi = lo + symbol.st_size;
        if (!functions_add(ctx, (struct function){.lo = lo, .hi = hi, .source = SOURCE_SYMBOL}))
            return false;
        if (named && symbol.st_name < strings.sh_size &&
            !functions_add_name(ctx, lo, hi, strings.sh_offset + symbol.st_name))
            return false;
    }
    return true;
}

static int compare_functions(const void *a, const void *b)
{
    const struct function *x = a, *y = b;
    if (x->lo != y->lo)
        return x->lo < y->lo ? -1 : 1;
    if (x->source != y->source)
        return x->source < y->source ? -1 : 1;
    return x->hi > y->hi ? -1 : x->hi < y->hi;
}

static int compare_names(const void *a, const void *b)
{
    const struct name *x = a, *y = b;
    if (x->lo != y->lo)
        return x->lo < y->lo ? -1 : 1;
    return x->hi < y->hi ? -1 : x->hi > y->hi;
}

// Sorts, and makes the ranges disjoint: a better source cuts a worse one short; what begins inside
// a range of its own kind or a better one goes.
static void settle(struct functions *f)
{
    if (f->count)
        qsort(f->list, f->count, sizeof(f->list[0]), compare_functions);
    if (f->name_count)
        qsort(f->names, f->name_count, sizeof(f->names[0]), compare_names);
    size_t kept = 0;
    for (size_t i = 0; i < f->count; i++) {
        struct function *prev = kept ? &f->list[kept - 1] : NULL;
        if (prev && f->list[i].lo < prev->hi) {
            if (f->list[i].source >= prev->source)
                continue;
            prev->hi = f->list[i].lo;
        }
        f->list[kept++] = f->list[i];
    }
    f->count = kept;
    f->fde_bytes = 0;
    for (size_t i = 0; i < kept; i++)
        if (f->list[i].source == SOURCE_FDE)
            f->fde_bytes += f->list[i].hi - f->list[i].lo;
}

static bool starts_with_syscall(const uint8_t *p, size_t len)
{
    return len >= 2 && p[0] == 0x0f && p[1] == 0x05;
}

// glibc's clone: the description ends, the function falls through to `syscall` and on to its
// first jump or return.
static void extend_over_syscall(struct context *ctx, struct function *function, size_t end)
{
    if (!starts_with_syscall(ctx->elf.data + function->hi, end - function->hi))
        return;
    unsigned flags;
    if (!decode_exactly(ctx, function->lo, function->hi, &flags) || (flags & INSN_ENDS))
        return;
    size_t at = function->hi;
    while (at < end) {
        ZydisDecodedInstruction insn;
        if (!decode_one(ctx, at, end, &insn))
            return;
        flags = decode_insn_flags(&insn);
        if (flags & INSN_ODD)
            return;
        at += insn.length;
        if (flags & INSN_ENDS)
            break;
    }
    function->hi = at;
}

// A gap counts as code when it decodes exactly to its end.
static bool consider_gap(struct context *ctx, size_t lo, size_t hi)
{
    unsigned last;
    if (lo >= hi || !memmem(ctx->elf.data + lo, hi - lo, "\x0f\x05", 2) ||
        !decode_exactly(ctx, lo, hi, &last))
        return true;
    return functions_add(ctx, (struct function){.lo = lo, .hi = hi, .source = SOURCE_GAP});
}

// Walks the stretches of code that belong to no function.
static bool walk_gaps(struct context *ctx)
{
    struct functions *f = &ctx->functions;
    size_t known = f->count, next = 0;
    size_t code_bytes = 0;
    for (unsigned i = 0; i < ctx->elf.code_count; i++)
        code_bytes += ctx->elf.code[i].hi - ctx->elf.code[i].lo;
    // musl's and stripped static files carry at most the frames of libgcc and start-up code.
    bool described = f->fde_bytes > code_bytes / 4;
    for (unsigned i = 0; i < ctx->elf.code_count; i++) {
        const struct code_range *code = &ctx->elf.code[i];
        size_t at = code->lo;
        for (; next < known && f->list[next].lo < code->hi; next++) {
            if (!described && !consider_gap(ctx, at, f->list[next].lo))
                return false;
            struct function *function = &f->list[next];
            size_t end = next + 1 < known && f->list[next + 1].lo < code->hi ? f->list[next + 1].lo
                                                                             : code->hi;
            extend_over_syscall(ctx, function, end);
            at = function->hi;
        }
        if (!described && !consider_gap(ctx, at, code->hi))
            return false;
    }
    return true;
}

bool functions_collect(struct context *ctx)
{
    if (!frames_collect(ctx) || !go_collect(ctx))
        return false;
    for (unsigned i = 0; i < ctx->elf.section_count; i++) {
        Elf64_Shdr table;
        if (!elf_section(&ctx->elf, i, &table) ||
            (table.sh_type != SHT_SYMTAB && table.sh_type != SHT_DYNSYM) ||
            !budget_take(ctx, table.sh_size))
            continue;
        if (!collect_symbols(ctx, &table))
            return false;
    }
    settle(&ctx->functions);
    if (!walk_gaps(ctx))
        return false;
    settle(&ctx->functions);
    return true;
}

char *functions_name_at(const struct context *ctx, size_t offset)
{
    const struct functions *f = &ctx->functions;
    size_t lo = 0, hi = f->name_count;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (f->names[mid].lo <= offset)
            lo = mid + 1;
        else
            hi = mid;
    }
    // Names may nest, but not deeply.
    for (unsigned tries = 0; lo-- > 0 && tries < 8; tries++) {
        if (f->names[lo].hi <= offset)
            continue;
        const uint8_t *string = ctx->elf.data + f->names[lo].string;
        size_t avail = ctx->elf.len - f->names[lo].string;
        size_t len = strnlen((const char *)string, avail < NAME_LEN_MAX ? avail : NAME_LEN_MAX);
        if (!len)
            continue;
        char *name = strndup((const char *)string, len);
        for (char *c = name; c && *c; c++)
            if (*c < 0x20 || *c > 0x7e)
                *c = '?';
        return name;
    }
    return NULL;
}

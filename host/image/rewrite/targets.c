// SPDX-License-Identifier: ISC
// Where control may arrive other than from the instruction before: an over-approximation. An
// instruction at a target is never moved and never swallowed by a longer one.
#include "image/rewrite/private.h"

#include <stdlib.h>
#include <string.h>

void targets_mark(struct context *ctx, uint64_t vaddr)
{
    size_t offset;
    if (elf_code_offset(&ctx->elf, vaddr, &offset))
        ctx->targets[offset / 8] |= 1u << (offset % 8);
}

// Every aligned word that looks like a code address: function pointers, Go's and non-PIE jump
// tables, packed relative relocations.
static void mark_words(struct context *ctx)
{
    const struct elf *elf = &ctx->elf;
    for (unsigned i = 0; i < elf->load_count; i++) {
        const struct load *load = &elf->loads[i];
        size_t skip = -load->vaddr & 7;
        size_t end = load->offset + load->filesz;
        for (size_t at = load->offset + skip; at + 8 <= end && skip < load->filesz; at += 8) {
            const struct code_range *code = load->exec ? elf_code_at(elf, at) : NULL;
            if (code && elf->code_by_sections) {
                at += (code->hi - at - 1) & ~7ull;
                continue;
            }
            targets_mark(ctx, load64(elf->data + at));
        }
    }
}

static void mark_relocations(struct context *ctx, size_t offset, uint64_t len)
{
    for (uint64_t at = 0; at + sizeof(Elf64_Rela) <= len; at += sizeof(Elf64_Rela))
        targets_mark(ctx, load64(ctx->elf.data + offset + at + offsetof(Elf64_Rela, r_addend)));
}

static void mark_tables(struct context *ctx)
{
    const struct elf *elf = &ctx->elf;
    targets_mark(ctx, elf->eh.e_entry);
    for (unsigned i = 0; i < elf->section_count; i++) {
        Elf64_Shdr s;
        if (!elf_section(elf, i, &s) ||
            (s.sh_type != SHT_RELA && s.sh_type != SHT_SYMTAB && s.sh_type != SHT_DYNSYM) ||
            !budget_take(ctx, s.sh_size))
            continue;
        if (s.sh_type == SHT_RELA) {
            mark_relocations(ctx, s.sh_offset, s.sh_size);
            continue;
        }
        for (uint64_t at = 0; at + sizeof(Elf64_Sym) <= s.sh_size; at += sizeof(Elf64_Sym))
            targets_mark(ctx, load64(elf->data + s.sh_offset + at + offsetof(Elf64_Sym, st_value)));
    }
    // The dynamic section names the relocations of files without a section table.
    for (unsigned i = 0; i < elf->eh.e_phnum && !elf->section_count; i++) {
        uint64_t rela = 0, rela_len = 0;
        size_t offset, avail;
        if (elf->ph[i].p_type != PT_DYNAMIC ||
            !elf_locate(elf, elf->ph[i].p_vaddr, &offset, &avail))
            continue;
        if (avail > elf->ph[i].p_filesz)
            avail = elf->ph[i].p_filesz;
        for (size_t at = 0; at + 16 <= avail; at += 16) {
            uint64_t tag = load64(elf->data + offset + at);
            uint64_t value = load64(elf->data + offset + at + 8);
            if (tag == DT_RELA)
                rela = value;
            else if (tag == DT_RELASZ)
                rela_len = value;
        }
        if (elf_locate(elf, rela, &offset, &avail))
            mark_relocations(ctx, offset, rela_len < avail ? rela_len : avail);
    }
}

// A jump table of 32-bit offsets from its own start, as compilers make for `switch` in
// position-independent code: read until an entry leaves the code.
static void mark_jump_table(struct context *ctx, uint64_t vaddr)
{
    size_t offset, avail, ignored;
    if (!elf_locate(&ctx->elf, vaddr, &offset, &avail))
        return;
    for (; avail >= 4 && budget_take(ctx, 1); avail -= 4, offset += 4) {
        uint64_t target = vaddr + (uint64_t)(int32_t)load32(ctx->elf.data + offset);
        if (!elf_code_offset(&ctx->elf, target, &ignored))
            break;
        targets_mark(ctx, target);
    }
}

struct addresses {
    uint64_t *list;
    size_t count, room;
};

// Targets that the instructions of [lo, hi) name.
static bool mark_code(struct context *ctx, size_t lo, size_t hi, struct addresses *leas)
{
    bool indirect_jump = false;
    bool absolute = ctx->elf.eh.e_type == ET_EXEC;
    leas->count = 0;
    for (size_t at = lo; at < hi;) {
        ZydisDecodedInstruction insn;
        if (!decode_one(ctx, at, hi, &insn)) {
            at++;
            continue;
        }
        uint64_t next = elf_vaddr(&ctx->elf, at) + insn.length;
        at += insn.length;
        unsigned flags = decode_insn_flags(&insn);
        if (insn.raw.imm[0].is_relative)
            targets_mark(ctx, next + (uint64_t)insn.raw.imm[0].value.s);
        else if (insn.meta.category == ZYDIS_CATEGORY_UNCOND_BR)
            indirect_jump = true;
        else if (absolute && insn.raw.imm[0].size == 32)
            targets_mark(ctx, insn.raw.imm[0].value.u & 0xffffffff); // mov $function,%edi
        if ((flags & INSN_RIP) && insn.mnemonic == ZYDIS_MNEMONIC_LEA) {
            uint64_t target = next + (uint64_t)insn.raw.disp.value;
            targets_mark(ctx, target);
            if (!ARRAY_RESERVE(leas->list, leas->room, leas->count))
                return false;
            leas->list[leas->count++] = target;
        }
    }
    for (size_t i = 0; indirect_jump && i < leas->count; i++)
        mark_jump_table(ctx, leas->list[i]);
    return true;
}

static bool mark_all_code(struct context *ctx)
{
    const struct functions *f = &ctx->functions;
    struct addresses leas = {0};
    bool good = true;
    size_t next = 0;
    for (unsigned i = 0; i < ctx->elf.code_count && good; i++) {
        size_t at = ctx->elf.code[i].lo, end = ctx->elf.code[i].hi;
        while (good && at < end) {
            while (next < f->count && f->list[next].lo < at)
                next++;
            const struct function *function = next < f->count ? &f->list[next] : NULL;
            size_t stop = !function || function->lo >= end ? end : function->lo;
            if (stop == at)
                stop = function->hi;
            good = mark_code(ctx, at, stop, &leas);
            at = stop;
        }
    }
    free(leas.list);
    return good;
}

bool targets_collect(struct context *ctx)
{
    ctx->targets = calloc(ctx->elf.len / 8 + 1, 1);
    if (!ctx->targets)
        return false;
    mark_words(ctx);
    mark_tables(ctx);
    for (size_t i = 0; i < ctx->functions.count; i++) {
        const struct function *function = &ctx->functions.list[i];
        if (function->source != SOURCE_GAP)
            targets_mark(ctx, elf_vaddr(&ctx->elf, function->lo));
        frames_mark_landing_pads(ctx, function);
    }
    return mark_all_code(ctx);
}

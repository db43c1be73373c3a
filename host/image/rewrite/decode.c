// SPDX-License-Identifier: ISC
// What the rewriter wants to know of an instruction. Raw encoding fields suffice, so Zydis does
// not decode operands: half the time on a 40 MB Go program.
#include "image/rewrite/private.h"

#include <string.h>

bool decode_one(const struct context *ctx, size_t offset, size_t hi, ZydisDecodedInstruction *insn)
{
    size_t len = hi - offset;
    if (len > ZYDIS_MAX_INSTRUCTION_LENGTH)
        len = ZYDIS_MAX_INSTRUCTION_LENGTH;
    return ZYAN_SUCCESS(
        ZydisDecoderDecodeInstruction(&ctx->decoder, NULL, ctx->elf.data + offset, len, insn));
}

static bool has_modrm_memory(const ZydisDecodedInstruction *insn)
{
    return (insn->attributes & ZYDIS_ATTRIB_HAS_MODRM) && insn->raw.modrm.mod != 3;
}

unsigned decode_insn_flags(const ZydisDecodedInstruction *insn)
{
    unsigned flags = 0;
    bool jump = false;
    switch (insn->meta.category) {
    case ZYDIS_CATEGORY_SYSCALL:
        flags |= INSN_FIXED;
        if (insn->mnemonic == ZYDIS_MNEMONIC_SYSCALL && insn->length == 2)
            flags |= INSN_SYSCALL;
        break;
    case ZYDIS_CATEGORY_UNCOND_BR:
        flags |= INSN_FIXED | INSN_ENDS;
        jump = insn->raw.imm[0].is_relative;
        break;
    case ZYDIS_CATEGORY_COND_BR:
        flags |= INSN_FIXED;
        // Not loop and jrcxz: they have no 32-bit form.
        jump = insn->raw.imm[0].is_relative &&
               ((insn->opcode & 0xf0) == 0x70 || (insn->opcode & 0xf0) == 0x80);
        break;
    case ZYDIS_CATEGORY_RET:
        flags |= INSN_FIXED | INSN_ENDS | INSN_LAST;
        break;
    case ZYDIS_CATEGORY_CALL:
    case ZYDIS_CATEGORY_CET: // endbr64 must stay where it is landed on
        flags |= INSN_FIXED;
        break;
    case ZYDIS_CATEGORY_INTERRUPT:
        flags |= INSN_FIXED;
        if (insn->mnemonic == ZYDIS_MNEMONIC_INT && insn->raw.imm[0].value.u == 0x80)
            flags |= INSN_INT80;
        break;
    case ZYDIS_CATEGORY_SYSRET:
    case ZYDIS_CATEGORY_IO:
    case ZYDIS_CATEGORY_IOSTRINGOP:
        flags |= INSN_FIXED | INSN_ODD;
        break;
    default:
        break;
    }
    if (jump)
        flags |= INSN_JUMP | INSN_LAST;
    if (insn->raw.imm[0].is_relative)
        flags |= INSN_FIXED; // also xbegin
    if (insn->mnemonic == ZYDIS_MNEMONIC_HLT || insn->mnemonic == ZYDIS_MNEMONIC_UD2)
        flags |= INSN_FIXED | INSN_ENDS;
    else if (insn->attributes & ZYDIS_ATTRIB_IS_PRIVILEGED)
        flags |= INSN_FIXED | INSN_ODD;
    if (has_modrm_memory(insn) && insn->raw.modrm.mod == 0 && insn->raw.modrm.rm == 5) {
        flags |= INSN_RIP;
        if (insn->raw.disp.size != 32 || (insn->attributes & ZYDIS_ATTRIB_HAS_ADDRESSSIZE))
            flags |= INSN_FIXED;
    }
    return flags;
}

// REX.B turns rsp and rbp into r12 and r13; in VEX and EVEX it is not looked at, which errs on the
// careful side.
static bool base_is_extended(const ZydisDecodedInstruction *insn)
{
    return insn->encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY &&
           (insn->attributes & ZYDIS_ATTRIB_HAS_REX) && insn->raw.rex.B;
}

unsigned decode_insn_traits(const ZydisDecodedInstruction *insn, const uint8_t *bytes)
{
    if (insn->meta.category == ZYDIS_CATEGORY_CALL)
        return TRAIT_CALLS;
    if (base_is_extended(insn))
        return 0;
    if (has_modrm_memory(insn)) {
        bool sib = insn->raw.modrm.rm == 4;
        unsigned base = sib ? insn->raw.sib.base : insn->raw.modrm.rm;
        if (insn->raw.disp.value >= 0 || insn->raw.modrm.mod == 0)
            return 0;
        if (sib && base == 4)
            return TRAIT_RED_ZONE;
        return base == 5 ? TRAIT_BELOW_RBP : 0;
    }
    // mov %rsp,%rbp in either encoding
    if (insn->length == 3 &&
        (!memcmp(bytes, "\x48\x89\xe5", 3) || !memcmp(bytes, "\x48\x8b\xec", 3)))
        return TRAIT_FRAME;
    return 0;
}

bool decode_exactly(const struct context *ctx, size_t lo, size_t hi, unsigned *last)
{
    *last = 0;
    while (lo < hi) {
        ZydisDecodedInstruction insn;
        if (!decode_one(ctx, lo, hi, &insn))
            return false;
        *last = decode_insn_flags(&insn);
        if (*last & INSN_ODD)
            return false;
        lo += insn.length;
    }
    return true;
}

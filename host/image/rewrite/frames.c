// SPDX-License-Identifier: ISC
// Function ranges and landing pads from .eh_frame and the exception tables that it names (LSB
// core specification, "Exception Frames"; the Itanium C++ ABI's LSDA).
#include "image/rewrite/private.h"

#include <string.h>

#define DW_EH_PE_OMIT    0xff
#define DW_EH_PE_PCREL   0x10
#define AUGMENTATION_MAX 16

// A reader that turns bad instead of leaving its bounds.
struct cursor {
    const uint8_t *p, *end;
    uint64_t vaddr; // of p
    bool bad;
};

static const uint8_t *cursor_take(struct cursor *c, uint64_t len)
{
    if (c->bad || len > (size_t)(c->end - c->p)) {
        c->bad = true;
        return NULL;
    }
    const uint8_t *at = c->p;
    c->p += len;
    c->vaddr += len;
    return at;
}

static uint64_t cursor_uint(struct cursor *c, unsigned len)
{
    const uint8_t *p = cursor_take(c, len);
    if (!p)
        return 0;
    switch (len) {
    case 1:
        return *p;
    case 2:
        return load16(p);
    case 4:
        return load32(p);
    default:
        return load64(p);
    }
}

static uint64_t cursor_leb(struct cursor *c, bool is_signed)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint64_t byte = cursor_uint(c, 1);
        value |= (byte & 0x7f) << shift;
        if (byte & 0x80)
            continue;
        if (is_signed && (byte & 0x40) && shift + 7 < 64)
            value |= ~0ull << (shift + 7);
        return value;
    }
    c->bad = true;
    return 0;
}

static uint64_t cursor_encoded(struct cursor *c, unsigned encoding)
{
    uint64_t base = 0;
    if ((encoding & 0x70) == DW_EH_PE_PCREL)
        base = c->vaddr;
    else if (encoding & 0x70)
        c->bad = true; // data- and function-relative pointers do not occur on x86-64
    uint64_t value = 0;
    switch (encoding & 0x0f) {
    case 0x0:
    case 0x4:
    case 0xc:
        value = cursor_uint(c, 8);
        break;
    case 0x1:
        value = cursor_leb(c, false);
        break;
    case 0x2:
        value = cursor_uint(c, 2);
        break;
    case 0x3:
        value = cursor_uint(c, 4);
        break;
    case 0x9:
        value = cursor_leb(c, true);
        break;
    case 0xa:
        value = (uint64_t)(int16_t)cursor_uint(c, 2);
        break;
    case 0xb:
        value = (uint64_t)(int32_t)cursor_uint(c, 4);
        break;
    default:
        c->bad = true;
    }
    // A null pointer stays one: relative to nothing.
    return value ? value + base : 0;
}

struct cie {
    bool augmented, signal_frame;
    uint8_t fde_encoding, lsda_encoding;
};

// `c` stands behind the length and the CIE id.
static bool parse_cie(struct cursor *c, struct cie *cie)
{
    *cie = (struct cie){.fde_encoding = 0, .lsda_encoding = DW_EH_PE_OMIT};
    unsigned version = cursor_uint(c, 1);
    if (version != 1 && version != 3)
        return false;
    char augmentation[AUGMENTATION_MAX + 1] = {0};
    for (unsigned i = 0;; i++) {
        char ch = cursor_uint(c, 1);
        if (!ch)
            break;
        if (i == AUGMENTATION_MAX)
            return false;
        augmentation[i] = ch;
    }
    cursor_leb(c, false); // code alignment
    cursor_leb(c, true);  // data alignment
    if (version == 1)
        cursor_uint(c, 1); // return address register
    else
        cursor_leb(c, false);
    if (augmentation[0] && augmentation[0] != 'z')
        return false;
    cie->augmented = augmentation[0];
    if (cie->augmented)
        cursor_leb(c, false);
    for (const char *a = augmentation[0] ? augmentation + 1 : augmentation; *a; a++) {
        if (*a == 'L')
            cie->lsda_encoding = cursor_uint(c, 1);
        else if (*a == 'R')
            cie->fde_encoding = cursor_uint(c, 1);
        else if (*a == 'S')
            cie->signal_frame = true;
        else if (*a == 'P') {
            unsigned encoding = cursor_uint(c, 1);
            if (encoding != DW_EH_PE_OMIT)
                cursor_encoded(c, encoding & 0x7f);
        } else
            return false;
    }
    return !c->bad;
}

// One FDE; `c` stands behind the CIE pointer. False only when out of memory.
static bool add_fde(struct context *ctx, struct cursor *c, const struct cie *cie)
{
    uint64_t start = cursor_encoded(c, cie->fde_encoding);
    uint64_t len = cursor_encoded(c, cie->fde_encoding & 0x0f);
    uint64_t lsda = 0;
    if (cie->augmented) {
        cursor_leb(c, false);
        if (cie->lsda_encoding != DW_EH_PE_OMIT)
            lsda = cursor_encoded(c, cie->lsda_encoding & 0x7f);
    }
    if (c->bad)
        return true;
    // A signal trampoline's FDE begins one byte early, so that the unwinder, which looks up the
    // return address minus one, finds it.
    uint64_t first = cie->signal_frame ? start + 1 : start;
    if (len < (cie->signal_frame ? 2u : 1u))
        return true;
    len -= first - start;
    size_t lo;
    if (!elf_code_offset(&ctx->elf, first, &lo))
        return true;
    const struct code_range *code = elf_code_at(&ctx->elf, lo);
    if (len > code->hi - lo)
        return true;
    return functions_add(
        ctx, (struct function){
                 .lo = lo, .hi = lo + len, .lsda = lsda, .lsda_base = start, .source = SOURCE_FDE});
}

// Where .eh_frame lies: by its section, else by the header that PT_GNU_EH_FRAME points to.
static bool find_eh_frame(const struct elf *elf, struct cursor *c, bool *bounded)
{
    Elf64_Shdr section;
    if (elf_section_named(elf, ".eh_frame", &section)) {
        *c = (struct cursor){.p = elf->data + section.sh_offset,
                             .end = elf->data + section.sh_offset + section.sh_size,
                             .vaddr = section.sh_addr};
        *bounded = true;
        return true;
    }
    *bounded = false;
    for (unsigned i = 0; i < elf->eh.e_phnum; i++) {
        size_t offset, avail;
        if (elf->ph[i].p_type != PT_GNU_EH_FRAME ||
            !elf_locate(elf, elf->ph[i].p_vaddr, &offset, &avail) || avail < 4)
            continue;
        const uint8_t *hdr = elf->data + offset;
        if (hdr[0] != 1)
            continue;
        struct cursor h = {.p = hdr + 4, .end = hdr + avail, .vaddr = elf->ph[i].p_vaddr + 4};
        uint64_t at = cursor_encoded(&h, hdr[1] & 0x7f);
        if (h.bad || !elf_locate(elf, at, &offset, &avail))
            continue;
        *c = (struct cursor){
            .p = elf->data + offset, .end = elf->data + offset + avail, .vaddr = at};
        return true;
    }
    return false;
}

bool frames_collect(struct context *ctx)
{
    struct cursor c;
    bool bounded;
    if (!find_eh_frame(&ctx->elf, &c, &bounded))
        return true;
    const uint8_t *start = c.p;
    uint64_t start_vaddr = c.vaddr;
    const uint8_t *cie_at = NULL;
    struct cie cie = {0};
    bool cie_good = false;
    while (c.end - c.p >= 4) {
        uint64_t len = cursor_uint(&c, 4);
        if (!len && !bounded)
            break;
        if (!len)
            continue; // a terminator of one of the linked objects
        if (len == 0xffffffff)
            len = cursor_uint(&c, 8);
        struct cursor entry = c;
        const uint8_t *body = cursor_take(&c, len);
        if (!body || len < 4)
            break;
        entry.end = body + len;
        uint64_t id = cursor_uint(&entry, 4);
        if (!id || id > (uint64_t)(body - start))
            continue; // a CIE, read when an FDE names it
        const uint8_t *at = body - id;
        if (at != cie_at) {
            cie_at = at;
            struct cursor k = {.p = at, .end = c.end, .vaddr = start_vaddr + (at - start)};
            if (cursor_uint(&k, 4) == 0xffffffff)
                cursor_uint(&k, 8);
            cie_good = cursor_uint(&k, 4) == 0 && !k.bad && parse_cie(&k, &cie);
        }
        if (cie_good && !add_fde(ctx, &entry, &cie))
            return false;
    }
    return true;
}

// The unwinder resumes at landing pads: they are targets like those of jumps.
void frames_mark_landing_pads(struct context *ctx, const struct function *function)
{
    size_t offset, avail;
    if (!function->lsda || !elf_locate(&ctx->elf, function->lsda, &offset, &avail))
        return;
    const uint8_t *p = ctx->elf.data + offset;
    struct cursor c = {.p = p, .end = p + avail, .vaddr = function->lsda};
    uint64_t base = function->lsda_base;
    unsigned encoding = cursor_uint(&c, 1);
    if (encoding != DW_EH_PE_OMIT)
        base = cursor_encoded(&c, encoding & 0x7f);
    if (cursor_uint(&c, 1) != DW_EH_PE_OMIT)
        cursor_leb(&c, false);
    unsigned site_encoding = cursor_uint(&c, 1) & 0x0f;
    uint64_t len = cursor_leb(&c, false);
    if (c.bad || len > (size_t)(c.end - c.p))
        return;
    c.end = c.p + len;
    while (!c.bad && c.p < c.end && budget_take(ctx, 1)) {
        cursor_encoded(&c, site_encoding);
        cursor_encoded(&c, site_encoding);
        uint64_t pad = cursor_encoded(&c, site_encoding);
        cursor_leb(&c, false);
        if (!c.bad && pad)
            targets_mark(ctx, base + pad);
    }
}

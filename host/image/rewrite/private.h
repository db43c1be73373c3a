// SPDX-License-Identifier: ISC
// What the rewriter's files share. Code is addressed by file offset throughout; a code range
// knows the difference to virtual addresses. Every offset held here has been checked against the
// file's length.
#ifndef LITH_REWRITE_PRIVATE_H
#define LITH_REWRITE_PRIVATE_H

#include "image/rewrite/rewrite.h"

#include <Zydis/Zydis.h>
#include <elf.h>

// Limits: what real files stay far below, so that a hostile one costs bounded time and memory.
#define FILE_LEN_MAX     (1ull << 30) // the largest Debian library is 150 MB
#define ADDRESS_MAX      (1ull << 47) // user half of the address space
#define PHDR_MAX         64           // Debian's files have at most 14
#define CODE_RANGE_MAX   64           // executable sections: 3 to 6
#define SITES_MAX        65536        // libc has 526
#define FUNCTION_LEN_MAX (8u << 20)   // libc as a single gap is 1.4 MB
#define PAGE             4096ull

struct load {
    uint64_t vaddr, memsz;
    size_t offset, filesz;
    unsigned phdr; // index in the program header table
    bool exec;
};

// A stretch of instructions, offsets [lo, hi): vaddr = offset + delta (mod 2^64).
struct code_range {
    size_t lo, hi;
    uint64_t delta;
};

struct elf {
    const uint8_t *data;
    size_t len;
    Elf64_Ehdr eh;
    Elf64_Phdr ph[PHDR_MAX];
    struct load loads[PHDR_MAX]; // ascending by vaddr, not overlapping
    unsigned load_count;
    struct code_range code[CODE_RANGE_MAX]; // ascending, not overlapping
    unsigned code_count;
    bool code_by_sections;  // false: code ranges are whole segments and may hold data
    unsigned section_count; // 0 where the section table is absent or unusable
};

// Fills *elf. Returns REWRITE_UNCHANGED when the file is one to look at.
enum rewrite_result elf_open(struct elf *elf, const uint8_t *data, size_t len);
bool elf_section(const struct elf *elf, unsigned index, Elf64_Shdr *section);
// The first section of this name whose contents lie in the file.
bool elf_section_named(const struct elf *elf, const char *name, Elf64_Shdr *section);
// File bytes behind a virtual address: offset, and how many follow it in the segment.
bool elf_locate(const struct elf *elf, uint64_t vaddr, size_t *offset, size_t *avail);
const struct code_range *elf_code_at(const struct elf *elf, size_t offset);
bool elf_code_offset(const struct elf *elf, uint64_t vaddr, size_t *offset);
uint64_t elf_vaddr(const struct elf *elf, size_t offset); // of an offset inside a code range

enum function_source { SOURCE_FDE, SOURCE_GO, SOURCE_SYMBOL, SOURCE_GAP };

struct function {
    size_t lo, hi; // offsets
    uint64_t lsda; // virtual address, 0: none
    uint64_t lsda_base;
    enum function_source source;
};

// A name for addresses: a string in the file at `string`, for [lo, hi).
struct name {
    size_t lo, hi, string;
};

struct functions {
    struct function *list;
    size_t count, room;
    struct name *names;
    size_t name_count, name_room;
    size_t fde_bytes; // code bytes that FDEs cover
};

struct context {
    struct elf elf;
    ZydisDecoder decoder;
    struct functions functions;
    uint8_t *targets; // one bit per file offset: may be jumped to
    // Steps left for tables that sections or functions may name again and again. 0: too many, so
    // that targets may be unknown and nothing is changed.
    size_t budget;
    unsigned flags;
    struct rewrite_report *report;
    size_t site_room;
    uint8_t *out;
    size_t out_len;
};

static inline uint16_t load16(const uint8_t *p)
{
    uint16_t v;
    __builtin_memcpy(&v, p, sizeof(v));
    return v;
}
static inline uint32_t load32(const uint8_t *p)
{
    uint32_t v;
    __builtin_memcpy(&v, p, sizeof(v));
    return v;
}
static inline uint64_t load64(const uint8_t *p)
{
    uint64_t v;
    __builtin_memcpy(&v, p, sizeof(v));
    return v;
}
static inline void store32(uint8_t *p, uint32_t v)
{
    __builtin_memcpy(p, &v, sizeof(v));
}

// Takes `steps` from the budget; false (and no budget left) when there are not enough.
static inline bool budget_take(struct context *ctx, size_t steps)
{
    ctx->budget = ctx->budget > steps ? ctx->budget - steps : 0;
    return ctx->budget;
}

// functions.c: sorted, disjoint function ranges from all sources. The add functions return false
// when out of memory.
bool functions_collect(struct context *ctx);
bool functions_add(struct context *ctx, struct function function);
bool functions_add_name(struct context *ctx, size_t lo, size_t hi, size_t string);
char *functions_name_at(const struct context *ctx, size_t offset); // malloc'ed, or NULL

bool frames_collect(struct context *ctx); // frames.c: .eh_frame
bool go_collect(struct context *ctx);     // gopclntab.c
void frames_mark_landing_pads(struct context *ctx, const struct function *function);

// decode.c: linear decoding of one function.
enum insn_flag {
    INSN_SYSCALL = 1u << 0,
    INSN_INT80 = 1u << 1,
    INSN_FIXED = 1u << 2, // may not be moved
    INSN_RIP = 1u << 3,   // has a RIP-relative operand
    INSN_ENDS = 1u << 4,  // control does not fall through
    INSN_JUMP = 1u << 5,  // jump with a relative target
    INSN_ODD = 1u << 6,   // no program contains it in a function: privileged, port I/O
    INSN_LAST = 1u << 7,  // FIXED, but movable as the last of a stub: relative jumps, ret
};
struct insn {
    uint32_t rel; // offset from the function's start
    uint8_t len;
    uint8_t flags;
    uint8_t disp_at; // INSN_RIP: where the 32-bit displacement lies in the instruction
};
enum function_trait {
    TRAIT_RED_ZONE = 1u << 0,  // keeps data below rsp
    TRAIT_CALLS = 1u << 1,     // contains a call
    TRAIT_FRAME = 1u << 2,     // copies rsp to rbp
    TRAIT_BELOW_RBP = 1u << 3, // has data below rbp: in a leaf with a frame, that is below rsp
};
bool decode_one(const struct context *ctx, size_t offset, size_t hi, ZydisDecodedInstruction *insn);
unsigned decode_insn_flags(const ZydisDecodedInstruction *insn);
unsigned decode_insn_traits(const ZydisDecodedInstruction *insn, const uint8_t *bytes);
// True when [lo, hi) decodes exactly to hi without an INSN_ODD instruction. *last: flags of the
// last instruction.
bool decode_exactly(const struct context *ctx, size_t lo, size_t hi, unsigned *last);

// targets.c
bool targets_collect(struct context *ctx);
void targets_mark(struct context *ctx, uint64_t vaddr);
static inline bool targets_has(const struct context *ctx, size_t offset)
{
    return ctx->targets[offset / 8] >> (offset % 8) & 1;
}

// sites.c: what is to be done at each site.
struct plan {
    size_t site;           // index in report->sites
    size_t lo, hi;         // bytes to replace: offsets
    struct insn moved[8];  // rel: offset in the file from lo
    uint8_t before, after; // how many of moved[] lie before and after the syscall
    uint8_t stub_len;      // 0: no stub
};
struct plans {
    struct plan *list;
    size_t count, room;
};
bool sites_find(struct context *ctx);
enum rewrite_result sites_plan(struct context *ctx, struct plans *plans);

// patch.c: makes ctx->out, carries the plans out, settles form and reason of each site.
enum rewrite_result patch_apply(struct context *ctx, const struct plans *plans);

// Grows *array (elements of `size`) so that one more than `count` fits.
bool array_reserve(void **array, size_t *room, size_t count, size_t size);
#define ARRAY_RESERVE(array, room, count) \
    array_reserve((void **)&(array), &(room), (count), sizeof(*(array)))

#endif

// SPDX-License-Identifier: ISC
// Finds the `syscall` instructions of functions and decides what becomes of each. Nothing is
// changed here: the outcome is a list of plans (and of sites with the reason why there is none).
#include "image/rewrite/private.h"

#include "abi/gate.h"

#include <stdlib.h>
#include <string.h>

#define NR_MUNMAP 11
#define NR_EXIT   60

// A jmp with a 32-bit displacement: 5 bytes, of which the syscall gives 2.
#define JMP_LEN 5
// lea ret(%rip),%rcx; jmp *[abs32]
#define STUB_GATE_LEN 14
// A moved conditional jump grows to this.
#define JCC_LEN 6

static size_t count_pairs(const uint8_t *p, size_t len, const char *pair)
{
    size_t count = 0;
    const uint8_t *end = p + len, *at;
    while (len >= 2 && (at = memmem(p, end - p, pair, 2))) {
        count++;
        p = at + 1;
    }
    return count;
}

// One function whose bytes contain a pair that may be a call.
static bool find_in_function(struct context *ctx, const struct function *function)
{
    struct rewrite_report *report = ctx->report;
    size_t first = report->found, at = function->lo;
    while (at < function->hi && report->found <= SITES_MAX) {
        ZydisDecodedInstruction insn;
        if (!decode_one(ctx, at, function->hi, &insn))
            break;
        unsigned flags = decode_insn_flags(&insn);
        report->int80 += !!(flags & INSN_INT80);
        if (flags & INSN_SYSCALL) {
            if (!ARRAY_RESERVE(report->sites, ctx->site_room, report->found))
                return false;
            report->sites[report->found++] = (struct rewrite_site){
                .address = elf_vaddr(&ctx->elf, at),
                .offset = at,
                .number = -1,
                .form = REWRITE_FORM_RAW,
            };
        }
        at += insn.length;
    }
    bool undecoded = at < function->hi || function->hi - function->lo > FUNCTION_LEN_MAX;
    for (size_t i = first; i < report->found; i++) {
        report->sites[i].function = functions_name_at(ctx, report->sites[i].offset);
        if (undecoded)
            report->sites[i].reason = REWRITE_REASON_UNDECODED;
    }
    return true;
}

bool sites_find(struct context *ctx)
{
    const struct elf *elf = &ctx->elf;
    struct rewrite_report *report = ctx->report;
    size_t total = 0, inside = 0;
    for (unsigned i = 0; i < elf->code_count; i++)
        total +=
            count_pairs(elf->data + elf->code[i].lo, elf->code[i].hi - elf->code[i].lo, "\x0f\x05");
    for (size_t i = 0; i < ctx->functions.count && report->found <= SITES_MAX; i++) {
        const struct function *function = &ctx->functions.list[i];
        const uint8_t *p = elf->data + function->lo;
        size_t len = function->hi - function->lo;
        size_t pairs = count_pairs(p, len, "\x0f\x05");
        inside += pairs;
        if ((pairs || memmem(p, len, "\xcd\x80", 2)) && !find_in_function(ctx, function))
            return false;
    }
    report->outside = total > inside ? total - inside : 0;
    return true;
}

struct body {
    const struct function *function;
    struct insn *insns;
    size_t count, room;
    unsigned traits;
    bool exits; // contains an exit(2)
};

static bool decode_body(const struct context *ctx, struct body *body)
{
    const struct function *function = body->function;
    body->count = 0;
    body->traits = 0;
    for (size_t at = function->lo; at < function->hi;) {
        ZydisDecodedInstruction insn;
        if (!ARRAY_RESERVE(body->insns, body->room, body->count))
            return false;
        if (!decode_one(ctx, at, function->hi, &insn))
            break; // cannot be: sites of such functions are not planned
        body->insns[body->count++] = (struct insn){.rel = at - function->lo,
                                                   .len = insn.length,
                                                   .flags = decode_insn_flags(&insn),
                                                   .disp_at = insn.raw.disp.offset};
        body->traits |= decode_insn_traits(&insn, ctx->elf.data + at);
        at += insn.length;
    }
    return true;
}

// The constant that this instruction loads into eax, or -1.
static int64_t constant_loaded(const uint8_t *p, unsigned len)
{
    if (len == 5 && p[0] == 0xb8)
        return load32(p + 1);
    if (len == 7 && p[0] == 0x48 && p[1] == 0xc7 && p[2] == 0xc0)
        return load32(p + 3);
    if (len == 2 && (p[0] == 0x31 || p[0] == 0x33) && p[1] == 0xc0)
        return 0;
    return -1;
}

// The call's number as far as the instructions before it show it plainly.
static int number_before(const struct context *ctx, const struct body *body, size_t k)
{
    for (unsigned back = 1; back <= 8 && back <= k; back++) {
        const struct insn *insn = &body->insns[k - back];
        if (targets_has(ctx, body->function->lo + insn[1].rel) || (insn->flags & INSN_FIXED))
            return -1;
        int64_t value = constant_loaded(ctx->elf.data + body->function->lo + insn->rel, insn->len);
        if (value >= 0)
            return value < LITH_GATE_ENTRIES ? (int)value : -1;
    }
    return -1;
}

// A pushed return address could hurt: the red zone is in use, or the stack goes away.
static bool must_not_push(const struct body *body, int number)
{
    if (body->traits & TRAIT_RED_ZONE)
        return true;
    // A gap holds several functions, so that one's calls say nothing about another.
    bool leaf = !(body->traits & TRAIT_CALLS) || body->function->source == SOURCE_GAP;
    if (leaf && (body->traits & TRAIT_FRAME) && (body->traits & TRAIT_BELOW_RBP))
        return true;
    if (number == NR_EXIT)
        return true;
    return body->exits && (number == NR_MUNMAP || number < 0);
}

static bool plan_call(const struct context *ctx, const struct body *body, size_t k, size_t floor,
                      struct plan *plan, enum rewrite_form *form)
{
    static const uint8_t cmp[] = {0x48, 0x3d, 0x00, 0xf0, 0xff, 0xff}; // cmp $-4096,%rax
    const uint8_t *data = ctx->elf.data;
    size_t at = body->function->lo + body->insns[k].rel;
    if (k > 0 && !targets_has(ctx, at)) {
        const struct insn *mov = &body->insns[k - 1];
        size_t lo = body->function->lo + mov->rel;
        int64_t number = constant_loaded(data + lo, mov->len);
        if (mov->len >= 5 && number >= 0 && number < LITH_GATE_ENTRIES && lo >= floor) {
            *form = mov->len == 5 ? REWRITE_FORM_A : REWRITE_FORM_A9;
            plan->lo = lo;
            plan->hi = at + 2;
            return true;
        }
    }
    if (k + 1 < body->count && body->insns[k + 1].len == sizeof(cmp) &&
        !memcmp(data + at + 2, cmp, sizeof(cmp)) && !targets_has(ctx, at + 2)) {
        *form = REWRITE_FORM_B;
        plan->lo = at;
        plan->hi = at + 2 + sizeof(cmp);
        return true;
    }
    return false;
}

// Adds instructions before the syscall to `plan` until `want` bytes, or as many as there are.
static size_t take_before(const struct context *ctx, const struct body *body, size_t k,
                          size_t floor, size_t want, unsigned *count)
{
    size_t bytes = 0, base = body->function->lo;
    for (*count = 0; bytes < want && *count < k && *count < 4; ++*count) {
        const struct insn *insn = &body->insns[k - *count - 1];
        if ((insn->flags & INSN_FIXED) || base + insn->rel < floor ||
            targets_has(ctx, base + insn[1].rel))
            break;
        bytes += insn->len;
    }
    return bytes;
}

static size_t take_after(const struct context *ctx, const struct body *body, size_t k, size_t want,
                         unsigned *count)
{
    size_t bytes = 0;
    for (*count = 0; bytes < want && k + *count + 1 < body->count && *count < 4; ++*count) {
        const struct insn *insn = &body->insns[k + *count + 1];
        bool last = insn->flags & INSN_LAST;
        if (((insn->flags & INSN_FIXED) && !last) ||
            targets_has(ctx, body->function->lo + insn->rel))
            break;
        bytes += insn->len;
        if (last) {
            ++*count;
            break;
        }
    }
    return bytes;
}

// Forms C and C2: instructions around the syscall go to a stub, so that a jmp fits.
static bool plan_stub(const struct context *ctx, const struct body *body, size_t k, size_t floor,
                      struct plan *plan, enum rewrite_form *form)
{
    const size_t want = JMP_LEN - 2;
    unsigned before, after = 0;
    *form = REWRITE_FORM_C;
    size_t bytes_before = take_before(ctx, body, k, floor, want, &before), bytes_after = 0;
    if (bytes_before < want) {
        *form = REWRITE_FORM_C2;
        bytes_after = take_after(ctx, body, k, want, &after);
        if (bytes_after >= want)
            bytes_before = before = 0;
        else if (bytes_before + bytes_after < want)
            return false;
    }
    size_t at = body->function->lo + body->insns[k].rel;
    plan->lo = at - bytes_before;
    plan->hi = at + 2 + bytes_after;
    plan->before = before;
    plan->after = after;
    size_t len = STUB_GATE_LEN + (after ? JMP_LEN : 0);
    for (unsigned i = 0; i < before + after; i++) {
        size_t index = i < before ? k - before + i : k + 1 + (i - before);
        plan->moved[i] = body->insns[index];
        plan->moved[i].rel = body->function->lo + body->insns[index].rel - plan->lo;
        len += plan->moved[i].len > JCC_LEN ? plan->moved[i].len : JCC_LEN;
    }
    plan->stub_len = len;
    return true;
}

// All sites of one function, first..end of the report's list.
static bool plan_function(struct context *ctx, struct plans *plans, struct body *body, size_t first,
                          size_t end)
{
    struct rewrite_site *sites = ctx->report->sites;
    if (!decode_body(ctx, body))
        return false;
    body->exits = false;
    for (size_t i = first, k = 0; i < end; i++) {
        while (body->function->lo + body->insns[k].rel != sites[i].offset)
            k++;
        sites[i].number = number_before(ctx, body, k);
        body->exits |= sites[i].number == NR_EXIT;
    }
    size_t floor = body->function->lo; // bytes below belong to the previous site's plan
    for (size_t i = first, k = 0; i < end; i++) {
        while (body->function->lo + body->insns[k].rel != sites[i].offset)
            k++;
        struct plan plan = {.site = i};
        bool planned = false;
        if (sites[i].offset >= floor) {
            if (!must_not_push(body, sites[i].number))
                planned = plan_call(ctx, body, k, floor, &plan, &sites[i].form);
            if (!planned)
                planned = plan_stub(ctx, body, k, floor, &plan, &sites[i].form);
        }
        if (!planned) {
            sites[i].form = REWRITE_FORM_RAW;
            sites[i].reason = REWRITE_REASON_NEIGHBOURS;
            floor = sites[i].offset + 2;
            continue;
        }
        if (!ARRAY_RESERVE(plans->list, plans->room, plans->count))
            return false;
        plans->list[plans->count++] = plan;
        floor = plan.hi;
    }
    return true;
}

enum rewrite_result sites_plan(struct context *ctx, struct plans *plans)
{
    const struct rewrite_report *report = ctx->report;
    struct body body = {0};
    enum rewrite_result result = REWRITE_UNCHANGED;
    size_t i = 0;
    for (size_t f = 0; f < ctx->functions.count && i < report->found; f++) {
        body.function = &ctx->functions.list[f];
        size_t first = i;
        while (i < report->found && report->sites[i].offset < body.function->hi)
            i++;
        if (first == i || report->sites[first].reason == REWRITE_REASON_UNDECODED)
            continue;
        if (!plan_function(ctx, plans, &body, first, i)) {
            result = REWRITE_NO_MEMORY;
            break;
        }
    }
    free(body.insns);
    return result;
}

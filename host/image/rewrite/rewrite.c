// SPDX-License-Identifier: ISC
// The rewriter's one entry: open the file, find functions and sites, and where there are sites,
// find what jumps where, plan, and patch. Files without a site cost a scan for two bytes.
#include "image/rewrite/private.h"

#include <stdlib.h>
#include <string.h>

static bool has_pair(const struct elf *elf, const char *pair)
{
    for (unsigned i = 0; i < elf->code_count; i++)
        if (memmem(elf->data + elf->code[i].lo, elf->code[i].hi - elf->code[i].lo, pair, 2))
            return true;
    return false;
}

static enum rewrite_result rewrite_opened(struct context *ctx)
{
    if (!has_pair(&ctx->elf, "\x0f\x05") && !has_pair(&ctx->elf, "\xcd\x80"))
        return REWRITE_UNCHANGED;
    if (ZYAN_FAILED(
            ZydisDecoderInit(&ctx->decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64)))
        return REWRITE_NO_MEMORY;
    ctx->budget = 8 * ctx->elf.len + (1u << 20); // real files need 0.2 of len
    if (!functions_collect(ctx) || !sites_find(ctx))
        return REWRITE_NO_MEMORY;
    if (ctx->report->found > SITES_MAX || !ctx->budget)
        return REWRITE_MALFORMED;
    if (!ctx->report->found)
        return REWRITE_UNCHANGED;
    if (!targets_collect(ctx))
        return REWRITE_NO_MEMORY;
    if (!ctx->budget)
        return REWRITE_MALFORMED; // some targets are unknown
    struct plans plans = {0};
    enum rewrite_result result = sites_plan(ctx, &plans);
    if (result == REWRITE_UNCHANGED)
        result = patch_apply(ctx, &plans);
    free(plans.list);
    return result;
}

enum rewrite_result rewrite_elf(const uint8_t *in, size_t in_len, unsigned flags, uint8_t **out,
                                size_t *out_len, struct rewrite_report *report)
{
    memset(report, 0, sizeof(*report));
    *out = NULL;
    *out_len = 0;
    struct context *ctx = calloc(1, sizeof(*ctx));
    if (!ctx)
        return REWRITE_NO_MEMORY;
    ctx->flags = flags;
    ctx->report = report;
    enum rewrite_result result = elf_open(&ctx->elf, in, in_len);
    if (result == REWRITE_UNCHANGED)
        result = rewrite_opened(ctx);
    if (result == REWRITE_CHANGED) {
        *out = ctx->out;
        *out_len = ctx->out_len;
    } else {
        free(ctx->out);
        if (result != REWRITE_UNCHANGED)
            rewrite_report_free(report);
    }
    free(ctx->functions.list);
    free(ctx->functions.names);
    free(ctx->targets);
    free(ctx);
    return result;
}

void rewrite_report_free(struct rewrite_report *report)
{
    for (size_t i = 0; i < report->found; i++)
        free(report->sites[i].function);
    free(report->sites);
    memset(report, 0, sizeof(*report));
}

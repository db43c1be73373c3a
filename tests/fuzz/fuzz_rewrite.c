// SPDX-License-Identifier: ISC
// links: host/image/rewrite/*.c -lZydis -ljansson
// The rewriter on hostile files: the input as it is, or (first byte odd) as the
// chunks of a file whose headers are good, so that code, frames and tables are reached.
#include "image/rewrite/rewrite.h"
#include "tests/unit/elf_builder.h"

#include <stdlib.h>

static void check(const uint8_t *file, size_t len, unsigned flags)
{
    uint8_t *out, *again;
    size_t out_len, again_len;
    struct rewrite_report report, second;
    enum rewrite_result result = rewrite_elf(file, len, flags, &out, &out_len, &report);
    if (report.found != report.rewritten + report.left || !out != (result != REWRITE_CHANGED))
        abort();
    if (out) {
        // Rewritten once, it stays as it is but for sites that could not be reached before.
        if (out_len < len || out_len > len + 4096 + 64 * report.found)
            abort();
        if (rewrite_elf(out, out_len, flags, &again, &again_len, &second) == REWRITE_MALFORMED)
            abort();
        free(again);
        rewrite_report_free(&second);
    }
    json_decref(rewrite_report_to_json_sites(&report, "fuzz"));
    free(out);
    rewrite_report_free(&report);
}

// Cuts the next chunk off: two bytes of length, then the bytes.
static const uint8_t *chunk(const uint8_t **data, size_t *left, size_t max, size_t *len)
{
    *len = 0;
    if (*left < 2)
        return *data;
    *len = (*data)[0] | (*data)[1] << 8;
    *data += 2;
    *left -= 2;
    *len = *len % (max + 1);
    if (*len > *left)
        *len = *left;
    const uint8_t *at = *data;
    *data += *len;
    *left -= *len;
    return at;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (!len)
        return 0;
    unsigned mode = data[0];
    if (!(mode & 1)) {
        check(data + 1, len - 1, 0);
        return 0;
    }
    data++;
    len--;
    struct elf_symbol symbols[] = {{"f", 0, 32}, {"g", 32, 200}};
    struct elf_spec spec = {.no_sections = mode & 2,
                            .note = mode & 4,
                            .stack = mode & 64,
                            .type = mode & 8 ? ET_EXEC : ET_DYN,
                            .symbols = symbols,
                            .symbol_count = mode & 16 ? 2 : 0};
    spec.text = chunk(&data, &len, 4096, &spec.text_len);
    spec.eh_frame = chunk(&data, &len, ELF_CHUNK, &spec.eh_frame_len);
    spec.rodata = chunk(&data, &len, ELF_CHUNK, &spec.rodata_len);
    spec.lsda = chunk(&data, &len, ELF_CHUNK, &spec.lsda_len);
    spec.pclntab = chunk(&data, &len, ELF_CHUNK, &spec.pclntab_len);
    uint8_t *file = malloc(ELF_LEN);
    if (!file)
        return 0;
    elf_build(file, &spec);
    // What is left changes single bytes of headers and section table: offset, value.
    for (; len >= 3; data += 3, len -= 3)
        file[(data[0] | data[1] << 8) % ELF_LEN] = data[2];
    check(file, ELF_LEN, mode & 32 ? REWRITE_KEEP_LEFT : 0);
    free(file);
    return 0;
}

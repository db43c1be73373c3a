// SPDX-License-Identifier: ISC
// Looks a text address up in the table that the build put behind the read-only data: entries sorted
// by offset, each {u32 offset, u32 name offset}, then the names. The table is empty in the first
// link.
#include "core/symbols.h"

struct symbol {
    uint32_t offset, name;
};
// Defined by the generated object; weak, so that the first link works without it.
extern const uint32_t kernel_symbol_count __attribute__((weak));
extern const struct symbol kernel_symbol_table[] __attribute__((weak));
extern const char kernel_symbol_names[] __attribute__((weak));

const char *symbol_find(uint64_t image_offset, uint64_t *off)
{
    if (!&kernel_symbol_count || !kernel_symbol_count ||
        image_offset < kernel_symbol_table[0].offset)
        return NULL;
    uint32_t lo = 0, hi = kernel_symbol_count;
    while (hi - lo > 1) {
        uint32_t mid = (lo + hi) / 2;
        if (kernel_symbol_table[mid].offset <= image_offset)
            lo = mid;
        else
            hi = mid;
    }
    *off = image_offset - kernel_symbol_table[lo].offset;
    return kernel_symbol_names + kernel_symbol_table[lo].name;
}

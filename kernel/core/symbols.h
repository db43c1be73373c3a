// SPDX-License-Identifier: ISC
// The kernel's own symbol table, embedded by the build (tools/symbols.sh). Private to core/.
#ifndef LITH_CORE_SYMBOLS_H
#define LITH_CORE_SYMBOLS_H

#include "lib/lib.h"

// Name of the function that holds the offset from the image's start, and how far in; NULL: unknown.
const char *symbol_find(uint64_t image_offset, uint64_t *off);

#endif

// SPDX-License-Identifier: ISC
// Where the kernel counts until the machine has a place for it, and for ever where it has none.
#include "plat/plat.h"

static struct lith_stats_guest unseen;
struct lith_stats_guest *plat_stats = &unseen;

// SPDX-License-Identifier: ISC
// Guest-physical addresses to host pointers: the only place where that happens.
#include <string.h>
#include "monitor/monitor.h"

void *guest_mem_ptr(const struct guest_mem *mem, gpa_t gpa, uint64_t len, bool write)
{
    if (len == 0)
        return NULL;
    for (unsigned i = 0; i < mem->count; i++) {
        const struct mem_region *region = &mem->region[i];
        // Subtractions only, each checked before the next: nothing here can wrap.
        if (gpa < region->gpa || gpa - region->gpa >= region->len)
            continue;
        uint64_t offset = gpa - region->gpa;
        if (len > region->len - offset || (write && !region->writable))
            return NULL;
        return region->host + offset;
    }
    return NULL;
}

bool guest_mem_read(const struct guest_mem *mem, gpa_t gpa, void *out, size_t len)
{
    const void *from = guest_mem_ptr(mem, gpa, len, false);
    if (!from)
        return false;
    memcpy(out, from, len);
    return true;
}

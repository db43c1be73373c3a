// SPDX-License-Identifier: ISC
// The page that kernel and vDSO share: read-only for programs, just below the vDSO's image.
#ifndef LITH_LINUX_VDSO_DATA_H
#define LITH_LINUX_VDSO_DATA_H

#include <stdint.h>

struct vdso_data {
    uint32_t seq; // odd while the kernel writes
    uint32_t mult, shift;
    uint64_t base_tsc;
    int64_t realtime_offset_ns; // added to the monotonic clock
};

#endif

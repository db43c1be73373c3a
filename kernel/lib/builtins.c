// SPDX-License-Identifier: ISC
// What GCC may call for operations that the baseline CPU has no instruction for.
#include "lib/lib.h"

int __popcountdi2(long v);
int __popcountdi2(long v)
{
    uint64_t x = (uint64_t)v;
    x -= (x >> 1) & 0x5555555555555555;
    x = (x & 0x3333333333333333) + ((x >> 2) & 0x3333333333333333);
    x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0f;
    return (int)(x * 0x0101010101010101 >> 56);
}

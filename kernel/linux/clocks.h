// SPDX-License-Identifier: ISC
// Linux's numbered clocks, for the files that deal with time.
#ifndef LITH_LINUX_CLOCKS_H
#define LITH_LINUX_CLOCKS_H

#include <stdbool.h>
#include <stdint.h>

int clock_read(int id, uint64_t *ns); // -EINVAL: no such clock
bool clock_is_cpu_time(int id);
// A time or span of a clock as a deadline of the monotonic clock. -EINVAL: not one to sleep on.
int clock_deadline(int id, uint64_t ns, bool absolute, uint64_t *deadline);

#endif

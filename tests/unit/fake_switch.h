// SPDX-License-Identifier: ISC
// Unit tests of the real scheduler: link tests/unit/fake_switch.c with shim_core.c and shim_mm.c.
#ifndef LITH_TESTS_FAKE_SWITCH_H
#define LITH_TESTS_FAKE_SWITCH_H

#include "shim.h"

extern struct cpu host_cpu;
extern unsigned fake_waits, fake_stacks_live;
// Replaces waiting: true if it did something; false: the clock moves to the deadline.
extern bool (*fake_wait_hook)(uint64_t deadline_ns);
extern int fake_outside_signal;
void fake_start(void);       // runs the scheduler's start-up records
void fake_exit_kernel(void); // what the way out of the kernel does

#endif

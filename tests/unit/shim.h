// SPDX-License-Identifier: ISC
// Unit tests of kernel code on the host. Link
//   tests/unit/shim_core.c   arch, plat, core: always
//   tests/unit/shim_mm.c     pages and heap (libc's, so that ASan sees every object), unless mm is
//   tested tests/unit/shim_sched.c  wait queues, timers, mutexes without threads, unless sched is
//   tested
// and kernel/lib/{format,rbtree,hash}.c (not string.c: libc's functions are used).
#ifndef LITH_TESTS_SHIM_H
#define LITH_TESTS_SHIM_H

#include "sched/sched.h"

#define SHIM_RAM (256ul << 20)

extern uint64_t shim_clock; // what plat_clock_ns() returns
extern uint64_t shim_timer; // last plat_timer_set()
extern uint64_t shim_seed;
extern void (*shim_panic_hook)(const char *text); // may longjmp away

// shim_sched.c: a thread that would block calls this instead (deliver packets, move the clock,
// ...). It returns true when it made progress; false, or no hook: the test fails ("would sleep for
// ever").
extern bool (*shim_block_hook)(uint64_t deadline_ns);
// Moves the clock to `ns`, running due timers in order and queued work.
void shim_advance_to(uint64_t ns);
extern uint64_t shim_poll_by; // the last sched_poll_by()
bool shim_poll(void);         // runs all pollers and queued work until none makes progress

// shim_mm.c
extern uint64_t shim_pages_live; // pages allocated and not freed
extern int64_t shim_fail_after;  // allocations until one fails; negative: never

#endif

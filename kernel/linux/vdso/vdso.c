// SPDX-License-Identifier: ISC
// The vDSO: clocks as plain functions in the program's own address space. A shared object of its
// own, compiled apart from the kernel and mapped into every program by kernel/linux/vdso.c. Clocks
// that need the kernel are asked for through the call table (abi/gate.h): there is no `syscall` in
// here.
#include <asm/unistd_64.h>
#include <linux/time.h>
#include <linux/time_types.h>
#include "abi/gate.h"
#include "linux/vdso_data.h"

#define EXPORT       __attribute__((visibility("default")))
#define NSEC_PER_SEC 1000000000ull

extern const struct vdso_data vdso_page __attribute__((visibility("hidden")));

// Goes through the table entry of a call whose number is known, as rewritten sites of form A do.
#define GATE_CALL2(nr, a, b)                                                  \
    ({                                                                        \
        long ret_;                                                            \
        __asm__ volatile("call *%c1"                                          \
                         : "=a"(ret_)                                         \
                         : "i"(LITH_GATE_TABLE + 8ull * (nr)), "D"(a), "S"(b) \
                         : "rcx", "r11", "memory", "cc");                     \
        ret_;                                                                 \
    })

static uint64_t monotonic_ns(int64_t *realtime_offset)
{
    const volatile struct vdso_data *d = &vdso_page;
    uint32_t seq, lo, hi;
    uint64_t ns;

    do {
        while ((seq = d->seq) & 1)
            __builtin_ia32_pause();
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        __asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
        ns = (uint64_t)hi << 32 | lo;
        ns = (uint64_t)((unsigned __int128)(ns - d->base_tsc) * d->mult >> d->shift);
        *realtime_offset = d->realtime_offset_ns;
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
    } while (seq != d->seq);
    return ns;
}

EXPORT int __vdso_clock_gettime(int id, struct __kernel_timespec *ts)
{
    int64_t offset;
    uint64_t ns;

    switch (id) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
    case CLOCK_TAI:
        ns = monotonic_ns(&offset);
        ns += (uint64_t)offset;
        break;
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_BOOTTIME:
        ns = monotonic_ns(&offset);
        break;
    default:
        return (int)GATE_CALL2(__NR_clock_gettime, (long)id, ts);
    }
    ts->tv_sec = (int64_t)(ns / NSEC_PER_SEC);
    ts->tv_nsec = (long long)(ns % NSEC_PER_SEC);
    return 0;
}

EXPORT int __vdso_clock_getres(int id, struct __kernel_timespec *ts)
{
    return (int)GATE_CALL2(__NR_clock_getres, (long)id, ts);
}

EXPORT int __vdso_gettimeofday(struct __kernel_old_timeval *tv, struct timezone *tz)
{
    int64_t offset;
    uint64_t ns = monotonic_ns(&offset);

    ns += (uint64_t)offset;
    if (tv) {
        tv->tv_sec = (long)(ns / NSEC_PER_SEC);
        tv->tv_usec = (long)(ns % NSEC_PER_SEC / 1000);
    }
    if (tz)
        *tz = (struct timezone){0, 0};
    return 0;
}

EXPORT long __vdso_time(long *t)
{
    int64_t offset;
    uint64_t ns = monotonic_ns(&offset);
    long now = (long)((ns + (uint64_t)offset) / NSEC_PER_SEC);

    if (t)
        *t = now;
    return now;
}

EXPORT long __vdso_getcpu(unsigned *cpu, unsigned *node, void *cache)
{
    (void)cache;
    if (cpu)
        *cpu = 0;
    if (node)
        *node = 0;
    return 0;
}

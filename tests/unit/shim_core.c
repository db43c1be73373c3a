// SPDX-License-Identifier: ISC
// Host stand-ins for arch, plat and core, so that kernel code runs in a unit test: one CPU, a clock
// that the test moves, 256 MiB of "RAM" mapped where the direct map is, panics that abort.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "shim.h"

struct cpu host_cpu = {.self = &host_cpu, .in_kernel = 1};
static struct thread shim_thread;
static struct lith_stats_guest stats;
struct lith_stats_guest *plat_stats = &stats;
void (*core_end_hook)(void);
struct plat_info plat_info = {.name = "host"};
__attribute__((weak)) struct boot_config boot_config = {.ring = -1};
enum log_level log_level = LOG_ERROR;
bool (*arch_page_fault_hook)(uint64_t, bool, bool, struct regs *, bool);
void (*arch_user_exception_hook)(unsigned, uint64_t, uint64_t, struct regs *);
void (*arch_syscall_hook)(struct regs *);
void (*arch_exit_hook)(struct regs *);
const char *(*report_thread_name)(void);
bool (*report_describe)(uint64_t, char *, size_t);
void (*report_last_calls)(void);
uint64_t shim_clock = NSEC_PER_SEC;
uint64_t shim_timer = DEADLINE_NEVER;

__attribute__((constructor)) static void shim_init(void)
{
    void *want = (void *)LITH_DIRECT_BASE;
    if (mmap(want, SHIM_RAM, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0) != want) {
        perror("shim: direct map");
        abort();
    }
    plat_info.ram[0] = (struct plat_range){0x100000, SHIM_RAM - 0x100000};
    plat_info.ram_count = 1;
    plat_info.ram_end = plat_info.ram_total = SHIM_RAM;
    host_cpu.current = &shim_thread;
}

uint64_t plat_clock_ns(void)
{
    return shim_clock;
}
uint64_t plat_realtime_ns(void)
{
    return 1700000000ull * NSEC_PER_SEC + shim_clock;
}
__attribute__((weak)) void plat_timer_set(uint64_t deadline_ns)
{
    shim_timer = deadline_ns;
}
void plat_console_write(const char *s, size_t n, int stream)
{
    fwrite(s, 1, n, stream == 2 ? stderr : stdout);
}
void plat_exit(int status)
{
    exit(status);
}
void log_write(enum log_level level, const char *fmt, ...)
{
    char line[512];
    va_list ap;
    if (level > log_level)
        return;
    va_start(ap, fmt);
    lib_vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    fprintf(stderr, "# %s\n", line);
}
void panic(const char *fmt, ...)
{
    char line[512];
    va_list ap;
    va_start(ap, fmt);
    lib_vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    if (shim_panic_hook)
        shim_panic_hook(line);
    fprintf(stderr, "panic: %s\n", line);
    abort();
}
void (*shim_panic_hook)(const char *text);
void report_fault(const char *title, const struct regs *r, uint64_t addr)
{
    (void)r;
    fprintf(stderr, "# fault: %s at %lx\n", title, (unsigned long)addr);
}
void chart_mark(const char *phase)
{
    (void)phase;
}
void chart_print(void)
{
}

// A fixed seed: tests repeat. splitmix64 (Steele, Lea, Flood 2014).
uint64_t shim_seed = 42;
uint64_t random_u64(void)
{
    uint64_t z = (shim_seed += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}
void random_bytes(void *buf, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ((uint8_t *)buf)[i] = (uint8_t)random_u64();
}

// User memory is the test's own memory.
int copy_in(void *dst, const void *src, size_t n)
{
    if (!src && n)
        return -14;
    memcpy(dst, src, n);
    return 0;
}
int copy_out(void *dst, const void *src, size_t n)
{
    if (!dst && n)
        return -14;
    memcpy(dst, src, n);
    return 0;
}
int zero_out(void *dst, size_t n)
{
    if (!dst && n)
        return -14;
    memset(dst, 0, n);
    return 0;
}
ssize_t_k strncpy_in(char *dst, const char *src, size_t size)
{
    if (!src)
        return -14;
    size_t n = strnlen(src, size);
    if (n == size)
        return -36;
    memcpy(dst, src, n + 1);
    return (ssize_t_k)n;
}
bool user_range_ok(const void *p, size_t n)
{
    (void)p;
    (void)n;
    return true;
}
int user_cmpxchg32(uint32_t *uaddr, uint32_t *old, uint32_t desired)
{
    __atomic_compare_exchange_n(uaddr, old, desired, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    return 0;
}
__attribute__((weak)) void plat_irq_done(uint64_t bits)
{
    (void)bits;
}
int copy_recover(void *dst, const void *src, size_t n)
{
    return !dst && n ? -14 : copy_in(dst, src, n);
}
int zero_recover(void *dst, size_t n)
{
    return zero_out(dst, n);
}

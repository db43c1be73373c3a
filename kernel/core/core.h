// SPDX-License-Identifier: ISC
// core: start-up order, log, panic and fault reports, boot chart, boot configuration, random
// numbers.
#ifndef LITH_CORE_H
#define LITH_CORE_H

#include "plat/plat.h"

// --- log: one line a call, no newline needed; goes to stderr's stream. Any context ---
enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
extern enum log_level log_level;
void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_WARN, __VA_ARGS__)
#define log_info(...)                         \
    do {                                      \
        if (log_level >= LOG_INFO)            \
            log_write(LOG_INFO, __VA_ARGS__); \
    } while (0)
#define log_debug(...)                         \
    do {                                       \
        if (log_level >= LOG_DEBUG)            \
            log_write(LOG_DEBUG, __VA_ARGS__); \
    } while (0)

// --- panic: report for a person, then exit with status 134 ---
void panic(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));
#ifdef LITH_LINK // small: the address in the report says which (lith symbolize)
void assertion_failed(void) __attribute__((noreturn, cold));
#define ASSERT(x)               \
    do {                        \
        if (unlikely(!(x)))     \
            assertion_failed(); \
    } while (0)
#else
#define ASSERT(x)                                                          \
    do {                                                                   \
        if (unlikely(!(x)))                                                \
            panic("assertion failed: %s (%s:%d)", #x, __FILE__, __LINE__); \
    } while (0)
#endif
// The report of a fault in kernel or program: cause, address and what lies there, thread,
// registers, backtrace. `title` is the first line ("page fault: write to read-only page ...").
// addr: what was accessed; REPORT_NO_ADDRESS where the fault has none.
#define REPORT_NO_ADDRESS UINT64_MAX
void report_fault(const char *title, const struct regs *r, uint64_t addr);
// Given by higher layers, so that reports can name things; NULL until then.
extern const char *(*report_thread_name)(void);
// Describes what lies at addr ("guard page below the stack of thread 3 (nginx)", "text of
// /usr/sbin/nginx+0x1234").
extern bool (*report_describe)(uint64_t addr, char *buf, size_t size);
extern void (*report_last_calls)(void); // logs the last kernel calls

// --- the end: before the machine is stopped, what was sent gets on its way. NULL: nothing can be
// ---
extern void (*core_end_hook)(void);

// --- start-up records: run once, in phase order, before the first program ---
// INIT_RECORD ties the record to `anchor`, a global function of the same file that everything
// reaches which needs the subsystem (SHF_LINK_ORDER): when the linker drops the anchor, the record
// goes too, and with it what only start-up reaches. INIT_RECORD_ALWAYS is for what every image has.
enum init_phase {
    INIT_MM = 10,
    INIT_SCHED = 20,
    INIT_DEV = 30,
    INIT_FS = 40,
    INIT_NET = 50,
    INIT_LINUX = 60,
    INIT_ROOT = 70, // the root file system: whatever adds to /dev or /proc is up
    INIT_ADDRESSES = 80
};
struct init_record {
    int (*fn)(void); // 0 or -errno: an error panics with the name
    const char *name;
    int phase;
};
// The sections hold pointers: the compiler may align structures as it likes, and leave gaps.
#define INIT_RECORD_ALWAYS(phase_, fn_)                                      \
    static const struct init_record init_record_##fn_ = {fn_, #fn_, phase_}; \
    static const struct init_record *const init_pointer_##fn_                \
        __attribute__((used, retain, section("init_records_always"))) = &init_record_##fn_
// Says in the image's note that a part is there (abi/boot.h, LITH_PROGRAM_*; kernel.ld): goes with
// the anchor too.
#ifdef LITH_HOSTED
#define LINK_MARK(section_, anchor_)
#else
#define LINK_MARK(section_, anchor_) \
    __asm__(".pushsection " #section_ ",\"ao\",@progbits," #anchor_ "\n\t.byte 1\n\t.popsection")
#endif
#ifdef LITH_HOSTED // unit tests call what they start
#define INIT_RECORD(phase_, fn_, anchor_) INIT_RECORD_ALWAYS(phase_, fn_)
#else
#define INIT_RECORD(phase_, fn_, anchor_)                                                          \
    static const struct init_record init_record_##fn_ __attribute__((used)) = {fn_, #fn_, phase_}; \
    __asm__(".pushsection init_records,\"awo\",@progbits," #anchor_ "\n\t.balign 8\n\t"            \
            ".quad init_record_" #fn_ "\n\t.popsection")
#endif
// Runs the scheduler and the first program; set by linux/ (binary mode). Called once start-up is
// over.
extern void (*kernel_run)(void);
const char *report_exception_name(unsigned vector);

// --- boot chart ---
void chart_mark(const char *phase); // the phase that ends now
void chart_print(void);             // once, if the configuration asked for it

// --- boot configuration (abi/bootconfig.h), decoded ---
struct boot_config {
    const char **argv; // NULL-terminated
    unsigned argc;
    const char **envp; // NULL-terminated
    unsigned envc;
    const char *cwd, *hostname, *ip, *gw;
    const char *dns[3];
    unsigned dns_count;
    uint32_t uid, gid;
    uint64_t clock_ns;
    uint8_t entropy[64];
    unsigned entropy_len;
    int chart, ring; // ring -1: measure
    bool allow_wx;   // programs may map memory that is writable and executable at once
    uint64_t mmio_addr[16];
    unsigned mmio_irq[16];
    unsigned mmio_count;
};
extern struct boot_config boot_config;
// Decodes `text` in place into `storage` (pointers into both). -EINVAL with *error naming the word.
int bootconfig_parse(char *text, size_t len, struct boot_config *out, const char **storage,
                     size_t storage_len, const char **error);

// --- random numbers: ChaCha20, seeded at start (a start without entropy panics). Any context ---
void random_bytes(void *buf, size_t n);
uint64_t random_u64(void);
void random_add_entropy(const void *buf, size_t n);

#endif

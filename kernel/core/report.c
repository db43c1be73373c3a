// SPDX-License-Identifier: ISC
// Panics and fault reports for a person: cause, address and what lies there, thread, registers,
// backtrace by frame pointers, with kernel addresses as symbol+offset.
#include "core/core.h"
#include "core/symbols.h"

void (*core_end_hook)(void);
const char *(*report_thread_name)(void);
bool (*report_describe)(uint64_t addr, char *buf, size_t size);
void (*report_last_calls)(void);
#define BACKTRACE_MAX 24

static void out(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void out(const char *fmt, ...)
{
    char line[400];
    va_list ap;
    va_start(ap, fmt);
    int n = lib_vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    plat_console_write(line, (size_t)MIN(n, (int)sizeof(line) - 1), 2);
}

static bool in_kernel(uint64_t addr)
{
    return addr - plat_info.kernel_base < plat_info.kernel_len;
}

static void print_address(const char *what, uint64_t addr)
{
    char text[320];
    uint64_t off;
    const char *sym = in_kernel(addr) ? symbol_find(addr - plat_info.kernel_base, &off) : NULL;
    if (sym)
        out("  %s %016lx  kernel: %s+0x%lx\n", what, addr, sym, off);
    else if (in_kernel(addr)) // `lith symbolize` resolves these
        out("  %s %016lx  kernel+0x%lx\n", what, addr, addr - plat_info.kernel_base);
    else if (report_describe && report_describe(addr, text, sizeof(text)))
        out("  %s %016lx  %s\n", what, addr, text);
    else
        out("  %s %016lx\n", what, addr);
}

// Reads one word for the backtrace: a broken frame pointer must not fault again.
static bool read_word(uint64_t addr, uint64_t *v)
{
    if (addr & 7 || !plat_query(addr, NULL, NULL))
        return false;
    *v = *(const uint64_t *)addr;
    return true;
}

static void backtrace(uint64_t rip, uint64_t rbp)
{
    out("backtrace:\n");
    print_address(" ", rip);
    for (int i = 0; i < BACKTRACE_MAX; i++) {
        uint64_t next, ret;
        if (!read_word(rbp, &next) || !read_word(rbp + 8, &ret) || !ret)
            break;
        print_address(" ", ret);
        if (next <= rbp) // stacks grow down: frames must go up
            break;
        rbp = next;
    }
}

// Programs are built without frame pointers: words on the stack that point behind a call
// instruction in text are likely return addresses.
#define STACK_SCAN_WORDS 512
#define STACK_SCAN_SHOWN 12
static void scan_stack(uint64_t rsp)
{
    unsigned shown = 0;
    rsp = ALIGN_UP(rsp, 8ul);
    for (unsigned i = 0; i < STACK_SCAN_WORDS && shown < STACK_SCAN_SHOWN; i++, rsp += 8) {
        uint64_t word;
        unsigned prot;
        if (!read_word(rsp, &word))
            break;
        if (word < LITH_USER_MIN || word >= arch_user_end || !plat_query(word - 8, NULL, &prot) ||
            !plat_query(word, NULL, &prot) || !(prot & PLAT_EXEC))
            continue;
        const uint8_t *c = (const uint8_t *)word; // call rel32, call *reg, call *disp(reg)
        if (c[-5] != 0xe8 && !(c[-2] == 0xff && (c[-1] & 0x38) == 0x10) &&
            !(c[-3] == 0xff && (c[-2] & 0x38) == 0x10) &&
            !(c[-6] == 0xff && (c[-5] & 0x38) == 0x10))
            continue;
        if (shown++ == 0)
            out("return addresses on the stack:\n");
        print_address(" ", word);
    }
}

static void print_regs(const struct regs *r)
{
    out("registers:\n"
        "  rax %016lx rbx %016lx rcx %016lx rdx %016lx\n"
        "  rsi %016lx rdi %016lx rbp %016lx rsp %016lx\n",
        r->rax, r->rbx, r->rcx, r->rdx, r->rsi, r->rdi, r->rbp, r->rsp);
    out("  r8  %016lx r9  %016lx r10 %016lx r11 %016lx\n"
        "  r12 %016lx r13 %016lx r14 %016lx r15 %016lx\n"
        "  rip %016lx rflags %lx\n",
        r->r8, r->r9, r->r10, r->r11, r->r12, r->r13, r->r14, r->r15, r->rip, r->rflags);
}

void report_fault(const char *title, const struct regs *r, uint64_t addr)
{
    out("lith: %s\n", title);
    if (report_thread_name)
        out("thread: %s\n", report_thread_name());
    if (addr != REPORT_NO_ADDRESS)
        print_address("address", addr);
    print_address("at     ", r->rip);
    print_regs(r);
    backtrace(r->rip, r->rbp);
    if (!in_kernel(r->rip) || arch_user_end > LITH_USER_END)
        scan_stack(r->rsp);
    if (report_last_calls)
        report_last_calls();
}

// In order of vector, each with its NUL.
static const char exception_names[] =
    "divide error\0debug\0NMI\0breakpoint\0overflow\0bound range\0invalid opcode\0device not "
    "available\0double fault\0?\0invalid TSS\0segment not present\0stack fault\0general "
    "protection\0page fault\0?\0x87 error\0alignment check\0machine check\0SIMD error\0";

const char *report_exception_name(unsigned vector)
{
    const char *name = exception_names;
    for (; vector && *name; vector--)
        name += strlen(name) + 1;
    return *name ? name : "exception";
}

void panic_trap(unsigned vector, uint64_t error, uint64_t addr, struct regs *r)
{
    static int depth;
    char title[160], what[64] = "";
    if (depth++) {
        out("lith: another fault while reporting, at %016lx\n", r->rip);
        plat_exit(134);
    }
    if (vector == 14) {
        lib_snprintf(what, sizeof(what), ": %s %s",
                     error & 16  ? "execute"
                     : error & 2 ? "write to"
                                 : "read from",
                     error & 1 ? "a page without that permission"
                               : "an address that is not mapped");
    }
    lib_snprintf(title, sizeof(title), "kernel panic: %s in the kernel%s (error %lx)",
                 report_exception_name(vector), what, error);
    report_fault(title, r, vector == 14 ? addr : r->rip);
    plat_exit(134);
}

void panic(const char *fmt, ...)
{
    static int depth;
    char line[300];
    va_list ap;
    va_start(ap, fmt);
    lib_vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    out("lith: kernel panic: %s\n", line);
    if (depth++ == 0) {
        if (report_thread_name)
            out("thread: %s\n", report_thread_name());
        backtrace((uintptr_t)__builtin_return_address(0), (uintptr_t)__builtin_frame_address(0));
        if (report_last_calls)
            report_last_calls();
    }
    plat_exit(134);
}

#ifdef LITH_LINK
void assertion_failed(void)
{
    panic("assertion failed");
}
#endif

void __stack_chk_fail(void) __attribute__((noreturn));
void __stack_chk_fail(void)
{
    panic("stack smashed: a local buffer of the kernel overflowed");
}

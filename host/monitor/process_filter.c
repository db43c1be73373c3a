// SPDX-License-Identifier: ISC
// What the host lets a process machine do: the table in SECURITY.md. Calls come from the kernel's
// few places or they trap (the kernel then serves them itself). But programs can jump to those
// places, so what protects the host are the rules for numbers and arguments: anything else from
// there ends the process.
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include "abi/layout.h"
#include "monitor/monitor.h"

#define OFFSET(field) (uint32_t) offsetof(struct seccomp_data, field)
#define LOW(i)        (OFFSET(args[0]) + 8 * (i))
#define HIGH(i)       (LOW(i) + 4)

struct assembler {
    struct sock_filter *out;
    unsigned count;
};

static void emit(struct assembler *a, unsigned code, uint32_t k, unsigned jt, unsigned jf)
{
    if (a->count == PROCESS_FILTER_MAX)
        fatal("the system call filter is too long");
    a->out[a->count++] = (struct sock_filter){(uint16_t)code, (uint8_t)jt, (uint8_t)jf, k};
}

static void load(struct assembler *a, uint32_t offset)
{
    emit(a, BPF_LD | BPF_W | BPF_ABS, offset, 0, 0);
}

static void finish(struct assembler *a, uint32_t action)
{
    emit(a, BPF_RET | BPF_K, action, 0, 0);
}

#define KILL  SECCOMP_RET_KILL_PROCESS
#define TRAP  SECCOMP_RET_TRAP
#define ALLOW SECCOMP_RET_ALLOW

// `action` unless the loaded word is `value`; or unless it is below `limit`; or if it has one of
// `bits`.
static void need_equal(struct assembler *a, uint32_t value, uint32_t action)
{
    emit(a, BPF_JMP | BPF_JEQ | BPF_K, value, 1, 0);
    finish(a, action);
}
static void need_below(struct assembler *a, uint32_t limit, uint32_t action)
{
    emit(a, BPF_JMP | BPF_JGE | BPF_K, limit, 0, 1);
    finish(a, action);
}
static void need_clear(struct assembler *a, uint32_t bits, uint32_t action)
{
    emit(a, BPF_JMP | BPF_JSET | BPF_K, bits, 0, 1);
    finish(a, action);
}

// The rule of one call: what is emitted until rule_end() is skipped for others. The number is
// loaded.
static unsigned rule(struct assembler *a, long nr)
{
    emit(a, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)nr, 0, 0);
    return a->count - 1;
}
static void rule_end(struct assembler *a, unsigned start)
{
    finish(a, ALLOW);
    a->out[start].jf = (uint8_t)(a->count - start - 1);
}

static void allow(struct assembler *a, long nr)
{
    rule_end(a, rule(a, nr));
}

// Not writable and executable, and nothing but these three bits.
static void check_prot(struct assembler *a, const struct process_rules *r)
{
    load(a, HIGH(2));
    need_equal(a, 0, KILL);
    load(a, LOW(2));
    need_clear(a, ~(uint32_t)(PROT_READ | PROT_WRITE | PROT_EXEC), KILL);
    if (r->allow_wx)
        return;
    emit(a, BPF_ALU | BPF_AND | BPF_K, PROT_WRITE | PROT_EXEC, 0, 0);
    emit(a, BPF_JMP | BPF_JEQ | BPF_K, PROT_WRITE | PROT_EXEC, 0, 1);
    finish(a, KILL);
}

// args[0] is one of two descriptors (the same twice: one).
static void check_fd(struct assembler *a, unsigned arg, int one, int other)
{
    load(a, LOW(arg));
    emit(a, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)one, 2, 0);
    need_equal(a, (uint32_t)other, KILL);
}

unsigned process_filter(const struct process_rules *r, struct sock_filter *out)
{
    struct assembler assembler = {out, 0}, *a = &assembler;
    unsigned start;
    load(a, OFFSET(arch));
    need_equal(a, AUDIT_ARCH_X86_64, TRAP);
    // The address behind the instruction, in (calls_start, calls_end].
    load(a, OFFSET(instruction_pointer) + 4);
    need_equal(a, (uint32_t)(r->calls_start >> 32), TRAP);
    load(a, OFFSET(instruction_pointer));
    emit(a, BPF_JMP | BPF_JGT | BPF_K, (uint32_t)r->calls_start, 1, 0);
    finish(a, TRAP);
    emit(a, BPF_JMP | BPF_JGT | BPF_K, (uint32_t)r->calls_end, 0, 1);
    finish(a, TRAP);

    load(a, OFFSET(nr));
    if (r->net_fd >= 0) {
        for (int i = 0; i < 2; i++) {
            start = rule(a, i ? SYS_writev : SYS_readv);
            check_fd(a, 0, r->net_fd, r->net_fd);
            rule_end(a, start);
        }
    }
    allow(a, SYS_ppoll);
    allow(a, SYS_rt_sigreturn);
    allow(a, SYS_timer_settime);

    start = rule(a, SYS_mmap); // RAM or the root file, at a place that is not the kernel image's
    load(a, HIGH(0));
    need_below(a, (uint32_t)(LITH_MMIO_BASE >> 32), KILL);
    load(a, HIGH(1)); // with the address it stays below LITH_KERNEL_BASE
    need_below(a, (uint32_t)((LITH_KERNEL_BASE - LITH_MMIO_BASE) >> 32), KILL);
    check_prot(a, r);
    load(a, LOW(3));
    need_equal(a, MAP_SHARED | MAP_FIXED, KILL);
    check_fd(a, 4, r->ram_fd, r->root_fd >= 0 ? r->root_fd : r->ram_fd);
    rule_end(a, start);

    start = rule(a, SYS_mprotect);
    load(a, HIGH(0));
    need_below(a, (uint32_t)(LITH_KERNEL_CEIL >> 32), KILL);
    check_prot(a, r);
    rule_end(a, start);

    start = rule(a, SYS_munmap);
    load(a, HIGH(0));
    need_below(a, 0x8000, KILL);
    rule_end(a, start);

    start = rule(a, SYS_write);
    check_fd(a, 0, 1, 2);
    rule_end(a, start);
    allow(a, SYS_exit_group);
    finish(a, KILL);
    return a->count;
}

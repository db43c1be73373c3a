// SPDX-License-Identifier: ISC
// The process machine's system call filter, run by a small interpreter: what does it say to each
// number, from each place, with each argument? And the relay to passt: which frames get through?
// links: host/monitor/process_filter.c host/monitor/net_relay.c host/monitor/net_passt.c
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "monitor/monitor.h"

void fatal(const char *format, ...)
{
    (void)format;
    abort();
}

void sandbox_drop_privileges(void)
{
}

#define START 0x7d1234600100ull
#define END   0x7d1234600160ull
#define RAM   6
#define ROOT  5
#define NET   4

static struct process_rules rules = {START, END, RAM, ROOT, NET, false};

// Classic BPF as seccomp allows it (Linux Documentation/networking/filter.rst).
static uint32_t ask(const struct seccomp_data *data)
{
    struct sock_filter code[PROCESS_FILTER_MAX];
    unsigned count = process_filter(&rules, code);
    uint32_t a = 0;
    for (unsigned pc = 0; pc < count; pc++) {
        const struct sock_filter *i = &code[pc];
        bool jump = false;
        switch (i->code) {
        case BPF_LD | BPF_W | BPF_ABS:
            assert_true(i->k % 4 == 0 && i->k < sizeof(*data));
            memcpy(&a, (const char *)data + i->k, 4);
            continue;
        case BPF_ALU | BPF_AND | BPF_K:
            a &= i->k;
            continue;
        case BPF_RET | BPF_K:
            return i->k;
        case BPF_JMP | BPF_JEQ | BPF_K:
            jump = a == i->k;
            break;
        case BPF_JMP | BPF_JGT | BPF_K:
            jump = a > i->k;
            break;
        case BPF_JMP | BPF_JGE | BPF_K:
            jump = a >= i->k;
            break;
        case BPF_JMP | BPF_JSET | BPF_K:
            jump = a & i->k;
            break;
        default:
            fail_msg("instruction %x", i->code);
        }
        pc += jump ? i->jt : i->jf;
    }
    fail_msg("the filter has no end");
    return 0;
}

static uint32_t call(long nr, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4)
{
    struct seccomp_data data = {(int)nr, AUDIT_ARCH_X86_64, START + 8, {a0, a1, a2, a3, a4, 0}};
    return ask(&data);
}

#define KILL  SECCOMP_RET_KILL_PROCESS
#define TRAP  SECCOMP_RET_TRAP
#define ALLOW SECCOMP_RET_ALLOW

static void test_places(void **state)
{
    (void)state;
    struct seccomp_data data = {SYS_exit_group, AUDIT_ARCH_X86_64, START + 8, {0}};
    static const struct {
        uint64_t ip;
        uint32_t answer;
    } places[] = {{START, TRAP},   {START + 1, ALLOW},           {END, ALLOW},
                  {END + 1, TRAP}, {START + (1ull << 32), TRAP}, {0x400000, TRAP}};
    for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        data.instruction_pointer = places[i].ip;
        assert_int_equal(ask(&data), places[i].answer);
    }
    data.instruction_pointer = START + 8;
    data.arch = AUDIT_ARCH_I386;
    assert_int_equal(ask(&data), TRAP);
}

static void test_numbers(void **state)
{
    (void)state;
    static const long without_rules[] = {SYS_ppoll, SYS_rt_sigreturn, SYS_timer_settime,
                                         SYS_exit_group};
    unsigned allowed = 0;
    for (long nr = 0; nr < 600; nr++) {
        bool expected = false;
        for (unsigned i = 0; i < 4; i++)
            expected |= nr == without_rules[i];
        // Arguments that no rule accepts.
        bool got = call(nr, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX) == ALLOW;
        assert_int_equal(got, expected);
        allowed += got;
        assert_int_equal(call(nr | 0x40000000, 0, 0, 0, 0, 0), KILL); // x32
    }
    assert_int_equal(allowed, 4);
    assert_int_equal(call(SYS_readv, NET, 0, 0, 0, 0), ALLOW);
    assert_int_equal(call(SYS_writev, NET, 0, 0, 0, 0), ALLOW);
    assert_int_equal(call(SYS_writev, 1, 0, 0, 0, 0), KILL);
    for (uint64_t fd = 0; fd < 8; fd++)
        assert_int_equal(call(SYS_write, fd, 0, 0, 0, 0), fd == 1 || fd == 2 ? ALLOW : KILL);
    rules.net_fd = -1;
    assert_int_equal(call(SYS_readv, NET, 0, 0, 0, 0), KILL);
    assert_int_equal(call(SYS_readv, UINT64_MAX, 0, 0, 0, 0), KILL);
    rules.net_fd = NET;
}

static void test_mmap(void **state)
{
    (void)state;
    const uint64_t at = 0x500000000000, flags = MAP_SHARED | MAP_FIXED;
    for (uint64_t prot = 0; prot < 8; prot++) {
        uint32_t want = (prot & 6) == 6 ? KILL : ALLOW;
        assert_int_equal(call(SYS_mmap, at, 4096, prot, flags, RAM), want);
        assert_int_equal(call(SYS_mmap, at, 4096, prot, flags, ROOT), want);
        assert_int_equal(call(SYS_mprotect, at, 4096, prot, 0, 0), want);
        assert_int_equal(call(SYS_mmap, at, 4096, prot | 8, flags, RAM), KILL);
        assert_int_equal(call(SYS_mmap, at, 4096, prot | 1ull << 32, flags, RAM), KILL);
        assert_int_equal(call(SYS_mprotect, at, 4096, prot | 1ull << 40, 0, 0), KILL);
    }
    assert_int_equal(call(SYS_mmap, at, 4096, 1, flags, NET), KILL);
    assert_int_equal(call(SYS_mmap, at, 4096, 1, flags, 0), KILL);
    assert_int_equal(call(SYS_mmap, at, 4096, 1, flags | MAP_ANONYMOUS, RAM), KILL);
    assert_int_equal(call(SYS_mmap, at, 4096, 1, MAP_PRIVATE | MAP_FIXED, RAM), KILL);
    assert_int_equal(call(SYS_mmap, at, 4096, 1, MAP_SHARED, RAM), KILL);
    // Up to the kernel image's range, and not into it.
    assert_int_equal(call(SYS_mmap, 0x7affffffe000, 4096, 1, flags, RAM), ALLOW);
    assert_int_equal(call(SYS_mmap, 0x7b0000000000, 4096, 1, flags, RAM), KILL);
    assert_int_equal(call(SYS_mmap, 0x7affffffe000, 1ull << 40, 1, flags, RAM), KILL);
    assert_int_equal(call(SYS_munmap, 0x7ffffffff000, 4096, 0, 0, 0), ALLOW);
    assert_int_equal(call(SYS_munmap, 1ull << 47, 4096, 0, 0, 0), KILL);
    rules.allow_wx = true;
    assert_int_equal(call(SYS_mmap, at, 4096, 7, flags, RAM), ALLOW);
    assert_int_equal(call(SYS_mmap, at, 4096, 15, flags, RAM), KILL);
    rules.allow_wx = false;
    rules.root_fd = -1;
    assert_int_equal(call(SYS_mmap, at, 4096, 1, flags, ROOT), KILL);
    assert_int_equal(call(SYS_mmap, at, 4096, 1, flags, UINT32_MAX), KILL);
    rules.root_fd = ROOT;
}

// A frame of `len` bytes behind its length, IPv4 to `to`.
static size_t frame(uint8_t *at, uint32_t len, const uint8_t to[4])
{
    memset(at, 0xab, 4 + len);
    at[0] = 0;
    at[1] = (uint8_t)(len >> 16);
    at[2] = (uint8_t)(len >> 8);
    at[3] = (uint8_t)len;
    if (len >= 34) {
        at[4 + 12] = 8;
        at[4 + 13] = 0;
        memcpy(at + 4 + 30, to, 4);
    }
    return 4 + len;
}

static void read_all(int fd, uint8_t *to, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = read(fd, to + done, len - done);
        assert_true(n > 0);
        done += (size_t)n;
    }
}

static void test_relay(void **state)
{
    (void)state;
    static const uint8_t outside[4] = {10, 0, 2, 2}, loopback[4] = {127, 0, 0, 1}, zero[4] = {0};
    static uint8_t sent[300000], wanted[300000], got[300000];
    size_t n = 0, want = 0;
    int guest[2], host[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, guest), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, host), 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(guest[0]);
        close(host[0]);
        net_relay(guest[1], host[1]);
        _exit(0);
    }
    close(guest[1]);
    close(host[1]);
    for (int i = 0; i < 200; i++) {
        const uint8_t *to = i % 3 == 0 ? loopback : i % 7 == 0 ? zero : outside;
        size_t len = frame(sent + n, (uint32_t)(34 + i * 7), to);
        if (to == outside) {
            memcpy(wanted + want, sent + n, len);
            want += len;
        }
        n += len;
    }
    for (size_t at = 0, part = 1; at < n; at += part, part = part * 5 % 997 + 1) // cut anywhere
        assert_true(write(guest[0], sent + at, at + part > n ? n - at : part) > 0);
    read_all(host[0], got, want);
    assert_memory_equal(got, wanted, want);
    assert_true(write(host[0], sent, 5000) == 5000); // the other way everything passes
    read_all(guest[0], got, 5000);
    assert_memory_equal(got, sent, 5000);
    memset(sent, 0xff, 4); // no frame is that long
    assert_true(write(guest[0], sent, 4) == 4);
    assert_true(read(guest[0], got, 1) == 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    close(guest[0]);
    close(host[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_mmap),
        cmocka_unit_test(test_relay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

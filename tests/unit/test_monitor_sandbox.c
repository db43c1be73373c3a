// SPDX-License-Identifier: ISC
// links: host/monitor/sandbox.c
// The sandbox, from inside: each case is a process that enters it and makes one system call. What
// serves a running guest works; everything else kills the process.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "monitor/monitor.h"

_Noreturn void fatal(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    _exit(1);
}

#define VCPU_FD 9
#define NET_FD  8

// The status that wait() gives for a process that enters the sandbox and makes the call.
static int status_of(long nr, long a, long b, long c, long d)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        static struct monitor m = {.vcpu_fd = VCPU_FD, .has_net = true, .net_backend.fd = NET_FD};
        sandbox_drop_privileges();
        sandbox_enter(&m);
        syscall(nr, a, b, c, d);
        syscall(SYS_exit_group, 0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void allowed(long nr, long a, long b, long c)
{
    assert_int_equal(status_of(nr, a, b, c, 0), 0);
}
static void killed(long nr, long a, long b, long c)
{
    int status = status_of(nr, a, b, c, 0);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
}

static void test_allowed(void **state)
{
    (void)state;
    struct pollfd none = {.fd = -1};
    struct timespec now = {0};
    struct iovec iov = {&now, sizeof now};
    allowed(SYS_ppoll, (long)&none, 1, (long)&now);
    allowed(SYS_write, 1, (long)"", 0);
    allowed(SYS_read, 0, (long)&now, 0);
    allowed(SYS_readv, NET_FD, (long)&iov, 1);
    allowed(SYS_writev, NET_FD, (long)&iov, 1);
    allowed(SYS_ioctl, VCPU_FD, KVM_RUN, 0);
    allowed(SYS_ioctl, VCPU_FD, KVM_GET_REGS, 0);
    allowed(SYS_clock_gettime, 1, (long)&now, 0);
}

static void test_killed(void **state)
{
    (void)state;
    struct iovec iov = {NULL, 0};
    killed(SYS_open, (long)"/etc/passwd", O_RDONLY, 0);
    killed(SYS_openat, AT_FDCWD, (long)"/etc/passwd", O_RDONLY);
    killed(SYS_socket, AF_INET, SOCK_STREAM, 0);
    killed(SYS_connect, 3, 0, 0);
    killed(SYS_sendmsg, NET_FD, 0, 0);
    killed(SYS_execve, (long)"/bin/true", 0, 0);
    killed(SYS_clone, 0, 0, 0);
    killed(SYS_fork, 0, 0, 0);
    killed(SYS_mmap, 0, 4096, PROT_READ | PROT_EXEC);
    killed(SYS_mprotect, 0, 4096, PROT_READ | PROT_EXEC);
    killed(SYS_ptrace, 0, 0, 0);
    killed(SYS_kill, 1, 0, 0);
    killed(SYS_dup, 0, 0, 0);
    killed(SYS_prctl, PR_SET_NAME, 0, 0);
    killed(SYS_getpid, 0, 0, 0);
    killed(SYS_ioctl, VCPU_FD, KVM_SET_REGS, 0); // not this one
    killed(SYS_ioctl, NET_FD, KVM_RUN, 0);       // not there
    killed(SYS_tkill, 1, SIGUSR1, 0);
    killed(SYS_readv, 0, (long)&iov, 1);
    killed(SYS_writev, 1, (long)&iov, 1);
    // The other numbering of system calls that an x86-64 process can use.
    killed(0x40000000 | SYS_write, 1, 0, 0);
}

static void test_privileges(void **state)
{
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        sandbox_drop_privileges();
        int bad = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1;
        char line[256];
        FILE *f = fopen("/proc/self/status", "r");
        while (f && fgets(line, sizeof line, f)) {
            unsigned long long caps;
            if (sscanf(line, "CapEff: %llx", &caps) == 1 ||
                sscanf(line, "CapPrm: %llx", &caps) == 1)
                bad |= caps != 0;
        }
        _exit(f ? bad : 2);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_allowed),
        cmocka_unit_test(test_killed),
        cmocka_unit_test(test_privileges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

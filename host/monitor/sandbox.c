// SPDX-License-Identifier: ISC
// What the monitor gives up before the guest's first instruction: capabilities, new privileges,
// most limits, and all system calls but the dozen that serving a running guest takes.
#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "monitor/monitor.h"

#define FDS_MAX 32 // poll() refuses more descriptors than the limit, used or not

void sandbox_drop_privileges(void)
{
    // All capabilities go, also from the bounding set where that is allowed: uid 0 keeps the power
    // over its own files, nothing else.
    for (unsigned long cap = 0; prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0; cap++)
        ; // ends behind the last one, or at once if it is not ours to drop: then we have none
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {{0}};
    if (syscall(SYS_capset, &head, none) != 0)
        fatal("cannot drop capabilities: %s", strerror(errno));
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        fatal("cannot give up new privileges: %s", strerror(errno));
    struct rlimit no_core = {0, 0}, few_fds = {FDS_MAX, FDS_MAX};
    if (setrlimit(RLIMIT_CORE, &no_core) != 0 || setrlimit(RLIMIT_NOFILE, &few_fds) != 0)
        fatal("cannot set limits: %s", strerror(errno));
    // A guest's timer must not be 50 us late because the scheduler saves wake-ups.
    prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
}

#define LOAD(field) \
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, field))
#define SKIP_UNLESS(value, count) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(value), 0, count)
#define ALLOW                     BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define KILL                      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)
#define ALLOW_CALL(nr)            SKIP_UNLESS(nr, 1), ALLOW

void sandbox_enter(const struct monitor *m)
{
    // Descriptors cannot grow any more (open, socket, dup are not here), so read and write are
    // confined to what is open; the arguments that matter are those of ioctl and of the packet I/O.
    uint32_t net_fd = m->has_net ? (uint32_t)m->net_backend.fd : UINT32_MAX;
    struct sock_filter filter[] = {
        LOAD(arch),
        SKIP_UNLESS(AUDIT_ARCH_X86_64, 1),
        BPF_JUMP(BPF_JMP | BPF_JA, 1, 0, 0),
        KILL,
        LOAD(nr),
        SKIP_UNLESS(SYS_ioctl, 10), // KVM_RUN, KVM_GET_REGS, in ring 3 KVM_SET_REGS on the vCPU
        LOAD(args[0]),
        SKIP_UNLESS(m->vcpu_fd, 7),
        LOAD(args[1]),
        SKIP_UNLESS(KVM_RUN, 1),
        ALLOW,
        SKIP_UNLESS(KVM_GET_REGS, 1),
        ALLOW,
        SKIP_UNLESS(m->ring == 3 ? KVM_SET_REGS : KVM_RUN, 1),
        ALLOW,
        KILL,
        SKIP_UNLESS(SYS_tkill, 6), // in ring 3 the vCPU's thread, by its one signal
        LOAD(args[0]),
        SKIP_UNLESS(m->ring == 3 ? (uint32_t)m->vcpu_tid : UINT32_MAX, 3),
        LOAD(args[1]),
        SKIP_UNLESS(KICK_SIGNAL, 1),
        ALLOW,
        KILL,
        SKIP_UNLESS(SYS_readv, 4),
        LOAD(args[0]),
        SKIP_UNLESS(net_fd, 1),
        ALLOW,
        KILL,
        SKIP_UNLESS(SYS_writev, 4),
        LOAD(args[0]),
        SKIP_UNLESS(net_fd, 1),
        ALLOW,
        KILL,
        ALLOW_CALL(SYS_ppoll),
        ALLOW_CALL(SYS_write),
        ALLOW_CALL(SYS_sched_yield),
        ALLOW_CALL(SYS_read),
        ALLOW_CALL(SYS_exit_group),
        ALLOW_CALL(SYS_rt_sigreturn),
        ALLOW_CALL(SYS_rt_sigprocmask), // the new thread's first steps
        ALLOW_CALL(SYS_restart_syscall),
        ALLOW_CALL(SYS_clock_gettime), // where the vDSO has no usable clock
        KILL,
    };
    struct sock_fprog program = {.len = sizeof filter / sizeof filter[0], .filter = filter};
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) != 0)
        fatal("cannot install the system call filter: %s", strerror(errno));
}

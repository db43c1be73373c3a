// SPDX-License-Identifier: ISC
// A process as it is before it has a program: limits, descriptors, a place in the tree of names.
#include "linux/process.h"

static const struct rlimit start_limits[RLIM_NLIMITS] = {
    [RLIMIT_CPU] = {RLIM_INFINITY, RLIM_INFINITY},
    [RLIMIT_FSIZE] = {RLIM_INFINITY, RLIM_INFINITY},
    [RLIMIT_DATA] = {RLIM_INFINITY, RLIM_INFINITY},
    [RLIMIT_STACK] = {8ul << 20, RLIM_INFINITY},
    [RLIMIT_CORE] = {0, 0},
    [RLIMIT_RSS] = {RLIM_INFINITY, RLIM_INFINITY},
    [RLIMIT_NPROC] = {RLIM_INFINITY, RLIM_INFINITY},
    [RLIMIT_NOFILE] = {65536, 1048576}, // soft: some programs close every number below it
    [RLIMIT_MEMLOCK] = {RLIM_INFINITY, RLIM_INFINITY},
    [RLIMIT_AS] = {RLIM_INFINITY, RLIM_INFINITY},
    [RLIMIT_LOCKS] = {RLIM_INFINITY, RLIM_INFINITY},
    [RLIMIT_SIGPENDING] = {4096, 4096},
    [RLIMIT_MSGQUEUE] = {819200, 819200},
    [RLIMIT_NICE] = {0, 0},
    [RLIMIT_RTPRIO] = {0, 0},
    [RLIMIT_RTTIME] = {RLIM_INFINITY, RLIM_INFINITY},
};

struct process *process_create(void)
{
    struct process *p = kzalloc(sizeof(*p));
    if (!p)
        return NULL;
    p->pid = p->pgid = p->sid = 1;
    p->uid = boot_config.uid;
    p->gid = boot_config.gid;
    p->umask = 022;
    p->fds = fd_table_create();
    p->fs = fs_names ? fs_names->context_create() : NULL;
    p->start_ns = clock_monotonic_ns();
    list_init(&p->threads);
    list_init(&p->pending_info);
    wait_queue_init(&p->signal_queue);
    memcpy(p->limits, start_limits, sizeof(p->limits));
    return p->fds && (p->fs || !fs_names) ? p : NULL;
}

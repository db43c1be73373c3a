// SPDX-License-Identifier: ISC
// `lith run --stats`: usually `lith` becomes the monitor; here it stays as its parent, holds the
// counters' file beyond its end, and passes signals on.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/stats.h"

uint64_t stats_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t timeval_ns(struct timeval t)
{
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_usec * 1000u;
}

void stats_end(int stats_fd, pid_t pid, uint64_t start_ns)
{
    uint8_t bytes[LITH_STATS_LEN];
    struct stats_instance i = {.pid = pid, .at_ns = stats_now_ns()};
    struct rusage usage;
    struct buf out = {0};
    ssize_t n = pread(stats_fd, bytes, sizeof(bytes), 0);
    if (n < 0 || stats_parse(bytes, (size_t)n, &i) < 0 || getrusage(RUSAGE_CHILDREN, &usage) < 0)
        return;
    i.up_ns = i.at_ns - start_ns;
    i.cpu_ns = timeval_ns(usage.ru_utime) + timeval_ns(usage.ru_stime);
    struct stats_change change = stats_change(&i, NULL);
    stats_detail(&out, &change);
    (void)write_all(STDERR_FILENO, out.data, out.len);
    buf_free(&out);
}

int stats_run(int stats_fd, int net_fd, struct err *e)
{
    sigset_t set, old;
    int wstatus, sig;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, &old);
    uint64_t start_ns = stats_now_ns();
    pid_t parent = getpid(), pid = fork();
    if (pid < 0)
        return err_sys(e, -errno, "cannot start the monitor");
    if (pid == 0) {
        sigprocmask(SIG_SETMASK, &old, NULL);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(EXIT_TOOL);
        return 0;
    }
    if (net_fd >= 0) // else passt would not see the instance's end
        close(net_fd);
    while (waitpid(pid, &wstatus, WNOHANG) != pid) {
        sig = sigwaitinfo(&set, NULL);
        if (sig > 0 && sig != SIGCHLD)
            kill(pid, sig);
    }
    stats_end(stats_fd, pid, start_ns);
    exit(WIFEXITED(wstatus) ? WEXITSTATUS(wstatus) : 128 + WTERMSIG(wstatus));
}

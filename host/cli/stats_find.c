// SPDX-License-Identifier: ISC
// Which instances run, and what the host knows of each. There is no list that could be wrong: an
// instance is a process that holds a memory file with our name. Whose instances can be looked into
// is the host's decision (ptrace(2), access mode checking): the user's own; root's are all.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "cli/stats.h"

#define FILE_LINK "/memfd:" LITH_STATS_NAME " (deleted)"
#define KVM_LINK  "anon_inode:kvm-vcpu-stats"

// One line of /proc/PID/stat.
struct process {
    pid_t pid, parent;
    char name[16];
    uint64_t start_ticks; // since the host's start
};

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec t = {0};
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

// False: it has ended, or the line is not what it should be.
static bool process_read(int proc, const char *pid, struct process *p)
{
    char path[32], text[1024];
    snprintf(path, sizeof(path), "%.15s/stat", pid);
    int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (fd >= 0)
        close(fd);
    if (n <= 0)
        return false;
    text[n] = 0;
    char *open = strchr(text, '('), *end = strrchr(text, ')');
    unsigned long long start;
    if (open == NULL || end == NULL || end < open ||
        sscanf(end + 1,
               " %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
               &p->parent, &start) != 2)
        return false;
    *end = 0;
    snprintf(p->name, sizeof(p->name), "%.15s", open + 1);
    p->pid = atoi(text);
    p->start_ticks = start;
    return true;
}

static int processes_read(struct process **out, size_t *count)
{
    size_t n = 0, room = 0;
    struct process *list = NULL;
    DIR *d = opendir("/proc");
    if (d == NULL)
        return -errno;
    for (struct dirent *entry; (entry = readdir(d)) != NULL;) {
        if (entry->d_name[0] < '1' || entry->d_name[0] > '9')
            continue;
        if (n == room) {
            room = room ? 2 * room : 256;
            list = xrealloc(list, room * sizeof(*list));
        }
        n += process_read(dirfd(d), entry->d_name, &list[n]);
    }
    closedir(d);
    *out = list;
    *count = n;
    return 0;
}

// The number of the descriptor whose link begins so, or -ENOENT, or why the process's cannot be
// seen.
static int descriptor_find(pid_t pid, const char *link)
{
    char path[64], text[64];
    int fd = -ENOENT;
    snprintf(path, sizeof(path), "/proc/%d/fd", pid);
    DIR *d = opendir(path);
    if (d == NULL)
        return -errno;
    for (struct dirent *entry; fd < 0 && (entry = readdir(d)) != NULL;) {
        ssize_t n = readlinkat(dirfd(d), entry->d_name, text, sizeof(text) - 1);
        if (n <= 0)
            continue;
        text[n] = 0;
        if (strncmp(text, link, strlen(link)) == 0)
            fd = atoi(entry->d_name);
    }
    closedir(d);
    return fd;
}

// Opens what a descriptor of another process refers to, for reading. That process may put something
// else in its place at any time, a device whose opening does things: so it is held first without
// opening it, then looked at.
static int file_open(pid_t pid, int number, const char *link)
{
    char path[64], text[64];
    struct stat st;
    snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, number);
    int held = open(path, O_PATH | O_CLOEXEC), fd = -1;
    if (held < 0)
        return -errno;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", held);
    ssize_t n = readlink(path, text, sizeof(text));
    if (n == (ssize_t)strlen(link) && memcmp(text, link, (size_t)n) == 0 && fstat(held, &st) == 0 &&
        S_ISREG(st.st_mode))
        fd = open(path, O_RDONLY | O_CLOEXEC);
    close(held);
    return fd < 0 ? -ENOENT : fd;
}

// -ENOENT: the process has no counters.
static int counters_read(pid_t pid, struct stats_instance *i)
{
    uint8_t bytes[LITH_STATS_LEN + 1]; // one more than there should be: another length is not ours
    int number = descriptor_find(pid, FILE_LINK);
    int fd = number < 0 ? number : file_open(pid, number, FILE_LINK);
    if (fd < 0)
        return fd;
    ssize_t n = pread(fd, bytes, sizeof(bytes), 0);
    close(fd);
    return n < 0 ? -EIO : stats_parse(bytes, (size_t)n, i);
}

// KVM's own counters are behind a descriptor of the monitor, which no path opens. Where the host
// does not let us take it (Yama's ptrace_scope), there are none.
static void kvm_read(pid_t pid, struct stats_kvm *kvm)
{
    static uint8_t bytes[STATS_KVM_FILE];
    int number = descriptor_find(pid, KVM_LINK);
    int pidfd = number < 0 ? -1 : (int)syscall(SYS_pidfd_open, pid, 0);
    int fd = pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);
    ssize_t n = fd < 0 ? -1 : pread(fd, bytes, sizeof(bytes), 0);
    kvm->count = 0;
    if (n > 0 && stats_parse_kvm(bytes, (size_t)n, kvm) < 0)
        kvm->count = 0;
    if (fd >= 0)
        close(fd);
    if (pidfd >= 0)
        close(pidfd);
}

static void memory_add(pid_t pid, struct stats_instance *i)
{
    char path[64], line[160];
    unsigned long long kib;
    snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pid);
    FILE *f = fopen(path, "re");
    while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
        if (sscanf(line, "Private_Clean: %llu", &kib) == 1 ||
            sscanf(line, "Private_Dirty: %llu", &kib) == 1)
            i->private_bytes += kib * 1024;
        else if (sscanf(line, "Pss: %llu", &kib) == 1)
            i->pss_bytes += kib * 1024;
    }
    if (f != NULL)
        fclose(f);
}

static void usage_add(pid_t pid, bool more, struct stats_instance *i)
{
    clockid_t clock;
    if (clock_getcpuclockid(pid, &clock) == 0)
        i->cpu_ns += clock_ns(clock);
    if (more)
        memory_add(pid, i);
}

static int by_pid(const void *a, const void *b)
{
    pid_t x = ((const struct stats_instance *)a)->pid, y = ((const struct stats_instance *)b)->pid;
    return (x > y) - (x < y);
}

// Is this process an instance? Under `lith run --stats` the parent holds the file as well; only
// QEMU's instances are a `lith`.
static int instance_read(const struct process *p, struct stats_instance *i)
{
    if (strncmp(p->name, "lith", 4) != 0)
        return -ENOENT;
    int r = counters_read(p->pid, i);
    if (r == 0 && (strcmp(p->name, "lith") == 0) != (i->host.platform == LITH_STATS_QEMU))
        r = -ENOENT;
    return r;
}

int stats_find(pid_t only, bool more, struct stats_instance **found, size_t *count, struct err *e)
{
    struct process *list = NULL;
    size_t processes = 0, n = 0;
    int why = -ESRCH, r = processes_read(&list, &processes);
    if (r < 0)
        return err_sys(e, r, "cannot read /proc");
    *found = NULL;
    for (size_t p = 0; p < processes; p++) {
        struct stats_instance i = {.pid = list[p].pid};
        if (only && list[p].pid != only)
            continue;
        why = instance_read(&list[p], &i);
        if (why < 0)
            continue;
        uint64_t tick_ns = 1000000000u / (uint64_t)sysconf(_SC_CLK_TCK);
        uint64_t boot_ns = clock_ns(CLOCK_BOOTTIME), start_ns = list[p].start_ticks * tick_ns;
        i.at_ns = clock_ns(CLOCK_MONOTONIC);
        i.up_ns = boot_ns > start_ns ? boot_ns - start_ns : 0;
        if (i.host.platform == LITH_STATS_KVM)
            kvm_read(i.pid, &i.kvm);
        for (size_t c = 0; c < processes; c++)
            if (list[c].pid == i.pid || list[c].parent == i.pid)
                usage_add(list[c].pid, more, &i);
        *found = xrealloc(*found, (n + 1) * sizeof(**found));
        (*found)[n++] = i;
    }
    free(list);
    if (n > 1)
        qsort(*found, n, sizeof(**found), by_pid);
    *count = n;
    if (!only || n)
        return 0;
    if (why == -EACCES || why == -EPERM)
        return err_set(e, why, "process %d: an instance of another user's", only);
    if (why == -EBADMSG)
        return err_set(e, why,
                       "process %d: its counters are damaged, or of another version of Lith", only);
    return err_set(e, why, why == -ESRCH ? "there is no process %d" : "process %d is no instance",
                   only);
}

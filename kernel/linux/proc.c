// SPDX-License-Identifier: ISC
// The files of /proc/self (and self/task/N, which show the same with N's numbers) that tell about
// the process: proc(5). Where a figure has no meaning here it is 0, as Linux shows for what it does
// not count.
#include <asm-generic/errno.h>
#include <linux/signal.h>
#include "abi/layout.h"
#include "linux/process.h"

#define CLOCK_TICKS 100 // per second: AT_CLKTCK

static int oom_score_adj;

// The thread that is asked about: self/task/N's, or the current one.
static struct linux_thread *asked_thread(void)
{
    struct linux_thread *t = procfs_asked_tid() ? linux_thread_find(procfs_asked_tid()) : NULL;
    return t ? t : current_lt();
}

static struct fd_table *current_fds(void)
{
    return current_process()->fds;
}

static struct fs_context *current_fs(void)
{
    return current_process()->fs;
}

static int current_pid(void)
{
    return current_process()->pid;
}

static int current_tid(void)
{
    return current_lt()->tid;
}

static ssize_t_k current_exe(char *buf, size_t size)
{
    const char *exe = current_process()->exe;
    if (!exe)
        return -ENOENT;
    size_t n = lib_strlcpy(buf, exe, size);
    return n < size ? (ssize_t_k)n : -ENAMETOOLONG;
}

static int next_tid(int after)
{
    int best = -1;
    list_for_each (pos, &current_process()->threads) {
        int tid = list_entry(pos, struct linux_thread, in_process)->tid;
        if (tid > after && (best < 0 || tid < best))
            best = tid;
    }
    return best;
}

static void print_bytes(struct proc_buf *b, const char *data, size_t len)
{
    // proc_printf takes strings: NULs between them are its %c.
    while (len) {
        size_t n = strnlen(data, len);
        proc_printf(b, "%.*s", (int)n, data);
        if (n < len) {
            proc_printf(b, "%c", 0);
            n++;
        }
        data += n;
        len -= n;
    }
}

static uint64_t cpu_ticks(const struct linux_thread *t)
{
    return t->thread->cpu_ns / (NSEC_PER_SEC / CLOCK_TICKS);
}

static uint64_t process_ticks(const struct process *p)
{
    uint64_t ticks = 0;
    list_for_each (pos, &p->threads)
        ticks += cpu_ticks(list_entry(pos, struct linux_thread, in_process));
    return ticks;
}

static void signal_sets(const struct process *p, uint64_t *ignored, uint64_t *caught)
{
    *ignored = *caught = 0;
    for (unsigned i = 1; i <= PROC_NSIG; i++) {
        if (p->actions[i].handler == SIG_IGN)
            *ignored |= 1ull << (i - 1);
        else if (p->actions[i].handler != SIG_DFL)
            *caught |= 1ull << (i - 1);
    }
}

static int show_stat(struct proc_buf *b)
{
    struct linux_thread *t = asked_thread();
    struct process *p = t->process;
    uint64_t vsize, rss, ignored, caught;
    mm_space_usage(p->mm, &vsize, &rss);
    signal_sets(p, &ignored, &caught);
    uint64_t ticks = procfs_asked_tid() ? cpu_ticks(t) : process_ticks(p);
    proc_printf(b, "%d (%s) R %d %d %d 0 -1 4194304 ", procfs_asked_tid() ? t->tid : p->pid,
                t->thread->name, p->ppid, p->pgid, p->sid);
    proc_printf(b, "0 0 0 0 %lu 0 0 0 %d %d %u 0 %lu %lu %lu %lu ", (unsigned long)ticks,
                20 + t->thread->nice, t->thread->nice, p->thread_count,
                (unsigned long)(p->start_ns / (NSEC_PER_SEC / CLOCK_TICKS)), (unsigned long)vsize,
                (unsigned long)(rss / PAGE_SIZE), (unsigned long)p->limits[RLIMIT_RSS].rlim_cur);
    // startcode endcode startstack kstkesp kstkeip, then the signal sets
    proc_printf(b, "1 1 0 0 0 %lu %lu %lu %lu ", (unsigned long)t->pending & 0x7fffffff,
                (unsigned long)t->sigmask & 0x7fffffff, (unsigned long)ignored & 0x7fffffff,
                (unsigned long)caught & 0x7fffffff);
    // wchan nswap cnswap exit_signal processor rt_priority policy blkio guest cguest
    proc_printf(b, "0 0 0 %d %u 0 0 0 0 0 ", SIGCHLD, this_cpu()->id);
    // start_data end_data start_brk arg_start arg_end env_start env_end exit_code
    proc_printf(b, "0 0 %lu 0 0 0 0 0\n", (unsigned long)p->brk_start);
    return 0;
}

static int show_statm(struct proc_buf *b)
{
    uint64_t vsize, rss;
    mm_space_usage(current_process()->mm, &vsize, &rss);
    proc_printf(b, "%lu %lu 0 0 0 %lu 0\n", (unsigned long)(vsize / PAGE_SIZE),
                (unsigned long)(rss / PAGE_SIZE), (unsigned long)(vsize / PAGE_SIZE));
    return 0;
}

static int show_status(struct proc_buf *b)
{
    struct linux_thread *t = asked_thread();
    struct process *p = t->process;
    uint64_t vsize, rss, ignored, caught;
    mm_space_usage(p->mm, &vsize, &rss);
    signal_sets(p, &ignored, &caught);
    proc_printf(b, "Name:\t%s\nUmask:\t%04u%u%u\nState:\tR (running)\n", t->thread->name,
                p->umask >> 6, p->umask >> 3 & 7, p->umask & 7);
    proc_printf(b, "Tgid:\t%d\nNgid:\t0\nPid:\t%d\nPPid:\t%d\nTracerPid:\t0\n", p->pid,
                procfs_asked_tid() ? t->tid : p->pid, p->ppid);
    proc_printf(b, "Uid:\t%u\t%u\t%u\t%u\nGid:\t%u\t%u\t%u\t%u\nFDSize:\t64\nGroups:\t\n", p->uid,
                p->uid, p->uid, p->uid, p->gid, p->gid, p->gid, p->gid);
    unsigned long vm = (unsigned long)vsize / 1024, rs = (unsigned long)rss / 1024;
    proc_printf(b, "VmPeak:\t%8lu kB\nVmSize:\t%8lu kB\nVmLck:\t       0 kB\nVmPin:\t       0 kB\n",
                vm, vm);
    proc_printf(b, "VmHWM:\t%8lu kB\nVmRSS:\t%8lu kB\nVmSwap:\t       0 kB\n", rs, rs);
    proc_printf(b, "Threads:\t%u\nSigQ:\t0/%lu\n", p->thread_count,
                (unsigned long)p->limits[RLIMIT_SIGPENDING].rlim_cur);
    proc_printf(
        b, "SigPnd:\t%016lx\nShdPnd:\t%016lx\nSigBlk:\t%016lx\nSigIgn:\t%016lx\nSigCgt:\t%016lx\n",
        (unsigned long)t->pending, (unsigned long)p->pending, (unsigned long)t->sigmask,
        (unsigned long)ignored, (unsigned long)caught);
    proc_printf(
        b, "CapInh:\t0000000000000000\nCapPrm:\t000001ffffffffff\nCapEff:\t000001ffffffffff\n"
           "CapBnd:\t000001ffffffffff\nCapAmb:\t0000000000000000\nNoNewPrivs:\t0\nSeccomp:\t0\n");
    proc_printf(
        b, "Cpus_allowed:\t1\nCpus_allowed_list:\t0\nMems_allowed:\t1\nMems_allowed_list:\t0\n");
    proc_printf(b, "voluntary_ctxt_switches:\t0\nnonvoluntary_ctxt_switches:\t0\n");
    return 0;
}

static int show_cmdline(struct proc_buf *b)
{
    struct process *p = current_process();
    print_bytes(b, p->cmdline, p->cmdline_len);
    return 0;
}

static int show_environ(struct proc_buf *b)
{
    struct process *p = current_process();
    print_bytes(b, p->environ, p->environ_len);
    return 0;
}

static int show_comm(struct proc_buf *b)
{
    proc_printf(b, "%s\n", asked_thread()->thread->name);
    return 0;
}

static int write_comm(const char *text, size_t len)
{
    struct linux_thread *t = asked_thread();
    while (len && text[len - 1] == '\n')
        len--;
    len = len < sizeof(t->thread->name) ? len : sizeof(t->thread->name) - 1;
    memcpy(t->thread->name, text, len);
    t->thread->name[len] = '\0';
    if (t->tid == t->process->pid)
        lib_strlcpy(t->process->comm, t->thread->name, sizeof(t->process->comm));
    return 0;
}

static int show_auxv(struct proc_buf *b)
{
    struct process *p = current_process();
    const char *bytes = (const char *)p->auxv;
    for (size_t i = 0; i < p->auxv_len * sizeof(p->auxv[0]); i++)
        proc_printf(b, "%c", bytes[i]);
    return 0;
}

static void print_limit(struct proc_buf *b, uint64_t v)
{
    if (v == (uint64_t)RLIM_INFINITY)
        proc_printf(b, "%-20s ", "unlimited");
    else
        proc_printf(b, "%-20lu ", (unsigned long)v);
}

static int show_limits(struct proc_buf *b)
{
    static const struct {
        const char *name, *unit;
        unsigned id;
    } rows[] = {
        {"Max cpu time", "seconds", RLIMIT_CPU},
        {"Max file size", "bytes", RLIMIT_FSIZE},
        {"Max data size", "bytes", RLIMIT_DATA},
        {"Max stack size", "bytes", RLIMIT_STACK},
        {"Max core file size", "bytes", RLIMIT_CORE},
        {"Max resident set", "bytes", RLIMIT_RSS},
        {"Max processes", "processes", RLIMIT_NPROC},
        {"Max open files", "files", RLIMIT_NOFILE},
        {"Max locked memory", "bytes", RLIMIT_MEMLOCK},
        {"Max address space", "bytes", RLIMIT_AS},
        {"Max file locks", "locks", RLIMIT_LOCKS},
        {"Max pending signals", "signals", RLIMIT_SIGPENDING},
        {"Max msgqueue size", "bytes", RLIMIT_MSGQUEUE},
        {"Max nice priority", "", RLIMIT_NICE},
        {"Max realtime priority", "", RLIMIT_RTPRIO},
        {"Max realtime timeout", "us", RLIMIT_RTTIME},
    };
    const struct rlimit *limits = current_process()->limits;
    proc_printf(b, "%-25s %-20s %-20s %-10s\n", "Limit", "Soft Limit", "Hard Limit", "Units");
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        proc_printf(b, "%-25s ", rows[i].name);
        print_limit(b, limits[rows[i].id].rlim_cur);
        print_limit(b, limits[rows[i].id].rlim_max);
        proc_printf(b, "%-10s\n", rows[i].unit);
    }
    return 0;
}

static int show_cgroup(struct proc_buf *b)
{
    proc_printf(b, "0::/\n");
    return 0;
}

static int show_oom_score_adj(struct proc_buf *b)
{
    proc_printf(b, "%d\n", oom_score_adj);
    return 0;
}

static int write_oom_score_adj(const char *text, size_t len)
{
    uint64_t v;
    const char *end;
    bool negative = len && text[0] == '-';
    if (!lib_parse_u64(text + negative, 10, &v, &end) || v > 1000)
        return -EINVAL;
    oom_score_adj = negative ? -(int)v : (int)v;
    return 0;
}

static int show_oom_score(struct proc_buf *b)
{
    proc_printf(b, "0\n");
    return 0;
}

// Called when /proc is mounted (fs/fs.h): what linux knows for it.
int procfs_fill(void)
{
    static const struct {
        const char *path;
        int (*show)(struct proc_buf *b);
        int (*write)(const char *text, size_t len);
    } files[] = {
        {"self/stat", show_stat, NULL},
        {"self/statm", show_statm, NULL},
        {"self/status", show_status, NULL},
        {"self/cmdline", show_cmdline, NULL},
        {"self/environ", show_environ, NULL},
        {"self/comm", show_comm, write_comm},
        {"self/auxv", show_auxv, NULL},
        {"self/limits", show_limits, NULL},
        {"self/cgroup", show_cgroup, NULL},
        {"self/oom_score", show_oom_score, NULL},
        {"self/oom_score_adj", show_oom_score_adj, write_oom_score_adj},
    };
    procfs_current_fds = current_fds;
    procfs_current_exe = current_exe;
    procfs_current_fs = current_fs;
    procfs_current_pid = current_pid;
    procfs_current_tid = current_tid;
    procfs_next_tid = next_tid;
    for (unsigned i = 0; i < ARRAY_LEN(files); i++) {
        int err = procfs_add(files[i].path, files[i].show, files[i].write);
        if (err)
            return err;
    }
    int err = procfs_fill_memory();
    return err || !net_proc ? err : procfs_fill_net();
}

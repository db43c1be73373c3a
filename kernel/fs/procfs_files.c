// SPDX-License-Identifier: ISC
// The files of /proc and /sys that describe the whole instance (proc(5)): memory, CPUs, uptime,
// mounts, limits. Those of a process are registered by linux/.
#include "fs/vfs.h"

static char boot_id[37];

static void make_uuid(char out[37])
{
    uint8_t r[16];
    random_bytes(r, sizeof(r));
    r[6] = (uint8_t)((r[6] & 0x0f) | 0x40); // version 4, variant 1 (RFC 4122)
    r[8] = (uint8_t)((r[8] & 0x3f) | 0x80);
    lib_snprintf(out, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
                 r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7], r[8], r[9], r[10], r[11], r[12],
                 r[13], r[14], r[15]);
}

static int show_meminfo(struct proc_buf *b)
{
    struct mm_stats mm;
    uint64_t tmpfs = 0;
    mm_stats(&mm);
    for (unsigned i = 0; i < fs_mount_count; i++)
        tmpfs += fs_mounts[i]->bytes_used;
    unsigned long total = mm.total_pages * 4, free = mm.free_pages * 4;
    const struct {
        const char *name;
        unsigned long kib;
    } lines[] = {{"MemTotal", total},
                 {"MemFree", free},
                 {"MemAvailable", free},
                 {"Buffers", 0},
                 {"Cached", tmpfs / 1024},
                 {"SwapCached", 0},
                 {"Active", total - free},
                 {"Inactive", 0},
                 {"SwapTotal", 0},
                 {"SwapFree", 0},
                 {"Dirty", 0},
                 {"Writeback", 0},
                 {"AnonPages", total - free},
                 {"Mapped", 0},
                 {"Shmem", tmpfs / 1024},
                 {"Slab", mm.heap_bytes / 1024},
                 {"SReclaimable", 0},
                 {"SUnreclaim", mm.heap_bytes / 1024},
                 {"CommitLimit", total},
                 {"Committed_AS", total - free},
                 {"VmallocTotal", 34359738367ul},
                 {"VmallocUsed", 0},
                 {"HugePages_Total", 0},
                 {"HugePages_Free", 0},
                 {"Hugepagesize", 2048}};
    for (unsigned i = 0; i < ARRAY_LEN(lines); i++) {
        char name[24];
        bool count = strncmp(lines[i].name, "HugePages_", 10) == 0;
        lib_snprintf(name, sizeof(name), "%s:", lines[i].name);
        proc_printf(b, "%-16s%8lu%s\n", name, lines[i].kib, count ? "" : " kB");
    }
    return 0;
}

static int show_cpuinfo(struct proc_buf *b)
{
    uint64_t base;
    uint32_t mult, shift;
    uint64_t offset;
    plat_clock_params(&base, &mult, &shift, &offset);
    // ns per tick is mult / 2^shift.
    unsigned long khz = mult ? (unsigned long)((1000000ull << shift) / mult) : 0;
    char text[1024];
    size_t n = arch_cpu_describe(text, sizeof(text));
    proc_printf(b, "processor\t: 0\n");
    proc_put(b, text, n);
    proc_printf(b, "cpu MHz\t\t: %lu.%03lu\nsiblings\t: 1\ncore id\t\t: 0\ncpu cores\t: 1\n",
                khz / 1000, khz % 1000);
    proc_printf(b, "bogomips\t: %lu.%02lu\n\n", khz / 500, khz / 5 % 100);
    return 0;
}

static int show_uptime(struct proc_buf *b)
{
    uint64_t cs = clock_monotonic_ns() / 10000000;
    proc_printf(b, "%lu.%02lu 0.00\n", (unsigned long)(cs / 100), (unsigned long)(cs % 100));
    return 0;
}

static int show_loadavg(struct proc_buf *b)
{
    int pid = procfs_current_pid ? procfs_current_pid() : 1;
    proc_printf(b, "0.00 0.00 0.00 1/1 %d\n", pid);
    return 0;
}

static int show_stat(struct proc_buf *b)
{
    unsigned long user = (unsigned long)(clock_monotonic_ns() / 10000000);
    uint64_t boot = (clock_realtime_ns() - clock_monotonic_ns()) / NSEC_PER_SEC;
    proc_printf(b, "cpu  %lu 0 0 0 0 0 0 0 0 0\ncpu0 %lu 0 0 0 0 0 0 0 0 0\n", user, user);
    proc_printf(b, "intr 0\nctxt %lu\nbtime %lu\nprocesses 1\nprocs_running 1\nprocs_blocked 0\n",
                (unsigned long)this_cpu()->switches, (unsigned long)boot);
    return 0;
}

static int show_version(struct proc_buf *b)
{
    proc_printf(b, "Linux version %s (lith) %s\n", FS_OSRELEASE, FS_OSVERSION);
    return 0;
}

static int show_filesystems(struct proc_buf *b)
{
    proc_printf(b, "nodev\tproc\nnodev\tsysfs\nnodev\ttmpfs\nnodev\tdevtmpfs\nnodev\toverlay\n"
                   "nodev\tpipefs\nnodev\tsockfs\n\terofs\n");
    return 0;
}

static ssize_t_k mount_point(const struct super *sb, char *buf, size_t size)
{
    const struct dentry *root = fs_mounts[0]->root;
    mutex_lock(&fs_lock);
    ssize_t_k n = dentry_path(sb->covered ? sb->covered : root, root, buf, size);
    mutex_unlock(&fs_lock);
    return n;
}

static int show_mounts(struct proc_buf *b)
{
    char path[256];
    for (unsigned i = 0; i < fs_mount_count; i++) {
        const struct super *sb = fs_mounts[i];
        if (mount_point(sb, path, sizeof(path)) > 0)
            proc_printf(b, "%s %s %s %s,relatime 0 0\n", sb->type, path, sb->type,
                        sb->read_only ? "ro" : "rw");
    }
    return 0;
}

static int show_mountinfo(struct proc_buf *b)
{
    char path[256];
    for (unsigned i = 0; i < fs_mount_count; i++) {
        const struct super *sb = fs_mounts[i];
        const char *mode = sb->read_only ? "ro" : "rw";
        if (mount_point(sb, path, sizeof(path)) > 0)
            proc_printf(b, "%u %u 0:%u / %s %s,relatime - %s %s %s\n", i + 20, i ? 20 : 1,
                        (unsigned)sb->dev, path, mode, sb->type, sb->type, mode);
    }
    return 0;
}

static int show_hostname(struct proc_buf *b)
{
    proc_printf(b, "%s\n", boot_config.hostname ? boot_config.hostname : "lith");
    return 0;
}

static int show_uuid(struct proc_buf *b)
{
    char uuid[37];
    make_uuid(uuid);
    proc_printf(b, "%s\n", uuid);
    return 0;
}

static int show_boot_id(struct proc_buf *b)
{
    if (!boot_id[0])
        make_uuid(boot_id);
    proc_printf(b, "%s\n", boot_id);
    return 0;
}

// Files that always say the same. A write is taken and changes nothing where Linux would take it
// from a superuser: such settings are advice.
#define CONSTANT(fn, text)                    \
    static int show_##fn(struct proc_buf *b)  \
    {                                         \
        proc_put(b, text "\n", sizeof(text)); \
        return 0;                             \
    }
CONSTANT(ostype, "Linux")
CONSTANT(osrelease, FS_OSRELEASE)
CONSTANT(osversion, FS_OSVERSION)
CONSTANT(domainname, "(none)")
CONSTANT(entropy, "256")
CONSTANT(pid_max, "4194304")
CONSTANT(threads_max, "32768")
CONSTANT(cap_last_cap, "40")
CONSTANT(overcommit, "1")
CONSTANT(max_map_count, "65530")
CONSTANT(swappiness, "0")
CONSTANT(mmap_min_addr, "65536")
CONSTANT(nr_hugepages, "0")
CONSTANT(file_max, "1048576")
CONSTANT(file_nr, "0\t0\t1048576")
CONSTANT(nr_open, "1048576")
CONSTANT(aio_max_nr, "65536")
CONSTANT(pipe_max_size, "1048576")
CONSTANT(protected_links, "1")
CONSTANT(inotify_max, "8192")
CONSTANT(swaps, "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority")
CONSTANT(core_pattern, "core")
CONSTANT(randomize_va_space, "2")
CONSTANT(cpus, "0")
CONSTANT(thp, "always madvise [never]")
CONSTANT(empty_line, "")

int procfs_register_files(void)
{
    static const struct {
        const char *path;
        int (*show)(struct proc_buf *b);
    } files[] = {
        {"cpuinfo", show_cpuinfo},
        {"meminfo", show_meminfo},
        {"uptime", show_uptime},
        {"loadavg", show_loadavg},
        {"stat", show_stat},
        {"version", show_version},
        {"filesystems", show_filesystems},
        {"swaps", show_swaps},
        {"cmdline", show_empty_line},
        {"self/mounts", show_mounts},
        {"self/mountinfo", show_mountinfo},
        {"sys/kernel/ostype", show_ostype},
        {"sys/kernel/osrelease", show_osrelease},
        {"sys/kernel/version", show_osversion},
        {"sys/kernel/hostname", show_hostname},
        {"sys/kernel/domainname", show_domainname},
        {"sys/kernel/random/uuid", show_uuid},
        {"sys/kernel/random/boot_id", show_boot_id},
        {"sys/kernel/random/entropy_avail", show_entropy},
        {"sys/kernel/random/poolsize", show_entropy},
        {"sys/kernel/pid_max", show_pid_max},
        {"sys/kernel/threads-max", show_threads_max},
        {"sys/kernel/cap_last_cap", show_cap_last_cap},
        {"sys/kernel/core_pattern", show_core_pattern},
        {"sys/kernel/randomize_va_space", show_randomize_va_space},
        {"sys/vm/overcommit_memory", show_overcommit},
        {"sys/vm/max_map_count", show_max_map_count},
        {"sys/vm/swappiness", show_swappiness},
        {"sys/vm/mmap_min_addr", show_mmap_min_addr},
        {"sys/vm/nr_hugepages", show_nr_hugepages},
        {"sys/fs/file-max", show_file_max},
        {"sys/fs/file-nr", show_file_nr},
        {"sys/fs/nr_open", show_nr_open},
        {"sys/fs/aio-max-nr", show_aio_max_nr},
        {"sys/fs/pipe-max-size", show_pipe_max_size},
        {"sys/fs/protected_hardlinks", show_protected_links},
        {"sys/fs/protected_symlinks", show_protected_links},
        {"sys/fs/inotify/max_user_watches", show_inotify_max},
    };
    static const struct {
        const char *path;
        int (*show)(struct proc_buf *b);
    } sys_files[] = {
        {"devices/system/cpu/online", show_cpus},
        {"devices/system/cpu/possible", show_cpus},
        {"devices/system/cpu/present", show_cpus},
        {"devices/system/node/online", show_cpus},
        {"kernel/mm/transparent_hugepage/enabled", show_thp},
    };
    int err = 0;
    for (unsigned i = 0; i < ARRAY_LEN(files) && !err; i++)
        err = procfs_add_default(files[i].path, files[i].show);
    for (unsigned i = 0; i < ARRAY_LEN(sys_files) && !err; i++)
        err = sysfs_add(sys_files[i].path, sys_files[i].show);
    return err ? err : procfs_add_link("mounts", "self/mounts");
}

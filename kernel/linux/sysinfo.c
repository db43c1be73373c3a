// SPDX-License-Identifier: ISC
// What programs ask about the system and themselves: names, memory, limits, usage, prctl, random
// numbers.
#include <linux/capability.h>
#include <linux/errno.h>
#include <linux/prctl.h>
#include <linux/random.h>
#include <linux/resource.h>
#include <linux/securebits.h>
#include <linux/sysinfo.h>
#include <linux/times.h>
#include <linux/utsname.h>
#include "linux/process.h"
#include "linux/timeutil.h"

#define CLOCK_TICKS     100 // what AT_CLKTCK says
#define LIMIT_FILES_MAX 1048576

static struct new_utsname names = {
    .sysname = "Linux",
    .release = FS_OSRELEASE,
    .version = FS_OSVERSION,
    .machine = "x86_64",
    .domainname = "(none)",
};

SYSCALL(63, uname, struct new_utsname *user)
{
    return put_user(user, &names);
}

static long set_name(char *field, const char *user, int len)
{
    char name[__NEW_UTS_LEN + 1] = {0};

    if (len < 0 || len > __NEW_UTS_LEN)
        return -EINVAL;
    if (copy_in(name, user, (size_t)len))
        return -EFAULT;
    memcpy(field, name, sizeof(name));
    return 0;
}

SYSCALL(170, sethostname, const char *user, int len)
{
    return set_name(names.nodename, user, len);
}

SYSCALL(171, setdomainname, const char *user, int len)
{
    return set_name(names.domainname, user, len);
}

SYSCALL(99, sysinfo, struct sysinfo *user)
{
    struct sysinfo s;
    struct mm_stats m;

    mm_stats(&m);
    memset(&s, 0, sizeof(s));
    s.uptime = (long)(clock_monotonic_ns() / NSEC_PER_SEC);
    s.totalram = m.total_pages * PAGE_SIZE;
    s.freeram = m.free_pages * PAGE_SIZE;
    s.procs = (uint16_t)MIN(current_process()->thread_count, 65535u);
    s.mem_unit = 1;
    return put_user(user, &s);
}

SYSCALL(309, getcpu, unsigned *cpu, unsigned *node, void *cache)
{
    unsigned zero = 0;

    (void)cache;
    if ((cpu && put_user(cpu, &zero)) || (node && put_user(node, &zero)))
        return -EFAULT;
    return 0;
}

SYSCALL(135, personality, unsigned persona)
{
    return persona == 0xffffffffu || persona == 0 ? 0 : -EINVAL;
}

// --- limits ---

static long change_limit(unsigned resource, const struct rlimit *new, struct rlimit *old)
{
    struct rlimit *l;

    if (resource >= RLIM_NLIMITS)
        return -EINVAL;
    l = &current_process()->limits[resource];
    if (old)
        *old = *l;
    if (!new)
        return 0;
    if (new->rlim_cur > new->rlim_max)
        return -EINVAL;
    if (resource == RLIMIT_NOFILE && new->rlim_max > LIMIT_FILES_MAX)
        return -EPERM;
    *l = *new;
    return 0;
}

SYSCALL(97, getrlimit, unsigned resource, struct rlimit *user)
{
    struct rlimit old;
    long err = change_limit(resource, NULL, &old);

    return err ? err : put_user(user, &old);
}

SYSCALL(160, setrlimit, unsigned resource, const struct rlimit *user)
{
    struct rlimit new;

    return get_user(&new, user) ? -EFAULT : change_limit(resource, &new, NULL);
}

SYSCALL(302, prlimit64, int pid, unsigned resource, const struct rlimit *user_new,
        struct rlimit *user_old)
{
    struct rlimit new, old;
    long err;

    if (pid && !linux_thread_find(pid))
        return -ESRCH;
    if (user_new && get_user(&new, user_new))
        return -EFAULT;
    err = change_limit(resource, user_new ? &new : NULL, &old);
    if (err)
        return err;
    return user_old ? put_user(user_old, &old) : 0;
}

// --- usage ---

SYSCALL(98, getrusage, int who, struct rusage *user)
{
    struct rusage u;
    struct process *p = current_process();
    uint64_t ns = 0, vsize, rss;

    if (who != RUSAGE_SELF && who != RUSAGE_CHILDREN && who != RUSAGE_THREAD)
        return -EINVAL;
    memset(&u, 0, sizeof(u));
    if (who != RUSAGE_CHILDREN) {
        ns = who == RUSAGE_SELF ? process_cpu_ns(p) : thread_cpu_ns(thread_current());
        mm_space_usage(p->mm, &vsize, &rss);
        u.ru_maxrss = (long)(rss / 1024);
        u.ru_nvcsw = (long)this_cpu()->switches;
    }
    // Kernel calls are calls: their time is not told apart from the program's own.
    u.ru_utime.tv_sec = (long)(ns / NSEC_PER_SEC);
    u.ru_utime.tv_usec = (long)(ns % NSEC_PER_SEC / NSEC_PER_USEC);
    return put_user(user, &u);
}

SYSCALL(100, times, struct tms *user)
{
    struct tms t = {0};

    t.tms_utime = (long)(process_cpu_ns(current_process()) / (NSEC_PER_SEC / CLOCK_TICKS));
    if (user && put_user(user, &t))
        return -EFAULT;
    return (long)(clock_monotonic_ns() / (NSEC_PER_SEC / CLOCK_TICKS));
}

// --- random numbers ---

SYSCALL(318, getrandom, void *user, size_t len, unsigned flags)
{
    uint8_t buf[256];
    size_t done = 0;

    if ((flags & ~(GRND_NONBLOCK | GRND_RANDOM | GRND_INSECURE)) ||
        (flags & (GRND_RANDOM | GRND_INSECURE)) == (GRND_RANDOM | GRND_INSECURE))
        return -EINVAL;
    len = MIN(len, (size_t)INT32_MAX);
    while (done < len) {
        size_t n = MIN(len - done, sizeof(buf));

        random_bytes(buf, n);
        if (copy_out((char *)user + done, buf, n))
            return done ? (long)done : -EFAULT;
        done += n;
        if (done % 65536 == 0) {
            sched_cond_resched();
            if (thread_current()->signal_pending)
                break;
        }
    }
    memset(buf, 0, sizeof(buf));
    barrier();
    return (long)done;
}

// --- prctl ---

static long set_thread_name(const char *user)
{
    char name[16] = {0};
    long n = strncpy_in(name, user, sizeof(name));

    if (n < 0 && n != -ENAMETOOLONG)
        return n;
    name[sizeof(name) - 1] = '\0';
    lib_strlcpy(thread_current()->name, name, sizeof(name));
    if (current_lt()->tid == current_process()->pid)
        lib_strlcpy(current_process()->comm, name, sizeof(name));
    return 0;
}

static long get_thread_name(char *user)
{
    char name[16] = {0};

    lib_strlcpy(name, thread_current()->name, sizeof(name));
    return copy_out(user, name, sizeof(name));
}

static struct {
    int death_signal, keep_caps, no_new_privs, subreaper;
} settings;

SYSCALL(157, prctl, int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)
{
    struct process *p = current_process();

    (void)c;
    (void)d;
    switch (option) {
    case PR_SET_NAME:
        return set_thread_name((const char *)a);
    case PR_GET_NAME:
        return get_thread_name((char *)a);
    case PR_SET_PDEATHSIG:
        if (a > PROC_NSIG)
            return -EINVAL;
        settings.death_signal = (int)a;
        return 0;
    case PR_GET_PDEATHSIG:
        return put_user((int *)a, &settings.death_signal);
    case PR_GET_DUMPABLE:
        return p->dumpable;
    case PR_SET_DUMPABLE:
        if (a > 1)
            return -EINVAL;
        p->dumpable = (int)a;
        return 0;
    case PR_GET_KEEPCAPS:
        return settings.keep_caps;
    case PR_SET_KEEPCAPS:
        if (a > 1)
            return -EINVAL;
        settings.keep_caps = (int)a;
        return 0;
    case PR_SET_NO_NEW_PRIVS:
        if (a != 1 || b)
            return -EINVAL;
        settings.no_new_privs = 1;
        return 0;
    case PR_GET_NO_NEW_PRIVS:
        return settings.no_new_privs;
    case PR_CAPBSET_READ:
    case PR_CAPBSET_DROP:
        return a > CAP_LAST_CAP ? -EINVAL : option == PR_CAPBSET_READ;
    case PR_CAP_AMBIENT:
        return a == PR_CAP_AMBIENT_IS_SET || a == PR_CAP_AMBIENT_LOWER ||
                       a == PR_CAP_AMBIENT_CLEAR_ALL
                   ? 0
                   : -EPERM;
    case PR_GET_SECUREBITS:
        return SECUREBITS_DEFAULT;
    case PR_SET_TIMERSLACK:
        timer_slack_ns = a ? a : TIMER_SLACK_DEFAULT_NS;
        return 0;
    case PR_GET_TIMERSLACK:
        return (long)timer_slack_ns;
    case PR_SET_CHILD_SUBREAPER:
        settings.subreaper = a != 0;
        return 0;
    case PR_GET_CHILD_SUBREAPER:
        return put_user((int *)a, &settings.subreaper);
    case PR_SET_PTRACER: // nobody traces
    case PR_SET_THP_DISABLE:
        return 0;
    case PR_GET_THP_DISABLE:
    case PR_GET_SECCOMP:
        return 0;
    default: // PR_SET_VMA among them: mappings carry no names of the program's choice
        return -EINVAL;
    }
}

static int sysinfo_init(void)
{
    lib_strlcpy(names.nodename, boot_config.hostname ? boot_config.hostname : "lith",
                sizeof(names.nodename));
    return 0;
}
INIT_RECORD(INIT_LINUX, sysinfo_init, sys_uname);

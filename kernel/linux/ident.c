// SPDX-License-Identifier: ISC
// Who the process is: user and group numbers, groups, capabilities, process groups and sessions.
// Inside an instance nothing is gated by them (DESIGN.md section 9): they are recorded, with
// Linux's rules for changing them, so that programs that drop privileges find that they did.
#include <linux/capability.h>
#include <linux/errno.h>
#include "linux/process.h"

#define GROUPS_MAX 64 // Linux allows 65536; nobody has more than a few
#define UNCHANGED  0xffffffffu
#define ALL_CAPS   ((1ull << (CAP_LAST_CAP + 1)) - 1)

struct ids {
    uint32_t real, effective, saved, fs;
};

struct creds {
    struct ids uid, gid;
    uint32_t groups[GROUPS_MAX];
    unsigned group_count;
    uint64_t permitted, effective, inheritable;
};

static struct creds init_creds;

static struct creds *creds(void)
{
    struct process *p = current_process();
    struct creds *c = p->creds;

    if (c)
        return c;
    c = p->creds = &init_creds; // of the only process
    c->uid = (struct ids){p->uid, p->uid, p->uid, p->uid};
    c->gid = (struct ids){p->gid, p->gid, p->gid, p->gid};
    c->permitted = c->effective = p->uid == 0 ? ALL_CAPS : 0;
    return c;
}

static bool is_root(const struct creds *c)
{
    return c->effective & 1ull << CAP_SETUID;
}

// After any change of user numbers: root's capabilities go with the last number 0
// (capabilities(7)).
static void uid_changed(struct creds *c, const struct ids *old)
{
    bool was = !old->real || !old->effective || !old->saved;
    bool now = !c->uid.real || !c->uid.effective || !c->uid.saved;

    if (was && !now)
        c->permitted = c->effective = 0;
    else if (!old->effective && c->uid.effective)
        c->effective = 0;
    else if (old->effective && !c->uid.effective)
        c->effective = c->permitted;
    current_process()->uid = c->uid.real;
}

static bool has_id(const struct ids *i, uint32_t id)
{
    return id == i->real || id == i->effective || id == i->saved;
}

static long set_res(struct ids *i, bool root, uint32_t real, uint32_t effective, uint32_t saved)
{
    uint32_t want[3] = {real, effective, saved};

    for (unsigned n = 0; n < 3; n++)
        if (want[n] != UNCHANGED && !root && !has_id(i, want[n]))
            return -EPERM;
    if (real != UNCHANGED)
        i->real = real;
    if (effective != UNCHANGED)
        i->effective = i->fs = effective;
    if (saved != UNCHANGED)
        i->saved = saved;
    return 0;
}

static long set_one(struct ids *i, bool root, uint32_t id)
{
    if (id == UNCHANGED)
        return -EINVAL;
    if (root) {
        *i = (struct ids){id, id, id, id};
        return 0;
    }
    if (id != i->real && id != i->saved)
        return -EPERM;
    i->effective = i->fs = id;
    return 0;
}

static long set_re(struct ids *i, bool root, uint32_t real, uint32_t effective)
{
    uint32_t old_real = i->real;
    long err;

    if (real != UNCHANGED && !root && real != i->real && real != i->effective)
        return -EPERM;
    err = set_res(i, root, real, effective, UNCHANGED);
    if (!err && (real != UNCHANGED || (effective != UNCHANGED && effective != old_real)))
        i->saved = i->effective;
    return err;
}

static long finish_uid(struct creds *c, const struct ids *old, long err)
{
    if (!err)
        uid_changed(c, old);
    return err;
}

static long finish_gid(const struct creds *c, long err)
{
    if (!err)
        current_process()->gid = c->gid.real;
    return err;
}

SYSCALL(102, getuid, void)
{
    return creds()->uid.real;
}

SYSCALL(104, getgid, void)
{
    return creds()->gid.real;
}

SYSCALL(107, geteuid, void)
{
    return creds()->uid.effective;
}

SYSCALL(108, getegid, void)
{
    return creds()->gid.effective;
}

SYSCALL(105, setuid, uint32_t uid)
{
    struct creds *c = creds();
    struct ids old = c->uid;

    return finish_uid(c, &old, set_one(&c->uid, is_root(c), uid));
}

SYSCALL(106, setgid, uint32_t gid)
{
    struct creds *c = creds();

    return finish_gid(c, set_one(&c->gid, is_root(c), gid));
}

SYSCALL(113, setreuid, uint32_t real, uint32_t effective)
{
    struct creds *c = creds();
    struct ids old = c->uid;

    return finish_uid(c, &old, set_re(&c->uid, is_root(c), real, effective));
}

SYSCALL(114, setregid, uint32_t real, uint32_t effective)
{
    struct creds *c = creds();

    return finish_gid(c, set_re(&c->gid, is_root(c), real, effective));
}

SYSCALL(117, setresuid, uint32_t real, uint32_t effective, uint32_t saved)
{
    struct creds *c = creds();
    struct ids old = c->uid;

    return finish_uid(c, &old, set_res(&c->uid, is_root(c), real, effective, saved));
}

SYSCALL(119, setresgid, uint32_t real, uint32_t effective, uint32_t saved)
{
    struct creds *c = creds();

    return finish_gid(c, set_res(&c->gid, is_root(c), real, effective, saved));
}

static long put_res(const struct ids *i, uint32_t *real, uint32_t *effective, uint32_t *saved)
{
    return put_user(real, &i->real) || put_user(effective, &i->effective) ||
                   put_user(saved, &i->saved)
               ? -EFAULT
               : 0;
}

SYSCALL(118, getresuid, uint32_t *real, uint32_t *effective, uint32_t *saved)
{
    return put_res(&creds()->uid, real, effective, saved);
}

SYSCALL(120, getresgid, uint32_t *real, uint32_t *effective, uint32_t *saved)
{
    return put_res(&creds()->gid, real, effective, saved);
}

static long set_fs_id(struct ids *i, bool root, uint32_t id)
{
    uint32_t old = i->fs;

    if (id != UNCHANGED && (root || has_id(i, id) || id == i->fs))
        i->fs = id;
    return old;
}

SYSCALL(122, setfsuid, uint32_t uid)
{
    struct creds *c = creds();

    return set_fs_id(&c->uid, is_root(c), uid);
}

SYSCALL(123, setfsgid, uint32_t gid)
{
    struct creds *c = creds();

    return set_fs_id(&c->gid, is_root(c), gid);
}

SYSCALL(115, getgroups, int size, uint32_t *list)
{
    const struct creds *c = creds();

    if (size < 0 || (size && (unsigned)size < c->group_count))
        return -EINVAL;
    if (size && copy_out(list, c->groups, c->group_count * sizeof(c->groups[0])))
        return -EFAULT;
    return c->group_count;
}

SYSCALL(116, setgroups, unsigned size, const uint32_t *list)
{
    struct creds *c = creds();
    uint32_t groups[GROUPS_MAX];

    if (!is_root(c))
        return -EPERM;
    if (size > GROUPS_MAX)
        return -EINVAL;
    if (copy_in(groups, list, size * sizeof(groups[0])))
        return -EFAULT;
    memcpy(c->groups, groups, size * sizeof(groups[0]));
    c->group_count = size;
    return 0;
}

// --- capabilities ---

// Number of 32-bit words per set in the caller's version, or -EINVAL (with ours written back).
static int cap_words(cap_user_header_t user, struct __user_cap_header_struct *h)
{
    if (copy_in(h, user, sizeof(*h)))
        return -EFAULT;
    if (h->version == _LINUX_CAPABILITY_VERSION_1)
        return 1;
    if (h->version == _LINUX_CAPABILITY_VERSION_2 || h->version == _LINUX_CAPABILITY_VERSION_3)
        return 2;
    h->version = _LINUX_CAPABILITY_VERSION_3;
    return copy_out(user, h, sizeof(*h)) ? -EFAULT : -EINVAL;
}

SYSCALL(125, capget, cap_user_header_t user_header, cap_user_data_t user_data)
{
    struct __user_cap_header_struct h;
    struct __user_cap_data_struct d[2];
    const struct creds *c = creds();
    int words = cap_words(user_header, &h);

    if (words < 0)
        return words == -EINVAL && !user_data ? 0 : words;
    if (h.pid && !linux_thread_find(h.pid))
        return -ESRCH;
    for (int i = 0; i < 2; i++)
        d[i] = (struct __user_cap_data_struct){(uint32_t)(c->effective >> 32 * i),
                                               (uint32_t)(c->permitted >> 32 * i),
                                               (uint32_t)(c->inheritable >> 32 * i)};
    return copy_out(user_data, d, (size_t)words * sizeof(d[0]));
}

SYSCALL(126, capset, cap_user_header_t user_header, const cap_user_data_t user_data)
{
    struct __user_cap_header_struct h;
    struct __user_cap_data_struct d[2] = {{0}};
    struct creds *c = creds();
    int words = cap_words(user_header, &h);
    uint64_t effective, permitted, inheritable;

    if (words < 0)
        return words;
    if (h.pid && h.pid != current_lt()->tid)
        return -EPERM;
    if (copy_in(d, user_data, (size_t)words * sizeof(d[0])))
        return -EFAULT;
    effective = (d[0].effective | (uint64_t)d[1].effective << 32) & ALL_CAPS;
    permitted = (d[0].permitted | (uint64_t)d[1].permitted << 32) & ALL_CAPS;
    inheritable = (d[0].inheritable | (uint64_t)d[1].inheritable << 32) & ALL_CAPS;
    if ((permitted & ~c->permitted) || (effective & ~permitted))
        return -EPERM;
    c->effective = effective;
    c->permitted = permitted;
    c->inheritable = inheritable;
    return 0;
}

// --- process groups and sessions: there is one of each ---

static bool is_self(int pid)
{
    return pid == 0 || pid == current_process()->pid;
}

SYSCALL(111, getpgrp, void)
{
    return current_process()->pgid;
}

SYSCALL(121, getpgid, int pid)
{
    return is_self(pid) ? current_process()->pgid : -ESRCH;
}

SYSCALL(124, getsid, int pid)
{
    return is_self(pid) ? current_process()->sid : -ESRCH;
}

SYSCALL(109, setpgid, int pid, int pgid)
{
    struct process *p = current_process();

    if (pgid < 0)
        return -EINVAL;
    if (!is_self(pid))
        return -ESRCH;
    // The leader of a session, which process 1 is, stays in its group.
    return p->sid == p->pid ? -EPERM : pgid && pgid != p->pid ? -EPERM : 0;
}

SYSCALL(112, setsid, void)
{
    struct process *p = current_process();

    if (p->pgid == p->pid)
        return -EPERM;
    return p->pgid = p->sid = p->pid;
}

// SPDX-License-Identifier: ISC
// Memory calls: mmap and its family over mm's address spaces. The checks that need a file or the
// calling thread are here, those of addresses and rights in mm. Nothing is ever swapped out, so
// locking memory means making it present.
#include <asm-generic/errno.h>
#include <linux/fcntl.h>
#include <linux/membarrier.h>
#include <linux/mempolicy.h>
#include <linux/mman.h>
#include "linux/process.h"

#ifndef MAP_32BIT
#define MAP_32BIT 0x40
#endif
#define MCL_KNOWN     (MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT)
#define LOW_MAP_FIRST 0x40000000ul // MAP_32BIT looks for room in [1 GiB, 2 GiB), as Linux
#define LOW_MAP_END   0x80000000ul

static struct mm_space *space(void)
{
    return current_process()->mm;
}

// Rounds a length up to pages: false if it wraps or leaves the programs' range.
static bool page_span(uint64_t addr, uint64_t len, uint64_t *span)
{
    if (len > LITH_USER_END || addr > LITH_USER_END)
        return false;
    *span = ALIGN_UP(len, PAGE_SIZE);
    return *span <= LITH_USER_END - addr;
}

// --- mmap ---

static long map_low(uint64_t len, int prot, int flags, struct vm_object *o, uint64_t off)
{
    static struct mm_area_info area; // too large for the stack; nothing sleeps between uses
    uint64_t at = LOW_MAP_FIRST;
    if (len > LOW_MAP_END - LOW_MAP_FIRST)
        return -ENOMEM;
    while (mm_next_area(space(), at, &area) && area.start < at + len)
        at = area.end;
    if (at + len > LOW_MAP_END)
        return -ENOMEM;
    return mm_map(space(), at, len, prot, flags | MAP_FIXED_NOREPLACE, o, off);
}

// The object of a file to be mapped, with a reference; *flags gains what the file's mode implies.
static int object_of_file(struct file *f, int prot, int *flags, struct vm_object **o)
{
    bool shared = (*flags & MAP_TYPE) != MAP_PRIVATE;
    int mode = f->flags & O_ACCMODE;
    if (f->flags & O_PATH)
        return -EBADF;
    if (mode == O_WRONLY || (shared && (prot & PROT_WRITE) && mode != O_RDWR))
        return -EACCES;
    if (!f->ops->map_object)
        return -ENODEV;
    if (*flags & MAP_GROWSDOWN)
        return -EINVAL;
    if (shared && mode != O_RDWR)
        *flags |= MM_MAP_NOWRITE;
    return f->ops->map_object(f, o, prot, *flags);
}

SYSCALL(9, mmap, uint64_t addr, uint64_t len, int prot, int flags, int fd, uint64_t off)
{
    struct vm_object *o = NULL;
    const int known = MAP_TYPE | MAP_FIXED | MAP_ANONYMOUS | MAP_32BIT | MAP_GROWSDOWN |
                      MAP_DENYWRITE | MAP_EXECUTABLE | MAP_LOCKED | MAP_NORESERVE | MAP_POPULATE |
                      MAP_NONBLOCK | MAP_STACK | MAP_HUGETLB | MAP_FIXED_NOREPLACE;
    if (!IS_ALIGNED(off, PAGE_SIZE))
        return -EINVAL;
    // Only MAP_SHARED_VALIDATE refuses what it does not know (MAP_SYNC among it).
    if ((flags & MAP_TYPE) == MAP_SHARED_VALIDATE && (flags & ~known))
        return -EOPNOTSUPP;
    flags &= known;
    if (flags & MAP_HUGETLB)
        return -ENOMEM; // as a Linux without reserved huge pages
    if (!(flags & MAP_ANONYMOUS)) {
        struct file *f = fget(fd);
        if (!f)
            return -EBADF;
        if (len == 0) { // before the file's own objections, as Linux
            file_unref(f);
            return -EINVAL;
        }
        int err = object_of_file(f, prot, &flags, &o);
        file_unref(f);
        if (err)
            return err;
    }
    long at = -ENOMEM;
    uint64_t span;
    if ((flags & MAP_32BIT) && !(flags & (MAP_FIXED | MAP_FIXED_NOREPLACE))) {
        if (page_span(0, len, &span))
            at = map_low(span, prot, flags, o, off);
    } else {
        at = mm_map(space(), addr, len, prot, flags, o, off);
    }
    if (o)
        o->ops->unref(o); // the mapping has its own
    return at;
}

// A thread may take away the stack that it runs on (the end of a detached one does).
static void mind_stack(uint64_t addr, uint64_t len)
{
    struct regs *r = arch_user_regs();
    if (r->rsp - 8 - addr < len)
        arch_regs_stack_gone(r);
}

SYSCALL(11, munmap, uint64_t addr, uint64_t len)
{
    mind_stack(addr, len);
    return mm_unmap(space(), addr, len);
}

SYSCALL(10, mprotect, uint64_t addr, uint64_t len, int prot)
{
    mind_stack(addr, len);
    // PROT_GROWSDOWN extends the change to the start of a growing stack: glibc asks for it when a
    // library wants an executable stack, which W^X refuses anyway.
    return mm_protect(space(), addr, len, prot);
}

SYSCALL(25, mremap, uint64_t old, uint64_t old_len, uint64_t new_len, int flags, uint64_t new_addr)
{
    mind_stack(old, old_len);
    return mm_remap(space(), old, old_len, new_len, flags, new_addr);
}

SYSCALL(28, madvise, uint64_t addr, uint64_t len, int advice)
{
    return mm_advise(space(), addr, len, advice);
}

SYSCALL(12, brk, uint64_t brk)
{
    return mm_brk(space(), brk);
}

SYSCALL(26, msync, uint64_t addr, uint64_t len, int flags)
{
    uint64_t span;
    if ((flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC)) ||
        (flags & (MS_ASYNC | MS_SYNC)) == (MS_ASYNC | MS_SYNC) || !IS_ALIGNED(addr, PAGE_SIZE))
        return -EINVAL;
    if (!page_span(addr, len, &span))
        return -ENOMEM;
    return mm_sync(space(), addr, span);
}

SYSCALL(27, mincore, uint64_t addr, uint64_t len, unsigned char *vec)
{
    uint64_t span;
    if (!IS_ALIGNED(addr, PAGE_SIZE))
        return -EINVAL;
    if (!page_span(addr, len, &span))
        return -ENOMEM;
    if (!user_range_ok(vec, span >> PAGE_SHIFT))
        return -EFAULT;
    for (uint64_t i = 0; i < span >> PAGE_SHIFT; i++) {
        int r = mm_is_resident(space(), addr + (i << PAGE_SHIFT));
        unsigned char byte = r > 0;
        if (r < 0)
            return r;
        if (copy_out(vec + i, &byte, 1))
            return -EFAULT;
    }
    return 0;
}

// --- locking ---

static long lock_range(uint64_t addr, uint64_t len, bool on_fault)
{
    uint64_t span;
    len += addr & (PAGE_SIZE - 1);
    addr = ALIGN_DOWN(addr, PAGE_SIZE);
    if (len == 0)
        return 0;
    if (!page_span(addr, len, &span))
        return -ENOMEM;
    for (uint64_t at = addr; at < addr + span; at += PAGE_SIZE) {
        if (mm_is_resident(space(), at) < 0)
            return -ENOMEM;
    }
    if (on_fault)
        return 0;
    int rc = mm_populate(space(), addr, span, false);
    return rc == -EACCES || rc == -EFAULT || rc == -ENXIO ? -ENOMEM : rc;
}

SYSCALL(149, mlock, uint64_t addr, uint64_t len)
{
    return lock_range(addr, len, false);
}

SYSCALL(325, mlock2, uint64_t addr, uint64_t len, int flags)
{
    return flags & ~MLOCK_ONFAULT ? -EINVAL : lock_range(addr, len, flags & MLOCK_ONFAULT);
}

SYSCALL(150, munlock, uint64_t addr, uint64_t len)
{
    return lock_range(addr, len, true);
}

SYSCALL(151, mlockall, int flags)
{
    // What is present stays present; what comes later comes at its first use.
    return !flags || (flags & ~MCL_KNOWN) || flags == MCL_ONFAULT ? -EINVAL : 0;
}

SYSCALL(152, munlockall, void)
{
    return 0;
}

// --- barriers, protection keys, memory policy ---

SYSCALL(324, membarrier, int cmd, unsigned flags, int cpu)
{
    // One CPU at a time runs the process's threads, and switching is a barrier.
    static bool registered;
    (void)cpu;
    if (flags)
        return -EINVAL;
    switch (cmd) {
    case MEMBARRIER_CMD_QUERY:
        return MEMBARRIER_CMD_GLOBAL | MEMBARRIER_CMD_PRIVATE_EXPEDITED |
               MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED;
    case MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED:
        registered = true;
        return 0;
    case MEMBARRIER_CMD_PRIVATE_EXPEDITED:
        if (!registered)
            return -EPERM;
        __sync_synchronize();
        return 0;
    case MEMBARRIER_CMD_GLOBAL:
        __sync_synchronize();
        return 0;
    default:
        return -EINVAL;
    }
}

// As a Linux whose CPU has no protection keys.
SYSCALL(330, pkey_alloc, unsigned flags, unsigned rights)
{
    return flags || (rights & ~3u) ? -EINVAL : -ENOSPC;
}

SYSCALL(331, pkey_free, int key)
{
    (void)key;
    return -EINVAL;
}

SYSCALL(329, pkey_mprotect, uint64_t addr, uint64_t len, int prot, int key)
{
    return key == -1 ? mm_protect(space(), addr, len, prot) : -EINVAL;
}

// One memory node, 0. 0 or -errno; *any: the mask names a node.
static int node_mask_in(const unsigned long *user, unsigned long max_node, bool *any)
{
    *any = false;
    if (!user || max_node <= 1)
        return 0;
    if (max_node > 8 * PAGE_SIZE)
        return -EINVAL;
    for (unsigned long i = 0; i * 64 < max_node - 1; i++) { // Linux reads max_node - 1 bits
        unsigned long word, left = max_node - 1 - i * 64;
        if (get_user(&word, user + i))
            return -EFAULT;
        if (left < 64)
            word &= (1ul << left) - 1;
        if (word & ~(i ? 0 : 1ul))
            return -EINVAL;
        *any |= word != 0;
    }
    return 0;
}

static long check_policy(int mode, const unsigned long *mask, unsigned long max_node)
{
    bool any;
    int err = node_mask_in(mask, max_node, &any);
    if (err)
        return err;
    switch (mode & ~MPOL_MODE_FLAGS) {
    case MPOL_DEFAULT:
    case MPOL_LOCAL:
        return any ? -EINVAL : 0;
    case MPOL_PREFERRED:
        return 0;
    case MPOL_BIND:
    case MPOL_INTERLEAVE:
        return any ? 0 : -EINVAL;
    default:
        return -EINVAL;
    }
}

// With one node every policy is kept by doing nothing; get_mempolicy tells the default.
SYSCALL(238, set_mempolicy, int mode, const unsigned long *mask, unsigned long max_node)
{
    return check_policy(mode, mask, max_node);
}

SYSCALL(237, mbind, uint64_t addr, uint64_t len, int mode, const unsigned long *mask,
        unsigned long max_node, unsigned flags)
{
    uint64_t span;
    if (!IS_ALIGNED(addr, PAGE_SIZE) || (flags & ~7u))
        return -EINVAL;
    if (!page_span(addr, len, &span))
        return -EINVAL;
    return check_policy(mode, mask, max_node);
}

SYSCALL(239, get_mempolicy, int *mode, unsigned long *mask, unsigned long max_node, uint64_t addr,
        unsigned long flags)
{
    int policy = MPOL_DEFAULT;
    unsigned long nodes = 0;
    if (flags & ~(unsigned long)(MPOL_F_NODE | MPOL_F_ADDR | MPOL_F_MEMS_ALLOWED))
        return -EINVAL;
    if (flags & MPOL_F_MEMS_ALLOWED) {
        if (flags & (MPOL_F_NODE | MPOL_F_ADDR))
            return -EINVAL;
        nodes = 1;
    }
    if ((flags & MPOL_F_ADDR) && mm_is_resident(space(), addr) < 0)
        return -EFAULT;
    if (!(flags & MPOL_F_ADDR) && addr)
        return -EINVAL;
    if ((flags & MPOL_F_NODE) && !(flags & MPOL_F_ADDR))
        return -EINVAL;                  // only of an interleaving policy
    if (mode && put_user(mode, &policy)) // the node's number, 0, or the policy, 0
        return -EFAULT;
    if (!mask)
        return 0;
    if (max_node < 2)
        return -EINVAL;
    size_t words = (MIN(max_node - 1, 8 * PAGE_SIZE) + 63) / 64;
    if (zero_out(mask, words * sizeof(*mask)) || put_user(mask, &nodes))
        return -EFAULT;
    return 0;
}

// SPDX-License-Identifier: ISC
// Page faults of programs, and of the kernel when it touches a program's memory, go to mm. What mm
// does not resolve becomes a signal (sigframe.c) or EFAULT. And /proc/self/maps, smaps and
// /proc/vmstat.
#include <asm-generic/errno.h>
#include <linux/mman.h>
#include "linux/process.h"

static bool page_fault(uint64_t addr, bool write, bool exec, struct regs *r, bool from_user)
{
    (void)r, (void)from_user;
    return mm_current && mm_fault(mm_current, addr, write, exec) == 0;
}

// --- /proc/self/maps, smaps ---

static void show_area(struct proc_buf *b, const struct mm_area_info *a)
{
    size_t start = b->len;
    proc_printf(b, "%08lx-%08lx %c%c%c%c %08lx 00:%02x %lu", (unsigned long)a->start,
                (unsigned long)a->end, a->prot & PROT_READ ? 'r' : '-',
                a->prot & PROT_WRITE ? 'w' : '-', a->prot & PROT_EXEC ? 'x' : '-',
                a->flags & MAP_SHARED ? 's' : 'p', (unsigned long)a->off, a->ino ? 1u : 0u,
                (unsigned long)a->ino);
    if (a->name[0])
        proc_printf(b, "%*s %s", (int)(72 - MIN(b->len - start, (size_t)72)), "", a->name);
    proc_printf(b, "\n");
}

static int show_all(struct proc_buf *b,
                    void (*more)(struct proc_buf *, const struct mm_area_info *))
{
    struct mm_area_info *a = kmalloc(sizeof(*a));
    if (!a)
        return -ENOMEM;
    for (uint64_t at = 0; mm_next_area(current_process()->mm, at, a); at = a->end) {
        show_area(b, a);
        if (more)
            more(b, a);
    }
    kfree(a);
    return 0;
}

static int show_maps(struct proc_buf *b)
{
    return show_all(b, NULL);
}

static void show_sizes(struct proc_buf *b, const struct mm_area_info *a)
{
    unsigned long rss = (unsigned long)a->resident_pages * (PAGE_SIZE / 1024);
    bool shared = (a->flags & MAP_SHARED) || (a->ino && !(a->prot & PROT_WRITE));
    proc_printf(
        b,
        "Size:           %8lu kB\nKernelPageSize:        4 kB\nMMUPageSize:           4 kB\n"
        "Rss:            %8lu kB\nPss:            %8lu kB\n",
        (unsigned long)(a->end - a->start) / 1024, rss, rss);
    proc_printf(
        b,
        "Shared_Clean:   %8lu kB\nShared_Dirty:          0 kB\nPrivate_Clean:         0 kB\n"
        "Private_Dirty:  %8lu kB\nReferenced:     %8lu kB\nAnonymous:      %8lu kB\n"
        "Swap:                  0 kB\nLocked:                0 kB\n",
        shared ? rss : 0, shared ? 0 : rss, rss, shared ? 0 : rss);
}

static int show_smaps(struct proc_buf *b)
{
    return show_all(b, show_sizes);
}

static int show_vmstat(struct proc_buf *b)
{
    struct mm_stats st;
    mm_stats(&st);
    proc_printf(b, "nr_free_pages %lu\npgfault %lu\npgmajfault 0\nlith_pages_ahead %lu\n",
                (unsigned long)st.free_pages, (unsigned long)st.faults,
                (unsigned long)st.ahead_pages);
    return 0;
}

int procfs_fill_memory(void)
{
    int err = procfs_add("self/maps", show_maps, NULL);
    if (!err)
        err = procfs_add("self/smaps", show_smaps, NULL);
    return err ? err : procfs_add("vmstat", show_vmstat, NULL);
}

static int memory_init(void)
{
    arch_page_fault_hook = page_fault;
    return 0;
}
INIT_RECORD_ALWAYS(INIT_LINUX, memory_init);

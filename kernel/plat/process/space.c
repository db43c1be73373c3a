// SPDX-License-Identifier: ISC
// The address space of machine "process": what the page tables record, the host is told by mmap,
// mprotect and munmap. A host call costs 2 us and more, so a mapping is noted first, and joined
// with those that continue it; what is noted is told before anything else changes, and at the
// latest when somebody touches it (space_settle).
#include "plat/process/process.h"

#define HOST_PROT_READ   1u
#define HOST_PROT_WRITE  2u
#define HOST_PROT_EXEC   4u
#define HOST_MAP_SHARED  1u
#define HOST_MAP_FIXED   0x10u
#define HOST_ADDRESS_END 0x7ffffffff000ull

static struct run {
    uint64_t va, pa, len;
    unsigned prot;
} noted; // len 0: nothing
static uint64_t root_pa, root_end;

static void refused(const char *what, long error)
{
    static const char text[] = "lith: the host refuses to change the address space: ";
    plat_console_write(text, sizeof(text) - 1, 2);
    plat_console_write(what, strlen(what), 2);
    if (error == -12)
        what = " (no memory, or more pieces than its vm.max_map_count)\n";
    else
        what = "\n";
    plat_console_write(what, strlen(what), 2);
    plat_exit(134);
}

static uint64_t host_prot(unsigned prot)
{
    return (prot & PLAT_READ ? HOST_PROT_READ : 0) | (prot & PLAT_WRITE ? HOST_PROT_WRITE : 0) |
           (prot & PLAT_EXEC ? HOST_PROT_EXEC : 0);
}

static void tell(void)
{
    struct run r = noted;
    noted.len = 0;
    if (!r.len)
        return;
    plat_stats->host_mmap++;
    bool root = r.pa >= root_pa && r.pa < root_end;
    long rc = host_call(HOST_MMAP, r.va, r.len, host_prot(r.prot), HOST_MAP_SHARED | HOST_MAP_FIXED,
                        (uint64_t)(root ? process_files.root_fd : process_files.ram_fd),
                        root ? r.pa - root_pa : r.pa);
    if (rc < 0)
        refused("mmap", rc);
}

static void space_map(uint64_t va, uint64_t pa, uint64_t len, unsigned prot)
{
    // RAM and root file are not neighbours: a run is of one of them.
    if (noted.len && va == noted.va + noted.len && pa == noted.pa + noted.len &&
        prot == noted.prot) {
        noted.len += len;
        return;
    }
    tell();
    noted = (struct run){va, pa, len, prot};
    if (va >= LITH_USER_END) // kernel stacks: a fault could not be handled on one
        tell();
}

static void space_protect(uint64_t va, uint64_t len, unsigned prot)
{
    tell();
    plat_stats->host_mprotect++;
    long rc = host_call(HOST_MPROTECT, va, len, host_prot(prot), 0, 0, 0);
    if (rc < 0)
        refused("mprotect", rc);
}

static void space_unmap(uint64_t va, uint64_t len)
{
    tell();
    plat_stats->host_munmap++;
    long rc = host_call(HOST_MUNMAP, va, len, 0, 0, 0, 0);
    if (rc < 0)
        refused("munmap", rc);
}

bool space_settle(uint64_t addr)
{
    if (!noted.len || addr - noted.va >= noted.len)
        return false;
    tell();
    return true;
}

static void unmap_between(uint64_t start, uint64_t end)
{
    if (start < end)
        host_call(HOST_MUNMAP, start, end - start, 0, 0, 0, 0);
}

void space_start(const struct lith_boot *boot)
{
    static const struct plat_mirror mirror = {space_map, space_protect, space_unmap, tell};
    uint64_t direct_end = 0;
    for (unsigned i = 0; i < MIN(boot->mem_count, (uint32_t)LITH_BOOT_MEM_MAX); i++) {
        const struct lith_mem *m = &boot->mem[i];
        direct_end = MAX(direct_end, LITH_DIRECT_BASE + ALIGN_UP(m->gpa + m->len, PAGE_SIZE));
        if (m->type == LITH_MEM_ROOT) {
            root_pa = m->gpa;
            root_end = m->gpa + ALIGN_UP(m->len, PAGE_SIZE);
        }
    }
    // The monitor goes: its text, stack, environment, and the host's vDSO.
    unmap_between(LITH_LOW_GUARD_END, LITH_DIRECT_BASE);
    unmap_between(direct_end, boot->kernel_base);
    unmap_between(boot->kernel_base + boot->kernel_len, HOST_ADDRESS_END);
    plat_mirror = &mirror;
}

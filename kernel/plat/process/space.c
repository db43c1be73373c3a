// SPDX-License-Identifier: ISC
// The address space of machine "process": what the page tables record, the host is told by mmap,
// mprotect and munmap. A host call costs 2 us and more, so a mapping is noted first, and joined
// with those that continue it; what is noted is told before anything else changes, and at the
// latest when somebody touches it (space_settle).
#include "plat/process/process.h"

#define HOST_MAP_SHARED  1
#define HOST_MAP_FIXED   0x10
#define HOST_PROT_ALL    7u
#define HOST_ADDRESS_END 0x7ffffffff000ull
compile_assert(protections_are_the_hosts, PLAT_READ == 1 && PLAT_WRITE == 2 && PLAT_EXEC == 4);

static struct run {
    uint64_t va, pa, len;
    unsigned prot;
} noted; // len 0: nothing
static uint64_t root_pa, root_end;

// The result of a call that changes the address space. The instance cannot go on without.
static void need(long result)
{
    static const char text[] = "lith: the host refuses to change the address space",
                      full[] = " (no memory, or more pieces than its vm.max_map_count)\n",
                      other[] = " (noexec?)\n";
    if (result >= 0)
        return;
    plat_console_write(text, sizeof(text) - 1, 2);
    if (result == -12)
        plat_console_write(full, sizeof(full) - 1, 2);
    else
        plat_console_write(other, sizeof(other) - 1, 2);
    plat_exit(134);
}

static void tell(void)
{
    const struct lith_process *p = &plat_boot.process;
    struct run r = noted;
    noted.len = 0;
    if (!r.len)
        return;
    plat_stats->host_mmap++;
    bool root = r.pa >= root_pa && r.pa < root_end;
    need(host_mmap(r.va, r.len, r.prot & HOST_PROT_ALL, HOST_MAP_SHARED | HOST_MAP_FIXED,
                   root ? p->root_fd : p->ram_fd, root ? r.pa - root_pa : r.pa));
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

static void space_change(uint64_t va, uint64_t len, unsigned prot)
{
    tell();
    if (prot == MIRROR_GONE)
        plat_stats->host_munmap++;
    else
        plat_stats->host_mprotect++;
    need(prot == MIRROR_GONE ? host_munmap(va, len) : host_mprotect(va, len, prot & HOST_PROT_ALL));
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
        host_munmap(start, end - start);
}

void space_start(void)
{
    static const struct plat_mirror mirror = {space_map, space_change, tell};
    uint64_t direct_end = 0;
    for (unsigned i = 0; i < MIN(plat_boot.mem_count, (uint32_t)LITH_BOOT_MEM_MAX); i++) {
        const struct lith_mem *m = &plat_boot.mem[i];
        direct_end = MAX(direct_end, LITH_DIRECT_BASE + ALIGN_UP(m->gpa + m->len, PAGE_SIZE));
        if (m->type == LITH_MEM_ROOT) {
            root_pa = m->gpa;
            root_end = m->gpa + ALIGN_UP(m->len, PAGE_SIZE);
        }
    }
    // The monitor goes: its text, stack, environment, and the host's vDSO.
    unmap_between(LITH_LOW_GUARD_END, LITH_DIRECT_BASE);
    unmap_between(direct_end, plat_boot.kernel_base);
    unmap_between(plat_boot.kernel_base + plat_boot.kernel_len, HOST_ADDRESS_END);
    plat_mirror = &mirror;
}

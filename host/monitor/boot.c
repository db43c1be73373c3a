// SPDX-License-Identifier: ISC
// Guest memory as the kernel finds it at start (abi/boot.h): the kernel's file mapped at
// the place that it names, the root file system above RAM, the first page tables, the boot block,
// and the devices' queues. What the monitor adds lies below the kernel as long as it fits there, so
// that a small instance keeps its RAM; untouched pages cost nothing.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>
#include "abi/bootconfig.h"
#include "abi/layout.h"
#include "monitor/monitor.h"

// Page table entries. U everywhere (ring 3 runs the kernel too); accessed and dirty are set ahead,
// so that the CPU never has to write them.
#define PTE_P         1ull
#define PTE_W         2ull
#define PTE_U         4ull
#define PTE_A         0x20ull
#define PTE_D         0x40ull
#define PTE_LARGE     0x80ull
#define PTE_NX        (1ull << 63)
#define PTE_TABLE     (PTE_P | PTE_W | PTE_U | PTE_A)
#define PTE_PAGE      (PTE_P | PTE_U | PTE_A | PTE_D)
#define LARGE         (2 * MIB)
#define PVM_ADDRESSES (64 * GIB) // physical addresses have 36 bits where no CPUID is set

// RAM that is made ready ahead of what the guest uses: this, or a share of it in a small instance.
#define POPULATE_AHEAD (3 * MIB / 2)
#define POPULATE_SHARE 16

// Bump allocator over the guest pages that the monitor fills: low memory first, then above the
// kernel image.
struct placer {
    struct monitor *m;
    uint8_t *ram;
    gpa_t low, high, end;
};

// What is said when --mem does not do: the image's size, and so what it would take.
static const char *too_small(const struct monitor *m)
{
    static char text[160];
    uint64_t need = round_up(m->kernel.phys + m->kernel.len + MIB / 4, MIB / 4);
    snprintf(
        text, sizeof text,
        "%llu KiB of memory are too few: the program's image ends at %llu KiB; take %llu KiB or "
        "more",
        (unsigned long long)(m->ram_len / 1024),
        (unsigned long long)((m->kernel.phys + m->kernel.len) / 1024),
        (unsigned long long)(need / 1024));
    return text;
}

static gpa_t place(struct placer *p, uint64_t len)
{
    len = round_up(len, PAGE_SIZE);
    gpa_t *cursor = len <= p->m->kernel.phys - p->low ? &p->low : &p->high;
    if (cursor == &p->high && len > p->end - p->high)
        fatal("%s", too_small(p->m));
    gpa_t at = *cursor;
    *cursor += len;
    return at;
}

// The entry for `va` at `level` (3: PDPT entry, 2: 2 MiB, 1: 4 KiB); makes the tables above it.
static uint64_t *pte_at(struct placer *p, uint64_t va, int level)
{
    gpa_t table = p->m->pml4_gpa;
    for (int l = 4;; l--) {
        uint64_t *entry = (uint64_t *)(void *)(p->ram + table) + ((va >> (12 + 9 * (l - 1))) & 511);
        if (l == level)
            return entry;
        if (!*entry)
            *entry = place(p, PAGE_SIZE) | PTE_TABLE;
        table = *entry & 0x000ffffffffff000ull;
    }
}

static void map_large(struct placer *p, gpa_t gpa, uint64_t len, uint64_t flags)
{
    for (gpa_t at = gpa; at < gpa + len;) {
        uint64_t *entry = pte_at(p, LITH_DIRECT_BASE + at, 2);
        do { // one table walk per GiB
            *entry++ = at | flags | PTE_LARGE;
            at += LARGE;
        } while (at < gpa + len && at % GIB);
    }
}

static void map_small(struct placer *p, uint64_t va, gpa_t gpa, uint64_t len, uint64_t flags)
{
    for (uint64_t done = 0; done < len;) {
        uint64_t *entry = pte_at(p, va + done, 1);
        do {
            *entry++ = (gpa + done) | flags;
            done += PAGE_SIZE;
        } while (done < len && (va + done) % LARGE);
    }
}

static void build_page_tables(struct placer *p)
{
    struct monitor *m = p->m;
    m->pml4_gpa = place(p, PAGE_SIZE);
    uint64_t kernel_end = m->kernel.phys + m->kernel.len;
    uint64_t split = round_up(kernel_end, LARGE); // below: 4 KiB pages in the direct map

    for (unsigned i = 0; i < m->mem.count; i++) {
        const struct mem_region *r = &m->mem.region[i];
        gpa_t from = r->gpa == 0 ? split : r->gpa;
        gpa_t end = r->gpa + r->len;
        if (from < end)
            map_large(p, from, end - from, PTE_PAGE | PTE_NX | (r->writable ? PTE_W : 0));
    }
    gpa_t small_end = split < p->end ? split : p->end;
    map_small(p, LITH_DIRECT_BASE, 0, small_end, PTE_PAGE | PTE_NX | PTE_W);
    for (unsigned i = 0; i < m->kernel.count; i++) {
        const struct kernel_segment *s = &m->kernel.segment[i];
        uint64_t len = round_up(s->mem_len, PAGE_SIZE);
        uint64_t flags = PTE_PAGE | (s->write ? PTE_W : 0) | (s->exec ? 0 : PTE_NX);
        gpa_t gpa = m->kernel.phys + s->offset;
        map_small(p, m->kernel_base + s->offset, gpa, len, flags);
        if (!s->write)
            map_small(p, LITH_DIRECT_BASE + gpa, gpa, len, PTE_PAGE | PTE_NX);
    }
}

static void *map_or_die(void *at, uint64_t len, int prot, int flags, int fd, uint64_t offset,
                        const char *what)
{
    void *p = mmap(at, len, prot, flags, fd, (off_t)offset);
    if (p == MAP_FAILED)
        fatal("cannot map %s (%llu bytes): %s", what, (unsigned long long)len, strerror(errno));
    return p;
}

// The kernel's segments go into guest RAM as private mappings of its file: pages that nobody writes
// stay shared with every other instance.
static void load_kernel(struct monitor *m, const struct options *o, uint8_t *ram, uint64_t low_len)
{
    static uint8_t header[KERNEL_HEADER_BYTES];
    const char *path = o->kernel, *why = NULL;
    int fd = o->kernel_fd;
    ssize_t got = pread(fd, header, sizeof header, 0);
    if (got < 0)
        fatal("cannot read the kernel %s: %s", path, strerror(errno));
    if (kernel_elf_parse(header, (size_t)got, o->kernel_len, &m->kernel, &why) != 0)
        fatal("kernel %s refused: %s", path, why);
    if (m->kernel.phys > low_len || m->kernel.len > low_len - m->kernel.phys)
        fatal("%s", too_small(m));
    uint8_t *image = ram + m->kernel.phys;
    for (unsigned i = 0; i < m->kernel.count; i++) {
        const struct kernel_segment *s = &m->kernel.segment[i];
        if (s->file_len == 0)
            continue;
        uint64_t mapped = round_up(s->file_len, PAGE_SIZE);
        if (m->process && !s->exec) { // its RAM is one file of its own, which text is not part of
            if (pread(fd, image + s->offset, s->file_len, (off_t)s->file_offset) !=
                (ssize_t)s->file_len)
                fatal("cannot read the kernel %s: %s", path, strerror(errno));
            continue;
        }
        map_or_die(image + s->offset, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd,
                   s->file_offset, "the kernel");
        if (s->mem_len > s->file_len) // what the file has behind the segment is not ours
            memset(image + s->offset + s->file_len, 0, mapped - s->file_len);
    }
    do {
        uint64_t random;
        if (getrandom(&random, sizeof random, 0) != sizeof random)
            fatal("no random numbers: %s", strerror(errno));
        uint64_t slots = (LITH_KERNEL_RANGE - KERNEL_IMAGE_MAX) / LITH_KERNEL_ALIGN;
        m->kernel_base = LITH_KERNEL_BASE + random % slots * LITH_KERNEL_ALIGN;
    } while (m->process && !process_reserve_kernel(m));
    if (kernel_elf_link(&m->kernel, image, m->kernel_base, &why) != 0)
        fatal("kernel %s refused: %s", path, why);
    if (m->process)
        process_map_kernel(m, fd, path);
    close(fd);
}

void add_region(struct monitor *m, gpa_t gpa, uint64_t len, uint8_t *host, bool writable)
{
    m->mem.region[m->mem.count++] = (struct mem_region){gpa, len, host, writable};
}

static uint32_t load_config(int fd, uint8_t *to)
{
    uint32_t len = 0;
    while (len < LITH_BOOTCONFIG_MAX) {
        ssize_t got = read(fd, to + len, LITH_BOOTCONFIG_MAX - len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            fatal("cannot read the configuration: %s", strerror(errno));
        if (got == 0)
            break;
        len += (uint32_t)got;
    }
    close(fd);
    if (len == LITH_BOOTCONFIG_MAX)
        fatal("the configuration is longer than %d bytes", LITH_BOOTCONFIG_MAX - 1);
    if (memchr(to, 0, len))
        fatal("the configuration has a NUL byte in it");
    while (len && to[len - 1] == '\n')
        len--;
    to[len] = 0;
    return len + 1;
}

void boot_map(struct monitor *m, const struct options *o)
{
    m->ram_len = o->mem_bytes & ~(PAGE_SIZE - 1);
    uint64_t low_len = m->ram_len < LOW_RAM_END ? m->ram_len : LOW_RAM_END;
    gpa_t top = 4 * GIB;
    if (m->process) {
        process_map_ram(m, low_len);
    } else {
        uint8_t *ram =
            map_or_die(NULL, m->ram_len, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0, "guest memory");
        add_region(m, 0, low_len, ram, true);
        if (m->ram_len > low_len)
            add_region(m, 4 * GIB, m->ram_len - low_len, ram + low_len, true);
    }
    top += m->ram_len - low_len;
    if (o->root) {
        if (o->root_len > ROOT_MAX)
            fatal("the root file system %s is too large", o->root);
        uint64_t len = round_up(o->root_len, PAGE_SIZE);
        gpa_t gpa = round_up(top, LARGE);
        void *at = m->process ? (void *)(uintptr_t)(LITH_DIRECT_BASE + gpa) : NULL;
        uint8_t *root = map_or_die(at, len, PROT_READ, MAP_SHARED | (at ? MAP_FIXED_NOREPLACE : 0),
                                   o->root_fd, 0, "the root file system");
        add_region(m, gpa, len, root, false);
        top = gpa + len;
        if (!m->process)
            close(o->root_fd);
    }
    if (!m->process && m->virt == VIRT_NONE && top > PVM_ADDRESSES)
        fatal("this host's KVM (KVM-PVM) addresses 64 GiB at most, with the root file system: take "
              "less memory, or --platform process");
    m->dev_count = m->has_net && !m->process ? 1 : 0;
}

void boot_load(struct monitor *m, const struct options *o)
{
    uint8_t *ram = m->mem.region[0].host;
    uint64_t low_len = m->mem.region[0].len;
    load_kernel(m, o, ram, low_len);
    struct placer p = {m, ram, PAGE_SIZE, m->kernel.phys + m->kernel.len, low_len};
    build_page_tables(&p);
    m->boot_gpa = place(&p, sizeof(struct lith_boot));
    m->boot = (struct lith_boot *)(void *)(ram + m->boot_gpa);
    struct lith_boot *b = m->boot;
    b->shared_gpa = place(&p, PAGE_SIZE);
    stats_share(o, ram + b->shared_gpa);
    m->shared = (struct lith_shared *)(void *)(ram + b->shared_gpa);
    m->shared->timer_tsc = m->shared->timer_seen_tsc = UINT64_MAX;
    if (m->has_net && !m->process) {
        gpa_t queues = place(&p, 2 * virtq_bytes(NET_QUEUE_SIZE));
        net_describe(&m->net_backend, o->mac, queues, &b->dev[0]);
        if (!net_init(&m->net, &m->net_backend, &m->mem, &b->dev[0], &m->stats->io))
            fatal("--mem is too small for the network's queues");
        b->dev_count = m->dev_count;
    }
    for (unsigned i = 0; i < m->mem.count; i++) {
        const struct mem_region *r = &m->mem.region[i];
        b->mem[b->mem_count++] = (struct lith_mem){
            .gpa = r->gpa,
            .len = r->writable ? r->len : o->root_len,
            .type = r->writable ? LITH_MEM_RAM : LITH_MEM_ROOT,
        };
    }
    // Last, so that what it does not need goes back: text, and room for pointers to its words.
    gpa_t low_before = p.low, room = LITH_BOOTCONFIG_MAX + (LITH_BOOTCONFIG_WORDS_MAX + 8) * 8;
    b->config_gpa = place(&p, room);
    b->config_len = load_config(o->config_fd, ram + b->config_gpa);
    uint64_t words = 4;
    for (uint32_t i = 0; i < b->config_len; i++)
        words += ram[b->config_gpa + i] == ' ';
    b->config_room = b->config_len + 8 + (words + 1) * 8;
    *(p.low != low_before ? &p.low : &p.high) = b->config_gpa + round_up(b->config_room, PAGE_SIZE);
    b->magic = LITH_BOOT_MAGIC;
    b->version = LITH_BOOT_VERSION;
    b->size = sizeof *b;
    b->kernel_base = m->kernel_base;
    b->kernel_gpa = m->kernel.phys;
    b->kernel_len = m->kernel.len;
    b->pml4_gpa = m->pml4_gpa;
    b->free_gpa = m->free_gpa = p.high;
}

// The kernel uses its RAM upwards and says how far it is, so what it uses next is known. To touch
// these pages beside the running guest spares it a third of the time of its own first touches: each
// of those is an exit, and one that reads finds the host's zero page, to be replaced at the first
// write. KVM also maps the neighbours of a touched page if they are there (shadow paging). Not
// MADV_POPULATE_WRITE, which would need the lock that main() needs for mmap().
bool boot_populate(struct monitor *m)
{
    uint64_t share = m->ram_len / POPULATE_SHARE & ~(PAGE_SIZE - 1);
    gpa_t mark = __atomic_load_n(&m->shared->ram_mark, __ATOMIC_RELAXED);
    if (mark < m->free_gpa) // also if the guest says nothing
        mark = m->free_gpa;
    gpa_t at = m->populated > mark ? m->populated : mark;
    gpa_t end = mark + (share < POPULATE_AHEAD ? share : POPULATE_AHEAD);
    if (at >= end || at % PAGE_SIZE)
        return false;
    m->populated = end;
    for (; at < end; at += PAGE_SIZE) {
        uint8_t *byte = guest_mem_ptr(&m->mem, at, 1, true);
        if (!byte)
            break;
        __atomic_fetch_or(byte, 0, __ATOMIC_RELAXED); // a write that loses none of the guest's
    }
    return true;
}

void boot_finish(struct monitor *m)
{
    struct lith_boot *b = m->boot;
    struct timespec now;
    b->ring = (uint32_t)m->ring;
    b->flags = m->process ? LITH_BOOT_PROCESS : m->ring == 3 ? 0 : LITH_BOOT_LAPIC;
    b->tsc_khz = m->stats->tsc_khz = m->tsc_khz;
    b->exec_tsc = m->exec_tsc + m->tsc_offset;
    uint8_t seed[sizeof b->entropy + sizeof b->generation];
    if (getrandom(seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        fatal("no random numbers: %s", strerror(errno));
    memcpy(b->entropy, seed, sizeof b->entropy);
    memcpy(&b->generation, seed + sizeof b->entropy, sizeof b->generation);
    explicit_bzero(seed, sizeof seed);
    clock_gettime(CLOCK_REALTIME, &now);
    b->realtime_tsc = rdtsc() + m->tsc_offset;
    b->realtime_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

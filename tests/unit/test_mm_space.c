// SPDX-License-Identifier: ISC
// links: tests/unit/shim_core.c tests/unit/fake_mmu.c kernel/mm/page.c kernel/mm/heap.c
// links: kernel/mm/kva.c kernel/mm/area.c kernel/mm/map.c kernel/mm/fault.c kernel/mm/remap.c
// links: kernel/mm/info.c kernel/mm/shm.c
// links: kernel/lib/format.c kernel/lib/rbtree.c kernel/lib/hash.c -DLITH_DEBUG
// Address spaces: random sequences of calls and accesses against a model that knows each page's
// rights and byte, and the rules of Linux that the model does not cover.
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>
#include "shim.h"
#include "fake_mmu.h"
#include "mm/internal.h"

#define FILE_PAGES 64
#define ROOT_PA    (SHIM_RAM + (1ul << 30)) // outside RAM: like the root file

// A file: in pages of its own (tmpfs), or contiguous outside RAM (root).
struct test_file {
    struct vm_object vm;
    int refs;
    uint64_t pages[FILE_PAGES];
    uint64_t size; // pages
    bool root;
    void (*during_get)(void); // what another thread does while get_page sleeps
};

static int file_get_page(struct vm_object *o, uint64_t pgoff, bool for_write, uint64_t *pa)
{
    struct test_file *f = container_of(o, struct test_file, vm);
    void (*during)(void) = f->during_get;
    assert_int_equal(this_cpu()->spin_depth, 0); // it may sleep
    f->during_get = NULL;
    if (during)
        during();
    if (pgoff >= f->size)
        return -ENXIO;
    assert_false(for_write && f->root);
    *pa = f->root ? ROOT_PA + pgoff * PAGE_SIZE : f->pages[pgoff];
    page_ref(*pa);
    return 0;
}
static uint64_t root_extent(struct vm_object *o, uint64_t pgoff, uint64_t *pa)
{
    struct test_file *f = container_of(o, struct test_file, vm);
    *pa = ROOT_PA + pgoff * PAGE_SIZE;
    return pgoff < f->size ? f->size - pgoff : 0;
}
static void file_ref_(struct vm_object *o)
{
    container_of(o, struct test_file, vm)->refs++;
}
static void file_unref_(struct vm_object *o)
{
    assert_int_equal(this_cpu()->spin_depth, 0);
    container_of(o, struct test_file, vm)->refs--;
}
static int file_describe(struct vm_object *o, char *buf, size_t size, uint64_t *ino)
{
    *ino = 7;
    lib_strlcpy(buf, container_of(o, struct test_file, vm)->root ? "/root" : "/tmp/f", size);
    return 0;
}
static const struct vm_object_ops tmp_ops = {
    .get_page = file_get_page, .ref = file_ref_, .unref = file_unref_, .describe = file_describe};
static const struct vm_object_ops root_ops = {.get_page = file_get_page,
                                              .extent = root_extent,
                                              .ref = file_ref_,
                                              .unref = file_unref_,
                                              .describe = file_describe};
static struct test_file tmp_file = {.vm = {&tmp_ops}, .size = FILE_PAGES};
static struct test_file root_file = {.vm = {&root_ops}, .size = FILE_PAGES, .root = true};

static struct mm_space *space;
static uint64_t free_before;

static uint64_t free_pages(void)
{
    struct mm_stats s;
    mm_stats(&s);
    return s.free_pages;
}

static int setup(void **state)
{
    (void)state;
    space = mm_space_create();
    assert_ptr_equal(space, mm_current);
    free_before = free_pages();
    return 0;
}

static int teardown(void **state)
{
    uint64_t vsize, rss, mapped;
    (void)state;
    mm_space_usage(space, &vsize, &rss);
    mapped = fake_mmu_mapped;
    assert_int_equal(rss / PAGE_SIZE, mapped);
    mm_space_destroy(space);
    assert_null(mm_current);
    assert_int_equal(fake_mmu_mapped, 0);
    assert_int_equal(tmp_file.refs, 0);
    assert_int_equal(root_file.refs, 0);
    assert_int_equal(this_cpu()->spin_depth, 0);
    for (unsigned i = 0; i < FILE_PAGES; i++)
        assert_int_equal(page_refs(tmp_file.pages[i]), 1);
    assert_true(free_pages() + 16 >= free_before); // slabs
    return 0;
}

static long map(uint64_t addr, uint64_t len, int prot, int flags)
{
    return mm_map(space, addr, len, prot, flags, NULL, 0);
}
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define RW   (PROT_READ | PROT_WRITE)

// An access as a CPU and the fault handler do it together: 0 and *byte, or mm_fault's error.
static int access_byte(uint64_t va, bool write, bool exec, uint8_t **byte)
{
    for (int tries = 0; tries < 3; tries++) {
        *byte = fake_mmu_access(va, write, exec);
        if (*byte)
            return 0;
        int rc = mm_fault(space, va, write, exec);
        if (rc)
            return rc;
    }
    fail_msg("fault at %lx resolved but not resolved", va);
    return 0;
}
static int read_byte(uint64_t va)
{
    uint8_t *p;
    int rc = access_byte(va, false, false, &p);
    return rc ? rc : *p;
}
static int write_byte(uint64_t va, uint8_t v)
{
    uint8_t *p;
    int rc = access_byte(va, true, false, &p);
    if (rc == 0)
        *p = v;
    return rc;
}

// --- the model ---
enum { KIND_NONE, KIND_ANON, KIND_TMP, KIND_TMP_SHARED, KIND_ROOT };
struct model_page {
    int kind, prot;
    uint64_t pgoff;
    bool own; // a private copy with the byte `value`
    uint8_t value;
};
enum { WINDOW = 160 };
static struct model_page model[WINDOW];
static uint64_t base;
static uint8_t tmp_value[FILE_PAGES];

static int model_value(const struct model_page *m, bool *outside)
{
    *outside = m->kind != KIND_ANON && !m->own && m->pgoff >= FILE_PAGES;
    if (m->own || m->kind == KIND_ANON)
        return m->own ? m->value : 0;
    if (*outside)
        return 0;
    return m->kind == KIND_ROOT ? (uint8_t)(m->pgoff + 100) : tmp_value[m->pgoff];
}

static void check_access(unsigned page, bool write, bool exec, uint8_t v)
{
    struct model_page *m = &model[page];
    uint64_t va = base + page * PAGE_SIZE;
    bool outside;
    uint8_t *p;
    int want = model_value(m, &outside), rc = access_byte(va, write, exec, &p);
    if (m->kind == KIND_NONE)
        assert_int_equal(rc, -EFAULT);
    else if (!m->prot || (write && !(m->prot & PROT_WRITE)) || (exec && !(m->prot & PROT_EXEC)))
        assert_int_equal(rc, -EACCES);
    else if (outside)
        assert_int_equal(rc, -ENXIO);
    else {
        assert_int_equal(rc, 0);
        assert_int_equal(*p, want);
        if (!write)
            return;
        *p = v;
        if (m->kind == KIND_TMP_SHARED)
            tmp_value[m->pgoff] = v;
        else
            m->own = true;
        m->value = v;
    }
}

static void check_areas(void)
{
    struct mm_area_info info, previous = {0};
    unsigned page = 0;
    uint64_t at = base, vsize, rss, pages = 0;
    while (mm_next_area(space, at, &info)) {
        assert_true(info.start < info.end && info.start >= at);
        assert_true(info.end <= base + WINDOW * PAGE_SIZE);
        for (; base + page * PAGE_SIZE < info.start; page++)
            assert_int_equal(model[page].kind, KIND_NONE);
        for (; base + page * PAGE_SIZE < info.end; page++) {
            assert_int_not_equal(model[page].kind, KIND_NONE);
            assert_int_equal(model[page].prot, info.prot);
            if (model[page].kind != KIND_ANON)
                assert_int_equal(model[page].pgoff * PAGE_SIZE,
                                 info.off + (base + page * PAGE_SIZE - info.start));
            pages++;
        }
        // Neighbours that are alike were joined.
        assert_false(previous.end == info.start && previous.prot == info.prot && !info.name[0] &&
                     !previous.name[0]);
        previous = info;
        at = info.end;
    }
    for (; page < WINDOW; page++)
        assert_int_equal(model[page].kind, KIND_NONE);
    mm_space_usage(space, &vsize, &rss);
    assert_int_equal(vsize / PAGE_SIZE, pages);
    assert_int_equal(rss / PAGE_SIZE, fake_mmu_mapped);
}

static void step_map(unsigned first, unsigned n, uint64_t r)
{
    static const int prots[] = {PROT_NONE, PROT_READ, RW, RW, PROT_READ | PROT_EXEC};
    int kind = 1 + (int)(r % 4), prot = prots[r / 8 % 5];
    uint64_t pgoff = r / 64 % (FILE_PAGES + 4);
    struct vm_object *o = kind == KIND_ANON   ? NULL
                          : kind == KIND_ROOT ? &root_file.vm
                                              : &tmp_file.vm;
    int flags = MAP_FIXED | (kind == KIND_ANON         ? ANON
                             : kind == KIND_TMP_SHARED ? MAP_SHARED
                                                       : MAP_PRIVATE);
    uint64_t at = base + first * PAGE_SIZE;
    assert_int_equal(mm_map(space, at, n * PAGE_SIZE, prot, flags, o, pgoff * PAGE_SIZE), at);
    for (unsigned i = first; i < first + n; i++)
        model[i] = (struct model_page){.kind = kind, .prot = prot, .pgoff = pgoff + i - first};
}

static void step_protect(unsigned first, unsigned n, uint64_t r)
{
    static const int prots[] = {PROT_NONE, PROT_READ, RW, PROT_READ | PROT_EXEC};
    int prot = prots[r % 4];
    bool whole = true;
    for (unsigned i = first; i < first + n; i++)
        whole &= model[i].kind != KIND_NONE;
    int rc = mm_protect(space, base + first * PAGE_SIZE, n * PAGE_SIZE, prot);
    assert_int_equal(rc, whole ? 0 : -ENOMEM);
    for (unsigned i = first; whole && i < first + n; i++)
        model[i].prot = prot;
}

static void step_dontneed(unsigned first, unsigned n)
{
    bool whole = true;
    for (unsigned i = first; i < first + n; i++) {
        whole &= model[i].kind != KIND_NONE;
        model[i].own = false;
    }
    assert_int_equal(mm_advise(space, base + first * PAGE_SIZE, n * PAGE_SIZE, MADV_DONTNEED),
                     whole ? 0 : -ENOMEM);
}

// One area, so that mremap accepts it?
static bool one_area(unsigned first, unsigned n)
{
    struct mm_area_info info;
    uint64_t at = base + first * PAGE_SIZE;
    return mm_next_area(space, at, &info) && info.start <= at && info.end >= at + n * PAGE_SIZE;
}

static void step_remap(unsigned first, unsigned n, uint64_t r)
{
    unsigned to = (unsigned)(r % WINDOW), n2 = 1 + (unsigned)(r / WINDOW % 24);
    if (to + n2 > WINDOW)
        n2 = WINDOW - to;
    bool overlap = to < first + n && first < to + n2, ok = one_area(first, n);
    static struct model_page moved[WINDOW];
    memcpy(moved, model + first, n * sizeof(*model));
    long rc = mm_remap(space, base + first * PAGE_SIZE, n * PAGE_SIZE, n2 * PAGE_SIZE,
                       MREMAP_MAYMOVE | MREMAP_FIXED, base + to * PAGE_SIZE);
    if (overlap) {
        assert_int_equal(rc, -EINVAL);
        return;
    }
    if (!ok) {
        assert_int_equal(rc, -EFAULT);
        return;
    }
    assert_int_equal(rc, base + to * PAGE_SIZE);
    for (unsigned i = 0; i < n; i++)
        model[first + i] = (struct model_page){0};
    for (unsigned i = 0; i < n2; i++)
        model[to + i] = i < n ? moved[i]
                              : (struct model_page){.kind = moved[0].kind,
                                                    .prot = moved[0].prot,
                                                    .pgoff = moved[0].pgoff + i};
}

static void random_steps(void **state)
{
    (void)state;
    memset(model, 0, sizeof(model));
    base = 0x700000000000;
    for (unsigned i = 0; i < FILE_PAGES; i++)
        tmp_value[i] = *(uint8_t *)pa_to_va(tmp_file.pages[i]);
    for (unsigned round = 0; round < 60000; round++) {
        uint64_t r = random_u64(), what = r % 100;
        unsigned first = (unsigned)(r / 128 % WINDOW), n = 1 + (unsigned)(r >> 20 & 31);
        if (first + n > WINDOW)
            n = WINDOW - first;
        r >>= 32;
        if (what < 50) {
            check_access(first, r & 1, (r & 7) == 6, (uint8_t)(r >> 8));
        } else if (what < 65) {
            step_map(first, n, r);
        } else if (what < 75) {
            assert_int_equal(mm_unmap(space, base + first * PAGE_SIZE, n * PAGE_SIZE), 0);
            memset(model + first, 0, n * sizeof(*model));
        } else if (what < 88) {
            step_protect(first, n, r);
        } else if (what < 92) {
            step_dontneed(first, n);
        } else {
            step_remap(first, n, r);
        }
        if (round % 16 == 0)
            check_areas();
        if (round % 512 == 0)
            for (unsigned i = 0; i < WINDOW; i++)
                check_access(i, false, false, 0);
    }
    for (unsigned i = 0; i < FILE_PAGES; i++)
        assert_int_equal(((uint8_t *)pa_to_va(ROOT_PA))[i * PAGE_SIZE], (uint8_t)(i + 100));
}

// --- single rules ---
static void arguments(void **state)
{
    (void)state;
    assert_int_equal(map(0, 0, RW, ANON), -EINVAL);
    assert_int_equal(map(0, PAGE_SIZE, RW, MAP_ANONYMOUS), -EINVAL);
    assert_int_equal(map(0x1000, PAGE_SIZE, RW, ANON | MAP_FIXED), -EPERM);
    assert_int_equal(map(0x10000, PAGE_SIZE, RW, ANON | MAP_FIXED), -EPERM);
    assert_int_equal(map(0, PAGE_SIZE, RW, ANON | MAP_FIXED), -EPERM);
    assert_int_equal(map(0x400001, PAGE_SIZE, RW, ANON | MAP_FIXED), -EINVAL);
    assert_int_equal(map(LITH_USER_END, PAGE_SIZE, RW, ANON | MAP_FIXED), -ENOMEM);
    assert_int_equal(map(LITH_USER_END - PAGE_SIZE, 2 * PAGE_SIZE, RW, ANON | MAP_FIXED), -ENOMEM);
    assert_int_equal(map(LITH_DIRECT_BASE, PAGE_SIZE, RW, ANON | MAP_FIXED), -ENOMEM);
    assert_int_equal(map(~0ul - 4095, PAGE_SIZE, RW, ANON | MAP_FIXED), -ENOMEM);
    assert_int_equal(map(0, ~0ul, RW, ANON), -ENOMEM);
    assert_int_equal(map(0, 1ul << 47, RW, ANON), -ENOMEM);
    assert_int_equal(map(0, PAGE_SIZE, RW | PROT_EXEC, ANON), -EACCES);
    assert_int_equal(mm_map(space, 0, PAGE_SIZE, RW, MAP_PRIVATE, NULL, 0), -EBADF);
    assert_int_equal(mm_map(space, 0, PAGE_SIZE, RW, MAP_PRIVATE, &tmp_file.vm, 1), -EINVAL);
    assert_int_equal(
        mm_map(space, 0, 2 * PAGE_SIZE, RW, MAP_PRIVATE, &tmp_file.vm, -(uint64_t)PAGE_SIZE),
        -EOVERFLOW);
    assert_int_equal(mm_unmap(space, 1, PAGE_SIZE), -EINVAL);
    assert_int_equal(mm_unmap(space, 0x400000, 0), -EINVAL);
    assert_int_equal(mm_unmap(space, LITH_USER_END, PAGE_SIZE), -EINVAL);
    assert_int_equal(mm_unmap(space, 0x400000, PAGE_SIZE), 0);
    assert_int_equal(mm_protect(space, 0x400000, PAGE_SIZE, RW), -ENOMEM);
    assert_int_equal(mm_protect(space, 0x400000, ~0ul, RW), -ENOMEM);
    assert_int_equal(mm_fault(space, 0, false, false), -EFAULT);
    assert_int_equal(mm_fault(space, LITH_DIRECT_BASE, true, false), -EFAULT);
    long at = map(0, 3 * PAGE_SIZE, RW, ANON);
    assert_true(at > 0);
    assert_int_equal(mm_protect(space, (uint64_t)at, PAGE_SIZE, RW | PROT_EXEC), -EACCES);
    assert_int_equal(map((uint64_t)at, PAGE_SIZE, RW, ANON | MAP_FIXED_NOREPLACE), -EEXIST);
    // W^X: written first, then run.
    assert_int_equal(write_byte((uint64_t)at, 0xc3), 0);
    uint8_t *p;
    assert_int_equal(access_byte((uint64_t)at, false, true, &p), -EACCES);
    assert_int_equal(mm_protect(space, (uint64_t)at, PAGE_SIZE, PROT_READ | PROT_EXEC), 0);
    assert_int_equal(access_byte((uint64_t)at, false, true, &p), 0);
    assert_int_equal(*p, 0xc3);
    assert_int_equal(write_byte((uint64_t)at, 0), -EACCES);
    mm_allow_wx(space, true);
    assert_int_equal(mm_protect(space, (uint64_t)at, PAGE_SIZE, RW | PROT_EXEC), 0);
    assert_int_equal(mm_advise(space, (uint64_t)at, PAGE_SIZE, 9999), -EINVAL);
    assert_int_equal(mm_advise(space, (uint64_t)at, 8 * PAGE_SIZE, MADV_DONTNEED), -ENOMEM);
    assert_int_equal(mm_remap(space, (uint64_t)at, 0, PAGE_SIZE, MREMAP_MAYMOVE, 0), -EINVAL);
    assert_int_equal(mm_remap(space, (uint64_t)at, PAGE_SIZE, PAGE_SIZE, MREMAP_FIXED, 0x500000),
                     -EINVAL);
    assert_int_equal(mm_remap(space, 0x400000, PAGE_SIZE, 2 * PAGE_SIZE, MREMAP_MAYMOVE, 0),
                     -EFAULT);
}

static void shared_read_only_file(void **state)
{
    (void)state;
    long at = mm_map(space, 0, PAGE_SIZE, PROT_READ, MAP_SHARED | MM_MAP_NOWRITE, &tmp_file.vm, 0);
    assert_int_equal(mm_protect(space, (uint64_t)at, PAGE_SIZE, RW), -EACCES);
    at = mm_map(space, 0, PAGE_SIZE, PROT_READ, MAP_PRIVATE | MM_MAP_NOWRITE, &tmp_file.vm, 0);
    assert_int_equal(mm_protect(space, (uint64_t)at, PAGE_SIZE, RW), 0);
}

// A reservation of 16 TiB costs nothing, whatever is done with it.
static void reservations(void **state)
{
    uint64_t before = free_pages(), size = 16ul << 40;
    (void)state;
    long at = map(0, size, PROT_NONE, ANON | MAP_NORESERVE);
    assert_true(at > 0);
    long rw = map(0, size, RW, ANON | MAP_NORESERVE);
    assert_true(rw > 0);
    assert_true(before - free_pages() <= 2);
    assert_int_equal(read_byte((uint64_t)at), -EACCES);
    assert_int_equal(mm_protect(space, (uint64_t)at + (1 << 30), 1 << 20, RW), 0);
    assert_int_equal(write_byte((uint64_t)at + (1 << 30) + 5, 1), 0);
    assert_int_equal(write_byte((uint64_t)rw + size / 2, 1), 0);
    assert_int_equal(mm_protect(space, (uint64_t)rw, size, PROT_READ), 0);
    assert_int_equal(mm_advise(space, (uint64_t)rw, size, MADV_DONTNEED), 0);
    assert_int_equal(read_byte((uint64_t)rw + size / 2), 0);
    assert_int_equal(mm_unmap(space, (uint64_t)at, size), 0);
    assert_int_equal(mm_unmap(space, (uint64_t)rw, size), 0);
}

static void placement(void **state)
{
    (void)state;
    // Top-down, without a hole between; a freed hole is used again; a hint is taken when free.
    uint64_t a = (uint64_t)map(0, 4 * PAGE_SIZE, PROT_READ, ANON);
    uint64_t b = (uint64_t)map(0, 4 * PAGE_SIZE, RW, ANON);
    uint64_t c = (uint64_t)map(0, 4 * PAGE_SIZE, PROT_READ, ANON);
    assert_int_equal(b, a - 4 * PAGE_SIZE);
    assert_int_equal(c, b - 4 * PAGE_SIZE);
    assert_int_equal(mm_unmap(space, b, 4 * PAGE_SIZE), 0);
    assert_int_equal(map(0, 8 * PAGE_SIZE, PROT_READ, ANON), c - 8 * PAGE_SIZE);
    assert_int_equal(map(0, 4 * PAGE_SIZE, PROT_NONE, ANON), b);
    assert_int_equal(map(0x10000000, PAGE_SIZE, RW, ANON), 0x10000000);
    assert_int_not_equal(map(0x10000000, PAGE_SIZE, RW, ANON), 0x10000000);
    assert_true(map(0x1000, PAGE_SIZE, RW, ANON) > 0x10000);
    // Another space, another place.
    uint64_t top = space->mmap_top;
    struct mm_space *other = mm_space_create();
    assert_int_not_equal(other->mmap_top, top);
    mm_space_destroy(other);
    // The last gap of the range can be had, wherever it is.
    assert_int_equal(mm_unmap(space, LITH_USER_MIN, LITH_USER_END - LITH_USER_MIN), 0);
    assert_int_equal(
        map(LITH_USER_MIN, LITH_USER_END - LITH_USER_MIN - (1 << 20), PROT_NONE, ANON | MAP_FIXED),
        LITH_USER_MIN);
    assert_int_equal(map(0, 1 << 20, RW, ANON), LITH_USER_END - (1 << 20));
    assert_int_equal(map(0, PAGE_SIZE, RW, ANON), -ENOMEM);
}

static void stack_grows(void **state)
{
    char text[256];
    (void)state;
    uint64_t size = 128 << 10;
    uint64_t at = (uint64_t)map(0, size, RW, ANON | MAP_GROWSDOWN | MAP_STACK);
    assert_int_equal(mm_set_name(space, at, "[stack]"), 0);
    uint64_t top = at + size;
    assert_int_equal(write_byte(at - 8, 1), 0);
    assert_int_equal(write_byte(top - (4 << 20), 1), 0);
    assert_int_equal(write_byte(top - (8 << 20), 1), 0);
    assert_int_equal(write_byte(top - (8 << 20) - 8, 1), -EFAULT);
    assert_true(mm_describe(top - (8 << 20) - 8, text, sizeof(text)));
    assert_string_equal(text, "guard page below the stack");
    // What lies below keeps its distance.
    uint64_t below = (uint64_t)map(0, PAGE_SIZE, RW, ANON);
    assert_true(below + PAGE_SIZE + MM_STACK_GAP <= top - (8 << 20));
    assert_int_equal(mm_unmap(space, at - (8 << 20), 8 << 20), 0);
    assert_int_equal(map(at - (2 << 20) - PAGE_SIZE, PAGE_SIZE, RW, ANON | MAP_FIXED),
                     at - (2 << 20) - PAGE_SIZE);
    assert_int_equal(write_byte(at - 8, 1), 0);
    assert_int_equal(write_byte(at - (1 << 20) - 64, 1), -EFAULT);
    struct mm_area_info info;
    assert_true(mm_next_area(space, top - 1, &info));
    assert_string_equal(info.name, "[stack]");
}

static void thread_stack(void **state)
{
    char text[256];
    (void)state;
    // As glibc does it.
    uint64_t size = (8 << 20) + PAGE_SIZE;
    uint64_t at = (uint64_t)map(0, size, PROT_NONE, ANON | MAP_NORESERVE | MAP_STACK);
    assert_int_equal(mm_protect(space, at + PAGE_SIZE, size - PAGE_SIZE, RW), 0);
    assert_non_null(fake_mmu_access(at + size - 1, true, false)); // there without a fault
    assert_null(fake_mmu_access(at + PAGE_SIZE, true, false));
    assert_int_equal(write_byte(at + PAGE_SIZE, 1), 0);
    assert_int_equal(write_byte(at + PAGE_SIZE - 1, 1), -EACCES);
    assert_true(mm_describe(at + PAGE_SIZE - 1, text, sizeof(text)));
    assert_string_equal(text, "guard page below the stack of a thread");
}

static void heap_brk(void **state)
{
    (void)state;
    uint64_t start = 0x600000;
    mm_set_brk(space, start - 100);
    assert_int_equal(mm_brk(space, 0), start);
    assert_int_equal(mm_brk(space, start + 0x21000), start + 0x21000);
    assert_non_null(fake_mmu_access(start, true, false));
    assert_int_equal(write_byte(start + 0x20fff, 5), 0);
    assert_int_equal(read_byte(start + 0x21000), -EFAULT);
    assert_int_equal(mm_brk(space, start + 10), start + 10);
    assert_int_equal(read_byte(start + PAGE_SIZE), -EFAULT);
    assert_int_equal(mm_brk(space, start + 0x30000), start + 0x30000);
    assert_int_equal(read_byte(start + 0x20fff), 0);
    map(start + 0x40000, PAGE_SIZE, PROT_READ, ANON | MAP_FIXED);
    assert_int_equal(mm_brk(space, start + 0x40000), start + 0x30000); // a page stays free
    assert_int_equal(mm_brk(space, start + 0x3f000), start + 0x3f000);
    assert_int_equal(mm_brk(space, start - 1), start + 0x3f000);
    assert_int_equal(mm_brk(space, ~0ul), start + 0x3f000);
    struct mm_area_info info;
    assert_true(mm_next_area(space, start, &info));
    assert_string_equal(info.name, "[heap]");
    assert_int_equal(info.end, start + 0x3f000);
}

static void grow_and_move(void **state)
{
    (void)state;
    uint64_t a = (uint64_t)map(0x10000000, 4 * PAGE_SIZE, RW, ANON);
    write_byte(a, 1);
    write_byte(a + 3 * PAGE_SIZE, 4);
    assert_int_equal(mm_remap(space, a, 4 * PAGE_SIZE, 8 * PAGE_SIZE, 0, 0), a);
    map(a + 8 * PAGE_SIZE, PAGE_SIZE, PROT_NONE, ANON | MAP_FIXED);
    assert_int_equal(mm_remap(space, a, 8 * PAGE_SIZE, 16 * PAGE_SIZE, 0, 0), -ENOMEM);
    uint64_t b = (uint64_t)mm_remap(space, a, 8 * PAGE_SIZE, 16 * PAGE_SIZE, MREMAP_MAYMOVE, 0);
    assert_true((long)b > 0 && b != a);
    assert_int_equal(read_byte(b), 1);
    assert_int_equal(read_byte(b + 3 * PAGE_SIZE), 4);
    assert_int_equal(read_byte(b + 15 * PAGE_SIZE), 0);
    assert_int_equal(read_byte(a), -EFAULT);
    assert_int_equal(mm_remap(space, b, 16 * PAGE_SIZE, PAGE_SIZE, 0, 0), b);
    assert_int_equal(read_byte(b + PAGE_SIZE), -EFAULT);
    assert_int_equal(mm_remap(space, b, PAGE_SIZE, PAGE_SIZE, MREMAP_MAYMOVE | 4, 0), -EINVAL);
}

static void shared_memory(void **state)
{
    (void)state;
    uint64_t before = free_pages();
    uint64_t a = (uint64_t)map(0, 1 << 20, RW, MAP_SHARED | MAP_ANONYMOUS);
    assert_int_equal(write_byte(a + 5, 7), 0);
    assert_int_equal(mm_advise(space, a, 1 << 20, MADV_DONTNEED), 0);
    assert_int_equal(read_byte(a + 5), 7); // the object keeps it
    assert_int_equal(mm_advise(space, a, 1 << 20, MADV_FREE), -EINVAL);
    assert_int_equal(mm_unmap(space, a, 1 << 19), 0);
    assert_int_equal(read_byte(a + (1 << 19)), 0);
    assert_int_equal(mm_unmap(space, a, 1 << 20), 0);
    assert_true(before - free_pages() <= 4);
    // What a mapping of a file sees after the file was cut.
    a = (uint64_t)mm_map(space, 0, 4 * PAGE_SIZE, RW, MAP_SHARED, &tmp_file.vm, 0);
    assert_int_equal(write_byte(a + PAGE_SIZE, 9), 0);
    tmp_file.size = 1;
    mm_invalidate_object(&tmp_file.vm, 1, UINT64_MAX);
    assert_int_equal(read_byte(a + PAGE_SIZE), -ENXIO);
    assert_true(read_byte(a) >= 0);
    tmp_file.size = FILE_PAGES;
    assert_int_equal(read_byte(a + PAGE_SIZE), 9);
}

static uint64_t race_at;
static void race_unmap(void)
{
    assert_int_equal(mm_unmap(space, race_at, PAGE_SIZE), 0);
}
static void race_remap(void)
{
    assert_int_equal(map(race_at, PAGE_SIZE, RW, ANON | MAP_FIXED), race_at);
    assert_int_equal(write_byte(race_at, 77), 0);
}
static void race_read(void)
{
    assert_true(read_byte(race_at) >= 0);
}
static void race_write(void)
{
    assert_int_equal(write_byte(race_at, 66), 0);
}
static void race_truncate(void)
{
    tmp_file.size = 0;
    mm_invalidate_object(&tmp_file.vm, 0, UINT64_MAX);
}

// Another thread changes the space while get_page sleeps.
static void fault_races(void **state)
{
    (void)state;
    int flags[] = {MAP_PRIVATE, MAP_SHARED};
    for (int i = 0; i < 4; i++) {
        bool write = i & 1;
        int flag = flags[i / 2];
        race_at = (uint64_t)mm_map(space, 0, PAGE_SIZE, RW, flag, &tmp_file.vm, 0);
        tmp_file.during_get = race_unmap;
        assert_int_equal(write ? write_byte(race_at, 1) : read_byte(race_at), -EFAULT);
        race_at = (uint64_t)mm_map(space, 0, PAGE_SIZE, RW, flag, &tmp_file.vm, 0);
        tmp_file.during_get = race_remap;
        assert_int_equal(write ? write_byte(race_at, 77) : read_byte(race_at), write ? 0 : 77);
        assert_int_equal(mm_unmap(space, race_at, PAGE_SIZE), 0);
        race_at = (uint64_t)mm_map(space, 0, PAGE_SIZE, RW, flag, &tmp_file.vm, 0);
        tmp_file.during_get = race_read;
        assert_true((write ? write_byte(race_at, 1) : read_byte(race_at)) >= 0);
        assert_int_equal(mm_unmap(space, race_at, PAGE_SIZE), 0);
        race_at = (uint64_t)mm_map(space, 0, PAGE_SIZE, RW, flag, &tmp_file.vm, 0);
        tmp_file.during_get = race_write;
        assert_int_equal(write ? write_byte(race_at, 65) : read_byte(race_at), write ? 0 : 66);
        assert_int_equal(read_byte(race_at), write ? 65 : 66);
        assert_int_equal(mm_unmap(space, race_at, PAGE_SIZE), 0);
        race_at = (uint64_t)mm_map(space, 0, PAGE_SIZE, RW, flag, &tmp_file.vm, 0);
        tmp_file.during_get = race_truncate;
        assert_int_equal(write ? write_byte(race_at, 1) : read_byte(race_at), -ENXIO);
        tmp_file.size = FILE_PAGES;
    }
}

// Work ahead: a program's start takes few faults, and what was not needed comes back.
static void ahead(void **state)
{
    (void)state;
    // As ld.so loads a library: the whole span, then the text over it. No page is mapped twice.
    uint64_t size = FILE_PAGES * PAGE_SIZE, flushes = fake_mmu_flushes;
    uint64_t lib = (uint64_t)mm_map(space, 0, size, PROT_READ, MAP_PRIVATE, &root_file.vm, 0);
    uint64_t text = lib + 20 * PAGE_SIZE;
    assert_null(fake_mmu_access(lib, false, false));
    assert_int_equal(mm_map(space, text, 20 * PAGE_SIZE, PROT_READ | PROT_EXEC,
                            MAP_PRIVATE | MAP_FIXED, &root_file.vm, 20 * PAGE_SIZE),
                     text);
    assert_non_null(fake_mmu_access(text - PAGE_SIZE, false, false));
    assert_non_null(fake_mmu_access(text + 19 * PAGE_SIZE, false, true));
    assert_null(fake_mmu_access(text + 20 * PAGE_SIZE, false, false));
    assert_int_equal(fake_mmu_flushes, flushes);
    // What nobody maps over comes whole with its first fault.
    assert_int_equal(read_byte(text + 30 * PAGE_SIZE), 150);
    assert_non_null(fake_mmu_access(text + 20 * PAGE_SIZE, false, false));
    assert_non_null(fake_mmu_access(lib + size - 1, false, false));
    uint64_t data = (uint64_t)mm_map(space, 0, 8 * PAGE_SIZE, RW, MAP_PRIVATE, &root_file.vm, 0);
    assert_non_null(fake_mmu_access(data, true, false));
    uint64_t anon = (uint64_t)map(0, 16 * PAGE_SIZE, RW, ANON);
    assert_non_null(fake_mmu_access(anon + 15 * PAGE_SIZE, true, false));
    *fake_mmu_access(anon + PAGE_SIZE, true, false) = 3;
    uint64_t mapped = fake_mmu_mapped, big = (uint64_t)map(0, 1 << 20, RW, ANON);
    assert_int_equal(fake_mmu_mapped, mapped);
    assert_int_equal(write_byte(big + 3 * PAGE_SIZE, 1), 0);
    assert_true(fake_mmu_mapped > mapped + 1); // around it
    size_t freed = mm_reclaim_ahead(1000);
    assert_true(freed >= 15);
    assert_int_equal(read_byte(anon + PAGE_SIZE), 3);
    assert_int_equal(read_byte(anon + 2 * PAGE_SIZE), 0);
    assert_int_equal(read_byte(big + 3 * PAGE_SIZE), 1);
    // Nor do new rights make an untouched page of it.
    assert_int_equal(mm_protect(space, anon, 16 * PAGE_SIZE, PROT_READ), 0);
    mm_reclaim_ahead(1000);
    assert_int_equal(read_byte(anon + PAGE_SIZE), 3);
    // Moved pages are not taken for untouched ones.
    uint64_t moved = (uint64_t)map(0, 4 * PAGE_SIZE, RW, ANON);
    *fake_mmu_access(moved, true, false) = 9;
    moved = (uint64_t)mm_remap(space, moved, 4 * PAGE_SIZE, 64 * PAGE_SIZE, MREMAP_MAYMOVE, 0);
    mm_reclaim_ahead(1000);
    assert_int_equal(read_byte(moved), 9);
}

// No memory: an error, nothing lost, and everything works again after.
static void exhaustion(void **state)
{
    (void)state;
    uint64_t a = (uint64_t)map(0, SHIM_RAM * 2, RW, ANON), at = a;
    int rc;
    while ((rc = write_byte(at, 1)) == 0)
        at += PAGE_SIZE;
    assert_int_equal(rc, -ENOMEM);
    assert_true(at - a > SHIM_RAM * 9 / 10);
    assert_true(free_pages() >= MM_RESERVE_PAGES - 1);
    assert_true(map(0, PAGE_SIZE, RW, ANON) > 0); // the kernel still can
    uint64_t f = (uint64_t)mm_map(space, 0, PAGE_SIZE, RW, MAP_PRIVATE, &tmp_file.vm, 0);
    assert_true(read_byte(f) >= 0);
    assert_int_equal(write_byte(f, 1), -ENOMEM);
    assert_true(read_byte(f) >= 0);
    assert_int_equal(mm_unmap(space, a, SHIM_RAM * 2), 0);
    assert_int_equal(write_byte(f, 1), 0);
    // Page tables that cannot be had.
    for (int i = 0; i < 40; i++) {
        fake_mmu_fail_after = i;
        uint64_t m = (uint64_t)map(0, 4 * PAGE_SIZE, RW, ANON);
        if ((long)m > 0) {
            write_byte(m, 1);
            long to = mm_remap(space, m, 4 * PAGE_SIZE, 64 * PAGE_SIZE, MREMAP_MAYMOVE, 0);
            mm_unmap(space, to > 0 ? (uint64_t)to : m, 64 * PAGE_SIZE);
        }
        m = (uint64_t)mm_map(space, 0, 4 * PAGE_SIZE, RW, MAP_PRIVATE, &root_file.vm, 0);
        write_byte(m, 1);
        mm_unmap(space, m, 4 * PAGE_SIZE);
        fake_mmu_fail_after = -1;
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(arguments),     T(shared_read_only_file), T(reservations), T(placement),
        T(stack_grows),   T(thread_stack),          T(heap_brk),     T(grow_and_move),
        T(shared_memory), T(fault_races),           T(ahead),        T(random_steps),
        T(exhaustion),
    };
    fake_mmu_start_mm();
    void *root = pa_to_va(ROOT_PA);
    if (mmap(root, FILE_PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != root)
        abort();
    for (unsigned i = 0; i < FILE_PAGES; i++) {
        tmp_file.pages[i] = page_alloc(0, PAGE_ZERO);
        *(uint8_t *)pa_to_va(tmp_file.pages[i]) = (uint8_t)i;
        ((uint8_t *)root)[i * PAGE_SIZE] = (uint8_t)(i + 100);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: ISC
// links: tests/unit/shim_core.c tests/unit/fake_mmu.c kernel/mm/page.c kernel/mm/heap.c
// links: kernel/mm/kva.c kernel/mm/area.c kernel/mm/map.c kernel/mm/fault.c kernel/mm/remap.c
// links: kernel/mm/info.c kernel/mm/shm.c
// links: kernel/lib/format.c kernel/lib/rbtree.c kernel/lib/hash.c -DLITH_DEBUG
// Pages, heap (with red zones) and kernel stacks: random use against a model, and misuse that must
// be caught.
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "shim.h"
#include "fake_mmu.h"

static jmp_buf panicked;
static char panic_text[512];

static void catch_panic(const char *text)
{
    snprintf(panic_text, sizeof(panic_text), "%s", text);
    longjmp(panicked, 1);
}

// Runs `statement`, which must panic with a text that contains `words`.
#define assert_panics(statement, words)                               \
    do {                                                              \
        shim_panic_hook = catch_panic;                                \
        if (setjmp(panicked) == 0) {                                  \
            statement;                                                \
            fail_msg("no panic: %s", #statement);                     \
        }                                                             \
        shim_panic_hook = NULL;                                       \
        if (!strstr(panic_text, words))                               \
            fail_msg("panic says \"%s\", not %s", panic_text, words); \
    } while (0)

static uint64_t free_pages(void)
{
    struct mm_stats s;
    mm_stats(&s);
    return s.free_pages;
}

// Blocks never overlap, are aligned, zeroed if asked for, and all come back into the largest
// blocks.
static void pages_random(void **state)
{
    enum { N = 600 };
    static struct {
        uint64_t pa;
        unsigned order;
        uint8_t tag;
    } held[N];
    uint64_t before = free_pages();
    (void)state;
    for (unsigned round = 0; round < 60000; round++) {
        unsigned i = (unsigned)(random_u64() % N);
        if (held[i].pa) {
            uint8_t *p = pa_to_va(held[i].pa);
            assert_int_equal(p[0], held[i].tag);
            assert_int_equal(p[(PAGE_SIZE << held[i].order) - 1], held[i].tag);
            if (held[i].order == 0 && random_u64() % 2)
                page_unref(held[i].pa);
            else if (held[i].order == 2 && random_u64() % 2)
                for (unsigned k = 0; k < 4; k++) // a block may be given back in parts
                    page_free(held[i].pa + k * PAGE_SIZE, 0);
            else
                page_free(held[i].pa, held[i].order);
            held[i].pa = 0;
            continue;
        }
        unsigned order = (unsigned)(random_u64() % 100 < 70 ? 0 : random_u64() % 8);
        unsigned flags = random_u64() % 2 ? PAGE_ZERO : 0;
        uint64_t pa = page_alloc(order, flags);
        if (!pa)
            continue;
        assert_true(IS_ALIGNED(pa, PAGE_SIZE << order));
        assert_true(pa + (PAGE_SIZE << order) <= SHIM_RAM);
        assert_int_equal(page_refs(pa), 1);
        uint8_t *p = pa_to_va(pa);
        if (flags)
            for (size_t k = 0; k < PAGE_SIZE << order; k += 511)
                assert_int_equal(p[k], 0);
        held[i].pa = pa;
        held[i].order = order;
        held[i].tag = (uint8_t)random_u64();
        p[0] = p[(PAGE_SIZE << order) - 1] = held[i].tag;
    }
    for (unsigned i = 0; i < N; i++)
        if (held[i].pa)
            page_free(held[i].pa, held[i].order);
    assert_int_equal(free_pages(), before);
}

static size_t shrink_calls;
static size_t count_shrink(size_t pages)
{
    (void)pages;
    shrink_calls++;
    return 0;
}

// All memory can be had in large blocks, then in single pages; programs leave some to the kernel.
static void pages_exhaust(void **state)
{
    static uint64_t got[SHIM_RAM / PAGE_SIZE];
    uint64_t before = free_pages(), n = 0;
    (void)state;
    mm_add_shrinker(count_shrink);
    while ((got[n] = page_alloc(0, PAGE_USER)))
        n++;
    assert_true(shrink_calls > 0);
    assert_true(free_pages() > 16);
    assert_int_not_equal(page_alloc(0, 0), 0);
    for (uint64_t i = 0; i < n; i++)
        page_unref(got[i]);
    for (n = 0; (got[n] = page_alloc(PAGE_ORDER_MAX, 0));)
        n++;
    assert_true(n >= (before >> PAGE_ORDER_MAX) - 3); // the start of RAM is not aligned
    while (n)
        page_free(got[--n], PAGE_ORDER_MAX);
    assert_int_equal(free_pages(), before - 1);
}

static void pages_misuse(void **state)
{
    uint64_t pa = page_alloc(0, 0), block = page_alloc(3, 0);
    (void)state;
    page_ref(pa);
    assert_int_equal(page_refs(pa), 2);
    page_unref(pa);
    page_unref(pa);
    assert_panics(page_unref(pa), "free already");
    assert_panics(page_free(pa, 0), "free already");
    assert_panics(page_free(block + PAGE_SIZE, 1), "not a page");
    assert_panics(page_free(SHIM_RAM + PAGE_SIZE, 0), "not a page");
    page_free(block, 3);
    assert_panics(page_free(block, 3), "free already");
    page_ref(SHIM_RAM * 4); // the root file: no counts
    page_unref(SHIM_RAM * 4);
    assert_true(page_refs(SHIM_RAM * 4) > 1);
}

static void heap_random(void **state)
{
    enum { N = 2000 };
    static struct {
        uint8_t *p;
        size_t n;
        uint8_t tag;
    } held[N];
    (void)state;
    for (unsigned round = 0; round < 100000; round++) {
        unsigned i = (unsigned)(random_u64() % N);
        if (held[i].p) {
            for (size_t k = 0; k < held[i].n; k += 1 + held[i].n / 7)
                assert_int_equal(held[i].p[k], held[i].tag);
            if (random_u64() % 4 == 0) {
                size_t n = random_u64() % 9000;
                uint8_t *q = krealloc(held[i].p, n);
                assert_non_null(q);
                for (size_t k = 0; k < MIN(n, held[i].n); k += 97)
                    assert_int_equal(q[k], held[i].tag);
                memset(q, held[i].tag, n);
                held[i].p = q;
                held[i].n = n;
                continue;
            }
            kfree(held[i].p);
            held[i].p = NULL;
            continue;
        }
        uint64_t r = random_u64();
        size_t n = r % 10 ? r / 16 % 700 : r % 100 ? r / 128 % 5000 : r / 128 % 300000;
        bool zero = r >> 63;
        uint8_t *p = zero ? kzalloc(n) : kmalloc(n);
        assert_non_null(p);
        assert_true(IS_ALIGNED((uintptr_t)p, 16));
        for (size_t k = 0; zero && k < n; k++)
            assert_int_equal(p[k], 0);
        held[i].p = p;
        held[i].n = n;
        held[i].tag = (uint8_t)r;
        memset(p, held[i].tag, n);
    }
    for (unsigned i = 0; i < N; i++)
        kfree(held[i].p);
    struct mm_stats s;
    mm_stats(&s);
    assert_true(s.heap_bytes < 2 << 20); // what stays: an empty slab per class and their records
}

static void heap_alignment(void **state)
{
    (void)state;
    for (size_t n = 64; n <= 1 << 16; n *= 2) {
        void *p = kmalloc(n), *q = kmalloc(n);
        assert_true(IS_ALIGNED((uintptr_t)p, 64));
        assert_true(IS_ALIGNED((uintptr_t)q, 64));
        kfree(p);
        kfree(q);
    }
    assert_null(kmalloc(SIZE_MAX));
    assert_null(kmalloc(SIZE_MAX - 4095));
    kfree(NULL);
}

static void heap_misuse(void **state)
{
    char *a = kmalloc(40), *b = kmalloc(40), *big = kmalloc(3 * PAGE_SIZE);
    (void)state;
    kfree(a);
    assert_panics(kfree(a), "double free");
    assert_panics(kfree(b + 8), "not at its start");
    assert_panics(kfree(big + 16), "not a heap object");
    assert_panics(kfree(panic_text), "not a heap object");
    assert_panics(krealloc(a, 100), "double free");
    kfree(big);
    assert_panics(kfree(big), "freed already");
    b[40] = 'x'; // the first byte behind it
    assert_panics(kfree(b), "beyond its end");
    b[40] = (char)0xbd;
    memset(b, 1, 64);
    assert_panics(kfree(b), "beyond its end");
    char *c = kmalloc(200);
    kfree(c);
    c[5] = 1; // after the free
    assert_panics(for (int i = 0; i < 4096; i++) kmalloc(200), "after it was freed");
    uint64_t pa = page_alloc(0, 0);
    assert_panics(kfree(pa_to_va(pa)), "not a heap object");
    page_free(pa, 0);
}

// Mapped objects: seen through their translations, since nothing is really mapped here.
static void heap_mapped(void **state)
{
    uint64_t before = free_pages(), mapped = fake_mmu_mapped;
    void *p = kmalloc(5 << 20), *q = kmalloc(9 << 20);
    (void)state;
    assert_non_null(p);
    assert_int_equal(fake_mmu_mapped - mapped, (14 << 20) / PAGE_SIZE);
    assert_null(fake_mmu_access((uintptr_t)p + (5 << 20), true, false));
    assert_non_null(fake_mmu_access((uintptr_t)q + (9 << 20) - 1, true, false));
    assert_null(fake_mmu_access((uintptr_t)q, false, true));
    kfree(p);
    assert_panics(kfree(p), "not a heap object");
    p = kmalloc(5 << 20);
    kfree(p);
    kfree(q);
    assert_null(kmalloc(1ul << 36));
    assert_int_equal(fake_mmu_mapped, mapped);
    assert_true(free_pages() + 4 >= before); // slabs of the records
}

static void kernel_stacks(void **state)
{
    enum { N = 200 };
    uint64_t stack[N];
    (void)state;
    uint64_t before = free_pages();
    for (int i = 0; i < N; i++) {
        stack[i] = (uintptr_t)kstack_alloc();
        assert_true(stack[i] != 0);
        assert_non_null(fake_mmu_access(stack[i], true, false));
        assert_non_null(fake_mmu_access(stack[i] + KSTACK_SIZE - 1, true, false));
        assert_null(fake_mmu_access(stack[i], false, true));
        assert_null(fake_mmu_access(stack[i] - 1, false, false));
        assert_true(kstack_is_guard(stack[i] - 1));
        assert_true(kstack_is_guard(stack[i] + KSTACK_SIZE));
        assert_false(kstack_is_guard(stack[i]));
        assert_false(kstack_is_guard(stack[i] + KSTACK_SIZE - 1));
    }
    for (int i = 0; i < N; i++)
        kstack_free((void *)stack[i]);
    assert_panics(kstack_free((void *)stack[0]), "free already");
    assert_panics(kstack_free((void *)stack[N - 1]), "not a kernel stack");
    assert_panics(kstack_free((void *)(stack[0] + PAGE_SIZE)), "not a kernel stack");
    assert_false(kstack_is_guard(0));
    char text[128];
    assert_true(report_describe(stack[0] - 1, text, sizeof(text)));
    assert_string_equal(text, "guard page of a kernel stack");
    assert_true(before - free_pages() < 100); // cached ones
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_random),   cmocka_unit_test(pages_exhaust),
        cmocka_unit_test(pages_misuse),   cmocka_unit_test(heap_random),
        cmocka_unit_test(heap_alignment), cmocka_unit_test(heap_misuse),
        cmocka_unit_test(heap_mapped),    cmocka_unit_test(kernel_stacks),
    };
    fake_mmu_start_mm();
    plat_info.ram_zeroed = true;
    return cmocka_run_group_tests(tests, NULL, NULL);
}

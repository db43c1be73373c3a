// SPDX-License-Identifier: ISC
// links: host/monitor/guest_mem.c
// Guest-physical addresses: nothing that is not wholly inside one region becomes a pointer.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "monitor/monitor.h"

static uint8_t low[8192], high[4096], root[4096];
static const struct guest_mem mem = {
    .count = 3,
    .region = {{0, sizeof low, low, true},
               {4 * GIB, sizeof high, high, true},
               {8 * GIB, sizeof root, root, false}},
};

static void test_inside(void **state)
{
    (void)state;
    assert_ptr_equal(guest_mem_ptr(&mem, 0, 1, true), low);
    assert_ptr_equal(guest_mem_ptr(&mem, 0, 8192, true), low);
    assert_ptr_equal(guest_mem_ptr(&mem, 8191, 1, true), low + 8191);
    assert_ptr_equal(guest_mem_ptr(&mem, 4 * GIB + 5, 4091, true), high + 5);
    assert_ptr_equal(guest_mem_ptr(&mem, 8 * GIB, 4096, false), root);
}

static void test_outside(void **state)
{
    (void)state;
    static const struct {
        gpa_t gpa;
        uint64_t len;
        bool write;
    } bad[] = {
        {8192, 1, false}, // behind the end
        {8191, 2, false}, // across the end
        {0, 8193, false},
        {0, 0, false},           // nothing
        {4 * GIB - 1, 2, false}, // into a region from below
        {0, UINT64_MAX, false},
        {1, UINT64_MAX, false}, // wraps to 0
        {UINT64_MAX, 1, false},
        {UINT64_MAX, UINT64_MAX, false},
        {UINT64_MAX - 10, 100, false}, // wraps into the first region
        {8 * GIB, 1, true},            // read-only
        {8 * GIB, 4097, false},
        {16 * GIB, 1, false},
    };
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_null(guest_mem_ptr(&mem, bad[i].gpa, bad[i].len, bad[i].write));
}

static void test_read(void **state)
{
    (void)state;
    uint32_t value = 0, stored = 0x12345678;
    memcpy(low + 8188, &stored, 4);
    assert_true(guest_mem_read(&mem, 8188, &value, 4));
    assert_int_equal(value, 0x12345678);
    assert_false(guest_mem_read(&mem, 8189, &value, 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inside),
        cmocka_unit_test(test_outside),
        cmocka_unit_test(test_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

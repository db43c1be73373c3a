// SPDX-License-Identifier: ISC
// links: host/image/rewrite/*.c -lZydis -ljansson
// The rewriter on this Debian's own files: everything in libc and ld.so, nothing in libcrypto
// (whose curve tables in .text look like calls).
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "image/rewrite/rewrite.h"

#define LIB "/lib/x86_64-linux-gnu/"

static uint8_t *read_file(const char *path, size_t *len)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return NULL;
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    *len = ftell(file);
    rewind(file);
    uint8_t *data = malloc(*len);
    assert_int_equal(fread(data, 1, *len, file), *len);
    fclose(file);
    return data;
}

// Rewrites the file; afterwards there is nothing left to find. Returns how many sites there were.
static size_t rewrite_all(const char *path)
{
    size_t len, out_len, again_len;
    uint8_t *data = read_file(path, &len), *out, *again;
    struct rewrite_report report, second;
    if (!data)
        return 0;
    assert_int_equal(rewrite_elf(data, len, 0, &out, &out_len, &report), REWRITE_CHANGED);
    if (report.left)
        rewrite_report_print(stderr, path, &report, false);
    assert_int_equal(report.left, 0);
    assert_int_equal(report.forms[REWRITE_FORM_TRAP] + report.forms[REWRITE_FORM_RAW], 0);
    assert_int_equal(rewrite_elf(out, out_len, 0, &again, &again_len, &second), REWRITE_UNCHANGED);
    assert_int_equal(second.found, 0);
    size_t found = report.found;
    rewrite_report_free(&report);
    rewrite_report_free(&second);
    free(out);
    free(data);
    return found;
}

static void libc_is_rewritten(void **state)
{
    (void)state;
    assert_true(rewrite_all(LIB "libc.so.6") > 400);
}

static void ld_so_is_rewritten(void **state)
{
    (void)state;
    assert_true(rewrite_all("/lib64/ld-linux-x86-64.so.2") > 30);
}

// Where installed: calls inlined among RIP-relative loads, and a libc without frames.
static void others_are_rewritten(void **state)
{
    (void)state;
    rewrite_all("/usr/lib/x86_64-linux-gnu/libgomp.so.1");
    rewrite_all("/lib/ld-musl-x86_64.so.1");
}

static void untouched(const char *path)
{
    size_t len, out_len;
    uint8_t *data = read_file(path, &len), *out;
    struct rewrite_report report;
    if (!data)
        skip();
    assert_int_equal(rewrite_elf(data, len, 0, &out, &out_len, &report), REWRITE_UNCHANGED);
    assert_null(out);
    assert_int_equal(report.found, 0);
    rewrite_report_free(&report);
    free(data);
}

static void libcrypto_is_not_touched(void **state)
{
    (void)state;
    untouched("/usr/lib/x86_64-linux-gnu/libcrypto.so.3");
}

static void nginx_has_no_calls(void **state)
{
    (void)state;
    untouched("/usr/sbin/nginx");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(libc_is_rewritten),    cmocka_unit_test(ld_so_is_rewritten),
        cmocka_unit_test(others_are_rewritten), cmocka_unit_test(libcrypto_is_not_touched),
        cmocka_unit_test(nginx_has_no_calls),
    };
    return cmocka_run_group_tests_name("rewrite_debian", tests, NULL, NULL);
}

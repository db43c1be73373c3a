// SPDX-License-Identifier: ISC
// links: host/size/elf.c host/size/map.c host/size/graph.c host/size/report.c
// links: host/size/treemap.c host/size/symbolize.c host/common/error.c host/common/file.c
// links: host/common/tool.c host/common/program.c -ljansson -lm
// `lith size` and `lith symbolize` on a small program whose pieces and references are known.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <jansson.h>
#include <cmocka.h>
#include "size/size.h"
#include "size_file.h"

static uint8_t file[SIZE_LEN];
static struct model m;

static void open_good(void)
{
    struct err e = {""};
    size_file(file, size_map, sizeof(size_map) - 1);
    int r = model_open(&m, file, SIZE_LEN, &e);
    assert_string_equal(e.text, "");
    assert_int_equal(r, 0);
}

static const struct library *library(const char *name)
{
    for (unsigned i = 0; i < m.library_count; i++)
        if (strcmp(m.libraries[i].name, name) == 0)
            return &m.libraries[i];
    return NULL;
}

static void test_bytes(void **state)
{
    (void)state;
    open_good();
    assert_int_equal(library("program")->bytes[KIND_TEXT], 0x100);
    assert_int_equal(library("libc")->bytes[KIND_TEXT], 0x40);
    assert_int_equal(library("fs")->bytes[KIND_TEXT], 0x30);
    assert_int_equal(library("fs")->bytes[KIND_DATA], 0x20);
    assert_int_equal(library("plat")->bytes[KIND_BSS], 0x400);
    assert_null(library("(linker)")); // .comment is not loaded
    assert_int_equal(m.load_address, 0x10000);
    assert_int_equal(m.memory_bytes, 0x2000);
    assert_int_equal(m.padding, 0);
    model_close(&m);
}

// Who pulled what in: along the references from main; the record hangs on the gate it refers to.
static void test_chains(void **state)
{
    (void)state;
    struct buf out = {0};
    struct err e;
    open_good();
    assert_int_equal(report_why(&m, "libc", &out, &e), 0);
    assert_non_null(strstr(out.data, "    main  (program, hello.o, 256 bytes)\n  > printf  (libc"));
    buf_free(&out);
    assert_int_equal(report_why(&m, "buffer", &out, &e), 0);
    assert_non_null(strstr(out.data, "gate_write  (fs, fs__write.o, 48 bytes)  [kept by entry"));
    assert_non_null(strstr(out.data, "  > buffer  (plat, plat_kvm__start.o, 1024 bytes)\n"));
    buf_free(&out);
    assert_int_equal(report_why(&m, "__lith_gate_write", &out, &e), 0);
    assert_non_null(strstr(out.data, "also used by\n    printf"));
    assert_null(strstr(out.data, "__lith_"));
    buf_free(&out);
    assert_int_equal(report_why(&m, "write_init", &out, &e), 0);
    assert_non_null(strstr(out.data, "  > write_init  (fs, fs__write.o, 32 bytes)  [kept with"));
    buf_free(&out);
    assert_int_equal(report_why(&m, "nothing", &out, &e), -ENOENT);
    buf_free(&out);
    report_text(&m, "hello", &out);
    assert_non_null(strstr(out.data, "main > printf"));
    buf_free(&out);
    report_svg(&m, "dir/<hello>", &out);
    assert_non_null(strstr(out.data, "&lt;hello>"));
    assert_non_null(strstr(out.data, "</svg>\n"));
    buf_free(&out);
    model_close(&m);
}

static void test_json(void **state)
{
    (void)state;
    struct buf out = {0};
    open_good();
    assert_int_equal(report_json(&m, "hello", &out), 0);
    json_t *root = json_loads(out.data, 0, NULL);
    assert_non_null(root);
    assert_int_equal(json_integer_value(json_object_get(root, "version")), 1);
    assert_int_equal(json_integer_value(json_object_get(root, "memory_bytes")), 0x2000);
    json_t *libraries = json_object_get(root, "libraries"), *first = json_array_get(libraries, 0);
    assert_int_equal(json_array_size(libraries), 4);
    assert_string_equal(json_string_value(json_object_get(first, "name")), "plat");
    assert_string_equal(json_string_value(json_object_get(first, "group")), "kernel");
    assert_int_equal(json_array_size(json_object_get(first, "chain")), 2);
    json_decref(root);
    buf_free(&out);
    model_close(&m);
}

static void test_refused(void **state)
{
    (void)state;
    struct err e;
    size_file(file, size_map, sizeof(size_map) - 1);
    assert_int_equal(model_open(&m, file, 10, &e), -ENOEXEC);
    assert_int_equal(model_open(&m, file, SIZE_SHDRS + 10, &e), -EBADMSG);
    file[SIZE_NAMES + 56] = 'x'; // another section's name: no map
    assert_int_equal(model_open(&m, file, SIZE_LEN, &e), -ENODATA);
    assert_non_null(strstr(e.text, "lith-cc"));
    size_file(file, "", 0); // a map with nothing in it
    assert_int_equal(model_open(&m, file, SIZE_LEN, &e), -ENODATA);
}

static void symbolized(const char *line, const char *expected)
{
    static uint64_t base;
    struct buf out = {0};
    if (*line == 0) {
        base = 0;
        return;
    }
    symbolize_line(&m.elf, line, &base, NULL, NULL, &out);
    assert_string_equal(out.data, expected);
    buf_free(&out);
}

static void test_symbolize(void **state)
{
    (void)state;
    open_good();
    symbolized("", "");
    symbolized("kernel+0x105, rest\n", "printf+0x5, rest\n");
    symbolized("    00007c0000000150\n", "    gate_write+0x10\n");
    symbolized("rip 0x7d0000200104", "rip printf+0x4"); // anywhere in the monitor's steps
    symbolized("xkernel+0x105 0x12 abc deadbeef kernel+0x99999",
               "xkernel+0x105 0x12 abc deadbeef kernel+0x99999");
    symbolized("at 00007c3ec9400105  kernel+0x105", "at 00007c3ec9400105  printf+0x5");
    symbolized("00007c3ec9400110 0x7d0000200104",
               "printf+0x10 0x7d0000200104"); // the base is known
    symbolized("kernel_base 0x7c1234600000", "kernel_base 0x7c1234600000");
    symbolized("0x7c1234600104 0x7d0000200104", "printf+0x4 0x7d0000200104");
    model_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes),     cmocka_unit_test(test_chains),
        cmocka_unit_test(test_json),      cmocka_unit_test(test_refused),
        cmocka_unit_test(test_symbolize),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

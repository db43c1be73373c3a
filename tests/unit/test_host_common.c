// SPDX-License-Identifier: ISC
// Values as users write them, and the boot configuration text that the kernel reads back.
// links: host/common/parse.c host/common/error.c host/common/bootconfig.c host/common/file.c
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "abi/bootconfig.h"
#include "common/common.h"

static void sizes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {{"0", 0},           {"4096", 4096},      {"12M", 12u << 20},
                {"12m", 12u << 20}, {"12MB", 12u << 20}, {"12MiB", 12u << 20},
                {"1g", 1u << 30},   {"2k", 2048},        {"7b", 7},
                {"1T", 1ull << 40}};
    static const char *const bad[] = {"", "M", "-1", "1.5M", "1X", "1MM", " 1", "1 ", "0x10"};
    uint64_t v;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(parse_size(good[i].text, &v), 0);
        assert_int_equal(v, good[i].bytes);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(parse_size(bad[i], &v), -EINVAL);
    assert_int_equal(parse_size("18446744073709551616", &v), -ERANGE);
    assert_int_equal(parse_size("18014398509481984k", &v), -ERANGE);
    assert_int_equal(parse_uint("70000", 1, 65535, &v), -ERANGE);
    assert_int_equal(parse_uint("", 0, 1, &v), -EINVAL);
}

static void addresses(void **state)
{
    (void)state;
    uint32_t a;
    unsigned p;
    uint8_t mac[6];
    static const char *const bad_ip[] = {"",          "1",         "1.2.3",    "1.2.3.4.",
                                         "1.2.3.256", "01.2.3.4",  "1.2.3.4 ", "1..2.3",
                                         "a.b.c.d",   "1.2.3.1000"};
    static const char *const bad_prefix[] = {"1.2.3.4",    "1.2.3.4/",   "1.2.3.4/0",
                                             "1.2.3.4/33", "1.2.3.4/08", "1.2.3.4/8x"};
    static const char *const bad_mac[] = {"",
                                          "52:54:00:12:34",
                                          "52:54:00:12:34:5",
                                          "52:54:00:12:34:56:",
                                          "00:00:00:00:00:00",
                                          "01:00:00:00:00:01",
                                          "5g:54:00:12:34:56",
                                          "52-54-00-12-34-56"};
    assert_int_equal(parse_ipv4("10.0.2.15", &a), 0);
    assert_int_equal(a, 0x0a00020f);
    assert_int_equal(parse_ipv4_prefix("255.255.255.255/32", &a, &p), 0);
    assert_int_equal(p, 32);
    assert_int_equal(parse_mac("52:54:00:12:ab:CD", mac), 0);
    assert_int_equal(mac[5], 0xcd);
    for (size_t i = 0; i < sizeof(bad_ip) / sizeof(bad_ip[0]); i++)
        assert_int_equal(parse_ipv4(bad_ip[i], &a), -EINVAL);
    for (size_t i = 0; i < sizeof(bad_prefix) / sizeof(bad_prefix[0]); i++)
        assert_int_equal(parse_ipv4_prefix(bad_prefix[i], &a, &p), -EINVAL);
    for (size_t i = 0; i < sizeof(bad_mac) / sizeof(bad_mac[0]); i++)
        assert_int_equal(parse_mac(bad_mac[i], mac), -EINVAL);
}

static void bootconfig_escapes(void **state)
{
    (void)state;
    struct bootconfig b = {0};
    struct err e;
    bootconfig_add(&b, "arg", "/bin/echo");
    bootconfig_add(&b, "arg", "a b%\n\x7f\xc3\xa4=c");
    bootconfig_add(&b, "arg", "");
    bootconfig_addf(&b, "uid", "%u", 33u);
    assert_int_equal(bootconfig_finish(&b, &e), 0);
    assert_string_equal(b.text.data, "arg=/bin/echo arg=a%20b%25%0A%7F%C3%A4=c arg= uid=33");
    bootconfig_free(&b);
}

static void unescape_takes_back(void **state)
{
    (void)state;
    struct buf b = {0};
    escape_add(&b, "a b%\n\x7f\xc3\xa4=c");
    assert_int_equal(unescape(b.data), 0);
    assert_string_equal(b.data, "a b%\n\x7f\xc3\xa4=c");
    buf_free(&b);
    static const char *const bad[] = {"%", "%2", "%zz", "a%0", "%00", "%2g"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char text[8];
        strcpy(text, bad[i]);
        assert_int_equal(unescape(text), -EINVAL);
    }
}

static void bootconfig_limits(void **state)
{
    (void)state;
    struct bootconfig b = {0};
    struct err e;
    assert_int_equal(bootconfig_finish(&b, &e), 0);
    assert_string_equal(b.text.data, "");
    bootconfig_free(&b);
    char *big = xmalloc(LITH_BOOTCONFIG_MAX);
    memset(big, 'x', LITH_BOOTCONFIG_MAX - 1);
    big[LITH_BOOTCONFIG_MAX - 1] = 0;
    big[LITH_BOOTCONFIG_MAX - 6] = 0; // "k=" + value + NUL is one byte too long
    big[LITH_BOOTCONFIG_MAX - 3] = 0;
    bootconfig_add(&b, "k", big);
    bootconfig_add(&b, "k", "12");
    assert_int_equal(bootconfig_finish(&b, &e), -E2BIG);
    assert_non_null(strstr(e.text, "too long"));
    bootconfig_free(&b);
    free(big);
    b = (struct bootconfig){0};
    for (int i = 0; i <= LITH_BOOTCONFIG_WORDS_MAX; i++)
        bootconfig_add(&b, "a", "");
    assert_int_equal(bootconfig_finish(&b, &e), -E2BIG);
    bootconfig_free(&b);
}

static void files(void **state)
{
    (void)state;
    char dir[] = "/tmp/lith-test-XXXXXX", *data;
    size_t len;
    assert_non_null(mkdtemp(dir));
    int fd = open(dir, O_RDONLY | O_DIRECTORY);
    assert_int_equal(file_write_atomic(fd, "f", "hello", 5), 0);
    assert_int_equal(file_write_atomic(fd, "f", "bye", 3), 0);
    assert_int_equal(file_read(fd, "f", 3, &data, &len), 0);
    assert_int_equal(len, 3);
    assert_string_equal(data, "bye");
    free(data);
    assert_int_equal(file_read(fd, "f", 2, &data, &len), -EFBIG);
    assert_int_equal(file_read(fd, ".", 2, &data, &len), -EISDIR);
    assert_int_equal(file_read(fd, "none", 2, &data, &len), -ENOENT);
    char *deep = xasprintf("%s/a/b/c", dir);
    assert_int_equal(mkdir_all(deep, 0755), 0);
    assert_int_equal(mkdir_all(deep, 0755), 0);
    // A link out of the folder is removed, not followed.
    assert_int_equal(symlinkat("/", fd, "a/b/out"), 0);
    assert_int_equal(remove_all(AT_FDCWD, dir), 0);
    assert_int_equal(access(dir, F_OK), -1);
    assert_int_equal(access("/tmp", F_OK), 0);
    assert_int_equal(remove_all(AT_FDCWD, dir), 0);
    free(deep);
    close(fd);
}

static void errors_are_printable(void **state)
{
    (void)state;
    struct err e;
    assert_int_equal(err_set(&e, -EINVAL, "%s", "a\x1b[31mb\x07\x7f\xc3\xa9\n"), -EINVAL);
    assert_string_equal(e.text, "a?[31mb??\xc3\xa9\n");
    assert_int_equal(err_sys(&e, -ENOENT, "%s", "\x1b"), -ENOENT);
    assert_string_equal(e.text, "?: No such file or directory");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes),
        cmocka_unit_test(addresses),
        cmocka_unit_test(bootconfig_escapes),
        cmocka_unit_test(unescape_takes_back),
        cmocka_unit_test(bootconfig_limits),
        cmocka_unit_test(errors_are_printable),
        cmocka_unit_test(files),
    };
    return cmocka_run_group_tests_name("host_common", tests, NULL, NULL);
}

// SPDX-License-Identifier: ISC
// links: tests/unit/shim_core.c kernel/lib/format.c kernel/core/bootconfig.c
// The kernel's decoder of the boot configuration: what it accepts, and that it names what it
// refuses.
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "shim.h"

static struct boot_config c;
static const char *words[16];

static int parse(const char *text, const char **error)
{
    static char copy[512];
    memset(&c, 0, sizeof(c));
    lib_strlcpy(copy, text, sizeof(copy));
    return bootconfig_parse(copy, sizeof(copy), &c, words, ARRAY_LEN(words), error);
}

static void words_are_decoded_in_order(void **state)
{
    (void)state;
    const char *error;
    assert_int_equal(
        parse("arg=/bin/echo env=A=1 arg=two%20words env=B=%25 cwd=/tmp ip=10.0.0.2/24 dns=1.1.1.1 "
              "dns=8.8.8.8 uid=33 virtio_mmio.device=512@0xfeb00e00:12 arg= ring=3 chart=1",
              &error),
        0);
    assert_int_equal(c.argc, 3);
    assert_string_equal(c.argv[0], "/bin/echo");
    assert_string_equal(c.argv[1], "two words");
    assert_string_equal(c.argv[2], "");
    assert_null(c.argv[3]);
    assert_int_equal(c.envc, 2);
    assert_string_equal(c.envp[0], "A=1");
    assert_string_equal(c.envp[1], "B=%");
    assert_null(c.envp[2]);
    assert_string_equal(c.cwd, "/tmp");
    assert_int_equal(c.dns_count, 2);
    assert_int_equal(c.uid, 33);
    assert_int_equal(c.ring, 3);
}

static void mistakes_are_named(void **state)
{
    (void)state;
    static const char *const bad[] = {"color=red",
                                      "arg",
                                      "arg=%2",
                                      "arg=%zz",
                                      "arg=%00",
                                      "uid=x",
                                      "uid=4294967295",
                                      "ring=1",
                                      "cwd=tmp",
                                      "log=loud",
                                      "chart=2",
                                      "entropy=abc",
                                      "clock=99999999999999999999"};
    const char *error;
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        if (parse(bad[i], &error) == 0)
            fail_msg("accepted: %s", bad[i]);
        assert_string_equal(error, bad[i]);
    }
    assert_int_equal(parse("arg=1 arg=2 arg=3 arg=4 arg=5 arg=6 arg=7 env=1 env=2 env=3 env=4 "
                           "env=5 env=6 env=7 env=8",
                           &error),
                     -7);
    char open_end[4] = {'a', 'r', 'g', '='};
    assert_int_equal(
        bootconfig_parse(open_end, sizeof(open_end), &c, words, ARRAY_LEN(words), &error), -22);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_decoded_in_order),
        cmocka_unit_test(mistakes_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

// SPDX-License-Identifier: ISC
// Dockerfile text: what docker's reference says about lines, comments, directives, forms, words and
// variables, and what hostile text gives. links are the pure parts: no file is touched.
// links: host/image/dockerfile.c host/image/expand.c host/common/error.c
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "image/dockerfile.h"

static int parse(const char *text, struct dockerfile *df, struct err *e)
{
    e->text[0] = 0;
    return dockerfile_parse(text, strlen(text), "Dockerfile", df, e);
}

static void one(const char *text, enum df_op op, const char *args)
{
    struct dockerfile df;
    struct err e;
    assert_int_equal(parse(text, &df, &e), 0);
    assert_int_equal(df.n, 1);
    assert_int_equal(df.v[0].op, op);
    assert_string_equal(df.v[0].args, args);
    dockerfile_free(&df);
}

static void lines_comments_and_continuations(void **state)
{
    (void)state;
    one("FROM scratch", DF_FROM, "scratch");
    one("from scratch\n", DF_FROM, "scratch");
    one("  \t FROM   scratch  \r\n", DF_FROM, "scratch");
    one("\xef\xbb\xbf# comment\n\nFROM scratch", DF_FROM, "scratch");
    one("ENV a=1 \\\n  b=2", DF_ENV, "a=1   b=2");
    one("ENV a=1 \\\n# a comment inside\n\n  b=2", DF_ENV, "a=1   b=2");
    one("ENV a=1 \\   \n  b=2", DF_ENV, "a=1   b=2"); // blanks behind the escape
    one("ENV a=1 \\", DF_ENV, "a=1");                 // the file ends inside
    one("CMD echo # not a comment", DF_CMD, "echo # not a comment");
}

static void directives(void **state)
{
    (void)state;
    struct dockerfile df;
    struct err e;
    assert_int_equal(parse("# syntax=docker/dockerfile:1\n# escape=`\nENV a=C:\\ `\n b=2", &df, &e),
                     0);
    assert_int_equal(df.escape, '`');
    assert_string_equal(df.v[0].args, "a=C:\\  b=2");
    dockerfile_free(&df);
    // Behind a comment it is a comment.
    assert_int_equal(parse("# hello\n# escape=`\nFROM a", &df, &e), 0);
    assert_int_equal(df.escape, '\\');
    dockerfile_free(&df);
    assert_int_equal(parse("# escape=x\nFROM a", &df, &e), -EINVAL);
    assert_non_null(strstr(e.text, "Dockerfile:1: "));
}

static void exec_and_shell_forms(void **state)
{
    (void)state;
    struct dockerfile df;
    struct err e;
    assert_int_equal(
        parse("CMD [\"a\", \"b\\u00e4\\n\\ud83d\\ude00\", \"\"]\nCMD [\"a\",]\nCMD [a]\n"
              "CMD []\nCMD [\"\\ud800\"]\nCMD [\"\\u0000\"]\nCMD [\"a\"] x",
              &df, &e),
        0);
    assert_int_equal(df.n, 7);
    assert_true(df.v[0].is_json);
    assert_int_equal(df.v[0].json.n, 3);
    assert_string_equal(df.v[0].json.v[1], "b\xc3\xa4\n\xf0\x9f\x98\x80");
    assert_string_equal(df.v[0].json.v[2], "");
    assert_true(df.v[3].is_json);
    assert_int_equal(df.v[3].json.n, 0);
    static const int shell[] = {1, 2, 4, 5, 6};
    for (int i = 0; i < 5; i++)
        assert_false(df.v[shell[i]].is_json);
    dockerfile_free(&df);
}

static void flags(void **state)
{
    (void)state;
    struct dockerfile df;
    struct err e;
    assert_int_equal(parse("COPY --chown=1:2 --link a b\nCMD --version\nCOPY -- --a b", &df, &e),
                     0);
    assert_int_equal(df.v[0].flags.n, 2);
    assert_string_equal(df.v[0].flags.v[0], "chown=1:2");
    assert_string_equal(df.v[0].flags.v[1], "link");
    assert_string_equal(df.v[0].args, "a b");
    assert_int_equal(df.v[1].flags.n, 0);
    assert_string_equal(df.v[2].args, "--a b");
    dockerfile_free(&df);
}

static void errors_name_file_and_line(void **state)
{
    (void)state;
    struct dockerfile df;
    struct err e;
    assert_int_equal(parse("FROM a\n\nFRM b", &df, &e), -EINVAL);
    assert_non_null(strstr(e.text, "Dockerfile:3: unknown instruction: FRM"));
    assert_int_equal(parse("FROM a\nCOPY", &df, &e), -EINVAL);
    assert_non_null(strstr(e.text, "Dockerfile:2: COPY needs an argument"));
    assert_int_equal(parse("", &df, &e), -EINVAL);
    assert_int_equal(parse("# only a comment\n", &df, &e), -EINVAL);
    assert_int_equal(dockerfile_parse("FROM\0a", 6, "Dockerfile", &df, &e), -EINVAL);
    assert_non_null(strstr(e.text, "NUL"));
}

static const char *lookup(void *context, const char *name, size_t len)
{
    static const char *const values[][2] = {
        {"A", "1"}, {"EMPTY", ""}, {"LONG_name2", "x y"}, {"D", "$A"}};
    (void)context;
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
        if (strlen(values[i][0]) == len && memcmp(values[i][0], name, len) == 0)
            return values[i][1];
    return NULL;
}

static void expands(const char *word, const char *want)
{
    char *out = NULL;
    struct err e = {""};
    int r = df_expand(word, strlen(word), '\\', lookup, NULL, &out, &e);
    if (want == NULL) {
        assert_true(r < 0);
        assert_true(e.text[0] != 0);
        return;
    }
    assert_int_equal(r, 0);
    assert_string_equal(out, want);
    free(out);
}

static void variables(void **state)
{
    (void)state;
    expands("$A", "1");
    expands("a${A}b$A-c", "a1b1-c");
    expands("${LONG_name2}", "x y");
    expands("$NONE.", ".");
    expands("${NONE:-d}", "d");
    expands("${EMPTY:-d}", "d");
    expands("${EMPTY-d}", "");
    expands("${A:-d}", "1");
    expands("${A:+yes}", "yes");
    expands("${NONE:+yes}", "");
    expands("${EMPTY+yes}", "yes");
    expands("${EMPTY:+yes}", "");
    expands("${NONE:-${A}${NONE:-z}}", "1z");
    expands("${NONE:?is needed}", NULL);
    expands("${A:?is needed}", "1");
    expands("$D", "$A"); // values are not expanded again
    expands("\\$A", "$A");
    expands("'$A'", "$A");
    expands("\"$A\\\"\\$\\x\"", "1\"$\\x");
    expands("a\\ b", "a b");
    expands("$", "$");
    expands("$1", "$1");
    expands("${", NULL);
    expands("${A", NULL);
    expands("${A:", NULL);
    expands("${A:*x}", NULL);
    expands("${}", NULL);
    expands("'a", NULL);
    expands("\"a", NULL);
}

static void nesting_and_growth_are_bounded(void **state)
{
    (void)state;
    struct buf b = {0};
    for (int i = 0; i < 1000; i++)
        buf_puts(&b, "${N:-");
    expands(b.data, NULL);
    b.len = 0;
    for (int i = 0; i < 40000; i++)
        buf_puts(&b, "${LONG_name2}");
    expands(b.data, NULL);
    buf_free(&b);
}

static void words(void **state)
{
    (void)state;
    struct strings s = {0};
    struct err e;
    assert_int_equal(
        df_words("a=\"b c\" d=$LONG_name2  e='f g'\\ h", '\\', true, lookup, NULL, &s, &e), 0);
    assert_int_equal(s.n, 3);
    assert_string_equal(s.v[0], "a=b c");
    assert_string_equal(s.v[1], "d=x y"); // a value does not split
    assert_string_equal(s.v[2], "e=f g h");
    strings_free(&s);
    assert_int_equal(df_words("  ", '\\', true, lookup, NULL, &s, &e), 0);
    assert_int_equal(s.n, 0);
    assert_int_equal(df_words("a ${", '\\', true, lookup, NULL, &s, &e), -EINVAL);
    assert_int_equal(s.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_comments_and_continuations),
        cmocka_unit_test(directives),
        cmocka_unit_test(exec_and_shell_forms),
        cmocka_unit_test(flags),
        cmocka_unit_test(errors_name_file_and_line),
        cmocka_unit_test(variables),
        cmocka_unit_test(nesting_and_growth_are_bounded),
        cmocka_unit_test(words),
    };
    return cmocka_run_group_tests_name("dockerfile", tests, NULL, NULL);
}

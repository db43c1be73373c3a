// SPDX-License-Identifier: ISC
// Start, constructors, thread-local variables, memory, numbers, the environment. Ends with status 7
// from atexit's function, and writes "last" there.
#define _GNU_SOURCE
#include "tap.h"
#include <errno.h>
#include <iconv.h>
#include <math.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

static int order[3], ordered;
static int constructor_argc;
static __thread int tls_value = 42;
static __thread char tls_zero[100];
static _Alignas(64) __thread char tls_aligned[64] = "aligned";

__attribute__((constructor(101))) static void first(int argc)
{
    order[ordered++] = 1;
    constructor_argc = argc;
}

__attribute__((constructor)) static void second(void)
{
    order[ordered++] = 2;
}

static void at_exit(void)
{
    if (write(1, "last\n", 5) != 5)
        _exit(1);
    _exit(7);
}

static int memory(void)
{
    char *blocks[200];
    for (int i = 0; i < 200; i++) {
        size_t size = (size_t)1 << (i % 22);
        blocks[i] = malloc(size);
        if (!blocks[i])
            return 0;
        memset(blocks[i], i, size);
    }
    for (int i = 0; i < 200; i++)
        if (blocks[i][((size_t)1 << (i % 22)) - 1] != (char)i)
            return 0;
    for (int i = 0; i < 200; i += 2)
        free(blocks[i]);
    blocks[1] = realloc(blocks[1], 3 << 20);
    for (int i = 1; i < 200; i += 2)
        free(blocks[i]);
    return 1;
}

int main(int argc, char **argv)
{
    char text[128];
    static jmp_buf env;
    tap(argc == 3 && !strcmp(argv[1], "one") && !strcmp(argv[2], "two words"), "arguments");
    tap(getenv("LITH_TEST") && !strcmp(getenv("LITH_TEST"), "yes"), "environment");
    tap(ordered == 2 && order[0] == 1 && order[1] == 2 && constructor_argc == 3, "constructors");
    tap(tls_value == 42 && tls_zero[99] == 0 && !strcmp(tls_aligned, "aligned"),
        "thread-local variables");
    tap((uintptr_t)tls_aligned % 64 == 0, "an aligned thread-local variable");
    tap(memory(), "malloc, realloc, free");
    snprintf(text, sizeof(text), "%.3f %g %x %s %Lg", 3.14159, 1e100, 255, "s", 0.5L);
    tap(!strcmp(text, "3.142 1e+100 ff s 0.5"), "printf");
    tap(fabs(sin(1.0) - 0.8414709848) < 1e-9 && strtod("2.5e3", 0) == 2500, "numbers");
    tap(getauxval(AT_PAGESZ) == 4096 && sysconf(_SC_PAGESIZE) == 4096, "auxiliary vector");
    int jumped = setjmp(env);
    if (!jumped)
        longjmp(env, 5);
    tap(jumped == 5, "longjmp");
    errno = 0;
    tap(close(-1) == -1 && errno == EBADF, "errno");
    tap(!strcmp(program_invocation_short_name, "basics"), "program name");

    // CVE-2025-26519: this lead byte read and wrote beyond tables.
    iconv_t conversion = iconv_open("UTF-8", "EUC-KR");
    char bad[] = "\xc8\x41", *in = bad, *out = text;
    size_t in_left = 2, out_left = sizeof(text);
    errno = 0;
    tap(iconv(conversion, &in, &in_left, &out, &out_left) == (size_t)-1 && errno == EILSEQ,
        "iconv refuses a bad lead byte");
    iconv_close(conversion);
    atexit(at_exit);
    return tap_failed;
}

// SPDX-License-Identifier: ISC
// The program's start: lith_main is called by the kernel, on the program's stack, with what a Linux
// process finds at its entry: argc, argv, environment, auxiliary vector. It takes the place of
// musl's crt1 and __libc_start_main. Other than musl's it opens no descriptors for set-id programs,
// which would bring poll and open into every program: an image is started by whoever owns it.
#include <elf.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>
#include "libc.h"
#include "atomic.h"

extern int main(int argc, char **argv, char **envp);
extern weak hidden void (*const __init_array_start)(int, char **, char **);
extern weak hidden void (*const __init_array_end)(int, char **, char **);
_Noreturn void lith_main(long *sp);

static void no_ssp(void *random)
{
    (void)random;
}
weak_alias(no_ssp, __init_ssp);

enum { AUX_COUNT = AT_SYSINFO_EHDR + 1 };

// A function of its own, so that nothing of it is on the stack of main.
static __attribute__((__noinline__)) void init_libc(char **envp, char *name)
{
    size_t aux[AUX_COUNT] = {0};
    __environ = envp;
    while (*envp)
        envp++;
    size_t *auxv = (void *)(envp + 1);
    libc.auxv = auxv;
    for (; auxv[0]; auxv += 2)
        if (auxv[0] < AUX_COUNT)
            aux[auxv[0]] = auxv[1];
    __hwcap = aux[AT_HWCAP];
    libc.page_size = aux[AT_PAGESZ];
    libc.secure = aux[AT_SECURE] != 0;

    if (!name)
        name = (char *)aux[AT_EXECFN];
    if (!name)
        name = "";
    __progname = __progname_full = name;
    for (; *name; name++)
        if (*name == '/')
            __progname = name + 1;

    __init_tls(aux);
    __init_ssp((void *)aux[AT_RANDOM]);
}

// Constructors get main's arguments, as from glibc.
static __attribute__((__noinline__)) _Noreturn void run(int argc, char **argv, char **envp)
{
    uintptr_t end = (uintptr_t)&__init_array_end;
    for (uintptr_t p = (uintptr_t)&__init_array_start; p < end; p += sizeof(void (*)(void)))
        (*(void (**)(int, char **, char **))p)(argc, argv, envp);
    exit(main(argc, argv, envp));
}

_Noreturn void lith_main(long *sp)
{
    int argc = sp[0];
    char **argv = (void *)(sp + 1);
    init_libc(argv + argc + 1, argv[0]);
    // Nothing that uses the thread pointer may move up beyond init_libc.
    __typeof__(run) *go = run;
    __asm__("" : "+r"(go) : : "memory");
    go(argc, argv, argv + argc + 1);
    __builtin_unreachable();
}

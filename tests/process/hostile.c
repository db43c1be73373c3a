// SPDX-License-Identifier: ISC
// A hostile program for machine "process" (tests/process/hostile.sh). It makes system calls by raw
// instructions that it writes itself, and finds the kernel's own call in memory and jumps there
// with whatever it likes. Runs in an instance; what the host does is the test.
//
//   raw              every number by a raw `syscall`: the kernel answers, none reaches the host
//   effects          raw calls that would leave something behind on the host
//   int80            a 32-bit call
//   call NR [ARG...] the kernel's call to the host
//   flip             writable, then executable memory: that is allowed
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef long (*raw_fn)(long nr, long a, long b, long c, long d, long e, long f);

// Seven arguments as C passes them to a system call; `code` makes it.
static raw_fn make_call(const char *code, size_t len)
{
    static const unsigned char head[] = {0x48, 0x89, 0xf8,              // mov %rdi,%rax
                                         0x48, 0x89, 0xf7,              // mov %rsi,%rdi
                                         0x48, 0x89, 0xd6,              // mov %rdx,%rsi
                                         0x48, 0x89, 0xca,              // mov %rcx,%rdx
                                         0x4d, 0x89, 0xc2,              // mov %r8,%r10
                                         0x4d, 0x89, 0xc8,              // mov %r9,%r8
                                         0x4c, 0x8b, 0x4c, 0x24, 0x08}; // mov 8(%rsp),%r9
    unsigned char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        exit(2);
    memcpy(p, head, sizeof(head));
    memcpy(p + sizeof(head), code, len);
    p[sizeof(head) + len] = 0xc3;
    if (mprotect(p, 4096, PROT_READ | PROT_EXEC) != 0)
        exit(2);
    raw_fn fn;
    memcpy(&fn, &p, sizeof(fn));
    return fn;
}

extern const unsigned char __lith_process_calls_start[] __attribute__((weak));

// The kernel's own calls all end in the same instructions. Where: a linked program can name it, to
// others the gate table says where the kernel's text is.
static raw_fn find_call(void)
{
    static const unsigned char want[] = {0x49, 0x89, 0xca, // mov %rcx,%r10
                                         0x0f, 0x05, 0xc3};
    unsigned char jump[] = {0x49, 0xbb, 0,   0, 0, 0, 0, 0, 0, 0, // mov $...,%r11
                            0x41, 0xff, 0xe3};                    // jmp *%r11
    const unsigned char *volatile *table = (const unsigned char *volatile *)0x10000;
    const unsigned char *at = __lith_process_calls_start;
    if (!at)
        at = table[0];
    for (long i = 0; i < 1 << 20; i++) {
        if (memcmp(at + i, want, sizeof(want)) == 0) {
            const unsigned char *call = at + i + 3;
            memcpy(jump + 2, &call, sizeof(call));
            return make_call((const char *)jump, sizeof(jump));
        }
    }
    exit(2);
}

static int sweep(void)
{
    // Those that end, block or double this program when they work; and uretprobe and uprobe (335,
    // 336), which Linux lets pass every filter, and refuses by itself.
    static const int leave[] = {15, 23, 34, 56, 57, 58, 60, 128, 130, 231, 270, 271, 335, 336, 435};
    raw_fn raw = make_call("\x0f\x05", 2);
    int answered = 0;
    for (int high = 0; high < 2; high++) {
        for (int nr = 0; nr < 600; nr++) {
            int skip = 0;
            for (unsigned i = 0; i < sizeof(leave) / sizeof(leave[0]); i++)
                skip |= leave[i] == nr;
            if (skip)
                continue;
            raw(nr | high << 30, 0, 0, 0, 0, 0, 0); // the second time in x32's numbers
            answered++;
        }
    }
    printf("answered %d\n", answered);
    printf("pid %ld\n", raw(39, 0, 0, 0, 0, 0, 0)); // the instance's first process, not the host's
    return 0;
}

static int effects(void)
{
    raw_fn raw = make_call("\x0f\x05", 2);
    long fd = raw(2, (long)"/tmp/lith-hostile-canary", 0102, 0666, 0, 0, 0);
    printf("open %ld\n", fd);
    printf("socket %ld\n", raw(41, 1, 1, 0, 0, 0, 0)); // a socket of the instance
    char name[65 * 6] = "";
    raw(63, (long)name, 0, 0, 0, 0, 0);
    printf("uname %s\n", name);
    return 0;
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    if (argc < 2)
        return 2;
    if (!strcmp(argv[1], "raw"))
        return sweep();
    if (!strcmp(argv[1], "effects"))
        return effects();
    if (!strcmp(argv[1], "int80")) {
        make_call("\xcd\x80", 2)(20, 0, 0, 0, 0, 0, 0);
        printf("survived\n");
        return 0;
    }
    if (!strcmp(argv[1], "flip"))
        return make_call("\x0f\x05", 2)(39, 0, 0, 0, 0, 0, 0) > 0 ? 0 : 1;
    long args[7] = {0};
    for (int i = 2; i < argc && i < 9; i++)
        args[i - 2] = (long)strtoull(argv[i], NULL, 0);
    long r = find_call()(args[0], args[1], args[2], args[3], args[4], args[5], args[6]);
    printf("returned %ld\n", r);
    return 0;
}

// SPDX-License-Identifier: ISC
// mmap, munmap, mprotect, mremap, madvise, brk and friends, as Linux answers them.
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "tap.h"

#define PAGE 4096ul
#define RW   (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static char *anon(size_t pages, int prot)
{
    char *p = mmap(NULL, pages * PAGE, prot, ANON, -1, 0);
    if (p == MAP_FAILED)
        perror("mmap"), exit(1);
    return p;
}

// Rights of the mapping that holds p, from /proc/self/maps ("----" if none), and its bounds.
static const char *rights(const void *p, uintptr_t *start, uintptr_t *end)
{
    static char r[8];
    char line[512];
    FILE *f = fopen("/proc/self/maps", "r");
    strcpy(r, "none");
    while (f && fgets(line, sizeof(line), f)) {
        unsigned long a, b;
        char prot[8];
        if (sscanf(line, "%lx-%lx %7s", &a, &b, prot) == 3 && a <= (uintptr_t)p &&
            (uintptr_t)p < b) {
            strcpy(r, prot);
            if (start)
                *start = a;
            if (end)
                *end = b;
        }
    }
    if (f)
        fclose(f);
    return r;
}

static void arguments(void)
{
    char *p = anon(4, RW);
    FAILS((long)mmap(NULL, 0, RW, ANON, -1, 0), EINVAL, "mmap of nothing");
    FAILS((long)mmap(NULL, PAGE, RW, MAP_ANONYMOUS, -1, 0), EINVAL,
          "mmap neither shared nor private");
    FAILS((long)mmap(NULL, PAGE, RW, MAP_PRIVATE, 999, 0), EBADF, "mmap of a bad descriptor");
    FAILS((long)mmap(NULL, PAGE, RW, MAP_PRIVATE, 0, 5), EINVAL, "mmap at an odd offset");
    FAILS((long)mmap(p + 1, PAGE, RW, ANON | MAP_FIXED, -1, 0), EINVAL,
          "MAP_FIXED at an odd address");
    FAILS((long)mmap(NULL, SIZE_MAX - 2 * PAGE, RW, ANON, -1, 0), ENOMEM, "mmap of everything");
    FAILS((long)mmap(NULL, 1ul << 47, PROT_NONE, ANON | MAP_NORESERVE, -1, 0), ENOMEM,
          "mmap of more than there is");
    // Page 1: never here; natively root may have it.
    OK(mmap((void *)PAGE, PAGE, RW, ANON | MAP_FIXED, -1, 0) == MAP_FAILED
           ? errno == EPERM
           : munmap((void *)PAGE, PAGE) == 0,
       "page 1 is not given");
    FAILS((long)mmap(p, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0), EEXIST,
          "MAP_FIXED_NOREPLACE on a mapping");
    int pipes[2];
    OK(pipe(pipes) == 0, "pipe");
    FAILS((long)mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, pipes[0], 0), ENODEV, "mmap of a pipe");
    int fd = open("/proc/self/exe", O_RDONLY);
    FAILS((long)mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0), EACCES,
          "shared, writable, of a file opened to read");
    char *ro = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
    OK(ro != MAP_FAILED && memcmp(ro, "\177ELF", 4) == 0,
       "shared mapping of a file opened to read");
    FAILS(mprotect(ro, PAGE, RW), EACCES, "which cannot become writable");
    FAILS(munmap(p + 1, PAGE), EINVAL, "munmap at an odd address");
    FAILS(munmap(p, 0), EINVAL, "munmap of nothing");
    FAILS(mprotect(p + 1, PAGE, RW), EINVAL, "mprotect at an odd address");
    OK(mprotect(p, 0, RW) == 0, "mprotect of nothing");
    OK(munmap(p, 4 * PAGE) == 0 && munmap(p, 4 * PAGE) == 0, "munmap twice");
    FAILS(mprotect(p, PAGE, RW), ENOMEM, "mprotect of what is not mapped");
    FAILS(madvise(p, PAGE, MADV_DONTNEED), ENOMEM, "madvise of what is not mapped");
    FAILS(madvise(ro, PAGE, 12345), EINVAL, "madvise with bad advice");
    FAILS(madvise(ro + 1, PAGE, MADV_DONTNEED), EINVAL, "madvise at an odd address");
    FAILS(msync(ro, PAGE, MS_SYNC | MS_ASYNC), EINVAL, "msync both ways");
    OK(msync(ro, PAGE, MS_SYNC) == 0, "msync");
    FAILS(msync(p, PAGE, MS_SYNC), ENOMEM, "msync of what is not mapped");
}

static void splits(void)
{
    uintptr_t a = 0, b = 0;
    char *p = anon(16, RW);
    for (int i = 0; i < 16; i++)
        p[i * PAGE] = (char)i;
    char *q = mmap(p + 4 * PAGE, 4 * PAGE, PROT_READ, ANON | MAP_FIXED, -1, 0);
    OK(q == p + 4 * PAGE, "MAP_FIXED into the middle");
    OK(p[3 * PAGE] == 3 && p[4 * PAGE] == 0 && p[7 * PAGE] == 0 && p[8 * PAGE] == 8,
       "replaces that and only that");
    OK(!strcmp(rights(p + 4 * PAGE, &a, &b), "r--p") && a == (uintptr_t)q && b == a + 4 * PAGE,
       "maps shows the cut");
    OK(munmap(p + 12 * PAGE, PAGE) == 0 && !strcmp(rights(p + 12 * PAGE, NULL, NULL), "none"),
       "a hole");
    OK(!strcmp(rights(p + 13 * PAGE, &a, &b), "rw-p") && a == (uintptr_t)p + 13 * PAGE,
       "and what is above it");
    OK(mprotect(p + 4 * PAGE, 4 * PAGE, RW) == 0 &&
           !strcmp(rights(p + 5 * PAGE, NULL, NULL), "rw-p"),
       "rights of the middle");
    FAILS(mprotect(p + 10 * PAGE, 6 * PAGE, PROT_READ), ENOMEM, "mprotect over a hole");
    OK(p[15 * PAGE] == 15, "contents kept");
    munmap(p, 16 * PAGE);
}

static void reservations(void)
{
    size_t size = 1ul << 40;
    char *p = mmap(NULL, size, PROT_NONE, ANON | MAP_NORESERVE, -1, 0);
    OK(p != MAP_FAILED, "1 TiB reserved");
    OK(mprotect(p + (size >> 1), 64 * PAGE, RW) == 0, "a piece made usable");
    memset(p + (size >> 1), 7, 64 * PAGE);
    OK(p[(size >> 1) + 64 * PAGE - 1] == 7, "and used");
    OK(madvise(p + (size >> 1), 64 * PAGE, MADV_DONTNEED) == 0 && p[size >> 1] == 0,
       "given back: zero again");
    OK(munmap(p, size) == 0, "unmapped");
    for (int i = 0; i < 2000; i++) { // arenas come and go at the same places
        p = mmap(NULL, 64ul << 20, PROT_NONE, ANON | MAP_NORESERVE, -1, 0);
        if (p == MAP_FAILED || mprotect(p, 2 * PAGE, RW) || (p[1] = 1, munmap(p, 64ul << 20)))
            break;
        if (i == 1999)
            OK(1, "2000 arenas");
    }
}

static void remaps(void)
{
    char *p = anon(32, RW);
    munmap(p + 8 * PAGE, 24 * PAGE);
    for (int i = 0; i < 8; i++)
        p[i * PAGE] = (char)(i + 1);
    OK(mremap(p, 8 * PAGE, 16 * PAGE, 0) == p && p[15 * PAGE] == 0 && p[7 * PAGE] == 8,
       "mremap grows in place");
    char *wall = mmap(p + 16 * PAGE, PAGE, PROT_NONE, ANON | MAP_FIXED, -1, 0);
    OK(wall != MAP_FAILED, "wall");
    FAILS((long)mremap(p, 16 * PAGE, 32 * PAGE, 0), ENOMEM, "no room to grow");
    char *q = mremap(p, 16 * PAGE, 32 * PAGE, MREMAP_MAYMOVE);
    OK(q != MAP_FAILED && q != p && q[7 * PAGE] == 8 && q[31 * PAGE] == 0, "mremap moves");
    OK(!strcmp(rights(p, NULL, NULL), "none"), "the old place is free");
    OK(mremap(q, 32 * PAGE, 4 * PAGE, 0) == q && !strcmp(rights(q + 4 * PAGE, NULL, NULL), "none"),
       "mremap shrinks");
    char *to = anon(8, PROT_NONE);
    OK(mremap(q, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to + 2 * PAGE) ==
               to + 2 * PAGE &&
           to[2 * PAGE] == 1 && to[5 * PAGE] == 4,
       "MREMAP_FIXED replaces what is there");
    FAILS((long)mremap(to + 2 * PAGE, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
                       to + 3 * PAGE),
          EINVAL, "but not itself");
    FAILS((long)mremap(to, PAGE, PAGE, MREMAP_FIXED, to), EINVAL, "MREMAP_FIXED without MAYMOVE");
    FAILS((long)mremap(to + 1, PAGE, PAGE, MREMAP_MAYMOVE), EINVAL, "mremap at an odd address");
    FAILS((long)mremap(p, PAGE, 2 * PAGE, MREMAP_MAYMOVE), EFAULT, "mremap of what is not mapped");
    FAILS((long)mremap(to, PAGE, 0, MREMAP_MAYMOVE), EINVAL, "mremap to nothing");
}

static void heap(void)
{
    char *start = (char *)syscall(SYS_brk, 0);
    OK((char *)syscall(SYS_brk, start + 100 * PAGE) == start + 100 * PAGE, "brk up");
    memset(start, 5, 100 * PAGE);
    OK((char *)syscall(SYS_brk, start + PAGE) == start + PAGE && start[5] == 5, "brk down");
    OK((char *)syscall(SYS_brk, start + 2 * PAGE) == start + 2 * PAGE && start[PAGE] == 0,
       "what comes again is zero");
    OK((char *)syscall(SYS_brk, (char *)PAGE) == start + 2 * PAGE, "brk below the heap");
    OK((char *)syscall(SYS_brk, (char *)~0ul) == start + 2 * PAGE, "brk beyond everything");
    syscall(SYS_brk, start);
}

static void queries(void)
{
    unsigned char vec[4] = {9, 9, 9, 9};
    char *p = anon(4, RW);
    p[0] = 1;
    OK(mincore(p, 4 * PAGE, vec) == 0 && (vec[0] & 1), "mincore");
    munmap(p + 3 * PAGE, PAGE);
    FAILS(mincore(p, 4 * PAGE, vec), ENOMEM, "mincore over a hole");
    FAILS(mincore(p + 1, PAGE, vec), EINVAL, "mincore at an odd address");
    FAILS(mincore(p, PAGE, (unsigned char *)8), EFAULT, "mincore to a bad address");
    OK(mlock(p, 2 * PAGE) == 0 && munlock(p, 2 * PAGE) == 0, "mlock, munlock");
    FAILS(mlock(p, 4 * PAGE), ENOMEM, "mlock over a hole");
    munlock(p, 3 * PAGE); // Linux locked what there was before the hole
    FAILS(mlockall(0), EINVAL, "mlockall of nothing");
    long query = syscall(SYS_membarrier, 0, 0, 0);
    OK(query > 0 && (query & 8), "membarrier has private expedited barriers");
    FAILS(syscall(SYS_membarrier, 8, 0, 0), EPERM, "which want registration");
    OK(syscall(SYS_membarrier, 16, 0, 0) == 0 && syscall(SYS_membarrier, 8, 0, 0) == 0,
       "and then work");
    OK(madvise(p, PAGE, MADV_HUGEPAGE) == 0 || errno == EINVAL, "MADV_HUGEPAGE");
    OK(madvise(p, PAGE, MADV_FREE) == 0, "MADV_FREE");
    p[0] = 3;
    OK(p[0] == 3, "memory that was freed lazily can be written");
    OK(madvise(p, 3 * PAGE, MADV_DONTNEED) == 0 && p[0] == 0, "MADV_DONTNEED");
}

int main(void)
{
    arguments();
    splits();
    reservations();
    remaps();
    heap();
    queries();
    return tap_end();
}

// SPDX-License-Identifier: ISC
// Mapped files: private pages copied at the first write, shared ones seen by read and write, the
// root file's pages, anonymous shared memory, memfd.
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "tap.h"

#define PAGE 4096ul
#define RW   (PROT_READ | PROT_WRITE)

static char at(int fd, off_t off)
{
    char c = 0;
    return pread(fd, &c, 1, off) == 1 ? c : -1;
}

static void written_file(void)
{
    char name[] = "/tmp/mem_filesXXXXXX", buf[PAGE];
    int fd = mkstemp(name);
    for (int i = 0; i < 8; i++) {
        memset(buf, 'a' + i, PAGE);
        if (write(fd, buf, PAGE) != (ssize_t)PAGE)
            exit(1);
    }
    char *own = mmap(NULL, 8 * PAGE, RW, MAP_PRIVATE, fd, 0);
    char *all = mmap(NULL, 8 * PAGE, RW, MAP_SHARED, fd, 0);
    OK(own != MAP_FAILED && all != MAP_FAILED, "private and shared mapping of a file");
    OK(own[0] == 'a' && all[7 * PAGE] == 'h', "show the file");
    own[PAGE] = 'X';
    OK(own[PAGE] == 'X' && all[PAGE] == 'b' && at(fd, PAGE) == 'b',
       "a private write stays private");
    OK(own[PAGE + 1] == 'b', "in a copy of the page");
    all[2 * PAGE] = 'Y';
    OK(at(fd, 2 * PAGE) == 'Y', "read sees a shared write");
    OK(own[2 * PAGE] == 'Y', "and so does a private page that was not copied");
    OK(pwrite(fd, "Z", 1, 3 * PAGE) == 1 && all[3 * PAGE] == 'Z', "a shared mapping sees write");
    OK(pwrite(fd, "W", 1, PAGE) == 1 && own[PAGE] == 'X' && all[PAGE] == 'W',
       "a private copy does not");
    OK(madvise(own, 8 * PAGE, MADV_DONTNEED) == 0 && own[PAGE] == 'W',
       "MADV_DONTNEED: the file again");
    OK(mprotect(own, 8 * PAGE, PROT_READ) == 0 && mprotect(own, 8 * PAGE, RW) == 0,
       "rights away and back");
    own[4 * PAGE] = 'V';
    OK(at(fd, 4 * PAGE) == 'e', "still private");
    OK(msync(all, 8 * PAGE, MS_SYNC) == 0, "msync");
    char *mid = mmap(NULL, 2 * PAGE, PROT_READ, MAP_PRIVATE, fd, 5 * PAGE);
    OK(mid[0] == 'f' && mid[PAGE] == 'g', "from an offset");
    unlink(name);
    close(fd);
    OK(all[6 * PAGE] == 'g', "a mapping keeps a deleted, closed file");
    OK(munmap(own, 8 * PAGE) == 0 && munmap(all, 8 * PAGE) == 0 && munmap(mid, 2 * PAGE) == 0,
       "munmap");
}

static void program_file(void)
{
    struct stat st;
    int fd = open("/proc/self/exe", O_RDONLY);
    OK(fd >= 0 && fstat(fd, &st) == 0, "own program");
    size_t size = (size_t)st.st_size, bad = 0;
    char *p = mmap(NULL, size, RW, MAP_PRIVATE, fd, 0), *buf = malloc(size);
    OK(p != MAP_FAILED && pread(fd, buf, size, 0) == (ssize_t)size && memcmp(p, buf, size) == 0,
       "mapped and read: the same");
    for (size_t i = 0; i < size; i += PAGE)
        p[i] ^= 1;
    for (size_t i = 0; i < size; i++)
        bad += p[i] != (char)(buf[i] ^ (i % PAGE == 0));
    OK(bad == 0, "every page written");
    char *q = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    OK(q != MAP_FAILED && memcmp(q, buf, size) == 0, "the file is as it was");
    size_t last = (size + PAGE - 1) / PAGE * PAGE;
    int zero = 1;
    for (size_t i = size; i < last; i++)
        zero &= q[i] == 0;
    OK(zero, "zero behind its end");
}

static char *shared;
static void *writer(void *arg)
{
    for (int i = 0; i < 64; i++)
        shared[i * PAGE] = (char)(i + (long)arg);
    return NULL;
}

static void shared_memory(void)
{
    shared = mmap(NULL, 64 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_t t;
    OK(shared != MAP_FAILED && pthread_create(&t, NULL, writer, (void *)3) == 0 &&
           pthread_join(t, NULL) == 0 && shared[63 * PAGE] == 66,
       "anonymous shared memory");
    int fd = memfd_create("test", 0);
    OK(fd >= 0 && ftruncate(fd, 4 * PAGE) == 0, "memfd");
    char *a = mmap(NULL, 4 * PAGE, RW, MAP_SHARED, fd, 0),
         *b = mmap(NULL, 4 * PAGE, RW, MAP_SHARED, fd, 0);
    a[PAGE] = 'm';
    OK(a != b && b[PAGE] == 'm' && at(fd, PAGE) == 'm', "mapped twice: one memory");
    b[2 * PAGE] = 'n';
    OK(at(fd, 2 * PAGE) == 'n' && a[2 * PAGE] == 'n', "in both directions");
}

int main(void)
{
    written_file();
    program_file();
    shared_memory();
    return tap_end();
}

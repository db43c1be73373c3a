// SPDX-License-Identifier: ISC
// Files of the image that are mapped and written at the same time: shared mappings show what is
// written, private copies stay, whatever page the file's data lies in at the time.
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "tap.h"

// Some ELF file of the image that does not run now; where there is none, a copy of this one.
static int open_some_file(const char *self)
{
    int fd = open("/t/mem_map", O_RDWR), in = open(self, O_RDONLY);
    if (fd < 0) {
        static char buf[1 << 20];
        ssize_t n = read(in, buf, sizeof(buf));
        fd = open("/tmp/file_maps.copy", O_RDWR | O_CREAT | O_TRUNC, 0600);
        unlink("/tmp/file_maps.copy");
        if (write(fd, buf, (size_t)n) != n)
            return -1;
    }
    close(in);
    return fd;
}

int main(int argc, char **argv)
{
    (void)argc;
    int fd = open_some_file(argv[0]);
    OK(fd >= 0, "a file of the image opens for writing");
    const size_t len = 3 * 4096;
    char *shared = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);
    char *priv = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    char *clean = mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0);
    OK(shared != MAP_FAILED && priv != MAP_FAILED && clean != MAP_FAILED, "three mappings");
    OK(!memcmp(shared, "\177ELF", 4) && !memcmp(clean, shared, len), "show the same");
    priv[4096] = 'P'; // a copy of its own
    char was = shared[4097];
    OK(pwrite(fd, "WX", 2, 4096) == 2, "written");
    OK(shared[4096] == 'W' && shared[4097] == 'X', "the shared mapping shows it");
    OK(clean[4096] == 'W', "a private one without a copy too");
    OK(priv[4096] == 'P' && priv[4097] == was, "a private copy stays");
    char *writer = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    writer[8192] = 'M';
    char c = 0;
    OK(pread(fd, &c, 1, 8192) == 1 && c == 'M', "read sees what a mapping wrote");
    OK(shared[8192] == 'M', "so does another mapping");
    struct stat st;
    fstat(fd, &st);
    OK(ftruncate(fd, 5000) == 0 && shared[4096] == 'W' && shared[5001] == 0, "cut: zeros behind");
    OK(ftruncate(fd, st.st_size) == 0 && pread(fd, &c, 1, 8192) == 1 && c == 0, "grown: zeros");
    OK(shared[8192] == 0, "in the mapping too");
    return tap_end();
}

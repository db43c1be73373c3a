// SPDX-License-Identifier: ISC
// The memory file that an instance's counters lie in. It has no name in any file system and goes
// with the last process that holds it, so that nothing is ever left behind. Making it is part of
// every start: three calls, some 10 us.
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cli/stats.h"

int stats_create(enum lith_stats_platform platform, const char *label, uint64_t mem_bytes,
                 struct err *e)
{
    struct lith_stats head = {
        .magic = LITH_STATS_MAGIC,
        .version = LITH_STATS_VERSION,
        .size = sizeof(head),
        .platform = platform,
        .mem_bytes = mem_bytes,
    };
    size_t len = strlen(label), room = sizeof(head.label) - 1;
    memcpy(head.label, len > room ? label + len - room : label, len > room ? room : len);
    int fd = memfd_create(LITH_STATS_NAME, MFD_CLOEXEC);
    if (fd < 0)
        return err_sys(e, -errno, "cannot make a memory file");
    if (ftruncate(fd, LITH_STATS_LEN) < 0 ||
        pwrite(fd, &head, sizeof(head), 0) != (ssize_t)sizeof(head)) {
        int r = err_sys(e, -errno, "cannot write the counters' memory file");
        close(fd);
        return r;
    }
    return fd;
}

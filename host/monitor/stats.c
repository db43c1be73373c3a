// SPDX-License-Identifier: ISC
// Where the counters lie (abi/stats.h): in the memory file that `lith run` has made, or, when
// nobody asked for them, in memory of our own. The guest is given the second page only, as the page
// that it shares with us anyway; so a guest writes nothing but its own numbers.
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include "monitor/monitor.h"

static struct lith_stats unseen;

void stats_open(struct monitor *m, const struct options *o)
{
    m->stats = &unseen;
    if (o->stats_fd < 0)
        return;
    struct stat st;
    if (fstat(o->stats_fd, &st) != 0 || st.st_size != LITH_STATS_LEN)
        fatal("--stats-fd %d is not a file of %u bytes", o->stats_fd, LITH_STATS_LEN);
    void *page = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, o->stats_fd, 0);
    if (page == MAP_FAILED)
        fatal("cannot map the counters: %s", strerror(errno));
    m->stats = page;
}

void stats_share(const struct options *o, uint8_t *guest_page)
{
    if (o->stats_fd < 0)
        return;
    void *page = mmap(guest_page, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
                      o->stats_fd, PAGE_SIZE);
    if (page == MAP_FAILED)
        fatal("cannot map the guest's counters: %s", strerror(errno));
}

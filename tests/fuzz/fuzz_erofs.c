// SPDX-License-Identifier: ISC
// links: kernel/fs/erofs.c tests/unit/shim_core.c tests/unit/shim_mm.c
// links: kernel/lib/format.c kernel/lib/hash.c kernel/lib/rbtree.c
// Hostile EROFS images: whatever is mounted is walked, each name looked up again, each file read
// and mapped. The image is a copy of its exact size, so that a byte read behind it is seen.
// Checksums are not in the way: the feature bit is cleared.
#include <stdlib.h>
#include <string.h>
#include "fs/erofs.h"

#define DEPTH 8
static unsigned budget; // entries and pieces to look at: a small image can name itself for ever

static void read_file(const struct erofs *e, const struct erofs_data *d)
{
    static uint8_t buf[1024];
    for (uint64_t off = 0; off < d->size && budget; budget--) {
        const uint8_t *p;
        uint64_t run;
        if (erofs_map(e, d, off, &p, &run))
            break;
        if (run == 0 || run > d->size - off)
            abort();
        if (p) { // first and last byte must be there
            volatile uint8_t x = p[0] ^ p[run - 1];
            (void)x;
        }
        off += run;
    }
    erofs_read(e, d, 0, buf, sizeof(buf));
    if (d->size > 100)
        erofs_read(e, d, d->size - 100, buf, sizeof(buf));
}

static void walk(const struct erofs *e, const struct erofs_data *dir, int depth)
{
    uint64_t pos = 0, nid;
    struct erofs_entry x;
    while (budget && erofs_next(e, dir, &pos, &x) == 1) {
        struct erofs_inode i;
        budget--;
        if (x.len > 255 ||
            (erofs_lookup(e, dir, x.name, x.len, &nid) == 0 && nid == x.nid && !x.len))
            abort();
        if (erofs_inode_read(e, x.nid, &i))
            continue;
        unsigned type = i.mode & 0170000;
        if (type == 0040000 && depth < DEPTH)
            walk(e, &i.data, depth + 1);
        else if (type == 0100000 || type == 0120000)
            read_file(e, &i.data);
    }
    erofs_lookup(e, dir, "some-name", 9, &nid);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct erofs e;
    struct erofs_inode root;
    const char *why;
    uint8_t *image = malloc(len ? len : 1);
    memcpy(image, data, len);
    if (len > 1100)
        image[1024 + 8] &= 0xfe;
    budget = 1500;
    if (erofs_open(&e, image, len, &why) == 0 && erofs_inode_read(&e, e.root_nid, &root) == 0)
        walk(&e, &root.data, 0);
    free(image);
    return 0;
}

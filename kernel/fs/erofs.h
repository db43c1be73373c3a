// SPDX-License-Identifier: ISC
// Reader of uncompressed EROFS images in memory (Linux's Documentation/filesystems/erofs.rst
// describes the format). The image is hostile: every offset is checked against its length; what is
// wrong is -EUCLEAN, what is not supported -EOPNOTSUPP. No state beyond struct erofs, no
// allocation, any context.
#ifndef LITH_FS_EROFS_H
#define LITH_FS_EROFS_H

#include "lib/lib.h"

#define EROFS_BLOCK 4096u

struct erofs {
    const uint8_t *base;
    uint64_t len;
    uint64_t meta_off; // of inode 0, bytes
    uint64_t root_nid;
    uint64_t epoch, epoch_nsec; // times of compact inodes
    uint64_t inodes;
};

// Where a file's bytes are.
struct erofs_data {
    uint64_t size;
    uint64_t start;      // flat: byte offset of block 0; chunked: of the chunk table
    uint64_t tail;       // flat inline: byte offset of the last, partial block; 0: none
    uint8_t layout;      // on-disk number
    uint8_t chunk_bits;  // log2 of the chunk size
    uint8_t chunk_index; // table entries are 8 bytes rather than 4
};

struct erofs_inode {
    uint64_t nid, rdev, mtime_ns;
    uint32_t mode, uid, gid, nlink;
    struct erofs_data data;
};

// 0 or -errno with *why for a person.
int erofs_open(struct erofs *e, const void *base, uint64_t len, const char **why);
int erofs_inode_read(const struct erofs *e, uint64_t nid, struct erofs_inode *out);
// The bytes at off (< size): pointer into the image, or NULL for zeros, and how many follow
// contiguously (>= 1).
int erofs_map(const struct erofs *e, const struct erofs_data *d, uint64_t off, const uint8_t **p,
              uint64_t *run);
ssize_t_k erofs_read(const struct erofs *e, const struct erofs_data *d, uint64_t off, void *buf,
                     size_t n);
// -ENOENT; -ENOTDIR is the caller's to check.
int erofs_lookup(const struct erofs *e, const struct erofs_data *dir, const char *name, size_t len,
                 uint64_t *nid);
struct erofs_entry {
    const char *name;
    size_t len;
    uint64_t nid;
    unsigned type; // mode >> 12, 0: unknown
};
// The entry at or after *pos (start with 0); *pos moves behind it. 1: found, 0: end.
int erofs_next(const struct erofs *e, const struct erofs_data *dir, uint64_t *pos,
               struct erofs_entry *out);

#endif

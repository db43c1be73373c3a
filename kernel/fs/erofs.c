// SPDX-License-Identifier: ISC
// EROFS images, read where they lie. On disk: the super block at byte 1024, inodes of 32 or 64
// bytes in 32-byte slots (nid) of the metadata area, file data in whole blocks, the last part of a
// file perhaps behind its inode
// ("inline"). A directory block is an array of entries sorted by name, then the names.
#include <linux/errno.h>
#include "fs/erofs.h"

#define SUPER_OFFSET 1024u
#define SUPER_MAGIC  0xe0f5e1e2u

#define COMPAT_CHECKSUM 0x1u
// Incompatible features that do not matter for uncompressed files without extended attributes.
#define INCOMPAT_ZERO_PADDING   0x01u
#define INCOMPAT_CHUNKED        0x04u
#define INCOMPAT_XATTR_PREFIXES 0x40u
#define INCOMPAT_SUPPORTED      (INCOMPAT_ZERO_PADDING | INCOMPAT_CHUNKED | INCOMPAT_XATTR_PREFIXES)

enum { LAYOUT_PLAIN = 0, LAYOUT_INLINE = 2, LAYOUT_CHUNKED = 4 };
#define CHUNK_BITS_MASK 0x1fu
#define CHUNK_INDEXES   0x20u
#define NO_BLOCK        0xffffffffu

struct disk_super {
    uint32_t magic, checksum, feature_compat;
    uint8_t block_bits, ext_slots;
    uint16_t root_nid;
    uint64_t inodes, epoch;
    uint32_t epoch_nsec, blocks, meta_block, xattr_block;
    uint8_t uuid[16], volume[16];
    uint32_t feature_incompat;
    uint8_t rest[44];
} __attribute__((packed));
compile_assert(super_block_is_128_bytes, sizeof(struct disk_super) == 128);

struct disk_inode_compact {
    uint16_t format, xattr_count, mode, nlink;
    uint32_t size, mtime, u, ino;
    uint16_t uid, gid;
    uint32_t reserved;
} __attribute__((packed));
compile_assert(compact_inode_is_32_bytes, sizeof(struct disk_inode_compact) == 32);

struct disk_inode_extended {
    uint16_t format, xattr_count, mode, reserved;
    uint64_t size;
    uint32_t u, ino, uid, gid;
    uint64_t mtime;
    uint32_t mtime_nsec, nlink;
    uint8_t reserved2[16];
} __attribute__((packed));
compile_assert(extended_inode_is_64_bytes, sizeof(struct disk_inode_extended) == 64);

struct disk_entry {
    uint64_t nid;
    uint16_t name_off;
    uint8_t type, reserved;
} __attribute__((packed));
compile_assert(entry_is_12_bytes, sizeof(struct disk_entry) == 12);

static bool in_image(const struct erofs *e, uint64_t off, uint64_t n)
{
    return off <= e->len && n <= e->len - off;
}

// CRC32C (Castagnoli, reflected), four bits at a time: a table of 16 words stays in one cache line.
static uint32_t crc32c(uint32_t crc, const uint8_t *p, size_t n)
{
    static const uint32_t nibble[16] = {
        0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
        0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
        0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
    };
    while (n--) {
        crc ^= *p++;
        crc = crc >> 4 ^ nibble[crc & 15];
        crc = crc >> 4 ^ nibble[crc & 15];
    }
    return crc;
}

static int refuse(const char **why, const char *text, int err)
{
    *why = text;
    return err;
}

int erofs_open(struct erofs *e, const void *base, uint64_t len, const char **why)
{
    struct disk_super s;
    *e = (struct erofs){.base = base, .len = len};
    if (len < EROFS_BLOCK)
        return refuse(why, "the image is shorter than one block", -EUCLEAN);
    memcpy(&s, e->base + SUPER_OFFSET, sizeof(s));
    if (s.magic != SUPER_MAGIC)
        return refuse(why, "no EROFS magic number at byte 1024", -EINVAL);
    if (s.block_bits != 12)
        return refuse(why, "the block size is not 4096 bytes", -EOPNOTSUPP);
    if (s.feature_incompat & ~INCOMPAT_SUPPORTED)
        return refuse(why, "it uses features that are not supported (compression, devices, ...)",
                      -EOPNOTSUPP);
    if (s.feature_compat & COMPAT_CHECKSUM) {
        // Over the rest of the first block, the checksum field itself as zero.
        uint32_t stored = s.checksum;
        s.checksum = 0;
        uint32_t crc = crc32c(~0u, (const uint8_t *)&s, sizeof(s));
        size_t done = SUPER_OFFSET + sizeof(s);
        if (crc32c(crc, e->base + done, EROFS_BLOCK - done) != stored)
            return refuse(why, "the checksum of the super block is wrong", -EUCLEAN);
    }
    if ((uint64_t)s.blocks * EROFS_BLOCK > ALIGN_UP(len, (uint64_t)EROFS_BLOCK))
        return refuse(why, "the image is truncated", -EUCLEAN);
    e->meta_off = (uint64_t)s.meta_block * EROFS_BLOCK;
    e->root_nid = s.root_nid;
    e->epoch = s.epoch;
    e->epoch_nsec = s.epoch_nsec < NSEC_PER_SEC ? s.epoch_nsec : 0;
    e->inodes = s.inodes;
    struct erofs_inode root;
    if (erofs_inode_read(e, e->root_nid, &root) || (root.mode & 0170000) != 0040000)
        return refuse(why, "the root directory is unreadable", -EUCLEAN);
    return 0;
}

static uint64_t time_ns(uint64_t sec, uint64_t nsec)
{
    // Beyond year 2554 nanoseconds do not fit: such a time is as good as none.
    return sec < UINT64_MAX / NSEC_PER_SEC - 1 && nsec < NSEC_PER_SEC ? sec * NSEC_PER_SEC + nsec
                                                                      : 0;
}

// Checks that all blocks of a flat file lie in the image.
static int place_data(const struct erofs *e, struct erofs_data *d, uint64_t inode_end, uint32_t u)
{
    if (d->size > INT64_MAX)
        return -EUCLEAN;
    uint64_t whole =
        d->layout == LAYOUT_INLINE ? ALIGN_DOWN(d->size, (uint64_t)EROFS_BLOCK) : d->size;
    switch (d->layout) {
    case LAYOUT_PLAIN:
    case LAYOUT_INLINE:
        d->start = (uint64_t)u * EROFS_BLOCK;
        if (whole && !in_image(e, d->start, whole))
            return -EUCLEAN;
        if (d->size > whole) {
            // The tail shares the block of its inode.
            uint64_t n = d->size - whole;
            if (inode_end % EROFS_BLOCK + n > EROFS_BLOCK || !in_image(e, inode_end, n))
                return -EUCLEAN;
            d->tail = inode_end;
        }
        return 0;
    case LAYOUT_CHUNKED: {
        d->chunk_bits = (uint8_t)(12 + (u & CHUNK_BITS_MASK));
        d->chunk_index = (u & CHUNK_INDEXES) != 0;
        uint64_t entry = d->chunk_index ? 8 : 4;
        if (u & 0xffffu & ~(CHUNK_BITS_MASK | CHUNK_INDEXES))
            return -EOPNOTSUPP;
        d->start = ALIGN_UP(inode_end, entry);
        uint64_t chunks = (d->size >> d->chunk_bits) + 1;
        return chunks <= e->len / entry && in_image(e, d->start, (chunks - 1) * entry) ? 0
                                                                                       : -EUCLEAN;
    }
    default:
        return -EOPNOTSUPP;
    }
}

int erofs_inode_read(const struct erofs *e, uint64_t nid, struct erofs_inode *out)
{
    if (nid > e->len / 32)
        return -EUCLEAN;
    uint64_t off = e->meta_off + nid * 32;
    struct disk_inode_compact c;
    if (!in_image(e, off, sizeof(c)))
        return -EUCLEAN;
    memcpy(&c, e->base + off, sizeof(c));
    uint64_t size = 32, xattr_len = c.xattr_count ? 12 + ((uint64_t)c.xattr_count - 1) * 4 : 0;
    uint32_t u = c.u;
    *out = (struct erofs_inode){.nid = nid, .mode = c.mode};
    if (c.format & 1) {
        struct disk_inode_extended x;
        if (!in_image(e, off, sizeof(x)))
            return -EUCLEAN;
        memcpy(&x, e->base + off, sizeof(x));
        size = 64;
        u = x.u;
        out->uid = x.uid;
        out->gid = x.gid;
        out->nlink = x.nlink;
        out->data.size = x.size;
        out->mtime_ns = time_ns(x.mtime, x.mtime_nsec);
    } else {
        out->uid = c.uid;
        out->gid = c.gid;
        out->nlink = c.nlink;
        out->data.size = c.size;
        out->mtime_ns = time_ns(e->epoch, e->epoch_nsec);
    }
    out->data.layout = c.format >> 1 & 7;
    if (c.format >> 4)
        return -EOPNOTSUPP; // formats of later versions
    switch (c.mode & 0170000) {
    case 0100000: // regular
    case 0040000: // directory
    case 0120000: // symbolic link
        return place_data(e, &out->data, off + size + xattr_len, u);
    case 0020000: // devices: major in bits 8..19, minor in 0..7 and 20..31, as Linux's
                  // new_encode_dev
    case 0060000:
        out->rdev = u;
        out->data.size = 0;
        return 0;
    case 0010000: // fifo, socket
    case 0140000:
        out->data.size = 0;
        return 0;
    default:
        return -EUCLEAN;
    }
}

int erofs_map(const struct erofs *e, const struct erofs_data *d, uint64_t off, const uint8_t **p,
              uint64_t *run)
{
    if (off >= d->size)
        return -EINVAL;
    uint64_t left = d->size - off;
    if (d->layout != LAYOUT_CHUNKED) {
        uint64_t whole = d->tail ? ALIGN_DOWN(d->size, (uint64_t)EROFS_BLOCK) : d->size;
        if (off < whole) {
            *p = e->base + d->start + off;
            *run = whole - off;
        } else {
            *p = e->base + d->tail + (off - whole);
            *run = left;
        }
        return 0;
    }
    uint64_t chunk = off >> d->chunk_bits, in_chunk = off & ((1ull << d->chunk_bits) - 1);
    uint32_t block;
    *run = MIN(left, (1ull << d->chunk_bits) - in_chunk);
    if (d->chunk_index) {
        uint16_t device;
        memcpy(&device, e->base + d->start + chunk * 8 + 2, sizeof(device));
        memcpy(&block, e->base + d->start + chunk * 8 + 4, sizeof(block));
        if (device && block != NO_BLOCK)
            return -EUCLEAN;
    } else {
        memcpy(&block, e->base + d->start + chunk * 4, sizeof(block));
    }
    *p = NULL;
    if (block == NO_BLOCK)
        return 0;
    uint64_t at = (uint64_t)block * EROFS_BLOCK + in_chunk;
    if (!in_image(e, at, *run))
        return -EUCLEAN;
    *p = e->base + at;
    return 0;
}

ssize_t_k erofs_read(const struct erofs *e, const struct erofs_data *d, uint64_t off, void *buf,
                     size_t n)
{
    size_t done = 0;
    while (done < n && off < d->size) {
        const uint8_t *p;
        uint64_t run;
        int err = erofs_map(e, d, off, &p, &run);
        if (err)
            return err;
        size_t part = MIN(run, n - done);
        if (p)
            memcpy((uint8_t *)buf + done, p, part);
        else
            memset((uint8_t *)buf + done, 0, part);
        done += part;
        off += part;
    }
    return (ssize_t_k)done;
}

// One block of a directory, checked as a whole before use.
struct dir_block {
    const uint8_t *p;
    uint32_t len, count;
};

static int dir_block_get(const struct erofs *e, const struct erofs_data *dir, uint64_t index,
                         struct dir_block *b)
{
    uint64_t off = index * EROFS_BLOCK, run;
    int err = erofs_map(e, dir, off, &b->p, &run);
    if (err)
        return err;
    b->len = (uint32_t)MIN(dir->size - off, (uint64_t)EROFS_BLOCK);
    if (!b->p || run < b->len || b->len < sizeof(struct disk_entry))
        return -EUCLEAN;
    // The first name starts where the entries end.
    struct disk_entry first;
    memcpy(&first, b->p, sizeof(first));
    if (first.name_off < sizeof(first) || first.name_off % sizeof(first) || first.name_off > b->len)
        return -EUCLEAN;
    b->count = first.name_off / sizeof(first);
    return 0;
}

static int dir_entry_get(const struct dir_block *b, uint32_t i, struct erofs_entry *out)
{
    struct disk_entry d, next;
    uint32_t end = b->len;
    memcpy(&d, b->p + i * sizeof(d), sizeof(d));
    if (i + 1 < b->count) {
        memcpy(&next, b->p + (i + 1) * sizeof(d), sizeof(next));
        end = next.name_off;
    }
    if (d.name_off < b->count * sizeof(d) || end > b->len || d.name_off >= end)
        return -EUCLEAN;
    out->name = (const char *)b->p + d.name_off;
    out->len =
        strnlen(out->name, end - d.name_off); // the last name of a block ends at a NUL or the end
    out->nid = d.nid;
    static const uint8_t types[8] = {0, 8, 4, 2, 6, 1, 12, 10}; // FT_* to mode >> 12
    out->type = d.type < 8 ? types[d.type] : 0;
    if (out->len == 0 || out->len > 255 || memchr(out->name, '/', out->len))
        return -EUCLEAN;
    return 0;
}

static int name_cmp(const char *a, size_t alen, const char *b, size_t blen)
{
    int c = memcmp(a, b, MIN(alen, blen));
    return c ? c : (alen > blen) - (alen < blen);
}

int erofs_lookup(const struct erofs *e, const struct erofs_data *dir, const char *name, size_t len,
                 uint64_t *nid)
{
    struct dir_block b;
    struct erofs_entry x;
    int err;
    // The last block whose first name is not behind ours, then the entry in it.
    uint64_t lo = 0, hi = (dir->size + EROFS_BLOCK - 1) / EROFS_BLOCK;
    if (hi == 0)
        return -ENOENT;
    while (hi - lo > 1) {
        uint64_t mid = lo + (hi - lo) / 2;
        if ((err = dir_block_get(e, dir, mid, &b)) || (err = dir_entry_get(&b, 0, &x)))
            return err;
        if (name_cmp(x.name, x.len, name, len) <= 0)
            lo = mid;
        else
            hi = mid;
    }
    if ((err = dir_block_get(e, dir, lo, &b)))
        return err;
    uint32_t first = 0, end = b.count;
    while (first < end) {
        uint32_t mid = first + (end - first) / 2;
        if ((err = dir_entry_get(&b, mid, &x)))
            return err;
        int c = name_cmp(x.name, x.len, name, len);
        if (c == 0) {
            *nid = x.nid;
            return 0;
        }
        if (c < 0)
            first = mid + 1;
        else
            end = mid;
    }
    return -ENOENT;
}

int erofs_next(const struct erofs *e, const struct erofs_data *dir, uint64_t *pos,
               struct erofs_entry *out)
{
    while (*pos < dir->size) {
        struct dir_block b;
        uint64_t index = *pos / EROFS_BLOCK;
        uint32_t i = (uint32_t)(*pos % EROFS_BLOCK + sizeof(struct disk_entry) - 1) /
                     (uint32_t)sizeof(struct disk_entry);
        int err = dir_block_get(e, dir, index, &b);
        if (err)
            return err;
        if (i < b.count) {
            err = dir_entry_get(&b, i, out);
            *pos = i + 1 < b.count ? index * EROFS_BLOCK + (i + 1) * sizeof(struct disk_entry)
                                   : (index + 1) * EROFS_BLOCK;
            return err ? err : 1;
        }
        *pos = (index + 1) * EROFS_BLOCK;
    }
    return 0;
}

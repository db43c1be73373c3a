// SPDX-License-Identifier: ISC
// The layer of a Lith image as a tar: written the same way every time (names, modes, owner 0, time
// 0), so that the same files give the same digest; read with every length checked, because a layer
// can come from a registry. Formats: POSIX.1-1988 ustar; on reading also pax and GNU headers,
// which are skipped (none of the four names needs them).
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK       512u
#define FILE_MAX    (64ull << 30) // larger files of a layer are refused
#define CHUNK       (1u << 20)
#define HEADERS_MAX 4096u // a foreign layer with more entries is not one of ours

static const char *const layer_files[] = {"lith/kernel", "lith/root.erofs", "lith/config.json",
                                          "lith/calls.json"};
#define LAYER_FILES (sizeof(layer_files) / sizeof(layer_files[0]))

struct tar_header {
    char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type;
    char linkname[100], magic[6], version[2], uname[32], gname[32], devmajor[8], devminor[8];
    char prefix[155], pad[12];
};
_Static_assert(sizeof(struct tar_header) == BLOCK, "a tar header is one block");

static unsigned header_checksum(const struct tar_header *h)
{
    const unsigned char *p = (const unsigned char *)h;
    unsigned sum = 0;
    for (size_t i = 0; i < BLOCK; i++) {
        bool in_field =
            i >= offsetof(struct tar_header, checksum) && i < offsetof(struct tar_header, type);
        sum += in_field ? ' ' : p[i];
    }
    return sum;
}

static void octal(char *field, size_t width, uint64_t value)
{
    field[width - 1] = 0;
    for (size_t i = width - 1; i-- > 0; value >>= 3)
        field[i] = (char)('0' + (value & 7));
}

static void header_fill(struct tar_header *h, const char *name, char type, unsigned mode,
                        uint64_t size)
{
    memset(h, 0, sizeof(*h));
    memcpy(h->name, name, strlen(name));
    octal(h->mode, sizeof(h->mode), mode);
    octal(h->uid, sizeof(h->uid), 0);
    octal(h->gid, sizeof(h->gid), 0);
    octal(h->size, sizeof(h->size), size);
    octal(h->mtime, sizeof(h->mtime), 0);
    h->type = type;
    memcpy(h->magic, "ustar", 6);
    memcpy(h->version, "00", 2);
    octal(h->checksum, 7, header_checksum(h));
    h->checksum[7] = ' ';
}

static int layer_write_file(struct blob *b, int dirfd, const char *name, struct err *e)
{
    static const char zeros[BLOCK];
    int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0) {
        int r = -errno;
        if (fd >= 0)
            close(fd);
        return err_sys(e, r, "cannot read %s of the new image", name);
    }
    struct tar_header h;
    header_fill(&h, name, '0', strcmp(name, "lith/kernel") == 0 ? 0755 : 0644,
                (uint64_t)st.st_size);
    int r = st.st_size >= (8ll << 30) ? err_set(e, -EFBIG, "%s is larger than 8 GiB", name)
                                      : blob_write(b, &h, sizeof(h), e);
    char *chunk = xmalloc(CHUNK);
    uint64_t left = (uint64_t)st.st_size;
    while (r == 0 && left > 0) {
        ssize_t n = read(fd, chunk, left < CHUNK ? left : CHUNK);
        if (n <= 0) {
            r = err_sys(e, n < 0 ? -errno : -EIO, "cannot read %s of the new image", name);
            break;
        }
        r = blob_write(b, chunk, (size_t)n, e);
        left -= (uint64_t)n;
    }
    size_t tail = (size_t)st.st_size % BLOCK;
    if (r == 0 && tail)
        r = blob_write(b, zeros, BLOCK - tail, e);
    free(chunk);
    close(fd);
    return r;
}

int layer_write(struct store *s, int dirfd, char digest[STORE_DIGEST], uint64_t *size,
                struct err *e)
{
    static const char end[2 * BLOCK];
    struct blob b;
    int r = blob_begin(s, &b, e);
    if (r < 0)
        return r;
    struct tar_header h;
    header_fill(&h, "lith/", '5', 0755, 0);
    r = blob_write(&b, &h, sizeof(h), e);
    for (size_t i = 0; r == 0 && i < LAYER_FILES; i++)
        r = layer_write_file(&b, dirfd, layer_files[i], e);
    if (r == 0)
        r = blob_write(&b, end, sizeof(end), e);
    *size = b.size;
    if (r == 0)
        r = blob_commit(s, &b, digest, e);
    blob_abort(s, &b);
    return r;
}

// A numeric field: octal digits ended by NUL or space, or GNU's base-256. -EBADMSG.
static int header_number(const char *field, size_t width, uint64_t *value)
{
    const unsigned char *p = (const unsigned char *)field;
    uint64_t v = 0;
    size_t i = 0;
    if (p[0] & 0x80) {
        if (p[0] != 0x80)
            return -EBADMSG;
        for (i = 1; i < width; i++) {
            if (v >> 56)
                return -EBADMSG;
            v = v << 8 | p[i];
        }
        *value = v;
        return 0;
    }
    while (i < width && p[i] == ' ')
        i++;
    for (; i < width && p[i] != 0 && p[i] != ' '; i++) {
        if (p[i] < '0' || p[i] > '7' || v >> 60)
            return -EBADMSG;
        v = v << 3 | (uint64_t)(p[i] - '0');
    }
    *value = v;
    return 0;
}

struct reader {
    int fd;
    struct sha256 hash;
    bool eof;
};

// Reads exactly `len` bytes; 0 at the end of the file, -EBADMSG when it ends in between.
static int reader_get(struct reader *in, void *data, size_t len)
{
    size_t have = 0;
    while (have < len) {
        ssize_t n = read(in->fd, (char *)data + have, len - have);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        have += (size_t)n;
    }
    sha256_add(&in->hash, data, have);
    if (have == len)
        return 1;
    in->eof = true;
    return have == 0 ? 0 : -EBADMSG;
}

static bool all_zero(const void *data, size_t len)
{
    const unsigned char *p = data;
    for (size_t i = 0; i < len; i++)
        if (p[i])
            return false;
    return true;
}

// The index of a wanted file, or -1. Names may begin with "./" or "/".
static int wanted(const struct tar_header *h)
{
    char name[sizeof(h->name) + 1];
    memcpy(name, h->name, sizeof(h->name));
    name[sizeof(h->name)] = 0;
    const char *p = name;
    if (h->prefix[0] != 0 || (h->type != '0' && h->type != 0))
        return -1;
    if (p[0] == '.' && p[1] == '/')
        p += 2;
    else if (p[0] == '/')
        p++;
    for (size_t i = 0; i < LAYER_FILES; i++)
        if (strcmp(p, layer_files[i]) == 0)
            return (int)i;
    return -1;
}

// Copies `size` bytes and their padding to `out` (-1: skips them).
static int reader_copy(struct reader *in, int out, uint64_t size, char *chunk)
{
    uint64_t left = (size + BLOCK - 1) / BLOCK * BLOCK, data = size;
    while (left > 0) {
        size_t n = left < CHUNK ? (size_t)left : CHUNK;
        int r = reader_get(in, chunk, n);
        if (r <= 0)
            return r < 0 ? r : -EBADMSG;
        size_t keep = data < n ? (size_t)data : n;
        if (out >= 0 && keep && (r = write_all(out, chunk, keep)) < 0)
            return r;
        data -= keep;
        left -= n;
    }
    return 0;
}

static int layer_unpack_entries(struct reader *in, int dirfd, unsigned *seen, char *chunk)
{
    for (unsigned headers = 0; headers < HEADERS_MAX; headers++) {
        struct tar_header h;
        int r = reader_get(in, &h, sizeof(h));
        if (r <= 0)
            return r;
        if (all_zero(&h, sizeof(h)))
            return 0;
        uint64_t size, checksum;
        if (header_number(h.checksum, sizeof(h.checksum), &checksum) < 0 ||
            checksum != header_checksum(&h) || header_number(h.size, sizeof(h.size), &size) < 0 ||
            size > FILE_MAX)
            return -EBADMSG;
        if (h.type == '1' || h.type == '2' || h.type == '5')
            size = 0;
        int file = wanted(&h), out = -1;
        if (file >= 0) {
            out = openat(dirfd, layer_files[file], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
            if (out < 0)
                return errno == EEXIST ? -EBADMSG : -errno;
        }
        r = reader_copy(in, out, size, chunk);
        if (out >= 0) {
            if (r == 0 && fsync(out) < 0)
                r = -errno;
            close(out);
            *seen |= 1u << file;
        }
        if (r < 0)
            return r;
    }
    return -EBADMSG;
}

int layer_unpack(int fd, const char *digest, int dirfd, struct err *e)
{
    struct reader in = {.fd = fd};
    char *chunk = xmalloc(CHUNK);
    unsigned seen = 0;
    sha256_init(&in.hash);
    if (mkdirat(dirfd, "lith", 0755) < 0 && errno != EEXIST) {
        free(chunk);
        return err_sys(e, -errno, "cannot unpack the image");
    }
    int r = layer_unpack_entries(&in, dirfd, &seen, chunk);
    while (r == 0 && !in.eof) {
        ssize_t n = read(fd, chunk, CHUNK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            r = -errno;
        if (n <= 0)
            break;
        sha256_add(&in.hash, chunk, (size_t)n);
    }
    free(chunk);
    if (r == -EBADMSG)
        return err_set(e, r, "the image is damaged: its layer %.19s... is cut off or is not a tar",
                       digest);
    if (r < 0)
        return err_sys(e, r, "cannot unpack the image's layer %.19s...", digest);
    char actual[STORE_DIGEST];
    sha256_digest(&in.hash, actual);
    if (strcmp(actual, digest) != 0)
        return err_set(
            e, -EBADMSG,
            "the image is damaged: its layer has digest %.19s... instead of %.19s...; remove it "
            "with `lith rmi` and make it again",
            actual, digest);
    unsigned needed = 7; // kernel, root and configuration; the call report may be missing
    if ((seen & needed) != needed)
        return err_set(e, -EBADMSG,
                       "this is no Lith image: its layer has no /lith/kernel, /lith/root.erofs and "
                       "/lith/config.json; make one of it with `lith import`");
    return 0;
}

int store_unpacked(struct store *s, const struct store_image *image, char **path, struct err *e)
{
    *path = xasprintf("%s/unpacked/%s/lith", s->path, image->layer + 7);
    if (access(*path, X_OK) == 0)
        return 0;
    char *tmp = NULL, blob[16 + 64], final[16 + 64];
    snprintf(blob, sizeof(blob), "blobs/sha256/%s", image->layer + 7);
    snprintf(final, sizeof(final), "unpacked/%s", image->layer + 7);
    int dirfd = -1;
    int fd = openat(s->dirfd, blob, O_RDONLY | O_CLOEXEC);
    int r =
        fd < 0 ? err_sys(e, -errno, "the image is damaged: cannot read %s/%s", s->path, blob) : 0;
    if (r == 0)
        r = store_tmp(s, &tmp, e);
    if (r == 0) {
        dirfd = open(tmp, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        r = dirfd < 0 ? err_sys(e, -errno, "cannot open %s", tmp)
                      : layer_unpack(fd, image->layer, dirfd, e);
    }
    // Another process may have done the same: then its folder stays.
    if (r == 0 && renameat(AT_FDCWD, tmp, s->dirfd, final) < 0 && errno != EEXIST &&
        errno != ENOTEMPTY)
        r = err_sys(e, -errno, "cannot unpack the image to %s", *path);
    if (tmp != NULL)
        remove_all(AT_FDCWD, tmp);
    if (dirfd >= 0)
        close(dirfd);
    if (fd >= 0)
        close(fd);
    free(tmp);
    if (r < 0) {
        free(*path);
        *path = NULL;
    }
    return r;
}

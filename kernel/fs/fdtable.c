// SPDX-License-Identifier: ISC
// Descriptor tables: an array of files that doubles when it is full, with one bitmap of the numbers
// in use (the lowest free one is found a word at a time) and one of those closed by exec. A mutex
// per table guards it; closing a file happens outside.
#include "fs/vfs.h"

struct fd_table {
    uint32_t refs;
    struct mutex lock;
    unsigned size; // numbers there is room for, a multiple of 64
    struct file **files;
    uint64_t *open, *cloexec; // bitmaps
    unsigned first_free;      // no number below is free
};

static int table_grow(struct fd_table *t, unsigned need)
{
    unsigned size = t->size ? t->size : FS_FD_FIRST;
    while (size < need)
        size *= 2;
    if (size == t->size)
        return 0;
    // One piece of memory: files, then both bitmaps.
    size_t bytes = size * sizeof(struct file *) + 2 * (size / 8);
    struct file **files = kzalloc(bytes);
    if (!files)
        return -ENOMEM;
    uint64_t *open = (uint64_t *)(void *)(files + size), *cloexec = open + size / 64;
    if (t->size) {
        memcpy(files, t->files, t->size * sizeof(struct file *));
        memcpy(open, t->open, t->size / 8);
        memcpy(cloexec, t->cloexec, t->size / 8);
    }
    kfree(t->files);
    t->files = files;
    t->open = open;
    t->cloexec = cloexec;
    t->size = size;
    return 0;
}

struct fd_table *fd_table_create(void)
{
    struct fd_table *t = kzalloc(sizeof(*t));
    if (!t)
        return NULL;
    t->refs = 1;
    mutex_init(&t->lock);
    if (table_grow(t, FS_FD_FIRST)) {
        kfree(t);
        return NULL;
    }
    return t;
}

static bool bit_get(const uint64_t *map, unsigned i)
{
    return map[i / 64] >> (i % 64) & 1;
}

static void bit_set(uint64_t *map, unsigned i, bool on)
{
    if (on)
        map[i / 64] |= 1ull << (i % 64);
    else
        map[i / 64] &= ~(1ull << (i % 64));
}

struct fd_table *fd_table_clone(struct fd_table *t)
{
    struct fd_table *n = fd_table_create();
    if (!n)
        return NULL;
    mutex_lock(&t->lock);
    if (table_grow(n, t->size)) {
        mutex_unlock(&t->lock);
        fd_table_unref(n);
        return NULL;
    }
    memcpy(n->open, t->open, t->size / 8);
    memcpy(n->cloexec, t->cloexec, t->size / 8);
    for (unsigned i = 0; i < t->size; i++) {
        if (t->files[i])
            n->files[i] = file_ref(t->files[i]);
    }
    n->first_free = t->first_free;
    mutex_unlock(&t->lock);
    return n;
}

void fd_table_ref(struct fd_table *t)
{
    __atomic_fetch_add(&t->refs, 1, __ATOMIC_RELAXED);
}

static void file_closed_by(struct fd_table *t, struct file *f)
{
    if (f->dentry)
        fs_names->closed_by(f, t);
    file_unref(f);
}

void fd_table_unref(struct fd_table *t)
{
    if (__atomic_sub_fetch(&t->refs, 1, __ATOMIC_ACQ_REL))
        return;
    for (unsigned i = 0; i < t->size; i++) {
        if (t->files[i])
            file_closed_by(t, t->files[i]);
    }
    kfree(t->files);
    kfree(t);
}

static int lowest_free(const struct fd_table *t, unsigned min)
{
    unsigned from = MAX(min, t->first_free);
    for (unsigned w = from / 64; w < t->size / 64; w++) {
        uint64_t taken = t->open[w];
        if (w == from / 64)
            taken |= (1ull << (from % 64)) - 1;
        if (taken != UINT64_MAX)
            return (int)(w * 64 + (unsigned)__builtin_ctzll(~taken));
    }
    return (int)MAX(from, t->size);
}

int fd_install(struct fd_table *t, struct file *f, int min, bool cloexec, unsigned limit)
{
    if (min < 0 || (unsigned)min >= limit)
        return -EINVAL;
    mutex_lock(&t->lock);
    int fd = lowest_free(t, (unsigned)min);
    int err = (unsigned)fd >= limit ? -EMFILE : table_grow(t, (unsigned)fd + 1);
    if (!err) {
        t->files[fd] = f;
        bit_set(t->open, (unsigned)fd, true);
        bit_set(t->cloexec, (unsigned)fd, cloexec);
        if ((unsigned)min <= t->first_free)
            t->first_free = (unsigned)fd + 1;
    }
    mutex_unlock(&t->lock);
    return err ? err : fd;
}

int fd_replace(struct fd_table *t, int fd, struct file *f, bool cloexec, unsigned limit)
{
    if (fd < 0 || (unsigned)fd >= limit)
        return -EBADF;
    mutex_lock(&t->lock);
    int err = table_grow(t, (unsigned)fd + 1);
    struct file *old = NULL;
    if (!err) {
        old = t->files[fd];
        t->files[fd] = f;
        bit_set(t->open, (unsigned)fd, true);
        bit_set(t->cloexec, (unsigned)fd, cloexec);
    }
    mutex_unlock(&t->lock);
    if (old)
        file_closed_by(t, old);
    return err ? err : fd;
}

struct file *fd_get(struct fd_table *t, int fd)
{
    struct file *f = NULL;
    mutex_lock(&t->lock);
    if (fd >= 0 && (unsigned)fd < t->size && t->files[fd])
        f = file_ref(t->files[fd]);
    mutex_unlock(&t->lock);
    return f;
}

int fd_close(struct fd_table *t, int fd)
{
    struct file *f = NULL;
    mutex_lock(&t->lock);
    if (fd >= 0 && (unsigned)fd < t->size && t->files[fd]) {
        f = t->files[fd];
        t->files[fd] = NULL;
        bit_set(t->open, (unsigned)fd, false);
        bit_set(t->cloexec, (unsigned)fd, false);
        t->first_free = MIN(t->first_free, (unsigned)fd);
    }
    mutex_unlock(&t->lock);
    if (!f)
        return -EBADF;
    file_closed_by(t, f);
    return 0;
}

int fd_get_cloexec(struct fd_table *t, int fd)
{
    mutex_lock(&t->lock);
    int r = fd >= 0 && (unsigned)fd < t->size && t->files[fd] ? bit_get(t->cloexec, (unsigned)fd)
                                                              : -EBADF;
    mutex_unlock(&t->lock);
    return r;
}

int fd_set_cloexec(struct fd_table *t, int fd, bool on)
{
    int r = -EBADF;
    mutex_lock(&t->lock);
    if (fd >= 0 && (unsigned)fd < t->size && t->files[fd]) {
        bit_set(t->cloexec, (unsigned)fd, on);
        r = 0;
    }
    mutex_unlock(&t->lock);
    return r;
}

int fd_next(struct fd_table *t, int from)
{
    int r = -1;
    mutex_lock(&t->lock);
    for (unsigned i = from < 0 ? 0 : (unsigned)from; i < t->size; i++) {
        if (t->files[i]) {
            r = (int)i;
            break;
        }
    }
    mutex_unlock(&t->lock);
    return r;
}

void fd_close_on_exec(struct fd_table *t)
{
    for (int fd = fd_next(t, 0); fd >= 0; fd = fd_next(t, fd + 1)) {
        if (fd_get_cloexec(t, fd) == 1)
            fd_close(t, fd);
    }
}

// SPDX-License-Identifier: ISC
// Open files: life, reading and writing with the checks that all kinds share, positions, reading of
// directories.
#include "fs/vfs.h"

void (*file_closed_hook)(struct file *f);
const struct fs_names *fs_names;

struct file *file_alloc(int flags)
{
    static uint64_t last_id;
    struct file *f = kzalloc(sizeof(*f));
    if (!f)
        return NULL;
    f->refs = 1;
    f->flags = flags;
    f->id = __atomic_add_fetch(&last_id, 1, __ATOMIC_RELAXED);
    list_init(&f->epoll_items);
    return f;
}

struct file *file_create(const struct file_ops *ops, void *priv, int flags)
{
    struct file *f = file_alloc(flags);
    if (f) {
        f->ops = ops;
        f->priv = priv;
    }
    return f;
}

void file_unref(struct file *f)
{
    if (__atomic_sub_fetch(&f->refs, 1, __ATOMIC_ACQ_REL))
        return;
    if (file_closed_hook && !list_empty(&f->epoll_items))
        file_closed_hook(f);
    if (f->dentry)
        fs_names->put(f);
    else if (f->ops && f->ops->release)
        f->ops->release(f);
    kfree(f);
}

ssize_t_k file_read(struct file *f, struct iov_iter *to, uint64_t *pos)
{
    if ((f->flags & O_PATH) || (f->flags & O_ACCMODE) == O_WRONLY)
        return -EBADF;
    if (f->inode && S_ISDIR(f->inode->mode))
        return -EISDIR;
    if (!f->ops->read)
        return -EINVAL;
    if (to->left == 0 && f->inode)
        return 0;
    return f->ops->read(f, to, pos);
}

ssize_t_k file_write(struct file *f, struct iov_iter *from, uint64_t *pos)
{
    if ((f->flags & O_PATH) || (f->flags & O_ACCMODE) == O_RDONLY)
        return -EBADF;
    if (!f->ops->write)
        return -EINVAL;
    if (from->left == 0 && f->inode)
        return 0;
    return f->ops->write(f, from, pos);
}

ssize_t_k file_read_kernel(struct file *f, void *buf, size_t n, uint64_t off)
{
    size_t done = 0;
    while (done < n) {
        struct iov_iter it;
        iov_init_kernel(&it, (char *)buf + done, n - done);
        ssize_t_k got = file_read(f, &it, &off);
        if (got < 0)
            return done ? (ssize_t_k)done : got;
        if (got == 0)
            break;
        done += (size_t)got;
    }
    return (ssize_t_k)done;
}

unsigned file_poll(struct file *f, struct poll_table *pt)
{
    if (f->ops->poll)
        return f->ops->poll(f, pt);
    return EPOLLIN | EPOLLOUT | EPOLLRDNORM | EPOLLWRNORM;
}

int64_t seek_in(struct file *f, int64_t off, int whence, uint64_t size)
{
    int64_t base = whence == SEEK_CUR_ ? (int64_t)f->pos : whence == SEEK_END_ ? (int64_t)size : 0;
    int64_t to;
    if (whence < SEEK_SET_ || whence > SEEK_END_)
        return -EINVAL;
    if (__builtin_add_overflow(base, off, &to))
        return -EOVERFLOW;
    if (to < 0)
        return -EINVAL;
    f->pos = (uint64_t)to;
    return to;
}

long file_seek(struct file *f, int64_t off, int whence)
{
    if (f->flags & O_PATH)
        return -EBADF;
    return f->ops->seek ? f->ops->seek(f, off, whence) : -ESPIPE;
}

int file_set_flags(struct file *f, int flags)
{
    const int settable = O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME | FASYNC;
    if (f->flags & O_PATH)
        return -EBADF;
    int want = (f->flags & ~settable) | (flags & settable);
    int err = f->ops->set_flags ? f->ops->set_flags(f, want) : 0;
    if (!err)
        f->flags = want;
    return err;
}

// --- directories ---

bool dir_batch_add(struct dir_batch *b, const char *name, size_t len, uint64_t ino, unsigned type,
                   uint64_t next_pos)
{
    size_t need = ALIGN_UP(sizeof(struct dir_record) + len, (size_t)8);
    if (b->size - b->used < need)
        return false;
    struct dir_record *r = (struct dir_record *)(void *)(b->buf + b->used);
    *r = (struct dir_record){
        .ino = ino, .next_pos = next_pos, .type = (uint8_t)type, .name_len = (uint8_t)len};
    memcpy(r->name, name, len);
    b->used += need;
    return true;
}

static int dir_fill(struct file *f, uint64_t pos, struct dir_batch *b)
{
    struct dentry *d = f->dentry;
    if (d->flags & D_DELETED)
        return 0;
    if (pos == 0) {
        dir_batch_add(b, ".", 1, d->inode->ino, S_IFDIR >> 12, 1);
        pos = 1;
    }
    if (pos == 1) {
        const struct dentry *up = d;
        while (up->parent == up && up->inode->sb->covered)
            up = up->inode->sb->covered;
        dir_batch_add(b, "..", 2, up->parent->inode->ino, S_IFDIR >> 12, 2);
        pos = 2;
    }
    return d->inode->ops->readdir ? d->inode->ops->readdir(d, pos, b) : -ENOTDIR;
}

static int dir_readdir(struct file *f,
                       bool (*emit)(void *ctx, const char *name, size_t len, uint64_t ino,
                                    unsigned type, uint64_t next_pos),
                       void *ctx)
{
    struct dir_batch b = {.size = 2048};
    int err = 0;
    b.buf = kmalloc(b.size);
    if (!b.buf)
        return -ENOMEM;
    do {
        b.used = 0;
        mutex_lock(&fs_lock);
        err = dir_fill(f, f->pos, &b);
        mutex_unlock(&fs_lock);
        for (size_t at = 0; at < b.used;) {
            const struct dir_record *r = (const struct dir_record *)(const void *)(b.buf + at);
            if (!emit(ctx, r->name, r->name_len, r->ino, r->type, r->next_pos))
                goto out;
            f->pos = r->next_pos;
            at += ALIGN_UP(sizeof(*r) + r->name_len, (size_t)8);
        }
    } while (b.used && !err);
out:
    kfree(b.buf);
    return err;
}

int file_readdir(struct file *f,
                 bool (*emit)(void *ctx, const char *name, size_t len, uint64_t ino, unsigned type,
                              uint64_t next_pos),
                 void *ctx)
{
    if (f->flags & O_PATH)
        return -EBADF;
    return f->ops->readdir ? f->ops->readdir(f, emit, ctx) : -ENOTDIR;
}

static long dir_seek(struct file *f, int64_t off, int whence)
{
    return seek_in(f, off, whence, 0);
}

static int dir_fsync(struct file *f, bool data_only)
{
    (void)f;
    (void)data_only;
    return 0;
}

const struct file_ops vfs_dir_ops = {
    .name = "directory", .seek = dir_seek, .readdir = dir_readdir, .fsync = dir_fsync};
const struct file_ops vfs_path_ops = {.name = "path"};

ssize_t_k file_path(struct file *f, char *buf, size_t size)
{
    if (f->dentry) {
        mutex_lock(&fs_lock);
        ssize_t_k n = dentry_path(f->dentry, fs_mounts[0]->root, buf, size);
        mutex_unlock(&fs_lock);
        return n;
    }
    const char *name = f->ops->name ? f->ops->name : "anon";
    // "anon_inode:[eventpoll]" is whole; "socket" and "pipe" get their number.
    int n = strchr(name, ':') || name[0] == '/'
                ? lib_snprintf(buf, size, "%s", name)
                : lib_snprintf(buf, size, "%s:[%lu]", name, (unsigned long)f->id);
    return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : n;
}

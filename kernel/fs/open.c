// SPDX-License-Identifier: ISC
// open(2): finds or creates the name under fs_lock, then opens what is there by its type outside of
// it.
#include "fs/vfs.h"

static int check_existing(const struct dentry *d, int flags)
{
    unsigned mode = d->inode->mode;
    if ((flags & O_CREAT) && (flags & O_EXCL))
        return -EEXIST;
    if (S_ISLNK(mode) && !(flags & O_PATH))
        return flags & O_DIRECTORY ? -ENOTDIR : -ELOOP;
    if ((flags & O_DIRECTORY) && !S_ISDIR(mode))
        return -ENOTDIR;
    if (flags & O_PATH)
        return 0;
    bool writes = (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC);
    if (S_ISDIR(mode) && (writes || (flags & O_CREAT)))
        return -EISDIR;
    if (writes && S_ISREG(mode) && d->inode->sb->read_only)
        return -EROFS;
    if (S_ISSOCK(mode))
        return -ENXIO;
    return 0;
}

// Name to file under fs_lock: d is referenced.
static int resolve(struct fs_context *c, struct file *dir, const char *path, int flags,
                   unsigned mode, struct dentry **out, struct file **nameless, bool *created)
{
    struct walk w;
    unsigned how = WALK_FILE;
    if (!(flags & O_NOFOLLOW) && !((flags & O_CREAT) && (flags & O_EXCL)))
        how |= WALK_FOLLOW;
    if (flags & O_CREAT)
        how |= WALK_CREATE;
    *nameless = NULL;
    int err = walk_start(&w, c, dir, path, how);
    if (!err && (flags & O_CREAT) && w.want_dir)
        err = -EISDIR; // whatever is there
    if (!err)
        err = walk_last(&w, how, out);
    if (err)
        goto out;
    struct dentry *d = *out;
    if (!d) {
        *nameless = w.file;
        w.file = NULL;
    } else if (d->inode) {
        err = check_existing(d, flags);
    } else if (w.want_dir) {
        err = -EISDIR;
    } else {
        err = d->parent->inode->ops->make
                  ? d->parent->inode->ops->make(d, S_IFREG | (mode & 07777), 0, NULL)
                  : -EROFS;
        *created = true;
    }
    if (err)
        dentry_put(d);
out:
    walk_end(&w);
    return err;
}

static int open_by_type(struct file *f, bool created)
{
    struct inode *i = f->inode;
    switch (i->mode & S_IFMT) {
    case S_IFDIR:
        f->ops = &vfs_dir_ops;
        return 0;
    case S_IFCHR:
        return devfs_open(i->rdev, f);
    case S_IFIFO:
        return fifo_open(i, f);
    case S_IFREG: {
        int err = i->ops->open(i, f);
        if (!err && (f->flags & O_TRUNC) && !created && i->ops->truncate)
            err = i->ops->truncate(i, 0);
        return err;
    }
    default:
        return -ENXIO;
    }
}

// An unnamed file in the directory's file system (O_TMPFILE).
static int open_tmpfile(struct fs_context *c, struct file *dir, const char *path, int flags,
                        unsigned mode, struct dentry **out)
{
    struct dentry *d;
    if ((flags & O_ACCMODE) == O_RDONLY)
        return -EINVAL;
    int err = path_lookup_locked(c, dir, path, WALK_FOLLOW, &d);
    if (err)
        return err;
    struct inode *i = NULL;
    if (!S_ISDIR(d->inode->mode))
        err = -ENOTDIR;
    else if (d->inode->ops != &tmpfs_dir_ops)
        err = -EOPNOTSUPP;
    else if (!(i = tmpfs_new_inode(d->inode->sb, S_IFREG | (mode & 07777), 0)))
        err = -ENOSPC;
    if (!err) {
        char name[24];
        int n = lib_snprintf(name, sizeof(name), "#%lu", (unsigned long)i->ino);
        i->nlink = 0;
        *out = dentry_alloc(d, name, (size_t)n);
        if (*out) {
            (*out)->inode = i;
            (*out)->flags |= D_DELETED;
        } else {
            inode_put(i);
            err = -ENOMEM;
        }
    }
    dentry_put(d);
    mutex_unlock(&fs_lock);
    return err;
}

void file_put_named(struct file *f)
{
    struct inode *i = f->inode;
    if (i->locks)
        locks_release_file(f);
    if (f->ops && f->ops->release)
        f->ops->release(f);
    // A magic link's answer is put back under fs_lock; then this is not the file's last reference.
    mutex_lock(&fs_lock);
    dentry_put(f->dentry);
    inode_put(i);
    mutex_unlock(&fs_lock);
}

void file_closed_named(struct file *f, const void *owner)
{
    if (f->inode->locks)
        locks_release_owner(f->inode, owner);
}

int vfs_open(struct fs_context *c, struct file *dir, const char *path, int flags, unsigned mode,
             struct file **out)
{
    struct dentry *d = NULL;
    struct file *nameless = NULL;
    bool created = false;
    int err;
    if (flags & O_PATH)
        flags &= O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    if ((flags & O_CREAT) && (flags & O_DIRECTORY) && !(flags & __O_TMPFILE))
        return -EINVAL;
    struct file *f = file_alloc(flags & ~(O_CREAT | O_EXCL | O_NOCTTY | O_CLOEXEC));
    if (!f)
        return -ENFILE;
    if ((flags & O_TMPFILE) == O_TMPFILE) {
        err = open_tmpfile(c, dir, path, flags, mode, &d);
    } else {
        mutex_lock(&fs_lock);
        err = resolve(c, dir, path, flags, mode, &d, &nameless, &created);
        mutex_unlock(&fs_lock);
    }
    if (err)
        goto out_free;
    if (nameless) {
        kfree(f);
        err = nameless->ops->reopen && !(flags & O_PATH)
                  ? nameless->ops->reopen(nameless, flags, out)
                  : -ENXIO;
        file_unref(nameless);
        return err;
    }
    f->dentry = d;
    f->inode = inode_get(d->inode);
    f->ops = &vfs_path_ops;
    err = flags & O_PATH ? 0 : open_by_type(f, created);
    if (err) {
        f->ops = &vfs_path_ops; // nothing to release
        file_unref(f);
        return err;
    }
    f->flags &= ~O_TRUNC;
    *out = f;
    return 0;
out_free:
    kfree(f);
    return err;
}

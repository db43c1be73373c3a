// SPDX-License-Identifier: ISC
// Calls that change names: mkdir, mknod, symlink, link, unlink, rmdir, rename; socket nodes.
// The checks that hold for every file system are here; the file system's operation then cannot be
// wrong.
#include "fs/vfs.h"

// Finds the place for a new name: *out is its negative dentry. fs_lock is held on success only.
static int lookup_new(struct fs_context *c, struct file *dir, const char *path, bool is_dir,
                      struct dentry **out)
{
    struct walk w;
    mutex_lock(&fs_lock);
    int err = walk_start(&w, c, dir, path, 0);
    if (!err) {
        // A trailing slash does not follow a link here: it only is allowed for directories.
        bool slash = w.want_dir;
        w.want_dir = false;
        err = walk_last(&w, WALK_CREATE, out);
        if (!err && (*out)->inode)
            err = -EEXIST;
        else if (!err && slash && !is_dir)
            err = -ENOENT;
        else if (!err && !(*out)->parent->inode->ops->make)
            err = -EROFS;
        if (err && *out)
            dentry_put(*out);
    }
    walk_end(&w);
    if (err)
        mutex_unlock(&fs_lock);
    return err;
}

static int make(struct fs_context *c, struct file *dir, const char *path, unsigned mode,
                uint64_t rdev, const char *target)
{
    struct dentry *d;
    int err = lookup_new(c, dir, path, S_ISDIR(mode), &d);
    if (err)
        return err;
    err = d->parent->inode->ops->make(d, mode, rdev, target);
    dentry_put(d);
    mutex_unlock(&fs_lock);
    return err;
}

int vfs_mkdir(struct fs_context *c, struct file *dir, const char *path, unsigned mode)
{
    return make(c, dir, path, S_IFDIR | (mode & 01777), 0, NULL);
}

int vfs_mknod(struct fs_context *c, struct file *dir, const char *path, unsigned mode, uint64_t dev)
{
    switch (mode & S_IFMT) {
    case 0:
        mode |= S_IFREG;
        break;
    case S_IFREG:
    case S_IFCHR:
    case S_IFBLK:
    case S_IFIFO:
    case S_IFSOCK:
        break;
    case S_IFDIR:
        return -EPERM;
    default:
        return -EINVAL;
    }
    return make(c, dir, path, mode & (S_IFMT | 07777), dev, NULL);
}

int vfs_symlink(struct fs_context *c, const char *target, struct file *dir, const char *path)
{
    size_t n = strnlen(target, FS_PATH_MAX);
    if (n == 0)
        return -ENOENT;
    if (n == FS_PATH_MAX)
        return -ENAMETOOLONG;
    return make(c, dir, path, S_IFLNK | 0777, 0, target);
}

ssize_t_k vfs_readlink(struct fs_context *c, struct file *dir, const char *path, char *buf,
                       size_t size)
{
    struct dentry *d;
    if (size == 0)
        return -EINVAL;
    int err = path_lookup_locked(c, dir, path, dir ? WALK_EMPTY : 0, &d);
    if (err)
        return err;
    ssize_t_k n = S_ISLNK(d->inode->mode) ? d->inode->ops->readlink(d->inode, buf, size)
                  : *path                 ? -EINVAL
                                          : -ENOENT;
    dentry_put(d);
    mutex_unlock(&fs_lock);
    return n;
}

int vfs_link(struct fs_context *c, struct file *od, const char *o, struct file *nd, const char *n,
             int at_flags)
{
    struct dentry *from, *to;
    unsigned how = (at_flags & AT_SYMLINK_FOLLOW ? WALK_FOLLOW : 0) |
                   (at_flags & AT_EMPTY_PATH ? WALK_EMPTY : 0);
    int err = path_lookup_locked(c, od, o, how, &from);
    if (err)
        return err;
    struct inode *i = inode_get(from->inode);
    dentry_put(from);
    mutex_unlock(&fs_lock);
    err = lookup_new(c, nd, n, false, &to);
    if (err) {
        inode_unref(i);
        return err;
    }
    if (S_ISDIR(i->mode))
        err = -EPERM;
    else if (to->parent->inode->sb != i->sb)
        err = -EXDEV;
    else if (!to->parent->inode->ops->link)
        err = -EPERM;
    else
        err = to->parent->inode->ops->link(to, i);
    dentry_put(to);
    inode_put(i);
    mutex_unlock(&fs_lock);
    return err;
}

// The last component must be a name of its own: not "/", "." or "..".
static bool is_plain(const struct walk *w)
{
    return w->last_len > 0 && !(w->last[0] == '.' && w->last_len == 1) &&
           !(w->last_len == 2 && w->last[0] == '.' && w->last[1] == '.');
}

// The dentry of the last component itself (a mount point is not crossed).
static int lookup_entry(struct walk *w, struct dentry **out)
{
    int err = dentry_lookup(w->dir, w->last, w->last_len, out);
    if (err)
        return err;
    if ((*out)->inode && w->want_dir && !S_ISDIR((*out)->inode->mode)) {
        dentry_put(*out);
        *out = NULL;
        return -ENOTDIR;
    }
    return 0;
}

int vfs_unlink(struct fs_context *c, struct file *dir, const char *path, int at_flags)
{
    struct walk w;
    struct dentry *d;
    bool rmdir = at_flags & AT_REMOVEDIR;
    mutex_lock(&fs_lock);
    int err = walk_start(&w, c, dir, path, 0);
    if (err)
        goto out;
    if (!is_plain(&w)) {
        bool dot = w.last_len == 1;
        err = !rmdir ? -EISDIR : w.last_len == 0 ? -EBUSY : dot ? -EINVAL : -ENOTEMPTY;
        goto out;
    }
    if ((err = lookup_entry(&w, &d)))
        goto out;
    const struct inode *i = d->inode;
    if (!i)
        err = -ENOENT;
    else if (rmdir && !S_ISDIR(i->mode))
        err = -ENOTDIR;
    else if (!rmdir && S_ISDIR(i->mode))
        err = -EISDIR;
    else if (d->flags & D_MOUNTED)
        err = -EBUSY;
    else if (!d->parent->inode->ops->remove)
        err = -EROFS;
    else
        err = d->parent->inode->ops->remove(d);
    dentry_put(d);
out:
    walk_end(&w);
    mutex_unlock(&fs_lock);
    return err;
}

#define RENAME_NOREPLACE_ 1u
#define RENAME_EXCHANGE_  2u

static int check_rename(const struct dentry *from, const struct dentry *to, unsigned flags)
{
    const struct inode *a = from->inode, *b = to->inode;
    if (!a)
        return -ENOENT;
    if (b && (flags & RENAME_NOREPLACE_))
        return -EEXIST;
    if (!b && (flags & RENAME_EXCHANGE_))
        return -ENOENT;
    if (from->parent->inode->sb != to->parent->inode->sb)
        return -EXDEV;
    if (dentry_is_below(to->parent, from))
        return -EINVAL; // a directory into itself
    if (b && dentry_is_below(from->parent, to))
        return flags & RENAME_EXCHANGE_ ? -EINVAL : -ENOTEMPTY;
    if ((from->flags | to->flags) & D_MOUNTED)
        return -EBUSY;
    if (b && !(flags & RENAME_EXCHANGE_)) {
        if (S_ISDIR(a->mode) && !S_ISDIR(b->mode))
            return -ENOTDIR;
        if (!S_ISDIR(a->mode) && S_ISDIR(b->mode))
            return -EISDIR;
    }
    return from->parent->inode->ops->rename ? 0 : -EROFS;
}

int vfs_rename(struct fs_context *c, struct file *od, const char *o, struct file *nd, const char *n,
               unsigned flags)
{
    struct walk *w = kmalloc(2 * sizeof(*w)); // two of them are much for the stack
    struct dentry *from = NULL, *to = NULL;
    if (!w)
        return -ENOMEM;
    if ((flags & ~(RENAME_NOREPLACE_ | RENAME_EXCHANGE_)) || flags == 3) {
        kfree(w);
        return -EINVAL;
    }
    mutex_lock(&fs_lock);
    int err = walk_start(&w[0], c, od, o, 0), err2 = walk_start(&w[1], c, nd, n, 0);
    if (!err)
        err = err2;
    if (!err && (!is_plain(&w[0]) || !is_plain(&w[1])))
        err = -EBUSY;
    if (!err)
        err = lookup_entry(&w[0], &from);
    if (!err) {
        // rename("dir", "new/") may create a directory.
        err = lookup_entry(&w[1], &to);
        if (!err && !to->inode && w[1].want_dir && from->inode && !S_ISDIR(from->inode->mode))
            err = -ENOTDIR;
    }
    if (!err)
        err = check_rename(from, to, flags);
    if (!err && from->inode != to->inode) // two names of one file: nothing happens (POSIX)
        err = from->parent->inode->ops->rename(from, to, flags & RENAME_EXCHANGE_);
    if (to)
        dentry_put(to);
    if (from)
        dentry_put(from);
    walk_end(&w[0]);
    walk_end(&w[1]);
    mutex_unlock(&fs_lock);
    kfree(w);
    return err;
}

// --- socket nodes ---

static struct inode *bound_nodes; // fs_lock

static void forget_bound(struct inode *i)
{
    struct inode **p = &bound_nodes;
    while (*p != i)
        p = &(*p)->socket.next;
    *p = i->socket.next;
    i->socket.sock = NULL;
}

void socket_node_free(struct inode *i)
{
    void *sock = i->socket.sock;
    if (sock) {
        forget_bound(i);
        if (i->socket.gone)
            i->socket.gone(sock);
    }
}

void vfs_unbind_socket(void *sock)
{
    mutex_lock(&fs_lock);
    for (struct inode *i = bound_nodes; i; i = i->socket.next) {
        if (i->socket.sock == sock) {
            forget_bound(i);
            break;
        }
    }
    mutex_unlock(&fs_lock);
}

int vfs_bind_socket(struct fs_context *c, const char *path, unsigned mode, void *sock,
                    void (*gone)(void *sock))
{
    struct dentry *d;
    int err = lookup_new(c, NULL, path, false, &d);
    if (err)
        return err == -EEXIST ? -EADDRINUSE : err;
    err = d->parent->inode->ops->make(d, S_IFSOCK | (mode & 07777), 0, NULL);
    if (!err) {
        d->inode->socket.sock = sock;
        d->inode->socket.gone = gone;
        d->inode->socket.next = bound_nodes;
        bound_nodes = d->inode;
    }
    dentry_put(d);
    mutex_unlock(&fs_lock);
    return err;
}

int vfs_find_socket(struct fs_context *c, const char *path, void **sock)
{
    struct dentry *d;
    int err = path_lookup_locked(c, NULL, path, WALK_FOLLOW, &d);
    if (err)
        return err;
    if (!S_ISSOCK(d->inode->mode) || !d->inode->socket.sock)
        err = -ECONNREFUSED;
    else
        *sock = d->inode->socket.sock;
    dentry_put(d);
    mutex_unlock(&fs_lock);
    return err;
}

// SPDX-License-Identifier: ISC
// From paths to names (path_resolution(7)). A walk resolves all components but the last; what
// happens to that one is the caller's matter (open, create, remove, rename). The target of a
// symbolic link is walked first, what was left of the path waits on a stack. Everything under
// fs_lock.
#include "fs/vfs.h"

struct fs_context *fs_context_create(void)
{
    struct fs_context *c = kzalloc(sizeof(*c));
    if (!c)
        return NULL;
    ASSERT(fs_mount_count > 0);
    c->refs = 1;
    mutex_lock(&fs_lock);
    c->root = dentry_get(fs_mounts[0]->root);
    c->cwd = dentry_get(c->root);
    mutex_unlock(&fs_lock);
    return c;
}

struct fs_context *fs_context_clone(struct fs_context *c)
{
    struct fs_context *n = kzalloc(sizeof(*n));
    if (!n)
        return NULL;
    n->refs = 1;
    mutex_lock(&fs_lock);
    n->root = dentry_get(c->root);
    n->cwd = dentry_get(c->cwd);
    mutex_unlock(&fs_lock);
    return n;
}

void fs_context_ref(struct fs_context *c)
{
    __atomic_fetch_add(&c->refs, 1, __ATOMIC_RELAXED);
}

void fs_context_unref(struct fs_context *c)
{
    if (__atomic_sub_fetch(&c->refs, 1, __ATOMIC_ACQ_REL))
        return;
    mutex_lock(&fs_lock);
    dentry_put(c->root);
    dentry_put(c->cwd);
    mutex_unlock(&fs_lock);
    kfree(c);
}

static void set_dir(struct walk *w, struct dentry *d) // takes the reference
{
    dentry_put(w->dir);
    w->dir = d;
}

static void go_up(struct walk *w)
{
    struct dentry *d = w->dir;
    while (d != w->ctx->root && d->parent == d && d->inode->sb->covered)
        d = d->inode->sb->covered;
    if (d != w->ctx->root)
        set_dir(w, mount_cross(dentry_get(d->parent)));
}

static const char *skip_slashes(const char *p)
{
    while (*p == '/')
        p++;
    return p;
}

// The target of a link as a string of its own.
static int link_target(struct inode *i, char **out)
{
    if (!i->ops->readlink)
        return -EINVAL;
    char *buf = kmalloc(FS_PATH_MAX);
    if (!buf)
        return -ENOMEM;
    ssize_t_k n = i->ops->readlink(i, buf, FS_PATH_MAX - 1);
    if (n <= 0) {
        kfree(buf);
        return n < 0 ? (int)n : -ENOENT;
    }
    buf[n] = 0;
    char *fit = kstrdup(buf);
    kfree(buf);
    *out = fit;
    return fit ? 0 : -ENOMEM;
}

// Continues at the link's target; w->rest is what follows the link.
static int follow(struct walk *w, struct dentry *link, unsigned flags)
{
    char *target = NULL;
    if (++w->links > FS_LINKS_MAX)
        return -ELOOP;
    if (link->inode->ops->jump) {
        struct dentry *d = NULL;
        struct file *f = NULL;
        int err = link->inode->ops->jump(link->inode, &d, &f);
        if (err)
            return err;
        bool last = !*skip_slashes(w->rest) && w->depth == 0;
        if (f) {
            if (last && !*w->rest && (flags & WALK_FILE)) {
                w->file = f;
                return 0;
            }
            file_unref(f);
            return last ? -ENXIO : -ENOTDIR;
        }
        if (!last && !S_ISDIR(d->inode->mode)) {
            dentry_put(d);
            return -ENOTDIR;
        }
        if (last && *w->rest)
            w->want_dir = true;
        set_dir(w, d);
        return 0;
    }
    int err = link_target(link->inode, &target);
    if (err)
        return err;
    if (*skip_slashes(w->rest)) {
        w->stack[w->depth].rest = w->rest;
        w->stack[w->depth].owned = w->owned;
        w->depth++;
    } else {
        if (*w->rest)
            w->want_dir = true;
        kfree(w->owned);
    }
    w->rest = w->owned = target;
    if (*target == '/')
        set_dir(w, dentry_get(w->ctx->root));
    return 0;
}

// Walks until only the last component is left.
static int walk_on(struct walk *w)
{
    w->last_len = 0;
    for (;;) {
        const char *p = skip_slashes(w->rest);
        if (!*p) {
            if (w->depth == 0) {
                w->rest = p;
                return 0;
            }
            kfree(w->owned);
            w->depth--;
            w->rest = w->stack[w->depth].rest;
            w->owned = w->stack[w->depth].owned;
            continue;
        }
        const char *end = p;
        while (*end && *end != '/')
            end++;
        size_t len = (size_t)(end - p);
        if (!S_ISDIR(w->dir->inode->mode))
            return -ENOTDIR;
        if (len > FS_NAME_MAX)
            return -ENAMETOOLONG;
        w->rest = end;
        if (!*skip_slashes(end) && w->depth == 0) {
            w->last = p;
            w->last_len = len;
            if (*end)
                w->want_dir = true;
            return 0;
        }
        if (len == 1 && p[0] == '.')
            continue;
        if (len == 2 && p[0] == '.' && p[1] == '.') {
            go_up(w);
            continue;
        }
        struct dentry *d;
        int err = dentry_lookup(w->dir, p, len, &d);
        if (err)
            return err;
        if (!d->inode)
            err = -ENOENT;
        else if (S_ISLNK(d->inode->mode))
            err = follow(w, d, 0);
        else if (!S_ISDIR(d->inode->mode))
            err = -ENOTDIR;
        else {
            set_dir(w, mount_cross(d));
            continue;
        }
        dentry_put(d);
        if (err)
            return err;
    }
}

int walk_start(struct walk *w, struct fs_context *c, struct file *dir, const char *path,
               unsigned flags)
{
    *w = (struct walk){.ctx = c, .rest = path};
    if (*path == '/')
        w->dir = dentry_get(c->root);
    else if (!dir)
        w->dir = dentry_get(c->cwd);
    else if (dir->dentry)
        w->dir = dentry_get(dir->dentry);
    else if (!*path && (flags & WALK_EMPTY) && (flags & WALK_FILE)) {
        w->dir = dentry_get(c->root);
        w->file = file_ref(dir);
        return 0;
    } else {
        w->dir = dentry_get(c->root); // so that walk_end has something to put
        return -ENOTDIR;
    }
    if (!*path)
        return flags & WALK_EMPTY ? 0 : -ENOENT;
    if (strnlen(path, FS_PATH_MAX) == FS_PATH_MAX)
        return -ENAMETOOLONG;
    return walk_on(w);
}

int walk_last(struct walk *w, unsigned flags, struct dentry **out)
{
    struct dentry *d;
    int err;
    *out = NULL;
    for (;;) {
        if (w->file)
            return 0;
        if (w->last_len == 0) {
            d = dentry_get(w->dir);
            break;
        }
        if (w->last_len == 1 && w->last[0] == '.') {
            d = dentry_get(w->dir);
            break;
        }
        if (w->last_len == 2 && w->last[0] == '.' && w->last[1] == '.') {
            go_up(w);
            d = dentry_get(w->dir);
            break;
        }
        if ((err = dentry_lookup(w->dir, w->last, w->last_len, &d)))
            return err;
        if (!d->inode) {
            if (flags & WALK_CREATE) {
                *out = d;
                return 0;
            }
            dentry_put(d);
            return -ENOENT;
        }
        if (!S_ISLNK(d->inode->mode) || !((flags & WALK_FOLLOW) || w->want_dir)) {
            d = mount_cross(d);
            break;
        }
        err = follow(w, d, flags);
        dentry_put(d);
        if (!err && !w->file)
            err = walk_on(w);
        if (err)
            return err;
    }
    if (w->want_dir && !S_ISDIR(d->inode->mode)) {
        dentry_put(d);
        return -ENOTDIR;
    }
    *out = d;
    return 0;
}

void walk_end(struct walk *w)
{
    dentry_put(w->dir);
    kfree(w->owned);
    while (w->depth > 0)
        kfree(w->stack[--w->depth].owned);
    if (w->file)
        file_unref(w->file);
}

int path_lookup_locked(struct fs_context *c, struct file *dir, const char *path, unsigned flags,
                       struct dentry **out)
{
    struct walk w;
    mutex_lock(&fs_lock);
    int err = walk_start(&w, c, dir, path, flags);
    if (!err)
        err = walk_last(&w, flags, out);
    walk_end(&w);
    if (err)
        mutex_unlock(&fs_lock);
    return err;
}

// --- current and root directory ---

int vfs_chdir(struct fs_context *c, struct file *dir, const char *path)
{
    struct dentry *d;
    int err =
        path_lookup_locked(c, dir, path ? path : "", WALK_FOLLOW | (path ? 0 : WALK_EMPTY), &d);
    if (err)
        return err;
    if (S_ISDIR(d->inode->mode)) {
        dentry_put(c->cwd);
        c->cwd = d;
    } else {
        dentry_put(d);
        err = -ENOTDIR;
    }
    mutex_unlock(&fs_lock);
    return err;
}

int vfs_chroot(struct fs_context *c, const char *path)
{
    struct dentry *d;
    int err = path_lookup_locked(c, NULL, path, WALK_FOLLOW, &d);
    if (err)
        return err;
    if (S_ISDIR(d->inode->mode)) {
        dentry_put(c->root);
        c->root = d;
    } else {
        dentry_put(d);
        err = -ENOTDIR;
    }
    mutex_unlock(&fs_lock);
    return err;
}

ssize_t_k vfs_getcwd(struct fs_context *c, char *buf, size_t size)
{
    mutex_lock(&fs_lock);
    ssize_t_k n = c->cwd->flags & D_DELETED ? -ENOENT : dentry_path(c->cwd, c->root, buf, size);
    mutex_unlock(&fs_lock);
    return n == -ENAMETOOLONG ? -ERANGE : n < 0 ? n : n + 1;
}

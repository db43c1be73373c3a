// SPDX-License-Identifier: ISC
// The file system in memory, alone (tmpfs) or merged with an image below (the writable root). An
// in-memory directory's entries are dentries (D_UPPER). Over an image, what is not among them is
// looked up in the image's directory; a D_UPPER dentry without inode hides the image's entry
// ("whiteout"). Inodes of the image are found by their number, and stay (I_PINNED) once they differ
// from it: there is no copying up of files or directories, so hard links, inode numbers and renames
// of image directories just work. File data: tmpfs_file.c.
#include "fs/vfs.h"

bool tmpfs_charge(struct super *sb, uint64_t bytes)
{
    uint64_t used = __atomic_add_fetch(&sb->bytes_used, bytes, __ATOMIC_RELAXED);
    if (used <= sb->bytes_max)
        return true;
    tmpfs_uncharge(sb, bytes);
    return false;
}

void tmpfs_uncharge(struct super *sb, uint64_t bytes)
{
    __atomic_sub_fetch(&sb->bytes_used, bytes, __ATOMIC_RELAXED);
}

#define NODE_COST (sizeof(struct inode) + sizeof(struct dentry))

static const struct inode_ops *ops_for(unsigned mode)
{
    switch (mode & S_IFMT) {
    case S_IFDIR:
        return &tmpfs_dir_ops;
    case S_IFREG:
        return &tmpfs_reg_ops;
    case S_IFLNK:
        return &tmpfs_symlink_ops;
    default:
        return &tmpfs_special_ops;
    }
}

static struct inode *new_inode(struct super *sb, unsigned mode)
{
    struct inode *i = inode_alloc(sb, ops_for(mode), mode);
    if (!i)
        return NULL;
    if (S_ISREG(mode))
        i->object.ops = &tmpfs_object_ops;
    if (S_ISDIR(mode)) {
        list_init(&i->dir.entries);
        i->nlink = 2;
    }
    return i;
}

struct inode *tmpfs_new_inode(struct super *sb, unsigned mode, uint64_t rdev)
{
    if (!tmpfs_charge(sb, NODE_COST))
        return NULL;
    struct inode *i = new_inode(sb, mode);
    if (!i) {
        tmpfs_uncharge(sb, NODE_COST);
        return NULL;
    }
    i->ino = sb->next_ino++;
    i->rdev = rdev;
    i->atime = i->mtime = i->ctime = fs_now();
    return i;
}

// The inode of the image's number, from memory or from the image; referenced.
static int lower_inode(struct super *sb, uint64_t nid, struct inode **out)
{
    struct erofs_inode e;
    if ((*out = inode_cache_find(sb, nid)))
        return 0;
    int err = erofs_inode_read(sb->lower, nid, &e);
    if (err)
        return err;
    struct inode *i = new_inode(sb, e.mode);
    if (!i)
        return -ENOMEM;
    i->ino = nid + 1;
    i->rdev = e.rdev;
    i->nlink = MAX(e.nlink, 1u);
    i->uid = e.uid;
    i->gid = e.gid;
    i->atime = i->mtime = i->ctime = e.mtime_ns;
    i->size = e.data.size;
    if (S_ISREG(e.mode)) {
        i->reg.lower = e.data;
        i->reg.lower_len = e.data.size;
    } else if (S_ISDIR(e.mode)) {
        i->dir.lower = true;
        i->dir.lower_data = e.data;
    } else if (S_ISLNK(e.mode)) {
        i->symlink.lower = e.data;
    }
    inode_cache_insert(i, nid);
    *out = i;
    return 0;
}

void tmpfs_pin(struct inode *i)
{
    if ((i->flags & (I_LOWER | I_PINNED)) == I_LOWER && i->nlink > 0) {
        i->flags |= I_PINNED;
        inode_get(i);
    }
}

static int changed(struct inode *i)
{
    tmpfs_pin(i);
    return 0;
}

// One name less. Directories have two links of their own.
static void drop_link(struct inode *i)
{
    i->nlink = S_ISDIR(i->mode) ? 0 : i->nlink - 1;
    i->ctime = fs_now();
    if (i->nlink == 0 && (i->flags & I_PINNED)) {
        i->flags &= ~I_PINNED;
        inode_put(i); // not the last one: the caller's dentry has one
    } else {
        tmpfs_pin(i);
    }
}

// --- directories ---

static bool lower_has(struct inode *dir, const char *name, size_t len)
{
    uint64_t nid;
    return dir->dir.lower &&
           erofs_lookup(dir->sb->lower, &dir->dir.lower_data, name, len, &nid) == 0;
}

static int tmpfs_lookup(struct dentry *dir, const char *name, size_t len, struct inode **out)
{
    uint64_t nid;
    struct inode *i = dir->inode;
    // The entries in memory are dentries in the hash table: they were found there already.
    if (!i->dir.lower)
        return -ENOENT;
    int err = erofs_lookup(i->sb->lower, &i->dir.lower_data, name, len, &nid);
    return err ? err : lower_inode(i->sb, nid, out);
}

// Makes d an entry of its directory, in memory.
static void attach(struct dentry *d)
{
    struct inode *dir = d->parent->inode;
    ASSERT(!(d->flags & (D_UPPER | D_DELETED)));
    d->flags |= D_UPPER;
    d->refs++;
    d->cookie = dir->dir.next_cookie++;
    list_add_tail(&d->link, &dir->dir.entries);
    if (!(d->flags & D_HASHED))
        dentry_hash_insert(d);
}

// The reverse; d keeps its parent. The caller has a reference.
static void detach(struct dentry *d)
{
    dentry_hash_remove(d);
    if (d->flags & D_UPPER) {
        list_del(&d->link);
        d->flags &= (uint8_t)~D_UPPER;
        d->refs--;
    }
}

static void touch_dir(struct inode *dir, int links)
{
    dir->mtime = dir->ctime = fs_now();
    dir->nlink += (uint32_t)links;
    tmpfs_pin(dir);
}

// A negative dentry for the place that a name leaves; NULL with *err 0 when the image has no such
// name.
static struct dentry *whiteout_for(struct dentry *d, int *err)
{
    struct super *sb = d->inode->sb;
    *err = 0;
    if (!lower_has(d->parent->inode, d->name, d->name_len))
        return NULL;
    struct dentry *w = NULL;
    if (tmpfs_charge(sb, sizeof(*w))) {
        w = dentry_alloc(d->parent, d->name, d->name_len);
        if (!w)
            tmpfs_uncharge(sb, sizeof(*w));
    }
    if (!w)
        *err = -ENOSPC;
    return w;
}

static void place_whiteout(struct dentry *w)
{
    if (w) {
        attach(w);
        dentry_put(w);
    }
}

// A whiteout that is about to become a name, or to go.
static void forget_whiteout(struct dentry *d)
{
    if (!d->inode && (d->flags & D_UPPER))
        tmpfs_uncharge(d->parent->inode->sb, sizeof(struct dentry));
}

static void become(struct dentry *d, struct inode *i)
{
    forget_whiteout(d);
    detach(d);
    d->inode = i;
    if (S_ISDIR(i->mode))
        i->dir.dentry = d;
    attach(d);
    touch_dir(d->parent->inode, S_ISDIR(i->mode) ? 1 : 0);
}

static int tmpfs_make(struct dentry *d, unsigned mode, uint64_t rdev, const char *target)
{
    struct super *sb = d->parent->inode->sb;
    if (d->parent->flags & D_DELETED)
        return -ENOENT;
    struct inode *i = tmpfs_new_inode(sb, mode, rdev);
    if (!i)
        return -ENOSPC;
    if (S_ISLNK(mode)) {
        i->symlink.target = kstrdup(target);
        if (!i->symlink.target) {
            inode_put(i);
            return -ENOMEM;
        }
        i->size = strlen(target);
    }
    const struct inode *dir = d->parent->inode;
    if (dir->mode & S_ISGID) {
        i->gid = dir->gid;
        if (S_ISDIR(mode))
            i->mode |= S_ISGID;
    }
    become(d, i);
    return 0;
}

static int tmpfs_link(struct dentry *d, struct inode *i)
{
    if (d->parent->flags & D_DELETED || i->nlink == 0)
        return -ENOENT;
    if (i->nlink >= 65000)
        return -EMLINK;
    if (!tmpfs_charge(i->sb, sizeof(struct dentry)))
        return -ENOSPC;
    i->nlink++;
    i->ctime = fs_now();
    tmpfs_pin(i);
    become(d, inode_get(i));
    return 0;
}

static bool dir_is_empty(struct dentry *d)
{
    struct inode *i = d->inode;
    list_for_each (p, &i->dir.entries) {
        if (list_entry(p, struct dentry, link)->inode)
            return false;
    }
    uint64_t pos = 0;
    struct erofs_entry e;
    while (i->dir.lower && erofs_next(i->sb->lower, &i->dir.lower_data, &pos, &e) == 1) {
        if ((e.len == 1 && e.name[0] == '.') ||
            (e.len == 2 && e.name[0] == '.' && e.name[1] == '.'))
            continue;
        struct dentry *hidden = dentry_find(d, e.name, e.len);
        bool gone = hidden && !hidden->inode;
        if (hidden)
            dentry_put(hidden);
        if (!gone)
            return false;
    }
    return true;
}

// The whiteouts of an empty directory that goes.
static void drop_whiteouts(struct dentry *dir)
{
    list_for_each_safe (p, &dir->inode->dir.entries) {
        struct dentry *w = list_entry(p, struct dentry, link);
        forget_whiteout(w);
        dentry_get(w);
        detach(w);
        dentry_put(w);
    }
}

// The name d goes out of existence; its inode loses a link. Cannot fail.
static void unname(struct dentry *d)
{
    struct inode *i = d->inode;
    bool is_dir = S_ISDIR(i->mode);
    if (is_dir)
        drop_whiteouts(d);
    // A new file has paid for one name; of an image's file, the names in memory have been paid for.
    if (i->flags & I_LOWER ? d->flags & D_UPPER : !is_dir && i->nlink > 1)
        tmpfs_uncharge(i->sb, sizeof(struct dentry));
    detach(d);
    dentry_mark_deleted(d);
    touch_dir(d->parent->inode, is_dir ? -1 : 0);
    drop_link(i);
}

static int tmpfs_remove(struct dentry *d)
{
    int err;
    if (S_ISDIR(d->inode->mode) && !dir_is_empty(d))
        return -ENOTEMPTY;
    struct dentry *w = whiteout_for(d, &err);
    if (err)
        return err;
    unname(d);
    place_whiteout(w);
    return 0;
}

// Memory for the name of `len` bytes that d will get, and for d as an entry in memory.
static int prepare_move(struct dentry *d, size_t len, char **room)
{
    *room = NULL;
    if (!(d->flags & D_UPPER) && !tmpfs_charge(d->inode->sb, sizeof(*d)))
        return -ENOSPC;
    if (len >= FS_INLINE_NAME && !(*room = kmalloc(len + 1))) {
        if (!(d->flags & D_UPPER))
            tmpfs_uncharge(d->inode->sb, sizeof(*d));
        return -ENOMEM;
    }
    return 0;
}

static void cancel_move(struct dentry *d, char *room)
{
    kfree(room);
    if (!(d->flags & D_UPPER))
        tmpfs_uncharge(d->inode->sb, sizeof(*d));
}

// Puts d (detached) under the name in dir.
static void move_to(struct dentry *d, struct dentry *dir, char *room, const char *name, size_t len)
{
    struct dentry *old_parent = d->parent;
    d->parent = dentry_get(dir);
    dentry_set_name(d, room, name, len); // cannot fail: room was made
    dentry_put(old_parent);
    attach(d);
}

static int tmpfs_exchange(struct dentry *a, struct dentry *b)
{
    char *room_a, *room_b, *name_a;
    struct dentry *dir_a = dentry_get(a->parent), *dir_b = dentry_get(b->parent);
    size_t len_a = a->name_len;
    int err = prepare_move(a, b->name_len, &room_a);
    if (!err && (err = prepare_move(b, len_a, &room_b)))
        cancel_move(a, room_a);
    if (!err && !(name_a = kstrdup(a->name))) {
        cancel_move(a, room_a);
        cancel_move(b, room_b);
        err = -ENOMEM;
    }
    if (!err) {
        int dirs = (S_ISDIR(b->inode->mode) ? 1 : 0) - (S_ISDIR(a->inode->mode) ? 1 : 0);
        detach(a);
        detach(b);
        move_to(a, dir_b, room_a, b->name, b->name_len);
        move_to(b, dir_a, room_b, name_a, len_a);
        touch_dir(dir_a->inode, dirs);
        touch_dir(dir_b->inode, -dirs);
        kfree(name_a);
    }
    dentry_put(dir_a);
    dentry_put(dir_b);
    return err;
}

static int tmpfs_rename(struct dentry *d, struct dentry *victim, bool exchange)
{
    char *room;
    int err;
    if (victim->parent->flags & D_DELETED)
        return -ENOENT;
    if (exchange)
        return tmpfs_exchange(d, victim);
    if (victim->inode && S_ISDIR(victim->inode->mode) && !dir_is_empty(victim))
        return -ENOTEMPTY;
    if ((err = prepare_move(d, victim->name_len, &room)))
        return err;
    struct dentry *w = whiteout_for(d, &err);
    if (err) {
        cancel_move(d, room);
        return err;
    }
    // From here on nothing fails. The name that is overwritten stays hidden: d takes its place.
    struct dentry *old_dir = dentry_get(d->parent), *new_dir = dentry_get(victim->parent);
    if (victim->inode) {
        unname(victim);
    } else {
        forget_whiteout(victim);
        detach(victim);
    }
    detach(d);
    move_to(d, new_dir, room, victim->name, victim->name_len);
    place_whiteout(w);
    int dirs = S_ISDIR(d->inode->mode) ? 1 : 0;
    touch_dir(old_dir->inode, -dirs);
    touch_dir(new_dir->inode, dirs);
    d->inode->ctime = fs_now();
    tmpfs_pin(d->inode);
    dentry_put(old_dir);
    dentry_put(new_dir);
    return 0;
}

// Positions: 2 + byte offset in the image's directory, then UPPER + cookie of entries in memory.
#define UPPER (1ull << 48)

static int tmpfs_readdir(struct dentry *dir, uint64_t pos, struct dir_batch *b)
{
    struct inode *i = dir->inode;
    if (pos < UPPER && i->dir.lower) {
        uint64_t at = pos - 2;
        struct erofs_entry e;
        int r;
        while ((r = erofs_next(i->sb->lower, &i->dir.lower_data, &at, &e)) == 1) {
            if ((e.len == 1 && e.name[0] == '.') ||
                (e.len == 2 && e.name[0] == '.' && e.name[1] == '.'))
                continue;
            struct dentry *known = dentry_find(dir, e.name, e.len);
            bool hidden = known && (known->flags & D_UPPER);
            if (known)
                dentry_put(known);
            if (!hidden && !dir_batch_add(b, e.name, e.len, e.nid + 1, e.type, 2 + at))
                return 0;
        }
        if (r < 0)
            return r;
    }
    uint64_t from = pos < UPPER ? 0 : pos - UPPER;
    list_for_each (p, &i->dir.entries) {
        struct dentry *d = list_entry(p, struct dentry, link);
        if (d->cookie >= from && d->inode &&
            !dir_batch_add(b, d->name, d->name_len, d->inode->ino, mode_type(d->inode->mode),
                           UPPER + d->cookie + 1))
            return 0;
    }
    return 0;
}

static void dir_free(struct inode *i)
{
    ASSERT(list_empty(&i->dir.entries));
    if (!(i->flags & I_LOWER))
        tmpfs_uncharge(i->sb, NODE_COST);
}

const struct inode_ops tmpfs_dir_ops = {
    .lookup = tmpfs_lookup,
    .readdir = tmpfs_readdir,
    .make = tmpfs_make,
    .link = tmpfs_link,
    .remove = tmpfs_remove,
    .rename = tmpfs_rename,
    .changed = changed,
    .free = dir_free,
};

// --- symbolic links, devices, sockets, fifos ---

static ssize_t_k tmpfs_readlink(struct inode *i, char *buf, size_t size)
{
    size_t n = MIN(size, i->size);
    if (!i->symlink.target)
        return erofs_read(i->sb->lower, &i->symlink.lower, 0, buf, n);
    memcpy(buf, i->symlink.target, n);
    return (ssize_t_k)n;
}

static void symlink_free(struct inode *i)
{
    kfree(i->symlink.target);
    if (!(i->flags & I_LOWER))
        tmpfs_uncharge(i->sb, NODE_COST);
}

const struct inode_ops tmpfs_symlink_ops = {
    .readlink = tmpfs_readlink, .changed = changed, .free = symlink_free};

static void special_free(struct inode *i)
{
    if (S_ISFIFO(i->mode))
        fifo_free(i);
    if (S_ISSOCK(i->mode))
        socket_node_free(i);
    if (!(i->flags & I_LOWER))
        tmpfs_uncharge(i->sb, NODE_COST);
}

const struct inode_ops tmpfs_special_ops = {.changed = changed, .free = special_free};

static void reg_free(struct inode *i)
{
    tmpfs_reg_free(i);
    if (!(i->flags & I_LOWER))
        tmpfs_uncharge(i->sb, NODE_COST);
}

static int reg_open(struct inode *i, struct file *f)
{
    (void)i;
    f->ops = &tmpfs_file_ops;
    return 0;
}

const struct inode_ops tmpfs_reg_ops = {
    .changed = changed,
    .truncate = tmpfs_truncate,
    .fallocate = tmpfs_fallocate,
    .open = reg_open,
    .free = reg_free,
    .blocks = tmpfs_blocks,
};

int tmpfs_create(uint64_t bytes_max, const struct erofs *lower, uint64_t lower_pa, unsigned mode,
                 struct super **out)
{
    struct super *sb = kzalloc(sizeof(*sb));
    if (!sb)
        return -ENOMEM;
    sb->type = lower ? "overlay" : "tmpfs";
    sb->magic = lower ? 0x794c7630 : 0x01021994;
    sb->bytes_max = bytes_max;
    sb->lower = lower;
    sb->lower_pa = lower_pa;
    sb->next_ino = lower ? lower->len / 32 + 2 : 1;
    struct inode *root = NULL;
    int err = lower ? lower_inode(sb, lower->root_nid, &root) : 0;
    if (!err && !root && !(root = tmpfs_new_inode(sb, S_IFDIR | mode, 0)))
        err = -ENOMEM;
    if (!err && !(sb->root = dentry_alloc(NULL, "", 0))) {
        inode_put(root);
        err = -ENOMEM;
    }
    if (err) {
        kfree(sb);
        return err;
    }
    sb->root->inode = root;
    sb->root->flags = D_ROOT;
    root->dir.dentry = sb->root;
    *out = sb;
    return 0;
}

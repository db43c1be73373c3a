// SPDX-License-Identifier: ISC
// What inodes tell and how it changes: stat, access, chmod, chown, times, sizes, statfs.
#include "fs/vfs.h"

static void fill_stat(struct inode *i, struct stat *out)
{
    *out = (struct stat){
        .st_dev = i->sb->dev,
        .st_ino = i->ino,
        .st_mode = i->mode,
        .st_nlink = i->nlink,
        .st_uid = i->uid,
        .st_gid = i->gid,
        .st_rdev = i->rdev,
        .st_size = (long)i->size,
        .st_blksize = PAGE_SIZE,
        .st_blocks = (long)(i->ops->blocks ? i->ops->blocks(i) : 0),
        .st_atime = i->atime / NSEC_PER_SEC,
        .st_atime_nsec = i->atime % NSEC_PER_SEC,
        .st_mtime = i->mtime / NSEC_PER_SEC,
        .st_mtime_nsec = i->mtime % NSEC_PER_SEC,
        .st_ctime = i->ctime / NSEC_PER_SEC,
        .st_ctime_nsec = i->ctime % NSEC_PER_SEC,
    };
}

int vfs_fstat(struct file *f, struct stat *out)
{
    if (!f->inode) {
        *out = (struct stat){.st_dev = 0xf,
                             .st_ino = f->id,
                             .st_mode = f->ops->mode ? f->ops->mode : 0600,
                             .st_nlink = 1,
                             .st_blksize = PAGE_SIZE};
        return 0;
    }
    mutex_lock(&fs_lock);
    fill_stat(f->inode, out);
    mutex_unlock(&fs_lock);
    return 0;
}

int vfs_stat(struct fs_context *c, struct file *dir, const char *path, int at_flags,
             struct stat *out)
{
    struct walk w;
    struct dentry *d;
    unsigned how = WALK_FILE | (at_flags & AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW) |
                   (at_flags & AT_EMPTY_PATH ? WALK_EMPTY : 0);
    struct file *f = NULL;
    mutex_lock(&fs_lock);
    int err = walk_start(&w, c, dir, path, how);
    if (!err)
        err = walk_last(&w, how, &d);
    if (!err && d) {
        fill_stat(d->inode, out);
        dentry_put(d);
    } else if (!err) {
        f = w.file;
        w.file = NULL;
    }
    walk_end(&w);
    mutex_unlock(&fs_lock);
    if (f) {
        err = vfs_fstat(f, out);
        file_unref(f);
    }
    return err;
}

// Everybody is the superuser: only execution of what nobody may execute is refused (access(2)).
int vfs_access(struct fs_context *c, struct file *dir, const char *path, int mode, int at_flags)
{
    struct stat st;
    if (mode & ~7)
        return -EINVAL;
    int err = vfs_stat(c, dir, path, at_flags, &st);
    if (!err && (mode & 1) && !S_ISDIR(st.st_mode) && !(st.st_mode & 0111))
        err = -EACCES;
    return err;
}

static int lookup_for_change(struct fs_context *c, struct file *dir, const char *path, int at_flags,
                             struct dentry **d)
{
    unsigned how = (at_flags & AT_SYMLINK_NOFOLLOW ? 0 : WALK_FOLLOW) |
                   (at_flags & AT_EMPTY_PATH ? WALK_EMPTY : 0);
    int err = path_lookup_locked(c, dir, path, how, d);
    if (err)
        return err;
    err = (*d)->inode->ops->changed ? (*d)->inode->ops->changed((*d)->inode) : -EPERM;
    if (err) {
        dentry_put(*d);
        mutex_unlock(&fs_lock);
    }
    return err;
}

static void change_done(struct dentry *d)
{
    d->inode->ctime = fs_now();
    dentry_put(d);
    mutex_unlock(&fs_lock);
}

int vfs_chmod(struct fs_context *c, struct file *dir, const char *path, unsigned mode, int at_flags)
{
    struct dentry *d;
    int err = lookup_for_change(c, dir, path, at_flags, &d);
    if (err)
        return err;
    if (S_ISLNK(d->inode->mode))
        err = -EOPNOTSUPP;
    else
        d->inode->mode = (d->inode->mode & S_IFMT) | (mode & 07777);
    change_done(d);
    return err;
}

int vfs_chown(struct fs_context *c, struct file *dir, const char *path, uint32_t uid, uint32_t gid,
              int at_flags)
{
    struct dentry *d;
    int err = lookup_for_change(c, dir, path, at_flags, &d);
    if (err)
        return err;
    if (uid != UINT32_MAX)
        d->inode->uid = uid;
    if (gid != UINT32_MAX)
        d->inode->gid = gid;
    change_done(d);
    return 0;
}

int vfs_utimes(struct fs_context *c, struct file *dir, const char *path, uint64_t atime,
               uint64_t mtime, int at_flags)
{
    struct dentry *d;
    int err = lookup_for_change(c, dir, path, at_flags, &d);
    if (err)
        return err;
    if (atime != UINT64_MAX)
        d->inode->atime = atime;
    if (mtime != UINT64_MAX)
        d->inode->mtime = mtime;
    change_done(d);
    return 0;
}

static int truncate_inode(struct inode *i, uint64_t len)
{
    if (len > INT64_MAX)
        return -EINVAL;
    if (S_ISDIR(i->mode))
        return -EISDIR;
    if (i->sb->read_only)
        return -EROFS;
    return S_ISREG(i->mode) && i->ops->truncate ? i->ops->truncate(i, len) : -EINVAL;
}

int vfs_truncate(struct fs_context *c, const char *path, uint64_t len)
{
    struct dentry *d;
    int err = path_lookup_locked(c, NULL, path, WALK_FOLLOW, &d);
    if (err)
        return err;
    struct inode *i = inode_get(d->inode);
    dentry_put(d);
    mutex_unlock(&fs_lock);
    err = truncate_inode(i, len);
    inode_unref(i);
    return err;
}

int vfs_ftruncate(struct file *f, uint64_t len)
{
    if (f->flags & O_PATH)
        return -EBADF;
    if (!f->inode || (f->flags & O_ACCMODE) == O_RDONLY)
        return -EINVAL;
    int err = truncate_inode(f->inode, len);
    return err == -EISDIR ? -EINVAL : err;
}

int vfs_fallocate(struct file *f, int mode, uint64_t off, uint64_t len)
{
    if ((f->flags & O_PATH) || (f->flags & O_ACCMODE) == O_RDONLY)
        return -EBADF;
    if (len == 0 || off > INT64_MAX || len > INT64_MAX)
        return -EINVAL;
    if (off + len > INT64_MAX)
        return -EFBIG;
    if (!f->inode || S_ISFIFO(f->inode->mode))
        return -ESPIPE;
    if (S_ISDIR(f->inode->mode))
        return -EISDIR;
    if (!S_ISREG(f->inode->mode))
        return -ENODEV;
    if (!f->inode->ops->fallocate)
        return -EOPNOTSUPP;
    return f->inode->ops->fallocate(f->inode, mode, off, len);
}

int vfs_statfs(struct fs_context *c, struct file *dir, const char *path, struct statfs *out)
{
    struct dentry *d;
    if (!path && dir && !dir->dentry) {
        *out = (struct statfs){.f_type = 0x50495045, .f_bsize = PAGE_SIZE, .f_namelen = 255};
        return 0;
    }
    int err =
        path_lookup_locked(c, dir, path ? path : "", WALK_FOLLOW | (path ? 0 : WALK_EMPTY), &d);
    if (err)
        return err;
    const struct super *sb = d->inode->sb;
    struct mm_stats mm;
    mm_stats(&mm);
    uint64_t left = (sb->bytes_max - sb->bytes_used) / PAGE_SIZE;
    *out = (struct statfs){
        .f_type = sb->magic,
        .f_bsize = PAGE_SIZE,
        .f_frsize = PAGE_SIZE,
        .f_blocks = (long)(sb->bytes_max / PAGE_SIZE),
        .f_bfree = (long)MIN(left, mm.free_pages),
        .f_bavail = (long)MIN(left, mm.free_pages),
        .f_namelen = FS_NAME_MAX,
        .f_flags = 0x20 | (sb->read_only ? 1 : 0), // ST_VALID, ST_RDONLY
    };
    out->f_fsid.val[0] = (int)sb->dev;
    if (sb->bytes_max)
        out->f_files = out->f_ffree = (long)(sb->bytes_max / 1024);
    dentry_put(d);
    mutex_unlock(&fs_lock);
    return 0;
}

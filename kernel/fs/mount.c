// SPDX-License-Identifier: ISC
// Mounted file systems: each is mounted at one place, so a place in the tree is just a dentry.
// Crossing down goes from the covered dentry to the root of the mounted file system, `..` at such a
// root goes back up.
#include "fs/vfs.h"

struct super *fs_mounts[FS_MOUNTS_MAX];
unsigned fs_mount_count;

int super_mount(struct super *sb, struct dentry *at)
{
    if (fs_mount_count == FS_MOUNTS_MAX)
        return -ENOSPC;
    if (at) {
        if (!at->inode || !S_ISDIR(at->inode->mode))
            return -ENOTDIR;
        if (at->flags & (D_MOUNTED | D_DELETED))
            return -EBUSY;
        sb->covered = dentry_get(at);
        at->flags |= D_MOUNTED;
    }
    sb->dev = 0x10 + fs_mount_count; // major 0, as Linux's nameless devices
    fs_mounts[fs_mount_count++] = sb;
    return 0;
}

struct dentry *mount_cross(struct dentry *d)
{
    while (d->flags & D_MOUNTED) {
        unsigned i = 0;
        while (fs_mounts[i]->covered != d)
            i++;
        struct dentry *root = dentry_get(fs_mounts[i]->root);
        dentry_put(d);
        d = root;
    }
    return d;
}

// Written from the end of buf backwards, then moved to its start. Length, or -ENAMETOOLONG.
ssize_t_k dentry_path(const struct dentry *d, const struct dentry *root, char *buf, size_t size)
{
    static const char gone[] = " (deleted)";
    size_t at = size;
    if (size < 2)
        return -ENAMETOOLONG;
    buf[--at] = 0;
    if (d->flags & D_DELETED) {
        if (at < sizeof(gone))
            return -ENAMETOOLONG;
        at -= sizeof(gone) - 1;
        memcpy(buf + at, gone, sizeof(gone) - 1);
    }
    bool any = false;
    while (d != root) {
        if (d->parent == d) {
            if (!d->inode->sb->covered)
                break; // outside of root
            d = d->inode->sb->covered;
            continue;
        }
        if (at < (size_t)d->name_len + 1)
            return -ENAMETOOLONG;
        at -= d->name_len;
        memcpy(buf + at, d->name, d->name_len);
        buf[--at] = '/';
        any = true;
        d = d->parent;
    }
    if (!any) {
        if (at == 0)
            return -ENAMETOOLONG;
        buf[--at] = '/';
    }
    memmove(buf, buf + at, size - at);
    return (ssize_t_k)(size - at - 1);
}

// SPDX-License-Identifier: ISC
// Directories: reading, making, removing, renaming and linking names; the current directory and
// root.
#include <linux/fs.h>
#include <linux/stat.h>
#include "linux/fileio.h"

// --- reading ---

struct linux_dirent64 {
    uint64_t d_ino;
    int64_t d_off;
    uint16_t d_reclen;
    uint8_t d_type;
    char d_name[];
} __attribute__((packed));

struct linux_dirent { // the old call's: the type is the record's last byte
    uint64_t d_ino;
    uint64_t d_off;
    uint16_t d_reclen;
    char d_name[];
} __attribute__((packed));

struct dirent_writer {
    char *user;  // where the next record goes
    size_t left; // bytes left there
    bool old;    // struct linux_dirent
    int err;     // why the last record did not go
};

static bool emit_dirent(void *ctx, const char *name, size_t len, uint64_t ino, unsigned type,
                        uint64_t next_pos)
{
    struct dirent_writer *w = ctx;
    union {
        struct linux_dirent64 d64;
        struct linux_dirent d;
        char bytes[sizeof(struct linux_dirent64) + NAME_MAX + 16];
    } rec;
    size_t head = w->old ? sizeof(struct linux_dirent) : sizeof(struct linux_dirent64);
    size_t size = ALIGN_UP(head + len + (w->old ? 2 : 1), 8);
    w->err = -EINVAL; // what an empty buffer that is too small for one record gives
    if (len > NAME_MAX || size > w->left)
        return false;
    memset(rec.bytes + head + len, 0, size - head - len);
    memcpy(rec.bytes + head, name, len);
    if (w->old) {
        rec.d.d_ino = ino;
        rec.d.d_off = next_pos;
        rec.d.d_reclen = (uint16_t)size;
        rec.bytes[size - 1] = (char)type;
    } else {
        rec.d64.d_ino = ino;
        rec.d64.d_off = (int64_t)next_pos;
        rec.d64.d_reclen = (uint16_t)size;
        rec.d64.d_type = (uint8_t)type;
    }
    if (copy_out(w->user, rec.bytes, size)) {
        w->err = -EFAULT;
        return false;
    }
    w->user += size;
    w->left -= size;
    w->err = 0;
    return true;
}

static long do_getdents(int fd, char *user, unsigned size, bool old)
{
    struct dirent_writer w = {.user = user, .left = size, .old = old};
    struct file *f = fget(fd);
    if (!f)
        return -EBADF;
    int err = f->ops->readdir ? file_readdir(f, emit_dirent, &w) : -ENOTDIR;
    file_unref(f);
    if (err < 0)
        return err;
    return w.left < size ? (long)(size - w.left) : w.err;
}

SYSCALL(217, getdents64, int fd, char *buf, unsigned size)
{
    return do_getdents(fd, buf, size, false);
}

SYSCALL(78, getdents, int fd, char *buf, unsigned size)
{
    return do_getdents(fd, buf, size, true);
}

// --- making and removing ---

static long mkdir_at(int dfd, const char *path, unsigned mode)
{
    struct process *p = current_process();
    struct path_at pa;
    int err = path_at_get(&pa, dfd, path, 0);
    if (err)
        return err;
    err = vfs_mkdir(p->fs, pa.dir, pa.path, mode & 01777 & ~p->umask);
    path_at_put(&pa);
    return err;
}

SYSCALL(83, mkdir, const char *path, unsigned mode)
{
    return mkdir_at(AT_FDCWD, path, mode);
}

SYSCALL(258, mkdirat, int dfd, const char *path, unsigned mode)
{
    return mkdir_at(dfd, path, mode);
}

static long mknod_at(int dfd, const char *path, unsigned mode, unsigned dev)
{
    struct process *p = current_process();
    struct path_at pa;
    int err = path_at_get(&pa, dfd, path, 0);
    if (err)
        return err;
    if (!(mode & S_IFMT))
        mode |= S_IFREG;
    err = vfs_mknod(p->fs, pa.dir, pa.path, mode & ~p->umask, dev);
    path_at_put(&pa);
    return err;
}

SYSCALL(133, mknod, const char *path, unsigned mode, unsigned dev)
{
    return mknod_at(AT_FDCWD, path, mode, dev);
}

SYSCALL(259, mknodat, int dfd, const char *path, unsigned mode, unsigned dev)
{
    return mknod_at(dfd, path, mode, dev);
}

static long unlink_at(int dfd, const char *path, int flags)
{
    struct path_at pa;
    if (flags & ~AT_REMOVEDIR)
        return -EINVAL;
    int err = path_at_get(&pa, dfd, path, 0);
    if (err)
        return err;
    err = vfs_unlink(current_process()->fs, pa.dir, pa.path, flags);
    path_at_put(&pa);
    return err;
}

SYSCALL(87, unlink, const char *path)
{
    return unlink_at(AT_FDCWD, path, 0);
}

SYSCALL(84, rmdir, const char *path)
{
    return unlink_at(AT_FDCWD, path, AT_REMOVEDIR);
}

SYSCALL(263, unlinkat, int dfd, const char *path, int flags)
{
    return unlink_at(dfd, path, flags);
}

// --- renaming and linking ---

static long rename_at(int odfd, const char *opath, int ndfd, const char *npath, unsigned flags)
{
    struct path_at o, n;
    if (flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT))
        return -EINVAL;
    if ((flags & RENAME_EXCHANGE) && (flags & (RENAME_NOREPLACE | RENAME_WHITEOUT)))
        return -EINVAL;
    int err = path_at_get(&o, odfd, opath, 0);
    if (err)
        return err;
    err = path_at_get(&n, ndfd, npath, 0);
    if (!err) {
        err = vfs_rename(current_process()->fs, o.dir, o.path, n.dir, n.path, flags);
        path_at_put(&n);
    }
    path_at_put(&o);
    return err;
}

SYSCALL(82, rename, const char *opath, const char *npath)
{
    return rename_at(AT_FDCWD, opath, AT_FDCWD, npath, 0);
}

SYSCALL(264, renameat, int odfd, const char *opath, int ndfd, const char *npath)
{
    return rename_at(odfd, opath, ndfd, npath, 0);
}

SYSCALL(316, renameat2, int odfd, const char *opath, int ndfd, const char *npath, unsigned flags)
{
    return rename_at(odfd, opath, ndfd, npath, flags);
}

static long link_at(int odfd, const char *opath, int ndfd, const char *npath, int flags)
{
    struct path_at o, n;
    if (flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH))
        return -EINVAL;
    int err = path_at_get(&o, odfd, opath, flags & AT_EMPTY_PATH);
    if (err)
        return err;
    err = path_at_get(&n, ndfd, npath, 0);
    if (!err) {
        err = vfs_link(current_process()->fs, o.dir, o.path, n.dir, n.path, flags);
        path_at_put(&n);
    }
    path_at_put(&o);
    return err;
}

SYSCALL(86, link, const char *opath, const char *npath)
{
    return link_at(AT_FDCWD, opath, AT_FDCWD, npath, 0);
}

SYSCALL(265, linkat, int odfd, const char *opath, int ndfd, const char *npath, int flags)
{
    return link_at(odfd, opath, ndfd, npath, flags);
}

static long symlink_at(const char *user_target, int dfd, const char *path)
{
    struct path_at pa;
    int err;
    char *target = path_in(user_target, &err);
    if (!target)
        return err;
    err = target[0] ? path_at_get(&pa, dfd, path, 0) : -ENOENT;
    if (!err) {
        err = vfs_symlink(current_process()->fs, target, pa.dir, pa.path);
        path_at_put(&pa);
    }
    kfree(target);
    return err;
}

SYSCALL(88, symlink, const char *target, const char *path)
{
    return symlink_at(target, AT_FDCWD, path);
}

SYSCALL(266, symlinkat, const char *target, int dfd, const char *path)
{
    return symlink_at(target, dfd, path);
}

// --- current directory and root ---

SYSCALL(79, getcwd, char *user, size_t size)
{
    char *buf = kmalloc(PATH_MAX);
    if (!buf)
        return -ENOMEM;
    ssize_t_k n = vfs_getcwd(current_process()->fs, buf, PATH_MAX);
    if (n > 0 && (size_t)n > size)
        n = -ERANGE;
    if (n > 0 && copy_out(user, buf, (size_t)n))
        n = -EFAULT;
    kfree(buf);
    return n;
}

static long with_path(int (*fn)(struct fs_context *, const char *), const char *user_path)
{
    struct path_at pa;
    int err = path_at_get(&pa, AT_FDCWD, user_path, 0);
    if (err)
        return err;
    err = fn(current_process()->fs, pa.path);
    path_at_put(&pa);
    return err;
}

static int change_dir(struct fs_context *c, const char *path)
{
    return vfs_chdir(c, NULL, path);
}

SYSCALL(80, chdir, const char *path)
{
    return with_path(change_dir, path);
}

SYSCALL(161, chroot, const char *path)
{
    return with_path(vfs_chroot, path);
}

SYSCALL(81, fchdir, int fd)
{
    struct file *f = fget(fd);
    if (!f)
        return -EBADF;
    int err = vfs_chdir(current_process()->fs, f, NULL);
    file_unref(f);
    return err;
}

// The mounts of an instance are its image's: programs may not change them.
SYSCALL(165, mount)
{
    return -EPERM;
}

SYSCALL(166, umount2)
{
    return -EPERM;
}

SYSCALL(155, pivot_root)
{
    return -EPERM;
}

// File handles need a file server's inode numbers to last: no file system here gives them.
SYSCALL(303, name_to_handle_at)
{
    return -EOPNOTSUPP;
}

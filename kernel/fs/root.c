// SPDX-License-Identifier: ISC
// The tree that a program finds at start: the image with the writable layer over it, /dev, /proc,
// /sys, directories that programs expect, and the files in /etc that the boot configuration knows
// better than the image.
#include "fs/vfs.h"

struct super *shm_super;
static struct erofs image;

int fs_mount_at(struct fs_context *c, const char *path, struct super *sb)
{
    struct dentry *d;
    int err = vfs_mkdir(c, NULL, path, 0755);
    if (err && err != -EEXIST)
        return err;
    err = path_lookup_locked(c, NULL, path, WALK_FOLLOW, &d);
    if (err)
        return err;
    err = super_mount(sb, d);
    dentry_put(d);
    mutex_unlock(&fs_lock);
    return err;
}

// Writes a file unless the image has one with something in it. Best effort: a strange image may
// lack /etc.
static void fill_file(struct fs_context *c, const char *path, const char *text)
{
    struct stat st;
    struct file *f;
    if (vfs_stat(c, NULL, path, 0, &st) == 0 && st.st_size > 0)
        return;
    if (vfs_open(c, NULL, path, O_WRONLY | O_CREAT | O_TRUNC, 0644, &f)) {
        log_debug("cannot write %s", path);
        return;
    }
    struct iov_iter it;
    uint64_t pos = 0;
    iov_init_kernel(&it, (char *)(uintptr_t)text, strlen(text));
    if (file_write(f, &it, &pos) < 0)
        log_warn("cannot write %s: no memory", path);
    file_unref(f);
}

static void fill_etc(struct fs_context *c)
{
    char text[512];
    const char *host = boot_config.hostname ? boot_config.hostname : "lith";
    vfs_mkdir(c, NULL, "/etc", 0755);
    lib_snprintf(text, sizeof(text), "%s\n", host);
    fill_file(c, "/etc/hostname", text);
    lib_snprintf(text, sizeof(text), "127.0.0.1\tlocalhost\n::1\tlocalhost\n127.0.1.1\t%s\n", host);
    fill_file(c, "/etc/hosts", text);
    size_t n = 0;
    text[0] = 0;
    for (unsigned i = 0; i < boot_config.dns_count && n < sizeof(text); i++)
        n +=
            (size_t)lib_snprintf(text + n, sizeof(text) - n, "nameserver %s\n", boot_config.dns[i]);
    if (n)
        fill_file(c, "/etc/resolv.conf", text);
}

static int mount_image(struct super **out)
{
    const char *why = "";
    uint64_t half = plat_info.ram_total / 2;
    if (!plat_info.root_len)
        return tmpfs_create(half, NULL, 0, 0755, out);
    if (!IS_ALIGNED(plat_info.root_pa, PAGE_SIZE)) {
        log_error("root file system: its address %lx is not page-aligned",
                  (unsigned long)plat_info.root_pa);
        return -EINVAL;
    }
    int err = erofs_open(&image, pa_to_va(plat_info.root_pa), plat_info.root_len, &why);
    if (err) {
        log_error("root file system refused: %s", why);
        return err;
    }
    return tmpfs_create(half, &image, plat_info.root_pa, 0755, out);
}

static const struct fs_names names = {
    .context_create = fs_context_create,
    .chdir = vfs_chdir,
    .put = file_put_named,
    .closed_by = file_closed_named,
    .bind_socket = vfs_bind_socket,
    .unbind_socket = vfs_unbind_socket,
    .find_socket = vfs_find_socket,
};

static int mount_all(void)
{
    static const struct {
        const char *path;
        unsigned mode;
    } dirs[] = {{"/tmp", 01777}, {"/run", 0755}, {"/var", 0755}, {"/var/tmp", 01777}};
    struct super *root;
    int err = dcache_init(plat_info.ram_total);
    if (err || (err = mount_image(&root)) ||
        (err = tmpfs_create(plat_info.ram_total / 2, NULL, 0, 0700, &shm_super)))
        return err;
    mutex_lock(&fs_lock);
    err = super_mount(root, NULL);
    mutex_unlock(&fs_lock);
    if (err)
        return err;
    struct fs_context *c = fs_context_create();
    if (!c)
        return -ENOMEM;
    for (unsigned i = 0; i < ARRAY_LEN(dirs); i++)
        vfs_mkdir(c, NULL, dirs[i].path, dirs[i].mode); // most images have them
    err = devfs_mount(c);
    if (!err)
        err = procfs_mount(c);
    if (!err)
        err = sysfs_mount(c);
    if (!err)
        fill_etc(c);
    fs_context_unref(c);
    return err;
}

int fs_mount_root(void)
{
    fs_names = &names;
    int err = mount_all();
    if (err)
        log_error(
            "the root file system cannot be mounted (error %d): give the machine an EROFS image "
            "as its module (QEMU: -initrd root.erofs)",
            -err);
    return err;
}

int vfs_memfd(const char *name, int flags, struct file **out)
{
    char full[FS_NAME_MAX + 1];
    int n = lib_snprintf(full, sizeof(full), "memfd:%s", name);
    (void)flags;
    if (n < 0 || (size_t)n >= sizeof(full))
        return -EINVAL;
    struct file *f = file_alloc(O_RDWR | O_LARGEFILE);
    if (!f)
        return -ENFILE;
    mutex_lock(&fs_lock);
    struct inode *i = tmpfs_new_inode(shm_super, S_IFREG | 0777, 0);
    struct dentry *d = i ? dentry_alloc(shm_super->root, full, (size_t)n) : NULL;
    if (d) {
        i->nlink = 0;
        d->flags |= D_DELETED;
        d->inode = inode_get(i);
        f->dentry = d;
        f->inode = i;
        f->ops = &tmpfs_file_ops;
    } else if (i) {
        inode_put(i);
    }
    mutex_unlock(&fs_lock);
    if (!d) {
        kfree(f);
        return -ENOMEM;
    }
    *out = f;
    return 0;
}

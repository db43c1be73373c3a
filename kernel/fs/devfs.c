// SPDX-License-Identifier: ISC
// /dev: a tmpfs with the nodes of the character devices that are registered here, links to
// /proc/self/fd, and /dev/shm. Opening a node of any file system finds the device by its numbers.
#include "fs/vfs.h"

struct device {
    struct device *next;
    const char *name;
    uint64_t rdev;
    const struct file_ops *ops;
    unsigned mode;
};
static struct device *devices;
static struct super *dev_super;

static int make_node(struct super *sb, const char *name, unsigned mode, uint64_t rdev,
                     const char *target)
{
    struct dentry *d;
    mutex_lock(&fs_lock);
    int err = dentry_lookup(sb->root, name, strlen(name), &d);
    if (!err) {
        err = d->inode ? -EEXIST : sb->root->inode->ops->make(d, mode, rdev, target);
        dentry_put(d);
    }
    mutex_unlock(&fs_lock);
    return err;
}

int devfs_add(const char *name, unsigned major, unsigned minor, const struct file_ops *ops,
              unsigned mode)
{
    struct device *dev = kzalloc(sizeof(*dev));
    if (!dev)
        return -ENOMEM;
    *dev = (struct device){devices, name, MKDEV(major, minor), ops, S_IFCHR | (mode & 0777)};
    devices = dev;
    return dev_super ? make_node(dev_super, name, dev->mode, dev->rdev, NULL) : 0;
}

int devfs_open(uint64_t rdev, struct file *f)
{
    for (const struct device *d = devices; d; d = d->next) {
        if (d->rdev == rdev) {
            f->ops = d->ops;
            return 0;
        }
    }
    return -ENXIO;
}

// --- the devices ---

static long any_seek(struct file *f, int64_t off, int whence)
{
    (void)off;
    (void)whence;
    return (long)(f->pos = 0); // as Linux's null_lseek
}

static long no_ioctl(struct file *f, unsigned cmd, unsigned long arg)
{
    (void)f;
    (void)cmd;
    (void)arg;
    return -ENOTTY;
}

static ssize_t_k null_read(struct file *f, struct iov_iter *to, uint64_t *pos)
{
    (void)f;
    (void)to;
    (void)pos;
    return 0;
}

static ssize_t_k null_write(struct file *f, struct iov_iter *from, uint64_t *pos)
{
    size_t n = from->left;
    (void)f;
    (void)pos;
    from->left = 0;
    return (ssize_t_k)n;
}

static ssize_t_k zero_read(struct file *f, struct iov_iter *to, uint64_t *pos)
{
    (void)f;
    (void)pos;
    return iov_zero(to, to->left);
}

static ssize_t_k full_write(struct file *f, struct iov_iter *from, uint64_t *pos)
{
    (void)f;
    (void)from;
    (void)pos;
    return -ENOSPC;
}

// A mapping of /dev/zero is a new file without a name, shared or private as asked.
static int zero_map(struct file *f, struct vm_object **out, int prot, int flags)
{
    (void)f;
    (void)prot;
    (void)flags;
    struct inode *i = tmpfs_new_inode(shm_super, S_IFREG | 0600, 0);
    if (!i)
        return -ENOMEM;
    i->nlink = 0;
    i->size = INT64_MAX - PAGE_SIZE;
    i->reg.mapped_as = kstrdup("/dev/zero");
    *out = &i->object;
    return 0;
}

static ssize_t_k random_read(struct file *f, struct iov_iter *to, uint64_t *pos)
{
    char block[256];
    size_t done = 0;
    (void)f;
    (void)pos;
    while (to->left) {
        size_t part = MIN(to->left, sizeof(block));
        random_bytes(block, part);
        ssize_t_k n = iov_copy_to(to, block, part);
        if (n < 0)
            return done ? (ssize_t_k)done : n;
        done += (size_t)n;
        if ((size_t)n < part)
            break;
    }
    memset(block, 0, sizeof(block));
    return (ssize_t_k)done;
}

static ssize_t_k random_write(struct file *f, struct iov_iter *from, uint64_t *pos)
{
    char block[256];
    size_t done = 0;
    (void)f;
    (void)pos;
    while (from->left) {
        ssize_t_k n = iov_copy_from(from, block, MIN(from->left, sizeof(block)));
        if (n < 0)
            return done ? (ssize_t_k)done : n;
        random_add_entropy(block, (size_t)n);
        done += (size_t)n;
    }
    return (ssize_t_k)done;
}

#define RNDGETENTCNT_   0x80045200u
#define RNDADDTOENTCNT_ 0x40045201u

static long random_ioctl(struct file *f, unsigned cmd, unsigned long arg)
{
    int bits = 256;
    (void)f;
    int *user = (int *)arg;
    if (cmd != RNDGETENTCNT_)
        return -EINVAL;
    return user_range_ok(user, sizeof(bits)) ? put_user(user, &bits) : -EFAULT;
}

static const struct file_ops null_ops = {.name = "/dev/null",
                                         .read = null_read,
                                         .write = null_write,
                                         .seek = any_seek,
                                         .ioctl = no_ioctl};
static const struct file_ops zero_ops = {.name = "/dev/zero",
                                         .read = zero_read,
                                         .write = null_write,
                                         .seek = any_seek,
                                         .ioctl = no_ioctl,
                                         .map_object = zero_map};
static const struct file_ops full_ops = {.name = "/dev/full",
                                         .read = zero_read,
                                         .write = full_write,
                                         .seek = any_seek,
                                         .ioctl = no_ioctl};
static const struct file_ops random_ops = {.name = "/dev/random",
                                           .read = random_read,
                                           .write = random_write,
                                           .seek = any_seek,
                                           .ioctl = random_ioctl};
int devfs_mount(struct fs_context *c)
{
    static const struct {
        const char *name, *target;
    } links[] = {{"fd", "/proc/self/fd"},
                 {"stdin", "/proc/self/fd/0"},
                 {"stdout", "/proc/self/fd/1"},
                 {"stderr", "/proc/self/fd/2"}};
    static const struct {
        const char *name;
        unsigned major, minor, mode;
        const struct file_ops *ops;
    } nodes[] = {
        {"null", 1, 3, 0666, &null_ops},
        {"zero", 1, 5, 0666, &zero_ops},
        {"full", 1, 7, 0666, &full_ops},
        {"random", 1, 8, 0666, &random_ops},
        {"urandom", 1, 9, 0666, &random_ops},
        {"console", 5, 1, 0620, &console_ops},
        {"console-err", 5, 65, 0620, &console_err_ops},
    };
    int err = tmpfs_create(plat_info.ram_total / 16, NULL, 0, 0755, &dev_super);
    if (err)
        return err;
    dev_super->type = "devtmpfs";
    for (struct device *d = devices; d && !err; d = d->next)
        err = make_node(dev_super, d->name, d->mode, d->rdev, NULL);
    for (unsigned i = 0; i < ARRAY_LEN(nodes) && !err; i++)
        err = devfs_add(nodes[i].name, nodes[i].major, nodes[i].minor, nodes[i].ops, nodes[i].mode);
    for (unsigned i = 0; i < ARRAY_LEN(links) && !err; i++)
        err = make_node(dev_super, links[i].name, S_IFLNK | 0777, 0, links[i].target);
    // No controlling terminal: opening /dev/tty finds no device behind the node, ENXIO as Linux
    // says then.
    if (!err)
        err = make_node(dev_super, "tty", S_IFCHR | 0666, MKDEV(5, 0), NULL);
    if (!err)
        err = fs_mount_at(c, "/dev", dev_super);
    struct super *shm;
    if (!err && !(err = tmpfs_create(plat_info.ram_total / 2, NULL, 0, 01777, &shm)))
        err = fs_mount_at(c, "/dev/shm", shm);
    return err;
}

// SPDX-License-Identifier: ISC
// Data of regular files in memory: pages in a sparse array. Where a file of the image has no page
// of its own, its bytes are read and mapped from the image where they lie; the first write to a
// page copies that page.
#include <linux/falloc.h>
#include "fs/vfs.h"

// --- pages ---

static bool lower_covers(const struct inode *i, uint64_t index)
{
    return index << PAGE_SHIFT < i->reg.lower_len;
}

// The image's page at index when it lies there whole and aligned; else NULL (hole, tail behind the
// inode).
static const uint8_t *lower_page(struct inode *i, uint64_t index, uint64_t *run)
{
    const uint8_t *p;
    uint64_t off = index << PAGE_SHIFT;
    if (!lower_covers(i, index) || erofs_map(i->sb->lower, &i->reg.lower, off, &p, run) || !p ||
        !IS_ALIGNED((uint64_t)(p - i->sb->lower->base), PAGE_SIZE))
        return NULL;
    // A last partial page counts when its block is inside the image: mkfs fills blocks with zeros.
    uint64_t rest = MIN(*run, i->reg.lower_len - off);
    if (rest < PAGE_SIZE) {
        if (off + rest < i->reg.lower_len || i->reg.lower_len != i->reg.lower.size)
            return NULL;
        if ((uint64_t)(p - i->sb->lower->base) + PAGE_SIZE > i->sb->lower->len)
            return NULL;
        for (uint64_t at = rest; at < PAGE_SIZE && !i->reg.tail_is_zero; at++) {
            if (p[at])
                return NULL; // a hostile image must not show bytes behind the end
        }
        i->reg.tail_is_zero = true;
        rest = PAGE_SIZE;
    }
    *run = rest >> PAGE_SHIFT;
    return p;
}

// The file's own page at index, referenced; made if there is none, and then *replaced is the
// image's page that mappings may still show, or NULL: holes and unaligned tails are not mapped.
static int own_page(struct inode *i, uint64_t index, uint64_t *pa, const uint8_t **replaced)
{
    bool fresh = false;
    uint64_t run;
    *replaced = NULL;
    spin_lock(&i->data_lock);
    if ((*pa = page_tree_get(&i->reg.pages, index))) {
        page_ref(*pa);
        spin_unlock(&i->data_lock);
        return 0;
    }
    spin_unlock(&i->data_lock);
    if (!tmpfs_charge(i->sb, PAGE_SIZE))
        return -ENOSPC;
    uint64_t page = page_alloc(0, PAGE_ZERO);
    int err = page ? 0 : -ENOMEM;
    if (!err && lower_covers(i, index)) {
        uint64_t off = index << PAGE_SHIFT;
        size_t n = MIN(i->reg.lower_len - off, PAGE_SIZE);
        ssize_t_k got = erofs_read(i->sb->lower, &i->reg.lower, off, pa_to_va(page), n);
        err = got < 0 ? (int)got : 0;
    }
    if (!err) {
        spin_lock(&i->data_lock);
        if ((*pa = page_tree_get(&i->reg.pages, index))) {
            page_ref(*pa); // another thread was faster
        } else if (!(err = page_tree_set(&i->reg.pages, index, page))) {
            *pa = page;
            page_ref(page);
            page = 0;
            fresh = true;
        }
        spin_unlock(&i->data_lock);
    }
    if (page)
        page_unref(page);
    if (fresh)
        *replaced = lower_page(i, index, &run);
    else
        tmpfs_uncharge(i->sb, PAGE_SIZE);
    return err;
}

// The data of the new page is in place: mappings of the image's page go.
static void show_page(struct inode *i, uint64_t index, const uint8_t *replaced)
{
    if (replaced)
        mm_replace_page(&i->object, index,
                        i->sb->lower_pa + (uint64_t)(replaced - i->sb->lower->base));
}

static void drop_pages(struct inode *i, uint64_t first, uint64_t end)
{
    for (;;) {
        uint64_t index, pa = 0;
        spin_lock(&i->data_lock);
        if (page_tree_next(&i->reg.pages, first, &index) && index < end)
            pa = page_tree_remove(&i->reg.pages, index);
        if (i->reg.pages.pages == 0)
            page_tree_free_nodes(&i->reg.pages);
        spin_unlock(&i->data_lock);
        if (!pa)
            return;
        page_unref(pa);
        tmpfs_uncharge(i->sb, PAGE_SIZE);
        first = index + 1;
    }
}

void tmpfs_reg_free(struct inode *i)
{
    drop_pages(i, 0, UINT64_MAX);
    kfree(i->reg.mapped_as);
}

uint64_t tmpfs_blocks(struct inode *i)
{
    uint64_t lower = ALIGN_UP(i->reg.lower_len, PAGE_SIZE) / 512;
    return MAX(lower, i->reg.pages.pages * (PAGE_SIZE / 512));
}

static void mark_written(struct inode *i)
{
    i->mtime = i->ctime = fs_now();
    if ((i->flags & (I_LOWER | I_PINNED)) == I_LOWER) {
        mutex_lock(&fs_lock);
        tmpfs_pin(i);
        mutex_unlock(&fs_lock);
    }
}

// --- read and write ---

static ssize_t_k tmpfs_read(struct file *f, struct iov_iter *to, uint64_t *pos)
{
    struct inode *i = f->inode;
    size_t done = 0;
    while (to->left) {
        // A truncation may happen beside this: each turn works with one set of lengths.
        uint64_t size = READ_ONCE(i->size), lower_len = READ_ONCE(i->reg.lower_len), next;
        if (*pos >= size)
            break;
        uint64_t left = MIN(size - *pos, to->left), index = *pos >> PAGE_SHIFT;
        size_t in_page = *pos & (PAGE_SIZE - 1);
        ssize_t_k n;
        spin_lock(&i->data_lock);
        uint64_t pa = page_tree_get(&i->reg.pages, index);
        if (pa)
            page_ref(pa);
        else if (page_tree_next(&i->reg.pages, index, &next))
            left = MIN(left, (next << PAGE_SHIFT) - *pos);
        spin_unlock(&i->data_lock);
        if (pa) {
            n = iov_copy_to(to, (char *)pa_to_va(pa) + in_page, MIN(left, PAGE_SIZE - in_page));
            page_unref(pa);
        } else if (*pos < lower_len) {
            const uint8_t *p;
            uint64_t run;
            int err = erofs_map(i->sb->lower, &i->reg.lower, *pos, &p, &run);
            if (err)
                return done ? (ssize_t_k)done : -EIO;
            run = MIN(run, lower_len - *pos);
            left = MIN(left, run);
            n = p ? iov_copy_to(to, p, left) : iov_zero(to, left);
        } else {
            n = iov_zero(to, left);
        }
        if (n < 0)
            return done ? (ssize_t_k)done : n;
        if (n == 0)
            break;
        *pos += (uint64_t)n;
        done += (size_t)n;
    }
    return (ssize_t_k)done;
}

static ssize_t_k tmpfs_write(struct file *f, struct iov_iter *from, uint64_t *pos)
{
    struct inode *i = f->inode;
    size_t done = 0;
    int err = 0;
    struct mutex *lock = inode_write_lock(i);
    if (f->flags & O_APPEND)
        *pos = i->size;
    while (from->left) {
        uint64_t pa, index = *pos >> PAGE_SHIFT;
        size_t in_page = *pos & (PAGE_SIZE - 1);
        const uint8_t *replaced;
        if (*pos > INT64_MAX - PAGE_SIZE) {
            err = -EFBIG;
            break;
        }
        if ((err = own_page(i, index, &pa, &replaced)))
            break;
        ssize_t_k n = iov_copy_from(from, (char *)pa_to_va(pa) + in_page,
                                    MIN(from->left, PAGE_SIZE - in_page));
        page_unref(pa);
        show_page(i, index, replaced);
        if (n < 0) {
            err = (int)n;
            break;
        }
        *pos += (uint64_t)n;
        done += (size_t)n;
        if (*pos > i->size)
            i->size = *pos;
    }
    if (done)
        mark_written(i);
    mutex_unlock(lock);
    return done ? (ssize_t_k)done : err;
}

// --- size ---

// Everything from len on becomes zeros; the write lock is held.
static int cut(struct inode *i, uint64_t len)
{
    uint64_t pa, index = len >> PAGE_SHIFT, end = (i->size + PAGE_SIZE - 1) >> PAGE_SHIFT;
    size_t in_page = len & (PAGE_SIZE - 1);
    const uint8_t *replaced;
    if (in_page && (lower_covers(i, index) || page_tree_get(&i->reg.pages, index))) {
        int err = own_page(i, index, &pa, &replaced);
        if (err)
            return err;
        memset((char *)pa_to_va(pa) + in_page, 0, PAGE_SIZE - in_page);
        page_unref(pa);
        show_page(i, index, replaced);
    }
    uint64_t first = (len + PAGE_SIZE - 1) >> PAGE_SHIFT;
    i->size = len;
    if (i->reg.lower_len > len)
        i->reg.lower_len = ALIGN_DOWN(len, PAGE_SIZE);
    drop_pages(i, first, UINT64_MAX);
    if (end > first)
        mm_invalidate_object(&i->object, first, end - first);
    return 0;
}

int tmpfs_truncate(struct inode *i, uint64_t len)
{
    int err = 0;
    struct mutex *lock = inode_write_lock(i);
    mark_written(i);
    if (len < i->size) {
        err = cut(i, len);
    } else if (len > i->size) {
        // The last page of the image's part may be mapped from the image: what follows in it is
        // zero there too.
        i->size = len;
    }
    mutex_unlock(lock);
    return err;
}

static int allocate(struct inode *i, uint64_t off, uint64_t end)
{
    for (uint64_t index = off >> PAGE_SHIFT; index << PAGE_SHIFT < end; index++) {
        uint64_t pa;
        const uint8_t *replaced; // none: the image has nothing here
        if (lower_covers(i, index))
            continue;
        int err = own_page(i, index, &pa, &replaced);
        if (err)
            return err;
        page_unref(pa);
    }
    return 0;
}

static int punch(struct inode *i, uint64_t off, uint64_t end)
{
    end = MIN(end, i->size);
    while (off < end) {
        uint64_t pa, index = off >> PAGE_SHIFT;
        size_t in_page = off & (PAGE_SIZE - 1), n = MIN(end - off, PAGE_SIZE - in_page);
        bool here = page_tree_get(&i->reg.pages, index) != 0;
        const uint8_t *replaced;
        if (n == PAGE_SIZE && !lower_covers(i, index)) {
            drop_pages(i, index, index + 1);
            mm_invalidate_object(&i->object, index, 1);
        } else if (here || lower_covers(i, index)) {
            int err = own_page(i, index, &pa, &replaced);
            if (err)
                return err;
            memset((char *)pa_to_va(pa) + in_page, 0, n);
            page_unref(pa);
            show_page(i, index, replaced);
        }
        off += n;
    }
    return 0;
}

int tmpfs_fallocate(struct inode *i, int mode, uint64_t off, uint64_t len)
{
    bool keep = mode & FALLOC_FL_KEEP_SIZE, hole = mode & FALLOC_FL_PUNCH_HOLE;
    bool zero = mode & FALLOC_FL_ZERO_RANGE;
    if ((mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) ||
        (hole && zero) || (hole && !keep))
        return -EOPNOTSUPP;
    struct mutex *lock = inode_write_lock(i);
    int err = 0;
    mark_written(i);
    if (hole || zero)
        err = punch(i, off, off + len);
    if (!err && !hole)
        err = allocate(i, off, off + len);
    if (!err && !keep && off + len > i->size)
        i->size = off + len;
    mutex_unlock(lock);
    return err;
}

// SEEK_DATA and SEEK_HOLE, a page at a time.
static int64_t seek_hole(struct inode *i, uint64_t off, bool data)
{
    if (off >= i->size)
        return -ENXIO;
    uint64_t at = off;
    while (at < i->size) {
        uint64_t index = at >> PAGE_SHIFT, next;
        bool is_data = lower_covers(i, index) || page_tree_get(&i->reg.pages, index);
        if (is_data == data)
            return (int64_t)at;
        if (data && page_tree_next(&i->reg.pages, index, &next))
            at = next << PAGE_SHIFT;
        else if (data)
            return -ENXIO;
        else
            at = (index + 1) << PAGE_SHIFT;
    }
    return data ? -ENXIO : (int64_t)i->size;
}

static long tmpfs_seek(struct file *f, int64_t off, int whence)
{
    if (whence != SEEK_DATA_ && whence != SEEK_HOLE_)
        return seek_in(f, off, whence, f->inode->size);
    int64_t to = off < 0 ? -ENXIO : seek_hole(f->inode, (uint64_t)off, whence == SEEK_DATA_);
    if (to >= 0)
        f->pos = (uint64_t)to;
    return to;
}

static int tmpfs_fsync(struct file *f, bool data_only)
{
    (void)f;
    (void)data_only;
    return 0; // memory is all there is
}

// --- mappings ---

static struct inode *inode_of(struct vm_object *o)
{
    return container_of(o, struct inode, object);
}

static int object_get_page(struct vm_object *o, uint64_t pgoff, bool for_write, uint64_t *pa)
{
    struct inode *i = inode_of(o);
    const uint8_t *replaced;
    uint64_t run;
    if (pgoff >= (i->size + PAGE_SIZE - 1) >> PAGE_SHIFT)
        return -ENXIO;
    spin_lock(&i->data_lock);
    if ((*pa = page_tree_get(&i->reg.pages, pgoff)))
        page_ref(*pa);
    spin_unlock(&i->data_lock);
    if (*pa && !for_write)
        return 0;
    if (for_write)
        mark_written(i);
    if (*pa)
        return 0;
    const uint8_t *p = for_write ? NULL : lower_page(i, pgoff, &run);
    if (p) {
        *pa = i->sb->lower_pa + (uint64_t)(p - i->sb->lower->base);
        page_ref(*pa);
        return 0;
    }
    // A hole that is only read gets a page too: every page of a mapping then has one place.
    int err = own_page(i, pgoff, pa, &replaced);
    if (!err)
        show_page(i, pgoff, replaced);
    return err == -ENOSPC ? -ENXIO : err;
}

static uint64_t object_extent(struct vm_object *o, uint64_t pgoff, uint64_t *pa)
{
    struct inode *i = inode_of(o);
    uint64_t run, next;
    const uint8_t *p = i->sb->lower ? lower_page(i, pgoff, &run) : NULL;
    if (!p)
        return 0;
    if (page_tree_next(&i->reg.pages, pgoff, &next))
        run = MIN(run, next - pgoff);
    *pa = i->sb->lower_pa + (uint64_t)(p - i->sb->lower->base);
    return run;
}

static void object_ref(struct vm_object *o)
{
    inode_get(inode_of(o));
}

static void object_unref(struct vm_object *o)
{
    inode_unref(inode_of(o));
}

static int object_describe(struct vm_object *o, char *buf, size_t size, uint64_t *ino)
{
    const struct inode *i = inode_of(o);
    *ino = i->ino;
    lib_strlcpy(buf, i->reg.mapped_as ? i->reg.mapped_as : "", size);
    return 0;
}

const struct vm_object_ops tmpfs_object_ops = {
    .get_page = object_get_page,
    .extent = object_extent,
    .ref = object_ref,
    .unref = object_unref,
    .describe = object_describe,
};

static int tmpfs_map_object(struct file *f, struct vm_object **out, int prot, int flags)
{
    struct inode *i = inode_get(f->inode);
    (void)prot;
    (void)flags;
    // The name for /proc/self/maps and fault reports; a later rename does not change it.
    char *path = i->reg.mapped_as ? NULL : kmalloc(256);
    if (path) {
        if (file_path(f, path, 256) > 0)
            i->reg.mapped_as = kstrdup(path);
        kfree(path);
    }
    *out = &i->object;
    return 0;
}

static long tmpfs_ioctl(struct file *f, unsigned cmd, unsigned long arg)
{
    uint64_t left = f->inode->size > f->pos ? f->inode->size - f->pos : 0;
    int n = (int)left;
    return cmd == FIONREAD ? put_user((int *)arg, &n) : -ENOTTY;
}

const struct file_ops tmpfs_file_ops = {
    .ioctl = tmpfs_ioctl,
    .name = "file",
    .read = tmpfs_read,
    .write = tmpfs_write,
    .seek = tmpfs_seek,
    .map_object = tmpfs_map_object,
    .fsync = tmpfs_fsync,
};

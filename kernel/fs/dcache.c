// SPDX-License-Identifier: ISC
// Names and inodes in memory. A dentry is found by (directory, name) in one hash table. Dentries of
// the image that nobody uses stay on a list, least recently used first, up to a bound that follows
// the size of RAM; dentries of in-memory directories (D_UPPER) are their content and stay.
// Everything under fs_lock.
#include "fs/vfs.h"

struct mutex fs_lock = MUTEX_INIT(fs_lock);

static struct dentry **table;
static uint32_t table_size, hashed; // buckets (power of two), dentries in them
static uint64_t hash_seed;
static struct list_head lru = {&lru, &lru};
static uint32_t lru_count, lru_max = FS_CACHE_MIN;

// Inodes of the image by their number. Both tables start small (each page that is touched at start
// costs 5 to 10 us on KVM-PVM) and double when they hold two entries per bucket.
#define FIRST_BUCKETS 128u
static struct inode **inode_table;
static uint32_t inode_buckets, inodes_cached;

static size_t shrink_hook(size_t pages)
{
    // The allocation that is short may have been made under fs_lock: then there is nothing to give.
    if (!mutex_trylock(&fs_lock))
        return 0;
    size_t n = dcache_shrink(pages * 16);
    mutex_unlock(&fs_lock);
    return n / 16; // roughly, at 256 bytes each
}

int dcache_init(uint64_t ram_bytes)
{
    if (table)
        return 0;
    uint64_t max = ram_bytes / FS_CACHE_BYTES_PER_RAM;
    max = MIN(max, (uint64_t)FS_CACHE_MAX);
    lru_max = (uint32_t)MAX(max, (uint64_t)FS_CACHE_MIN);
    inode_buckets = table_size = FIRST_BUCKETS;
    table = kzalloc(table_size * sizeof(*table));
    inode_table = kzalloc(inode_buckets * sizeof(*inode_table));
    if (!table || !inode_table)
        return -ENOMEM;
    hash_seed = random_u64();
    mm_add_shrinker(shrink_hook);
    return 0;
}

static uint32_t name_hash(const struct dentry *parent, const char *name, size_t len)
{
    uint64_t h = hash_seed ^ (uintptr_t)parent;
    for (size_t i = 0; i < len; i++)
        h = (h ^ (uint8_t)name[i]) * 0x9e3779b97f4a7c15ull;
    h ^= h >> 29;
    return (uint32_t)(h * 0xbf58476d1ce4e5b9ull >> 32);
}

static void table_grow(void)
{
    struct dentry **bigger = kzalloc(2 * (size_t)table_size * sizeof(*table));
    if (!bigger)
        return; // longer chains
    for (uint32_t i = 0; i < table_size; i++) {
        for (struct dentry *d = table[i], *next; d; d = next) {
            next = d->hash_next;
            struct dentry **b = &bigger[d->hash & (2 * table_size - 1)];
            d->hash_next = *b;
            *b = d;
        }
    }
    kfree(table);
    table = bigger;
    table_size *= 2;
}

struct dentry *dentry_alloc(struct dentry *parent, const char *name, size_t len)
{
    struct dentry *d = kzalloc(sizeof(*d));
    if (!d)
        return NULL;
    list_init(&d->link);
    d->refs = 1;
    d->parent = d;
    d->name = d->inline_name;
    if (dentry_set_name(d, NULL, name, len)) {
        kfree(d);
        return NULL;
    }
    if (parent)
        d->parent = dentry_get(parent);
    return d;
}

int dentry_set_name(struct dentry *d, char *long_name, const char *name, size_t len)
{
    ASSERT(len <= FS_NAME_MAX && !(d->flags & D_HASHED));
    if (len >= FS_INLINE_NAME && !long_name) {
        long_name = kmalloc(len + 1);
        if (!long_name)
            return -ENOMEM;
    }
    char *to = len < FS_INLINE_NAME ? d->inline_name : long_name, *old = d->name;
    memmove(to, name, len);
    to[len] = 0;
    d->name = to;
    d->name_len = (uint8_t)len;
    if (old != d->inline_name)
        kfree(old);
    if (to != long_name)
        kfree(long_name);
    return 0;
}

void dentry_hash_insert(struct dentry *d)
{
    ASSERT(!(d->flags & D_HASHED));
    if (hashed > 2 * table_size)
        table_grow();
    d->hash = name_hash(d->parent, d->name, d->name_len);
    struct dentry **b = &table[d->hash & (table_size - 1)];
    d->hash_next = *b;
    *b = d;
    d->flags |= D_HASHED;
    hashed++;
}

void dentry_hash_remove(struct dentry *d)
{
    if (!(d->flags & D_HASHED))
        return;
    struct dentry **p = &table[d->hash & (table_size - 1)];
    while (*p != d)
        p = &(*p)->hash_next;
    *p = d->hash_next;
    d->flags &= (uint8_t)~D_HASHED;
    hashed--;
}

struct dentry *dentry_find(struct dentry *parent, const char *name, size_t len)
{
    uint32_t h = name_hash(parent, name, len);
    for (struct dentry *d = table[h & (table_size - 1)]; d; d = d->hash_next) {
        if (d->hash == h && d->parent == parent && d->name_len == len &&
            memcmp(d->name, name, len) == 0) {
            if (d->refs == 0)
                lru_count--;
            return dentry_get(d);
        }
    }
    return NULL;
}

int dentry_lookup(struct dentry *parent, const char *name, size_t len, struct dentry **out)
{
    struct inode *inode = NULL;
    if (parent->flags & D_DELETED)
        return -ENOENT;
    if ((*out = dentry_find(parent, name, len)))
        return 0;
    if (!parent->inode->ops->lookup)
        return -ENOTDIR;
    int err = parent->inode->ops->lookup(parent, name, len, &inode);
    if (err && err != -ENOENT)
        return err;
    struct dentry *d = dentry_alloc(parent, name, len);
    if (!d) {
        if (inode)
            inode_put(inode);
        return -ENOMEM;
    }
    if (inode && S_ISDIR(inode->mode) && !parent->inode->sb->uncached) {
        if (inode->dir.dentry) { // a broken image: one directory with two names
            inode_put(inode);
            dentry_put(d);
            return -EUCLEAN;
        }
        inode->dir.dentry = d;
    }
    d->inode = inode;
    if (!parent->inode->sb->uncached)
        dentry_hash_insert(d);
    *out = d;
    return 0;
}

static void dentry_free(struct dentry *d)
{
    dentry_hash_remove(d);
    struct inode *i = d->inode;
    if (i) {
        if (S_ISDIR(i->mode) && i->dir.dentry == d && !i->sb->uncached)
            i->dir.dentry = NULL;
        inode_put(i);
    }
    if (d->name != d->inline_name)
        kfree(d->name);
    kfree(d);
}

void dentry_put(struct dentry *d)
{
    // A loop, not recursion: a name's last reference may be its directory's last one, and so on up.
    while (d) {
        ASSERT(d->refs > 0);
        if (--d->refs > 0)
            return;
        if (d->flags & D_HASHED) {
            list_add_tail(&d->link, &lru);
            if (++lru_count > lru_max)
                dcache_shrink(lru_max / 8);
            return;
        }
        struct dentry *parent = d->parent != d ? d->parent : NULL;
        dentry_free(d);
        d = parent;
    }
}

size_t dcache_shrink(size_t count)
{
    size_t n = 0;
    while (n < count && !list_empty(&lru)) {
        struct dentry *d = list_first(&lru, struct dentry, link), *parent = d->parent;
        list_del(&d->link);
        lru_count--;
        dentry_free(d);
        n++;
        // The directory may become unused in turn; it goes to the list's tail, so this ends.
        if (--parent->refs == 0 && (parent->flags & D_HASHED)) {
            list_add_tail(&parent->link, &lru);
            lru_count++;
        } else if (parent->refs == 0) {
            parent->refs = 1;
            dentry_put(parent);
        }
    }
    return n;
}

void dentry_mark_deleted(struct dentry *d)
{
    dentry_hash_remove(d);
    d->flags |= D_DELETED;
}

bool dentry_is_below(const struct dentry *d, const struct dentry *ancestor)
{
    for (;;) {
        if (d == ancestor)
            return true;
        if (d->parent != d)
            d = d->parent;
        else if (d->inode->sb->covered)
            d = d->inode->sb->covered;
        else
            return false;
    }
}

// --- inodes ---

struct inode *inode_alloc(struct super *sb, const struct inode_ops *ops, unsigned mode)
{
    struct inode *i = kzalloc(sizeof(*i));
    if (!i)
        return NULL;
    i->sb = sb;
    i->ops = ops;
    i->refs = 1;
    i->nlink = 1;
    i->mode = mode;
    return i;
}

static struct inode **cache_bucket(uint64_t nid)
{
    return &inode_table[(nid * 0x9e3779b97f4a7c15ull >> 32) & (inode_buckets - 1)];
}

struct inode *inode_cache_find(struct super *sb, uint64_t nid)
{
    for (struct inode *i = *cache_bucket(nid); i; i = i->cache_next) {
        if (i->lower_nid == nid && i->sb == sb)
            return inode_get(i);
    }
    return NULL;
}

static void inode_table_grow(void)
{
    uint32_t old_buckets = inode_buckets;
    struct inode **old = inode_table, **bigger = kzalloc(2 * (size_t)old_buckets * sizeof(*old));
    if (!bigger)
        return; // longer chains
    inode_table = bigger;
    inode_buckets *= 2;
    for (uint32_t k = 0; k < old_buckets; k++) {
        for (struct inode *i = old[k], *next; i; i = next) {
            struct inode **b = cache_bucket(i->lower_nid);
            next = i->cache_next;
            i->cache_next = *b;
            *b = i;
        }
    }
    kfree(old);
}

void inode_cache_insert(struct inode *i, uint64_t nid)
{
    if (++inodes_cached > 2 * inode_buckets)
        inode_table_grow();
    struct inode **b = cache_bucket(nid);
    i->lower_nid = nid;
    i->flags |= I_LOWER;
    i->cache_next = *b;
    *b = i;
}

void inode_put(struct inode *i)
{
    if (__atomic_sub_fetch(&i->refs, 1, __ATOMIC_ACQ_REL))
        return;
    if (i->flags & I_LOWER) {
        struct inode **p = cache_bucket(i->lower_nid);
        while (*p != i)
            p = &(*p)->cache_next;
        *p = i->cache_next;
        inodes_cached--;
    }
    if (i->ops->free)
        i->ops->free(i);
    locks_free(i);
    kfree(i);
}

void inode_unref(struct inode *i)
{
    // Not the last reference: no need for the lock.
    uint32_t refs = __atomic_load_n(&i->refs, __ATOMIC_RELAXED);
    while (refs > 1) {
        if (__atomic_compare_exchange_n(&i->refs, &refs, refs - 1, false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_RELAXED))
            return;
    }
    mutex_lock(&fs_lock);
    inode_put(i);
    mutex_unlock(&fs_lock);
}

struct mutex *inode_write_lock(struct inode *i)
{
    static struct mutex pool[16] = {
#define M(n) MUTEX_INIT(pool[n])
        M(0), M(1), M(2),  M(3),  M(4),  M(5),  M(6),  M(7),
        M(8), M(9), M(10), M(11), M(12), M(13), M(14), M(15),
#undef M
    };
    struct mutex *m = &pool[((uintptr_t)i >> 6) * 0x9e3779b97f4a7c15ull >> 60];
    mutex_lock(m);
    return m;
}

INIT_RECORD(INIT_ROOT, fs_mount_root, dentry_alloc);
LINK_MARK(link_uses_files, dentry_alloc);

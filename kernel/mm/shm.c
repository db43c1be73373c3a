// SPDX-License-Identifier: ISC
// Shared anonymous memory: an object whose pages appear at their first use and live until the last
// mapping goes. A directory of tables of 512 page addresses.
#include "mm/internal.h"

#define TABLE_PAGES (PAGE_SIZE / sizeof(uint64_t))

struct shm_object {
    struct vm_object vm;
    uint32_t refs;
    uint64_t pages;
    uint64_t ino; // for /proc/self/maps
    uint64_t *table[];
};

static int shm_get_page(struct vm_object *o, uint64_t pgoff, bool for_write, uint64_t *pa)
{
    struct shm_object *m = container_of(o, struct shm_object, vm);
    (void)for_write;
    if (pgoff >= m->pages)
        return -ENXIO;
    uint64_t **table = &m->table[pgoff / TABLE_PAGES];
    if (!*table && !(*table = kzalloc(PAGE_SIZE)))
        return -ENOMEM;
    uint64_t *slot = &(*table)[pgoff % TABLE_PAGES];
    if (!*slot && !(*slot = page_alloc(0, PAGE_ZERO | PAGE_USER)))
        return -ENOMEM;
    page_ref(*slot);
    *pa = *slot;
    return 0;
}

static void shm_ref(struct vm_object *o)
{
    __atomic_fetch_add(&container_of(o, struct shm_object, vm)->refs, 1, __ATOMIC_RELAXED);
}

static void shm_unref(struct vm_object *o)
{
    struct shm_object *m = container_of(o, struct shm_object, vm);
    if (__atomic_sub_fetch(&m->refs, 1, __ATOMIC_ACQ_REL))
        return;
    for (uint64_t t = 0; t * TABLE_PAGES < m->pages; t++) {
        for (unsigned i = 0; m->table[t] && i < TABLE_PAGES; i++)
            if (m->table[t][i])
                page_unref(m->table[t][i]);
        kfree(m->table[t]);
    }
    kfree(m);
}

static int shm_describe(struct vm_object *o, char *buf, size_t size, uint64_t *ino)
{
    *ino = container_of(o, struct shm_object, vm)->ino;
    lib_strlcpy(buf, "/dev/zero (deleted)", size);
    return 0;
}

static const struct vm_object_ops shm_ops = {
    .get_page = shm_get_page,
    .ref = shm_ref,
    .unref = shm_unref,
    .describe = shm_describe,
};

bool shm_is(const struct vm_object *o)
{
    return o && o->ops == &shm_ops;
}

struct vm_object *shm_object_create(uint64_t pages)
{
    static uint64_t next_ino;
    if (pages > MM_SHM_PAGES_MAX)
        return NULL;
    uint64_t tables = (pages + TABLE_PAGES - 1) / TABLE_PAGES;
    struct shm_object *m = kzalloc(sizeof(*m) + tables * sizeof(m->table[0]));
    if (!m)
        return NULL;
    m->vm.ops = &shm_ops;
    m->refs = 1;
    m->pages = pages;
    m->ino = ++next_ino;
    return &m->vm;
}

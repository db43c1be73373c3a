// SPDX-License-Identifier: ISC
// Pages of the program: what was given out is remembered in a tree by address, so that only that
// is taken back.
#include "lith/internal.h"

struct block {
    struct rb_node node;
    uint64_t pa;
    unsigned order;
};
static struct rb_root blocks;
static bool bad_said;

compile_assert(page_size, LITH_PAGE_SIZE == PAGE_SIZE);
compile_assert(order_max, LITH_PAGE_ORDER_MAX == PAGE_ORDER_MAX);
compile_assert(zero_flag, LITH_PAGE_ZERO == PAGE_ZERO);

static struct rb_node **find(uint64_t pa, struct rb_node **parent)
{
    struct rb_node **link = &blocks.node;
    *parent = NULL;
    while (*link) {
        struct block *b = container_of(*link, struct block, node);
        if (b->pa == pa)
            break;
        *parent = *link;
        link = pa < b->pa ? &b->node.left : &b->node.right;
    }
    return link;
}

LITH_CALL(0x1020, page_alloc);
int call_page_alloc(unsigned order, unsigned flags, void **pages)
{
    struct rb_node *parent, **link;
    if (order > PAGE_ORDER_MAX || (flags & ~LITH_PAGE_ZERO))
        return -EINVAL;
    struct block *b = kmalloc(sizeof(*b));
    if (!b)
        return -ENOMEM;
    b->order = order;
    b->pa = page_alloc(order, flags | PAGE_USER);
    void *va = pa_to_va(b->pa);
    int err = b->pa ? put_user(pages, &va) : -ENOMEM;
    if (err) {
        if (b->pa)
            page_free(b->pa, order);
        kfree(b);
        return err;
    }
    link = find(b->pa, &parent);
    rb_insert(&blocks, &b->node, parent, link);
    return 0;
}

LITH_CALL(0x1021, page_free);
int call_page_free(void *pages, unsigned order)
{
    struct rb_node *parent, **link = find(va_to_pa(pages), &parent);
    struct block *b = *link ? container_of(*link, struct block, node) : NULL;
    if (!b || b->order != order)
        return lith_bad_handle(&bad_said, "lith_page_free",
                               b ? "another order than allocated, address"
                                 : "not allocated, or freed before: address",
                               (uintptr_t)pages);
    rb_remove(&blocks, &b->node);
    page_free(b->pa, b->order);
    kfree(b);
    return 0;
}

int lith_bad_handle(bool *said, const char *call, const char *what, uint64_t value)
{
    if (!*said)
        log_error("%s: %s 0x%lx (EBADF; said once)", call, what, (unsigned long)value);
    *said = true;
    return -EBADF;
}

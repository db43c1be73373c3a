// SPDX-License-Identifier: ISC
// The sparse array of page_tree.h. Nodes are plain arrays of 64 slots (512 bytes, a size the heap
// packs well); a slot is a page address at the lowest level and a node pointer above it.
#include <linux/errno.h>
#include "fs/page_tree.h"

#define SLOT_BITS 6u
#define SLOTS     (1u << SLOT_BITS)

static uint64_t *node_of(uint64_t slot)
{
    return (uint64_t *)(uintptr_t)slot;
}

static bool index_fits(const struct page_tree *t, uint64_t index)
{
    unsigned bits = t->height * SLOT_BITS;
    return bits >= 64 || index >> bits == 0;
}

uint64_t page_tree_get(const struct page_tree *t, uint64_t index)
{
    uint64_t slot = t->root;
    if (!index_fits(t, index))
        return 0;
    for (unsigned level = t->height; level > 0 && slot; level--)
        slot = node_of(slot)[index >> ((level - 1) * SLOT_BITS) & (SLOTS - 1)];
    return slot;
}

static uint64_t *node_alloc(struct page_tree *t)
{
    uint64_t *n = kzalloc(SLOTS * sizeof(uint64_t));
    if (n)
        t->nodes++;
    return n;
}

int page_tree_set(struct page_tree *t, uint64_t index, uint64_t pa)
{
    while (!index_fits(t, index)) {
        if (t->root) {
            uint64_t *n = node_alloc(t);
            if (!n)
                return -ENOMEM;
            n[0] = t->root;
            t->root = (uintptr_t)n;
        }
        t->height++;
    }
    uint64_t *slot = &t->root;
    for (unsigned level = t->height; level > 0; level--) {
        if (!*slot) {
            uint64_t *n = node_alloc(t);
            if (!n)
                return -ENOMEM;
            *slot = (uintptr_t)n;
        }
        slot = &node_of(*slot)[index >> ((level - 1) * SLOT_BITS) & (SLOTS - 1)];
    }
    ASSERT(!*slot);
    *slot = pa;
    t->pages++;
    return 0;
}

// Empty nodes stay until the tree is emptied: files that shrink and grow again are the common case.
uint64_t page_tree_remove(struct page_tree *t, uint64_t index)
{
    uint64_t *slot = &t->root;
    if (!index_fits(t, index))
        return 0;
    for (unsigned level = t->height; level > 0 && *slot; level--)
        slot = &node_of(*slot)[index >> ((level - 1) * SLOT_BITS) & (SLOTS - 1)];
    uint64_t pa = *slot;
    if (pa) {
        *slot = 0;
        t->pages--;
    }
    return pa;
}

static bool next_in(uint64_t slot, unsigned level, uint64_t base, uint64_t from, uint64_t *index)
{
    if (!slot)
        return false;
    if (level == 0) {
        *index = base;
        return base >= from;
    }
    unsigned shift = (level - 1) * SLOT_BITS;
    for (uint64_t i = 0; i < SLOTS; i++) {
        uint64_t start = base + (i << shift);
        if (node_of(slot)[i] && start + ((1ull << shift) - 1) >= from &&
            next_in(node_of(slot)[i], level - 1, start, from, index))
            return true;
    }
    return false;
}

bool page_tree_next(const struct page_tree *t, uint64_t from, uint64_t *index)
{
    return t->pages && next_in(t->root, t->height, 0, from, index);
}

static void free_nodes(uint64_t slot, unsigned level)
{
    if (!slot || level == 0)
        return;
    for (unsigned i = 0; level > 1 && i < SLOTS; i++)
        free_nodes(node_of(slot)[i], level - 1);
    kfree(node_of(slot));
}

void page_tree_free_nodes(struct page_tree *t)
{
    ASSERT(t->pages == 0);
    free_nodes(t->root, t->height);
    *t = (struct page_tree){0};
}
